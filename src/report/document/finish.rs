//! What `finish` shows.

use std::path::PathBuf;

use crate::ops::finish::Finished;
use crate::queue::patches;
use crate::view::{Block, Document, Role, Shown, Text};

/// Shows which files were written and which went.
pub(crate) fn show_files(document: &mut Document, dry_run: bool, files: &[PathBuf], removed: &[PathBuf]) {
    let (wrote, gone) = if dry_run { ("would write ", "would remove ") } else { ("wrote ", "removed ") };
    for path in files {
        let word = if removed.contains(path) { gone } else { wrote };
        document.line(Role::Good.text(word).plain(path.display().to_string()));
    }
}

impl Shown for Finished {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        if self.unchanged {
            let text = Role::Name.text(self.attr.to_string());
            document.line(text.plain(": the queue is what the commits are; nothing changed"));
            return document;
        }
        show_files(&mut document, self.dry_run, &self.files, &self.removed);
        if !self.diff.is_empty() {
            document.push(Block::Diff(self.diff.clone()));
        }
        if !self.dry_run {
            document.blank();
            let (attr, kept) = (self.attr.to_string(), self.patches.iter().filter(|patch| patch.untouched).count());
            document.line(format!("{} in the queue, {kept} of them as before", patches(self.patches.len())));
            document.line(
                Text::from("Next: ")
                    .with(Role::Command, "overlayctl impact")
                    .plain(" says what that rebuilds; go on in the worktree, or ")
                    .with(Role::Command, format!("overlayctl finish {attr} --abort"))
                    .plain(" removes it"),
            );
        }
        document
    }
}
