//! Git through libgit2: what changed, a tree at a revision, worktrees, commits, files made visible to Nix.
//!
//! Must not know overlays or Nix. Git itself is started for one thing only, the cherry-pick that stops.

mod by_hand;
mod checkout;
mod cherry_pick;
mod history;
mod merge;
mod notes;
mod remote;
mod visible;
mod worktree;

use std::path::{Path, PathBuf};

pub use checkout::{Changed, Since, WorkingTree, changed_since, checkout, ignored, working_directory, working_tree};
pub use cherry_pick::Unmerged;
pub use git2::Oid;
pub use history::{History, Revision, Scratch};
pub use merge::Merged;
pub use remote::has_branch;
pub use visible::{forget, make_visible};
pub use worktree::{Author, Blob, Commit, Names, Worktree};

use crate::base::diagnostic::{Coded, Origin};
use crate::base::fs::FsError;
use crate::base::process::ProcessError;
use crate::base::span::Place;

/// Why git could not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("git cannot {doing} in {}", repository.display())]
    Git { doing: &'static str, repository: PathBuf, source: git2::Error },
    #[error("{} is in no git repository", path.display())]
    NoRepository { path: PathBuf },
    #[error("there is no revision `{revision}` in {}", repository.display())]
    NoRevision { revision: String, repository: PathBuf },
    #[error("the commits in {} are not a line: {why}", repository.display())]
    NotALine { repository: PathBuf, why: String },
    #[error("`{path}` is a submodule")]
    Submodule { path: String },
    #[error("git was not run to its end")]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Git { .. } => Origin::Here("OV0701"),
            Error::NoRepository { .. } => Origin::Here("OV0702"),
            Error::NoRevision { .. } => Origin::Here("OV0703"),
            Error::NotALine { .. } => Origin::Here("OV0704"),
            Error::Process(_) => Origin::Here("OV0705"),
            Error::Submodule { .. } => Origin::Here("OV0706"),
            Error::Fs(e) => Origin::Below(e),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::NoRepository { .. } => Some("`git init` makes one".into()),
            Error::Submodule { .. } => {
                Some("a patch holds files, no repository: `git rm --cached` it, and add its files".into())
            }
            Error::NotALine { .. } => Some("make a line of them with `git rebase`".into()),
            _ => self.below().and_then(Coded::hint),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Git { repository, .. }
            | Error::NoRevision { repository, .. }
            | Error::NotALine { repository, .. } => Some(Place::file(repository)),
            Error::Fs(_) | Error::Process(_) | Error::Submodule { .. } => self.below().and_then(Coded::place),
            Error::NoRepository { path } => Some(Place::file(path)),
        }
    }
}

/// Opens the repository that `dir` is in; `None` when it is in none.
///
/// # Errors
/// [`Error::Git`] when there is one that cannot be opened.
pub fn repository_of(dir: &Path) -> Result<Option<git2::Repository>, Error> {
    match git2::Repository::discover(dir) {
        Ok(repository) => Ok(Some(repository)),
        Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(None),
        Err(source) => Err(Error::Git { doing: "open the repository", repository: dir.to_path_buf(), source }),
    }
}
