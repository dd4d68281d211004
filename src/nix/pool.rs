//! A whole package set over several evaluation servers.
//!
//! Each worker has a contiguous part of the sorted names (neighbours share much of what they evaluate) and takes half
//! of the longest part that is left when its own is done. A worker over its memory is started anew and goes on; an
//! attribute that fails is recorded and does not stop the rest. Must not keep the results.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use serde::Serialize;

use super::error::Error;
use super::expression::{Names, Root};
use super::failure::{EvalFailure, FailureKind};
use super::instantiate::{below_root, bind_root};
use super::program::Nix;
use super::server::{EvalServer, Lost, ServerSettings, lost_failure};
use crate::base::process::interrupted;

/// At most so many attributes are asked for at a time; less where few are left, so that no worker waits for another.
const BATCH: usize = 32;

/// How the work is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// How many evaluators, at least one.
    pub workers: usize,
    /// The most memory of one worker, in bytes, shared pages once; without a limit the evaluators never collect garbage.
    pub max_memory: Option<u64>,
    /// Whether sets that say `recurseForDerivations` are gone into.
    pub recurse: bool,
    /// The longest that one attribute may take.
    pub limit: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Evaluated {
    #[serde(rename_all = "camelCase")]
    Derivation {
        /// Its `.drv` path.
        drv_path: String,
        out_path: String,
    },
    /// A set that was gone into.
    Set,
    /// A set of packages that is not gone into: it does not say `recurseForDerivations`.
    LeftOut,
    /// Something else.
    Other,
    Failed(EvalFailure),
}

/// What a run over a pool came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolSummary {
    pub attributes: usize,
    pub derivations: usize,
    pub failed: usize,
    /// How often a worker was started anew.
    pub restarts: usize,
}

/// What a worker tells.
enum Report {
    Result(Names, Evaluated),
    Restarted,
    /// It cannot go on.
    Broken(Error),
}

impl Nix {
    /// Evaluates the attributes `paths` of a package set and hands each result to `on_result` as it comes (with the number
    /// of attributes that are known to be left), in no particular order. The empty path stands for all attributes of the
    /// set, and has no result of its own.
    ///
    /// # Errors
    /// Those of the package set as a whole and of running Nix; what is wrong with one attribute is its result.
    pub fn evaluate_all(
        &self,
        root: &Root,
        paths: Vec<Names>,
        settings: PoolSettings,
        on_result: &mut dyn FnMut(Names, Evaluated, usize),
    ) -> Result<PoolSummary, Error> {
        self.evaluate_rest(root, paths, &BTreeSet::new(), settings, on_result)
    }

    /// As [`Nix::evaluate_all`], without what is `finished` already.
    pub fn evaluate_rest(
        &self,
        root: &Root,
        mut paths: Vec<Names>,
        finished: &BTreeSet<Names>,
        settings: PoolSettings,
        on_result: &mut dyn FnMut(Names, Evaluated, usize),
    ) -> Result<PoolSummary, Error> {
        let root = root.to_nix()?;
        paths.retain(|path| !finished.contains(path));
        let work = Work::new(paths, settings.workers.max(1));
        let mut summary = PoolSummary::default();
        let (send, receive) = mpsc::sync_channel(1024);
        std::thread::scope(|scope| {
            for worker in 0..settings.workers.max(1) {
                let (send, work, root) = (send.clone(), &work, root.as_str());
                scope.spawn(move || {
                    if let Err(error) = self.work(worker, work, (root, finished), settings, &send) {
                        work.stop();
                        let _ = send.send(Report::Broken(error));
                    }
                });
            }
            drop(send);
            let mut broken = None;
            for report in receive {
                match report {
                    Report::Result(path, evaluated) => {
                        summary.attributes += 1;
                        match &evaluated {
                            Evaluated::Derivation { .. } => summary.derivations += 1,
                            Evaluated::Failed(_) => summary.failed += 1,
                            Evaluated::Set | Evaluated::LeftOut | Evaluated::Other => {}
                        }
                        on_result(path, evaluated, work.left());
                    }
                    Report::Restarted => summary.restarts += 1,
                    Report::Broken(error) => drop(broken.get_or_insert(error)),
                }
            }
            broken.map_or(Ok(summary), Err)
        })
    }

