//! `overlayctl cache`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::{self, cache};

/// Lists or removes the graphs of unpatched package sets that are kept between runs
///
/// They are in overlayctl/graphs below XDG_CACHE_HOME or ~/.cache. One that does not fit the files of the package set any
/// more is never used, so clearing only frees space.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl cache list
  overlayctl cache clear")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum Action {
    /// Lists them
    List,
    /// Removes them
    Clear,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::List => context.show(&cache::list().map_err(ops::Error::from)?),
        Action::Clear => context.show(&cache::clear().map_err(ops::Error::from)?),
    }
}
