//! `bump`: what moving nixpkgs costs, patch by patch and board by board, and the move itself as one batch.
//!
//! The report is made in a trial: the pin is moved in a copy of the workspace, the queues are merged in a temporary directory. With
//! `apply` the queues are rebased in the workspace and written together with the pin; a conflict stops it where `rebase` stops.

mod bisect;
mod broken;
mod moved;
mod rebuilds;

use std::path::PathBuf;

use serde::Serialize;

use super::history::History;
use super::rebase::{self, Beside, Draft, Rebased};
use super::{Error, Outcome, check};
use crate::base::diagnostic::{Coded as _, Verdict, Warning};
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::nix::Root;
use crate::overlay::AttrPath;
use crate::pin::Pin;
use crate::queue::copy::Copy;
use crate::queue::error::Error as QueueError;
use crate::queue::series::Series;
use crate::queue::source::{self, Source};
use crate::targets::{self, engine};
pub use bisect::{Bisected, Options as Bisection, bisect};
pub use broken::Broken;
use moved::Moved;
pub use rebuilds::{Board, Failure, Rebuilt};

/// What `bump` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the pin goes: a path, a revision, a branch, a flake reference; the newest of its branch when absent.
    pub to: Option<String>,
    /// The pin, by name; that of nixpkgs when absent.
    pub input: Option<String>,
    /// The boards, by name; all when empty.
    pub boards: Vec<String>,
    /// Whether a source may be built that is neither there nor in a cache.
    pub build: bool,
    pub apply: bool,
    /// Whether the result is not evaluated before it is written.
    pub offline: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bumped {
    pub pin: Moving,
    /// The packages, sorted by attribute path.
    pub packages: Vec<Package>,
    /// What overlays bind and what does not evaluate any more.
    pub overlays: Vec<Broken>,
    pub boards: Vec<Board>,
    /// Patches that the new sources have.
    pub unnecessary: Vec<PathBuf>,
    /// What is not known, in sentences.
    pub unknown: Vec<String>,
    /// How it was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<Rebased>,
    /// Why it was not, or cannot be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_applied: Option<NotApplied>,
    pub warnings: Vec<Warning>,
}

/// The pin, and where it goes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moving {
    pub name: String,
    pub file: PathBuf,
    pub from: Option<String>,
    pub to: Option<String>,
    /// The package set that it leads to.
    pub nixpkgs: String,
    #[serde(skip)]
    pub(crate) shown: String,
}

/// Why a bump is not carried out.
#[derive(Debug, Serialize)]
pub struct NotApplied {
    pub why: String,
    pub hint: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    pub attr: AttrPath,
    /// Its name and version before.
    pub from: Option<String>,
    /// Its name and version afterwards.
    pub to: Option<String>,
    pub same_source: bool,
    /// What nixpkgs says became of the attribute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone: Option<Gone>,
    pub patches: Vec<Patch>,
    /// Patches that the overlays fetch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fetched: Vec<check::Fetched>,
    /// Why nothing is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<check::Failure>,
}

/// An attribute that the new nixpkgs does not have, or has by another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gone {
    /// What nixpkgs says itself; absent where it only has another name for the package, or nothing at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The attributes that nixpkgs names instead.
    pub instead: Vec<String>,
    /// Names that are near, where it says nothing: guesses.
    pub near: Vec<String>,
    /// Whether the old name is still there, as another name of the first that is named instead.
    pub is_alias: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    pub path: PathBuf,
    pub subject: String,
    /// How it applies to the new source as it is.
    pub applies: check::State,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What a three-way merge with the old source as base makes of it; absent where both sources are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge: Option<rebase::State>,
    /// The files in which it conflicts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

impl Patch {
    /// Says whether the new source has it, so that nobody needs it any more.
    pub(crate) fn is_upstream(&self) -> bool {
        match self.merge {
            Some(state) => state == rebase::State::Merged,
            None => self.applies == check::State::AlreadyUpstream,
        }
    }

    /// Says whether somebody has to do something about it.
    pub(crate) fn needs_a_hand(&self) -> bool {
        match self.merge {
            Some(state) => !matches!(state, rebase::State::Rebased | rebase::State::Merged),
            None => !self.applies.fits() && !self.is_upstream(),
        }
    }
}

impl Package {
    /// Says whether somebody has to do something about it.
    pub(crate) fn needs_a_hand(&self) -> bool {
        self.failure.is_some()
            || self.gone.is_some()
            || self.patches.iter().any(Patch::needs_a_hand)
            || self.fetched.iter().any(|fetched| !fetched.applies)
    }
}

impl Bumped {
    /// Says whether anything is left that somebody has to do, or that is not known.
    pub(crate) fn needs_a_hand(&self) -> bool {
        let is_done = self.applied.as_ref().is_some_and(|applied| applied.written);
        let boards = self.boards.iter().any(|board| !board.failures.is_empty());
        let queues = self.packages.iter().any(Package::needs_a_hand) && !is_done;
        let stuck = self.applied.as_ref().is_some_and(|applied| !applied.written);
        queues || stuck || boards || !self.overlays.is_empty() || !self.unknown.is_empty() || self.not_applied.is_some()
    }
}

