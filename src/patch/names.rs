//! File names as patches have them: quoting, timestamps, leading components, and what is not allowed in them.
//!
//! Must not know the disk: a link that leads out of the tree is found by `apply`.

use super::error::{Error, Spot};

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
    /// Where it stands.
    pub at: Spot,
}

impl FileName {
    /// Reads what follows `--- ` or `+++ `: a name, quoted or not, and perhaps a timestamp.
    pub(super) fn from_header(rest: &[u8], at: Spot) -> Result<FileName, Error> {
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        let (name, stamp) = if rest.first() == Some(&b'"') {
            let (name, used) = unquote(rest).ok_or_else(|| bad("is quoted but not closed", &at))?;
            (name, rest.get(used..).unwrap_or_default())
        } else if let Some(tab) = rest.iter().position(|b| *b == b'\t') {
            (rest[..tab].to_vec(), &rest[tab..])
        } else {
            // No timestamp is longer than 64 bytes.
            let from = rest.len().saturating_sub(64);
            let cut =
                (from..rest.len()).find(|&i| rest[i] == b' ' && is_stamp(rest[i..].trim_ascii())).unwrap_or(rest.len());
            (rest[..cut].trim_ascii_end().to_vec(), &rest[cut..])
        };
        let epoch = seconds_of(stamp.trim_ascii()).is_some_and(|s| (-25 * 3600..26 * 3600).contains(&s));
        FileName::checked(name, epoch, at)
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
            return Ok(FileName { name: String::new(), null: true, epoch: true, at });
        }
        let name = String::from_utf8(name).map_err(|_| bad("is not UTF-8", &at))?;
        Ok(FileName { name, null: false, epoch, at })
    }

    /// Returns the path within the tree once `strip` leading components are taken off; `None` for `/dev/null`.
    ///
    /// # Errors
    /// [`Error::LeavesTree`], [`Error::Device`], [`Error::StripTooDeep`].
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

fn bad(why: &'static str, at: &Spot) -> Error {
    Error::BadName { why, at: at.clone() }
}

/// Takes `strip` leading components off; several slashes count as one, as in GNU patch. `None` if there are fewer or
/// nothing is left.
pub fn strip_name(name: &str, strip: usize) -> Option<&str> {
    let mut rest = name;
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

/// Writes a name as git does: quoted when it holds a quote, a backslash, a control or a non-ASCII byte.
pub(super) fn quoted(name: &str) -> String {
    if name.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\') {
        return name.to_string();
    }
    in_quotes(name)
}

/// Writes a name in quotes even if it needs none.
pub(super) fn in_quotes(name: &str) -> String {
    let mut out = String::from("\"");
    for b in name.bytes() {
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

/// Says whether a text begins like a date: `2024-01-31 ...` or `Thu Jan  1 ...`.
fn is_stamp(text: &[u8]) -> bool {
    seconds_of(text).is_some()
}

/// Reads `YYYY-MM-DD HH:MM:SS[.fraction] [+-HHMM]` or `Thu Jan  1 HH:MM:SS YYYY [+-HHMM]`; seconds since 1970, UTC where no zone
/// is given (GNU patch then takes a day's worth of slack, and so does the caller).
fn seconds_of(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (year, month, day, time, zone) = match words.as_slice() {
        [date, time, zone @ ..] if date.len() == 10 && date.as_bytes().get(4) == Some(&b'-') => {
            let mut parts = date.split('-').map(|p| p.parse::<i64>().ok());
            (parts.next()??, parts.next()??, parts.next()??, *time, zone.first())
        }
        [weekday, month, day, time, year, zone @ ..] if weekday.len() == 3 && month.len() == 3 => {
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month = months.iter().position(|m| m == month)? as i64 + 1;
            (year.parse().ok()?, month, day.parse().ok()?, *time, zone.first())
        }
        _ => return None,
    };
    let mut clock = time.split(':');
    let hours: i64 = clock.next()?.parse().ok()?;
    let minutes: i64 = clock.next()?.parse().ok()?;
    let seconds: i64 = clock.next().map_or(Some(0), |s| s.split('.').next()?.parse().ok())?;
    if !(0..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || !(0..=24).contains(&hours)
    {
        return None;
    }
    // Days from civil, after Howard Hinnant.
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    let offset = zone
        .and_then(|z| {
            let (sign, digits) = z.split_at_checked(1)?;
            let n: i64 = digits.parse().ok()?;
            let offset = (n / 100) * 3600 + (n % 100) * 60;
            match sign {
                "+" => Some(offset),
                "-" => Some(-offset),
                _ => None,
            }
        })
        .unwrap_or(0);
    Some(days * 86_400 + hours * 3600 + minutes * 60 + seconds - offset)
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
        assert_eq!(header("a/foo bar.c").name, "a/foo bar.c");
        assert_eq!(header("a/foo bar.c\t").name, "a/foo bar.c");
        assert_eq!(header("a/foo.c Thu Jan  1 00:00:00 1970").name, "a/foo.c");
        assert!(header("a/foo.c Thu Jan  1 00:00:00 1970").epoch);
        assert!(header("a/x\t1969-12-31 19:00:00.000000000 -0500").epoch);
        assert!(!header("a/x\t1970-02-01 00:00:00.000000000 +0000").epoch);
        assert!(header("/dev/null").null);
        assert!(header("/dev/null\t2024-01-02 03:04:05").null);
        assert_eq!(header("\"a/\\303\\244\\tb\"").name, "a/ä\tb");
        assert_eq!(quoted("a/ä\tb"), "\"a/\\303\\244\\tb\"");
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
