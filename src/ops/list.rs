//! `list`: what is patched, where, by which patches.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::base::diagnostic::Warning;
use crate::base::span::Place;
use crate::config::Workspace;
use crate::ops::{Error, Outcome};
use crate::overlay::{self, AttrPath, OverlayFile};
use crate::queue;
use crate::queue::overlays::on_disk;
use crate::queue::{aliases, overlays};
use crate::view::{Block, Document, Role, Table, Text};

/// What the overlays of a workspace patch.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// The packages, in the order of the overlays.
    pub packages: Vec<Package>,
    /// Patch files of the queues that no overlay names.
    pub unused: Vec<PathBuf>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// A patched package.
#[derive(Debug, Serialize)]
pub struct Package {
    /// The attribute path.
    pub attr: AttrPath,
    /// Where the overlay binds it.
    pub place: Place,
    /// Its patches, in order.
    pub patches: Vec<Patch>,
}

/// A patch of a package.
#[derive(Debug, Serialize)]
pub struct Patch {
    /// As the overlay names it.
    pub element: String,
    /// The file, when it is one that is there.
    pub path: Option<PathBuf>,
    /// What it says it does.
    pub subject: Option<String>,
    /// Whether it counts only under a condition.
    pub conditional: bool,
    /// Where the overlay names it.
    pub place: Place,
}

/// Lists what is patched; only `attr` when it is given, whatever name of the package that is.
///
/// # Errors
/// [`Error::Overlay`] for a named overlay file that cannot be read, and those of reading.
pub fn list(workspace: &Workspace, attr: Option<&str>, nixpkgs: Option<&str>) -> Result<Listed, Error> {
    let typed = attr.map(AttrPath::parse).transpose().map_err(overlay::Error::from)?;
    let named = !workspace.settings().overlays.is_empty();
    let mut packages = Vec::new();
    let mut used = HashSet::new();
    let mut warnings = Vec::new();
    let mut files = Vec::new();
    let candidates = workspace.overlay_candidates();
    for path in &candidates {
        match overlays::open(path) {
            Ok(file) => files.push(file),
            Err(_) if !named => {}
            Err(error) => return Err(error.into()),
        }
    }
    if !named {
        // `patch` edits an overlay far from the entry points when that binds the package.
        let further = workspace.further_overlay_candidates(&candidates);
        files.extend(overlays::opened(&further).into_iter().filter(|file| file.text().contains("patch")));
    }
    let mut only = None;
    if let Some(typed) = typed {
        let is_there = |files: &[OverlayFile]| aliases::patched(files).iter().any(|package| package.attr == typed);
        only = match is_there(&files) {
            true => Some(typed),
            false => Some(aliases::bound_as(workspace, nixpkgs, &typed, &files)?.unwrap_or(typed)),
        };
    }
    for file in &files {
        for package in file.patched_packages() {
            let mut patches = Vec::new();
            for element in &package.elements {
                let path = on_disk(element, file.path());
                if path.is_none() && element.path.is_some() {
                    warnings.push(missing(&package.attr, element));
                }
                used.extend(path.clone());
                patches.push(Patch {
                    element: element.path.clone().or(element.url.clone()).unwrap_or_else(|| element.text.clone()),
                    subject: path.as_deref().map(queue::subject),
                    path: path.map(|path| shown(workspace, path)),
                    conditional: element.conditional,
                    place: element.place.clone(),
                });
            }
            if only.as_ref().is_none_or(|only| *only == package.attr) {
                packages.push(Package { attr: package.attr, place: package.place, patches });
            }
        }
    }
    let unused = if only.is_none() { unused(workspace, &used) } else { Vec::new() };
    Ok(Listed { packages, unused, warnings })
}

/// Warns that an overlay names a file that is not there.
fn missing(attr: &AttrPath, element: &overlay::Element) -> Warning {
    Warning {
        code: "OV1005",
        message: format!("`{attr}` names a patch that is not there: {}", element.text),
        place: Some(element.place.clone()),
        hint: Some("put the file there, or take it out with `overlayctl unpatch`".into()),
    }
}

/// Returns the path below the workspace as the user would write it.
fn shown(workspace: &Workspace, path: PathBuf) -> PathBuf {
    let root = workspace.root().canonicalize().unwrap_or_default();
    path.strip_prefix(&root).map(|below| workspace.path(below)).unwrap_or(path)
}

/// Returns the files of the queues that no overlay names.
fn unused(workspace: &Workspace, used: &HashSet<PathBuf>) -> Vec<PathBuf> {
    let mut unused = Vec::new();
    let dirs = std::fs::read_dir(workspace.patches_dir()).into_iter().flatten();
    let mut dirs: Vec<PathBuf> =
        dirs.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    dirs.sort();
    for dir in dirs {
        for name in queue::files(&dir).unwrap_or_default() {
            let path = dir.join(name);
            if !path.canonicalize().is_ok_and(|path| used.contains(&path)) {
                unused.push(path);
            }
        }
    }
    unused
}

impl Outcome for Listed {
    const SCHEMA: &'static str = "overlayctl.list/1";

    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        if self.packages.is_empty() {
            document.line("nothing is patched");
        } else {
            let mut table = Table {
                header: ["package", "patch", "subject", "overlay"].map(String::from).to_vec(),
                rows: Vec::new(),
            };
            for package in &self.packages {
                for (i, patch) in package.patches.iter().enumerate() {
                    let name = if i == 0 { package.attr.to_string() } else { String::new() };
                    let file =
                        patch.path.as_ref().map_or_else(|| patch.element.clone(), |path| path.display().to_string());
                    let mut subject = patch.subject.clone().unwrap_or_default();
                    if patch.conditional {
                        subject.push_str(" (under a condition)");
                    }
                    let role = if patch.path.is_some() { Role::Plain } else { Role::Warn };
                    table.rows.push(vec![
                        Text::new().with(Role::Name, name),
                        Text::new().with(role, file),
                        subject.into(),
                        patch.place.to_string().into(),
                    ]);
                }
            }
            document.push(Block::Table(table));
        }
        for path in &self.unused {
            document.line(
                Text::new().with(Role::Warn, "unused ").plain(format!("{}: no overlay names it", path.display())),
            );
        }
        document
    }
}
