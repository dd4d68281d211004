//! `rebase`: queues onto the sources of another nixpkgs, by a three-way merge with the old source as base.
//!
//! Each package gets a repository in `.overlayctl/rebase/ATTR` that holds the old source with the queue as commits, and
//! the new source; every commit is merged onto the new line. What conflicts is left in its worktree as a cherry-pick of git in
//! progress. The queues and overlays are written when all packages are done, not before.

mod revisions;
mod session;
pub(crate) mod time_machine;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::diagnostic::{Coded as _, Verdict, Warning};
use crate::base::fs;
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::config::state;
use crate::nix::Building;
use crate::ops::check::Failure;
use crate::ops::history::History;
use crate::ops::{Error, Outcome};
use crate::overlay::AttrPath;
use crate::queue::commits::{self, Keep, Known};
use crate::queue::discover::Overlays;
use crate::queue::error::Error as QueueError;
use crate::queue::model::Asking;
use crate::queue::rewrite::{Together, Wanted};
use crate::queue::series::{self, Series};
use crate::queue::session as edits;
use crate::queue::source::{self, Source};
use session::{Fate, Session};
pub use time_machine::{Options as TimeMachine, Travelled, time_machine};

/// What `rebase` is asked for.
#[derive(Debug, Clone)]
pub enum Request {
    /// A new rebase.
    Begin {
        /// The packages, as typed; all that are patched when empty.
        attrs: Vec<String>,
        /// The nixpkgs whose sources the queues apply to; the workspace's when absent.
        from: Option<String>,
        /// The nixpkgs whose sources they shall apply to.
        to: String,
        dry_run: bool,
        /// Whether a source may be built that is neither there nor in a cache.
        build: bool,
    },
    /// The conflicts are resolved.
    Continue,
    /// The patches that conflict are dropped.
    Skip,
    /// Everything is left as it was.
    Abort,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebased {
    pub packages: Vec<Package>,
    /// Whether the queues were written: every package is done.
    pub written: bool,
    pub aborted: bool,
    pub dry_run: bool,
    pub files: Vec<PathBuf>,
    pub removed: Vec<PathBuf>,
    pub warnings: Vec<Warning>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    pub attr: AttrPath,
    /// Its name and version before.
    pub from: Option<String>,
    /// Its name and version afterwards.
    pub to: Option<String>,
    /// Whether both have the same source, so that nothing has to be done.
    pub same_source: bool,
    /// The worktree, while there is a conflict in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    pub patches: Vec<Patch>,
    /// Why it could not be rebased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    pub path: PathBuf,
    pub subject: String,
    pub state: State,
    pub files: Vec<String>,
}

/// What became of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Rebased,
    /// The new source has it: it is dropped.
    Merged,
    /// It was skipped: it is dropped.
    Skipped,
    Conflict,
    /// What was resolved before it leaves nothing of it: to be skipped.
    Empty,
    /// One before it conflicts.
    Waiting,
}

/// Begins or goes on with a rebase.
///
/// # Errors
/// [`QueueError::Rebasing`], [`QueueError::NoRebase`], [`QueueError::Unresolved`], [`QueueError::Uncommitted`]; what is wrong
/// with one package is in its row.
pub fn rebase(
    workspace: &Workspace,
    request: &Request,
    offline: bool,
    progress: &mut dyn Progress,
) -> Result<Rebased, Error> {
    match request {
        Request::Begin { attrs, from, to, dry_run, build } => History::ask(*build, |building| {
            begin(workspace, attrs, (from.as_deref(), to), *dry_run, offline, building, progress)
        }),
        Request::Continue | Request::Skip => go_on(workspace, matches!(request, Request::Skip), offline, progress),
        Request::Abort => {
            let sessions = under_way(workspace)?;
            let mut rebased = rows(sessions);
            rebased.aborted = true;
            fs::remove_tree(&session::root(workspace))?;
            Ok(rebased)
        }
    }
}

/// Says whether a rebase waits for the user.
pub fn is_under_way(workspace: &Workspace) -> bool {
    session::root(workspace).is_dir() && !session::done_file(workspace).exists()
}

fn under_way(workspace: &Workspace) -> Result<Vec<Session>, Error> {
    let sessions = Session::all(workspace)?;
    if sessions.is_empty() {
        return Err(QueueError::NoRebase.into());
    }
    Ok(sessions)
}

