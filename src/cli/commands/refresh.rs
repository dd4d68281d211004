//! `overlayctl refresh`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::refresh;

/// Rewrite patches whose context has moved so that they apply at their lines; headers and changes stay
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl refresh
  overlayctl refresh musl --allow-fuzz")]
pub(crate) struct Args {
    /// Packages to work on [default: all that are patched]
    attrs: Vec<String>,
    /// Take the sources from this package set
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Also rewrite patches that apply only with fuzz
    #[arg(long)]
    allow_fuzz: bool,
    /// Correct counts in hunk headers that do not match their lines
    #[arg(long)]
    recount: bool,
    /// Write nothing; say what would change
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Build what is needed to get at a source and is neither in the store nor in a cache
    #[arg(long)]
    build: bool,
    /// Do not evaluate the result before it is written; sources still come from Nix
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
