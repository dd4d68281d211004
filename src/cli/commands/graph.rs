//! `overlayctl graph`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::target_args::SetArgs;
use super::super::view_args::ViewArgs;
use crate::ops::graph_file::{self, BuildOptions, EvaluateOptions};

/// Store derivation graphs in files, and compare them
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nix-eval-jobs --workers 4 release.nix > jobs.json
  overlayctl graph build --roots jobs.json --out before.graph
  overlayctl graph build --nixpkgs ~/nixpkgs --cross aarch64-multiplatform --attrs board.txt --out board.graph
  overlayctl impact musl --predict --graph before.graph
  overlayctl graph diff before.graph after.graph --format table")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Reads the closure of a list of derivations, or of attributes that are evaluated, and stores it as a graph
    Build {
        /// The list: lines of `attribute<TAB>.drv path<TAB>output path`, or the JSON lines of nix-eval-jobs
        #[arg(long, value_name = "FILE", required_unless_present = "attrs")]
        roots: Option<PathBuf>,
        /// Attribute paths, one a line: evaluated in the package set without overlays, and once more with a mark on every
        /// attribute, so that predictions follow what each package is made of
        #[arg(long, value_name = "FILE", conflicts_with_all = ["roots", "store", "allow_missing"])]
        attrs: Option<PathBuf>,
        #[command(flatten)]
        set: SetArgs,
        /// Store to read: `/`, or the directory that holds `nix/store`
        #[arg(long, value_name = "ROOT", default_value = "/")]
        store: PathBuf,
        /// File to write the graph to
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
        /// Leave out derivations that are not in the store, and list them; the graph is then partial
        #[arg(long)]
        allow_missing: bool,
    },
    /// Compare two stored graphs by output path: what is rebuilt, which attributes change
    Diff {
        /// The graph before
        before: PathBuf,
        /// The graph after
        after: PathBuf,
        #[command(flatten)]
        view: ViewArgs,
    },
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Build { attrs: Some(attrs), set, out, .. } => {
            let workspace = context.workspace()?;
            let mut progress = context.progress();
            let options = EvaluateOptions { selection: set.selection(Vec::new()), attrs, out };
            let built = graph_file::build_evaluated(&workspace, &options, &mut *progress)?;
            drop(progress);
            context.show(&built)
        }
        Action::Build { roots, store, out, allow_missing, .. } => {
            let roots = roots.unwrap_or_default();
            context.show(&graph_file::build(&BuildOptions { roots, store, out, allow_missing })?)
        }
        Action::Diff { before, after, view } => {
            let graphs = graph_file::open(&before, &after)?;
            view.show(context, &graphs.diff(view.view()), graph_file::GraphDiff::digraph)
        }
    }
}
