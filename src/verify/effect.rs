//! What the patches change of a package: its outputs, built without and with them, file by file.
//!
//! A patch of which nothing reaches an output is in nothing that runs, whatever the log says. Paths of the store and build ids,
//! which differ with every change of a derivation, do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::Case;
use super::files;
use super::finding::Answer;
use super::variant::{Change, Replacement, Variant, differ_in_patches_only};
use crate::base::{fs, store_path};
use crate::cross::elf::essence;
use crate::cross::{Elf, archive};
use crate::graph::NodeId;
use crate::nix::{BuildRequest, BuildSettings, Goal, Nix};
use crate::patch::PatchFile;
use crate::verify::Error;

/// A file of a package that is not the same without the patches; a side is `None` where it is not there.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    /// Its path below the output, with the output in front when that is not `out`.
    pub(super) file: String,
    pub(super) old: Option<PathBuf>,
    pub(super) new: Option<PathBuf>,
}

/// What the patches change.
#[derive(Debug, Clone, Default)]
pub(super) struct Effect {
    pub(super) differences: Vec<Difference>,
    /// The package without its patches: the derivation, and its outputs.
    pub(super) plain: Option<Variant>,
    /// The patches, by name, that change nothing.
    pub(super) without_effect: Vec<String>,
    pub(super) compared: usize,
    /// That the package does not build without its patches, so that there is nothing to compare with.
    pub(super) fails: Option<Answer>,
}

/// Why there is no variant.
enum NotMade {
    Fails(Answer),
    Other(Answer),
}

impl From<NotMade> for Answer {
    fn from(why: NotMade) -> Answer {
        match why {
            NotMade::Fails(answer) | NotMade::Other(answer) => answer,
        }
    }
}

type Outputs = [(String, String)];

/// Compares a patched derivation with what it is without the patches; an answer where that cannot be done.
pub(super) fn of(case: &mut Case<'_, '_>, id: NodeId) -> Result<Result<Effect, Answer>, Error> {
    let node = case.delta.after().node(id);
    let name = node.name();
    let outputs: Vec<(String, String)> = node.outputs().map(|(n, p)| (n.to_string(), p.to_string())).collect();
    let paths: Vec<&str> = outputs.iter().map(|(_, path)| path.as_str()).collect();
    let valid = case.nix.valid(&paths)?;
    let outputs: Vec<(String, String)> = outputs.into_iter().filter(|(_, path)| valid.contains(path)).collect();
    if outputs.is_empty() {
        return Ok(Err(Answer::unknown(format!("the patched {name} is not in the store any more"))
            .hint("`overlayctl build` with the package itself as target builds it again")));
    }
    let own = case.own_patches(id);
    let plain = match plain(case, id, &own)? {
        Ok(plain) => plain,
        Err(NotMade::Fails(answer)) => return Ok(Ok(Effect { fails: Some(answer), ..Effect::default() })),
        Err(NotMade::Other(answer)) => return Ok(Err(answer)),
    };
    let (mut differences, compared) = differences(case.nix, &plain.outputs, &outputs, &[]);
    let effect = |differences, without_effect| Effect {
        differences,
        plain: Some(plain.clone()),
        without_effect,
        compared,
        fails: None,
    };
    let names = |paths: &[String]| paths.iter().map(|p| store_path::name(p).to_string()).collect::<Vec<_>>();
    if differences.is_empty() && own.is_empty() {
        let why = format!("which patches of {name} are the workspace's could not be told, and nothing of it differs");
        return Ok(Err(Answer::unknown(why)));
    }
    if differences.is_empty() {
        return Ok(Ok(effect(differences, names(&own))));
    }
    // A patch file that is installed is there because it is named, not because it was applied.
    differences.retain(|d| !own.iter().filter_map(|path| hash_part(path)).any(|hash| d.file.contains(hash)));
    if differences.is_empty() {
        return Ok(Ok(effect(differences, names(&own))));
    }
    let unexplained = unexplained(case.nix, &own, &differences);
    if unexplained.is_empty() {
        return Ok(Ok(effect(differences, Vec::new())));
    }
    // What differs between two builds of the same, and what differs for a patch that says nothing, is no effect of a patch. Not every
    // patchPhase takes such a one.
    let nothing = Change { emptied: own.clone(), ..Change::default() };
    let what = "with patches that change nothing";
    let control = match variant(case, id, case.delta.after().node(id).drv_path(), what, &nothing)? {
        Ok(control) => Ok(control),
        Err(_) => {
            let again = Change { set: [("overlayctlAgain", "1".to_string())].into(), ..Change::default() };
            variant(case, id, &plain.drv_path, "once more without its patches", &again)?
        }
    };
    let noise = match control {
        Ok(control) => self::differences(case.nix, &plain.outputs, &control.outputs, &[]).0,
        Err(answer) => return Ok(Err(answer)),
    };
    let noise: BTreeMap<String, Difference> = noise.into_iter().map(|d| (d.file.clone(), d)).collect();
    let mut blurred = None;
    differences.retain(|d| match noise.get(&d.file).map(|noise| beyond(d, noise)) {
        Some(None) => {
            blurred.get_or_insert(d.file.clone());
            false
        }
        Some(Some(more)) => more,
        None => true,
    });
    if let Some(file) = blurred.filter(|_| differences.is_empty()) {
        let why =
            format!("{name} was not compared with itself without its patches: {file} is another one in every build");
        return Ok(Err(Answer::unknown(why).hint("show by --run --expect what the program does")));
    }
    if own.len() == 1 || differences.is_empty() {
        let idle = if differences.is_empty() { names(&own) } else { Vec::new() };
        return Ok(Ok(effect(differences, idle)));
    }
    // Several patches: those of which no trace was found are compared alone, each with all before it.
    let mut without_effect = Vec::new();
    for path in unexplained {
        let at = own.iter().position(|p| *p == path).unwrap_or_default();
        let before = series(case, id, &own, at, &plain, &outputs)?;
        let with = series(case, id, &own, at + 1, &plain, &outputs)?;
        let (before, with) = match (before, with) {
            (Ok(before), Ok(with)) => (before, with),
            (Err(answer), _) | (_, Err(answer)) => return Ok(Err(answer)),
        };
        if self::differences(case.nix, &before, &with, &[]).0.iter().all(|d| noise.contains_key(&d.file)) {
            without_effect.push(store_path::name(&path).to_string());
        }
    }
    Ok(Ok(effect(differences, without_effect)))
}

