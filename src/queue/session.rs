//! A package being edited: its worktree in `.overlayctl/edit/ATTR`, and what it was made from.
//!
//! The state lies in the worktree's own `.git`, so that removing the directory removes all.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::base::fs::{self, FsError};
use crate::config::Workspace;
use crate::git::{self, Oid, Worktree};
use crate::overlay::AttrPath;
use crate::queue::Error;
use crate::queue::series::Series;
use crate::{nix, targets};

/// The name of the state file.
const STATE: &str = "overlayctl.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Of this format.
    pub version: u32,
    pub attr: String,
    /// `--nixpkgs`, when it was given.
    pub nixpkgs: Option<String>,
    /// The `-pN` of its patches.
    pub strip: usize,
    /// The commit that the queue begins behind.
    pub base: String,
    /// The last commit of the queue.
    pub tip: String,
    /// The patches, and the commits that were made from them or that they were made from.
    pub patches: Vec<Recorded>,
}

/// A patch and its commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The file, relative to the workspace.
    pub path: PathBuf,
    /// The SHA-256 of its bytes.
    pub sha256: String,
    pub commit: String,
}

/// A worktree with its state.
#[derive(Debug)]
pub struct Session {
    pub worktree: Worktree,
    pub state: State,
}

/// Returns the directory of a package's worktree.
pub fn dir(workspace: &Workspace, attr: &AttrPath) -> PathBuf {
    workspace.state_dir().join("edit").join(super::dir_name(attr))
}

/// Returns the SHA-256 of bytes in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Returns a path relative to the workspace, whatever the current directory is.
pub fn key(workspace: &Workspace, path: &Path) -> PathBuf {
    let root = workspace.root().canonicalize().unwrap_or_default();
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The file itself may not be there yet, nor its directory.
    let Ok(parent) = parent.canonicalize() else {
        return path.strip_prefix(workspace.root()).unwrap_or(path).to_path_buf();
    };
    let whole = parent.join(path.file_name().unwrap_or_default());
    whole.strip_prefix(&root).map(Path::to_path_buf).unwrap_or(whole)
}

/// Reads the name of a commit.
pub fn oid(text: &str, dir: &Path) -> Result<Oid, Error> {
    Oid::from_str(text).map_err(|source| {
        git::Error::Git { doing: "read a commit's name", repository: dir.to_path_buf(), source }.into()
    })
}

/// Returns an overlay that builds a package from its worktree as it stands, committed or not: its files are the source, and no patch is
/// applied, as they are in it.
pub(crate) fn overlay(workspace: &Workspace, typed: &str) -> Result<nix::Overlay, Error> {
    let attr = AttrPath::parse(typed).map_err(crate::overlay::Error::from)?;
    let session = Session::existing(workspace, &attr)?;
    let dir = nix::path_text(&targets::absolute(session.worktree.dir())?)?;
    let with = format!(
        "{{ src = builtins.path {{ name = \"source\"; path = {dir}; filter = path: _: baseNameOf path != \".git\"; }}; \
         patches = [ ]; sourceRoot = null; }}"
    );
    // `prev.a // { b = prev.a.b.overrideAttrs ... }` for a package of a nested set.
    let mut at = format!("prev.{}", nix::attr_path_text(attr.names()));
    let mut value = format!("{at}.overrideAttrs (old: {with})");
    for (i, name) in attr.names().iter().enumerate().rev() {
        let name = nix::quoted(name);
        let above = attr.names().get(..i).unwrap_or_default();
        at = format!("prev.{}", nix::attr_path_text(above));
        value = match above {
            [] => format!("{{ {name} = {value}; }}"),
            _ => format!("({at} // {{ {name} = {value}; }})"),
        };
    }
    Ok(nix::Overlay::Expression(nix::Fragment::parse(format!("(final: prev: {value})"))?))
}

impl Session {
    /// Opens the worktree of a package; `None` when it has none.
    pub fn open(workspace: &Workspace, attr: &AttrPath) -> Result<Option<Session>, Error> {
        let dir = dir(workspace, attr);
        let Some(worktree) = Worktree::open(&dir)? else { return Ok(None) };
        let path = worktree.git_dir().join(STATE);
        let Some(text) = fs::read_text_if_there(&path)? else { return Ok(None) };
        let state = serde_json::from_str(&text).map_err(|e| FsError::Read { path, source: e.into() })?;
        Ok(Some(Session { worktree, state }))
    }

    /// Opens the worktree of a package.
    ///
    /// # Errors
    /// [`Error::NotEdited`] when it has none; as [`Session::open`].
    pub fn existing(workspace: &Workspace, attr: &AttrPath) -> Result<Session, Error> {
        let none = || Error::NotEdited { attr: attr.to_string(), dir: dir(workspace, attr) };
        Session::open(workspace, attr)?.ok_or_else(none)
    }

    /// Returns the path of the state file and the bytes that it should have.
    ///
    /// # Errors
    /// None in practice.
    pub fn state_file(&self) -> Result<(PathBuf, Vec<u8>), Error> {
        let path = self.worktree.git_dir().join(STATE);
        let bytes = serde_json::to_vec_pretty(&self.state)
            .map_err(|e| FsError::Write { path: path.clone(), source: e.into() })?;
        Ok((path, bytes))
    }

    /// Returns the commit that the queue begins behind.
    pub fn base(&self) -> Result<Oid, Error> {
        oid(&self.state.base, self.worktree.dir())
    }

    /// Says whether the worktree holds work that the queue does not have.
    pub fn unfinished(&self) -> Result<bool, Error> {
        Ok(self.worktree.head()?.to_string() != self.state.tip || !self.worktree.uncommitted()?.is_empty())
    }

    /// Checks that the queue is what the worktree was made from.
    ///
    /// # Errors
    /// [`Error::Changed`] with the first file that is not.
    pub fn check_queue(&self, workspace: &Workspace, series: &mut Series) -> Result<(), Error> {
        series.recall(|entry| {
            self.state.patches.iter().position(|recorded| recorded.path == key(workspace, &entry.path))
        });
        for (i, entry) in series.patches.iter().enumerate() {
            let same = self.state.patches.get(i).is_some_and(|recorded| {
                recorded.path == key(workspace, &entry.path) && recorded.sha256 == digest(&entry.bytes)
            });
            if !same {
                return Err(Error::Changed { path: entry.path.clone() });
            }
        }
        match self.state.patches.get(series.patches.len()) {
            Some(missing) => Err(Error::Changed { path: workspace.path(&missing.path) }),
            None => Ok(()),
        }
    }
}

/// Returns the worktree of a package when it holds work that is not finished; one that cannot be read counts.
pub fn unfinished(workspace: &Workspace, attr: &AttrPath) -> Option<PathBuf> {
    match Session::open(workspace, attr) {
        Ok(Some(session)) if session.unfinished().unwrap_or(true) => Some(dir(workspace, attr)),
        Ok(_) => None,
        Err(_) => Some(dir(workspace, attr)),
    }
}

/// Refuses to change the queue of a package whose worktree holds work that is not finished.
pub fn refuse_unfinished(workspace: &Workspace, attr: &AttrPath) -> Result<(), Error> {
    match Session::open(workspace, attr)? {
        Some(session) if session.unfinished()? => {
            Err(Error::BeingEdited { attr: attr.to_string(), dir: dir(workspace, attr) })
        }
        _ => Ok(()),
    }
}
