//! `gate`: what a change costs, held against the budgets of `overlayctl.toml`, before it is merged.
//!
//! The budgets that count are those of the workspace as it is; what a change loosens of them is said. What cannot be measured is
//! unknown, and with a budget on it that is no better than too much.

mod blame;
mod measure;

use std::path::PathBuf;

use serde::Serialize;

use super::impact::Changes;
use super::{Error, Outcome};
use crate::base::diagnostic::{Verdict, Warning};
use crate::base::fs;
use crate::base::progress::Progress;
use crate::base::span::Place;
use crate::comparison::baseline::Baseline;
use crate::comparison::unreached::{self, Unreached};
use crate::comparison::{self, Base, TargetFailure};
use crate::config::budget::{Key, Limit, Scope};
use crate::config::{FILE_NAME, Workspace, key_span};
use crate::git;
use crate::graph::{Counts, Delta};
use crate::targets::{Selection, engine};
pub use blame::Blame;
use measure::Measure;
pub use measure::Measured;

/// What is judged.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub selection: Selection,
    pub revision: String,
    /// Whether whatever is only worth a word makes the answer no, too.
    pub strict: bool,
}

/// How the change stands to its budgets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    pub passed: bool,
    pub compared_with: String,
    pub base: Base,
    #[serde(flatten)]
    pub since: Changes,
    pub targets: Vec<String>,
    /// What is rebuilt in all.
    pub counts: Counts,
    pub limits: Vec<Judged>,
    pub loosened: Vec<Loosened>,
    /// Limits of what was not looked at.
    pub idle: Vec<Idle>,
    /// Targets that do not evaluate: nothing is known of them.
    pub failures: Vec<TargetFailure>,
    /// Where each of these fails, where that is in the repository.
    #[serde(skip)]
    pub failing: Vec<Option<Site>>,
    /// The file of the budgets, where whatever has no place of its own is shown.
    #[serde(skip)]
    pub file: Site,
    /// Patches that reach none of the targets; looked for with `--strict` only.
    pub unreached: Vec<Unreached>,
    pub strict: bool,
    pub warnings: Vec<Warning>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    Within,
    Over,
    /// It could not be measured well enough to tell.
    Unknown,
}

/// A limit and what was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    #[serde(flatten)]
    pub limit: Limit,
    pub standing: Standing,
    #[serde(flatten)]
    pub measured: Measured,
    /// Where the limit stands.
    pub site: Site,
    /// What it is over the limit because of, the costliest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Blame>,
    /// How many of what was counted could not be put down to a change.
    pub without_cause: usize,
    /// From the root cause to a target, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
}

/// A limit that the change itself raises or takes away.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loosened {
    #[serde(flatten)]
    pub limit: Limit,
    /// The new limit; absent where there is none any more.
    pub now: Option<u64>,
    /// How what was measured stands to the limit as it was.
    pub standing: Standing,
    #[serde(flatten)]
    pub measured: Measured,
    pub site: Site,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Idle {
    #[serde(flatten)]
    pub limit: Limit,
    pub site: Site,
    /// Why it was not looked at; one sentence without its full stop.
    pub why: String,
}

/// Where something is: the file as the user would write it, and below the repository, as CI servers want it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Site {
    pub path: PathBuf,
    #[serde(skip)]
    pub file: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

impl Site {
    /// `place` is written from the workspace where it is below it.
    fn of(workspace: &Workspace, place: &Place, file: PathBuf) -> Site {
        let below = workspace.path(&place.path);
        let path = if below.exists() { below } else { place.path.clone() };
        Site { path, file, line: place.line_col.map(|at| at.line), column: place.line_col.map(|at| at.column) }
    }
}

/// The text of `overlayctl.toml`, for places in it, and where the workspace is in its repository.
struct File<'w> {
    workspace: &'w Workspace,
    text: String,
    below: PathBuf,
}

impl File<'_> {
    /// Returns where a limit stands, or would.
    fn site(&self, limit: &Limit) -> Site {
        let place = match key_span(&self.text, &limit.path(), |_| false) {
            Some(span) => Place::in_text(FILE_NAME, &self.text, span),
            None => Place::file(FILE_NAME),
        };
        Site::of(self.workspace, &place, self.below.join(FILE_NAME))
    }
}

/// Returns the key that the side of the revision is kept by; evaluates nothing.
///
/// # Errors
/// As [`gate`], before anything is evaluated.
pub fn base_key(workspace: &Workspace, options: &Options) -> Result<BaseKey, Error> {
    let selection = everything(workspace, &options.selection);
    Ok(BaseKey { key: comparison::base_key(workspace, &selection, &options.revision)? })
}

/// What the side of the revision is kept by; absent where it is not kept.
#[derive(Debug, Serialize)]
pub struct BaseKey {
    pub key: Option<String>,
}

impl Outcome for BaseKey {
    const SCHEMA: &'static str = "overlayctl.gate-base-key/1";

    fn verdict(&self) -> Option<Verdict> {
        self.key.is_none().then_some(Verdict::No)
    }
}

