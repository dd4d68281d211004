//! What is to be verified: the patches that the overlays of a workspace name.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::fs;
use crate::base::span::Place;
use crate::config::Workspace;
use crate::overlay::{AttrPath, Element};
use crate::queue;
use crate::queue::overlays;
use crate::verify::Error;

/// A package that overlays patch.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// Its attribute path.
    pub attr: AttrPath,
    /// Its patches, in order.
    pub patches: Vec<Patch>,
    /// Patch files of its queue that no overlay names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unnamed: Vec<Patch>,
}

/// A patch of a package.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    /// Its file name, or what the overlay says instead of one.
    pub name: String,
    /// What it says it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The overlay that names it, and where.
    pub place: Place,
    /// Whether the overlay stands in the workspace's list, or was only found beside those that do.
    pub listed: bool,
    /// Whether the flake of the workspace leaves the overlay out: no file that it leads to names it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub outside_flake: bool,
    /// Whether it is meant for a part of the stages only: under a condition, or in an overlay of the target stage.
    pub scoped: bool,
    /// The board whose own overlay names it.
    #[serde(skip)]
    pub board: Option<String>,
    /// The address that it is fetched from.
    #[serde(skip)]
    pub url: Option<String>,
    /// What it says, when it is a file.
    #[serde(skip)]
    pub bytes: Option<Vec<u8>>,
}

/// Reads the overlays of a workspace, and those that stand beside them without being listed.
///
/// # Errors
/// Those of reading a listed overlay.
pub(super) fn packages(workspace: &Workspace) -> Result<Vec<Package>, Error> {
    let mut files: Vec<OverlaySource> = Vec::new();
    let mut add = |path: PathBuf, listed: bool, target_stage: bool, board: Option<&str>| {
        let real = real_file(&path);
        if !files.iter().any(|f| real_file(&f.path) == real && f.board.as_deref() == board) {
            files.push(OverlaySource { path, listed, target_stage, board: board.map(str::to_string) });
        }
    };
    for path in workspace.overlays() {
        add(path, true, false, None);
    }
    for path in workspace.cross_overlays() {
        add(path, true, true, None);
    }
    for (name, board) in &workspace.settings().boards {
        for path in &board.cross_overlays {
            add(workspace.path(path), true, true, Some(name));
        }
    }
    let listed: Vec<PathBuf> = files.iter().map(|f| f.path.clone()).collect();
    for path in beside(workspace, &listed) {
        let real = real_file(&path);
        if !files.iter().any(|f| real_file(&f.path) == real) {
            files.push(OverlaySource { path, listed: false, target_stage: false, board: None });
        }
    }
    let flake = Flake::read(workspace);
    let mut packages: Vec<Package> = Vec::new();
    for source in &files {
        let file = match overlays::open(&real_file(&source.path)) {
            Ok(file) => file,
            // What was only found may be anything; what is listed has to be an overlay.
            Err(_) if !source.listed => continue,
            Err(error) => return Err(error.into()),
        };
        let outside_flake = flake.as_ref().is_some_and(|flake| !flake.names(file.path()));
        for patched in file.patched_packages() {
            let patches = patched.elements.iter().map(|element| patch(element, file.path(), source, outside_flake));
            match packages.iter_mut().find(|p| p.attr == patched.attr) {
                Some(package) => package.patches.extend(patches),
                None => packages.push(Package {
                    attr: patched.attr.clone(),
                    patches: patches.collect(),
                    unnamed: Vec::new(),
                }),
            }
        }
    }
    unnamed(workspace, &mut packages)?;
    Ok(packages)
}

/// Adds the files of the queues that no overlay names, also those of packages that no overlay patches.
fn unnamed(workspace: &Workspace, packages: &mut Vec<Package>) -> Result<(), Error> {
    let top = workspace.patches_dir();
    let mut dirs: Vec<PathBuf> =
        std::fs::read_dir(&top).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    dirs.sort();
    for dir in dirs {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(attr) = queue::attr_of_dir(&name) else { continue };
        for name in queue::files(&dir)? {
            let path = dir.join(&name);
            let Ok(bytes) = fs::read(&path) else { continue };
            // An overlay may compute its list from the directory: what has the contents of a named one is named.
            let named = |package: &Package| package.patches.iter().any(|p| p.bytes.as_ref() == Some(&bytes));
            if packages.iter().any(named) {
                continue;
            }
            let patch = Patch {
                subject: Some(queue::subject(&path)),
                place: Place { path, span: None, line_col: None },
                listed: false,
                outside_flake: false,
                scoped: false,
                board: None,
                url: None,
                bytes: Some(bytes),
                name,
            };
            match packages.iter_mut().find(|p| p.attr == attr) {
                Some(package) => package.unnamed.push(patch),
                None => packages.push(Package { attr: attr.clone(), patches: Vec::new(), unnamed: vec![patch] }),
            }
        }
    }
    Ok(())
}

struct OverlaySource {
    path: PathBuf,
    listed: bool,
    target_stage: bool,
    board: Option<String>,
}

