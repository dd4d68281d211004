//! `overlayctl check`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::check;

/// Says whether each patch of the queues still applies to the source that nixpkgs has
///
/// In order, after the patches that nixpkgs itself applies. Only sources are fetched; nothing is built without --build. Ends with 1 when a
/// patch does not apply, needs fuzz, or is upstream already.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl check
  overlayctl check musl --nixpkgs ../nixpkgs-next
  overlayctl check --allow-fuzz --json")]
pub(crate) struct Args {
    /// The packages; all that are patched when absent
    attrs: Vec<String>,
    /// The package set whose sources are taken
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Does not count fuzz as a failure
    #[arg(long)]
    allow_fuzz: bool,
    /// Builds what a source is made with, where that is neither there nor in a cache
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
