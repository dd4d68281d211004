//! Both sides of a workspace: the targets without and with its overlays, as derivation graphs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use super::baseline::Baseline;
use super::graph_cache::{GraphCache, Key, Question};
use super::progress::Progress;
use super::targets::{self, Group, Selection};
use super::{Error, engine};
use crate::base::diagnostic::Warning;
use crate::config::{self, Workspace};
use crate::graph::{self, Graph, StoreDir};
use crate::nix::{self, EvalFailure, Instantiated, Nix, PackageSet, Recorded, Root, Side};
use crate::view::{Document, Role, Text};

/// The graphs of both sides.
#[derive(Debug)]
pub struct Comparison {
    /// The targets that have a derivation with the overlays.
    pub targets: Vec<Compared>,
    /// The closure of all targets without the overlays.
    pub before: Graph,
    /// The closure of all targets with them.
    pub after: Graph,
    /// Targets that do not evaluate with the overlays.
    pub failures: Vec<TargetFailure>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// A target on both sides.
#[derive(Debug, Clone)]
pub struct Compared {
    /// Its whole attribute path.
    pub name: String,
    /// The board it is for.
    pub board: Option<String>,
    /// Its path below the set that the board or the options chose.
    pub attr: String,
    /// Its derivation without the overlays.
    pub before: Option<String>,
    /// Its derivation with them.
    pub after: String,
    /// What it stands for with them.
    pub instantiated: Instantiated,
}

/// A target that does not evaluate.
#[derive(Debug, Clone, Serialize)]
pub struct TargetFailure {
    /// Its whole attribute path.
    pub target: String,
    /// Whether it fails without the overlays too.
    pub also_unpatched: bool,
    /// Why.
    #[serde(flatten)]
    pub failure: EvalFailure,
}

/// Evaluates the targets of a workspace without and with its overlays, side by side, and reads both closures.
///
/// # Errors
/// [`Error::Eval`] when no target evaluates; those of the workspace, of Nix and of reading derivations.
pub(super) fn of_workspace(
    workspace: &Workspace,
    selection: &Selection,
    progress: &mut dyn Progress,
) -> Result<Comparison, Error> {
    of_sides(workspace, selection, &Baseline::Unpatched, progress)
}

/// Evaluates the targets with the workspace as the baseline has it and as it is, side by side, and reads both closures.
///
/// # Errors
/// As [`of_workspace`], and those of making the baseline.
pub(super) fn of_sides(
    workspace: &Workspace,
    selection: &Selection,
    baseline: &Baseline,
    progress: &mut dyn Progress,
) -> Result<Comparison, Error> {
    let groups = targets::resolve(workspace, selection)?;
    // Kept until both sides are evaluated.
    let copy = baseline.copy(workspace)?;
    let baselines: Vec<PackageSet> = match &copy {
        None => groups.iter().map(|group| group.plain.clone()).collect(),
        Some(copy) => {
            let groups = targets::resolve_with(workspace, &copy.workspace, selection)?;
            groups.into_iter().map(|group| group.patched).collect()
        }
    };
    let nix = engine::nix(workspace)?;
    let names: Vec<&str> = groups.iter().flat_map(|group| group.targets.iter().map(|t| t.name.as_str())).collect();
    let side = |name: String, set: &PackageSet, group: &Group| Side {
        name,
        root: Root::Packages(Box::new(set.clone())),
        targets: group.targets.iter().map(|t| t.attr.names().to_vec()).collect(),
    };
    let (before_sides, after_sides): (Vec<Side>, Vec<Side>) = groups
        .iter()
        .zip(&baselines)
        .map(|(group, before)| {
            let patched = side("the package set with the overlays".into(), &group.patched, group);
            (side(baseline.to_string(), before, group), patched)
        })
        .unzip();
    progress.stage(&format!("evaluating {}: {baseline}, and as it is", super::impact::plural(names.len(), "target")));
    let question = Question::of(&nix, &before_sides, &names).filter(|_| *baseline == Baseline::Unpatched);
    let cache = question.and_then(|question| Some((GraphCache::find()?, question)));
    let (before, patched) = std::thread::scope(|scope| {
        let before = scope.spawn(|| Before::of(&nix, &before_sides, cache));
        let patched = nix.instantiate(&after_sides);
        (before.join().unwrap_or(Err(nix::Error::Interrupted)), patched)
    });
    let (before, patched) = (before?, patched?);
    let plain: Vec<Result<Option<String>, EvalFailure>> = match &before {
        Before::Kept(graph) => names.iter().map(|name| Ok(derivation(graph, name))).collect(),
        Before::Evaluated { sides, .. } => {
            let all = sides.iter().flat_map(|side| side.targets.iter());
            all.map(|result| result.as_ref().map(|drv| Some(drv.drv_path.clone())).map_err(Clone::clone)).collect()
        }
    };
    let mut compared = Vec::new();
    let mut failures = Vec::new();
    let mut warnings = Vec::new();
    let targets = groups.iter().flat_map(|group| &group.targets);
    for ((target, before), after) in targets.zip(plain).zip(patched.into_iter().flatten()) {
        match (before, after) {
            (before, Err(failure)) => {
                failures.push(TargetFailure { target: target.name.clone(), also_unpatched: before.is_err(), failure });
            }
            (before, Ok(after)) => {
                if let Err(failure) = &before {
                    warnings.push(only_patched(&target.name, baseline, failure));
                }
                compared.push(Compared {
                    name: target.name.clone(),
                    board: target.board.clone(),
                    attr: target.attr.to_string(),
                    before: before.ok().flatten(),
                    after: after.drv_path.clone(),
                    instantiated: after,
                });
            }
        }
    }
    if compared.is_empty() {
        let Some(first) = failures.into_iter().next() else { return Err(Error::NoTargets) };
        // Nothing was named and `<nixpkgs>` leads nowhere: that is not the target's fault.
        if first.failure.message.contains("'nixpkgs' was not found") {
            return Err(config::Error::NoNixpkgs { root: workspace.root().to_path_buf() }.into());
        }
        return Err(Error::Eval { target: first.target, failure: Box::new(first.failure) });
    }
    progress.stage("reading the derivations");
    let store = StoreDir::open(&nix.store_root().unwrap_or_else(|| PathBuf::from("/")))?;
    let root =
        |name: &str, drv_path: &str| graph::Root { attr: Some(name.to_string()), drv_path: drv_path.to_string() };
    let after: Vec<_> = compared.iter().map(|t| root(&t.name, &t.after)).collect();
    let (before, after) = rayon::join(
        || match before {
            Before::Kept(graph) => Ok(graph),
            Before::Evaluated { sides, keep } => {
                // A target that does not evaluate is evaluated again each time, for its message.
                let whole = sides.iter().all(|side| side.targets.iter().all(Result::is_ok));
                let roots: Vec<_> = compared.iter().filter_map(|t| Some(root(&t.name, t.before.as_deref()?))).collect();
                let graph = Graph::read(&roots, &store)?;
                if let Some((cache, key)) = keep.filter(|_| whole && compared.len() == names.len()) {
                    cache.put(&key, &sides, &graph);
                }
                Ok(graph)
            }
        },
        || Graph::read(&after, &store),
    );
    let (before, after) = (before.map_err(|error: graph::Error| Error::Graph(error))?, after?);
    Ok(Comparison { targets: compared, before, after, failures, warnings })
}

/// Returns the derivation of an attribute of a kept graph.
fn derivation(graph: &Graph, name: &str) -> Option<String> {
    let root = graph.roots().find(|root| root.attr == Some(name))?;
    Some(graph.node(root.node).drv_path().to_owned())
}

/// The side that the workspace is compared with.
enum Before {
    /// As it was kept from an earlier run.
    Kept(Graph),
    /// Just evaluated; to be kept under that key.
    Evaluated { sides: Vec<Recorded>, keep: Option<(GraphCache, Key)> },
}

impl Before {
    fn of(nix: &Nix, sides: &[Side], cache: Option<(GraphCache, Question)>) -> Result<Before, nix::Error> {
        let Some((cache, question)) = cache else {
            let sides = nix.instantiate(sides)?;
            let sides = sides.into_iter().map(|targets| Recorded { targets, files: BTreeSet::new() }).collect();
            return Ok(Before::Evaluated { sides, keep: None });
        };
        let key = cache.key(&question);
        if let Some(graph) = key.as_ref().and_then(|key| cache.get(key)) {
            return Ok(Before::Kept(graph));
        }
        let sides = nix.instantiate_recording(sides)?;
        Ok(Before::Evaluated { sides, keep: key.map(|key| (cache, key)) })
    }
}

fn only_patched(target: &str, baseline: &Baseline, failure: &EvalFailure) -> Warning {
    Warning {
        code: "OV1007",
        message: format!(
            "`{target}` does not evaluate in {baseline}, so all that only it needs counts as new: {}",
            failure.message
        ),
        place: None,
        hint: None,
    }
}

/// Shows the targets that do not evaluate.
pub(super) fn show_failures(failures: &[TargetFailure], document: &mut Document) {
    for failed in failures {
        let also =
            if failed.also_unpatched { " (without the overlays neither)" } else { " (without the overlays it does)" };
        document.line(
            Text::new()
                .with(Role::Bad, "does not evaluate ")
                .with(Role::Name, &failed.target)
                .with(Role::Dim, also)
                .plain(format!(": {}", failed.failure.message)),
        );
        if !failed.failure.near.is_empty() {
            document.line(Text::new().with(Role::Dim, "  near names: ").plain(failed.failure.near.join(", ")));
        }
    }
    if !failures.is_empty() {
        document.blank();
    }
}
