//! Mailboxes of patches: splits what `git format-patch --stdout` and mail programs have in one file, and puts patches into one that `git
//! am` takes.
//!
//! The format is mboxo as git-mailsplit(1) reads it: a message begins at `From `, a sender and a time. What a message holds is decoded in `mail`.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::date;
use super::error::Error;
use super::header::Headers;
use super::mail;
use super::patch_file::PatchFile;

/// The line that git begins a message with that is of no commit.
const NO_COMMIT: &str = "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n";
/// The last line of what [`join`] puts before a patch: so many bytes of the patch follow.
const BYTES: &str = "X-Patch-Bytes: ";
/// For which `-pN` the patch was, where that is not 1; the next lines say how those of its lines were that were changed for `-p1`.
const LEVEL: &str = "X-Patch-Level: ";
/// A line of the patch: its number, and what it was.
const LINE: &str = "X-Patch-Line: ";
/// What stands behind the number when lines were quoted.
const QUOTED: &str = "; quoted";

/// A patch, and its `-pN` where the mailbox says it.
pub type Levelled<'m> = (Cow<'m, [u8]>, Option<usize>);

/// Splits a mailbox into messages, `From ` lines included; the pieces put together are the input. What does not begin with such a line is
/// one message, whatever stands in it.
pub fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut start, mut at, mut mailbox, mut begun) = (0, 0, false, false);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let from = is_from_line(line);
        if !begun && !line.trim_ascii().is_empty() {
            (begun, mailbox) = (true, from);
        } else if mailbox && from {
            pieces.push(&bytes[start..at]);
            start = at;
        }
        at += line.len();
    }
    if start < bytes.len() {
        pieces.push(&bytes[start..]);
    }
    pieces
}

/// Reads the patches of a mailbox, or the one of a patch file: as they were where [`join`] put them there, otherwise decoded by
/// [`mail::decode`]. A cover letter is among them.
pub fn read(bytes: &[u8]) -> Result<Vec<Cow<'_, [u8]>>, Error> {
    Ok(read_with_levels(bytes)?.into_iter().map(|(patch, _)| patch).collect())
}

/// Reads the patches of a mailbox as [`read`] does, each with its `-pN` where [`join_from`] put it there.
pub fn read_with_levels(bytes: &[u8]) -> Result<Vec<Levelled<'_>>, Error> {
    split(bytes).into_iter().map(|piece| unwrap(piece).map_or_else(|| Ok((mail::decode(piece)?, None)), Ok)).collect()
}

/// The line that git begins a message of its own with.
pub(super) fn is_separator(line: &[u8]) -> bool {
    let commit = line.strip_prefix(b"From ").map(|rest| rest.split_at(rest.len().min(40)));
    commit.is_some_and(|(id, rest)| {
        id.len() == 40 && id.iter().all(u8::is_ascii_hexdigit) && rest.trim_ascii_end() == b" Mon Sep 17 00:00:00 2001"
    })
}

/// `From x Mon Sep 17 00:00:00 2001`: a clock, and a year behind it.
pub(super) fn is_from_line(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let digits = |range: std::ops::Range<usize>| {
        line.get(range).is_some_and(|d| !d.is_empty() && d.iter().all(u8::is_ascii_digit))
    };
    line.starts_with(b"From ")
        && line.iter().rposition(|b| *b == b':').is_some_and(|colon| {
            let year = String::from_utf8_lossy(line.get(colon + 3..).unwrap_or_default()).trim_start().to_string();
            let year: String = year.chars().take_while(char::is_ascii_digit).collect();
            colon >= 9
                && digits(colon - 4..colon - 3)
                && digits(colon - 2..colon)
                && digits(colon + 1..colon + 3)
                && year.parse::<u64>().is_ok_and(|y| y > 90)
        })
}

/// Returns the patches as one mailbox: [`read`] gives the same bytes back, and `git am` finds author, date and subject wherever the patch
/// has them (in DEP-3 fields, too). A patch that is such a message is not changed.
pub fn join<B: AsRef<[u8]>>(patches: impl IntoIterator<Item = B>) -> Vec<u8> {
    let mut out = Vec::new();
    patches.into_iter().for_each(|patch| put(patch.as_ref(), b"", &mut out));
    out
}

