//! Writes unified diffs between files and trees as git does (`a/` and `b/`, extended headers, three lines of context).
//!
//! Deterministic: the same trees give the same bytes, files in the order of their paths. `index` lines only where GNU patch reads them;
//! no renames, save of binary files: a renamed file is removed and made. Must not read anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};
use similar::{Algorithm, DiffOp, DiffTag};

use super::error::Error;
use super::locate::split_lines;
use super::names::{in_quotes, quoted};
use super::tree::{File, MemoryTree};

/// Lines of context around a change, as in git.
const CONTEXT: usize = 3;
/// How git's name of an empty file begins.
pub(super) const EMPTY_BLOB: &str = "e69de29";
/// Among so many bytes git looks for a NUL.
const BINARY_LOOK: usize = 8000;

/// Returns the patch (for `-p1`) that turns one tree into the other; empty when they are equal.
///
/// # Errors
/// [`Error::CannotDiff`] for a binary file that changes, for a folder that becomes a file or the reverse, and for a name that no
/// patch can hold.
pub fn diff_trees(before: &MemoryTree, after: &MemoryTree) -> Result<Vec<u8>, Error> {
    let mut paths: Vec<&str> = before.iter().chain(after.iter()).map(|(path, _)| path).collect();
    paths.sort_unstable();
    paths.dedup();
    // GNU patch makes no file where the same patch takes a folder away, nor the reverse.
    let made = |path: &str| before.get(path).is_none() && after.get(path).is_some();
    let gone = |path: &str| before.get(path).is_some() && after.get(path).is_none();
    for path in &paths {
        if path.contains(['\n', '\0']) && before.get(path) != after.get(path) {
            let why = "its name holds a line end or a NUL, which no patch can name";
            return Err(Error::CannotDiff { path: path.escape_debug().to_string(), why });
        }
        for (at, _) in path.match_indices('/') {
            let folder = &path[..at];
            if (gone(folder) && made(path)) || (made(folder) && gone(path)) {
                let why = "a file becomes a folder, or a folder a file, which GNU patch cannot do in one patch";
                return Err(Error::CannotDiff { path: folder.to_string(), why });
            }
        }
    }
    let mut out = Vec::new();
    // What is binary can change its name, as long as its contents stay.
    let mut renames: BTreeMap<&str, &str> = BTreeMap::new();
    for new in paths.iter().copied().filter(|path| made(path)) {
        let file = after.get(new).filter(|file| is_binary(&file.bytes));
        let free = |old: &&str| gone(old) && before.get(old) == file && !renames.values().any(|taken| taken == old);
        if let Some(old) = file.and_then(|_| paths.iter().copied().find(free)) {
            renames.insert(new, old);
        }
    }
    for path in paths {
        match renames.get(path) {
            Some(old) => out.extend_from_slice(rename(old, path).as_bytes()),
            None if renames.values().any(|old| *old == path) => {}
            None => out.extend(diff_file(path, before.get(path), after.get(path))?),
        }
    }
    Ok(out)
}

fn rename(old: &str, new: &str) -> String {
    let (a, b) = (format!("a/{old}"), format!("b/{new}"));
    let names = match old.contains(' ') || new.contains(' ') {
        true => format!("{} {}", in_quotes(&a), in_quotes(&b)),
        false => format!("{} {}", quoted(&a), quoted(&b)),
    };
    format!("diff --git {names}\nsimilarity index 100%\nrename from {}\nrename to {}\n", quoted(old), quoted(new))
}

/// git calls a file binary when there is a NUL among its first bytes.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, &bytes[..bytes.len().min(BINARY_LOOK)]).is_some()
}

