//! `overlayctl rebase`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::rebase::{self, Request, TimeMachine};

/// Rebase queues onto the sources of another nixpkgs, by three-way merges with the old source as base
///
/// Patches that the new source has are dropped, which is said; the others are refreshed. A conflict is left in a worktree as
/// a cherry-pick of git in progress, for git's own tools. Nothing in the workspace changes before all is done.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl rebase --to ../nixpkgs-next
  overlayctl rebase musl zlib --from ../nixpkgs-24.05 --to ../nixpkgs-24.11
  overlayctl rebase --to ../nixpkgs-next --dry-run
  overlayctl rebase --continue      after resolving the conflict in the worktree
  overlayctl rebase musl --to nixos-24.11 --time-machine
                                    the revision of the nixpkgs checkout that broke the patch
  overlayctl rebase --to ../nixpkgs@nixos-24.11 --time-machine")]
pub(crate) struct Args {
    /// Packages to work on [default: all that are patched]
    #[arg(conflicts_with_all = ["go_on", "skip", "abort"])]
    attrs: Vec<String>,
    /// Package set to move to: a path, a revision of the workspace's checkout, or DIR@REV
    #[arg(long, value_name = "NIXPKGS", required_unless_present_any = ["go_on", "skip", "abort"])]
    to: Option<String>,
    /// Package set that the queues apply to now [default: the workspace's]
    #[arg(long, value_name = "NIXPKGS", requires = "to")]
    from: Option<String>,
    /// Continue after resolving the conflicts
    #[arg(long = "continue", conflicts_with_all = ["to", "skip", "abort"])]
    go_on: bool,
    /// Continue without the patch that conflicts
    #[arg(long, conflicts_with_all = ["to", "abort"])]
    skip: bool,
    /// Abandon the rebase; everything is as it was
    #[arg(long, conflicts_with = "to")]
    abort: bool,
    /// Write nothing; say how it would go
    #[arg(short = 'n', long, requires = "to")]
    dry_run: bool,
    /// Rebase nothing; find the revision between the two that broke a patch or brought it upstream
    #[arg(long, requires = "to", conflicts_with = "dry_run")]
    time_machine: bool,
    /// Build what is needed to get at a source and is neither in the store nor in a cache
    #[arg(long, requires = "to")]
    build: bool,
    /// Do not evaluate the result before it is written; sources still come from Nix
    #[arg(long)]
    offline: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let (workspace, _lock) = context.writing(args.dry_run || args.time_machine)?;
    let request = match args.to {
        Some(to) if args.time_machine => {
            let options = TimeMachine { attrs: args.attrs, from: args.from, to, build: args.build };
            let travelled = context.watched(|progress| rebase::time_machine(&workspace, &options, progress))?;
            context.warn(&travelled.warnings);
            return context.show(&travelled);
        }
        Some(to) => {
            let Args { attrs, from, dry_run, build, .. } = args;
            Request::Begin { attrs, from, to, dry_run, build }
        }
        None if args.skip => Request::Skip(None),
        None if args.abort => Request::Abort,
        None => Request::Continue,
    };
    let rebased = context.watched(|progress| rebase::rebase(&workspace, &request, args.offline, progress))?;
    context.warn(&rebased.warnings);
    context.show(&rebased)
}
