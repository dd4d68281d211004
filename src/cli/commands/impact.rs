//! `overlayctl impact`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::target_args::{BaselineArgs, SetArgs};
use super::super::view_args::ViewArgs;
use crate::ops::impact::{self, Impact};
use crate::ops::predict::{self, Predicted};

/// Says what the overlays rebuild, and through which chain, before anything is built
///
/// The targets are evaluated without and with the workspace's overlays, and compared by output path: a derivation is
/// rebuilt when one of its outputs is not in the other graph. With --predict a change of one package is predicted from
/// the unpatched graph alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl impact --target pkgsCross.aarch64-multiplatform-musl.ripgrep
  overlayctl impact --cross aarch64-multiplatform --target curl --static --json
  overlayctl impact --board all --format table
  overlayctl impact --board pi --format mermaid
  overlayctl impact --board pi --against HEAD          what the uncommitted change rebuilds
  overlayctl impact --board pi --package musl          what the patches of musl alone rebuild
  overlayctl impact musl --predict --graph before.graph
  overlayctl impact openssl --predict --board pi       without evaluating a change")]
pub(crate) struct Args {
    /// The package whose change is predicted
    #[arg(value_name = "ATTR", requires = "predict")]
    attr: Option<String>,
    /// Predicts what a change of ATTR would rebuild
    #[arg(long, requires = "attr")]
    predict: bool,
    /// Predicts from this graph (of `graph build`); nothing is evaluated
    #[arg(long, value_name = "FILE", requires = "predict", conflicts_with_all = ["targets", "nixpkgs", "cross", "is_static", "boards"])]
    graph: Option<PathBuf>,
    /// A target; repeat it for more
    #[arg(long = "target", value_name = "ATTRPATH")]
    targets: Vec<String>,
    #[command(flatten)]
    set: SetArgs,
    #[command(flatten)]
    baseline: BaselineArgs,
    #[command(flatten)]
    view: ViewArgs,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    if let (Some(attr), Some(graph)) = (&args.attr, &args.graph) {
        let predicted = predict::from_file(attr, graph, args.view.view())?;
        return args.view.show(context, &predicted, Predicted::digraph);
    }
    let workspace = context.workspace()?;
    let mut progress = context.progress();
    if let Some(attr) = &args.attr {
        let selection = args.set.selection(args.targets);
        let predicted = predict::from_workspace(&workspace, attr, &selection, args.view.view(), &mut *progress)?;
        drop(progress);
        context.warn(&predicted.warnings);
        return args.view.show(context, &predicted, Predicted::digraph);
    }
    let options = impact::Options {
        selection: args.set.selection(args.targets),
        baseline: args.baseline.baseline(),
        view: args.view.view(),
    };
    let impact = impact::impact(&workspace, &options, &mut *progress)?;
    drop(progress);
    context.warn(&impact.warnings);
    args.view.show(context, &impact, Impact::digraph)
}
