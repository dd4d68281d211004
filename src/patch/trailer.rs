//! Editing the trailers of a patch (`Upstream-Status:`, `Signed-off-by:`, `CVE:`): the lines of the trailer concerned change and no
//! other byte.
//!
//! Where a trailer stands is read in `header`.

use super::error::Error;
use super::header::{Layout, Line, Trailer, blank, field, has_mail_header, layout, lines, trailer_block};
use super::patch_file::PatchFile;
use crate::base::span::Span;

/// Returns the patch with the trailer set: the value of the first line with that key replaced (lines that would be
/// read as a part of the new value go with the old one), or a new line behind the last trailer, or a new last paragraph of the
/// message. Every other byte stays.
///
/// # Errors
/// [`Error::BadTrailer`] when the key or the value cannot stand on one line; [`Error::TrailerInDiff`] when another part of the patch
/// would be read as its diff; the errors of [`PatchFile::parse`].
pub fn set_trailer(bytes: &[u8], key: &str, value: &str) -> Result<Vec<u8>, Error> {
    edit(bytes, key, value, true).and_then(|made| same_diff(bytes, made, key))
}

/// Returns the patch with one more trailer, even if there are some with that key; the same value twice is not added.
pub fn add_trailer(bytes: &[u8], key: &str, value: &str) -> Result<Vec<u8>, Error> {
    edit(bytes, key, value, false).and_then(|made| same_diff(bytes, made, key))
}

/// Refuses an edit of the header that would change what the diff is.
fn same_diff(bytes: &[u8], made: Vec<u8>, key: &str) -> Result<Vec<u8>, Error> {
    let diff = |bytes: &[u8]| Ok::<_, Error>(bytes.len() - PatchFile::parse(bytes)?.preamble().len());
    match diff(bytes)? == diff(&made)? {
        true => Ok(made),
        false => Err(Error::TrailerInDiff { key: key.to_string() }),
    }
}

/// Returns the patch without the trailers of that key, or only without those of that value. A trailer that was a paragraph of its own takes
/// the blank line before it with it: what [`add_trailer`] put there is gone to the byte.
pub fn remove_trailer(bytes: &[u8], key: &str, value: Option<&str>) -> Result<Vec<u8>, Error> {
    let mut out = without(bytes, key, value)?;
    // What stands before a paragraph that is gone is the last one now, and may be read as trailers for that.
    while value.is_none() {
        let again = without(&out, key, value)?;
        if again == out {
            break;
        }
        out = again;
    }
    same_diff(bytes, out, key)
}

fn without(bytes: &[u8], key: &str, value: Option<&str>) -> Result<Vec<u8>, Error> {
    let patch = PatchFile::parse(bytes)?;
    let all = lines(patch.preamble());
    let Layout { above, block, text, end } = layout(&all);
    let goes = |t: &Trailer| t.key.eq_ignore_ascii_case(key) && value.is_none_or(|v| v == t.value);
    let mut gone: Vec<Span> = patch.headers().trailers.into_iter().filter(goes).map(|t| t.span).collect();
    gone.sort_by_key(|span| span.start);
    let stays = |line: &Line<'_>| !gone.iter().any(|span| span.start <= line.start && line.end <= span.end);
    let mut out = Vec::with_capacity(bytes.len());
    for (i, line) in all.iter().enumerate() {
        // Of a paragraph that goes as a whole the blank line before goes too.
        let next = (i + 1..end).take_while(|&n| !blank(&all[n])).collect::<Vec<_>>();
        let emptied = !next.is_empty() && next.iter().all(|&n| n >= text && !stays(&all[n]));
        let separates = blank(line) && i >= block.end.min(text) && i < end && emptied && !above.contains(&i) && i > 0;
        if stays(line) && !separates {
            out.extend_from_slice(&bytes[line.start..line.end]);
        }
    }
    out.extend_from_slice(&bytes[patch.preamble().len()..]);
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
        let made = splice(old.span, written.clone());
        // A line that makes its paragraph one of trailers draws the folded lines below it in: they go with what they continued.
        if PatchFile::parse(&made)?.headers().values(key).any(|there| there == value) {
            return Ok(made);
        }
        let folded = |line: &&Line<'_>| matches!(line.text.first(), Some(b' ' | b'\t')) && !blank(line);
        let below = lines(preamble);
        let below = below.iter().skip_while(|line| line.start < old.span.end).take_while(folded).last();
        return Ok(splice(Span::new(old.span.start, below.map_or(old.span.end, |line| line.end)), written));
    }
    let all = lines(preamble);
    let Layout { block, text, end, .. } = layout(&all);
    // Behind the last trailer of the message; a DEP-3 block is one, a mail's header block is not.
    let paragraph = trailer_block(&all, text, end);
    if !paragraph.is_empty() {
        return Ok(splice(Span::at(all[paragraph.end - 1].end), format!("{line}{eol}")));
    }
    let only_fields = all[block.end..end].iter().all(blank);
    if !has_mail_header(&all, &block) && !block.is_empty() && only_fields {
        return Ok(splice(Span::at(all[block.end - 1].end), format!("{line}{eol}")));
    }
    // No trailers yet: a new paragraph behind the last line that says something.
    Ok(match all[..end].iter().rev().find(|l| !blank(l)) {
        Some(last) => splice(Span::at(last.end), format!("{eol}{line}{eol}")),
        None => splice(Span::at(0), format!("{line}{eol}")),
    })
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
            ("Subject: x\nFrom: a\n\n", "Subject: x\nFrom: a\n\nUpstream-Status: Pending\n\n"),
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
            let added = add_trailer(&bytes, "Tested-by", "T <t@x>").unwrap();
            assert_eq!(remove_trailer(&added, "Tested-by", Some("T <t@x>")).unwrap(), bytes, "{before:?}");
        }
        let half = "x\n--- g\n\nCVE: y\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n--- a/h\n+++ b/h\n@@ -1 +1 @@\n-a\n+b\n";
        assert!(matches!(remove_trailer(half.as_bytes(), "CVE", None), Err(Error::TrailerInDiff { .. })));
        let odd = format!("Text\n\nCVE: x\n24-1\nSigned-off-by:\ty\n\tz\n\n{DIFF}");
        let set = set_trailer(odd.as_bytes(), "Signed-off-by", "A <a@b>").unwrap();
        assert_eq!(String::from_utf8(set).unwrap(), format!("Text\n\nCVE: x\n24-1\nSigned-off-by: A <a@b>\n\n{DIFF}"));
        let two = format!("Text\n\nUpstream-Status:re\n\nUpstream-Status: Denied\n\n{DIFF}");
        let gone = remove_trailer(two.as_bytes(), "Upstream-Status", None).unwrap();
        assert_eq!(String::from_utf8(gone).unwrap(), format!("Text\n\n{DIFF}"));
        assert!(matches!(set_trailer(DIFF.as_bytes(), "a b", "c"), Err(Error::BadTrailer { .. })));
        assert!(matches!(set_trailer(DIFF.as_bytes(), "A", "c\nd"), Err(Error::BadTrailer { .. })));
    }
}
