//! `overlayctl run`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::target_args::SetArgs;
use crate::ops::run;

/// Run a target's program, under qemu when it is for another machine
///
/// The program is the target's main one (meta.mainProgram, the one called like the package, the only one). Its exit status
/// is passed on. A target that is neither there nor in a cache is built first with --build; else what that would build is said.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl run rust-hello --board aarch64
  overlayctl run pkgsCross.riscv64.pkgsStatic.curl -- --version
  overlayctl run pcre2 --board armv7 --program pcre2grep -- -h")]
pub(crate) struct Args {
    /// Target whose program to run
    target: String,
    /// Program to run, by its file name
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
    /// Build the target first if it is neither in the store nor in a cache
    #[arg(long)]
    build: bool,
    /// Arguments for the program
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
    #[command(flatten)]
    set: SetArgs,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let options = run::Options {
        selection: args.set.selection(vec![args.target]),
        program: args.program,
        args: args.args,
        capture: context.globals.json,
        build: args.build,
    };
    let ran = run::run(&workspace, &options, context.progress())?;
    context.show(&ran)?;
    Ok(ExitCode::from(u8::try_from(ran.status).unwrap_or(u8::MAX)))
}
