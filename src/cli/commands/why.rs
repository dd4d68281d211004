//! `overlayctl why`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::target_args::{BaselineArgs, SetArgs};
use crate::ops::why;

/// Explain why a target is rebuilt: what changed in it, quoted, and through which chain
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl why pkgsCross.aarch64-multiplatform-musl.ripgrep
  overlayctl why --cross riscv64 curl --against HEAD~1
  overlayctl why curl --package zlib --all-chains --limit 50
  overlayctl why ripgrep --graph before.graph after.graph")]
pub(crate) struct Args {
    /// Targets to work on [default: those of the board, or of overlayctl.toml]
    targets: Vec<String>,
    /// List the other chains too
    #[arg(long)]
    all_chains: bool,
    /// List at most this many chains
    #[arg(long, value_name = "N", requires = "all_chains")]
    limit: Option<usize>,
    /// Compare these two graphs of `graph build`; evaluate nothing. Without a target, explain everything
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"],
          conflicts_with_all = ["nixpkgs", "cross", "is_static", "boards", "against", "package"])]
    graph: Option<Vec<PathBuf>>,
    /// Store that the graphs' derivations are in: `/`, or the directory that holds `nix/store`
    #[arg(long, value_name = "ROOT", default_value = "/", requires = "graph")]
    store: PathBuf,
    #[command(flatten)]
    set: SetArgs,
    #[command(flatten)]
    baseline: BaselineArgs,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    if let Some([before, after]) = args.graph.as_deref() {
        let stored = why::Stored {
            before: before.clone(),
            after: after.clone(),
            store: args.store,
            attrs: args.targets,
            all_chains: args.all_chains,
            limit: args.limit,
        };
        return context.show(&why::why_stored(&stored)?);
    }
    let workspace = context.workspace()?;
    let options = why::Options {
        selection: args.set.selection(args.targets),
        baseline: args.baseline.baseline(),
        all_chains: args.all_chains,
        limit: args.limit,
    };
    let explained = context.watched(|progress| why::why(&workspace, &options, progress))?;
    context.warn(&explained.warnings);
    context.show(&explained)
}
