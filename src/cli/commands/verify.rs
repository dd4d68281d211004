//! `overlayctl verify`.

use std::process::ExitCode;
use std::time::Duration;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::target_args::SetArgs;
use crate::ops::verify::{self, RunCheck};

/// Prove that the patches are in what was built: derivation, source, log, closure, program, contents
///
/// Each level says ok, FAILED with the cause by its name, unknown (what cannot be known never passes), or - where it does
/// not apply. For the contents the package is compared with itself without the patch, which comes from the store or a cache or is
/// built, it alone; what then differs is searched for in all that the target needs to run. With --verbose every verdict comes with its evidence and a command that shows it by hand.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl verify --board aarch64
  overlayctl verify --board all --allow-unknown
  overlayctl verify pkgsCross.riscv64.curl --package zlib --verbose
  overlayctl verify rust-hello --board aarch64 --run '' --expect 'patched musl'")]
pub(crate) struct Args {
    /// Targets to work on [default: those of the board, or of overlayctl.toml]
    targets: Vec<String>,
    /// Prove only this patched package; repeatable
    #[arg(long = "package", value_name = "ATTR")]
    packages: Vec<String>,
    /// Exit with 0 even where something is unknown
    #[arg(long)]
    allow_unknown: bool,
    /// Build and fetch nothing to compare with (unpatched packages, sources); what needs it is then unknown
    #[arg(long)]
    no_build: bool,
    /// Let Nix unpack and patch the sources again, by the package's own phases, and compare the result
    #[arg(long, conflicts_with = "no_build")]
    replay: bool,
    /// Build an unpatched package for comparison for at most this many minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 10)]
    compare_limit: u64,
    /// Run each target's program with these arguments (one string; '' for none); it must exit with 0
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    run: Option<String>,
    /// Text that the program must print
    #[arg(
        long,
        value_name = "TEXT",
        requires = "run",
        allow_hyphen_values = true,
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    expect: Option<String>,
    /// Exit status that the program must end with
    #[arg(long, value_name = "N", requires = "run", default_value_t = 0)]
    exit: i32,
    /// Program to run, when not the target's main one
    #[arg(long, value_name = "NAME", requires = "run")]
    program: Option<String>,
    #[command(flatten)]
    set: SetArgs,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let options = verify::Options {
        selection: args.set.selection(args.targets),
        packages: args.packages,
        allow_unknown: args.allow_unknown,
        no_build: args.no_build,
        replay: args.replay,
        compare_limit: Some(Duration::from_secs(args.compare_limit.saturating_mul(60))),
        run: args.run.map(|line| RunCheck { args: line, expect: args.expect, exit: args.exit, program: args.program }),
    };
    let verified = context.watched(|progress| verify::verify(&workspace, &options, progress))?;
    context.warn(&verified.warnings);
    context.show(&verified)
}
