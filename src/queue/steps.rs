//! Several plans on one overlay, each made on what the one before it leaves.

use std::path::Path;

use super::Error;
use super::discover::Disk;
use crate::base::edit::TextEdits;
use crate::overlay::{FileChange, Files, OverlayFile, Planned};

/// An overlay file and what is planned for it so far; nothing is written.
pub(crate) struct Steps<'a> {
    file: &'a OverlayFile,
    changes: Vec<FileChange>,
}

/// The files of the disk as they will be.
struct Later<'a>(&'a [FileChange]);

impl Files for Later<'_> {
    fn read(&self, path: &Path) -> Option<String> {
        let default = path.join("default.nix");
        match self.0.iter().find(|change| change.path == path || change.path == default) {
            Some(change) => Some(change.new.clone()),
            None => Disk.read(path),
        }
    }
}

impl<'a> Steps<'a> {
    /// Begins with the file as it is.
    pub(crate) fn on(file: &'a OverlayFile) -> Steps<'a> {
        Steps { file, changes: Vec::new() }
    }

    /// Makes one more plan; what it changes is kept for [`Steps::changes`].
    ///
    /// # Errors
    /// Those of the plan; what was planned before stays.
    pub(crate) fn take<F>(&mut self, plan: F) -> Result<Planned, Error>
    where
        F: FnOnce(&OverlayFile, &dyn Files) -> Result<Planned, crate::overlay::Error>,
    {
        let path = self.file.path();
        let mut planned = match self.changes.iter().find(|change| change.path == path) {
            Some(change) => plan(&OverlayFile::parse(path, change.new.clone())?, &Later(&self.changes))?,
            None => plan(self.file, &Later(&self.changes))?,
        };
        for change in std::mem::take(&mut planned.changes) {
            self.keep(change);
        }
        Ok(planned)
    }

    fn keep(&mut self, change: FileChange) {
        match self.changes.iter_mut().find(|before| before.path == change.path) {
            // The edits of the second are in the text of the first: together they are known by their texts.
            Some(before) => *before = FileChange { old: before.old.clone(), edits: TextEdits::default(), ..change },
            None => self.changes.push(change),
        }
    }

    /// Returns every file that changes, from what it is to what it will be.
    pub(crate) fn changes(self) -> Vec<FileChange> {
        self.changes.into_iter().filter(|change| change.old != change.new).collect()
    }
}
