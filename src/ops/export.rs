//! `export`: the queue of a package as a quilt series, a mailbox, or a branch of a repository.
//!
//! The patches' bytes are kept: in a mailbox by headers of their own, on a branch by notes (`git notes --ref overlayctl`), where a commit does
//! not say it all. Must not overwrite what is there.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Error, Outcome};
use crate::base::diagnostic::Warning;
use crate::base::fs::{self, Batch};
use crate::config::Workspace;
use crate::git;
use crate::overlay::{self, AttrPath};
use crate::patch::series::{Entry, Series as Quilt};
use crate::patch::{self, mailbox};
use crate::queue::discover::Overlays;
use crate::queue::level::Level;
use crate::queue::model::Asking;
use crate::queue::series::{self, Series};
use crate::queue::{Error as QueueError, commits};

/// Where the queue goes.
#[derive(Debug, Clone)]
pub enum Target {
    /// A directory with `series` and the patches.
    Quilt(PathBuf),
    Mailbox(PathBuf),
    /// A new branch of a repository.
    Branch {
        repository: PathBuf,
        name: String,
        /// The revision that it begins from.
        onto: String,
    },
}

/// What `export` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    pub attr: String,
    /// Where the queue goes.
    pub target: Target,
    pub nixpkgs: Option<String>,
    /// Whether Nix is not asked about the package.
    pub offline: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    pub attr: AttrPath,
    pub files: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    pub patches: usize,
    pub warnings: Vec<Warning>,
}

/// Exports a queue.
///
/// # Errors
/// [`Error::Exists`] when something else stands there; for a branch, the first patch that does not apply.
pub fn export(workspace: &Workspace, options: &Options) -> Result<Exported, Error> {
    let attr = AttrPath::parse(&options.attr).map_err(overlay::Error::from)?;
    let mut series = Overlays::read(workspace, None)?.queue(workspace, &attr)?;
    let how = Asking { nixpkgs: options.nixpkgs.as_deref(), offline: options.offline };
    series::arrange([&mut series], workspace, how)?;
    let level = Level::of(workspace, how, &series);
    let strip = level.strip;
    let (files, commit) = match &options.target {
        Target::Quilt(dir) => (quilt(&series, dir, strip)?, None),
        Target::Mailbox(path) => {
            // `git am` reads names as `patch -p1` does.
            let for_git = |entry: &series::Entry| {
                patch::to_level(&entry.parse()?, strip, 1).map_err(|e| QueueError::Patch(e.in_file(&entry.path)))
            };
            let patches: Vec<Vec<u8>> = series.patches.iter().map(for_git).collect::<Result<_, _>>()?;
            let stored = series.patches.iter().map(|entry| entry.bytes.as_slice());
            let bytes = mailbox::join_from(strip, stored.zip(patches.iter().map(Vec::as_slice)));
            refuse_other(path, &bytes)?;
            fs::write(path, &bytes)?;
            (vec![path.clone()], None)
        }
        Target::Branch { repository, name, onto } => {
            let no = || git::Error::NoRepository { path: repository.clone() };
            let worktree = commits::repository(repository)?.ok_or_else(no)?;
            let mut at = worktree.resolve(onto)?;
            for entry in &series.patches {
                entry.parse()?;
                let made = commits::of_patch(&worktree, at, &entry.name(), &entry.bytes, strip)?
                    .map_err(|outcome| commits::does_not_apply(&attr.to_string(), &entry.name(), &outcome))?;
                commits::note_patch(&worktree, at, made, &entry.bytes, strip)?;
                at = made;
            }
            worktree.branch(name, at)?;
            (Vec::new(), Some(at.to_string()))
        }
    };
    Ok(Exported { attr: attr.clone(), files, commit, patches: series.patches.len(), warnings: level.warnings() })
}

fn refuse_other(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    match path.exists() && fs::read(path).map_or(true, |old| old != bytes) {
        true => Err(QueueError::Exists { path: path.to_path_buf() }.into()),
        false => Ok(()),
    }
}

fn quilt(series: &Series, dir: &Path, strip: usize) -> Result<Vec<PathBuf>, Error> {
    let entry = |name: String| Entry { name, strip, reverse: false };
    let list: Quilt = series.patches.iter().map(|e| entry(e.name())).collect();
    let mut files: Vec<(PathBuf, Vec<u8>)> =
        series.patches.iter().map(|e| (dir.join(e.name()), e.bytes.clone())).collect();
    files.push((dir.join("series"), list.to_string().into_bytes()));
    let mut batch = Batch::new(dir);
    for (path, bytes) in &files {
        refuse_other(path, bytes)?;
        batch.write(path, bytes.clone());
    }
    fs::create_dir(dir)?;
    batch.commit()?;
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

impl Outcome for Exported {
    const SCHEMA: &'static str = "overlayctl.export/1";
}
