//! What a package vendors: the derivations that fetch its dependencies by a hash, and what has to be overridden so that they
//! follow a patch of the lock file.
//!
//! Each way is tried. Must not put it into words.

use serde::{Deserialize, Serialize};

use super::Asking;
use crate::nix::error::Error;

/// How the dependencies of a package of `buildRustPackage` are fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cargo {
    /// The attribute that holds their hash; `None` where there is none (`cargoLock`).
    pub hash: Option<String>,
    /// Whether `buildRustPackage` is given a function of the final attributes instead of a set.
    pub of_final: bool,
}

/// The dependencies of a package that are fetched by a hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vendored {
    /// The attribute that holds the derivation which fetches them.
    pub attribute: String,
    /// How that derivation follows; `None` where no way was found.
    pub refetch: Option<Refetch>,
}

/// What makes the derivation of the dependencies another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refetch {
    /// It has the patches of the package; its hash stands in this attribute of the package.
    Beside(String),
    /// It has the patches of the package, and its hash is overridden in it.
    Hash,
    /// It is overridden itself: its patches and its hash.
    Itself,
}

/// Attributes that hold what a package vendors.
const VENDORED: [&str; 12] = [
    "cargoDeps",
    "goModules",
    "go-modules",
    "npmDeps",
    "yarnOfflineCache",
    "offlineCache",
    "pnpmDeps",
    "mixFodDeps",
    "mitmCache",
    "composerVendor",
    "composerRepository",
    "modSha256",
];
/// Attributes that hold the hash of what it vendors.
const HASHES: [&str; 8] =
    ["vendorHash", "vendorSha256", "modSha256", "cargoHash", "cargoSha256", "npmDepsHash", "yarnHash", "pnpmDepsHash"];
/// A hash that nothing has.
const FALSE_HASH: &str = "\"sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"";
/// An empty patch.
const PROBE: &str = "(builtins.toFile \"overlayctl-probe.patch\" \"\")";

impl Asking<'_> {
    /// Returns what `d` vendors.
    pub(super) fn vendored(&mut self) -> Result<Vec<Vendored>, Error> {
        let mut found = Vec::new();
        for name in self.those(&VENDORED, |name| format!("d ? {name} && d.{name} != null"))? {
            let differs = |made: &str| format!("({made}).{name}.drvPath != d.{name}.drvPath");
            let patched = |of: &str| format!("patches = ({of}.patches or [ ]) ++ [ {PROBE} ];");
            let follows = self.holds(&differs(&format!("d.overrideAttrs (o: {{ {} }})", patched("o"))))?;
            let hashes = self.those(&HASHES, |hash| {
                format!("d ? {hash} && {}", differs(&format!("d.overrideAttrs (_: {{ {hash} = {FALSE_HASH}; }})")))
            })?;
            // It has to be seen by the package, and to have the patch once: one that hands its hash on to another does not.
            let overridden = |outer: &str, inner: &str| {
                format!(
                    "let e = d.overrideAttrs (o: {{ {outer} {name} = o.{name}.overrideAttrs (p: {{ {inner} outputHash = \
                     {FALSE_HASH}; }}); }}); in d.{name} ? outputHash && e.{name}.outputHash == {FALSE_HASH} && \
                     builtins.length (builtins.filter (p: p == {PROBE}) e.{name}.patches) == 1 && \
                     e.{name}.drvPath != d.{name}.drvPath && e.drvPath != d.drvPath"
                )
            };
            let (of_package, of_itself) = (patched("o"), patched("p"));
            let refetch = match hashes.first() {
                Some(hash) if follows => Some(Refetch::Beside((*hash).to_string())),
                _ if follows && self.holds(&overridden(&of_package, ""))? => Some(Refetch::Hash),
                _ if !follows && self.holds(&overridden("", &of_itself))? => Some(Refetch::Itself),
                _ => None,
            };
            found.push(Vendored { attribute: name.to_string(), refetch });
        }
        Ok(found)
    }

    /// Returns how the Cargo dependencies of `d` are fetched, if `cargoPatches` reach them through an override of `rustPlatform`.
    pub(super) fn cargo(&mut self) -> Result<Option<Cargo>, Error> {
        let reaches = |given: &str, args: &str| {
            format!(
                "(let e = d.override (old: {{ rustPlatform = old.rustPlatform // {{ buildRustPackage = args: \
                 old.rustPlatform.buildRustPackage ({given}{args} // {{ cargoPatches = (({args}).cargoPatches or [ ]) ++ [ {PROBE} ]; }}); }}; }}); \
                 in builtins.elem {PROBE} (e.patches or [ ]) && e.cargoDeps.drvPath != d.cargoDeps.drvPath)"
            )
        };
        let of_final = match () {
            () if self.holds(&reaches("", "args"))? => false,
            () if self.holds(&reaches("final: ", "args final"))? => true,
            () => return Ok(None),
        };
        let hashes = ["cargoHash", "cargoSha256"].map(String::from);
        let there = self.those(&hashes, |name| format!("(d.{name} or \"\") != \"\""))?;
        Ok(Some(Cargo { hash: there.into_iter().next(), of_final }))
    }
}
