//! What `unpatch` shows.

use crate::ops::unpatch::Unpatched;
use crate::view::{Block, Document, Role, Shown};

impl Shown for Unpatched {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        let (wrote, removed) = if self.dry_run { ("would write ", "would remove ") } else { ("wrote ", "removed ") };
        for path in &self.removed {
            document.line(Role::Good.text(removed).plain(path.display().to_string()));
        }
        for path in self.files.iter().filter(|path| !self.removed.contains(path)) {
            document.line(Role::Good.text(wrote).plain(path.display().to_string()));
        }
        document.push(Block::Diff(self.diff.clone()));
        document
    }
}
