//! A build driven through Nix to its report.
//!
//! `nix-store --realise` does it, with the log as internal-json: it is the one command that takes several derivations,
//! goes on after a failure, says what it does and has the same options in every version. Must not decide what is built.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::error::Error;
use super::instantiate::{Instantiated, Output};
use super::log::Message;
use super::program::Nix;
use super::reason::{Failure, Reason};
use super::state::{BuildState, Event, Fetch, Status};
use super::store::{DryRun, setting};
use crate::base::process::{Exec, ProcessError};

/// One derivation that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// Its `.drv` path.
    pub drv_path: String,
    /// The outputs that are wanted; all when empty.
    pub outputs: Vec<Output>,
    /// Where the link to the first output goes, a garbage collector root; the others get `-NAME` behind it.
    pub link: Option<PathBuf>,
}

impl Goal {
    /// Makes the goal of what an attribute stands for: its own output, not the others.
    pub fn of(target: &Instantiated, link: Option<PathBuf>) -> Goal {
        let outputs = target.outputs.iter().filter(|o| o.path == target.out_path).cloned().collect();
        Goal { drv_path: target.drv_path.clone(), outputs, link }
    }

    fn argument(&self) -> String {
        if self.outputs.is_empty() {
            return self.drv_path.clone();
        }
        let names: Vec<&str> = self.outputs.iter().map(|o| o.name.as_str()).collect();
        format!("{}!{}", self.drv_path, names.join(","))
    }
}

/// What is to be built and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildRequest {
    pub goals: Vec<Goal>,
    pub settings: BuildSettings,
}

/// How something is built; what is `None` is as Nix is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildSettings {
    /// Go on after a failure.
    pub keep_going: bool,
    /// How many builds at a time here (`auto` or a number).
    pub max_jobs: Option<String>,
    /// How many cores a build may use (0: all).
    pub cores: Option<u32>,
    /// The longest that a build may take, in seconds.
    pub timeout: Option<u64>,
    /// The longest that a build may be silent, in seconds.
    pub max_silent_time: Option<u64>,
    /// Build again what is there already and compare (`--check`).
    pub check: bool,
    /// The remote builders, as in Nix's `builders` setting.
    pub builders: Option<String>,
    /// The caches, as in Nix's `substituters` setting.
    pub substituters: Option<String>,
    /// What else Nix is given, as it is.
    pub extra_args: Vec<OsString>,
}

/// What became of a derivation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Built,
    /// It was fetched from a cache.
    Substituted,
    Already,
    /// It is not there, and nothing needs it: what would was fetched or there.
    NotNeeded,
    Failed,
    /// Something that it needs failed.
    Blocked,
    /// Its turn never came, or it was ended with the run.
    #[default]
    NotRun,
}

/// What is known of one derivation afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildResult {
    pub outcome: Outcome,
    /// The machine that built it, when it was another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed: Option<Duration>,
    pub phases: Vec<(String, Duration)>,
    /// The last lines of its log, without control sequences.
    pub tail: Vec<String>,
    /// How many lines its log has.
    pub lines: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildReport {
    /// The derivations that were wanted, and all others that Nix named, by `.drv` path.
    pub results: BTreeMap<String, BuildResult>,
    /// The paths that were fetched or copied.
    pub fetches: Vec<Fetch>,
    /// What Nix said, errors and warnings, without control sequences.
    pub messages: Vec<String>,
    /// The exit status of Nix: 0 all built; 100 a build failed, 101 timed out, 102 hash mismatch, 104 not deterministic
    /// (bits of one number when several); 1 anything else. `None` when a signal ended it.
    pub status: Option<i32>,
    pub interrupted: bool,
    /// Links that could not be made, each with the reason.
    pub unlinked: Vec<(PathBuf, String)>,
    pub elapsed: Duration,
}

impl BuildReport {
    /// Returns the first failure that is not a consequence of another one.
    pub fn first_failure(&self) -> Option<(&str, &BuildResult)> {
        self.results.iter().find(|(_, r)| r.outcome == Outcome::Failed).map(|(drv, r)| (drv.as_str(), r))
    }

    /// Makes an error of a run that did not do what was wanted.
    ///
    /// # Errors
    /// [`Error::Interrupted`], [`Error::BuildFailed`] with the first failure, or what Nix said.
    pub fn check(&self) -> Result<(), Error> {
        if self.interrupted {
            return Err(Error::Interrupted);
        }
        if self.status == Some(0) {
            return match self.unlinked.first() {
                None => Ok(()),
                Some((link, message)) => Err(Error::NoLink { link: link.clone(), message: message.clone() }),
            };
        }
        if let Some((drv, result)) = self.first_failure() {
            let reason = result.failure.as_ref().map_or_else(|| "its builder failed".into(), |f| f.reason.to_string());
            return Err(Error::BuildFailed { drv_path: drv.to_string(), reason });
        }
        Err(Error::of_text(Path::new("nix-store"), &self.messages.join("\n")))
    }
}

