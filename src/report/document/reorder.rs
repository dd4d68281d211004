//! What `reorder`, `move` and `rename` show.

use super::finish::show_files;
use crate::ops::reorder::Reordered;
use crate::view::{Block, Document, Role, Shown};

impl Shown for Reordered {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        if self.unchanged {
            document.line(Role::Name.text(self.attr.to_string()).plain(": it is so already; nothing changed"));
            return document;
        }
        show_files(&mut document, self.dry_run, &self.files, &self.removed);
        if !self.diff.is_empty() {
            document.push(Block::Diff(self.diff.clone()));
        }
        document
    }
}
