//! `overlayctl deploy`.

use std::process::ExitCode;
use std::time::Duration;

use super::super::context::Context;
use super::super::failure::Failure;
use super::super::target_args::SetArgs;
use crate::ops::deploy;

/// Build, verify and put a board's targets on its device, over ssh
///
/// The device needs a POSIX shell, tar and an ssh server (busybox and dropbear will do), no Nix. What cannot run on it is refused before
/// anything is copied. Only store paths that it does not have are sent, and they are checked by hash on the device. The switch is one
/// rename; programs stand at ROOT/current/bin. If `check` fails, or the new generation cannot be confirmed over a new connection in time,
/// the device goes back by itself. Devices with Nix are deployed to as those without, where the targets name no store paths, and
/// refused otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl deploy --board aarch64
  overlayctl deploy --board aarch64 rust-hello --dry-run
  overlayctl deploy --board aarch64 --confirm-within 2m")]
pub(crate) struct Args {
    /// Targets to deploy [default: those of the board]; what else is on the device stays
    targets: Vec<String>,
    /// Write nothing, here or on the device; show what would be sent
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Refuse when something would have to be built
    #[arg(long)]
    no_build: bool,
    /// Deploy even where `verify` cannot know
    #[arg(long)]
    allow_unknown: bool,
    /// Let the device go back by itself unless confirmed within this time
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "30s")]
    confirm_within: Duration,
    #[command(flatten)]
    set: SetArgs,
}

/// Reads `30`, `30s`, `2m`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(number) => (number, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(seconds) if (1..=86_400).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err("a time is written `30s` or `2m`, up to a day".into()),
    }
}

pub(super) fn run(args: Args, context: &Context) -> Result<ExitCode, Failure> {
    let workspace = context.workspace()?;
    let options = deploy::Options {
        selection: args.set.selection(args.targets),
        dry_run: args.dry_run,
        no_build: args.no_build,
        allow_unknown: args.allow_unknown,
        confirm_within: Some(args.confirm_within),
    };
    let deployed = context.watched(|progress| deploy::deploy(&workspace, &options, progress))?;
    context.warn(&deployed.warnings);
    context.show(&deployed)
}
