//! `overlayctl finish`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::overlay_arg::OverlayArg;
use crate::ops::{edit, finish};

/// Turn the commits of an edited package into its queue; the overlay follows
///
/// A commit that still does what its patch does leaves the file alone, to the byte. Killed at any moment, everything is
/// the old or everything the new. A second run changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl finish musl
  overlayctl finish musl --dry-run
  overlayctl finish musl --abort      throws the worktree away; the queue is as it was")]
pub(crate) struct Args {
    /// Attribute path of the package
    attr: String,
    /// Throw the worktree away; the queue stays as it is
    #[arg(long, conflicts_with = "dry_run")]
    abort: bool,
    /// Overlay to write to, for a package that is not patched yet
    #[arg(long, value_name = "PATH[:LINE]")]
    overlay: Option<OverlayArg>,
    /// Write nothing; show the change
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask Nix about the package
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let (workspace, _lock) = context.writing(args.dry_run)?;
    if args.abort {
        let options = edit::Options { attr: args.attr, nixpkgs: None, abort: true, build: false };
        let edited = edit::edit(&workspace, &options, &mut crate::base::progress::Silent)?;
        return context.show(&edited);
    }
    let options = finish::Options {
        attr: args.attr,
        overlay: args.overlay.map(OverlayArg::choice),
        dry_run: args.dry_run,
        offline: args.offline,
    };
    let finished = finish::finish(&workspace, &options)?;
    context.warn(&finished.warnings);
    context.show(&finished)
}
