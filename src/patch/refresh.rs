//! Makes a patch fit again where only its surroundings moved, and puts new diffs under old headers.
//!
//! A refreshed hunk gets the line numbers and the context of the tree; the lines that it takes out and puts in, its section text, the
//! header of the file and of the patch stay as they were, to the byte. Must not decide whether fuzz is acceptable:
//! that is in the options.

use super::apply::{Options, apply};
use super::diff::{diff_file, range, write_line};
use super::error::Error;
use super::header::{Layout, layout, lines};
use super::locate::split_lines;
use super::outcome::{HunkState, Outcome, Verdict};
use super::patch_file::{FileDiff, LineKind, PatchFile};
use super::quote::quoted;
use super::tree::{File, MemoryTree, Tree};

/// What came of refreshing a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// It fits at its lines: nothing to do.
    Unchanged,
    /// The new bytes of the patch. Applied to the same tree they fit at their lines and make the same files.
    Rewritten(Vec<u8>),
    /// It does not fit.
    Rejected(Outcome),
}

/// Refreshes a patch for a tree.
///
/// # Errors
/// Those of [`apply`]; [`Error::CannotRefresh`] for a patch whose lines contradict each other; [`Error::CannotDiff`] when hunks have to be made anew for a file that is binary.
pub fn refresh<T: Tree>(tree: &T, patch: &PatchFile<'_>, options: &Options) -> Result<Refreshed, Error> {
    let outcome = apply(tree, patch, options)?;
    if !outcome.accepted() {
        return Ok(Refreshed::Rejected(outcome));
    }
    if outcome.verdict() == Verdict::Clean {
        return Ok(Refreshed::Unchanged);
    }
    let mut out = patch.preamble().to_vec();
    // Each file is refreshed against what the files before it in the patch have left.
    let mut seen = MemoryTree::new();
    for (i, file) in patch.files().iter().enumerate() {
        let single = PatchFile { preamble: b"", files: vec![file.clone()], trailing: b"" };
        let layered = Over { base: tree, top: &seen };
        let here = apply(&layered, &single, options)?;
        out.extend_from_slice(file.lead);
        if here.verdict() == Verdict::Clean {
            write_file(file, &mut out);
        } else {
            let moved = move_hunks(&layered, file, &here)?;
            let fits = match &moved {
                Some(bytes) => {
                    let patch = PatchFile::parse(bytes)?;
                    let again = apply(&layered, &patch, options)?;
                    again.verdict() == Verdict::Clean && again.changes == here.changes
                }
                None => false,
            };
            match moved.filter(|_| fits) {
                Some(bytes) => out.extend_from_slice(&bytes),
                None => out.extend(again(&layered, file, &here)?),
            }
        }
        // Copies and renames read the tree before the patch, so what they take away stays visible to them.
        if i + 1 < patch.files().len() {
            for (path, file) in here.changes {
                match file {
                    Some(file) => seen.insert(path, file.bytes.into_owned(), file.mode),
                    None => seen.remove(&path),
                };
            }
        }
    }
    out.extend_from_slice(patch.trailing());
    // What contradicts itself may not read back; then it stays as it is.
    let same = PatchFile::parse(&out).and_then(|new| apply(tree, &new, options));
    let fits = |new: &Outcome| new.accepted() && new.max_offset() == 0 && new.max_fuzz() == 0;
    match same.is_ok_and(|new| fits(&new) && new.changes == outcome.changes) {
        true => Ok(Refreshed::Rewritten(out)),
        false => Err(Error::CannotRefresh { at: patch.files().first().map(|f| f.at.clone()).unwrap_or_default() }),
    }
}

/// A tree with some files replaced.
struct Over<'o, T: Tree> {
    base: &'o T,
    top: &'o MemoryTree,
}

impl<T: Tree> Tree for Over<'_, T> {
    fn read(&self, path: &str) -> std::io::Result<Option<File<'_>>> {
        match self.top.read(path)? {
            Some(file) => Ok(Some(file)),
            None => self.base.read(path),
        }
    }

    fn is_folder(&self, path: &str) -> std::io::Result<bool> {
        Ok(self.top.is_folder(path)? || self.base.is_folder(path)?)
    }
}

fn write_file(file: &FileDiff<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(file.header);
    for hunk in &file.hunks {
        out.extend_from_slice(hunk.bytes);
    }
    // `Binary files differ` does nothing, and stays.
    out.extend_from_slice(file.binary.map_or(b"", |binary| binary.bytes));
}