impl Nix {
    /// Builds, telling `on_event` of everything that happens and the state after it; about twenty times a second also
    /// while nothing happens.
    ///
    /// That a build fails is in the report. So is that the user interrupted it.
    pub fn build(
        &self,
        request: &BuildRequest,
        on_event: &mut dyn FnMut(&Event, &BuildState),
    ) -> Result<BuildReport, Error> {
        let exec = self.build_call(request);
        let began = Instant::now();
        let mut state = BuildState::with_goals(request.goals.iter().map(|goal| goal.drv_path.as_str()));
        let ended = exec.stream_with_ticks(&mut |line| match line {
            Some((_, line)) => {
                let message = Message::read(line);
                while let Some(change) = state.quiet_end(Some(&message), began.elapsed()) {
                    on_event(&Event::Change(change), &state);
                }
                if let Some(change) = state.apply(&message, began.elapsed()) {
                    on_event(&Event::Change(change), &state);
                }
            }
            None => {
                while let Some(change) = state.quiet_end(None, began.elapsed()) {
                    on_event(&Event::Change(change), &state);
                }
                state.now = began.elapsed();
                on_event(&Event::Tick, &state);
            }
        });
        let (status, interrupted) = match ended {
            Ok(status) => (status.code(), false),
            Err(ProcessError::Interrupted) => (None, true),
            Err(e) => return Err(e.into()),
        };
        let mut report = self.report(request, &state, status, interrupted)?;
        report.elapsed = began.elapsed();
        for goal in &request.goals {
            let outcome = report.results.get(&goal.drv_path).map(|r| r.outcome);
            let is_there = matches!(outcome, Some(Outcome::Built | Outcome::Substituted | Outcome::Already));
            if is_there
                && !interrupted
                && let Some(link) = &goal.link
                && let Err(error) = self.link(goal, link)
            {
                report.unlinked.push((link.clone(), error.to_string()));
            }
        }
        Ok(report)
    }

    /// Says what a build would do; nothing is built or fetched.
    pub fn plan_build(&self, request: &BuildRequest) -> Result<DryRun, Error> {
        // With --check everything counts as there, so what is missing below the goals is asked for without it.
        let settings = BuildSettings { check: false, ..request.settings.clone() };
        let request = BuildRequest { goals: request.goals.clone(), settings };
        let exec = self.wishes(self.store_call().args(["--realise", "--dry-run"]), &request);
        Ok(DryRun::read(&String::from_utf8_lossy(&self.output(&exec)?.stderr)))
    }

    fn build_call(&self, request: &BuildRequest) -> Exec {
        self.wishes(self.store_call().args(["--log-format", "internal-json", "--realise"]), request)
    }

    fn wishes(&self, mut exec: Exec, request: &BuildRequest) -> Exec {
        let settings = &request.settings;
        if settings.keep_going {
            exec = exec.arg("--keep-going");
        }
        if settings.check {
            exec = exec.arg("--check");
        }
        exec.args(setting("max-jobs", settings.max_jobs.as_ref()))
            .args(setting("cores", settings.cores))
            .args(setting("timeout", settings.timeout))
            .args(setting("max-silent-time", settings.max_silent_time))
            .args(setting("builders", settings.builders.as_ref()))
            .args(setting("substituters", settings.substituters.as_ref()))
            .args(&settings.extra_args)
            .args(request.goals.iter().map(Goal::argument))
    }

    fn report(
        &self,
        request: &BuildRequest,
        state: &BuildState,
        status: Option<i32>,
        interrupted: bool,
    ) -> Result<BuildReport, Error> {
        let mut results: BTreeMap<String, BuildResult> = state
            .builds
            .iter()
            .map(|(drv, build)| {
                let outcome = match build.status {
                    Status::Built => Outcome::Built,
                    Status::Failed => Outcome::Failed,
                    Status::Blocked => Outcome::Blocked,
                    Status::Stopped if status == Some(0) => Outcome::Built,
                    // Another process built it before its turn came.
                    Status::Planned if status == Some(0) => Outcome::Already,
                    Status::Stopped | Status::Planned | Status::Running => Outcome::NotRun,
                };
                let phases = build.phase_times(state.now).into_iter().map(|(n, d)| (n.to_string(), d)).collect();
                let result = BuildResult {
                    outcome,
                    host: build.host.clone(),
                    elapsed: build.elapsed(state.now),
                    phases,
                    tail: build.tail.iter().cloned().collect(),
                    lines: build.lines,
                    failure: build.failure.clone(),
                };
                (drv.to_string(), result)
            })
            .collect();
        // After Ctrl-C nothing is started any more, so nobody can be asked.
        if status != Some(0) && !interrupted {
            self.settle(state, &mut results)?;
        }
        for goal in &request.goals {
            if results.contains_key(&goal.drv_path) {
                continue;
            }
            let fetched = goal.outputs.iter().any(|o| state.fetches.iter().any(|f| f.path == o.path));
            let outcome = if fetched {
                Outcome::Substituted
            } else if status == Some(0) || (!interrupted && self.is_there(goal)?) {
                Outcome::Already
            } else {
                Outcome::NotRun
            };
            results.insert(goal.drv_path.clone(), BuildResult { outcome, ..BuildResult::default() });
        }
        let worth = |level: u64| level <= 1;
        Ok(BuildReport {
            results,
            fetches: state.fetches.clone(),
            messages: state.messages.iter().filter(|(level, _)| worth(*level)).map(|(_, text)| text.clone()).collect(),
            status,
            interrupted,
            unlinked: Vec::new(),
            elapsed: Duration::ZERO,
        })
    }

