//! `impact --all`: what the overlays rebuild in a whole package set, exactly.
//!
//! Both sides are evaluated by a pool of evaluators, each attribute for itself: one that fails is recorded. The unpatched
//! side is kept; then only those attributes are evaluated again that a change of what the overlays bind can reach, and a
//! sample of the others to hold that against. Where that shows a change, or cannot be told, all are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::graph_file::{ChangedAttribute, GraphDiff};
use super::impact::view::View;
use crate::base::diagnostic::Warning;
use crate::base::process::strip_controls;
use crate::base::progress::Progress;
use crate::base::text::plural;
use crate::comparison::cache::{Answer, GraphCache, Question};
use crate::config::Workspace;
use crate::graph::{Delta, Graph, Root as GraphRoot, StoreDir, without_platform};
use crate::nix::{self, Evaluated, Fragment, Nix, PackageSet, PoolSettings, Root, Side, attr_path_text};
use crate::ops::{Error, Outcome};
use crate::targets::engine;
use crate::targets::{self, Group, Selection};

/// One of so many attributes that no change should reach is evaluated all the same.
const SAMPLE: usize = 100;
/// After so many answers, or a quarter of them, an estimate is one.
const ENOUGH: usize = 500;
/// How often progress is told.
const TELL: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The package set.
    pub selection: Selection,
    /// How many evaluators; as many as there are processors when absent.
    pub workers: Option<usize>,
    /// The most memory of all evaluators together, in bytes.
    pub max_memory: Option<u64>,
    /// Whether all is evaluated, whatever is kept.
    pub exhaustive: bool,
    /// How it is shown.
    pub view: View,
}

/// What is rebuilt in a package set.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AllImpact {
    /// What is rebuilt.
    #[serde(flatten)]
    pub diff: GraphDiff,
    /// How many attributes were evaluated without the overlays; none when that side was kept.
    pub evaluated_before: usize,
    /// How many attributes were evaluated with them.
    pub evaluated_after: usize,
    /// How many of these were only a sample, to hold the prediction against.
    pub sampled: usize,
    /// Whether every attribute was evaluated with the overlays.
    pub exhaustive: bool,
    /// How many attributes have a derivation with the overlays.
    pub derivations_after: usize,
    /// Attributes that do not evaluate without the overlays; absent when that side was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures_before: Option<BTreeMap<String, String>>,
    /// Attributes that do not evaluate with them.
    pub failures: BTreeMap<String, String>,
    /// Attributes that had a derivation without the overlays and do not evaluate with them.
    pub broken: Vec<String>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// One side, evaluated.
#[derive(Debug, Default)]
struct Outcomes {
    derivations: BTreeMap<Vec<String>, String>,
    failures: BTreeMap<String, String>,
    evaluated: usize,
}

