//! `overlayctl toolchain`.

use std::process::ExitCode;

use super::super::context::Context;
use super::super::failure::Failure;
use crate::base::process::Exec;
use crate::ops::Outcome as _;
use crate::ops::Selection;
use crate::ops::toolchain;

/// Get the cross compiler of a platform and see how to use it
///
/// From the store or a cache; what has to be built for it is built with --build, and else said.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl toolchain aarch64-multiplatform             gcc, dynamic
  overlayctl toolchain aarch64-multiplatform --static    gcc for static programs (musl)
  overlayctl toolchain riscv64 gdb
  overlayctl toolchain aarch64-multiplatform --shell     a shell with CC, AR, ... set")]
pub(crate) struct Args {
    /// Platform: a name of pkgsCross
    platform: String,
    /// Tool to get: gcc, gdb, rustc, binutils, ...
    #[arg(default_value = "gcc")]
    package: String,
    /// Take the one for static programs (pkgsStatic)
    #[arg(long = "static")]
    is_static: bool,
    /// Use this package set
    #[arg(long, value_name = "PATH")]
    nixpkgs: Option<String>,
    /// Build it if it is neither in the store nor in a cache
    #[arg(long)]
    build: bool,
    /// Open a shell in which the toolchain is set up
    #[arg(long)]
    shell: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let selection = Selection {
        nixpkgs: args.nixpkgs,
        cross: Some(args.platform),
        is_static: args.is_static,
        ..Selection::default()
    };
    let toolchain =
        context.watched(|progress| toolchain::toolchain(&workspace, selection, &args.package, args.build, progress))?;
    context.warn(&toolchain.build.warnings);
    if !args.shell || toolchain.verdict().is_some() {
        return context.show(&toolchain);
    }
    let shell = std::env::var("SHELL").unwrap_or_else(|_| "/bin/sh".into());
    let path = format!("{}/bin:{}", toolchain.path.display(), std::env::var("PATH").unwrap_or_default());
    let exec = toolchain.environment.iter().fold(Exec::new(shell), |exec, (name, value)| exec.env(name, value));
    let status = exec.env("PATH", path).run_in_foreground().map_err(crate::ops::Error::from)?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
