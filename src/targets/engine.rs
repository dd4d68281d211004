//! Nix as the workspace wants it run.

use crate::config::Workspace;
use crate::nix::{Nix, Settings};
use crate::targets::Error;
use crate::targets::Selection;

/// Finds Nix and gives it the options of `overlayctl.toml`; starts nothing.
///
/// # Errors
/// [`Error::Nix`] when there is none.
pub(crate) fn nix(workspace: &Workspace) -> Result<Nix, Error> {
    Ok(Nix::discover(settings(workspace))?)
}

/// As [`nix`], and refuses what would have to be built to go on evaluating (import-from-derivation).
///
/// # Errors
/// As [`nix`].
pub(crate) fn nix_without_builds(workspace: &Workspace) -> Result<Nix, Error> {
    let mut settings = settings(workspace);
    settings.options.push(("allow-import-from-derivation".into(), "false".into()));
    Ok(Nix::discover(settings)?)
}

/// As [`nix`], or as [`nix_without_builds`] when the user wants that.
///
/// # Errors
/// As [`nix`].
pub(crate) fn nix_for(workspace: &Workspace, selection: &Selection) -> Result<Nix, Error> {
    if selection.no_import_from_derivation { nix_without_builds(workspace) } else { nix(workspace) }
}

fn settings(workspace: &Workspace) -> Settings {
    let mut options = workspace.settings().nix.options.clone();
    // Which store it is counts beyond Nix's own options: derivations and results are read from there.
    let store = options.remove("store");
    Settings { options: options.into_iter().collect(), store, ..Settings::default() }
}
