//! The built-in table of `pkgsCross` names: what there is where no nixpkgs can be asked.
//!
//! Facts read from `lib.systems.examples` of nixpkgs 19.09 and 24.05 and from a listing of March 2025. Where a nixpkgs is at
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
    /// Android.
    Android,
    /// No operating system: microcontrollers and firmware.
    Embedded,
    /// Windows.
    Windows,
    /// macOS and iOS.
    Apple,
    /// FreeBSD, NetBSD, OpenBSD.
    Bsd,
    /// WebAssembly and JavaScript.
    Web,
    /// Other systems.
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

/// In which of the releases that the table was made from a name is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// In nixpkgs 19.09.
    #[serde(rename = "19.09")]
    pub in_19_09: bool,
    /// In nixpkgs 24.05.
    #[serde(rename = "24.05")]
    pub in_24_05: bool,
    /// In nixpkgs-unstable of March 2025, before 25.05.
    #[serde(rename = "2025-03")]
    pub in_2025_03: bool,
}

impl Seen {
    /// Says in words since and until when the name is there, as far as it is known.
    pub fn words(self) -> &'static str {
        match (self.in_19_09, self.in_24_05, self.in_2025_03) {
            (true, true, true) => "since 19.09 or before",
            (true, true, false) => "since 19.09 or before, gone by March 2025",
            (true, false, _) => "in 19.09, gone by 24.05",
            (false, true, true) => "since a release after 19.09, by 24.05",
            (false, true, false) => "in 24.05, gone by March 2025",
            (false, false, _) => "since a release after 24.05, by March 2025",
        }
    }
}

/// One `pkgsCross` name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The name below `pkgsCross`.
    pub name: &'static str,
    /// Its platform.
    #[serde(flatten)]
    pub platform: Platform,
    /// What sort of thing it is.
    pub kind: Kind,
    /// One line of what it is.
    pub what: &'static str,
    /// Where it was seen.
    pub seen: Seen,
}

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let entry = |row: &table::Row| {
        let platform = Platform::parse(row.config).ok()?;
        let platform = platform.with_libc(row.libc).with_gcc_abi(row.gcc_abi);
        let seen = |release| row.seen.contains(release);
        let seen = Seen { in_19_09: seen('a'), in_24_05: seen('b'), in_2025_03: seen('c') };
        Some(Entry { name: row.name, platform, kind: row.kind, what: row.what, seen })
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

/// Says whether every word of `filter` stands, in any case, in the entry's name, triple, system, C library, kind or
/// description. `32` and `64`, `big` and `little` go by the platform.
pub fn matches(entry: &Entry, filter: &str) -> bool {
    let platform = &entry.platform;
    let order = platform.endianness().map(|e| e.to_string()).unwrap_or_default();
    let text = format!(
        "{} {} {} {} {} {} {order} {}-bit",
        entry.name,
        platform.triple(),
        platform.system(),
        platform.libc.as_deref().unwrap_or("no C library"),
        entry.kind,
        entry.what,
        platform.cpu.bits,
    )
    .to_lowercase();
    filter.split_whitespace().all(|word| text.contains(&word.to_lowercase()))
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
        let within = name.contains(&wanted) || wanted.contains(&name);
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
            assert!(!row.seen.is_empty() && row.seen.chars().all(|c| "abc".contains(c)), "{}", row.name);
        }
        assert!(entries().windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn filters_find_by_any_word() {
        let found = |filter: &str| entries().iter().filter(|e| matches(e, filter)).map(|e| e.name).collect::<Vec<_>>();
        assert!(found("raspberry").contains(&"raspberryPi") && found("raspberry").contains(&"aarch64-multiplatform"));
        assert!(found("musl riscv").is_empty());
        assert_eq!(found("MUSL aarch64"), ["aarch64-multiplatform-musl"]);
        assert!(found("microcontroller").contains(&"avr"));
        assert!(found("windows").contains(&"mingwW64"));
        assert!(found("big-endian 64-bit linux").contains(&"s390x"));
        assert_eq!(found("").len(), entries().len());
    }

    #[test]
    fn a_mistyped_name_is_answered_with_near_ones() {
        let near = |name: &str| match entry(name) {
            Err(Error::UnknownName { near, .. }) => near,
            other => panic!("{other:?}"),
        };
        assert_eq!(near("raspberrypi")[0], "raspberryPi");
        assert_eq!(near("aarch64-multiplatfrom")[0], "aarch64-multiplatform");
        assert_eq!(near("riscv")[0], "riscv32");
        assert!(near("aarch64").len() == 5 && near("aarch64").iter().all(|n| n.starts_with("aarch64")));
        assert!(near("zzzzz").is_empty() && near("").is_empty());
        assert_eq!(resolve("aarch64-linux").unwrap().triple(), "aarch64-unknown-linux-gnu");
        assert_eq!(resolve("muslpi").unwrap().triple(), "armv6l-unknown-linux-musleabihf");
        assert!(resolve("nonsense").is_err());
    }
}
