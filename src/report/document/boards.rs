//! What `boards` shows.

use crate::ops::boards::{Boards, State};
use crate::view::{Block, Document, Role, Shown, Table};

impl Shown for Boards {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        if self.boards.is_empty() {
            document.line("no boards: add a table [boards.NAME] to overlayctl.toml");
            return document;
        }
        let mut table = Table::new(["board", "platform", "package", "state", "link"]);
        for board in &self.boards {
            let platform = if board.is_static { format!("{}, static", board.platform) } else { board.platform.clone() };
            for (i, package) in board.packages.iter().enumerate() {
                let (role, words) = match package.state {
                    State::Built => (Role::Good, "built"),
                    State::Stale => (Role::Warn, "stale"),
                    State::NotBuilt => (Role::Dim, "not built"),
                    State::Broken => (Role::Bad, "does not evaluate"),
                };
                let first = |text: &str| if i == 0 { text.to_string() } else { String::new() };
                table.rows.push(vec![
                    Role::Name.text(first(&board.name)),
                    first(&platform).into(),
                    package.attr.clone().into(),
                    role.text(words),
                    package
                        .failure
                        .clone()
                        .or(package.link.as_ref().map(|l| l.display().to_string()))
                        .unwrap_or_default()
                        .into(),
                ]);
            }
        }
        document.push(Block::Table(table));
        document.blank();
        for board in &self.boards {
            let patched = if board.patched.is_empty() { "nothing".to_string() } else { board.patched.join(", ") };
            document.line(Role::Dim.text(format!("patched on {}  ", board.name)).plain(patched));
        }
        let patched = if self.patched.is_empty() { "nothing".to_string() } else { self.patched.join(", ") };
        document.line(Role::Dim.text("patched in all  ").plain(patched));
        document
    }
}
