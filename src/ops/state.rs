//! The directory `.overlayctl` of a workspace, where overlayctl keeps what is its own: logs, worktrees of `edit`, the state of a
//! rebase. Git does not see it.

use std::path::PathBuf;

use super::Error;
use crate::base::fs;
use crate::config::Workspace;

/// Returns the directory, made if need be.
///
/// # Errors
/// [`Error::Fs`].
pub(super) fn dir(workspace: &Workspace) -> Result<PathBuf, Error> {
    let dir = workspace.state_dir();
    fs::sweep(&dir);
    fs::write(&dir.join(".gitignore"), b"*\n")?;
    Ok(dir)
}
