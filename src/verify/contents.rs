//! The sixth level: the patched code is in the programs.
//!
//! All other levels are green when a program is linked with a copy of the library that the overlay does not reach. So the
//! static libraries of the package are compared, unpatched with patched, and the programs searched for what differs.

use std::path::PathBuf;

use crate::base::fs;
use crate::base::text::plural;
use crate::cross::Elf;
use crate::cross::contents::{Contents, Verdict, contents};
use crate::graph::NodeId;
use crate::nix::{BuildRequest, Goal};
use crate::verify::Case;
use crate::verify::Error;
use crate::verify::asked::shell_word;
use crate::verify::derivation::Members;
use crate::verify::files;
use crate::verify::finding::{Answer, Cause};

/// The most programs of one target that are searched.
const PROGRAMS: usize = 50;
/// How many found parts are shown of a program.
const PARTS: usize = 5;

/// A static library without and with the patch.
struct Library {
    /// Its path below its output, `lib/libc.a`.
    name: String,
    before: Vec<u8>,
    after: Vec<u8>,
}

/// Judges the level.
///
/// # Errors
/// Those of asking Nix and of reading what it has built.
pub(super) fn judge(case: &mut Case<'_, '_>, members: &Members) -> Result<Answer, Error> {
    let package = case.package.attr.clone();
    let outputs = case.built_outputs();
    let board: Vec<NodeId> = members.patched.iter().copied().filter(|id| case.runs_on_board(*id)).collect();
    if members.is_empty() {
        return Ok(Answer::not_applicable("the target does not need the package"));
    }
    if board.is_empty() {
        return Ok(match members.unpatched.is_empty() && members.twice.is_empty() && members.unclear.is_empty() {
            true => Answer::not_applicable("nothing of the package reaches the board"),
            false => crate::verify::log::no_patched(members),
        });
    }
    if outputs.is_empty() {
        return Ok(Answer::not_built("the target"));
    }
    let programs = programs(case, &outputs)?;
    if programs.is_empty() {
        return Ok(Answer::not_applicable(
            "no program is linked statically: which library a program loads is seen at the level closure",
        ));
    }
    let mut libraries = Vec::new();
    for id in board {
        match pairs(case, id)? {
            Ok(pairs) => libraries.extend(pairs),
            Err(answer) => return Ok(answer),
        }
    }
    if libraries.is_empty() {
        return Ok(Answer::not_applicable(format!("{package} has no static library that the patch changes")));
    }
    let (mut verdicts, mut evidence) = (Vec::new(), Vec::new());
    for (path, real) in &programs {
        let bytes = fs::read(real)?;
        for library in &libraries {
            let found = contents(&library.before, &library.after, &bytes)?;
            evidence.push(format!("{path}: {}: {}", library.name, found.why));
            evidence.extend(found.evidence.iter().take(PARTS).map(|part| {
                let side = if part.patched { "patched" } else { "unpatched" };
                format!(
                    "  {side} {} of {} at byte {} of the program ({} bytes equal)",
                    part.part, part.member, part.offset, part.bytes
                )
            }));
            verdicts.push((path, library, found));
        }
    }
    Ok(conclude(case, members, &verdicts).evidence(evidence))
}

fn conclude(case: &Case<'_, '_>, members: &Members, verdicts: &[(&String, &Library, Contents)]) -> Answer {
    let package = &case.package.attr;
    let find = |verdict: Verdict| verdicts.iter().find(|(_, _, found)| found.verdict == verdict);
    let short = |path: &str| path.splitn(5, '/').nth(4).unwrap_or(path).to_string();
    // The bytes themselves are the proof by hand, whatever the machine.
    let command = |path: &str, found: &Contents, patched: bool| {
        let parts = found.evidence.iter().filter(|part| part.patched == patched);
        let (offset, bytes) = parts.max_by_key(|part| part.bytes).map_or((0, 0), |part| (part.offset, part.bytes));
        format!("od -A d -c -j {offset} -N {} {}", bytes.clamp(64, 512), shell_word(path))
    };
    if let Some((path, _, found)) = find(Verdict::Unpatched).or(find(Verdict::Mixed)) {
        let relatives: Vec<String> = members.relatives.iter().map(|id| case.needs.chain(*id).join(" -> ")).collect();
        let hint = match relatives.first() {
            Some(chain) => format!("the same source is built once more, out of the overlay's reach: {chain}"),
            None => "something brings a copy of its own: for Rust on musl say `-Clink-self-contained=no`".to_string(),
        };
        return Answer::failed(
            Cause::AnotherCopyLinked,
            format!("{} is linked with another copy of {package}: {}", short(path), found.why),
        )
        .hint(hint)
        .command(command(path, found, false));
    }
    let patched: Vec<_> = verdicts.iter().filter(|(_, _, found)| found.verdict == Verdict::Patched).collect();
    if let Some((path, library, found)) = patched.first() {
        let why = match patched.as_slice() {
            [_] => format!("{}: {}", short(path), found.why),
            many => format!("the patched code of {} is in {}", library.name, plural(many.len(), "program")),
        };
        return Answer::ok(why).command(command(path, found, true));
    }
    if let Some((path, _, found)) = find(Verdict::Unused) {
        return Answer::not_applicable(format!("{}: {}", short(path), found.why));
    }
    let why = verdicts.first().map(|(path, _, found)| format!("{}: {}", short(path), found.why)).unwrap_or_default();
    Answer::unknown(why)
}