/// Returns patches of another `-pN`, each with what it is for `-p1` ([`super::to_level`]), as one mailbox that `git am` takes;
/// [`read_with_levels`] gives the patches and the level back.
pub fn join_from<'p>(strip: usize, patches: impl IntoIterator<Item = (&'p [u8], &'p [u8])>) -> Vec<u8> {
    let mut out = Vec::new();
    for (patch, for_git) in patches {
        let mut record = format!("{LEVEL}{strip}\n").into_bytes();
        let lines = |bytes: &'p [u8]| bytes.split_inclusive(|b| *b == b'\n');
        for (i, (was, _)) in lines(patch).zip(lines(for_git)).enumerate().filter(|(_, (was, is))| was != is) {
            let was = was.strip_suffix(b"\n").unwrap_or(was);
            record.extend([format!("{LINE}{} ", i + 1).as_bytes(), was, b"\n"].concat());
        }
        put(for_git, if strip == 1 { b"" } else { &record }, &mut out);
    }
    out
}

/// Puts a patch into a mailbox, with what has to be known to have it back.
fn put(patch: &[u8], record: &[u8], out: &mut Vec<u8>) {
    let headers = PatchFile::parse(patch).map(|p| p.headers()).unwrap_or_default();
    let mut lines = patch.split_inclusive(|b| *b == b'\n');
    let first = lines.next().unwrap_or_default();
    let single = !lines.any(is_from_line) && !first.ends_with(b"\r\n");
    let complete = headers.author.as_deref().is_some_and(|a| a.contains('@')) && headers.subject.is_some();
    // `From:` and `Subject:` stand at the top.
    let mail = single && complete && !first.trim_ascii().is_empty() && mail::is_mail(patch);
    let plain = unwrap(patch).is_none() && matches!(mail::decode(patch), Ok(Cow::Borrowed(_)));
    let bytes = format!("{BYTES}{}", patch.len());
    if mail && is_from_line(first) && patch.ends_with(b"\n") && plain && record.is_empty() {
        out.extend_from_slice(patch);
        return;
    }
    if mail && is_from_line(first) && plain && first != NO_COMMIT.as_bytes() {
        out.extend([first, record, bytes.as_bytes(), b"\n", &patch[first.len()..]].concat());
    } else if mail && !is_from_line(first) {
        out.extend([NO_COMMIT.as_bytes(), record, bytes.as_bytes(), b"\n", patch].concat());
    } else {
        let quoted: Vec<u8> = patch.split_inclusive(|b| *b == b'\n').flat_map(quote).collect();
        let mark = if quoted == patch { "" } else { QUOTED };
        out.extend([NO_COMMIT.as_bytes(), introduction(&headers).as_bytes(), record, bytes.as_bytes()].concat());
        out.extend([mark.as_bytes(), b"\n\n", &quoted].concat());
    }
    if !patch.ends_with(b"\n") {
        out.push(b'\n');
    }
}

/// The headers of a message whose patch has none that `git am` reads.
fn introduction(headers: &Headers) -> String {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let author = line(headers.author.as_deref().unwrap_or_default());
    let mut out = match author.as_str() {
        "" => "From: unknown <unknown@localhost>\n".to_string(),
        name if !name.contains('@') => format!("From: {} <unknown@localhost>\n", name.replace(['<', '>'], "")),
        author => format!("From: {author}\n"),
    };
    let written = headers.date.as_deref().or_else(|| headers.values("Last-Update").next());
    if let Some((seconds, offset)) = written.and_then(date::read) {
        let _ = writeln!(out, "Date: {}", date::write(seconds, offset));
    }
    let subject = headers.subject.as_deref().map(line).filter(|s| !s.is_empty());
    let _ = writeln!(out, "Subject: [PATCH] {}", subject.unwrap_or_else(|| "a patch without a subject".into()));
    out
}

