//! `overlayctl why`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::target_args::{BaselineArgs, SetArgs};
use crate::ops::why;

/// Explains why a target is rebuilt: what changed of itself, quoted, and through which chain
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl why pkgsCross.aarch64-multiplatform-musl.ripgrep
  overlayctl why --cross riscv64 curl --against HEAD~1
  overlayctl why curl --package zlib --all-chains --limit 50
  overlayctl why ripgrep --graph before.graph after.graph")]
pub(crate) struct Args {
    /// The targets; those of the board or of overlayctl.toml when absent
    targets: Vec<String>,
    #[command(flatten)]
    set: SetArgs,
    #[command(flatten)]
    baseline: BaselineArgs,
    /// Lists the other chains too
    #[arg(long)]
    all_chains: bool,
    /// Lists at most this many chains
    #[arg(long, value_name = "N", requires = "all_chains")]
    limit: Option<usize>,
    /// Compares these two graphs of `graph build`; nothing is evaluated, and without a target the whole is explained
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"],
          conflicts_with_all = ["nixpkgs", "cross", "is_static", "boards", "against", "package"])]
    graph: Option<Vec<PathBuf>>,
    /// The store whose derivations the graphs are of: `/`, or the directory that holds `nix/store`
    #[arg(long, value_name = "ROOT", default_value = "/", requires = "graph")]
    store: PathBuf,
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
