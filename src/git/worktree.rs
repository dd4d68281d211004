//! A repository with a worktree of its own: trees and commits made from bytes and read back.
//!
//! Deterministic: the same trees, messages, authors and times give the same commits. No hook runs.
//! Must not know patches.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use git2::build::{CheckoutBuilder, TreeUpdateBuilder};
use git2::{FileMode, Oid, Repository, RepositoryInitOptions};

use super::Error;

/// The name under which commits are made.
pub(super) const COMMITTER: (&str, &str) = ("overlayctl", "overlayctl@localhost");
/// Where git looks for attributes first, below its directory.
pub(super) const ATTRIBUTES_FILE: &str = "info/attributes";
/// Above every `.gitattributes` of the source: files are bytes, and compared and merged as text, whatever the source or the user's
/// settings say (`merge=union` would hide conflicts; filters and drivers are programs, which `merge.default` may name where nothing is said).
pub(super) const ATTRIBUTES: &[u8] =
    b"* -text -eol -ident -filter -working-tree-encoding merge !diff !conflict-marker-size\n";

/// The author of a commit and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    pub name: String,
    pub mail: String,
    /// Seconds since 1970.
    pub seconds: i64,
    /// The time zone, minutes east of Greenwich.
    pub offset: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub id: Oid,
    pub tree: Oid,
    /// The commit before; `None` for the first.
    pub parent: Option<Oid>,
    pub message: String,
    pub author: Author,
}

/// A file of a tree: its bytes, and the mode as git has it.
pub type Blob = (Vec<u8>, u32);

pub struct Worktree {
    pub(super) repository: Repository,
    dir: PathBuf,
    names: Names,
}

/// How paths as text are the names of files in trees: as they are, unless something else is said.
#[derive(Clone, Copy)]
pub struct Names {
    pub of: fn(&str) -> PathBuf,
    pub path: fn(&[u8]) -> String,
}

impl Names {
    const TEXT: Names =
        Names { of: |path| PathBuf::from(path), path: |name| String::from_utf8_lossy(name).into_owned() };
}

