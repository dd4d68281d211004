//! Patches as they go into the queue: read, checked, brought to the level of the package, given a name.

use std::path::Path;

use crate::base::diagnostic::Warning;
use crate::base::fs;
use crate::patch::queue::QueueName;
use crate::patch::{self, PatchFile};
use crate::queue::Error;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedPatch {
    pub path: PathBuf,
    pub subject: String,
    pub new: bool,
}

/// Returns what the user should know of a patch that goes into the queue: diffs that its message quotes, lines that no hunk counts.
pub(crate) fn warnings(path: &Path, bytes: &[u8]) -> Vec<Warning> {
    let found = PatchFile::parse(bytes).map(|patch| patch::lint::of_diff(&patch)).unwrap_or_default();
    let warning = |finding: patch::lint::Finding| Warning {
        code: finding.code,
        message: format!("{}:{}: {}", path.display(), finding.line, finding.message),
        place: None,
        hint: Some(finding.hint.to_string()),
    };
    found.into_iter().map(warning).collect()
}

/// Gives a patch its place in the queue; a file whose bytes the queue has already keeps its name.
pub(crate) fn enqueue(queue_dir: &Path, names: &mut Vec<String>, bytes: &[u8], subject: &str) -> QueuedPatch {
    let same = |name: &&String| fs::read(&queue_dir.join(name)).is_ok_and(|old| old == bytes);
    let subject = subject.to_string();
    if let Some(name) = names.iter().find(same) {
        return QueuedPatch { path: queue_dir.join(name), subject, new: false };
    }
    let name = QueueName::new(patch::queue::next_number(&*names), &subject).file_name();
    names.push(name.clone());
    QueuedPatch { path: queue_dir.join(&name), subject, new: true }
}

/// A patch as it came, read and checked.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// Where it came from: a path or an address.
    pub(crate) path: PathBuf,
    /// Its bytes, decoded where it is mail.
    pub(crate) bytes: Vec<u8>,
    pub(crate) subject: String,
    /// The `-pN` that its names are for, when that is known.
    pub(crate) level: Option<usize>,
}

impl Given {
    /// Reads the patch or mail of a file.
    ///
    /// # Errors
    /// [`Error::Patch`] with the place of what is wrong.
    pub(crate) fn read(path: &Path, level: Option<usize>) -> Result<Given, Error> {
        Given::of(path, &fs::read_stream(path)?, level)
    }

    /// Checks the bytes of a patch or of a mail that came from `path`.
    pub(crate) fn of(path: &Path, bytes: &[u8], level: Option<usize>) -> Result<Given, Error> {
        let in_file = |e: patch::Error| Error::Patch(e.in_file(path));
        // Mail is decoded; what is a patch file already stays to the byte.
        let bytes = patch::mailbox::read(bytes).map_err(in_file)?.concat();
        let parsed = PatchFile::parse(&bytes).map_err(in_file)?;
        if parsed.crlf() {
            return Err(Error::CrlfPatch { path: path.to_path_buf() });
        }
        // A name that leaves the tree is that, whatever the level; one that is too short for -p1 may be for another.
        match parsed.check(level.unwrap_or(1)) {
            Err(patch::Error::StripTooDeep { .. }) if level.is_none() => {
                parsed.check(parsed.strip_level()).map_err(in_file)?
            }
            checked => checked.map_err(in_file)?,
        };
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let from_stem = QueueName::parse(&format!("{stem}.patch")).map_or(stem, |name| name.slug);
        let subject = parsed.headers().subject.filter(|s| !s.trim().is_empty()).unwrap_or(from_stem);
        Ok(Given { path: path.to_path_buf(), subject, level, bytes })
    }

    /// Returns the patch, whose names are for `from`, as it is stored for a package whose build applies patches with `to`.
    ///
    /// # Errors
    /// [`Error::Patch`] for names that cannot be brought there.
    pub(crate) fn at_level(&self, from: usize, to: usize) -> Result<Stored, Error> {
        let in_file = |e: patch::Error| Error::Patch(e.in_file(&self.path));
        let parsed = PatchFile::parse(&self.bytes).map_err(in_file)?;
        let bytes = patch::to_level(&parsed, from, to).map_err(in_file)?;
        let targets = PatchFile::parse(&bytes).and_then(|patch| patch.check(to)).map_err(in_file)?;
        let files = targets.iter().map(|target| target.path().to_string()).collect();
        Ok(Stored { bytes, subject: self.subject.clone(), files })
    }
}

/// A patch as it goes into the queue.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Its bytes, for the level of the package.
    pub(crate) bytes: Vec<u8>,
    pub(crate) subject: String,
    pub(crate) files: Vec<String>,
}
