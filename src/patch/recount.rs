//! The counts in hunk headers: what would be right for the lines that stand there.
//!
//! Must not change a line of a hunk.

use super::error::{Error, Spot};
use super::parse::{Reader, content};
use super::patch_file::PatchFile;

/// The lines of a hunk whose header is passed, counted from what they are.
pub(super) struct Counted {
    pub(super) old: u64,
    pub(super) new: u64,
    /// Where they end.
    pub(super) end: usize,
}

/// Counts the lines behind a hunk header: up to the next hunk, the next file, a signature or other text. Empty lines at the end, which
/// may be text, count only where `claimed`, the header, says so.
pub(super) fn count(mut reader: Reader<'_>, claimed: (u64, u64)) -> Counted {
    let (mut old, mut new, mut empty) = (0, 0, 0);
    let mut end = reader.at;
    while let Some(line) = reader.peek() {
        let text = content(line);
        let after = reader.second().unwrap_or_default();
        // A signature, with or without its blank; a line `-- ` may be one of the hunk that takes `- ` out.
        let more = [&b" "[..], b"-", b"+", b"@@ -", b"\\"].iter().any(|start| after.starts_with(start));
        let signature =
            text.trim_ascii_end() == b"--" && ((old + empty, new + empty) == claimed || (old, new) == claimed || !more);
        if signature || (text.starts_with(b"--- ") && after.starts_with(b"+++ ")) {
            break;
        }
        match text.first() {
            // A blank line of context, or what is behind the hunk.
            _ if text.trim_ascii().is_empty() => empty += 1,
            Some(b' ' | b'\t' | b'+' | b'-') => {
                old += empty + u64::from(text[0] != b'+');
                new += empty + u64::from(text[0] != b'-');
                empty = 0;
            }
            Some(b'\\') if empty == 0 => {}
            _ => break,
        }
        reader.next();
        if empty == 0 || (old + empty, new + empty) == claimed {
            end = reader.at;
        }
    }
    match (1..=empty).find(|n| (old + n, new + n) == claimed) {
        Some(n) => Counted { old: old + n, new: new + n, end },
        None => Counted { old, new, end },
    }
}

/// Returns the header that would be right for the lines behind the hunk header at the position. `None` when no lines are there, or it is right.
pub(super) fn fitting(at: &Reader<'_>) -> Option<String> {
    let ([old_start, old_count, new_start, new_count], _) = at.hunk_header().ok()?;
    let mut behind = at.clone();
    behind.next();
    let counted = count(behind, (old_count, new_count));
    let right = (counted.old, counted.new) == (old_count, new_count) || counted.old + counted.new == 0;
    let side = |start, count| if count == 1 { format!("{start}") } else { format!("{start},{count}") };
    (!right).then(|| format!("@@ -{} +{} @@", side(old_start, counted.old), side(new_start, counted.new)))
}

impl PatchFile<'_> {
    /// Returns the hunks behind which lines stand that look like theirs and that their headers do not count, each with the header that would be
    /// right. `patch` passes over such lines without a word.
    pub fn miscounted(&self) -> Vec<(Spot, String)> {
        let bytes = self.to_bytes();
        let hunks = self.files.iter().flat_map(|file| &file.hunks);
        let header = |hunk: &super::Hunk<'_>| {
            fitting(&Reader { bytes: &bytes, at: hunk.at.span?.start, line: hunk.at.line })
                .map(|h| (hunk.at.clone(), h))
        };
        hunks.filter(|hunk| !hunk.unfinished).filter_map(header).collect()
    }
}

/// Returns a patch in which each hunk header counts the lines that its hunk has; the bytes that came where all are right. Line numbers and
/// every other byte stay.
pub fn recount(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut reader = Reader { bytes, at: 0, line: 1 };
    let mut in_file = false;
    while let Some(line) = reader.peek() {
        let header = reader.hunk_header().ok().filter(|_| in_file);
        let Some(([.., old_count, _, new_count], section)) = header else {
            in_file = (line.starts_with(b"--- ") || line.starts_with(b"+++ "))
                && reader.second().is_some_and(|l| l.starts_with(b"+++ ") || l.starts_with(b"@@ -"));
            out.extend_from_slice(reader.next());
            continue;
        };
        let right = fitting(&reader);
        let whole = reader.next();
        match right {
            Some(right) => out.extend([right.as_bytes(), section, &whole[content(whole).len()..]].concat()),
            None => out.extend_from_slice(whole),
        }
        let end = count(reader.clone(), (old_count, new_count)).end;
        while reader.at < end {
            out.extend_from_slice(reader.next());
        }
    }
    PatchFile::parse(&out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATCH: &str = "Subject: x\n\n@@ -1,9 +1,9 @@ in text\n---\n--- a/f\n+++ b/f\n@@ -1,4 +1,4 @@ fn\n a\n\n-b\n+c\n d\n@@ -9,2 +9 @@\n-x\n y\n\ndiff --git a/g b/g\n--- a/g\n+++ b/g\n@@ -3,2 +3,3 @@\n e\n+f\n g\n-- \n2.1\n\n";

    #[test]
    fn wrong_counts_are_named_and_righted() {
        assert_eq!(recount(PATCH.as_bytes()).unwrap(), PATCH.as_bytes());
        assert_eq!(PatchFile::parse(PATCH.as_bytes()).unwrap().miscounted(), []);
        for (from, to) in [
            ("-1,4 +1,4", "-1,3 +1,4"),
            ("-1,4 +1,4", "-1,9 +1,9"),
            ("-9,2 +9", "-9,1 +9,2"),
            ("-3,2 +3,3", "-3,7 +3,8"),
            ("-3,2 +3,3", "-3 +3,2"),
        ] {
            let wrong = PATCH.replace(from, to);
            let text = match PatchFile::parse(wrong.as_bytes()) {
                Ok(patch) => format!("{:?}", patch.miscounted()),
                Err(error) => error.to_string(),
            };
            assert!(text.contains(&format!("@@ {from} @@")), "{to}: {text}");
            assert_eq!(String::from_utf8(recount(wrong.as_bytes()).unwrap()).unwrap(), PATCH, "{to}");
        }
    }

    proptest! {
        #[test]
        fn any_numbers_are_righted(a in 0u64..30, b in 0u64..30, lines in prop::collection::vec(prop::sample::select(vec![" x\n", "-y\n", "+z\n", "\n"]), 0..9)) {
            let body: String = lines.concat() + "-last\n";
            let text = format!("--- a/f\n+++ b/f\n@@ -5,{a} +5,{b} @@\n{body}");
            let right = recount(text.as_bytes()).unwrap();
            let parsed = PatchFile::parse(&right).unwrap();
            prop_assert_eq!(parsed.files()[0].hunks[0].lines.len(), lines.len() + 1);
            prop_assert_eq!(recount(&right).unwrap(), right);
        }
    }
}
