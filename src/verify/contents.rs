//! The sixth level: what the patch changes is in what was built, and the unpatched code is in nothing.
//!
//! All other levels are green when a patch reaches no output, and when a program holds a copy of the library that the overlay
//! does not reach. So the package is compared with itself without its patches ([`super::effect`]), and all that the target
//! needs to run is searched for the code and the texts that differ.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use memchr::memmem;

use super::asked::shell_word;
use super::derivation::Members;
use super::effect::{self, Effect};
use super::finding::{Answer, Cause};
use super::log::BuildLog;
use super::outputs::Difference;
use super::search::{Found, Searched, search};
use super::subject::Patch;
use super::traces::quoted;
use super::vendored::{MIN_COPY, code_unseen, is_header, vendored};
use super::{AttrPath, Case, Error};
use crate::base::fs;
use crate::base::store_path;
use crate::base::text::plural;
use crate::cross::contents::{Library, Verdict};
use crate::graph::NodeId;
use crate::patch::is_binary;

/// How many found parts are shown of a program, and how many files of a package.
const PARTS: usize = 5;
const FILES: usize = 20;

/// What is known of one patched derivation.
#[derive(Default)]
pub(super) struct Known {
    name: String,
    pub(super) effect: Effect,
    /// The libraries that differ and can be looked for, by their paths, and whether they are archives.
    pub(super) libraries: Vec<(String, bool, Library)>,
    /// Those that differ and say nothing, with the reason.
    mute: Vec<String>,
    /// Texts that differ (scripts, settings, headers): the file, and what it is without the patches.
    pub(super) texts: Vec<(String, Vec<u8>)>,
    /// Whether one of the files that differ is no text.
    pub(super) binary: bool,
    /// What stands between quotes in headers without the patches only: the file, and the text.
    pub(super) literals: Vec<(String, Vec<u8>)>,
}

/// What is known of derivations, for all targets of a run.
pub(super) type Comparisons = BTreeMap<(String, NodeId), Rc<Result<Known, Answer>>>;

pub(super) fn judge(case: &mut Case<'_, '_>, members: &Members, logs: &[BuildLog]) -> Result<Answer, Error> {
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
    if let Some(fails) = all.iter().find_map(|known| known.effect.fails.clone()) {
        return Ok(builds_only_patched(case, members, &ids, logs, fails));
    }
    if let Some(answer) = without_effect(case, &all) {
        return Ok(answer);
    }
    let shown = all.iter().map(|known| says(known)).collect::<Vec<_>>().join("; ");
    let evidence: Vec<String> = all.iter().flat_map(|known| lines(known)).collect();
    if let Some((file, is_copy)) = code_unseen(case, &all)
        && !(is_copy && target_without(case, &all)?.is_ok_and(|files| !files.is_empty()))
    {
        let why = format!("{shown}, and nothing of that is compiled: of the change to {file} nothing was seen");
        return Ok(Answer::unknown(why)
            .hint(format!("look whether {file} is compiled for this platform, or put back before the build"))
            .maybe_command(all.first().map(|known| known.effect.by_hand()))
            .evidence(evidence));
    }
    if board.is_empty() {
        return Ok(Answer::ok(format!("{shown}; it runs on the build machine only")).evidence(evidence));
    }
    let after = case.delta.after();
    let own: BTreeSet<String> = members
        .patched
        .iter()
        .chain(&members.exempt)
        .copied()
        .chain(ids.iter().filter_map(|id| user_of_source(case, *id)))
        .flat_map(|id| after.node(id).outputs().map(|(_, path)| path.to_string()))
        .collect();
    let closure = case.nix.requisites(&outputs)?;
    let searched = search(case, &all, closure.iter().filter(|path| !own.contains(*path)))?;
    let loads = closure.iter().any(|path| own.contains(path));
    let answer = conclude(case, members, &all, &searched, &shown, loads)?;
    let closed = searched.closed.iter().map(|what| format!("not looked into: {what}"));
    Ok(answer.evidence(evidence).evidence(searched.found.iter().flat_map(|f| parts(f))).evidence(closed))
}