impl std::fmt::Debug for Worktree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worktree").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Worktree {
    /// Makes an empty repository in a directory, which is made.
    pub fn create(dir: &Path) -> Result<Worktree, Error> {
        let fail = |source| Error::Git { doing: "make a repository", repository: dir.to_path_buf(), source };
        let mut options = RepositoryInitOptions::new();
        // No template: the user's own may bring hooks.
        options.external_template(false).initial_head("queue").mkpath(true);
        let repository = Repository::init_opts(dir, &options).map_err(fail)?;
        let mut config = repository.config().map_err(fail)?;
        for (name, value) in [("core.autocrlf", "false"), ("core.safecrlf", "false"), ("core.eol", "lf")] {
            config.set_str(name, value).map_err(fail)?;
        }
        // A source's file names are what they are.
        config.set_bool("core.protectNTFS", false).map_err(fail)?;
        config.set_bool("core.protectHFS", false).map_err(fail)?;
        crate::base::fs::write(&repository.path().join(ATTRIBUTES_FILE), ATTRIBUTES)?;
        Ok(Worktree { repository, dir: dir.to_path_buf(), names: Names::TEXT })
    }

    /// Opens the repository of a directory; `None` when there is none.
    pub fn open(dir: &Path) -> Result<Option<Worktree>, Error> {
        match Repository::open(dir) {
            Ok(repository) => {
                unlock(repository.path())?;
                Ok(Some(Worktree { repository, dir: dir.to_path_buf(), names: Names::TEXT }))
            }
            Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(source) => Err(Error::Git { doing: "open the repository", repository: dir.to_path_buf(), source }),
        }
    }

    /// Returns the repository with other names for its files.
    #[must_use]
    pub fn with_names(self, names: Names) -> Worktree {
        Worktree { names, ..self }
    }

    pub(super) fn fail(&self, doing: &'static str) -> impl Fn(git2::Error) -> Error + use<> {
        let repository = self.dir.clone();
        move |source| Error::Git { doing, repository: repository.clone(), source }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the directory in which git keeps its own files.
    pub fn git_dir(&self) -> &Path {
        self.repository.path()
    }

    /// Makes a tree from all its files.
    ///
    /// # Errors
    /// [`Error::Git`] for a path that git does not hold.
    pub fn tree_of<'f>(&self, files: impl Iterator<Item = (&'f str, &'f [u8], u32)>) -> Result<Oid, Error> {
        let fail = self.fail("make a tree");
        let mut index = git2::Index::new().map_err(&fail)?;
        for (path, bytes, mode) in files {
            let id = self.repository.blob(bytes).map_err(&fail)?;
            index.add(&entry(path, id, mode)).map_err(&fail)?;
        }
        index.write_tree_to(&self.repository).map_err(fail)
    }

    /// Makes a tree from another and changes to it; `None` takes a file away.
    pub fn changed_tree(&self, from: Oid, changes: &BTreeMap<String, Option<Blob>>) -> Result<Oid, Error> {
        let fail = self.fail("make a tree");
        let tree = self.repository.find_tree(from).map_err(&fail)?;
        let mut builder = TreeUpdateBuilder::new();
        for (path, file) in changes {
            let path = (self.names.of)(path);
            match file {
                Some((bytes, mode)) => {
                    builder.upsert(&path, self.repository.blob(bytes).map_err(&fail)?, file_mode(*mode));
                }
                None if tree.get_path(&path).is_ok() => drop(builder.remove(&path)),
                None => {}
            }
        }
        builder.create_updated(&self.repository, &tree).map_err(fail)
    }

    /// Makes a commit that no branch names yet.
    pub fn commit(&self, tree: Oid, parent: Option<Oid>, message: &str, author: &Author) -> Result<Oid, Error> {
        let fail = self.fail("make a commit");
        let tree = self.repository.find_tree(tree).map_err(&fail)?;
        let parent = parent.map(|id| self.repository.find_commit(id)).transpose().map_err(&fail)?;
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        let time = git2::Time::new(author.seconds, author.offset);
        let signature = |name: &str, mail: &str| git2::Signature::new(name, mail, &time);
        let by = signature(&author.name, &author.mail).map_err(&fail)?;
        let committer = signature(COMMITTER.0, COMMITTER.1).map_err(&fail)?;
        self.repository.commit(None, &by, &committer, message, &tree, &parents).map_err(fail)
    }

    /// Makes the branch of the worktree name a commit, and its files the worktree's; other files there are removed.
    pub fn check_out(&self, commit: Oid) -> Result<(), Error> {
        let fail = self.fail("check out the commit");
        let _at_work = crate::base::fs::at_work(self.git_dir())?;
        self.check_place()?;
        self.forget_operation()?;
        let object = self.repository.find_object(commit, None).map_err(&fail)?;
        let mut how = CheckoutBuilder::new();
        how.force().remove_untracked(true);
        self.repository.reset(&object, git2::ResetType::Hard, Some(&mut how)).map_err(fail)
    }

    /// Keeps a commit under a name of ours.
    pub fn mark(&self, name: &str, commit: Oid) -> Result<(), Error> {
        let _at_work = crate::base::fs::at_work(self.git_dir())?;
        self.repository
            .reference(&format!("refs/overlayctl/{name}"), commit, true, "overlayctl")
            .map(drop)
            .map_err(self.fail("name a commit"))
    }

    /// Makes a branch; one that names the commit already is left alone.
    ///
    /// # Errors
    /// [`Error::Git`], also when there is another branch of that name.
    pub fn branch(&self, name: &str, commit: Oid) -> Result<(), Error> {
        let fail = self.fail("make the branch");
        if let Ok(there) = self.repository.find_branch(name, git2::BranchType::Local)
            && there.get().target() == Some(commit)
        {
            return Ok(());
        }
        let commit = self.repository.find_commit(commit).map_err(&fail)?;
        self.repository.branch(name, &commit, false).map(drop).map_err(fail)
    }

    /// Returns the commit of the worktree's HEAD.
    pub fn head(&self) -> Result<Oid, Error> {
        let fail = self.fail("read HEAD");
        Ok(self.repository.head().and_then(|head| head.peel_to_commit()).map_err(fail)?.id())
    }

    /// Returns a commit; a merge has its first parent only.
    pub fn find(&self, id: Oid) -> Result<Commit, Error> {
        let fail = self.fail("read a commit");
        let commit = self.repository.find_commit(id).map_err(&fail)?;
        Ok(read(&commit))
    }

    /// Returns the tree that a text names: a commit, a branch.
    pub fn resolve(&self, revision: &str) -> Result<Oid, Error> {
        let no = || Error::NoRevision { revision: revision.to_string(), repository: self.dir.clone() };
        let object = self.repository.revparse_single(revision).map_err(|_| no())?;
        Ok(object.peel_to_commit().map_err(|_| no())?.id())
    }

    /// Returns the commits of a range `A..B` (`A..` is `A..HEAD`), the oldest first; a revision alone is that commit.
    ///
    /// # Errors
    /// [`Error::NoRevision`], [`Error::NotALine`] when there is a merge among them.
    pub fn range(&self, range: &str) -> Result<Vec<Commit>, Error> {
        match range.split_once("..") {
            Some((from, "")) => self.line(self.resolve(from)?, self.resolve("HEAD")?),
            Some((from, to)) => self.line(self.resolve(from)?, self.resolve(to)?),
            None => Ok(vec![self.find(self.resolve(range)?)?]),
        }
    }

    /// Returns the commits from `base`, which is left out, to `tip`, the oldest first.
    ///
    /// # Errors
    /// [`Error::NotALine`] when `tip` does not come from `base` or there is a merge between them.
    pub fn line(&self, base: Oid, tip: Oid) -> Result<Vec<Commit>, Error> {
        let fail = self.fail("read the commits");
        let mut line = Vec::new();
        let mut at = tip;
        while at != base {
            let commit = self.repository.find_commit(at).map_err(&fail)?;
            let no = |why| Error::NotALine { repository: self.dir.clone(), why };
            match commit.parent_count() {
                1 => {}
                0 => return Err(no(format!("{} does not come from {}", short(tip), short(base)))),
                _ => return Err(no(format!("{} is a merge", short(at)))),
            }
            line.push(read(&commit));
            at = commit.parent_id(0).map_err(&fail)?;
        }
        line.reverse();
        Ok(line)
    }

    /// Returns what stands at a path of a tree; `None` for nothing and for a directory.
    pub fn file(&self, tree: Oid, path: &str) -> Result<Option<Blob>, Error> {
        let fail = self.fail("read a file");
        let Some(entry) = self.entry(tree, path)? else { return Ok(None) };
        match entry.kind() {
            Some(git2::ObjectType::Tree) => return Ok(None),
            Some(git2::ObjectType::Commit) => return Err(Error::Submodule { path: path.to_string() }),
            _ => {}
        }
        let blob = self.repository.find_blob(entry.id()).map_err(fail)?;
        Ok(Some((blob.content().to_vec(), entry.filemode().cast_unsigned())))
    }

    /// Says whether a path of a tree is a directory.
    pub fn is_folder(&self, tree: Oid, path: &str) -> Result<bool, Error> {
        Ok(self.entry(tree, path)?.is_some_and(|entry| entry.kind() == Some(git2::ObjectType::Tree)))
    }

    fn entry(&self, tree: Oid, path: &str) -> Result<Option<git2::TreeEntry<'static>>, Error> {
        match self.repository.find_tree(tree).and_then(|tree| tree.get_path(&(self.names.of)(path))) {
            Ok(entry) => Ok(Some(entry)),
            Err(e) if e.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(e) => Err(self.fail("read a file")(e)),
        }
    }

    /// Returns the paths in which two trees differ, sorted.
    pub fn differing(&self, before: Option<Oid>, after: Oid) -> Result<Vec<String>, Error> {
        let fail = self.fail("compare trees");
        let tree = |id| self.repository.find_tree(id);
        let (before, after) = (before.map(tree).transpose().map_err(&fail)?, tree(after).map_err(&fail)?);
        let diff = self.repository.diff_tree_to_tree(before.as_ref(), Some(&after), None).map_err(&fail)?;
        let mut paths = Vec::new();
        for delta in diff.deltas() {
            for file in [delta.old_file(), delta.new_file()] {
                paths.extend(file.path_bytes().map(self.names.path));
            }
        }
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// Returns the tracked files that differ from the last commit, the files git does not know, and a note when an
    /// operation of git (a rebase, a merge) is under way.
    pub fn uncommitted(&self) -> Result<Vec<String>, Error> {
        let fail = self.fail("read the status");
        let mut options = git2::StatusOptions::new();
        options.include_untracked(true).include_ignored(false).renames_head_to_index(false);
        let statuses = self.repository.statuses(Some(&mut options)).map_err(fail)?;
        let mut files: Vec<String> =
            statuses.iter().map(|s| String::from_utf8_lossy(s.path_bytes()).into_owned()).collect();
        if self.repository.state() != git2::RepositoryState::Clean {
            files.push(format!("(git is in the middle of: {:?})", self.repository.state()));
        }
        Ok(files)
    }

    /// Removes the worktree with all that is in it.
    pub fn remove(self) -> Result<(), Error> {
        let dir = self.dir.clone();
        drop(self);
        Ok(crate::base::fs::remove_tree(&dir)?)
    }
}

