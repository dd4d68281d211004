//! What a workspace may set of Nix's settings, and what the user has allowed one to set beyond that.
//!
//! `[nix.options]` of `overlayctl.toml` comes with a clone, so only settings are taken that cannot loosen the user's own Nix: they
//! say how long, how much at once and how loudly, or they only forbid ([`FREE`]). What is not on the list is refused where Nix is
//! needed, because the work would otherwise be another than the workspace says, until it is the user's own wish: the user's own
//! configuration of Nix says the same, or it was allowed once with `--trust-workspace`, which is kept by directory, option and value in
//! the user's state. Not on the list are, each for what it could do:
//!
//! | settings | what a workspace could do with them |
//! |---|---|
//! | `allow-unsafe-native-code-during-evaluation`, `plugin-files` | run code in the evaluator |
//! | `build-hook`, `pre-build-hook`, `post-build-hook`, `diff-hook`, `run-diff-hook` | run a program as the user or the daemon |
//! | `builders`, `builders-use-substitutes`, `hashed-mirrors`, `flake-registry` | send sources and settings to a machine, take results from it |
//! | `substituters`, `trusted-*`, `extra-*`, `require-sigs`, `secret-key-files` | bring in results that nobody you know has built |
//! | `sandbox`, `sandbox-paths`, `sandbox-fallback`, `filter-syscalls`, `allow-new-privileges`, `build-users-group`, `impure-env`, `allowed-impure-host-deps` | let a build see and change this machine |
//! | `restrict-eval`, `pure-eval`, `allowed-uris`, `nix-path` | let an evaluation read more |
//! | `store`, `system-features`, `extra-platforms`, `min-free`, `max-free` | build elsewhere, build what fails here, remove what is kept |
//! | `netrc-file`, `access-tokens`, `ssl-cert-file`, `user-agent-suffix`, `accept-flake-config` | give secrets away, accept a stranger's certificate or settings |
//! | `experimental-features` | turn on what weakens one of these |
//!
//! Must not run anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::fs::{self, FsError};
use crate::base::user;

/// The values of a setting that cannot loosen anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    Any,
    True,
    False,
    Empty,
}

/// The settings that a workspace may always set.
const FREE: &[(&str, Values)] = &[
    // How much at once, how long, how often.
    ("connect-timeout", Values::Any),
    ("cores", Values::Any),
    ("download-attempts", Values::Any),
    ("http-connections", Values::Any),
    ("http2", Values::Any),
    ("max-build-log-size", Values::Any),
    ("max-jobs", Values::Any),
    ("max-silent-time", Values::Any),
    ("stalled-download-timeout", Values::Any),
    ("tarball-ttl", Values::Any),
    ("timeout", Values::Any),
    // What goes on after a failure, and what is kept.
    ("compress-build-log", Values::Any),
    ("fallback", Values::Any),
    ("keep-derivations", Values::Any),
    ("keep-failed", Values::Any),
    ("keep-going", Values::Any),
    ("keep-outputs", Values::Any),
    ("narinfo-cache-negative-ttl", Values::Any),
    ("eval-cache", Values::Any),
    // What is said.
    ("log-lines", Values::Any),
    ("print-missing", Values::Any),
    ("show-trace", Values::Any),
    ("trace-function-calls", Values::Any),
    ("warn-dirty", Values::Any),
    // What only forbids.
    ("accept-flake-config", Values::False),
    ("allow-dirty", Values::False),
    ("allow-import-from-derivation", Values::False),
    ("allow-unsafe-native-code-during-evaluation", Values::False),
    ("builders", Values::Empty),
    ("filter-syscalls", Values::True),
    ("pure-eval", Values::True),
    ("require-sigs", Values::True),
    ("restrict-eval", Values::True),
    ("sandbox", Values::True),
    ("sandbox-fallback", Values::False),
    ("substitute", Values::False),
    ("substituters", Values::Empty),
    ("use-registries", Values::False),
];

/// Says whether a workspace may set this without being asked for.
pub(super) fn is_free(option: &str, value: &str) -> bool {
    let value = value.trim();
    FREE.iter().any(|(name, values)| {
        *name == option
            && match values {
                Values::Any => true,
                Values::True => matches!(value, "true" | "yes" | "1"),
                Values::False => matches!(value, "false" | "no" | "0"),
                Values::Empty => value.is_empty(),
            }
    })
}

/// What the user has allowed, by directory and option.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Trust {
    version: u32,
    workspaces: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

/// Returns the name of a directory in the file: its path without links, in a form that no two directories share.
fn key(root: &Path) -> Result<String, FsError> {
    let real = root.canonicalize().map_err(|source| FsError::Read { path: root.to_path_buf(), source })?;
    Ok(real.as_os_str().as_encoded_bytes().escape_ascii().to_string())
}

