//! `overlayctl boards`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::{boards, deployments};

/// List the boards of overlayctl.toml: what is patched, what is built, what is stale
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Use this package set
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Show what this workspace put on the device of a board, and when; the device is not asked
    #[arg(long, value_name = "NAME", conflicts_with = "nixpkgs")]
    history: Option<String>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    if let Some(board) = args.history {
        return context.show(&deployments::deployments(&workspace, &board)?);
    }
    let boards = context.watched(|progress| boards::boards(&workspace, args.nixpkgs, progress))?;
    context.warn(&boards.warnings);
    context.show(&boards)
}
