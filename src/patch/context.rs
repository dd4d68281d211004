//! Patches as GNU patch reads them where this room is stricter: for nixpkgs' own, which are there and are applied.
//!
//! Context diffs become unified ones; what GNU patch passes over is taken out. Must not be used for patches that go into a queue: there
//! a lost hunk is a mistake.

use std::borrow::Cow;

use super::diff::range;
use super::error::{Error, Spot};
use super::names::{FileName, quoted};
use super::parse::{Reader, content};
use super::patch_file::PatchFile;

/// Something in a patch that GNU patch takes in its own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oddity {
    pub what: &'static str,
    /// Where it stands.
    pub at: Spot,
}

/// Returns a patch as GNU patch reads it, in a form that [`PatchFile::parse`] takes, and what was odd. Most are as they were. Nothing comes
/// of an empty one, which GNU patch takes too.
pub fn as_gnu_reads(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, Vec<Oddity>), Error> {
    let mut bytes = Cow::Borrowed(bytes);
    let mut odd: Vec<Oddity> = Vec::new();
    if bytes.is_empty() {
        odd.push(Oddity { what: "it is empty", at: Spot::default() });
        return Ok((bytes, odd));
    }
    loop {
        let error = match PatchFile::parse(&bytes).map(|patch| named(&patch)) {
            Ok(None) => return Ok((bytes, odd)),
            Ok(Some((oddity, new))) => {
                odd.push(oddity);
                bytes = Cow::Owned(new);
                continue;
            }
            Err(error) => error,
        };
        let at = error.spot().cloned().unwrap_or_default();
        let Some(start) = at.span.map(|span| span.start) else { return Err(error) };
        let mut reader = Reader { bytes: &bytes, at: start, line: at.line };
        let (what, new) = match error {
            Error::ContextDiff { .. } => {
                let mut out = bytes[..start].to_vec();
                out.extend(unified(&mut reader).ok_or(error)?);
                out.extend_from_slice(&bytes[reader.at..]);
                ("a context diff", out)
            }
            Error::BadCounts { .. } if reader.peek().is_some_and(|l| l.starts_with(b"#")) => {
                reader.next();
                (
                    "a line of a hunk that begins with #: it is passed over",
                    [&bytes[..start], &bytes[reader.at..]].concat(),
                )
            }
            Error::BadHunkHeader { .. } if numbers(&mut reader).is_some() => {
                let mut reader = Reader { bytes: &bytes, at: start, line: at.line };
                let new = [&bytes[..start], &numbers(&mut reader).unwrap_or_default(), &bytes[reader.at..]].concat();
                odd.push(Oddity { what: "a hunk header that is not as it should be", at });
                bytes = Cow::Owned(new);
                continue;
            }
            Error::HunkWithoutFile { .. } if names_before(&bytes[..start]).is_some() => {
                let (text, names) = names_before(&bytes[..start]).unwrap_or_default();
                ("text between the names and the hunk", [&bytes[..text], &names, &bytes[start..]].concat())
            }
            // git's header names it, and text stands between.
            Error::HunkWithoutFile { .. } if behind_git_header(&bytes[..start]).is_some() => {
                let header = behind_git_header(&bytes[..start]).unwrap_or(start);
                ("text between the names and the hunk", [&bytes[..header], &bytes[start..]].concat())
            }
            // It has no name any more, and those behind it have none either.
            Error::HunkWithoutFile { .. } if !odd.is_empty() || start > 0 => {
                reader.next();
                while !begins_file(&reader) && reader.peek().is_some() {
                    reader.next();
                }
                (
                    "a hunk behind lines that no hunk counts: it is passed over",
                    [&bytes[..start], &bytes[reader.at..]].concat(),
                )
            }
            Error::HeaderWithoutHunk { .. } => {
                while reader.peek().is_some_and(|l| !(l.starts_with(b"--- ") || l.starts_with(b"+++ "))) {
                    reader.next();
                }
                let names = reader.at;
                for start in [&b"--- "[..], b"+++ "] {
                    if reader.peek().is_some_and(|l| l.starts_with(start)) {
                        reader.next();
                    }
                }
                let behind = reader.at;
                let mut ahead = reader.clone();
                if let Some(hunks) = normal(&mut ahead) {
                    let new = [&bytes[..behind], &hunks, &bytes[ahead.at..]].concat();
                    odd.push(Oddity { what: "a normal diff", at });
                    bytes = Cow::Owned(new);
                    continue;
                }
                while reader.peek().is_some_and(|l| !l.starts_with(b"@@ -")) && !begins_file(&reader) {
                    reader.next();
                }
                match reader.peek().is_some_and(|l| l.starts_with(b"@@ -")) {
                    true => ("text between the names and the hunk", [&bytes[..behind], &bytes[reader.at..]].concat()),
                    false => {
                        ("names without a hunk: they are passed over", [&bytes[..names], &bytes[behind..]].concat())
                    }
                }
            }
            error => return Err(error),
        };
        // Each step takes something away.
        if new.len() >= bytes.len() && what != "a context diff" {
            return Err(Error::BadHunkHeader { at });
        }
        odd.push(Oddity { what, at });
        bytes = Cow::Owned(new);
    }
}

