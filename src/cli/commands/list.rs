//! `overlayctl list`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::list;

/// Lists what is patched, where, and by which patches
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl list
  overlayctl list musl --json")]
pub(crate) struct Args {
    /// Only this package
    attr: Option<String>,
    /// The package set that is asked when the overlays have the package under another name
    #[arg(long, value_name = "PATH", requires = "attr")]
    nixpkgs: Option<String>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let listed = list::list(&workspace, args.attr.as_deref(), args.nixpkgs.as_deref())?;
    context.warn(&listed.warnings);
    context.show(&listed)
}
