//! What `why` shows: the root causes, the chains, the cascade in counts.

use super::impact::builds;
use super::rebuild::unknown_outputs;
use crate::base::text::plural;
use crate::ops::impact::Named;
use crate::ops::impact::names::chain_text;
use crate::ops::why::{Explained, Why};
use crate::view::Shown;
use crate::view::{Document, Role, Text};

/// How many kinds of packages are counted when nothing is said.
const KINDS: usize = 6;

/// For how many steps from the root causes derivations are counted when nothing is said.
const STEPS: usize = 10;

/// How many groups of root causes are quoted when nothing is said.
const CAUSES: usize = 3;

impl Explained {
    fn show(&self, compared_with: &str, verbose: bool, document: &mut Document) {
        let name = self.target.as_deref().unwrap_or("the graph");
        if !self.rebuilt {
            let also = if self.counts.builds > 0 {
                format!(" ({} below it for downloads only)", plural(self.counts.builds, "build"))
            } else {
                String::new()
            };
            document.line(Role::Name.text(name).plain(format!(" is not rebuilt compared with {compared_with}{also}")));
            return;
        }
        document.line(
            Role::Name
                .text(name)
                .plain(": ")
                .with(Role::Heading, builds(self.counts))
                .plain(format!(", because of {}", plural(self.root_causes.len(), "change"))),
        );
        super::cause::show(&self.root_causes, if verbose { usize::MAX } else { CAUSES }, verbose, document);
        if self.counts.derivations > self.root_causes.len() {
            // In the order of their numbers; the rest of a long tail says little.
            let most = if verbose || self.by_kind.len() <= KINDS + 1 { usize::MAX } else { KINDS };
            let mut kinds: Vec<String> =
                self.by_kind.iter().take(most).map(|(kind, count)| format!("{kind} {count}")).collect();
            let others: usize = self.by_kind.iter().skip(most).map(|(_, count)| *count).sum();
            if others > 0 {
                kinds.push(format!("of {} other kinds {others}", self.by_kind.len() - most));
            }
            document.line(Role::Dim.text("cascade         ").plain(kinds.join(", ")));
            let most = if verbose || self.by_depth.len() <= STEPS + 1 { usize::MAX } else { STEPS };
            let mut shown = self.by_depth.iter().take(most).map(usize::to_string).collect::<Vec<_>>().join(" ");
            if self.by_depth.len() > most {
                shown.push_str(&format!(" ... ({} steps in all)", self.by_depth.len()));
            }
            document.line(Role::Dim.text("by distance     ").plain(shown));
        }
        let names = |chain: &[Named]| chain.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        let (critical, shortest) = (names(&self.critical_chain), names(&self.shortest_chain));
        document.line(Role::Dim.text("critical chain  ").plain(chain_text(&critical, verbose)));
        if shortest != critical {
            document.line(Role::Dim.text("shortest chain  ").plain(chain_text(&shortest, verbose)));
        }
        if let Some(chains) = &self.chains {
            document.blank();
            for chain in chains {
                document.line(Text::from("  ").plain(chain_text(&names(chain), true)));
            }
            let left = self.chain_count.saturating_sub(chains.len() as u64);
            if left > 0 {
                let all =
                    if self.chain_count == u64::MAX { "more than can be counted".into() } else { left.to_string() };
                document.line(Role::Dim.text(format!("  ... and {all} more (--limit N)")));
            }
        } else if self.chain_count > 2 {
            let count =
                if self.chain_count == u64::MAX { "2^64 or more".to_owned() } else { self.chain_count.to_string() };
            document.line(Role::Dim.text(format!("{count} chains in all (--all-chains lists them)")));
        }
        unknown_outputs(self.unknown_outputs, document);
    }
}

impl Shown for Why {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        if let Some(since) = &self.since {
            super::impact::show_changes(since, &mut document);
        }
        super::impact::show_failures(&self.failures, &self.compared_with, &mut document);
        for (i, target) in self.targets.iter().enumerate() {
            if i > 0 {
                document.blank();
            }
            target.show(&self.compared_with, verbose, &mut document);
        }
        document
    }
}