/// Answers where the package does not build without its patches: one patch that the log says was applied is what makes it build. There
/// is nothing to know a copy by but the source.
fn builds_only_patched(
    case: &mut Case<'_, '_>,
    members: &Members,
    ids: &[NodeId],
    logs: &[BuildLog],
    fails: Answer,
) -> Answer {
    let is_applied = |case: &mut Case<'_, '_>, id: NodeId| {
        let own = case.own_patches(id);
        let text = logs.iter().find(|log| log.id == id).and_then(|log| log.text.as_deref()).unwrap_or_default();
        own.len() == 1 && own.iter().all(|path| matches!(super::log::said(text, path), super::log::Said::Applied(_)))
    };
    if !ids.iter().all(|id| is_applied(case, *id)) {
        return fails;
    }
    let vendored = vendored(case, members);
    if vendored.copy.is_some() {
        return fails;
    }
    let name = ids.first().map(|id| case.delta.after().node(*id).name().to_string()).unwrap_or_default();
    Answer::ok(format!("{name} builds with the patch only"))
        .maybe_command(fails.command)
        .evidence([fails.why])
        .evidence(vendored.unseen())
}

/// Compares a derivation with what it is without its patches, once for all targets.
fn of(case: &mut Case<'_, '_>, id: NodeId) -> Result<Rc<Result<Known, Answer>>, Error> {
    let key = (case.package.attr.to_string(), id);
    if let Some(known) = case.comparisons.get(&key) {
        return Ok(known.clone());
    }
    let after = case.delta.after();
    let known = match effect::of(case, id)? {
        // What a patched source changes is seen in what is built of it.
        Ok(Effect { plain: Some(plain), .. }) if user_of_source(case, id).is_some() => {
            let user = user_of_source(case, id).unwrap_or(id);
            match effect::of_user(case, user, id, plain)? {
                Ok(effect) => Ok(libraries(after.node(user).name().to_string(), effect)?),
                Err(answer) => Err(answer),
            }
        }
        Ok(effect) => Ok(libraries(after.node(id).name().to_string(), effect)?),
        Err(answer) => Err(answer),
    };
    let known = Rc::new(known);
    case.comparisons.insert(key, known.clone());
    Ok(known)
}

/// Returns what the target needs that has the derivation for its source.
fn user_of_source(case: &Case<'_, '_>, id: NodeId) -> Option<NodeId> {
    let after = case.delta.after();
    let is_source = |user: NodeId| {
        after
            .node(id)
            .outputs()
            .any(|(_, path)| !path.is_empty() && after.node(user).sources().any(|source| source == path))
    };
    case.needs.ids().find(|user| is_source(*user))
}

/// The shortest text between quotes that is looked for.
const MIN_QUOTED: usize = 20;