/// A pair of sources of a package: before and after.
type Pair = (Result<Source, QueueError>, Result<Source, QueueError>);

/// Reports what moving the pin does, and moves it where that is asked for.
///
/// # Errors
/// Those of the pin, of the workspace and of Nix as a whole; what is wrong with one package is in its row.
pub fn bump(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Bumped, Error> {
    let boards = match (options.boards.is_empty(), workspace.settings().boards.is_empty()) {
        (true, true) => Vec::new(),
        (true, false) => vec!["all".to_owned()],
        _ => options.boards.clone(),
    };
    for name in &boards {
        workspace.boards(name)?;
    }
    let queues = rebase::queues(workspace, &[], None, false)?;
    let pin = Pin::of(workspace, options.input.as_deref())?;
    let moved = Moved::of(workspace, pin, options.to.as_deref(), progress)?;
    let pairs = History::ask(options.build, |building| -> Result<Vec<Pair>, Error> {
        let asked: Vec<&Series> = queues.iter().collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let old = source::of_queues(workspace, None, &asked, building, progress)?;
        let new = source::of_queues(workspace, Some(&moved.nixpkgs), &asked, building, progress)?;
        Ok(old.into_iter().zip(new).collect())
    })?;
    progress.stage("merging");
    let mut warnings: Vec<Warning> = Vec::new();
    warnings.extend(pairs.iter().filter_map(|(_, new)| new.as_ref().ok()).flat_map(|new| new.warnings.clone()));
    let checked: Vec<_> = queues.iter().zip(&pairs).map(|(queue, (_, new))| checked(queue, new)).collect();
    // The sources are merged twice where it is carried out: to the end for the report, and up to the first conflict in the workspace.
    let kept = options.apply.then(|| again(&pairs));
    let trial = Draft::of(workspace, &queues, pairs.into_iter(), true)?;
    let mut packages = rows(&queues, checked, &trial);
    attributes(workspace, &moved.nixpkgs, &mut packages)?;
    let (mut written, removed) = trial.planned(workspace)?;
    written.extend(moved.written());
    let copy = Copy::with(workspace, &written, &removed)?;
    let there = (&copy.workspace, moved.nixpkgs.as_str());
    progress.stage("evaluating what the overlays bind");
    let overlays = broken::find(workspace, there, &boards)?;
    let mut unknown = Vec::new();
    let rebuilds = rebuilds::of(workspace, there, &boards, progress)?;
    if rebuilds.is_empty() {
        unknown.push("what is rebuilt: overlayctl.toml names neither boards nor targets".to_owned());
    }
    let upstream = |package: &Package| -> Vec<PathBuf> {
        package.patches.iter().filter(|patch| patch.is_upstream()).map(|patch| patch.path.clone()).collect()
    };
    let mut bumped = Bumped {
        pin: Moving {
            name: moved.pin.name.clone(),
            file: moved.pin.file.clone(),
            from: moved.pin.now.clone(),
            to: moved.to.clone(),
            nixpkgs: moved.nixpkgs.clone(),
            shown: moved.pin.to_string(),
        },
        unnecessary: packages.iter().flat_map(upstream).collect(),
        packages,
        overlays,
        boards: rebuilds,
        unknown,
        applied: None,
        not_applied: None,
        warnings,
    };
    if let Some(pairs) = kept {
        match refusal(&bumped, &moved) {
            Some(refused) => bumped.not_applied = Some(refused),
            None => apply(workspace, &queues, pairs, &moved, options.offline, &mut bumped)?,
        }
    }
    Ok(bumped)
}

/// Says why a bump cannot be carried out as it is.
fn refusal(bumped: &Bumped, moved: &Moved) -> Option<NotApplied> {
    if let Err((why, hint)) = &moved.text {
        return Some(NotApplied { why: why.clone(), hint: hint.clone() });
    }
    let stuck = bumped.packages.iter().find(|package| package.failure.is_some() || package.gone.is_some())?;
    let why = match (&stuck.gone, &stuck.failure) {
        (Some(gone), _) => format!("`{}` {}", stuck.attr, gone.words()),
        (None, Some(failure)) => format!("nothing is known of `{}`: {}", stuck.attr, failure.message),
        (None, None) => String::new(),
    };
    let hint = format!(
        "patch it by the name that it has, or take its patches out (`overlayctl unpatch {}`), and bump again",
        stuck.attr
    );
    Some(NotApplied { why, hint })
}

fn apply(
    workspace: &Workspace,
    queues: &[Series],
    pairs: Vec<Pair>,
    moved: &Moved,
    offline: bool,
    bumped: &mut Bumped,
) -> Result<(), Error> {
    let Ok(text) = &moved.text else { return Ok(()) };
    let mut beside = Beside::new(&moved.nixpkgs);
    beside.file(workspace, &moved.pin.file, moved.pin.old.as_deref().map(str::as_bytes), text);
    let draft = Draft::of(workspace, queues, pairs.into_iter(), false)?;
    let mut applied = draft.take_up(workspace, Some(&beside), offline)?;
    bumped.warnings.append(&mut applied.warnings);
    bumped.applied = Some(applied);
    Ok(())
}

/// Returns the sources once more; what is wrong with one is in the report already.
fn again(pairs: &[Pair]) -> Vec<Pair> {
    let once = |source: &Result<Source, QueueError>| match source {
        Ok(source) => Ok(source.clone()),
        Err(error) => Err(QueueError::NoSource { attr: error.to_string() }),
    };
    pairs.iter().map(|(old, new)| (once(old), once(new))).collect()
}

/// Applies a queue to its new source as it is.
fn checked(queue: &Series, new: &Result<Source, QueueError>) -> Result<check::Package, check::Failure> {
    let failure =
        |error: &QueueError| check::Failure { code: error.code(), message: error.to_string(), hint: error.hint() };
    match new {
        Ok(source) => check::package(queue, source).map_err(|error| failure(&error)),
        Err(error) => Err(failure(error)),
    }
}

/// Puts together what is known of each package.
fn rows(queues: &[Series], checked: Vec<Result<check::Package, check::Failure>>, trial: &Draft) -> Vec<Package> {
    let merged: Vec<rebase::Package> = trial.rows().collect();
    let row = |(queue, checked): (&Series, Result<check::Package, check::Failure>)| {
        let merged = merged.iter().find(|row| row.attr == queue.attr);
        let (checked, failure) = match checked {
            Ok(checked) => (Some(checked), None),
            Err(failure) => (None, Some(failure)),
        };
        let failure = failure.or_else(|| merged.and_then(|row| row.failure.clone()));
        let same_source = merged.is_some_and(|row| row.same_source);
        let (applied, fetched) = checked.map(|package| (package.patches, package.fetched)).unwrap_or_default();
        let patch = |(at, patch): (usize, check::Patch)| {
            let merge = merged.and_then(|row| row.patches.get(at));
            Patch {
                path: patch.path,
                subject: patch.subject,
                applies: patch.state,
                detail: patch.detail,
                merge: merge.map(|patch| patch.state),
                files: merge.map(|patch| patch.files.clone()).unwrap_or_default(),
            }
        };
        Package {
            attr: queue.attr.clone(),
            from: merged.and_then(|row| row.from.clone()),
            to: merged.and_then(|row| row.to.clone()),
            same_source,
            gone: None,
            patches: applied.into_iter().enumerate().map(patch).collect(),
            fetched,
            failure,
        }
    };
    let mut rows: Vec<Package> = queues.iter().zip(checked).map(row).collect();
    rows.sort_by(|a, b| a.attr.cmp(&b.attr));
    rows
}

/// Asks both package sets for what became of the attributes.
fn attributes(workspace: &Workspace, nixpkgs: &str, packages: &mut [Package]) -> Result<(), Error> {
    let root = |nixpkgs: Option<&str>| -> Result<Root, Error> {
        Ok(Root::Packages(Box::new(targets::plain_set(workspace, nixpkgs)?)))
    };
    let (old, new) = (root(None)?, root(Some(nixpkgs))?);
    let nix = engine::nix_without_builds(workspace)?;
    for package in packages {
        let names = package.attr.names();
        let now = nix.survey(&new, names, &[])?;
        let owner = |survey: &crate::nix::Survey| {
            let path = survey.owner.as_ref()?.path.clone();
            (path != names).then(|| path.join("."))
        };
        let is_gone = !now.facts.exists || now.removed.is_some();
        if !is_gone && owner(&now).is_none() {
            continue;
        }
        let before = nix.survey(&old, names, &[])?;
        // A package of an overlay's own was never there, and an old alias is none of the bump's.
        if !before.facts.exists || before.removed.is_some() || (!is_gone && owner(&before) == owner(&now)) {
            continue;
        }
        package.gone = Some(match now.removed {
            Some(removed) => {
                Gone { message: Some(removed.message), instead: removed.instead, near: Vec::new(), is_alias: false }
            }
            None => Gone {
                message: None,
                instead: owner(&now).into_iter().collect(),
                near: if is_gone { now.facts.near } else { Vec::new() },
                is_alias: !is_gone,
            },
        });
    }
    Ok(())
}

impl Gone {
    /// Says what became of it, as the end of a sentence.
    pub(crate) fn words(&self) -> String {
        let instead = self.instead.join(", ");
        match (&self.message, self.is_alias) {
            (_, true) => format!("is only another name of `{instead}` now"),
            (Some(message), _) if instead.is_empty() => format!("was removed: {message}"),
            (Some(message), _) => format!("is called {instead} now: {message}"),
            (None, _) if self.near.is_empty() => "is not in the new nixpkgs".into(),
            (None, _) => {
                format!("is not in the new nixpkgs, which does not say why; near names: {}", self.near.join(", "))
            }
        }
    }
}

impl Outcome for Bumped {
    const SCHEMA: &'static str = "overlayctl.bump/1";

    fn verdict(&self) -> Option<Verdict> {
        self.needs_a_hand().then_some(Verdict::No)
    }
}
