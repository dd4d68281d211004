//! What a workspace patches: the one model that every command reads.
//!
//! Text finds the places ([`super::discover`]); Nix says what is in effect: a patch is in effect for a package set when the
//! package's patches there name its file, and for a target of the user's own code when a derivation of its closure does. Where Nix
//! is not asked, or does not evaluate, the answers are those of the text and say so. Must not change anything.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::Error;
use super::discover::{Found, Overlays, Standing, on_disk};
use crate::base::diagnostic::{Coded as _, Warning};
use crate::base::span::Place;
use crate::config::Workspace;
use crate::overlay::{AttrPath, Element};

/// Whether a patch is in effect anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InEffect {
    /// In at least one package set or target of the workspace.
    Yes,
    /// In none.
    No,
    /// The workspace only gives the overlay away: whoever takes it has the patch.
    Exported,
    /// It could not be told.
    Unknown,
}

/// In which stages of a cross build a patch is in effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stages {
    /// In what is built for the board and in the tools that build it.
    Every,
    /// In what is built for the board alone.
    Target,
    /// In the tools that build it alone.
    Build,
}

/// Where a patch is in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reach {
    pub in_effect: InEffect,
    /// The package sets and targets, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<String>,
    /// The stages, where something is cross compiled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stages: Option<Stages>,
    /// Why it is not, or why that is not known; one sentence without its full stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Reach {
    fn none(in_effect: InEffect, why: impl Into<String>) -> Reach {
        Reach { in_effect, sets: Vec::new(), stages: None, why: Some(why.into()) }
    }

    /// Says whether the patch is in effect in what the workspace's own code makes.
    pub fn in_own_code(&self) -> bool {
        self.sets.iter().any(|set| set != "packages" && !set.starts_with("boards.") && !set.starts_with("pkgsCross."))
    }
}

/// One patch of a package, as one overlay names it.
#[derive(Debug, Clone)]
pub struct Patch {
    /// As the overlay writes it; the file as Nix names it where the place is unknown.
    pub element: String,
    /// The file as the user would write it, when it is one that is there.
    pub path: Option<PathBuf>,
    /// The same without links.
    pub real: Option<PathBuf>,
    /// The address that it is fetched from.
    pub url: Option<String>,
    /// Whether it counts only under a condition.
    pub conditional: bool,
    /// Where the overlay names it; `None` when that is unknown.
    pub place: Option<Place>,
    /// The overlay function that names it; `None` when that is unknown.
    pub function: Option<Place>,
    /// How the overlay comes to be applied, as text shows.
    pub standing: Option<Standing>,
    /// Whether the flake of the workspace leads to the overlay by its text.
    pub in_flake: bool,
    /// Whether the workspace means it to be in effect: something leads to the overlay, or the file is of a queue. What only lies
    /// beside is somebody else's.
    pub ours: bool,
    /// Where it is in effect.
    pub reach: Reach,
}

#[derive(Debug, Clone)]
pub struct PatchedPackage {
    pub attr: AttrPath,
    /// Its patches, in the order of the overlays and their lists.
    pub patches: Vec<Patch>,
}

/// What a workspace patches.
#[derive(Debug, Default)]
pub struct Model {
    pub packages: Vec<PatchedPackage>,
    /// Files of the queues that no overlay names.
    pub unused: Vec<PathBuf>,
    /// Whether Nix was asked what is in effect.
    pub asked: bool,
    /// Whether the workspace's own code makes package sets or targets that were looked at.
    pub own_code: bool,
    pub warnings: Vec<Warning>,
    pub(super) overlays: bool,
}

/// How the model is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asking<'a> {
    pub nixpkgs: Option<&'a str>,
    /// Whether Nix is left alone.
    pub offline: bool,
}

impl Model {
    /// Reads what a workspace patches.
    ///
    /// # Errors
    /// For an overlay that is named and cannot be read; those of a nixpkgs that was named and cannot be used.
    pub fn read(workspace: &Workspace, how: Asking<'_>) -> Result<Model, Error> {
        let overlays = Overlays::read(workspace, None)?;
        let mut model = Model::of_text(workspace, &overlays);
        if how.offline {
            model.warnings.push(not_asked("--offline was given", None));
            return Ok(model);
        }
        match model.ask(workspace, how.nixpkgs) {
            Ok(asked) => model.asked = asked,
            Err(error) if how.nixpkgs.is_some() => return Err(error),
            Err(error) => model.warnings.push(not_asked(&error.to_string(), error.hint())),
        }
        Ok(model)
    }