/// Returns the patch without a file that nothing names, or with one name where GNU patch would not take the other, or with the names of its
/// first hunk right before it; `None` where all is well.
fn named(patch: &PatchFile<'_>) -> Option<(Oddity, Vec<u8>)> {
    let mut reader = Reader { bytes: patch.preamble(), at: 0, line: 1 };
    while let Some(line) = reader.peek() {
        if line.starts_with(b"@@ -")
            && let Some((text, names)) = names_before(&patch.preamble()[..reader.at])
        {
            let new = [&patch.preamble()[..text], &names, &patch.to_bytes()[reader.at..]].concat();
            let oddity = Oddity { what: "text between the names and the hunk", at: reader.spot() };
            return PatchFile::parse(&new).is_ok().then_some((oddity, new));
        }
        reader.next();
    }
    let leads_out =
        |n: &&FileName| !n.null && (n.name.starts_with("/dev/") || n.name.split('/').any(|part| part == ".."));
    let mut found: Option<Oddity> = None;
    let mut out = patch.preamble().to_vec();
    for file in patch.files() {
        let (old, new) = file.names();
        let mut header = file.header.to_vec();
        let usable = [old, new].into_iter().flatten().find(|n| !n.null && !leads_out(n));
        let what = if old.is_none()
            && new.is_none()
            && file.hunks.is_empty()
            && file.git.as_ref().is_none_or(|g| g.rename.is_none())
        {
            // What is behind `diff --git` there is text.
            header.clear();
            Some("a header without names: it is passed over")
        } else if let (Some(usable), true) =
            (usable.filter(|_| !file.hunks.is_empty()), [old, new].into_iter().flatten().any(|n| leads_out(&n)))
        {
            let eol = if file.strip_cr { "\r\n" } else { "\n" };
            header = format!("--- {0}{eol}+++ {0}{eol}", quoted(&usable.name)).into_bytes();
            Some("a name that leads out of the source: the other one counts")
        } else {
            None
        };
        found = found.or(what.filter(|_| header != file.header).map(|what| Oddity { what, at: file.at.clone() }));
        out.extend([file.lead, &header].concat());
        file.hunks.iter().for_each(|hunk| out.extend_from_slice(hunk.bytes));
        out.extend_from_slice(file.binary.map_or(&[], |binary| binary.bytes));
    }
    out.extend_from_slice(patch.trailing());
    found.map(|oddity| (oddity, out))
}

