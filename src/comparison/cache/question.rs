//! What the evaluation of package sets is, as text, but for what it looks at: two with the same text ask the same.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_128;

use crate::base::fs;
use crate::config::NixpkgsSource;
use crate::nix::{self, Nix, Root, Side};

/// The first line of every key; another number where keys get another meaning.
const FORMAT: &str = "overlayctl graph key 4";

#[derive(Debug)]
pub(crate) struct Question {
    text: String,
    /// A flake whose input the package set is, with its lock: their content is part of the text.
    flake: Option<(PathBuf, u128)>,
}

impl Question {
    /// Makes the question of some sides without overlays; `None` where it cannot be said.
    pub(crate) fn of(nix: &Nix, source: &NixpkgsSource, sides: &[Side], names: &[&str]) -> Option<Question> {
        let mut text = format!("{FORMAT}\nversion {}\n{}", env!("CARGO_PKG_VERSION"), nix.identity()?);
        for side in sides {
            let Root::Packages(set) = &side.root else { return None };
            if !set.overlays.is_empty() || !set.cross_overlays.is_empty() {
                return None;
            }
            let _ = writeln!(text, "set {:?}", side.root.to_nix().ok()?);
            for target in &side.targets {
                let _ = writeln!(text, "target {target:?}");
            }
        }
        for name in names {
            let _ = writeln!(text, "name {name:?}");
        }
        let mut flake = None;
        if let NixpkgsSource::FlakeInput { dir, input } = source {
            let dir = dir.canonicalize().ok()?;
            let lock = fs::read_text(&dir.join("flake.lock")).ok()?;
            // What the lock says counts only as long as it fits the flake.
            let (lock, content) = (serde_json::from_str(&lock).ok()?, content(&dir)?);
            let hash = nix::locked(&lock, input)?.get("narHash")?.as_str()?;
            let _ = writeln!(text, "flake input {input} {hash} {content:032x} {:?}", dir);
            flake = Some((dir, content));
        }
        Some(Question { text, flake })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the flakes that a lock fixes.
    pub(super) fn locked(&self) -> &[PathBuf] {
        self.flake.as_ref().map_or(&[], |(dir, _)| std::slice::from_ref(dir))
    }

    /// Says whether the files that are part of the text are still what they were.
    pub(super) fn is_as_asked(&self) -> bool {
        self.flake.as_ref().is_none_or(|(dir, hash)| content(dir) == Some(*hash))
    }
}

/// Returns a hash over a flake and its lock.
fn content(dir: &Path) -> Option<u128> {
    let mut bytes = fs::read(&dir.join("flake.nix")).ok()?;
    bytes.push(0);
    bytes.extend(fs::read(&dir.join("flake.lock")).ok()?);
    Some(XxHash3_128::oneshot(&bytes))
}
