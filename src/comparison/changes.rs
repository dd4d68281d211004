//! What changed in a workspace since a revision, thing by thing: overlays, patch queues, pins, settings, boards, other files; each with
//! what puts it back on its own. Must not evaluate anything.

mod pins;
mod places;
mod queues;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::settings;
use crate::base::fs;
use crate::base::span::Place;
use crate::comparison::Error;
use crate::config::{FILE_NAME, Workspace};
use crate::git::{Changed, Since};
use crate::queue;
use crate::queue::copy::Copy;
use crate::queue::discover::Overlays;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What nixpkgs, or another input, is.
    Pin,
    /// A key of `overlayctl.toml`.
    Config,
    /// An overlay file, or the list of them.
    Overlay,
    /// The patches of a package.
    Queue,
    /// A board as a whole.
    Board,
    /// What is built when nothing is named.
    Targets,
    /// Another file of the repository.
    File,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Pin => "pin",
            Kind::Config => "config",
            Kind::Overlay => "overlay",
            Kind::Queue => "queue of",
            Kind::Board => "board",
            Kind::Targets => "targets",
            Kind::File => "file",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    Added,
    Removed,
    Changed,
    /// The same things stand in another order.
    Reordered,
}

impl How {
    /// Of a thing that was there before, and is there after.
    pub(super) fn of(before: bool, after: bool) -> How {
        match (before, after) {
            (false, _) => How::Added,
            (_, false) => How::Removed,
            _ => How::Changed,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            How::Added => "added",
            How::Removed => "removed",
            How::Changed => "changed",
            How::Reordered => "in another order",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub kind: Kind,
    /// Which: a file, a package, the name of a pin, a key, a board.
    pub what: String,
    pub how: How,
    /// What it was, of what has a short value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What changed in it, where it is made of files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// How many of the rebuilt derivations would not be there with this alone put back; absent where that could not be told.
    pub rebuilds: Option<usize>,
    /// Where it is, in the file as it is now; of what is gone, what it was in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The same file, below the repository.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    #[serde(skip)]
    pub(super) put_back: PutBack,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.what)
    }
}

/// Files of the workspace as they have to be for a thing to be as it was; `None` for one that is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PutBack(BTreeMap<PathBuf, Option<Vec<u8>>>);

impl PutBack {
    /// Says whether there is nothing to put back.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes a copy of the workspace with this put back.
    pub(super) fn copy(&self, workspace: &Workspace) -> Result<Copy, Error> {
        let written: Vec<(PathBuf, Vec<u8>)> =
            self.0.iter().filter_map(|(path, bytes)| Some((path.clone(), bytes.clone()?))).collect();
        let removed: Vec<PathBuf> =
            self.0.iter().filter(|(_, bytes)| bytes.is_none()).map(|(path, _)| path.clone()).collect();
        Ok(Copy::with(workspace, &written, &removed)?)
    }
}

impl Change {
    fn new(kind: Kind, what: impl Into<String>, how: How) -> Change {
        Change {
            kind,
            what: what.into(),
            how,
            before: None,
            after: None,
            details: Vec::new(),
            rebuilds: None,
            place: None,
            file: None,
            put_back: PutBack::default(),
        }
    }

    fn back(mut self, path: PathBuf, bytes: Option<Vec<u8>>) -> Change {
        self.put_back.0.insert(path, bytes);
        self
    }
}

/// Two states of a workspace.
struct States<'a> {
    /// The repository as it is, and the workspace below it.
    root: &'a Path,
    below: &'a Path,
    old_root: PathBuf,
    changed: BTreeMap<&'a Path, &'a Changed>,
}

