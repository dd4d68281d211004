//! What long work tells while it runs.
//!
//! A model of what goes on, without a terminal: `cli` draws it, or prints lines of it.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Someone who is told what is going on.
pub trait Progress {
    /// A new stage begins: `evaluating 3 targets`.
    fn stage(&mut self, what: &str);

    /// A step of a build: a derivation began, entered a phase, ended. `now` is the whole picture after it.
    fn step(&mut self, step: &Step, now: &Picture);

    /// Time goes by in a build.
    fn tick(&mut self, now: &Picture);
}

/// Returns the short name of a machine or cache: its address without scheme and options.
pub fn machine(url: &str) -> &str {
    let name = url.split_once("://").map_or(url, |(_, rest)| rest);
    name.split('?').next().filter(|name| !name.is_empty()).unwrap_or(url)
}

/// Something that happened in a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Step {
    /// A derivation is being built.
    Began {
        drv_path: String,
        name: String,
        /// The machine, when another one.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<String>,
    },
    Built {
        drv_path: String,
        name: String,
        #[serde(rename = "seconds", serialize_with = "seconds")]
        took: Duration,
    },
    Failed {
        drv_path: String,
        name: String,
        reason: String,
    },
    /// A derivation will not be built because what it needs failed.
    Blocked {
        drv_path: String,
        name: String,
    },
    Fetched {
        name: String,
        from: String,
    },
    /// Nix said something that matters.
    Said {
        text: String,
    },
}

/// A build as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    pub built: usize,
    /// How many have to be built in all, as far as known.
    pub total: usize,
    pub failed: usize,
    /// How many wait for their turn.
    pub waiting: usize,
    pub running: Vec<Running>,
    /// The chain from the root cause to the targets: names, and whether each is done.
    pub chain: Vec<(String, bool)>,
    /// Since the start.
    pub elapsed: Duration,
    /// How long it takes in all, by earlier builds.
    pub expected: Option<Duration>,
}

/// A derivation that is being built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub name: String,
    pub phase: Option<String>,
    /// Since it began.
    pub elapsed: Duration,
    /// The machine, when another one.
    pub host: Option<String>,
    pub last_line: Option<String>,
}

/// Writes a duration as seconds.
fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// Nobody is told.
pub struct Silent;

impl Progress for Silent {
    fn stage(&mut self, _what: &str) {}
    fn step(&mut self, _step: &Step, _now: &Picture) {}
    fn tick(&mut self, _now: &Picture) {}
}
