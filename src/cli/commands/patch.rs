//! `overlayctl patch`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::overlay_arg::OverlayArg;
use crate::ops::patch::{self, Scope};

/// Puts patches on a package: into its queue, and into the overlay
///
/// The patch is copied to patches/ATTR/NNNN-subject.patch and the override written into the overlay that is there,
/// whatever its shape; nothing else in the file changes. A second run changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl patch musl fix.patch
  overlayctl patch python3Packages.requests fix.patch --dry-run
  overlayctl patch zlib fix.patch --scope host       only what runs on the board, not the build tools
  overlayctl patch curl a.patch b.patch --overlay overlays/net.nix:12")]
pub(crate) struct Args {
    /// The attribute path of the package
    attr: String,
    /// The patch files, in the order in which they apply
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The overlay: a file, or the function whose first argument stands on that line
    #[arg(long, value_name = "PATH[:LINE]")]
    overlay: Option<OverlayArg>,
    /// Shows the change and writes nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Puts the patches at this place of the queue, from 1, instead of its end
    #[arg(long, value_name = "N")]
    position: Option<usize>,
    /// Patches every stage, or only what runs on the target
    #[arg(long, value_enum, default_value = "all")]
    scope: ScopeArg,
    /// The package set that is asked about the package
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Does not ask Nix about the package (nor does --dry-run without --nixpkgs)
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ScopeArg {
    All,
    Host,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let options = patch::Options {
        attr: args.attr,
        files: args.files,
        overlay: args.overlay.map(OverlayArg::choice),
        dry_run: args.dry_run,
        position: args.position,
        scope: match args.scope {
            ScopeArg::All => Scope::All,
            ScopeArg::Host => Scope::Host,
        },
        // A preview is instant unless a package set to ask is named.
        offline: args.offline || args.dry_run && args.nixpkgs.is_none(),
        nixpkgs: args.nixpkgs,
    };
    let done = patch::patch(&workspace, &options)?;
    context.warn(&done.warnings);
    context.show(&done)
}
