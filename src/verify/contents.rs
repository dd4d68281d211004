//! The sixth level: what the patch changes is in what was built, and the unpatched code is in nothing.
//!
//! All other levels are green when a patch reaches no output, and when a program holds a copy of the library that the overlay
//! does not reach. So the package is compared with itself without its patches ([`super::effect`]), and all that the target
//! needs to run is searched for the code and the texts that differ.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::asked::shell_word;
use super::derivation::Members;
use super::effect::{self, Difference, Effect};
use super::files;
use super::finding::{Answer, Cause};
use super::variant::{Change, Replacement, Variant};
use super::{Case, Error};
use crate::base::fs;
use crate::base::store_path;
use crate::base::text::plural;
use crate::cross::Elf;
use crate::cross::contents::{Contents, Library, Verdict};
use crate::cross::elf::Kind;
use crate::graph::NodeId;

/// How many found parts are shown of a program, and how many files of a package.
const PARTS: usize = 5;
const FILES: usize = 20;

/// What is known of one patched derivation.
pub(super) struct Known {
    name: String,
    effect: Effect,
    /// The libraries that differ and can be looked for, by their paths, and whether they are archives.
    libraries: Vec<(String, bool, Library)>,
    /// Those that differ and say nothing, with the reason.
    mute: Vec<String>,
}

/// What is known of derivations, for all targets of a run.
pub(super) type Comparisons = BTreeMap<(String, NodeId), Rc<Result<Known, Answer>>>;

/// A library in a program of the target's closure.
struct Found<'k> {
    program: String,
    is_static: bool,
    library: &'k str,
    contents: Contents,
}

/// Judges the level.
///
/// # Errors
/// Those of asking Nix and of reading what it has built.
pub(super) fn judge(case: &mut Case<'_, '_>, members: &Members) -> Result<Answer, Error> {
    if members.is_empty() {
        return Ok(Answer::not_applicable("the target does not need the package"));
    }
    if members.patched.is_empty() {
        return Ok(super::log::no_patched(members));
    }
    let board: Vec<NodeId> = members.patched.iter().copied().filter(|id| case.runs_on_board(*id)).collect();
    // Of what runs on the build machine the one nearest to the target is enough.
    let ids = if board.is_empty() { members.patched.iter().copied().take(1).collect() } else { board.clone() };
    let outputs = case.built_outputs();
    if outputs.is_empty() {
        return Ok(Answer::not_built("the target"));
    }
    let mut known = Vec::new();
    for id in &ids {
        known.push(of(case, *id)?);
    }
    let mut all: Vec<&Known> = Vec::new();
    for known in &known {
        match &**known {
            Ok(known) => all.push(known),
            Err(answer) => return Ok(answer.clone()),
        }
    }
    if let Some(answer) = without_effect(case, &all) {
        return Ok(answer);
    }
    let shown = all.iter().map(|known| says(known)).collect::<Vec<_>>().join("; ");
    let evidence: Vec<String> = all.iter().flat_map(|known| lines(known)).collect();
    if board.is_empty() {
        return Ok(Answer::ok(format!("{shown}; it runs on the build machine only")).evidence(evidence));
    }
    let after = case.delta.after();
    let own: BTreeSet<String> = members
        .patched
        .iter()
        .chain(&members.exempt)
        .flat_map(|id| after.node(*id).outputs().map(|(_, path)| path.to_string()))
        .collect();
    let closure = case.nix.requisites(&outputs)?;
    let found = search(case, &all, closure.iter().filter(|path| !own.contains(*path)))?;
    let loads = closure.iter().any(|path| own.contains(path));
    let answer = conclude(case, members, &all, &found, &shown, loads)?;
    Ok(answer.evidence(evidence).evidence(found.iter().flat_map(|f| parts(f))))
}

/// Compares a derivation with what it is without its patches, once for all targets.
fn of(case: &mut Case<'_, '_>, id: NodeId) -> Result<Rc<Result<Known, Answer>>, Error> {
    let key = (case.package.attr.to_string(), id);
    if let Some(known) = case.comparisons.get(&key) {
        return Ok(known.clone());
    }
    let name = case.delta.after().node(id).name().to_string();
    let known = match effect::of(case, id)? {
        Ok(effect) => Ok(libraries(name, effect)?),
        Err(answer) => Err(answer),
    };
    let known = Rc::new(known);
    case.comparisons.insert(key, known.clone());
    Ok(known)
}

