//! Sources and patches that are not there: had from where they are fetched, or built where that is allowed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::progress::Progress;
use crate::nix::{BuildRequest, BuildSettings, Building, Goal, Nix, PackageSource, Unbuilt};
use crate::queue::Error;

/// Why a source or patch is not there.
pub(super) enum Missing {
    /// It would have to be built, and may not.
    Unbuilt(Unbuilt),
    /// What Nix said when it could not get it.
    Failed(String),
}

/// Returns the sources and patches that Nix has to make and that are not there: the derivation of each, and its path.
pub(super) fn missing<'f>(
    nix: &Nix,
    facts: impl Iterator<Item = &'f PackageSource>,
) -> Result<BTreeMap<&'f str, &'f str>, Error> {
    let made: BTreeMap<&str, &str> = facts
        .flat_map(|f| f.sources.iter().chain(&f.patches))
        .filter_map(|input| Some((input.path.as_str(), input.drv_path.as_deref()?)))
        .collect();
    // A path may lie there without being whole: what an interrupted fetch left. Only the store knows.
    let there: Vec<&str> = made.keys().copied().filter(|path| physical(nix, path).exists()).collect();
    let valid = if there.is_empty() { Default::default() } else { nix.valid(&there)? };
    Ok(made.into_iter().filter(|(path, _)| !valid.contains(*path)).map(|(path, drv)| (drv, path)).collect())
}

/// Fetches, or builds where that is allowed, the sources and patches that are not there; returns why for those that could not be
/// had.
pub(super) fn fetch<'f>(
    nix: &Nix,
    facts: impl Iterator<Item = &'f PackageSource>,
    building: Building<'_>,
    progress: &mut dyn Progress,
) -> Result<BTreeMap<String, Missing>, Error> {
    let mut missing = missing(nix, facts)?;
    if missing.is_empty() {
        return Ok(BTreeMap::new());
    }
    let request = |missing: &BTreeMap<&str, &str>| {
        let goal = |drv: &&str| Goal { drv_path: (*drv).to_string(), outputs: Vec::new(), link: None };
        let settings = BuildSettings { keep_going: true, ..BuildSettings::default() };
        BuildRequest { goals: missing.keys().map(goal).collect(), settings }
    };
    let mut failed = BTreeMap::new();
    let unbuilt = nix.unbuilt(&request(&missing), building.expected)?;
    if building.allowed && !unbuilt.builds.is_empty() {
        progress.stage(&format!("building for the sources: {unbuilt}"));
    } else {
        if !unbuilt.builds.is_empty() {
            // Something would be built for one of them; the others are had all the same.
            for (drv, path) in std::mem::take(&mut missing) {
                let alone = BTreeMap::from([(drv, path)]);
                match nix.unbuilt(&request(&alone), building.expected)? {
                    unbuilt if unbuilt.builds.is_empty() => drop(missing.insert(drv, path)),
                    unbuilt => drop(failed.insert(path.to_string(), Missing::Unbuilt(unbuilt))),
                }
            }
        }
        let names: Vec<&str> = missing.values().take(3).map(|path| crate::base::store_path::name(path)).collect();
        let more = missing.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        progress.stage(&format!("getting {}{more}", names.join(", ")));
    }
    if missing.is_empty() {
        return Ok(failed);
    }
    let request = request(&missing);
    let report = nix.build(&request, &mut |_, _| {})?;
    if report.interrupted {
        report.check()?;
    }
    let wanted: Vec<&str> = missing.values().copied().collect();
    let valid = nix.valid(&wanted)?;
    for (drv, path) in missing {
        if !valid.contains(path) {
            let reason = report.results.get(drv).and_then(|r| r.tail.last().cloned());
            let why = reason.or(report.messages.last().cloned()).unwrap_or_else(|| "it gave no reason".into());
            failed.insert(path.to_string(), Missing::Failed(why));
        }
    }
    Ok(failed)
}

/// Returns where a path is on this machine: one of the store below the store's root, any other as it is.
pub(super) fn physical(nix: &Nix, path: &str) -> PathBuf {
    match path.starts_with(crate::base::store_path::STORE_DIR) {
        true => nix.physical(path).unwrap_or_else(|| PathBuf::from(path)),
        false => PathBuf::from(path),
    }
}
