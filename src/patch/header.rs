//! What the text before the first file says: subject, author, date, trailers; and editing the trailers.
//!
//! Reads mail headers as git format-patch writes them (RFC 5322 folding, RFC 2047 encoded words), DEP-3 headers as Debian has
//! them (<https://dep-team.pages.debian.net/deps/dep3/>) and trailers as in git-interpret-trailers(1). Editing touches the
//! lines of the trailer concerned and no other byte.

use serde::Serialize;

use super::error::Error;
use super::patch_file::PatchFile;
use crate::base::span::Span;

/// What is known about a patch from its header. Text is decoded; the bytes stay in the patch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Headers {
    /// The subject without `[PATCH n/m]` and `Re:`; else the first line of `Description:`; else the first line of text.
    pub subject: Option<String>,
    /// `From:` or `Author:`: a name and a mail address.
    pub author: Option<String>,
    /// `Date:`, as written.
    pub date: Option<String>,
    /// The commit of the `From <commit> Mon Sep 17 00:00:00 2001` line.
    pub commit: Option<String>,
    /// `Key: value` lines, in order: DEP-3 fields and trailers, mail headers left out.
    pub trailers: Vec<Trailer>,
}

/// A line `Key: value`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trailer {
    /// The key as written.
    pub key: String,
    /// The value, without blanks around; continuation lines joined by a space.
    pub value: String,
    /// The line, from 1.
    pub line: usize,
    /// The bytes in the patch file, continuation lines and line ends included.
    #[serde(skip)]
    pub span: Span,
}

impl Headers {
    /// Returns the values of a trailer, whatever its case.
    pub fn values<'s>(&'s self, key: &'s str) -> impl Iterator<Item = &'s str> {
        self.trailers.iter().filter(move |t| t.key.eq_ignore_ascii_case(key)).map(|t| t.value.as_str())
    }
}

impl PatchFile<'_> {
    /// Reads the header.
    pub fn headers(&self) -> Headers {
        read(self.preamble())
    }
}

/// Mail headers that are no trailers.
const MAIL: &[&str] = &[
    "from",
    "date",
    "subject",
    "to",
    "cc",
    "bcc",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "content-disposition",
    "return-path",
    "received",
    "sender",
    "reply-to",
    "list-id",
    "x-mailer",
    "delivered-to",
    "precedence",
    "dkim-signature",
    "user-agent",
    "organization",
    "status",
];
/// Trailers that count wherever they stand at the beginning of a line.
const KNOWN: &[&str] = &[
    "upstream-status",
    "signed-off-by",
    "cve",
    "origin",
    "forwarded",
    "applied-upstream",
    "last-update",
    "reviewed-by",
    "acked-by",
    "tested-by",
    "co-authored-by",
    "co-developed-by",
    "reported-by",
    "suggested-by",
    "fixes",
    "link",
    "closes",
    "author",
    "bug",
    "change-id",
];

/// One line of a preamble.
struct Line<'a> {
    text: &'a [u8],
    start: usize,
    end: usize,
}

fn lines(bytes: &[u8]) -> Vec<Line<'_>> {
    let mut start = 0;
    bytes
        .split_inclusive(|b| *b == b'\n')
        .map(|whole| {
            let from = start;
            start += whole.len();
            let text = whole.strip_suffix(b"\n").unwrap_or(whole);
            Line { text: text.strip_suffix(b"\r").unwrap_or(text), start: from, end: start }
        })
        .collect()
}

/// Splits `Key: value`; the key is `[A-Za-z][A-Za-z0-9-]*`.
fn field(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().take(64).position(|b| *b == b':')?;
    let (key, rest) = (&line[..colon], &line[colon + 1..]);
    let plain =
        key.first().is_some_and(u8::is_ascii_alphabetic) && key.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
    // A URL (`https://`) or `C++::x` is no field.
    let spaced = rest.is_empty() || rest[0].is_ascii_whitespace();
    (plain && spaced).then(|| Some((std::str::from_utf8(key).ok()?, rest))).flatten()
}

pub(super) fn is_from_line(line: &[u8]) -> Option<&str> {
    let rest = std::str::from_utf8(line.strip_prefix(b"From ")?).ok()?;
    let sender = rest.split_ascii_whitespace().next()?;
    (rest.len() > sender.len() && rest.contains(':')).then_some(sender)
}

/// The parts of a preamble, as line numbers.
struct Layout {
    /// Lines of the header block at the top (mail or DEP-3), past the `From ` line.
    block: std::ops::Range<usize>,
    /// The last line of the message: `---` or the end.
    end: usize,
}