fn libraries(name: String, effect: Effect) -> Result<Known, Error> {
    let mut known = Known { name, effect, libraries: Vec::new(), mute: Vec::new() };
    for difference in &known.effect.differences {
        let (Some(old), Some(new)) = (&difference.old, &difference.new) else { continue };
        let (old, new) = (fs::read(old)?, fs::read(new)?);
        let is_archive = new.starts_with(b"!<arch>\n");
        if !is_archive {
            known
                .libraries
                .extend(Library::shared(&old, &new).map(|library| (difference.file.clone(), false, library)));
            continue;
        }
        match Library::archive(&old, &new)? {
            Ok(library) => known.libraries.push((difference.file.clone(), true, library)),
            Err(contents) => known.mute.push(format!("{}: {}", difference.file, contents.why)),
        }
    }
    Ok(known)
}

/// Says which patches change nothing, where there are such: in each variant of the package.
fn without_effect(case: &Case<'_, '_>, all: &[&Known]) -> Option<Answer> {
    let first = all.first()?;
    let idle: Vec<&String> = first
        .effect
        .without_effect
        .iter()
        .filter(|patch| all.iter().all(|known| known.effect.without_effect.contains(patch)))
        .collect();
    let patch = idle.first()?;
    let same = plural(first.effect.compared, "file");
    let why = match first.effect.differences.is_empty() {
        true => format!("{} is the same without {patch}: {same} compared, and none differs", first.name),
        false => format!("{} is the same without {patch}, which its other patches do not need", first.name),
    };
    let touched = case.package.patches.iter().filter(|p| idle.iter().any(|i| i.ends_with(&p.name)));
    let files: Vec<String> = touched.filter_map(|p| p.bytes.as_deref()).flat_map(changed_files).collect();
    let hint = format!(
        "{} changes {}: not compiled or installed for this platform, put back by postPatch, or in the source already",
        patch,
        if files.is_empty() { "files".to_string() } else { files.join(", ") }
    );
    Some(Answer::failed(Cause::NoEffect, why).hint(hint).command(first.effect.by_hand()))
}

/// Returns the files that a patch changes.
pub(super) fn changed_files(patch: &[u8]) -> Vec<String> {
    let Ok(parsed) = crate::patch::PatchFile::parse(patch) else { return Vec::new() };
    parsed.check(parsed.strip_level()).unwrap_or_default().iter().map(|target| target.path().to_string()).collect()
}

fn says(known: &Known) -> String {
    let files: Vec<&str> = known.effect.differences.iter().map(|d| d.file.as_str()).collect();
    match files.as_slice() {
        [one] => format!("{} differs by it in {one}", known.name),
        [one, rest @ ..] => format!("{} differs by it in {one} and {} more", known.name, rest.len()),
        [] => format!("{} differs", known.name),
    }
}

fn lines(known: &Known) -> Vec<String> {
    let side = |d: &Difference| match (&d.old, &d.new) {
        (None, Some(_)) => "only with the patch",
        (Some(_), None) => "only without the patch",
        _ => "not the same without the patch",
    };
    let files = known.effect.differences.iter().take(FILES).map(|d| format!("{}: {}: {}", known.name, d.file, side(d)));
    files.chain(known.mute.iter().cloned()).collect()
}

fn parts(found: &Found<'_>) -> Vec<String> {
    if found.contents.evidence.is_empty() && !found.contents.copy && found.contents.same == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!("{}: {}: {}", found.program, found.library, found.contents.why)];
    lines.extend(found.contents.evidence.iter().take(PARTS).map(|part| {
        let side = if part.patched { "patched" } else { "unpatched" };
        format!(
            "  {side} {} of {} at byte {} of the program ({} bytes equal)",
            part.part, part.member, part.offset, part.bytes
        )
    }));
    lines
}

