//! What `edit` shows.

use crate::ops::edit::Edited;
use crate::view::{Document, Role, Shown, Text};

impl Shown for Edited {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        let dir = self.dir.display().to_string();
        if self.aborted {
            document.line(Text::new().with(Role::Good, "removed ").plain(dir).plain("; the queue is as it was"));
            return document;
        }
        if self.resumed {
            document.line(Text::new().with(Role::Warn, "there already ").plain(dir).plain(", with work in it"));
        } else {
            document.line(
                Text::new()
                    .with(Role::Good, "made ")
                    .plain(dir)
                    .with(Role::Dim, format!("  {}", self.name.clone().unwrap_or_default())),
            );
        }
        for made in &self.commits {
            let short: String = made.commit.chars().take(10).collect();
            document.line(Text::new().with(Role::Dim, format!("  {short} ")).plain(&made.subject));
        }
        document.blank();
        let attr = self.attr.to_string();
        document.line(
            Text::new()
                .plain("Next: commit there with git, then ")
                .with(Role::Command, format!("overlayctl finish {attr}")),
        );
        document
    }
}
