//! What the evaluation of a package set depends on, as text: two with the same text, and the same files, are the same.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_128;

use crate::base::fs;
use crate::base::process::find_program;
use crate::base::store_path::STORE_DIR;
use crate::comparison::cache::fingerprint::{self, Fingerprint};
use crate::config::NixpkgsSource;
use crate::nix::{Nix, Root, Side};

/// The first line of every key; another number where keys get another meaning.
const FORMAT: &str = "overlayctl graph key 3";
/// A pin file is no larger than that, in bytes.
const MAX_PIN: u64 = 4 << 20;

/// What an evaluation depends on, but for the files of the package set.
#[derive(Debug)]
pub(crate) struct Question {
    text: String,
    /// The directories of the package sets.
    roots: Vec<PathBuf>,
    /// Files that say which package set it is, by hash: their content is part of the text.
    pins: Vec<(PathBuf, u128)>,
}

/// Where the package set is.
enum Set {
    /// In a directory: its files count.
    In(PathBuf),
    /// In the store, as these files say.
    Pinned { files: Vec<PathBuf>, what: String },
}

impl Question {
    /// Returns what the evaluation of some sides without overlays depends on; `None` where that cannot be said.
    pub(crate) fn of(nix: &Nix, source: &NixpkgsSource, sides: &[Side], names: &[&str]) -> Option<Question> {
        let mut text = format!("{FORMAT}\nversion {}\n", env!("CARGO_PKG_VERSION"));
        let program = find_program("nix").and_then(|path| path.canonicalize().ok())?;
        let _ = writeln!(text, "nix {} {:?}", program.display(), nix.settings());
        // Nix and nixpkgs look at variables of these names (NIX_PATH, NIX_CONFIG, NIXPKGS_ALLOW_UNFREE ...), npins and niv
        // at theirs, and all at the user's home.
        let counts = |name: &str| {
            ["NIX", "NPINS_", "NIV_"].iter().any(|start| name.starts_with(start))
                || name == "HOME"
                || name == "XDG_CONFIG_HOME"
        };
        let mut variables: Vec<(String, String)> = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .filter(|(name, _)| counts(name))
            .collect();
        variables.sort();
        for (name, value) in variables {
            let _ = writeln!(text, "variable {name:?} {value:?}");
        }
        let settings = fs::read_text(Path::new("/etc/nix/nix.conf")).unwrap_or_default();
        let _ = writeln!(text, "settings {settings:?}");
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
        let (mut roots, mut pins) = (Vec::new(), Vec::new());
        match place(nix, source)? {
            Set::In(root) => roots.push(root),
            Set::Pinned { files, what } => {
                for file in files {
                    let hash = content(&file)?;
                    let _ = writeln!(text, "pin {hash:032x} {:?}", file);
                    pins.push((file, hash));
                }
                let _ = writeln!(text, "pinned {}", what.replace('\n', " "));
            }
        }
        Some(Question { text, roots, pins })
    }

    /// Returns the question as text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Completes the question with the files of the package set as they are now. `None` where they cannot be looked at.
    pub(super) fn key(&self) -> Option<(String, Vec<Fingerprint>)> {
        let mut text = self.text.clone();
        let mut prints = Vec::new();
        for root in &self.roots {
            // What is in the store never changes.
            let print = if root.starts_with(STORE_DIR) {
                0
            } else {
                let found = fingerprint::of(root)?;
                prints.push(found);
                found.print
            };
            let _ = writeln!(text, "files {print:032x} {}", root.display());
        }
        Some((text, prints))
    }

    /// Says whether the key speaks for a file that was read.
    pub(super) fn covers(&self, file: &Path) -> bool {
        let file = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
        // What a hash leads to is in the store, where nothing changes.
        let pinned = !self.pins.is_empty() && file.starts_with(STORE_DIR);
        pinned || self.roots.iter().any(|root| file.starts_with(root)) || self.pins.iter().any(|(pin, _)| file == *pin)
    }

    /// Says whether the files that say which package set it is are still what they were.
    pub(super) fn is_as_asked(&self) -> bool {
        self.pins.iter().all(|(file, hash)| content(file) == Some(*hash))
    }
}

/// Returns a hash over the content of a file; a file that is not there has one too.
fn content(file: &Path) -> Option<u128> {
    match file.metadata() {
        Ok(there) if there.len() <= MAX_PIN => Some(XxHash3_128::oneshot(&fs::read(file).ok()?)),
        Ok(_) => None,
        Err(_) => Some(0),
    }
}

/// Finds out where a package set is, without Nix; `None` where only Nix knows, or nothing says that it stays the same.
fn place(nix: &Nix, source: &NixpkgsSource) -> Option<Set> {
    match source {
        NixpkgsSource::Path(path) => Some(Set::In(path.canonicalize().ok()?)).filter(|_| path.is_dir()),
        NixpkgsSource::SearchPath => Some(Set::In(in_search_path(nix, "nixpkgs")?)),
        NixpkgsSource::FlakeInput { dir, input } => {
            let dir = dir.canonicalize().ok()?;
            let lock = fs::read_text(&dir.join("flake.lock")).ok()?;
            let hash = locked(&serde_json::from_str(&lock).ok()?, input)?;
            let what = format!("flake input {input} {hash}");
            // What the lock says counts only as long as it fits the flake.
            Some(Set::Pinned { files: vec![dir.join("flake.nix"), dir.join("flake.lock")], what })
        }
        NixpkgsSource::Pin { file, name } => {
            let file = file.canonicalize().ok()?;
            let file = if file.is_dir() { file.join("default.nix") } else { file };
            let sources = file.with_file_name("sources.json");
            let hash = pinned(&serde_json::from_str(&fs::read_text(&sources).ok()?).ok()?, name)?;
            Some(Set::Pinned { files: vec![file, sources], what: format!("pin {name} {hash}") })
        }
    }
}

