//! How long builds took: the last durations of each package and platform, kept for all workspaces of a user.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::base::fs;
use crate::graph::without_platform;
use crate::nix::Building;

/// How many durations are kept of one package.
const KEPT: usize = 5;

/// The durations, by package and platform.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct History {
    version: u32,
    seconds: BTreeMap<String, Vec<f64>>,
    #[serde(skip)]
    path: Option<PathBuf>,
}

impl History {
    /// Opens the history of the user; one that cannot be read counts as empty, since it only estimates.
    pub(super) fn open() -> History {
        let home = |variable: &str, below: &str| Some(PathBuf::from(std::env::var_os(variable)?).join(below));
        let dir = home("XDG_STATE_HOME", "overlayctl").or_else(|| home("HOME", ".local/state/overlayctl"));
        History::at(dir.map(|dir| dir.join("history.json")))
    }

    fn at(path: Option<PathBuf>) -> History {
        let read = path.as_deref().and_then(|path| serde_json::from_str::<History>(&fs::read_text(path).ok()?).ok());
        History { path, ..read.filter(|h| h.version == 1).unwrap_or(History { version: 1, ..History::default() }) }
    }

    fn add(&mut self, pname: &str, name: &str, system: &str, took: Duration) {
        let times = self.seconds.entry(key(pname, name, system)).or_default();
        times.push(took.as_secs_f64());
        times.drain(..times.len().saturating_sub(KEPT));
    }

    /// Returns the median of the earlier builds of a package for a platform; `None` when there was none.
    pub(super) fn expected(&self, pname: &str, name: &str, system: &str) -> Option<Duration> {
        let mut times = self.seconds.get(&key(pname, name, system))?.clone();
        times.sort_by(f64::total_cmp);
        times.get(times.len() / 2).and_then(|median| Duration::try_from_secs_f64(*median).ok())
    }

    /// Says how long builds took, for what may only be built with `--build`.
    pub(super) fn ask<T>(allowed: bool, with: impl FnOnce(Building<'_>) -> T) -> T {
        let history = History::open();
        with(Building { allowed, expected: &|pname, name, system| history.expected(pname, name, system) })
    }

    /// Removes what a run that was killed left beside the history.
    pub(super) fn sweep(&self) {
        if let Some(dir) = self.path.as_deref().and_then(std::path::Path::parent) {
            fs::sweep(dir);
        }
    }

    /// Adds the duration of a build to the history on disk, keeping what other runs added since this one was opened.
    pub(super) fn record(&mut self, pname: &str, name: &str, system: &str, took: Duration) -> Result<(), Error> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let _lock = fs::lock(&path.with_extension("lock"))?;
        *self = History::at(Some(path.clone()));
        self.add(pname, name, system, took);
        if let Ok(text) = serde_json::to_vec(self) {
            fs::write(&path, &text)?;
        }
        Ok(())
    }
}

/// Makes the key: package, the platform that its name says it is for, the system that builds.
fn key(pname: &str, name: &str, system: &str) -> String {
    let plain = without_platform(name);
    // What the name has beyond the plain one is the platform; the version stays out, so that a bump keeps its estimate.
    let platform = if plain == name { "" } else { name.strip_prefix(pname).unwrap_or(name) };
    let platform: String = platform
        .split('-')
        .filter(|part| !part.starts_with(|c: char| c.is_ascii_digit()))
        .collect::<Vec<_>>()
        .join("-");
    format!("{pname}|{platform}|{system}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_the_last_builds_of_the_same_platform() {
        let mut history = History::default();
        for seconds in [90, 10, 12, 11, 13, 300] {
            history.add("musl", "musl-1.2.3-aarch64-unknown-linux-musl", "x86_64-linux", Duration::from_secs(seconds));
        }
        let expected = |name: &str| history.expected("musl", name, "x86_64-linux");
        assert_eq!(expected("musl-1.2.5-aarch64-unknown-linux-musl"), Some(Duration::from_secs(12)));
        assert_eq!(expected("musl-1.2.3"), None);
    }

    #[test]
    fn two_runs_at_once_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.json");
        let [mut one, mut other] = [(); 2].map(|()| History::at(Some(path.clone())));
        one.record("musl", "musl-1", "x86_64-linux", Duration::from_secs(5)).unwrap();
        other.record("gcc", "gcc-1", "x86_64-linux", Duration::from_secs(7)).unwrap();
        let read = History::at(Some(path));
        assert_eq!(read.expected("musl", "musl-1", "x86_64-linux"), Some(Duration::from_secs(5)));
        assert_eq!(read.expected("gcc", "gcc-1", "x86_64-linux"), Some(Duration::from_secs(7)));
    }
}
