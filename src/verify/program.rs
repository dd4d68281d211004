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

/// What is looked at.
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

/// Judges the level.
///
/// # Errors
/// Those of asking Nix for the closure.
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
        for file in files::below(request.nix, output) {
            look(request, &wanted, also.as_ref(), &closure, &file, &mut seen);
            look_at_firmware(&platform, &file, &mut seen);
        }
    }
    if seen.programs.is_empty() && seen.libraries == 0 && seen.objects == 0 && seen.wrong.is_empty() {
        let answer = match firmware(&seen) {
            Some(what) => Answer::not_applicable(format!("{what}; no program, library or object file in its outputs")),
            None => Answer::not_applicable("there is no program, library or object file in its outputs"),
        };
        return Ok(answer.evidence(seen.notes));
    }
    build_machine(request, host, &wanted, &closure, &mut seen);
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
    for (count, one) in
        [(seen.programs.len(), "program"), (seen.libraries, "shared library"), (seen.objects, "object file")]
    {
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
    if let Some(script) = ldd::shebang(&file.head).filter(|_| file.executable && file.in_bin()) {
        look_at_script(request, closure, file, &script.interpreter, seen);
        return;
    }
    if !file.is_elf() && !is_archive && !other_format {
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
    if let Some(damage) = &elf.damage {
        seen.notes.push(format!("{}: {damage}", file.path));
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

fn look_at_script(
    request: &Request<'_>,
    closure: &BTreeSet<String>,
    file: &StoreFile,
    interpreter: &str,
    seen: &mut Seen,
) {
    if interpreter.starts_with(store_path::STORE_DIR) {
        if !in_closure(closure, interpreter) {
            seen.wrong.push(format!("{}: its interpreter {interpreter} is not in the closure", file.path));
        }
    } else if request.facts.is_cross() && !matches!(interpreter, "/bin/sh" | "/usr/bin/env") {
        seen.notes.push(format!("{}: starts {interpreter}, which has to be on the board", file.path));
    }
    seen.notes.push(format!("{}: a script for {interpreter}", file.path));
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

/// Looks for programs of the build machine in all that the target needs to run.
fn build_machine(request: &Request<'_>, host: &str, wanted: &Expected, closure: &BTreeSet<String>, seen: &mut Seen) {
    let Some(build) = request.facts.build.as_deref().filter(|build| *build != host) else { return };
    let Ok(build) = Platform::parse(build) else { return };
    let (Expected::Elf(of_build), Expected::Elf(of_host)) = (expected(&build), wanted) else { return };
    if of_build.machines == of_host.machines && of_build.class == of_host.class {
        seen.notes.push("build machine and board have the same processor: their programs cannot be told apart".into());
        return;
    }
    for path in closure.iter().filter(|path| !request.outputs.contains(path)) {
        for file in files::below(request.nix, path).iter().filter(|file| file.is_elf() && file.in_bin_or_lib()) {
            if let Ok(Some(elf)) = Elf::read(&file.head)
                && of_build.matches(&elf).is_ok()
                && (elf.is_program() || elf.linkage().is_some())
            {
                seen.wrong.push(format!("{}: a program of the build machine is in the runtime closure", file.path));
            }
        }
    }
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
