//! What the evaluation of package sets is, as text, but for what it looks at: two with the same text ask the same.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_128;

use crate::base::fs;
use crate::config::NixpkgsSource;
use crate::nix::{self, COPY, Nix, Root, Side};

/// The first line of every key; another number where keys get another meaning.
const FORMAT: &str = "overlayctl graph key 4";

#[derive(Debug)]
pub(crate) struct Question {
    text: String,
    /// The copy of a workspace that it is about, wherever that is.
    copy: Option<PathBuf>,
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
        Some(Question { text, copy: None, flake })
    }

    /// Makes the question of the sides of a workspace at a revision, which is in a copy; `None` where it cannot be said. `content` says
    /// what all files of the revision hold, so that the text alone tells one revision from another.
    pub(crate) fn of_revision(
        nix: &Nix,
        source: Option<&NixpkgsSource>,
        sides: &[Side],
        names: &[&str],
        copy: &Path,
        content: &str,
    ) -> Option<Question> {
        let copy = copy.canonicalize().ok()?;
        let place = copy.to_str()?;
        // What Nix is told may be nobody's business, and this text is written to a file that others may be handed.
        let identity = XxHash3_128::oneshot(nix.identity()?.as_bytes());
        let mut text =
            format!("{FORMAT}\nversion {}\nidentity {identity:032x}\ncontent {content}\n", env!("CARGO_PKG_VERSION"));
        for side in sides {
            let _ = writeln!(text, "set {:?}", side.root.to_nix().ok()?.replace(place, COPY));
            for target in &side.targets {
                let _ = writeln!(text, "target {target:?}");
            }
        }
        for name in names {
            let _ = writeln!(text, "name {name:?}");
        }
        let mut flake = None;
        if let Some(NixpkgsSource::FlakeInput { dir, input }) = source {
            let dir = dir.canonicalize().ok()?;
            let lock: serde_json::Value = serde_json::from_str(&fs::read_text(&dir.join("flake.lock")).ok()?).ok()?;
            let (hash, is) = (nix::locked(&lock, input)?.get("narHash")?.as_str()?, self::content(&dir)?);
            let _ = writeln!(text, "flake input {input} {hash} {is:032x}");
            flake = Some((dir, is));
        }
        Some(Question { text, copy: Some(copy), flake })
    }

    /// Returns the key: what two questions have in common if they are the same.
    pub(crate) fn key(&self) -> String {
        format!("{:032x}", XxHash3_128::oneshot(self.text.as_bytes()))
    }

    pub(super) fn copy(&self) -> Option<&Path> {
        self.copy.as_deref()
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
