//! From a patch to a commit message and back.
//!
//! `PatchFile::message` is what `edit` commits; [`compose`] is what `finish` writes for a commit that has no patch file yet. Must not
//! know git.

use std::borrow::Cow;

use super::decode::repaired;
use super::header::{Headers, begins_with_headers, body};
use super::mail;
use super::patch_file::PatchFile;
use super::quote::{quote, unquote};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    pub subject: String,
    /// The rest, trailers included, without blank lines around; may be empty.
    pub body: String,
    /// `Name <mail>`, if it is known.
    pub author: Option<String>,
    /// As it stands behind `Date:`.
    pub date: Option<String>,
}

impl PatchFile<'_> {
    /// Returns what a commit of this patch says. For a patch with mail headers the body is the mail's; for others (DEP-3, free text)
    /// everything above the diff, so that nothing is lost.
    pub fn message(&self) -> Message {
        let Headers { subject, author, date, .. } = self.headers();
        let preamble = mail::decode(self.preamble()).unwrap_or(Cow::Borrowed(self.preamble()));
        let (body, whole) = body(&preamble);
        let body = without_cr(&repaired(&body));
        let body = unquote(body.trim_matches('\n'));
        let subject = subject.unwrap_or_default();
        // Free text: its first line is the subject already.
        let body = match body.strip_prefix(subject.as_str()) {
            Some(rest) if whole && (rest.is_empty() || rest.starts_with('\n')) => rest.trim_matches('\n').to_string(),
            _ => body,
        };
        let one_line = |text: String| one_line(&text);
        Message { subject: one_line(subject), body, author: author.map(one_line), date: date.map(one_line) }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Takes the carriage returns at the ends of lines off.
fn without_cr(text: &str) -> String {
    text.split_inclusive('\n')
        .flat_map(|line| match line.strip_suffix('\n') {
            Some(line) => [line.trim_end_matches('\r'), "\n"],
            None => [line.trim_end_matches('\r'), ""],
        })
        .collect()
}

/// Returns a patch file: mail headers in UTF-8, the message, `---`, the diff. The same input gives the same bytes; no commit id,
/// version or time of writing gets in. [`PatchFile::message`] gives the message back, as lines that
/// speak of a diff, or are `---`, are quoted ([`quote`]).
pub fn compose(message: &Message, diff: &[u8]) -> Vec<u8> {
    let mut out = String::new();
    for (key, value) in [("From", &message.author), ("Date", &message.date)] {
        if let Some(value) = value {
            out.push_str(&format!("{key}: {}\n", one_line(value)));
        }
    }
    out.push_str(&format!("Subject: {}\n\n", one_line(&message.subject)));
    let body = message.body.trim_matches('\n');
    if !body.is_empty() {
        // Headers at the beginning of a body count; the first paragraph of them is not the body's own then.
        if begins_with_headers(body) {
            out.push_str(&format!("Subject: {}\n\n", one_line(&message.subject)));
        }
        out.push_str(&quote(body));
        out.push('\n');
    }
    out.push_str("---\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(diff);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIFF: &str = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n";

    #[test]
    fn a_message_comes_back() {
        let message = Message {
            subject: "fix ä".into(),
            body: "Long text.\n\nUpstream-Status: Pending\nSigned-off-by: A <a@b>".into(),
            author: Some("Jörg <j@x>".into()),
            date: Some("Mon, 1 Jan 2024 00:00:00 +0000".into()),
        };
        let bytes = compose(&message, DIFF.as_bytes());
        let patch = PatchFile::parse(&bytes).unwrap();
        assert_eq!(patch.message(), message);
        assert_eq!(patch.headers().values("Upstream-Status").next(), Some("Pending"));
        let odd = Message { body: "a\n---\n--- a/f\n+++ b/f".into(), ..message };
        let bytes = compose(&odd, DIFF.as_bytes());
        assert!(String::from_utf8(bytes.clone()).unwrap().contains("\na\n|---\n|--- a/f\n|+++ b/f\n---\n"));
        assert_eq!(PatchFile::parse(&bytes).unwrap().message(), odd);
        // Headers at the beginning of a body are text.
        for body in ["From: B <b@c>\n\nText.", "Subject: z", "\nDate: now\nFrom: me"] {
            let odd = Message { body: body.trim_matches('\n').into(), ..odd.clone() };
            assert_eq!(PatchFile::parse(&compose(&odd, DIFF.as_bytes())).unwrap().message(), odd);
        }
        // A line of a mailbox in a message begins no other mail, and an empty subject is no part of the body.
        let from = "From 0123 Mon Sep 17 00:00:00 2001\nSigned-off-by: J <j@x>";
        for subject in ["", "x"] {
            let odd = Message { subject: subject.into(), body: from.into(), ..Message::default() };
            assert_eq!(PatchFile::parse(&compose(&odd, DIFF.as_bytes())).unwrap().message(), odd);
        }
        let bare = Message { subject: "x".into(), ..Message::default() };
        let bytes = compose(&bare, DIFF.as_bytes());
        assert_eq!(PatchFile::parse(&bytes).unwrap().message(), bare);
    }

    #[test]
    fn free_text_and_dep3_lose_nothing() {
        let message = |head: &str| {
            let text = format!("{head}{DIFF}");
            PatchFile::parse(text.as_bytes()).unwrap().message()
        };
        let free = message("Fix it.\n\nBecause.\n");
        assert_eq!((free.subject.as_str(), free.body.as_str()), ("Fix it.", "Because."));
        let dep3 = message("Description: short\n long\nAuthor: A <a@b>\nForwarded: no\n\n---\n");
        assert_eq!(dep3.subject, "short");
        assert_eq!(dep3.body, "Description: short\n long\nAuthor: A <a@b>\nForwarded: no");
        assert_eq!(dep3.author.as_deref(), Some("A <a@b>"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// What a header says settles: read once and written it is the same from then on, with carriage returns, without a subject.
        #[test]
        fn written_it_stays_the_same(parts in prop::collection::vec(prop::sample::select(vec![
            "\r", "\r", "\n", "\n", "\r\n", "From: ", "Subject: ", "Date: ", "x", " ", "\t", "From: a <a@b>\n", "Subject:\n", "Description: ",
            "Author: ", "---\n", "body\n", "Signed-off-by: A <a@b>\n", ":", "[a]", "From x@y Sat Jan  1 00:00:00 2000\n", "#", "|", ">",
            "Content-Type: text/plain; charset=utf-8\n", "Content-Transfer-Encoding: quoted-printable\n", "=\n", "=0A", "=?utf-8?q?a=0D?=",
        ]), 0..14)) {
            let text = format!("{}\n{DIFF}", parts.concat());
            let Ok(patch) = PatchFile::parse(text.as_bytes()) else { return Ok(()) };
            let again = |message: &Message| PatchFile::parse(&compose(message, DIFF.as_bytes())).unwrap().message();
            // The first writing turns an author in the text into the message's, and takes tags in brackets off the subject.
            let once = again(&again(&patch.message()));
            prop_assert_eq!(again(&once), once);
        }
    }
}
