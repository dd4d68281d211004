//! Mailboxes of patches: splits what `git format-patch --stdout`, `git am` and mail programs have in one file, and puts patches into one.
//!
//! The format is mboxo/mboxrd as git-mailsplit(1) reads it: a message begins at `From `, a sender and a time. Must not decode
//! bodies: a message that is quoted-printable or base64 is refused as a patch later, by name.

use super::header::is_from_line;

/// Splits a mailbox into messages, `From ` lines included; the pieces put together are the input. Text before the first `From ` line
/// is a piece of its own (a single patch without that line is one piece).
pub fn split(bytes: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let (mut start, mut at, mut blank) = (0, 0, true);
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let text = line.trim_ascii_end();
        // A `From ` line stands at the top or behind a blank line (or a mail signature, as format-patch writes it).
        if blank && at > start && text.starts_with(b"From ") && is_from_line(text).is_some_and(|_| looks_dated(text)) {
            pieces.push(&bytes[start..at]);
            start = at;
        }
        blank = text.is_empty();
        at += line.len();
    }
    if start < bytes.len() {
        pieces.push(&bytes[start..]);
    }
    pieces
}

/// `From x Mon Sep 17 00:00:00 2001`: a clock and a year at the end.
fn looks_dated(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_ascii_whitespace().rev();
    let year = words.find(|w| w.len() == 4 && w.bytes().all(|b| b.is_ascii_digit())).is_some();
    year && text.split_ascii_whitespace().any(|w| {
        w.split(':').count() >= 2 && w.split(':').all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// Returns the patches as one mailbox that [`split`] takes apart again: those without a `From ` line get git's, and each ends
/// with a blank line. The contents are not changed otherwise.
pub fn join<B: AsRef<[u8]>>(patches: impl IntoIterator<Item = B>) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    for patch in patches {
        let patch = patch.as_ref();
        let first = patch.split(|b| *b == b'\n').next().unwrap_or_default();
        if is_from_line(first).is_none() {
            out.extend_from_slice(b"From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n");
        }
        out.extend_from_slice(patch);
        if !patch.ends_with(b"\n") {
            out.push(b'\n');
        }
        if !patch.ends_with(b"\n\n") {
            out.push(b'\n');
        }
    }
    out
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
        let joined = join([&b"Subject: x\n\n--- a\n"[..], one.as_bytes()]);
        assert_eq!(split(&joined).len(), 2);
        assert!(split(&joined)[1] == one.as_bytes());
    }

    proptest! {
        #[test]
        fn nothing_is_lost(parts in prop::collection::vec(prop::sample::select(vec![FROM, "\n", "From x\n", "text\n", "From: y\n"]), 0..12)) {
            let bytes = parts.concat().into_bytes();
            prop_assert_eq!(split(&bytes).concat(), bytes);
        }
    }
}
