//! The history of a repository, and its files at one revision after the other in a scratch directory.
//!
//! Must not change the repository: the scratch directory is one of its own that only borrows the objects.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use git2::build::CheckoutBuilder;
use git2::{Oid, Repository};

use super::Error;

/// A commit of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    pub id: Oid,
    /// The first line of what it says.
    pub subject: String,
    /// When it was committed, in seconds since 1970.
    pub seconds: i64,
    /// The commits before it; a merge has several.
    pub parents: Vec<Oid>,
}

/// A repository, and where in it the directory is that was asked about.
pub struct History {
    repository: Repository,
    root: PathBuf,
    below: PathBuf,
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("root", &self.root).field("below", &self.below).finish_non_exhaustive()
    }
}

impl History {
    /// Opens the history of the repository that `dir` is in, which may be a bare one; `None` when it is in none.
    pub fn of(dir: &Path) -> Result<Option<History>, Error> {
        let Some(repository) = super::repository_of(dir)? else { return Ok(None) };
        let bare = repository.workdir().is_none();
        let root = repository.workdir().unwrap_or(repository.path()).to_path_buf();
        let root = root.canonicalize().unwrap_or(root);
        let below = match dir.canonicalize() {
            Ok(dir) if !bare => dir.strip_prefix(&root).unwrap_or(Path::new("")).to_path_buf(),
            _ => PathBuf::new(),
        };
        Ok(Some(History { repository, root, below }))
    }

    fn fail(&self, doing: &'static str) -> impl Fn(git2::Error) -> Error + use<> {
        let repository = self.root.clone();
        move |source| Error::Git { doing, repository: repository.clone(), source }
    }

    /// Returns the working directory, or that of a bare repository.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Says whether old commits were left out when the repository was cloned.
    pub fn is_shallow(&self) -> bool {
        self.repository.is_shallow()
    }

    /// Returns the commit that a text names; `None` when it names none here.
    pub fn resolve(&self, revision: &str) -> Option<Oid> {
        Some(self.repository.revparse_single(revision).ok()?.peel_to_commit().ok()?.id())
    }

    pub fn revision(&self, id: Oid) -> Result<Revision, Error> {
        let commit = self.repository.find_commit(id).map_err(self.fail("read a commit"))?;
        let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
        Ok(Revision {
            id,
            subject: message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_string(),
            seconds: commit.time().seconds(),
            parents: commit.parent_ids().collect(),
        })
    }

    /// Returns the commit where two lines part; `None` when they have nothing in common.
    pub fn merge_base(&self, one: Oid, other: Oid) -> Result<Option<Oid>, Error> {
        match self.repository.merge_base(one, other) {
            Ok(base) => Ok(Some(base)),
            Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(e) => Err(self.fail("find where the lines part")(e)),
        }
    }

    /// Returns the commits of the line that ends in `tip`, going from each to its first parent, down to the first that
    /// `old` has as well; that one is left out. The oldest comes first.
    pub fn first_parents(&self, old: Oid, tip: Oid) -> Result<Vec<Oid>, Error> {
        let fail = self.fail("read the commits");
        let mut walk = self.repository.revwalk().map_err(&fail)?;
        walk.push(tip).map_err(&fail)?;
        walk.hide(old).map_err(&fail)?;
        let between: HashSet<Oid> = walk.collect::<Result<_, _>>().map_err(&fail)?;
        let mut line = Vec::new();
        let mut at = Some(tip);
        while let Some(id) = at.filter(|id| between.contains(id)) {
            line.push(id);
            at = self.repository.find_commit(id).map_err(&fail)?.parent_id(0).ok();
        }
        line.reverse();
        Ok(line)
    }

    /// Makes a scratch directory below `into`, which has the name of the repository's directory: Nix names what it copies so.
    pub fn scratch(&self, into: &Path) -> Result<Scratch, Error> {
        let fail = self.fail("make a scratch directory");
        let dir = into.join(self.root.file_name().unwrap_or_else(|| "source".as_ref()));
        let mut options = git2::RepositoryInitOptions::new();
        options.external_template(false).initial_head("scratch").mkpath(true);
        let repository = Repository::init_opts(&dir, &options).map_err(&fail)?;
        let objects = self.repository.commondir().join("objects");
        let text = objects.to_str().ok_or_else(|| fail(git2::Error::from_str("its path is not UTF-8")))?;
        repository.odb().and_then(|odb| odb.add_disk_alternate(text)).map_err(&fail)?;
        Ok(Scratch { repository, dir, below: self.below.clone() })
    }
}

