//! A commit that does not merge, left in the worktree as git leaves it: in the middle of a cherry-pick.
//!
//! Git itself does it, so that index, CHERRY_PICK_HEAD, MERGE_MSG, markers and what rerere remembers are what the user's git
//! goes on with. Where git is not to be had libgit2 does, which knows no rerere. No hook, filter, driver or monitor is started.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::Oid;

use super::worktree::{ATTRIBUTES, ATTRIBUTES_FILE, COMMITTER};
use super::{Error, Worktree};
use crate::base::fs;
use crate::base::process::{Exec, Finished, ProcessError};

/// What overrules the repository's and the user's settings: each could start a program, or do more than the command. Filters and
/// drivers are out by the repository's attributes, which stand above all others.
const SETTINGS: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "commit.gpgSign=false",
    "submodule.recurse=false",
    "maintenance.auto=false",
    "gc.auto=0",
];

/// A path that the index has on several sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmerged {
    pub path: String,
    /// Whether git marks both sides in the file; if not, only the index says when it is resolved.
    pub marked: bool,
}

impl Worktree {
    /// Begins a cherry-pick of a commit that does not merge with HEAD. With rerere on, resolutions are remembered in `memory`, as
    /// the repository does not stay. Returns the tree when it merges after all; else it waits for the user.
    ///
    /// # Errors
    /// [`Error::Git`], [`Error::Fs`], [`Error::Process`] when it is interrupted.
    pub fn cherry_pick(&self, commit: Oid, memory: &Path) -> Result<Option<Oid>, Error> {
        let _at_work = fs::at_work(self.git_dir())?;
        self.check_place()?;
        let before = self.head()?;
        let on = self.git(&["config", "--type=bool", "--get", "rerere.enabled"])?;
        let place = self.git_dir().join("rr-cache");
        if on.is_some_and(|on| on.stdout.trim_ascii() == b"true") && !place.exists() && !memory.is_symlink() {
            fs::create_dir(memory)?;
            fs::link(&absolute(memory)?, &place)?;
        }
        self.git(&["cherry-pick", &commit.to_string()])?;
        let head = self.find(self.head()?)?;
        if head.id != before {
            return Ok(Some(head.tree));
        }
        let fail = self.fail("cherry-pick the commit");
        if self.repository.state() != git2::RepositoryState::CherryPick {
            let commit = self.repository.find_commit(commit).map_err(&fail)?;
            self.repository.cherrypick(&commit, None).map_err(fail)?;
        }
        Ok(None)
    }

    /// Lets rerere remember how the conflicts were resolved that it knows of, before they are committed by us.
    ///
    /// # Errors
    /// [`Error::Process`] when it is interrupted.
    pub fn remember_resolution(&self) -> Result<(), Error> {
        if self.git_dir().join("MERGE_RR").exists() {
            self.git(&["rerere"])?;
        }
        Ok(())
    }

    /// Returns the paths that are not marked as resolved in the index.
    pub fn unmerged(&self) -> Result<Vec<Unmerged>, Error> {
        let fail = self.fail("read the index");
        let mut index = self.repository.index().map_err(&fail)?;
        index.read(true).map_err(&fail)?;
        let mut unmerged = Vec::new();
        for conflict in index.conflicts().map_err(&fail)? {
            let conflict = conflict.map_err(&fail)?;
            let sides = [&conflict.our, &conflict.their, &conflict.ancestor];
            let Some(entry) = sides.iter().find_map(|side| side.as_ref()) else { continue };
            let has_text = |side: &Option<git2::IndexEntry>| {
                // Git takes a file for text by its first 8,000 bytes.
                let regular = side.as_ref().filter(|entry| entry.mode & 0o170_000 == 0o100_000);
                let blob = regular.and_then(|entry| self.repository.find_blob(entry.id).ok());
                blob.is_some_and(|blob| !blob.content().iter().take(8000).any(|byte| *byte == 0))
            };
            let marked = has_text(&conflict.our) && has_text(&conflict.their);
            unmerged.push(Unmerged { path: String::from_utf8_lossy(&entry.path).into_owned(), marked });
        }
        Ok(unmerged)
    }

