//! What CI servers are told: checks, each with a verdict and a place. Pages for GitHub, GitLab and the rest are made of them.
//!
//! All text in it is as it came: each format escapes it.

use std::path::PathBuf;

use twox_hash::XxHash3_128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Good,
    Bad,
    /// It could not be told, which is as bad.
    Unknown,
    /// Worth a word.
    Note,
}

impl Verdict {
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Good => "ok",
            Verdict::Bad => "over",
            Verdict::Unknown => "unknown",
            Verdict::Note => "note",
        }
    }
}

/// A file below the repository, with its line and column where there are any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    pub file: PathBuf,
    pub line: Option<usize>,
    pub column: Option<usize>,
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

#[derive(Debug, Clone)]
pub struct Check {
    /// The stable code under which `--explain` has more.
    pub code: &'static str,
    pub verdict: Verdict,
    /// What is checked; the same in every run.
    pub name: String,
    /// What came of it, one sentence without its full stop.
    pub message: String,
    /// Where somebody should look.
    pub spot: Option<Spot>,
    /// What belongs to it, a line each.
    pub details: Vec<String>,
}

impl Check {
    /// Returns what is the same for the same check in every run, whatever is measured.
    pub fn fingerprint(&self) -> String {
        format!("{:032x}", XxHash3_128::oneshot(format!("{}\0{}", self.code, self.name).as_bytes()))
    }

    /// Returns the message with its details, a line each.
    pub fn text(&self) -> String {
        std::iter::once(&self.message).chain(&self.details).cloned().collect::<Vec<_>>().join("\n")
    }
}

#[derive(Debug, Clone)]
pub struct Checks {
    /// Of which command, `overlayctl gate`.
    pub tool: &'static str,
    pub passed: bool,
    /// What was looked at, one sentence without its full stop.
    pub summary: String,
    pub checks: Vec<Check>,
    /// What changed, a line each.
    pub changes: Vec<String>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Names as an attacker would choose them.
    pub const HOSTILE: &str = "<script>alert('1')</script> \"q\" & | `x` ``y` %0A::error::e, \r\n::add-mask::x \u{202e}cod\u{1b}[2J ]]> @all [a](b)";

    pub fn hostile() -> Checks {
        let check = |verdict| Check {
            code: "OV1220",
            verdict,
            name: format!("builds of {HOSTILE}"),
            message: format!("too many: {HOSTILE}"),
            spot: Some(Spot { file: HOSTILE.into(), line: Some(3), column: Some(2) }),
            details: vec![HOSTILE.into(), "chain a -> b".into()],
        };
        Checks {
            tool: "overlayctl gate",
            passed: false,
            summary: HOSTILE.into(),
            checks: [Verdict::Good, Verdict::Bad, Verdict::Unknown, Verdict::Note].map(check).to_vec(),
            changes: vec![HOSTILE.into()],
        }
    }
}
