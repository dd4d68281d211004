//! Several writes as one: all are to be seen, or none.
//!
//! New bytes go into files beside their targets first; then a journal names every rename and removal; then they are
//! done; then the journal goes. A process that is killed before the journal stands has changed nothing; one killed
//! after it is finished by [`super::recover`], which every command that writes calls first.
//!
//! Who read a file before changing it says what it held ([`Batch::replace`], [`Batch::expect`]): when it holds something else by then,
//! nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::journal::{Journal, Step, fingerprint, fingerprint_of};
use super::{FsError, parent, recover, resolve, stage};

/// Writes and removals that belong together.
#[derive(Debug)]
pub struct Batch {
    journal_dir: PathBuf,
    writes: Vec<(PathBuf, Vec<u8>)>,
    removals: Vec<PathBuf>,
    expected: BTreeMap<PathBuf, Option<String>>,
}

impl Batch {
    /// Makes an empty batch whose journal would stand in `journal_dir`.
    pub fn new(journal_dir: impl Into<PathBuf>) -> Batch {
        Batch { journal_dir: journal_dir.into(), writes: Vec::new(), removals: Vec::new(), expected: BTreeMap::new() }
    }

    /// Adds the new content of a file; a later one for the same path takes its place.
    pub fn write(&mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        let path = path.into();
        self.removals.retain(|p| *p != path);
        self.writes.retain(|(p, _)| *p != path);
        self.writes.push((path, bytes.into()));
    }

    /// Adds the new content of a file that held `old` (`None`: that was not there) when it was read.
    pub fn replace(&mut self, path: impl Into<PathBuf>, old: Option<&[u8]>, bytes: impl Into<Vec<u8>>) {
        let path = path.into();
        self.expect(path.clone(), old);
        self.write(path, bytes);
    }

    /// Adds the removal of a file.
    pub fn remove(&mut self, path: impl Into<PathBuf>) {
        let path = path.into();
        self.writes.retain(|(p, _)| *p != path);
        self.removals.retain(|p| *p != path);
        self.removals.push(path);
    }

    /// Makes all of it depend on what a file holds: `old`, or nothing at all for `None`. What was said first of a file counts.
    pub fn expect(&mut self, path: impl Into<PathBuf>, old: Option<&[u8]>) {
        self.expected.entry(path.into()).or_insert_with(|| fingerprint_of(old));
    }

    /// Adds what another batch does, which counts where both do something to a file.
    pub fn append(&mut self, other: Batch) {
        other.writes.into_iter().for_each(|(path, bytes)| self.write(path, bytes));
        other.removals.into_iter().for_each(|path| self.remove(path));
        for (path, old) in other.expected {
            self.expected.entry(path).or_insert(old);
        }
    }

    /// Returns the paths that [`Batch::commit`] would create, replace or remove.
    pub fn changes(&self) -> Vec<PathBuf> {
        let holds = |path: &Path, bytes: &[u8]| super::read(path).is_ok_and(|old| old == bytes);
        let written = self.writes.iter().filter(|(path, bytes)| !holds(path, bytes)).map(|(path, _)| path);
        let removed = self.removals.iter().filter(|p| fs::symlink_metadata(p).is_ok());
        written.chain(removed).cloned().collect()
    }

    /// Does it; returns the paths that changed.
    ///
    /// # Errors
    /// [`FsError::Write`] and [`FsError::Changed`]: nothing has changed and nothing is left behind. [`FsError::Unfinished`] when it cannot go on in
    /// the middle; the journal then stands.
    pub fn commit(self) -> Result<Vec<PathBuf>, FsError> {
        // What a killed run had begun comes first: its journal would be lost under ours.
        recover(&self.journal_dir)?;
        let changes = self.changes();
        if changes.is_empty() {
            return Ok(changes);
        }
        let mut dirs: BTreeSet<&Path> = changes.iter().map(|path| parent(path)).collect();
        dirs.insert(&self.journal_dir);
        for dir in dirs {
            super::sweep(dir);
        }
        // Declared before `staged`: on failure the staged files have to go before the directories they are in.
        let mut made_dirs = MadeDirs::default();
        let mut staged = Vec::new();
        for (path, bytes) in self.writes.iter().filter(|(p, _)| changes.contains(p)) {
            let fail = |source| FsError::Write { path: path.clone(), source };
            let target = resolve(path).map_err(fail)?;
            made_dirs.make(parent(&target)).map_err(fail)?;
            staged.push((stage(&target, bytes).map_err(fail)?, target, bytes.as_slice()));
        }
        let dir = &self.journal_dir;
        let root = dir.canonicalize().map_err(|source| FsError::Write { path: dir.clone(), source })?;
        let mut steps = Vec::new();
        let plan = |path: &Path, new| {
            Step::plan(&root, path, new).map_err(|source| FsError::Write { path: path.to_path_buf(), source })
        };
        for (temporary, target, bytes) in &staged {
            steps.push(plan(target, Some((temporary.path(), bytes)))?);
        }
        for path in self.removals.iter().filter(|p| changes.contains(p)) {
            steps.push(plan(path, None)?);
        }
        // After the steps were planned: what they go back to is what was expected.
        self.check_expected()?;
        let mut journal = Journal::new(steps);
        journal.write(&root)?;
        // From here on the batch counts as done: what is left is rolled forward, now or by the next run.
        made_dirs.keep();
        for (temporary, ..) in staged {
            let path = temporary.path().to_path_buf();
            temporary.keep().map_err(|e| FsError::Write { path, source: e.error })?;
        }
        journal.carry_out(&root)?;
        Ok(changes)
    }

