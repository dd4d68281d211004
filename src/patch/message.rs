//! From a patch to a commit message and back.
//!
//! `PatchFile::message` is what `edit` commits; [`compose`] is what `finish` writes for a commit that has no patch file yet. Must not
//! know git.

use std::borrow::Cow;

use super::decode::repaired;
use super::header::{Headers, body};
use super::mail;
use super::patch_file::PatchFile;
use super::quote::{quote, unquote};

/// What a commit says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// One line.
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
        let body = repaired(&body).replace("\r\n", "\n").trim_matches('\n').to_string();
        let body = unquote(&body);
        let subject = subject.unwrap_or_default();
        // Free text: its first line is the subject already.
        let body = match body.strip_prefix(subject.as_str()) {
            Some(rest) if whole && (rest.is_empty() || rest.starts_with('\n')) => rest.trim_matches('\n').to_string(),
            _ => body,
        };
        Message { subject, body, author, date }
    }
}

/// Returns a patch file: mail headers in UTF-8, the message, `---`, the diff. The same input gives the same bytes; no commit id,
/// version or time of writing gets in. [`PatchFile::message`] gives the message back, as lines that
/// speak of a diff, or are `---`, are quoted ([`quote`]).
pub fn compose(message: &Message, diff: &[u8]) -> Vec<u8> {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    for (key, value) in [("From", &message.author), ("Date", &message.date)] {
        if let Some(value) = value {
            out.push_str(&format!("{key}: {}\n", one_line(value)));
        }
    }
    out.push_str(&format!("Subject: {}\n\n", one_line(&message.subject)));
    let body = message.body.trim_matches('\n');
    if !body.is_empty() {
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
}
