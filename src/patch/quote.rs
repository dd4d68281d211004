//! Diffs that a message quotes: where GNU patch would take them for its own, and how they are written so that it cannot.
//!
//! GNU patch looks for diffs behind any indentation by blanks, tabs and the letter X (patch(1), "Indentation"), and takes names from
//! headers that no hunk follows. A line that begins with `|` is none of that in any version. Must not read hunks.

use super::error::Spot;
use super::mailbox;
use super::parse::{Reader, content};
use super::patch_file::PatchFile;

/// What begins a header or a hunk, a message's end, or what this room or git reads as such.
const STARTS: [&[u8]; 10] = [
    b"--- ",
    b"+++ ",
    b"*** ",
    b"@@ -",
    b"@@@ ",
    b"Index:",
    b"Prereq:",
    b"diff -",
    b"Binary files ",
    b"GIT binary patch",
];
/// Lines behind `diff --git` by which GNU patch renames, copies, removes or changes modes, even of the file that comes next.
const EXTENDED: [&[u8]; 9] = [
    b"old mode ",
    b"new mode ",
    b"deleted file mode ",
    b"new file mode ",
    b"rename from ",
    b"rename to ",
    b"copy from ",
    b"copy to ",
    b"GIT binary patch",
];

/// A line without its indentation, as GNU patch sees it.
fn unindented(line: &[u8]) -> &[u8] {
    &line[line.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'X')).count()..]
}

fn speaks_of_diff(line: &[u8]) -> bool {
    // A line that parts the mails of a mailbox ends the message as well.
    if mailbox::is_from_line(content(line)) {
        return true;
    }
    let line = unindented(content(line));
    // `- --- name` is how mail of old hides a dash.
    let mut bare = line;
    while let Some(rest) = bare.strip_prefix(b"- ") {
        bare = rest;
    }
    STARTS.iter().any(|start| line.starts_with(start)) || bare.starts_with(b"--- ") || line.trim_ascii_end() == b"---"
}

/// Returns a line of a message as it stands in a patch file: with `|` before what speaks of a diff, and before what looks so quoted.
pub(super) fn quoted(line: &[u8]) -> Vec<u8> {
    let bare = &line[line.iter().take_while(|b| **b == b'|').count()..];
    if speaks_of_diff(bare) { [b"|", line].concat() } else { line.to_vec() }
}

/// Undoes [`quoted`].
pub(super) fn unquoted(line: &[u8]) -> &[u8] {
    let bare = &line[line.iter().take_while(|b| **b == b'|').count()..];
    line.strip_prefix(b"|").filter(|_| speaks_of_diff(bare)).unwrap_or(line)
}

/// Returns a message as [`super::compose`] writes it; [`unquote`] gives it back.
pub fn quote(message: &str) -> String {
    let text: Vec<u8> = message.split_inclusive('\n').flat_map(|line| quoted(line.as_bytes())).collect();
    // Only whole ASCII bytes were put in.
    String::from_utf8(text).unwrap_or_else(|_| message.to_string())
}

/// Undoes [`quote`].
pub fn unquote(message: &str) -> String {
    let lines = message.split_inclusive('\n').map(|line| {
        let shorter = line.len() - unquoted(line.as_bytes()).len();
        line.get(shorter..).unwrap_or(line)
    });
    lines.collect()
}

impl PatchFile<'_> {
    /// Returns the places in the text before, between and behind the files where GNU patch finds a diff, or a part of one that it
    /// takes for the next file: it would apply it, or ask about it, and fail.
    pub fn quoted_diffs(&self) -> Vec<Spot> {
        let bytes = self.to_bytes();
        let mut found = Vec::new();
        let mut at = 0;
        let mut texts = vec![(0, self.preamble.len())];
        at += self.preamble.len();
        for (i, file) in self.files.iter().enumerate() {
            if i > 0 {
                texts.push((at, at + file.lead.len()));
            }
            at += file.lead.len() + file.header.len() + file.hunks.iter().map(|h| h.bytes.len()).sum::<usize>();
            at += file.binary.map_or(0, |b| b.bytes.len());
        }
        texts.push((at, bytes.len()));
        let (mut line, mut from) = (1, 0);
        for (start, end) in texts {
            line += memchr::memchr_iter(b'\n', &bytes[from..start]).count();
            from = start;
            scan(Reader { bytes: &bytes[..end], at: start, line }, end < bytes.len(), &mut found);
        }
        found
    }
}

