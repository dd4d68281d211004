//! What is finished of a whole package set while the rest is still being evaluated: kept now and then, so that a run that is interrupted
//! or killed is gone on with by the next one.
//!
//! It is believed as every kept answer is: only while all that the evaluation looked at so far is as it was. Attributes that failed for
//! want of memory, time or a network are not among it. Must not evaluate anything.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use super::cache::PART;
use crate::base::fs;
use crate::nix::{Evaluated, Names, Nix, Reads, Root, Watch, cache_dir, trim_kept};

/// At most so much work is lost when a run is killed.
const EVERY: Duration = Duration::from_secs(20);
/// So many unfinished sets are kept.
const MOST: usize = 8;

/// An attribute that is finished.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Done {
    Derivation(String),
    Failed(String),
    /// A set of packages that was not gone into.
    LeftOut,
    /// No derivation.
    Other,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    question: String,
    looked: String,
    finished: Vec<(Names, Done)>,
}

/// What is finished of one package set.
pub(crate) struct Finished {
    file: PathBuf,
    kept: Kept,
    earlier: String,
    since: SystemTime,
    saved: Instant,
}

impl Finished {
    /// Takes up what an earlier run finished of a package set; `None` where nothing can be kept.
    pub(crate) fn take_up(nix: &Nix, root: &Root) -> Option<Finished> {
        let version = env!("CARGO_PKG_VERSION");
        let question = format!("overlayctl part 1 {version}\n{}{}", nix.identity()?, root.to_nix().ok()?);
        let file = cache_dir("graphs")?.join(format!("{:032x}.{PART}", XxHash3_128::oneshot(question.as_bytes())));
        let since = SystemTime::now();
        let text = std::fs::read_to_string(&file).ok();
        let old = text.and_then(|text| serde_json::from_str::<Kept>(&text).ok());
        let old = old.filter(|old| old.question == question && Reads::still(&old.looked));
        let mut kept = old.unwrap_or_else(|| Kept { question, looked: String::new(), finished: Vec::new() });
        // What was removed from the store since has to be made again.
        kept.finished.retain(|(_, done)| match done {
            Done::Derivation(drv_path) => nix.physical(drv_path).is_some_and(|path| path.exists()),
            _ => true,
        });
        Some(Finished { file, earlier: kept.looked.clone(), kept, since, saved: Instant::now() })
    }

    pub(crate) fn all(&self) -> &[(Names, Done)] {
        &self.kept.finished
    }

    /// Returns the lines of what earlier runs looked at.
    pub(crate) fn earlier(&self) -> &str {
        &self.earlier
    }

    /// Adds an attribute, and keeps all now and then.
    pub(crate) fn add(&mut self, path: &[String], evaluated: &Evaluated, watch: &Watch) {
        let done = match evaluated {
            Evaluated::Derivation { drv_path, .. } => Done::Derivation(drv_path.clone()),
            Evaluated::Failed(failure) if failure.is_lasting() => Done::Failed(failure.message.clone()),
            Evaluated::LeftOut => Done::LeftOut,
            Evaluated::Other => Done::Other,
            // A set is asked for its names again.
            Evaluated::Failed(_) | Evaluated::Set => return,
        };
        self.kept.finished.push((path.to_vec(), done));
        if self.saved.elapsed() > EVERY {
            self.save(watch);
        }
    }

    /// Keeps what is finished; says whether that could be done.
    pub(crate) fn save(&mut self, watch: &Watch) -> bool {
        self.saved = Instant::now();
        let Some(looked) = watch.reads().key(self.since, &[]) else { return false };
        self.kept.looked = format!("{}{looked}", self.earlier);
        let is_kept = serde_json::to_vec(&self.kept).is_ok_and(|bytes| fs::write(&self.file, &bytes).is_ok());
        if let Some(dir) = self.file.parent().filter(|_| is_kept) {
            trim_kept(dir, PART, MOST);
        }
        is_kept
    }

    /// Forgets it: all is finished.
    pub(crate) fn forget(&self) {
        // That it is not there, or cannot be removed, is no harm.
        let _ = fs::remove(&self.file);
    }
}
