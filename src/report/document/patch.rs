//! What `patch` says.

use crate::ops::patch::Patched;
use crate::view::{Block, Document, Role, Shown, Text};

impl Shown for Patched {
    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        if let Some(costs) = &self.costs {
            document.append(costs.document(verbose));
            document.blank();
        }
        if self.unchanged {
            document.line(Role::Name.text(self.attr.to_string()).plain(" is already as asked; nothing changed"));
            return document;
        }
        let would = if self.dry_run { "would write" } else { "wrote" };
        for patch in self.patches.iter().filter(|patch| self.files.contains(&patch.path)) {
            document.line(
                Role::Good
                    .text(format!("{would} "))
                    .plain(patch.path.display().to_string())
                    .with(Role::Dim, format!("  {}", patch.subject)),
            );
        }
        if !self.diff.is_empty() {
            document.line(Role::Good.text(format!("{would} ")).plain(&self.overlay));
            document.push(Block::Diff(self.diff.clone()));
        }
        if !self.also.is_empty() {
            let names: Vec<String> = self.also.iter().map(|name| format!("`{name}`")).collect();
            document.line(
                Role::Dim.text("also    ").plain(format!("{}: the same package, and defined apart", names.join(", "))),
            );
        }
        for path in &self.made_visible {
            document.line(
                Role::Dim
                    .text("git     ")
                    .plain(format!("{} is now known to git, so that the flake sees it", path.display())),
            );
        }
        if let Some(wiring) = &self.wiring {
            document.blank();
            let files: Vec<String> = wiring.files.iter().map(|file| file.display().to_string()).collect();
            let at = if files.is_empty() { "where nixpkgs is imported".to_string() } else { files.join(" or ") };
            document.line(format!("The new overlay is used once it is wired in ({at}):"));
            document.line(Text::from("    ").with(Role::Command, &wiring.line));
        }
        if !self.dry_run {
            document.blank();
            document.line(
                Text::from("Next: ")
                    .with(Role::Command, "overlayctl impact --target TARGET")
                    .plain(" says what that rebuilds"),
            );
        }
        document
    }
}
