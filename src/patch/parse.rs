//! Reads patch files: what GNU patch 2.7 and git take for a unified diff, every byte kept.
//!
//! Grammar after "Detailed Unified" in the diffutils manual and "Generating patch text with -p" in git-diff(1). Two leniencies
//! are GNU patch's own: an empty line or one that begins with a tab within a hunk is a context line whose leading blank
//! was lost, and up to three blank context lines may be missing at the very end. An unfinished last line is
//! dropped, as GNU patch does; [`Hunk::unfinished`] says so. Must not change bytes, must not look at any tree.

use super::error::{Error, Spot};
use super::names::FileName;
use super::patch_file::{Binary, FileDiff, Hunk, HunkLine, LineKind, PatchFile};
use super::recount;
use super::{MAX_LINE_BYTES, MAX_PATCH_BYTES};

/// How many blank context lines at the very end of a patch may have been lost (mailers and editors take them off); as GNU patch.
const MAX_CHOPPED: u64 = 3;
/// No line number and no count may be larger.
const MAX_NUMBER: u64 = 1 << 60;

impl<'a> PatchFile<'a> {
    /// Reads a patch file.
    ///
    /// # Errors
    /// Each way in which bytes can fail to be a unified diff has a variant of [`Error`], with line and span. Names that
    /// leave the tree are found by [`PatchFile::check`], as that depends on the `-p` level.
    pub fn parse(bytes: &'a [u8]) -> Result<PatchFile<'a>, Error> {
        if bytes.len() > MAX_PATCH_BYTES {
            return Err(Error::TooLarge { what: "the patch", limit: MAX_PATCH_BYTES, at: Spot::default() });
        }
        if bytes.trim_ascii().is_empty() {
            return Err(Error::Empty { at: Spot::default() });
        }
        let mut reader = Reader { bytes, at: 0, line: 1 };
        let mut files: Vec<FileDiff<'a>> = Vec::new();
        let mut preamble: Option<&'a [u8]> = None;
        let mut text_start = 0;
        // The first line of a run of lines that belong to a header to come (`Index:`, `diff -u a b`, `====`).
        let mut pending: Option<Mark> = None;
        // Since the last hunk the header of another mail has come.
        let mut new_message = false;
        while let Some(line) = reader.peek() {
            if line.len() > MAX_LINE_BYTES {
                return Err(Error::TooLarge { what: "a line of the patch", limit: MAX_LINE_BYTES, at: reader.spot() });
            }
            let mark = reader.mark();
            let begins = if line.starts_with(b"diff --git ") {
                true
            } else if line.starts_with(b"diff --cc ") || line.starts_with(b"diff --combined ") {
                return Err(Error::CombinedDiff { at: reader.spot() });
            } else if line.starts_with(b"--- ") {
                reader.second().is_some_and(|l| l.starts_with(b"+++ ") || l.starts_with(b"@@ -"))
            } else if line.starts_with(b"+++ ") {
                // The line before it was lost; `patch` does with one name.
                reader.second().is_some_and(|l| l.starts_with(b"@@ -"))
            } else if line.starts_with(b"*** ") && context_diff(&reader) {
                return Err(Error::ContextDiff { at: reader.spot() });
            } else if line.starts_with(b"@@ -") && reader.hunk_header().is_ok() {
                let named = pending.as_ref().is_some_and(|p| p.index.is_some());
                // In a description it is text. Behind a hunk whose header counts too few lines it is a hunk, and `patch` loses it without
                // a word.
                if !named && !files.is_empty() && !new_message {
                    let before = files.last().and_then(|f| f.hunks.last()).and_then(|hunk| {
                        recount::fitting(&Reader { bytes, at: hunk.at.span?.start, line: hunk.at.line })
                    });
                    return Err(Error::HunkWithoutFile { at: reader.spot(), right: before });
                }
                named
            } else {
                false
            };
            if !begins {
                new_message |=
                    line.starts_with(b"From ") || line.starts_with(b"From: ") || line.starts_with(b"Subject: ");
                if line.starts_with(b"Index: ") || line.starts_with(b"diff -") {
                    let index = line.strip_prefix(b"Index: ").map(|rest| (rest.trim_ascii_end(), reader.spot()));
                    // `Index:` then `diff -u`, as CVS writes them, are one header.
                    let mut start = pending.take().filter(|p| p.index.is_some() && index.is_none()).unwrap_or(mark);
                    start.index = start.index.or(index);
                    pending = Some(start);
                } else if binary_note(line).is_some() {
                    let start = pending.take().unwrap_or(mark);
                    open_file(&mut preamble, &mut text_start, &start, bytes);
                    let lead = lead_of(bytes, &files, text_start, start.at);
                    let header = &bytes[start.at..reader.at];
                    let (old, new) = binary_names(line, &reader.spot())?;
                    let at = start.spot(&reader);
                    let from = reader.at;
                    reader.next();
                    let binary = Some(Binary { bytes: &bytes[from..reader.at], has_data: false });
                    let index = None;
                    files.push(FileDiff {
                        lead,
                        header,
                        git: None,
                        old,
                        new,
                        index,
                        hunks: Vec::new(),
                        binary,
                        strip_cr: false,
                        at,
                    });
                    text_start = reader.at;
                    continue;
                } else if !(line.starts_with(b"====")
                    || line.starts_with(b"RCS file:")
                    || line.starts_with(b"retrieving "))
                {
                    pending = None;
                }
                reader.next();
                continue;
            }
            let start = pending.take().unwrap_or(mark);
            open_file(&mut preamble, &mut text_start, &start, bytes);
            let lead = lead_of(bytes, &files, text_start, start.at);
            let file = reader.file(&start, lead)?;
            files.push(file);
            new_message = false;
            text_start = reader.at;
        }
        if files.is_empty() {
            return Err(super::not_a_patch::nearest_reason(bytes));
        }
        let trailing = &bytes[text_start.min(bytes.len())..];
        Ok(PatchFile { preamble: preamble.unwrap_or_default(), files, trailing })
    }
}

/// Closes the preamble at the first header.
fn open_file<'a>(preamble: &mut Option<&'a [u8]>, text_start: &mut usize, start: &Mark<'a>, bytes: &'a [u8]) {
    if preamble.is_none() {
        *preamble = Some(&bytes[..start.at]);
        *text_start = start.at;
    }
}

