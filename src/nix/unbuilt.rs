//! What would have to be built before something is there that is only needed on the way: a source, a program.

use std::fmt;
use std::time::Duration;

use super::build::BuildRequest;
use super::error::Error;
use super::program::Nix;
use crate::base::text::{duration, plural};
use crate::base::{fs, store_path};
use crate::drv;

/// How long a build of this user took before, by package, name and system.
pub type Expected<'e> = &'e dyn Fn(&str, &str, &str) -> Option<Duration>;

/// Whether what is needed on the way may be built for that.
#[derive(Clone, Copy)]
pub struct Building<'e> {
    /// Whether it may.
    pub allowed: bool,
    /// How long builds took before.
    pub expected: Expected<'e>,
}

/// What is neither there nor in a cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unbuilt {
    /// The names of what would be built, without what only downloads a source whose hash is known.
    pub builds: Vec<String>,
    /// How many sources would be downloaded.
    pub downloads: usize,
    /// How many paths the caches have.
    pub fetches: usize,
    /// How much that is, as Nix says it.
    pub download: Option<String>,
    /// How long the builds take by earlier ones; absent when a part of them was never built.
    pub expected: Option<Duration>,
    /// How many were never built before.
    pub unknown: usize,
}

impl Nix {
    /// Says what a build would build, past downloads.
    pub fn unbuilt(&self, request: &BuildRequest, expected: Expected<'_>) -> Result<Unbuilt, Error> {
        let plan = self.plan_build(request)?;
        let mut unbuilt = Unbuilt { fetches: plan.will_fetch.len(), download: plan.download, ..Unbuilt::default() };
        let mut total = Some(Duration::ZERO);
        for drv_path in &plan.will_build {
            let name = store_path::drv_name(drv_path);
            // What cannot be read counts as a build that nobody knows.
            let text = self.physical(drv_path).and_then(|file| fs::read(&file).ok());
            let parsed = text.as_deref().and_then(|text| drv::parse(text).ok());
            if parsed.as_ref().is_some_and(drv::Derivation::is_fixed_output) {
                unbuilt.downloads += 1;
                continue;
            }
            let time = parsed.and_then(|drv| {
                let pname = drv.env("pname").and_then(|pname| std::str::from_utf8(pname).ok());
                // As Nix parts a name: before the first dash that no letter follows.
                let version = name
                    .match_indices('-')
                    .find(|(at, _)| name.as_bytes().get(at + 1).is_some_and(|byte| !byte.is_ascii_alphabetic()));
                let plain = version.and_then(|(at, _)| name.get(..at)).unwrap_or(name);
                expected(pname.unwrap_or(plain), name, &drv.system)
            });
            unbuilt.unknown += usize::from(time.is_none());
            total = total.zip(time).map(|(total, time)| total + time);
            unbuilt.builds.push(name.to_string());
        }
        unbuilt.expected = total.filter(|_| !unbuilt.builds.is_empty());
        Ok(unbuilt)
    }
}

impl fmt::Display for Unbuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        let shown = self.builds.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = self.builds.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        write!(f, "{} ({shown}{more})", plural(self.builds.len(), "build"))?;
        if self.downloads > 0 {
            write!(f, ", {} to download", plural(self.downloads, "source"))?;
        }
        if self.fetches > 0 {
            write!(f, ", {} to fetch", plural(self.fetches, "path"))?;
            self.download.as_ref().map_or(Ok(()), |size| write!(f, " ({size})"))?;
        }
        match self.expected {
            Some(time) => write!(f, "; expected time: about {}, by earlier builds", duration(time)),
            None => write!(f, "; expected time: unknown ({} never built here before)", self.unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_built_is_said() {
        let mut unbuilt = Unbuilt {
            builds: ["a-1", "b-2", "c-3", "d-4", "e-5", "f-6", "g-7"].map(String::from).to_vec(),
            downloads: 1,
            fetches: 2,
            download: Some("1.23 MiB".into()),
            expected: None,
            unknown: 3,
        };
        assert_eq!(
            unbuilt.to_string(),
            "7 builds (a-1, b-2, c-3, d-4, e-5 and 2 more), 1 source to download, 2 paths to fetch (1.23 MiB); \
             expected time: unknown (3 never built here before)"
        );
        (unbuilt.builds, unbuilt.downloads, unbuilt.fetches) = (vec!["a-1".into()], 0, 0);
        unbuilt.expected = Some(Duration::from_secs(125));
        assert_eq!(unbuilt.to_string(), "1 build (a-1); expected time: about 2 min 05 s, by earlier builds");
    }
}