/// Compares `user`, which is built of what the patched derivation `id` makes, with what it is where that is without its patches.
pub(super) fn of_user(
    case: &mut Case<'_, '_>,
    user: NodeId,
    id: NodeId,
    plain: Variant,
) -> Result<Result<Effect, Answer>, Error> {
    let after = case.delta.after();
    let paths = pairs(&plain, after.node(id).outputs());
    let what = format!("of {} without its patches", after.node(id).name());
    let input = Replacement { drv_path: after.node(id).drv_path().to_string(), by: plain, paths: paths.clone() };
    let change = Change { input: Some(input), ..Change::default() };
    let drv_path = after.node(user).drv_path();
    let variant = match variant(case, user, drv_path, &what, &change)? {
        Ok(variant) => variant,
        Err(answer) => return Ok(Err(answer)),
    };
    let outputs: Vec<(String, String)> =
        after.node(user).outputs().map(|(n, p)| (n.to_string(), p.to_string())).collect();
    let (differences, compared) = differences(case.nix, &variant.outputs, &outputs, &paths);
    let idle = if differences.is_empty() { case.own_patches(id) } else { Vec::new() };
    let without_effect = idle.iter().map(|path| store_path::name(path).to_string()).collect();
    Ok(Ok(Effect { differences, plain: Some(variant), without_effect, compared, fails: None }))
}

/// Pairs the outputs of a derivation with those of what stands for it.
fn pairs<'n>(plain: &Variant, outputs: impl Iterator<Item = (&'n str, &'n str)>) -> Vec<(String, String)> {
    outputs
        .filter_map(|(name, path)| {
            let (_, other) = plain.outputs.iter().find(|(n, _)| n == name)?;
            Some((path.to_string(), other.clone()))
        })
        .collect()
}

/// Returns the outputs of a package with the first `count` of its patches.
fn series(
    case: &mut Case<'_, '_>,
    id: NodeId,
    own: &[String],
    count: usize,
    plain: &Variant,
    all: &Outputs,
) -> Result<Result<Vec<(String, String)>, Answer>, Error> {
    if count == 0 {
        return Ok(Ok(plain.outputs.clone()));
    }
    if count >= own.len() {
        return Ok(Ok(all.to_vec()));
    }
    let without = own.get(count..).unwrap_or_default().to_vec();
    let what = format!("with the first {count} of its {} patches", own.len());
    let drv_path = case.delta.after().node(id).drv_path();
    let made = variant(case, id, drv_path, &what, &Change { without, ..Change::default() })?;
    Ok(made.map(|variant| variant.outputs))
}

