//! What a bump rebuilds for each board: what is new by the new nixpkgs alone, and what is the user's own to build.
//!
//! Three states are evaluated: the workspace as it is, as it would be, and as it would be without its patches. What is new and also there
//! without the patches is nixpkgs' own: a cache of it has it, if any has. The rest nobody else builds.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::base::progress::Progress;
use crate::comparison::state::{self, State};
use crate::config::Workspace;
use crate::graph::{Delta, Graph, NodeId};
use crate::ops::Error;
use crate::ops::build::plan::critical_path;
use crate::ops::history::History;
use crate::targets::Selection;

/// What is rebuilt for a board, or for the targets of `overlayctl.toml`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Board {
    /// Its name; absent for the targets that are named without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    pub targets: Vec<String>,
    /// Derivations that the new nixpkgs has without the patches too.
    pub of_nixpkgs: Vec<Rebuilt>,
    /// Derivations that are there because of the patches and overlays alone, inputs before what needs them.
    pub of_patches: Vec<Rebuilt>,
    /// The longest chain of those, in order.
    pub critical_chain: Vec<String>,
    /// How long that takes by earlier builds, in seconds; absent when a part of it was never built.
    pub expected_seconds: Option<f64>,
    /// How many of them were never built before.
    pub unknown_times: usize,
    /// Targets that do not evaluate any more.
    pub failures: Vec<Failure>,
    /// What is not known, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebuilt {
    pub name: String,
    pub drv_path: String,
}

/// A target that does not evaluate on the new nixpkgs.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    pub target: String,
    pub message: String,
    /// Whether it evaluates as the workspace is.
    pub before: bool,
    /// Whether it evaluates on the new nixpkgs without the overlays; absent where that is no target.
    pub without_overlays: Option<bool>,
}

/// Evaluates what the boards build; `moved` is the workspace as it would be, and its package set.
///
/// # Errors
/// Those of the workspace and of Nix as a whole.
pub(super) fn of(
    workspace: &Workspace,
    moved: (&Workspace, &str),
    boards: &[String],
    progress: &mut dyn Progress,
) -> Result<Vec<Board>, Error> {
    let settings = workspace.settings();
    let with_boards = Selection { boards: boards.to_vec(), ..Selection::default() };
    let mut selections = Vec::new();
    // A board that is named is what is asked about; else all that there is.
    if !settings.targets.is_empty() && boards.iter().all(|board| board == "all") {
        selections.push(Selection::default());
    }
    if !boards.is_empty() {
        selections.push(with_boards);
    }
    let mut all = Vec::new();
    for selection in selections {
        progress.stage("evaluating what is built: now, on the new nixpkgs, and there without the patches");
        let there = Selection { nixpkgs: Some(moved.1.to_owned()), ..selection.clone() };
        let (now, (plain, then)) = rayon::join(
            || state::of(workspace, workspace, &selection, true),
            || {
                rayon::join(
                    || state::of(moved.0, workspace, &there, false),
                    || state::of(moved.0, workspace, &there, true),
                )
            },
        );
        all.extend(boards_of(&now?, &plain?, &then?));
    }
    Ok(all)
}

fn boards_of(now: &State, plain: &State, then: &State) -> Vec<Board> {
    let after = &then.graph;
    let (new, own) = (Delta::between(&now.graph, after), Delta::between(&plain.graph, after));
    let history = History::open();
    let mut names: Vec<Option<&String>> = Vec::new();
    for target in &then.targets {
        if !names.contains(&target.board.as_ref()) {
            names.push(target.board.as_ref());
        }
    }
    let board = |name: Option<&String>| {
        let targets: Vec<_> = then.targets.iter().filter(|target| target.board.as_ref() == name).collect();
        let roots = targets.iter().filter_map(|target| after.find(target.derivation.as_ref().ok()?));
        let within = after.closure(roots);
        let rebuilt = new.rebuilt().iter().copied().filter(|id| within.contains(*id as usize));
        let (of_patches, of_nixpkgs): (Vec<NodeId>, Vec<NodeId>) = rebuilt.partition(|id| own.is_rebuilt(*id));
        let (of_patches, of_nixpkgs) = (after.builds_of(&of_patches), after.builds_of(&of_nixpkgs));
        let expected = |id: NodeId| {
            let node = after.node(id);
            history.expected(node.pname(), node.name(), node.system()).map(|time| time.as_secs_f64())
        };
        let (critical_chain, expected_seconds) =
            critical_path(after, &of_patches.iter().copied().collect::<BTreeSet<_>>(), &expected);
        let mut unknown = Vec::new();
        let mut failures = Vec::new();
        for target in &targets {
            let evaluates = |state: &State| {
                let same = |other: &&state::Evaluated| other.name == target.name && other.board == target.board;
                Some(state.targets.iter().find(same)?.derivation.is_ok())
            };
            let (before, without_overlays) = (evaluates(now) == Some(true), evaluates(plain));
            match &target.derivation {
                Err(failure) => failures.push(Failure {
                    target: target.name.clone(),
                    message: failure.message.clone(),
                    before,
                    without_overlays,
                }),
                Ok(_) if without_overlays != Some(true) => unknown.push(format!(
                    "`{}` does not evaluate on the new nixpkgs without the patches: all that only it needs counts as yours",
                    target.name
                )),
                Ok(_) if !before => unknown.push(format!(
                    "`{}` does not evaluate as the workspace is: all that only it needs counts as new",
                    target.name
                )),
                Ok(_) => {}
            }
        }
        let unknown_outputs = new.unknown_outputs().iter().filter(|id| within.contains(**id as usize)).count();
        if unknown_outputs > 0 {
            unknown.push(format!(
                "the outputs of {unknown_outputs} derivations are known only once they are built (content-addressed)"
            ));
        }
        Board {
            board: name.cloned(),
            targets: targets.iter().map(|target| target.name.clone()).collect(),
            unknown_times: of_patches.iter().filter(|id| expected(**id).is_none()).count(),
            of_nixpkgs: named(after, &of_nixpkgs),
            of_patches: named(after, &of_patches),
            critical_chain,
            expected_seconds,
            failures,
            unknown,
        }
    };
    names.into_iter().map(board).collect()
}

fn named(graph: &Graph, ids: &[NodeId]) -> Vec<Rebuilt> {
    let rebuilt = |id: &NodeId| {
        let node = graph.node(*id);
        Rebuilt { name: node.name().into(), drv_path: node.drv_path().into() }
    };
    ids.iter().map(rebuilt).collect()
}