fn libraries(name: String, effect: Effect) -> Result<Known, Error> {
    let mut known = Known { name, effect, ..Known::default() };
    for difference in &known.effect.differences {
        let read = |side: &Option<PathBuf>| side.as_deref().map(fs::read).transpose();
        let sides = (read(&difference.old)?, read(&difference.new)?);
        known.binary |= [&sides.0, &sides.1].into_iter().flatten().any(|bytes| is_binary(bytes));
        let (Some(old), Some(new)) = sides else { continue };
        if !is_binary(&old) {
            if is_header(&difference.file) {
                let gone = old.split(|b| *b == b'\n').flat_map(quoted);
                let gone = gone.filter(|text| text.len() >= MIN_QUOTED && memmem::find(&new, text).is_none());
                known.literals.extend(gone.map(|text| (difference.file.clone(), text.to_vec())));
            }
            if old.len() >= MIN_COPY {
                known.texts.push((difference.file.clone(), old));
            }
            continue;
        }
        if !new.starts_with(b"!<arch>\n") {
            let shared = Library::shared(&old, &new);
            known.libraries.extend(shared.map(|library| (difference.file.clone(), false, library)));
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
    let files: Vec<String> = touched.flat_map(Patch::changed_files).collect();
    let hint = format!(
        "{} changes {}: not compiled or installed for this platform, put back by postPatch, or in the source already",
        patch,
        if files.is_empty() { "files".to_string() } else { files.join(", ") }
    );
    Some(Answer::failed(Cause::NoEffect, why).hint(hint).command(first.effect.by_hand()))
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

fn short(path: &str) -> &str {
    path.splitn(5, '/').nth(4).unwrap_or(path)
}

/// Returns the command that shows the bytes themselves: a proof by hand whatever the machine.
fn bytes_by_hand(found: &Found<'_>, patched: bool) -> String {
    let parts = found.contents.evidence.iter().filter(|part| part.patched == patched);
    let (offset, bytes) = parts.max_by_key(|part| part.bytes).map_or((0, 0), |part| (part.offset, part.bytes));
    format!("od -A d -c -j {offset} -N {} {}", bytes.clamp(64, 512), shell_word(&found.program))
}

/// All that is known of a target when everything was looked at, but what only building it once more can tell.
struct Looked<'l> {
    package: &'l AttrPath,
    found: &'l [Found<'l>],
    closed: &'l [String],
    /// What differs, in words.
    shown: &'l str,
    /// Whether the target has the patched package in its closure.
    loads: bool,
    by_hand: String,
    /// A static library that differs and of which nothing can be looked for.
    mute: Option<&'l String>,
    /// The copy in a source of the target.
    vendored: Option<(String, NodeId)>,
    patched: Vec<&'l Found<'l>>,
}

fn conclude(
    case: &mut Case<'_, '_>,
    members: &Members,
    all: &[&Known],
    searched: &Searched<'_>,
    shown: &str,
    loads: bool,
) -> Result<Answer, Error> {
    let found = searched.found.as_slice();
    if let Some(answer) = another_copy(case, members, found) {
        return Ok(answer);
    }
    let vendored = vendored(case, members);
    let unseen = vendored.unseen();
    let looked = Looked {
        package: &case.package.attr,
        found,
        closed: &searched.closed,
        shown,
        loads,
        by_hand: all.first().map(|known| known.effect.by_hand()).unwrap_or_default(),
        mute: all.iter().flat_map(|known| &known.mute).find(|why| why.contains(".a: ")),
        vendored: vendored.copy,
        patched: found.iter().filter(|f| f.contents.verdict == Verdict::Patched).collect(),
    };
    let undecided = looked.undecided();
    let is_mute = looked.mute.is_some() && looked.patched.is_empty() && !loads;
    let by_comparison = match undecided.is_empty() && !is_mute {
        true => None,
        false => looked.compared(undecided, target_without(case, all)?),
    };
    let answer = by_comparison.unwrap_or_else(|| {
        // Who calls the library has not built the copy in.
        looked.seen(|user| case.delta.after().node(user).outputs().any(|(_, path)| searched.callers.contains(path)))
    });
    Ok(answer.evidence(unseen))
}

/// Answers where a program holds the code without the patch.
fn another_copy(case: &Case<'_, '_>, members: &Members, found: &[Found<'_>]) -> Option<Answer> {
    let of = |verdict: Verdict| found.iter().find(|f| f.contents.verdict == verdict);
    let found = of(Verdict::Unpatched).or(of(Verdict::Mixed))?;
    let hint = match members.relatives.first() {
        Some(id) => {
            let chain = case.needs.chain(*id).join(" -> ");
            format!("the same source is built once more, out of the overlay's reach: {chain}")
        }
        None => "something brings a copy of its own: for Rust on musl say `-Clink-self-contained=no`".to_string(),
    };
    let why = format!("{} holds another copy of {}: {}", short(&found.program), case.package.attr, found.contents.why);
    Some(Answer::failed(Cause::AnotherCopyLinked, why).hint(hint).command(bytes_by_hand(found, false)))
}

impl<'l> Looked<'l> {
    /// Says whether code of the package was recognised in the program in which this was found.
    fn is_seen(&self, f: &Found<'_>) -> bool {
        self.found
            .iter()
            .any(|o| o.program == f.program && matches!(o.contents.verdict, Verdict::Patched | Verdict::Unused))
    }

    /// Returns what may be a copy with or without the patch.
    fn undecided(&self) -> Vec<&'l Found<'l>> {
        let unseen = self.found.iter().filter(|f| !self.is_seen(f));
        // A static program in which nothing of a library that differs was recognised: it may be there, optimised beyond recognition.
        let with_static = self.patched.is_empty() || self.vendored.is_some();
        let is_mute = |f: &&Found<'_>| f.is_static && f.contents.verdict == Verdict::Unknown;
        let (copies, rest): (Vec<_>, Vec<_>) = unseen.partition(|f| f.contents.copy);
        copies.into_iter().chain(rest.into_iter().filter(|f| with_static && is_mute(f))).collect()
    }

    /// Answers by what of the target is another one with the unpatched package; `None` where that leaves it to what was seen.
    fn compared(&self, undecided: Vec<&Found<'_>>, without: Result<Vec<String>, Answer>) -> Option<Answer> {
        let by_hand = || self.by_hand.clone();
        // A file that is another one with the unpatched package has what it has from there.
        let (rest, why) = match without {
            Ok(files) => {
                let from_package =
                    |f: &&Found<'_>| (f.is_static || !f.packed) && files.iter().any(|file| file == short(&f.program));
                let rest: Vec<&Found<'_>> = undecided.into_iter().filter(|f| !from_package(f)).collect();
                if rest.is_empty() && !files.is_empty() {
                    let files = files.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
                    let why = "the target, made with the package without its patches, differs in";
                    return Some(Answer::ok(format!("{}; {why} {files}", self.shown)).command(by_hand()));
                }
                (rest, None)
            }
            Err(answer) => (undecided, Some(answer)),
        };
        let doubt = rest.iter().find(|f| f.contents.copy || why.is_some());
        let doubt = doubt.map(|f| format!("{}: {}", short(&f.program), f.contents.why));
        if let Some(doubt) = doubt.or(self.mute.filter(|_| rest.is_empty()).cloned()) {
            return Some(match why {
                Some(answer) => Answer::unknown(format!("{doubt}; {}", answer.why))
                    .maybe(answer.hint, answer.command.or_else(|| Some(by_hand()))),
                None => Answer::unknown(format!("{doubt}; whether that copy is the patched one could not be told"))
                    .hint("name the file's own build among the targets, or show by --run --expect what it does")
                    .command(by_hand()),
            });
        }
        if let Some((file, _)) = &self.vendored {
            return Some(self.not_told(file));
        }
        let nothing = || Answer::ok(format!("{}; the target holds nothing of that", self.shown)).command(by_hand());
        self.patched.is_empty().then(nothing)
    }

    /// Answers by what was found; `calls` says whether something calls what a library of the package exports.
    fn seen(&self, calls: impl Fn(NodeId) -> bool) -> Answer {
        if let Some(first) = self.patched.first() {
            let why = match self.patched.iter().map(|f| &f.program).collect::<BTreeSet<_>>().len() {
                1 => format!("{}: {}", short(&first.program), first.contents.why),
                many => format!("the patched code of {} is in {}", first.library, plural(many, "program")),
            };
            return Answer::ok(why).command(bytes_by_hand(first, true));
        }
        let (shown, loads) = (self.shown, self.loads);
        if let Some(what) = self.closed.first().filter(|_| !loads) {
            let path = what.split(": ").next().unwrap_or_default();
            return Answer::unknown(format!("{shown}; {what}, which was not looked into"))
                .hint("name what is in the image among the targets, or unpack it and look")
                .command(format!("file {}", shell_word(path)));
        }
        if let Some((file, _)) = self.vendored.as_ref().filter(|(_, user)| !(loads && calls(*user))) {
            return self.not_told(file);
        }
        let unused = self.found.iter().find(|f| f.contents.verdict == Verdict::Unused);
        let why = match unused {
            _ if loads => format!("{shown}, which the target has in its closure"),
            Some(found) => format!("{shown}; {}: {}", short(&found.program), found.contents.why),
            None => format!("{shown}; none of that is in a program of the target"),
        };
        Answer::ok(why).command(self.by_hand.clone())
    }

    fn not_told(&self, file: &str) -> Answer {
        let package = self.package;
        Answer::unknown(format!(
            "a source of the target holds {file} of {package} without the patch, and whether that is built into it could not be told"
        ))
        .hint(format!("look whether it is built with its own copy or with {package}; --run --expect shows what it does"))
        .command(self.by_hand.clone())
    }
}

/// Builds the target with the package without its patches and compares: the files that differ; an answer where that is not to be had.
fn target_without(case: &mut Case<'_, '_>, all: &[&Known]) -> Result<Result<Vec<String>, Answer>, Error> {
    let after = case.delta.after();
    let root = case.needs.target();
    let direct = after.inputs(root).iter().find_map(|id| {
        let known = all.iter().find(|known| known.name == after.node(*id).name())?;
        Some((*id, known.effect.plain.clone()?))
    });
    let Some((id, plain)) = direct else {
        return Ok(Err(Answer::unknown("the target takes it by way of other packages, which would all be built anew")));
    };
    let effect = effect::of_user(case, root, id, plain)?;
    Ok(effect.map(|effect| effect.differences.into_iter().map(|d| d.file).collect()))
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
