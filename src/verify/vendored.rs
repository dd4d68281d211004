//! Copies of the package's source in what is made of other sources, as those that bundle a library.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use super::Case;
use super::contents::Known;
use super::derivation::Members;
use crate::base::text::plural;
use crate::graph::NodeId;

/// The smallest file that is a copy of another.
pub(super) const MIN_COPY: usize = 24;
/// The most packages whose sources are looked at for a copy.
const MAX_USERS: usize = 16;

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
    Path::new(file).extension().and_then(OsStr::to_str).unwrap_or_default()
}

/// Names the first compiled file that the patches change, where nothing that differs can have been compiled, and says whether what differs
/// is a copy of such a file.
pub(super) fn code_unseen(case: &Case<'_, '_>, all: &[&Known]) -> Option<(String, bool)> {
    let sources: Vec<String> = case.package.changed_files().into_iter().filter(|file| is_compiled(file)).collect();
    let first = sources.first().filter(|_| !all.iter().any(|known| known.binary))?;
    let name = |file: &str| file.rsplit('/').next().unwrap_or_default().to_string();
    let differences = all.iter().flat_map(|known| &known.effect.differences);
    let copy = sources.iter().find(|source| differences.clone().any(|d| name(&d.file) == name(source)));
    Some((copy.unwrap_or(first).clone(), copy.is_some()))
}

/// What the sources of the target, and of what else uses the package, hold of it.
#[derive(Debug, Default)]
pub(super) struct Vendored {
    /// A file that is there without the patch, and whose source that is.
    pub(super) copy: Option<(String, NodeId)>,
    /// How many of the users were not looked at.
    pub(super) beyond: usize,
}

impl Vendored {
    /// Says what was not looked at.
    pub(super) fn unseen(&self) -> Option<String> {
        (self.beyond > 0).then(|| {
            let packages = plural(self.beyond, "more package");
            format!("the sources of {packages} that use it were not searched for a copy of it")
        })
    }
}

pub(super) fn vendored(case: &mut Case<'_, '_>, members: &Members) -> Vendored {
    let (after, target) = (case.delta.after(), case.needs.target());
    let is_user = |id: &NodeId| after.inputs(*id).iter().any(|input| members.patched.contains(input));
    let others = case.needs.ids().filter(|id| *id != target && is_user(id));
    let users: Vec<NodeId> = std::iter::once(target)
        .chain(others)
        .filter(|id| !members.patched.contains(id) && case.runs_on_board(*id))
        .collect();
    let mut found = Vendored::default();
    let changed: BTreeSet<String> =
        case.package.changed_files().into_iter().filter(|file| is_compiled(file) || is_header(file)).collect();
    let Some(first) = members.patched.first().filter(|_| !changed.is_empty()) else { return found };
    let Some(before) = super::source::unpatched(case, *first) else { return found };
    let wanted: Vec<(&String, &[u8])> = changed
        .iter()
        .filter_map(|file| Some((file, &*before.get(file)?.bytes)))
        .filter(|(_, bytes)| bytes.len() >= MIN_COPY)
        .collect();
    found.copy = users.iter().take(MAX_USERS).find_map(|user| {
        super::source::trees(case, *user).find_map(|tree| {
            let mut files = tree.iter().map(|(_, file)| &*file.bytes);
            let copy = files.find_map(|bytes| wanted.iter().find(|(_, wanted)| *wanted == bytes))?;
            Some((copy.0.clone(), *user))
        })
    });
    found.beyond = users.len().saturating_sub(MAX_USERS);
    found
}
