//! Nix as the workspace wants it run.

use super::Error;
use crate::config::Workspace;
use crate::nix::{Nix, Settings};

/// Finds Nix and gives it the options of `overlayctl.toml`; starts nothing.
///
/// # Errors
/// [`Error::Nix`] when there is none.
pub(super) fn nix(workspace: &Workspace) -> Result<Nix, Error> {
    Ok(Nix::discover(settings(workspace))?)
}

/// As [`nix`], and refuses what would have to be built to go on evaluating (import-from-derivation).
///
/// # Errors
/// As [`nix`].
pub(super) fn nix_without_builds(workspace: &Workspace) -> Result<Nix, Error> {
    let mut settings = settings(workspace);
    settings.options.push(("allow-import-from-derivation".into(), "false".into()));
    Ok(Nix::discover(settings)?)
}

fn settings(workspace: &Workspace) -> Settings {
    let mut options = workspace.settings().nix.options.clone();
    // Which store it is counts beyond Nix's own options: derivations and results are read from there.
    let store = options.remove("store");
    Settings { options: options.into_iter().collect(), store, ..Settings::default() }
}
