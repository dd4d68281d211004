//! `build`: a plan, then Nix builds it, then results, logs and durations are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::history::History;
use super::live::Live;
use crate::base::diagnostic::{Verdict, Warning};
use crate::base::progress::Progress;
use crate::base::store_path;
use crate::comparison::baseline::Baseline;
use crate::comparison::unreached::{self, Unreached};
use crate::comparison::{self, Comparison};
use crate::config::Workspace;
use crate::config::state;
use crate::config::state::log_file;
use crate::graph::{Delta, NodeId};
use crate::nix::{self, BuildReport, BuildRequest, Goal};
use crate::ops::{Error, Outcome};
use crate::queue::session;
use crate::targets::Selection;
use crate::targets::engine;

mod failed;
mod keep;
pub(crate) mod plan;
mod report_file;

pub use crate::nix::BuildSettings;
pub use failed::{BuildFailure, FailingPatch};
pub use plan::Plan;
pub use report_file::{ReportFile, ReportFormat};

/// What `build` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub selection: Selection,
    /// Packages whose worktree of `edit` takes the place of their source and patches, as typed.
    pub edited: Vec<String>,
    /// Whether it ends with the plan.
    pub dry_run: bool,
    /// Whether it is refused when more than downloads is needed.
    pub no_builds: bool,
    pub settings: BuildSettings,
    /// A store that the results are copied to.
    pub copy_to: Option<String>,
    /// Files that the outcome is written to.
    pub reports: Vec<ReportFile>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Built {
    pub targets: Vec<BuiltTarget>,
    pub plan: Plan,
    /// Whether it ended with the plan.
    pub dry_run: bool,
    /// What became of each derivation of the rebuild set.
    pub rebuild: Vec<Fate>,
    /// What else was built: it was not there, and the overlays have nothing to do with it.
    pub others: Vec<Fate>,
    /// Builds that failed, each that is not the consequence of another.
    pub failures: Vec<BuildFailure>,
    pub interrupted: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Where the logs are.
    pub logs: PathBuf,
    /// What Nix said when it failed without a failing build.
    pub messages: Vec<String>,
    /// Patches of the workspace that reach none of the targets.
    pub unreached: Vec<Unreached>,
    pub warnings: Vec<Warning>,
    #[serde(skip)]
    pub(crate) failed_targets: Vec<comparison::TargetFailure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltTarget {
    /// Its whole attribute path.
    pub target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    pub drv_path: String,
    pub out_path: String,
    pub link: Option<PathBuf>,
    pub built: bool,
}

/// What became of a derivation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fate {
    pub drv_path: String,
    pub name: String,
    pub outcome: nix::Outcome,
    /// How long its build took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The machine, when another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its log, when it was built now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
}

