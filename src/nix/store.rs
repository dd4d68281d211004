//! Questions to the store, roots in it, and copies out of it.
//!
//! All of them go through `nix-store`, whose answers have had the same form in every version, where it has one. Must not
//! build.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::error::{Error, program_name};
use super::program::Nix;
use crate::base::process::{Exec, Stream, strip_controls};

/// How many paths go into one call: an argument vector has a limit.
const PATHS_A_CALL: usize = 2000;

/// What a build would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DryRun {
    /// The derivations that would be built.
    pub will_build: Vec<String>,
    /// The paths that would be fetched.
    pub will_fetch: Vec<String>,
    /// How much would be downloaded, as Nix says it (`1.23 MiB`).
    pub download: Option<String>,
    /// Warnings, of caches that do not answer for example.
    pub warnings: Vec<String>,
}

impl Nix {
    /// Returns those of `paths` that are in the store and whole.
    pub fn valid<S: AsRef<str>>(&self, paths: &[S]) -> Result<BTreeSet<String>, Error> {
        let mut valid: BTreeSet<String> = paths.iter().map(|p| p.as_ref().to_string()).collect();
        for some in paths.chunks(PATHS_A_CALL) {
            let exec =
                self.store_call().args(["--check-validity", "--print-invalid"]).args(some.iter().map(AsRef::as_ref));
            for invalid in lines(&self.output(&exec)?.stdout) {
                valid.remove(&invalid);
            }
        }
        Ok(valid)
    }

    /// Returns the closure of `paths`, each path once: of outputs what they need to run, of derivations what their build
    /// needs.
    ///
    /// # Errors
    /// [`Error::Failed`] when a path is not in the store.
    pub fn requisites<S: AsRef<str>>(&self, paths: &[S]) -> Result<BTreeSet<String>, Error> {
        self.query("--requisites", paths).map(BTreeSet::from_iter)
    }

    pub fn outputs<S: AsRef<str>>(&self, drvs: &[S]) -> Result<Vec<String>, Error> {
        self.query("--outputs", drvs)
    }

    fn query<S: AsRef<str>>(&self, what: &str, paths: &[S]) -> Result<Vec<String>, Error> {
        let mut all = Vec::new();
        for some in paths.chunks(PATHS_A_CALL) {
            let exec = self.store_call().args(["--query", what]).args(some.iter().map(AsRef::as_ref));
            all.extend(lines(&self.output(&exec)?.stdout));
        }
        Ok(all)
    }

    /// Returns the log of a derivation's (or an output's) build; `None` when the store has none (it was fetched, or never
    /// built).
    pub fn build_log(&self, path: &str) -> Result<Option<String>, Error> {
        let mut log = Vec::new();
        let there = self.read_log(path, &mut |line| log.extend_from_slice(line))?;
        Ok(there.then(|| String::from_utf8_lossy(&log).into_owned()))
    }

    /// Hands on the log of a derivation's build line by line, whatever its size; returns whether the store has one.
    pub fn read_log(&self, path: &str, on_line: &mut dyn FnMut(&[u8])) -> Result<bool, Error> {
        let exec = self.store_call().args(["--read-log", path]).limit(Duration::from_secs(600));
        let mut said = Vec::new();
        let status = exec.stream(&mut |stream, line| match stream {
            Stream::Out => on_line(line),
            Stream::Err => said.extend_from_slice(line),
        })?;
        let printed = String::from_utf8_lossy(&said);
        if status.success() {
            return Ok(true);
        }
        if printed.contains("is not available") || printed.contains("is not valid") {
            return Ok(false);
        }
        Err(self.explained(Error::of_text(&exec.program, &printed)))
    }

    /// Makes `link` a link to a path of the store that keeps it from garbage collection.
    ///
    /// # Errors
    /// [`Error::Failed`] when the path is not in the store or the link cannot be made.
    pub fn add_root(&self, path: &str, link: &Path) -> Result<(), Error> {
        self.output(&self.root_call(path, link)).map(drop)
    }

    fn root_call(&self, path: &str, link: &Path) -> Exec {
        self.store_call().args(["--realise", path, "--indirect", "--add-root"]).arg(link)
    }

    /// Says what building the derivations would do; nothing is built or fetched.
    pub fn dry_run<S: AsRef<str>>(&self, drvs: &[S]) -> Result<DryRun, Error> {
        let exec = self.store_call().args(["--realise", "--dry-run"]).args(drvs.iter().map(AsRef::as_ref));
        let finished = self.output(&exec)?;
        Ok(DryRun::read(&String::from_utf8_lossy(&finished.stderr)))
    }

    /// Copies paths with all that they refer to to another store or cache.
    pub fn copy_to<S: AsRef<str>>(&self, store: &str, paths: &[S]) -> Result<(), Error> {
        for some in paths.chunks(PATHS_A_CALL) {
            let exec = self
                .with_options(Exec::new(&self.nix).arg("copy"))
                .args(["--to", store])
                .args(some.iter().map(AsRef::as_ref));
            self.output(&exec)?;
        }
        Ok(())
    }

    /// Returns the paths that each of `paths` refers to; those that the store does not have are left out.
    ///
    /// # Errors
    /// [`Error::Garbage`] when the answer has none of the known shapes.
    pub fn references<S: AsRef<str>>(&self, paths: &[S]) -> Result<BTreeMap<String, Vec<String>>, Error> {
        Ok(self.infos(paths)?.into_iter().map(|(path, info)| (path, references_in(&info))).collect())
    }

