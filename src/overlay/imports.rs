//! Overlays that are an import and pass both arguments on: the imported file is where the packages are.
//!
//! Must not touch the disk: files come from the [`Files`] that the caller hands in.

use std::path::{Path, PathBuf};

use rnix::ast::Expr;
use rowan::ast::AstNode;

use super::ast::{call, function_name, normal_path, unparen, written_path};
use super::body;
use super::error;
use super::file::OverlayFile;
use super::functions::Function;
use super::request::{Files, PatchElement, PatchRequest};
use crate::base::diagnostic::Warning;
use crate::base::span::Place;

/// Reads the file that the function's body imports with both arguments, and the request as seen from there.
pub(super) fn follow(
    files: &dyn Files,
    file: &OverlayFile,
    function: &Function,
    request: &PatchRequest,
) -> Option<(OverlayFile, PatchRequest)> {
    let core = unparen(body::read(function.body()?).core);
    let (head, args) = call(&core)?;
    if function_name(&head)? != "import" || args.len() != 3 {
        return None;
    }
    let named = |i: usize, name: Option<String>| {
        args.get(i).is_some_and(|a| Some(unparen(a.clone()).syntax().text().to_string()) == name)
    };
    if !named(1, function.first()) || !named(2, function.second()) {
        return None;
    }
    let Expr::PathRel(_) = unparen(args.first()?.clone()) else { return None };
    let written = written_path(args.first()?)?;
    let folder = file.path().parent().unwrap_or(Path::new(""));
    let mut target = written.clone();
    let mut text = files.read(&joined(folder, &target));
    if text.is_none() || !target.ends_with(".nix") {
        target = format!("{}/default.nix", written.trim_end_matches('/'));
        text = files.read(&joined(folder, &target)).or(text);
    }
    let imported = OverlayFile::parse(&joined(folder, &target), text?).ok()?;
    // Both arguments must be the imported file's own.
    let target_folder = Path::new(&target).parent().map(|p| p.to_string_lossy().to_string()).unwrap_or_default();
    let mut request = request.clone();
    for element in &mut request.elements {
        if let PatchElement::Path { relative, .. } = element {
            *relative = relative_to(&target_folder, relative);
        }
    }
    Some((imported, request))
}

fn joined(folder: &Path, relative: &str) -> PathBuf {
    let relative = normal_path(relative);
    let mut out = folder.to_path_buf();
    for part in relative.split('/') {
        if part == ".." && out.file_name().is_some_and(|n| n != "..") {
            out.pop();
        } else {
            out.push(part);
        }
    }
    out
}

/// Returns `path`, relative to the same folder as `folder` is, as it is written from within `folder`.
fn relative_to(folder: &str, path: &str) -> String {
    let (folder, path) = (normal_path(folder), normal_path(path));
    let from: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    let to: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b && **a != "..").count();
    let up = from.len() - shared;
    let mut out = if up == 0 { "./".to_string() } else { "../".repeat(up) };
    out.push_str(&to[shared..].join("/"));
    if out.starts_with("./../") { out[2..].to_string() } else { out }
}

pub(super) fn note(file: &OverlayFile, imported: &OverlayFile) -> Warning {
    Warning {
        code: error::FOLLOWED_IMPORT,
        message: format!(
            "{} imports {}; the override is written there",
            file.path().display(),
            imported.path().display()
        ),
        place: Some(Place::in_text(imported.path(), imported.text(), crate::base::span::Span::at(0))),
        hint: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_the_imported_file() {
        assert_eq!(relative_to("./overlays", "../patches/a.patch"), "../../patches/a.patch");
        assert_eq!(relative_to("./overlays", "./overlays/a.patch"), "./a.patch");
        assert_eq!(relative_to("..", "./a.patch"), "../a.patch");
        assert_eq!(relative_to(".", "./a.patch"), "./a.patch");
    }
}
