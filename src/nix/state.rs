//! The state of a build, from the messages of the log: pure, with the time handed in.
//!
//! Derivations are keyed by their `.drv` path: a remote build has two activities, one here and one on the other machine.
//! Whether a build that stopped was built or failed is known from the counters that Nix sends right before (done, failed)
//! and from its error messages, whichever comes first. Must not read a clock or start anything.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::log::{Field, Message, activity, result};
use super::reason::{Failure, Reason, read_failure};
use crate::base::process::strip_controls;

/// How many of the last lines of a build's log are kept.
const TAIL: usize = 40;
/// How many messages of Nix are kept.
const MAX_MESSAGES: usize = 1000;

/// Where a derivation stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Nix said that it will be built.
    #[default]
    Planned,
    Running,
    Built,
    Failed,
    /// It was not built because something that it needs failed.
    Blocked,
    /// Its build ended and Nix did not say how: ended with the run, or by someone else.
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// Its name (`buildPhase`).
    pub name: String,
    /// When it began, since the start of the run.
    #[serde(skip)]
    pub began: Duration,
}

/// What is known of one derivation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    /// Where it stands.
    pub status: Status,
    /// The machine that builds it, when it is another one.
    pub host: Option<String>,
    pub phases: Vec<Phase>,
    /// The last lines of its log, without control sequences.
    pub tail: VecDeque<String>,
    /// How many lines its log has.
    pub lines: u64,
    /// When it began, since the start of the run.
    pub began: Option<Duration>,
    /// When it ended.
    pub ended: Option<Duration>,
    pub failure: Option<Failure>,
    /// How many of its activities run.
    activities: u32,
}

impl Build {
    /// Returns how long it took, or has taken at `now`.
    pub fn elapsed(&self, now: Duration) -> Option<Duration> {
        Some(self.ended.unwrap_or(now).saturating_sub(self.began?))
    }

    /// Returns each phase with its duration, up to the end or to `now`.
    pub fn phase_times(&self, now: Duration) -> Vec<(&str, Duration)> {
        let ends = self.phases.iter().skip(1).map(|p| p.began).chain([self.ended.unwrap_or(now)]);
        self.phases.iter().zip(ends).map(|(p, end)| (p.name.as_str(), end.saturating_sub(p.began))).collect()
    }
}

/// A path that is copied or fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fetch {
    pub path: String,
    pub from: String,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all, as far as known.
    pub expected: u64,
    pub ended: bool,
}

/// What a message changed, for a live view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A build began.
    Started(Arc<str>),
    /// A build entered a phase.
    Phase(Arc<str>, String),
    /// A build printed a line (without control sequences).
    Line(Arc<str>, String),
    /// A build ended; its status says how.
    Ended(Arc<str>),
    /// A derivation will not be built: its dependencies failed.
    Blocked(Arc<str>),
    /// A path is fetched, by its index in [`BuildState::fetches`].
    Fetching(usize),
    Fetched(usize),
    /// Nix said something: level and text.
    Message(u64, String),
}

/// What a build tells while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Change(Change),
    /// Nothing did; time goes by.
    Tick,
}

#[derive(Debug, Clone, Default)]
pub struct BuildState {
    /// The derivations that Nix named, by `.drv` path.
    pub builds: BTreeMap<Arc<str>, Build>,
    /// The paths that Nix said it will fetch.
    pub planned_fetches: Vec<String>,
    /// The paths that were copied or fetched.
    pub fetches: Vec<Fetch>,
    /// Messages of Nix: level and text, without control sequences.
    pub messages: Vec<(u64, String)>,
    /// The time of the last message.
    pub now: Duration,
    activities: HashMap<u64, Activity>,
    planning: Planning,
    /// What the counters said last of a build that ended: `Some(true)` failed.
    hint: Option<bool>,
    /// What is wanted: Nix keeps the activities of these open until the end of the run.
    goals: BTreeSet<Arc<str>>,
    /// How many builds the counters counted as done, and as failed, whose activities have not stopped.
    quiet: Quiet,
}

