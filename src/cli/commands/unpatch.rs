//! `overlayctl unpatch`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::overlay_arg::OverlayArg;
use crate::ops::unpatch;

/// Takes patches off a package again: the inverse of `patch`, the overlay's bytes come back
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl unpatch musl 0001-fix-strerror.patch
  overlayctl unpatch musl              every patch of its queue
  overlayctl unpatch musl 1 --keep-file
  overlayctl unpatch jq 71c2ab5        one that is fetched, by the end of its address")]
pub(crate) struct Args {
    /// The attribute path of the package
    attr: String,
    /// The patch: its file name, its number, its path or its address; the whole queue when absent
    patch: Option<String>,
    /// The overlay: a file, or the function whose first argument stands on that line
    #[arg(long, value_name = "PATH[:LINE]")]
    overlay: Option<OverlayArg>,
    /// Leaves the patch file in the queue's folder
    #[arg(long)]
    keep_file: bool,
    /// Shows the change and writes nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// The package set that is asked when the overlay has the package under another name
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Do not ask Nix; the result is not evaluated before it is written
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let options = unpatch::Options {
        attr: args.attr,
        patch: args.patch,
        overlay: args.overlay.map(OverlayArg::choice),
        keep_file: args.keep_file,
        dry_run: args.dry_run,
        nixpkgs: args.nixpkgs,
        offline: args.offline,
    };
    let done = unpatch::unpatch(&workspace, &options)?;
    context.warn(&done.warnings);
    context.show(&done)
}
