//! Several writes as one: all are to be seen, or none.
//!
//! New bytes go into files beside their targets first; then a journal names every rename and removal; then they are
//! done; then the journal goes. A process that is killed before the journal stands has changed nothing; one killed
//! after it is finished by [`recover`], which the next run calls first. Files that are only created need no journal
//! entry to be safe, but have one, so that nothing half-done stays.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{FsError, parent, resolve, stage};

/// The name of the journal, in the directory that the batch is told.
const JOURNAL: &str = ".overlayctl-journal.json";

/// Writes and removals that belong together.
#[derive(Debug)]
pub struct Batch {
    journal_dir: PathBuf,
    writes: Vec<(PathBuf, Vec<u8>)>,
    removals: Vec<PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    version: u32,
    renames: Vec<(PathBuf, PathBuf)>,
    removals: Vec<PathBuf>,
}

impl Batch {
    /// Makes an empty batch whose journal would stand in `journal_dir`.
    pub fn new(journal_dir: impl Into<PathBuf>) -> Batch {
        Batch { journal_dir: journal_dir.into(), writes: Vec::new(), removals: Vec::new() }
    }

    /// Adds the new content of a file; a later one for the same path takes its place.
    pub fn write(&mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        let path = path.into();
        self.removals.retain(|p| *p != path);
        self.writes.retain(|(p, _)| *p != path);
        self.writes.push((path, bytes.into()));
    }

    /// Adds the removal of a file.
    pub fn remove(&mut self, path: impl Into<PathBuf>) {
        let path = path.into();
        self.writes.retain(|(p, _)| *p != path);
        self.removals.retain(|p| *p != path);
        self.removals.push(path);
    }

    /// Adds what another batch does, which counts where both do something to a file.
    pub fn append(&mut self, other: Batch) {
        other.writes.into_iter().for_each(|(path, bytes)| self.write(path, bytes));
        other.removals.into_iter().for_each(|path| self.remove(path));
    }

    /// Returns the paths that [`Batch::commit`] would create, replace or remove.
    pub fn changes(&self) -> Vec<PathBuf> {
        let written = self.writes.iter().filter(|(p, b)| fs::read(p).map_or(true, |old| old != *b)).map(|(p, _)| p);
        let removed = self.removals.iter().filter(|p| fs::symlink_metadata(p).is_ok());
        written.chain(removed).cloned().collect()
    }

    /// Does it; returns the paths that changed.
    ///
    /// # Errors
    /// [`FsError::Write`]; before the journal stands nothing has changed and nothing is left behind.
    pub fn commit(self) -> Result<Vec<PathBuf>, FsError> {
        // What a killed run had begun comes first: its journal would be lost under ours.
        recover(&self.journal_dir)?;
        let changes = self.changes();
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
            staged.push((stage(&target, bytes).map_err(fail)?, target));
        }
        let removals: Vec<PathBuf> = self.removals.into_iter().filter(|p| changes.contains(p)).collect();
        if staged.is_empty() && removals.is_empty() {
            return Ok(changes);
        }
        // Absolute, because the run that recovers may have another working directory.
        let absolute =
            |p: &Path| std::path::absolute(p).map_err(|source| FsError::Write { path: p.to_path_buf(), source });
        let journal = Journal {
            version: 1,
            renames: staged
                .iter()
                .map(|(temporary, target)| Ok((absolute(temporary.path())?, absolute(target)?)))
                .collect::<Result<_, FsError>>()?,
            removals: removals.iter().map(|p| absolute(p)).collect::<Result<_, FsError>>()?,
        };
        let journal_path = self.journal_dir.join(JOURNAL);
        let text = serde_json::to_vec(&journal)
            .map_err(|e| FsError::Write { path: journal_path.clone(), source: io::Error::other(e) })?;
        super::write(&journal_path, &text)?;
        // From here on the batch counts as done: what is left is rolled forward, now or by the next run.
        made_dirs.keep();
        for (temporary, _) in staged {
            let path = temporary.path().to_path_buf();
            temporary.keep().map_err(|e| FsError::Write { path, source: e.error })?;
        }
        roll_forward(&journal)?;
        super::remove(&journal_path)?;
        Ok(changes)
    }
}

/// Finishes what a killed run had begun in `journal_dir`; returns the paths that it brought up to date.
///
/// # Errors
/// [`FsError::Read`] for a journal that cannot be read (it is kept), [`FsError::Write`].
pub fn recover(journal_dir: &Path) -> Result<Vec<PathBuf>, FsError> {
    let path = journal_dir.join(JOURNAL);
    let Some(text) = super::read_text_if_there(&path)? else { return Ok(Vec::new()) };
    let journal: Journal = serde_json::from_str(&text)
        .map_err(|e| FsError::Read { path: path.clone(), source: io::Error::new(io::ErrorKind::InvalidData, e) })?;
    roll_forward(&journal)?;
    super::remove(&path)?;
    Ok(journal.renames.into_iter().map(|(_, target)| target).chain(journal.removals).collect())
}

/// Does every rename and removal that is still to do.
fn roll_forward(journal: &Journal) -> Result<(), FsError> {
    for (temporary, target) in &journal.renames {
        match fs::rename(temporary, target) {
            // Already renamed by the run that was killed.
            Err(e) if e.kind() == io::ErrorKind::NotFound && target.exists() => {}
            Err(source) => return Err(FsError::Write { path: target.clone(), source }),
            Ok(()) => {}
        }
    }
    journal.removals.iter().try_for_each(|path| super::remove(path))
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
        assert!(!at("gone.patch").exists() && !at(JOURNAL).exists());
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
    fn a_journal_is_rolled_forward_whatever_was_done_already() {
        let dir = tempfile::tempdir().unwrap();
        let at = |n: &str| dir.path().join(n);
        fs::write(at("tmp1"), "new1").unwrap();
        fs::write(at("b"), "new2").unwrap();
        fs::write(at("gone"), "x").unwrap();
        let journal = Journal {
            version: 1,
            renames: vec![(at("tmp1"), at("a")), (at("tmp2"), at("b"))],
            removals: vec![at("gone"), at("gone-before")],
        };
        fs::write(at(JOURNAL), serde_json::to_vec(&journal).unwrap()).unwrap();
        recover(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(at("a")).unwrap(), "new1");
        assert_eq!(fs::read_to_string(at("b")).unwrap(), "new2");
        assert!(!at("gone").exists() && !at(JOURNAL).exists());
        assert!(recover(dir.path()).unwrap().is_empty());
    }
}
