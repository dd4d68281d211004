//! Which other files a file composes its overlays from: the edges that discovery in a workspace follows.
//!
//! Reads one text; whether the files are there, and what they hold, is asked of them in turn. Must not touch the disk.

use rnix::SyntaxNode;
use rnix::ast::{self, Expr};
use rowan::ast::AstNode;
use serde::Serialize;

use super::ast::{function_name, path_names, span, written_path};
use super::file::OverlayFile;
use super::functions::{self, FnKind};
use crate::base::span::Place;

/// A file that is composed as an overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComposedFile {
    /// The path as written, relative to the folder of the file that names it.
    pub relative: String,
    /// The name it is bound to (`overlays.NAME = import ...`), when it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is named.
    pub place: Place,
}

/// What a file says about the overlays that it puts together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Composition {
    /// The files, in the order of the text, which is the order in which they apply where they stand in a list.
    pub files: Vec<ComposedFile>,
    /// Where a folder is read and every file in it taken: there a new file is the edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<Place>,
}

/// A file that another one names where an overlay, or a function like one, is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileUse {
    /// The path as written, relative to the folder of the file that names it.
    pub relative: String,
    /// What the function in that file is taken for: an overlay of packages, of a scope, of `lib`, of attributes.
    pub kind: FnKind,
    /// Where it is named.
    pub place: Place,
}

impl OverlayFile {
    /// Returns what the functions of other files are used as here, in the order of the text; files whose use nothing tells are
    /// left out.
    pub fn file_uses(&self) -> Vec<FileUse> {
        self.named_files().map(|(_, file)| file).collect()
    }

    fn named_files(&self) -> impl Iterator<Item = (SyntaxNode, FileUse)> {
        let paths = self.root().descendants().filter(|n| n.kind() == rnix::SyntaxKind::NODE_PATH_REL);
        paths.collect::<Vec<_>>().into_iter().filter_map(|path| {
            let kind = functions::used_as(&path)?;
            let expr = Expr::cast(path.clone())?;
            let place = Place::in_text(self.path(), self.text(), span(&expr));
            Some((path, FileUse { relative: written_path(&expr)?, kind, place }))
        })
    }

    /// Returns the files that this one composes as overlays, and whether it loads a folder of them.
    pub fn composition(&self) -> Composition {
        let overlays = self.named_files().filter(|(_, file)| file.kind == FnKind::Packages);
        let files = overlays
            .map(|(path, file)| ComposedFile { relative: file.relative, name: name_of(&path), place: file.place })
            .collect();
        let folder = self
            .root()
            .descendants()
            .filter_map(Expr::cast)
            .find(|e| function_name(e).is_some_and(|n| matches!(n.as_str(), "readDir" | "listFilesRecursive")))
            .map(|e| Place::in_text(self.path(), self.text(), span(&e)));
        Composition { files, folder }
    }
}

/// The name under which `overlays` has a file: `overlays.NAME = import ...`.
fn name_of(path: &SyntaxNode) -> Option<String> {
    let bindings = path.ancestors().filter_map(ast::AttrpathValue::cast).filter_map(|b| b.attrpath());
    let mut below = None;
    for name in bindings.flat_map(|p| path_names(&p).into_iter().rev().collect::<Vec<_>>()) {
        if name.as_ref().is_some_and(|n| n.to_lowercase().contains("overlay")) {
            return below;
        }
        below = name;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn of(text: &str) -> Vec<(String, Option<String>)> {
        let file = OverlayFile::parse(Path::new("default.nix"), text.into()).unwrap();
        file.composition().files.into_iter().map(|f| (f.relative, f.name)).collect()
    }

    fn plain(paths: &[&str]) -> Vec<(String, Option<String>)> {
        paths.iter().map(|p| (p.to_string(), None)).collect()
    }

    #[test]
    fn lists_and_compositions_keep_their_order() {
        assert_eq!(of("[ (import ./a.nix) (import ./b.nix) ]"), plain(&["./a.nix", "./b.nix"]));
        assert_eq!(of("{ inputs }: map import [ ./b.nix ./a.nix ]"), plain(&["./b.nix", "./a.nix"]));
        assert_eq!(
            of("lib.composeManyExtensions [ (import ./a.nix) (final: prev: { x = ./y.nix; }) ]"),
            plain(&["./a.nix"])
        );
        assert_eq!(of("import nixpkgs { overlays = [ (import ../o) ]; }"), plain(&["../o"]));
        assert_eq!(
            of("{ nixpkgs.overlays = [ (import ./a.nix { }) ]; imports = [ ./hardware.nix ]; }"),
            plain(&["./a.nix"])
        );
    }

    #[test]
    fn flakes_name_them() {
        let named = vec![("./o.nix".to_string(), Some("default".to_string()))];
        assert_eq!(of("{ outputs = { self }: { overlays.default = import ./o.nix; }; }"), named);
        assert_eq!(of("{ outputs = { self }: { overlays = { default = import ./o.nix; }; }; }"), named);
    }

    #[test]
    fn what_only_looks_like_it_is_left_out() {
        assert_eq!(of("{ hardware.deviceTree.overlays = [ { dtsFile = ./x.dts; } ]; }"), []);
        assert_eq!(of("final: prev: { a = final.callPackage ./a.nix { }; }"), []);
    }

    #[test]
    fn a_folder_is_seen() {
        let text = "map (n: import (./. + \"/${n}\")) (builtins.attrNames (builtins.readDir ./.))";
        let file = OverlayFile::parse(Path::new("default.nix"), text.into()).unwrap();
        assert!(file.composition().folder.is_some());
    }
}
