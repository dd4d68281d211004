//! `explain`: build, host and target platform of an attribute path, and in words what it is.

use serde::Serialize;

use crate::config::Workspace;
use crate::cross::attr::stage;
use crate::cross::attr::{Account, account};
use crate::cross::{Platform, catalogue};
use crate::nix::{Root, attr_path_text, quoted};
use crate::ops::{Error, Outcome};
use crate::overlay::{self, AttrPath};
use crate::queue::{self, facts};
use crate::targets::engine;
use crate::targets::{self, Selection};

/// What an attribute path is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    pub attr: String,
    /// Where the platforms come from.
    pub source: Source,
    /// Why Nix was not asked, or could not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_asked: Option<String>,
    /// Where it is built.
    pub build: PlatformFacts,
    /// Where it runs.
    pub host: PlatformFacts,
    /// What a compiler in it compiles for.
    pub target: PlatformFacts,
    #[serde(flatten)]
    pub account: Account,
}

/// Where the platforms come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Nix evaluated the path.
    Evaluation,
    /// The rules of nixpkgs, by name.
    Rules,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformFacts {
    pub triple: String,
    pub system: String,
    pub libc: Option<String>,
}

impl PlatformFacts {
    fn of(platform: &Platform) -> PlatformFacts {
        PlatformFacts { triple: platform.triple().to_string(), system: platform.system(), libc: platform.libc.clone() }
    }
}

/// Explains an attribute path.
///
/// # Errors
/// [`Error::Cross`] for a platform name that does not exist or a set that nixpkgs refuses to make; `NoSuchAttribute` for a
/// name that the package set does not have.
pub fn explain(workspace: &Workspace, nixpkgs: Option<&str>, typed: &str) -> Result<Explained, Error> {
    let attr = AttrPath::parse(typed).map_err(overlay::Error::from)?;
    let here = Platform::here();
    let local = match &workspace.settings().system {
        Some(system) => Platform::parse(system)?,
        None => here.map_or_else(|| catalogue::resolve("x86_64-linux"), Ok)?,
    };
    let mut stage = stage(attr.names(), &local, None)?;
    let (source, not_asked) = match evaluated(workspace, nixpkgs, &attr, &stage.package) {
        Ok(Some([build, host, target])) => {
            (stage.build, stage.host, stage.target) = (build, host, target);
            (Source::Evaluation, None)
        }
        Ok(None) => (Source::Rules, Some("the path does not say its platforms".to_string())),
        Err(error) if nixpkgs.is_none() && !is_missing(&error) => (Source::Rules, Some(error.to_string())),
        Err(error) => return Err(error),
    };
    Ok(Explained {
        attr: attr.to_string(),
        source,
        not_asked,
        build: PlatformFacts::of(&stage.build),
        host: PlatformFacts::of(&stage.host),
        target: PlatformFacts::of(&stage.target),
        account: account(&stage),
    })
}

/// Asks Nix for the platforms of the path's package set (a package's own stdenv may be another stage's).
fn evaluated(
    workspace: &Workspace,
    nixpkgs: Option<&str>,
    attr: &AttrPath,
    package: &[String],
) -> Result<Option<[Platform; 3]>, Error> {
    let plain = targets::plain_set(workspace, nixpkgs)?;
    let root = Root::Packages(Box::new(plain.clone()));
    let nix = engine::nix(workspace)?;
    let mut server = nix.eval_server()?;
    server.bind("root", &root.to_nix()?)?;
    let set = &attr.names()[..attr.names().len() - package.len()];
    let below = if set.is_empty() { "root".to_string() } else { format!("root.{}", attr_path_text(set)) };
    let platform = |which: &str| {
        let which = quoted(which);
        format!("let p = {below}.stdenv.${{{which}}}; in [ p.config (p.libc or null) (p.isStatic or false) ]")
    };
    let mut found = Vec::new();
    for which in ["buildPlatform", "hostPlatform", "targetPlatform"] {
        let Ok(value) = server.eval_json(&platform(which))? else { return Ok(None) };
        let text = |at: usize| value.get(at).and_then(|v| v.as_str());
        let Some(parsed) = text(0).and_then(|config| Platform::parse(config).ok()) else { return Ok(None) };
        let mut parsed = parsed.with_libc(text(1));
        parsed.is_static = value.get(2).and_then(serde_json::Value::as_bool).unwrap_or(false);
        found.push(parsed);
    }
    if !package.is_empty() {
        // Perhaps it is one of an overlay's own.
        let selection =
            Selection { nixpkgs: nixpkgs.map(String::from), targets: vec![attr.to_string()], ..Selection::default() };
        if let Ok(groups) = targets::resolve(workspace, &selection) {
            facts::exists(&nix, std::iter::once(&plain).chain(groups.iter().map(|group| &group.patched)), attr)?;
        }
    }
    Ok(found.try_into().ok())
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Queue(queue::Error::NoSuchAttribute { .. }))
}

impl Outcome for Explained {
    const SCHEMA: &'static str = "overlayctl.explain/1";
}
