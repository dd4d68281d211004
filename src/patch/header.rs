//! What the text before the first file says: subject, author, date, trailers.
//!
//! Reads mail headers as git format-patch writes them (RFC 5322 folding, RFC 2047 encoded words), DEP-3 headers as Debian has
//! them (<https://dep-team.pages.debian.net/deps/dep3/>) and trailers as in git-interpret-trailers(1). Must not change
//! anything: trailers are edited in `trailer`.

use std::ops::Range;

use serde::Serialize;

use super::decode::{repaired, words};
use super::patch_file::PatchFile;
use super::{mail, mailbox};
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
    pub fn headers(&self) -> Headers {
        read(self.preamble())
    }

    /// Returns the trailers that `git interpret-trailers --parse` finds in the message.
    pub fn trailers(&self) -> Vec<Trailer> {
        let all = lines(self.preamble());
        let Layout { text, end, .. } = layout(&all);
        fields(&all, trailer_block(&all, text, end), trailer)
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
    "upstream",
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

/// Splits a header of a mail, which needs no blank behind the colon where its name is one of a mail's.
fn mail_field(line: &[u8]) -> Option<(&str, &[u8])> {
    let bare = || {
        let (key, rest) = line.split_at(line.iter().take(64).position(|b| *b == b':')?);
        let key = std::str::from_utf8(key).ok().filter(|key| is_mails(key))?;
        Some((key, rest.strip_prefix(b":")?))
    };
    field(line).or_else(bare)
}

/// Says whether a key is that of a mail's header, and no trailer.
fn is_mails(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    MAIL.contains(&lower.as_str())
        || (["x-", "content-", "list-", "resent-", "arc-", "dkim-", "received-", "authentication-"].iter())
            .any(|start| lower.starts_with(start))
}

/// The parts of a preamble, as line numbers.
pub(super) struct Layout {
    /// Lines above the `From ` line of a mail: tags that somebody put there.
    pub(super) above: Range<usize>,
    /// Lines of the header block (mail or DEP-3), past the `From ` line.
    pub(super) block: Range<usize>,
    /// The line behind the header block and the headers that stand in the body, as `git am` takes them.
    pub(super) text: usize,
    /// The last line of the message: `---` or the end.
    pub(super) end: usize,
}

pub(super) fn layout(all: &[Line<'_>]) -> Layout {
    let folded = |i: usize, first: usize| i > first && all[i].text.first().is_some_and(|b| *b == b' ' || *b == b'\t');
    let tagged = |i: usize| blank(&all[i]) || folded(i, 0) || field(all[i].text).is_some();
    let from = (0..all.len()).find(|&i| !tagged(i)).filter(|&i| mailbox::is_from_line(all[i].text));
    let mut first = from.map_or_else(|| (0..all.len()).find(|&i| !blank(&all[i])).unwrap_or(all.len()), |i| i + 1);
    let above = 0..from.filter(|&i| !all[..i].iter().all(blank)).unwrap_or(0);
    if from.is_none() && all.get(first).is_some_and(|l| mailbox::is_from_line(l.text)) {
        first += 1;
    }
    let mut last = first;
    while last < all.len() && (folded(last, first) || mail_field(all[last].text).is_some()) {
        last += 1;
    }
    // A block is one when a blank line, `---` or the end closes it, or where it is a mail's below its `From ` line; otherwise it is text.
    let closed = all.get(last).is_none_or(|l| blank(l) || ends_message(l));
    // Without that its block goes as far as the headers of a mail do: a tag behind them is text, whatever its value.
    let is_other = |i: &usize| mail_field(all[*i].text).is_some_and(|(key, _)| !is_mails(key));
    let mails = (first..last).find(is_other).unwrap_or(last);
    let begun = first > 0 && mailbox::is_from_line(all[first - 1].text) && has_mail_header(all, &(first..mails));
    let block = match (closed, begun) {
        (true, _) => first..last,
        (false, true) => first..mails,
        (false, false) => first..first,
    };
    let mail = has_mail_header(all, &block);
    let ends = |i: &usize| if mail { mail::breaks(all[*i].text) } else { ends_message(&all[*i]) };
    let end = (block.end..all.len()).find(ends).unwrap_or(all.len());
    let text = if mail { behind_headers(all, block.end, end) } else { block.end };
    Layout { above, block, text, end }
}

/// Returns the line behind the headers that stand in the body of a mail: `From:`, `Subject:`, `Date:`, each once, as `git mailinfo` has it.
fn behind_headers(all: &[Line<'_>], from: usize, end: usize) -> usize {
    let (mut seen, mut open) = ([false; 3], false);
    // The line that ends the mail's own headers.
    let body = from + usize::from(from < end && blank(&all[from]));
    for (i, line) in all.iter().enumerate().take(end).skip(body) {
        let line = line.text;
        if line.is_empty() {
            if open {
                return i + 1;
            }
        } else if !(open && matches!(line[0], b' ' | b'\t')) {
            open = false;
            let quoted = line.strip_prefix(b">").is_some_and(mailbox::is_separator);
            let which = in_body(line);
            match which {
                Some(which) if !seen[which] => {
                    (seen[which], open) = (true, !line.starts_with(b"[PATCH]"));
                }
                _ if quoted => {}
                _ => return i,
            }
        }
    }
    end
}

/// Says which header that counts in the body of a mail, too, a line is; `[PATCH] ` begins a subject.
fn in_body(line: &[u8]) -> Option<usize> {
    if line.strip_prefix(b"[PATCH]").is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace)) {
        return Some(1);
    }
    let (key, _) = mail_field(line)?;
    ["From", "Subject", "Date"].iter().position(|name| key.eq_ignore_ascii_case(name))
}

/// Splits a header in the body of a mail.
fn body_field(line: &[u8]) -> Option<(&str, &[u8])> {
    match line.starts_with(b"[PATCH]") {
        true => Some(("Subject", line)),
        false => mail_field(line),
    }
}

/// Says whether a message begins with what would be read as headers of its mail.
pub(super) fn begins_with_headers(body: &str) -> bool {
    in_body(body.lines().find(|line| !line.is_empty()).unwrap_or_default().as_bytes()).is_some()
}

pub(super) fn blank(line: &Line<'_>) -> bool {
    line.text.trim_ascii().is_empty()
}

fn ends_message(line: &Line<'_>) -> bool {
    line.text.trim_ascii_end() == b"---"
}

/// Returns the message of a preamble: behind the mail headers (and what stands above them), or all of it (`true`) when it has none; without
/// `---` and what follows.
pub(super) fn body(preamble: &[u8]) -> (Vec<u8>, bool) {
    let all = lines(preamble);
    let Layout { above, block, text, end } = layout(&all);
    let mail = has_mail_header(&all, &block);
    let at = |line: usize| all.get(line).map_or(preamble.len(), |l| l.start);
    match mail {
        true => ([&preamble[..at(above.end)], &preamble[at(text)..at(end).max(at(text))]].concat(), false),
        false => (preamble[..at(end)].to_vec(), true),
    }
}

fn read(preamble: &[u8]) -> Headers {
    let all = lines(preamble);
    let Layout { above, block, text, end } = layout(&all);
    let mut headers = Headers::default();
    let from = all.get(block.start.wrapping_sub(1)).filter(|l| mailbox::is_from_line(l.text));
    let sender = from.map(|l| repaired(l.text)).and_then(|l| Some(l.split_ascii_whitespace().nth(1)?.to_string()));
    headers.commit = sender.filter(|c| is_commit(c));
    let mut description = None;
    // Headers in the body count for more than those above it.
    let inner = if text > block.end { block.end..text } else { 0..0 };
    for (range, split) in [(inner, body_field as Split), (above, field), (block.clone(), mail_field)] {
        for trailer in fields(&all, range, split) {
            let lower = trailer.key.to_ascii_lowercase();
            match lower.as_str() {
                "subject" => {
                    let subject = bare_subject(&trailer.value);
                    headers.subject =
                        headers.subject.or(Some(subject.split_whitespace().collect::<Vec<_>>().join(" ")));
                }
                // The long text of a DEP-3 description is not a part of its first line.
                "description" => {
                    let first = all[trailer.line - 1].text;
                    let first = field(first).map(|(_, rest)| words(rest.trim_ascii())).unwrap_or_default();
                    // It may begin on the next line.
                    let second = all.get(trailer.line).filter(|_| trailer.line < block.end && first.is_empty());
                    description = description.or(Some(second.map_or(first, |l| words(l.text.trim_ascii()))));
                }
                "from" | "author" => headers.author = headers.author.or(Some(trailer.value.clone())),
                "date" => headers.date = headers.date.or(Some(trailer.value.clone())),
                _ => {}
            }
            if !is_mails(&lower) && lower != "description" {
                headers.trailers.push(trailer);
            }
        }
    }
    let block_of_trailers = trailer_block(&all, text, end);
    let mut i = text;
    while i < all.len() {
        let in_block = block_of_trailers.contains(&i);
        // A value that begins on the next line.
        let bare = field(all[i].text).is_some_and(|(_, value)| value.trim_ascii().is_empty());
        let folded = |l: &Line<'_>| matches!(l.text.first(), Some(b' ' | b'\t')) && !blank(l);
        let more = if bare { all[i + 1..].iter().take_while(|l| folded(l)).count() } else { 0 };
        let (until, split): (usize, Split) =
            if in_block { (block_of_trailers.end, trailer) } else { (i + 1 + more, field) };
        let Some(trailer) = fields(&all, i..until, split).into_iter().next() else {
            i += 1;
            continue;
        };
        let lower = trailer.key.to_ascii_lowercase();
        // What stands behind `--- name` is on its way to `+++ name`: no trailer.
        let in_header =
            [&b"--- "[..], b"+++ ", b"Index:", b"diff -"].iter().any(|h| i > 0 && all[i - 1].text.starts_with(h));
        let known = (KNOWN.contains(&lower.as_str()) || lower.starts_with("bug-")) && !in_header;
        if trailer.line == i + 1 && (known || in_block) && !MAIL.contains(&lower.as_str()) {
            if lower == "author" {
                headers.author = headers.author.or(Some(trailer.value.clone()));
            }
            headers.trailers.push(trailer);
        }
        i += 1;
    }
    headers.subject = headers.subject.or(description.filter(|d| !d.is_empty())).or_else(|| {
        let at = (text.min(end)..end).find(|at| !blank(&all[*at]))?;
        let text = all[at].text.trim_ascii();
        if block_of_trailers.contains(&at) && trailer(text).is_some() {
            return None;
        }
        let text = repaired(text.strip_prefix(b"#").unwrap_or(text).trim_ascii());
        (mail_field(text.as_bytes()).is_none() && !text.is_empty()).then_some(text)
    });
    headers.subject = headers.subject.filter(|s| !s.is_empty());
    headers
}

/// Splits a line into key and value.
type Split = for<'l> fn(&'l [u8]) -> Option<(&'l str, &'l [u8])>;