/// Returns the package without its patches: as it is without the overlays where nothing else differs, else a variant of it.
fn plain(case: &mut Case<'_, '_>, id: NodeId, own: &[String]) -> Result<Result<Variant, NotMade>, Error> {
    let (before, after) = (case.delta.before(), case.delta.after());
    if let Some(old) = case.delta.counterpart(id) {
        let made = |graph: &crate::graph::Graph, id: NodeId| -> BTreeSet<String> {
            let inputs = graph.inputs(id).iter();
            inputs.flat_map(|i| graph.node(*i).outputs().map(|(_, p)| p.to_string()).collect::<Vec<_>>()).collect()
        };
        // Its patches may be derivations of their own: fetched ones.
        let new: BTreeSet<String> = made(after, id).into_iter().filter(|path| !own.contains(path)).collect();
        let drv_path = before.node(old).drv_path();
        if made(before, old) == new && differ_in_patches_only(case.nix, drv_path, after.node(id).drv_path(), own) {
            let node = before.node(old);
            let outputs: Vec<(String, String)> = node.outputs().map(|(n, p)| (n.to_string(), p.to_string())).collect();
            let variant = Variant { drv_path: node.drv_path().to_string(), outputs };
            return built(case, id, variant, "without its patches");
        }
    }
    let without = Change { without: own.to_vec(), ..Change::default() };
    match case.maker.make(case.nix, after.node(id).drv_path(), &without)? {
        Ok(variant) => built(case, id, variant, "without its patches"),
        Err(answer) => Ok(Err(NotMade::Other(answer))),
    }
}

/// Makes a variant of the derivation at `drv_path`, which `id` or its unpatched self is, and builds it, it alone.
pub(super) fn variant(
    case: &mut Case<'_, '_>,
    id: NodeId,
    drv_path: &str,
    what: &str,
    change: &Change,
) -> Result<Result<Variant, Answer>, Error> {
    match case.maker.make(case.nix, drv_path, change)? {
        Ok(variant) => Ok(built(case, id, variant, what)?.map_err(Answer::from)),
        Err(answer) => Ok(Err(answer)),
    }
}

/// Builds a derivation when it is not there, and nothing else; said first, and not past the limit.
fn built(case: &mut Case<'_, '_>, id: NodeId, variant: Variant, what: &str) -> Result<Result<Variant, NotMade>, Error> {
    let paths: Vec<&str> = variant.outputs.iter().map(|(_, path)| path.as_str()).collect();
    if case.nix.valid(&paths)?.len() == paths.len() {
        return Ok(Ok(variant));
    }
    let node = case.delta.after().node(id);
    let name = node.name();
    let by_hand = format!("nix-store --realise {}", variant.drv_path);
    let not_compared = |why: String| Answer::unknown(format!("{name} was not compared with {name} {what}: {why}"));
    let other = |answer: Answer| Ok(Err(NotMade::Other(answer)));
    if !case.may_build {
        let answer = not_compared("it is not in the store".into());
        return other(answer.hint("leave --no-build out, and it is built for that").command(by_hand));
    }
    let goal = Goal { drv_path: variant.drv_path.clone(), outputs: Vec::new(), link: None };
    let limit = case.compare_limit;
    let settings = BuildSettings { timeout: Some(limit.as_secs().max(1)), ..BuildSettings::default() };
    let request = BuildRequest { goals: vec![goal], settings };
    let plan = case.nix.plan_build(&request)?;
    if let Some(first) = plan.will_build.iter().find(|drv| **drv != variant.drv_path) {
        let why = format!("{} is not in the store and would be built for it first", store_path::name(first));
        return other(not_compared(why).hint("build that, and verify again").command(by_hand));
    }
    let expected = (case.expected)(node.pname(), name, node.system());
    let human = crate::base::text::duration;
    let longer = format!("raise --compare-limit (it is {})", human(limit));
    if let Some(expected) = expected.filter(|expected| *expected > limit) {
        let why = format!("building that takes about {}", human(expected));
        return other(not_compared(why).hint(longer).command(by_hand));
    }
    if !plan.will_build.is_empty() {
        let time =
            expected.map_or("no earlier build says how long that takes".into(), |e| format!("about {}", human(e)));
        case.progress.stage(&format!("building {name} {what}, to compare with: {time}"));
    }
    let report = case.nix.build(&request, &mut |_, _| {})?;
    match report.check() {
        Ok(()) => Ok(Ok(variant)),
        Err(error @ crate::nix::Error::Interrupted) => Err(error.into()),
        Err(_) if report.elapsed >= limit => {
            other(not_compared(format!("its build was stopped after {}", human(limit))).hint(longer).command(by_hand))
        }
        Err(error) => Ok(Err(NotMade::Fails(not_compared(format!("that does not build: {error}")).command(by_hand)))),
    }
}