    fn work(
        &self,
        worker: usize,
        work: &Work,
        (root, finished): (&str, &BTreeSet<Names>),
        settings: PoolSettings,
        send: &mpsc::SyncSender<Report>,
    ) -> Result<(), Error> {
        let mut server = Some(self.worker_server(root, settings)?);
        let mut fresh = true;
        if worker > 0
            && let Some(server) = &mut server
        {
            // While the first worker finds the names, the others evaluate what every package needs.
            let _ = server.eval_string("builtins.seq (root.stdenv.drvPath or null) \"\"")?;
        }
        loop {
            let paths = work.take(worker);
            if paths.is_empty() {
                if work.is_done(worker) {
                    return Ok(());
                }
                // Another worker may still find sets to go into.
                std::thread::sleep(Duration::from_millis(5));
                if interrupted() {
                    return Err(Error::Interrupted);
                }
                continue;
            }
            let mut evaluator = match server.take() {
                Some(evaluator) => evaluator,
                None => {
                    fresh = true;
                    self.worker_server(root, settings)?
                }
            };
            let questions: Vec<String> = paths.iter().map(|path| question(path)).collect();
            let batch = evaluator.ask(&questions)?;
            let mut again = Vec::new();
            let mut found = Vec::new();
            let mut answered = 0;
            for (i, (path, answer)) in paths.into_iter().zip(batch.answers).enumerate() {
                let culprit = batch.lost.as_ref().and_then(|(lost, at)| (*at == Some(i)).then_some(lost));
                let evaluated = match (answer, culprit) {
                    (Some(Ok(text)), _) => read_answer(&text, &path, &mut found),
                    (Some(Err(failure)), _) => Evaluated::Failed(failure),
                    // A worker that was full before gets a second try with all the memory.
                    (None, Some(Lost::OverMemory)) if !(fresh && i == 0) => {
                        again.push(path);
                        continue;
                    }
                    (None, Some(lost)) => {
                        let failure = lost_failure(lost);
                        // What calls itself for ever does so the next time too; memory and time may do.
                        if failure.kind != FailureKind::InfiniteRecursion {
                            evaluator.doubt("an evaluator was lost");
                        }
                        Evaluated::Failed(failure)
                    }
                    (None, None) => {
                        again.push(path);
                        continue;
                    }
                };
                answered += 1;
                if path.is_empty() {
                    match evaluated {
                        Evaluated::Failed(failure) => {
                            return Err(Error::Eval { what: "the package set".into(), failure: Box::new(failure) });
                        }
                        _ => continue,
                    }
                }
                if send.send(Report::Result(path, evaluated)).is_err() {
                    return Ok(());
                }
            }
            found.retain(|path| !finished.contains(path));
            work.give_back(worker, again, found);
            match batch.lost {
                None => {
                    fresh = false;
                    server = Some(evaluator);
                }
                Some((lost, _)) => {
                    if answered == 0 && fresh {
                        // Not a single answer from a new evaluator: it is no use to go on.
                        return Err(self.explained(evaluator.lost_error(lost)));
                    }
                    let _ = send.send(Report::Restarted);
                }
            }
        }
    }
}

impl Nix {
    fn worker_server(&self, root: &str, settings: PoolSettings) -> Result<EvalServer, Error> {
        let mut server = self.eval_server_with(worker_settings(settings))?;
        bind_root(&mut server, root, "the package set").map_err(|e| self.explained(e))?;
        server.bind("_a", &answer_function(settings.recurse))?;
        Ok(server)
    }
}

/// The evaluators do not collect garbage before they hold most of what they may: that takes a fifth off the time.
fn worker_settings(settings: PoolSettings) -> ServerSettings {
    let env = match settings.max_memory {
        None => vec![("GC_DONT_GC".to_string(), "1".to_string())],
        Some(bytes) => vec![("GC_INITIAL_HEAP_SIZE".to_string(), (bytes / 10 * 8).to_string())],
    };
    ServerSettings { limit: settings.limit, max_memory: settings.max_memory, env }
}

/// Makes the binding of `_a`, which makes the answer for an attribute.
fn answer_function(recurse: bool) -> String {
    let set = if recurse {
        "else if d.recurseForDerivations or false then \"s\" + builtins.toJSON (builtins.attrNames d) "
    } else {
        ""
    };
    format!(
        "d: if !(builtins.isAttrs d) then \"o\" else if (d.type or null) == \"derivation\" then \
         \"d${{d.drvPath}} ${{d.outPath}}\" {set}else if d ? callPackage || d ? overrideScope || d ? overrideScope' then \"p\" else \"o\""
    )
}

fn question(path: &[String]) -> String {
    match path {
        [] => "\"s\" + builtins.toJSON (builtins.attrNames root)".into(),
        path => format!("_a {}", below_root(path)),
    }
}

/// Reads an answer; the attributes of a set to go into are added to `found`.
fn read_answer(text: &str, path: &[String], found: &mut Vec<Names>) -> Evaluated {
    if let Some((drv_path, out_path)) = text.strip_prefix('d').and_then(|rest| rest.split_once(' ')) {
        return Evaluated::Derivation { drv_path: drv_path.to_string(), out_path: out_path.to_string() };
    }
    match text.strip_prefix('s').map(serde_json::from_str::<Vec<String>>) {
        Some(Ok(names)) => {
            let below = names.into_iter().filter(|name| name != "recurseForDerivations");
            found.extend(below.map(|name| [path, &[name]].concat()));
            Evaluated::Set
        }
        _ if text == "p" => Evaluated::LeftOut,
        _ => Evaluated::Other,
    }
}

