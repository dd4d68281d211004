//! Both sides of a workspace: the targets without and with its overlays, as derivation graphs.

pub mod baseline;
pub mod cache;
pub mod error;
mod left_out;
pub mod sites;
pub mod unreached;

pub use error::Error;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;

use crate::base::diagnostic::Warning;
use crate::base::progress::Progress;
use crate::base::store_path;
use crate::comparison::baseline::Baseline;
use crate::comparison::cache::{Answer, GraphCache, Open, Question};
use crate::config::{self, Workspace};
use crate::graph::{self, Builder, Graph, StoreDir};
use crate::nix::{self, EvalFailure, FailureKind, Instantiated, Nix, PackageSet, Reads, Root, Side, SideResult};
use crate::targets::engine;
use crate::targets::own::{self, Place};
use crate::targets::{self, Selection, Target};

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
pub(crate) fn of_workspace(
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
pub(crate) fn of_sides(
    workspace: &Workspace,
    selection: &Selection,
    baseline: &Baseline,
    progress: &mut dyn Progress,
) -> Result<Comparison, Error> {
    let (own, rest) = own::split(workspace, selection)?;
    let groups = rest.as_ref().map_or(Ok(Vec::new()), |rest| targets::resolve(workspace, rest))?;
    // Kept until both sides are evaluated.
    let copy = baseline.copy(workspace, !own.is_empty(), selection.nixpkgs.as_deref())?;
    let baselines: Vec<PackageSet> = match (&copy, &rest) {
        (Some(copy), Some(rest)) if *baseline != Baseline::Unpatched => {
            let groups = targets::resolve_with(workspace, &copy.workspace, rest)?;
            groups.into_iter().map(|group| group.patched).collect()
        }
        _ => groups.iter().map(|group| group.plain.clone()).collect(),
    };
    let nix = engine::nix(workspace)?;
    let mut pairs: Vec<(Root, Root, Vec<&Target>)> = Vec::new();
    for (group, before) in groups.iter().zip(&baselines) {
        let root = |set: &PackageSet| Root::Packages(Box::new(set.clone()));
        pairs.push((root(before), root(&group.patched), group.targets.iter().collect()));
    }
    if let Some(copy) = &copy {
        let places: BTreeSet<&Place> = own.iter().map(|own| &own.place).collect();
        for place in places {
            let targets = own.iter().filter(|own| own.place == *place).map(|own| &own.target).collect();
            pairs.push((place.root(&copy.workspace)?, place.root(workspace)?, targets));
        }
    }
    let mut all_targets: Vec<&Target> = Vec::new();
    let (mut before_sides, mut after_sides) = (Vec::new(), Vec::new());
    for (before, after, targets) in pairs {
        let paths: Vec<Vec<String>> = targets.iter().map(|t| t.attr.names().to_vec()).collect();
        before_sides.push(Side { name: baseline.to_string(), root: before, targets: paths.clone() });
        after_sides.push(Side { name: "the workspace as it is".into(), root: after, targets: paths });
        all_targets.extend(targets);
    }
    let names: Vec<&str> = all_targets.iter().map(|target| target.name.as_str()).collect();
    progress
        .stage(&format!("evaluating {}: {baseline}, and as it is", crate::base::text::plural(names.len(), "target")));
    let question = match (*baseline == Baseline::Unpatched).then(|| workspace.nixpkgs(selection.nixpkgs.as_deref())) {
        Some(Ok(source)) if own.is_empty() => Question::of(&nix, &source, &before_sides, &names),
        _ => None,
    };
    let cache = question.and_then(|question| Some((GraphCache::find()?, question)));
    // First without permission to build during evaluation, so that it is said before it happens.
    let strict = engine::nix_without_builds(workspace)?;
    let (before, patched) = std::thread::scope(|scope| {
        let before = scope.spawn(|| Before::of(&strict, &before_sides, cache));
        let patched = strict.instantiate(&after_sides);
        (before.join().unwrap_or(Err(nix::Error::Interrupted)), patched)
    });
    let (mut before, mut patched) = (before?, patched?);
    let mut warnings = Vec::new();
    if let Before::Evaluated { sides, keep } = &mut before {
        // What is built may depend on more than files.
        if build_during_evaluation(&nix, &before_sides, sides, selection, &mut warnings, progress)? {
            *keep = None;
        }
    }
    build_during_evaluation(&nix, &after_sides, &mut patched, selection, &mut warnings, progress)?;
    let plain: Vec<Result<Option<String>, EvalFailure>> = match &before {
        Before::Kept(graph) => names.iter().map(|name| Ok(derivation(graph, name))).collect(),
        Before::Evaluated { sides, .. } => {
            let all = sides.iter().flatten();
            all.map(|result| result.as_ref().map(|drv| Some(drv.drv_path.clone())).map_err(Clone::clone)).collect()
        }
    };
    let mut compared = Vec::new();
    let mut failures = Vec::new();
    for ((target, before), after) in all_targets.into_iter().zip(plain).zip(patched.into_iter().flatten()) {
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
        let Some(first) = failures.into_iter().next() else { return Err(crate::targets::Error::NoTargets.into()) };
        // Nothing was named and `<nixpkgs>` leads nowhere: that is not the target's fault.
        if first.failure.message.contains("'nixpkgs' was not found") {
            return Err(config::Error::NoNixpkgs { root: workspace.root().to_path_buf() }.into());
        }
        return Err(crate::targets::Error::Eval { target: first.target, failure: Box::new(first.failure) }.into());
    }
    progress.stage("reading the derivations");
    let store = StoreDir::open(&nix.store_root().unwrap_or_else(|| PathBuf::from("/")))?;
    let root =
        |name: &str, drv_path: &str| graph::Root { attr: Some(name.to_string()), drv_path: drv_path.to_string() };
    let after: Vec<_> = compared.iter().map(|t| root(&t.name, &t.after)).collect();
    let (before, after) = rayon::join(
        || match before {
            Before::Kept(graph) => Ok(graph),
            Before::Evaluated { keep, .. } => {
                let roots: Vec<_> = compared.iter().filter_map(|t| Some(root(&t.name, t.before.as_deref()?))).collect();
                // No target evaluates on this side: everything is new.
                let graph = if roots.is_empty() { Builder::new().finish(&[])? } else { Graph::read(&roots, &store)? };
                if let Some((open, reads)) = keep.filter(|_| compared.len() == names.len()) {
                    open.keep(&reads, &graph);
                }
                Ok(graph)
            }
        },
        || Graph::read(&after, &store),
    );
    let (before, after) = (before.map_err(|error: graph::Error| Error::Graph(error))?, after?);
    if let Some(copy) = &copy {
        warnings.extend(left_out::told(&copy.beside, &before, &after, &store)?);
    }
    Ok(Comparison { targets: compared, before, after, failures, warnings })
}

/// Evaluates targets again that need something built during evaluation, and says so before; says whether there were any.
fn build_during_evaluation(
    nix: &Nix,
    sides: &[Side],
    results: &mut [SideResult],
    selection: &Selection,
    warnings: &mut Vec<Warning>,
    progress: &mut dyn Progress,
) -> Result<bool, Error> {
    let mut found = false;
    if selection.no_import_from_derivation {
        return Ok(found);
    }
    for (side, results) in sides.iter().zip(results) {
        let needs = |result: &Result<Instantiated, EvalFailure>| matches!(result, Err(failure) if failure.kind == FailureKind::ImportFromDerivation);
        let again: Vec<usize> = (0..results.len()).filter(|at| results.get(*at).is_some_and(needs)).collect();
        if again.is_empty() {
            continue;
        }
        found = true;
        let names: Vec<String> =
            again.iter().filter_map(|at| side.targets.get(*at)).map(|path| path.join(".")).collect();
        let why = again.first().and_then(|at| results.get(*at)?.as_ref().err()).map(|failure| failure.message.clone());
        // Of Nix's sentence only what is to be built is of interest.
        let why = why.unwrap_or_default();
        let built = why
            .split(['\'', '`', ' ', '^'])
            .find(|word| word.ends_with(".drv"))
            .map_or(why.as_str(), store_path::drv_name);
        let message = format!("{} needs {built} built during evaluation (import-from-derivation)", names.join(", "));
        if !warnings.iter().any(|warning| warning.message == message) {
            progress.stage(&message);
            let hint = Some("--no-import-from-derivation refuses that".into());
            warnings.push(Warning { code: "OV1082", message, place: None, hint });
        }
        let targets = again.iter().filter_map(|at| side.targets.get(*at).cloned()).collect();
        let anew = nix.instantiate(&[Side { targets, ..side.clone() }])?;
        for (at, result) in again.into_iter().zip(anew.into_iter().flatten()) {
            if let Some(place) = results.get_mut(at) {
                *place = result;
            }
        }
    }
    Ok(found)
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
    /// Just evaluated; to be kept as the answer to that.
    Evaluated { sides: Vec<SideResult>, keep: Option<(Open, Reads)> },
}

impl Before {
    fn of(nix: &Nix, sides: &[Side], cache: Option<(GraphCache, Question)>) -> Result<Before, nix::Error> {
        let Some((cache, question)) = cache else {
            return Ok(Before::Evaluated { sides: nix.instantiate(sides)?, keep: None });
        };
        match cache.ask(question) {
            Answer::Kept(graph) => Ok(Before::Kept(graph)),
            Answer::Open(open) => {
                let (watched, watch) = nix.watched(sides.iter().map(|side| &side.root));
                let results = watched.instantiate(sides)?;
                if results.iter().flatten().any(Result::is_err) {
                    // A target that does not evaluate is evaluated again each time, for its message in Nix's own words.
                    return Ok(Before::Evaluated { sides: nix.instantiate(sides)?, keep: None });
                }
                Ok(Before::Evaluated { sides: results, keep: Some((open, watch.reads())) })
            }
        }
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
