//! One package being rebased: its repository, and how far it is.
//!
//! The state is written after every step, so that a killed rebase goes on where it was.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Package, Patch};
use crate::base::diagnostic::Warning;
use crate::base::fs::{self, FsError};
use crate::config::Workspace;
use crate::git::{Commit, Merged, Oid, Worktree};
use crate::ops::Error;
use crate::ops::edit;
use crate::overlay::{self, AttrPath};
use crate::patch;
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
    names: (String, String),
    /// The `-pN` of the new source.
    pub(super) strip: usize,
    /// The commit that the new line begins behind.
    base: String,
    tip: String,
    /// Whether a patch of it was resolved by hand.
    #[serde(default)]
    resolved: bool,
    /// The patches of the old line.
    pub(super) patches: Vec<Planned>,
}

/// A patch of the old line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Planned {
    #[serde(flatten)]
    pub(super) recorded: Recorded,
    subject: String,
    pub(super) fate: Fate,
}

/// What became of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fate", rename_all = "kebab-case")]
pub(super) enum Fate {
    /// Its turn has not come.
    Waiting,
    /// It is a commit of the new line.
    Rebased,
    /// The new source has it.
    Merged,
    /// The user dropped it.
    Skipped,
    /// It conflicts in these files; in none when the patches before it, as they were resolved, leave nothing of it.
    Conflict { files: Vec<String> },
}

