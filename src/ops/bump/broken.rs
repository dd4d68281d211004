//! What the overlays bind that evaluates on the old nixpkgs and not on the new one, with its place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::base::span::Place;
use crate::config::Workspace;
use crate::nix::{FailureKind, Root, Side};
use crate::ops::Error;
use crate::queue::discover::{Overlays, Standing};
use crate::targets::{self, engine};

/// A binding of an overlay that does not evaluate any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Broken {
    /// What the overlay binds.
    pub name: String,
    /// Where.
    pub place: Place,
    /// The package set that it was asked of: a board's, or the native one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    pub message: String,
    /// Where Nix says that it goes wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
}

/// Finds them; `moved` is the workspace as it would be, and its package set.
///
/// # Errors
/// Those of the workspace and of Nix as a whole.
pub(super) fn find(workspace: &Workspace, moved: (&Workspace, &str), boards: &[String]) -> Result<Vec<Broken>, Error> {
    let overlays = Overlays::read(workspace, None)?;
    let mut bound: Vec<(Standing, String, Place)> = Vec::new();
    for found in overlays.files() {
        let applied = matches!(found.standing, Standing::Listed | Standing::TargetStage(_));
        let all = if applied { found.file.bindings() } else { Vec::new() };
        bound.extend(all.into_iter().map(|(name, place)| (found.standing.clone(), name, place)));
    }
    let (new, old) = (targets::all(moved.0, Some(moved.1))?, targets::all(workspace, None)?);
    let old: BTreeMap<_, _> = old.into_iter().map(|(name, group)| (name, group.patched)).collect();
    let (mut sides, mut asked) = (Vec::new(), Vec::new());
    for (board, group) in new {
        let is_wanted = |name: &String| boards.iter().any(|wanted| wanted == name || wanted == "all");
        if board.as_ref().is_some_and(|name| !is_wanted(name)) {
            continue;
        }
        // What is for every stage is asked of the native set alone, as it is the same function everywhere.
        let is_asked = |standing: &Standing| match (standing, &board) {
            (Standing::TargetStage(None), Some(_)) | (Standing::Listed, None) => true,
            (Standing::TargetStage(Some(of)), Some(board)) => of.contains(board),
            _ => false,
        };
        let of: Vec<_> = bound.iter().filter(|(standing, ..)| is_asked(standing)).collect();
        let Some(before) = old.get(&board).filter(|_| !of.is_empty()) else { continue };
        let names: Vec<Vec<String>> = of.iter().map(|(_, name, _)| vec![name.clone()]).collect();
        for set in [group.patched, before.clone()] {
            let root = Root::Packages(Box::new(set));
            sides.push(Side { name: "the overlays".into(), root, targets: names.clone() });
        }
        asked.push((board, of));
    }
    let results = engine::nix_without_builds(workspace)?.instantiate(&sides)?;
    let mut broken = Vec::new();
    for ((board, of), results) in asked.into_iter().zip(results.chunks(2)) {
        let [new, old] = results else { continue };
        for (((_, name, place), new), old) in of.into_iter().zip(new).zip(old) {
            // A function or a set is no derivation, and fine.
            let fails = |kind: &FailureKind| !matches!(kind, FailureKind::NotADerivation);
            let Some(failure) = new.as_ref().err().filter(|failure| fails(&failure.kind)) else { continue };
            if old.as_ref().is_err_and(|failure| fails(&failure.kind)) {
                continue;
            }
            let (name, place, board) = (name.clone(), place.clone(), board.clone());
            let at = failure.place.as_deref().map(|at| of_the_workspace(workspace, moved.0, at));
            broken.push(Broken { name, place, board, message: failure.message.clone(), at });
        }
    }
    Ok(broken)
}

/// Returns a place in a copy of the workspace as that in the workspace.
fn of_the_workspace(workspace: &Workspace, copy: &Workspace, place: &Place) -> Place {
    let root = copy.root().canonicalize().unwrap_or_default();
    let below: Option<PathBuf> = place.path.strip_prefix(&root).ok().map(PathBuf::from);
    below.map_or_else(|| place.clone(), |below| Place { path: workspace.path(below), ..place.clone() })
}
