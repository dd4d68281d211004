//! `overlayctl patch`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::overlay_arg::OverlayArg;
use crate::ops::patch::{self, Scope};

/// Patch a package: add patches to its queue and to the overlay
///
/// The patch is copied to patches/ATTR/NNNN-subject.patch and the override written into the overlay that is there,
/// whatever its shape; nothing else in the file changes. A second run changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl patch musl fix.patch
  overlayctl patch python3Packages.requests fix.patch --dry-run
  overlayctl patch zlib fix.patch --scope host       only what runs on the board
  overlayctl patch curl a.patch b.patch --overlay overlays/net.nix:12
  overlayctl patch zlib fix.patch --new-overlay overlays/patches.nix
  overlayctl patch jq --fetch https://github.com/jqlang/jq/commit/71c2ab5.patch")]
pub(crate) struct Args {
    /// Attribute path of the package
    attr: String,
    /// Patch files, in the order in which they apply
    #[arg(required_unless_present = "fetch")]
    files: Vec<PathBuf>,
    /// Fetch a patch: written as `fetchpatch` with its hash where possible, else as a file in the queue
    #[arg(long, value_name = "URL")]
    fetch: Vec<String>,
    /// Overlay to write to: a file, or the function whose first argument is on that line
    #[arg(long, value_name = "PATH[:LINE]")]
    overlay: Option<OverlayArg>,
    /// Make a new overlay for it, and list it in overlayctl.toml
    #[arg(long, value_name = "PATH", num_args = 0..=1, conflicts_with = "overlay")]
    new_overlay: Option<Option<PathBuf>>,
    /// Strip this many leading directories from the names in the patches, as `patch -pN` does; they are stored for the package's own level
    #[arg(short = 'p', long, value_name = "N")]
    strip: Option<usize>,
    /// Write nothing; show the change
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Insert the patches at this place in the queue, counted from 1, instead of at its end
    #[arg(long, value_name = "N", value_parser = position)]
    position: Option<usize>,
    /// Patch every stage (the default), or only what runs on the target; what each costs is said first
    #[arg(long, value_enum)]
    scope: Option<ScopeArg>,
    /// Ask this package set about the package
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Do not ask Nix about the package: instant, but a wrong name or a wrapper goes unnoticed
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ScopeArg {
    All,
    Host,
}

fn position(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("places are counted from 1".into()),
        Ok(place) => Ok(place),
        Err(_) => Err("it is no number".into()),
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let (workspace, _lock) = context.writing(args.dry_run)?;
    let options = patch::Options {
        attr: args.attr,
        files: args.files,
        fetch: args.fetch,
        overlay: args.overlay.map(OverlayArg::choice),
        new_overlay: args.new_overlay,
        strip: args.strip,
        dry_run: args.dry_run,
        position: args.position,
        scope: args.scope.map(|scope| match scope {
            ScopeArg::All => Scope::All,
            ScopeArg::Host => Scope::Host,
        }),
        offline: args.offline,
        nixpkgs: args.nixpkgs,
    };
    let done = context.watched(|progress| patch::patch(&workspace, &options, progress))?;
    context.warn(&done.warnings);
    context.show(&done)
}
