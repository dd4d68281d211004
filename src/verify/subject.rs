//! What is to be verified: the patches of the workspace that its targets should have.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::fs;
use crate::base::span::Place;
use crate::config::Workspace;
use crate::overlay::AttrPath;
use crate::patch::PatchFile;
use crate::queue;
use crate::queue::discover::Standing;
use crate::queue::model::{self, InEffect, Model, PatchedPackage, Stages};

/// A package that overlays patch.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    pub attr: AttrPath,
    pub patches: Vec<Patch>,
    /// Files of its queue that no overlay names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unnamed: Vec<PathBuf>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    /// Its file name, or what the overlay says instead of one.
    pub name: String,
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
    /// The boards whose own overlays name it; `None` when it is for all.
    #[serde(skip)]
    pub boards: Option<Vec<String>>,
    /// Whether only package sets and targets of the user's own code have it.
    #[serde(skip)]
    pub own_code: bool,
    /// The address that it is fetched from.
    #[serde(skip)]
    pub url: Option<String>,
    /// What it says, when it is a file.
    #[serde(skip)]
    pub bytes: Option<Vec<u8>>,
}

/// Returns what is to be proven of what a workspace patches. A patch of somebody else's that nothing applies is not: it is told as
/// one that reaches nothing.
pub(super) fn packages(workspace: &Workspace, model: &Model) -> Vec<Package> {
    let is_asked = |patch: &&model::Patch| patch.ours && patch.reach.in_effect != InEffect::Exported;
    let package = |package: &PatchedPackage| {
        let patches = package.patches.iter().filter(is_asked);
        let patches: Vec<Patch> = patches.map(|patch| of_model(workspace, model, patch)).collect();
        (!patches.is_empty()).then(|| Package { attr: package.attr.clone(), patches, unnamed: Vec::new() })
    };
    let mut packages: Vec<Package> = model.packages.iter().filter_map(package).collect();
    for path in &model.unused {
        let dir = path.parent().and_then(|dir| dir.file_name()).unwrap_or_default().to_string_lossy();
        let Some(attr) = queue::attr_of_dir(&dir) else { continue };
        match packages.iter_mut().find(|package| package.attr == attr) {
            Some(package) => package.unnamed.push(path.clone()),
            None => packages.push(Package { attr, patches: Vec::new(), unnamed: vec![path.clone()] }),
        }
    }
    packages
}

fn of_model(workspace: &Workspace, model: &Model, patch: &model::Patch) -> Patch {
    let written = patch.url.as_deref().unwrap_or(&patch.element);
    let place = patch.place.clone().unwrap_or_else(|| Place::file(workspace.root()));
    let target_stage = matches!(patch.standing, Some(Standing::TargetStage(_)));
    Patch {
        name: match patch.real.as_deref().and_then(std::path::Path::file_name) {
            Some(name) => name.to_string_lossy().into_owned(),
            None => written.rsplit('/').next().unwrap_or(written).to_string(),
        },
        subject: patch.real.as_deref().map(queue::subject),
        place,
        listed: matches!(patch.standing, Some(Standing::Listed | Standing::TargetStage(_)) | None),
        outside_flake: workspace.path("flake.nix").is_file()
            && match model.asked && model.own_code {
                true => patch.reach.in_effect == InEffect::Yes && !patch.reach.in_own_code(),
                false => !patch.in_flake,
            },
        scoped: patch.conditional || target_stage || patch.reach.stages == Some(Stages::Target),
        boards: match &patch.standing {
            // Of those that have the overlay, the ones in which it is in effect: a function of the board may make it.
            Some(Standing::TargetStage(Some(boards))) if model.asked && patch.reach.in_effect == InEffect::Yes => {
                let has = |board: &&String| patch.reach.sets.contains(&format!("boards.{board}"));
                Some(boards.iter().filter(has).cloned().collect())
            }
            Some(Standing::TargetStage(boards)) => boards.clone(),
            _ => None,
        },
        own_code: patch.standing == Some(Standing::Beside) && patch.reach.in_effect == InEffect::Yes,
        url: patch.url.clone(),
        bytes: patch.real.as_ref().and_then(|file| fs::read(file).ok()),
    }
}

impl Patch {
    /// Returns a file of a queue that an overlay has without naming it.
    pub(super) fn of_queue(path: &Path) -> Patch {
        Patch {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            subject: Some(queue::subject(path)),
            place: Place::file(path),
            listed: true,
            outside_flake: false,
            scoped: false,
            boards: None,
            own_code: false,
            url: None,
            bytes: fs::read(path).ok(),
        }
    }

    /// Returns the files of the source that it changes, as far as it can be read.
    pub(super) fn changed_files(&self) -> Vec<String> {
        let parsed = self.bytes.as_deref().and_then(|bytes| PatchFile::parse(bytes).ok());
        let targets = parsed.and_then(|parsed| {
            Some(parsed.check(parsed.strip_level()).ok()?.iter().map(|t| t.path().to_string()).collect())
        });
        targets.unwrap_or_default()
    }
}

impl Package {
    /// Returns what of the package concerns the targets of a board, or those that are `composed` of the overlays that the workspace
    /// names; `None` when nothing does.
    pub(super) fn of_target(&self, board: Option<&str>, composed: bool) -> Option<Package> {
        let is_for = |names: &Vec<String>| board.is_some_and(|board| names.iter().any(|name| name == board));
        let fits = |patch: &&Patch| patch.boards.as_ref().is_none_or(is_for) && !(composed && patch.own_code);
        let patches: Vec<Patch> = self.patches.iter().filter(fits).cloned().collect();
        let some = !patches.is_empty() || !self.unnamed.is_empty();
        some.then(|| Package { attr: self.attr.clone(), patches, unnamed: self.unnamed.clone() })
    }

    /// Returns the files of the source that its patches change.
    pub(super) fn changed_files(&self) -> Vec<String> {
        self.patches.iter().flat_map(Patch::changed_files).collect()
    }

    /// Says whether it is enough that what runs on the board has the patches.
    pub(super) fn scoped(&self) -> bool {
        self.patches.iter().all(|patch| patch.scoped)
    }
}
