//! What `refresh` shows.

use super::finish::show_files;
use crate::ops::refresh::Refreshed;
use crate::view::Document;
use crate::view::Shown;

impl Shown for Refreshed {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        if self.unchanged {
            document.line(format!("{}, nothing to refresh", crate::queue::patches(self.patches)));
        }
        show_files(&mut document, self.dry_run, &self.files, &[]);
        document
    }
}