    /// Makes a tree of the tracked files as they stand in the worktree; what was never added is not in it.
    pub fn tracked_tree(&self) -> Result<Oid, Error> {
        let fail = self.fail("read the files");
        // Not written to disk: the user's index stays as it is.
        let mut index = self.repository.index().map_err(&fail)?;
        index.read(true).map_err(&fail)?;
        let diff = self.repository.diff_index_to_workdir(Some(&index), None).map_err(&fail)?;
        let mut changed: Vec<PathBuf> = diff
            .deltas()
            .filter_map(|delta| Some(delta.old_file().path().or(delta.new_file().path())?.into()))
            .collect();
        changed.sort();
        changed.dedup();
        let is_submodule =
            |index: &git2::Index, path: &Path| index.get_path(path, 0).is_some_and(|e| e.mode == 0o160_000);
        for path in changed {
            if is_submodule(&index, &path) {
                continue;
            }
            match self.dir().join(&path).symlink_metadata() {
                Ok(there) if !there.is_dir() => index.add_path(&path).map_err(&fail)?,
                _ => index.remove_path(&path).map_err(&fail)?,
            }
        }
        index.write_tree_to(&self.repository).map_err(fail)
    }

    /// Returns the files and folders that git neither tracks nor ignores.
    pub fn untracked(&self) -> Result<Vec<PathBuf>, Error> {
        let mut options = git2::StatusOptions::new();
        options.include_untracked(true).include_ignored(false);
        let statuses = self.repository.statuses(Some(&mut options)).map_err(self.fail("read the status"))?;
        let new = statuses.iter().filter(|entry| entry.status().is_wt_new());
        Ok(new.map(|entry| PathBuf::from(OsStr::from_bytes(entry.path_bytes()))).collect())
    }

    /// Says whether an operation of git's is under way that is no cherry-pick.
    pub fn in_other_operation(&self) -> bool {
        use git2::RepositoryState as State;
        !matches!(self.repository.state(), State::Clean | State::CherryPick | State::CherryPickSequence)
    }

    /// Forgets an operation of git's that libgit2 does not know of when it resets.
    pub(super) fn forget_operation(&self) -> Result<(), Error> {
        for name in ["MERGE_RR", "AUTO_MERGE"] {
            fs::remove(&self.git_dir().join(name))?;
        }
        Ok(())
    }

    /// Refuses a repository whose configuration puts its files somewhere else.
    pub(super) fn check_place(&self) -> Result<(), Error> {
        let place = |path: &Path| path.canonicalize().ok();
        match self.repository.workdir().and_then(place) == place(self.dir()) {
            true => Ok(()),
            false => Err(self.fail("work")(git2::Error::from_str("core.worktree names another directory"))),
        }
    }

    /// Runs git in the worktree; `None` when there is no git. How it ended is for the caller to see.
    fn git(&self, args: &[&str]) -> Result<Option<Finished>, Error> {
        let (dir, git_dir) = (absolute(self.dir())?, absolute(self.git_dir())?);
        let option = |name: &str, path: &Path| {
            let mut option = OsString::from(name);
            option.push(path);
            option
        };
        fs::write_below(&git_dir, &git_dir.join(ATTRIBUTES_FILE), ATTRIBUTES)?;
        let mut exec = Exec::new("git").args([option("--git-dir=", &git_dir), option("--work-tree=", &dir)]);
        for setting in SETTINGS {
            exec = exec.args(["-c", setting]);
        }
        let exec = exec
            .args(args)
            .env("GIT_INDEX_FILE", git_dir.join("index"))
            .env("GIT_OBJECT_DIRECTORY", git_dir.join("objects"))
            .env("GIT_COMMITTER_NAME", COMMITTER.0)
            .env("GIT_COMMITTER_EMAIL", COMMITTER.1)
            // Nothing is fetched that a repository says is missing.
            .env("GIT_ALLOW_PROTOCOL", "")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .dir(dir);
        match exec.run() {
            Ok(finished) => Ok(Some(finished)),
            Err(ProcessError::Start { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    Ok(std::path::absolute(path).map_err(|source| fs::FsError::Read { path: path.to_path_buf(), source })?)
}
