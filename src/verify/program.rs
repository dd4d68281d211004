//! The fifth level: the target's programs are for the right machine and find what they need there.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::text::plural;
use crate::base::{fs, store_path};
use crate::cross::ldd::{self, Disk};
use crate::cross::{Elf, Expected, Firmware, Platform, archive, expected};
use crate::nix::Nix;
use crate::verify::Error;
use crate::verify::asked::{TargetFacts, shell_word};
use crate::verify::files::{self, StoreFile};
use crate::verify::finding::{Answer, Cause};

#[derive(Debug)]
pub(super) struct Request<'a> {
    pub nix: &'a Nix,
    pub facts: &'a TargetFacts,
    /// The outputs of the target that are in the store.
    pub outputs: &'a [String],
    /// Whether static programs were asked for.
    pub is_static: bool,
}

/// What was counted on the way.
#[derive(Debug, Default)]
struct Seen {
    programs: Vec<String>,
    scripts: usize,
    libraries: usize,
    objects: usize,
    kinds: BTreeSet<String>,
    /// Kernel images, device trees and the like, counted by what they are.
    firmware: BTreeMap<String, usize>,
    /// The first file that was counted, and is no program.
    first: Option<String>,
    wrong: Vec<String>,
    notes: Vec<String>,
}

pub(super) fn judge(request: &Request<'_>) -> Result<Answer, Error> {
    let Some(host) = request.facts.host.as_deref() else {
        return Ok(Answer::unknown("the target does not say for which platform it is (no stdenv.hostPlatform)"));
    };
    let platform = match Platform::parse(host) {
        Ok(platform) => platform.with_gcc_abi(request.facts.gcc_abi.as_deref()),
        Err(error) => return Ok(Answer::unknown(error.to_string())),
    };
    let wanted = expected(&platform);
    // A compiler's output holds code for what it compiles for, too.
    let also = request.facts.target.as_deref().filter(|target| *target != host);
    let also = also.and_then(|target| Platform::parse(target).ok()).map(|target| expected(&target));
    let closure = request.nix.requisites(request.outputs)?;
    let mut seen = Seen::default();
    for output in request.outputs {
        dangling(request, output, &mut seen);
        for file in files::below(request.nix, output) {
            look(request, &wanted, also.as_ref(), &closure, &file, &mut seen);
            look_at_firmware(&platform, &file, &mut seen);
        }
    }
    dependencies(request, host, &wanted, &closure, &mut seen);
    let none = seen.programs.is_empty() && seen.scripts == 0 && seen.libraries == 0 && seen.objects == 0;
    if none && seen.wrong.is_empty() {
        let answer = match firmware(&seen) {
            Some(what) => Answer::not_applicable(format!("{what}; no program, library or object file in its outputs")),
            None => Answer::not_applicable("there is no program, library or object file in its outputs"),
        };
        return Ok(answer.evidence(seen.notes));
    }
    Ok(conclude(request, host, seen))
}

fn conclude(request: &Request<'_>, host: &str, seen: Seen) -> Answer {
    let first = seen.programs.first().or(seen.first.as_ref()).or(request.outputs.first()).cloned().unwrap_or_default();
    let command = format!("readelf -hld {}", shell_word(&first));
    if let Some(wrong) = seen.wrong.first() {
        let more = if seen.wrong.len() > 1 { format!(" (and {} more)", seen.wrong.len() - 1) } else { String::new() };
        return Answer::failed(Cause::WrongProgram, format!("{wrong}{more}"))
            .command(match wrong.split([':', ' ']).next() {
                Some(path) if path.starts_with('/') => format!("readelf -hld {}", shell_word(path)),
                _ => command,
            })
            .evidence(seen.wrong)
            .evidence(seen.notes);
    }
    let mut counted = Vec::new();
    for (count, one) in [
        (seen.programs.len(), "program"),
        (seen.scripts, "script"),
        (seen.libraries, "shared library"),
        (seen.objects, "object file"),
    ] {
        if count > 0 {
            counted.push(plural(count, one).replace("librarys", "libraries"));
        }
    }
    counted.extend(firmware(&seen));
    let kinds: Vec<String> = seen.kinds.into_iter().collect();
    let of_kind = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join("; ")) };
    Answer::ok(format!("{} for {host}{of_kind}", counted.join(", ")))
        .evidence(seen.programs.iter().map(|path| format!("program {path}")))
        .evidence(seen.notes)
        .command(command)
}