fn patch(element: &Element, overlay: &Path, source: &OverlaySource, outside_flake: bool) -> Patch {
    let file = overlays::on_disk(element, overlay);
    let written = element.path.as_deref().or(element.url.as_deref()).unwrap_or(&element.text);
    Patch {
        name: written.rsplit('/').next().unwrap_or(written).to_string(),
        subject: file.as_deref().map(queue::subject),
        place: element.place.clone(),
        listed: source.listed,
        outside_flake,
        scoped: element.conditional || source.target_stage,
        board: source.board.clone(),
        url: element.url.clone(),
        bytes: file.and_then(|file| fs::read(&file).ok()),
    }
}

/// The most files of a flake that are read.
const FLAKE_FILES: usize = 200;

/// The texts that a flake is made of: `flake.nix` and the files of the workspace that it leads to.
struct Flake {
    texts: Vec<(PathBuf, String)>,
}

impl Flake {
    /// Reads the flake of a workspace; `None` when it is none.
    fn read(workspace: &Workspace) -> Option<Flake> {
        let mut todo = vec![workspace.path("flake.nix")];
        let mut texts: Vec<(PathBuf, String)> = Vec::new();
        while let Some(path) = todo.pop() {
            let path = real_file(&path);
            if texts.len() >= FLAKE_FILES || texts.iter().any(|(known, _)| *known == path) {
                continue;
            }
            let Some(text) = fs::read_text(&path).ok().filter(|_| path.extension().is_some_and(|e| e == "nix")) else {
                continue;
            };
            let dir = path.parent().unwrap_or(Path::new("")).to_path_buf();
            todo.extend(relative_paths(&text).map(|relative| fs::tidy(&dir.join(relative))));
            texts.push((path, text));
        }
        (!texts.is_empty()).then_some(Flake { texts })
    }

    /// Says whether the flake leads to a file, or speaks of its name or of the directory that it is in: a flake can reach a
    /// file in more ways than can be read off its text.
    fn names(&self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let dir = file.parent().and_then(Path::file_name).map(|dir| dir.to_string_lossy().into_owned());
        // `default.nix` is meant by the name of its directory.
        let own = (name != "default.nix").then_some(name.as_ref());
        let words: Vec<&str> = own.into_iter().chain(dir.as_deref()).collect();
        self.texts.iter().any(|(path, text)| *path == file || words.iter().any(|word| speaks_of(text, word)))
    }
}

/// Returns the relative paths that a Nix text writes: `./overlay.nix`, `../x`.
fn relative_paths(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || "._-+/".contains(c));
    text.split(ends).filter(|word| word.starts_with("./") || word.starts_with("../"))
}

/// Says whether a text holds a name of a file as a part of a path.
fn speaks_of(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + name.len()..).and_then(|t| t.chars().next());
        before == Some('/') && !after.is_some_and(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    })
}

/// Returns the file that a path means to Nix: of a directory its `default.nix`.
fn real_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("default.nix") } else { path.to_path_buf() }
}

/// Returns the overlay files that stand where overlays are kept.
fn beside(workspace: &Workspace, listed: &[PathBuf]) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = vec![workspace.path("overlays")];
    for path in listed {
        let dir = if path.is_dir() { path.clone() } else { path.parent().unwrap_or(Path::new("")).to_path_buf() };
        let root = dir.as_os_str().is_empty() || dir == workspace.root();
        // The root of a workspace holds all kinds of Nix files; only the usual names count there.
        if !root && !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    let mut found: Vec<PathBuf> = Vec::new();
    for dir in dirs {
        let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
        found.extend(entries.filter(|path| path.extension().is_some_and(|e| e == "nix") && path.is_file()));
    }
    found.sort();
    found.extend(["overlay.nix", "overlays.nix"].map(|name| workspace.path(name)).into_iter().filter(|p| p.is_file()));
    found
}

impl Package {
    /// Returns what of the package concerns a board; `None` when nothing does.
    pub(super) fn on_board(&self, board: Option<&str>) -> Option<Package> {
        let fits = |patch: &&Patch| patch.board.as_deref().is_none_or(|name| Some(name) == board);
        let patches: Vec<Patch> = self.patches.iter().filter(fits).cloned().collect();
        let some = !patches.is_empty() || !self.unnamed.is_empty();
        some.then(|| Package { attr: self.attr.clone(), patches, unnamed: self.unnamed.clone() })
    }

    /// Says whether it is enough that what runs on the board has the patches.
    pub(super) fn scoped(&self) -> bool {
        self.patches.iter().all(|patch| patch.scoped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flake_leads_to_files_by_paths() {
        let text =
            "{ outputs = i: import ./nix/outputs.nix { o = ../a.nix; b = i.self + \"/overlays\"; url = \"x/y\"; }; }";
        assert_eq!(relative_paths(text).collect::<Vec<_>>(), ["./nix/outputs.nix", "../a.nix"]);
        assert!(speaks_of(text, "overlays") && speaks_of(text, "a.nix"));
        assert!(!speaks_of(text, "overlay") && !speaks_of(text, "outputs"));
    }
}
