//! What `edit` shows.

use crate::ops::edit::Edited;
use crate::view::{Document, Role, Shown, Text};

impl Shown for Edited {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        let dir = self.dir.display().to_string();
        if self.aborted {
            document.line(Role::Good.text("removed ").plain(dir).plain("; the queue is as it was"));
            return document;
        }
        if self.resumed {
            document.line(Role::Warn.text("there already ").plain(dir).plain(", with work in it"));
        } else {
            document.line(
                Role::Good
                    .text("made ")
                    .plain(dir)
                    .with(Role::Dim, format!("  {}", self.name.clone().unwrap_or_default())),
            );
        }
        for made in &self.commits {
            let short: String = made.commit.chars().take(10).collect();
            document.line(Role::Dim.text(format!("  {short} ")).plain(&made.subject));
        }
        document.blank();
        let attr = self.attr.to_string();
        document.line(
            Text::from("Next: commit there with git, then ").with(Role::Command, format!("overlayctl finish {attr}")),
        );
        document
    }
}
