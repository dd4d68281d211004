//! What `impact --predict` shows.

use std::collections::BTreeMap;

use super::impact::builds;
use super::rebuild::unknown_outputs;
use crate::base::text::plural;
use crate::graph::{NodeId, Range, Reason};
use crate::ops::predict::{Predicted, because};
use crate::view::Shown;
use crate::view::{Digraph, Document, Role, Text};

impl Predicted {
    fn show_possible(&self, verbose: bool, document: &mut Document) {
        let possible = &self.prediction.possible;
        if !possible.is_empty() {
            document.line(Role::Warn.text(format!("possible too: {}", plural(possible.len(), "derivation"))));
            // By what makes them possible, for most of them only need another of them.
            let mut groups: BTreeMap<(Reason, NodeId), usize> = BTreeMap::new();
            for one in possible {
                *groups.entry((one.reason, one.root)).or_default() += 1;
            }
            let limit = if verbose { usize::MAX } else { 6 };
            for ((reason, root), count) in groups.iter().take(limit) {
                let needs = if *count > 1 { format!(", and {} that need it", count - 1) } else { String::new() };
                document.line(
                    Text::from(format!("  {}{needs}", self.graph.node(*root).name()))
                        .with(Role::Dim, format!("  {}", because(*reason))),
                );
            }
            if groups.len() > limit {
                document.line(Role::Dim.text(format!("  ... and {} more such", groups.len() - limit)));
            }
        }
        if self.prediction.unlisted > 0 {
            document.line(Role::Dim.text(format!(
                "  {} more share a source or a name with it; they are too many to be likely",
                self.prediction.unlisted
            )));
        }
    }
}

impl Shown for Predicted {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        let set = self.set();
        document.line(
            Role::Heading
                .text(format!("prediction: if {} were changed", self.attr))
                .with(Role::Dim, format!("  (from {}; no change of it was evaluated)", self.graph_of)),
        );
        if self.graph.missing().len() > 0 {
            document.line(
                Role::Warn.text(format!(
                    "partial: {} missing in the graph",
                    plural(self.graph.missing().len(), "derivation")
                )),
            );
        }
        set.show(&self.view, verbose, &mut document);
        document.blank();
        self.show_possible(verbose, &mut document);
        let Range { low, high } = self.prediction.range;
        let (headline, why) = if low == high {
            (builds(self.counts), "")
        } else {
            let why = "; by which name each takes it, and what is an override of it, the derivations do not say";
            (format!("{low} to {high} builds"), why)
        };
        document.line(
            Role::Heading
                .text(headline)
                .plain(format!(" from {}", plural(self.prediction.roots.len(), "changed derivation")))
                .with(Role::Dim, format!("{why}; a new version or another source can reach more")),
        );
        set.cover.show(verbose, &mut document);
        let unknown = self.prediction.rebuild.iter().filter(|id| self.graph.node(**id).has_unknown_outputs()).count();
        unknown_outputs(unknown, &mut document);
        document
    }
}

impl Predicted {
    /// Returns the predicted rebuild set as a graph, from roots on.
    pub fn digraph(&self) -> Digraph {
        self.set().digraph(&self.view)
    }
}