/// Removes the locks that a killed run of ours left, and no others: a lock without its sign may be of a git that runs.
fn unlock(git_dir: &Path) -> Result<(), Error> {
    if crate::base::fs::sweep(git_dir) == 0 {
        return Ok(());
    }
    let marks = std::fs::read_dir(git_dir.join("refs/overlayctl")).into_iter().flatten().flatten();
    let marks = marks.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "lock"));
    let own = ["index.lock", "HEAD.lock", "ORIG_HEAD.lock", "refs/heads/queue.lock"].map(|name| git_dir.join(name));
    for lock in own.into_iter().chain(marks) {
        crate::base::fs::remove(&lock)?;
    }
    Ok(())
}

fn short(id: Oid) -> String {
    id.to_string().chars().take(10).collect()
}

fn read(commit: &git2::Commit<'_>) -> Commit {
    let by = commit.author();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Commit {
        id: commit.id(),
        tree: commit.tree_id(),
        parent: commit.parent_id(0).ok(),
        message: text(commit.message_bytes()),
        author: Author {
            name: text(by.name_bytes()),
            mail: text(by.email_bytes()),
            seconds: by.when().seconds(),
            offset: by.when().offset_minutes(),
        },
    }
}

fn entry(path: &str, id: Oid, mode: u32) -> git2::IndexEntry {
    git2::IndexEntry {
        ctime: git2::IndexTime::new(0, 0),
        mtime: git2::IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id,
        flags: 0,
        flags_extended: 0,
        path: path.as_bytes().to_vec(),
    }
}

