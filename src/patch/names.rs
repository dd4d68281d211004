//! File names as patches have them: quoting, timestamps, leading components, and what is not allowed in them.
//!
//! Must not know the disk: a link that leads out of the tree is found by `apply`.

use super::date;
use super::error::{Error, Spot};
use super::strip::BASE_NAME;

/// No path is longer, on Linux (`PATH_MAX`).
const MAX_NAME: usize = 4096;

/// A name from a `---`, `+++`, `diff --git`, `rename` or `copy` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// The name, unquoted, with all its leading components. Empty when `null`.
    pub name: String,
    /// The name is `/dev/null`: there is no file on this side.
    pub null: bool,
    /// The line says that the file has the time 1970-01-01 (any zone), which `diff -N` writes where there is none.
    pub epoch: bool,
    /// The name with all that follows on its line, where GNU patch ends it at a blank because no tab does: git reads it so.
    pub whole: Option<String>,
    /// Where it stands.
    pub at: Spot,
}

impl FileName {
    /// Reads what follows `--- ` or `+++ ` as GNU patch does: a quoted name; or all before the first tab, blanks at its end taken
    /// off; or, where there is no tab, all before the first blank. What follows is a timestamp, or nothing that means anything.
    pub(super) fn from_header(rest: &[u8], at: Spot) -> Result<FileName, Error> {
        let rest = rest.trim_ascii_start();
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        let mut whole = None;
        let (name, stamp) = if rest.first() == Some(&b'"') {
            let (name, used) = unquote(rest).ok_or_else(|| bad("is quoted but not closed", &at))?;
            (name, rest.get(used..).unwrap_or_default())
        } else if let Some(tab) = rest.iter().position(|b| *b == b'\t') {
            (rest[..tab].trim_ascii_end().to_vec(), &rest[tab..])
        } else {
            let cut = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
            whole = path_of(rest.trim_ascii_end()).filter(|_| !rest[cut..].trim_ascii().is_empty());
            (rest[..cut].to_vec(), &rest[cut..])
        };
        let seconds =
            std::str::from_utf8(stamp).ok().and_then(date::read_prefix).filter(|(.., rest)| rest.trim().is_empty());
        // The time may be local, and no zone is farther away than this; as GNU patch.
        let epoch = seconds.is_some_and(|(s, ..)| (-25 * 3600 + 1..26 * 3600).contains(&s));
        Ok(FileName { whole, ..FileName::checked(name, epoch, at)? })
    }

    /// Reads the whole rest of a line (`rename from `...): quoted or not, no timestamp.
    pub(super) fn from_extended(rest: &[u8], at: Spot) -> Result<FileName, Error> {
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        let name = if rest.first() == Some(&b'"') {
            unquote(rest).ok_or_else(|| bad("is quoted but not closed", &at))?.0
        } else {
            rest.to_vec()
        };
        if name.is_empty() {
            return Err(bad("is empty", &at));
        }
        FileName::checked(name, false, at)
    }

    fn checked(name: Vec<u8>, epoch: bool, at: Spot) -> Result<FileName, Error> {
        if name.len() > MAX_NAME {
            return Err(bad("is longer than any path", &at));
        }
        if name.iter().any(|b| matches!(b, 0 | b'\n')) {
            return Err(bad("holds a NUL or a line end", &at));
        }
        if name == b"/dev/null" {
            return Ok(FileName { name: String::new(), null: true, epoch: true, whole: None, at });
        }
        let name = path_of(&name).ok_or_else(|| bad("holds characters that no file name should", &at))?;
        Ok(FileName { name, null: false, epoch, whole: None, at })
    }

    /// Returns the path within the tree once `strip` leading components are taken off; `None` for `/dev/null`.
    pub fn stripped(&self, strip: usize) -> Result<Option<String>, Error> {
        if self.null {
            return Ok(None);
        }
        if self.name == "/dev" || self.name.starts_with("/dev/") {
            return Err(Error::Device { name: self.name.clone(), at: self.at.clone() });
        }
        let Some(path) = strip_name(&self.name, strip) else {
            return Err(Error::StripTooDeep { name: self.name.clone(), strip, at: self.at.clone() });
        };
        safe(path)
            .map(|()| Some(path.to_string()))
            .map_err(|()| Error::LeavesTree { name: self.name.clone(), at: self.at.clone() })
    }
}

/// Where the bytes of names that are no UTF-8 stand as characters: the end of the last plane, which means nothing to anyone.
const BYTES: u32 = 0x10_FF00;

/// Returns a name of a file as text: each byte that is no UTF-8 is a character of its own, which [`bytes_of`] undoes. `None` for a name
/// that holds such characters itself.
pub fn path_of(name: &[u8]) -> Option<String> {
    // Only these begin with 0xf4, and hardly anything else does.
    if let Ok(text) = std::str::from_utf8(name)
        && memchr::memchr(0xf4, name).is_none()
    {
        return Some(text.to_string());
    }
    let mut path = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        if chunk.valid().chars().any(|c| u32::from(c) >= BYTES) {
            return None;
        }
        path.push_str(chunk.valid());
        path.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(BYTES + u32::from(*byte))));
    }
    Some(path)
}

