//! What `impact` shows.

use std::fmt::Display;

use super::rebuild::unknown_outputs;
use crate::base::text::plural;
use crate::comparison::TargetFailure;
use crate::comparison::unreached::Unreached;
use crate::graph::Counts;
use crate::ops::impact::names::chain_text;
use crate::ops::impact::{Changes, Impact};
use crate::view::Shown;
use crate::view::{Digraph, Document, Role};

/// Shows the patches that reach none of the targets.
pub(super) fn show_unreached(unreached: &[Unreached], document: &mut Document) {
    for one in unreached {
        document.line(
            Role::Warn
                .text("reaches no target ")
                .with(Role::Name, one.attr.to_string())
                .plain(format!(": {}: {}", one.patch, one.reason)),
        );
    }
    if !unreached.is_empty() {
        document.blank();
    }
}

/// Returns `8 builds`, with the derivations behind it where they are more.
pub(super) fn builds(counts: Counts) -> String {
    let mut text = plural(counts.builds, "build");
    if counts.derivations != counts.builds {
        text.push_str(&format!(" ({})", plural(counts.derivations, "derivation")));
    }
    text
}

/// Shows what changed since a revision.
pub(super) fn show_changes(since: &Changes, document: &mut Document) {
    if since.changes.is_empty() {
        document.line(format!("nothing in the repository differs from {}", since.revision));
    } else {
        document.line(format!("changed since {}:", since.revision));
    }
    for change in &since.changes {
        let how = match (&change.before, &change.after, change.how) {
            (Some(before), Some(after), _) => format!("{before} -> {after}"),
            (None, Some(after), _) => format!("{after} (added)"),
            (Some(before), None, _) => format!("{before} (removed)"),
            (None, None, how) if change.details.is_empty() => how.word().to_owned(),
            _ => change.details.join(", "),
        };
        let rebuilds = match change.rebuilds {
            Some(0) => "no rebuild".to_owned(),
            Some(count) => plural(count, "rebuild"),
            None => "its rebuilds could not be told apart".to_owned(),
        };
        document.line(
            Role::Plain
                .text("  ")
                .with(Role::Name, change.to_string())
                .plain(format!("  {how}"))
                .with(Role::Dim, format!("  {rebuilds}")),
        );
    }
    for (targets, what) in [(&since.only_before, "gone since"), (&since.only_after, "new since")] {
        for target in targets {
            document.line(Role::Plain.text("  target ").with(Role::Name, target).plain(format!("  {what}")));
        }
    }
    if let Some(why) = &since.untold {
        let text = format!("  which of them are the causes could not be told: {why}");
        document.line(Role::Warn.text(text));
    } else if since.unexplained > 0 {
        let text =
            format!("  of {} it could not be told which of them is the cause", plural(since.unexplained, "rebuild"));
        document.line(Role::Warn.text(text));
    }
    if let Some(set) = &since.unversioned {
        let text = format!("  no revision of the workspace says what {set} was: both sides have it as it is now");
        document.line(Role::Dim.text(text));
    }
    document.blank();
}

impl Shown for Impact {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        if let Some(since) = &self.since {
            show_changes(since, &mut document);
        }
        show_unreached(&self.unreached, &mut document);
        super::impact::show_failures(&self.failures, &self.compared_with, &mut document);
        if self.rebuild.rebuild.is_empty() {
            document.line(format!("nothing is rebuilt compared with {}", self.compared_with));
        } else {
            self.rebuild.show(&self.view, verbose, &mut document);
            document.blank();
            for chain in &self.chains {
                document.line(Role::Name.text(&chain.target));
                document.line(Role::Dim.text("  critical chain  ").plain(chain_text(&chain.path, verbose)));
                if chain.shortest != chain.path {
                    document.line(Role::Dim.text("  shortest chain  ").plain(chain_text(&chain.shortest, verbose)));
                }
            }
        }
        for target in self.targets.iter().filter(|t| !t.rebuilt) {
            document.line(
                Role::Name.text(&target.target).with(Role::Warn, "  is not rebuilt: nothing that it needs changes"),
            );
        }
        document.blank();
        let mut line =
            Role::Heading.text(builds(self.counts)).plain(format!(" for {}", plural(self.targets.len(), "target")));
        if !self.fixed_output_only.is_empty() {
            line = line.with(
                Role::Dim,
                format!(
                    "; {} only renamed (fixed output, not rebuilt)",
                    plural(self.fixed_output_only.len(), "derivation")
                ),
            );
        }
        if !self.fetched.is_empty() {
            line = line.plain(format!("; {}", plural(self.fetched.len(), "new download")));
        }
        document.line(line);
        // Of one target it is the target itself, which is no news.
        if self.targets.len() > 1 && !self.rebuild.rebuild.is_empty() {
            self.rebuild.cover.show(verbose, &mut document);
        }
        unknown_outputs(self.unknown_outputs.len(), &mut document);
        document
    }
}

impl Impact {
    /// Returns the rebuild set as a graph, from root causes to targets.
    pub fn digraph(&self) -> Digraph {
        self.rebuild.digraph(&self.view)
    }
}

/// Shows the targets that do not evaluate.
pub(super) fn show_failures(failures: &[TargetFailure], compared_with: impl Display, document: &mut Document) {
    for failed in failures {
        let also = match failed.also_before {
            Some(true) => format!(" (nor in {compared_with})"),
            Some(false) => format!(" (it does in {compared_with})"),
            None => " (it is new)".to_owned(),
        };
        document.line(
            Role::Bad
                .text("does not evaluate ")
                .with(Role::Name, &failed.target)
                .with(Role::Dim, also)
                .plain(format!(": {}", failed.failure.message)),
        );
        if !failed.failure.near.is_empty() {
            document.line(Role::Dim.text("  near names: ").plain(failed.failure.near.join(", ")));
        }
    }
    if !failures.is_empty() {
        document.blank();
    }
}
