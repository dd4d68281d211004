//! Traces of a patch in what is built: lines and texts that it adds, members of archives that are made of the files that it changes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use memchr::memmem;

use super::outputs::Difference;
use crate::base::fs;
use crate::cross::archive;
use crate::nix::Nix;
use crate::patch::PatchFile;

/// The most bytes of files in which traces are looked for.
const MAX_TRACED: u64 = 256 << 20;

/// Returns the patches of which no trace is in what differs: no line or text that a patch adds, no member of an archive that is
/// called like a file that it alone changes.
pub(super) fn unexplained(nix: &Nix, own: &[String], differences: &[Difference]) -> Vec<String> {
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

/// Returns what stands between quotes in a line.
pub(super) fn quoted(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|b| *b == b'"').skip(1).step_by(2).filter(|text| !text.contains(&b'\\'))
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
            traces
                .texts
                .extend(std::iter::once(line).chain(quoted(line)).filter(|t| t.len() >= MIN_TRACE).map(<[u8]>::to_vec));
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
}
