//! The commands, one file each, and the one match that picks.

mod init;

use std::process::ExitCode;

use super::context::Context;
use super::failure::Failure;

/// What is to be done.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Init(args) => init::run(args, context),
    }
}
