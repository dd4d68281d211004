//! The directory `.overlayctl` of a workspace, where overlayctl keeps what is its own: logs, worktrees of `edit`, the state of a
//! rebase. Git does not see it.

use std::path::{Path, PathBuf};

use super::Error;
use crate::base::{fs, store_path};
use crate::config::Workspace;

/// Returns the directory, made if need be.
pub fn dir(workspace: &Workspace) -> Result<PathBuf, Error> {
    let dir = workspace.state_dir();
    fs::sweep(&dir);
    fs::write(&dir.join(".gitignore"), b"*\n")?;
    Ok(dir)
}

/// Returns where the log of a derivation is kept, below the directory of logs.
pub fn log_file(logs: &Path, drv_path: &str) -> PathBuf {
    let (hash, _) = store_path::split(drv_path).unwrap_or_default();
    logs.join(format!("{}-{}.log", store_path::drv_name(drv_path), hash.get(..8).unwrap_or_default()))
}
