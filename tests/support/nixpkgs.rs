//! The checkouts of nixpkgs that tests are held against. Which are there the environment says; nothing is downloaded.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::nix_config;

/// Names a checkout of today's nixpkgs, which needs Nix 2.26 or newer.
pub const TODAY: &str = "OVERLAYCTL_NIXPKGS";
/// Names one of 19.09.
pub const OLD: &str = "OVERLAYCTL_NIXPKGS_1909";
/// Names one of the core of 24.05.
pub const CORE: &str = "OVERLAYCTL_NIXPKGS_CORE";

/// Says why a test does less than it could, past the test harness, which keeps what passing tests print to itself.
pub fn skipped(why: &str) {
    // Where standard error is closed there is nobody to tell.
    drop(writeln!(std::io::stderr(), "skipped: {why}"));
}

/// Returns the checkout that a variable names, if the Nix at hand evaluates it; else says why not, once.
pub fn nixpkgs(variable: &'static str) -> Option<PathBuf> {
    static KNOWN: OnceLock<Mutex<BTreeMap<&str, Option<PathBuf>>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(variable).or_insert_with(|| find(variable).map_err(|why| skipped(&why)).ok()).clone()
}

/// Returns those of the checkouts that are there, today's first.
pub fn checkouts() -> Vec<(&'static str, PathBuf)> {
    [TODAY, OLD, CORE].into_iter().filter_map(|variable| Some((variable, nixpkgs(variable)?))).collect()
}

fn find(variable: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.join("default.nix").exists());
    let path = path.ok_or_else(|| format!("{variable} names no checkout of nixpkgs"))?;
    evaluate(&format!("(import {} {{ config = {{ }}; overlays = [ ]; }}).zlib.drvPath", path.display()))
        .map_err(|why| format!("the Nix at hand does not evaluate {variable}: {why}"))?;
    Ok(path)
}

/// Evaluates an expression to JSON with stock Nix; the error is what Nix says.
pub fn evaluate(expression: &str) -> Result<serde_json::Value, String> {
    asked(&["-E", expression])
}

/// Evaluates a file, or an attribute of it, as [`evaluate`].
pub fn evaluate_file(path: &Path, attribute: Option<&str>) -> Result<serde_json::Value, String> {
    let path = path.to_string_lossy();
    match attribute {
        Some(attribute) => asked(&[&path, "-A", attribute]),
        None => asked(&[&path]),
    }
}

fn asked(arguments: &[&str]) -> Result<serde_json::Value, String> {
    let mut command = Command::new("nix-instantiate");
    command.env("NIX_CONFIG", nix_config()).args(["--eval", "--strict", "--json", "--read-write-mode"]).args(arguments);
    let output = command.output().map_err(|error| format!("nix-instantiate: {error}"))?;
    // On an error Nix closes what it has begun to print: that parses, and is not the answer.
    let value = output.status.success().then(|| serde_json::from_slice(&output.stdout).ok());
    value.flatten().ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
}