/// Moves the hunks of a file to where they were applied and gives them the context that is there. `None` when a hunk's context
/// reaches past the file.
fn move_hunks<T: Tree>(tree: &T, file: &FileDiff<'_>, outcome: &Outcome) -> Result<Option<Vec<u8>>, Error> {
    let Some(result) = outcome.files.first() else { return Ok(None) };
    let path = result.from.as_deref().unwrap_or(&result.path);
    let unreadable = |e: std::io::Error| Error::Unreadable { path: path.to_string(), why: e.to_string() };
    let Some(before) = tree.read(path).map_err(unreadable)? else { return Ok(None) };
    let lines = split_lines(&before.bytes);
    let mut out = file.header.to_vec();
    let mut growth = 0;
    for (hunk, state) in file.hunks.iter().zip(&result.hunks) {
        let HunkState::Applied { line, .. } = state.state else { return Ok(None) };
        let eol: &[u8] = if file.strip_cr { b"\r\n" } else { b"\n" };
        let (olds, news) = (hunk.old_count as usize, hunk.new_count as usize);
        // `line` counts in the new file, and from 1.
        let Ok(start) = usize::try_from(line - growth - 1) else { return Ok(None) };
        let Ok(new_start) = usize::try_from(line - 1) else { return Ok(None) };
        let new_start = if news == 0 { new_start.saturating_sub(usize::from(olds == 0)) } else { new_start };
        out.extend_from_slice(
            format!("@@ -{} +{} @@", range(&(start..start + olds)), range(&(new_start..new_start + news))).as_bytes(),
        );
        out.extend_from_slice(hunk.section);
        out.extend_from_slice(eol);
        let mut at = start;
        let end = hunk.bytes.len();
        let mut written = hunk.bytes.iter().position(|b| *b == b'\n').map_or(end, |i| i + 1);
        for line in &hunk.lines {
            // The bytes of this line in the patch, a `\ No newline` line included.
            let from = written;
            written += hunk.bytes[from..].iter().position(|b| *b == b'\n').map_or(end - from, |i| i + 1);
            if hunk.bytes.get(written) == Some(&b'\\') {
                written += hunk.bytes[written..].iter().position(|b| *b == b'\n').map_or(end - written, |i| i + 1);
            }
            let Some(raw) = hunk.bytes.get(from..written) else { return Ok(None) };
            match line.kind {
                LineKind::Added => out.extend_from_slice(raw),
                LineKind::Removed => {
                    out.extend_from_slice(raw);
                    at += 1;
                }
                LineKind::Context => {
                    let Some(there) = lines.get(at) else { return Ok(None) };
                    at += 1;
                    let same = line.content(file.strip_cr) == there.strip_suffix(b"\n").unwrap_or(there)
                        && line.newline == there.ends_with(b"\n");
                    if same && !raw.is_empty() {
                        out.extend_from_slice(raw);
                    } else if file.strip_cr {
                        return Ok(None);
                    } else {
                        write_line(b' ', there, &mut out);
                    }
                }
            }
        }
        growth += news as i64 - olds as i64;
    }
    Ok(Some(out))
}

/// Makes the hunks of a file anew from its contents before and after.
fn again<T: Tree>(tree: &T, file: &FileDiff<'_>, outcome: &Outcome) -> Result<Vec<u8>, Error> {
    let Some(result) = outcome.files.first() else { return Ok(Vec::new()) };
    let path = result.from.as_deref().unwrap_or(&result.path);
    let unreadable = |e: std::io::Error| Error::Unreadable { path: path.to_string(), why: e.to_string() };
    let before = tree.read(path).map_err(unreadable)?;
    let after = outcome.changes.get(&result.path).cloned().flatten();
    if file.strip_cr || outcome.changes.is_empty() {
        return diff_file(&result.path, before.as_ref(), after.as_ref());
    }
    let bytes = |f: Option<&File<'_>>| f.map(|f| f.bytes.to_vec()).unwrap_or_default();
    let mut out = file.header.to_vec();
    out.extend(super::diff::diff_bytes(&bytes(before.as_ref()), &bytes(after.as_ref())));
    Ok(out)
}

/// Returns a patch with the header and the signature of `patch` and another diff. What the message quotes of diffs is written so that GNU
/// patch does not see it. Lines of a diffstat in the header, which would be wrong, are left out.
pub fn replace_diff(patch: &PatchFile<'_>, diff: &[u8]) -> Vec<u8> {
    let all = lines(patch.preamble());
    let Layout { end, .. } = layout(&all);
    let mut out = Vec::new();
    for (i, line) in all.iter().enumerate() {
        let whole = &patch.preamble()[line.start..line.end];
        if i == end {
            out.extend_from_slice(whole);
        } else if !(i > end && is_diffstat(line.text)) {
            out.extend(quoted(whole));
        }
    }
    out.extend_from_slice(diff);
    out.extend_from_slice(patch.trailing());
    out
}

