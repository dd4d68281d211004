//! What `impact --all` shows.

use crate::base::text::plural;
use crate::ops::all::AllImpact;
use crate::view::Shown;
use crate::view::{Digraph, Document, Role};

impl Shown for AllImpact {
    fn document(&self, verbose: bool) -> Document {
        let mut document = self.diff.document(verbose);
        let how = if self.exhaustive {
            format!("{} evaluated with the overlays", plural(self.evaluated_after, "attribute"))
        } else {
            format!(
                "{} evaluated with the overlays, {} of them a sample of those that nothing can reach (--exhaustive for all)",
                plural(self.evaluated_after, "attribute"),
                self.sampled
            )
        };
        document.line(Role::Dim.text(format!("{how}; {} failed", self.failures.len())));
        if !self.broken.is_empty() {
            let some: Vec<&str> =
                self.broken.iter().take(if verbose { usize::MAX } else { 8 }).map(String::as_str).collect();
            document.line(Role::Bad.text(format!(
                "fails only with the overlays ({}): {}",
                self.broken.len(),
                some.join(" ")
            )));
        }
        document
    }
}

impl AllImpact {
    /// Returns the rebuild set as a graph, from root causes on.
    pub fn digraph(&self) -> Digraph {
        self.diff.digraph()
    }
}
