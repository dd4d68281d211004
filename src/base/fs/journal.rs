//! The journal of a batch: what is still to be done when a run is killed between its renames.
//!
//! It stands in the workspace, where whoever comes next sees that something is unfinished, and anybody can put a file of that name: a
//! clone, a colleague. So it carries a mark that only the user's own secret makes (in the user's state, not in the workspace), over its
//! steps and the place it was written for: path, file system and inode of the directory, machine. What has no such mark, or was
//! copied elsewhere, is never carried out.
//!
//! A journal of one's own is carried out only as a whole, only below its directory, through no symbolic link, with temporaries that a
//! batch made, and only while every file holds the bytes that it held when the journal was written, or already those that it
//! shall hold. Otherwise nothing is touched and [`FsError::Unfinished`] says what to do. Only who holds the directory's lock and
//! is about to write does this ([`recover`]); who only reads is told ([`look`]). Must not write anything but what its steps say.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{FsError, TEMPORARY, parent, read};
use crate::base::diagnostic::{Coded as _, Warning};
use crate::base::user;

/// Its name in the directory of the batch.
pub(super) const NAME: &str = ".overlayctl-journal.json";
/// The largest that is read, in bytes.
const MAX: u64 = 16 << 20;
const VERSION: u32 = 2;

/// What is to be done, in order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Journal {
    version: u32,
    steps: Vec<Step>,
    /// `None` where the user's state could not be written: then nobody can carry it out.
    mark: Option<String>,
}

/// One file that is replaced, created or removed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// The file, relative to the directory, or absolute when it is not below that.
    path: PathBuf,
    /// What stood there, as [`fingerprint`] says; `None` for nothing.
    old: Option<String>,
    /// What shall stand there; `None` for nothing.
    new: Option<New>,
}

/// New bytes, waiting in a file beside the one that they are for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    temporary: PathBuf,
    is: String,
}

/// How far a step is.
enum Progress {
    ToDo,
    Done,
}

impl Step {
    /// Plans a step for a file whose directory is there. `root` is the directory of the batch without symbolic links.
    pub(super) fn plan(root: &Path, path: &Path, staged: Option<(&Path, &[u8])>) -> io::Result<Step> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let real = parent(path).canonicalize()?.join(name);
        let new = staged.map(|(temporary, bytes)| {
            let temporary = temporary.file_name().unwrap_or_default().into();
            New { temporary, is: of_bytes(bytes) }
        });
        let old = fingerprint(&real)?;
        Ok(Step { path: real.strip_prefix(root).map(Path::to_path_buf).unwrap_or(real), old, new })
    }

    fn temporary(&self, root: &Path) -> Option<PathBuf> {
        Some(parent(&root.join(&self.path)).join(&self.new.as_ref()?.temporary))
    }

    /// Looks how far the step is, or why it must not be done.
    fn progress(&self, root: &Path) -> Result<Progress, String> {
        let shown = self.path.display();
        let is_plain = |path: &Path| path.components().all(|c| matches!(c, Component::Normal(_)));
        if !is_plain(&self.path) {
            return Err(format!("{shown} is not below it"));
        }
        let path = root.join(&self.path);
        if parent(&path).canonicalize().ok().as_deref() != Some(parent(&path)) {
            return Err(format!("the directory of {shown} is gone or another one now"));
        }
        let cannot = |e: io::Error| format!("{shown} cannot be looked at ({e})");
        let now = fingerprint(&path).map_err(cannot)?;
        let Some(new) = &self.new else {
            return match now {
                None => Ok(Progress::Done),
                now if now == self.old => Ok(Progress::ToDo),
                _ => Err(format!("{shown} has been changed since")),
            };
        };
        let is_ours = new.temporary.to_str().is_some_and(|name| name.starts_with(TEMPORARY) && !name.contains('/'));
        if !is_ours {
            return Err(format!("{} is no temporary file of a batch", new.temporary.display()));
        }
        let waiting = fingerprint(&parent(&path).join(&new.temporary)).map_err(cannot)?;
        match (waiting, now) {
            (None, Some(now)) if now == new.is => Ok(Progress::Done),
            (Some(waiting), now) if waiting == new.is && now == self.old => Ok(Progress::ToDo),
            (Some(waiting), _) if waiting == new.is => Err(format!("{shown} has been changed since")),
            _ => Err(format!("the new bytes of {shown} are gone")),
        }
    }

    fn carry_out(&self, root: &Path) -> io::Result<()> {
        let path = root.join(&self.path);
        match self.temporary(root) {
            Some(temporary) => fs::rename(temporary, path),
            None => fs::remove_file(path),
        }
    }
}

