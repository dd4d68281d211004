//! `overlayctl ldd`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::ldd;

/// Lists the libraries of a program of any machine, as its loader would find them; runs nothing
///
/// Ends with 1 where a library or the loader is not found.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl ldd result/bin/curl
  overlayctl ldd --root /mnt/board /usr/bin/curl
  overlayctl ldd result/bin/curl --json")]
pub(crate) struct Args {
    /// The program or library
    file: PathBuf,
    /// The directory that is `/` to the program: a mounted board, a store elsewhere
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// A directory where the loader looks last, instead of its own; repeat it for more
    #[arg(long = "library-dir", value_name = "DIR")]
    library_dirs: Vec<String>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let options = ldd::Options { file: args.file, root: args.root, library_dirs: args.library_dirs };
    context.show(&ldd::ldd(&options)?)
}
