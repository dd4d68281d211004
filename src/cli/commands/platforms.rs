//! `overlayctl platforms`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::platforms;

/// List the platforms of pkgsCross: system, triple, C library, emulator, description
///
/// The names are asked of the nixpkgs in use; without one the built-in table answers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl platforms
  overlayctl platforms 'aarch64 musl'       every word has to fit
  overlayctl platforms riscv64              one name: all of it, and how to run its programs here")]
pub(crate) struct Args {
    /// Words that must all match, or a whole name
    filter: Option<String>,
    /// Ask this package set
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    context.show(&platforms::platforms(&workspace, args.nixpkgs.as_deref(), args.filter.as_deref())?)
}
