//! Turns a patch round, so that applying it does what `patch -R` did with it before.
//!
//! Sides change places in names, modes and hunks, as `git diff -R` writes them; text before and behind stays. Must not
//! apply anything.

use super::diff::range;
use super::error::Error;
use super::names::{FileName, in_quotes, quoted};
use super::patch_file::{FileDiff, Hunk, LineKind, PatchFile};

/// Returns the patch that takes back what a patch does. Its files come in the opposite order.
///
/// # Errors
/// [`Error::CannotReverse`] for a binary change, for a copy, for a hunk that ends in the middle of a line, and for one that has no line to be
/// found by and two places in its header.
pub fn reverse(patch: &PatchFile<'_>) -> Result<Vec<u8>, Error> {
    let mut out = patch.preamble().to_vec();
    for file in patch.files().iter().rev() {
        let refuse = |why| Error::CannotReverse { why, at: file.at.clone() };
        if file.binary.is_some() {
            return Err(refuse("a binary change"));
        }
        if file.git.as_ref().is_some_and(|git| git.copy.is_some()) {
            return Err(refuse("a copy of a file"));
        }
        // The last line of a file may have been the last of the patch, without its line feed.
        end_line(&mut out);
        out.extend_from_slice(file.lead);
        header(file, &mut out);
        if let Some(hunk) = file.hunks.iter().zip(drifts(&file.hunks)).find_map(|(hunk, adrift)| adrift.then_some(hunk))
        {
            return Err(Error::CannotReverse { why: "a hunk whose header names two places", at: hunk.at.clone() });
        }
        for hunk in &file.hunks {
            if hunk.unfinished {
                return Err(refuse("a hunk that ends in the middle of a line"));
            }
            turn(hunk, &mut out);
        }
    }
    end_line(&mut out);
    out.extend_from_slice(patch.trailing());
    // What contradicts itself (`+++ /dev/null` with lines, `\ No newline` twice) may be read in one direction only.
    let sides = |patch: &PatchFile<'_>, new: bool| -> Vec<Vec<Vec<u8>>> {
        patch.files().iter().map(|f| f.hunks.iter().map(|h| h.side(new, false)).collect()).collect()
    };
    let same = PatchFile::parse(&out).is_ok_and(|turned| {
        [false, true].into_iter().all(|new| sides(&turned, new).into_iter().rev().eq(sides(patch, !new)))
    });
    if !same {
        let at = patch.files().first().map(|f| f.at.clone()).unwrap_or_default();
        return Err(Error::CannotReverse { why: "lines that contradict each other", at });
    }
    Ok(out)
}