fn lead_of<'a>(bytes: &'a [u8], files: &[FileDiff<'_>], text_start: usize, at: usize) -> &'a [u8] {
    if files.is_empty() { &[] } else { &bytes[text_start..at] }
}

/// A position to which a header reaches back.
#[derive(Clone)]
struct Mark<'a> {
    at: usize,
    line: usize,
    index: Option<(&'a [u8], Spot)>,
}

impl Mark<'_> {
    fn spot(&self, reader: &Reader<'_>) -> Spot {
        Reader { bytes: reader.bytes, at: self.at, line: self.line }.spot()
    }
}

/// Lines of the patch and a position among them.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) line: usize,
}

impl<'a> Reader<'a> {
    /// The line at the position without its line feed.
    pub(super) fn peek(&self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return None;
        }
        Some(&rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())])
    }

    pub(super) fn second(&self) -> Option<&'a [u8]> {
        let mut ahead = self.clone();
        ahead.next();
        ahead.peek()
    }

    /// Moves behind the line; returns it with its line feed.
    pub(super) fn next(&mut self) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |i| i + 1);
        self.at += len;
        self.line += 1;
        &rest[..len]
    }

    fn mark(&self) -> Mark<'a> {
        Mark { at: self.at, line: self.line, index: None }
    }

    pub(super) fn spot(&self) -> Spot {
        let line = self.peek().unwrap_or_default();
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        let shown = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
        let span = Some(crate::base::span::Span::new(self.at, self.at + text.len()));
        Spot { line: self.line, span, text: shown, path: Default::default() }
    }

    /// Reads one file: header lines, then hunks or a binary change.
    fn file(&mut self, start: &Mark<'a>, lead: &'a [u8]) -> Result<FileDiff<'a>, Error> {
        let mut file = FileDiff {
            lead,
            header: &[],
            git: None,
            old: None,
            new: None,
            index: None,
            hunks: Vec::new(),
            binary: None,
            strip_cr: false,
            at: start.spot(self),
        };
        if let Some((name, at)) = &start.index {
            file.index = Some(FileName::from_header(name, at.clone())?);
            file.strip_cr = at.span.is_some_and(|s| self.bytes.get(s.end) == Some(&b'\r'));
        }
        if self.peek().is_some_and(|l| l.starts_with(b"diff --git ")) {
            file.strip_cr = self.peek().is_some_and(|l| l.ends_with(b"\r"));
            file.git = Some(self.git_header()?);
        }
        let minus = self.peek().is_some_and(|l| l.starts_with(b"--- "));
        let plus = |line: Option<&[u8]>| line.is_some_and(|l| l.starts_with(b"+++ "));
        let hunk = |line: Option<&[u8]>| line.is_some_and(|l| l.starts_with(b"@@ -"));
        if (minus && (plus(self.second()) || hunk(self.second()))) || (plus(self.peek()) && hunk(self.second())) {
            while let Some(line) = self.peek().filter(|l| l.starts_with(b"--- ") || l.starts_with(b"+++ ")) {
                let name = FileName::from_header(&line[4..], self.spot())?;
                file.strip_cr = line.ends_with(b"\r");
                if line.starts_with(b"---") && file.old.is_none() && file.new.is_none() {
                    file.old = Some(name);
                } else if line.starts_with(b"+++") && file.new.is_none() {
                    file.new = Some(name);
                } else {
                    break;
                }
                self.next();
            }
            if !hunk(self.peek()) {
                return Err(Error::HeaderWithoutHunk { at: file.at });
            }
            // An empty name is no name.
            file.old = file.old.filter(|n| n.null || !n.name.is_empty());
            file.new = file.new.filter(|n| n.null || !n.name.is_empty());
        }
        file.header = &self.bytes[start.at..self.at];
        let from = self.at;
        match self.peek() {
            Some(line) if content(line) == b"GIT binary patch" => {
                self.next();
                // Blocks of base85 lines, each closed by an empty line: `literal N`, `delta N`.
                while let Some(line) = self.peek() {
                    let line = content(line);
                    let data = line.first().is_some_and(|b| b.is_ascii_alphabetic()) && !line.contains(&b' ');
                    if !(line.is_empty() || line.starts_with(b"literal ") || line.starts_with(b"delta ") || data) {
                        break;
                    }
                    self.next();
                }
                file.binary = Some(Binary { bytes: &self.bytes[from..self.at], has_data: true });
            }
            Some(line) if binary_note(line).is_some() => {
                self.next();
                file.binary = Some(Binary { bytes: &self.bytes[from..self.at], has_data: false });
            }
            _ => {
                while self.peek().is_some_and(|l| l.starts_with(b"@@ -")) {
                    let hunk = self.hunk()?;
                    file.hunks.push(hunk);
                }
                if self.peek().is_some_and(|l| l.starts_with(b"@@@ ")) {
                    return Err(Error::CombinedDiff { at: self.spot() });
                }
            }
        }
        Ok(file)
    }

    /// Reads the numbers of the hunk header at the position; the position stays.
    pub(super) fn hunk_header(&self) -> Result<([u64; 4], &'a [u8]), Error> {
        let line = content(self.peek().unwrap_or_default());
        let bad = || Error::BadHunkHeader { at: self.spot() };
        let mut rest = line.strip_prefix(b"@@ -").ok_or_else(bad)?;
        let number = |rest: &mut &'a [u8]| -> Result<u64, Error> {
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            let (head, tail) = rest.split_at(digits);
            *rest = tail;
            let text = std::str::from_utf8(head).ok().filter(|t| !t.is_empty()).ok_or_else(bad)?;
            text.parse::<u64>().ok().filter(|n| *n < MAX_NUMBER).ok_or_else(|| Error::HugeCount { at: self.spot() })
        };
        let pair = |rest: &mut &'a [u8]| -> Result<(u64, u64), Error> {
            let start = number(rest)?;
            match rest.strip_prefix(b",") {
                Some(tail) => {
                    *rest = tail;
                    Ok((start, number(rest)?))
                }
                None => Ok((start, 1)),
            }
        };
        let (old_start, old_count) = pair(&mut rest)?;
        rest = rest.strip_prefix(b" +").ok_or_else(bad)?;
        let (new_start, new_count) = pair(&mut rest)?;
        let section = rest.strip_prefix(b" @@").ok_or_else(bad)?;
        Ok(([old_start, old_count, new_start, new_count], section))
    }

    fn hunk(&mut self) -> Result<Hunk<'a>, Error> {
        let from = self.at;
        let at = self.spot();
        let header = self.clone();
        let right = || recount::fitting(&header);
        let ([old_start, old_count, new_start, new_count], section) = self.hunk_header()?;
        self.next();
        let (mut old, mut new) = (old_count, new_count);
        let mut lines: Vec<HunkLine<'a>> = Vec::new();
        let mut unfinished = false;
        while old > 0 || new > 0 {
            let Some(line) = self.peek() else {
                if old == new && old <= MAX_CHOPPED {
                    lines.extend((0..old).map(|_| HunkLine { kind: LineKind::Context, text: b"\n", newline: true }));
                    break;
                }
                return Err(Error::TruncatedHunk { missing: old.max(new), at, right: right() });
            };
            if self.at + line.len() == self.bytes.len() {
                // GNU patch drops an unfinished line, and then takes the missing ones for blank.
                unfinished = true;
                self.next();
                continue;
            }
            if line.len() > MAX_LINE_BYTES {
                return Err(Error::TooLarge { what: "a line of the patch", limit: MAX_LINE_BYTES, at: self.spot() });
            }
            let (kind, skip) = match line.first() {
                Some(b' ') => (LineKind::Context, 1),
                None | Some(b'\t') | Some(b'\r') => (LineKind::Context, 0),
                Some(b'-') => (LineKind::Removed, 1),
                Some(b'+') => (LineKind::Added, 1),
                _ => return Err(Error::BadCounts { at: self.spot(), right: right() }),
            };
            let (takes_old, takes_new) = (kind != LineKind::Added, kind != LineKind::Removed);
            if (takes_old && old == 0) || (takes_new && new == 0) {
                return Err(Error::BadCounts { at: self.spot(), right: right() });
            }
            old -= u64::from(takes_old);
            new -= u64::from(takes_new);
            let whole = self.next();
            let mut parsed = HunkLine { kind, text: &whole[skip..], newline: true };
            // `\ No newline at end of file`, in whatever language.
            if self.peek().is_some_and(|l| l.starts_with(b"\\")) {
                self.next();
                parsed.newline = false;
                parsed.text = parsed.text.strip_suffix(b"\n").unwrap_or(parsed.text);
                if parsed.text.is_empty() {
                    return Err(Error::BadCounts { at: self.spot(), right: right() });
                }
            }
            lines.push(parsed);
        }
        if lines.iter().all(|l| l.kind == LineKind::Context) {
            return Err(Error::BadCounts { at, right: right() });
        }
        let bytes = &self.bytes[from..self.at];
        Ok(Hunk { bytes, old_start, old_count, new_start, new_count, section, lines, unfinished, at })
    }
}

