//! One package being rebased: its repository, and how far it is.
//!
//! The state is written after every step, so that a killed rebase goes on where it was.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Package, Patch};
use crate::base::fs::{self, FsError};
use crate::config::Workspace;
use crate::git::{Commit, Merged, Oid, Worktree};
use crate::ops::Error;
use crate::ops::edit;
use crate::overlay::{self, AttrPath};
use crate::queue::error::Error as QueueError;
use crate::queue::series::Series;
use crate::queue::session::{Recorded, digest, key, oid};
use crate::queue::source::Source;
use crate::queue::{self, commits};

/// The name of the state file.
const STATE: &str = "overlayctl-rebase.json";

/// How far a package is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct State {
    version: u32,
    attr: String,
    /// The names of both sources.
    names: (String, String),
    /// The `-pN` of the new source.
    pub(super) strip: usize,
    /// The commit that the new line begins behind.
    base: String,
    /// Its last commit.
    tip: String,
    /// The patches of the old line.
    pub(super) patches: Vec<Planned>,
}

/// A patch of the old line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Planned {
    #[serde(flatten)]
    pub(super) recorded: Recorded,
    subject: String,
    fate: Fate,
}

/// What became of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub(super) enum Fate {
    /// Its turn has not come.
    Waiting,
    /// It is a commit of the new line.
    Rebased,
    /// It changes nothing any more.
    Merged,
    /// The user dropped it.
    Skipped,
    /// It conflicts in these files.
    Conflict {
        /// The files.
        files: Vec<String>,
    },
}

/// A package being rebased.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) worktree: Worktree,
    pub(super) state: State,
}

/// The name of the file that says that the queues are written: what is left of the rebase only has to go.
const DONE: &str = "done";

/// Returns the directory of the rebase.
pub(super) fn root(workspace: &Workspace) -> PathBuf {
    workspace.state_dir().join("rebase")
}

/// Returns the file that is written together with the queues, so that a rebase which is killed then is not under way any more.
pub(super) fn done_file(workspace: &Workspace) -> PathBuf {
    root(workspace).join(DONE)
}

impl Session {
    /// Returns the packages of the rebase that is under way, sorted.
    pub(super) fn all(workspace: &Workspace) -> Result<Vec<Session>, Error> {
        if done_file(workspace).exists() {
            fs::remove_tree(&root(workspace))?;
        }
        Session::below(&root(workspace))
    }

    /// Returns the packages that a directory has, sorted.
    pub(super) fn below(root: &Path) -> Result<Vec<Session>, Error> {
        let mut dirs: Vec<PathBuf> =
            std::fs::read_dir(root).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
        dirs.sort();
        let mut sessions = Vec::new();
        for dir in dirs {
            let Some(worktree) = Worktree::open(&dir)? else { continue };
            let path = worktree.git_dir().join(STATE);
            let Some(text) = fs::read_text_if_there(&path)? else { continue };
            let state = serde_json::from_str(&text).map_err(|e| FsError::Read { path, source: e.into() })?;
            sessions.push(Session { worktree, state });
        }
        Ok(sessions)
    }

    /// Makes the repository of a package below `root`: the old source with the queue on it, and the new source.
    pub(super) fn make(
        workspace: &Workspace,
        root: &Path,
        series: &Series,
        old: &Source,
        new: &Source,
    ) -> Result<Session, Error> {
        let attr = series.attr.to_string();
        let worktree = Worktree::create(&root.join(queue::dir_name(&series.attr)))?;
        let mut at = edit::base(&worktree, &attr, old)?;
        let mut patches = Vec::new();
        for entry in &series.patches {
            entry.parse()?;
            at = commits::of_patch(&worktree, at, &entry.name(), &entry.bytes, old.strip)?
                .map_err(|outcome| commits::does_not_apply(&attr, &entry.name(), &outcome))?;
            patches.push(Planned {
                recorded: Recorded {
                    path: key(workspace, &entry.path),
                    sha256: digest(&entry.bytes),
                    commit: at.to_string(),
                },
                subject: entry.subject(),
                fate: Fate::Waiting,
            });
        }
        worktree.mark("old", at)?;
        let base = edit::base(&worktree, &attr, new)?;
        worktree.mark("base", base)?;
        worktree.check_out(base)?;
        let state = State {
            version: 1,
            attr,
            names: (old.name.clone(), new.name.clone()),
            strip: new.strip,
            base: base.to_string(),
            tip: base.to_string(),
            patches,
        };
        let session = Session { worktree, state };
        session.save()?;
        Ok(session)
    }

    fn save(&self) -> Result<(), Error> {
        let path = self.worktree.git_dir().join(STATE);
        let bytes = serde_json::to_vec_pretty(&self.state)
            .map_err(|e| FsError::Write { path: path.clone(), source: e.into() })?;
        fs::write(&path, &bytes)?;
        Ok(())
    }

    pub(super) fn attr(&self) -> Result<AttrPath, Error> {
        Ok(AttrPath::parse(&self.state.attr).map_err(overlay::Error::from)?)
    }

    pub(super) fn base(&self) -> Result<Oid, Error> {
        Ok(oid(&self.state.base, self.worktree.dir())?)
    }

    pub(super) fn tip(&self) -> Result<Oid, Error> {
        Ok(oid(&self.state.tip, self.worktree.dir())?)
    }

    pub(super) fn commit(&self, id: &str) -> Result<Commit, Error> {
        Ok(self.worktree.find(oid(id, self.worktree.dir())?)?)
    }

    /// Says whether no patch waits.
    pub(super) fn done(&self) -> bool {
        self.state.patches.iter().all(|p| !matches!(p.fate, Fate::Waiting | Fate::Conflict { .. }))
    }