    /// Reads what the text of the overlays says.
    pub fn of_text(workspace: &Workspace, overlays: &Overlays) -> Model {
        let mut model = Model { overlays: overlays.files().next().is_some(), ..Model::default() };
        let mut used = BTreeSet::new();
        for (found, package) in overlays.patched() {
            for element in &package.elements {
                let patch = patch(workspace, found, &package.function, element);
                if patch.path.is_none() && element.path.is_some() {
                    model.warnings.push(missing(&package.attr, element));
                }
                used.extend(patch.real.clone());
                model.package(&package.attr).patches.push(patch);
            }
        }
        model.unused = unused(workspace, &used);
        model
    }

    pub(super) fn package(&mut self, attr: &AttrPath) -> &mut PatchedPackage {
        let at = self.packages.iter().position(|package| package.attr == *attr).unwrap_or_else(|| {
            self.packages.push(PatchedPackage { attr: attr.clone(), patches: Vec::new() });
            self.packages.len() - 1
        });
        // In bounds: found or pushed just now.
        &mut self.packages[at]
    }

    /// Returns the package, when the workspace patches it.
    pub fn find(&self, attr: &AttrPath) -> Option<&PatchedPackage> {
        self.packages.iter().find(|package| package.attr == *attr)
    }
}

fn patch(workspace: &Workspace, found: &Found, function: &Place, element: &Element) -> Patch {
    let real = on_disk(element, found.file.path());
    let queues = workspace.patches_dir().canonicalize().ok();
    let queued = queues.is_some_and(|dir| real.as_ref().is_some_and(|real| real.starts_with(dir)));
    Patch {
        element: element.path.clone().or(element.url.clone()).unwrap_or_else(|| element.text.clone()),
        path: real.clone().map(|real| shown(workspace, real)),
        real,
        url: element.url.clone(),
        conditional: element.conditional,
        place: Some(element.place.clone()),
        function: Some(function.clone()),
        standing: Some(found.standing.clone()),
        in_flake: found.in_flake,
        ours: queued || found.standing != Standing::Beside,
        reach: by_text(workspace, &found.standing, element.conditional),
    }
}

/// Says where a patch is in effect, going by the text alone.
fn by_text(workspace: &Workspace, standing: &Standing, conditional: bool) -> Reach {
    let boards = || workspace.settings().boards.keys().map(|name| format!("boards.{name}"));
    if conditional {
        return Reach::none(InEffect::Unknown, "it stands under a condition, and Nix was not asked");
    }
    let (sets, stages) = match standing {
        Standing::Listed => (std::iter::once("packages".to_string()).chain(boards()).collect(), None),
        Standing::TargetStage(None) => (boards().collect(), Some(Stages::Target)),
        Standing::TargetStage(Some(names)) => {
            (names.iter().map(|name| format!("boards.{name}")).collect(), Some(Stages::Target))
        }
        Standing::Reached => return Reach::none(InEffect::Unknown, "Nix was not asked whether its overlay is applied"),
        Standing::Beside => return Reach::none(InEffect::Unknown, "nothing was seen to apply its overlay"),
    };
    Reach { in_effect: InEffect::Yes, sets, stages, why: None }
}

/// Returns a file of the workspace as the user would write it.
pub(super) fn shown(workspace: &Workspace, path: PathBuf) -> PathBuf {
    let root = workspace.root().canonicalize().unwrap_or_default();
    path.strip_prefix(&root).map(|below| workspace.path(below)).unwrap_or(path)
}

/// Returns the files of the queues that no overlay names.
fn unused(workspace: &Workspace, used: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut unused = Vec::new();
    let dirs = std::fs::read_dir(workspace.patches_dir()).into_iter().flatten();
    let mut dirs: Vec<PathBuf> =
        dirs.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    dirs.sort();
    for dir in dirs {
        for name in super::files(&dir).unwrap_or_default() {
            let path = dir.join(name);
            if !super::unlinked(&path).is_ok_and(|path| used.contains(&path)) {
                unused.push(path);
            }
        }
    }
    unused
}

/// Warns that an overlay names a file that is not there.
fn missing(attr: &AttrPath, element: &Element) -> Warning {
    Warning {
        code: "OV1005",
        message: format!("`{attr}` names a patch that is not there: {}", element.text),
        place: Some(element.place.clone()),
        hint: Some("put the file there, or take it out with `overlayctl unpatch`".into()),
    }
}

/// Warns that the answers are those of the text.
pub(super) fn not_asked(why: &str, hint: Option<String>) -> Warning {
    Warning {
        code: "OV1006",
        message: format!("Nix was not asked what is in effect: {why}; this is what the text of the overlays says"),
        place: None,
        hint,
    }
}