fn file_mode(mode: u32) -> FileMode {
    match mode {
        0o100_755 => FileMode::BlobExecutable,
        0o120_000 => FileMode::Link,
        _ => FileMode::Blob,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author() -> Author {
        Author { name: "A".into(), mail: "a@b".into(), seconds: 1_700_000_000, offset: 60 }
    }

    fn tree(worktree: &Worktree, files: &[(&str, &str)]) -> Oid {
        worktree.tree_of(files.iter().map(|(p, t)| (*p, t.as_bytes(), 0o100_644))).unwrap()
    }

    #[test]
    fn the_same_input_gives_the_same_commit_and_files_are_bytes() {
        let make = || {
            let dir = tempfile::tempdir().unwrap();
            let worktree = Worktree::create(&dir.path().join("w")).unwrap();
            let files = [("dir/a.txt", "one\r\ntwo\n"), (".gitattributes", "* text=auto eol=lf\n"), ("x", "$Id$\n")];
            let first = worktree.commit(tree(&worktree, &files), None, "source", &author()).unwrap();
            let changes = BTreeMap::from([
                ("x".to_string(), None),
                ("n/y".to_string(), Some((b"#!".to_vec(), 0o100_755))),
                ("not/there".to_string(), None),
            ]);
            let base = worktree.find(first).unwrap().tree;
            let changed = worktree.changed_tree(base, &changes).unwrap();
            let second = worktree.commit(changed, Some(first), "change\n\nbody\n", &author()).unwrap();
            worktree.check_out(second).unwrap();
            assert_eq!(std::fs::read(dir.path().join("w/dir/a.txt")).unwrap(), b"one\r\ntwo\n");
            assert!(worktree.uncommitted().unwrap().is_empty());
            let line = worktree.line(first, worktree.head().unwrap()).unwrap();
            assert_eq!(line.len(), 1);
            assert_eq!(line[0].author, author());
            assert_eq!(worktree.differing(Some(base), line[0].tree).unwrap(), ["n/y", "x"]);
            assert_eq!(worktree.file(line[0].tree, "n/y").unwrap(), Some((b"#!".to_vec(), 0o100_755)));
            std::fs::write(dir.path().join("w/new"), "x").unwrap();
            assert_eq!(worktree.uncommitted().unwrap(), ["new"]);
            second
        };
        assert_eq!(make(), make());
    }
}