/// The beginning of git's name of a file.
fn object(bytes: &[u8]) -> String {
    let digest = Sha1::new().chain_update(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize();
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>()[..7].to_string()
}

/// Returns the diff of one file; empty when both are equal.
pub fn diff_file(path: &str, before: Option<&File<'_>>, after: Option<&File<'_>>) -> Result<Vec<u8>, Error> {
    let mut head = String::new();
    let (a, b) = (quoted(&format!("a/{path}")), quoted(&format!("b/{path}")));
    match (before, after) {
        (None, None) => return Ok(Vec::new()),
        (Some(x), Some(y)) if x.mode == y.mode && x.bytes == y.bytes => return Ok(Vec::new()),
        (None, Some(y)) => {
            let _ = writeln!(head, "new file mode {:06o}", y.mode);
            if y.bytes.is_empty() {
                let _ = writeln!(head, "index 0000000..{EMPTY_BLOB}");
            }
        }
        (Some(x), None) => {
            let _ = writeln!(head, "deleted file mode {:06o}", x.mode);
            if x.bytes.is_empty() {
                // Only by this line does GNU patch know that an empty file goes.
                let _ = writeln!(head, "index {EMPTY_BLOB}..0000000");
            }
        }
        (Some(x), Some(y)) if x.is_link() != y.is_link() => {
            // git writes such a change as two diffs of one name; so do we.
            let mut out = diff_file(path, before, None)?;
            out.extend(diff_file(path, None, after)?);
            return Ok(out);
        }
        (Some(x), Some(y)) => {
            if x.mode != y.mode {
                let _ = write!(head, "old mode {:06o}\nnew mode {:06o}\n", x.mode, y.mode);
            } else if x.is_link() {
                // Only by this line does GNU patch know that it is a link.
                let _ = writeln!(head, "index {}..{} {:06o}", object(&x.bytes), object(&y.bytes), y.mode);
            }
        }
    }
    let bytes = |file: Option<&File<'_>>| file.map(|f| f.bytes.to_vec()).unwrap_or_default();
    let (old, new) = (bytes(before), bytes(after));
    if old != new && (is_binary(&old) || is_binary(&new)) {
        return Err(Error::CannotDiff { path: path.to_string(), why: "it is binary" });
    }
    let hunks = diff_bytes(&old, &new);
    let mut out = match hunks.is_empty() && path.contains(' ') {
        // Without `---` and `+++` GNU patch reads the names here, and needs quotes around blanks.
        true => format!("diff --git {} {}\n", in_quotes(&format!("a/{path}")), in_quotes(&format!("b/{path}"))),
        false => format!("diff --git {a} {b}\n"),
    }
    .into_bytes();
    out.extend_from_slice(head.as_bytes());
    if !hunks.is_empty() {
        // git ends a name with blanks by a tab, so that it is not taken for a timestamp.
        let tab = if path.contains(' ') { "\t" } else { "" };
        let side = |there: bool, name: &str| if there { format!("{name}{tab}") } else { "/dev/null".to_string() };
        out.extend_from_slice(
            format!("--- {}\n+++ {}\n", side(before.is_some(), &a), side(after.is_some(), &b)).as_bytes(),
        );
        out.extend_from_slice(&hunks);
    }
    Ok(out)
}

/// Returns the hunks that turn `old` into `new`; empty when they are equal.
pub fn diff_bytes(old: &[u8], new: &[u8]) -> Vec<u8> {
    let (a, b) = (split_lines(old), split_lines(new));
    let ops = similar::capture_diff_slices(Algorithm::Myers, &a, &b);
    let mut out = Vec::new();
    for group in similar::group_diff_ops(ops, CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (olds, news) =
            (first.old_range().start..last.old_range().end, first.new_range().start..last.new_range().end);
        if group.iter().all(|op| op.tag() == DiffTag::Equal) {
            continue;
        }
        out.extend_from_slice(format!("@@ -{} +{} @@\n", range(&olds), range(&news)).as_bytes());
        for op in &group {
            write_op(op, &a, &b, &mut out);
        }
    }
    out
}

/// Writes `start,count` as diff does: a count of 1 is left out, and an empty range names the line before it.
pub(super) fn range(lines: &std::ops::Range<usize>) -> String {
    match lines.len() {
        0 => format!("{},0", lines.start),
        1 => format!("{}", lines.start + 1),
        n => format!("{},{n}", lines.start + 1),
    }
}

fn write_op(op: &DiffOp, a: &[&[u8]], b: &[&[u8]], out: &mut Vec<u8>) {
    let mut write = |sign: u8, lines: &[&[u8]]| {
        for line in lines {
            write_line(sign, line, out);
        }
    };
    if op.tag() == DiffTag::Equal {
        write(b' ', &a[op.old_range()]);
    } else {
        write(b'-', &a[op.old_range()]);
        write(b'+', &b[op.new_range()]);
    }
}

pub(super) fn write_line(sign: u8, line: &[u8], out: &mut Vec<u8>) {
    out.push(sign);
    out.extend_from_slice(line);
    if !line.ends_with(b"\n") {
        out.extend_from_slice(b"\n\\ No newline at end of file\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EXECUTABLE, Options, PatchFile, REGULAR, SYMLINK, Verdict, apply};
    use super::*;
    use proptest::prelude::*;

    fn tree(files: &[(&str, &str, u32)]) -> MemoryTree {
        let mut tree = MemoryTree::new();
        for (path, text, mode) in files {
            tree.insert(*path, text.as_bytes(), *mode);
        }
        tree
    }

    #[test]
    fn a_name_that_no_patch_can_hold_is_refused() {
        let (without, with) = (tree(&[]), tree(&[("1\n/b", "2\n", REGULAR)]));
        assert!(matches!(diff_trees(&without, &with), Err(Error::CannotDiff { .. })));
        assert!(matches!(diff_trees(&with, &without), Err(Error::CannotDiff { .. })));
        assert_eq!(diff_trees(&with, &with).unwrap(), b"");
    }

    #[test]
    fn all_kinds_of_changes() {
        let before = tree(&[
            ("a b", "x\n", REGULAR),
            ("gone", "1\n2", REGULAR),
            ("run", "#!\n", REGULAR),
            ("same", "s", REGULAR),
            ("l", "t", SYMLINK),
        ]);
        let after = tree(&[
            ("a b", "y\n", REGULAR),
            ("empty", "", REGULAR),
            ("new", "n", EXECUTABLE),
            ("run", "#!\n", EXECUTABLE),
            ("same", "s", REGULAR),
            ("l", "u", SYMLINK),
        ]);
        let patch = diff_trees(&before, &after).unwrap();
        assert_eq!(
            String::from_utf8(patch.clone()).unwrap(),
            "diff --git a/a b b/a b\n--- a/a b\t\n+++ b/a b\t\n@@ -1 +1 @@\n-x\n+y\n\
             diff --git a/empty b/empty\nnew file mode 100644\nindex 0000000..e69de29\n\
             diff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-1\n-2\n\\ No newline at end of file\n\
             diff --git a/l b/l\nindex 32f64f4..f3c6c3c 120000\n--- a/l\n+++ b/l\n@@ -1 +1 @@\n-t\n\\ No newline at end of file\n+u\n\\ No newline at end of file\n\
             diff --git a/new b/new\nnew file mode 100755\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+n\n\\ No newline at end of file\n\
             diff --git a/run b/run\nold mode 100644\nnew mode 100755\n"
        );
        assert!(matches!(diff_trees(&before, &tree(&[("a b", "\0", REGULAR)])), Err(Error::CannotDiff { .. })));
        assert!(diff_trees(&after, &after).unwrap().is_empty());
    }

    fn any_tree() -> impl Strategy<Value = MemoryTree> {
        let text = prop::collection::vec(prop::sample::select(vec!["a\n", "b\n", "\n", "c\r\n", "-- d\n"]), 0..14)
            .prop_flat_map(|lines| {
                any::<bool>().prop_map(move |cut| {
                    if cut { lines.concat().trim_end_matches('\n').to_string() } else { lines.concat() }
                })
            });
        prop::collection::btree_map(prop::sample::select(vec!["f", "d/g", "d/h i", "ä"]), (text, any::<bool>()), 0..4)
            .prop_map(|files| {
                let mut tree = MemoryTree::new();
                for (path, (text, run)) in files {
                    tree.insert(path, text, if run { EXECUTABLE } else { REGULAR });
                }
                tree
            })
    }

    proptest! {
        #[test]
        fn a_diff_applies_and_its_reverse_restores(before in any_tree(), after in any_tree()) {
            let bytes = diff_trees(&before, &after).unwrap();
            if before != after {
                let patch = PatchFile::parse(&bytes).unwrap();
                let outcome = apply(&before, &patch, &Options::default()).unwrap();
                prop_assert_eq!((outcome.accepted(), outcome.verdict()), (true, Verdict::Clean), "{:?}", outcome.files);
                let mut tree = before.clone();
                tree.update(outcome.changes);
                prop_assert_eq!(&tree, &after);
                let outcome = apply(&tree, &patch, &Options { reverse: true, ..Options::default() }).unwrap();
                prop_assert!(outcome.accepted(), "{:?}", outcome.files);
                tree.update(outcome.changes);
                prop_assert_eq!(&tree, &before);
                // A second time it is in already. (A hunk that fits twice is none of ours to refuse.)
                let again = apply(&after, &patch, &Options::default()).unwrap();
                prop_assert!(again.verdict() != Verdict::Clean || again.accepted());
            } else {
                prop_assert!(bytes.is_empty());
            }
        }
    }
}