/// Returns the bytes of a name.
pub fn bytes_of(path: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    for c in path.chars() {
        match u8::try_from(u32::from(c).wrapping_sub(BYTES)) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

fn bad(why: &'static str, at: &Spot) -> Error {
    Error::BadName { why, at: at.clone() }
}

/// Takes `strip` leading components off; several slashes count as one, as in GNU patch. `None` if there are fewer or
/// nothing is left.
pub fn strip_name(name: &str, strip: usize) -> Option<&str> {
    let mut rest = name;
    if strip == BASE_NAME {
        return name.rsplit('/').next().filter(|base| !base.is_empty());
    }
    for _ in 0..strip {
        let slash = rest.find('/')?;
        rest = rest[slash..].trim_start_matches('/');
    }
    (!rest.is_empty()).then_some(rest)
}

/// Says whether a path stays below the folder that it is relative to, links left aside.
pub(super) fn safe(path: &str) -> Result<(), ()> {
    if path.is_empty() || path.starts_with('/') || path.contains('\0') || path.split('/').any(|c| c == "..") {
        return Err(());
    }
    Ok(())
}

/// Returns what follows the next name of a `diff --git` line as GNU patch reads it: up to a blank, or in quotes.
pub(super) fn word(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start();
    let end = match text.first()? {
        b'"' => unquote(text)?.1,
        _ => text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len()),
    };
    text.get(end..)
}

/// Undoes C quoting as git and GNU patch write it (`"a\303\244\tb"`). Returns the bytes and how many were read.
pub(super) fn unquote(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut out = Vec::new();
    let mut i = 1;
    loop {
        match *text.get(i)? {
            b'"' => return Some((out, i + 1)),
            b'\\' => {
                i += 1;
                let c = *text.get(i)?;
                out.push(match c {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    b'"' | b'\\' => c,
                    b'0'..=b'3' => {
                        let digits = text.get(i..i + 3)?;
                        if !digits.iter().all(|d| (b'0'..=b'7').contains(d)) {
                            return None;
                        }
                        i += 2;
                        digits.iter().fold(0, |n, d| n * 8 + (d - b'0'))
                    }
                    _ => return None,
                });
            }
            c => out.push(c),
        }
        i += 1;
    }
}

/// Writes a name as git does: quoted when it holds a quote, a backslash, a control or a non-ASCII byte. A blank at an end is quoted as well:
/// it would be taken for what stands around the name.
pub(super) fn quoted(name: &str) -> String {
    let is_plain = |b: u8| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\';
    if name.bytes().all(is_plain) && !name.starts_with(' ') && !name.ends_with(' ') {
        return name.to_string();
    }
    in_quotes(name)
}

/// Writes a name in quotes even if it needs none.
pub(super) fn in_quotes(name: &str) -> String {
    let mut out = String::from("\"");
    for b in bytes_of(name) {
        match b {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            0x20..0x7f => out.push(b as char),
            _ => out.push_str(&format!("\\{b:03o}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> FileName {
        FileName::from_header(text.as_bytes(), Spot::default()).unwrap()
    }

    #[test]
    fn names_and_timestamps_are_told_apart() {
        assert_eq!(header("a/foo.c\t2024-01-02 03:04:05.000000000 +0100").name, "a/foo.c");
        assert_eq!(header("a/foo.c 2024-01-02 03:04:05 +0100").name, "a/foo.c");
        let blank = header("a/foo bar.c");
        assert_eq!((blank.name.as_str(), blank.whole.as_deref()), ("a/foo", Some("a/foo bar.c")));
        assert_eq!(header("a/foo.c      26 May 2004 12:15:23 -0000      1.6").name, "a/foo.c");
        assert_eq!(header("a/foo.c  (working copy)").name, "a/foo.c");
        assert_eq!(header("a/foo.c\t(revision 12)").name, "a/foo.c");
        assert_eq!(header("  a/foo bar.c \tx").name, "a/foo bar.c");
        assert!(header("a/x 1 Jan 1970 00:00:00 -0000").epoch && !header("a/x 1 Jan 1970 00:00:00 -0000 1.1").epoch);
        assert_eq!(header("a/foo bar.c\t").name, "a/foo bar.c");
        assert_eq!(header("a/foo.c Thu Jan  1 00:00:00 1970").name, "a/foo.c");
        assert!(header("a/foo.c Thu Jan  1 00:00:00 1970").epoch);
        assert!(header("a/x\t1969-12-31 19:00:00.000000000 -0500").epoch);
        assert!(!header("a/x\t1970-02-01 00:00:00.000000000 +0000").epoch);
        assert!(header("/dev/null").null);
        assert!(header("/dev/null\t2024-01-02 03:04:05").null);
        assert_eq!(header("\"a/\\303\\244\\tb\"").name, "a/ä\tb");
        assert_eq!(quoted("a/ä\tb"), "\"a/\\303\\244\\tb\"");
        assert_eq!((quoted("a/ "), header(&quoted("a/ ")).name), ("\"a/ \"".into(), "a/ ".into()));
        // Latin-1, as it stands and quoted.
        let raw = FileName::from_header(b"a/caf\xe9.c\t", Spot::default()).unwrap();
        assert_eq!((raw.name.clone(), bytes_of(&raw.name)), (header("\"a/caf\\351.c\"").name, b"a/caf\xe9.c".to_vec()));
        assert_eq!(quoted(&raw.name), "\"a/caf\\351.c\"");
        assert_eq!(path_of("\u{10ffe9}".as_bytes()), None);
    }

    #[test]
    fn paths_that_leave_the_tree_are_refused() {
        for (name, strip, ok) in [
            ("a/foo.c", 1, true),
            ("../foo.c", 1, true),
            ("a/../foo.c", 1, false),
            ("/etc/passwd", 0, false),
            ("/etc/passwd", 1, true),
            ("a//etc/passwd", 1, true),
            ("a/b/..", 1, false),
            ("a/b/..c", 1, true),
            ("/dev/sda", 1, false),
            ("foo.c", 1, false),
            ("a/", 1, false),
        ] {
            assert_eq!(header(name).stripped(strip).is_ok(), ok, "{name} -p{strip}");
        }
    }
}