    /// Returns the size of each of `paths` as an archive, in bytes; those that the store does not have are left out.
    ///
    /// # Errors
    /// As [`Nix::references`].
    pub fn sizes<S: AsRef<str>>(&self, paths: &[S]) -> Result<BTreeMap<String, u64>, Error> {
        let size = |info: &serde_json::Value| info.get("narSize").and_then(serde_json::Value::as_u64);
        Ok(self.infos(paths)?.into_iter().filter_map(|(path, info)| Some((path, size(&info)?))).collect())
    }

    fn infos<S: AsRef<str>>(&self, paths: &[S]) -> Result<Vec<(String, serde_json::Value)>, Error> {
        let mut all = Vec::new();
        let valid: Vec<String> = self.valid(paths)?.into_iter().collect();
        for some in valid.chunks(PATHS_A_CALL) {
            let exec = self.with_options(Exec::new(&self.nix).args(["path-info", "--json"])).args(some);
            let answer = self.output(&exec)?.stdout;
            let infos = path_infos(&answer).ok_or_else(|| Error::Garbage {
                program: format!("{} path-info --json", program_name(&self.nix)),
                reason: "no list of paths".into(),
                answer: String::from_utf8_lossy(&answer).chars().take(2000).collect(),
            })?;
            all.extend(infos);
        }
        Ok(all)
    }
}

/// Returns the arguments that stand for a setting, for those that may be given.
pub(super) fn setting(name: &str, value: Option<impl ToString>) -> Vec<OsString> {
    value.map_or_else(Vec::new, |value| vec!["--option".into(), name.into(), value.to_string().into()])
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_string).collect()
}

impl DryRun {
    /// Reads what `--dry-run` prints on standard error.
    pub fn read(printed: &str) -> DryRun {
        let mut dry = DryRun::default();
        let mut list = 0;
        for line in strip_controls(printed).lines() {
            if let Some(path) = line.strip_prefix("  ").map(str::trim).filter(|p| p.starts_with('/')) {
                match list {
                    1 => dry.will_build.push(path.to_string()),
                    2 => dry.will_fetch.push(path.to_string()),
                    _ => {}
                }
                continue;
            }
            list = 0;
            if line.ends_with("will be built:") {
                list = 1;
            } else if line.contains("will be fetched") {
                list = 2;
                // `these 3 paths will be fetched (1.23 MiB download, 5.67 MiB unpacked):`
                let inner =
                    line.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(inner, _)| inner);
                dry.download = inner.split(", ").find_map(|part| part.strip_suffix(" download")).map(str::to_string);
            } else if line.starts_with("warning:") {
                dry.warnings.push(line.trim_start_matches("warning:").trim().to_string());
            }
        }
        dry
    }
}

/// Reads the three shapes of `nix path-info --json`: a list (2.8), an object by path (2.19), and one inside (2.34's newer
/// format).
pub(super) fn path_infos(answer: &[u8]) -> Option<Vec<(String, serde_json::Value)>> {
    let mut value: serde_json::Value = serde_json::from_slice(answer).ok()?;
    if let Some(list) = value.as_array_mut() {
        let named = |v: &mut serde_json::Value| Some((v.get("path")?.as_str()?.to_string(), v.take()));
        return Some(list.iter_mut().filter_map(named).collect());
    }
    let store = value.get("storeDir").and_then(|s| s.as_str()).unwrap_or(crate::base::store_path::STORE_DIR);
    let object = value.get("info").unwrap_or(&value).as_object()?;
    let path = |key: &str| if key.starts_with('/') { key.to_string() } else { format!("{store}/{key}") };
    Some(object.iter().map(|(key, v)| (path(key), v.clone())).collect())
}

fn references_in(info: &serde_json::Value) -> Vec<String> {
    let items = info.get("references").and_then(|v| v.as_array());
    items.into_iter().flatten().filter_map(|v| v.as_str()).map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::log::tests::recorded;

    #[test]
    fn path_info_of_three_versions() {
        let Some(logs) = recorded() else { return };
        for version in ["2.8.0", "2.26.3", "2.34.8"] {
            let read = |name: &str| path_infos(&std::fs::read(logs.join(format!("v-{version}/{name}"))).unwrap());
            let infos = read("path-info.json").unwrap();
            assert_eq!(infos.len(), 1, "{version}");
            let (path, info) = &infos[0];
            assert!(path.ends_with("-pcre2-10.42-aarch64-unknown-linux-musl"), "{version}: {path}");
            assert_eq!(references_in(info).len(), 3, "{version}");
            let missing = read("path-info-missing.json").unwrap();
            assert!(missing.iter().all(|(_, info)| references_in(info).is_empty()), "{version}");
        }
    }

    #[test]
    fn dry_runs_are_read() {
        let dry = DryRun::read(
            "warning: a cache does not answer\nthese 2 derivations will be built:\n  /nix/store/a.drv\n  /nix/store/b.drv\nthese 3 paths will be fetched (1.23 MiB download, 5.67 MiB unpacked):\n  /nix/store/c\ndon't know how to build these paths:\n  /nix/store/d\n",
        );
        assert_eq!(dry.will_build, ["/nix/store/a.drv", "/nix/store/b.drv"]);
        assert_eq!((dry.will_fetch.len(), dry.download.as_deref()), (1, Some("1.23 MiB")));
        assert_eq!(dry.warnings.len(), 1);
        assert_eq!(DryRun::read(""), DryRun::default());
    }
}
