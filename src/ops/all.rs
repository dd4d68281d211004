//! `impact --all`: what the overlays rebuild in a whole package set, exactly.
//!
//! Both sides are evaluated by a pool of evaluators, each attribute for itself: one that fails is recorded. What is finished is kept
//! ([`Finished`]), so that a run that is interrupted is gone on with. The unpatched side is kept as a whole; then only those attributes
//! are evaluated again that a change of what the overlays bind can reach, and a sample of the others to hold that against. Where that
//! shows a change, or cannot be told, all are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::graph_file::GraphDiff;
use super::impact::view::View;
use crate::base::diagnostic::Warning;
use crate::base::fs;
use crate::base::progress::Progress;
use crate::base::text::plural;
use crate::comparison::cache::{Answer, GraphCache, Question};
use crate::comparison::finished::{Done, Finished};
use crate::comparison::read;
use crate::config::Workspace;
use crate::graph::{Delta, Graph, Root as GraphRoot, without_platform};
use crate::nix::{
    self, Evaluated, Fragment, Names, Nix, PackageSet, PoolSettings, Reads, Root, Side, Watch, attr_path_text,
};
use crate::ops::{Error, Outcome};
use crate::overlay::AttrPath;
use crate::targets::engine;
use crate::targets::{self, Group, Selection};

/// One of so many attributes that no change should reach is evaluated all the same.
const SAMPLE: usize = 100;
/// After so many answers, or a quarter of them, an estimate is one.
const ENOUGH: usize = 500;
/// How often progress is told.
const TELL: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Default)]
pub struct Options {
    pub selection: Selection,
    /// How many evaluators; as many as there are processors when absent.
    pub workers: Option<usize>,
    /// The most memory of all evaluators together, in bytes.
    pub max_memory: Option<u64>,
    /// Whether all is evaluated, whatever is kept.
    pub exhaustive: bool,
    /// Sets that are looked into alone, whether they say `recurseForDerivations` or not.
    pub sets: Vec<String>,
    /// A file with attribute paths that are looked at alone, one a line.
    pub attrs: Option<PathBuf>,
}

/// A package set without and with the overlays.
#[derive(Debug)]
pub struct Sides {
    before: Graph,
    after: Graph,
    pub facts: Facts,
}

impl Sides {
    /// Compares the two.
    pub fn impact(&self, view: View) -> AllImpact<'_> {
        let delta = Delta::between(&self.before, &self.after);
        AllImpact { diff: GraphDiff { delta, view }, facts: &self.facts }
    }
}

/// What is rebuilt in a package set.
#[derive(Debug, Serialize)]
pub struct AllImpact<'s> {
    #[serde(flatten)]
    pub diff: GraphDiff<'s>,
    #[serde(flatten)]
    pub facts: &'s Facts,
}

/// What is told of the evaluation of a package set.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// How many attributes were evaluated without the overlays; none when that side was kept.
    pub evaluated_before: usize,
    /// How many attributes were evaluated with them.
    pub evaluated_after: usize,
    /// How many of these were only a sample, to hold the prediction against.
    pub sampled: usize,
    /// How many attributes of both sides earlier runs that were interrupted had finished.
    pub finished_earlier: usize,
    /// Whether every attribute was evaluated with the overlays.
    pub exhaustive: bool,
    /// How many attributes have a derivation with the overlays.
    pub derivations_after: usize,
    /// Attributes that do not evaluate without the overlays; absent when that side was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures_before: Option<BTreeMap<String, String>>,
    /// Attributes that do not evaluate with them.
    pub failures: BTreeMap<String, String>,
    /// What these say, the most frequent first.
    pub failure_causes: Vec<FailureCause>,
    /// Sets of packages that were not looked into, as they do not say `recurseForDerivations`; absent when not every attribute was
    /// evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<Vec<String>>,
    /// Attributes that had a derivation without the overlays and do not evaluate with them.
    pub broken: Vec<String>,
    pub warnings: Vec<Warning>,
}

