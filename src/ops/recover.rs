//! `recover`: what a run that was ended had begun to write is finished, or given up.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Error, Outcome};
use crate::base::fs;

#[derive(Debug, Serialize)]
pub struct Recovered {
    /// The files that are now as that run meant them.
    pub finished: Vec<PathBuf>,
    /// Whether a journal was removed instead, the files left as they are.
    pub discarded: bool,
}

/// Finishes what is unfinished in the workspace `root`, or removes its journal. For who holds the lock of the workspace.
///
/// # Errors
/// [`Error::Fs`] for what cannot be finished; nothing has changed then.
pub fn recover(root: &Path, discard: bool) -> Result<Recovered, Error> {
    Ok(match discard {
        true => Recovered { finished: Vec::new(), discarded: fs::discard(root)? },
        false => Recovered { finished: fs::recover(root)?, discarded: false },
    })
}

impl Outcome for Recovered {
    const SCHEMA: &'static str = "overlayctl.recover/1";
}
