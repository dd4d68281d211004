//! Says what bytes are that are no unified diff, so that the refusal names the cause.
//!
//! Must not read patches.

use super::error::{Error, Spot};
use super::parse::{Reader, content};

/// Names what the bytes most likely are, when they are no patch.
pub(super) fn nearest_reason(bytes: &[u8]) -> Error {
    let mut reader = Reader { bytes, at: 0, line: 1 };
    let first = bytes.trim_ascii_start();
    let not = |reason, at| Error::NotAPatch { reason, at };
    let magic: [(&[u8], &'static str); 7] = [
        (b"\x1f\x8b", "it is compressed with gzip"),
        (b"BZh", "it is compressed with bzip2"),
        (b"\xfd7zXZ", "it is compressed with xz"),
        (b"\x28\xb5\x2f\xfd", "it is compressed with zstd"),
        (b"PK\x03\x04", "it is a zip archive"),
        (b"\x7fELF", "it is an ELF program"),
        (b"\xff\xfe", "it is UTF-16"),
    ];
    for (start, reason) in magic {
        if bytes.starts_with(start) {
            return not(reason, Spot::default());
        }
    }
    let lower: Vec<u8> = first.iter().take(64).map(u8::to_ascii_lowercase).collect();
    if lower.starts_with(b"<!doctype") || lower.starts_with(b"<html") || lower.starts_with(b"<?xml") {
        return not("it is a web page", reader.spot());
    }
    if let Some(nul) = memchr::memchr(0, &bytes[..bytes.len().min(1 << 16)]) {
        while reader.peek().is_some_and(|l| reader.at + l.len() < nul) {
            reader.next();
        }
        return not("it holds NUL bytes", reader.spot());
    }
    let mut minus = None;
    while let Some(line) = reader.peek() {
        let text = content(line);
        let trimmed = text.trim_ascii_start();
        if trimmed.len() < text.len() && (trimmed.starts_with(b"--- ") || trimmed.starts_with(b"diff --git ")) {
            return not("its lines are indented", reader.spot());
        }
        if text.starts_with(b"@@ -") {
            return match reader.hunk_header() {
                Ok(_) => Error::HunkWithoutFile { at: reader.spot(), right: None },
                Err(error) => error,
            };
        }
        if let Some(what) = command(text, reader.second().map(content)) {
            return Error::OtherDiff { what, at: reader.spot() };
        }
        if text.starts_with(b"--- ") || text.starts_with(b"+++ ") {
            minus.get_or_insert(reader.spot());
        }
        reader.next();
    }
    match minus {
        Some(at) => not("`---` and `+++` do not follow each other", at),
        None => not(
            "no file header (`--- old`, `+++ new`) and no hunk was found",
            Spot { line: 1, ..Reader { bytes, at: 0, line: 1 }.spot() },
        ),
    }
}

/// Recognises a command of a normal diff (`3c3`, next line `< ...`) or of an ed script (`3,4d` or `3a` alone).
fn command(line: &[u8], next: Option<&[u8]>) -> Option<&'static str> {
    let verb = line.iter().position(|b| matches!(b, b'a' | b'c' | b'd'))?;
    let range = |text: &[u8]| {
        !text.is_empty() && text[0].is_ascii_digit() && text.iter().all(|b| b.is_ascii_digit() || *b == b',')
    };
    if !range(&line[..verb]) {
        return None;
    }
    let next = next.unwrap_or_default();
    match &line[verb + 1..] {
        [] => Some("an ed script"),
        tail if range(tail) && (next.starts_with(b"< ") || next.starts_with(b"> ")) => Some("a normal diff"),
        _ => None,
    }
}
