//! Completions: the shell asks the program itself at each press of a key, through `COMPLETE` in the environment.
//!
//! Which words an argument takes is told by its name, in one place for all commands.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::CompleteEnv;

use super::Cli;
use crate::base::visible;
use crate::config::Workspace;
use crate::ops::completion::{self, Word};

/// The variable of the environment by which a shell asks.
pub(super) const VARIABLE: &str = "COMPLETE";

/// Answers a shell that asks for completions; `false` where none does.
pub(super) fn answered(args: &[OsString]) -> bool {
    let here = std::env::current_dir().ok();
    // What cannot be answered is left to the shell: a word on standard error would stand in the middle of the line that is typed.
    CompleteEnv::with_factory(command).try_complete(args.iter().cloned(), here.as_deref()).unwrap_or(true)
}

/// Returns the program's command line, with what completes its arguments.
pub(super) fn command() -> Command {
    completed(Cli::command())
}

fn completed(command: Command) -> Command {
    let command = command.mut_args(|arg| match words(arg.get_id().as_str()) {
        Some(words) => arg.add(ArgValueCompleter::new(move |current: &OsStr| candidates(words, current))),
        None => arg,
    });
    command.mut_subcommands(completed)
}

type Words = fn(&Workspace) -> Vec<Word>;

/// Returns where the words of an argument come from.
fn words(argument: &str) -> Option<Words> {
    Some(match argument {
        "attr" | "attrs" | "package" => completion::packages,
        "patch" => |workspace| completion::patches(workspace, &typed()),
        "boards" | "board" => |workspace| {
            let all = [("all".to_string(), Some("every board".to_string()))];
            all.into_iter().chain(completion::boards(workspace)).collect()
        },
        "targets" | "target" => completion::targets,
        "cross" | "platform" => |_| completion::platforms(),
        "explain_code" => |_| super::explain_code::all(),
        _ => return None,
    })
}

fn candidates(words: Words, current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(workspace) = Workspace::open(directory().as_deref()).ok() else { return Vec::new() };
    let current = current.to_string_lossy();
    let fits = words(&workspace).into_iter().filter(|(word, _)| word.starts_with(&*current) && is_plain(word));
    fits.map(|(word, what)| {
        CompletionCandidate::new(word).help(what.map(|what| visible::line(&what).into_owned().into()))
    })
    .collect()
}

/// Says whether a word can stand on a command line as it is: what a shell would read in another way is not offered.
fn is_plain(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+/#@:,%=".contains(c);
    !word.starts_with('-') && !word.is_empty() && word.chars().all(plain)
}

/// Returns the words that are typed so far: behind the `--` that the shell puts before them.
fn typed() -> Vec<String> {
    std::env::args_os().skip_while(|arg| arg != "--").skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect()
}

/// Returns the directory of a `-C DIR` among them.
fn directory() -> Option<PathBuf> {
    let typed = typed();
    let at = typed.iter().position(|word| word == "-C" || word == "--directory")?;
    typed.get(at + 1).map(|dir| Path::new(dir).to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_read_in_another_way_is_not_offered() {
        for word in ["musl", "python3Packages.six", "0001-fix.patch", "./system.nix#system", "gtk+3"] {
            assert!(is_plain(word), "{word}");
        }
        for word in ["", "-n", "a b", "$(id)", "`id`", "a;b", "a'b", "a\"b", "a\nb", "a\u{202e}b", "~x", "a*", "!x"] {
            assert!(!is_plain(word), "{word}");
        }
    }

    /// Every argument that names a package, a patch, a board, a target or a platform is completed.
    #[test]
    fn the_arguments_have_their_words() {
        let with = |command: &Command, id: &str| {
            let arg = command.get_arguments().find(|arg| arg.get_id() == id);
            arg.is_some_and(|arg| arg.get::<ArgValueCompleter>().is_some())
        };
        let root = command();
        for (name, arguments) in [
            ("unpatch", &["attr", "patch"][..]),
            ("edit", &["attr"]),
            ("impact", &["attr", "targets", "boards", "cross"]),
            ("verify", &["targets", "boards"]),
            ("toolchain", &["platform"]),
            ("header", &["attr", "patch"]),
        ] {
            let found = root.find_subcommand(name).unwrap();
            for id in arguments {
                assert!(with(found, id), "{name} {id}");
            }
        }
        assert!(with(&root, "explain_code"));
    }
}
