//! What `check` shows.

use crate::ops::check::{Checked, Patch, Place, State};
use crate::view::{Block, Document, Role, Shown, Table, Text};

impl Checked {
    /// Says what to do about what is not clean, once for each kind.
    fn advise(&self, document: &mut Document) {
        let first = |states: &[State]| {
            self.packages.iter().find_map(|package| {
                let patch = package.patches.iter().find(|patch| states.contains(&patch.state))?;
                let file = patch.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                Some((package.attr.to_string(), file))
            })
        };
        let mut advice = Vec::new();
        if let Some((attr, file)) = first(&[State::AlreadyUpstream]) {
            advice.push((format!("overlayctl unpatch {attr} {file}"), "takes out what the source has already"));
        }
        if let Some((attr, _)) = first(&[State::Conflict, State::FileGone, State::PartlyUpstream]) {
            advice.push((
                format!("overlayctl rebase {attr} --from OLD --to NEW"),
                "merges the queue from the nixpkgs it was made for; --time-machine finds what broke it",
            ));
        }
        if let (Some((attr, _)), false) = (first(&[State::Fuzz]), self.allow_fuzz) {
            advice.push((format!("overlayctl refresh {attr} --allow-fuzz"), "writes the context that is there now"));
        }
        if !advice.is_empty() {
            document.blank();
        }
        for (i, (command, what)) in advice.into_iter().enumerate() {
            let start = if i == 0 { "Next: " } else { "      " };
            document.line(Text::from(start).with(Role::Command, command).plain(format!(" {what}")));
        }
    }
}

/// Shows both sides of a conflict.
fn show_conflict(patch: &Patch, conflict: &Place, document: &mut Document) {
    let file = patch.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    document.line(Role::Name.text(file).plain(format!(" does not fit at {}:{}", conflict.file, conflict.sides.line)));
    for (title, text) in [("it expects", &conflict.sides.expected), ("the source has", &conflict.sides.found)] {
        document.line(Role::Dim.text(format!("  {title}")));
        for line in text.lines().take(12) {
            document.line(format!("    {line}"));
        }
    }
}

impl Shown for Checked {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        if self.packages.is_empty() {
            document.line("nothing is patched");
            return document;
        }
        let mut table = Table::new(["package", "patch", "applies", "detail"]);
        for package in &self.packages {
            let name = package.name.clone().unwrap_or_default();
            for (i, patch) in package.patches.iter().enumerate() {
                let role = match patch.state {
                    State::Clean | State::Offset => Role::Good,
                    State::Fuzz if self.allow_fuzz => Role::Warn,
                    _ => Role::Bad,
                };
                let attr = if i == 0 { package.attr.to_string() } else { String::new() };
                let file = patch.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                table.rows.push(vec![
                    Role::Name.text(attr).with(Role::Dim, if i == 0 { format!(" {name}") } else { String::new() }),
                    file.into(),
                    role.text(patch.state.words()),
                    patch.detail.clone().into(),
                ]);
            }
            for (i, fetched) in package.fetched.iter().enumerate() {
                let attr = if package.patches.is_empty() && i == 0 { package.attr.to_string() } else { String::new() };
                let role = if fetched.applies { Role::Good } else { Role::Bad };
                table.rows.push(vec![
                    Role::Name.text(attr),
                    Text::from(&fetched.name).with(Role::Dim, " fetched"),
                    role.text(fetched.state.words()),
                    fetched.detail.clone().into(),
                ]);
            }
            if let Some(failure) = &package.failure {
                table.rows.push(vec![
                    Role::Name.text(package.attr.to_string()),
                    "".into(),
                    Role::Bad.text("not checked"),
                    failure.message.clone().into(),
                ]);
            }
        }
        document.push(Block::Table(table));
        for patch in self.packages.iter().flat_map(|p| &p.patches) {
            for conflict in patch.conflicts.iter().take(if verbose { usize::MAX } else { 1 }) {
                document.blank();
                show_conflict(patch, conflict, &mut document);
            }
        }
        self.advise(&mut document);
        document
    }
}
