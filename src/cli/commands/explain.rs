//! `overlayctl explain`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::explain;

/// Explain in words where a package is built, where it runs, and what it compiles for
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl explain pkgsCross.aarch64-multiplatform.gcc
  overlayctl explain pkgsCross.aarch64-multiplatform.buildPackages.gcc
  overlayctl explain pkgsCross.aarch64-multiplatform.pkgsStatic.curl")]
pub(crate) struct Args {
    /// Attribute path of the package
    attr: String,
    /// Ask this package set
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    context.show(&explain::explain(&workspace, args.nixpkgs.as_deref(), &args.attr)?)
}