/// What keeps attributes from evaluating.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureCause {
    pub message: String,
    /// How many attributes fail with it.
    pub count: usize,
    pub example: String,
}

/// One side, evaluated.
#[derive(Debug, Default)]
struct Outcomes {
    derivations: BTreeMap<String, String>,
    failures: BTreeMap<String, String>,
    left_out: Vec<String>,
    evaluated: usize,
    /// How many of these by an earlier run.
    finished_earlier: usize,
    /// What was looked at, by this run and, as the lines of a key, by earlier ones.
    looked: (Reads, String),
}

/// Evaluates a whole package set without and with the workspace's overlays.
///
/// # Errors
/// Those of the workspace, of Nix, and of reading derivations; what is wrong with one attribute is recorded.
pub fn impact_all(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Sides, Error> {
    let group = targets::whole(workspace, &options.selection)?;
    let nix = engine::nix_for(workspace, &options.selection)?;
    let settings = pool(options);
    let store = nix.store_dir()?;
    let root = |set: &PackageSet| Root::Packages(Box::new(set.clone()));
    let (plain, patched) = (root(&group.plain), root(&group.patched));
    let is_whole = options.sets.is_empty() && options.attrs.is_none();
    let all = |root: &Root| if is_whole { Ok(vec![Names::new()]) } else { named(&nix, root, options) };
    let (paths_before, paths_after) = (all(&plain)?, all(&patched)?);
    if paths_after.is_empty() {
        return Err(targets::Error::NoTargets.into());
    }
    let side = Side { name: "the package set".into(), root: plain.clone(), targets: paths_before.clone() };
    let source = workspace.nixpkgs(options.selection.nixpkgs.as_deref())?;
    let question = Question::of(&nix, &source, &[side], &["every attribute"]);
    let (kept, open) = match question.and_then(|question| Some(GraphCache::find()?.ask(question))) {
        Some(Answer::Kept(graph)) => (Some(graph), None),
        Some(Answer::Open(open)) => (None, Some(open)),
        None => (None, None),
    };
    let was_kept = kept.is_some();
    let mut told = Told { progress, warnings: Vec::new() };
    let mut failures_before = None;
    let (mut evaluated_before, mut finished_earlier) = (0, 0);
    let before = match kept {
        Some(graph) => graph,
        None => {
            let asked = Asked { root: &plain, paths: paths_before, settings, what: "without the overlays" };
            let found = evaluate(&nix, &asked, None, &mut told)?;
            told.progress.stage("reading the derivations");
            let graph = read(&roots(found.derivations), &store)?;
            if let Some(open) = &open {
                open.keep_with(&found.looked.0, &found.looked.1, &graph);
            }
            (evaluated_before, finished_earlier) = (found.evaluated, found.finished_earlier);
            failures_before = Some(found.failures);
            graph
        }
    };
    let expected = before.roots().len();
    let asked = |paths| Asked { root: &patched, paths, settings, what: "with the overlays" };
    // Where only some sets are asked for, what the overlays bind need not be among them.
    let reached = match was_kept && !options.exhaustive && is_whole {
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
        None => evaluate(&nix, &asked(paths_after), Some(expected), &mut told)?,
        Some(reached) => {
            let named = before.roots().filter_map(|root| Some((root.attr?, before.node(root.node).drv_path())));
            let others: Vec<(&str, &str)> = named.filter(|(attr, _)| !reached.contains(*attr)).collect();
            let sample: BTreeMap<&str, &str> = others.iter().copied().step_by(SAMPLE).collect();
            sampled = sample.len();
            let some = reached.iter().map(String::as_str).chain(sample.keys().copied()).map(segments).collect();
            let mut found = evaluate(&nix, &asked(some), None, &mut told)?;
            let is_as_it_was = |attr: &str, old: &str| found.derivations.get(attr).is_some_and(|new| new == old);
            if let Some((attr, _)) = sample.iter().find(|(attr, old)| !is_as_it_was(attr, old)) {
                told.warnings.push(all_again(format!("`{attr}` changed, which nothing should reach")));
                exhaustive = true;
                evaluate(&nix, &asked(paths_after), Some(expected), &mut told)?
            } else {
                // The others are as they were.
                found.derivations.extend(others.iter().map(|(attr, old)| ((*attr).to_owned(), (*old).to_owned())));
                found
            }
        }
    };
    told.progress.stage("reading the derivations");
    let derivations_after = after.derivations.len();
    let graph = read(&roots(std::mem::take(&mut after.derivations)), &store)?;
    let lost = before.roots().filter_map(|root| root.attr).filter(|attr| after.failures.contains_key(*attr));
    let broken: BTreeSet<String> = lost.map(str::to_owned).collect();
    let facts = Facts {
        evaluated_before,
        evaluated_after: after.evaluated,
        finished_earlier: finished_earlier + after.finished_earlier,
        sampled,
        exhaustive,
        derivations_after,
        failures_before,
        failure_causes: causes(&after.failures),
        failures: std::mem::take(&mut after.failures),
        left_out: exhaustive.then(|| {
            after.left_out.sort();
            std::mem::take(&mut after.left_out)
        }),
        broken: broken.into_iter().collect(),
        warnings: told.warnings,
    };
    Ok(Sides { before, after: graph, facts })
}

fn all_again(why: String) -> Warning {
    Warning { code: "OV1081", message: format!("every attribute is evaluated again: {why}"), place: None, hint: None }
}

/// Returns the path of an attribute as [`attr_path_text`] wrote it.
fn segments(attr: &str) -> Vec<String> {
    crate::overlay::AttrPath::parse(attr).map_or_else(|_| vec![attr.to_owned()], |path| path.names().to_vec())
}

fn roots(derivations: BTreeMap<String, String>) -> Vec<GraphRoot> {
    derivations.into_iter().map(|(attr, drv_path)| GraphRoot { attr: Some(attr), drv_path }).collect()
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

/// Evaluates attributes of one side by the pool. What an earlier run finished of it is taken up; what this one finishes is kept until it
/// is at its end.
fn evaluate(nix: &Nix, set: &Asked<'_>, expected: Option<usize>, told: &mut Told<'_>) -> Result<Outcomes, Error> {
    let whole = set.paths.iter().any(Vec::is_empty);
    let asked: BTreeSet<&[String]> = set.paths.iter().map(Vec::as_slice).collect();
    let is_asked =
        |path: &Names| (0..=path.len()).any(|end| path.get(..end).is_some_and(|above| asked.contains(above)));
    let (watched, watch) = nix.watched([set.root]);
    let finished = Finished::take_up(nix, set.root);
    // What earlier runs finished of other attributes stays kept, and is none of this answer.
    let (others, taken_up): (Vec<_>, Vec<_>) =
        finished.all().iter().partition(|(attr, _)| !whole && !is_asked(&segments(attr)));
    let others: BTreeSet<Box<str>> = others.into_iter().map(|(attr, _)| attr.clone()).collect();
    let taken_up: BTreeSet<Names> = taken_up.into_iter().map(|(attr, _)| segments(attr)).collect();
    let count = if whole { "every attribute".to_owned() } else { plural(set.paths.len(), "attribute") };
    let earlier = match taken_up.len() {
        0 => String::new(),
        count => format!(", {} finished by an earlier run", plural(count, "attribute")),
    };
    let workers = plural(set.settings.workers, "evaluator");
    told.progress.stage(&format!("evaluating {count} {}, {workers}{earlier}", set.what));
    let mut found = Gathering::new(expected, told.progress, finished, &watch, taken_up.len());
    let result =
        watched.evaluate_rest(set.root, set.paths.clone(), &taken_up, set.settings, &mut |path, evaluated, left| {
            found.take(&path, evaluated, left);
        });
    if let Err(error) = result {
        let count = found.finished.save(&watch);
        if count > 0 {
            let count = plural(count, "attribute");
            found.progress.stage(&format!("{count} finished, which are kept: the next run goes on from there"));
        }
        return Err(error.into());
    }
    let mut outcomes = Outcomes { evaluated: found.evaluated, finished_earlier: taken_up.len(), ..Outcomes::default() };
    let (all, earlier) = found.finished.done();
    for (attr, done) in all.into_iter().filter(|(attr, _)| !others.contains(attr)) {
        match done {
            Done::Derivation(drv_path) => drop(outcomes.derivations.insert(attr.into(), drv_path.into())),
            Done::Failed(why) | Done::FailedNow(why) => drop(outcomes.failures.insert(attr.into(), why.into())),
            Done::LeftOut => outcomes.left_out.push(attr.into()),
            Done::Other => {}
        }
    }
    outcomes.looked = (watch.reads(), earlier);
    Ok(outcomes)
}

struct Asked<'a> {
    root: &'a Root,
    /// The attributes; the empty path stands for all.
    paths: Vec<Names>,
    settings: PoolSettings,
    what: &'static str,
}

/// What the user is told of evaluations.
struct Told<'p> {
    progress: &'p mut dyn Progress,
    warnings: Vec<Warning>,
}

