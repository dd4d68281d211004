//! Nix as the workspace wants it run.

use crate::config::Workspace;
use crate::nix::{Nix, Settings};
use crate::targets::Error;
use crate::targets::Selection;

const NO_BUILDS: (&str, &str) = ("allow-import-from-derivation", "false");

/// Finds Nix and gives it the options of `overlayctl.toml`; starts nothing.
///
/// # Errors
/// [`Error::Nix`] when there is none, [`Error::Config`] for options that the workspace may not set.
pub(crate) fn nix(workspace: &Workspace) -> Result<Nix, Error> {
    Ok(Nix::discover(settings(workspace)?)?)
}

/// As [`nix`], or as [`nix_without_builds`], for a copy of the workspace in another state: its own options, as far as the original may
/// set them, in the store of the original.
pub(crate) fn nix_of_copy(copy: &Workspace, original: &Workspace, builds: bool) -> Result<Nix, Error> {
    let mut options = copy.nix_options_in(original)?;
    options.remove("store");
    let settings = Settings { options: options.into_iter().collect(), ..settings(original)? };
    with(settings, if builds { &[] } else { &[NO_BUILDS] })
}

/// As [`nix`], and refuses what would have to be built to go on evaluating (import-from-derivation).
pub(crate) fn nix_without_builds(workspace: &Workspace) -> Result<Nix, Error> {
    with(settings(workspace)?, &[NO_BUILDS])
}

/// As [`nix_without_builds`], for a question beside the work: what cannot be fetched at once ends it, instead of being tried for
/// minutes.
pub(crate) fn nix_for_questions(workspace: &Workspace) -> Result<Nix, Error> {
    with(settings(workspace)?, &[NO_BUILDS, ("connect-timeout", "5"), ("download-attempts", "1")])
}

/// As [`nix`], or as [`nix_without_builds`] when the user wants that.
pub(crate) fn nix_for(workspace: &Workspace, selection: &Selection) -> Result<Nix, Error> {
    if selection.no_import_from_derivation { nix_without_builds(workspace) } else { nix(workspace) }
}

fn with(mut settings: Settings, options: &[(&str, &str)]) -> Result<Nix, Error> {
    settings.options.extend(options.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    Ok(Nix::discover(settings)?)
}

fn settings(workspace: &Workspace) -> Result<Settings, Error> {
    let mut options = workspace.nix_options()?;
    // Which store it is counts beyond Nix's own options: derivations and results are read from there.
    let store = options.remove("store");
    Ok(Settings { options: options.into_iter().collect(), store, ..Settings::default() })
}