/// What is left to do, for each worker its own part.
struct Work {
    parts: Mutex<Parts>,
}

struct Parts {
    queues: Vec<VecDeque<Names>>,
    /// Which workers are at a batch that may bring more.
    busy: Vec<bool>,
}

impl Work {
    fn new(mut paths: Vec<Names>, workers: usize) -> Work {
        paths.sort();
        paths.dedup();
        let share = paths.len().div_ceil(workers).max(1);
        let mut queues: Vec<VecDeque<Names>> = paths.chunks(share).map(|part| part.iter().cloned().collect()).collect();
        queues.resize_with(workers, VecDeque::new);
        Work { parts: Mutex::new(Parts { queues, busy: vec![false; workers] }) }
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next attributes of a worker, of its own part or of the longest one.
    fn take(&self, worker: usize) -> Vec<Names> {
        let mut parts = self.lock();
        if parts.queues.get(worker).is_none_or(VecDeque::is_empty)
            && let Some(longest) = (0..parts.queues.len()).max_by_key(|i| parts.queues.get(*i).map_or(0, VecDeque::len))
            && let Some(from) = parts.queues.get_mut(longest)
        {
            let keep = from.len() / 2;
            let half = from.split_off(keep);
            if let Some(own) = parts.queues.get_mut(worker) {
                *own = half;
            }
        }
        let Some(own) = parts.queues.get_mut(worker) else { return Vec::new() };
        let count = own.len().div_ceil(4).min(BATCH);
        let taken: Vec<Names> = own.drain(..count).collect();
        if let Some(busy) = parts.busy.get_mut(worker) {
            *busy = !taken.is_empty();
        }
        taken
    }

    /// Ends a batch: what has to be asked again, and what was found.
    fn give_back(&self, worker: usize, again: Vec<Names>, found: Vec<Names>) {
        let mut parts = self.lock();
        if let Some(own) = parts.queues.get_mut(worker) {
            for path in again.into_iter().chain(found).rev() {
                own.push_front(path);
            }
        }
        if let Some(busy) = parts.busy.get_mut(worker) {
            *busy = false;
        }
    }

    /// Says whether nothing is left and nothing more can come.
    fn is_done(&self, _worker: usize) -> bool {
        let parts = self.lock();
        parts.queues.iter().all(VecDeque::is_empty) && parts.busy.iter().all(|busy| !busy)
    }

    fn left(&self) -> usize {
        self.lock().queues.iter().map(VecDeque::len).sum()
    }

    /// Leaves nothing for the others to do.
    fn stop(&self) {
        let mut parts = self.lock();
        parts.queues.iter_mut().for_each(VecDeque::clear);
        parts.busy.iter_mut().for_each(|busy| *busy = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<Names> {
        (0..n).map(|i| vec![format!("a{i:04}")]).collect()
    }

    #[test]
    fn every_attribute_is_given_out_once() {
        let work = Work::new(names(1000), 3);
        let mut all = Vec::new();
        // Worker 0 does nearly all of it: it must get the others' parts.
        loop {
            let taken = work.take(0);
            if taken.is_empty() {
                break;
            }
            all.extend(taken);
            work.give_back(0, Vec::new(), Vec::new());
        }
        all.sort();
        assert_eq!(all, names(1000));
        assert!(work.is_done(0));
    }

    #[test]
    fn what_is_found_and_what_is_lost_comes_again() {
        let work = Work::new(names(1), 2);
        let taken = work.take(1);
        assert_eq!(taken.len(), 1);
        assert!(!work.is_done(0), "worker 1 may find more");
        work.give_back(1, taken, vec![vec!["a0000".into(), "b".into()]]);
        assert_eq!(work.left(), 2);
        assert_eq!(work.take(0).len() + work.take(1).len(), 2);
    }

    #[test]
    fn answers_are_read() {
        let mut found = Vec::new();
        let path = ["p".to_string()];
        let derivation = read_answer("d/nix/store/a.drv /nix/store/a", &path, &mut found);
        assert!(matches!(derivation, Evaluated::Derivation { out_path, .. } if out_path == "/nix/store/a"));
        assert_eq!(read_answer("s[\"x\",\"recurseForDerivations\"]", &path, &mut found), Evaluated::Set);
        assert_eq!(found, [["p".to_string(), "x".to_string()]]);
        assert_eq!(read_answer("o", &path, &mut found), Evaluated::Other);
    }
}
