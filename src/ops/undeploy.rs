//! `undeploy`: some targets, or all that deploys made, off a board.

use serde::Serialize;

use super::deploy::{CONFIRM_WITHIN, device, entry, keep, unclean};
use crate::base::diagnostic::Warning;
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::deploy::{self, Ending, Record, Session, by_whom, now};
use crate::ops::{Error, Outcome};
use crate::targets::{Selection, engine};

/// What `undeploy` did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Undeployed {
    pub board: String,
    pub device: String,
    /// The targets that went.
    pub targets: Vec<String>,
    /// Those that stay, in this generation.
    pub left: Vec<String>,
    pub generation: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<String>,
    pub warnings: Vec<Warning>,
}

/// Takes the targets that the selection names, else everything, off its board.
///
/// # Errors
/// [`deploy::Error`].
pub fn undeploy(
    workspace: &Workspace,
    selection: &Selection,
    progress: &mut dyn Progress,
) -> Result<Undeployed, Error> {
    let device = device(workspace, selection)?;
    progress.stage(&format!("connecting to {}", device.address));
    let session = Session::open(device.clone())?;
    let held = session.hold(&format!("{} since {}", by_whom(), now()))?;
    let found = session.look(&[])?;
    let old = found.record.as_ref().map(|record| record.placed.clone()).unwrap_or_default();
    let names: Vec<String> = old.iter().map(|placed| placed.target.clone()).collect();
    if let Some(target) = selection.targets.iter().find(|target| !names.contains(target)) {
        let (target, address) = (target.clone(), device.address);
        return Err(deploy::Error::NotThere { target, address, has: names }.into());
    }
    let goes = |name: &String| selection.targets.is_empty() || selection.targets.contains(name);
    let left: Vec<_> = old.into_iter().filter(|placed| !goes(&placed.target)).collect();
    let mut entry = entry("undeploy", &device.board, workspace, Vec::new(), &left);
    let (gone, stay): (Vec<String>, Vec<String>) = names.into_iter().partition(goes);
    let mut warnings = Vec::new();
    let generation = if left.is_empty() {
        progress.stage(&format!("taking everything off {}", device.address));
        session.remove(&held)?;
        None
    } else {
        if let Some(record) = &found.record {
            entry.patches.clone_from(&record.entry.patches);
        }
        let mut record = Record { entry, placed: left, commands: deploy::commands(&device) };
        let (generation, _) = session.send(&held, &found, &engine::nix(workspace)?, &[], &mut record)?;
        entry = record.entry;
        progress.stage(&format!("switching {} to generation {generation}", device.address));
        session.switch(&held, generation, &Ending { within: CONFIRM_WITHIN, entry: &entry })?;
        warnings.extend(session.clean(&held).err().map(|error| unclean(&error)));
        Some(generation)
    };
    warnings.extend(keep(workspace, &entry));
    let (board, device) = (device.board, device.address);
    Ok(Undeployed { board, device, targets: gone, left: stay, generation, settled: held.settled.clone(), warnings })
}

impl Outcome for Undeployed {
    const SCHEMA: &'static str = "overlayctl.undeploy/1";
}