/// Builds the targets with the workspace's overlays.
///
/// # Errors
/// [`nix::Error::WouldBuild`] with `no_builds`; those of the workspace, of evaluation and of running Nix; that a build fails is in the outcome.
pub fn build(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Built, Error> {
    let mut selection = options.selection.clone();
    selection.edited =
        options.edited.iter().map(|typed| session::overlay(workspace, typed)).collect::<Result<_, _>>()?;
    let nix = engine::nix(workspace)?;
    let comparison = comparison::of_workspace(workspace, &selection, progress)?;
    let delta = Delta::between(&comparison.before, &comparison.after);
    progress.stage("asking Nix what is there already");
    let history = History::open();
    let targets = targets(workspace, &comparison);
    let request = request(options, &comparison, &targets);
    let plan = plan::make(&nix, &comparison, &delta, &history, &request)?;
    if options.no_builds {
        plan.refuse(&targets)?;
    }
    let logs = workspace.state_dir().join("logs");
    let mut built = Built {
        targets,
        plan,
        dry_run: options.dry_run,
        rebuild: Vec::new(),
        others: Vec::new(),
        failures: Vec::new(),
        interrupted: false,
        seconds: 0.0,
        logs: logs.clone(),
        messages: Vec::new(),
        unreached: unreached::of(workspace, &selection, &Baseline::Unpatched, &comparison, &nix)?,
        warnings: comparison.warnings.clone(),
        failed_targets: comparison.failures.clone(),
    };
    if options.dry_run {
        report_file::write(&built, &options.reports)?;
        return Ok(built);
    }
    state::dir(workspace)?;
    let expected = built.plan.expected_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let mut keeper = keep::Keeper::new(&nix, &comparison.after, history, logs.clone());
    let mut live = Live::new(&comparison, &delta, &built.plan, expected, progress);
    let report = nix.build(&request, &mut |event, state| {
        keeper.on_event(event, state);
        live.on_event(event, state);
    })?;
    drop(live);
    keeper.rest(&report);
    built.warnings.extend(keeper.warning());
    let unnamed: Vec<NodeId> = delta
        .rebuilt()
        .iter()
        .copied()
        .filter(|id| !report.results.contains_key(comparison.after.node(*id).drv_path()))
        .collect();
    // After Ctrl-C Nix cannot be asked any more.
    let present = if report.interrupted { None } else { Some(plan::present(&nix, &comparison.after, &unnamed)?) };
    settle(&mut built, &comparison, &delta, &report, &logs, present.as_ref());
    built.failures = failed::describe(&nix, &comparison, &report)?;
    report_file::write(&built, &options.reports)?;
    if report.status == Some(0)
        && let Some(store) = &options.copy_to
    {
        progress.stage(&format!("copying to {store}"));
        let paths: Vec<&str> = built.targets.iter().map(|t| t.out_path.as_str()).collect();
        nix.copy_to(store, &paths)?;
    }
    // Newer Nix names every derivation that no machine could build; no builder of theirs failed.
    let no_builder = report
        .results
        .values()
        .filter(|r| r.outcome == nix::Outcome::Failed)
        .all(|r| r.failure.as_ref().is_some_and(|failure| matches!(failure.reason, nix::Reason::NoMachine { .. })));
    if no_builder
        && !built.interrupted
        && let Some(told) = no_machine(&report)
    {
        return Err(Error::NoMachine { told });
    }
    if built.failures.is_empty() && !built.interrupted {
        report.check()?;
    }
    Ok(built)
}

fn targets(workspace: &Workspace, comparison: &Comparison) -> Vec<BuiltTarget> {
    let mut names = BTreeSet::new();
    comparison
        .targets
        .iter()
        .map(|target| {
            let mut name = crate::targets::link_name(target.board.as_deref(), &target.attr, &target.name);
            while !names.insert(name.clone()) {
                name.push('_');
            }
            BuiltTarget {
                target: target.name.clone(),
                board: target.board.clone(),
                drv_path: target.after.clone(),
                out_path: target.instantiated.out_path.clone(),
                link: Some(workspace.path(name)),
                built: false,
            }
        })
        .collect()
}

fn request(options: &Options, comparison: &Comparison, targets: &[BuiltTarget]) -> BuildRequest {
    let goals = comparison.targets.iter().zip(targets).map(|(t, built)| Goal::of(&t.instantiated, built.link.clone()));
    BuildRequest { goals: goals.collect(), settings: options.settings.clone() }
}

/// Returns what Nix said of the machines when none of them could build.
fn no_machine(report: &BuildReport) -> Option<Vec<String>> {
    let gave_up =
        |text: &String| text.contains("unable to start any build") || text.contains("Failed to find a machine");
    if report.status == Some(0) || !report.messages.iter().any(gave_up) {
        return None;
    }
    let mut told: Vec<String> = Vec::new();
    for message in report.messages.iter().filter(|text| text.contains("cannot build on") || text.contains("ssh:")) {
        let line = message.lines().collect::<Vec<_>>().join(" ").replace(": error: ", ": ");
        if !told.contains(&line) {
            told.push(line);
        }
    }
    Some(told)
}

fn settle(
    built: &mut Built,
    comparison: &Comparison,
    delta: &Delta<'_>,
    report: &BuildReport,
    logs: &std::path::Path,
    present: Option<&BTreeSet<NodeId>>,
) {
    built.seconds = report.elapsed.as_secs_f64();
    built.interrupted = report.interrupted;
    // What the plan does not name was there.
    let planned: BTreeSet<&str> = built.plan.build.iter().map(|b| b.drv_path.as_str()).collect();
    let fate = |drv_path: &str| {
        let result = report.results.get(drv_path);
        let there = match (present, comparison.after.find(drv_path)) {
            (Some(present), Some(id)) => present.contains(&id),
            _ => !planned.contains(drv_path),
        };
        let unnamed = match there {
            true => nix::Outcome::Already,
            false if report.status == Some(0) || !planned.contains(drv_path) => nix::Outcome::NotNeeded,
            false => nix::Outcome::NotRun,
        };
        let outcome = result.map_or(unnamed, |r| r.outcome);
        let log = log_file(logs, drv_path);
        Fate {
            drv_path: drv_path.to_string(),
            name: store_path::drv_name(drv_path).to_string(),
            outcome,
            seconds: result.and_then(|r| r.elapsed).map(|e| e.as_secs_f64()).filter(|_| outcome == nix::Outcome::Built),
            host: result.and_then(|r| r.host.clone()),
            log: (outcome == nix::Outcome::Built && log.is_file()).then_some(log),
        }
    };
    let after = &comparison.after;
    let path = |id: &NodeId| after.node(*id).drv_path();
    let rebuilt: BTreeSet<&str> = delta.rebuilt().iter().map(path).collect();
    built.rebuild = delta.rebuilt().iter().map(|id| fate(path(id))).collect();
    built.others = report.results.keys().filter(|drv| !rebuilt.contains(drv.as_str())).map(|drv| fate(drv)).collect();
    built
        .others
        .retain(|fate| !matches!(fate.outcome, nix::Outcome::Already | nix::Outcome::NotNeeded | nix::Outcome::NotRun));
    let done: BTreeMap<&str, nix::Outcome> = report.results.iter().map(|(drv, r)| (drv.as_str(), r.outcome)).collect();
    for target in &mut built.targets {
        let outcome = done.get(target.drv_path.as_str());
        target.built = report.status == Some(0)
            || matches!(outcome, Some(nix::Outcome::Built | nix::Outcome::Substituted | nix::Outcome::Already));
        target.link = target.link.take().filter(|_| target.built);
    }
    if report.status != Some(0) {
        built.messages.clone_from(&report.messages);
    }
}

impl Outcome for Built {
    const SCHEMA: &'static str = "overlayctl.build/1";

    fn verdict(&self) -> Option<Verdict> {
        if self.interrupted || !self.failed_targets.is_empty() && self.failures.is_empty() {
            return Some(Verdict::Error);
        }
        (!self.failures.is_empty()).then_some(Verdict::No)
    }
}
