//! `overlayctl refresh`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::refresh;

/// Rewrites patches whose context moved, so that they fit at their lines; headers and changes stay
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl refresh
  overlayctl refresh musl --allow-fuzz")]
pub(crate) struct Args {
    /// The packages; all that are patched when absent
    attrs: Vec<String>,
    /// The package set whose sources are taken
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Rewrites patches that fit only with fuzz too
    #[arg(long)]
    allow_fuzz: bool,
    /// Puts counts in hunk headers right that do not fit their lines
    #[arg(long)]
    recount: bool,
    /// Says what would change and writes nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Builds what a source is made with, where that is neither there nor in a cache
    #[arg(long)]
    build: bool,
    /// Do not evaluate the result before it is written; sources are still taken from Nix
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let (workspace, _lock) = context.writing(args.dry_run)?;
    let options = refresh::Options {
        attrs: args.attrs,
        nixpkgs: args.nixpkgs,
        allow_fuzz: args.allow_fuzz,
        recount: args.recount,
        dry_run: args.dry_run,
        build: args.build,
        offline: args.offline,
    };
    let refreshed = context.watched(|progress| refresh::refresh(&workspace, &options, progress))?;
    context.warn(&refreshed.warnings);
    context.show(&refreshed)
}
