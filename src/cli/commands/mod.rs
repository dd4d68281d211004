//! The commands, one file each, and the one match that picks.

mod build;
mod graph;
mod impact;
mod init;
mod list;
mod patch;
mod unpatch;
mod why;

use std::process::ExitCode;

use super::context::Context;
use super::failure::Failure;

/// What is to be done.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Patch(patch::Args),
    Unpatch(unpatch::Args),
    List(list::Args),
    Impact(impact::Args),
    Build(build::Args),
    Graph(graph::Args),
    Why(why::Args),
}

pub(super) fn run(command: Command, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Init(args) => init::run(args, context),
        Command::Patch(args) => patch::run(args, context),
        Command::Unpatch(args) => unpatch::run(args, context),
        Command::List(args) => list::run(args, context),
        Command::Impact(args) => impact::run(args, context),
        Command::Build(args) => build::run(args, context),
        Command::Graph(args) => graph::run(args, context),
        Command::Why(args) => why::run(args, context),
    }
}
