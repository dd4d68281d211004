//! Nix as the workspace wants it run.

use super::Error;
use crate::config::Workspace;
use crate::nix::{Nix, Settings};

/// Finds Nix and gives it the options of `overlayctl.toml`; starts nothing.
///
/// # Errors
/// [`Error::Nix`] when there is none.
pub(super) fn nix(workspace: &Workspace) -> Result<Nix, Error> {
    let options = workspace.settings().nix.options.iter();
    let settings = Settings { options: options.map(|(n, v)| (n.clone(), v.clone())).collect(), ..Settings::default() };
    Ok(Nix::discover(settings)?)
}
