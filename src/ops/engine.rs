//! Nix as the workspace wants it run.

use super::Error;
use crate::config::Workspace;
use crate::nix::{Nix, Settings};

/// Finds Nix and gives it the options of `overlayctl.toml`; starts nothing.
///
/// # Errors
/// [`Error::Nix`] when there is none.
pub(super) fn nix(workspace: &Workspace) -> Result<Nix, Error> {
    let mut options = workspace.settings().nix.options.clone();
    // Which store it is counts beyond Nix's own options: derivations and results are read from there.
    let store = options.remove("store");
    let settings = Settings { options: options.into_iter().collect(), store, ..Settings::default() };
    Ok(Nix::discover(settings)?)
}