    /// Finds out about builds that ended without Nix saying how: what the store has was built.
    fn settle(&self, state: &BuildState, results: &mut BTreeMap<String, BuildResult>) -> Result<(), Error> {
        let timed_out = state.messages.iter().find(|(level, text)| *level == 0 && text.contains("timed out after"));
        let stopped: Vec<&Arc<str>> =
            state.builds.iter().filter(|(_, b)| b.status == Status::Stopped).map(|(drv, _)| drv).collect();
        for drv in stopped {
            let outputs = self.outputs(&[drv.as_ref()])?;
            let Some(result) = results.get_mut(drv.as_ref()) else { continue };
            if !outputs.is_empty() && self.valid(&outputs)?.len() == outputs.len() {
                result.outcome = Outcome::Built;
            }
        }
        // Nix 2.34 does not say which build timed out: the failed one without another reason.
        if let Some((_, message)) = timed_out {
            let unexplained = results.values_mut().filter(|r| r.outcome == Outcome::Failed && r.failure.is_none());
            for result in unexplained {
                let reason = Reason::TimedOut { message: message.trim_start_matches("error:").trim().to_string() };
                result.failure = Some(Failure { reason, message: message.clone() });
            }
        }
        Ok(())
    }

    fn is_there(&self, goal: &Goal) -> Result<bool, Error> {
        let paths: Vec<&str> = goal.outputs.iter().map(|o| o.path.as_str()).collect();
        Ok(!paths.is_empty() && self.valid(&paths)?.len() == paths.len())
    }

    fn link(&self, goal: &Goal, link: &Path) -> Result<(), Error> {
        for (i, output) in goal.outputs.iter().enumerate() {
            if i == 0 {
                self.add_root(&output.path, link)?;
            } else {
                let mut name = link.as_os_str().to_os_string();
                name.push(format!("-{}", output.name));
                self.add_root(&output.path, Path::new(&name))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::program::Settings;

    fn words(exec: &Exec) -> Vec<&str> {
        exec.args.iter().map(|a| a.to_str().unwrap()).collect()
    }

    fn goal(drv: &str, outputs: &[&str]) -> Goal {
        let outputs = outputs.iter().map(|o| Output { name: o.to_string(), path: format!("/nix/store/x-{o}") });
        Goal { drv_path: drv.into(), outputs: outputs.collect(), link: None }
    }

    const COMMON: [&str; 5] =
        ["--extra-experimental-features", "nix-command flakes", "--log-format", "internal-json", "--realise"];

    #[test]
    fn a_plain_build_leaves_everything_to_the_configuration() {
        let nix = Nix::for_argument_tests(Settings::default());
        let request = BuildRequest { goals: vec![goal("/nix/store/a.drv", &[])], ..BuildRequest::default() };
        assert_eq!(words(&nix.build_call(&request)), [&COMMON[..], &["/nix/store/a.drv"]].concat());
    }

    #[test]
    fn every_wish_is_an_argument() {
        let nix = Nix::for_argument_tests(Settings::default());
        let request = BuildRequest {
            goals: vec![goal("/nix/store/a.drv", &["out", "dev"]), goal("/nix/store/b.drv", &[])],
            settings: BuildSettings {
                keep_going: true,
                max_jobs: Some("auto".into()),
                cores: Some(0),
                timeout: Some(60),
                max_silent_time: Some(30),
                check: true,
                builders: Some("ssh-ng://b x86_64-linux /k 2 1".into()),
                substituters: Some(String::new()),
                extra_args: vec!["--fallback".into()],
            },
        };
        let rest = [
            "--keep-going",
            "--check",
            "--option",
            "max-jobs",
            "auto",
            "--option",
            "cores",
            "0",
            "--option",
            "timeout",
            "60",
            "--option",
            "max-silent-time",
            "30",
            "--option",
            "builders",
            "ssh-ng://b x86_64-linux /k 2 1",
            "--option",
            "substituters",
            "",
            "--fallback",
            "/nix/store/a.drv!out,dev",
            "/nix/store/b.drv",
        ];
        assert_eq!(words(&nix.build_call(&request)), [&COMMON[..], &rest[..]].concat());
    }
}