/// Compares a whole package set without and with the workspace's overlays.
///
/// # Errors
/// Those of the workspace, of Nix, and of reading derivations; what is wrong with one attribute is recorded.
pub fn impact_all(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<AllImpact, Error> {
    let group = targets::whole(workspace, &options.selection)?;
    let nix = engine::nix_for(workspace, &options.selection)?;
    let settings = pool(options);
    let store = StoreDir::open(&nix.store_root().unwrap_or_else(|| PathBuf::from("/")))?;
    let root = |set: &PackageSet| Root::Packages(Box::new(set.clone()));
    let plain = Side { name: "the whole package set".into(), root: root(&group.plain), targets: vec![Vec::new()] };
    let source = workspace.nixpkgs(options.selection.nixpkgs.as_deref())?;
    let question = Question::of(&nix, &source, std::slice::from_ref(&plain), &["every attribute"]);
    let (kept, open) = match question.and_then(|question| Some(GraphCache::find()?.ask(question))) {
        Some(Answer::Kept(graph)) => (Some(graph), None),
        Some(Answer::Open(open)) => (None, Some(open)),
        None => (None, None),
    };
    let was_kept = kept.is_some();
    let mut told = Told { progress, warnings: Vec::new(), jobs_failed: false };
    let mut failures_before = None;
    let mut evaluated_before = 0;
    let before = match kept {
        Some(graph) => graph,
        None => {
            let all = vec![Vec::new()];
            let (watched, watch) = nix.watched([&plain.root]);
            let nix = if open.is_some() { &watched } else { &nix };
            let found = evaluate(nix, &plain.root, all, settings, "without the overlays", None, &mut told)?;
            told.progress.stage("reading the derivations");
            let graph = Graph::read(&roots(&found.derivations), &store)?;
            if let Some(open) = &open {
                open.keep(&watch.reads(), &graph);
            }
            evaluated_before = found.evaluated;
            failures_before = Some(found.failures);
            graph
        }
    };
    let expected = before.roots().len();
    let patched = root(&group.patched);
    let reached = match was_kept && !options.exhaustive {
        true => match reached(&nix, &group, &before)? {
            Ok(reached) => Some(reached),
            Err(why) => {
                told.warnings.push(all_again(why));
                None
            }
        },
        false => None,
    };
    let mut sampled = 0;
    let mut exhaustive = reached.is_none();
    let mut after = match reached {
        None => evaluate(&nix, &patched, vec![Vec::new()], settings, "with the overlays", Some(expected), &mut told)?,
        Some(reached) => {
            let others: Vec<&str> =
                before.roots().filter_map(|root| root.attr).filter(|attr| !reached.contains(*attr)).collect();
            let sample: BTreeSet<&str> = others.iter().copied().step_by(SAMPLE).collect();
            sampled = sample.len();
            let asked = reached.iter().map(String::as_str).chain(sample.iter().copied());
            let paths = asked.map(segments).collect();
            let mut found = evaluate(&nix, &patched, paths, settings, "with the overlays", None, &mut told)?;
            let unexpected = sample.iter().find(|attr| {
                let old = before.attribute(attr).ok().map(|id| before.node(id).drv_path());
                found.derivations.get(&segments(attr)).map(String::as_str) != old
            });
            if let Some(attr) = unexpected {
                told.warnings.push(all_again(format!("`{attr}` changed, which nothing should reach")));
                exhaustive = true;
                let all = vec![Vec::new()];
                evaluate(&nix, &patched, all, settings, "with the overlays", Some(expected), &mut told)?
            } else {
                // The others are as they were.
                for root in before.roots() {
                    if let Some(attr) = root.attr.filter(|attr| !reached.contains(*attr)) {
                        found.derivations.insert(segments(attr), before.node(root.node).drv_path().to_owned());
                    }
                }
                found
            }
        }
    };
    told.progress.stage("reading the derivations");
    let graph = Graph::read(&roots(&after.derivations), &store)?;
    let delta = Delta::between(&before, &graph);
    let diff = GraphDiff::of(&delta, options.view.clone());
    let lost = |change: &&ChangedAttribute| change.after.is_none() && after.failures.contains_key(&change.attr);
    let broken = diff.attributes.iter().filter(lost).map(|change| change.attr.clone()).collect();
    Ok(AllImpact {
        diff,
        evaluated_before,
        evaluated_after: after.evaluated,
        sampled,
        exhaustive,
        derivations_after: after.derivations.len(),
        failures_before,
        failures: std::mem::take(&mut after.failures),
        broken,
        warnings: told.warnings,
    })
}

fn all_again(why: String) -> Warning {
    Warning { code: "OV1081", message: format!("every attribute is evaluated again: {why}"), place: None, hint: None }
}

/// Returns the path of an attribute as [`attr_path_text`] wrote it.
fn segments(attr: &str) -> Vec<String> {
    crate::overlay::AttrPath::parse(attr).map_or_else(|_| vec![attr.to_owned()], |path| path.names().to_vec())
}

fn roots(derivations: &BTreeMap<Vec<String>, String>) -> Vec<GraphRoot> {
    let root = |(path, drv_path): (&Vec<String>, &String)| GraphRoot {
        attr: Some(attr_path_text(path)),
        drv_path: drv_path.clone(),
    };
    derivations.iter().map(root).collect()
}

/// Spreads the work over the processors and the memory there is.
fn pool(options: &Options) -> PoolSettings {
    /// What an evaluator needs that never collects garbage, for half of a large set.
    const AMPLE: u64 = 3 << 30;
    let workers =
        options.workers.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1).max(1);
    let share = |bytes: u64| bytes / workers as u64;
    let max_memory = match options.max_memory {
        Some(bytes) => Some(share(bytes)),
        // Without a word about memory three quarters of what is free are taken, if need be.
        None => available_memory().map(|bytes| share(bytes / 4 * 3)).filter(|bytes| *bytes < AMPLE),
    };
    PoolSettings { workers, max_memory, recurse: true, limit: None }
}

/// Returns the memory that is free, in bytes, where the system tells.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?.trim().trim_end_matches(" kB");
    Some(kib.parse::<u64>().ok()? * 1024)
}

/// Evaluates by nix-eval-jobs where that is installed, else (or when it fails, or what is looked at matters, which it does not tell) by
/// the pool of evaluation servers.
fn evaluate(
    nix: &Nix,
    root: &Root,
    paths: Vec<Vec<String>>,
    settings: PoolSettings,
    what: &str,
    expected: Option<usize>,
    told: &mut Told<'_>,
) -> Result<Outcomes, Error> {
    let whole = paths.iter().any(Vec::is_empty);
    let set = if whole { "every attribute".to_owned() } else { plural(paths.len(), "attribute") };
    let stage = |how: String| format!("evaluating {set} {what}, {how}");
    if let Some(program) = nix.eval_jobs().filter(|_| !told.jobs_failed && !nix.is_watched()) {
        told.progress.stage(&stage(format!("nix-eval-jobs, {}", plural(settings.workers, "worker"))));
        let mut found = Gathering::new(expected, told.progress);
        let mut take = |path, evaluated, left| found.take(path, evaluated, left);
        match nix.evaluate_all_by_jobs(&program, root, &paths, settings, &mut take) {
            Ok(_) => return Ok(found.outcomes),
            Err(error @ nix::Error::Interrupted) => return Err(error.into()),
            Err(error) => {
                // What it told is a part at best: all is asked again.
                let last = error.detail().and_then(|text| text.lines().rfind(|line| !line.trim().is_empty()));
                let last = last.map_or_else(String::new, |line| format!(": {}", strip_controls(line).trim()));
                let message = format!("nix-eval-jobs failed, Nix itself evaluates: {error}{last}");
                told.warnings.push(Warning { code: "OV1083", message, place: None, hint: None });
                told.jobs_failed = true;
            }
        }
    }
    told.progress.stage(&stage(plural(settings.workers, "evaluator")));
    let mut found = Gathering::new(expected, told.progress);
    nix.evaluate_all(root, paths, settings, &mut |path, evaluated, left| found.take(path, evaluated, left))?;
    Ok(found.outcomes)
}

