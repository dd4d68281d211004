//! `overlayctl bump`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::ops::bump::{self, Bisection, Options};
use crate::ops::rebase::{self, Request, TimeMachine};
use crate::report;
use crate::view::Shown as _;

/// Report what moving nixpkgs does to every patch and board, and move it
///
/// The pin (flake.lock, npins, niv, or `nixpkgs` in overlayctl.toml) is moved in a trial that changes nothing: each patch is applied and
/// merged, the overlays are evaluated, and what is rebuilt is split into what the new nixpkgs has by itself and what is there because of
/// your patches. With --apply the queues and the pin are written as one. Ends with 1 when something needs a hand or is not known.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl bump --to ../nixpkgs-next
  overlayctl bump --to nixos-25.05 --report bump.md
  overlayctl bump --input nixpkgs-unstable --board pi
  overlayctl bump --to ../nixpkgs-next --apply
  overlayctl bump --continue        after resolving the conflicts in the worktrees
  overlayctl bump --skip musl       without the patch of musl that conflicts
  overlayctl bump --to ../nixpkgs@nixos-25.05 --bisect
  overlayctl bump --bisect --pins revisions.txt --target curl")]
pub(crate) struct Args {
    /// Where it goes: a package set, a revision, a branch, a flake reference [default: the newest that the pin follows]
    #[arg(long, value_name = "REV|PATH|BRANCH", conflicts_with_all = ["go_on", "skip", "abort"])]
    to: Option<String>,
    /// Pin to move: an input of the flake, a name of npins or niv [default: that of nixpkgs]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["go_on", "skip", "abort"])]
    input: Option<String>,
    /// Board to evaluate; repeatable, `all` for every board [default: all]
    #[arg(long = "board", value_name = "NAME", conflicts_with_all = ["go_on", "skip", "abort"])]
    boards: Vec<String>,
    /// Write the report to this file too: Markdown or JSON, by its ending
    #[arg(long, value_name = "FILE", conflicts_with_all = ["go_on", "skip", "abort"], value_parser = report_file)]
    report: Option<PathBuf>,
    /// Write the rebased queues, the overlays and the pin
    #[arg(long, conflicts_with_all = ["go_on", "skip", "abort", "bisect"])]
    apply: bool,
    /// Find the revision that broke each patch (or the target of --target), and move nothing
    #[arg(long, conflicts_with_all = ["go_on", "skip", "abort", "report", "input", "boards"])]
    bisect: bool,
    /// With --bisect: look among the package sets in this file, one in each line, the old one first
    #[arg(long, value_name = "FILE", requires = "bisect", conflicts_with = "to")]
    pins: Option<PathBuf>,
    /// With --bisect: look for what broke the evaluation of this target
    #[arg(long, value_name = "ATTRPATH", requires = "bisect")]
    target: Option<String>,
    /// Continue after resolving the conflicts
    #[arg(long = "continue", conflicts_with_all = ["skip", "abort"])]
    go_on: bool,
    /// Continue without the patch of this package that conflicts
    #[arg(long, value_name = "ATTR", conflicts_with = "abort")]
    skip: Option<String>,
    /// Abandon the bump; everything is as it was
    #[arg(long)]
    abort: bool,
    /// Build what is needed to get at a source and is neither in the store nor in a cache
    #[arg(long)]
    build: bool,
    /// Do not evaluate the result before it is written; sources and the report still come from Nix
    #[arg(long)]
    offline: bool,
}

/// Reads the name of a report, which says its format.
fn report_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("md" | "markdown" | "json") => Ok(path),
        Some("html" | "htm") => Err("an HTML report of a bump is not written yet; name a file.md or file.json".into()),
        _ => Err("its ending says the format: name a file.md or file.json".into()),
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    if args.bisect {
        return bisect(args, context);
    }
    let going_on = args.go_on || args.abort || args.skip.is_some();
    let (workspace, _lock) = context.writing(!args.apply && !going_on)?;
    if going_on {
        let request = match args.skip {
            Some(attr) => Request::Skip(Some(attr)),
            None if args.abort => Request::Abort,
            None => Request::Continue,
        };
        let rebased = context.watched(|progress| rebase::rebase(&workspace, &request, args.offline, progress))?;
        context.warn(&rebased.warnings);
        return context.show(&rebased);
    }
    let Args { to, input, boards, report, apply, build, offline, .. } = args;
    let options = Options { to, input, boards, build, apply, offline };
    let bumped = context.watched(|progress| bump::bump(&workspace, &options, progress))?;
    context.warn(&bumped.warnings);
    if let Some(path) = report {
        let text = match is_json(&path) {
            true => context.json(&bumped)?,
            false => report::markdown::render(&bumped.document(true)),
        };
        context.write_file(&path, &text)?;
    }
    context.show(&bumped)
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "json")
}

fn bisect(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let Args { to, pins, target, build, .. } = args;
    if let (Some(to), None, None) = (&to, &pins, &target) {
        // A clone has merges, which are gone into for patches.
        let options = TimeMachine { attrs: Vec::new(), from: None, to: to.clone(), build };
        let travelled = context.watched(|progress| rebase::time_machine(&workspace, &options, progress))?;
        context.warn(&travelled.warnings);
        return context.show(&travelled);
    }
    let options = Bisection { to, pins, target, build };
    let bisected = context.watched(|progress| bump::bisect(&workspace, &options, progress))?;
    context.show(&bisected)
}
