//! Which other files a file composes its overlays from: the edges that discovery in a workspace follows.
//!
//! Reads one text; whether the files are there, and what they hold, is asked of them in turn. Must not touch the disk.

use rnix::SyntaxNode;
use rnix::ast::{self, Expr};
use rowan::ast::AstNode;
use serde::Serialize;

use super::ast::{call, function_name, path_names, peel, span, written_path};
use super::file::OverlayFile;
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

impl OverlayFile {
    /// Returns the files that this one composes as overlays, and whether it loads a folder of them.
    pub fn composition(&self) -> Composition {
        let root = self.root();
        let listing = root_is_list(&root);
        let files = root
            .descendants()
            .filter(|n| n.kind() == rnix::SyntaxKind::NODE_PATH_REL)
            .filter_map(|path| {
                let name = composed(&path, listing)?;
                let expr = Expr::cast(path)?;
                let place = Place::in_text(self.path(), self.text(), span(&expr));
                Some(ComposedFile { relative: written_path(&expr)?, name, place })
            })
            .collect();
        let folder = root
            .descendants()
            .filter_map(Expr::cast)
            .find(|e| function_name(e).is_some_and(|n| matches!(n.as_str(), "readDir" | "listFilesRecursive")))
            .map(|e| Place::in_text(self.path(), self.text(), span(&e)));
        Composition { files, folder }
    }
}

/// Says whether the file's value is a list, whatever arguments it takes first.
fn root_is_list(root: &SyntaxNode) -> bool {
    let mut expr = ast::Root::cast(root.clone()).and_then(|r| r.expr());
    while let Some(found) = expr.clone() {
        match peel(found) {
            Expr::Lambda(lambda) => expr = lambda.body(),
            Expr::List(_) => return true,
            other => {
                return call(&other).and_then(|(f, _)| function_name(&f)).is_some_and(|n| {
                    matches!(n.as_str(), "map" | "foldl'" | "foldr" | "composeManyExtensions" | "composeExtensions")
                });
            }
        }
    }
    false
}

/// Says whether a path stands where an overlay is wanted, and the name that it is bound to there.
fn composed(path: &SyntaxNode, listing: bool) -> Option<Option<String>> {
    use rnix::SyntaxKind::*;
    let mut name = None;
    let mut below = path.clone();
    while let Some(here) = below.parent() {
        match here.kind() {
            NODE_PAREN | NODE_LIST | NODE_BIN_OP | NODE_ATTR_SET | NODE_LET_IN | NODE_WITH | NODE_IF_ELSE => {}
            NODE_APPLY => {
                let function = Expr::cast(here.clone()).and_then(|e| call(&e)).and_then(|(f, _)| function_name(&f));
                match function.as_deref() {
                    Some("composeManyExtensions" | "composeExtensions" | "appendOverlays" | "extend") => {
                        return Some(name);
                    }
                    Some("callPackage" | "callPackages" | "readFile" | "readDir") => return None,
                    _ => {}
                }
            }
            NODE_ATTRPATH_VALUE => {
                let names =
                    ast::AttrpathValue::cast(here.clone()).and_then(|v| v.attrpath()).map(|p| path_names(&p))?;
                let names: Vec<String> = names.into_iter().flatten().collect();
                // `hardware.deviceTree.overlays` has the name and nothing else in common.
                if names.iter().any(|n| n == "deviceTree") {
                    return None;
                }
                let position = names.iter().position(|n| n.to_lowercase().contains("overlay"));
                if let Some(position) = position {
                    return Some(names.get(position + 1).cloned().or(name));
                }
                if names.iter().any(|n| matches!(n.as_str(), "imports" | "modules" | "src" | "patches")) {
                    return None;
                }
                name = names.last().cloned();
            }
            NODE_LAMBDA => {
                // Within an overlay's own body a path is a package or a patch.
                let lambda = ast::Lambda::cast(here.clone())?;
                if super::ast::ident_param(&lambda).is_some()
                    && lambda.syntax().parent().is_some_and(|p| p.kind() == NODE_LAMBDA)
                {
                    return None;
                }
            }
            NODE_ROOT => return listing.then_some(name),
            _ => return None,
        }
        below = here;
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