/// Returns the fields among some lines, each with the lines that continue it.
fn fields(all: &[Line<'_>], range: Range<usize>, split: Split) -> Vec<Trailer> {
    let mut found: Vec<(usize, Trailer, Vec<u8>)> = Vec::new();
    let mut last = None;
    for i in range {
        let line = &all[i];
        if let Some((key, rest)) = split(line.text) {
            let span = Span::new(line.start, line.end);
            let trailer = Trailer { key: key.to_string(), value: String::new(), line: i + 1, span };
            found.push((i, trailer, rest.trim_ascii().to_vec()));
            last = Some(i);
        } else if let (Some((_, trailer, value)), true) = (found.last_mut(), last == i.checked_sub(1))
            && line.text.first().is_some_and(|b| matches!(b, b' ' | b'\t'))
            && !blank(line)
        {
            value.push(b' ');
            value.extend_from_slice(line.text.trim_ascii());
            trailer.span = Span::new(trailer.span.start, line.end);
            last = Some(i);
        }
    }
    let read = |(_, trailer, value): (usize, Trailer, Vec<u8>)| Trailer { value: words(value.trim_ascii()), ..trailer };
    found.into_iter().map(read).collect()
}

fn is_commit(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The trailers of a message as git-interpret-trailers(1) finds them: its last paragraph, when that holds nothing else, or when git wrote a line
/// of it and at least one in four is a trailer. Empty, at the end, when there are none.
pub(super) fn trailer_block(all: &[Line<'_>], from: usize, end: usize) -> Range<usize> {
    // Comments and the list of conflicts that old git wrote do not belong to the message where nothing else follows.
    let (mut ignored, mut conflicts) = (None, false);
    for (i, line) in all.iter().enumerate().take(end).skip(from) {
        let listed = conflicts && line.text.starts_with(b"\t");
        let begins = line.text == b"Conflicts:";
        conflicts |= begins;
        if listed || begins || line.text.is_empty() || line.text.starts_with(b"#") {
            ignored = ignored.or(Some(i));
        } else {
            (ignored, conflicts) = (None, false);
        }
    }
    let end = ignored.unwrap_or(end);
    let last = (from..end).rev().find(|&i| !blank(&all[i])).map_or(from, |i| i + 1);
    let first = (from..last).rev().find(|&i| blank(&all[i])).map_or(from, |i| i + 1);
    let (mut trailers, mut others, mut gits, mut continues) = (0, 0, false, false);
    for line in &all[first..last] {
        let by_git = line.text.starts_with(b"Signed-off-by: ") || line.text.starts_with(b"(cherry picked from commit ");
        gits |= by_git;
        let trailer = by_git || trailer(line.text).is_some();
        match line.text.first() {
            Some(b'#') => {
                continues = false;
                continue;
            }
            Some(b' ' | b'\t') if continues => continue,
            _ if trailer => trailers += 1,
            _ => others += 1,
        }
        continues = trailer;
    }
    // The first paragraph of a message without a subject above it is its title for git: one of trailers alone is taken for those.
    let titles = |line: &Line<'_>| {
        mail_field(line.text).is_some_and(|(key, _)| ["subject", "description"].contains(&&*key.to_ascii_lowercase()))
    };
    let is_title = first == from && !all[..from].iter().any(titles);
    match (gits && !is_title && trailers * 3 >= others) || (trailers > 0 && others == 0) {
        true => first..last,
        false => last..last,
    }
}

/// Splits a trailer as git does: a key, perhaps blanks, a colon, and whatever follows.
fn trailer(line: &[u8]) -> Option<(&str, &[u8])> {
    let key = line.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
    let value = line[key..].trim_ascii_start().strip_prefix(b":").filter(|_| key > 0)?;
    Some((std::str::from_utf8(&line[..key]).ok()?, value))
}

/// Takes `Re:` and all tags in brackets at the beginning off, as `git mailinfo` does: they are the list's.
pub(super) fn bare_subject(subject: &str) -> &str {
    let mut rest = subject;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ':');
        let reply = rest.get(..3).is_some_and(|t| t.eq_ignore_ascii_case("re:"));
        match rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            _ if reply => rest = &rest[3..],
            Some((_, tail)) => rest = tail,
            None => break,
        }
    }
    // A subject of nothing but brackets is one all the same.
    if rest.trim().is_empty() { subject.trim() } else { rest.trim() }
}

