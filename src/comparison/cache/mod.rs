//! Graphs of unpatched package sets, kept between runs: `impact` takes the other side from there instead of evaluating it.
//!
//! A kept graph has a key that names all that its evaluation depended on: the expressions and targets, Nix with its settings, and what
//! the evaluation looked at, as Nix itself says ([`Reads`]). It is believed only while all of that is as it was; when in doubt nothing is
//! kept. Whatever is wrong with a file of the cache, it is evaluated again and the file replaced.

mod question;

use std::path::PathBuf;
use std::time::SystemTime;

use serde::Serialize;
use twox_hash::XxHash3_128;

use crate::base::fs::{self, FsError};
use crate::comparison::Error;
pub(crate) use crate::comparison::cache::question::Question;
use crate::graph::Graph;
use crate::nix::Reads;
use crate::targets;

/// The ending of the files.
const ENDING: &str = "graph";
/// At most this many graphs are kept.
const MOST: usize = 100;
/// Where kept graphs are.
#[derive(Debug, Clone)]
pub(crate) struct GraphCache {
    dir: PathBuf,
}

/// A question that is not answered yet, and since when it is being evaluated.
#[derive(Debug)]
pub(crate) struct Open {
    cache: GraphCache,
    question: Question,
    since: SystemTime,
}

/// What the cache says to a question.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The kept graph.
    Kept(Graph),
    /// It has to be evaluated.
    Open(Open),
}

impl GraphCache {
    /// Finds the directory: `overlayctl/graphs` in XDG_CACHE_HOME or `~/.cache`; `None` where there is neither.
    pub(crate) fn find() -> Option<GraphCache> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(GraphCache { dir: cache.join("overlayctl/graphs") })
    }

    /// Looks for a kept graph that can be believed.
    pub(crate) fn ask(self, question: Question) -> Answer {
        let since = SystemTime::now();
        let kept = Graph::open(&self.file(&question)).ok();
        let kept = kept.filter(|graph| graph.key().strip_prefix(question.text()).is_some_and(Reads::still));
        kept.map_or_else(|| Answer::Open(Open { cache: self, question, since }), Answer::Kept)
    }

    fn file(&self, question: &Question) -> PathBuf {
        self.dir.join(format!("{:032x}.{ENDING}", XxHash3_128::oneshot(question.text().as_bytes())))
    }

    /// Removes the oldest graphs where there are too many.
    fn trim(&self) {
        let Ok(files) = self.files() else { return };
        let Some(surplus) = files.len().checked_sub(MOST).filter(|surplus| *surplus > 0) else { return };
        let mut by_age: Vec<(Option<SystemTime>, PathBuf)> =
            files.into_iter().map(|file| (file.metadata().and_then(|there| there.modified()).ok(), file)).collect();
        by_age.sort();
        for (_, file) in by_age.into_iter().take(surplus) {
            // Another run may have removed it.
            let _ = fs::remove(&file);
        }
    }

    /// Returns the files of the cache, sorted.
    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(FsError::Read { path: self.dir.clone(), source }.into()),
        };
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == ENDING) && path.is_file())
            .collect();
        files.sort();
        Ok(files)
    }
}

impl Open {
    /// Keeps the graph that was evaluated since, where what the evaluation looked at can be a key. That it cannot be written is no
    /// failure of what it is for.
    pub(crate) fn keep(&self, reads: &Reads, graph: &Graph) {
        let Some(looked) = reads.key(self.since, self.question.locked()) else { return };
        let key = format!("{}{looked}", self.question.text());
        if self.question.is_as_asked() && graph.write(&self.cache.file(&self.question), &key).is_ok() {
            self.cache.trim();
        }
    }
}

/// What is kept.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// The directory.
    pub dir: PathBuf,
    /// The graphs.
    pub graphs: Vec<Kept>,
    /// Their size in bytes.
    pub bytes: u64,
}

/// A graph that is kept.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// The file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Seconds since it was written.
    pub age: u64,
    /// The number of derivations; absent when the file is not to be believed.
    pub derivations: Option<usize>,
    /// What is wrong with the file.
    pub problem: Option<String>,
    /// The directories that it was evaluated from: that of the package set, first of all.
    pub nixpkgs: Vec<String>,
    /// The targets.
    pub targets: Vec<String>,
}

/// Lists the graphs that are kept.
///
/// # Errors
/// [`Error::Usage`] where there is no place for a cache, [`Error::Fs`] when it cannot be read.
pub fn list() -> Result<Listed, Error> {
    let cache = GraphCache::find().ok_or_else(no_place)?;
    let mut graphs = Vec::new();
    for file in cache.files()? {
        let there = file.metadata().ok();
        let (mut nixpkgs, mut targets) = (Vec::new(), Vec::new());
        let (derivations, problem) = match Graph::open(&file) {
            Ok(graph) => {
                nixpkgs.extend(Reads::origins(graph.key()));
                targets.extend(graph.roots().filter_map(|root| root.attr.map(str::to_owned)));
                (Some(graph.len()), None)
            }
            Err(error) => (None, Some(error.to_string())),
        };
        let age = there
            .as_ref()
            .and_then(|there| there.modified().ok())
            .and_then(|at| SystemTime::now().duration_since(at).ok());
        graphs.push(Kept {
            bytes: there.map_or(0, |there| there.len()),
            age: age.unwrap_or_default().as_secs(),
            file,
            derivations,
            problem,
            nixpkgs,
            targets,
        });
    }
    Ok(Listed { dir: cache.dir, bytes: graphs.iter().map(|kept| kept.bytes).sum(), graphs })
}

/// What was removed.
#[derive(Debug, Serialize)]
pub struct Cleared {
    /// The directory.
    pub dir: PathBuf,
    /// How many graphs were removed.
    pub removed: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Removes all graphs that are kept.
///
/// # Errors
/// As [`list`], and [`Error::Fs`] when one cannot be removed.
pub fn clear() -> Result<Cleared, Error> {
    let cache = GraphCache::find().ok_or_else(no_place)?;
    let files = cache.files()?;
    let mut bytes = 0;
    for file in &files {
        bytes += file.metadata().map_or(0, |there| there.len());
        fs::remove(file)?;
    }
    Ok(Cleared { dir: cache.dir, removed: files.len(), bytes })
}

fn no_place() -> Error {
    targets::Error::Usage {
        message: "there is no place for a cache: neither XDG_CACHE_HOME nor HOME is an absolute path".into(),
        hint: "set one of them".into(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let cache = GraphCache { dir: dir.path().to_path_buf() };
        for i in 0..MOST + 3 {
            let file = dir.path().join(format!("{i:04}.{ENDING}"));
            fs::write(&file, b"x").unwrap();
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(i as u64);
            std::fs::File::options().write(true).open(&file).unwrap().set_modified(at).unwrap();
        }
        fs::write(&dir.path().join("other"), b"x").unwrap();
        cache.trim();
        let files = cache.files().unwrap();
        assert_eq!(files.len(), MOST);
        assert!(files[0].ends_with(format!("0003.{ENDING}")));
        assert!(dir.path().join("other").exists());
    }
}