/// What the user is told of evaluations.
struct Told<'p> {
    progress: &'p mut dyn Progress,
    warnings: Vec<Warning>,
    /// Whether nix-eval-jobs is not worth another try.
    jobs_failed: bool,
}

/// Outcomes on their way in.
struct Gathering<'p> {
    outcomes: Outcomes,
    expected: Option<usize>,
    progress: &'p mut dyn Progress,
    start: Instant,
    told: Instant,
}

impl<'p> Gathering<'p> {
    fn new(expected: Option<usize>, progress: &'p mut dyn Progress) -> Gathering<'p> {
        let now = Instant::now();
        Gathering { outcomes: Outcomes::default(), expected, progress, start: now, told: now }
    }

    fn take(&mut self, path: Vec<String>, evaluated: Evaluated, left: usize) {
        let found = &mut self.outcomes;
        found.evaluated += 1;
        match evaluated {
            Evaluated::Derivation { drv_path, .. } => drop(found.derivations.insert(path, drv_path)),
            Evaluated::Failed(failure) => drop(found.failures.insert(attr_path_text(&path), failure.message)),
            Evaluated::Set | Evaluated::Other => {}
        }
        if self.told.elapsed() > TELL {
            self.told = Instant::now();
            let total = (found.evaluated + left).max(self.expected.unwrap_or_default());
            let rest = self.start.elapsed().as_secs_f64() / found.evaluated as f64 * (total - found.evaluated) as f64;
            // nix-eval-jobs does not say how much is left, and the first answers say nothing: all need what they need.
            let left = if total > found.evaluated { format!(" of {total}") } else { String::new() };
            let is_known = !left.is_empty() && found.evaluated >= ENOUGH.min(total / 4);
            let rest = if is_known { format!(", about {rest:.0} s left") } else { String::new() };
            self.progress.stage(&format!("evaluated {}{left} attributes{rest}", found.evaluated));
        }
    }
}

/// Returns the attributes that a change of what the overlays bind can reach; the inner error says why that cannot be told.
fn reached(nix: &Nix, group: &Group, before: &Graph) -> Result<Result<BTreeSet<String>, String>, Error> {
    let bound = bound(nix, group)?;
    let mut nodes = vec![false; before.len()];
    let mut reached = BTreeSet::new();
    for name in bound {
        let attr = attr_path_text(&[name]);
        let Ok(id) = before.attribute(&attr) else {
            return Ok(Err(format!("the overlays bind `{attr}`, which is no package without them")));
        };
        // More than a prediction calls certain or possible: whatever shares a source or a name with it may be the same
        // package in another stage, and what decides is the evaluation.
        let package = before.node(id);
        let sources: BTreeSet<&str> = package.sources().collect();
        let bare = without_platform(package.name());
        for other in before.ids() {
            let node = before.node(other);
            let related = node.pname() == package.pname()
                || node.sources().any(|source| sources.contains(source))
                || without_platform(node.name()) == bare;
            nodes[other as usize] |= related && !node.fixed_output();
        }
        reached.insert(attr);
    }
    // A download that needs a changed derivation has another `.drv`, and so has what needs it, all the way up.
    for id in before.ids() {
        nodes[id as usize] |= before.inputs(id).iter().any(|input| nodes[*input as usize]);
    }
    reached.extend(
        before.roots().filter(|root| nodes[root.node as usize]).filter_map(|root| root.attr.map(str::to_owned)),
    );
    Ok(Ok(reached))
}

/// Asks Nix for the names that the overlays bind.
fn bound(nix: &Nix, group: &Group) -> Result<Vec<String>, Error> {
    let text = format!(
        "let plain = {}; final = {}; in builtins.foldl' (all: o: all // o final plain) {{ }} {}",
        group.plain.to_nix()?,
        group.patched.to_nix()?,
        nix::overlay_list(group.patched.overlays.iter().chain(&group.patched.cross_overlays))?
    );
    Ok(nix.attr_names(&Root::Expression(Fragment::parse(text)?), &[])?)
}

impl Outcome for AllImpact {
    const SCHEMA: &'static str = "overlayctl.impact-all/1";
}
