//! Both sides of a workspace: the targets without and with its overlays, as derivation graphs.

pub mod attribution;
pub mod baseline;
pub mod cache;
pub mod changes;
pub mod error;
pub(crate) mod finished;
mod left_out;
mod settings;
pub mod sites;
pub mod unreached;

pub use error::Error;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::diagnostic::Warning;
use crate::base::progress::Progress;
use crate::base::{self, store_path};
use crate::comparison::attribution::Causes;
use crate::comparison::baseline::Baseline;
use crate::comparison::cache::{Answer, GraphCache, Open, Question};
use crate::config::{self, NixpkgsSource, Workspace};
use crate::git::{self, Since};
use crate::graph::{self, Builder, Graph, StoreDir};
use crate::nix::{self, EvalFailure, FailureKind, Instantiated, Nix, Reads, Root, Side, SideResult};
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

/// What makes a target the same one on both sides: its board, and its path below its set or as it is typed.
type Key = (Option<String>, String);

/// Targets that are attributes of one thing, on one side.
struct Part {
    root: Root,
    targets: Vec<(Key, Target)>,
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

/// Returns the targets of a state of the workspace, with its overlays or without; `root_of` says where what is the workspace's own is
/// evaluated.
fn parts(
    of: &Workspace,
    overlays_of: &Workspace,
    selection: &Selection,
    is_patched: bool,
    root_of: &dyn Fn(&Place) -> Result<Root, targets::Error>,
) -> Result<Vec<Part>, Error> {
    let (own, rest) = own::split(of, selection)?;
    let groups = rest.map_or(Ok(Vec::new()), |rest| targets::resolve_with(of, overlays_of, &rest))?;
    let mut parts = Vec::new();
    for group in groups {
        let set = if is_patched { group.patched } else { group.plain };
        let keyed = |target: Target| ((target.board.clone(), target.attr.to_string()), target);
        let targets = group.targets.into_iter().map(keyed).collect();
        parts.push(Part { root: Root::Packages(Box::new(set)), targets });
    }
    for place in own.iter().map(|own| &own.place).collect::<BTreeSet<&Place>>() {
        let own = own.iter().filter(|own| own.place == *place).map(|own| own.target.clone());
        let keyed = |target: Target| ((target.board.clone(), target.name.clone()), target);
        parts.push(Part { root: root_of(place)?, targets: own.map(keyed).collect() });
    }
    Ok(parts)
}

/// As [`parts`], of a whole state of the workspace: boards that it does not have have no targets in it.
fn parts_of_state(
    of: &Workspace,
    selection: &Selection,
    root_of: &dyn Fn(&Place) -> Result<Root, targets::Error>,
) -> Result<Vec<Part>, Error> {
    let boards = &of.settings().boards;
    let mut selection = selection.clone();
    let has_boards = !selection.boards.is_empty();
    selection.boards.retain(|name| boards.contains_key(name) || (name == "all" && !boards.is_empty()));
    let has_targets = !selection.targets.is_empty() || !of.settings().targets.is_empty();
    match has_boards {
        true if selection.boards.is_empty() => Ok(Vec::new()),
        false if !has_targets => Ok(Vec::new()),
        _ => parts(of, of, &selection, true, root_of),
    }
}

/// As [`parts_of_state`], of a copy of the workspace. What the copy says is beside the workspace is where it is.
fn parts_of_copy(
    workspace: &Workspace,
    copy: &Workspace,
    selection: &Selection,
    at: Option<&Since>,
) -> Result<Vec<Part>, Error> {
    let mut selection = selection.clone();
    if let (None, Some(value)) = (&selection.nixpkgs, &copy.settings().nixpkgs)
        && !copy.path(value).exists()
        && workspace.path(value).exists()
    {
        let is_known = match git::working_tree(workspace.root())? {
            Some(tree) => {
                let path = base::fs::collapsed(&tree.root.join(&tree.below).join(value));
                tree.known.iter().any(|file| tree.root.join(file).starts_with(&path))
            }
            None => false,
        };
        // No revision holds it: it is what it is on both sides.
        if !is_known {
            selection.nixpkgs = Some(targets::absolute(&workspace.path(value))?.display().to_string());
        }
    }
    parts_of_state(copy, &selection, &|place| match (place, at) {
        (Place::Flake(dir), Some(Since { root, below, commit: Some(commit), is_shallow, .. })) => {
            let mut reference = format!("git+file://{}?rev={commit}", root.display());
            let here = targets::absolute(&copy.path(dir))?;
            let dir = base::fs::collapsed(&below.join(dir));
            if !dir.as_os_str().is_empty() && dir != Path::new(".") {
                reference.push_str(&format!("&dir={}", dir.display()));
            }
            if *is_shallow {
                reference.push_str("&shallow=1");
            }
            Ok(nix::flake(&reference, &reference, &here)?)
        }
        _ => place.root(copy),
    })
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

/// Returns the sides that parts are, and their targets in one row.
fn sides(name: &str, parts: Vec<Part>) -> (Vec<Side>, Vec<(Key, Target)>) {
    let mut all = Vec::new();
    let mut sides = Vec::new();
    for part in parts {
        let targets = part.targets.iter().map(|(_, target)| target.attr.names().to_vec()).collect();
        sides.push(Side { name: name.to_owned(), root: part.root, targets });
        all.extend(part.targets);
    }
    (sides, all)
}

/// Returns the targets that are attributes of the same thing as one.
fn part_of<'k>(sides: &[Side], targets: &'k [(Key, Target)], key: &Key) -> Vec<&'k Key> {
    let mut rest = targets;
    for side in sides {
        let (own, others) = rest.split_at_checked(side.targets.len()).unwrap_or((rest, &[]));
        if own.iter().any(|(other, _)| other == key) {
            return own.iter().map(|(key, _)| key).collect();
        }
        rest = others;
    }
    Vec::new()
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
