//! `overlayctl ldd`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::ldd;

/// List the libraries of a program for any machine, as its loader would find them; run nothing
///
/// Ends with 1 where a library or the loader is not found.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl ldd result/bin/curl
  overlayctl ldd --root /mnt/board /usr/bin/curl
  overlayctl ldd result/bin/curl --json")]
pub(crate) struct Args {
    /// Program or library
    file: PathBuf,
    /// Directory that is `/` to the program: a mounted board, a store elsewhere
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Directory where the loader looks last, instead of its own; repeatable
    #[arg(long = "library-dir", value_name = "DIR")]
    library_dirs: Vec<String>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let options = ldd::Options { file: args.file, root: args.root, library_dirs: args.library_dirs };
    context.show(&ldd::ldd(&options)?)
}
