//! Which overlay of a workspace is meant.

use std::path::{Path, PathBuf};

use super::Error;
use crate::base::fs;
use crate::base::span::Place;
use crate::config::Workspace;
use crate::overlay::{AttrPath, Files, FnKind, OverlayFile, OverlayFn, Select};

/// An overlay that the user named: a file and, if need be, the line of the function's first argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The file, as typed.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
}

/// The files of the disk, for imports that are followed.
pub(super) struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Option<String> {
        let path = if path.is_dir() { path.join("default.nix") } else { path.to_path_buf() };
        fs::read_text(&path).ok()
    }
}

/// Reads and parses an overlay file.
///
/// # Errors
/// [`Error::Fs`], [`Error::Overlay`].
pub(super) fn open(path: &Path) -> Result<OverlayFile, Error> {
    Ok(OverlayFile::parse(path, fs::read_text(path)?)?)
}

/// Finds the overlay in which `attr` is to be patched: the one named, else the only one that binds it already, else the
/// only one there is.
///
/// # Errors
/// [`Error::NoOverlay`], [`Error::WhichOverlay`] listing each, and those of reading the files.
pub(super) fn choose(
    workspace: &Workspace,
    choice: Option<&Choice>,
    attr: &AttrPath,
) -> Result<(OverlayFile, Select), Error> {
    if let Some(choice) = choice {
        return Ok((open(&choice.path)?, choice.line.map_or(Select::Only, Select::Line)));
    }
    let mut files: Vec<OverlayFile> = Vec::new();
    let mut found: Vec<(usize, OverlayFn)> = Vec::new();
    let named = !workspace.settings().overlays.is_empty();
    for path in workspace.overlay_candidates() {
        let file = match open(&path) {
            Ok(file) => file,
            // A file that was only found by its name may be anything; one that was named has to be an overlay.
            Err(_) if !named => continue,
            Err(error) => return Err(error),
        };
        let functions = file.functions().into_iter().filter(|f| f.kind == FnKind::Packages);
        found.extend(functions.map(|f| (files.len(), f)));
        files.push(file);
    }
    let binds = |f: &OverlayFn| f.keys.iter().any(|key| *key == attr.first());
    let binding: Vec<usize> = (0..found.len()).filter(|i| binds(&found[*i].1)).collect();
    let chosen = match (binding.as_slice(), found.len()) {
        ([one], _) => *one,
        ([], 1) => 0,
        ([], 0) => return Err(Error::NoOverlay { root: workspace.root().to_path_buf() }),
        (several, _) => {
            let places = |i: &usize| found[*i].1.place.clone();
            let candidates: Vec<Place> = if several.is_empty() {
                (0..found.len()).map(|i| places(&i)).collect()
            } else {
                several.iter().map(places).collect()
            };
            return Err(Error::WhichOverlay { attr: attr.clone(), candidates, bound: !several.is_empty() });
        }
    };
    let (at, function) = found.swap_remove(chosen);
    let file = files.swap_remove(at);
    let select = function.place.span.map_or(Select::Only, |span| Select::Offset(span.start));
    Ok((file, select))
}
