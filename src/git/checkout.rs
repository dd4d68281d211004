//! Copies of a tree: as it is at a revision, and as it stands in the working directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Error, repository_of};

/// Writes the tree of a revision below `into` and returns where `dir` is in it, whether it was there at that revision or
/// not. The copy has the name of the working directory, for Nix names what it copies after its directory. Submodules
/// are left out.
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
    pub root: PathBuf,
    /// Where the directory that was asked about is below it.
    pub below: PathBuf,
    /// The files and symbolic links of the index that are there, relative to the root, sorted.
    pub known: Vec<PathBuf>,
    pub new: Vec<PathBuf>,
}

/// Returns the working tree that `dir` is in; `None` outside a repository.
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

/// A file that is not as it was at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The file, relative to the root.
    pub path: PathBuf,
    pub before: bool,
    pub after: bool,
    /// Whether git knows it now; a flake sees nothing else.
    pub is_known: bool,
    /// Of a submodule the commits, where there was and is one.
    pub submodule: Option<(Option<String>, Option<String>)>,
}

/// What changed in a working directory since a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    pub root: PathBuf,
    /// Where the directory that was asked about is below it.
    pub below: PathBuf,
    /// The commit; `None` for a revision that is a mere tree.
    pub commit: Option<git2::Oid>,
    /// Its tree: the content of all files.
    pub tree: git2::Oid,
    /// Whether old commits were left out when the repository was cloned.
    pub is_shallow: bool,
    /// The files, new ones among them, ignored ones not.
    pub files: Vec<Changed>,
}

/// Returns what changed in the working directory that `dir` is in since a revision.
pub fn changed_since(dir: &Path, revision: &str) -> Result<Since, Error> {
    let (repository, root, below) = locate(dir)?;
    let unknown = |_| Error::NoRevision { revision: revision.to_owned(), repository: root.clone() };
    let object = repository.revparse_single(revision).map_err(unknown)?;
    let tree = object.peel_to_tree().map_err(unknown)?;
    let fail = |source| Error::Git { doing: "look at what changed", repository: root.clone(), source };
    let mut options = git2::DiffOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true).show_untracked_content(false).ignore_filemode(false);
    let diff = repository.diff_tree_to_workdir_with_index(Some(&tree), Some(&mut options)).map_err(fail)?;
    let index = repository.index().map_err(fail)?;
    let mut files = Vec::new();
    for delta in diff.deltas() {
        let (old, new) = (delta.old_file(), delta.new_file());
        let Some(path) = new.path_bytes().or_else(|| old.path_bytes()).and_then(path_of) else { continue };
        let commit = |file: &git2::DiffFile<'_>| {
            (file.mode() == git2::FileMode::Commit)
                .then(|| Some(file.id().to_string()).filter(|_| !file.id().is_zero()))
        };
        let submodule = match (commit(&old), commit(&new)) {
            (None, None) => None,
            (old, new) => Some((old.flatten(), new.flatten())),
        };
        files.push(Changed {
            before: !matches!(delta.status(), git2::Delta::Added | git2::Delta::Untracked),
            after: delta.status() != git2::Delta::Deleted,
            is_known: index.get_path(&path, 0).is_some(),
            path,
            submodule,
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let commit = object.peel_to_commit().ok().map(|commit| commit.id());
    Ok(Since { below, commit, tree: tree.id(), is_shallow: repository.is_shallow(), files, root })
}

/// Says which of the entries of a directory git ignores.
pub fn ignored(dir: &Path, entries: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let (repository, root, _) = locate(dir)?;
    let mut found = Vec::new();
    for entry in entries {
        let fail = |source| Error::Git { doing: "look at what is ignored", repository: root.clone(), source };
        let Ok(below) = entry.strip_prefix(&root) else { continue };
        if repository.status_should_ignore(below).map_err(fail)? {
            found.push(entry.clone());
        }
    }
    Ok(found)
}

fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

/// Returns the working directory that `dir` is in, and where it is below that; `None` outside a repository.
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

        fs::write(&root.join("sub/staged"), b"s").unwrap();
        let mut index = repository.index().unwrap();
        index.add_path(Path::new("sub/staged")).unwrap();
        index.write().unwrap();
        let since = changed_since(&root.join("sub"), "HEAD").unwrap();
        assert_eq!((since.below.as_path(), since.commit.is_some(), since.is_shallow), (Path::new("sub"), true, false));
        let seen = since.files.iter().map(|file| (file.path.to_str().unwrap(), file.before, file.after, file.is_known));
        assert_eq!(
            seen.collect::<Vec<_>>(),
            [
                ("sub/fix.patch", false, true, false),
                ("sub/overlay.nix", true, true, true),
                ("sub/staged", false, true, true)
            ]
        );
        fs::remove(&root.join("sub/staged")).unwrap();
        fs::remove(&file).unwrap();
        let gone = changed_since(&root, "HEAD").unwrap().files;
        assert!(gone.iter().any(|file| file.path.ends_with("overlay.nix") && file.before && !file.after), "{gone:?}");
        assert!(matches!(changed_since(&root, "nowhere"), Err(Error::NoRevision { .. })));
        let real = root.canonicalize().unwrap();
        let entries = [real.join("x.log"), real.join("sub")];
        assert_eq!(ignored(&root, &entries).unwrap(), entries[..1]);
        fs::write(&file, b"new").unwrap();

        let mut index = repository.index().unwrap();
        index.remove_path(Path::new("sub/staged")).unwrap();
        index.write().unwrap();
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
