//! `verify`: for each patch of each target, is it in?

use super::Outcome;
use crate::base::diagnostic::Verdict;

use super::Error;
use super::history::History;
use crate::base::progress::Progress;
use crate::config::Workspace;
pub use crate::verify::{COMPARE_LIMIT, Options, RunCheck, Verified};

/// Proves the patches of the targets.
pub fn verify(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Verified, Error> {
    let history = History::open();
    let expected = |pname: &str, name: &str, system: &str| history.expected(pname, name, system);
    Ok(crate::verify::verify(workspace, options, &expected, progress)?)
}

impl Outcome for Verified {
    const SCHEMA: &'static str = "overlayctl.verify/2";

    fn verdict(&self) -> Option<Verdict> {
        self.ending()
    }
}