impl Journal {
    /// Makes the journal of steps, which nobody can carry out yet.
    pub(super) fn new(steps: Vec<Step>) -> Journal {
        Journal { version: VERSION, steps, mark: None }
    }

    /// Marks and writes it; a symbolic link that stands there is replaced, not followed.
    pub(super) fn write(&mut self, root: &Path) -> Result<(), FsError> {
        let path = root.join(NAME);
        let fail = |source| FsError::Write { path: path.clone(), source };
        self.mark = user::mark(&message(root, &self.steps).map_err(fail)?);
        let text = serde_json::to_vec(self).map_err(|e| fail(io::Error::other(e)))?;
        let staged = super::stage(&path, &text).map_err(fail)?;
        staged.persist(&path).map_err(|e| fail(e.error)).map(drop)
    }

    /// Does all of it, by the run that has just written it.
    ///
    /// # Errors
    /// [`FsError::Unfinished`] at the first step that cannot be done; the journal then stands.
    pub(super) fn carry_out(&self, root: &Path) -> Result<(), FsError> {
        self.take_steps(root, &self.steps.iter().collect::<Vec<_>>())
    }

    /// Does what a killed run left to do, after looking at all of it.
    fn finish(&self, root: &Path) -> Result<Vec<PathBuf>, FsError> {
        let mut todo = Vec::new();
        for step in &self.steps {
            if matches!(step.progress(root).map_err(|why| self.unfinished(root, why))?, Progress::ToDo) {
                todo.push(step);
            }
        }
        self.take_steps(root, &todo)?;
        Ok(self.steps.iter().map(|step| root.join(&step.path)).collect())
    }

    fn take_steps(&self, root: &Path, steps: &[&Step]) -> Result<(), FsError> {
        for step in steps {
            let cannot = |e| self.unfinished(root, format!("{} cannot be written ({e})", step.path.display()));
            step.carry_out(root).map_err(cannot)?;
        }
        super::remove(&root.join(NAME))
    }

    fn unfinished(&self, root: &Path, why: String) -> FsError {
        FsError::Unfinished { journal: root.join(NAME), why, ways: self.ways_out(root) }
    }

    /// Says whether the user's own run wrote it for this place.
    fn is_own(&self, root: &Path) -> bool {
        let expected = message(root, &self.steps).ok().and_then(|message| user::mark(&message));
        self.version == VERSION && self.mark.is_some() && self.mark == expected
    }

    /// Returns the commands that do by hand what is not done: the new bytes, or none of them.
    fn ways_out(&self, root: &Path) -> Vec<String> {
        let word = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', "'\\''"));
        let waiting = self.steps.iter().filter_map(|step| {
            let temporary = step.temporary(root).filter(|path| path.exists())?;
            Some(format!("mv {} {}", word(&temporary), word(&root.join(&step.path))))
        });
        let mut ways: Vec<String> = waiting.collect();
        let removed = self.steps.iter().filter(|step| step.new.is_none()).map(|step| root.join(&step.path));
        ways.extend(removed.filter(|path| path.exists()).map(|path| format!("rm {}", word(&path))));
        ways
    }
}

fn message(root: &Path, steps: &[Step]) -> io::Result<Vec<u8>> {
    let mut message = format!("journal {VERSION} {} ", user::place_of(root)?).into_bytes();
    message.extend(serde_json::to_vec(steps).map_err(io::Error::other)?);
    Ok(message)
}

fn of_bytes(bytes: &[u8]) -> String {
    format!("file {}", user::digest(bytes))
}

