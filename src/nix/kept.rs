//! Answers that are kept between runs: a question that was asked before is answered without starting Nix, as long as all that its
//! evaluation looked at is as it was ([`Reads`]).
//!
//! They are in `overlayctl/answers` below XDG_CACHE_HOME or `~/.cache`, one file a question; whatever is wrong with one, it is asked
//! again. Must not know what the questions mean.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use super::error::Error;
use super::expression::Root;
use super::program::Nix;
use super::reads::{COPY, Reads};
use crate::base::fs::{self, FsError};

/// Another number where kept answers get another meaning.
const FORMAT: &str = "overlayctl answer 1";
/// At most this many answers are kept.
const MOST: usize = 400;
/// The ending of the files.
const ENDING: &str = "answer";

/// Names this program as it was built: another one may ask Nix otherwise under the same question.
fn this_program() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    let file = path.metadata().ok()?;
    let age = file.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(format!("{} {} {}\n", path.display(), file.len(), age.as_nanos()))
}

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    question: String,
    reads: String,
    answer: T,
}

/// Returns a directory for what is kept between runs; `None` where neither XDG_CACHE_HOME nor HOME says where.
pub fn cache_dir(name: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("overlayctl").join(name))
}

/// Returns the files of the answers that are kept.
pub fn kept_answers() -> Result<Vec<PathBuf>, FsError> {
    cache_dir("answers").map_or(Ok(Vec::new()), |dir| kept_files(&dir, ENDING))
}

impl Nix {
    /// Returns the same Nix for questions about a copy of a workspace: of two copies with the same content the answers are the same.
    pub fn in_copy(&self, copy: &Path) -> Nix {
        let mut nix = self.clone();
        nix.copy = copy.canonicalize().ok();
        nix
    }

    /// Answers a question from what is kept, else by `ask`; that answer is kept when nothing failed that may not fail the next time, and
    /// what its evaluation looked at can be a key.
    pub(super) fn kept<'r, T: Serialize + DeserializeOwned>(
        &self,
        question: &str,
        roots: impl IntoIterator<Item = &'r Root>,
        ask: impl Fn(&Nix) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let place = || Some((cache_dir("answers")?, format!("{}{}", this_program()?, self.identity()?)));
        let Some((dir, identity)) = place().filter(|_| !self.is_watched()) else { return ask(self) };
        let copy = self.copy.as_deref();
        let place = copy.map(|copy| copy.display().to_string());
        let put = |text: &str, from: Option<&str>, to: Option<&str>| match (from, to) {
            (Some(from), Some(to)) => text.replace(from, to),
            _ => text.to_string(),
        };
        let question = put(question, place.as_deref(), Some(COPY));
        let question = format!("{FORMAT}\n{identity}{question}");
        let file = dir.join(format!("{:032x}.{ENDING}", XxHash3_128::oneshot(question.as_bytes())));
        let old = std::fs::read_to_string(&file).ok();
        let old = old.and_then(|text| serde_json::from_str::<Kept<serde_json::Value>>(&text).ok());
        if let Some(old) = old.filter(|old| old.question == question && Reads::still_in(&old.reads, copy))
            && self.has_derivations_of(&old.answer)
            && let Ok(answer) = serde_json::from_str(&put(&old.answer.to_string(), Some(COPY), place.as_deref()))
        {
            return Ok(answer);
        }
        let since = SystemTime::now();
        let (watched, watch) = self.watched(roots);
        let answer = match ask(&watched) {
            Ok(answer) => answer,
            // In Nix's own words, which name no scope of ours.
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(_) => return ask(self),
        };
        if !watch.has_failed()
            && let Some(reads) = watch.reads().key_in(since, &[], copy)
        {
            let answer = serde_json::to_string(&answer).map(|text| put(&text, place.as_deref(), Some(COPY)));
            let answer = answer.and_then(|text| serde_json::from_str::<serde_json::Value>(&text));
            let kept = answer.and_then(|answer| serde_json::to_vec(&Kept { question, reads, answer }));
            // That it cannot be written is no failure of what was asked.
            if kept.is_ok_and(|bytes| fs::write(&file, &bytes).is_ok()) {
                trim_kept(&dir, ENDING, MOST);
            }
        }
        Ok(answer)
    }

    /// Says whether the derivations that an answer names are still in the store.
    fn has_derivations_of(&self, answer: &serde_json::Value) -> bool {
        match answer {
            serde_json::Value::String(text) if text.ends_with(".drv") => {
                self.physical(text).is_some_and(|path| path.exists())
            }
            serde_json::Value::Array(all) => all.iter().all(|one| self.has_derivations_of(one)),
            serde_json::Value::Object(all) => all.values().all(|one| self.has_derivations_of(one)),
            _ => true,
        }
    }
}

/// Returns the files of a directory for what is kept, sorted.
///
/// # Errors
/// [`FsError::Read`]; a directory that is not there has none.
pub fn kept_files(dir: &Path, ending: &str) -> Result<Vec<PathBuf>, FsError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(FsError::Read { path: dir.to_path_buf(), source }),
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|own| own == ending) && path.is_file())
        .collect();
    files.sort();
    Ok(files)
}

/// Removes the oldest files where there are more than `most`.
pub fn trim_kept(dir: &Path, ending: &str, most: usize) {
    let Ok(files) = kept_files(dir, ending) else { return };
    let Some(surplus) = files.len().checked_sub(most).filter(|surplus| *surplus > 0) else { return };
    let mut by_age: Vec<(Option<SystemTime>, PathBuf)> =
        files.into_iter().map(|file| (file.metadata().and_then(|there| there.modified()).ok(), file)).collect();
    by_age.sort();
    for (_, file) in by_age.into_iter().take(surplus) {
        // Another run may have removed it.
        let _ = fs::remove(&file);
    }
}
