//! What `cache` shows.

use std::time::Duration;

use crate::base::text::plural;
use crate::ops::cache::{Cleared, Listed};
use crate::view::Shown;
use crate::view::{Block, Document, Role, Table, Text};

fn size(bytes: u64) -> String {
    match bytes {
        0..=1023 => format!("{bytes} B"),
        1024..=1_048_575 => format!("{} KiB", bytes / 1024),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn ago(seconds: u64) -> String {
    let duration = Duration::from_secs(seconds).as_secs();
    match duration {
        0..=119 => plural(duration as usize, "second"),
        120..=7199 => format!("{} minutes", duration / 60),
        7200..=172_799 => format!("{} hours", duration / 3600),
        _ => format!("{} days", duration / 86_400),
    }
}

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
        let mut table = Table {
            header: ["targets", "derivations", "size", "age", "package set"].map(String::from).to_vec(),
            rows: Vec::new(),
        };
        for kept in &self.graphs {
            let count = if verbose { usize::MAX } else { 3 };
            let mut targets = kept.targets.iter().take(count).cloned().collect::<Vec<_>>().join(" ");
            if kept.targets.len() > count {
                targets.push_str(&format!(" ... ({})", kept.targets.len()));
            }
            let first = match &kept.problem {
                Some(_) => Text::new().with(Role::Bad, "damaged: not used"),
                None => Text::new().with(Role::Name, targets),
            };
            table.rows.push(vec![
                first,
                kept.derivations.map_or_else(|| "-".to_owned(), |count| count.to_string()).into(),
                size(kept.bytes).into(),
                ago(kept.age).into(),
                Text::new().with(Role::Dim, kept.nixpkgs.join(" ")),
            ]);
        }
        document.push(Block::Table(table));
        let beside = if self.answers == 0 { String::new() } else { format!(" with {}", answers()) };
        document.line(Text::new().with(Role::Dim, format!("{}{beside} in {}", size(self.bytes), self.dir.display())));
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
            size(self.bytes),
            self.dir.display()
        ));
        document
    }
}
