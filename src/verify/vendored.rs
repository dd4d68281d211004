//! Copies of the package's source in what is made of other sources, as those that bundle a library, and which files a patch changes.

use std::collections::BTreeSet;

use super::Case;
use super::contents::Known;
use super::derivation::Members;
use crate::base::fs;
use crate::graph::NodeId;

/// The smallest text that is a copy of another, and the shortest between quotes.
pub(super) const MIN_COPY: usize = 24;
const MIN_QUOTED: usize = 20;

pub(super) fn is_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, bytes.get(..8192).unwrap_or(bytes)).is_some()
}

pub(super) fn is_header(file: &str) -> bool {
    matches!(extension(file), "h" | "hh" | "hpp" | "hxx" | "H" | "inc" | "ipp" | "tcc")
}

/// Says whether a file of a source is one that is compiled, and not for a test or a manual.
fn is_compiled(file: &str) -> bool {
    const ENDS: [&str; 20] = [
        "c", "cc", "cpp", "cxx", "C", "S", "s", "asm", "rs", "go", "f", "f90", "m", "mm", "d", "adb", "zig", "hs",
        "ml", "vala",
    ];
    let aside = |part: &str| {
        let part = part.to_ascii_lowercase();
        ["test", "doc", "example", "sample", "bench", "fuzz", "demo", "contrib"].iter().any(|word| part.contains(word))
    };
    ENDS.contains(&extension(file)) && !file.split('/').any(aside)
}

fn extension(file: &str) -> &str {
    file.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, end)| end)
}

pub(super) fn quoted(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|b| *b == b'\n');
    let texts = lines.flat_map(|line| line.split(|b| *b == b'"').skip(1).step_by(2));
    texts.filter(|text| text.len() >= MIN_QUOTED && !text.contains(&b'\\'))
}

/// Names the first compiled file that the patches change, where nothing that differs can have been compiled, and says whether what differs
/// is a copy of such a file.
pub(super) fn code_unseen(case: &Case<'_, '_>, all: &[&Known]) -> Option<(String, bool)> {
    let patches = case.package.patches.iter().filter_map(|patch| patch.bytes.as_deref());
    let sources: Vec<String> = patches.flat_map(changed_files).filter(|file| is_compiled(file)).collect();
    let first = sources.first()?.clone();
    let differences = || all.iter().flat_map(|known| &known.effect.differences);
    let text = |path: Option<&std::path::PathBuf>| path.is_none_or(|path| fs::read(path).is_ok_and(|b| !is_binary(&b)));
    if !differences().all(|d| text(d.old.as_ref()) && text(d.new.as_ref())) {
        return None;
    }
    let name = |file: &str| file.rsplit('/').next().unwrap_or_default().to_string();
    let copy = sources.iter().find(|source| differences().any(|d| name(&d.file) == name(source)));
    Some((copy.unwrap_or(&first).clone(), copy.is_some()))
}

pub(super) fn changed_files(patch: &[u8]) -> Vec<String> {
    let Ok(parsed) = crate::patch::PatchFile::parse(patch) else { return Vec::new() };
    parsed.check(parsed.strip_level()).unwrap_or_default().iter().map(|target| target.path().to_string()).collect()
}

/// The most packages whose sources are looked at for a copy.
const MAX_USERS: usize = 16;

/// Returns the file of the package that the sources of the target, or of what else uses the package, hold a copy of, without the patch,
/// and whose sources.
pub(super) fn vendored(case: &mut Case<'_, '_>, members: &Members) -> Option<(String, NodeId)> {
    let after = case.delta.after();
    let is_user = |id: &NodeId| after.inputs(*id).iter().any(|input| members.patched.contains(input));
    let users: Vec<NodeId> = case
        .needs
        .ids()
        .filter(|id| !members.patched.contains(id) && case.runs_on_board(*id))
        .filter(|id| *id == case.needs.target() || is_user(id))
        .take(MAX_USERS)
        .collect();
    let patches = case.package.patches.iter().filter_map(|patch| patch.bytes.as_deref());
    let changed: BTreeSet<String> =
        patches.flat_map(changed_files).filter(|file| is_compiled(file) || is_header(file)).collect();
    if changed.is_empty() {
        return None;
    }
    let before = super::source::unpatched(case, *members.patched.first()?)?;
    let wanted: Vec<(&String, &[u8])> = changed
        .iter()
        .filter_map(|file| Some((file, &*before.get(file)?.bytes)))
        .filter(|(_, bytes)| bytes.len() >= MIN_COPY)
        .collect();
    users.into_iter().find_map(|user| {
        super::source::trees(case, user).find_map(|tree| {
            let mut files = tree.iter().map(|(_, file)| &*file.bytes);
            let copy = files.find_map(|bytes| wanted.iter().find(|(_, wanted)| *wanted == bytes))?;
            Some((copy.0.clone(), user))
        })
    })
}
