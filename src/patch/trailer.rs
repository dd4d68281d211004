//! Editing the trailers of a patch (`Upstream-Status:`, `Signed-off-by:`, `CVE:`): the lines of the trailer concerned change and no
//! other byte.
//!
//! Where a trailer stands is read in `header`.

use super::error::Error;
use super::header::{Layout, Trailer, field, has_mail_header, last_paragraph, layout, lines};
use super::patch_file::PatchFile;
use crate::base::span::Span;

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

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n";

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
