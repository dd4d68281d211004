//! `overlayctl undeploy`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::{Selection, undeploy};

/// Take targets, or all that was deployed, off a board's device
///
/// Without targets everything that deploys made goes, the ledger on the device too: its files are then as they were before the first
/// one. The workspace keeps its copy of the ledger, .overlayctl/deployments.jsonl.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl undeploy --board aarch64 rust-hello
  overlayctl undeploy --board aarch64")]
pub(crate) struct Args {
    /// Targets to take off [default: everything]
    targets: Vec<String>,
    /// Board whose device it is
    #[arg(long, value_name = "NAME")]
    board: String,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let selection = Selection { boards: vec![args.board], targets: args.targets, ..Selection::default() };
    let undeployed = context.watched(|progress| undeploy::undeploy(&workspace, &selection, progress))?;
    context.warn(&undeployed.warnings);
    context.show(&undeployed)
}