fn file() -> Option<PathBuf> {
    Some(user::state_dir()?.join("trust.json"))
}

impl Trust {
    fn read(file: &Path) -> Result<Trust, FsError> {
        let Some(text) = fs::read_text_if_there(file)? else { return Ok(Trust::default()) };
        serde_json::from_str(&text).map_err(|e| FsError::Read { path: file.to_path_buf(), source: e.into() })
    }

    fn has(&self, root: &str, option: &str, value: &str) -> bool {
        let allowed = self.workspaces.get(root).and_then(|options| options.get(option));
        allowed.is_some_and(|values| values.contains(value))
    }
}

/// Returns those of `options` that the workspace may not set, neither by itself nor by the user's leave.
pub(super) fn refused(root: &Path, options: &BTreeMap<String, String>) -> Result<Vec<(String, String)>, FsError> {
    let mut left: Vec<_> = options.iter().filter(|(option, value)| !is_free(option, value)).collect();
    if !left.is_empty() {
        let own = own_settings();
        left.retain(|(option, value)| own.get(*option).map(String::as_str) != Some(value.trim()));
    }
    if let Some(file) = file().filter(|_| !left.is_empty()) {
        let (trust, root) = (Trust::read(&file)?, key(root)?);
        left.retain(|(option, value)| !trust.has(&root, option, value));
    }
    Ok(left.into_iter().map(|(option, value)| (option.clone(), value.clone())).collect())
}

/// Keeps that the workspace may set these of its options; those that need no leave are not kept.
pub(super) fn allow(root: &Path, options: &BTreeMap<String, String>) -> Result<(), FsError> {
    let asked: Vec<_> = options.iter().filter(|(option, value)| !is_free(option, value)).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let none = || FsError::Write { path: "trust.json".into(), source: std::io::ErrorKind::NotFound.into() };
    let file = file().ok_or_else(none)?;
    let dir = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir(dir)?;
    let _lock = fs::lock_dir(dir, &mut |_| {})?;
    let mut trust = Trust::read(&file)?;
    trust.version = 1;
    let workspace = trust.workspaces.entry(key(root)?).or_default();
    for (option, value) in asked {
        workspace.entry(option.clone()).or_default().insert(value.clone());
    }
    let text =
        serde_json::to_vec_pretty(&trust).map_err(|e| FsError::Write { path: file.clone(), source: e.into() })?;
    fs::write(&file, &text).map(drop)
}

/// Returns what the user's own configuration of Nix says, the later over the earlier: the system's file, the user's, NIX_CONFIG.
fn own_settings() -> BTreeMap<String, String> {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let system = path("NIX_CONF_DIR").unwrap_or_else(|| "/etc/nix".into()).join("nix.conf");
    let home = path("XDG_CONFIG_HOME").or_else(|| Some(path("HOME")?.join(".config")));
    let user = home.map(|home| home.join("nix/nix.conf"));
    let mut settings = BTreeMap::new();
    for file in [Some(system), user].into_iter().flatten() {
        read_settings(&fs::read_text(&file).unwrap_or_default(), &mut settings);
    }
    read_settings(&std::env::var("NIX_CONFIG").unwrap_or_default(), &mut settings);
    settings
}

/// Reads lines `NAME = VALUE`; what they include is not followed.
fn read_settings(text: &str, settings: &mut BTreeMap<String, String>) {
    for line in text.lines() {
        let line = line.split_once('#').map_or(line, |(before, _)| before);
        if let Some((name, value)) = line.split_once('=') {
            settings.insert(name.trim().to_string(), value.trim().to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_loosen_is_free() {
        let free =
            [("cores", "4"), ("sandbox", "true"), ("substituters", ""), ("fallback", "true"), ("restrict-eval", "1")];
        assert!(free.iter().all(|(option, value)| is_free(option, value)));
        let not = [
            ("sandbox", "false"),
            ("sandbox", "relaxed"),
            ("substituters", "http://x"),
            ("extra-substituters", ""),
            ("allow-unsafe-native-code-during-evaluation", "true"),
            ("build-use-sandbox", "true"),
            ("Cores", "1"),
            ("post-build-hook", ""),
        ];
        assert!(not.iter().all(|(option, value)| !is_free(option, value)));
    }

    #[test]
    fn settings_of_the_user_are_read_line_by_line() {
        let mut settings = BTreeMap::new();
        read_settings("# sandbox = true\nsandbox = false # on Debian\n\nsubstituters =\n", &mut settings);
        read_settings("cores=2\nsandbox = relaxed", &mut settings);
        let expected = [("cores", "2"), ("sandbox", "relaxed"), ("substituters", "")];
        assert_eq!(settings, expected.map(|(k, v)| (k.to_string(), v.to_string())).into());
    }
}
