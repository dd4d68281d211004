//! What `recover` shows.

use crate::ops::recover::Recovered;
use crate::view::Shown;
use crate::view::{Document, Role};

impl Shown for Recovered {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        for path in &self.finished {
            document.line(Role::Good.text("finished ").plain(path.display().to_string()));
        }
        if self.discarded {
            document.line(Role::Good.text("given up").plain(": the files stay as they are"));
        } else if self.finished.is_empty() {
            document.line("nothing is unfinished");
        }
        document
    }
}
