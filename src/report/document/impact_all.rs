//! What `impact --all` shows.

use crate::base::text::plural;
use crate::ops::all::AllImpact;
use crate::view::Shown;
use crate::view::{Digraph, Document, Role};

/// How many causes of failures are shown when nothing is said.
const CAUSES: usize = 8;

impl Shown for AllImpact<'_> {
    fn document(&self, verbose: bool) -> Document {
        let (mut document, facts) = (self.diff.document(verbose), self.facts);
        let how = if facts.exhaustive {
            format!("{} evaluated with the overlays", plural(facts.evaluated_after, "attribute"))
        } else {
            format!(
                "{} evaluated with the overlays, {} of them a sample of those that nothing can reach (--exhaustive for all)",
                plural(facts.evaluated_after, "attribute"),
                facts.sampled
            )
        };
        document.line(Role::Dim.text(format!("{how}; {} failed", facts.failures.len())));
        let most = if verbose { usize::MAX } else { CAUSES };
        for cause in facts.failure_causes.iter().take(most) {
            let also = if cause.count > 1 { format!(" and {} more", cause.count - 1) } else { String::new() };
            document.line(
                Role::Plain.text("  ").with(Role::Name, &cause.example).plain(format!("{also}: {}", cause.message)),
            );
        }
        if facts.failure_causes.len() > most {
            let left = facts.failure_causes.len() - most;
            document.line(Role::Dim.text(format!("  ... and {} (--verbose)", plural(left, "other cause"))));
        }
        if let Some(left_out) = facts.left_out.as_ref().filter(|sets| !sets.is_empty()) {
            let most = if verbose { usize::MAX } else { 12 };
            let mut names = left_out.iter().take(most).cloned().collect::<Vec<_>>().join(" ");
            if left_out.len() > most {
                names.push_str(&format!(" ... ({} more)", left_out.len() - most));
            }
            let text = format!("not looked into, as they do not ask for it (--set NAME does): {names}");
            document.line(Role::Dim.text(text));
        }
        if !facts.broken.is_empty() {
            let some: Vec<&str> =
                facts.broken.iter().take(if verbose { usize::MAX } else { 8 }).map(String::as_str).collect();
            document.line(Role::Bad.text(format!(
                "fails only with the overlays ({}): {}",
                facts.broken.len(),
                some.join(" ")
            )));
        }
        document
    }
}

impl AllImpact<'_> {
    /// Returns the rebuild set as a graph, from root causes on.
    pub fn digraph(&self) -> Digraph {
        self.diff.digraph()
    }
}
