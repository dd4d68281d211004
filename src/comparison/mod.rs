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
pub mod state;
pub mod unreached;

pub use error::Error;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::base::diagnostic::Warning;
use crate::base::progress::Progress;
use crate::base::store_path;
use crate::comparison::attribution::Causes;
use crate::comparison::baseline::Baseline;
use crate::comparison::cache::{GraphCache, Question};
use crate::comparison::evaluation::{Before, build_during_evaluation};
use crate::comparison::parts::{Key, OneSide, Sides};
use crate::config::budget::Limit;
use crate::config::{self, NixpkgsSource, Workspace};
use crate::git::{self, Since};
use crate::graph::{self, Builder, Graph, StoreDir};
use crate::nix::{self, EvalFailure, FailureKind, Instantiated, Nix, SideResult};
use crate::overlay::AttrPath;
use crate::queue::copy::Copy;
use crate::targets::engine;
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
    /// The package whose patches alone the other side is without, as overlays call it.
    pub package: Option<AttrPath>,
    /// What changed since the revision that the workspace is compared with, where that is one.
    pub since: Option<SinceRevision>,
}

/// What changed in a workspace since a revision, and what came of that.
#[derive(Debug)]
pub struct SinceRevision {
    pub revision: String,
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
    /// Where the side of the revision is from.
    pub base: Base,
    /// The limits that the workspace had set itself.
    pub limits: Vec<Limit>,
}

/// Where the graph of a revision is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Base {
    /// What it is kept by: by all that its evaluation depends on, as far as the revision and Nix's settings say it. Absent where it
    /// cannot be kept.
    pub key: Option<String>,
    /// Whether it was taken from what is kept, so that nothing was evaluated.
    pub from_cache: bool,
    /// Whether the next run can take it from there.
    pub kept: bool,
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
#[serde(rename_all = "camelCase")]
pub struct TargetFailure {
    /// Its whole attribute path.
    pub target: String,
    /// Whether it fails on the side that the workspace is compared with too; absent where it is no target there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub also_before: Option<bool>,
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
    let mut comparison = without_causes(workspace, selection, baseline, progress)?;
    comparison.find_causes(workspace, selection, progress)?;
    Ok(comparison)
}

