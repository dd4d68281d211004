//! Graphs of unpatched package sets, kept between runs: `impact` takes the other side from there instead of evaluating it.
//!
//! A kept graph has a key that names all that its evaluation depended on: the expressions and targets, Nix with its settings, and what
//! the evaluation looked at, as Nix itself says ([`Reads`]). It is believed only while all of that is as it was; when in doubt nothing is
//! kept. Whatever is wrong with a file of the cache, it is evaluated again and the file replaced.

mod question;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use crate::base::fs;
use crate::comparison::Error;
pub(crate) use crate::comparison::cache::question::Question;
use crate::graph::Graph;
use crate::nix::{Reads, cache_dir, kept_answers, kept_files, trim_kept};
use crate::targets;

/// The ending of the files.
const ENDING: &str = "graph";
/// The ending of the files of sets that are not finished.
pub(super) const PART: &str = "part";
/// At most this many graphs are kept.
const MOST: usize = 100;
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
    Kept(Graph),
    /// It has to be evaluated.
    Open(Open),
}

impl GraphCache {
    /// Finds the directory: `overlayctl/graphs` in XDG_CACHE_HOME or `~/.cache`; `None` where there is neither.
    pub(crate) fn find() -> Option<GraphCache> {
        Some(GraphCache { dir: cache_dir("graphs")? })
    }

    /// Looks for a kept graph that can be believed.
    pub(crate) fn ask(self, question: Question) -> Answer {
        let since = SystemTime::now();
        let kept = Graph::open(&self.file(&question)).ok();
        let is_still = |reads: &str| Reads::still_in(reads, question.copy());
        let kept = kept.filter(|graph| graph.key().strip_prefix(question.text()).is_some_and(is_still));
        kept.map_or_else(|| Answer::Open(Open { cache: self, question, since }), Answer::Kept)
    }

    fn file(&self, question: &Question) -> PathBuf {
        self.dir.join(format!("{}.{ENDING}", question.key()))
    }

    /// Returns the files of the cache, sorted.
    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        Ok(kept_files(&self.dir, ENDING)?)
    }
}

impl Open {
    /// Keeps the graph that was evaluated since, where what the evaluation looked at can be a key, and says whether it did. That it
    /// cannot be written is no failure of what it is for.
    pub(crate) fn keep(&self, reads: &Reads, graph: &Graph) -> bool {
        self.keep_with(reads, "", graph)
    }

    /// As [`Open::keep`], where earlier runs, which looked at something too, did a part of the work.
    pub(crate) fn keep_with(&self, reads: &Reads, earlier: &str, graph: &Graph) -> bool {
        let copy = self.question.copy();
        let Some(looked) = reads.key_in(self.since, self.question.locked(), copy) else { return false };
        let key = format!("{}{earlier}{looked}", self.question.text());
        let is_kept = self.question.is_as_asked() && graph.write(&self.cache.file(&self.question), &key).is_ok();
        if is_kept {
            trim_kept(&self.cache.dir, ENDING, MOST);
        }
        is_kept
    }
}

#[derive(Debug, Serialize)]
pub struct Listed {
    pub dir: PathBuf,
    pub graphs: Vec<Kept>,
    /// How many answers of Nix are kept beside them.
    pub answers: usize,
    /// The size of all in bytes.
    pub bytes: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
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
    let answers = kept_answers()?;
    let bytes = graphs.iter().map(|kept| kept.bytes).chain(answers.iter().map(|file| size(file))).sum();
    Ok(Listed { dir: cache.dir, bytes, answers: answers.len(), graphs })
}

#[derive(Debug, Serialize)]
pub struct Cleared {
    pub dir: PathBuf,
    pub removed: usize,
    /// How many answers of Nix were removed beside them.
    pub answers: usize,
    /// The size of all in bytes.
    pub bytes: u64,
}

fn size(file: &Path) -> u64 {
    file.metadata().map_or(0, |there| there.len())
}

/// Removes all that is kept.
///
/// # Errors
/// As [`list`], and [`Error::Fs`] when one cannot be removed.
pub fn clear() -> Result<Cleared, Error> {
    let cache = GraphCache::find().ok_or_else(no_place)?;
    let (files, answers) = (cache.files()?, kept_answers()?);
    let parts = kept_files(&cache.dir, PART)?;
    let mut bytes = 0;
    for file in files.iter().chain(&answers).chain(&parts) {
        bytes += size(file);
        fs::remove(file)?;
    }
    Ok(Cleared { dir: cache.dir, removed: files.len(), answers: answers.len(), bytes })
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
        trim_kept(&cache.dir, ENDING, MOST);
        let files = cache.files().unwrap();
        assert_eq!(files.len(), MOST);
        assert!(files[0].ends_with(format!("0003.{ENDING}")));
        assert!(dir.path().join("other").exists());
    }
}