fn layout(all: &[Line<'_>]) -> Layout {
    let mut first = 0;
    while all.get(first).is_some_and(|l| l.text.trim_ascii().is_empty()) {
        first += 1;
    }
    if all.get(first).is_some_and(|l| is_from_line(l.text).is_some()) {
        first += 1;
    }
    let mut last = first;
    while let Some(line) = all.get(last) {
        let folded = last > first && line.text.first().is_some_and(|b| *b == b' ' || *b == b'\t');
        if !(folded || field(line.text).is_some()) {
            break;
        }
        last += 1;
    }
    // A block is one when a blank line, `---` or the end closes it; otherwise it is text.
    let closed = all.get(last).is_none_or(|l| l.text.trim_ascii().is_empty() || l.text == b"---");
    let block = if closed { first..last } else { first..first };
    let end = (block.end..all.len()).find(|&i| all[i].text == b"---").unwrap_or(all.len());
    Layout { block, end }
}

/// Returns the message of a preamble: behind the mail headers, or all of it (`true`) when it has none; without `---` and what follows.
pub(super) fn body(preamble: &[u8]) -> (&[u8], bool) {
    let all = lines(preamble);
    let Layout { block, end } = layout(&all);
    let mail = has_mail_header(&all, &block);
    let start = all.get(block.end).map_or(preamble.len(), |l| l.start);
    let stop = all.get(end).map_or(preamble.len(), |l| l.start);
    if mail { (&preamble[start..stop.max(start)], false) } else { (&preamble[..stop], true) }
}

fn read(preamble: &[u8]) -> Headers {
    let all = lines(preamble);
    let Layout { block, end } = layout(&all);
    let mut headers = Headers {
        commit: all
            .iter()
            .find(|l| !l.text.is_empty())
            .and_then(|l| is_from_line(l.text))
            .filter(|c| is_commit(c))
            .map(str::to_string),
        ..Headers::default()
    };
    let mut description = None;
    let mut in_block = block.clone();
    while let Some(i) = in_block.next() {
        let Some((key, rest)) = field(all[i].text) else { continue };
        let mut joined = rest.trim_ascii().to_vec();
        let mut after = all[i].end;
        let lower = key.to_ascii_lowercase();
        while in_block.start < block.end && all[in_block.start].text.first().is_some_and(|b| *b == b' ' || *b == b'\t')
        {
            let more = &all[in_block.start];
            // The long text of a DEP-3 description is not a part of its first line.
            if lower != "description" {
                joined.push(b' ');
                joined.extend_from_slice(more.text.trim_ascii());
            }
            after = more.end;
            in_block.next();
        }
        let value = decode_words(joined.trim_ascii());
        match lower.as_str() {
            "subject" => headers.subject = headers.subject.or(Some(bare_subject(&value).to_string())),
            "description" => description = description.or(Some(value.clone())),
            "from" | "author" => headers.author = headers.author.or(Some(value.clone())),
            "date" => headers.date = headers.date.or(Some(value.clone())),
            _ => {}
        }
        if !MAIL.contains(&lower.as_str()) && lower != "subject" && lower != "description" {
            headers.trailers.push(Trailer {
                key: key.to_string(),
                value,
                line: i + 1,
                span: Span::new(all[i].start, after),
            });
        }
    }
    // An in-body `From:` as git am takes it.
    let mut body = block.end;
    while body < end && all[body].text.trim_ascii().is_empty() {
        body += 1;
    }
    if let Some((key, value)) = all.get(body).filter(|_| body < end).and_then(|l| field(l.text))
        && key == "From"
    {
        headers.author = Some(decode_words(value.trim_ascii()));
    }
    let last_paragraph = last_paragraph(&all, block.end, end);
    for (i, line) in all.iter().enumerate().take(all.len()).skip(block.end) {
        let Some((key, value)) = field(line.text) else { continue };
        let lower = key.to_ascii_lowercase();
        let known = KNOWN.contains(&lower.as_str()) || lower.starts_with("bug-");
        if (known || last_paragraph.contains(&i)) && !MAIL.contains(&lower.as_str()) {
            if lower == "author" {
                headers.author = headers.author.or(Some(decode_words(value.trim_ascii())));
            }
            let value = String::from_utf8_lossy(value.trim_ascii()).into_owned();
            headers.trailers.push(Trailer {
                key: key.to_string(),
                value,
                line: i + 1,
                span: Span::new(line.start, line.end),
            });
        }
    }
    headers.subject = headers.subject.or(description.filter(|d| !d.is_empty())).or_else(|| {
        let text = all[block.end..end].iter().map(|l| l.text.trim_ascii()).find(|t| !t.is_empty())?;
        let text = String::from_utf8_lossy(text.strip_prefix(b"#").unwrap_or(text).trim_ascii()).into_owned();
        (field(text.as_bytes()).is_none() && !text.is_empty()).then_some(text)
    });
    headers.subject = headers.subject.filter(|s| !s.is_empty());
    headers
}

fn is_commit(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The lines of the last paragraph of the message, if each of them is a field.
fn last_paragraph(all: &[Line<'_>], from: usize, end: usize) -> std::ops::Range<usize> {
    let blank = |i: usize| all[i].text.trim_ascii().is_empty();
    let mut last = end;
    while last > from && blank(last - 1) {
        last -= 1;
    }
    let mut first = last;
    while first > from && !blank(first - 1) {
        first -= 1;
    }
    let fields = (first..last).all(|i| {
        field(all[i].text).is_some() || all[i].text.starts_with(b"(cherry picked from") || all[i].text.starts_with(b" ")
    });
    if fields { first..last } else { last..last }
}

/// Takes `Re:` and bracketed tags such as `[PATCH v2 1/3]` or `[RFC]` off; other brackets belong to the subject.
pub(super) fn bare_subject(subject: &str) -> &str {
    let mut rest = subject.trim();
    loop {
        if let Some(tail) = rest.get(..3).filter(|t| t.eq_ignore_ascii_case("re:")).and(rest.get(3..)) {
            rest = tail.trim_start();
        } else if let Some((tag, tail)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            let upper = tag.to_ascii_uppercase();
            let counts = tag.split_once('/').is_some_and(|(n, m)| n.parse::<u32>().is_ok() && m.parse::<u32>().is_ok());
            if !(counts
                || upper
                    .split_ascii_whitespace()
                    .any(|w| matches!(w, "PATCH" | "RFC" | "RESEND" | "PATCHV2") || w.starts_with("PATCH")))
            {
                return rest;
            }
            rest = tail.trim_start();
        } else {
            return rest;
        }
    }
}

/// Decodes RFC 2047 encoded words in UTF-8, ISO 8859-1 and ASCII; others stay as they are.
fn decode_words(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if text.len() > 16_384 {
        return text.into_owned();
    }
    let mut out = String::new();
    let mut rest: &str = &text;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, word) = rest.split_at(start);
        let Some((decoded, used)) = decode_word(word) else {
            out.push_str(before);
            out.push_str("=?");
            rest = &word[2..];
            after_word = false;
            continue;
        };
        // Blanks between two encoded words are not part of the text.
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&decoded);
        after_word = true;
        rest = &word[used..];
    }
    out.push_str(rest);
    out
}

