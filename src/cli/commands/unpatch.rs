//! `overlayctl unpatch`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::overlay_arg::OverlayArg;
use crate::ops::unpatch;

/// Remove patches from a package: the inverse of `patch`, down to the overlay's bytes
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl unpatch musl 0001-fix-strerror.patch
  overlayctl unpatch musl              every patch of its queue
  overlayctl unpatch musl 1 --keep-file
  overlayctl unpatch jq 71c2ab5        one that is fetched, by the end of its address")]
pub(crate) struct Args {
    /// Attribute path of the package
    attr: String,
    /// Patch: its file name, number, path, or address [default: the whole queue]
    patch: Option<String>,
    /// Overlay to write to: a file, or the function whose first argument is on that line
    #[arg(long, value_name = "PATH[:LINE]")]
    overlay: Option<OverlayArg>,
    /// Keep the patch file in the queue's folder
    #[arg(long)]
    keep_file: bool,
    /// Write nothing; show the change
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Ask this package set where the overlay names the package differently
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Do not ask Nix; the result is not evaluated before it is written
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let (workspace, _lock) = context.writing(args.dry_run)?;
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