/// Says whether a header block is a mail's: `Subject:` and nothing that DEP-3 alone has.
pub(super) fn has_mail_header(all: &[Line<'_>], block: &Range<usize>) -> bool {
    let mut subject = false;
    for (key, _) in all[block.clone()].iter().filter_map(|l| mail_field(l.text)) {
        subject |= key.eq_ignore_ascii_case("subject");
        if !is_mails(key) {
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
        let folded = headers("Subject: x\n\nCVE:\n CVE-2024-1\nText, so that it is no trailer of git's.\n---\n");
        assert_eq!(folded.values("CVE").collect::<Vec<_>>(), ["CVE-2024-1"]);
        // Text right below the headers is the message's, as git has it.
        let h = headers(
            "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: J <j@x>\nSubject: [PATCH] fix\n# Adapted\n\n---\n",
        );
        assert_eq!((h.subject.as_deref(), h.author.as_deref(), h.trailers.len()), (Some("fix"), Some("J <j@x>"), 0));
    }

    #[test]
    fn a_tag_behind_unclosed_headers_is_text() {
        for tag in ["CVE:x y", "CVE: x"] {
            let h = headers(&format!(
                "From 0123 Mon Sep 17 00:00:00 2001\nSubject: two\n\tlines\n{tag}\nand a text\n---\n"
            ));
            assert_eq!(h.subject.as_deref(), Some("two lines"), "{tag}");
        }
    }

    #[test]
    fn a_first_paragraph_with_a_sign_off_has_its_subject() {
        for sign_off in ["Signed-off-by:x", "Signed-off-by: A <a@b>"] {
            let h = headers(&format!("Fix : it\n{sign_off}\n24 lines\nCVE: x\n\n"));
            assert_eq!((h.subject.as_deref(), h.values("CVE").next()), (Some("Fix : it"), Some("x")), "{sign_off}");
        }
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
        // What is read and set as a trailer is no subject.
        let bare = headers("From: J <j@x>\nDate: x\n\nUpstream-Status:Backport [x]\nSigned-off-by: J <j@p>\n");
        assert_eq!((bare.subject, bare.trailers.len()), (None, 2));
        let first = headers("x\nSigned-off-by: A <a@b>\n");
        assert_eq!((first.subject.as_deref(), first.trailers.len()), (Some("x"), 1));
        for (subject, bare) in [
            ("Re: [PATCH] [CVE-2024-1] x", "x"),
            ("[v2,2/3] fix [the] thing", "fix [the] thing"),
            ("[mtd-utils][PATCH] x", "x"),
            ("re: RE: [a]: x", "x"),
            ("[only]", "[only]"),
            ("Rework it", "Rework it"),
        ] {
            assert_eq!(bare_subject(subject), bare);
        }
    }
}