/// Returns what stands at a path, not followed: a file by its bytes, a symbolic link by where it leads; `None` for nothing.
pub(super) fn fingerprint(path: &Path) -> io::Result<Option<String>> {
    use std::os::unix::ffi::OsStrExt as _;
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
        Ok(there) if there.is_symlink() => {
            Ok(Some(format!("link {}", user::digest(fs::read_link(path)?.as_os_str().as_bytes()))))
        }
        Ok(there) if there.is_file() => match read::read_unlinked(path, read::MAX_BYTES) {
            Ok(bytes) => Ok(bytes.map(|bytes| of_bytes(&bytes))),
            Err(FsError::Read { source, .. }) => Err(source),
            Err(e) => Err(io::Error::other(e)),
        },
        Ok(_) => Ok(Some("other".into())),
    }
}

/// As [`fingerprint`] of a file with these bytes.
pub(super) fn fingerprint_of(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(of_bytes)
}

/// The directory of a journal, without links, and the journal when it is the user's own.
type Opened = (PathBuf, Result<Journal, FsError>);

/// Reads the journal of `dir`, if there is one.
fn open(dir: &Path) -> Result<Option<Opened>, FsError> {
    let fail = |source| FsError::Read { path: dir.to_path_buf(), source };
    if fs::symlink_metadata(dir.join(NAME)).is_err() {
        return Ok(None);
    }
    let root = dir.canonicalize().map_err(fail)?;
    let foreign = || FsError::ForeignJournal { journal: super::tidy(&dir.join(NAME)) };
    // Whatever it is: a link, a directory, another text.
    let text = read::read_unlinked(&root.join(NAME), MAX).ok().flatten();
    let journal = text.and_then(|text| serde_json::from_slice::<Journal>(&text).ok());
    let own = journal.filter(|journal| journal.is_own(&root)).ok_or_else(foreign);
    Ok(Some((root, own)))
}

/// Finishes what a killed run of the user's had begun in `dir`; returns the paths that it brought up to date. For who holds the lock of
/// the directory and has read nothing yet.
///
/// # Errors
/// [`FsError::Unfinished`] and [`FsError::ForeignJournal`], which change nothing.
pub fn recover(dir: &Path) -> Result<Vec<PathBuf>, FsError> {
    match open(dir)? {
        None => Ok(Vec::new()),
        Some((root, journal)) => journal?.finish(&root),
    }
}

/// Gives up what is unfinished in `dir`: the journal goes, whoever left it, and the files stay as they are; says whether there was one.
/// New bytes that wait go with the next batch.
pub fn discard(dir: &Path) -> Result<bool, FsError> {
    let path = dir.join(NAME);
    let is_there = fs::symlink_metadata(&path).is_ok();
    super::remove(&path)?;
    Ok(is_there)
}

/// Returns what a reader of `dir` should know: that a run was ended while it wrote there, so that some files are new and some
/// old. Waits for one that is writing at this moment.
pub fn look(dir: &Path) -> Option<Warning> {
    let there = || fs::symlink_metadata(dir.join(NAME)).is_ok();
    // It stands for a moment while a batch is written. A run that holds the lock for longer looks at it first.
    for _ in 0..200 {
        if !there() {
            return None;
        }
        if super::lock::is_free(dir) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let error = match open(dir) {
        _ if !there() => return None,
        Ok(None) => return None,
        Ok(Some((root, Ok(journal)))) => match journal.steps.iter().find_map(|step| step.progress(&root).err()) {
            Some(why) => {
                FsError::Unfinished { journal: super::tidy(&dir.join(NAME)), why, ways: journal.ways_out(&root) }
            }
            None => {
                return Some(Warning {
                    code: "OV0008",
                    message: "a run was ended while it wrote here: some files are new already and some are old still"
                        .into(),
                    place: None,
                    hint: Some("`overlayctl recover` finishes it, as any command that writes does first".into()),
                });
            }
        },
        Ok(Some((_, Err(error)))) | Err(error) => error,
    };
    Some(Warning { code: error.code(), message: error.to_string(), place: None, hint: error.hint() })
}
