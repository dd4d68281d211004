//! `overlayctl rollback`.

use std::process::ExitCode;
use std::time::Duration;

use super::super::context::Context;
use super::super::failure::Failure;
use super::deploy::time;
use crate::ops::{Selection, rollback};

/// Switch a board's device back to an earlier generation
///
/// Nothing is built or sent: the generation is on the device. Its check runs, and it is confirmed, as in a deploy.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl rollback --board aarch64
  overlayctl rollback --board aarch64 --to 3")]
pub(crate) struct Args {
    /// Board whose device is switched
    #[arg(long, value_name = "NAME")]
    board: String,
    /// Generation to switch to [default: the one before the current one]
    #[arg(long, value_name = "N")]
    to: Option<u32>,
    /// Let the device go back by itself unless confirmed within this time
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "30s")]
    confirm_within: Duration,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let selection = Selection { boards: vec![args.board], ..Selection::default() };
    let options = rollback::Options { selection, to: args.to, confirm_within: Some(args.confirm_within) };
    let rolled_back = context.watched(|progress| rollback::rollback(&workspace, &options, progress))?;
    context.warn(&rolled_back.warnings);
    context.show(&rolled_back)
}
