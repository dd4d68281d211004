//! `overlayctl move`, `overlayctl rename`, `overlayctl reorder`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::reorder::{self, Change};

/// Move a patch to another place in its queue; files and overlay follow
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl move musl 3 1
  overlayctl move musl 0002-fix.patch 5 --dry-run")]
pub(crate) struct MoveArgs {
    /// Attribute path of the package
    attr: String,
    /// Patch: its number, file name, or path
    patch: String,
    /// New place, counted from 1
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    to: u32,
    /// Write nothing; show the change
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask Nix; the result is not evaluated before it is written
    #[arg(long)]
    offline: bool,
}

/// Rename a patch file of a queue; the overlay follows
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl rename musl 1 'strerror: say it'     patches/musl/0001-strerror-say-it.patch")]
pub(crate) struct RenameArgs {
    /// Attribute path of the package
    attr: String,
    /// Patch: its number, file name, or path
    patch: String,
    /// New name; the number stays
    to: String,
    /// Write nothing; show the change
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask Nix; the result is not evaluated before it is written
    #[arg(long)]
    offline: bool,
}

/// Reorder the patches of a queue; files and overlay follow
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl reorder musl 3 1 2
  overlayctl reorder musl 0004-last-but-first.patch     the others stay behind it")]
pub(crate) struct ReorderArgs {
    /// Attribute path of the package
    attr: String,
    /// Patches in their new order: numbers, file names, or paths
    #[arg(required = true)]
    patches: Vec<String>,
    /// Write nothing; show the change
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask Nix; the result is not evaluated before it is written
    #[arg(long)]
    offline: bool,
}

pub(super) fn run_move(args: MoveArgs, context: &Context) -> Result<ExitCode, Failure> {
    run(&args.attr, &Change::Move { patch: args.patch, to: args.to as usize }, args.dry_run, args.offline, context)
}

pub(super) fn run_rename(args: RenameArgs, context: &Context) -> Result<ExitCode, Failure> {
    run(&args.attr, &Change::Rename { patch: args.patch, to: args.to }, args.dry_run, args.offline, context)
}

pub(super) fn run_reorder(args: ReorderArgs, context: &Context) -> Result<ExitCode, Failure> {
    run(&args.attr, &Change::Order(args.patches), args.dry_run, args.offline, context)
}

fn run(attr: &str, change: &Change, dry_run: bool, offline: bool, context: &Context) -> Result<ExitCode, Failure> {
    let (workspace, _lock) = context.writing(dry_run)?;
    let reordered = reorder::reorder(&workspace, attr, change, dry_run, offline)?;
    context.warn(&reordered.warnings);
    context.show(&reordered)
}
