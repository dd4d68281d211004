//! What `toolchain` shows.

use crate::ops::Outcome;
use crate::ops::toolchain::Toolchain;
use crate::view::{Document, Role, Shown, Text};

impl Shown for Toolchain {
    fn document(&self, verbose: bool) -> Document {
        if self.build.verdict().is_some() {
            return self.build.document(verbose);
        }
        let mut document = Document::new();
        document.line(
            Text::new()
                .with(Role::Good, "built ")
                .with(Role::Name, &self.target)
                .plain(format!("  {}", self.path.display())),
        );
        document.line(Text::new().with(Role::Dim, "prefix ").plain(if self.prefix.is_empty() {
            "none"
        } else {
            &self.prefix
        }));
        document.blank();
        document.line(Text::new().with(Role::Command, format!("export PATH={}/bin:$PATH", self.path.display())));
        for (name, value) in &self.environment {
            document.line(Text::new().with(Role::Command, format!("export {name}={value}")));
        }
        document.blank();
        document.line(Text::new().with(Role::Dim, "with --shell a shell opens that has all of this set"));
        document
    }
}