/// Returns the kernel images and device trees in words; `None` when there are none.
fn firmware(seen: &Seen) -> Option<String> {
    let words: Vec<String> = seen.firmware.iter().map(|(what, count)| format!("{count} x {what}")).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Looks whether a file is a kernel image, a device tree or the like, and whether the board's processor starts it.
fn look_at_firmware(platform: &Platform, file: &StoreFile, seen: &mut Seen) {
    let Some(found) = Firmware::of(&file.head) else { return };
    if found.is_for(platform) == Some(false) {
        seen.wrong.push(format!("{}: {found}, and the board is {}", file.path, platform.cpu.name));
    }
    *seen.firmware.entry(found.to_string()).or_default() += 1;
}

fn look(
    request: &Request<'_>,
    wanted: &Expected,
    also: Option<&Expected>,
    closure: &BTreeSet<String>,
    file: &StoreFile,
    seen: &mut Seen,
) {
    let is_archive = file.head.starts_with(b"!<arch>\n");
    let other_format = matches!(wanted, Expected::Format(_)) && file.in_bin();
    if look_at_start(request, closure, file, seen) {
        return;
    }
    if !file.is_elf() && !is_archive && !other_format {
        look_at_stray(wanted, file, seen);
        return;
    }
    let bytes = match fs::read(&file.real) {
        Ok(bytes) => bytes,
        Err(error) => return seen.wrong.push(format!("{}: {error}", file.path)),
    };
    if is_archive {
        look_at_archive(wanted, also, file, &bytes, seen);
        return;
    }
    let freestanding = match wanted {
        Expected::Elf(elf) if file.is_freestanding() => Some(Expected::Elf(elf.clone().freestanding())),
        _ => None,
    };
    if let Err(mismatch) = freestanding.as_ref().unwrap_or(wanted).matches(&bytes) {
        // Its tools run where modules are built.
        if file.in_kernel_tree() {
            seen.notes.push(format!("{}: a tool of the kernel's build tree ({mismatch})", file.path));
            return;
        }
        if also.is_some_and(|also| also.matches(&bytes).is_ok()) {
            seen.objects += 1;
            seen.first.get_or_insert_with(|| file.path.clone());
            return;
        }
        seen.wrong.push(format!("{}: {mismatch}", file.path));
        return;
    }
    let Ok(Some(elf)) = Elf::read(&bytes) else {
        seen.programs.push(file.path.clone());
        return;
    };
    match &elf.damage {
        Some(damage) if elf.linkage().is_some() => seen.wrong.push(format!("{}: {damage}", file.path)),
        Some(damage) => seen.notes.push(format!("{}: {damage}", file.path)),
        None => {}
    }
    // A library with an interpreter can be started, which does not make it a program.
    if !elf.is_program() {
        match elf.linkage() {
            Some(_) => seen.libraries += 1,
            None => seen.objects += 1,
        }
        seen.first.get_or_insert_with(|| file.path.clone());
        return;
    }
    seen.programs.push(file.path.clone());
    let mut kind = format!("{} {} {}", elf.class, elf.endianness, elf.machine);
    if let Some(abi) = elf.float_abi {
        kind.push_str(&format!(", {abi} float"));
    }
    kind.push_str(if elf.is_static() { ", static" } else { ", dynamic" });
    seen.kinds.insert(kind);
    if request.is_static && !elf.is_static() {
        seen.wrong.push(format!("{}: a static program was asked for, this one needs a loader or libraries", file.path));
    }
    look_at_libraries(request, closure, file, &elf, seen);
}

fn look_at_libraries(request: &Request<'_>, closure: &BTreeSet<String>, file: &StoreFile, elf: &Elf, seen: &mut Seen) {
    if let Some(interpreter) = &elf.interpreter
        && !in_closure(closure, interpreter)
    {
        seen.wrong.push(format!("{}: its interpreter {interpreter} is not in the closure", file.path));
    }
    if elf.is_static() {
        return;
    }
    let disk = match request.nix.store_root() {
        Some(root) => Disk::below([root]),
        None => Disk::here(),
    };
    match ldd::libraries(&disk, &file.path, None) {
        Ok(Some(libraries)) => {
            for needed in &libraries.needed {
                match (&needed.path, &needed.problem) {
                    (None, _) => {
                        seen.wrong
                            .push(format!("{}: {} is not found (needed by {})", file.path, needed.name, needed.from));
                    }
                    (Some(path), _) if !in_closure(closure, path) => {
                        seen.wrong.push(format!("{}: {} is outside the closure: {path}", file.path, needed.name));
                    }
                    (Some(_), Some(problem)) => seen.notes.push(format!("{}: {}: {problem}", file.path, needed.name)),
                    (Some(path), None) => seen.notes.push(format!("{}: {} => {path}", file.path, needed.name)),
                }
            }
        }
        Ok(None) => {}
        Err(error) => seen.wrong.push(format!("{}: {error}", file.path)),
    }
}

/// Looks at how a file is started: its first line, its size, its mode; says whether that is all there is to it.
fn look_at_start(request: &Request<'_>, closure: &BTreeSet<String>, file: &StoreFile, seen: &mut Seen) -> bool {
    let script = ldd::shebang(&file.head);
    let is_program = script.is_some() || file.is_elf();
    if file.in_bin() && is_program && !file.executable && !file.path.contains("/libexec/") {
        seen.wrong.push(format!("{}: a program that nobody may execute", file.path));
        return true;
    }
    if file.executable && file.head.is_empty() && file.in_bin() {
        seen.wrong.push(format!("{}: an empty program", file.path));
        return true;
    }
    let Some(script) = script.filter(|_| file.executable) else { return false };
    seen.scripts += 1;
    seen.first.get_or_insert_with(|| file.path.clone());
    let interpreter = &script.interpreter;
    let wrong = |why: &str| format!("{}: its interpreter {interpreter} {why}", file.path);
    if interpreter.starts_with(store_path::STORE_DIR) {
        let metadata = request.nix.physical(interpreter).and_then(|real| real.metadata().ok());
        match metadata {
            _ if !in_closure(closure, interpreter) => seen.wrong.push(wrong("is not in the closure")),
            None => seen.wrong.push(wrong("is not there")),
            Some(metadata) if !metadata.is_file() || !files::is_executable(&metadata) => {
                seen.wrong.push(wrong("is no program"));
            }
            Some(_) => {}
        }
    } else if !matches!(interpreter.as_str(), "/bin/sh" | "/usr/bin/env") {
        seen.wrong.push(wrong("is no path of the store: a board need not have it"));
    }
    if let Some(name) = script.through_env().filter(|name| *name != "sh" && file.in_bin()) {
        let there = |path: &String| request.nix.physical(path).is_some_and(|real| real.join("bin").join(name).exists());
        if name.contains('/') && !in_closure(closure, name) || !name.contains('/') && !closure.iter().any(there) {
            seen.wrong
                .push(format!("{}: its interpreter {name}, which `env` looks for, is not in the closure", file.path));
        }
    }
    seen.notes.push(format!("{}: a script for {interpreter}", file.path));
    true
}

/// Looks at a file among the programs that is none by its first bytes.
fn look_at_stray(wanted: &Expected, file: &StoreFile, seen: &mut Seen) {
    let below = file.path.split('/').nth(4).unwrap_or_default();
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if file.head.is_empty() && below.starts_with("lib") && name.contains(".so") {
        seen.wrong.push(format!("{}: an empty library", file.path));
    }
    if !file.executable || !matches!(below, "bin" | "sbin") || matches!(wanted, Expected::Format(_)) {
        return;
    }
    let printable = |text: &str| text.chars().all(|c| !c.is_control() || c.is_whitespace() || c == '\x1b');
    // The first bytes can end within a character.
    let text = match std::str::from_utf8(&file.head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_some() => "\0",
        Err(error) => std::str::from_utf8(file.head.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or("\0"),
    };
    match printable(text) {
        true => seen.notes.push(format!("{}: a text without a first line that says what starts it", file.path)),
        false => seen.wrong.push(format!("{}: it begins as no program does", file.path)),
    }
}

/// Looks for links among the programs and libraries that lead to nothing, or out of the store.
fn dangling(request: &Request<'_>, output: &str, seen: &mut Seen) {
    // Below another root a link to a path of the store leads out of it.
    let Some(real) = request.nix.physical(output).filter(|real| real.as_os_str() == output) else { return };
    for (below, metadata) in files::walk(&real) {
        let in_bin = ["bin", "sbin", "libexec"].iter().any(|dir| below.starts_with(dir));
        let is_library = || {
            let name = below.file_name().unwrap_or_default().to_string_lossy();
            ["lib", "lib32", "lib64"].iter().any(|dir| below.starts_with(dir)) && name.contains(".so")
        };
        if !metadata.is_symlink() || !in_bin && !is_library() {
            continue;
        }
        let file = || format!("{output}/{}", below.display());
        match real.join(&below).canonicalize() {
            Err(_) => seen.wrong.push(format!("{}: a link to nothing", file())),
            Ok(end) if !end.starts_with(store_path::STORE_DIR) => {
                seen.wrong.push(format!("{}: a link that leads out of the store, to {}", file(), end.display()));
            }
            Ok(_) => {}
        }
    }
}

fn look_at_archive(wanted: &Expected, also: Option<&Expected>, file: &StoreFile, bytes: &[u8], seen: &mut Seen) {
    let Ok(Some(members)) = archive::members(bytes) else { return };
    let mut some = false;
    for data in members.iter().filter_map(|member| member.data).filter(|data| data.starts_with(b"\x7fELF")) {
        some = true;
        if let Err(mismatch) = wanted.matches(data)
            && also.is_none_or(|also| also.matches(data).is_err())
        {
            seen.wrong.push(format!("{}: {mismatch}", file.path));
            return;
        }
    }
    if some {
        seen.objects += 1;
    }
}

/// Looks at all that the target needs to run besides itself: scripts that nothing starts, damaged files, programs of the build
/// machine.
fn dependencies(request: &Request<'_>, host: &str, wanted: &Expected, closure: &BTreeSet<String>, seen: &mut Seen) {
    let build =
        request.facts.build.as_deref().filter(|build| *build != host).and_then(|build| Platform::parse(build).ok());
    let of_build = match (build.as_ref().map(expected), wanted) {
        (Some(Expected::Elf(of_build)), Expected::Elf(of_host)) => {
            if of_build.machines == of_host.machines && of_build.class == of_host.class {
                let note = "build machine and board have the same processor: their programs cannot be told apart";
                seen.notes.push(note.into());
                None
            } else {
                Some(of_build)
            }
        }
        _ => None,
    };
    let mut theirs = Seen::default();
    for path in closure.iter().filter(|path| !request.outputs.contains(path)) {
        for file in files::below(request.nix, path) {
            if look_at_start(request, closure, &file, &mut theirs) || !file.is_elf() {
                continue;
            }
            let elf = match fs::read(&file.real).map(|bytes| Elf::read(&bytes)) {
                Ok(Ok(Some(elf))) if elf.linkage().is_some() => elf,
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => {
                    theirs.wrong.push(format!("{}: {error}", file.path));
                    continue;
                }
                Err(error) => {
                    theirs.wrong.push(format!("{}: {error}", file.path));
                    continue;
                }
            };
            if let Some(damage) = &elf.damage {
                theirs.wrong.push(format!("{}: {damage}", file.path));
            }
            if of_build.as_ref().is_some_and(|of_build| of_build.matches(&elf).is_ok()) && file.in_bin_or_lib() {
                theirs.wrong.push(format!("{}: a program of the build machine is in the runtime closure", file.path));
            } else if let Some(interpreter) =
                elf.interpreter.as_ref().filter(|i| elf.is_program() && !in_closure(closure, i))
            {
                theirs.wrong.push(format!("{}: its interpreter {interpreter} is not in the closure", file.path));
            }
        }
    }
    seen.wrong.extend(theirs.wrong);
    seen.notes.extend(theirs.notes);
}

fn in_closure(closure: &BTreeSet<String>, path: &str) -> bool {
    let end = path.strip_prefix(store_path::STORE_DIR).and_then(|rest| rest.get(1..)?.find('/'));
    let top = end.map_or(path, |end| path.get(..store_path::STORE_DIR.len() + 1 + end).unwrap_or(path));
    closure.contains(top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_in_the_closure_by_its_store_path() {
        let closure = [String::from("/nix/store/a-musl")].into();
        assert!(in_closure(&closure, "/nix/store/a-musl/lib/ld.so"));
        assert!(in_closure(&closure, "/nix/store/a-musl"));
        assert!(!in_closure(&closure, "/nix/store/a-musl2/lib/ld.so"));
        assert!(!in_closure(&closure, "/lib/ld.so"));
    }
}
