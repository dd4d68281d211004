//! `overlayctl lint`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::lint;
use crate::ops::lint::Style;

/// Lints the headers of patches: subject, author, where they stand with upstream, Signed-off-by, CVE
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl lint --patches
  overlayctl lint --patches musl --verbose
  overlayctl lint --patches --style dep3
  overlayctl lint --patches --json | jq '.packages[].cves'")]
pub(crate) struct Args {
    /// The packages; all that are patched when absent
    attrs: Vec<String>,
    /// Lints the patches of the queues
    #[arg(long, required = true)]
    patches: bool,
    /// The convention of the headers; found from the queue when absent
    #[arg(long, value_enum)]
    style: Option<StyleArg>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum StyleArg {
    Openembedded,
    Dep3,
    Buildroot,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let style = args.style.map(|style| match style {
        StyleArg::Openembedded => Style::OpenEmbedded,
        StyleArg::Dep3 => Style::Dep3,
        StyleArg::Buildroot => Style::Buildroot,
    });
    context.show(&lint::lint(&workspace, &args.attrs, style)?)
}