/// Returns the target's statically linked programs: as they name themselves, and where they are.
fn programs(case: &Case<'_, '_>, outputs: &[String]) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut programs = Vec::new();
    for output in outputs {
        for file in files::below(case.nix, output).into_iter().filter(files::StoreFile::is_elf) {
            if programs.len() >= PROGRAMS {
                return Ok(programs);
            }
            let bytes = fs::read(&file.real)?;
            // What cannot be read is the matter of the level program.
            if let Ok(Some(elf)) = Elf::read(&bytes)
                && elf.is_program()
                && elf.is_static()
            {
                programs.push((file.path, file.real));
            }
        }
    }
    Ok(programs)
}

/// Returns the static libraries of a derivation that the patch changes, or why they cannot be had.
fn pairs(case: &mut Case<'_, '_>, id: NodeId) -> Result<Result<Vec<Library>, Answer>, Error> {
    let after = case.delta.after().node(id);
    let name = after.name().to_string();
    let Some(before) = case.delta.counterpart(id).map(|old| case.delta.before().node(old)) else {
        return Ok(Err(Answer::unknown(format!("there is no unpatched {name} to compare with"))));
    };
    if !after.outputs().any(|(_, path)| case.valid.contains(path)) {
        return Ok(Err(Answer::unknown(format!("the patched {name} is not in the store any more"))
            .hint("`overlayctl build` with the package itself as target builds it again")));
    }
    let old_outputs: Vec<(&str, &str)> = before.outputs().collect();
    let paths: Vec<&str> = old_outputs.iter().map(|(_, path)| *path).collect();
    // It may have been built for another target a moment ago.
    let there = |case: &Case<'_, '_>| -> Result<bool, Error> { Ok(!case.nix.valid(&paths)?.is_empty()) };
    if !there(case)? {
        if !case.may_build {
            return Ok(Err(Answer::unknown(format!("the unpatched {name} is not there to compare with"))
                .hint("leave --no-build out, and it is built for that")));
        }
        case.progress.stage(&format!("building the unpatched {name}, to compare the patched one with"));
        let goal = Goal { drv_path: before.drv_path().to_string(), outputs: Vec::new(), link: None };
        let report = case.nix.build(&BuildRequest { goals: vec![goal], ..BuildRequest::default() }, &mut |_, _| {})?;
        match report.check() {
            Err(error @ crate::nix::Error::Interrupted) => return Err(error.into()),
            Err(error) => {
                return Ok(Err(Answer::unknown(format!("the unpatched {name} does not build: {error}"))
                    .command(format!("nix-store --realise {}", before.drv_path()))));
            }
            Ok(()) => {}
        }
    }
    let mut libraries = Vec::new();
    for (output, path) in after.outputs() {
        let Some((_, old_path)) = old_outputs.iter().find(|(name, _)| *name == output) else { continue };
        for file in files::below(case.nix, path).into_iter().filter(|file| file.path.ends_with(".a")) {
            let below = file.path.strip_prefix(path).unwrap_or_default().trim_start_matches('/').to_string();
            let Some(old_real) = case.nix.physical(old_path).map(|real| real.join(&below)) else { continue };
            if !old_real.is_file() {
                continue;
            }
            let (before, after) = (fs::read(&old_real)?, fs::read(&file.real)?);
            if before != after {
                libraries.push(Library { name: below, before, after });
            }
        }
    }
    Ok(Ok(libraries))
}
