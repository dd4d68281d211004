//! The commands, one file each, and the one match that picks.

mod boards;
mod build;
mod bump;
mod cache;
mod check;
mod completions;
mod deploy;
mod edit;
mod explain;
mod export;
mod finish;
mod gate;
mod graph;
mod header;
mod impact;
mod import;
mod init;
mod ldd;
mod lint;
mod list;
mod patch;
mod platforms;
mod rebase;
mod recover;
mod refresh;
mod reorder;
mod rollback;
mod run;
mod status;
mod toolchain;
mod undeploy;
mod unpatch;
mod verify;
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
    Gate(gate::Args),
    Build(build::Args),
    Platforms(platforms::Args),
    Explain(explain::Args),
    Toolchain(toolchain::Args),
    Boards(boards::Args),
    Verify(verify::Args),
    Run(run::Args),
    Deploy(deploy::Args),
    Rollback(rollback::Args),
    Undeploy(undeploy::Args),
    Ldd(ldd::Args),
    Check(check::Args),
    Edit(edit::Args),
    Finish(finish::Args),
    Graph(graph::Args),
    Why(why::Args),
    Import(import::Args),
    Export(export::Args),
    Refresh(refresh::Args),
    Rebase(rebase::Args),
    Bump(bump::Args),
    Move(reorder::MoveArgs),
    Rename(reorder::RenameArgs),
    Reorder(reorder::ReorderArgs),
    Recover(recover::Args),
    Cache(cache::Args),
    Status(status::Args),
    Lint(lint::Args),
    Header(header::Args),
    Completions(completions::Args),
    Man(completions::ManArgs),
}

pub(super) fn run(command: Command, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Init(args) => init::run(args, context),
        Command::Patch(args) => patch::run(args, context),
        Command::Unpatch(args) => unpatch::run(args, context),
        Command::List(args) => list::run(args, context),
        Command::Impact(args) => impact::run(args, context),
        Command::Gate(args) => gate::run(args, context),
        Command::Build(args) => build::run(args, context),
        Command::Platforms(args) => platforms::run(args, context),
        Command::Explain(args) => explain::run(args, context),
        Command::Toolchain(args) => toolchain::run(args, context),
        Command::Boards(args) => boards::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Run(args) => run::run(args, context),
        Command::Deploy(args) => deploy::run(args, context),
        Command::Rollback(args) => rollback::run(args, context),
        Command::Undeploy(args) => undeploy::run(args, context),
        Command::Ldd(args) => ldd::run(args, context),
        Command::Check(args) => check::run(args, context),
        Command::Edit(args) => edit::run(args, context),
        Command::Finish(args) => finish::run(args, context),
        Command::Graph(args) => graph::run(args, context),
        Command::Why(args) => why::run(args, context),
        Command::Import(args) => import::run(args, context),
        Command::Export(args) => export::run(args, context),
        Command::Refresh(args) => refresh::run(args, context),
        Command::Rebase(args) => rebase::run(args, context),
        Command::Bump(args) => bump::run(args, context),
        Command::Move(args) => reorder::run_move(args, context),
        Command::Rename(args) => reorder::run_rename(args, context),
        Command::Reorder(args) => reorder::run_reorder(args, context),
        Command::Recover(args) => recover::run(args, context),
        Command::Cache(args) => cache::run(args, context),
        Command::Status(args) => status::run(args, context),
        Command::Lint(args) => lint::run(args, context),
        Command::Header(args) => header::run(args, context),
        Command::Completions(args) => completions::run(&args, context),
        Command::Man(args) => completions::man(&args, context),
    }
}
