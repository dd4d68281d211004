//! Copies of a tree: as it is at a revision, and as it stands in the working directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Error, repository_of};

/// Writes the tree of a revision below `into` and returns where `dir` is in it, whether it was there at that revision or
/// not. The copy has the name of the working directory, for Nix names what it copies after its directory. Submodules
/// are left out.
///
/// # Errors
/// [`Error::NoRepository`], [`Error::NoRevision`], [`Error::Git`].
pub fn checkout(dir: &Path, revision: &str, into: &Path) -> Result<PathBuf, Error> {
    let (repository, root, below) = locate(dir)?;
    let unknown = |_| Error::NoRevision { revision: revision.to_owned(), repository: root.clone() };
    let tree = repository.revparse_single(revision).and_then(|object| object.peel_to_tree()).map_err(unknown)?;
    let copy = into.join(root.file_name().unwrap_or_else(|| "source".as_ref()));
    let mut how = git2::build::CheckoutBuilder::new();
    how.target_dir(&copy).update_index(false).force().recreate_missing(true);
    repository.checkout_tree(tree.as_object(), Some(&mut how)).map_err(|source| Error::Git {
        doing: "write the tree of the revision",
        repository: root,
        source,
    })?;
    Ok(copy.join(below))
}

/// The files of a working directory that git knows or would be shown as new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingTree {
    /// The working directory.
    pub root: PathBuf,
    /// Where the directory that was asked about is below it.
    pub below: PathBuf,
    /// The files and symbolic links of the index that are there, relative to the root, sorted.
    pub known: Vec<PathBuf>,
    /// Those that are new.
    pub new: Vec<PathBuf>,
}

/// Returns the working tree that `dir` is in; `None` outside a repository.
///
/// # Errors
/// [`Error::Git`].
pub fn working_tree(dir: &Path) -> Result<Option<WorkingTree>, Error> {
    let (repository, root, below) = match locate(dir) {
        Err(Error::NoRepository { .. }) => return Ok(None),
        located => located?,
    };
    let fail = |doing| {
        let repository = root.clone();
        move |source| Error::Git { doing, repository, source }
    };
    let mut options = git2::StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).include_ignored(false).exclude_submodules(true);
    let (mut known, mut new) = (BTreeSet::new(), BTreeSet::new());
    for entry in repository.index().map_err(fail("read the index"))?.iter() {
        known.extend(path_of(&entry.path));
    }
    for status in repository.statuses(Some(&mut options)).map_err(fail("look at what changed"))?.iter() {
        new.extend(path_of(status.path_bytes()).filter(|path| !known.contains(path)));
    }
    let there = |file: &PathBuf| root.join(file).symlink_metadata().is_ok_and(|there| !there.is_dir());
    let (known, new) = (known.into_iter().filter(there).collect(), new.into_iter().filter(there).collect());
    Ok(Some(WorkingTree { root, below, known, new }))
}

fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

/// Returns the working directory that `dir` is in, and where it is below that; `None` outside a repository.
///
/// # Errors
/// [`Error::Git`].
pub fn working_directory(dir: &Path) -> Result<Option<(PathBuf, PathBuf)>, Error> {
    match locate(dir) {
        Err(Error::NoRepository { .. }) => Ok(None),
        located => located.map(|(_, root, below)| Some((root, below))),
    }
}

/// Returns the repository of a directory, its working directory, and where the directory is below that.
fn locate(dir: &Path) -> Result<(git2::Repository, PathBuf, PathBuf), Error> {
    let none = || Error::NoRepository { path: dir.to_path_buf() };
    let repository = repository_of(dir)?.ok_or_else(none)?;
    let root = repository.workdir().and_then(|path| path.canonicalize().ok()).ok_or_else(none)?;
    let below = dir.canonicalize().ok().and_then(|dir| Some(dir.strip_prefix(&root).ok()?.to_path_buf()));
    Ok((repository, root, below.ok_or_else(none)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs;

    fn commit(repository: &git2::Repository) {
        let mut index = repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let who = git2::Signature::now("A", "a@example.org").unwrap();
        let parent = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
        repository.commit(Some("HEAD"), &who, &who, "m", &tree, &parent.iter().collect::<Vec<_>>()).unwrap();
    }

    #[test]
    fn a_revision_is_written_beside_and_the_working_tree_stays() {
        let (dir, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = dir.path().join("board");
        let repository = git2::Repository::init(&root).unwrap();
        let file = root.join("sub/overlay.nix");
        fs::write(&file, b"old").unwrap();
        fs::write(&root.join(".gitignore"), b"*.log\n").unwrap();
        commit(&repository);
        fs::write(&file, b"new").unwrap();
        fs::write(&root.join("sub/fix.patch"), b"p").unwrap();
        fs::write(&root.join("x.log"), b"l").unwrap();
        let there = checkout(&root.join("sub"), "HEAD", into.path()).unwrap();
        assert_eq!(there, into.path().join("board/sub"));
        assert_eq!(fs::read(&there.join("overlay.nix")).unwrap(), b"old");
        assert!(!there.join("fix.patch").exists());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(repository.status_file(Path::new("sub/overlay.nix")).unwrap(), git2::Status::WT_MODIFIED);
        assert!(matches!(checkout(&root, "nowhere", into.path()), Err(Error::NoRevision { .. })));

        let tree = working_tree(&root.join("sub")).unwrap().unwrap();
        assert_eq!(tree.below, Path::new("sub"));
        assert_eq!(tree.known, [".gitignore", "sub/overlay.nix"].map(PathBuf::from));
        assert_eq!(tree.new, [PathBuf::from("sub/fix.patch")]);
    }

    #[test]
    fn outside_a_repository_there_is_no_tree() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(working_tree(dir.path()).unwrap(), None);
        assert!(matches!(checkout(dir.path(), "HEAD", dir.path()), Err(Error::NoRepository { .. })));
    }
}