    /// Looks whether every file still holds what was read.
    fn check_expected(&self) -> Result<(), FsError> {
        for (path, old) in &self.expected {
            let fail = |source| FsError::Read { path: path.clone(), source };
            let now = fingerprint(&resolve(path).map_err(fail)?).map_err(fail)?;
            if now != *old {
                return Err(FsError::Changed { path: path.clone() });
            }
        }
        Ok(())
    }
}

/// Directories made for a batch; those that stayed empty go again when it fails.
#[derive(Default)]
struct MadeDirs(Vec<PathBuf>);

impl MadeDirs {
    fn make(&mut self, dir: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> =
            dir.ancestors().take_while(|d| !d.as_os_str().is_empty() && !d.exists()).collect();
        while let Some(d) = missing.pop() {
            fs::create_dir(d)?;
            self.0.push(d.to_path_buf());
        }
        Ok(())
    }

    fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for MadeDirs {
    fn drop(&mut self) {
        for dir in self.0.iter().rev() {
            // Not empty any more, or gone: either way it is not ours to remove.
            let _ = fs::remove_dir(dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let at = |n: &str| dir.path().join(n);
        fs::write(at("overlay.nix"), "old").unwrap();
        fs::write(at("gone.patch"), "x").unwrap();
        let mut batch = Batch::new(dir.path());
        batch.write(at("patches/a/1.patch"), "patch");
        batch.write(at("overlay.nix"), "new");
        batch.remove(at("gone.patch"));
        let changed = batch.commit().unwrap();
        assert_eq!(changed.len(), 3);
        assert_eq!(fs::read_to_string(at("overlay.nix")).unwrap(), "new");
        assert!(!at("gone.patch").exists() && !at(super::super::journal::NAME).exists());
    }

    #[test]
    fn a_batch_that_cannot_be_staged_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        let mut batch = Batch::new(dir.path());
        batch.write(dir.path().join("new/dir/1.patch"), "patch");
        // A file stands where a directory is needed.
        batch.write(dir.path().join("file/overlay.nix"), "new");
        assert!(batch.commit().is_err());
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["file"]);
    }

    #[test]
    fn nothing_is_written_when_a_file_changed_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let at = |n: &str| dir.path().join(n);
        fs::write(at("overlay.nix"), "read").unwrap();
        let batch = |old: Option<&[u8]>| {
            let mut batch = Batch::new(dir.path());
            batch.write(at("patches/1.patch"), "patch");
            batch.replace(at("overlay.nix"), old, "new");
            batch
        };
        fs::write(at("overlay.nix"), "edited").unwrap();
        assert!(matches!(batch(Some(b"read")).commit(), Err(FsError::Changed { path }) if path == at("overlay.nix")));
        assert!(matches!(batch(None).commit(), Err(FsError::Changed { .. })));
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["overlay.nix"]);
        assert_eq!(fs::read(at("overlay.nix")).unwrap(), b"edited");
        assert_eq!(batch(Some(b"edited")).commit().unwrap().len(), 2);
        // A file that is only looked at counts as well.
        let mut looks = Batch::new(dir.path());
        looks.expect(at("patches/1.patch"), None);
        looks.write(at("other"), "x");
        assert!(matches!(looks.commit(), Err(FsError::Changed { .. })));
    }
}
