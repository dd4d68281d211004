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
        InEffect::Yes => Text::new().with(Role::Good, format!("{}{stages}", sets.join(", "))),
        InEffect::Exported => Text::new().with(Role::Plain, "given away"),
        InEffect::No => Text::new().with(Role::Bad, "not in effect"),
        InEffect::Unknown => Text::new().with(Role::Warn, "unknown"),
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
            let header = header.into_iter().map(String::from).collect();
            let mut table = Table { header, rows: Vec::new() };
            for package in &self.packages {
                for (i, patch) in package.patches.iter().enumerate() {
                    let name = if i == 0 { package.attr.to_string() } else { String::new() };
                    let role = if patch.path.is_some() { Role::Plain } else { Role::Warn };
                    let file = Text::new().with(role, patch.short_name(&package.attr));
                    let place = patch.place.as_ref().map_or("place unknown".to_string(), ToString::to_string);
                    let mut row = vec![
                        Text::new().with(Role::Name, name),
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
                    document
                        .line(Text::new().with(Role::Name, package.attr.to_string()).plain(format!(": {name}: {why}")));
                }
            }
        }
        for path in &self.unused {
            document.line(
                Text::new().with(Role::Warn, "unused ").plain(format!("{}: no overlay names it", path.display())),
            );
        }
        document
    }
}
