//! Notes on commits (git-notes(1)): what a commit has no place for, and the user's `git log` shows only when asked.

use git2::{Signature, Time};

use super::worktree::COMMITTER;
use super::{Commit, Error, Worktree};

/// Where the notes are: `git notes --ref overlayctl`.
const NOTES: &str = "refs/notes/overlayctl";

impl Worktree {
    /// Puts a note on a commit, in place of one that is there.
    pub fn put_note(&self, on: &Commit, note: &[u8]) -> Result<(), Error> {
        let fail = self.fail("write a note");
        let repository = &self.repository;
        // The library's own function takes text only.
        let last = repository.find_reference(NOTES).and_then(|notes| notes.peel_to_commit()).ok();
        let tree = last.as_ref().map(git2::Commit::tree).transpose().map_err(&fail)?;
        let mut notes = repository.treebuilder(tree.as_ref()).map_err(&fail)?;
        let blob = repository.blob(note).map_err(&fail)?;
        notes.insert(on.id.to_string(), blob, 0o100_644).map_err(&fail)?;
        let tree = notes.write().and_then(|tree| repository.find_tree(tree)).map_err(&fail)?;
        let time = Time::new(on.author.seconds, on.author.offset);
        let by = Signature::new(COMMITTER.0, COMMITTER.1, &time).map_err(&fail)?;
        let parents: Vec<&git2::Commit<'_>> = last.iter().collect();
        repository.commit(Some(NOTES), &by, &by, "patches as they are\n", &tree, &parents).map(drop).map_err(fail)
    }

    pub fn note(&self, on: &Commit) -> Option<Vec<u8>> {
        let note = self.repository.find_note(Some(NOTES), on.id).ok()?;
        Some(self.repository.find_blob(note.id()).ok()?.content().to_vec())
    }
}
