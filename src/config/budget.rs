//! Budgets: `[budget]`, `[boards.NAME.budget]` and `targets.ATTR` in either; what a change may cost before `gate` says no.
//!
//! Every key is an upper limit. Must not know how any of it is measured.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

use super::Settings;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// Builds that are there because of the change.
    Builds,
    /// Those of them that no binary cache has.
    OwnBuilds,
    /// How long these take one after the other, in seconds.
    BuildTime,
    /// How much larger the closures of the outputs become, in bytes.
    ClosureGrowth,
    /// Verdicts of `verify` that are not good.
    Unproven,
    /// Findings of `lint --patches`.
    Lint,
    PatchesWithoutStatus,
}

impl Key {
    /// Returns the key as the file has it.
    pub fn name(self) -> &'static str {
        match self {
            Key::Builds => "builds",
            Key::OwnBuilds => "own-builds",
            Key::BuildTime => "build-time",
            Key::ClosureGrowth => "closure-growth",
            Key::Unproven => "unproven",
            Key::Lint => "lint",
            Key::PatchesWithoutStatus => "patches-without-status",
        }
    }
}

/// What a limit is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "of")]
pub enum Scope {
    /// All that is looked at, together.
    Workspace,
    Board {
        board: String,
    },
    Target {
        #[serde(skip_serializing_if = "Option::is_none")]
        board: Option<String>,
        target: String,
    },
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Workspace => write!(f, "workspace"),
            Scope::Board { board } => write!(f, "board {board}"),
            Scope::Target { board: Some(board), target } => write!(f, "board {board}, target {target}"),
            Scope::Target { board: None, target } => write!(f, "target {target}"),
        }
    }
}

/// The most of something that there may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limit {
    #[serde(flatten)]
    pub scope: Scope,
    pub key: Key,
    /// The limit: a count, seconds or bytes.
    #[serde(rename = "limit")]
    pub most: u64,
}

impl Limit {
    /// Returns where it stands in `overlayctl.toml`, key by key.
    pub fn path(&self) -> Vec<&str> {
        let mut path = match &self.scope {
            Scope::Workspace => vec!["budget"],
            Scope::Board { board } => vec!["boards", board.as_str(), "budget"],
            Scope::Target { board: Some(board), target } => {
                vec!["boards", board.as_str(), "budget", "targets", target.as_str()]
            }
            Scope::Target { board: None, target } => vec!["budget", "targets", target.as_str()],
        };
        path.push(self.key.name());
        path
    }
}

/// Limits for all targets together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Budget {
    builds: Option<Count>,
    own_builds: Option<Count>,
    build_time: Option<Time>,
    closure_growth: Option<Size>,
    /// Whether patches may be unproven: `false` is a limit.
    unproven: Option<bool>,
    lint: Option<Count>,
    patches_without_status: Option<Count>,
    targets: BTreeMap<String, TargetBudget>,
}

/// Limits for the targets of a board. What counts for the workspace as a whole has no place here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct BoardBudget {
    builds: Option<Count>,
    own_builds: Option<Count>,
    build_time: Option<Time>,
    closure_growth: Option<Size>,
    unproven: Option<bool>,
    targets: BTreeMap<String, TargetBudget>,
}

/// Limits for one target.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct TargetBudget {
    builds: Option<Count>,
    own_builds: Option<Count>,
    build_time: Option<Time>,
    closure_growth: Option<Size>,
    unproven: Option<bool>,
}

impl TargetBudget {
    fn limits(&self) -> [(Key, Option<u64>); 5] {
        [
            (Key::Builds, self.builds.map(|n| n.0)),
            (Key::OwnBuilds, self.own_builds.map(|n| n.0)),
            (Key::BuildTime, self.build_time.map(|n| n.0)),
            (Key::ClosureGrowth, self.closure_growth.map(|n| n.0)),
            (Key::Unproven, self.unproven.and_then(|may| (!may).then_some(0))),
        ]
    }
}

impl Settings {
    /// Returns all limits that the file sets.
    pub fn limits(&self) -> Vec<Limit> {
        let mut all = Vec::new();
        let mut add = |scope: Scope, limits: &[(Key, Option<u64>)]| {
            let set = limits.iter().filter_map(|(key, most)| Some((*key, (*most)?)));
            all.extend(set.map(|(key, most)| Limit { scope: scope.clone(), key, most }));
        };
        let Budget { builds, own_builds, build_time, closure_growth, unproven, .. } = self.budget;
        add(Scope::Workspace, &TargetBudget { builds, own_builds, build_time, closure_growth, unproven }.limits());
        let count = |count: Option<Count>| count.map(|n| n.0);
        let more = [
            (Key::Lint, count(self.budget.lint)),
            (Key::PatchesWithoutStatus, count(self.budget.patches_without_status)),
        ];
        add(Scope::Workspace, &more);
        for (target, budget) in &self.budget.targets {
            add(Scope::Target { board: None, target: target.clone() }, &budget.limits());
        }
        for (board, settings) in &self.boards {
            let BoardBudget { builds, own_builds, build_time, closure_growth, unproven, .. } = settings.budget;
            let own = TargetBudget { builds, own_builds, build_time, closure_growth, unproven };
            add(Scope::Board { board: board.clone() }, &own.limits());
            for (target, budget) in &settings.budget.targets {
                add(Scope::Target { board: Some(board.clone()), target: target.clone() }, &budget.limits());
            }
        }
        all
    }
}

/// A number of things.
#[derive(Debug, Clone, Copy)]
struct Count(u64);

/// A time in seconds.
#[derive(Debug, Clone, Copy)]
struct Time(u64);

