//! `overlayctl status`.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::status;

/// Show the queues at a glance: upstream status, whether patches apply, age, owner
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl status
  overlayctl status musl --nixpkgs ../nixpkgs-next
  overlayctl status --offline --json")]
pub(crate) struct Args {
    /// Packages to work on [default: all that are patched]
    attrs: Vec<String>,
    /// Take the sources from this package set
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Do not ask Nix; whether the patches apply is not known then
    #[arg(long, conflicts_with = "nixpkgs")]
    offline: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let options = status::Options {
        attrs: args.attrs,
        nixpkgs: args.nixpkgs,
        offline: args.offline,
        now: i64::try_from(now).unwrap_or(i64::MAX),
    };
    let status = context.watched(|progress| status::status(&workspace, &options, progress))?;
    context.warn(&status.warnings);
    context.show(&status)
}
