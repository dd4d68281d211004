//! `overlayctl recover`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::recover;

/// Finish writing what an interrupted run had begun to write
///
/// Commands that write do this first. It is refused when a file was changed since; nothing is touched then.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl recover
  overlayctl recover --discard      keeps the files as they are now")]
pub(crate) struct Args {
    /// Discard it instead; the files stay as they are
    #[arg(long)]
    discard: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let root = context.root()?;
    let _lock = context.lock(&root)?;
    context.show(&recover::recover(&root, args.discard)?)
}
