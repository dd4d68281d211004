//! What `import` shows.

use super::finish::show_files;
use crate::ops::import::Imported;
use crate::view::{Block, Document, Role, Shown, Text};

impl Shown for Imported {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        show_files(&mut document, self.dry_run, &self.files, &[]);
        if !self.diff.is_empty() {
            document.push(Block::Diff(self.diff.clone()));
        }
        if self.patches.is_empty() && self.already > 0 {
            document.line(match self.already {
                1 => "the patch is in the queue already; nothing changed".to_string(),
                all => format!("all {all} patches are in the queue already; nothing changed"),
            });
        } else if self.already > 0 {
            document.line(format!(
                "{} of them {} in the queue already",
                self.already,
                if self.already == 1 { "is" } else { "are" }
            ));
        }
        if !self.dry_run && !self.patches.is_empty() {
            document.blank();
            let next = format!("overlayctl check {}", self.attr);
            document.line(Text::from("Next: ").with(Role::Command, next).plain(" says whether they apply"));
        }
        document
    }
}
