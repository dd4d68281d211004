//! `rebase`: queues onto the sources of another nixpkgs, by a three-way merge with the old source as base.
//!
//! Each package gets a repository in `.overlayctl/rebase/ATTR` that holds the old source with the queue as commits, and
//! the new source; every commit is merged onto the new line. What conflicts is left in its worktree as a cherry-pick of git in
//! progress. The queues and overlays are written when all packages are done, not before.

mod beside;
pub(super) mod revisions;
mod session;
pub(crate) mod time_machine;

use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;

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
use crate::queue::rewrite::{self, Together, Wanted};
use crate::queue::series::{self, Series};
use crate::queue::session as edits;
use crate::queue::source::{self, Source};
pub(super) use beside::Beside;
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
    /// The patches that conflict are dropped, of one package or of all.
    Skip(Option<String>),
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
    /// The command that it belongs to, `rebase` or `bump`.
    #[serde(skip)]
    pub(crate) by: &'static str,
}

#[derive(Debug, Clone, Serialize)]
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

#[derive(Debug, Clone, Serialize)]
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
        Request::Continue => go_on(workspace, None, offline, progress),
        Request::Skip(attr) => go_on(workspace, Some(attr.as_deref()), offline, progress),
        Request::Abort => {
            let sessions = under_way(workspace)?;
            let mut rebased = rows(sessions);
            rebased.by = beside::command(workspace);
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
        by: "rebase",
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
    let queues = queues(workspace, attrs, from, offline)?;
    let asked: Vec<&Series> = queues.iter().collect();
    let old = source::of_queues(workspace, from, &asked, building, progress)?;
    let set = revisions::package_set(workspace, from, to)?;
    let new = source::of_queues(workspace, Some(&set.nixpkgs), &asked, building, progress)?;
    drop(set);
    progress.stage("merging");
    let draft = Draft::of(workspace, &queues, old.into_iter().zip(new), dry_run)?;
    if dry_run {
        // Their directories go now.
        let mut rebased = draft.rebased;
        rebased.dry_run = true;
        rebased.packages.extend(draft.sessions.iter().map(|session| Package { dir: None, ..session.row() }));
        rebased.packages.sort_by(|a, b| a.attr.cmp(&b.attr));
        return Ok(rebased);
    }
    draft.take_up(workspace, None, offline)
}

/// Returns the queues that a rebase is about: those that are typed, or all; none of them may be edited.
///
/// # Errors
/// [`QueueError::Rebasing`], [`QueueError::BeingEdited`].
pub(super) fn queues(
    workspace: &Workspace,
    attrs: &[String],
    from: Option<&str>,
    offline: bool,
) -> Result<Vec<Series>, Error> {
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
    Ok(queues)
}

/// Files as they would be.
pub(super) type Written = Vec<(PathBuf, Vec<u8>)>;

/// Queues on their new sources, before anything of it is in the workspace.
pub(super) struct Draft {
    scratch: TempDir,
    sessions: Vec<Session>,
    rebased: Rebased,
}

impl Draft {
    /// Merges each queue from its old source onto its new one, up to the first conflict; with `to_the_end` past those.
    pub(super) fn of(
        workspace: &Workspace,
        queues: &[Series],
        sources: impl Iterator<Item = (Result<Source, QueueError>, Result<Source, QueueError>)>,
        to_the_end: bool,
    ) -> Result<Draft, Error> {
        // All sessions come into being at once, so that a killed run leaves none rather than some of them.
        let scratch = match to_the_end {
            true => revisions::temporary()?,
            false => fs::temporary_dir(&state::dir(workspace)?)?,
        };
        let mut rebased = rows(Vec::new());
        let mut sessions = Vec::new();
        for (series, (old, new)) in queues.iter().zip(sources) {
            match begin_package(workspace, scratch.path(), series, old, new, to_the_end, &mut rebased.warnings) {
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
        Ok(Draft { scratch, sessions, rebased })
    }

    /// Returns what became of each package.
    pub(super) fn rows(&self) -> impl Iterator<Item = Package> {
        let same = self.rebased.packages.iter().map(Package::without_directory);
        same.chain(self.sessions.iter().map(|session| Package { dir: None, ..session.row() }))
    }

    /// Returns the files that would be written and removed; a patch that conflicts stays as it is.
    pub(super) fn planned(&self, workspace: &Workspace) -> Result<(Written, Vec<PathBuf>), Error> {
        let mut together = Together::new(workspace, Overlays::read(workspace, None)?);
        for session in &self.sessions {
            let (series, mut wanted) = queue(workspace, &together.overlays, session)?;
            let kept = rewrite::keep(&series).into_iter().zip(&session.state.patches).enumerate();
            for (at, (own, planned)) in kept {
                if matches!(planned.fate, Fate::Conflict { .. }) {
                    let before = |w: &Wanted| series.patches.iter().take(at).any(|e| Some(&e.path) == w.from.as_ref());
                    let place = wanted.iter().rposition(before).map_or(0, |last| last + 1);
                    wanted.insert(place, own);
                }
            }
            together.plan(workspace, &series, &wanted)?;
        }
        let plan = together.done(workspace, Asking { nixpkgs: None, offline: true })?;
        Ok((plan.written(), plan.removed))
    }

    /// Puts it into the workspace, and writes the queues when every package is done.
    pub(super) fn take_up(
        self,
        workspace: &Workspace,
        beside: Option<&Beside>,
        offline: bool,
    ) -> Result<Rebased, Error> {
        drop(self.sessions);
        if let Some(beside) = beside {
            beside.save(self.scratch.path())?;
        }
        fs::remove_tree(&session::root(workspace))?;
        fs::rename(&self.scratch.keep(), &session::root(workspace))?;
        settle(workspace, offline, Session::all(workspace)?, self.rebased)
    }
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

/// Goes on with the conflicts resolved, or with those of one package or of all dropped.
fn go_on(
    workspace: &Workspace,
    skip: Option<Option<&str>>,
    offline: bool,
    progress: &mut dyn Progress,
) -> Result<Rebased, Error> {
    let mut sessions = under_way(workspace)?;
    let is_meant = |session: &Session| skip.flatten().is_none_or(|attr| session.is_of(attr));
    if let Some(attr) = skip.flatten().filter(|_| !sessions.iter().any(is_meant)) {
        return Err(QueueError::NoRebaseOf { attr: attr.to_owned() }.into());
    }
    // All are looked at before any goes on, so that one that is not resolved stops nothing halfway.
    if skip.is_none() {
        for session in &sessions {
            session.check_resolved()?;
        }
    }
    progress.stage("merging");
    let mut rebased = rows(Vec::new());
    for session in sessions.iter_mut().filter(|session| is_meant(session)) {
        if skip.is_some() {
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
    rebased.by = beside::command(workspace);
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
    let beside = Beside::read(workspace)?;
    let mut plan = together.done(workspace, Asking { nixpkgs: beside.nixpkgs(), offline })?;
    beside.add(workspace, &mut plan.batch)?;
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
    fn without_directory(&self) -> Package {
        Package { dir: None, ..self.clone() }
    }

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
