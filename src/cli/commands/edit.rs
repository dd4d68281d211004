//! `overlayctl edit`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::edit;

/// Open a package as a git worktree: its source, nixpkgs' patches and its queue, one commit per patch
///
/// Change, commit, amend and reorder there with plain git; `overlayctl finish` takes the commits into the queue. A worktree
/// with work in it is never made anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl edit musl
  cd $(overlayctl edit musl --json | jq -r .dir)
  overlayctl edit musl --abort        throws the worktree away; the queue is as it was")]
pub(crate) struct Args {
    /// Attribute path of the package
    attr: String,
    /// Take the source from this package set
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Throw the worktree away; the queue stays as it is
    #[arg(long)]
    abort: bool,
    /// Build what is needed to get at a source and is neither in the store nor in a cache
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
