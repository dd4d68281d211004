//! `overlayctl build`.

use std::ffi::OsString;
use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::target_args::SetArgs;
use crate::ops::build;

/// Build targets with the workspace's overlays
///
/// Nix does the building. Each target gets a link `result-TARGET`, which keeps it from garbage collection; logs of what
/// was built are kept in .overlayctl/logs. Running it again builds nothing twice. With --json each step is a line
/// (`overlayctl.build-event/1`); the last line is the outcome.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl build --board aarch64
  overlayctl build pkgsCross.riscv64.curl --dry-run
  overlayctl build --cross aarch64-multiplatform --static curl --keep-going
  overlayctl build --board all --keep-going --report junit build.xml
  overlayctl build curl --builders 'ssh://farm x86_64-linux' -- --option sandbox false")]
pub(crate) struct Args {
    /// Targets to work on [default: those of the board, or of overlayctl.toml]
    targets: Vec<String>,
    /// Build this package from its `overlayctl edit` worktree as it stands; repeatable
    #[arg(long, value_name = "ATTR")]
    edited: Vec<String>,
    /// Print the plan and stop
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// After a failure, go on with what does not depend on it
    #[arg(short, long)]
    keep_going: bool,
    /// Build at most this many derivations at once on this machine (`auto`, or a number; 0 builds only on remote machines)
    #[arg(short = 'j', long, value_name = "N")]
    max_jobs: Option<String>,
    /// Let each build use this many cores (0: all of them)
    #[arg(long, value_name = "N")]
    cores: Option<u32>,
    /// Stop a build that takes longer than this, in seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Stop a build that prints nothing for this long, in seconds
    #[arg(long, value_name = "SECONDS")]
    max_silent_time: Option<u64>,
    /// Build again what is already built, and compare the results
    #[arg(long, visible_alias = "check")]
    rebuild: bool,
    /// Remote builders, as in Nix's `builders` setting
    #[arg(long, value_name = "BUILDERS")]
    builders: Option<String>,
    /// Binary caches, as in Nix's `substituters` setting
    #[arg(long, value_name = "URLS")]
    substituters: Option<String>,
    /// Copy the results to this store once everything is built
    #[arg(long, value_name = "STORE")]
    copy_to: Option<String>,
    /// Write the outcome to a file: `json` (what --json prints) or `junit` (for CI servers)
    #[arg(long, num_args = 2, value_names = ["json|junit", "FILE"], action = clap::ArgAction::Append)]
    report: Vec<String>,
    /// Further arguments for nix-store --realise
    #[arg(last = true, value_name = "NIX OPTIONS")]
    extra_args: Vec<OsString>,
    #[command(flatten)]
    set: SetArgs,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let options = build::Options {
        selection: args.set.selection(args.targets),
        edited: args.edited,
        dry_run: args.dry_run,
        no_builds: false,
        settings: build::BuildSettings {
            keep_going: args.keep_going,
            max_jobs: args.max_jobs,
            cores: args.cores,
            timeout: args.timeout,
            max_silent_time: args.max_silent_time,
            check: args.rebuild,
            builders: args.builders,
            substituters: args.substituters,
            extra_args: args.extra_args,
        },
        copy_to: args.copy_to,
        reports: reports(&args.report)?,
    };
    let mut progress = context.build_progress();
    let built = build::build(&workspace, &options, &mut *progress)?;
    drop(progress);
    context.warn(&built.warnings);
    context.show(&built)
}

fn reports(words: &[String]) -> Result<Vec<build::ReportFile>, Failure> {
    let pair = |pair: &[String]| {
        let [format, path] = pair else { return Err(no_format("")) };
        let format = match format.as_str() {
            "json" => build::ReportFormat::Json,
            "junit" => build::ReportFormat::Junit,
            other => return Err(no_format(other)),
        };
        Ok(build::ReportFile { format, path: path.into() })
    };
    words.chunks(2).map(pair).collect()
}

fn no_format(named: &str) -> Failure {
    Failure::usage(format!("there is no report format `{named}`"), "`--report json FILE` or `--report junit FILE`")
}
