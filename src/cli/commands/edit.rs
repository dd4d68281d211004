//! `overlayctl edit`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::edit;

/// Makes a git worktree of a package: its source, nixpkgs' patches and its queue, one commit a patch
///
/// Change, commit, amend and reorder there with plain git; `overlayctl finish` takes the commits into the queue. A worktree
/// with work in it is never made anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl edit musl
  cd $(overlayctl edit musl --json | jq -r .dir)
  overlayctl edit musl --abort        throws the worktree away; the queue is as it was")]
pub(crate) struct Args {
    /// The attribute path of the package
    attr: String,
    /// The package set whose source is taken
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Throws the worktree away
    #[arg(long)]
    abort: bool,
    /// Builds what a source is made with, where that is neither there nor in a cache
    #[arg(long)]
    build: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let (workspace, _lock) = context.writing(false)?;
    let Args { attr, nixpkgs, abort, build } = args;
    let options = edit::Options { attr, nixpkgs, abort, build };
    let edited = context.watched(|progress| edit::edit(&workspace, &options, progress))?;
    context.warn(&edited.warnings);
    context.show(&edited)
}
