//! `overlayctl init`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::init;

/// Makes a workspace: overlayctl.toml, an overlay, a folder for the patch queues
///
/// What is there already (a flake, npins, niv, an overlay) is found and used. Nothing is ever overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl init                 the current directory becomes a workspace
  overlayctl init --demo ./demo   writes the demo: a small cross package set to try everything on")]
pub(crate) struct Args {
    /// The directory; the current one (or that of -C) when absent
    dir: Option<PathBuf>,
    /// Writes the demo workspace
    #[arg(long)]
    demo: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let dir = args.dir.unwrap_or_else(|| PathBuf::from("."));
    context.show(&init::init(&init::Options { dir, demo: args.demo })?)
}