fn decode_word(word: &str) -> Option<(String, usize)> {
    let mut parts = word.strip_prefix("=?")?.splitn(4, '?');
    let (charset, encoding, data, tail) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    tail.strip_prefix('=')?;
    let used = 2 + charset.len() + 1 + encoding.len() + 1 + data.len() + 2;
    let bytes = match encoding {
        "q" | "Q" => {
            let mut bytes = Vec::new();
            let mut input = data.bytes();
            while let Some(b) = input.next() {
                bytes.push(match b {
                    b'_' => b' ',
                    b'=' => {
                        let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
                        digit(input.next()?)? * 16 + digit(input.next()?)?
                    }
                    b => b,
                });
            }
            bytes
        }
        "b" | "B" => base64(data)?,
        _ => return None,
    };
    let text = match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" => String::from_utf8(bytes).ok()?,
        "iso-8859-1" | "latin1" => bytes.iter().map(|b| *b as char).collect(),
        _ => return None,
    };
    Some((text, used))
}

fn base64(data: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut held) = (0u32, 0u32);
    for b in data.bytes().filter(|b| *b != b'=') {
        let digit = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(digit)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}

/// Returns the patch with the trailer set: the value of the first line with that key replaced (its further lines are left
/// alone), or a new line behind the last trailer, or a new last paragraph of the message. Every other byte stays.
///
/// # Errors
/// [`Error::BadTrailer`] when the key or the value cannot stand on one line; the errors of [`PatchFile::parse`].
pub fn set_trailer(bytes: &[u8], key: &str, value: &str) -> Result<Vec<u8>, Error> {
    edit(bytes, key, value, true)
}

