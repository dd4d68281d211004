//! What `graph build` and `graph diff` show.

use super::impact::builds;
use super::rebuild::unknown_outputs;
use crate::base::text::plural;
use crate::ops::graph_file::{BuiltGraph, GraphDiff};
use crate::ops::impact::names::chain_text;
use crate::view::Shown;
use crate::view::{Digraph, Document, Role, Text};

impl Shown for BuiltGraph {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        let limit = if verbose { usize::MAX } else { 5 };
        if self.partial {
            document.line(Role::Warn.text(format!(
                "partial: {} not in the store, nor known what needs them",
                plural(self.missing.len(), "derivation")
            )));
            for path in self.missing.iter().take(limit) {
                document.line(format!("  {path}"));
            }
            more(&mut document, self.missing.len(), limit);
        }
        if !self.failures.is_empty() {
            document.line(
                Role::Warn
                    .text(format!("{} of the list had failed to evaluate:", plural(self.failures.len(), "attribute"))),
            );
            for failure in self.failures.iter().take(limit) {
                let first = failure.error.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
                document.line(Text::from("  ").with(Role::Name, &failure.attr).plain(format!(": {first}")));
            }
            more(&mut document, self.failures.len(), limit);
        }
        document.line(
            Role::Heading
                .text(plural(self.derivations, "derivation"))
                .plain(format!(
                    ", {} of them fixed-output; {}; {}",
                    self.fixed_output,
                    plural(self.edges, "edge"),
                    plural(self.roots, "root")
                ))
                .with(Role::Dim, format!("  -> {}", self.out.display())),
        );
        if self.marked {
            document.line(Role::Dim.text("every attribute was marked once: predictions from it are exact"));
        }
        document
    }
}

/// Says how many of a list are not shown.
fn more(document: &mut Document, count: usize, shown: usize) {
    if count > shown {
        document.line(Role::Dim.text(format!("  ... and {} more (--verbose shows them)", count - shown)));
    }
}

impl Shown for GraphDiff<'_> {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        if self.partial() {
            document.line(
                Role::Warn
                    .text("partial: a graph was built with derivations missing, so there may be more differences"),
            );
        }
        let (delta, set) = (&self.delta, self.set());
        if set.rebuild.is_empty() {
            document.line("nothing is rebuilt: both graphs make the same outputs");
        } else {
            set.show(&self.view, verbose, &mut document);
            document.blank();
            let chain: Vec<String> = self.chain().into_iter().map(str::to_owned).collect();
            document.line(Role::Dim.text("longest chain  ").plain(chain_text(&chain, verbose)));
        }
        document.line(
            Role::Heading
                .text(builds(delta.counts()))
                .plain(format!(", {}", plural(delta.attributes().len(), "changed attribute")))
                .with(
                    Role::Dim,
                    format!(
                        "; {} only renamed (fixed output), {} fetched",
                        delta.fixed_output_only().len(),
                        delta.fetched().len()
                    ),
                ),
        );
        set.cover.show(verbose, &mut document);
        unknown_outputs(delta.unknown_outputs().len(), &mut document);
        document
    }
}

impl GraphDiff<'_> {
    /// Returns the rebuild set as a graph, from root causes on.
    pub fn digraph(&self) -> Digraph {
        self.set().digraph(&self.view)
    }
}
