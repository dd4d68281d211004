//! One state of a workspace by itself: its targets as a graph. What compares more than two states asks for each.

use super::baseline::Baseline;
use super::parts::{self, OneSide};
use super::{Error, read, root};
use crate::config::Workspace;
use crate::graph::Graph;
use crate::nix::EvalFailure;
use crate::targets::own;
use crate::targets::{Selection, engine};

/// The targets of a state of a workspace.
#[derive(Debug)]
pub struct State {
    /// The closure of those that evaluate.
    pub graph: Graph,
    pub targets: Vec<Evaluated>,
}

/// A target, and its derivation.
#[derive(Debug)]
pub struct Evaluated {
    pub name: String,
    pub board: Option<String>,
    pub derivation: Result<String, EvalFailure>,
}

/// Evaluates the targets of a state of a workspace, which may be a copy of the original, with its overlays or without; nothing is built
/// for it.
///
/// # Errors
/// Those of the workspace, of Nix and of reading derivations; that a target does not evaluate is in its row.
pub(crate) fn of(
    state: &Workspace,
    original: &Workspace,
    selection: &Selection,
    is_patched: bool,
) -> Result<State, Error> {
    let is_own_code = !own::split(state, selection)?.0.is_empty();
    let unpatched = match is_patched {
        true => None,
        false => Baseline::Unpatched.copy(state, is_own_code, selection.nixpkgs.as_deref())?,
    };
    let files = unpatched.as_ref().map_or(state, |copy| &copy.workspace);
    let parts = parts::parts(state, files, selection, is_patched, &|place| place.root(files))?;
    let side = OneSide::of("a state of the workspace", parts);
    let nix = engine::nix_of_copy(state, original, false)?;
    let results = nix.instantiate(&side.sides)?;
    let targets: Vec<Evaluated> = side
        .targets
        .into_iter()
        .zip(results.into_iter().flatten())
        .map(|((_, target), result)| Evaluated {
            name: target.name,
            board: target.board,
            derivation: result.map(|derivation| derivation.drv_path),
        })
        .collect();
    let roots: Vec<_> =
        targets.iter().filter_map(|target| Some(root(&target.name, target.derivation.as_ref().ok()?))).collect();
    Ok(State { graph: read(&roots, &nix.store_dir()?)?, targets })
}
