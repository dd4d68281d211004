//! The command line: one file a command, failures, exit statuses, live progress.
//!
//! Must not compute anything: a command parses its arguments, calls one function of `ops` and picks a renderer.

mod commands;
mod completion;
mod context;
mod explain_code;
mod failure;
mod overlay_arg;
mod progress;
mod target_args;
mod view_args;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ColorChoice, Parser};

use context::Context;
use failure::Failure;

/// Exit statuses, as `--help` states them.
const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  the answer is no: refused, rejected, differs, not proven, build failed
  2  usage error, or something went wrong";

/// Keep patched packages in Nix overlays: write the patch, see what rebuilds, build it, prove that it is in.
#[derive(Debug, Parser)]
#[command(name = "overlayctl", version, after_help = EXIT_STATUS, arg_required_else_help = true)]
pub struct Cli {
    /// Explain an error code such as OV0101, or list all codes, and exit
    #[arg(long = "explain", value_name = "CODE", exclusive = true, num_args = 0..=1)]
    explain_code: Option<Option<String>>,
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Option<commands::Command>,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Run as if started in this directory
    #[arg(id = "workspace", short = 'C', long = "directory", value_name = "DIR", global = true)]
    pub dir: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Show more: Nix's messages in full, every row of a table
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Accept this workspace's `[nix.options]` even where they loosen your own Nix settings, and what its boards start (ssh-options,
    /// activate, deactivate, check); remembered for these options and values
    #[arg(long, global = true)]
    pub trust_workspace: bool,
    /// When to use colour (NO_COLOR is honoured)
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: ColorChoice,
}

/// Runs the program on its arguments, the first of which is its own name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    crate::base::process::watch_interrupts();
    let args: Vec<OsString> = args.into_iter().collect();
    if completion::answered(&args) {
        return ExitCode::SUCCESS;
    }
    match Cli::try_parse_from(&args) {
        Ok(cli) => {
            let context = Context::new(cli.globals);
            if let Err(failure) = context.enter_directory() {
                return context.fail(&failure);
            }
            let done = match (cli.explain_code, cli.command) {
                (Some(Some(code)), _) => explain_code::run(&code, &context),
                (Some(None), _) => explain_code::list(&context),
                (None, Some(command)) => commands::run(command, &context),
                (None, None) => Err(Failure::usage("no command", "`overlayctl --help` lists them")),
            };
            match done {
                Ok(status) => status,
                Err(failure) => context.fail(&failure),
            }
        }
        Err(error) => {
            // The arguments could not be read, so whether JSON is wanted has to be seen in them.
            let json = args.iter().take_while(|a| *a != "--").any(|a| a == "--json");
            let context = Context::new(Globals {
                dir: None,
                json,
                verbose: false,
                trust_workspace: false,
                color: ColorChoice::Auto,
            });
            if error.use_stderr() && json {
                return context.fail(&Failure::from_clap(&error));
            }
            context.clap(&error)
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_arguments_are_consistent() {
        <super::Cli as clap::CommandFactory>::command().debug_assert();
    }
}
