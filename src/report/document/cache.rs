//! What `cache` shows.

use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration};

use crate::base::text::plural;
use crate::ops::cache::{Cleared, Listed};
use crate::view::Shown;
use crate::view::{Block, Document, Role, Table};

impl Shown for Listed {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        let answers = || plural(self.answers, "answer");
        if self.graphs.is_empty() {
            let what =
                if self.answers == 0 { "nothing is kept".into() } else { format!("no graph and {} kept", answers()) };
            document.line(format!("{what} in {}", self.dir.display()));
            return document;
        }
        let mut table = Table::new(["targets", "derivations", "size", "age", "package set"]);
        for kept in &self.graphs {
            let count = if verbose { usize::MAX } else { 3 };
            let mut targets = kept.targets.iter().take(count).cloned().collect::<Vec<_>>().join(" ");
            if kept.targets.len() > count {
                targets.push_str(&format!(" ... ({})", kept.targets.len()));
            }
            let first = match &kept.problem {
                Some(_) => Role::Bad.text("damaged: not used"),
                None => Role::Name.text(targets),
            };
            table.rows.push(vec![
                first,
                kept.derivations.map_or_else(|| "-".to_owned(), |count| count.to_string()).into(),
                HumanBytes(kept.bytes).to_string().into(),
                HumanDuration(Duration::from_secs(kept.age)).to_string().into(),
                Role::Dim.text(kept.nixpkgs.join(" ")),
            ]);
        }
        document.push(Block::Table(table));
        let beside = if self.answers == 0 { String::new() } else { format!(" with {}", answers()) };
        document.line(Role::Dim.text(format!("{}{beside} in {}", HumanBytes(self.bytes), self.dir.display())));
        document
    }
}

impl Shown for Cleared {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        document.line(format!(
            "removed {} and {} ({}) from {}",
            plural(self.removed, "graph"),
            plural(self.answers, "answer"),
            HumanBytes(self.bytes),
            self.dir.display()
        ));
        document
    }
}