/// Outcomes on their way in.
struct Gathering<'p> {
    finished: Finished,
    watch: &'p Watch,
    expected: Option<usize>,
    progress: &'p mut dyn Progress,
    start: Instant,
    told: Instant,
    evaluated: usize,
    /// How many of these before this run.
    earlier: usize,
}

impl<'p> Gathering<'p> {
    fn new(
        expected: Option<usize>,
        progress: &'p mut dyn Progress,
        finished: Finished,
        watch: &'p Watch,
        earlier: usize,
    ) -> Gathering<'p> {
        let now = Instant::now();
        Gathering { finished, watch, expected, progress, start: now, told: now, evaluated: earlier, earlier }
    }

    fn take(&mut self, path: &[String], evaluated: Evaluated, left: usize) {
        self.finished.add(path, evaluated, self.watch);
        self.evaluated += 1;
        if self.told.elapsed() > TELL {
            self.told = Instant::now();
            let total = (self.evaluated + left).max(self.expected.unwrap_or_default());
            let own = self.evaluated - self.earlier;
            let rest = self.start.elapsed().as_secs_f64() / own as f64 * (total - self.evaluated) as f64;
            // The first answers say nothing: all need what they need.
            let is_known = own >= ENOUGH.min(total / 4);
            let rest = if is_known { format!(", about {rest:.0} s left") } else { String::new() };
            self.progress.stage(&format!("evaluated {} of {total} attributes{rest}", self.evaluated));
        }
    }
}