/// Reads the hunks of a normal diff (`67a68,72`, `< old`, `> new`) and writes them as those of a unified one. `None` when there are none.
fn normal(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while let Some(([from, to], kind, [new_from, new_to])) = reader.peek().and_then(|line| commands(content(line))) {
        reader.next();
        let counts = [if kind == 'a' { 0 } else { to - from + 1 }, if kind == 'd' { 0 } else { new_to - new_from + 1 }];
        out.extend(format!("@@ -{},{} +{},{} @@\n", from, counts[0], new_from, counts[1]).into_bytes());
        for (count, start, sign) in [(counts[0], b"< ", b'-'), (counts[1], b"> ", b'+')] {
            if sign == b'+' && kind == 'c' && reader.peek().is_some_and(|l| content(l) == b"---") {
                reader.next();
            }
            for _ in 0..count {
                out.push(sign);
                out.extend_from_slice(reader.next().strip_prefix(start)?);
            }
            if reader.peek().is_some_and(|l| l.starts_with(b"\\")) {
                out.extend_from_slice(reader.next());
            }
        }
    }
    (!out.is_empty()).then_some(out)
}

/// Reads `67a68,72`: lines of the old side, what becomes of them, lines of the new side.
fn commands(line: &[u8]) -> Option<([usize; 2], char, [usize; 2])> {
    let line = std::str::from_utf8(line).ok()?;
    let (at, kind) = line.char_indices().find(|(_, c)| matches!(c, 'a' | 'c' | 'd'))?;
    let lines = |text: &str| {
        let (first, last) = text.split_once(',').unwrap_or((text, text));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last && last < usize::MAX / 2).then_some([first, last])
    };
    Some((lines(line.get(..at)?)?, kind, lines(line.get(at + 1..)?)?))
}