fn is_diffstat(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b" ") else { return false };
    let text = String::from_utf8_lossy(rest);
    let graph = text.rsplit_once(" | ").is_some_and(|(_, tail)| {
        let tail = tail.trim();
        tail.starts_with("Bin ") || tail.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '+' | '-'))
    });
    let summary = text.contains(" changed") && text.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let mode = ["create mode ", "delete mode ", "mode change ", "rename ", "copy "].iter().any(|p| text.starts_with(p));
    graph || summary || mode
}

#[cfg(test)]
mod tests {
    use super::super::REGULAR;
    use super::*;

    fn tree(text: &str) -> MemoryTree {
        let mut tree = MemoryTree::new();
        tree.insert("f", text, REGULAR);
        tree
    }

    const PATCH: &str = "Subject: x\nUpstream-Status: Pending\n\nIndex: f\n====\n--- a/f\t2020-01-01\n+++ b/f\t2020-01-01\n@@ -2,5 +2,6 @@ int main(void)\n b\n c\n-d\n+D\n+DD\n e\n f\n@@ -9 +10 @@ last\n-i\n+I\n-- \n2.1\n";

    #[test]
    fn only_numbers_and_context_change() {
        let source = "a\nb\nc\nd\ne\nf\ng\nh\ni\n";
        let patch = PatchFile::parse(PATCH.as_bytes()).unwrap();
        assert_eq!(refresh(&tree(source), &patch, &Options::default()).unwrap(), Refreshed::Unchanged);
        let moved = format!("0\n{source}");
        let Refreshed::Rewritten(bytes) = refresh(&tree(&moved), &patch, &Options::default()).unwrap() else {
            panic!()
        };
        let expected = PATCH.replace("-2,5 +2,6", "-3,5 +3,6").replace("-9 +10", "-10 +11");
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        let fuzzy = source.replace("b\n", "B\n");
        let Refreshed::Rewritten(bytes) = refresh(&tree(&fuzzy), &patch, &Options::default()).unwrap() else {
            panic!()
        };
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), PATCH.replace("\n b\n", "\n B\n"));
        let again = PatchFile::parse(&bytes).unwrap();
        assert_eq!(refresh(&tree(&fuzzy), &again, &Options::default()).unwrap(), Refreshed::Unchanged);
        assert!(matches!(
            refresh(&tree(&fuzzy), &patch, &Options { fuzz: 0, ..Options::default() }).unwrap(),
            Refreshed::Rejected(_)
        ));
    }

    /// Found by fuzzing: what one part of a patch takes away the next one may ask for, which no line numbers put right.
    #[test]
    fn what_is_rewritten_fits_at_its_lines() {
        let text = "--- a/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n--- a/a\n+++ /ul\n@@ -1 +0,0 @@\n-1\n";
        let patch = PatchFile::parse(text.as_bytes()).unwrap();
        let contents = [None, Some(""), Some("1\n"), Some("0\n1\n"), Some("1\n1\n"), Some("0\n0\n1\n1\n")];
        for (a, ul) in contents.iter().flat_map(|a| contents.map(|ul| (*a, ul))) {
            let mut tree = MemoryTree::new();
            for (path, text) in [("a", a), ("ul", ul)] {
                if let Some(text) = text {
                    tree.insert(path, text, REGULAR);
                }
            }
            for options in [Options::default(), Options { fuzz: 0, ..Options::default() }] {
                let Ok(Refreshed::Rewritten(new)) = refresh(&tree, &patch, &options) else { continue };
                let again = apply(&tree, &PatchFile::parse(&new).unwrap(), &options).unwrap();
                assert!(again.accepted() && again.max_offset() == 0 && again.max_fuzz() == 0, "{a:?} {ul:?}");
            }
        }
    }

    /// Found by tests/patch_fuzz.rs: the line went, and what followed it got another meaning.
    #[test]
    fn a_note_about_a_binary_file_stays() {
        let text = "diff --git a/x.bin b/x.bin\nBinary files a/x.bin and b/x.bin differ\n--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-a\n+A\n b\n";
        let patch = PatchFile::parse(text.as_bytes()).unwrap();
        let Refreshed::Rewritten(bytes) = refresh(&tree("0\na\nb\n"), &patch, &Options::default()).unwrap() else {
            panic!()
        };
        assert_eq!(String::from_utf8(bytes).unwrap(), text.replace("@@ -1,2 +1,2 @@", "@@ -2,2 +2,2 @@"));
    }

    #[test]
    fn a_new_diff_under_an_old_header() {
        let text = "Subject: x\n\nBody | 3 +\n---\n f | 2 +-\n 1 file changed, 1 insertion(+)\n\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n-- \n2\n";
        let patch = PatchFile::parse(text.as_bytes()).unwrap();
        let out = replace_diff(&patch, b"DIFF\n");
        assert_eq!(String::from_utf8(out).unwrap(), "Subject: x\n\nBody | 3 +\n---\n\nDIFF\n-- \n2\n");
    }
}
