//! `overlayctl export`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::export::{self, Target};

/// Export a package's queue as a quilt series, a mailbox, or a git branch
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl export musl --quilt ../musl-debian/debian/patches
  overlayctl export musl --mbox musl.mbox
  overlayctl export musl --branch board-fixes --repo ../musl --onto v1.2.3")]
pub(crate) struct Args {
    /// Attribute path of the package
    attr: String,
    #[command(flatten)]
    target: TargetArgs,
    /// Repository in which to make the branch
    #[arg(long, value_name = "DIR", requires = "branch")]
    repo: Option<PathBuf>,
    /// Revision to start the branch from
    #[arg(long, value_name = "REVISION", requires = "branch", default_value = "HEAD")]
    onto: String,
    /// Ask this package set which -p level the package applies patches at
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Do not ask Nix; take the patches to be for -p1
    #[arg(long)]
    offline: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// Write a directory with `series` and the patches
    #[arg(long, value_name = "DIR")]
    quilt: Option<PathBuf>,
    /// Write a mailbox
    #[arg(long, value_name = "FILE")]
    mbox: Option<PathBuf>,
    /// Make a branch with one commit per patch
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
