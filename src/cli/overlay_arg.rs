//! `PATH[:LINE]`, the way to name an overlay function.

use std::path::PathBuf;
use std::str::FromStr;

use crate::queue::discover::Choice;

/// A file, and the line of the function's first argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OverlayArg {
    path: PathBuf,
    line: Option<usize>,
}

impl OverlayArg {
    /// Returns it as `ops` takes it.
    pub(crate) fn choice(self) -> Choice {
        Choice { path: self.path, line: self.line }
    }
}

impl FromStr for OverlayArg {
    type Err = String;

    fn from_str(text: &str) -> Result<OverlayArg, String> {
        let parts =
            text.rsplit_once(':').filter(|(_, line)| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()));
        let Some((path, line)) = parts else { return Ok(OverlayArg { path: PathBuf::from(text), line: None }) };
        match line.parse() {
            Ok(0) | Err(_) => Err("lines are counted from 1".into()),
            Ok(line) => Ok(OverlayArg { path: PathBuf::from(path), line: Some(line) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_or_without_a_line() {
        let arg = |text: &str| text.parse::<OverlayArg>().map(|a| (a.path.display().to_string(), a.line));
        assert_eq!(arg("a.nix"), Ok(("a.nix".into(), None)));
        assert_eq!(arg("a.nix:12"), Ok(("a.nix".into(), Some(12))));
        assert_eq!(arg("dir:x/a.nix"), Ok(("dir:x/a.nix".into(), None)));
        assert!(arg("a.nix:0").is_err());
    }
}
