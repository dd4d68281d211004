//! What is finished of a whole package set while the rest is still being evaluated: kept now and then, so that a run that is interrupted
//! or killed is gone on with by the next one. This is also the one place that holds it while it is gathered.
//!
//! It is believed as every kept answer is: only while all that the evaluation looked at so far is as it was. Attributes that failed for
//! want of memory, time or a network are not kept. The file is a line of what it depends on and a line for each attribute, written and
//! read one by one. Must not evaluate anything.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use super::cache::PART;
use crate::base::fs::{self, NewFile};
use crate::nix::{Evaluated, Nix, Reads, Root, Watch, attr_path_text, cache_dir, trim_kept};

/// At most so much work is lost when a run is killed.
const EVERY: Duration = Duration::from_secs(20);
/// So many unfinished sets are kept.
const MOST: usize = 8;

/// An attribute that is finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Done {
    Derivation(Box<str>),
    Failed(Box<str>),
    /// It failed, and may not the next time.
    FailedNow(Box<str>),
    /// A set of packages that was not gone into.
    LeftOut,
    /// No derivation.
    Other,
}

/// An attribute, as [`attr_path_text`] writes it, and what came of it.
pub(crate) type Attribute = (Box<str>, Done);

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct Depends {
    question: String,
    looked: String,
}

/// What is finished of one package set.
pub(crate) struct Finished {
    /// Where it is kept, and the question that it answers a part of; absent where nothing can be kept.
    place: Option<(PathBuf, String)>,
    all: Vec<Attribute>,
    earlier: String,
    since: SystemTime,
    saved: Instant,
}

impl Finished {
    /// Takes up what an earlier run finished of a package set.
    pub(crate) fn take_up(nix: &Nix, root: &Root) -> Finished {
        let version = env!("CARGO_PKG_VERSION");
        let place = || {
            let question = format!("overlayctl part 2 {version}\n{}{}", nix.identity()?, root.to_nix().ok()?);
            let name = format!("{:032x}.{PART}", XxHash3_128::oneshot(question.as_bytes()));
            Some((cache_dir("graphs")?.join(name), question))
        };
        let (since, place) = (SystemTime::now(), place());
        let old = place.as_ref().and_then(|(file, question)| {
            // What was removed from the store since has to be made again.
            read(file, question, |drv_path| nix.physical(drv_path).is_some_and(|path| path.exists()))
        });
        let (earlier, all) = old.unwrap_or_default();
        Finished { place, all, earlier, since, saved: Instant::now() }
    }

    /// Returns the attributes, as [`attr_path_text`] writes them; one may be there twice.
    pub(crate) fn all(&self) -> &[Attribute] {
        &self.all
    }

    /// Returns the attributes, and the lines of what earlier runs looked at; all is finished, and the file is removed.
    pub(crate) fn done(self) -> (Vec<Attribute>, String) {
        if let Some((file, _)) = &self.place {
            // That it is not there, or cannot be removed, is no harm.
            let _ = fs::remove(file);
        }
        (self.all, self.earlier)
    }

    /// Adds an attribute, and keeps all now and then.
    pub(crate) fn add(&mut self, path: &[String], evaluated: Evaluated, watch: &Watch) {
        let done = match evaluated {
            Evaluated::Derivation { drv_path, .. } => Done::Derivation(drv_path.into()),
            Evaluated::Failed(failure) if failure.is_lasting() => Done::Failed(failure.message.into()),
            Evaluated::Failed(failure) => Done::FailedNow(failure.message.into()),
            Evaluated::LeftOut => Done::LeftOut,
            Evaluated::Other => Done::Other,
            // A set is asked for its names again.
            Evaluated::Set => return,
        };
        self.all.push((attr_path_text(path).into(), done));
        if self.saved.elapsed() > EVERY {
            self.save(watch);
        }
    }

    /// Keeps what is finished; says of how many attributes that could be done.
    pub(crate) fn save(&mut self, watch: &Watch) -> usize {
        self.saved = Instant::now();
        let Some((file, question)) = &self.place else { return 0 };
        let Some(looked) = watch.reads().key(self.since, &[]) else { return 0 };
        let depends = Depends { question: question.clone(), looked: format!("{}{looked}", self.earlier) };
        let Some(count) = write(file, &depends, &self.all) else { return 0 };
        if let Some(dir) = file.parent() {
            trim_kept(dir, PART, MOST);
        }
        count
    }
}

fn write(file: &Path, depends: &Depends, all: &[Attribute]) -> Option<usize> {
    let mut new = NewFile::begin(file).ok()?;
    let mut line = serde_json::to_vec(depends).ok()?;
    let mut count = 0;
    for one in all.iter().filter(|(_, done)| !matches!(done, Done::FailedNow(_))) {
        line.push(b'\n');
        new.add(&line).ok()?;
        line.clear();
        serde_json::to_writer(&mut line, one).ok()?;
        count += 1;
    }
    new.add(&line).ok()?;
    new.finish().ok().map(|()| count)
}

/// Reads what an earlier run kept, where it can be believed: what was looked at, and the attributes.
fn read(file: &Path, question: &str, is_there: impl Fn(&str) -> bool) -> Option<(String, Vec<Attribute>)> {
    let mut lines = BufReader::new(File::open(file).ok()?).lines();
    let depends: Depends = serde_json::from_str(&lines.next()?.ok()?).ok()?;
    if depends.question != question || !Reads::still(&depends.looked) {
        return None;
    }
    let mut all = Vec::new();
    for line in lines {
        let (attr, done) = serde_json::from_str(&line.ok()?).ok()?;
        if !matches!(&done, Done::Derivation(drv_path) if !is_there(drv_path)) {
            all.push((attr, done));
        }
    }
    Some((depends.looked, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_but_for_what_may_come_out_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.part");
        let done = |attr: &str, done| (Box::from(attr), done);
        let all = [
            done("curl", Done::Derivation("/nix/store/a.drv".into())),
            done("gone", Done::Derivation("/nix/store/b.drv".into())),
            done("\"a.b\".c", Done::Failed("no\n\"curl\"".into())),
            done("slow", Done::FailedNow("out of memory".into())),
            done("qt6", Done::LeftOut),
        ];
        let depends = Depends { question: "q".into(), looked: String::new() };
        assert_eq!(write(&file, &depends, &all), Some(4));
        let read_again = |question| read(&file, question, |drv_path| drv_path.ends_with("a.drv"));
        let (_, again) = read_again("q").unwrap();
        assert_eq!(again, [all[0].clone(), all[2].clone(), all[4].clone()]);
        assert!(read_again("another").is_none());
        // A file that is cut is not believed.
        let text = std::fs::read(&file).unwrap();
        std::fs::write(&file, &text[..text.len() - 3]).unwrap();
        assert!(read_again("q").is_none());
        assert_eq!(write(&file, &depends, &[]), Some(0));
        assert_eq!(read_again("q").unwrap().1, []);
    }
}
