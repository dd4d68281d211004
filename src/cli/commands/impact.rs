//! `overlayctl impact`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::target_args::SetArgs;
use crate::ops::impact;

/// Says what the overlays rebuild, and through which chain, before anything is built
///
/// The targets are evaluated without and with the workspace's overlays, and compared by output path: a derivation is
/// rebuilt when one of its outputs is not in the other graph.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl impact --target pkgsCross.aarch64-multiplatform-musl.ripgrep
  overlayctl impact --cross aarch64-multiplatform --target curl --static --json
  overlayctl impact --board all
  overlayctl impact --board pi --format mermaid")]
pub(crate) struct Args {
    /// A target; repeat it for more
    #[arg(long = "target", value_name = "ATTRPATH")]
    targets: Vec<String>,
    #[command(flatten)]
    set: SetArgs,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let mut progress = context.progress();
    let impact = impact::impact(&workspace, &args.set.selection(args.targets), &mut *progress)?;
    drop(progress);
    context.warn(&impact.warnings);
    context.show(&impact)
}