/// A directory that holds the files of one revision at a time; going to the next one writes what differs.
pub struct Scratch {
    repository: Repository,
    dir: PathBuf,
    below: PathBuf,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Scratch {
    /// Makes the files of a commit those of the directory; returns where the directory that the history was asked for is
    /// in it, whether it is there at that revision or not.
    pub fn check_out(&self, commit: Oid) -> Result<PathBuf, Error> {
        let fail = |source| Error::Git { doing: "check out the commit", repository: self.dir.clone(), source };
        let object = self.repository.find_object(commit, None).map_err(fail)?;
        let mut how = CheckoutBuilder::new();
        // Bytes as they are; what stands there is what the last call left.
        how.force().remove_untracked(true).disable_filters(true);
        self.repository.reset(&object, git2::ResetType::Hard, Some(&mut how)).map_err(fail)?;
        Ok(self.dir.join(&self.below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs;

    /// Commits the files of the index's directory on top of `parents`, naming no branch.
    fn commit(repository: &Repository, parents: &[Oid], name: &str, text: &str) -> Oid {
        let mut tree = repository.treebuilder(None).unwrap();
        if let Some(parent) = parents.first() {
            let before = repository.find_commit(*parent).unwrap().tree().unwrap();
            tree = repository.treebuilder(Some(&before)).unwrap();
        }
        tree.insert(name, repository.blob(text.as_bytes()).unwrap(), 0o100_644).unwrap();
        let tree = repository.find_tree(tree.write().unwrap()).unwrap();
        let who = git2::Signature::new("A", "a@b", &git2::Time::new(1_700_000_000, 0)).unwrap();
        let parents: Vec<_> = parents.iter().map(|id| repository.find_commit(*id).unwrap()).collect();
        let parents: Vec<_> = parents.iter().collect();
        repository.commit(None, &who, &who, &format!("{name}: {text}\n"), &tree, &parents).unwrap()
    }

    #[test]
    fn lines_follow_first_parents_and_files_follow_the_revision() {
        let (dir, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let repository = Repository::init(dir.path().join("set")).unwrap();
        let a = commit(&repository, &[], "a", "1");
        let b = commit(&repository, &[a], "a", "2");
        let side = commit(&repository, &[a], "side", "1");
        let merge = commit(&repository, &[b, side], "side", "1");
        let old_branch = commit(&repository, &[b], "a", "fixed on the old branch");
        fs::write(&dir.path().join("set/sub/x"), b"").unwrap();
        let history = History::of(&dir.path().join("set/sub")).unwrap().unwrap();
        assert_eq!(history.first_parents(a, merge).unwrap(), [b, merge]);
        assert_eq!(history.first_parents(old_branch, merge).unwrap(), [merge]);
        assert_eq!(history.first_parents(merge, merge).unwrap(), []);
        assert_eq!(history.merge_base(old_branch, merge).unwrap(), Some(b));
        assert_eq!(history.resolve(&merge.to_string()), Some(merge));
        assert_eq!(history.resolve("nowhere"), None);
        let revision = history.revision(merge).unwrap();
        assert_eq!((revision.subject.as_str(), revision.parents), ("side: 1", vec![b, side]));

        let scratch = history.scratch(into.path()).unwrap();
        let at = |name: &str| into.path().join("set").join(name);
        assert_eq!(scratch.check_out(merge).unwrap(), at("sub"));
        assert!(at("side").is_file() && fs::read(&at("a")).unwrap() == b"2");
        scratch.check_out(a).unwrap();
        assert!(!at("side").exists() && fs::read(&at("a")).unwrap() == b"1");
        assert!(History::of(into.path()).unwrap().is_none());
    }
}
