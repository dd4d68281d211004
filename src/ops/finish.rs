//! `finish`: the commits of an edited package become its queue again, and the overlay follows.
//!
//! A commit that is what its file says leaves the file alone, to the byte. Files, overlay and state are one batch: all
//! new or all old, whenever the process is killed.

use std::path::PathBuf;

use serde::Serialize;

use crate::base::diagnostic::Warning;
use crate::config::Workspace;
use crate::ops::{Error, Outcome};
use crate::overlay::{self, AttrPath};
use crate::queue::commits::{self, Keep, Known};
use crate::queue::discover::Choice;
use crate::queue::discover::Overlays;
use crate::queue::error::Error as QueueError;
use crate::queue::model::Asking;
use crate::queue::rewrite::{self, Wanted};
use crate::queue::session::{self, Recorded, Session};

/// What `finish` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    pub attr: String,
    /// The overlay, when named, for a package that none patches yet.
    pub overlay: Option<Choice>,
    pub dry_run: bool,
    /// Whether Nix is not asked about a package that no overlay patches yet.
    pub offline: bool,
}

/// What became of the queue.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    pub attr: AttrPath,
    /// Whether the queue was what the commits are already.
    pub unchanged: bool,
    pub dry_run: bool,
    /// The patches, in order.
    pub patches: Vec<Patch>,
    pub removed: Vec<PathBuf>,
    pub files: Vec<PathBuf>,
    pub diff: String,
    pub warnings: Vec<Warning>,
}

/// A patch of the new queue.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    pub path: PathBuf,
    pub subject: String,
    /// Whether its bytes are as they were.
    pub untouched: bool,
}

/// Takes the commits into the queue.
///
/// # Errors
/// [`QueueError::NotEdited`], [`QueueError::Uncommitted`], [`QueueError::Changed`],
/// [`QueueError::OverlayOrder`]; nothing has changed then.
pub fn finish(workspace: &Workspace, options: &Options) -> Result<Finished, Error> {
    let attr = AttrPath::parse(&options.attr).map_err(overlay::Error::from)?;
    let mut session = Session::existing(workspace, &attr)?;
    let dir = session.worktree.dir().to_path_buf();
    let loose = session.worktree.uncommitted()?;
    if !loose.is_empty() {
        return Err(QueueError::Uncommitted { dir, files: loose }.into());
    }
    let overlays = Overlays::read(workspace, options.overlay.as_ref())?;
    let mut series = overlays.series(workspace, &attr)?;
    session.check_queue(workspace, &mut series)?;
    let known = series
        .patches
        .iter()
        .zip(&session.state.patches)
        .map(|(entry, recorded)| {
            let commit = session.worktree.find(session::oid(&recorded.commit, &dir)?)?;
            Ok(Known { bytes: &entry.bytes, commit })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let base = session.base()?;
    let tip = session.worktree.head()?;
    let commits = session.worktree.line(base, tip)?;
    let written = commits::to_patches(&session.worktree, base, &commits, &known, session.state.strip, Keep::Fitting)?;
    let wanted: Vec<Wanted> = written
        .iter()
        .map(|w| Wanted {
            from: w.known.and_then(|i| series.patches.get(i)).map(|e| e.path.clone()),
            bytes: w.bytes.clone(),
            subject: w.subject.clone(),
            rename: false,
        })
        .collect();
    let nixpkgs = session.state.nixpkgs.clone();
    let how = Asking { nixpkgs: nixpkgs.as_deref(), offline: options.offline };
    let binding = rewrite::Binding::Made(options.overlay.as_ref());
    let mut plan = rewrite::plan(workspace, &overlays, &series, &wanted, how, binding)?;
    let taken = plan
        .paths
        .iter()
        .zip(&written)
        .map(|(path, w)| Patch { path: path.clone(), subject: w.subject.clone(), untouched: w.untouched })
        .collect();
    let files = plan.batch.changes();
    session.state.tip = tip.to_string();
    session.state.patches = plan
        .paths
        .iter()
        .zip(&written)
        .map(|(path, w)| Recorded {
            path: session::key(workspace, path),
            sha256: session::digest(&w.bytes),
            commit: w.commit.to_string(),
        })
        .collect();
    let (state_path, state) = session.state_file()?;
    plan.batch.write(state_path, state);
    let finished = Finished {
        attr,
        unchanged: files.is_empty(),
        dry_run: options.dry_run,
        patches: taken,
        removed: plan.removed.clone(),
        files,
        diff: plan.diff.clone(),
        warnings: plan.warnings.clone(),
    };
    if !options.dry_run {
        plan.commit(workspace)?;
        session.worktree.mark("queue", tip)?;
    }
    Ok(finished)
}

impl Outcome for Finished {
    const SCHEMA: &'static str = "overlayctl.finish/1";
}