/// Holds what changed since a revision against the budgets.
///
/// # Errors
/// Those of the comparison: the revision cannot be evaluated, or no target can.
pub fn gate(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Gate, Error> {
    let selection = everything(workspace, &options.selection);
    let baseline = Baseline::Revision { revision: options.revision.clone(), overlays_only: false };
    let mut comparison = comparison::without_causes(workspace, &selection, &baseline, progress)?;
    let text = workspace.file().map(fs::read_text).transpose()?.unwrap_or_default();
    let (root, below) = git::working_directory(workspace.root())?.unwrap_or_default();
    let file = File { workspace, text, below: below.clone() };
    let (limits, old_limits) = (
        workspace.settings().limits(),
        comparison.since.as_ref().map(|since| since.limits.clone()).unwrap_or_default(),
    );
    let (mut judged, mut idle, mut loosened) = (Vec::new(), Vec::new(), Vec::new());
    let counts = {
        let delta = Delta::between(&comparison.before, &comparison.after);
        let mut measure = Measure::new(workspace, &selection, &comparison, &delta, &file.below, progress);
        for limit in limits.iter().cloned() {
            let site = file.site(&limit);
            match measure.of(&limit)? {
                Ok((measured, subject)) => {
                    let standing = measured.against(limit.most);
                    let (causes, without_cause, chain) = (Vec::new(), 0, Vec::new());
                    judged.push((Judged { limit, standing, measured, site, causes, without_cause, chain }, subject));
                }
                Err(why) => idle.push(Idle { limit, site, why }),
            }
        }
        for old in old_limits {
            let is_gone = match &old.scope {
                Scope::Board { board } | Scope::Target { board: Some(board), .. } => {
                    !workspace.settings().boards.contains_key(board)
                }
                _ => false,
            };
            let now = limits.iter().find(|limit| limit.scope == old.scope && limit.key == old.key).map(|now| now.most);
            if is_gone || now.is_some_and(|now| now <= old.most) {
                continue;
            }
            let measured = measure.of(&old)?.map_or_else(Measured::unknown, |(measured, _)| measured);
            let (standing, site) = (measured.against(old.most), file.site(&old));
            loosened.push(Loosened { limit: old, now, standing, measured, site });
        }
        delta.counts()
    };
    if judged.iter().any(|(judged, _)| judged.standing != Standing::Within) {
        comparison.find_causes(workspace, &selection, progress)?;
        let delta = Delta::between(&comparison.before, &comparison.after);
        for (judged, subject) in judged.iter_mut().filter(|(judged, _)| judged.standing != Standing::Within) {
            blame::blame(workspace, &comparison, &delta, subject, judged);
        }
    }
    let unreached = match options.strict {
        true => unreached::of(workspace, &selection, &baseline, &comparison, &engine::nix(workspace)?)?,
        false => Vec::new(),
    };
    let Some((mut since, _)) = Changes::of(&comparison) else {
        return Err(Error::usage("there is no revision to compare with", "name one with --against"));
    };
    let base = comparison.since.as_ref().map(|since| since.base.clone()).unwrap_or(Base {
        key: None,
        from_cache: false,
        kept: false,
    });
    // Which change is to blame was only asked for where something is over.
    if since.changes.iter().all(|change| change.rebuilds.is_none()) {
        since.unexplained = 0;
    }
    let failing = comparison.failures.iter().map(|failed| {
        let place = failed.failure.place.as_ref()?;
        let file = place.path.strip_prefix(&root).ok()?;
        let place = Place { path: file.strip_prefix(&below).unwrap_or(file).to_path_buf(), ..(**place).clone() };
        Some(Site::of(workspace, &place, file.to_path_buf()))
    });
    let failing = failing.collect();
    let mut gate = Gate {
        passed: false,
        compared_with: baseline.to_string(),
        base,
        since,
        targets: comparison.targets.iter().map(|target| target.name.clone()).collect(),
        counts,
        limits: judged.into_iter().map(|(judged, _)| judged).collect(),
        loosened,
        idle,
        failures: comparison.failures,
        failing,
        file: Site::of(workspace, &Place::file(FILE_NAME), below.join(FILE_NAME)),
        unreached,
        strict: options.strict,
        warnings: comparison.warnings,
    };
    gate.passed = gate.verdict().is_none();
    Ok(gate)
}

/// Returns what is judged: what is named, else the targets of the workspace, and where it names none all of its boards.
fn everything(workspace: &Workspace, selection: &Selection) -> Selection {
    let mut selection = selection.clone();
    let is_open = selection.targets.is_empty()
        && selection.boards.is_empty()
        && selection.cross.is_none()
        && !selection.is_static;
    if is_open && workspace.settings().targets.is_empty() && !workspace.settings().boards.is_empty() {
        selection.boards.push("all".to_owned());
    }
    selection
}

impl Gate {
    /// Returns what is worth a word and makes the answer no only with `--strict`, as a count.
    pub fn doubts(&self) -> usize {
        let ours = self.unreached.iter().filter(|one| one.ours).count();
        self.loosened.len() + self.idle.len() + self.since.only_before.len() + ours + usize::from(self.is_unbudgeted())
    }

    /// Says whether there is nothing to hold the change against.
    pub fn is_unbudgeted(&self) -> bool {
        self.limits.is_empty() && self.idle.is_empty()
    }
}

impl Outcome for Gate {
    const SCHEMA: &'static str = "overlayctl.gate/1";

    fn verdict(&self) -> Option<Verdict> {
        let is_bad = self.limits.iter().any(|judged| judged.standing != Standing::Within) || !self.failures.is_empty();
        (is_bad || (self.strict && self.doubts() > 0)).then_some(Verdict::No)
    }
}

/// Says whether a limit counts derivations, so that changes are its causes.
fn counts_derivations(key: Key) -> bool {
    matches!(key, Key::Builds | Key::OwnBuilds | Key::BuildTime | Key::ClosureGrowth)
}
