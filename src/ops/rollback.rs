//! `rollback`: a board back to a generation that was confirmed before.

use std::time::Duration;

use serde::Serialize;

use super::deploy::{CONFIRM_WITHIN, device, entry, keep, unclean};
use crate::base::diagnostic::Warning;
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::deploy::{self, Ending, Session, by_whom, now};
use crate::ops::{Error, Outcome};
use crate::targets::Selection;

/// What `rollback` is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub selection: Selection,
    /// The generation; the one before the current one when `None`.
    pub to: Option<u32>,
    pub confirm_within: Option<Duration>,
}

/// What `rollback` did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RolledBack {
    pub board: String,
    pub device: String,
    pub from: Option<u32>,
    pub to: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<String>,
    pub warnings: Vec<Warning>,
}

/// Switches a board back; the check of that generation runs, and it is confirmed, as in a deploy.
///
/// # Errors
/// [`deploy::Error`].
pub fn rollback(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<RolledBack, Error> {
    let device = device(workspace, &options.selection)?;
    progress.stage(&format!("connecting to {}", device.address));
    let session = Session::open(device.clone())?;
    let held = session.hold(&format!("{} since {}", by_whom(), now()))?;
    let found = session.look(&[])?;
    let before = |generation: &u32| found.current.is_some_and(|current| *generation < current);
    let to = match options.to {
        Some(to) => found.generations.contains(&to).then_some(to),
        None => found.generations.iter().copied().rfind(before),
    };
    let Some(to) = to.filter(|to| Some(*to) != found.current) else {
        let has = found.generations.iter().copied().filter(|generation| Some(*generation) != found.current).collect();
        return Err(deploy::Error::NoGeneration { address: device.address, wanted: options.to, has }.into());
    };
    let mut entry = entry("rollback", &device.board, workspace, Vec::new(), &[]);
    entry.generation = Some(to);
    progress.stage(&format!("switching {} to generation {to}", device.address));
    let within = options.confirm_within.unwrap_or(CONFIRM_WITHIN);
    session.switch(&held, to, &Ending { within, entry: &entry })?;
    let left = session.clean(&held).err().map(|error| unclean(&error));
    let warnings = keep(workspace, &entry).into_iter().chain(left).collect();
    let (board, device) = (device.board, device.address);
    Ok(RolledBack { board, device, from: found.current, to, settled: held.settled.clone(), warnings })
}

impl Outcome for RolledBack {
    const SCHEMA: &'static str = "overlayctl.rollback/1";
}
