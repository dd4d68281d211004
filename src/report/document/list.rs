//! What `list` shows.

use crate::ops::list::Listed;
use crate::queue::model::{InEffect, Reach, Stages};
use crate::view::{Block, Document, Role, Shown, Table, Text};

/// Says where a patch is in effect, in few words.
fn effect(reach: &Reach) -> Text {
    let mut sets: Vec<&str> = reach.sets.iter().map(|set| set.strip_prefix("boards.").unwrap_or(set)).collect();
    if sets.contains(&"packages") {
        sets = vec!["everywhere"];
    }
    let stages = match reach.stages {
        Some(Stages::Target) => ", target stage",
        Some(Stages::Build) => ", build tools",
        Some(Stages::Every) | None => "",
    };
    match reach.in_effect {
        InEffect::Yes => Role::Good.text(format!("{}{stages}", sets.join(", "))),
        InEffect::Exported => Role::Plain.text("given away"),
        InEffect::No => Role::Bad.text("not in effect"),
        InEffect::Unknown => Role::Warn.text("unknown"),
    }
}

impl Shown for Listed {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        if self.packages.is_empty() {
            document.line("nothing is patched");
        } else {
            let mut header = vec!["package", "patch", "in effect", "overlay"];
            header.extend(verbose.then_some("subject"));
            let mut table = Table::new(header);
            for package in &self.packages {
                for (i, patch) in package.patches.iter().enumerate() {
                    let name = if i == 0 { package.attr.to_string() } else { String::new() };
                    let role = if patch.path.is_some() { Role::Plain } else { Role::Warn };
                    let file = role.text(patch.short_name(&package.attr));
                    let place = patch.place.as_ref().map_or("place unknown".to_string(), ToString::to_string);
                    let mut row = vec![
                        Role::Name.text(name),
                        if patch.conditional { file.with(Role::Dim, " (under a condition)") } else { file },
                        effect(&patch.reach),
                        place.into(),
                    ];
                    row.extend(verbose.then(|| patch.subject.clone().unwrap_or_default().into()));
                    table.rows.push(row);
                }
            }
            document.push(Block::Table(table));
            for package in &self.packages {
                for patch in package.patches.iter().filter(|patch| self.asked || patch.reach.in_effect == InEffect::No)
                {
                    let Some(why) = &patch.reach.why else { continue };
                    let name = patch.short_name(&package.attr);
                    document.line(Role::Name.text(package.attr.to_string()).plain(format!(": {name}: {why}")));
                }
            }
        }
        for path in &self.unused {
            document.line(Role::Warn.text("unused ").plain(format!("{}: no overlay names it", path.display())));
        }
        document
    }
}