/// Reads a hunk header of which GNU patch needs no more than the numbers and one `@`, and writes it as it should be.
fn numbers(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    let line = content(reader.next()).strip_prefix(b"@@ -")?;
    let (old, rest) = std::str::from_utf8(line).ok()?.split_once('+')?;
    let (new, rest) = rest.split_once('@')?;
    let is_range = |text: &str| {
        let mut parts = text.split(',');
        parts.clone().count() <= 2 && parts.all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let (old, new) = (old.strip_suffix(' ').unwrap_or(old), new.strip_suffix(' ').unwrap_or(new));
    // What should be is left alone.
    let odd = !rest.starts_with('@') || !line.ends_with(format!("{old} +{new} @@").as_bytes());
    (odd && is_range(old) && is_range(new)).then(|| format!("@@ -{old} +{new} @@\n").into_bytes())
}

/// Finds the names that stand in the text before a hunk, and where: GNU patch takes the last of each, whatever is between.
fn names_before(before: &[u8]) -> Option<(usize, Vec<u8>)> {
    let text = PatchFile::parse(before).map_or(0, |patch| before.len() - patch.trailing().len());
    let (mut at, mut first, mut names) = (text, None, [&b""[..]; 2]);
    for line in before.get(text..)?.split_inclusive(|b| *b == b'\n') {
        for (name, start) in names.iter_mut().zip([b"--- ", b"+++ "]) {
            if line.starts_with(start) && !content(&line[4..]).trim_ascii().is_empty() {
                *name = line;
                first = first.or(Some(at));
            }
        }
        at += line.len();
    }
    first.map(|first| (first, names.concat()))
}

/// Returns where git's header ends, if it is the last one before and no hunk has come since.
fn behind_git_header(before: &[u8]) -> Option<usize> {
    let mut at = before.len();
    for line in before.split_inclusive(|b| *b == b'\n').rev() {
        let names = [&b"index "[..], b"diff --git ", b"new mode ", b"new file mode ", b"deleted file mode "];
        if names.iter().any(|start| line.starts_with(start)) {
            return (at < before.len()).then_some(at);
        }
        if line.starts_with(b"@@ -") || line.starts_with(b"+++ ") {
            return None;
        }
        at -= line.len();
    }
    None
}

fn begins_file(reader: &Reader<'_>) -> bool {
    let Some(line) = reader.peek() else { return false };
    let second = reader.second().unwrap_or_default();
    line.starts_with(b"diff -")
        || line.starts_with(b"Index: ")
        || (line.starts_with(b"--- ") && second.starts_with(b"+++ "))
        || (line.starts_with(b"*** ") && second.starts_with(b"--- "))
}

/// A line of one side: its sign, its text with line end, and the `\ No newline` line behind it.
type Line<'a> = (u8, &'a [u8], &'a [u8]);

/// Reads one file of a context diff and writes it as a unified diff. `None` when it is none.
fn unified(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    let mut out = [b"--- ", reader.next().get(4..)?].concat();
    out.extend([b"+++ ", reader.next().get(4..)?].concat());
    while let Some(section) = reader.peek().and_then(|l| content(l).strip_prefix(b"***************")) {
        reader.next();
        let old_start = first_line(content(reader.next()), b"*** ", b" ****")?;
        let mut old = side(reader, b"- ! ");
        let new_start = first_line(content(reader.next()), b"--- ", b" ----")?;
        let mut new = side(reader, b"+ ! ");
        // A side in which nothing changes is left out: it is the other's context.
        let context = |lines: &[Line<'_>]| lines.iter().filter(|l| l.0 == b' ').count();
        if old.is_empty() && context(&new) > 0 {
            old = new.iter().copied().filter(|l| l.0 == b' ').collect();
        } else if new.is_empty() && context(&old) > 0 {
            new = old.iter().copied().filter(|l| l.0 == b' ').collect();
        }
        let lines = |start: usize, count: usize| {
            if count == 0 { start..start } else { start.saturating_sub(1)..start.saturating_sub(1) + count }
        };
        let numbers = [range(&lines(old_start, old.len())), range(&lines(new_start, new.len()))];
        out.extend([format!("@@ -{} +{} @@", numbers[0], numbers[1]).as_bytes(), section, b"\n"].concat());
        let (mut i, mut j) = (0, 0);
        let mut write = |sign: u8, line: &Line<'_>| out.extend([&[sign], line.1, line.2].concat());
        while i < old.len() || j < new.len() {
            match (old.get(i), new.get(j)) {
                (Some(a), _) if a.0 != b' ' => {
                    write(b'-', a);
                    i += 1;
                }
                (_, Some(b)) if b.0 != b' ' => {
                    write(b'+', b);
                    j += 1;
                }
                (Some(a), Some(b)) if a.1 == b.1 => {
                    write(b' ', a);
                    (i, j) = (i + 1, j + 1);
                }
                _ => return None,
            }
        }
    }
    Some(out)
}

/// Reads `*** 3,7 ****`.
fn first_line(line: &[u8], start: &[u8], end: &[u8]) -> Option<usize> {
    let numbers = std::str::from_utf8(line.strip_prefix(start)?.strip_suffix(end)?).ok()?;
    numbers.split(',').next()?.parse().ok()
}

fn side<'a>(reader: &mut Reader<'a>, signs: &[u8; 4]) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    // Lines at the end that may be text behind the diff.
    let mut empty = 0;
    while let Some(line) = reader.peek() {
        let ends = line.starts_with(b"***") || content(line).ends_with(b" ----") && line.starts_with(b"--- ");
        match line.first() {
            _ if ends => break,
            Some(sign @ (b' ' | b'!' | b'+' | b'-')) if line.get(1) == Some(&b' ') && (signs.contains(sign)) => {
                lines.push((*sign, &reader.next()[2..], b""));
            }
            // An empty line whose blanks were lost.
            None => {
                lines.push((b' ', reader.next(), b""));
                empty += 1;
                continue;
            }
            Some(b'\\') => {
                let whole = reader.next();
                if let Some(last) = lines.last_mut() {
                    last.2 = whole;
                }
            }
            _ => break,
        }
        empty = 0;
    }
    let more = reader.peek().is_some_and(|l| l.starts_with(b"***") || l.starts_with(b"--- "));
    lines.truncate(lines.len() - if more { 0 } else { empty });
    lines
}