/// A file of an output.
struct Entry {
    real: PathBuf,
    link: Option<PathBuf>,
    executable: bool,
}

/// Returns the files that are not the same, and how many were compared.
///
/// `others` are paths of two inputs that differ as well.
pub(super) fn differences(
    nix: &Nix,
    old: &Outputs,
    new: &Outputs,
    others: &[(String, String)],
) -> (Vec<Difference>, usize) {
    let own = old.iter().filter_map(|(name, path)| Some((path, &new.iter().find(|(n, _)| n == name)?.1)));
    let hashes: Vec<(&str, &str)> = own
        .chain(others.iter().map(|(old, new)| (old, new)))
        .filter_map(|(old, new)| Some((hash_part(old)?, hash_part(new)?)))
        .collect();
    let kept = |outputs: &Outputs, others: &Outputs| {
        let both = |name: &str| others.iter().any(|(other, _)| other == name);
        outputs.iter().filter(|(name, _)| both(name)).flat_map(|(name, path)| entries(nix, name, path)).collect()
    };
    let (old, new): (BTreeMap<String, Entry>, BTreeMap<String, Entry>) = (kept(old, new), kept(new, old));
    let files: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let compared = files.len();
    let mut found = Vec::new();
    for file in files {
        let sides = (old.get(file), new.get(file));
        let equal = match sides {
            (Some(a), Some(b)) => a.executable == b.executable && same(a, b, &hashes),
            _ => false,
        };
        if !equal {
            let real = |side: Option<&Entry>| side.filter(|e| e.link.is_none()).map(|e| e.real.clone());
            found.push(Difference { file: file.clone(), old: real(sides.0), new: real(sides.1) });
        }
    }
    (found, compared)
}

/// Says whether a file differs in more than what is another one in every build of the same; `None` where that cannot be told.
fn beyond(difference: &Difference, noise: &Difference) -> Option<bool> {
    let read = |path: &Option<PathBuf>| path.as_deref().and_then(|path| fs::read(path).ok());
    let (Some(old), Some(new), Some(again)) = (read(&difference.old), read(&difference.new), read(&noise.new)) else {
        return Some(false);
    };
    let is_text = memchr::memchr(0, &new).is_none();
    let (old, new, again) = (neutral(opened(old), &[]), neutral(opened(new), &[]), neutral(opened(again), &[]));
    if old.len() != again.len() {
        return is_text.then_some(false);
    }
    if old.len() != new.len() {
        return Some(!is_text);
    }
    // Bytes of a time can be the same twice by chance: what is near to one that is not does not count.
    let mut until = 0;
    let mut blurred = vec![false; old.len()];
    for at in (0..old.len()).filter(|at| old.get(*at) != again.get(*at)) {
        let near = at.saturating_sub(NEAR).max(until)..(at + NEAR).min(old.len());
        until = near.end;
        blurred.get_mut(near).into_iter().for_each(|near| near.fill(true));
    }
    let sides = old.iter().zip(&new).zip(&blurred);
    let more = sides.into_iter().any(|((old, new), blurred)| !blurred && old != new);
    Some(more && !is_text)
}

/// How near to one byte that is another one in every build others can be so as well.
const NEAR: usize = 16;

fn hash_part(path: &str) -> Option<&str> {
    path.rsplit('/').next()?.get(..32)
}

