//! The built-in table of `pkgsCross` names: what there is where no nixpkgs can be asked.
//!
//! Facts read from `lib.systems.examples` of nixpkgs 19.09, 24.05 and of July 2026, and from a listing of March 2025. Where a nixpkgs is at
//! hand its own list is the truth; this one adds what nixpkgs does not say: a line about each. Must not ask Nix.

use std::sync::LazyLock;

use serde::Serialize;

use super::error::Error;
use super::platform::Platform;

mod table;

/// What sort of thing a platform is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Linux on a board, a phone without Android, a PC or a server.
    Linux,
    Android,
    /// No operating system: microcontrollers and firmware.
    Embedded,
    Windows,
    /// macOS and iOS.
    Apple,
    /// FreeBSD, NetBSD, OpenBSD.
    Bsd,
    /// WebAssembly and JavaScript.
    Web,
    Other,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Linux => "Linux",
            Kind::Android => "Android",
            Kind::Embedded => "no operating system",
            Kind::Windows => "Windows",
            Kind::Apple => "Apple",
            Kind::Bsd => "BSD",
            Kind::Web => "WebAssembly or JavaScript",
            Kind::Other => "other system",
        })
    }
}

/// The releases that the table was made from, each by its letter in a row.
const RELEASES: [(char, &str); 4] = [('a', "19.09"), ('b', "24.05"), ('c', "March 2025"), ('d', "July 2026")];

/// One `pkgsCross` name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The name below `pkgsCross`.
    pub name: &'static str,
    #[serde(flatten)]
    pub platform: Platform,
    pub kind: Kind,
    pub what: &'static str,
    /// The letters of the releases that have it.
    seen: &'static str,
}

impl Entry {
    /// Says whether the name is in the release of nixpkgs that is called so: `19.09`, `24.05`, `March 2025`, `July 2026`.
    pub fn is_in(&self, release: &str) -> bool {
        RELEASES.iter().any(|(letter, name)| *name == release && self.seen.contains(*letter))
    }

    /// Says in words since and until when the name is there, as far as it is known.
    pub fn since(&self) -> String {
        let has = |at: &usize| RELEASES.get(*at).is_some_and(|(letter, _)| self.seen.contains(*letter));
        let name = |at: usize| RELEASES.get(at).map_or("", |(_, name)| name);
        let all = || 0..RELEASES.len();
        let (Some(first), Some(last)) = (all().find(has), all().rev().find(has)) else { return String::new() };
        let since = match first.checked_sub(1) {
            None => "since 19.09 or before".to_string(),
            Some(before) => format!("since a release after {}, by {}", name(before), name(first)),
        };
        match last + 1 == RELEASES.len() {
            true => since,
            false if first == last => format!("in {}, gone by {}", name(first), name(last + 1)),
            false => format!("{since}, gone by {}", name(last + 1)),
        }
    }
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let entry = |row: &table::Row| {
        let platform = Platform::parse(row.config).ok()?;
        let platform = platform.with_libc(row.libc).with_gcc_abi(row.gcc_abi);
        Some(Entry { name: row.name, platform, kind: row.kind, what: row.what, seen: row.seen })
    };
    // A test holds every row against the parser, so none is left out here.
    table::ROWS.iter().filter_map(entry).collect()
});

/// Returns the table, sorted by name.
pub fn entries() -> &'static [Entry] {
    &ENTRIES
}

/// Returns the entry of a `pkgsCross` name.
///
/// # Errors
/// [`Error::UnknownName`] with names that are near.
pub fn entry(name: &str) -> Result<&'static Entry, Error> {
    let found = ENTRIES.iter().find(|e| e.name == name);
    found.ok_or_else(|| Error::UnknownName {
        name: name.to_string(),
        near: near(name, ENTRIES.iter().map(|e| e.name)).into_iter().map(str::to_string).collect(),
    })
}

/// Returns the platform that `text` means: a `pkgsCross` name, a system or a triple.
///
/// # Errors
/// [`Error::UnknownName`] when it is none of these.
pub fn resolve(text: &str) -> Result<Platform, Error> {
    match entry(text) {
        Ok(entry) => Ok(entry.platform.clone()),
        Err(unknown) => Platform::parse(text).map_err(|_| unknown),
    }
}

/// Returns up to five of `names` that look like `wanted`, nearest first.
pub fn near<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let wanted = plain(wanted);
    if wanted.is_empty() {
        return Vec::new();
    }
    let likeness = |name: &str| {
        let name = plain(name);
        // `arc` is in `aarch64`, and is not what is meant by it.
        let within = name.contains(&wanted) || (wanted.contains(&name) && name.len() * 2 > wanted.len());
        strsim::jaro_winkler(&wanted, &name) + if within { 0.3 } else { 0.0 }
    };
    let mut scored: Vec<(f64, &str)> = names.into_iter().map(|n| (likeness(n), n)).filter(|(s, _)| *s > 0.82).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(5).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_platform_and_the_table_is_sorted() {
        assert_eq!(entries().len(), table::ROWS.len());
        for row in table::ROWS {
            assert!(Platform::parse(row.config).is_ok(), "{}", row.name);
            assert!(!row.what.is_empty() && row.what.len() < 90, "{}: {}", row.name, row.what);
            assert!(!row.seen.is_empty() && row.seen.chars().all(|c| "abcd".contains(c)), "{}", row.name);
        }
        assert!(entries().windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn since_and_until_are_said() {
        let since = |name: &str| entry(name).unwrap().since();
        assert_eq!(since("aarch64-multiplatform"), "since 19.09 or before");
        assert_eq!(since("arc"), "since a release after March 2025, by July 2026");
        assert_eq!(since("alpha-embedded"), "in 19.09, gone by 24.05");
        assert_eq!(since("iphone32"), "since 19.09 or before, gone by July 2026");
        assert!(entry("arc").unwrap().is_in("July 2026") && !entry("arc").unwrap().is_in("24.05"));
    }

    #[test]
    fn a_mistyped_name_is_answered_with_near_ones() {
        let near = |name: &str| match entry(name) {
            Err(Error::UnknownName { near, .. }) => near,
            other => panic!("{other:?}"),
        };
        assert_eq!(near("raspberrypi")[0], "raspberryPi");
        assert_eq!(near("aarch64-multiplatfrom")[0], "aarch64-multiplatform");
        assert!(near("riscv")[0].starts_with("riscv"));
        assert!(near("aarch64").len() == 5 && near("aarch64").iter().all(|n| n.starts_with("aarch64")));
        assert!(near("zzzzz").is_empty() && near("").is_empty());
        assert_eq!(resolve("aarch64-linux").unwrap().triple(), "aarch64-unknown-linux-gnu");
        assert_eq!(resolve("muslpi").unwrap().triple(), "armv6l-unknown-linux-musleabihf");
        assert!(resolve("nonsense").is_err());
    }
}
