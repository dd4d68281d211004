//! `edit`: the source of a package and its queue as a git worktree, one commit a patch.
//!
//! The same source and queue give the same commits. Only `.overlayctl/edit` is written.

use std::path::PathBuf;

use serde::Serialize;

use crate::base::diagnostic::Warning;
use crate::base::fs;
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::config::state;
use crate::git::{Oid, Worktree};
use crate::ops::history::History;
use crate::ops::{Error, Outcome};
use crate::overlay::{self, AttrPath};
use crate::queue::discover::Overlays;
use crate::queue::error::Error as QueueError;
use crate::queue::model::Asking;
use crate::queue::series::{self, Series};
use crate::queue::session::{self, Recorded, Session, State};
use crate::queue::source::{self, Source};
use crate::queue::{applying, commits};

/// What `edit` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    pub attr: String,
    pub nixpkgs: Option<String>,
    /// Whether the worktree is thrown away instead.
    pub abort: bool,
    /// Whether a source may be built that is neither there nor in a cache.
    pub build: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edited {
    pub attr: AttrPath,
    pub dir: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The commit that the queue begins behind.
    pub base: String,
    /// The commits of the queue: what each says, and its file.
    pub commits: Vec<Made>,
    /// How many patches of nixpkgs' own stand before them.
    pub own_patches: usize,
    /// Whether the worktree was there already, with work in it.
    pub resumed: bool,
    pub aborted: bool,
    pub warnings: Vec<Warning>,
}

/// The commit of a patch.
#[derive(Debug, Serialize)]
pub struct Made {
    pub commit: String,
    pub subject: String,
    pub path: PathBuf,
}

/// Makes the worktree of a package, or finds it.
///
/// # Errors
/// [`QueueError::DoesNotApply`] for the first patch that does not apply; those of the source and of git.
pub fn edit(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Edited, Error> {
    let attr = AttrPath::parse(&options.attr).map_err(overlay::Error::from)?;
    let dir = session::dir(workspace, &attr);
    if options.abort {
        return abort(workspace, attr);
    }
    let session = Session::open(workspace, &attr)?;
    if let Some(session) = session.filter(|s| s.unfinished().unwrap_or(true)) {
        return Ok(shown(attr, dir, &session, None, 0, true, Vec::new()));
    }
    let mut series = Overlays::read(workspace, None)?.series(workspace, &attr)?;
    series::arrange([&mut series], workspace, Asking { nixpkgs: options.nixpkgs.as_deref(), offline: false })?;
    let mut source = History::ask(options.build, |building| {
        source::of_queue(workspace, options.nixpkgs.as_deref(), &series, building, progress)
    })?;
    progress.stage("making the worktree");
    // Made beside its place and renamed, so that a worktree that is there is a whole one.
    let parent = state::dir(workspace)?.join("edit");
    fs::sweep(&parent);
    let scratch = fs::temporary_dir(&parent)?;
    make(workspace, scratch.path(), &series, &source, options.nixpkgs.clone())?;
    fs::remove_tree(&dir)?;
    fs::rename(&scratch.keep(), &dir)?;
    let session = Session::existing(workspace, &attr)?;
    if source.post_patch {
        source.warnings.push(Warning {
            code: "OV1065",
            message: format!(
                "the build of `{attr}` runs postPatch after the patches: the worktree is the source before that"
            ),
            place: None,
            hint: Some("patches are made against these files; what postPatch changes is changed on top of them".into()),
        });
    }
    Ok(shown(attr, dir, &session, Some(source.name), source.own_patches.len(), false, source.warnings))
}

/// Throws a worktree away.
pub(super) fn abort(workspace: &Workspace, attr: AttrPath) -> Result<Edited, Error> {
    let dir = session::dir(workspace, &attr);
    let session = Session::existing(workspace, &attr)?;
    let mut edited = shown(attr, dir, &session, None, 0, false, Vec::new());
    edited.aborted = true;
    session.worktree.remove()?;
    Ok(edited)
}

fn shown(
    attr: AttrPath,
    dir: PathBuf,
    session: &Session,
    name: Option<String>,
    own_patches: usize,
    resumed: bool,
    warnings: Vec<Warning>,
) -> Edited {
    let subject = |commit: &str| {
        let commit = session::oid(commit, &dir).ok().and_then(|id| session.worktree.find(id).ok());
        commit.and_then(|c| c.message.lines().next().map(str::to_string)).unwrap_or_default()
    };
    let made = |r: &Recorded| Made { commit: r.commit.clone(), subject: subject(&r.commit), path: r.path.clone() };
    Edited {
        commits: session.state.patches.iter().map(made).collect(),
        base: session.state.base.clone(),
        attr,
        dir: dir.clone(),
        name,
        own_patches,
        resumed,
        aborted: false,
        warnings,
    }
}

/// Makes the repository in an empty directory.
fn make(
    workspace: &Workspace,
    dir: &std::path::Path,
    series: &Series,
    source: &Source,
    nixpkgs: Option<String>,
) -> Result<(), Error> {
    let attr = series.attr.to_string();
    let worktree = Worktree::create(dir)?;
    let base = base(&worktree, &attr, source)?;
    let mut tip = base;
    let mut patches = Vec::with_capacity(series.patches.len());
    for entry in &series.patches {
        entry.parse()?;
        tip = commits::of_patch(&worktree, tip, &entry.name(), &entry.bytes, source.strip)?
            .map_err(|outcome| commits::does_not_apply(&attr, &entry.name(), &outcome))?;
        patches.push(Recorded {
            path: session::key(workspace, &entry.path),
            sha256: session::digest(&entry.bytes),
            commit: tip.to_string(),
        });
    }
    worktree.check_out(tip)?;
    worktree.mark("base", base)?;
    worktree.mark("queue", tip)?;
    let state =
        State { version: 1, attr, nixpkgs, strip: source.strip, base: base.to_string(), tip: tip.to_string(), patches };
    let (path, bytes) = Session { worktree, state }.state_file()?;
    fs::write(&path, &bytes)?;
    Ok(())
}

/// Makes the commits that the queue begins behind: the source, then nixpkgs' own patches and those that the overlays fetch.
pub(super) fn base(worktree: &Worktree, attr: &str, source: &Source) -> Result<Oid, Error> {
    let mut at = commits::of_source(worktree, &source.tree, &source.name)?;
    for applying::Before { title, bytes } in applying::before(source) {
        let made = commits::of_patch(worktree, at, &title, bytes, source.strip).map_err(|e| match e {
            QueueError::Patch(e) => {
                QueueError::DoesNotApply { attr: attr.to_string(), patch: title.clone(), why: e.to_string() }
            }
            e => e,
        })?;
        at = made.map_err(|outcome| commits::does_not_apply(attr, &title, &outcome))?;
    }
    Ok(at)
}

impl Outcome for Edited {
    const SCHEMA: &'static str = "overlayctl.edit/1";
}