/// As [`of_sides`], and of changes since a revision it is left open which of them the causes are: that takes an evaluation for each.
pub(crate) fn without_causes(
    workspace: &Workspace,
    selection: &Selection,
    baseline: &Baseline,
    progress: &mut dyn Progress,
) -> Result<Comparison, Error> {
    let since = match baseline {
        Baseline::Revision { revision, overlays_only: false } => Some(git::changed_since(workspace.root(), revision)?),
        _ => None,
    };
    let both = Sides::of(workspace, selection, baseline, since.as_ref())?;
    let nix = engine::nix(workspace)?;
    // First without permission to build during evaluation, so that it is said before it happens.
    let strict = engine::nix_without_builds(workspace)?;
    let (nix_before, strict_before) = match (&since, &both.copy) {
        (Some(_), Some(copy)) => {
            let of = |builds| engine::nix_of_copy(&copy.workspace, workspace, builds);
            let two = of(true).and_then(|nix| Ok((nix, of(false)?)));
            two.map_err(|error| baseline.failed(None, error))?
        }
        _ => (nix.clone(), strict.clone()),
    };
    let names: Vec<&str> = both.after.targets.iter().map(|(_, target)| target.name.as_str()).collect();
    progress
        .stage(&format!("evaluating {}: {baseline}, and as it is", crate::base::text::plural(names.len(), "target")));
    let question = match (*baseline == Baseline::Unpatched).then(|| workspace.nixpkgs(selection.nixpkgs.as_deref())) {
        Some(Ok(source)) => Question::of(&nix, &source, &both.before.sides, &names),
        _ => None,
    };
    let question = match (&since, &both.copy, baseline) {
        (Some(since), Some(copy), _) => of_revision(&nix_before, selection, &both, copy, since),
        _ => question,
    };
    let key = question.as_ref().map(Question::key);
    let cache = question.and_then(|question| Some((GraphCache::find()?, question)));
    let (before, after) = std::thread::scope(|scope| {
        let before = scope.spawn(|| Before::of(&strict_before, &both.before.sides, cache));
        let after = strict.instantiate(&both.after.sides);
        (before.join().unwrap_or(Err(nix::Error::Interrupted)), after)
    });
    let (mut before, mut after) = (before.map_err(|error| baseline.failed(None, error))?, after?);
    let mut warnings = Vec::new();
    if let Before::Evaluated { sides, keep } = &mut before {
        // What is built may depend on more than files.
        if build_during_evaluation(&nix_before, &both.before.sides, sides, selection, &mut warnings, progress)? {
            *keep = None;
        }
    }
    build_during_evaluation(&nix, &both.after.sides, &mut after, selection, &mut warnings, progress)?;
    let pairs = Pairs::of(&both, baseline, since.is_some(), &before, after, &mut warnings)?;
    if pairs.compared.is_empty() && (pairs.only_before.is_empty() || !pairs.failures.is_empty()) {
        return Err(none_evaluates(workspace, pairs.failures));
    }
    progress.stage("reading the derivations");
    let store = nix.store_dir()?;
    let roots: Vec<_> = pairs.compared.iter().map(|t| root(&t.name, &t.after)).collect();
    let from_cache = matches!(before, Before::Kept(_));
    let is_whole = if since.is_some() { pairs.is_whole } else { pairs.compared.len() == names.len() };
    let (before, after) = rayon::join(
        || match before {
            Before::Kept(graph) => Ok((graph, true)),
            Before::Evaluated { keep, .. } => {
                // No target evaluates on this side: everything is new.
                let graph = read(&pairs.roots_before, &store)?;
                let is_kept = keep.filter(|_| is_whole).is_some_and(|(open, reads)| open.keep(&reads, &graph));
                Ok((graph, is_kept))
            }
        },
        || read(&roots, &store),
    );
    let ((before, kept), after) = (before.map_err(|error: graph::Error| Error::Graph(error))?, after?);
    let base = Base { key, from_cache, kept };
    if let Some(copy) = &both.copy {
        warnings.extend(left_out::told(&copy.beside, &before, &after, &store)?);
    }
    let package = both.copy.as_ref().and_then(|copy| copy.without.clone());
    let Pairs { compared: targets, failures, only_before, only_after, .. } = pairs;
    let mut comparison = Comparison { targets, before, after, failures, warnings, package, since: None };
    if let (Some(since), Some(copy), Baseline::Revision { revision, .. }) = (&since, &both.copy, baseline) {
        let revision = revision.clone();
        let changes = changes::of(workspace, &copy.workspace, since)?;
        let unversioned = unversioned(workspace, selection, since);
        let limits = copy.workspace.settings().limits();
        let (causes, untold) = (Causes::default(), None);
        comparison.since = Some(SinceRevision {
            revision,
            changes,
            causes,
            untold,
            only_before,
            only_after,
            unversioned,
            base,
            limits,
        });
    }
    Ok(comparison)
}

impl Comparison {
    /// Finds which of the changes since a revision each rebuilt derivation is there because of.
    pub(crate) fn find_causes(
        &mut self,
        workspace: &Workspace,
        selection: &Selection,
        progress: &mut dyn Progress,
    ) -> Result<(), Error> {
        let Some(mut since) = self.since.take() else { return Ok(()) };
        let causes = attribution::attribute(workspace, selection, self, &mut since.changes, progress)?;
        (since.causes, since.untold) =
            causes.map_or_else(|why| (Causes::default(), Some(why)), |causes| (causes, None));
        self.since = Some(since);
        Ok(())
    }
}

/// Returns the key that the side of a revision is kept by; `None` where it is not kept.
///
/// # Errors
/// As [`of_sides`], before anything is evaluated.
pub(crate) fn base_key(workspace: &Workspace, selection: &Selection, revision: &str) -> Result<Option<String>, Error> {
    let baseline = Baseline::Revision { revision: revision.to_owned(), overlays_only: false };
    let since = git::changed_since(workspace.root(), revision)?;
    let both = Sides::of(workspace, selection, &baseline, Some(&since))?;
    let Some(copy) = &both.copy else { return Ok(None) };
    let nix = engine::nix_of_copy(&copy.workspace, workspace, true).map_err(|error| baseline.failed(None, error))?;
    Ok(of_revision(&nix, selection, &both, copy, &since).map(|question| question.key()))
}

