//! `run`: starts the program of a built target, through an emulator when its machine is not this one.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::progress::Progress;
use super::sites;
use super::targets::Selection;
use super::verify::asked::{Asked, TargetFacts};
use super::verify::files;
use super::{Error, Outcome, engine};
use crate::base::process::{Exec, find_program};
use crate::config::Workspace;
use crate::cross::emulator::{Emulator, emulator};
use crate::cross::{Elf, Platform};
use crate::nix::{Instantiated, Nix, Side};
use crate::view::Document;

/// What `run` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The target.
    pub selection: Selection,
    /// The program, by its file name; what the target calls its main program when `None`.
    pub program: Option<String>,
    /// What the program is given.
    pub args: Vec<String>,
    /// Whether what it prints is kept instead of shown.
    pub capture: bool,
}

/// How a program ran.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ran {
    /// The target.
    pub target: String,
    /// The argument vector, the emulator first where there is one.
    pub command: Vec<String>,
    /// Its exit status; 128 and the signal's number when a signal ended it.
    pub status: i32,
    /// What it printed, when that was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// What it printed on standard error, when that was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
}

/// Runs the program of a target that is built.
///
/// # Errors
/// [`Error::NotBuilt`], [`Error::NoProgram`], [`Error::NoEmulator`]; those of evaluating the target and of starting the program.
/// That the program fails is no error.
pub fn run(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Ran, Error> {
    let sites = sites::of(workspace, &options.selection)?;
    let mut all = sites.iter().flat_map(|site| site.targets.iter().map(move |target| (site, target)));
    let (Some((site, target)), None) = (all.next(), all.next()) else {
        return Err(Error::Usage {
            message: "several targets are named, and one is run at a time".into(),
            hint: "name one: `overlayctl run TARGET --board NAME -- ARGS`".into(),
        });
    };
    let nix = engine::nix(workspace)?;
    progress.stage(&format!("evaluating {}", target.name));
    let side = Side {
        name: "the package set with the overlays".into(),
        root: site.patched.clone(),
        targets: vec![target.attr.names().to_vec()],
    };
    let mut results = nix.instantiate(&[side])?;
    let instantiated = match results.pop().and_then(|mut side| side.pop()) {
        Some(Ok(instantiated)) => instantiated,
        Some(Err(failure)) => {
            return Err(Error::Eval { target: target.name.clone(), failure: Box::new(failure) });
        }
        None => return Err(Error::NoTargets),
    };
    let facts = Asked::new(&nix, site).target(&target.attr)?;
    let program = find(&nix, &target.name, &instantiated, &facts, options.program.as_deref())?;
    let command = command(&nix, &program, &facts, &options.args)?;
    let (status, stdout, stderr) = if options.capture {
        let finished = exec(&command).run().map_err(crate::nix::Error::from)?;
        let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
        (finished.status, text(&finished.stdout), text(&finished.stderr))
    } else {
        (exec(&command).run_in_foreground().map_err(crate::nix::Error::from)?, None, None)
    };
    Ok(Ran { target: target.name.clone(), command, status: code(status), stdout, stderr })
}

fn exec(command: &[String]) -> Exec {
    let (program, args) = command.split_first().map_or(("", &[][..]), |(program, args)| (program.as_str(), args));
    Exec::new(program).args(args)
}

/// Returns an exit status as shells do: 128 and the number for a signal.
pub(super) fn code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Runs a command to its end and returns its status and all that it printed; it may take `limit`.
pub(super) fn captured(command: &[String], limit: Duration) -> Result<(i32, String), Error> {
    let finished = exec(command).limit(limit).run().map_err(crate::nix::Error::from)?;
    let mut printed = String::from_utf8_lossy(&finished.stdout).into_owned();
    printed.push_str(&String::from_utf8_lossy(&finished.stderr));
    Ok((code(finished.status), printed))
}

/// A program of a target.
#[derive(Debug)]
pub(super) struct Program {
    /// Its path as it names itself.
    pub path: String,
    /// Where it is on this machine.
    pub real: PathBuf,
}

/// Finds the program of a target: the one named, else `meta.mainProgram`, else the one called like the package, else the only
/// one there is.
///
/// # Errors
/// [`Error::NotBuilt`], [`Error::NoProgram`].
pub(super) fn find(
    nix: &Nix,
    target: &str,
    built: &Instantiated,
    facts: &TargetFacts,
    named: Option<&str>,
) -> Result<Program, Error> {
    // The programs may be in another output than the one that the attribute stands for.
    let outputs: Vec<&str> = built.outputs.iter().map(|o| o.path.as_str()).chain([built.out_path.as_str()]).collect();
    let valid = nix.valid(&outputs)?;
    if valid.is_empty() {
        return Err(Error::NotBuilt { target: target.to_string() });
    }
    let mut programs: Vec<Program> = Vec::new();
    for output in &valid {
        let bin = nix.physical(output).map(|real| real.join("bin")).unwrap_or_default();
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(&bin).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for real in entries.into_iter().filter(|path| path.is_file()) {
            let name = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
            programs.push(Program { path: format!("{output}/bin/{name}"), real });
        }
    }
    let name = |program: &Program| program.path.rsplit('/').next().unwrap_or_default().to_string();
    let names: Vec<String> = programs.iter().map(name).collect();
    let wanted = match named {
        Some(named) => vec![named],
        None => [facts.main_program.as_deref(), facts.pname.as_deref()].into_iter().flatten().collect(),
    };
    for wanted in &wanted {
        if let Some(at) = names.iter().position(|name| name == wanted) {
            return Ok(programs.swap_remove(at));
        }
    }
    if named.is_none() && programs.len() == 1 {
        return Ok(programs.remove(0));
    }
    Err(Error::NoProgram { target: target.to_string(), named: named.map(str::to_string), programs: names })
}

/// Returns the argument vector that runs a program here.
///
/// # Errors
/// [`Error::NoEmulator`].
pub(super) fn command(
    nix: &Nix,
    program: &Program,
    facts: &TargetFacts,
    args: &[String],
) -> Result<Vec<String>, Error> {
    let real = program.real.display().to_string();
    let plain = || std::iter::once(real.clone()).chain(args.iter().cloned()).collect::<Vec<String>>();
    // What is no ELF file (a script) starts what its first line says.
    let platform = match facts.host.as_deref().map(Platform::parse) {
        Some(Ok(platform)) => platform,
        _ => return Ok(plain()),
    };
    let Some(here) = Platform::here() else { return Ok(plain()) };
    let elf = crate::base::fs::read(&program.real).ok().and_then(|bytes| Elf::read(&bytes).ok().flatten());
    let emulator = emulator(&platform, &here);
    if elf.is_none() && matches!(emulator, Emulator::Qemu { .. }) {
        return Ok(plain());
    }
    let failed = |why: String, install: Option<String>| Error::NoEmulator {
        platform: platform.triple().to_string(),
        why,
        install,
    };
    let root = nix.store_root().filter(|root| root != std::path::Path::new("/"));
    let name = match &emulator {
        Emulator::Native => String::new(),
        Emulator::None { why } => return Err(failed(why.clone(), None)),
        Emulator::Qemu { .. } | Emulator::Other { .. } => {
            let names = emulator.programs();
            let found = names.iter().find_map(|name| find_program(name));
            match found {
                Some(path) => path.display().to_string(),
                None => {
                    let package = match &emulator {
                        Emulator::Qemu { .. } => "qemu-user".to_string(),
                        _ => names.first().cloned().unwrap_or_default(),
                    };
                    return Err(failed(format!("{} is not installed", names.join(" or ")), Some(package)));
                }
            }
        }
    };
    emulator.argv(&name, root.as_deref(), &real, args).ok_or_else(|| failed("nothing runs it here".into(), None))
}

/// Splits a line into words: blanks separate, single and double quotes hold together.
pub(super) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

impl Outcome for Ran {
    const SCHEMA: &'static str = "overlayctl.run/1";

    fn document(&self, _verbose: bool) -> Document {
        // The program has printed what there is to see.
        Document::new()
    }
}

/// Says whether an output holds a program at all.
pub(super) fn has_programs(nix: &Nix, outputs: &[String]) -> bool {
    outputs.iter().any(|output| files::below(nix, output).iter().any(|file| file.in_bin() && file.executable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_arguments_is_split() {
        assert_eq!(words("-e 'print(1)'  x"), ["-e", "print(1)", "x"]);
        assert_eq!(words("  \"\" "), [""]);
        assert_eq!(words(""), Vec::<String>::new());
    }
}
