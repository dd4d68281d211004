//! Starting a program of a target that is built, through an emulator when its machine is not this one.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::base::process::{Exec, find_program};
use crate::cross::emulator::{Emulator, emulator};
use crate::cross::{Elf, Platform};
use crate::nix::{Instantiated, Nix};
use crate::verify::Error;
use crate::verify::asked::TargetFacts;
use crate::verify::files;

pub(crate) fn exec(command: &[String]) -> Exec {
    let (program, args) = command.split_first().map_or(("", &[][..]), |(program, args)| (program.as_str(), args));
    Exec::new(program).args(args)
}

/// Returns an exit status as shells do: 128 and the number for a signal.
pub(crate) fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Runs a command to its end and returns how it ended and all that it printed; it may take `limit`.
pub(crate) fn captured(command: &[String], limit: Duration) -> Result<(ExitStatus, String), Error> {
    let finished = exec(command).limit(limit).run().map_err(crate::nix::Error::from)?;
    let mut printed = String::from_utf8_lossy(&finished.stdout).into_owned();
    printed.push_str(&String::from_utf8_lossy(&finished.stderr));
    Ok((finished.status, printed))
}

#[derive(Debug)]
pub(crate) struct Program {
    /// Its path as it names itself.
    pub path: String,
    /// Where it is on this machine.
    pub real: PathBuf,
}

/// Finds the program of a target: the one named, else `meta.mainProgram`, else the one called like the package, else the only
/// one there is.
pub(crate) fn find(
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
pub(crate) fn command(
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
pub(crate) fn words(line: &str) -> Vec<String> {
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

/// Says whether an output holds a program at all.
pub(crate) fn has_programs(nix: &Nix, outputs: &[String]) -> bool {
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