fn entries(nix: &Nix, output: &str, path: &str) -> Vec<(String, Entry)> {
    let Some(real) = nix.physical(path) else { return Vec::new() };
    let mut found = Vec::new();
    for (below, metadata) in files::walk(&real) {
        let at = real.join(&below);
        let link = metadata.is_symlink().then(|| std::fs::read_link(&at).ok()).flatten();
        if link.is_none() && !metadata.is_file() {
            continue;
        }
        let below = below.to_string_lossy();
        let name = if output == "out" { below.into_owned() } else { format!("{output}:{below}") };
        found.push((name, Entry { real: at, link, executable: files::is_executable(&metadata) }));
    }
    found
}

fn same(old: &Entry, new: &Entry, hashes: &[(&str, &str)]) -> bool {
    match (&old.link, &new.link) {
        (None, None) => {}
        (Some(a), Some(b)) => {
            let text = |path: &Path| neutral(path.to_string_lossy().as_bytes().to_vec(), hashes);
            return text(a) == text(b);
        }
        _ => return false,
    }
    let (Ok(a), Ok(b)) = (fs::read(&old.real), fs::read(&new.real)) else { return false };
    a == b || neutral(opened(a), hashes) == neutral(opened(b), hashes)
}

/// The largest file that is decompressed to be compared.
const MAX_OPENED: u64 = 256 << 20;

/// Decompresses what gzip compressed: a manual page can name paths of the store.
fn opened(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes;
    }
    let mut text = Vec::new();
    match flate2::read::MultiGzDecoder::new(bytes.as_slice()).take(MAX_OPENED).read_to_end(&mut text) {
        Ok(_) => text,
        Err(_) => bytes,
    }
}

/// Takes out what differs with every change of a derivation: hashes of its outputs, and the build id that is made of them.
fn neutral(mut bytes: Vec<u8>, hashes: &[(&str, &str)]) -> Vec<u8> {
    let build_id = Elf::read(&bytes).ok().flatten().and_then(|elf| elf.build_id).map(|hex| {
        let digits = hex.as_bytes().chunks(2).filter_map(|pair| std::str::from_utf8(pair).ok());
        digits.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect::<Vec<u8>>()
    });
    let sides = hashes.iter().flat_map(|(old, new)| [old.as_bytes(), new.as_bytes()]);
    let ids = build_id.iter().map(Vec::as_slice).filter(|id| id.len() >= 8);
    let patterns: Vec<&[u8]> = sides.chain(ids).collect();
    // Lines of the source move with every line that is added: what a debugger reads is nothing that runs.
    if let Some(essence) = essence(&bytes) {
        bytes = essence;
    }
    for pattern in patterns {
        let places: Vec<usize> = memmem::find_iter(&bytes, pattern).collect();
        for at in places {
            if let Some(place) = bytes.get_mut(at..at + pattern.len()) {
                place.fill(b'e');
            }
        }
    }
    bytes
}

/// The most bytes of files in which traces are looked for.
const MAX_TRACED: u64 = 256 << 20;

/// Returns the patches of which no trace is in what differs: no line or text that a patch adds, no member of an archive that is
/// called like a file that it alone changes.
fn unexplained(nix: &Nix, own: &[String], differences: &[Difference]) -> Vec<String> {
    let size = |d: &Difference| d.new.as_deref().and_then(|p| p.metadata().ok()).map_or(0, |m| m.len());
    if differences.iter().map(size).sum::<u64>() > MAX_TRACED {
        return own.to_vec();
    }
    let read = |path: &Option<PathBuf>| path.as_deref().and_then(|p| fs::read(p).ok()).unwrap_or_default();
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = differences.iter().map(|d| (read(&d.old), read(&d.new))).collect();
    let traces: Vec<Traces> = own
        .iter()
        .map(|p| nix.physical(p).and_then(|real| fs::read(&real).ok()).map_or_else(Traces::default, |b| Traces::of(&b)))
        .collect();
    // A copy of the patch itself, installed beside the program, is no trace of what it does.
    pairs.retain(|(_, new)| !traces.iter().any(|patch| patch.is_in(new)));
    let is_left = |(at, path): (usize, &String)| -> Option<String> {
        let mine = traces.get(at)?;
        let others = || traces.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, t)| t);
        let stems: BTreeSet<&String> =
            mine.stems.iter().filter(|stem| !others().any(|other| other.stems.contains(*stem))).collect();
        let texts: Vec<&Vec<u8>> =
            mine.texts.iter().filter(|text| !others().any(|other| other.texts.contains(*text))).collect();
        let explained = pairs.iter().any(|(old, new)| {
            texts.iter().any(|t| memmem::find(new, t).is_some() && memmem::find(old, t).is_none())
                || changed_members(old, new).iter().any(|member| stems.iter().any(|stem| is_made_of(member, stem)))
        });
        (!explained).then(|| path.clone())
    };
    own.iter().enumerate().filter_map(is_left).collect()
}

