//! What outlives a run: logs and durations, kept when each build ends, so that a run that is killed has kept them too.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::diagnostic::{Coded as _, Warning};
use crate::base::fs;
use crate::config::state::log_file;
use crate::graph::Graph;
use crate::nix::{self, BuildReport, BuildState, Change, Event, Nix, Status};
use crate::ops::Error;
use crate::ops::history::History;

/// Keeps logs and durations.
pub(super) struct Keeper<'a> {
    nix: &'a Nix,
    after: &'a Graph,
    history: History,
    logs: PathBuf,
    kept: BTreeSet<String>,
    /// The first thing that could not be kept: no reason to end a build that goes well.
    failed: Option<Error>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(nix: &'a Nix, after: &'a Graph, history: History, logs: PathBuf) -> Keeper<'a> {
        fs::sweep(&logs);
        history.sweep();
        Keeper { nix, after, history, logs, kept: BTreeSet::new(), failed: None }
    }

    pub(super) fn on_event(&mut self, event: &Event, state: &BuildState) {
        let Event::Change(Change::Ended(drv_path)) = event else { return };
        let Some(build) = state.builds.get(drv_path) else { return };
        match build.status {
            Status::Built => self.keep(drv_path, build.elapsed(state.now)),
            Status::Failed => self.keep(drv_path, None),
            _ => {}
        }
    }

    /// Keeps what Nix said nothing of at the time.
    pub(super) fn rest(&mut self, report: &BuildReport) {
        if report.interrupted {
            return;
        }
        for (drv_path, result) in &report.results {
            match result.outcome {
                // Nor did it say when it ended, so its duration is not known.
                nix::Outcome::Built | nix::Outcome::Failed => self.keep(drv_path, None),
                _ => {}
            }
        }
    }

    /// Returns what the user should know of what could not be kept.
    pub(super) fn warning(self) -> Option<Warning> {
        let error = self.failed?;
        let text = match std::error::Error::source(&error) {
            Some(why) => format!("logs or durations could not be kept: {error}: {why}"),
            None => format!("logs or durations could not be kept: {error}"),
        };
        Some(Warning { code: "OV1150", message: text, place: error.place(), hint: error.hint() })
    }

    fn keep(&mut self, drv_path: &str, took: Option<Duration>) {
        if !self.kept.insert(drv_path.to_string()) {
            return;
        }
        let done = self.log(drv_path).and_then(|()| self.duration(drv_path, took));
        match done {
            Ok(()) | Err(Error::Nix(nix::Error::Interrupted)) => {}
            Err(error) => drop(self.failed.get_or_insert(error)),
        }
    }

    /// Copies a log out of the store, so that it outlives a garbage collection.
    fn log(&self, drv_path: &str) -> Result<(), Error> {
        let mut file = fs::NewFile::begin(&log_file(&self.logs, drv_path))?;
        let mut written = Ok(());
        let there = self.nix.read_log(drv_path, &mut |line| {
            if written.is_ok() {
                written = file.add(line);
            }
        })?;
        written?;
        if there {
            file.finish()?;
        }
        Ok(())
    }

    fn duration(&mut self, drv_path: &str, took: Option<Duration>) -> Result<(), Error> {
        if let (Some(took), Some(id)) = (took, self.after.find(drv_path)) {
            let node = self.after.node(id);
            self.history.record(node.pname(), node.name(), node.system(), took)?;
        }
        Ok(())
    }
}