/// Searches every program and library of these store paths for the libraries.
fn search<'k, 'p>(
    case: &mut Case<'_, '_>,
    all: &[&'k Known],
    paths: impl Iterator<Item = &'p String>,
) -> Result<Vec<Found<'k>>, Error> {
    let mut found = Vec::new();
    for path in paths {
        for file in files::below(case.nix, path).into_iter().filter(files::StoreFile::is_elf) {
            let bytes = fs::read(&file.real)?;
            // What cannot be read is the matter of the level program.
            let Ok(Some(elf)) = Elf::read(&bytes) else { continue };
            if !matches!(elf.kind, Kind::Executable | Kind::Pie | Kind::Shared) {
                continue;
            }
            for (name, is_archive, library) in all.iter().flat_map(|known| &known.libraries) {
                let contents = library.look(&bytes)?;
                // That a shared library is not in a program is as it should be.
                if *is_archive || !contents.evidence.is_empty() || contents.copy {
                    found.push(Found {
                        program: file.path.clone(),
                        is_static: elf.is_static(),
                        library: name,
                        contents,
                    });
                }
            }
        }
    }
    Ok(found)
}

fn short(path: &str) -> &str {
    path.splitn(5, '/').nth(4).unwrap_or(path)
}

/// Returns the command that shows the bytes themselves: a proof by hand whatever the machine.
fn bytes_by_hand(found: &Found<'_>, patched: bool) -> String {
    let parts = found.contents.evidence.iter().filter(|part| part.patched == patched);
    let (offset, bytes) = parts.max_by_key(|part| part.bytes).map_or((0, 0), |part| (part.offset, part.bytes));
    format!("od -A d -c -j {offset} -N {} {}", bytes.clamp(64, 512), shell_word(&found.program))
}

fn conclude(
    case: &mut Case<'_, '_>,
    members: &Members,
    all: &[&Known],
    found: &[Found<'_>],
    shown: &str,
    loads: bool,
) -> Result<Answer, Error> {
    let package = case.package.attr.clone();
    let of = |verdict: Verdict| found.iter().find(|f| f.contents.verdict == verdict);
    if let Some(found) = of(Verdict::Unpatched).or(of(Verdict::Mixed)) {
        let relatives: Vec<String> = members.relatives.iter().map(|id| case.needs.chain(*id).join(" -> ")).collect();
        let hint = match relatives.first() {
            Some(chain) => format!("the same source is built once more, out of the overlay's reach: {chain}"),
            None => "something brings a copy of its own: for Rust on musl say `-Clink-self-contained=no`".to_string(),
        };
        return Ok(Answer::failed(
            Cause::AnotherCopyLinked,
            format!("{} is linked with another copy of {package}: {}", short(&found.program), found.contents.why),
        )
        .hint(hint)
        .command(bytes_by_hand(found, false)));
    }
    let by_hand = all.first().map(|known| known.effect.by_hand()).unwrap_or_default();
    let patched: Vec<&Found<'_>> = found.iter().filter(|f| f.contents.verdict == Verdict::Patched).collect();
    let copies: Vec<&Found<'_>> = found.iter().filter(|f| f.contents.copy).collect();
    // A static program in which nothing of a library that differs was recognised: it may be there, optimised beyond recognition.
    let is_seen = |f: &Found<'_>| {
        found.iter().any(|o| o.program == f.program && matches!(o.contents.verdict, Verdict::Patched | Verdict::Unused))
    };
    let unseen = found.iter().find(|f| f.is_static && f.contents.verdict == Verdict::Unknown && !is_seen(f));
    let mute = all.iter().flat_map(|known| &known.mute).find(|why| why.contains(".a: "));
    let undecided = copies.iter().find(|f| !is_seen(f)).copied().or(unseen.filter(|_| patched.is_empty()));
    if undecided.is_some() || (mute.is_some() && patched.is_empty() && !loads) {
        let why = match (undecided, mute) {
            (Some(found), _) => format!("{}: {}", short(&found.program), found.contents.why),
            (None, why) => why.cloned().unwrap_or_default(),
        };
        let differs = target_without(case, all)?;
        return Ok(match differs {
            Ok(Some(files)) if copies.iter().all(|f| f.is_static) => Answer::ok(format!(
                "{shown}; the target, linked with the package without its patches, differs in {files}"
            ))
            .command(by_hand),
            Ok(None) if copies.is_empty() && undecided.is_some() => {
                Answer::ok(format!("{shown}; the target holds nothing of that")).command(by_hand)
            }
            Ok(_) => Answer::unknown(format!("{why}; whether that copy is the patched one could not be told"))
                .hint("name the file's own build among the targets, or show by --run --expect what it does")
                .command(by_hand),
            Err(answer) => Answer::unknown(format!("{why}; {}", answer.why)).maybe(answer.hint, answer.command),
        });
    }
    if let Some(first) = patched.first() {
        let why = match patched.iter().map(|f| &f.program).collect::<BTreeSet<_>>().len() {
            1 => format!("{}: {}", short(&first.program), first.contents.why),
            many => format!("the patched code of {} is in {}", first.library, plural(many, "program")),
        };
        return Ok(Answer::ok(why).command(bytes_by_hand(first, true)));
    }
    if loads {
        return Ok(Answer::ok(format!("{shown}, which the target has in its closure")).command(by_hand));
    }
    if let Some(found) = of(Verdict::Unused) {
        let why = format!("{shown}; {}: {}", short(&found.program), found.contents.why);
        return Ok(Answer::ok(why).command(by_hand));
    }
    Ok(Answer::ok(format!("{shown}; none of that is in a program of the target")).command(by_hand))
}

