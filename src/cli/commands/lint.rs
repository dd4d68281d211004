//! `overlayctl lint`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::lint;

/// Lints the headers of patches: subject, author, Upstream-Status as OpenEmbedded has it, Signed-off-by, CVE
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl lint --patches
  overlayctl lint --patches musl --verbose
  overlayctl lint --patches --json | jq '.packages[].cves'")]
pub(crate) struct Args {
    /// The packages; all that are patched when absent
    attrs: Vec<String>,
    /// Lints the patches of the queues
    #[arg(long, required = true)]
    patches: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    context.show(&lint::lint(&workspace, &args.attrs)?)
}