/// A line without line end.
pub(super) fn content(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What a `Binary files a and b differ` line says between the words.
fn binary_note(line: &[u8]) -> Option<&[u8]> {
    let line = content(line);
    let rest = line.strip_prefix(b"Binary files ")?;
    rest.strip_suffix(b" differ").filter(|r| r.windows(5).any(|w| w == b" and "))
}

fn binary_names(line: &[u8], at: &Spot) -> Result<(Option<FileName>, Option<FileName>), Error> {
    let rest = binary_note(line).unwrap_or_default();
    let Some(i) = rest.windows(5).position(|w| w == b" and ") else { return Ok((None, None)) };
    Ok((
        Some(FileName::from_extended(&rest[..i], at.clone())?),
        Some(FileName::from_extended(&rest[i + 5..], at.clone())?),
    ))
}

fn context_diff(reader: &Reader<'_>) -> bool {
    let mut ahead = reader.clone();
    ahead.next();
    if !ahead.peek().is_some_and(|l| l.starts_with(b"--- ")) {
        return false;
    }
    ahead.next();
    ahead.peek().is_some_and(|l| l.starts_with(b"***************"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diagnostic::Coded;
    use proptest::prelude::*;

    const HUNK: &str = "@@ -1,2 +1,2 @@ fn\n a\n-b\n+c\n";

    fn parse(text: &str) -> Result<PatchFile<'_>, Error> {
        PatchFile::parse(text.as_bytes())
    }

    fn code(text: &str) -> (&'static str, usize) {
        let error = parse(text).and_then(|p| p.check(1)).unwrap_err();
        (error.code(), error.spot().map_or(0, |s| s.line))
    }

    #[test]
    fn every_part_is_kept() {
        let text = format!(
            "From: me\n\nText\n---\n f | 2 +-\n\ndiff --git a/f b/f\nindex 123..456 100644\n--- a/f\n+++ b/f\n{HUNK}{HUNK}\nbetween\nIndex: g\n====\n--- g.orig\t2024-01-01\n+++ g\n{HUNK}-- \n2.43.0\n"
        );
        let patch = parse(&text).unwrap();
        assert_eq!(patch.to_bytes(), text.as_bytes());
        assert!(patch.preamble().ends_with(b" f | 2 +-\n\n"));
        assert_eq!(patch.files().len(), 2);
        assert_eq!(patch.files()[0].hunks.len(), 2);
        assert_eq!(patch.files()[1].lead, b"\nbetween\n");
        assert!(patch.files()[1].header.starts_with(b"Index: g\n===="));
        assert_eq!(patch.trailing(), b"-- \n2.43.0\n");
        assert_eq!(patch.files()[0].git.as_ref().unwrap().new_mode, Some(0o100644));
    }

    #[test]
    fn what_is_no_patch_is_named() {
        for (text, expected) in [
            ("", ("OV0201", 0)),
            (" \n\n", ("OV0201", 0)),
            ("hello\n", ("OV0202", 1)),
            ("<!DOCTYPE html>\n<html>\n", ("OV0202", 1)),
            ("text\n  --- a/f\n  +++ b/f\n  @@ -1 +1 @@\n", ("OV0202", 2)),
            ("x\n\0\n", ("OV0202", 2)),
            ("*** a/f\n--- b/f\n***************\n*** 1,2 ****\n", ("OV0203", 1)),
            ("3c3\n< a\n---\n> b\n", ("OV0204", 1)),
            ("3c\nb\n.\n", ("OV0204", 1)),
            ("diff --cc f\nindex 1,2..3\n--- a/f\n+++ b/f\n@@@ -1,2 -1,2 +1,3 @@@\n", ("OV0205", 1)),
            ("--- a/f\n+++ b/f\n@@@ -1,2 -1,2 +1,3 @@@\n  a\n", ("OV0213", 1)),
            ("diff --git a/f.png b/f.png\nindex 1..2 100644\nBinary files a/f.png and b/f.png differ\n", ("OV0206", 1)),
            (
                "diff --git a/f b/f\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKcmZ\n\nliteral 0\nHcmV?d00001\n\n",
                ("OV0207", 1),
            ),
            ("@@ -1 +1 @@\n-a\n+b\n", ("OV0208", 1)),
            ("--- a/f\n+++ b/f\n@@ -1,x +1 @@\n-a\n+b\n", ("OV0209", 3)),
            ("--- a/f\n+++ b/f\n@@ -1,-5 +1 @@\n-a\n+b\n", ("OV0209", 3)),
            ("--- a/f\n+++ b/f\n@@ -1 +99999999999999999999 @@\n-a\n+b\n", ("OV0210", 3)),
            ("--- a/f\n+++ b/f\n@@ -1,1000000000 +1 @@\n-a\n+b\n", ("OV0211", 3)),
            ("--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n-a\n+b\n*\n", ("OV0212", 6)),
            ("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n-b\n+b\n", ("OV0212", 5)),
            ("--- a/f\n+++ b/f\n", ("OV0213", 1)),
            ("--- a/../../f\n+++ b/../../f\n@@ -1 +1 @@\n-a\n+b\n", ("OV0214", 1)),
            ("diff --git a/f b/f\nrename from f\nrename to ../f\n", ("OV0214", 3)),
            ("diff --git a/f b/f\nrename from f\nrename to /etc/f\n", ("OV0214", 3)),
            ("--- a/f\n+++ /dev/sda\n@@ -1 +1 @@\n-a\n+b\n", ("OV0215", 2)),
            (
                "diff --git a/f b/f\nnew file mode 060644\nindex 0..1\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+b\n",
                ("OV0215", 1),
            ),
            ("--- a/f\0x\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n", ("OV0216", 1)),
            ("--- \"a/f\\000x\"\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n", ("OV0216", 1)),
            ("--- f\n+++ f\n@@ -1 +1 @@\n-a\n+b\n", ("OV0217", 1)),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn crlf_is_seen_and_kept() {
        let text = "--- a/f\r\n+++ b/f\r\n@@ -1 +1 @@\r\n-a\r\n+b\r\n";
        let patch = parse(text).unwrap();
        assert!(patch.crlf());
        assert_eq!(patch.to_bytes(), text.as_bytes());
        assert_eq!(patch.files()[0].new.as_ref().unwrap().name, "b/f");
        assert!(!parse("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\r\n+b\r\n").unwrap().crlf());
    }

    #[test]
    fn a_file_without_line_feed_at_its_end() {
        let text = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ Kein Zeilenumbruch am Dateiende.\n";
        let patch = parse(text).unwrap();
        let lines = &patch.files()[0].hunks[0].lines;
        assert!(!lines[0].newline && !lines[1].newline);
        assert_eq!((lines[0].text, patch.to_bytes().as_slice()), (&b"a"[..], text.as_bytes()));
    }

    /// Pieces of patches, so that random sequences of them come near to real ones.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::sample::select(vec![
                "diff --git a/f b/f\n",
                "--- a/f\n",
                "+++ b/f\n",
                "@@ -1 +1 @@\n",
                "@@ -1,2 +1,2 @@ x\n",
                "@@ -0,0 +1 @@\n",
                "-a\n",
                "+b\n",
                " c\n",
                "\n",
                "\\ No newline at end of file\n",
                "Index: f\n",
                "index 1..2 100644\n",
                "new file mode 100644\n",
                "rename from a\n",
                "rename to b\n",
                "GIT binary patch\n",
                "literal 5\n",
                "zcmV\n",
                "Binary files a/f and b/f differ\n",
                "-- \n",
                "--- a/f\r\n",
                "+++ b/f\r\n",
                "*** a\n",
                "From: x\n",
                "--- \"a/\\303\"\n",
                "@@ -1",
                "@@@ -1 -1 +1 @@@\n",
            ])
            .prop_map(|s| s.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..12),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_bytes_are_parsed_or_refused_and_given_back(pieces in prop::collection::vec(piece(), 0..24)) {
            let bytes = pieces.concat();
            if let Ok(patch) = PatchFile::parse(&bytes) {
                prop_assert_eq!(&patch.to_bytes(), &bytes);
                let _ = (patch.check(1), patch.headers(), patch.strip_level(), super::super::to_level(&patch, patch.strip_level(), 1));
            }
        }
    }
}