/// Looks through a text as GNU patch does; `next` says that a file follows it.
fn scan(mut reader: Reader<'_>, next: bool, found: &mut Vec<Spot>) {
    // The first header line, and the names that the next file would inherit.
    let (mut header, mut index, mut git, mut command, mut stars) = (None::<Spot>, None::<Spot>, false, false, false);
    let mut ed = false;
    while let Some(whole) = reader.peek() {
        let line = unindented(content(whole));
        let is_command = line.first().is_some_and(u8::is_ascii_digit)
            && line
                .iter()
                .find(|b| !b.is_ascii_digit() && **b != b',')
                .is_some_and(|b| matches!(b, b'a' | b'c' | b'd'));
        let begins = header.is_some()
            && (line.starts_with(b"@@ -")
                || (stars && line.starts_with(b"*** "))
                || (command && (line.starts_with(b"< ") || line.starts_with(b"> ")))
                || (ed && content(whole) == b".")
                || (git && EXTENDED.iter().any(|start| line.starts_with(start))));
        let prerequisite = line.strip_prefix(b"Prereq:").is_some_and(|rest| !rest.trim_ascii().is_empty());
        if begins || prerequisite {
            found.push(header.take().filter(|_| begins).unwrap_or_else(|| reader.spot()));
            (index, git, ed) = (None, false, false);
        }
        let mut bare = line;
        while let Some(rest) = bare.strip_prefix(b"- ") {
            bare = rest;
        }
        if line.starts_with(b"diff --git ") {
            git = true;
        }
        if line.starts_with(b"Index:") {
            index.get_or_insert(reader.spot());
        }
        let names = [&b"+++ "[..], b"*** ", b"Index:", b"diff --git "].iter().any(|start| line.starts_with(start));
        if names || bare.starts_with(b"--- ") {
            header.get_or_insert(reader.spot());
        }
        // A command counts until another line begins with a digit.
        command = if line.first().is_some_and(u8::is_ascii_digit) { is_command } else { command };
        (stars, ed) = (line.starts_with(b"***************"), ed || is_command);
        reader.next();
    }
    found.extend(index.filter(|_| next));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_are_named() {
        let diff = "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n";
        let quotes = |head: &str, tail: &str| {
            let text = format!("{head}{diff}{tail}");
            let patch = PatchFile::parse(text.as_bytes()).unwrap();
            patch.quoted_diffs().iter().map(|s| s.line).collect::<Vec<_>>()
        };
        assert_eq!(quotes("Subject: x\n\ntext\n    --- a/x\n    +++ b/x\n    @@ -1 +1 @@\n    -one\n", ""), [4]);
        assert_eq!(quotes("X--- a/x\n\t@@ -1 +1 @@\n", "-- \n2.1\n"), [1]);
        assert_eq!(quotes("see @@ -1\n--- or so\n  Prereq: 3\n", "  --- a/x\n  @@ -1 +1 @@\n"), [3, 9]);
        assert_eq!(quotes("  diff --git a/x b/y\n  rename from x\n", ""), [1]);
        assert_eq!(quotes("| --- a/x\n| @@ -1 +1 @@\n> --- a/x\n> @@ -1\n", ""), [] as [usize; 0]);
    }

    proptest! {
        #[test]
        fn quoting_is_undone(parts in prop::collection::vec(prop::sample::select(vec![
            "|", " ", "\t", "X", "--- ", "---", "+++ a", "@@ -1", "Index: x", "- ", "text", "\n", "ä", "diff --git a b", "Prereq:",
        ]), 0..24)) {
            let text = parts.concat();
            let quoted = quote(&text);
            prop_assert_eq!(unquote(&quoted), text);
            prop_assert!(quoted.lines().all(|line| !speaks_of_diff(line.as_bytes())));
        }
    }
}
