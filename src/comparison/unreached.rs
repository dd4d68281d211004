//! Patches of the workspace that reach none of the targets, each with the reason: a comparison that shows no change must not
//! pass for one that was looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::baseline::Baseline;
use super::{Comparison, Error};
use crate::config::Workspace;
use crate::drv::Source as _;
use crate::nix::Nix;
use crate::overlay::AttrPath;
use crate::queue::discover::Overlays;
use crate::queue::model::{Asking, InEffect, Model, Patch, Stages};
use crate::queue::witness::named_in;
use crate::targets::Selection;

/// A patch that reaches none of the targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreached {
    pub attr: AttrPath,
    /// The patch: its file, or as the overlay names it.
    pub patch: String,
    /// Why; one sentence without its full stop.
    pub reason: String,
    pub code: &'static str,
    /// Whether the workspace means it to be in effect; what lies beside and nothing leads to is somebody else's.
    #[serde(skip)]
    pub ours: bool,
}

/// Finds the patches that no derivation of the targets names.
pub fn of(
    workspace: &Workspace,
    selection: &Selection,
    baseline: &Baseline,
    comparison: &Comparison,
    nix: &Nix,
) -> Result<Vec<Unreached>, Error> {
    let text = Model::of_text(workspace, &Overlays::read(workspace, None)?);
    let of_packages = text.packages.iter().flat_map(|package| &package.patches).filter_map(|patch| patch.real.clone());
    let unused = text.unused.iter().filter_map(|path| crate::queue::unlinked(path).ok());
    let files: BTreeSet<PathBuf> = of_packages.chain(unused).collect();
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let reached = reached(comparison, baseline, nix, &files)?;
    if files.iter().all(|file| reached.contains(file)) {
        return Ok(Vec::new());
    }
    // The reasons are asked for only where there is something to give a reason for.
    let how = Asking { nixpkgs: selection.nixpkgs.as_deref(), offline: false };
    let model = Model::read(workspace, how)?;
    let mut unreached: Vec<Unreached> = Vec::new();
    for package in &model.packages {
        for patch in &package.patches {
            let Some(real) = patch.real.as_ref().filter(|real| !reached.contains(*real)) else { continue };
            let name = patch.path.as_deref().unwrap_or(real).display().to_string();
            let reason = reason(comparison, &package.attr, patch);
            // A file that several overlays name is told once, with the reason of the one that is in effect.
            match unreached.iter_mut().find(|known| known.attr == package.attr && known.patch == name) {
                Some(known) if patch.reach.in_effect == InEffect::Yes => known.reason = reason,
                Some(_) => {}
                None => unreached.push(Unreached {
                    attr: package.attr.clone(),
                    patch: name,
                    reason,
                    code: "OV1160",
                    ours: patch.ours,
                }),
            }
        }
    }
    for path in &model.unused {
        let attr = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let Some(attr) = attr.and_then(crate::queue::attr_of_dir) else { continue };
        let reason = "no overlay names it".to_string();
        unreached.push(Unreached { attr, patch: path.display().to_string(), reason, code: "OV1160", ours: true });
    }
    Ok(unreached)
}

/// Returns those of the files that a derivation of the targets names. What the other side has too cannot name a patch that is
/// new, so only the rest is read where the other side has no patches at all.
fn reached(
    comparison: &Comparison,
    baseline: &Baseline,
    nix: &Nix,
    files: &BTreeSet<PathBuf>,
) -> Result<BTreeSet<PathBuf>, Error> {
    let store = nix.store_dir()?;
    let asked: BTreeSet<&Path> = files.iter().map(PathBuf::as_path).collect();
    let mut reached = BTreeSet::new();
    let mut text = Vec::new();
    for id in comparison.after.ids() {
        let drv_path = comparison.after.node(id).drv_path();
        if *baseline == Baseline::Unpatched && comparison.before.find(drv_path).is_some() {
            continue;
        }
        if reached.len() == files.len() {
            break;
        }
        store
            .read(drv_path, &mut text)
            .map_err(|source| crate::drv::Error::Read { drv_path: drv_path.into(), source })?;
        reached.extend(named_in(&text, &asked).into_iter().map(Path::to_path_buf));
    }
    Ok(reached)
}

/// Says why a patch reaches none of the targets.
fn reason(comparison: &Comparison, attr: &AttrPath, patch: &Patch) -> String {
    let boards: BTreeSet<&str> = comparison.targets.iter().filter_map(|target| target.board.as_deref()).collect();
    let why = patch.reach.why.clone().unwrap_or_default();
    match patch.reach.in_effect {
        InEffect::No => why,
        InEffect::Unknown => format!("it is not known whether it is in effect ({why})"),
        InEffect::Exported => "the overlay is only given away: nothing of this workspace applies it".into(),
        InEffect::Yes => {
            let sets = patch.reach.sets.join(", ");
            let on_boards: Vec<&str> = patch.reach.sets.iter().filter_map(|set| set.strip_prefix("boards.")).collect();
            let everywhere = patch.reach.sets.iter().any(|set| set == "packages");
            if !everywhere && !on_boards.is_empty() && !boards.iter().any(|board| on_boards.contains(board)) {
                return format!("it is only for {}", plural_boards(&on_boards));
            }
            if !everywhere && on_boards.is_empty() {
                return format!("it is in effect in {sets}, which the targets are not of");
            }
            if patch.reach.stages == Some(Stages::Build) {
                return format!(
                    "it is in effect for the build machine only, and nothing that builds the targets needs `{attr}`"
                );
            }
            if patch.reach.stages == Some(Stages::Target) {
                return format!("it is for the target stage only, and nothing there needs `{attr}`");
            }
            format!("nothing that the targets need uses `{attr}`")
        }
    }
}

fn plural_boards(names: &[&str]) -> String {
    match names {
        [one] => format!("the board {one}"),
        many => format!("the boards {}", many.join(", ")),
    }
}
