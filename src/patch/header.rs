//! What the text before the first file says: subject, author, date, trailers.
//!
//! Reads mail headers as git format-patch writes them (RFC 5322 folding, RFC 2047 encoded words), DEP-3 headers as Debian has
//! them (<https://dep-team.pages.debian.net/deps/dep3/>) and trailers as in git-interpret-trailers(1). Must not change
//! anything: trailers are edited in `trailer`.

use serde::Serialize;

use super::encoded_word::decode_words;
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
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    pub(super) start: usize,
    pub(super) end: usize,
}

pub(super) fn lines(bytes: &[u8]) -> Vec<Line<'_>> {
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
pub(super) fn field(line: &[u8]) -> Option<(&str, &[u8])> {
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
pub(super) struct Layout {
    /// Lines of the header block at the top (mail or DEP-3), past the `From ` line.
    pub(super) block: std::ops::Range<usize>,
    /// The last line of the message: `---` or the end.
    pub(super) end: usize,
}

pub(super) fn layout(all: &[Line<'_>]) -> Layout {
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
pub(super) fn last_paragraph(all: &[Line<'_>], from: usize, end: usize) -> std::ops::Range<usize> {
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

/// Says whether a header block is a mail's: `Subject:` and nothing that DEP-3 alone has.
pub(super) fn has_mail_header(all: &[Line<'_>], block: &std::ops::Range<usize>) -> bool {
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
}
