//! What `export` shows.

use crate::ops::export::Exported;
use crate::view::{Document, Role, Shown};

impl Shown for Exported {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        for path in &self.files {
            document.line(Role::Good.text("wrote ").plain(path.display().to_string()));
        }
        if let Some(commit) = &self.commit {
            let count = crate::base::text::plural(self.patches, "commit");
            document.line(Role::Good.text("made ").plain(format!("{count}, the last is {commit}")));
        }
        document
    }
}