/// Says of each hunk whether only a number tells where one of its sides is (it has no lines), and the number of its other side tells
/// otherwise. GNU patch goes by the number of the side that it looks for: what `-R` puts in is then not where it was taken out.
fn drifts<'h>(hunks: &'h [Hunk<'_>]) -> impl Iterator<Item = bool> + 'h {
    // Below 2^60 each, so that sums have room.
    let before = |start: u64, count: u64| start as i128 - i128::from(count > 0);
    let (mut growth, mut drift) = (0, 0);
    hunks.iter().map(move |hunk| {
        let (old, new) = (before(hunk.old_start, hunk.old_count), before(hunk.new_start, hunk.new_count));
        let own = new - old - growth;
        growth += hunk.new_count as i128 - hunk.old_count as i128;
        let empty = hunk.old_count == 0 || hunk.new_count == 0;
        // Where the hunk before was found somewhere else, this one is looked for as far from its number.
        let adrift = empty && own != drift;
        drift = own;
        adrift
    })
}

fn end_line(out: &mut Vec<u8>) {
    if out.last().is_some_and(|b| *b != b'\n') {
        out.push(b'\n');
    }
}

/// Header lines that change places, and what each becomes.
const PAIRS: [(&str, &str); 5] = [
    ("old mode ", "new mode "),
    ("new file mode ", "deleted file mode "),
    ("rename from ", "rename to "),
    ("rename old ", "rename new "),
    ("--- ", "+++ "),
];

/// Writes the header of a file with its sides changed.
fn header(file: &FileDiff<'_>, out: &mut Vec<u8>) {
    let lines: Vec<&[u8]> = file.header.split_inclusive(|b| *b == b'\n').collect();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at += 1;
        let text = without_end(line);
        let eol = line.get(text.len()..).unwrap_or_default();
        let git = file.git.as_ref().filter(|_| text.starts_with(b"diff --git "));
        if let Some((old, new)) = git.and_then(|git| git.old.as_ref().zip(git.new.as_ref())) {
            // Quotes around blanks stay where they were needed: where no other line has the names.
            let blanks = |name: &FileName| name.name.contains(' ') && text.contains(&b'"');
            let name = |name: &FileName| if blanks(name) { in_quotes(&name.name) } else { quoted(&name.name) };
            out.extend_from_slice(format!("diff --git {} {}", name(new), name(old)).as_bytes());
            out.extend_from_slice(eol);
            continue;
        }
        if let Some((before, after, mode)) = text.strip_prefix(b"index ").and_then(objects) {
            out.extend([b"index ", after, b"..", before, mode, eol].concat());
            continue;
        }
        let pair = PAIRS.iter().find_map(|(old, new)| {
            let first = text.strip_prefix(old.as_bytes());
            first.map(|rest| (*old, *new, rest)).or_else(|| Some((*new, *old, text.strip_prefix(new.as_bytes())?)))
        });
        let Some((mine, other, rest)) = pair else {
            out.extend_from_slice(line);
            continue;
        };
        // Two lines that are side by side keep their order: the old side's stands first.
        let next = lines.get(at).and_then(|next| without_end(next).strip_prefix(other.as_bytes()));
        match next {
            Some(next) if mine != "new file mode " => {
                out.extend([mine.as_bytes(), next, eol, other.as_bytes(), rest, eol].concat());
                at += 1;
            }
            _ => out.extend([other.as_bytes(), rest, eol].concat()),
        }
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Splits `abc..def 100644` into both names and the rest.
fn objects(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let dots = text.windows(2).position(|w| w == b"..")?;
    let (before, rest) = (text.get(..dots)?, text.get(dots + 2..)?);
    let end = rest.iter().position(|b| *b == b' ').unwrap_or(rest.len());
    Some((before, rest.get(..end)?, rest.get(end..)?))
}

fn turn(hunk: &Hunk<'_>, out: &mut Vec<u8>) {
    let side = |start: u64, count: u64| {
        // As written: a side without lines names the line before it.
        let (start, count) = (usize::try_from(start).unwrap_or(usize::MAX), usize::try_from(count).unwrap_or(0));
        let first = if count == 0 { start } else { start.saturating_sub(1) };
        range(&(first..first.saturating_add(count)))
    };
    let (old, new) = (side(hunk.new_start, hunk.new_count), side(hunk.old_start, hunk.old_count));
    let mut lines = Pieces { bytes: hunk.bytes };
    let eol: &[u8] = if lines.next().is_some_and(|line| line.ends_with(b"\r\n")) { b"\r\n" } else { b"\n" };
    out.extend([format!("@@ -{old} +{new} @@").as_bytes(), hunk.section, eol].concat());
    // What is taken out stands before what is put in.
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for (line, raw) in hunk.lines.iter().zip(lines) {
        match line.kind {
            LineKind::Context => {
                out.append(&mut removed);
                out.append(&mut added);
                out.extend_from_slice(raw);
            }
            LineKind::Removed => signed(b'+', raw, &mut added),
            LineKind::Added => signed(b'-', raw, &mut removed),
        }
    }
    out.append(&mut removed);
    out.append(&mut added);
}

fn signed(sign: u8, raw: &[u8], out: &mut Vec<u8>) {
    out.push(sign);
    out.extend_from_slice(raw.get(1..).unwrap_or_default());
    end_line(out);
}

/// The lines of a hunk as written, each with the `\ No newline` line that belongs to it.
struct Pieces<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = |bytes: &[u8]| memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        if self.bytes.is_empty() {
            return None;
        }
        let mut end = line(self.bytes);
        if self.bytes.get(end) == Some(&b'\\') {
            end += line(self.bytes.get(end..).unwrap_or_default());
        }
        let (piece, rest) = self.bytes.split_at_checked(end)?;
        self.bytes = rest;
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EXECUTABLE, MemoryTree, Options, REGULAR, SYMLINK, Tree as _, Verdict, apply, diff_trees};
    use super::*;
    use proptest::prelude::*;

    fn turned(text: &str) -> String {
        String::from_utf8(reverse(&PatchFile::parse(text.as_bytes()).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn as_git_writes_it() {
        let text = "Subject: x\n\ndiff --git a/old b/new\nsimilarity index 90%\nrename from old\nrename to new\nindex 123..456 100644\n--- a/old\n+++ b/new\n@@ -1,3 +1,4 @@ f\n a\n-b\n+B\n+BB\n c\n\\ No newline at end of file\ndiff --git a/x b/x\nnew file mode 100755\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+x\n-- \n2\n";
        let back = turned(text);
        assert_eq!(
            back,
            "Subject: x\n\ndiff --git b/x a/x\ndeleted file mode 100755\n--- b/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\ndiff --git b/new a/old\nsimilarity index 90%\nrename from new\nrename to old\nindex 456..123 100644\n--- b/new\n+++ a/old\n@@ -1,4 +1,3 @@ f\n a\n-B\n-BB\n+b\n c\n\\ No newline at end of file\n-- \n2\n"
        );
        assert_eq!(turned(&back), text);
        let copy = "diff --git a/f b/g\nsimilarity index 100%\ncopy from f\ncopy to g\n";
        assert!(matches!(
            reverse(&PatchFile::parse(copy.as_bytes()).unwrap()),
            Err(Error::CannotReverse { why: "a copy of a file", .. })
        ));
    }

    /// GNU patch 2.7.6 and 2.8 take line 2 out, and with `-R` put it in before line 1 (and so does `apply`).
    #[test]
    fn a_header_that_names_two_places() {
        let reversed = |hunks: &str| {
            let text = format!("--- a/f\n+++ b/f\n{hunks}");
            reverse(&PatchFile::parse(text.as_bytes()).unwrap()).map_err(|e| e.spot().map(|s| s.line))
        };
        for (hunks, line) in [
            ("@@ -2 +0,0 @@\n-b\n", 3),
            ("@@ -0,0 +3 @@\n+b\n", 3),
            ("@@ -1 +1,2 @@\n-a\n+a\n+A\n@@ -5 +4,0 @@\n-e\n", 7),
        ] {
            assert_eq!(reversed(hunks), Err(Some(line)), "{hunks}");
        }
        for hunks in ["@@ -2 +1,0 @@\n-b\n", "@@ -1 +3,2 @@\n-a\n+a\n+A\n@@ -5 +7,0 @@\n-e\n", "@@ -1 +9 @@\n-a\n+b\n"]
        {
            assert!(reversed(hunks).is_ok(), "{hunks}");
        }
        let twice = "@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n\\ Kein Zeilenumbruch am Dateiende.\n";
        assert_eq!(reversed(twice), Err(Some(1)));
        let mut tree = MemoryTree::new();
        tree.insert("f", "a\nc\n", REGULAR);
        let patch = PatchFile::parse(b"--- a/f\n+++ b/f\n@@ -2 +0,0 @@\n-b\n").unwrap();
        let outcome = apply(&tree, &patch, &Options { reverse: true, ..Options::default() }).unwrap();
        tree.update(outcome.changes);
        assert_eq!(tree.read("f").unwrap().unwrap().bytes.as_ref(), b"b\na\nc\n");
    }

    #[test]
    fn pieces_end_in_a_line_feed() {
        let text = "diff --git a/s b/s\nold mode 100644\nnew mode 100755\ndiff --git a/n b/n\n--- a/n\n+++ b/n\n@@ -1,3 +1,3 @@\n-FIRST\n+first\n second\n last\n\\ No newline at end of file";
        assert_eq!(
            turned(text),
            "diff --git b/n a/n\n--- b/n\n+++ a/n\n@@ -1,3 +1,3 @@\n-first\n+FIRST\n second\n last\n\\ No newline at end of file\ndiff --git b/s a/s\nold mode 100755\nnew mode 100644\n"
        );
        let last = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file";
        assert_eq!(turned(last), "--- b/f\n+++ a/f\n@@ -1 +1 @@\n-b\n\\ No newline at end of file\n+a\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// What a patch did is taken back by the patch turned round, and turned again it is the same patch.
        #[test]
        fn there_and_back(files in prop::collection::vec(
            (prop::option::of("(a|b|c|d|\n){0,24}"), prop::option::of("(a|b|c|d|\n){0,24}"), any::<bool>(), 0..4u8), 1..4)
        ) {
            let (mut before, mut after) = (MemoryTree::new(), MemoryTree::new());
            for (i, (old, new, executable, link)) in files.iter().enumerate() {
                let name = if i == 0 { "with blank".to_string() } else { format!("d/f{i}") };
                if let Some(old) = old { let _ = before.insert(name.clone(), old.clone(), REGULAR); }
                let mode = if *executable { EXECUTABLE } else { REGULAR };
                let _ = match new {
                    Some(_) if *link == 0 => after.insert(name, "target", SYMLINK),
                    Some(new) => after.insert(name, new.clone(), mode),
                    None => None,
                };
            }
            let bytes = diff_trees(&before, &after).unwrap();
            prop_assume!(!bytes.is_empty());
            let patch = PatchFile::parse(&bytes).unwrap();
            let back = reverse(&patch).unwrap();
            let parsed = PatchFile::parse(&back).unwrap();
            let outcome = apply(&after, &parsed, &Options::default()).unwrap();
            prop_assert_eq!(outcome.verdict(), Verdict::Clean, "{}", String::from_utf8_lossy(&back));
            after.update(outcome.changes);
            prop_assert_eq!(&after, &before);
            prop_assert_eq!(reverse(&parsed).unwrap(), bytes);
        }
    }
}
