//! What `init` shows.

use std::path::Path;

use crate::config::FILE_NAME;
use crate::ops::init::Initialised;
use crate::view::Shown;
use crate::view::{Document, Role, Text};

impl Shown for Initialised {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        for found in &self.found {
            document.line(Role::Dim.text("found   ").plain(found));
        }
        if self.demo {
            document.line(Role::Good.text("wrote   ").plain(format!(
                "the demo workspace: {} files in {}",
                self.written.len() + self.kept.len(),
                self.dir.display()
            )));
        } else {
            for path in &self.kept {
                document.line(Role::Dim.text("kept    ").plain(path.display().to_string()));
            }
            for path in &self.written {
                document.line(Role::Good.text("wrote   ").plain(path.display().to_string()));
            }
        }
        match &self.nixpkgs {
            Some(nixpkgs) => document.line(Role::Dim.text("nixpkgs ").plain(nixpkgs)),
            None => document.line(
                Role::Warn
                    .text("nixpkgs ")
                    .plain(format!("none found: set `nixpkgs` in {FILE_NAME}, or give --nixpkgs PATH")),
            ),
        }
        if let Some(wiring) = &self.wiring {
            document.blank();
            document.line(
                "In flake.nix the overlay is wired in where nixpkgs is imported (or as `nixpkgs.overlays` in NixOS):",
            );
            document.line(Text::from("    ").with(Role::Command, wiring));
        }
        document.blank();
        document.line("Next:");
        let at = if self.dir == Path::new(".") { String::new() } else { format!(" -C {}", self.dir.display()) };
        let next: &[&str] = if self.demo {
            &["patch musl fixes/musl-strerror.patch", "impact --board aarch64", "build --board aarch64"]
        } else {
            &["patch PACKAGE FILE.patch", "impact --target PACKAGE"]
        };
        if self.demo {
            document.line(Text::from("    ").with(Role::Command, format!("{}/setup.sh", self.dir.display())));
        }
        for command in next {
            document.line(Text::from("    ").with(Role::Command, format!("overlayctl{at} {command}")));
        }
        document
    }
}