fn rows(sessions: Vec<Session>) -> Rebased {
    Rebased {
        packages: sessions.iter().map(Session::row).collect(),
        written: false,
        aborted: false,
        dry_run: false,
        files: Vec::new(),
        removed: Vec::new(),
        warnings: Vec::new(),
    }
}

fn begin(
    workspace: &Workspace,
    attrs: &[String],
    (from, to): (Option<&str>, &str),
    dry_run: bool,
    offline: bool,
    building: Building<'_>,
    progress: &mut dyn Progress,
) -> Result<Rebased, Error> {
    if !Session::all(workspace)?.is_empty() {
        return Err(QueueError::Rebasing.into());
    }
    let overlays = Overlays::read(workspace, None)?;
    let named = !attrs.is_empty();
    let attrs = overlays.typed_or_all(workspace, attrs)?;
    for attr in &attrs {
        edits::refuse_unfinished(workspace, attr)?;
    }
    let queue = |attr| match named {
        true => overlays.queue(workspace, attr),
        false => overlays.series(workspace, attr),
    };
    let mut queues = attrs.iter().map(queue).collect::<Result<Vec<_>, _>>()?;
    series::arrange(&mut queues, workspace, Asking { nixpkgs: from, offline })?;
    let asked: Vec<&Series> = queues.iter().collect();
    let old = source::of_queues(workspace, from, &asked, building, progress)?;
    let set = revisions::package_set(workspace, from, to)?;
    let new = source::of_queues(workspace, Some(&set.nixpkgs), &asked, building, progress)?;
    drop(set);
    progress.stage("merging");
    // All sessions come into being at once, so that a killed run leaves none rather than some of them.
    let state = state::dir(workspace)?;
    let scratch = fs::temporary_dir(&state)?;
    let mut rebased = rows(Vec::new());
    let mut sessions = Vec::new();
    for ((series, old), new) in queues.iter().zip(old).zip(new) {
        match begin_package(workspace, scratch.path(), series, old, new, dry_run, &mut rebased.warnings) {
            Ok(Begun::Same(row)) => rebased.packages.push(row),
            Ok(Begun::Session(session)) => sessions.push(*session),
            Err(error) => rebased.packages.push(Package {
                attr: series.attr.clone(),
                from: None,
                to: None,
                same_source: false,
                dir: None,
                patches: Vec::new(),
                failure: Some(Failure { code: error.code(), message: error.to_string(), hint: error.hint() }),
            }),
        }
    }
    rebased.dry_run = dry_run;
    if dry_run {
        // Their directories go now.
        rebased.packages.extend(sessions.iter().map(|session| Package { dir: None, ..session.row() }));
        rebased.packages.sort_by(|a, b| a.attr.cmp(&b.attr));
        return Ok(rebased);
    }
    drop(sessions);
    fs::remove_tree(&session::root(workspace))?;
    fs::rename(&scratch.keep(), &session::root(workspace))?;
    settle(workspace, offline, Session::all(workspace)?, rebased)
}

enum Begun {
    Same(Package),
    Session(Box<Session>),
}

fn begin_package(
    workspace: &Workspace,
    root: &Path,
    series: &Series,
    old: Result<Source, QueueError>,
    new: Result<Source, QueueError>,
    dry_run: bool,
    warnings: &mut Vec<Warning>,
) -> Result<Begun, Error> {
    let (old, new) = (old?, new?);
    warnings.extend(new.warnings.iter().cloned());
    if old.from == new.from && old.own_patches == new.own_patches && old.fetched == new.fetched {
        return Ok(Begun::Same(Package {
            attr: series.attr.clone(),
            from: Some(old.name),
            to: Some(new.name),
            same_source: true,
            dir: None,
            patches: Vec::new(),
            failure: None,
        }));
    }
    let mut session = Session::make(workspace, root, series, &old, &new)?;
    session.advance(workspace, dry_run)?;
    Ok(Begun::Session(Box::new(session)))
}

/// Where files go that git did not track in a worktree.
const LEFT: &str = "left";

