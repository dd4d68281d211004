//! `platforms`: the names of pkgsCross, what they are, and how their programs run here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::fs;
use crate::base::process::find_program;
use crate::config::Workspace;
use crate::cross::Platform;
use crate::cross::catalogue::{self, Entry};
use crate::cross::elf::Endianness;
use crate::cross::emulator::{self, Emulator, Foreign, Registration};
use crate::nix::{Root, System};
use crate::ops::{Error, Outcome};
use crate::targets;
use crate::targets::engine;

/// Where the kernel says which foreign formats it starts.
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// The platforms of a package set.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Platforms {
    /// Where the names come from: the nixpkgs in use, or the built-in table.
    pub source: Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_asked: Option<String>,
    /// The platforms, sorted by name.
    pub platforms: Vec<Named>,
    /// All about the one that was named whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

/// Where names come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", content = "nixpkgs", rename_all = "kebab-case")]
pub enum Source {
    /// Nix was asked.
    Nixpkgs(String),
    /// overlayctl's own table.
    BuiltIn,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// The name below `pkgsCross`.
    pub name: String,
    pub triple: String,
    pub system: String,
    pub libc: Option<String>,
    /// `little` or `big`, where that is known.
    pub endianness: Option<String>,
    pub bits: u16,
    /// The program that runs its programs here; absent where none does or none is needed.
    pub emulator: Option<String>,
    /// Whether this machine runs its programs as they are.
    pub native: bool,
    pub what: String,
}

/// How programs of one platform run here.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    pub run: Emulator,
    /// The emulator as it is installed here.
    pub found: Option<PathBuf>,
    /// The kernel's registration that starts its programs, when there is one.
    pub registered: Option<String>,
    /// Whether that registration also holds in Nix's sandbox.
    pub works_in_sandbox: bool,
    /// The line of a NixOS configuration that makes one.
    pub nixos: Option<String>,
    /// In which releases of nixpkgs the name is, by the built-in table.
    pub since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rust_target: Option<String>,
    pub commands: Vec<String>,
}

/// Lists the platforms whose words fit `filter`; a whole name gets its details.
///
/// # Errors
/// [`Error::Cross`] when nothing fits, with near names.
pub fn platforms(workspace: &Workspace, nixpkgs: Option<&str>, filter: Option<&str>) -> Result<Platforms, Error> {
    let here = Platform::here();
    let (systems, source, not_asked) = match ask(workspace, nixpkgs, here.as_ref()) {
        Ok((systems, nixpkgs)) => (systems, Source::Nixpkgs(nixpkgs), None),
        Err(error) if nixpkgs.is_none() => (built_in(here.as_ref()), Source::BuiltIn, Some(error.to_string())),
        Err(error) => return Err(error),
    };
    let exact = filter.filter(|filter| systems.contains_key(*filter));
    let mut found = Vec::new();
    let mut detail = None;
    for (name, system) in &systems {
        let entry = catalogue::entry(name).ok();
        let run = system.as_ref().map(|system| run(system, here.as_ref()));
        let named = Named::of(name, system.as_ref(), run.as_ref(), entry);
        if exact.map_or_else(|| named.fits(filter.unwrap_or_default(), entry), |exact| exact == name) {
            if let (Some(_), Some(system), Some(run)) = (exact, system, run) {
                detail = Some(details(name, system, run, entry.map(Entry::since)));
            }
            found.push(named);
        }
    }
    if found.is_empty() {
        let wanted = filter.unwrap_or_default();
        let near = catalogue::near(wanted, systems.keys().map(String::as_str));
        return Err(crate::cross::Error::UnknownName {
            name: wanted.to_string(),
            near: near.into_iter().map(str::to_string).collect(),
        }
        .into());
    }
    Ok(Platforms { source, not_asked, platforms: found, detail })
}

/// The platforms of a package set by name; `None` for one that nixpkgs itself does not evaluate.
type Systems = BTreeMap<String, Option<System>>;

fn ask(workspace: &Workspace, nixpkgs: Option<&str>, here: Option<&Platform>) -> Result<(Systems, String), Error> {
    let source = workspace.nixpkgs(nixpkgs)?;
    let root = Root::Packages(Box::new(targets::plain_set(workspace, nixpkgs)?));
    let nix = engine::nix(workspace)?;
    let here = here.map_or_else(|| targets::system(workspace), Platform::system);
    Ok((nix.systems(&root, &here)?, source.to_string()))
}