/// Makes the question of the side of a revision; `None` where the answer is not kept.
fn of_revision(nix: &Nix, selection: &Selection, both: &Sides, copy: &Copy, since: &Since) -> Option<Question> {
    let names = |side: &OneSide| -> BTreeMap<Key, String> {
        side.targets.iter().map(|(key, target)| (key.clone(), target.name.clone())).collect()
    };
    let (before, after) = (names(&both.before), names(&both.after));
    // A kept graph calls its targets by one name, which is how the other side finds them.
    if before.is_empty() || before.iter().any(|(key, name)| after.get(key).is_some_and(|other| other != name)) {
        return None;
    }
    let is_composed = both.before.sides.iter().any(|side| matches!(side.root, crate::nix::Root::Packages(_)));
    let source = is_composed.then(|| copy.workspace.nixpkgs(selection.nixpkgs.as_deref()).ok()).flatten();
    let content = format!("{} {:?}", since.tree, since.below);
    let names: Vec<&str> = both.before.targets.iter().map(|(_, target)| target.name.as_str()).collect();
    Question::of_revision(nix, source.as_ref(), &both.before.sides, &names, copy.dir(), &content)
}

/// The targets of both sides, each beside the one that it is on the other.
struct Pairs {
    compared: Vec<Compared>,
    failures: Vec<TargetFailure>,
    only_before: Vec<String>,
    only_after: Vec<String>,
    /// What the graph of the other side starts from, by the names that the targets have now.
    roots_before: Vec<graph::Root>,
    /// Whether these are all targets of the other side.
    is_whole: bool,
}

impl Pairs {
    /// Pairs what came of the targets.
    ///
    /// # Errors
    /// [`Error::Before`] when nothing that is beside a target evaluates in the revision.
    fn of(
        both: &Sides,
        baseline: &Baseline,
        is_since: bool,
        before: &Before,
        after: Vec<SideResult>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Pairs, Error> {
        let results = before.results(&both.before.targets);
        let is_lost = |key: &Key| results.get(key).is_some_and(Result::is_err);
        let (mut compared, mut failures, mut only_after) = (Vec::new(), Vec::new(), Vec::new());
        let mut names_now = BTreeMap::new();
        for ((key, target), after) in both.after.targets.iter().zip(after.into_iter().flatten()) {
            let before = results.get(key);
            let name = target.name.clone();
            let after = match after {
                Ok(after) => after,
                Err(failure) => {
                    failures.push(TargetFailure { target: name, also_before: before.map(Result::is_err), failure });
                    continue;
                }
            };
            match before {
                Some(Ok(_)) => {}
                None => only_after.push(name.clone()),
                Some(Err(failure)) if is_since && lacks(failure, target) => only_after.push(name.clone()),
                Some(Err(failure)) if is_since && both.before.beside(key).iter().all(|(key, _)| is_lost(key)) => {
                    let error = targets::Error::Eval { target: name, failure: Box::new(failure.clone()) };
                    return Err(baseline.failed(Some(&target.name), error));
                }
                Some(Err(failure)) => warnings.push(only_patched(&name, baseline, failure)),
            }
            names_now.insert(key, name.clone());
            compared.push(Compared {
                name,
                board: target.board.clone(),
                attr: target.attr.to_string(),
                before: before.and_then(|before| before.as_ref().ok().cloned()),
                after: after.drv_path.clone(),
                instantiated: after,
            });
        }
        let roots_before = both.before.targets.iter().filter_map(|(key, target)| {
            let name = names_now.get(key).or(is_since.then_some(&target.name))?;
            Some(root(name, results.get(key)?.as_ref().ok()?))
        });
        let roots_before: Vec<graph::Root> = roots_before.collect();
        let is_whole = roots_before.len() == both.before.targets.len();
        let keys: BTreeSet<&Key> = both.after.targets.iter().map(|(key, _)| key).collect();
        let gone = both.before.targets.iter().filter(|(key, _)| !keys.contains(key));
        let only_before = gone.map(|(_, target)| target.name.clone()).collect();
        Ok(Pairs { compared, failures, only_before, only_after, roots_before, is_whole })
    }
}

/// Returns the error for a comparison of no target.
fn none_evaluates(workspace: &Workspace, failures: Vec<TargetFailure>) -> Error {
    let Some(first) = failures.into_iter().next() else { return targets::Error::NoTargets.into() };
    // Nothing was named and `<nixpkgs>` leads nowhere: that is not the target's fault.
    if first.failure.message.contains("'nixpkgs' was not found") {
        return config::Error::NoNixpkgs { root: workspace.root().to_path_buf() }.into();
    }
    targets::Error::Eval { target: first.target, failure: Box::new(first.failure) }.into()
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
