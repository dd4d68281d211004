//! `platforms`: the names of pkgsCross, what they are, and how their programs run here.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::fs;
use crate::base::process::find_program;
use crate::config::Workspace;
use crate::cross::emulator::{self, Emulator, Registration};
use crate::cross::{Platform, catalogue};
use crate::nix::{EvalServer, Root};
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
    /// Why Nix was not asked.
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

/// One name.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// The name below `pkgsCross`.
    pub name: String,
    /// Its triple.
    pub triple: String,
    /// Its system.
    pub system: String,
    /// Its C library.
    pub libc: Option<String>,
    /// `little` or `big`, where that is known.
    pub endianness: Option<String>,
    /// The bits of the processor.
    pub bits: u16,
    /// The program that runs its programs here; absent where none does or none is needed.
    pub emulator: Option<String>,
    /// Whether this machine runs its programs as they are.
    pub native: bool,
    /// One line of what it is.
    pub what: String,
}

/// How programs of one platform run here.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// How.
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
    /// The Rust target.
    pub rust_target: String,
    /// Commands to go on with.
    pub commands: Vec<String>,
}

/// Lists the platforms whose words fit `filter`; a whole name gets its details.
///
/// # Errors
/// [`Error::Cross`] when nothing fits, with near names.
pub fn platforms(workspace: &Workspace, nixpkgs: Option<&str>, filter: Option<&str>) -> Result<Platforms, Error> {
    let here = Platform::here();
    let (names, source, not_asked) = match ask(workspace, nixpkgs) {
        Ok((names, nixpkgs)) => (names, Source::Nixpkgs(nixpkgs), None),
        Err(error) if nixpkgs.is_none() => {
            let known = catalogue::entries().iter().map(|e| (e.name.to_string(), Some(e.platform.clone()))).collect();
            (known, Source::BuiltIn, Some(error.to_string()))
        }
        Err(error) => return Err(error),
    };
    let exact = filter.filter(|filter| names.iter().any(|(name, _)| name == filter));
    let mut found = Vec::new();
    let mut detail = None;
    for (name, asked) in &names {
        let entry = catalogue::entry(name).ok();
        let Some(platform) = asked.clone().or_else(|| entry.map(|e| e.platform.clone())) else { continue };
        let fits = match (exact, filter, entry) {
            (Some(exact), _, _) => exact == name,
            (None, None, _) => true,
            (None, Some(filter), Some(entry)) => catalogue::matches(entry, filter),
            (None, Some(filter), None) => name.contains(filter) || platform.triple().contains(filter),
        };
        if !fits {
            continue;
        }
        let run = here.as_ref().map(|here| emulator::emulator(&platform, here));
        if exact.is_some()
            && let Some(run) = run.clone()
        {
            detail = Some(details(name, &platform, run, entry.map(|e| e.seen.words().to_string())));
        }
        found.push(Named {
            name: name.clone(),
            triple: platform.triple().to_string(),
            system: platform.system(),
            libc: platform.libc.clone(),
            endianness: platform.endianness().map(|e| e.to_string()),
            bits: platform.cpu.bits,
            emulator: run.as_ref().and_then(|run| run.programs().into_iter().next()),
            native: run == Some(Emulator::Native),
            what: entry.map_or_else(|| "not in the built-in table".to_string(), |e| e.what.to_string()),
        });
    }
    if found.is_empty() {
        let wanted = filter.unwrap_or_default();
        let near = catalogue::near(wanted, names.iter().map(|(name, _)| name.as_str()));
        return Err(crate::cross::Error::UnknownName {
            name: wanted.to_string(),
            near: near.into_iter().map(str::to_string).collect(),
        }
        .into());
    }
    Ok(Platforms { source, not_asked, platforms: found, detail })
}

/// The names of a package set, each with its platform where Nix could tell.
type Asked = Vec<(String, Option<Platform>)>;

/// Asks the nixpkgs in use.
fn ask(workspace: &Workspace, nixpkgs: Option<&str>) -> Result<(Asked, String), Error> {
    let source = workspace.nixpkgs(nixpkgs)?;
    let root = Root::Packages(Box::new(targets::plain_set(workspace, nixpkgs)?));
    let nix = engine::nix(workspace)?;
    let names = nix.attr_names(&root, &["pkgsCross".to_string()])?;
    let mut server = nix.eval_server()?;
    server.bind("root", &root.to_nix()?)?;
    let mut asked = Vec::with_capacity(names.len());
    for name in names {
        // The table knows most names; only what it lacks is asked for, one small evaluation each.
        let platform = match catalogue::entry(&name) {
            Ok(_) => None,
            Err(_) => ask_platform(&mut server, &name)?,
        };
        asked.push((name, platform));
    }
    Ok((asked, source.to_string()))
}

fn ask_platform(server: &mut EvalServer, name: &str) -> Result<Option<Platform>, Error> {
    let example = crate::nix::attr_path_text(&[name.to_string()]);
    let question = format!(
        "let p = root.lib.systems.elaborate root.lib.systems.examples.{example}; in [ p.config (p.libc or null) ]"
    );
    let Ok(value) = server.eval_json(&question)? else { return Ok(None) };
    let text = |at: usize| value.get(at).and_then(|v| v.as_str()).map(str::to_string);
    Ok(text(0).and_then(|config| Platform::parse(&config).ok()).map(|p| p.with_libc(text(1).as_deref())))
}

fn details(name: &str, platform: &Platform, run: Emulator, since: Option<String>) -> Detail {
    let registered = emulator::registration_names(platform).into_iter().find_map(|name| {
        let text = fs::read_text(&Path::new(BINFMT).join(&name)).ok()?;
        Some((name, Registration::parse(&text)?))
    });
    let registered = registered.filter(|(_, registration)| registration.enabled);
    let systems = match &run {
        Emulator::Qemu { .. } => vec![platform.system()],
        _ => Vec::new(),
    };
    Detail {
        found: run.programs().iter().find_map(|program| find_program(program)),
        works_in_sandbox: registered.as_ref().is_some_and(|(_, registration)| registration.works_in_sandbox()),
        registered: registered.map(|(name, _)| name),
        nixos: emulator::nixos_snippet(&systems),
        since,
        rust_target: platform.rust_target(),
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