#[derive(Debug, Clone, Copy, Default)]
struct Quiet {
    done: usize,
    failed: usize,
}

#[derive(Debug, Clone)]
enum Activity {
    Build(Arc<str>),
    Fetch(usize),
    Builds { done: u64, failed: u64 },
    Other,
}

/// Which list of paths Nix is printing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Planning {
    #[default]
    Nothing,
    Builds,
    Fetches,
}

impl BuildState {
    /// Makes the state before anything happened in a run in which these derivations are wanted.
    pub fn with_goals<'a>(goals: impl IntoIterator<Item = &'a str>) -> BuildState {
        BuildState { goals: goals.into_iter().map(Arc::from).collect(), ..BuildState::default() }
    }

    /// Finds a wanted derivation that was built, or failed, although its activity goes on: what the counters told and no stop
    /// followed. To be called before each message is applied (`None` while there is none), until it finds nothing more.
    ///
    /// Nix stops the activity of what it was asked for at the end of the run only, however long other builds take.
    pub fn quiet_end(&mut self, message: Option<&Message<'_>>, now: Duration) -> Option<Change> {
        // Counters and the stop that belongs to them come in one go.
        let in_between = match message {
            Some(Message::Stop { .. }) => true,
            Some(Message::Result { kind, .. }) => matches!(*kind, result::PROGRESS | result::SET_EXPECTED),
            _ => false,
        };
        let ended = self.quiet.done + self.quiet.failed;
        if ended == 0 || in_between {
            return None;
        }
        let running = |drv: &&Arc<str>| self.builds.get(*drv).is_some_and(|b| b.status == Status::Running);
        let candidates: Vec<Arc<str>> = self.goals.iter().filter(running).cloned().collect();
        let Some(drv) = candidates.first().cloned() else {
            self.quiet = Quiet::default();
            return None;
        };
        // When several may be meant, their stops will tell.
        let status = match self.quiet {
            _ if candidates.len() > ended => return None,
            Quiet { failed: 0, .. } => Status::Built,
            Quiet { done: 0, .. } => Status::Failed,
            _ => return None,
        };
        match status {
            Status::Built => self.quiet.done -= 1,
            _ => self.quiet.failed -= 1,
        }
        self.hint = None;
        self.now = now;
        let build = self.builds.get_mut(&drv)?;
        build.status = status;
        build.ended = Some(now);
        Some(Change::Ended(drv))
    }

    /// Takes one message that came `now` after the start.
    pub fn apply(&mut self, message: &Message<'_>, now: Duration) -> Option<Change> {
        self.now = now;
        match message {
            Message::Start { id, kind, fields, text, .. } => self.start(*id, *kind, fields, text),
            Message::Stop { id } => self.stop(*id),
            Message::Result { id, kind, fields } => self.result(*id, *kind, fields),
            Message::Text { level, text } => self.text(*level, text),
            Message::Plain(text) if text.is_empty() => None,
            // Not of the log format: what comes before Nix has read its options, or a wrapper's own words.
            Message::Plain(text) if text.starts_with("error") => self.text(0, text),
            Message::Plain(text) if text.starts_with("warning") => self.text(1, text),
            Message::Plain(text) | Message::Unknown(text) => self.say(3, strip_controls(text)),
        }
    }

    /// Counts the derivations that stand at `status`.
    pub fn count(&self, status: Status) -> usize {
        self.builds.values().filter(|b| b.status == status).count()
    }

    fn start(&mut self, id: u64, kind: u64, fields: &[Field<'_>], text: &str) -> Option<Change> {
        let field = |i: usize| fields.get(i).and_then(Field::text);
        match (kind, field(0)) {
            (activity::BUILD, Some(drv)) => {
                let drv = self.key(drv);
                self.activities.insert(id, Activity::Build(Arc::clone(&drv)));
                let now = self.now;
                let build = self.builds.entry(Arc::clone(&drv)).or_default();
                build.activities += 1;
                if let Some(host) = field(1).filter(|h| !h.is_empty()) {
                    build.host = Some(host.to_string());
                }
                if build.status == Status::Running {
                    return None;
                }
                build.status = Status::Running;
                build.began.get_or_insert(now);
                build.ended = None;
                Some(Change::Started(drv))
            }
            (activity::SUBSTITUTE | activity::COPY_PATH, Some(path)) => {
                let from = field(1).unwrap_or_default();
                // Fetching from a cache is a substitution with a copy inside: one fetch.
                let known = self.fetches.iter().rposition(|f| f.path == path && !f.ended);
                let at = known.unwrap_or_else(|| {
                    self.fetches.push(Fetch {
                        path: path.to_string(),
                        from: from.to_string(),
                        done: 0,
                        expected: 0,
                        ended: false,
                    });
                    self.fetches.len() - 1
                });
                self.activities.insert(id, if known.is_some() { Activity::Other } else { Activity::Fetch(at) });
                if known.is_none() { Some(Change::Fetching(at)) } else { None }
            }
            (activity::BUILDS, _) => {
                self.activities.insert(id, Activity::Builds { done: 0, failed: 0 });
                None
            }
            // For a lock that another process holds, or for a machine: who wonders why nothing happens wants to know.
            (activity::BUILD_WAITING, _) if !text.is_empty() => self.say(1, strip_controls(text)),
            _ => None,
        }
    }

    fn stop(&mut self, id: u64) -> Option<Change> {
        match self.activities.remove(&id)? {
            Activity::Build(drv) => {
                let now = self.now;
                let build = self.builds.get_mut(&drv)?;
                build.activities = build.activities.saturating_sub(1);
                let hint = self.hint.take();
                match hint {
                    Some(false) => self.quiet.done = self.quiet.done.saturating_sub(1),
                    Some(true) => self.quiet.failed = self.quiet.failed.saturating_sub(1),
                    None => {}
                }
                if build.activities > 0 || matches!(build.status, Status::Built | Status::Failed) {
                    return None;
                }
                build.status = match hint {
                    _ if build.failure.is_some() => Status::Failed,
                    Some(true) => Status::Failed,
                    Some(false) => Status::Built,
                    None => Status::Stopped,
                };
                build.ended = Some(now);
                Some(Change::Ended(drv))
            }
            Activity::Fetch(at) => {
                self.fetches.get_mut(at)?.ended = true;
                Some(Change::Fetched(at))
            }
            Activity::Builds { .. } | Activity::Other => None,
        }
    }

    fn result(&mut self, id: u64, kind: u64, fields: &[Field<'_>]) -> Option<Change> {
        let int = |i: usize| fields.get(i).and_then(Field::int).unwrap_or(0);
        match (self.activities.get_mut(&id)?, kind) {
            (Activity::Build(drv), result::BUILD_LOG_LINE | result::POST_BUILD_LOG_LINE) => {
                let drv = Arc::clone(drv);
                let line = shown(fields.first()?.text()?);
                let build = self.builds.get_mut(&drv)?;
                build.lines += 1;
                if build.tail.len() == TAIL {
                    build.tail.pop_front();
                }
                build.tail.push_back(line.clone());
                Some(Change::Line(drv, line))
            }
            (Activity::Build(drv), result::SET_PHASE) => {
                let drv = Arc::clone(drv);
                let name = shown(fields.first()?.text()?);
                let began = self.now;
                self.builds.get_mut(&drv)?.phases.push(Phase { name: name.clone(), began });
                Some(Change::Phase(drv, name))
            }
            (Activity::Builds { done, failed }, result::PROGRESS) => {
                let more = |now: u64, before: u64| usize::try_from(now.saturating_sub(before)).unwrap_or_default();
                if int(3) > *failed {
                    self.hint = Some(true);
                    self.quiet.failed += more(int(3), *failed);
                } else if int(0) > *done {
                    self.hint = Some(false);
                    self.quiet.done += more(int(0), *done);
                }
                (*done, *failed) = (int(0), int(3));
                None
            }
            (Activity::Fetch(at), result::PROGRESS) => {
                let fetch = self.fetches.get_mut(*at)?;
                (fetch.done, fetch.expected) = (int(0), int(1));
                None
            }
            _ => None,
        }
    }

    fn text(&mut self, level: u64, text: &str) -> Option<Change> {
        let text = strip_controls(text);
        if let Some(planning) = self.planned(&text) {
            self.planning = planning;
            return None;
        }
        self.planning = Planning::Nothing;
        if level == 0
            && let Some((drv, failure)) = read_failure(&text)
        {
            return self.fail(&drv, failure);
        }
        self.say(level, text)
    }

    /// Follows the lists that Nix prints before it begins: `these 5 derivations will be built:` and the paths below.
    fn planned(&mut self, text: &str) -> Option<Planning> {
        if let Some(path) = text.strip_prefix("  /").filter(|_| self.planning != Planning::Nothing) {
            let path = format!("/{path}");
            if self.planning == Planning::Builds {
                let drv = self.key(&path);
                self.builds.entry(drv).or_default();
            } else {
                self.planned_fetches.push(path);
            }
            return Some(self.planning);
        }
        let line = text.trim_end();
        if line.ends_with("will be built:") {
            Some(Planning::Builds)
        } else if line.contains(" will be fetched") && line.ends_with(':') {
            Some(Planning::Fetches)
        } else {
            None
        }
    }

    fn fail(&mut self, drv: &str, mut failure: Failure) -> Option<Change> {
        let drv = self.key(drv);
        let now = self.now;
        let lost = self.lost_connection();
        let build = self.builds.entry(Arc::clone(&drv)).or_default();
        if let Reason::Dependencies { .. } = failure.reason {
            build.status = Status::Blocked;
            build.failure = Some(failure);
            return Some(Change::Blocked(drv));
        }
        // The status of the helper that speaks with the other machine, not that of a builder.
        if let (Reason::Exit { status: 1 }, Some(host), Some(message)) = (&failure.reason, &build.host, lost) {
            failure.reason = Reason::MachineLost { host: host.clone(), message };
        }
        // A remote failure is told twice, first by the hook with the builder's own status.
        let known = build.failure.as_ref().is_some_and(|f| !matches!(f.reason, Reason::Other { .. }));
        if !known {
            build.failure = Some(failure);
        }
        let was = build.status;
        if (build.activities == 0 || self.goals.contains(&drv)) && was != Status::Blocked {
            build.status = Status::Failed;
            build.ended.get_or_insert(now);
        }
        (build.status == Status::Failed && was != Status::Failed).then_some(Change::Ended(drv))
    }

    /// Returns the last words about a connection that ended before its time.
    fn lost_connection(&self) -> Option<String> {
        let words = [
            "unexpected end-of-file",
            "Broken pipe",
            "Connection reset",
            "Connection closed",
            "cannot open connection",
            "disconnected unexpectedly",
        ];
        let lost = |text: &&String| words.iter().any(|w| text.contains(w));
        let text = self.messages.iter().rev().filter(|(level, _)| *level == 0).map(|(_, text)| text).find(lost)?;
        Some(text.lines().next()?.trim_start_matches("error:").trim().to_string())
    }

    fn say(&mut self, level: u64, text: String) -> Option<Change> {
        if self.messages.len() < MAX_MESSAGES {
            self.messages.push((level, text.clone()));
        }
        Some(Change::Message(level, text))
    }

    /// Returns the key of a derivation, shared where it is known.
    fn key(&self, drv: &str) -> Arc<str> {
        self.builds.get_key_value(drv).map_or_else(|| Arc::from(drv), |(key, _)| Arc::clone(key))
    }
}

/// Takes control sequences out, for the price of a look where there are none.
fn shown(text: &str) -> String {
    if text.bytes().any(|b| (b < b' ' && b != b'\t') || b >= 0x7f) { strip_controls(text) } else { text.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::log::tests::{recorded, stream};

    /// Applies a log with one millisecond between the lines.
    fn replay(log: &[u8]) -> (BuildState, Vec<Change>) {
        let mut state = BuildState::default();
        let mut changes = Vec::new();
        for (i, line) in log.split_inclusive(|b| *b == b'\n').enumerate() {
            changes.extend(state.apply(&Message::read(line), Duration::from_millis(i as u64)));
        }
        (state, changes)
    }

    fn named<'a>(state: &'a BuildState, name: &str) -> &'a Build {
        let found = state.builds.iter().find(|(drv, _)| crate::base::store_path::drv_name(drv) == name);
        found.unwrap_or_else(|| panic!("no {name}")).1
    }

    #[test]
    fn the_recorded_chain_in_three_versions() {
        for (version, builds, lines) in [("2.8.0", 5, 2109), ("2.26.3", 9, 2106), ("2.34.8", 9, 2710)] {
            let Some(log) = stream(version) else { return };
            let (state, changes) = replay(&log);
            assert_eq!(state.builds.len(), builds, "{version}");
            assert_eq!(state.count(Status::Built), builds, "{version}");
            assert_eq!(state.builds.values().map(|b| b.lines).sum::<u64>(), lines, "{version}");
            let musl = named(&state, "musl-1.2.3-aarch64-unknown-linux-musl");
            assert!(musl.phases.iter().any(|p| p.name == "buildPhase"), "{version}: {:?}", musl.phases);
            assert!(musl.elapsed(state.now).unwrap() > Duration::ZERO);
            let phases: Duration = musl.phase_times(state.now).iter().map(|(_, d)| *d).sum();
            assert!(phases <= musl.elapsed(state.now).unwrap(), "{version}");
            assert_eq!(changes.iter().filter(|c| matches!(c, Change::Started(_))).count(), builds);
            assert_eq!(changes.iter().filter(|c| matches!(c, Change::Ended(_))).count(), builds);
        }
    }

    #[test]
    fn failures_in_three_versions_with_what_they_block() {
        let Some(logs) = recorded() else { return };
        for version in ["2.8.0", "2.26.3", "2.34.8"] {
            let (state, changes) = replay(&std::fs::read(logs.join(format!("v-{version}/fail.json.txt"))).unwrap());
            let reason = |name: &str| named(&state, name).failure.as_ref().unwrap().reason.clone();
            assert_eq!(reason("bad2"), Reason::Exit { status: 4 }, "{version}");
            assert_eq!(reason("bad"), Reason::Exit { status: 3 }, "{version}");
            assert_eq!(named(&state, "bad").tail.back().unwrap(), "err15");
            assert_eq!(reason("dep"), Reason::Dependencies { count: 1 }, "{version}");
            assert_eq!(reason("dep2"), Reason::Dependencies { count: 2 }, "{version}");
            assert_eq!((state.count(Status::Failed), state.count(Status::Blocked)), (2, 2), "{version}");
            // 2.34 stops the activity before it tells the failure: it must not look built in between.
            let ended = changes.iter().filter(|c| matches!(c, Change::Ended(_))).count();
            assert_eq!(ended, 2, "{version}");
        }
    }

    #[test]
    fn a_remote_build_is_one_build_with_its_host() {
        let Some(log) = stream("remote") else { return };
        let (state, changes) = replay(&log);
        let ok = named(&state, "ok1");
        assert_eq!((ok.status, ok.lines), (Status::Built, 1));
        assert_eq!(ok.host.as_deref(), Some("ssh-ng://root@127.0.0.1?remote-store=/remote-store"));
        let bad = named(&state, "bad");
        assert_eq!(bad.status, Status::Failed);
        // The hook's own status is 1; the builder's is the one that counts.
        assert_eq!(bad.failure.as_ref().unwrap().reason, Reason::Exit { status: 3 });
        assert_eq!(changes.iter().filter(|c| matches!(c, Change::Started(_))).count(), 3);
        assert_eq!(changes.iter().filter(|c| matches!(c, Change::Ended(_))).count(), 3);
        assert!(state.fetches.iter().any(|f| f.path.ends_with("-ok1") && f.ended));
    }

    #[test]
    fn a_wanted_build_ends_when_it_ends_though_its_activity_goes_on() {
        let started = |id: u32, drv: &str| {
            format!(
                r#"@nix {{"action":"start","id":{id},"type":105,"fields":["/nix/store/{drv}.drv","",1,1],"text":""}}"#
            )
        };
        let counted = |done: u32, running: u32| {
            format!(r#"@nix {{"action":"result","id":1,"type":105,"fields":[{done},2,{running},0]}}"#)
        };
        let log = [
            r#"@nix {"action":"start","id":1,"type":104,"fields":[],"text":""}"#.to_string(),
            started(2, "wanted"),
            counted(0, 1),
            counted(1, 0),
            started(3, "other"),
            counted(1, 1),
            counted(2, 0),
            r#"@nix {"action":"stop","id":3}"#.to_string(),
            r#"@nix {"action":"stop","id":2}"#.to_string(),
        ];
        let mut state = BuildState::with_goals(["/nix/store/wanted.drv"]);
        let mut ended = Vec::new();
        for (i, line) in log.iter().enumerate() {
            let (message, now) = (Message::read(line.as_bytes()), Duration::from_secs(i as u64));
            while let Some(Change::Ended(drv)) = state.quiet_end(Some(&message), now) {
                ended.push((i, drv.to_string()));
            }
            if let Some(Change::Ended(drv)) = state.apply(&message, now) {
                ended.push((i, drv.to_string()));
            }
        }
        assert_eq!(ended, [(4, "/nix/store/wanted.drv".to_string()), (7, "/nix/store/other.drv".to_string())]);
        assert_eq!(state.count(Status::Built), 2);
        assert_eq!(state.builds["/nix/store/wanted.drv"].elapsed(state.now), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_lost_builder_is_no_failed_builder() {
        let log = [
            r#"@nix {"action":"start","id":1,"type":105,"fields":["/nix/store/x.drv","ssh-ng://far",1,1],"text":""}"#,
            r#"@nix {"action":"msg","level":0,"msg":"error: unexpected end-of-file"}"#,
            r#"@nix {"action":"stop","id":1}"#,
            r#"@nix {"action":"msg","level":0,"msg":"error: builder for '/nix/store/x.drv' failed with exit code 1"}"#,
        ];
        let (state, _) = replay(log.join("\n").as_bytes());
        let build = state.builds.values().next().unwrap();
        assert_eq!(build.status, Status::Failed);
        let reason = build.failure.as_ref().unwrap().reason.to_string();
        assert_eq!(reason, "lost the connection to ssh-ng://far: unexpected end-of-file");
    }

    #[test]
    fn control_sequences_never_reach_the_screen() {
        let start = br#"@nix {"action":"start","id":1,"type":105,"fields":["/nix/store/x.drv","",1,1],"text":""}"#;
        let line = br#"@nix {"action":"result","id":1,"type":101,"fields":["\u001b[2Ja\u0007b\u009bc"]}"#;
        let (state, _) = replay(&[&start[..], b"\n", line].concat());
        assert_eq!(state.builds.values().next().unwrap().tail, ["abc"]);
    }

    #[test]
    fn results_of_unknown_activities_change_nothing() {
        let (state, changes) = replay(
            b"@nix {\"action\":\"stop\",\"id\":9}\n@nix {\"action\":\"result\",\"id\":9,\"type\":101,\"fields\":[\"x\"]}\n@nix {\"action\":\"start\",\"id\":3,\"type\":105}\n",
        );
        assert!(state.builds.is_empty() && changes.is_empty());
    }
}
