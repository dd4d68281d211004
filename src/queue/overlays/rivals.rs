//! Other overlays that bind the same package: whether they are applied later, and then whose binding counts.
//!
//! The order is known from `overlays` in `overlayctl.toml` and from a file that names both in a list.

use std::path::{Path, PathBuf};

use crate::base::diagnostic::Warning;
use crate::base::fs;
use crate::base::span::Place;
use crate::config::Workspace;
use crate::overlay::{AttrPath, OverlayFile, OverlayFn};
use crate::queue::overlays::{Chosen, Found};

/// Returns a warning for each overlay that is applied after the one at `chosen` and binds `attr` without building on
/// what is there. `overlay` is the file that was chosen, and what else is known of the choice.
pub(crate) fn warnings(workspace: &Workspace, overlay: Chosen, chosen: &Place, attr: &AttrPath) -> Vec<Warning> {
    let mut found = Found::default();
    // Parsing costs more than all else here, and a text without the name binds nothing.
    let keys = crate::queue::overlays::keys(attr);
    let names_it = |text: &str| keys.iter().any(|key| text.contains(key.as_str()));
    let mut files = overlay.others.unwrap_or_else(|| workspace.overlay_candidates());
    files.retain(|path| *path != overlay.file.path() && fs::read_text(path).is_ok_and(|text| names_it(&text)));
    if names_it(overlay.file.text()) {
        found.seen.extend(overlay.file.path().canonicalize());
        found.hold(overlay.file);
    }
    if found.add(&files, &|_| false).is_err() {
        return Vec::new();
    }
    let mut out = Vec::new();
    for at in found.binding(attr) {
        let Some((file, function)) = found.functions.get(at) else { continue };
        let Some(path) = found.files.get(*file).map(|file| file.path().to_path_buf()) else { continue };
        let is_later = match same(&path, &chosen.path) {
            true => function.place.span.map(|s| s.start) > chosen.span.map(|s| s.start),
            false => is_after(workspace, &path, &chosen.path),
        };
        let Some(text) = found.files.get(*file).filter(|_| is_later) else { continue };
        if builds_on(text, function, attr) {
            continue;
        }
        out.push(Warning {
            code: "OV1120",
            message: format!(
                "`{attr}` is bound again at {}, which is applied later: that binding counts",
                function.place
            ),
            place: Some(function.place.clone()),
            hint: Some(format!(
                "let it build on the overlay before it ({}.{attr}), or patch it there: --overlay {}:{}",
                function.second.as_deref().unwrap_or("prev"),
                function.place.path.display(),
                function.place.line_col.map_or(1, |at| at.line)
            )),
        });
    }
    out
}

fn same(a: &PathBuf, b: &PathBuf) -> bool {
    a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

/// Says whether the overlay file `one` is known to be applied after the file `other`.
fn is_after(workspace: &Workspace, one: &PathBuf, other: &PathBuf) -> bool {
    let typed: Vec<PathBuf> = workspace.settings().overlays.iter().map(|o| workspace.path(o)).collect();
    let in_list =
        |path: &PathBuf| typed.iter().position(|typed| same(typed, path) || same(&typed.join("default.nix"), path));
    if let (Some(one), Some(other)) = (in_list(one), in_list(other)) {
        return one > other;
    }
    // A file that only composes is no candidate itself: the neighbours and the entry points are looked at.
    let composers =
        ["default.nix", "overlays.nix", "flake.nix", "overlays/default.nix"].map(|name| workspace.path(name));
    composers.iter().filter_map(|path| crate::queue::overlays::open(path).ok()).any(|composer| {
        let folder = composer.path().parent().unwrap_or(Path::new("")).to_path_buf();
        let files = composer.composition().files;
        let at = |wanted: &PathBuf| {
            files.iter().position(|file| {
                let named = folder.join(&file.relative);
                same(&named, wanted) || same(&named.join("default.nix"), wanted)
            })
        };
        matches!((at(one), at(other)), (Some(one), Some(other)) if one > other)
    })
}

/// Says whether a binding uses what was there before: `prev.musl`, by the name that the second argument has.
fn builds_on(file: &OverlayFile, function: &OverlayFn, attr: &AttrPath) -> bool {
    let prev = function.second.as_deref().or(function.first.as_deref()).unwrap_or("prev");
    let from = function.place.span.map_or(0, |span| span.start);
    let text = file.text().get(from..).unwrap_or_default();
    let used = format!("{prev}.{}", attr.first());
    let inherited = format!("inherit ({prev})");
    let ends =
        |rest: &str| rest.chars().next().is_none_or(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '\'')));
    text.match_indices(&used).any(|(at, _)| text.get(at + used.len()..).is_some_and(ends)) || text.contains(&inherited)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::span::Span;
    use crate::overlay::Select;

    fn later(files: &[(&str, &str)], chosen: &str) -> usize {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(&dir.path().join(name), text.as_bytes()).unwrap();
        }
        let workspace = Workspace::open(Some(dir.path())).unwrap();
        let path = dir.path().join(chosen);
        let place = Place::in_text(&path, &fs::read_text(&path).unwrap(), Span::at(0));
        let chosen = Chosen { file: super::super::open(&path).unwrap(), select: Select::Only, others: None };
        warnings(&workspace, chosen, &place, &AttrPath::single("musl")).len()
    }

    #[test]
    fn a_later_overlay_that_does_not_build_on_ours_is_told() {
        let a = ("a.nix", "final: prev: { musl = prev.musl; }");
        let replaces = ("b.nix", "final: prev: { musl = final.callPackage ./musl.nix { }; }");
        let builds = ("b.nix", "final: prev: { musl = prev.musl.override { }; }");
        let list = ("overlayctl.toml", "overlays = [\"a.nix\", \"b.nix\"]");
        assert_eq!(later(&[a, replaces, list], "a.nix"), 1);
        assert_eq!(later(&[a, builds, list], "a.nix"), 0);
        assert_eq!(later(&[a, replaces, ("overlayctl.toml", "overlays = [\"b.nix\", \"a.nix\"]")], "a.nix"), 0);
        let composed = ("default.nix", "[ (import ./a.nix) (import ./b.nix) ]");
        assert_eq!(later(&[a, replaces, composed], "a.nix"), 1);
        assert_eq!(later(&[a, replaces, ("default.nix", "[ (import ./b.nix) (import ./a.nix) ]")], "a.nix"), 0);
    }
}