/// Lines that would begin a message, or be taken for headers of it.
fn speaks_of_mail(line: &[u8]) -> bool {
    [&b"From "[..], b"From:", b"Subject:", b"Date:", b"[PATCH]"]
        .iter()
        .any(|start| line.get(..start.len()).is_some_and(|s| s.eq_ignore_ascii_case(start)))
}

fn unmarked(line: &[u8]) -> &[u8] {
    &line[line.iter().take_while(|b| **b == b'>').count()..]
}

fn quote(line: &[u8]) -> Vec<u8> {
    if speaks_of_mail(unmarked(line)) { [b">", line].concat() } else { line.to_vec() }
}

/// Returns the patch that [`put`] put headers before, as it was, and its level.
fn unwrap(piece: &[u8]) -> Option<Levelled<'_>> {
    let first = piece.split_inclusive(|b| *b == b'\n').next().filter(|line| is_from_line(line))?;
    // The line is the patch's own where it names a commit and a record follows.
    let (own, mut at) = if first == NO_COMMIT.as_bytes() { (&b""[..], first.len()) } else { (first, first.len()) };
    let (mut level, mut changed) = (None, Vec::new());
    loop {
        let rest = piece.get(at..)?;
        let line = rest.split_inclusive(|b| *b == b'\n').next().filter(|l| !l.trim_ascii().is_empty())?;
        at += line.len();
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if let Some(value) = text.strip_prefix(LEVEL.as_bytes()) {
            level = Some(std::str::from_utf8(value).ok()?.trim().parse().ok()?);
        } else if let Some(value) = text.strip_prefix(LINE.as_bytes()) {
            let (number, was) = value.split_at(value.iter().position(|b| *b == b' ')?);
            changed.push((std::str::from_utf8(number).ok()?.parse::<usize>().ok()?, was.get(1..)?));
        } else if let Some(value) = text.strip_prefix(BYTES.as_bytes()) {
            let value = std::str::from_utf8(value).ok()?.trim_end();
            let (count, quoted) = value.strip_suffix(QUOTED).map_or((value, false), |count| (count, true));
            let count = count.parse::<usize>().ok()?;
            let rest = piece.get(at..)?;
            let rest = if own.is_empty() { rest.strip_prefix(b"\n").unwrap_or(rest) } else { rest };
            let mut patch = match (quoted, own.is_empty()) {
                (true, _) => Cow::Owned(rest.split_inclusive(|b| *b == b'\n').flat_map(unquote).copied().collect()),
                (false, true) => Cow::Borrowed(rest),
                (false, false) => Cow::Owned([own, rest].concat()),
            };
            if patch.get(count..).is_some_and(|rest| rest == b"\n") {
                patch = match patch {
                    Cow::Borrowed(patch) => Cow::Borrowed(&patch[..count]),
                    Cow::Owned(patch) => Cow::Owned(patch[..count].to_vec()),
                };
            }
            // Somebody may have edited it since; then it is for `-p1`.
            return Some(match (patch.len() == count, level) {
                (true, Some(_)) => (Cow::Owned(with_lines(&patch, &changed)), level),
                (false, Some(_)) => (patch, Some(1)),
                (_, None) => (patch, None),
            });
        } else if !own.is_empty() && level.is_none() {
            return None;
        }
    }
}

/// Puts lines back that are known by their numbers.
fn with_lines(patch: &[u8], changed: &[(usize, &[u8])]) -> Vec<u8> {
    let mut changed = changed.iter().peekable();
    let lines = patch.split_inclusive(|b| *b == b'\n').enumerate();
    lines
        .flat_map(|(i, line)| match changed.next_if(|(number, _)| *number == i + 1) {
            Some((_, was)) => [*was, if line.ends_with(b"\n") { b"\n" } else { b"" }].concat(),
            None => line.to_vec(),
        })
        .collect()
}