/// Follows `<NAME>` as Nix does, where that needs no download and no setting says otherwise.
fn in_search_path(nix: &Nix, name: &str) -> Option<PathBuf> {
    let settings = fs::read_text(Path::new("/etc/nix/nix.conf")).unwrap_or_default();
    let given = std::env::var("NIX_CONFIG").unwrap_or_default();
    let is_set = |text: &str| text.contains("nix-path");
    if is_set(&settings) || is_set(&given) || nix.settings().options.iter().any(|(option, _)| is_set(option)) {
        return None;
    }
    let mut entries: Vec<String> = nix.settings().search_path.clone();
    match std::env::var("NIX_PATH") {
        Ok(path) if path.contains("://") => return None,
        Ok(path) => entries.extend(path.split(':').map(str::to_owned)),
        Err(_) => {
            let channels = "/nix/var/nix/profiles/per-user/root/channels";
            let home = std::env::var("HOME").unwrap_or_default();
            let defaults =
                [format!("{home}/.nix-defexpr/channels"), format!("nixpkgs={channels}/nixpkgs"), channels.into()];
            entries.extend(defaults);
        }
    }
    let found = entries.iter().filter(|entry| !entry.is_empty()).find_map(|entry| {
        let path = match entry.split_once('=') {
            Some((prefix, path)) => (prefix == name).then(|| PathBuf::from(path))?,
            None => Path::new(entry).join(name),
        };
        path.exists().then_some(path)
    })?;
    found.canonicalize().ok().filter(|path| path.is_dir())
}

/// Returns the hash that a lock file has for an input of its flake.
fn locked(lock: &serde_json::Value, input: &str) -> Option<String> {
    let nodes = lock.get("nodes")?;
    let root = lock.get("root")?.as_str()?;
    // An input that follows another one is a path of names from the root.
    let mut reference = nodes.get(root)?.get("inputs")?.get(input)?;
    for _ in 0..16 {
        match reference {
            serde_json::Value::String(node) => {
                return nodes.get(node)?.get("locked")?.get("narHash")?.as_str().map(str::to_owned);
            }
            serde_json::Value::Array(path) => {
                let (last, before) = path.split_last()?;
                let mut node = root;
                for name in before {
                    node = nodes.get(node)?.get("inputs")?.get(name.as_str()?)?.as_str()?;
                }
                reference = nodes.get(node)?.get("inputs")?.get(last.as_str()?)?;
            }
            _ => return None,
        }
    }
    None
}

/// Returns the hash that the sources of npins (`pins.NAME.hash`) or niv (`NAME.sha256`) have.
fn pinned(sources: &serde_json::Value, name: &str) -> Option<String> {
    let pin = sources.get("pins").unwrap_or(sources).get(name)?;
    let hash = pin.get("hash").or_else(|| pin.get("sha256"))?.as_str()?;
    (!hash.is_empty()).then(|| hash.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_a_hash_or_has_not() {
        let lock = serde_json::json!({
            "root": "root",
            "nodes": {
                "root": { "inputs": { "nixpkgs": "nixpkgs_2", "same": ["nixpkgs"], "deep": ["tools", "nixpkgs"], "tools": "tools",
                    "loop": ["loop"], "lost": "nowhere", "bare": "bare" } },
                "nixpkgs_2": { "locked": { "narHash": "sha256-a" } },
                "tools": { "inputs": { "nixpkgs": "other" }, "locked": { "narHash": "sha256-t" } },
                "other": { "locked": { "narHash": "sha256-b" } },
                "bare": { "locked": { "type": "path" } },
            }
        });
        let of = |input| locked(&lock, input);
        assert_eq!(of("nixpkgs").as_deref(), Some("sha256-a"));
        assert_eq!(of("same").as_deref(), Some("sha256-a"));
        assert_eq!(of("deep").as_deref(), Some("sha256-b"));
        for input in ["loop", "lost", "bare", "none"] {
            assert_eq!(of(input), None, "{input}");
        }
    }

    #[test]
    fn a_pin_without_a_hash_is_no_key() {
        let npins =
            serde_json::json!({ "version": 3, "pins": { "nixpkgs": { "hash": "0abc" }, "local": { "hash": null } } });
        assert_eq!(pinned(&npins, "nixpkgs").as_deref(), Some("0abc"));
        assert_eq!(pinned(&npins, "local"), None);
        let niv = serde_json::json!({ "nixpkgs": { "sha256": "1abc", "url": "u" }, "here": { "type": "local", "path": "./x" } });
        assert_eq!(pinned(&niv, "nixpkgs").as_deref(), Some("1abc"));
        assert_eq!((pinned(&niv, "here"), pinned(&niv, "gone")), (None, None));
    }
}