/// Returns the patch with one more trailer, even if there are some with that key; the same value twice is not added.
///
/// # Errors
/// As [`set_trailer`].
pub fn add_trailer(bytes: &[u8], key: &str, value: &str) -> Result<Vec<u8>, Error> {
    edit(bytes, key, value, false)
}

/// Returns the patch without the trailers of that key, or only without those of that value.
///
/// # Errors
/// The errors of [`PatchFile::parse`].
pub fn remove_trailer(bytes: &[u8], key: &str, value: Option<&str>) -> Result<Vec<u8>, Error> {
    let headers = PatchFile::parse(bytes)?.headers();
    let mut out = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for trailer in
        headers.trailers.iter().filter(|t| t.key.eq_ignore_ascii_case(key) && value.is_none_or(|v| v == t.value))
    {
        out.extend_from_slice(&bytes[done..trailer.span.start]);
        done = trailer.span.end;
    }
    out.extend_from_slice(&bytes[done..]);
    Ok(out)
}

fn edit(bytes: &[u8], key: &str, value: &str, replace: bool) -> Result<Vec<u8>, Error> {
    let value = value.trim();
    let line = format!("{key}: {value}");
    if field(line.as_bytes()).is_none_or(|(k, _)| k != key) || value.chars().any(|c| c.is_control()) {
        return Err(Error::BadTrailer { text: line });
    }
    let patch = PatchFile::parse(bytes)?;
    let preamble = patch.preamble();
    let eol =
        if preamble.windows(2).any(|w| w == b"\r\n") || (preamble.is_empty() && patch.crlf()) { "\r\n" } else { "\n" };
    let headers = patch.headers();
    let splice = |span: Span, text: String| {
        let mut out = bytes[..span.start].to_vec();
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(&bytes[span.end..]);
        out
    };
    let same = |t: &&Trailer| t.key.eq_ignore_ascii_case(key);
    if let Some(old) = headers.trailers.iter().filter(same).find(|t| replace || t.value == value) {
        if old.value == value {
            return Ok(bytes.to_vec());
        }
        let written = format!("{}: {value}{eol}", old.key);
        return Ok(splice(old.span, written));
    }
    let all = lines(preamble);
    let Layout { block, end } = layout(&all);
    // Behind the last trailer of the message; a DEP-3 block is one, a mail's header block is not.
    let message_start = all.get(block.end).map_or(preamble.len(), |l| l.start);
    let message_end = all.get(end).map_or(preamble.len(), |l| l.start);
    let mail = has_mail_header(&all, &block);
    let paragraph = last_paragraph(&all, block.end, end);
    if !paragraph.is_empty() {
        let at = all[paragraph.end - 1].end;
        return Ok(splice(Span::at(at), format!("{line}{eol}")));
    }
    if !mail && !block.is_empty() && all[block.end..end].iter().all(|l| l.text.trim_ascii().is_empty()) {
        return Ok(splice(Span::at(all[block.end - 1].end), format!("{line}{eol}")));
    }
    // No trailers yet: a new paragraph behind the last line of text.
    let text_end =
        all[block.end.min(all.len())..end].iter().rev().find(|l| !l.text.trim_ascii().is_empty()).map(|l| l.end);
    match text_end {
        Some(at) => Ok(splice(Span::at(at), format!("{eol}{line}{eol}"))),
        None if message_start < message_end => {
            // A header, then blank lines only: behind the first blank line.
            let at = all[block.end].end;
            Ok(splice(Span::at(at), format!("{line}{eol}")))
        }
        None if block.is_empty() => Ok(splice(Span::at(message_end), format!("{line}{eol}"))),
        None => Ok(splice(Span::at(message_end), format!("{eol}{line}{eol}"))),
    }
}

