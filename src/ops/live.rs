//! Nix's events as a picture that people follow.

use std::collections::BTreeSet;
use std::time::Duration;

use super::build::Plan;
use crate::base::progress::{Picture, Progress, Running, Step};
use crate::base::store_path;
use crate::comparison::Comparison;
use crate::graph::Delta;
use crate::nix::{BuildState, Change, Event, Status};

/// The longest line of a log that is shown, in characters.
const LINE: usize = 100;

/// Turns events into steps and pictures.
pub(super) struct Live<'p> {
    progress: &'p mut dyn Progress,
    /// The chain from root cause to target: `.drv` paths.
    chain: Vec<String>,
    total: usize,
    planned: BTreeSet<String>,
    expected: Option<Duration>,
    last_tick: Duration,
}

impl<'p> Live<'p> {
    pub(super) fn new(
        comparison: &Comparison,
        delta: &Delta<'_>,
        plan: &Plan,
        expected: Option<Duration>,
        progress: &'p mut dyn Progress,
    ) -> Live<'p> {
        let after = &comparison.after;
        let chain = delta.longest_chain().unwrap_or_default();
        Live {
            progress,
            chain: chain.iter().map(|id| after.node(*id).drv_path().to_string()).collect(),
            total: plan.build.len(),
            planned: plan.build.iter().map(|b| b.drv_path.clone()).collect(),
            expected,
            last_tick: Duration::ZERO,
        }
    }

    pub(super) fn on_event(&mut self, event: &Event, state: &BuildState) {
        let name = |drv: &str| store_path::drv_name(drv).to_string();
        let build = |drv: &str| state.builds.get(drv);
        let step = match event {
            Event::Change(Change::Started(drv)) => Some(Step::Began {
                drv_path: drv.to_string(),
                name: name(drv),
                host: build(drv).and_then(|b| b.host.clone()),
            }),
            Event::Change(Change::Ended(drv)) => match build(drv) {
                Some(b) if b.status == Status::Failed => Some(Step::Failed {
                    drv_path: drv.to_string(),
                    name: name(drv),
                    reason: b.failure.as_ref().map_or_else(|| "its builder failed".into(), |f| f.reason.to_string()),
                }),
                // Nix did not say how it ended; the report will.
                Some(b) if b.status != Status::Built => None,
                Some(b) => Some(Step::Built {
                    drv_path: drv.to_string(),
                    name: name(drv),
                    took: b.elapsed(state.now).unwrap_or_default(),
                }),
                None => None,
            },
            Event::Change(Change::Blocked(drv)) => Some(Step::Blocked { drv_path: drv.to_string(), name: name(drv) }),
            // What goes to a remote builder (from `local`) and what comes back from it is no news.
            Event::Change(Change::Fetched(at)) => state
                .fetches
                .get(*at)
                .filter(|f| f.from.contains("://"))
                .filter(|f| !state.builds.values().any(|b| b.host.as_ref().is_some_and(|h| h.starts_with(&f.from))))
                .map(|f| Step::Fetched { name: store_path::name(&f.path).to_string(), from: f.from.clone() }),
            // Errors and warnings; what is merely information would drown the rest. The warning that the result may be
            // garbage collected is left out: the links are made after the build.
            Event::Change(Change::Message(level, text)) if *level <= 1 && !text.contains("'--add-root'") => {
                Some(Step::Said { text: text.lines().next().unwrap_or_default().to_string() })
            }
            _ => None,
        };
        match step {
            Some(step) => {
                let picture = self.picture(state);
                self.progress.step(&step, &picture);
            }
            // Log lines come by the thousand; the picture is drawn ten times a second at most.
            None if state.now.saturating_sub(self.last_tick) >= Duration::from_millis(100) => {
                self.last_tick = state.now;
                let picture = self.picture(state);
                self.progress.tick(&picture);
            }
            None => {}
        }
    }

    fn picture(&self, state: &BuildState) -> Picture {
        let done = |drv: &String| match state.builds.get(drv.as_str()) {
            Some(build) => build.status == Status::Built,
            // Not in the plan: it was there before.
            None => !self.planned.contains(drv),
        };
        let running = state.builds.iter().filter(|(_, b)| b.status == Status::Running).map(|(drv, b)| Running {
            name: store_path::drv_name(drv).to_string(),
            phase: b.phases.last().map(|p| p.name.clone()),
            elapsed: b.elapsed(state.now).unwrap_or_default(),
            host: b.host.clone(),
            last_line: b.tail.back().map(|line| line.chars().take(LINE).collect()),
        });
        let total = self.total.max(state.builds.len());
        let seen = state.builds.len() - state.count(Status::Planned);
        Picture {
            built: state.count(Status::Built),
            total,
            failed: state.count(Status::Failed),
            waiting: total.saturating_sub(seen),
            running: running.collect(),
            chain: self.chain.iter().map(|drv| (store_path::drv_name(drv).to_string(), done(drv))).collect(),
            elapsed: state.now,
            expected: self.expected,
        }
    }
}
