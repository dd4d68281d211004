//! What `export` shows.

use crate::ops::export::Exported;
use crate::view::{Document, Role, Shown, Text};

impl Shown for Exported {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        for path in &self.files {
            document.line(Text::new().with(Role::Good, "wrote ").plain(path.display().to_string()));
        }
        if let Some(commit) = &self.commit {
            let count = crate::base::text::plural(self.patches, "commit");
            document.line(Text::new().with(Role::Good, "made ").plain(format!("{count}, the last is {commit}")));
        }
        document
    }
}
