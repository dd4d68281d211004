//! `overlayctl list`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::list;

/// List what is patched, where, and by which patches
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl list
  overlayctl list musl --json")]
pub(crate) struct Args {
    /// Only this package
    attr: Option<String>,
    /// Ask this package set
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Do not ask Nix what is in effect; show what the text of the overlays says
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let listed =
        list::list(&workspace, &list::Options { attr: args.attr, nixpkgs: args.nixpkgs, offline: args.offline })?;
    context.warn(&listed.warnings);
    context.show(&listed)
}
