//! `overlayctl cache`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::{self, cache};

/// List or clear what is kept between runs: graphs of unpatched package sets, and Nix's answers
///
/// They are in overlayctl/graphs and overlayctl/answers below XDG_CACHE_HOME or ~/.cache. One is used only while all that its
/// evaluation looked at is as it was, so clearing only frees space.
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
    /// List what is kept
    List,
    /// Clear what is kept
    Clear,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::List => context.show(&cache::list().map_err(ops::Error::from)?),
        Action::Clear => context.show(&cache::clear().map_err(ops::Error::from)?),
    }
}
