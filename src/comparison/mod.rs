//! Both sides of a workspace: the targets without and with its overlays, as derivation graphs.

pub mod attribution;
pub mod baseline;
pub mod cache;
pub mod changes;
pub mod error;
mod evaluation;
pub(crate) mod finished;
mod left_out;
mod parts;
mod settings;
pub mod sites;
pub mod unreached;

pub use error::Error;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::base::diagnostic::Warning;
use crate::base::progress::Progress;
use crate::base::store_path;
use crate::comparison::attribution::Causes;
use crate::comparison::baseline::Baseline;
use crate::comparison::cache::{GraphCache, Question};
use crate::comparison::evaluation::{Before, build_during_evaluation};
use crate::comparison::parts::{Key, part_of, parts, parts_of_copy, parts_of_state, sides};
use crate::config::{self, NixpkgsSource, Workspace};
use crate::git::{self, Since};
use crate::graph::{self, Builder, Graph, StoreDir};
use crate::nix::{self, EvalFailure, FailureKind, Instantiated, Root};
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
    pub warnings: Vec<Warning>,
    /// What changed since the revision that the workspace is compared with, where that is one.
    pub since: Option<SinceRevision>,
}

/// What changed in a workspace since a revision, and what came of that.
#[derive(Debug)]
pub struct SinceRevision {
    pub changes: Vec<changes::Change>,
    /// Which of them the rebuilt derivations are there because of.
    pub causes: Causes,
    /// Why that could not be told.
    pub untold: Option<String>,
    /// Targets that there were and are no more.
    pub only_before: Vec<String>,
    pub only_after: Vec<String>,
    /// The package set, where no revision says what it was: it is what it is on both sides.
    pub unversioned: Option<String>,
}

/// A target on both sides.
#[derive(Debug, Clone)]
pub struct Compared {
    /// Its whole attribute path.
    pub name: String,
    pub board: Option<String>,
    /// Its path below the set that the board or the options chose.
    pub attr: String,
    /// Its derivation without the overlays.
    pub before: Option<String>,
    pub after: String,
    pub instantiated: Instantiated,
}