fn unquote(line: &[u8]) -> &[u8] {
    line.strip_prefix(b">").filter(|inner| speaks_of_mail(unmarked(inner))).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FROM: &str = "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n";

    #[test]
    fn messages_are_told_apart() {
        let one = format!(
            "{FROM}From: a\nSubject: [PATCH 1/2] x\n\nFrom here on it is text.\n\nFrom the start: no\n---\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n-- \n2.43.0\n\n"
        );
        let two = one.replace("1/2", "2/2");
        let both = format!("{one}{two}");
        assert_eq!(split(both.as_bytes()), [one.as_bytes(), two.as_bytes()]);
        assert_eq!(split(b"plain\n"), [b"plain\n"]);
        assert!(split(b"").is_empty());
        let above = format!("Upstream-Status: Pending\n\n{one}");
        assert_eq!(split(above.as_bytes()), [above.as_bytes()]);
        assert!(
            is_from_line(b"From x@y Sat Jan  1 00:00:00 2000 +0100\n") && !is_from_line(b"From here at 12:34 on\n")
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost(parts in prop::collection::vec(prop::sample::select(vec![FROM, "\n", "From x\n", "text\n", "From: y\n"]), 0..12)) {
            let bytes = parts.concat().into_bytes();
            prop_assert_eq!(split(&bytes).concat(), bytes);
        }

        /// Whatever patches are put into a mailbox come back to the byte.
        #[test]
        fn there_and_back(patches in prop::collection::vec(
            (prop::collection::vec(prop::sample::select(vec![
                FROM, ">", "\n", "From: A <a@b>\n", "From: A\n", "Subject: x\n", "Description: y\n z\n", "Author: B <b@c>\n",
                "Last-Update: 2024-01-02\n", "X-Patch-Bytes: 3\n", "---\n", "text\n", "text\r\n", NO_COMMIT,
            ]), 0..9), any::<bool>()), 1..4)
        ) {
            let patches: Vec<String> = patches
                .into_iter()
                .map(|(parts, end)| format!("{}--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b{}", parts.concat(), if end { "\n" } else { "" }))
                .collect();
            let joined = join(&patches);
            let back = read(&joined).unwrap();
            prop_assert_eq!(back.len(), patches.len());
            for (back, patch) in back.iter().zip(&patches) {
                prop_assert_eq!(String::from_utf8_lossy(back), patch.as_str());
            }
        }

        /// So do patches of other levels, whose names have more before them than git takes.
        #[test]
        fn levels_come_back(
            heads in prop::collection::vec(prop::collection::vec(prop::sample::select(vec![
                FROM, NO_COMMIT, "From: A <a@b>\n", "Subject: x\n", "\n", "Description: y\n", "text\n", "---\n", "X-Patch-Level: 9\n", "X-Patch-Line: 1 z\n",
            ]), 0..7), 1..3),
            (level, names) in prop::sample::select(vec![
                (0, ("f.c", "f.c.new")), (2, ("x/y/f.c", "z/w/f.c")), (3, ("a/b/c/d/f g.c", "a/b/c/d/f g.c")), (2, ("o/\u{fc}/f.c\t2024-01-01", "/dev/null")),
            ]),
            (git, end) in any::<(bool, bool)>(),
        ) {
            let patches: Vec<String> = heads.iter().map(|parts| {
                let git = if git { "diff --git x/y/g z/w/g\nold mode 100644\nnew mode 100755\n" } else { "" };
                let git = if level == 2 { git } else { "" };
                format!("{}{git}--- {}\n+++ {}\n@@ -1,2 +1,2 @@\n-a\n+b\n c{}", parts.concat(), names.0, names.1, if end { "\n" } else { "" })
            }).collect();
            let for_git: Vec<Vec<u8>> = patches
                .iter()
                .map(|patch| super::super::to_level(&PatchFile::parse(patch.as_bytes()).unwrap(), level, 1).unwrap())
                .collect();
            let joined = join_from(level, patches.iter().map(String::as_bytes).zip(for_git.iter().map(Vec::as_slice)));
            let back = read_with_levels(&joined).unwrap();
            prop_assert_eq!(back.len(), patches.len());
            for ((back, read), patch) in back.iter().zip(&patches) {
                prop_assert_eq!((String::from_utf8_lossy(back).into_owned(), *read), (patch.clone(), Some(level)));
            }
        }
    }
}