fn go_on(workspace: &Workspace, skip: bool, offline: bool, progress: &mut dyn Progress) -> Result<Rebased, Error> {
    let mut sessions = under_way(workspace)?;
    // All are looked at before any goes on, so that one that is not resolved stops nothing halfway.
    if !skip {
        for session in &sessions {
            session.check_resolved()?;
        }
    }
    progress.stage("merging");
    let mut rebased = rows(Vec::new());
    for session in &mut sessions {
        if skip {
            session.skip()?;
        } else {
            rebased.warnings.extend(session.resolved(&workspace.state_dir().join(LEFT))?);
        }
        session.advance(workspace, false)?;
    }
    settle(workspace, offline, sessions, rebased)
}

/// Writes the queues when every package is done; says how it stands.
fn settle(
    workspace: &Workspace,
    offline: bool,
    sessions: Vec<Session>,
    mut rebased: Rebased,
) -> Result<Rebased, Error> {
    let done = sessions.iter().all(Session::done);
    rebased.packages.extend(sessions.iter().map(Session::row));
    rebased.packages.sort_by(|a, b| a.attr.cmp(&b.attr));
    if !done {
        return Ok(rebased);
    }
    let mut together = Together::new(workspace, Overlays::read(workspace, None)?);
    for session in &sessions {
        let (series, wanted) = queue(workspace, &together.overlays, session)?;
        together.plan(workspace, &series, &wanted)?;
    }
    let mut plan = together.done(workspace, Asking { nixpkgs: None, offline })?;
    rebased.warnings.extend(std::mem::take(&mut plan.warnings));
    rebased.removed.extend(std::mem::take(&mut plan.removed));
    plan.batch.write(session::done_file(workspace), b"");
    rebased.files.extend(plan.commit(workspace)?);
    rebased.files.retain(|path| *path != session::done_file(workspace));
    rebased.written = true;
    drop(sessions);
    fs::remove_tree(&session::root(workspace))?;
    rebased.files.sort();
    Ok(rebased)
}

/// Returns the queue of a package as it is, and as the rebase leaves it.
fn queue(workspace: &Workspace, overlays: &Overlays, session: &Session) -> Result<(Series, Vec<Wanted>), Error> {
    let mut series = overlays.series(workspace, &session.attr()?)?;
    session.check_queue(workspace, &mut series)?;
    let known = series
        .patches
        .iter()
        .zip(&session.state.patches)
        .map(|(entry, planned)| Ok(Known { bytes: &entry.bytes, commit: session.commit(&planned.recorded.commit)? }))
        .collect::<Result<Vec<_>, Error>>()?;
    let (base, tip) = (session.base()?, session.tip()?);
    let commits = session.worktree.line(base, tip)?;
    let written = commits::to_patches(&session.worktree, base, &commits, &known, session.state.strip, Keep::Exact)?;
    let wanted: Vec<Wanted> = written
        .into_iter()
        .map(|w| Wanted {
            from: w.known.and_then(|i| series.patches.get(i)).map(|e| e.path.clone()),
            bytes: w.bytes,
            subject: w.subject,
            rename: false,
        })
        .collect();
    Ok((series, wanted))
}

impl Package {
    /// Says whether a patch of it conflicts.
    pub(crate) fn conflicts(&self) -> bool {
        self.patches.iter().any(|patch| matches!(patch.state, State::Conflict | State::Empty))
    }
}

impl Fate {
    fn state(&self) -> State {
        match self {
            Fate::Rebased => State::Rebased,
            Fate::Merged => State::Merged,
            Fate::Skipped => State::Skipped,
            Fate::Conflict { files } if files.is_empty() => State::Empty,
            Fate::Conflict { .. } => State::Conflict,
            Fate::Waiting => State::Waiting,
        }
    }
}

impl Outcome for Rebased {
    const SCHEMA: &'static str = "overlayctl.rebase/1";

    fn verdict(&self) -> Option<Verdict> {
        let stuck = self.packages.iter().any(|p| p.failure.is_some() || p.conflicts());
        (stuck && !self.aborted).then_some(Verdict::No)
    }
}

impl Outcome for Travelled {
    const SCHEMA: &'static str = "overlayctl.time-machine/1";

    fn verdict(&self) -> Option<Verdict> {
        let fine = |p: &time_machine::Package| p.failure.is_none() && p.patches.iter().all(|p| p.state.fits());
        (!self.packages.iter().all(fine)).then_some(Verdict::No)
    }
}
