//! `verify`: for each patch of each target, is it in?

mod show;

use super::Outcome;
use crate::base::diagnostic::Verdict;
use crate::view::Document;

use super::Error;
use crate::base::progress::Progress;
use crate::config::Workspace;
pub use crate::verify::{Options, RunCheck, Verified};

/// Proves the patches of the targets.
///
/// # Errors
/// Those of the room.
pub fn verify(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Verified, Error> {
    Ok(crate::verify::verify(workspace, options, progress)?)
}

impl Outcome for Verified {
    const SCHEMA: &'static str = "overlayctl.verify/1";

    fn document(&self, verbose: bool) -> Document {
        show::document(self, verbose)
    }

    fn verdict(&self) -> Option<Verdict> {
        self.ending()
    }
}