/// Where the resolutions are kept that rerere remembers, below the directory of overlayctl.
const MEMORY: &str = "rr-cache";

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
        let base = edit::base(&worktree, &attr, new)?;
        let mut at = edit::base(&worktree, &attr, old)?;
        let mut patches = Vec::new();
        for entry in &series.patches {
            let message = entry.parse()?.message();
            let is_there = |outcome: &patch::Outcome| outcome.verdict() == patch::Verdict::AlreadyApplied;
            let apply = |at, strip| commits::of_patch(&worktree, at, &entry.name(), &entry.bytes, strip);
            let mut fate = Fate::Waiting;
            at = match apply(at, old.strip)? {
                Ok(commit) => commit,
                // Both have it: nothing is to be merged.
                Err(outcome) if is_there(&outcome) && apply(base, new.strip)?.as_ref().is_err_and(is_there) => {
                    fate = Fate::Merged;
                    let (text, author) = (commits::text_of(&message, &entry.name()), commits::author_of(&message));
                    worktree.commit(worktree.find(at)?.tree, Some(at), &text, &author)?
                }
                Err(outcome) => return Err(commits::does_not_apply(&attr, &entry.name(), &outcome).into()),
            };
            patches.push(Planned {
                recorded: Recorded {
                    path: key(workspace, &entry.path),
                    sha256: digest(&entry.bytes),
                    commit: at.to_string(),
                },
                subject: entry.subject(),
                fate,
            });
        }
        worktree.mark("old", at)?;
        worktree.mark("base", base)?;
        worktree.check_out(base)?;
        let state = State {
            version: 1,
            attr,
            names: (old.name.clone(), new.name.clone()),
            strip: new.strip,
            base: base.to_string(),
            tip: base.to_string(),
            resolved: false,
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

    /// Says whether a package that is typed is this one, and a patch of it conflicts.
    pub(super) fn is_of(&self, typed: &str) -> bool {
        let is_it = AttrPath::parse(typed).is_ok_and(|attr| attr.to_string() == self.state.attr);
        is_it && self.state.patches.iter().any(|p| matches!(p.fate, Fate::Conflict { .. }))
    }

    /// Says whether no patch waits.
    pub(super) fn done(&self) -> bool {
        self.state.patches.iter().all(|p| !matches!(p.fate, Fate::Waiting | Fate::Conflict { .. }))
    }

    /// Returns the patch that conflicts, as a commit of the old line, and the files.
    fn conflicting(&self) -> Result<Option<(Commit, &[String])>, Error> {
        let found = self.state.patches.iter().find_map(|p| match &p.fate {
            Fate::Conflict { files } => Some((p, files.as_slice())),
            _ => None,
        });
        found.map(|(planned, files)| Ok((self.commit(&planned.recorded.commit)?, files))).transpose()
    }

    /// Merges patch after patch onto the new line, until one conflicts or all are done; with `to_the_end` past those that conflict,
    /// as if these were skipped.
    pub(super) fn advance(&mut self, workspace: &Workspace, to_the_end: bool) -> Result<(), Error> {
        if self.conflicting()?.is_some() {
            return Ok(());
        }
        let mut tip = self.worktree.find(self.tip()?)?;
        for i in 0..self.state.patches.len() {
            let Some(Planned { recorded, fate: Fate::Waiting, .. }) = self.state.patches.get(i) else { continue };
            let theirs = self.commit(&recorded.commit)?;
            let before = theirs.parent.map(|id| self.worktree.find(id)).transpose()?;
            let base = before.map_or(theirs.tree, |commit| commit.tree);
            let (mut clean, files) = match self.worktree.merge(base, tip.tree, theirs.tree)? {
                Merged::Clean(tree) if tree == tip.tree && !self.is_upstream(base, theirs.tree)? => (None, vec![]),
                Merged::Clean(tree) => (Some(tree), vec![]),
                Merged::Conflicts(files) => (None, files),
            };
            if clean.is_none() && !files.is_empty() || clean.is_none() && !to_the_end {
                self.worktree.check_out(tip.id)?;
                // A trial leaves nothing behind, nor does it learn from what was resolved before.
                let memory =
                    if to_the_end { self.worktree.git_dir().join(MEMORY) } else { workspace.state_dir().join(MEMORY) };
                // Git may find where a file went that libgit2 does not, and that nothing is left of a patch.
                clean = self.worktree.cherry_pick(theirs.id, &memory)?;
                let is_fresh = !files.is_empty() && !self.state.resolved;
                if clean.is_none() && is_fresh && self.worktree.unmerged()?.is_empty() {
                    clean = Some(self.worktree.tracked_tree()?).filter(|tree| *tree == tip.tree);
                }
            }
            let stop = clean.is_none() && !to_the_end;
            let fate = match clean {
                None => Fate::Conflict { files },
                Some(tree) if tree == tip.tree => Fate::Merged,
                Some(tree) => {
                    let made = self.worktree.commit(tree, Some(tip.id), &theirs.message, &theirs.author)?;
                    tip = self.worktree.find(made)?;
                    self.state.tip = made.to_string();
                    Fate::Rebased
                }
            };
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

    /// Says whether the new source itself has what a patch changes that changes nothing on the new line. What merges adds nothing to the
    /// line but the patches; only what was resolved by hand may hold another patch.
    fn is_upstream(&self, base: Oid, theirs: Oid) -> Result<bool, Error> {
        let source = self.worktree.find(self.base()?)?.tree;
        Ok(!self.state.resolved
            || matches!(self.worktree.merge(base, source, theirs)?, Merged::Clean(tree) if tree == source))
    }

    /// Checks that the conflict is resolved, in the files or by commits of the user's.
    pub(super) fn check_resolved(&self) -> Result<(), Error> {
        let Some((theirs, files)) = self.conflicting()? else { return Ok(()) };
        let dir = self.worktree.dir();
        let refuse = |what: String, hint: &str| Err(QueueError::Unresolved { what, hint: hint.into() }.into());
        let (tip, head) = (self.worktree.find(self.tip()?)?, self.worktree.find(self.worktree.head()?)?);
        if self.worktree.in_other_operation() {
            let hint = "`git status` there says which, and how it is ended; --skip drops the patch";
            return refuse(format!("git is in the middle of another operation in {}", dir.display()), hint);
        }
        self.worktree.line(tip.id, head.id)?;
        let unmerged = self.worktree.unmerged()?;
        let text = |tree: Oid, path: &str| Ok::<_, Error>(self.worktree.file(tree, path)?.map(|(bytes, _)| bytes));
        for path in files.iter().chain(unmerged.iter().map(|u| &u.path)) {
            let file = dir.join(path);
            if !file.symlink_metadata().is_ok_and(|there| there.is_file()) {
                continue;
            }
            let sides = [text(tip.tree, path)?, text(theirs.tree, path)?].map(Option::unwrap_or_default);
            if has_markers(&fs::read(&file)?, &sides) {
                let hint = "resolve it there and run it again; --skip drops the patch";
                return refuse(format!("{} still has conflict markers", file.display()), hint);
            }
        }
        let is_there = |path: &str| dir.join(path).symlink_metadata().is_ok();
        if let Some(open) = unmerged.iter().find(|u| !u.marked && is_there(&u.path)) {
            let hint = "`git add` the file there, or `git rm` it, as it shall be; --skip drops the patch";
            return refuse(format!("{} is not marked as resolved", dir.join(&open.path).display()), hint);
        }
        let tree = self.worktree.tracked_tree()?;
        if head.id != tip.id && tree != head.tree {
            let files = self.worktree.differing(Some(head.tree), tree)?;
            return Err(QueueError::Uncommitted { dir: dir.to_path_buf(), files }.into());
        }
        if tree == tip.tree {
            let what = format!("nothing is left of the patch in {}", dir.display());
            let hint = format!("--skip drops it; `git cherry-pick {}` there begins it anew", short(&theirs));
            return refuse(what, &hint);
        }
        Ok(())
    }

    /// Takes what the user committed as the resolution, or the tracked files as they stand. The first commit is the patch and keeps
    /// what it said; further ones are patches of their own. What git does not track is
    /// put below `left`, with a warning.
    pub(super) fn resolved(&mut self, left: &Path) -> Result<Option<Warning>, Error> {
        let Some((theirs, _)) = self.conflicting()? else { return Ok(None) };
        let untracked = self.put_aside(left)?;
        let tip = self.tip()?;
        let mut last = tip;
        for made in self.worktree.line(tip, self.worktree.head()?)? {
            let (message, author) = match last == tip {
                true => self.worktree.in_place_of(&made, &theirs)?,
                false => (made.message, made.author),
            };
            last = self.worktree.commit(made.tree, Some(last), &message, &author)?;
        }
        if last == tip {
            self.worktree.remember_resolution()?;
            let tree = self.worktree.tracked_tree()?;
            last = self.worktree.commit(tree, Some(tip), &theirs.message, &theirs.author)?;
        }
        self.state.tip = last.to_string();
        self.state.resolved = true;
        self.settle(Fate::Rebased)?;
        Ok(untracked)
    }

    /// Moves what git does not track out of the worktree, which does not stay.
    fn put_aside(&self, left: &Path) -> Result<Option<Warning>, Error> {
        let (dir, files) = (self.worktree.dir(), self.worktree.untracked()?);
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let to = (1..).map(|n| left.join(format!("{name}-{n}"))).find(|to| !to.exists());
        let Some(to) = to.filter(|_| !files.is_empty()) else { return Ok(None) };
        for file in &files {
            let to = to.join(file);
            fs::create_dir(to.parent().unwrap_or(&to))?;
            fs::rename(&dir.join(file), &to)?;
        }
        Ok(Some(Warning {
            code: "OV1059",
            message: format!(
                "git did not track these files, so no patch has them: {}",
                files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
            ),
            place: None,
            hint: Some(format!(
                "they are in {}; what a patch shall make is added with `git add` before --continue",
                to.display()
            )),
        }))
    }

    /// Drops the patch that conflicts.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        self.settle(Fate::Skipped)
    }

    fn settle(&mut self, fate: Fate) -> Result<(), Error> {
        let Some(planned) = self.state.patches.iter_mut().find(|p| matches!(p.fate, Fate::Conflict { .. })) else {
            return Ok(());
        };
        planned.fate = fate;
        self.worktree.check_out(self.tip()?)?;
        self.save()
    }

    /// Checks that the queue is what the rebase began with.
    pub(super) fn check_queue(&self, workspace: &Workspace, series: &mut Series) -> Result<(), Error> {
        series.recall(|entry| {
            let own = key(workspace, &entry.path);
            self.state.patches.iter().position(|planned| planned.recorded.path == own)
        });
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
            dir: self.state.patches.iter().any(|p| matches!(p.fate, Fate::Conflict { .. })).then(|| dir.to_path_buf()),
            patches: self.state.patches.iter().map(patch).collect(),
            failure: None,
        }
    }
}

fn short(commit: &Commit) -> String {
    commit.id.to_string().chars().take(10).collect()
}

/// Says whether a file has lines that mark a conflict and that neither side has itself.
fn has_markers(text: &[u8], sides: &[Vec<u8>]) -> bool {
    let lines = |text| <[u8]>::split(text, |b: &u8| *b == b'\n');
    let marks = |line: &&[u8]| line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> ");
    lines(text).filter(marks).any(|line| !sides.iter().any(|side| lines(side).any(|own| own == line)))
}
