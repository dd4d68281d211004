//! `overlayctl init`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::base::fs;
use crate::config::Workspace;
use crate::ops::{self, init};

/// Make a workspace: overlayctl.toml, an overlay, a folder for the patch queues
///
/// What is there already (a flake, npins, niv, an overlay) is found and used. Nothing is ever overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl init                 the current directory becomes a workspace
  overlayctl init --demo ./demo   writes the demo: a small cross package set to try everything on")]
pub(crate) struct Args {
    /// Directory to make it in [default: the current one, or that of -C]
    dir: Option<PathBuf>,
    /// Write the demo workspace
    #[arg(long)]
    demo: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let dir = args.dir.unwrap_or_else(|| PathBuf::from("."));
    let failed = |e| Failure::from(ops::Error::from(e));
    // The lock is the directory's own.
    fs::create_dir(&dir).map_err(|e| Failure::from(ops::Error::from(e)))?;
    let done = context.lock(&dir).and_then(|_lock| {
        let done = init::init(&init::Options { dir: dir.clone(), demo: args.demo })?;
        if args.demo {
            // Its files are those in this program: what they set is the user's wish by this command.
            Workspace::open(Some(&dir)).and_then(|demo| demo.trust()).map_err(failed)?;
        }
        Ok(done)
    });
    if done.is_err() {
        fs::remove_dir_if_empty(&dir);
    }
    context.show(&done?)
}