    fn conflicting(&self) -> Option<(usize, &[String])> {
        self.state.patches.iter().enumerate().find_map(|(i, p)| match &p.fate {
            Fate::Conflict { files } => Some((i, files.as_slice())),
            _ => None,
        })
    }

    /// Merges patch after patch onto the new line, until one conflicts or all are done; with `to_the_end` past those that conflict,
    /// as if these were skipped.
    pub(super) fn advance(&mut self, to_the_end: bool) -> Result<(), Error> {
        if self.conflicting().is_some() {
            return Ok(());
        }
        let mut tip = self.worktree.find(self.tip()?)?;
        let names = (self.state.names.1.clone(), "the patch");
        for i in 0..self.state.patches.len() {
            let Some(Planned { recorded, fate: Fate::Waiting, .. }) = self.state.patches.get(i) else { continue };
            let theirs = self.commit(&recorded.commit)?;
            let before = theirs.parent.map(|id| self.worktree.find(id)).transpose()?;
            let base = before.map_or(theirs.tree, |commit| commit.tree);
            let fate = match self.worktree.merge(base, tip.tree, theirs.tree, (&names.0, names.1))? {
                Merged::Clean(tree) if tree == tip.tree => Fate::Merged,
                Merged::Clean(tree) => {
                    let made = self.worktree.commit(tree, Some(tip.id), &theirs.message, &theirs.author)?;
                    tip = self.worktree.find(made)?;
                    self.state.tip = made.to_string();
                    Fate::Rebased
                }
                Merged::Conflicts(_, files) if to_the_end => Fate::Conflict { files },
                Merged::Conflicts(tree, files) => {
                    self.worktree.check_out(tip.id)?;
                    self.worktree.lay_out(tree)?;
                    Fate::Conflict { files }
                }
            };
            let stop = matches!(fate, Fate::Conflict { .. }) && !to_the_end;
            if let Some(planned) = self.state.patches.get_mut(i) {
                planned.fate = fate;
            }
            if stop {
                return self.save();
            }
        }
        self.worktree.check_out(tip.id)?;
        self.save()
    }

    /// Checks that no conflict markers are left.
    pub(super) fn check_resolved(&self) -> Result<(), Error> {
        let Some((_, files)) = self.conflicting() else { return Ok(()) };
        let marked = |file: &&String| {
            let text = fs::read(&self.worktree.dir().join(file)).unwrap_or_default();
            text.split(|b| *b == b'\n').any(|line| line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> "))
        };
        match files.iter().find(marked) {
            Some(file) => {
                let path = self.worktree.dir().join(file).display().to_string();
                let hint = "resolve it there and run it again; --skip drops the patch".into();
                Err(QueueError::Rebase { why: format!("{path} still has conflict markers"), hint }.into())
            }
            None => Ok(()),
        }
    }

    /// Takes the files of the worktree as the resolution: what the user committed, or what stands there.
    pub(super) fn resolved(&mut self) -> Result<(), Error> {
        let Some((i, _)) = self.conflicting() else { return Ok(()) };
        let (tip, head) = (self.tip()?, self.worktree.head()?);
        if head != tip {
            // The user has committed already; all of that line counts.
            self.worktree.line(tip, head)?;
        }
        let tree = self.worktree.tree_as_it_stands()?;
        let mut last = self.worktree.find(head)?;
        if tree != last.tree {
            let theirs = match self.state.patches.get(i) {
                Some(planned) => self.commit(&planned.recorded.commit)?,
                None => return Ok(()),
            };
            let made = self.worktree.commit(tree, Some(head), &theirs.message, &theirs.author)?;
            last = self.worktree.find(made)?;
        }
        let fate = if last.id == tip { Fate::Merged } else { Fate::Rebased };
        self.state.tip = last.id.to_string();
        self.settle(i, fate)
    }

    /// Drops the patch that conflicts.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        match self.conflicting() {
            Some((i, _)) => self.settle(i, Fate::Skipped),
            None => Ok(()),
        }
    }

    fn settle(&mut self, i: usize, fate: Fate) -> Result<(), Error> {
        if let Some(planned) = self.state.patches.get_mut(i) {
            planned.fate = fate;
        }
        self.worktree.check_out(self.tip()?)?;
        self.save()
    }

    /// Checks that the queue is what the rebase began with.
    pub(super) fn check_queue(&self, workspace: &Workspace, series: &Series) -> Result<(), Error> {
        let now: Vec<(PathBuf, String)> =
            series.patches.iter().map(|e| (key(workspace, &e.path), digest(&e.bytes))).collect();
        let then: Vec<(PathBuf, String)> =
            self.state.patches.iter().map(|p| (p.recorded.path.clone(), p.recorded.sha256.clone())).collect();
        match now == then {
            true => Ok(()),
            false => Err(QueueError::Changed { path: series.dir.clone() }.into()),
        }
    }

    /// Returns the package as it is shown.
    pub(super) fn row(&self) -> Package {
        let patch = |p: &Planned| Patch {
            path: p.recorded.path.clone(),
            subject: p.subject.clone(),
            state: p.fate.state(),
            files: match &p.fate {
                Fate::Conflict { files } => files.clone(),
                _ => Vec::new(),
            },
        };
        let dir: &Path = self.worktree.dir();
        Package {
            attr: AttrPath::parse(&self.state.attr).unwrap_or_else(|_| AttrPath::single(self.state.attr.clone())),
            from: Some(self.state.names.0.clone()),
            to: Some(self.state.names.1.clone()),
            same_source: false,
            dir: self.conflicting().map(|_| dir.to_path_buf()),
            patches: self.state.patches.iter().map(patch).collect(),
            failure: None,
        }
    }
}