/// A size in bytes.
#[derive(Debug, Clone, Copy)]
struct Size(u64);

const SECONDS: [(&str, u64); 5] = [("s", 1), ("m", 60), ("min", 60), ("h", 3600), ("d", 86_400)];
const BYTES: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Reads numbers with their units, `1h 30m`; `None` for anything else.
fn with_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum: Option<u64> = None;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let tail = tail.trim_start();
        let (unit, tail) = tail.split_at(tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len()));
        let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
        let part = number.parse::<u64>().ok()?.checked_mul(*factor)?;
        sum = Some(sum.unwrap_or(0).checked_add(part)?);
        rest = tail.trim_start();
    }
    sum
}

/// A limit that is a number, or a text with units where there are any.
struct Amount {
    expecting: &'static str,
    units: &'static [(&'static str, u64)],
}

impl Visitor<'_> for Amount {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<u64, E> {
        // Of nothing there is no unit.
        match u64::try_from(number) {
            Ok(number) if number == 0 || self.units.is_empty() => Ok(number),
            _ => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
        let invalid = || E::invalid_value(Unexpected::Str(text), &self);
        with_units(text, self.units).ok_or_else(invalid)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        let number = Amount { expecting: "a whole number, 0 or more", units: &[] };
        deserializer.deserialize_any(number).map(Count)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let expecting = "a time with units s, m, h or d, such as \"4h\" or \"1h 30m\"";
        deserializer.deserialize_any(Amount { expecting, units: &SECONDS }).map(Time)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        let expecting = "a size with a unit such as \"10 MiB\" (1024 x 1024) or \"10 MB\" (1000 x 1000)";
        deserializer.deserialize_any(Amount { expecting, units: &BYTES }).map(Size)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::base::diagnostic::Coded as _;

    fn limits(text: &str) -> Vec<String> {
        let settings = Settings::parse(Path::new("overlayctl.toml"), text).unwrap();
        settings.limits().iter().map(|limit| format!("{} = {}", limit.path().join("."), limit.most)).collect()
    }

    #[test]
    fn every_key_in_every_place() {
        let text = "[budget]\nbuilds = 20\nown-builds = 4\nbuild-time = \"4h\"\nclosure-growth = \"10 MiB\"\nunproven = false\n\
                    lint = 0\npatches-without-status = 2\n[budget.targets.curl]\nbuild-time = \"1h 30m\"\n\
                    [boards.pi.budget]\nclosure-growth = \"10MB\"\ntargets.\"a.b\".builds = 1\n[boards.b.budget]\nunproven = true\nbuild-time = 0\n";
        let expected = [
            "budget.builds = 20",
            "budget.own-builds = 4",
            "budget.build-time = 14400",
            "budget.closure-growth = 10485760",
            "budget.unproven = 0",
            "budget.lint = 0",
            "budget.patches-without-status = 2",
            "budget.targets.curl.build-time = 5400",
            "boards.b.budget.build-time = 0",
            "boards.pi.budget.closure-growth = 10000000",
            "boards.pi.budget.targets.a.b.builds = 1",
        ];
        assert_eq!(limits(text), expected);
        assert_eq!(limits(""), [""; 0]);
    }

    #[test]
    fn what_is_no_limit_is_refused_where_it_stands() {
        for (text, at, says) in [
            ("[budget]\nbuilds = -1\n", "2:10", "a whole number"),
            ("[budget]\nbuilds = \"4\"\n", "2:10", "a whole number"),
            ("[budget]\nbuilds = 1.5\n", "2:10", "a whole number"),
            ("[budget]\nlint = false\n", "2:8", "a whole number"),
            ("[budget]\nbuild-time = 90\n", "2:14", "units s, m, h or d"),
            ("[budget]\nbuild-time = \"4\"\n", "2:14", "units s, m, h or d"),
            ("[budget]\nbuild-time = \"4 hours\"\n", "2:14", "units s, m, h or d"),
            ("[budget]\nbuild-time = \"\"\n", "2:14", "units s, m, h or d"),
            ("[budget]\nbuild-time = \"99999999999999999999h\"\n", "2:14", "units s, m, h or d"),
            ("[budget]\nclosure-growth = \"10M\"\n", "2:18", "a size with a unit"),
            ("[budget]\nclosure-growth = 10\n", "2:18", "a size with a unit"),
            ("[budget]\nunproven = 1\n", "2:12", "a boolean"),
            ("budget = 3\n", "1:10", "Budget"),
            ("[boards.pi.budget]\nlint = 0\n", "2:1", "unknown field `lint`"),
        ] {
            let error = Settings::parse(Path::new("f.toml"), text).unwrap_err();
            let place = error.place().unwrap();
            assert_eq!(place.to_string(), format!("f.toml:{at}"), "{text}: {error}");
            assert!(error.to_string().contains(says), "{text}: {error}");
            assert!(place.span.is_some_and(|span| !span.is_empty()), "{text}");
        }
    }

    #[test]
    fn a_key_that_is_none_has_near_names() {
        for (text, near) in [
            ("[budget]\nbuildz = 1\n", "builds"),
            ("[budget]\nbuild_time = \"1h\"\n", "build-time"),
            ("[boards.a.budget]\nown-build = 1\n", "own-builds"),
            ("patchez = \"x\"\n", "patches"),
        ] {
            let error = Settings::parse(Path::new("f.toml"), text).unwrap_err();
            assert_eq!(error.hint(), Some(format!("did you mean `{near}`?")), "{text}");
        }
        let error = Settings::parse(Path::new("f.toml"), "[budget]\nxyz = 1\n").unwrap_err();
        assert_eq!(error.hint(), None);
    }
}