/// Says whether a header block is a mail's: `Subject:` and nothing that DEP-3 alone has.
fn has_mail_header(all: &[Line<'_>], block: &std::ops::Range<usize>) -> bool {
    let mut subject = false;
    for (key, _) in all[block.clone()].iter().filter_map(|l| field(l.text)) {
        let lower = key.to_ascii_lowercase();
        subject |= lower == "subject";
        if !MAIL.contains(&lower.as_str()) {
            return false;
        }
    }
    subject
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n";

    fn headers(preamble: &str) -> Headers {
        let text = format!("{preamble}{DIFF}");
        PatchFile::parse(text.as_bytes()).unwrap().headers()
    }

    #[test]
    fn a_format_patch_mail() {
        let h = headers(
            "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: =?UTF-8?q?J=C3=B6rg=20M?= <j@x.org>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nSubject: [PATCH v2 1/3] fix [the] thing\n in two lines\n\nText: no trailer\nmore\n\nUpstream-Status: Backport [abc]\nSigned-off-by: J <j@x.org>\n---\n f | 2 +-\n\n",
        );
        assert_eq!(h.subject.as_deref(), Some("fix [the] thing in two lines"));
        assert_eq!(h.author.as_deref(), Some("Jörg M <j@x.org>"));
        assert_eq!(h.date.as_deref(), Some("Mon, 1 Jan 2024 00:00:00 +0000"));
        assert_eq!(h.commit.as_deref(), Some("0123456789012345678901234567890123456789"));
        let keys: Vec<_> = h.trailers.iter().map(|t| t.key.as_str()).collect();
        assert_eq!(keys, ["Upstream-Status", "Signed-off-by"]);
        assert_eq!(h.values("upstream-status").next(), Some("Backport [abc]"));
    }

    #[test]
    fn a_debian_patch() {
        let h = headers(
            "Description: short\n long text\n .\n more\nAuthor: A <a@b>\nBug-Debian: https://bugs/1\nForwarded: no\n\n---\n",
        );
        assert_eq!(h.subject.as_deref(), Some("short"));
        assert_eq!(h.author.as_deref(), Some("A <a@b>"));
        assert_eq!(h.values("Bug-Debian").next(), Some("https://bugs/1"));
        assert_eq!(h.trailers.len(), 3);
    }

    #[test]
    fn free_text_and_nothing() {
        assert_eq!(
            headers("Fix the build on arm.\n\nIt was broken.\n").subject.as_deref(),
            Some("Fix the build on arm.")
        );
        assert_eq!(headers(""), Headers::default());
        assert_eq!(bare_subject("Re: [PATCH] [CVE-2024-1] x"), "[CVE-2024-1] x");
    }

    #[test]
    fn trailers_are_set_and_removed_and_nothing_else_changes() {
        for (before, after) in [
            ("", "Upstream-Status: Pending\n"),
            ("Text.\n\n", "Text.\n\nUpstream-Status: Pending\n\n"),
            ("Subject: x\nFrom: a\n\n", "Subject: x\nFrom: a\n\nUpstream-Status: Pending\n"),
            (
                "Subject: x\nFrom: a\n\nText\n---\n f | 1 +\n\n",
                "Subject: x\nFrom: a\n\nText\n\nUpstream-Status: Pending\n---\n f | 1 +\n\n",
            ),
            (
                "Subject: x\nFrom: a\n\nSigned-off-by: a\n---\n",
                "Subject: x\nFrom: a\n\nSigned-off-by: a\nUpstream-Status: Pending\n---\n",
            ),
            ("Description: x\nAuthor: a\n\n", "Description: x\nAuthor: a\nUpstream-Status: Pending\n\n"),
            ("T\r\n\r\nSigned-off-by: a\r\n", "T\r\n\r\nSigned-off-by: a\r\nUpstream-Status: Pending\r\n"),
            ("T\n\nUpstream-Status: Submitted [x]\n", "T\n\nUpstream-Status: Pending\n"),
            (
                "Subject: x\nFrom: a\n---\n f | 1 +\n\n",
                "Subject: x\nFrom: a\n\nUpstream-Status: Pending\n---\n f | 1 +\n\n",
            ),
        ] {
            let bytes = format!("{before}{DIFF}").into_bytes();
            let set = set_trailer(&bytes, "Upstream-Status", "Pending").unwrap();
            assert_eq!(String::from_utf8(set.clone()).unwrap(), format!("{after}{DIFF}"), "{before:?}");
            assert_eq!(
                set_trailer(&set, "Upstream-Status", "Pending").unwrap(),
                set,
                "the second time nothing changes"
            );
            let gone = remove_trailer(&set, "upstream-status", None).unwrap();
            assert!(PatchFile::parse(&gone).unwrap().headers().values("Upstream-Status").next().is_none());
        }
        assert!(matches!(set_trailer(DIFF.as_bytes(), "a b", "c"), Err(Error::BadTrailer { .. })));
        assert!(matches!(set_trailer(DIFF.as_bytes(), "A", "c\nd"), Err(Error::BadTrailer { .. })));
    }
}