/// Returns what the built-in table has, where nixpkgs cannot be asked.
fn built_in(here: Option<&Platform>) -> Systems {
    let order = |e| if e == Endianness::Big { "bigEndian" } else { "littleEndian" };
    let system = |platform: &Platform| System {
        config: platform.triple().to_string(),
        system: platform.system(),
        libc: platform.libc.clone(),
        bits: platform.cpu.bits,
        order: platform.endianness().map(|e| order(e).to_string()),
        cpu: platform.cpu.name.to_string(),
        family: Some(platform.cpu.family.to_string()),
        kernel: platform.kernel.clone(),
        android: platform.abi.starts_with("android"),
        qemu: platform.qemu_arch().map(str::to_string),
        rust: Some(platform.rust_target()),
        native: here.is_some_and(|here| here.can_execute(platform)),
    };
    catalogue::entries().iter().map(|entry| (entry.name.to_string(), Some(system(&entry.platform)))).collect()
}

fn run(system: &System, here: Option<&Platform>) -> Emulator {
    if system.native {
        return Emulator::Native;
    }
    let foreign = Foreign {
        cpu: &system.cpu,
        family: system.family.as_deref().unwrap_or_default(),
        bits: system.bits,
        kernel: &system.kernel,
        android: system.android,
        qemu: system.qemu.as_deref(),
    };
    foreign.on(here.map_or("another system", |here| &here.kernel))
}

impl Named {
    fn of(name: &str, system: Option<&System>, run: Option<&Emulator>, entry: Option<&Entry>) -> Named {
        let what = match (system, entry) {
            (None, _) => "nixpkgs does not evaluate it".to_string(),
            (_, Some(entry)) => entry.what.to_string(),
            (_, None) => "not in the built-in table".to_string(),
        };
        let order = system.and_then(|system| match system.order.as_deref()? {
            "bigEndian" => Some(Endianness::Big.to_string()),
            _ => Some(Endianness::Little.to_string()),
        });
        Named {
            name: name.to_string(),
            triple: system.map(|system| system.config.clone()).unwrap_or_default(),
            system: system.map(|system| system.system.clone()).unwrap_or_default(),
            libc: system.and_then(|system| system.libc.clone()),
            endianness: order,
            bits: system.map_or(0, |system| system.bits),
            emulator: run.and_then(|run| run.programs().into_iter().next()),
            native: run == Some(&Emulator::Native),
            what,
        }
    }

    /// Says whether every word of `filter` stands, in any case, in the name, triple, system, C library, kind or
    /// description. `32` and `64`, `big` and `little` go by the platform.
    fn fits(&self, filter: &str, entry: Option<&Entry>) -> bool {
        let libc = self.libc.as_deref().unwrap_or("no C library");
        let kind = entry.map(|entry| entry.kind.to_string()).unwrap_or_default();
        let order = self.endianness.as_deref().unwrap_or_default();
        let text = format!(
            "{} {} {} {libc} {kind} {} {order} {}-bit",
            self.name, self.triple, self.system, self.what, self.bits
        );
        let text = text.to_lowercase();
        filter.split_whitespace().all(|word| text.contains(&word.to_lowercase()))
    }
}

fn details(name: &str, system: &System, run: Emulator, since: Option<String>) -> Detail {
    let names = emulator::registration_names(&system.system, system.qemu.as_deref());
    let registered = names.into_iter().find_map(|name| {
        let text = fs::read_text(&Path::new(BINFMT).join(&name)).ok()?;
        Some((name, Registration::parse(&text)?))
    });
    let registered = registered.filter(|(_, registration)| registration.enabled);
    let systems = match &run {
        Emulator::Qemu { .. } => vec![system.system.clone()],
        _ => Vec::new(),
    };
    Detail {
        found: run.programs().iter().find_map(|program| find_program(program)),
        works_in_sandbox: registered.as_ref().is_some_and(|(_, registration)| registration.works_in_sandbox()),
        registered: registered.map(|(name, _)| name),
        nixos: emulator::nixos_snippet(&systems),
        since,
        rust_target: system.rust.clone(),
        commands: vec![
            format!("overlayctl build --cross {name} PACKAGE"),
            format!("overlayctl build --cross {name} --static PACKAGE"),
            format!("overlayctl toolchain {name}"),
        ],
        run,
    }
}

impl Outcome for Platforms {
    const SCHEMA: &'static str = "overlayctl.platforms/1";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_find_by_any_word() {
        let all = built_in(Platform::parse("x86_64-linux").ok().as_ref());
        let found = |filter: &str| -> Vec<&str> {
            let fits = |name: &str, system: &Option<System>| {
                let entry = catalogue::entry(name).ok();
                Named::of(name, system.as_ref(), None, entry).fits(filter, entry)
            };
            all.iter().filter(|(name, system)| fits(name, system)).map(|(name, _)| name.as_str()).collect()
        };
        assert!(found("raspberry").contains(&"raspberryPi") && found("raspberry").contains(&"aarch64-multiplatform"));
        assert_eq!(found("MUSL aarch64"), ["aarch64-multiplatform-musl"]);
        assert!(found("microcontroller").contains(&"avr"));
        assert!(found("windows").contains(&"mingwW64"));
        assert!(found("big-endian 64-bit linux").contains(&"s390x"));
        assert_eq!(found("").len(), all.len());
    }
}
