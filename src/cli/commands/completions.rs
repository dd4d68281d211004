//! `overlayctl completions` and `overlayctl man`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use clap_complete_nushell::Nushell;

use super::super::completion;
use super::super::context::Context;
use super::super::failure::Failure;
use crate::base::fs;
use crate::ops;

const NAME: &str = "overlayctl";

/// Print what makes a shell complete overlayctl's command lines
///
/// bash, zsh and fish then ask the program, which knows this workspace's packages, patches, boards and targets; nothing is evaluated for
/// that. nushell gets the commands and options alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl completions bash > ~/.local/share/bash-completion/completions/overlayctl
  source <(overlayctl completions zsh)                        in ~/.zshrc, behind compinit
  overlayctl completions fish > ~/.config/fish/completions/overlayctl.fish
  overlayctl completions nushell > overlayctl.nu              then `use overlayctl.nu *` in config.nu")]
pub(crate) struct Args {
    /// Shell to print for
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Nushell,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    let mut register = |shell: &dyn EnvCompleter| {
        shell.write_registration(completion::VARIABLE, NAME, NAME, NAME, &mut script).map_err(Failure::output)
    };
    match args.shell {
        Shell::Bash => register(&Bash)?,
        Shell::Zsh => register(&Zsh)?,
        Shell::Fish => register(&Fish)?,
        Shell::Nushell => clap_complete::generate(Nushell, &mut completion::command(), NAME, &mut script),
    }
    context.print_plain(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Print the manual page, or write one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  overlayctl man | man -l -
  overlayctl man --to ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write a page for each command into this directory
    #[arg(long = "to", value_name = "DIR")]
    to: Option<PathBuf>,
}

pub(super) fn man(args: &ManArgs, context: &Context) -> Result<ExitCode, Failure> {
    let mut command = completion::command().disable_help_subcommand(true);
    command.build();
    let Some(dir) = &args.to else {
        context.print_plain(&page(command)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut todo = vec![command];
    while let Some(command) = todo.pop() {
        todo.extend(command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned());
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_string();
        fs::write(&dir.join(format!("{name}.1")), &page(command)?).map_err(ops::Error::from)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn page(command: clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).and_then(|()| page.flush()).map_err(Failure::output)?;
    Ok(page)
}
