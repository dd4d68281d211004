//! `overlayctl verify`.

use std::process::ExitCode;
use std::time::Duration;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::target_args::SetArgs;
use crate::ops::verify::{self, RunCheck};

/// Proves that the patches are in what was built: derivation, source, log, closure, program, contents
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
    /// The targets; those of the board or of overlayctl.toml when absent
    targets: Vec<String>,
    #[command(flatten)]
    set: SetArgs,
    /// Only this patched package; repeat it for more
    #[arg(long = "package", value_name = "ATTR")]
    packages: Vec<String>,
    /// Ends with 0 also where something cannot be known
    #[arg(long)]
    allow_unknown: bool,
    /// Builds and fetches nothing to compare with (unpatched libraries, sources); what would need it is unknown
    #[arg(long)]
    no_build: bool,
    /// Has Nix unpack and patch the sources once more, by the phases of the package itself, and looks at the result
    #[arg(long, conflicts_with = "no_build")]
    replay: bool,
    /// The longest that the build of an unpatched package may take that a patched one is compared with, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 10)]
    compare_limit: u64,
    /// Runs the program of each target with these arguments (one text; '' for none): it has to end with 0
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    run: Option<String>,
    /// A text that has to be in what the program prints
    #[arg(
        long,
        value_name = "TEXT",
        requires = "run",
        allow_hyphen_values = true,
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    expect: Option<String>,
    /// The status that the program has to end with, when not 0
    #[arg(long, value_name = "N", requires = "run", default_value_t = 0)]
    exit: i32,
    /// The program to run, when it is not the target's main one
    #[arg(long, value_name = "NAME", requires = "run")]
    program: Option<String>,
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
