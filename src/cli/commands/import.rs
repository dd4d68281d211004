//! `overlayctl import`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::overlay_arg::OverlayArg;
use crate::ops::import;

/// Import patches into a package's queue: from a mailbox, files, a quilt series, commits, or a URL
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl import musl series.mbox
  overlayctl import musl outgoing/                     the files of git format-patch
  overlayctl import zlib zlib-1.2.13/debian/patches    a quilt series
  overlayctl import musl ../musl..v1.2.3..fixes        commits of a repository
  overlayctl import musl https://example.org/fix.patch")]
pub(crate) struct Args {
    /// Attribute path of the package
    attr: String,
    /// A file, a directory, REPO..RANGE, or a URL
    from: String,
    /// Overlay to write to: a file, or the function whose first argument is on that line
    #[arg(long, value_name = "PATH[:LINE]")]
    overlay: Option<OverlayArg>,
    /// Ask this package set about the package
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Strip this many leading directories from the names in the patches, as `patch -pN` does; they are stored for the package's own level
    #[arg(short = 'p', long, value_name = "N")]
    strip: Option<usize>,
    /// Write nothing; show the change
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask Nix about the package
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let (workspace, _lock) = context.writing(args.dry_run)?;
    let options = import::Options {
        attr: args.attr,
        from: args.from,
        overlay: args.overlay.map(OverlayArg::choice),
        offline: args.offline || args.dry_run && args.nixpkgs.is_none(),
        nixpkgs: args.nixpkgs,
        strip: args.strip,
        dry_run: args.dry_run,
    };
    let imported = import::import(&workspace, &options)?;
    context.warn(&imported.warnings);
    context.show(&imported)
}
