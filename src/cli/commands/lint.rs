//! `overlayctl lint`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::lint;
use crate::ops::lint::Style;

/// Lint the headers of patches: subject, author, upstream status, Signed-off-by, CVE
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl lint --patches
  overlayctl lint --patches musl --verbose
  overlayctl lint --patches --style dep3
  overlayctl lint --patches --json | jq '.packages[].cves'")]
pub(crate) struct Args {
    /// Packages to work on [default: all that are patched]
    attrs: Vec<String>,
    /// Lint the patches of the queues
    #[arg(long, required = true)]
    patches: bool,
    /// Convention of the headers [default: found from the queue]
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