/// Groups failures by what they say, the most frequent first: one package that is missing is one line, however many need it.
fn causes(failures: &BTreeMap<String, String>) -> Vec<FailureCause> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (attr, why) in failures {
        groups.entry(why.as_str()).or_default().push(attr);
    }
    let mut causes: Vec<FailureCause> = groups
        .into_iter()
        .map(|(why, attributes)| FailureCause {
            message: why.to_owned(),
            count: attributes.len(),
            example: attributes.first().map_or_else(String::new, |attr| (*attr).to_owned()),
        })
        .collect();
    causes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.message.cmp(&b.message)));
    causes
}

/// Returns the attributes that the options name: none for all of the set.
fn named(nix: &Nix, root: &Root, options: &Options) -> Result<Vec<Names>, Error> {
    let mut paths: BTreeSet<Names> = BTreeSet::new();
    if let Some(file) = &options.attrs {
        for line in
            fs::read_text(file)?.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            paths.insert(AttrPath::parse(line).map_err(targets::Error::from)?.names().to_vec());
        }
    }
    for set in &options.sets {
        let set = AttrPath::parse(set).map_err(targets::Error::from)?;
        let names = nix.attr_names(root, set.names())?;
        let below = names.into_iter().filter(|name| name != "recurseForDerivations");
        paths.extend(below.map(|name| [set.names(), &[name]].concat()));
    }
    Ok(paths.into_iter().collect())
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

impl Outcome for AllImpact<'_> {
    const SCHEMA: &'static str = "overlayctl.impact-all/1";
}
