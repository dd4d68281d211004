//! git's extended headers: `diff --git` and the lines behind it (git-diff(1), "Generating patch text with -p").
//!
//! Must not read hunks.

use super::error::Error;
use super::names::FileName;
use super::parse::{Reader, content};
use super::patch_file::GitHeader;

impl Reader<'_> {
    /// Reads `diff --git` and the extended lines behind it.
    pub(super) fn git_header(&mut self) -> Result<GitHeader, Error> {
        let (at, line) = (self.spot(), self.next());
        let mut git = GitHeader::default();
        if let Some((old, new)) = git_names(content(&line[b"diff --git ".len()..])) {
            git.old = Some(FileName::from_extended(&old, at.clone())?);
            git.new = Some(FileName::from_extended(&new, at.clone())?);
        }
        let (mut rename_from, mut rename_to, mut copy_from, mut copy_to) = (None, None, None, None);
        while let Some(line) = self.peek() {
            let line = content(line);
            let at = self.spot();
            let mode = |text: &[u8]| parse_mode(text).ok_or_else(|| Error::BadHunkHeader { at: at.clone() });
            if let Some(rest) = line.strip_prefix(b"old mode ") {
                git.old_mode = Some(mode(rest)?);
            } else if let Some(rest) = line.strip_prefix(b"new mode ") {
                git.new_mode = Some(mode(rest)?);
            } else if let Some(rest) = line.strip_prefix(b"deleted file mode ") {
                git.old_mode = Some(mode(rest)?);
                git.deletes = true;
            } else if let Some(rest) = line.strip_prefix(b"new file mode ") {
                git.new_mode = Some(mode(rest)?);
                git.creates = true;
            } else if let Some(rest) = line.strip_prefix(b"rename from ").or(line.strip_prefix(b"rename old ")) {
                rename_from = Some(FileName::from_extended(rest, at)?);
            } else if let Some(rest) = line.strip_prefix(b"rename to ").or(line.strip_prefix(b"rename new ")) {
                rename_to = Some(FileName::from_extended(rest, at)?);
            } else if let Some(rest) = line.strip_prefix(b"copy from ") {
                copy_from = Some(FileName::from_extended(rest, at)?);
            } else if let Some(rest) = line.strip_prefix(b"copy to ") {
                copy_to = Some(FileName::from_extended(rest, at)?);
            } else if let Some(rest) = line.strip_prefix(b"index ") {
                let mut names = rest.split(|b| matches!(b, b'.' | b' ')).filter(|n| !n.is_empty());
                let mut empty = || names.next().is_some_and(|n| n.starts_with(super::diff::EMPTY_BLOB.as_bytes()));
                (git.old_empty, git.new_empty) = (empty(), empty());
                if let Some(space) = rest.iter().position(|b| *b == b' ') {
                    let mode = parse_mode(&rest[space + 1..]);
                    git.old_mode = git.old_mode.or(mode);
                    git.new_mode = git.new_mode.or(mode);
                }
            } else if !(line.starts_with(b"similarity index ") || line.starts_with(b"dissimilarity index ")) {
                break;
            }
            self.next();
        }
        git.rename = rename_from.zip(rename_to);
        git.copy = copy_from.zip(copy_to);
        Ok(git)
    }
}

/// A mode of six octal digits, as git writes them.
pub(super) fn parse_mode(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    (text.len() <= 7).then(|| u32::from_str_radix(text, 8).ok()).flatten()
}

/// Splits the two names of a `diff --git` line: quoted, or `a/NAME b/NAME` with the same NAME, or without any blank.
fn git_names(rest: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let raw = |name: &[u8]| name.to_vec();
    // Each blank is tried; two paths are not longer.
    if rest.len() > 16_384 {
        return None;
    }
    if rest.first() == Some(&b'"') {
        let (_, used) = super::names::unquote(rest)?;
        let second = rest.get(used..)?.strip_prefix(b" ")?;
        return Some((raw(&rest[..used]), raw(second)));
    }
    if let Some(quote) = rest.iter().position(|b| *b == b'"') {
        return Some((raw(rest[..quote].strip_suffix(b" ")?), raw(&rest[quote..])));
    }
    let after_first = |name: &[u8]| name.iter().position(|b| *b == b'/').map(|i| name[i..].to_vec());
    let mut only = None;
    let mut same = None;
    for (i, _) in rest.iter().enumerate().filter(|(_, b)| **b == b' ') {
        let (old, new) = (&rest[..i], &rest[i + 1..]);
        if old == new || (after_first(old).is_some() && after_first(old) == after_first(new)) {
            same = Some((raw(old), raw(new)));
        }
        only = if only.is_none() { Some(Some((raw(old), raw(new)))) } else { Some(None) };
    }
    same.or(only.flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_names_with_blanks_and_quotes() {
        let names = |rest: &str| {
            git_names(rest.as_bytes()).map(|(a, b)| (String::from_utf8(a).unwrap(), String::from_utf8(b).unwrap()))
        };
        let pair = |a: &str, b: &str| Some((a.to_string(), b.to_string()));
        assert_eq!(names("a/f b/f"), pair("a/f", "b/f"));
        assert_eq!(names("a/f g b/f g"), pair("a/f g", "b/f g"));
        assert_eq!(names("a/f b/g"), pair("a/f", "b/g"));
        assert_eq!(names("\"a/\\303\" b/x"), pair("\"a/\\303\"", "b/x"));
        assert_eq!(names("a/x y b/z w"), None);
    }
}
