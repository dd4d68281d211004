//! `overlayctl check`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::check;

/// Check whether each patch still applies to the source that nixpkgs has
///
/// In order, after the patches that nixpkgs itself applies. Only sources are fetched; nothing is built without --build. Ends with 1 when a
/// patch does not apply, needs fuzz, or is upstream already.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl check
  overlayctl check musl --nixpkgs ../nixpkgs-next
  overlayctl check --allow-fuzz --json")]
pub(crate) struct Args {
    /// Packages to work on [default: all that are patched]
    attrs: Vec<String>,
    /// Take the sources from this package set
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Do not count fuzz as a failure
    #[arg(long)]
    allow_fuzz: bool,
    /// Build what is needed to get at a source and is neither in the store nor in a cache
    #[arg(long)]
    build: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let Args { attrs, nixpkgs, allow_fuzz, build } = args;
    let options = check::Options { attrs, nixpkgs, allow_fuzz, build };
    let checked = context.watched(|progress| check::check(&workspace, &options, progress))?;
    context.warn(&checked.warnings);
    context.show(&checked)
}
