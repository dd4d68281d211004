//! Which binary cache has a path, and how much is downloaded for it: what `--dry-run` does not say.
//!
//! The caches are asked with `nix path-info --store URL`, in the order in which Nix has them. Must not fetch anything.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::build::BuildRequest;
use super::error::Error;
use super::program::Nix;
use super::store::{path_infos, setting};
use crate::base::process::Exec;

/// How many paths go into one call.
const PATHS_A_CALL: usize = 1000;
/// The longest that a cache may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedPath {
    pub cache: String,
    /// How much is downloaded, in bytes; only a cache of compressed files says it.
    pub download: Option<u64>,
    /// Its size as an archive, in bytes.
    pub unpacked: Option<u64>,
}

/// What the caches say of some paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InCaches {
    pub found: BTreeMap<String, CachedPath>,
    /// The caches that were asked.
    pub asked: Vec<String>,
    /// Those of them that did not answer.
    pub silent: Vec<String>,
}

impl CachedPath {
    /// Returns how many bytes come over the wire, as far as the cache says.
    pub fn bytes(&self) -> Option<u64> {
        self.download.or(self.unpacked)
    }
}

impl Nix {
    /// Finds the first of the caches that `request` (else the configuration) names for each path. A cache that does not
    /// answer has nothing.
    ///
    /// # Errors
    /// [`Error::Interrupted`], and that Nix cannot be started.
    pub fn find_in_caches(
        &self,
        paths: &[String],
        request: &BuildRequest,
    ) -> Result<BTreeMap<String, CachedPath>, Error> {
        Ok(self.ask_caches(paths, request)?.found)
    }

    /// As [`Nix::find_in_caches`], and says which caches did not answer, so that what they have is not known.
    ///
    /// # Errors
    /// As [`Nix::find_in_caches`].
    pub fn ask_caches(&self, paths: &[String], request: &BuildRequest) -> Result<InCaches, Error> {
        let mut all = InCaches::default();
        let found = &mut all.found;
        if paths.is_empty() {
            return Ok(all);
        }
        let Some(caches) = self.caches(request)? else {
            all.silent.push("Nix does not say which caches there are".to_owned());
            return Ok(all);
        };
        for cache in caches {
            let left: Vec<&String> = paths.iter().filter(|p| !found.contains_key(p.as_str())).collect();
            for some in left.chunks(PATHS_A_CALL) {
                let call = self.with_options(Exec::new(&self.nix).args(["path-info", "--json", "--store", &cache]));
                let finished = call.args(some).limit(PATIENCE).run()?;
                match read(&cache, &finished.stdout) {
                    Some(some) => found.extend(some),
                    None => {
                        all.silent.push(cache.clone());
                        break;
                    }
                }
            }
            all.asked.push(cache);
        }
        Ok(all)
    }

    /// Returns the caches that a build uses, in order; `None` where Nix does not say.
    fn caches(&self, request: &BuildRequest) -> Result<Option<Vec<String>>, Error> {
        // The older name first: each version knows only one of them for good.
        for words in [&["show-config"][..], &["config", "show"]] {
            let exec = self.with_options(Exec::new(&self.nix).args(words).arg("--json"));
            let exec = exec
                .args(setting("substituters", request.settings.substituters.as_ref()))
                .args(&request.settings.extra_args);
            let finished = exec.limit(PATIENCE).run()?;
            if let Some(caches) = read_caches(&finished.stdout) {
                return Ok(Some(caches));
            }
        }
        Ok(None)
    }
}

fn read_caches(answer: &[u8]) -> Option<Vec<String>> {
    let value: Value = serde_json::from_slice(answer).ok()?;
    let of = |name: &str| -> Vec<String> {
        let list = value.get(name).and_then(|s| s.get("value")).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
    };
    value.is_object().then(|| of("substituters"))
}

/// Reads what a cache has; `None` where that is no answer.
fn read(cache: &str, answer: &[u8]) -> Option<Vec<(String, CachedPath)>> {
    let entries = path_infos(answer)?;
    let there = entries.into_iter().filter(|(_, v)| v.get("narHash").is_some());
    let read = there.map(|(path, v)| {
        let size = |name: &str| v.get(name).and_then(Value::as_u64).filter(|n| *n > 0);
        let (download, unpacked) = (size("downloadSize"), size("narSize"));
        (path, CachedPath { cache: cache.to_string(), download, unpacked })
    });
    Some(read.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_of_three_versions() {
        let list = br#"[{"path":"/nix/store/a","narHash":"sha256:x","narSize":200,"downloadSize":90},{"path":"/nix/store/b","valid":false}]"#;
        let object = br#"{"/nix/store/a":{"narHash":"sha256-x","narSize":200,"downloadSize":90},"/nix/store/b":null}"#;
        let inner = br#"{"info":{"a":{"narHash":"sha256-x","narSize":200,"downloadSize":90},"b":null},"storeDir":"/nix/store","version":2}"#;
        for answer in [&list[..], object, inner] {
            let read = read("http://c", answer).unwrap();
            assert_eq!(read.len(), 1, "{}", String::from_utf8_lossy(answer));
            assert_eq!((read[0].0.as_str(), read[0].1.bytes()), ("/nix/store/a", Some(90)));
        }
        assert!(read("http://c", b"error: no").is_none());
        let config = br#"{"substituters":{"value":["http://a","http://b"],"description":""}}"#;
        assert_eq!(read_caches(config).unwrap(), ["http://a", "http://b"]);
    }
}