/// Finds what changed between the workspace as it was, which is in a copy, and as it is.
///
/// # Errors
/// Those of reading files; what cannot be read as what it should be counts as a file.
pub(super) fn of(workspace: &Workspace, old: &Workspace, since: &Since) -> Result<Vec<Change>, Error> {
    let mut old_root = old.root().to_path_buf();
    for _ in since.below.components() {
        old_root.pop();
    }
    // What overlayctl keeps for itself is no part of what is evaluated.
    let own = since.below.join(".overlayctl");
    let changed = since.files.iter().filter(|file| !file.path.starts_with(&own));
    let changed = changed.map(|file| (file.path.as_path(), file)).collect();
    let states = States { root: &since.root, below: &since.below, old_root, changed };
    let mut changes = Vec::new();
    let mut left: BTreeSet<&Path> = states.changed.keys().copied().collect();
    let settings = since.below.join(FILE_NAME);
    if left.remove(settings.as_path()) {
        changes.extend(states.settings(&settings)?);
    }
    left.retain(|path| match states.pins(path) {
        Some(pins) => {
            changes.extend(pins);
            false
        }
        None => true,
    });
    let both = [(workspace, states.root), (old, &states.old_root)];
    let overlays = both.iter().flat_map(|(of, root)| overlays(of, root)).collect();
    let queues = both.iter().filter_map(|(of, root)| below(&of.patches_dir(), root)).collect();
    states.overlays_and_queues(&overlays, &queues, &mut left, &mut changes)?;
    for path in left {
        let file = states.changed[path];
        let mut change = Change::new(Kind::File, states.name(path), how(file));
        if !file.is_known && file.after {
            change.details.push("git does not know it, so a flake does not see it".into());
        }
        change.put_back.0.insert(states.root.join(path), states.old(path)?);
        states.put_place(&mut change, path, None)?;
        changes.push(change);
    }
    states.join_flakes(&mut changes)?;
    changes.sort_by(|a, b| (a.kind, &a.what).cmp(&(b.kind, &b.what)));
    Ok(changes)
}

fn how(file: &Changed) -> How {
    How::of(file.before, file.after)
}

/// Returns a path below a root, links on the way to the root followed.
fn below(path: &Path, root: &Path) -> Option<PathBuf> {
    let path = queue::unlinked(path).ok()?;
    path.strip_prefix(root.canonicalize().ok()?).ok().map(Path::to_path_buf)
}

/// Returns the files that hold the overlays of a workspace, below its repository. One that cannot be read as overlays has none: what
/// changed in it counts as files.
fn overlays(workspace: &Workspace, root: &Path) -> Vec<PathBuf> {
    let Ok(overlays) = Overlays::read(workspace, None) else { return Vec::new() };
    overlays.files().filter_map(|found| below(found.file.path(), root)).collect()
}

impl States<'_> {
    /// Returns a path as it is written in what is shown: from the workspace where it is below it.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.below).unwrap_or(path).display().to_string()
    }

    /// Returns what a file was; `None` when it was not there.
    fn old(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let there = self.changed.get(path).is_none_or(|file| file.before);
        let file = self.old_root.join(path);
        Ok(if there && !file.is_symlink() && file.is_file() { Some(fs::read(&file)?) } else { None })
    }

    /// Returns what a file is; `None` when it is not there.
    fn current(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let file = self.root.join(path);
        Ok(if file.is_file() { Some(fs::read(&file)?) } else { None })
    }

    fn texts(&self, path: &Path) -> Result<(Option<String>, Option<String>), Error> {
        let text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok((text(self.old(path)?), text(self.current(path)?)))
    }

    /// Returns what changed in `overlayctl.toml`.
    fn settings(&self, path: &Path) -> Result<Vec<Change>, Error> {
        let (old, new) = self.texts(path)?;
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let changed = settings::changed(&old, &new);
        let changes = changed.into_iter().map(|one| {
            let mut change = Change::new(one.kind, one.what, one.how);
            (change.before, change.after) = (one.before, one.after);
            self.put_place(&mut change, path, Some(one.span))?;
            Ok(change.back(self.root.join(path), Some(one.put_back.into_bytes())))
        });
        changes.collect()
    }
}