/// A target that does not evaluate.
#[derive(Debug, Clone, Serialize)]
pub struct TargetFailure {
    /// Its whole attribute path.
    pub target: String,
    /// Whether it fails without the overlays too.
    pub also_unpatched: bool,
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
/// As [`of_workspace`], and those of making the baseline; [`Error::Before`] for a revision that cannot be evaluated.
pub(crate) fn of_sides(
    workspace: &Workspace,
    selection: &Selection,
    baseline: &Baseline,
    progress: &mut dyn Progress,
) -> Result<Comparison, Error> {
    let before_failed = |error: Error| match baseline {
        Baseline::Revision { revision, .. } => {
            Error::Before { revision: revision.clone(), target: None, source: Box::new(error) }
        }
        _ => error,
    };
    let here: &dyn Fn(&Place) -> Result<Root, targets::Error> = &|place| place.root(workspace);
    let since = match baseline {
        Baseline::Revision { revision, overlays_only: false } => Some(git::changed_since(workspace.root(), revision)?),
        _ => None,
    };
    let is_own_code = !own::split(workspace, selection).map_or(true, |(own, _)| own.is_empty());
    // Kept until both sides are evaluated.
    let copy = baseline.copy(workspace, is_own_code, selection.nixpkgs.as_deref());
    let (copy, before_parts, after_parts) = match &since {
        Some(since) => {
            let copy = copy.map_err(before_failed)?;
            let before = match &copy {
                Some(copy) => {
                    parts_of_copy(workspace, &copy.workspace, selection, Some(since)).map_err(before_failed)?
                }
                None => Vec::new(),
            };
            let after = match parts_of_state(workspace, selection, here)? {
                // Neither has any: what is wrong with that is said as ever.
                after if after.is_empty() && before.is_empty() => parts(workspace, workspace, selection, true, here)?,
                after => after,
            };
            (copy, before, after)
        }
        None => {
            let after = parts(workspace, workspace, selection, true, here)?;
            let copy = copy?;
            let files = copy.as_ref().map_or(workspace, |copy| &copy.workspace);
            let is_patched = *baseline != Baseline::Unpatched;
            let before = parts(workspace, files, selection, is_patched, &|place| place.root(files))?;
            (copy, before, after)
        }
    };
    let nix = engine::nix(workspace)?;
    // First without permission to build during evaluation, so that it is said before it happens.
    let strict = engine::nix_without_builds(workspace)?;
    let (nix_before, strict_before) = match (&since, &copy) {
        (Some(_), Some(copy)) => {
            let of = |builds| engine::nix_of_copy(&copy.workspace, workspace, builds);
            let both = of(true).and_then(|nix| Ok((nix, of(false)?)));
            both.map_err(|error| before_failed(error.into()))?
        }
        _ => (nix.clone(), strict.clone()),
    };
    let (before_sides, before_targets) = sides(&baseline.to_string(), before_parts);
    let (after_sides, after_targets) = sides("the workspace as it is", after_parts);
    let names: Vec<&str> = after_targets.iter().map(|(_, target)| target.name.as_str()).collect();
    progress
        .stage(&format!("evaluating {}: {baseline}, and as it is", crate::base::text::plural(names.len(), "target")));
    let question = match (*baseline == Baseline::Unpatched).then(|| workspace.nixpkgs(selection.nixpkgs.as_deref())) {
        Some(Ok(source)) if !is_own_code => Question::of(&nix, &source, &before_sides, &names),
        _ => None,
    };
    let cache = question.and_then(|question| Some((GraphCache::find()?, question)));
    let (before, patched) = std::thread::scope(|scope| {
        let before = scope.spawn(|| Before::of(&strict_before, &before_sides, cache));
        let patched = strict.instantiate(&after_sides);
        (before.join().unwrap_or(Err(nix::Error::Interrupted)), patched)
    });
    let (mut before, mut patched) = (before.map_err(|error| before_failed(error.into()))?, patched?);
    let mut warnings = Vec::new();
    if let Before::Evaluated { sides, keep } = &mut before {
        // What is built may depend on more than files.
        if build_during_evaluation(&nix_before, &before_sides, sides, selection, &mut warnings, progress)? {
            *keep = None;
        }
    }
    build_during_evaluation(&nix, &after_sides, &mut patched, selection, &mut warnings, progress)?;
    let mut plain: BTreeMap<&Key, (&str, Result<Option<String>, EvalFailure>)> = BTreeMap::new();
    match &before {
        Before::Kept(graph) => {
            plain.extend(
                before_targets
                    .iter()
                    .map(|(key, target)| (key, (target.name.as_str(), Ok(derivation(graph, &target.name))))),
            );
        }
        Before::Evaluated { sides, .. } => {
            let all = before_targets.iter().zip(sides.iter().flatten());
            plain.extend(all.map(|((key, target), result)| {
                let result = result.as_ref().map(|drv| Some(drv.drv_path.clone())).map_err(Clone::clone);
                (key, (target.name.as_str(), result))
            }));
        }
    }
    let mut compared = Vec::new();
    let mut failures = Vec::new();
    let mut only_after = Vec::new();
    let mut compared_keys = BTreeMap::new();
    for ((key, target), after) in after_targets.iter().zip(patched.into_iter().flatten()) {
        let before = plain.get(key).map(|(_, result)| result);
        match after {
            Err(failure) => {
                let also_before = before.is_none_or(Result::is_err);
                failures.push(TargetFailure { target: target.name.clone(), also_unpatched: also_before, failure });
            }
            Ok(after) => {
                match before {
                    None => only_after.push(target.name.clone()),
                    Some(Err(failure)) if since.is_some() && lacks(failure, target) => {
                        only_after.push(target.name.clone());
                    }
                    Some(Err(failure)) => {
                        let part = part_of(&before_sides, &before_targets, key);
                        let is_lost = |key: &Key| plain.get(key).is_some_and(|(_, result)| result.is_err());
                        if let (Some(_), Baseline::Revision { revision, .. }) = (&since, baseline)
                            && part.iter().all(|key| is_lost(key))
                        {
                            return Err(Error::Before {
                                revision: revision.clone(),
                                target: Some(target.name.clone()),
                                source: Box::new(
                                    targets::Error::Eval {
                                        target: target.name.clone(),
                                        failure: Box::new(failure.clone()),
                                    }
                                    .into(),
                                ),
                            });
                        }
                        warnings.push(only_patched(&target.name, baseline, failure));
                    }
                    Some(Ok(_)) => {}
                }
                compared_keys.insert(key, target.name.as_str());
                compared.push(Compared {
                    name: target.name.clone(),
                    board: target.board.clone(),
                    attr: target.attr.to_string(),
                    before: before.and_then(|before| before.as_ref().ok().cloned().flatten()),
                    after: after.drv_path.clone(),
                    instantiated: after,
                });
            }
        }
    }
    let after_keys: BTreeSet<&Key> = after_targets.iter().map(|(key, _)| key).collect();
    let only_before: Vec<String> = before_targets
        .iter()
        .filter(|(key, _)| !after_keys.contains(key))
        .map(|(_, target)| target.name.clone())
        .collect();
    if compared.is_empty() && (only_before.is_empty() || !failures.is_empty()) {
        let Some(first) = failures.into_iter().next() else { return Err(crate::targets::Error::NoTargets.into()) };
        // Nothing was named and `<nixpkgs>` leads nowhere: that is not the target's fault.
        if first.failure.message.contains("'nixpkgs' was not found") {
            return Err(config::Error::NoNixpkgs { root: workspace.root().to_path_buf() }.into());
        }
        return Err(crate::targets::Error::Eval { target: first.target, failure: Box::new(first.failure) }.into());
    }
    progress.stage("reading the derivations");
    let store = StoreDir::open(&nix.store_root().unwrap_or_else(|| PathBuf::from("/")))?;
    let after: Vec<_> = compared.iter().map(|t| root(&t.name, &t.after)).collect();
    let (before, after) = rayon::join(
        || match before {
            Before::Kept(graph) => Ok(graph),
            Before::Evaluated { keep, .. } => {
                // By the name that a target has now.
                let of_target = |(key, (name, result)): (&&Key, &(&str, Result<Option<String>, EvalFailure>))| {
                    let name = match compared_keys.get(key) {
                        Some(now) => *now,
                        None if since.is_some() => *name,
                        None => return None,
                    };
                    Some(root(name, result.as_ref().ok()?.as_deref()?))
                };
                // No target evaluates on this side: everything is new.
                let graph = read(&plain.iter().filter_map(of_target).collect::<Vec<_>>(), &store)?;
                if let Some((open, reads)) = keep.filter(|_| compared.len() == names.len()) {
                    open.keep(&reads, &graph);
                }
                Ok(graph)
            }
        },
        || read(&after, &store),
    );
    let (before, after) = (before.map_err(|error: graph::Error| Error::Graph(error))?, after?);
    if let Some(copy) = &copy {
        warnings.extend(left_out::told(&copy.beside, &before, &after, &store)?);
    }
    let mut comparison = Comparison { targets: compared, before, after, failures, warnings, since: None };
    if let (Some(since), Some(copy)) = (&since, &copy) {
        let mut changes = changes::of(workspace, &copy.workspace, since)?;
        let causes = attribution::attribute(workspace, selection, &comparison, &mut changes, progress)?;
        let (causes, untold) = causes.map_or_else(|why| (Causes::default(), Some(why)), |causes| (causes, None));
        let unversioned = unversioned(workspace, selection, since);
        comparison.since = Some(SinceRevision { changes, causes, untold, only_before, only_after, unversioned });
    }
    Ok(comparison)
}

/// Says whether a failure is that there is no such target.
fn lacks(failure: &EvalFailure, target: &Target) -> bool {
    matches!(&failure.kind, FailureKind::MissingAttribute { attribute } if target.attr.names().contains(attribute))
}

fn root(name: &str, drv_path: &str) -> graph::Root {
    graph::Root { attr: Some(name.to_string()), drv_path: drv_path.to_string() }
}

/// Reads the closure of some roots; nothing for none.
pub(crate) fn read(roots: &[graph::Root], store: &StoreDir) -> Result<Graph, graph::Error> {
    if roots.is_empty() { Builder::new().finish(&[]) } else { Graph::read(roots, store) }
}

/// Returns what the package set is where no revision of the workspace says what it was.
fn unversioned(workspace: &Workspace, selection: &Selection, since: &Since) -> Option<String> {
    match workspace.nixpkgs(selection.nixpkgs.as_deref()) {
        Ok(NixpkgsSource::SearchPath) => Some("<nixpkgs>".into()),
        Ok(NixpkgsSource::Path(path)) => {
            let real = path.canonicalize().ok()?;
            (!real.starts_with(&since.root) && !real.starts_with(store_path::STORE_DIR))
                .then(|| path.display().to_string())
        }
        _ => None,
    }
}

/// Returns the derivation of an attribute of a kept graph.
fn derivation(graph: &Graph, name: &str) -> Option<String> {
    let root = graph.roots().find(|root| root.attr == Some(name))?;
    Some(graph.node(root.node).drv_path().to_owned())
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