/// Builds the target with the package without its patches and compares: the files that differ, `None` when none does; an answer
/// where that is not to be had.
fn target_without(case: &mut Case<'_, '_>, all: &[&Known]) -> Result<Result<Option<String>, Answer>, Error> {
    let after = case.delta.after();
    let root = case.needs.target();
    let direct = after.inputs(root).iter().find_map(|id| {
        let known = all.iter().find(|known| known.name == after.node(*id).name())?;
        Some((*id, known.effect.plain.clone()?))
    });
    let Some((id, plain)) = direct else {
        return Ok(Err(Answer::unknown("the target takes it by way of other packages, which would all be built anew")));
    };
    let paths = pairs(&plain, after.node(id).outputs());
    let input = Replacement { drv_path: after.node(id).drv_path().to_string(), by: plain, paths: paths.clone() };
    let change = Change { input: Some(input), ..Change::default() };
    let what = format!("with {} without its patches", case.package.attr);
    let variant = match effect::variant(case, root, after.node(root).drv_path(), &what, &change)? {
        Ok(variant) => variant,
        Err(answer) => return Ok(Err(answer)),
    };
    let outputs: Vec<(String, String)> =
        after.node(root).outputs().map(|(n, p)| (n.to_string(), p.to_string())).collect();
    let (differences, _) = effect::differences(case.nix, &variant.outputs, &outputs, &paths);
    let files: Vec<String> = differences.into_iter().map(|d| d.file).collect();
    Ok(Ok((!files.is_empty()).then(|| files.iter().take(3).cloned().collect::<Vec<_>>().join(", "))))
}

fn pairs<'n>(plain: &Variant, outputs: impl Iterator<Item = (&'n str, &'n str)>) -> Vec<(String, String)> {
    outputs
        .filter_map(|(name, path)| {
            let (_, other) = plain.outputs.iter().find(|(n, _)| n == name)?;
            Some((path.to_string(), other.clone()))
        })
        .collect()
}

impl Effect {
    /// Returns the command that compares the outputs by hand.
    fn by_hand(&self) -> String {
        let side = |take: &dyn Fn(&Difference) -> Option<String>| self.differences.iter().find_map(take);
        let old = side(&|d| d.old.as_deref().map(|p| p.display().to_string()));
        let new = side(&|d| d.new.as_deref().map(|p| p.display().to_string()));
        match (old, new, &self.plain) {
            (Some(old), Some(new), _) => format!("! cmp {} {}", shell_word(&old), shell_word(&new)),
            (_, _, Some(plain)) => {
                let path = plain.outputs.first().map_or("", |(_, path)| path.as_str());
                format!("ls -R {path} # {}", store_path::name(&plain.drv_path))
            }
            _ => String::new(),
        }
    }
}
