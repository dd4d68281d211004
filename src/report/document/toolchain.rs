//! What `toolchain` shows.

use crate::ops::Outcome;
use crate::ops::toolchain::Toolchain;
use crate::view::{Document, Role, Shown};

impl Shown for Toolchain {
    fn document(&self, verbose: bool) -> Document {
        if self.build.verdict().is_some() {
            return self.build.document(verbose);
        }
        let mut document = Document::new();
        document
            .line(Role::Good.text("built ").with(Role::Name, &self.target).plain(format!("  {}", self.path.display())));
        document.line(Role::Dim.text("prefix ").plain(if self.prefix.is_empty() { "none" } else { &self.prefix }));
        document.blank();
        document.line(Role::Command.text(format!("export PATH={}/bin:$PATH", self.path.display())));
        for (name, value) in &self.environment {
            document.line(Role::Command.text(format!("export {name}={value}")));
        }
        document.blank();
        document.line(Role::Dim.text("with --shell a shell opens that has all of this set"));
        document
    }
}
