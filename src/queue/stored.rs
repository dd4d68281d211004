//! Patches as they go into the queue: read, checked, brought to `-p1`, given a name.

use std::path::Path;

use crate::base::diagnostic::Warning;
use crate::base::fs;
use crate::patch::queue::QueueName;
use crate::patch::{self, PatchFile, normalise};
use crate::queue::Error;
use serde::Serialize;
use std::path::PathBuf;

/// One patch of a queue.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedPatch {
    /// Its file in the queue.
    pub path: PathBuf,
    /// What it says it does.
    pub subject: String,
    /// Whether the file is new.
    pub new: bool,
}

/// Returns the files that a patch changes, as it names them for `-p1`.
pub(crate) fn touched_files(bytes: &[u8]) -> Vec<String> {
    let targets = PatchFile::parse(bytes).ok().and_then(|patch| patch.check(1).ok()).unwrap_or_default();
    targets.iter().map(|target| target.path().to_string()).collect()
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

/// Reads a patch file; returns its bytes as they go into the queue (for `-p1`) and its subject.
///
/// # Errors
/// [`Error::Patch`] with the place of what is wrong.
pub(crate) fn checked(path: &Path, level: Option<usize>) -> Result<(Vec<u8>, String), Error> {
    checked_bytes(path, &fs::read_stream(path)?, level)
}

/// Checks the bytes of a patch or of a mail that came from `path`, which may be an address; with the `-pN` that its names are for, when that
/// is known.
///
/// # Errors
/// As [`checked`].
pub(crate) fn checked_bytes(path: &Path, bytes: &[u8], level: Option<usize>) -> Result<(Vec<u8>, String), Error> {
    let in_file = |e: patch::Error| Error::Patch(e.in_file(path));
    // Mail is decoded; what is a patch file already stays to the byte.
    let bytes = patch::mailbox::read(bytes).map_err(in_file)?.concat();
    let parsed = PatchFile::parse(&bytes).map_err(in_file)?;
    if parsed.crlf() {
        return Err(Error::CrlfPatch { path: path.to_path_buf() });
    }
    // A name that leaves the tree is that, whatever the -p level; one that is too short for -p1 is brought to it below.
    match parsed.check(level.unwrap_or(1)) {
        Ok(_) | Err(patch::Error::StripTooDeep { .. }) => {}
        Err(error) => return Err(in_file(error)),
    }
    let stored = match level {
        Some(level) => patch::normalise_from(&parsed, level),
        None => normalise(&parsed),
    }
    .map_err(in_file)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let from_stem = QueueName::parse(&format!("{stem}.patch")).map_or(stem, |name| name.slug);
    let subject = parsed.headers().subject.filter(|s| !s.trim().is_empty()).unwrap_or(from_stem);
    PatchFile::parse(&stored).map_err(in_file)?.check(1).map_err(in_file)?;
    Ok((stored, subject))
}
