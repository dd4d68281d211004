//! What `recover` shows.

use crate::ops::recover::Recovered;
use crate::view::Shown;
use crate::view::{Document, Role, Text};

impl Shown for Recovered {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        for path in &self.finished {
            document.line(Text::new().with(Role::Good, "finished ").plain(path.display().to_string()));
        }
        if self.discarded {
            document.line(Text::new().with(Role::Good, "given up").plain(": the files stay as they are"));
        } else if self.finished.is_empty() {
            document.line("nothing is unfinished");
        }
        document
    }
}
