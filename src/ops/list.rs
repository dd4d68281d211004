//! `list`: what is patched, where, by which patches, and where they are in effect.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Error, Outcome};
use crate::base::diagnostic::Warning;
use crate::base::span::Place;
use crate::config::Workspace;
use crate::overlay::AttrPath;
use crate::queue::model::{self, Asking, Model, Reach};
use crate::queue::{self, aliases};

#[derive(Debug, Clone, Default)]
pub struct Options {
    /// One package, by whatever name; all when `None`.
    pub attr: Option<String>,
    pub nixpkgs: Option<String>,
    /// Whether Nix is not asked what is in effect.
    pub offline: bool,
}

/// What a workspace patches.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Whether Nix was asked what is in effect; otherwise that is what the text of the overlays says.
    pub asked: bool,
    /// The packages, in the order of the overlays.
    pub packages: Vec<Package>,
    /// Patch files of the queues that no overlay names.
    pub unused: Vec<PathBuf>,
    pub warnings: Vec<Warning>,
}

#[derive(Debug, Serialize)]
pub struct Package {
    pub attr: AttrPath,
    pub patches: Vec<Patch>,
}

#[derive(Debug, Serialize)]
pub struct Patch {
    /// As the overlay names it.
    pub element: String,
    /// The file, when it is one that is there.
    pub path: Option<PathBuf>,
    pub subject: Option<String>,
    /// Whether it counts only under a condition.
    pub conditional: bool,
    /// Where the overlay names it; absent when that is unknown.
    pub place: Option<Place>,
    /// The overlay function that names it: file, line and column; absent when that is unknown.
    pub overlay: Option<String>,
    /// Where it is in effect.
    #[serde(flatten)]
    pub reach: Reach,
}

impl Patch {
    /// Returns the name of a file of the package's own queue, the path of another one, else what the overlay writes.
    pub(crate) fn short_name(&self, attr: &AttrPath) -> String {
        let Some(path) = &self.path else { return self.element.clone() };
        let own = path.parent().and_then(Path::file_name).and_then(|dir| dir.to_str()).and_then(queue::attr_of_dir);
        match path.file_name() {
            Some(name) if own.as_ref() == Some(attr) => name.to_string_lossy().into_owned(),
            _ => path.display().to_string(),
        }
    }
}

/// Lists what is patched.
///
/// # Errors
/// [`Error::Overlay`] for a named overlay file that cannot be read, and those of reading.
pub fn list(workspace: &Workspace, options: &Options) -> Result<Listed, Error> {
    let typed = options.attr.as_deref().map(AttrPath::parse).transpose()?;
    let nixpkgs = options.nixpkgs.as_deref();
    let model = Model::read(workspace, Asking { nixpkgs, offline: options.offline })?;
    let mut only = None;
    if let Some(typed) = typed {
        only = match model.find(&typed) {
            Some(_) => Some(typed),
            None => Some(aliases::owner(workspace, nixpkgs, &typed, options.offline)?.unwrap_or(typed)),
        };
    }
    let patch = |patch: &model::Patch| Patch {
        element: patch.element.clone(),
        path: patch.path.clone(),
        subject: patch.real.as_deref().map(queue::subject),
        conditional: patch.conditional,
        place: patch.place.clone(),
        overlay: patch.function.as_ref().map(ToString::to_string),
        reach: patch.reach.clone(),
    };
    let wanted = model.packages.iter().filter(|package| only.as_ref().is_none_or(|only| *only == package.attr));
    let packages = wanted
        .map(|package| Package { attr: package.attr.clone(), patches: package.patches.iter().map(patch).collect() })
        .collect();
    let unused = if only.is_none() { model.unused } else { Vec::new() };
    Ok(Listed { asked: model.asked, packages, unused, warnings: model.warnings })
}

impl Outcome for Listed {
    const SCHEMA: &'static str = "overlayctl.list/2";
}
