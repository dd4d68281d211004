//! `overlayctl export`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::export::{self, Target};

/// Exports a package's queue as a quilt series, a mailbox, or a branch
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl export musl --quilt ../musl-debian/debian/patches
  overlayctl export musl --mbox musl.mbox
  overlayctl export musl --branch board-fixes --repo ../musl --onto v1.2.3")]
pub(crate) struct Args {
    /// The attribute path of the package
    attr: String,
    #[command(flatten)]
    target: TargetArgs,
    /// The repository of --branch
    #[arg(long, value_name = "DIR", requires = "branch")]
    repo: Option<PathBuf>,
    /// The revision that the branch begins from
    #[arg(long, value_name = "REVISION", requires = "branch", default_value = "HEAD")]
    onto: String,
    /// The package set that is asked with which level the package applies patches
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Does not ask Nix: the patches are taken to be for -p1
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// Writes a directory with `series` and the patches
    #[arg(long, value_name = "DIR")]
    quilt: Option<PathBuf>,
    /// Writes a mailbox
    #[arg(long, value_name = "FILE")]
    mbox: Option<PathBuf>,
    /// Makes a branch with one commit a patch
    #[arg(long, value_name = "NAME", requires = "repo")]
    branch: Option<String>,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    // It writes elsewhere; what it reads must not change meanwhile.
    let (workspace, _lock) = context.writing(false)?;
    let target = match (args.target.quilt, args.target.mbox, args.target.branch, args.repo) {
        (Some(dir), ..) => Target::Quilt(dir),
        (_, Some(file), ..) => Target::Mailbox(file),
        (_, _, Some(name), Some(repository)) => Target::Branch { repository, name, onto: args.onto },
        _ => return Err(Failure::usage("no target", "name one of --quilt, --mbox and --branch")),
    };
    let options = export::Options { attr: args.attr, target, nixpkgs: args.nixpkgs, offline: args.offline };
    let exported = export::export(&workspace, &options)?;
    context.warn(&exported.warnings);
    context.show(&exported)
}
