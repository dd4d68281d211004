//! What `platforms` shows.

use crate::base::text::plural;
use crate::cross::emulator::Emulator;
use crate::ops::platforms::{Detail, Named, Platforms, Source};
use crate::view::Shown;
use crate::view::{Block, Document, Role, Table, Text};

impl Shown for Platforms {
    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        if let (Some(detail), [platform]) = (&self.detail, self.platforms.as_slice()) {
            one(platform, detail, &mut document);
        } else {
            let mut table = Table::new(["name", "system", "triple", "libc", "runs here with", "what it is"]);
            for platform in &self.platforms {
                let run = match (&platform.emulator, platform.native) {
                    (_, true) => "itself".to_string(),
                    (Some(program), _) => program.clone(),
                    (None, _) => "-".to_string(),
                };
                table.rows.push(vec![
                    Role::Name.text(&platform.name),
                    platform.system.clone().into(),
                    platform.triple.clone().into(),
                    platform.libc.clone().unwrap_or_else(|| "-".into()).into(),
                    run.into(),
                    platform.what.clone().into(),
                ]);
            }
            document.push(Block::Table(table));
        }
        document.blank();
        let from = match &self.source {
            Source::Nixpkgs(nixpkgs) => {
                format!("{} of pkgsCross, asked of {nixpkgs}", plural(self.platforms.len(), "name"))
            }
            Source::BuiltIn => format!(
                "{} from the built-in table; Nix was not asked: {}",
                plural(self.platforms.len(), "name"),
                self.not_asked.as_deref().unwrap_or("there is no nixpkgs")
            ),
        };
        document.line(Role::Dim.text(from));
        document
    }
}

fn one(platform: &Named, detail: &Detail, document: &mut Document) {
    let mut field = |name: &str, value: String| {
        document.line(Role::Dim.text(format!("{name:<12}")).plain(value));
    };
    field("name", format!("pkgsCross.{}", platform.name));
    field("what", platform.what.clone());
    field("triple", platform.triple.clone());
    field("system", platform.system.clone());
    field("libc", platform.libc.clone().unwrap_or_else(|| "none".into()));
    field("machine", format!("{} bits, {}", platform.bits, platform.endianness.as_deref().unwrap_or("unknown")));
    if let Some(target) = &detail.rust_target {
        field("rust target", target.clone());
    }
    if let Some(since) = &detail.since {
        field("in nixpkgs", since.clone());
    }
    let run = match (&detail.run, &detail.found) {
        (Emulator::Native, _) => "as they are".to_string(),
        (Emulator::None { why }, _) => format!("no: {why}"),
        (_, Some(found)) => format!("with {}", found.display()),
        (run, None) => format!("with {}, which is not installed", run.programs().join(" or ")),
    };
    field("run here", run);
    let registered = match &detail.registered {
        Some(name) if detail.works_in_sandbox => format!("{name} is registered with the kernel, in Nix's sandbox too"),
        Some(name) => format!("{name} is registered with the kernel, but not for Nix's sandbox"),
        None => "not registered with the kernel".to_string(),
    };
    field("binfmt", registered);
    if let Some(nixos) = &detail.nixos {
        field("NixOS", nixos.clone());
    }
    document.blank();
    for command in &detail.commands {
        document.line(Text::from("    ").with(Role::Command, command));
    }
}
