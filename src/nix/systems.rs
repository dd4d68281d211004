//! What nixpkgs says of the platforms of `pkgsCross`: the facts of `lib.systems`, all in one question.
//!
//! Must not know a platform.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::Error;
use super::expression::{Root, quoted};
use super::program::Nix;

/// A platform as nixpkgs elaborates it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct System {
    pub config: String,
    pub system: String,
    /// The C library; absent where there is none.
    pub libc: Option<String>,
    pub bits: u16,
    /// The order of bytes in nixpkgs' words, `littleEndian`; absent for 8-bit processors.
    pub order: Option<String>,
    pub cpu: String,
    pub family: Option<String>,
    pub kernel: String,
    pub android: bool,
    /// What stands after `qemu-` in the name of the program that runs its programs.
    pub qemu: Option<String>,
    pub rust: Option<String>,
    /// Whether the machine that was asked for runs its programs as they are.
    pub native: bool,
}

impl Nix {
    /// Asks for every platform of `pkgsCross`, by name; `None` for one that does not evaluate. `here` is the system whose
    /// machines it is asked what they run.
    pub fn systems(&self, root: &Root, here: &str) -> Result<BTreeMap<String, Option<System>>, Error> {
        let mut server = self.eval_server()?;
        server.bind("root", &root.to_nix()?)?;
        // 19.09 calls `canExecute` otherwise, and has no names of rustc's targets.
        let question = format!(
            "let systems = root.lib.systems; here = systems.elaborate {{ system = {}; }}; \
             of = name: let p = systems.elaborate (systems.examples.${{name}} or root.pkgsCross.${{name}}.stdenv.hostPlatform); in {{ \
               inherit (p) config system; libc = p.libc or null; inherit (p.parsed.cpu) bits; \
               order = p.parsed.cpu.significantByte.name or null; cpu = p.parsed.cpu.name; family = p.parsed.cpu.family or null; \
               kernel = p.parsed.kernel.name; android = p.isAndroid or false; qemu = p.qemuArch or null; \
               rust = p.rust.rustcTarget or null; native = (here.canExecute or here.isCompatible) p; \
             }}; \
             sound = name: let r = of name; tried = builtins.tryEval (builtins.deepSeq r r); in if tried.success then tried.value else null; \
             in builtins.listToAttrs (map (name: {{ inherit name; value = sound name; }}) (builtins.attrNames root.pkgsCross))",
            quoted(here)
        );
        let failed = |failure| Error::Eval { what: "the platforms of pkgsCross".into(), failure: Box::new(failure) };
        let value = server.eval_json(&question)?.map_err(failed)?;
        let garbage = |e: serde_json::Error| Error::Garbage {
            program: "nix repl".into(),
            reason: e.to_string(),
            answer: value.to_string(),
        };
        serde_json::from_value(value.clone()).map_err(garbage)
    }
}
