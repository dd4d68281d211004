//! What `deploy`, `rollback` and `undeploy` show.

use crate::base::text::plural;
use crate::ops::deploy::Deployed;
use crate::ops::deployments::Deployments;
use crate::ops::rollback::RolledBack;
use crate::ops::undeploy::Undeployed;
use crate::view::{Block, Document, Role, Shown, Table};

impl Shown for Deployed {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        if let Some(built) = &self.build {
            document.append(built.document(verbose));
            document.line(Role::Bad.text("not deployed").plain(": the build failed"));
            return document;
        }
        if let Some(verified) = &self.verified {
            document.append(verified.document(verbose));
            document.line(Role::Bad.text("not deployed").plain(": what is not proven is not put on a board"));
            if verified.counts.failed == 0 && verified.counts.unknown > 0 {
                document.line(Role::Dim.text("hint: ").plain("--allow-unknown lets pass what cannot be known"));
            }
            return document;
        }
        show_settled(self.settled.as_deref(), &mut document);
        for placed in &self.targets {
            let programs = match placed.programs.len() {
                0 => "no program".to_string(),
                1..=4 => placed.programs.join(", "),
                n => plural(n, "program"),
            };
            document
                .line(Role::Name.text(&placed.target).plain(format!("  {}  ", placed.out)).with(Role::Dim, programs));
        }
        if !self.kept.is_empty() {
            document.line(Role::Dim.text("stays  ").plain(self.kept.join(", ")));
        }
        let paths = plural(self.sent.paths.len(), "store path");
        if self.unchanged {
            let generation = self.generation.unwrap_or_default();
            document.line(
                Role::Good.text("nothing to do").plain(format!(": {} runs that, generation {generation}", self.device)),
            );
        } else if self.dry_run {
            document.line(format!("would send {paths} to {}", self.device));
            for path in self.sent.paths.iter().filter(|_| verbose) {
                document.line(Role::Dim.text(format!("  {path}")));
            }
        } else {
            let sent = &self.sent;
            document.line(format!(
                "sent {paths} in {} bytes ({}; {} unpacked)",
                sent.bytes, sent.compression, sent.unpacked
            ));
            if !self.removed.is_empty() {
                document.line(format!("removed {} that nothing on it needs", plural(self.removed.len(), "store path")));
            }
            let before = self.before.map_or("none before".to_string(), |before| format!("{before} before"));
            let generation = self.generation.unwrap_or_default();
            document.line(
                Role::Good
                    .text("deployed")
                    .plain(format!(" to {}: generation {generation} ({before}), confirmed", self.device)),
            );
            document.line(Role::Dim.text("programs  ").plain(&self.programs_in));
        }
        document
    }
}

impl Shown for RolledBack {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        show_settled(self.settled.as_deref(), &mut document);
        let from = self.from.map_or("nothing".to_string(), |from| format!("generation {from}"));
        let line = format!(": {} from {from} to generation {}, confirmed", self.device, self.to);
        document.line(Role::Good.text("rolled back").plain(line));
        document
    }
}

impl Shown for Undeployed {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        show_settled(self.settled.as_deref(), &mut document);
        let what = if self.targets.is_empty() { "nothing was on it".to_string() } else { self.targets.join(", ") };
        document.line(Role::Good.text("undeployed").plain(format!(" from {}: {what}", self.device)));
        match self.generation {
            Some(generation) => {
                document.line(
                    Role::Dim.text("stays  ").plain(format!("{} (generation {generation})", self.left.join(", "))),
                );
            }
            None => document.line(Role::Dim.text("nothing of overlayctl is left on it")),
        }
        document
    }
}

impl Shown for Deployments {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        let mut table = Table::new(["when", "who", "board", "what", "generation", "targets", "patches", "revision"]);
        for entry in &self.entries {
            let targets: Vec<&str> = entry.targets.iter().map(|(target, _)| target.as_str()).collect();
            let generation = entry.generation.map_or("-".to_string(), |generation| generation.to_string());
            // A commit is known by its first digits, and the mark of changed files is at its end.
            let revision = entry.revision.as_deref().map_or("-".to_string(), |revision| {
                let short: String = revision.chars().take(12).collect();
                if revision.ends_with('+') { short + "+" } else { short }
            });
            let row = [&entry.at, &entry.by, &entry.board, &entry.action, &generation, &targets.join(", ")];
            let mut row: Vec<_> = row.into_iter().map(|text| text.as_str().into()).collect();
            row.extend([entry.patches.len().to_string().into(), revision.into()]);
            table.rows.push(row);
        }
        match self.entries.is_empty() {
            true => document.line(format!("this workspace has put nothing on `{}`", self.board)),
            false => document.push(Block::Table(table)),
        }
        for (entry, patch) in
            self.entries.iter().flat_map(|e| e.patches.iter().map(move |p| (e, p))).filter(|_| verbose)
        {
            document.line(Role::Dim.text(format!("{}  ", entry.at)).plain(patch));
        }
        for number in &self.unreadable {
            document.line(Role::Warn.text("unreadable").plain(format!(": line {number} of the ledger")));
        }
        document
    }
}

fn show_settled(settled: Option<&str>, document: &mut Document) {
    if let Some(settled) = settled {
        document.line(Role::Warn.text("settled first").plain(format!(": {settled}")));
    }
}