/// Returns the members of an archive that are not the same; none where all are not: then it is not a file that changed.
fn changed_members(old: &[u8], new: &[u8]) -> Vec<String> {
    let (Ok(Some(old)), Ok(Some(new))) = (archive::members(old), archive::members(new)) else { return Vec::new() };
    let is_same = |m: &archive::Member<'_>| old.iter().any(|o| o.name == m.name && o.data == m.data);
    let changed: Vec<String> =
        new.iter().filter(|m| !is_same(m)).map(|m| String::from_utf8_lossy(m.name).into_owned()).collect();
    if changed.len() == new.len() { Vec::new() } else { changed }
}

/// Says whether a member was compiled from a file: `foo.o`, `libx_la-foo.o`.
fn is_made_of(member: &str, stem: &str) -> bool {
    let name = member.split('.').next().unwrap_or(member);
    name == stem || name.strip_suffix(stem).is_some_and(|front| front.ends_with(['-', '_', '/']))
}

/// By what a patch is known in what is built of it.
#[derive(Debug, Default)]
struct Traces {
    /// Lines and texts between quotes that it adds.
    texts: BTreeSet<Vec<u8>>,
    /// The lines that it adds, as they stand in the patch.
    lines: BTreeSet<Vec<u8>>,
    /// The names, without their ends, of the files that it changes.
    stems: BTreeSet<String>,
}

/// The shortest text that is a trace.
const MIN_TRACE: usize = 8;

impl Traces {
    fn of(patch: &[u8]) -> Traces {
        let mut traces = Traces::default();
        let Ok(parsed) = PatchFile::parse(patch) else { return traces };
        for target in parsed.check(parsed.strip_level()).unwrap_or_default() {
            let name = target.path().rsplit('/').next().unwrap_or_default();
            traces.stems.extend(name.split('.').next().filter(|stem| stem.len() > 1).map(str::to_string));
        }
        let added = patch.split(|b| *b == b'\n').filter(|line| line.starts_with(b"+") && !line.starts_with(b"+++"));
        for line in added {
            let whole = line;
            let line = line.get(1..).unwrap_or_default().trim_ascii();
            if line.len() >= MIN_TRACE {
                traces.lines.insert([b"\n", whole].concat());
            }
            let quoted = line.split(|b| *b == b'"').skip(1).step_by(2).filter(|text| !text.contains(&b'\\'));
            traces
                .texts
                .extend(std::iter::once(line).chain(quoted).filter(|t| t.len() >= MIN_TRACE).map(<[u8]>::to_vec));
        }
        traces
    }

    /// Says whether a file holds the patch as such.
    fn is_in(&self, bytes: &[u8]) -> bool {
        self.lines.iter().any(|line| memmem::find(bytes, line).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_known_by_what_it_adds() {
        let patch = b"--- a/src/foo.c\n+++ b/src/foo.c\n@@ -1 +1 @@\n-int x; /* old */\n+const char *x = \"a new text of it\";\n";
        let traces = Traces::of(patch);
        assert!(traces.texts.contains(b"a new text of it".as_slice()));
        assert!(traces.texts.contains(b"const char *x = \"a new text of it\";".as_slice()));
        assert_eq!(traces.stems, ["foo".to_string()].into());
        assert!(is_made_of("foo.o", "foo") && is_made_of("libx_la-foo.o", "foo") && !is_made_of("barfoo.o", "foo"));
    }

    #[test]
    fn hashes_and_build_ids_do_not_count() {
        let old = "11111111111111111111111111111111";
        let new = "22222222222222222222222222222222";
        let text = |hash: &str| format!("x /nix/store/{hash}-a/lib y").into_bytes();
        assert_eq!(neutral(text(old), &[(old, new)]), neutral(text(new), &[(old, new)]));
        assert_ne!(neutral(b"a".to_vec(), &[(old, new)]), neutral(b"b".to_vec(), &[(old, new)]));
    }
}
