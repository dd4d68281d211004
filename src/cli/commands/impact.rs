//! `overlayctl impact`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::target_args::{BaselineArgs, SetArgs};
use super::super::view_args::ViewArgs;
use crate::ops::Baseline;
use crate::ops::all::{self, AllImpact};
use crate::ops::impact::{self, Impact};
use crate::ops::predict::{self, Predicted};
use crate::ops::scope;

/// See what the overlays rebuild, and through which chain, before anything is built
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
  overlayctl impact --all --cross aarch64-multiplatform-musl --max-memory 6G
  overlayctl impact musl --predict --graph before.graph
  overlayctl impact openssl --predict --board pi       without evaluating a change
  overlayctl impact zlib --scopes --board pi           for every stage, or for what runs there only")]
pub(crate) struct Args {
    /// A patched package: only its patches count (as --package), or a change of it before it is made (--predict, --scopes)
    #[arg(value_name = "ATTR", conflicts_with_all = ["against", "package", "all"])]
    attr: Option<String>,
    /// Exit with 1 when a patch of the workspace reaches none of the targets
    #[arg(long, conflicts_with_all = ["predict", "scopes", "all"])]
    strict: bool,
    /// Predict what a change of ATTR would rebuild
    #[arg(long, requires = "attr", help_heading = "Before a change is made")]
    predict: bool,
    /// Compare what a change of ATTR costs in every stage and in the target stage only
    #[arg(long, requires = "attr", help_heading = "Before a change is made", conflicts_with_all = ["predict", "graph", "all", "against", "package"])]
    scopes: bool,
    /// Predict from this graph (of `graph build`); evaluate nothing
    #[arg(long, value_name = "FILE", requires = "predict", help_heading = "Before a change is made", conflicts_with_all = ["targets", "nixpkgs", "cross", "is_static", "boards"])]
    graph: Option<PathBuf>,
    /// Target to look at; repeatable
    #[arg(long = "target", value_name = "ATTRPATH", help_heading = "Package set and targets")]
    targets: Vec<String>,
    #[command(flatten)]
    set: SetArgs,
    #[command(flatten)]
    baseline: BaselineArgs,
    /// Look at every attribute of the package set
    #[arg(long, help_heading = "The whole package set", conflicts_with_all = ["targets", "against", "package", "predict"])]
    all: bool,
    /// Run this many evaluators
    #[arg(long, value_name = "N", requires = "all", help_heading = "The whole package set")]
    eval_workers: Option<usize>,
    /// Keep all evaluators together below this much memory (`6G`, `800M`)
    #[arg(long, value_name = "SIZE", requires = "all", help_heading = "The whole package set", value_parser = memory)]
    max_memory: Option<u64>,
    /// Look into this set alone (`emacsPackages`), even where it does not set `recurseForDerivations`; repeatable
    #[arg(long = "set", value_name = "ATTRPATH", requires = "all", help_heading = "The whole package set")]
    sets: Vec<String>,
    /// Look at the attributes in this file alone, one path a line
    #[arg(long, value_name = "FILE", requires = "all", help_heading = "The whole package set")]
    attrs: Option<PathBuf>,
    /// Evaluate every attribute, even those that no change should reach
    #[arg(long, requires = "all", help_heading = "The whole package set")]
    exhaustive: bool,
    #[command(flatten)]
    view: ViewArgs,
}

/// Reads a size in bytes, with K, M, G or T for powers of 1024.
fn memory(text: &str) -> Result<u64, String> {
    let upper = text.trim().to_ascii_uppercase();
    let plain = upper.trim_end_matches("IB").trim_end_matches('B');
    let (number, power) = match plain.char_indices().last() {
        Some((at, unit @ ('K' | 'M' | 'G' | 'T'))) => {
            (plain.get(..at).unwrap_or_default(), "KMGT".find(unit).map_or(0, |i| i as u32 + 1))
        }
        _ => (plain, 0),
    };
    let number: u64 = number.trim().parse().map_err(|_| "say a number with K, M, G or T, as `6G`".to_owned())?;
    1024u64.checked_pow(power).and_then(|unit| number.checked_mul(unit)).ok_or_else(|| "that is too much".to_owned())
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    if let (Some(attr), Some(graph)) = (&args.attr, &args.graph) {
        let predicted = predict::from_file(attr, graph, args.view.view())?;
        return args.view.show(context, &predicted, Predicted::digraph);
    }
    let workspace = context.workspace()?;
    if let Some(attr) = args.attr.as_ref().filter(|_| args.scopes) {
        let selection = args.set.selection(args.targets);
        let costs = context.watched(|progress| scope::costs(&workspace, attr, &selection, progress))?;
        return context.show(&costs);
    }
    if let Some(attr) = args.attr.as_ref().filter(|_| args.predict) {
        let selection = args.set.selection(args.targets);
        let view = args.view.view();
        let predicted =
            context.watched(|progress| predict::from_workspace(&workspace, attr, &selection, view, progress))?;
        context.warn(&predicted.warnings);
        return args.view.show(context, &predicted, Predicted::digraph);
    }
    if args.all {
        let options = all::Options {
            selection: args.set.selection(Vec::new()),
            workers: args.eval_workers,
            max_memory: args.max_memory,
            exhaustive: args.exhaustive,
            sets: args.sets,
            attrs: args.attrs,
        };
        let sides = context.watched(|progress| all::impact_all(&workspace, &options, progress))?;
        context.warn(&sides.facts.warnings);
        return args.view.show(context, &sides.impact(args.view.view()), AllImpact::digraph);
    }
    let options = impact::Options {
        selection: args.set.selection(args.targets),
        baseline: args.attr.map_or_else(|| args.baseline.baseline(), Baseline::WithoutPackage),
        view: args.view.view(),
        strict: args.strict,
    };
    let impact = context.watched(|progress| impact::impact(&workspace, &options, progress))?;
    context.warn(&impact.warnings);
    args.view.show(context, &impact, Impact::digraph)
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes() {
        for (text, bytes) in
            [("6G", 6 << 30), ("800M", 800 << 20), ("800 MiB", 800 << 20), ("1024", 1024), ("2kb", 2048)]
        {
            assert_eq!(super::memory(text), Ok(bytes), "{text}");
        }
        assert!(super::memory("much").is_err() && super::memory("").is_err() && super::memory("99999999999T").is_err());
    }
}
