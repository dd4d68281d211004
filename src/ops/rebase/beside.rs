//! What is written together with the queues of a rebase: for `bump` the pin. It lies in the directory of the rebase, so that it comes and
//! goes with it, whichever command goes on.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::session;
use crate::base::fs::{self, Batch, FsError};
use crate::config::Workspace;
use crate::ops::Error;
use crate::queue::session::key;

const FILE: &str = "beside.json";

/// Files that are written with the queues.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::ops) struct Beside {
    /// The package set that the queues are for then.
    nixpkgs: Option<String>,
    files: Vec<File>,
}

/// A file, relative to the workspace, as it is and as it will be.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct File {
    path: PathBuf,
    old: Option<Vec<u8>>,
    new: Vec<u8>,
}

impl Beside {
    pub(in crate::ops) fn new(nixpkgs: &str) -> Beside {
        Beside { nixpkgs: Some(nixpkgs.to_owned()), files: Vec::new() }
    }

    /// Adds a file that held `old` when it was read.
    pub(in crate::ops) fn file(&mut self, workspace: &Workspace, path: &Path, old: Option<&[u8]>, new: &[u8]) {
        let file = File { path: key(workspace, path), old: old.map(<[u8]>::to_vec), new: new.to_vec() };
        self.files.push(file);
    }

    /// Returns the package set to try the result on; `None` for the workspace's own, also where it is no more.
    pub(super) fn nixpkgs(&self) -> Option<&str> {
        let is_there = |named: &&str| named.starts_with('<') || Path::new(named).exists();
        self.nixpkgs.as_deref().filter(is_there)
    }

    pub(super) fn save(&self, root: &Path) -> Result<(), Error> {
        let path = root.join(FILE);
        let bytes = serde_json::to_vec(self).map_err(|e| FsError::Write { path: path.clone(), source: e.into() })?;
        fs::write(&path, &bytes)?;
        Ok(())
    }

    /// Reads what the rebase that is under way has; nothing where it is one of `rebase`.
    pub(super) fn read(workspace: &Workspace) -> Result<Beside, Error> {
        let path = session::root(workspace).join(FILE);
        let Some(text) = fs::read_text_if_there(&path)? else { return Ok(Beside::default()) };
        Ok(serde_json::from_str(&text).map_err(|e| FsError::Read { path, source: e.into() })?)
    }

    /// Adds the files to what is written; one that was edited since stops all of it.
    pub(super) fn add(&self, workspace: &Workspace, batch: &mut Batch) -> Result<(), Error> {
        for file in &self.files {
            let inside = file.path.is_relative() && !file.path.starts_with("..");
            let path = workspace.path(&file.path);
            if !inside {
                return Err(FsError::LeadsOut { path, dir: workspace.root().to_path_buf() }.into());
            }
            batch.replace(path, file.old.as_deref(), file.new.clone());
        }
        Ok(())
    }
}

/// Returns the command that the rebase which is under way belongs to.
pub(super) fn command(workspace: &Workspace) -> &'static str {
    if session::root(workspace).join(FILE).exists() { "bump" } else { "rebase" }
}
