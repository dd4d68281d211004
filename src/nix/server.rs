//! `nix repl` as an evaluation server: one process, many questions, a failure ends only its own question.
//!
//! The repl's output is meant for people, so each question is wrapped in markers that are searched for and nothing else:
//! on standard output `"@@NONCEr17 ..."` is the answer to question 17, on standard error `@@NONCEb17` (a trace) opens what
//! belongs to it, and `@@NONCEe` on both ends a batch. A function that is bound first puts the markers on (`_q 17 (...)`):
//! the repl's echo of a question never looks like an answer, and questions are short. That counts: the repl's readline
//! reads a pipe byte by byte, three system calls each, which were a fifth of all the time for a whole package set. Must
//! not know what is asked.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::answers::{Exchange, Reading};
use super::error::Error;
use super::expression::{path_text, quoted};
use super::failure::{EvalFailure, FailureKind, last_line};
use super::program::Nix;
use super::reads::{SCOPE_FILE, Watch};
use crate::base::process::{Chunk, Exec, Running, interrupted};

/// The scope of a watched evaluation.
const SCOPE: &str = include_str!("reads.nix");
/// How often a wait looks at the clock, the memory and the interrupt flag.
const TICK: Duration = Duration::from_millis(50);
/// How often the memory of an evaluator is looked at.
const WEIGHING: Duration = Duration::from_millis(20);
/// The longest that a question may take when nothing else is said: a fetch during evaluation may be slow.
const LIMIT: Duration = Duration::from_secs(30 * 60);
/// The longest that an evaluator may take to answer something that needs no evaluation.
const GREETING: Duration = Duration::from_secs(60);

/// How long an evaluator may be silent before it is asked whether it waits for more of a question: up to some version the repl takes
/// the end of a file that it evaluates for the end of an unfinished line, and waits for the rest.
const SILENCE: Duration = Duration::from_secs(1);

/// Limits and environment of one server.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerSettings {
    /// The longest that one question may take; [`LIMIT`] when not said.
    pub limit: Option<Duration>,
    /// The most memory ([`EvalServer::memory`]), in bytes.
    pub max_memory: Option<u64>,
    /// Variables for the garbage collector of the evaluator.
    pub env: Vec<(String, String)>,
}

/// An evaluator that answers questions until it is dropped.
#[derive(Debug)]
pub struct EvalServer {
    running: Running,
    to_child: mpsc::Sender<Vec<u8>>,
    from_child: mpsc::Receiver<Chunk>,
    nonce: String,
    settings: ServerSettings,
    asked: usize,
    watch: Option<Arc<Watch>>,
    /// Keeps the repl's history out of the user's home.
    home: tempfile::TempDir,
}

/// Why a batch ended before all its questions were answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    /// The process ended.
    Died {
        how: String,
        /// The last of what it printed.
        printed: String,
    },
    /// A question took too long.
    Hung { limit: Duration },
    /// It used more memory than it may.
    OverMemory,
    /// A file that a question evaluates ends too early, and the repl took that for an end of the question.
    CutFile,
}

#[derive(Debug)]
pub(super) struct Batch {
    /// The answers, by position; `None` where there is none because the server was lost.
    pub answers: Vec<Option<Result<String, EvalFailure>>>,
    /// How the server was lost, and the question that it was at.
    pub lost: Option<(Lost, Option<usize>)>,
}

impl Nix {
    pub fn eval_server(&self) -> Result<EvalServer, Error> {
        self.eval_server_with(ServerSettings { limit: self.settings.eval_limit, ..ServerSettings::default() })
    }

    pub(super) fn eval_server_with(&self, settings: ServerSettings) -> Result<EvalServer, Error> {
        let home = tempfile::tempdir()
            .map_err(|source| Error::from(crate::base::fs::FsError::Write { path: std::env::temp_dir(), source }))?;
        let mut exec = self.repl(home.path());
        if self.watch.is_some() {
            // The verbosity at which Nix, of every version, names the files that it evaluates and copies to the store.
            exec = exec.arg("-vv");
        }
        exec.env.extend(settings.env.iter().map(|(k, v)| (k.into(), v.into())));
        let mut running = exec.spawn(Stdio::piped())?;
        let from_child = running.chunks();
        let (to_child, questions) = mpsc::channel::<Vec<u8>>();
        if let Some(mut pipe) = running.child.stdin.take() {
            // On a thread of its own, so that an evaluator that does not read cannot block us.
            std::thread::spawn(move || {
                while let Ok(text) = questions.recv() {
                    if pipe.write_all(&text).and_then(|()| pipe.flush()).is_err() {
                        return;
                    }
                }
            });
        }
        let nonce = nonce(home.path());
        let _ = to_child.send(markers(&nonce, self.watch.is_some()).into_bytes());
        if let Some(watch) = &self.watch {
            let scope = home.path().join(SCOPE_FILE);
            crate::base::fs::write(&scope, SCOPE.as_bytes())?;
            let (scope, nonce) = (path_text(&scope)?, quoted(&nonce));
            let watch = format!(":a import {scope} {{ nonce = {nonce}; roots = [ {} ]; }}\n", watch.roots.join(" "));
            let _ = to_child.send(watch.into_bytes());
        }
        Ok(EvalServer { running, to_child, from_child, nonce, settings, asked: 0, watch: self.watch.clone(), home })
    }

    fn repl(&self, home: &Path) -> Exec {
        self.evaluating(Exec::new(&self.nix).arg("repl"))
            .env("XDG_DATA_HOME", home)
            .env("NIX_DATA_HOME", home)
            .env("TERM", "dumb")
    }
}

/// Makes a text that a package's own traces do not hold.
fn nonce(home: &Path) -> String {
    let name = home.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("@@{}{plain}", std::process::id())
}

/// Makes a line that asks for the string that `expression` evaluates to.
fn question(number: usize, expression: &str) -> String {
    format!("_q {number} ({expression})\n")
}

/// Makes the bindings that put the markers on: `_q` on a question, `_e` on what ends a batch.
/// Where it is watched, another one says that an answer is not there because of a `throw` or an `assert`, which are the same whenever they are
/// evaluated.
fn markers(nonce: &str, is_watched: bool) -> String {
    let nonce = quoted(nonce);
    let thrown = match is_watched {
        true => format!(
            "_t = n: answer: if (builtins.tryEval answer).success then answer else builtins.trace \"${{{nonce}}}x${{toString n}} \" answer\n"
        ),
        false => "_t = n: answer: answer\n".into(),
    };
    thrown
        + &format!(
            "_q = n: answer: builtins.trace \"${{{nonce}}}b${{toString n}} \" (\"${{{nonce}}}r${{toString n}} \" + _t n answer)\n\
         _e = n: builtins.trace \"${{{nonce}}}e${{toString n}} \" \"${{{nonce}}}e${{toString n}} \"\n"
        )
}

impl EvalServer {
    /// Gives `name` the value of `expression`, unevaluated, for the questions that follow.
    ///
    /// The expression must be lexically closed (as [`super::Fragment`]s and what is made of them are) and name paths
    /// absolutely.
    ///
    /// # Errors
    /// [`Error::Eval`] when it does not parse, and those of a server that is lost.
    pub fn bind(&mut self, name: &str, expression: &str) -> Result<(), Error> {
        let limit = self.limit().min(GREETING);
        let preface = if expression.contains('\n') {
            // Nix 2.34 takes a binding of one line only.
            let file = self.home.path().join(format!("{name}.nix"));
            crate::base::fs::write(&file, format!("({expression})\n").as_bytes())?;
            format!("{name} = import {}\n", path_text(&file)?)
        } else {
            format!("{name} = ({expression})\n")
        };
        let batch = self.exchange(&preface, 1, limit, |from| question(from, "\"\""))?;
        match batch.lost {
            Some((lost, _)) => Err(self.lost_error(lost)),
            None => match batch.stray {
                Some(printed) => {
                    Err(Error::Eval { what: name.to_string(), failure: Box::new(EvalFailure::read(&printed)) })
                }
                None => Ok(()),
            },
        }
    }

    /// Returns the string that `expression`, which must be one line, evaluates to.
    ///
    /// # Errors
    /// [`Error::BadExpression`] for several lines. The outer error is the server's (it died, it hung); the inner one is the expression's.
    pub fn eval_string(&mut self, expression: &str) -> Result<Result<String, EvalFailure>, Error> {
        if expression.contains('\n') {
            return Err(Error::BadExpression { text: expression.into(), reason: "it has several lines" });
        }
        let batch = self.ask(&[expression.to_string()])?;
        if let Some((lost, _)) = batch.lost {
            return Err(self.lost_error(lost));
        }
        Ok(batch.answers.into_iter().next().flatten().unwrap_or_else(|| Err(EvalFailure::read(""))))
    }

    /// Returns the value of `expression` as JSON.
    pub fn eval_json(&mut self, expression: &str) -> Result<Result<serde_json::Value, EvalFailure>, Error> {
        match self.eval_string(&format!("builtins.toJSON ({expression})"))? {
            Err(failure) => Ok(Err(failure)),
            Ok(text) => read_json(&text).map(Ok),
        }
    }

    /// Asks for the strings that all `expressions` evaluate to. The server is of no use any more when it is lost.
    pub(super) fn ask(&mut self, expressions: &[String]) -> Result<Batch, Error> {
        let exchange = self.exchange("", expressions.len(), self.limit(), |from| {
            let questions = expressions.iter().enumerate();
            questions.map(|(i, expression)| question(from + i, expression)).collect()
        })?;
        Ok(Batch { answers: exchange.answers, lost: exchange.lost })
    }

    pub(super) fn lost_error(&self, lost: Lost) -> Error {
        match lost {
            Lost::Died { how, printed } => Error::of_dead_evaluator(how, printed),
            Lost::Hung { limit } => Error::EvaluatorHung { seconds: limit.as_secs() },
            Lost::OverMemory => {
                Error::EvaluatorDied { how: "it used more memory than it may".into(), printed: String::new() }
            }
            Lost::CutFile => Error::Eval { what: "a file".into(), failure: Box::new(cut_file()) },
        }
    }

    fn limit(&self) -> Duration {
        self.settings.limit.unwrap_or(LIMIT)
    }

    /// Sends `preface` and the questions, and reads until the end of the batch.
    fn exchange(
        &mut self,
        preface: &str,
        count: usize,
        limit: Duration,
        questions: impl FnOnce(usize) -> String,
    ) -> Result<Exchange, Error> {
        let from = self.asked;
        self.asked += count + 1;
        let end = from + count;
        let text = format!("{preface}{}_e {end}\n", questions(from));
        // If the process is gone the streams are closed too, and that is told below.
        let _ = self.to_child.send(text.into_bytes());
        let mut reading = Reading::new(&self.nonce, from, count);
        let mut is_asked = false;
        reading.watched = self.watch.is_some();
        let mut since = Instant::now();
        let mut weighed: Option<Instant> = None;
        loop {
            match self.from_child.recv_timeout(TICK) {
                Ok((stream, chunk)) => {
                    for line in chunk.split_inclusive(|b| *b == b'\n') {
                        if reading.line(stream, line) {
                            since = Instant::now();
                        }
                    }
                    if let Some(watch) = &self.watch {
                        watch.add(std::mem::take(&mut reading.reads), self.home.path());
                    }
                    if reading.is_done() {
                        let is_cut = is_asked && reading.is_cut();
                        let thrown = std::mem::take(&mut reading.thrown);
                        let done = reading.finish(is_cut.then_some(Lost::CutFile));
                        if let Some(watch) = &self.watch {
                            let answers = done.answers.iter().enumerate().filter(|(at, _)| !thrown.contains(at));
                            answers
                                .filter_map(|(_, answer)| answer.as_ref()?.as_ref().err())
                                .for_each(|e| watch.failed(e));
                        }
                        return Ok(done);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let how = self.running.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
                    let printed = reading.last_printed();
                    return Ok(reading.finish(Some(Lost::Died { how, printed })));
                }
                Err(RecvTimeoutError::Timeout) if !is_asked && since.elapsed() > SILENCE => {
                    is_asked = true;
                    // What is unfinished ends here, wrongly. One that is only slow reads this when it has answered, and what it says to it
                    // is before the next batch.
                    let _ = self.to_child.send(format!(")\n_e {end}\n").into_bytes());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if interrupted() {
                self.running.kill();
                return Err(Error::Interrupted);
            }
            if since.elapsed() > limit {
                self.running.kill();
                return Ok(reading.finish(Some(Lost::Hung { limit })));
            }
            // With the first answer, however fast the rest comes; not with each: to ask the system takes longer than to read one.
            let is_time = weighed.is_none_or(|at| at.elapsed() >= WEIGHING);
            if is_time {
                weighed = Some(Instant::now());
            }
            if is_time && self.is_over_memory() {
                self.running.kill();
                return Ok(reading.finish(Some(Lost::OverMemory)));
            }
        }
    }

    fn is_over_memory(&self) -> bool {
        let Some(limit) = self.settings.max_memory else { return false };
        self.memory().is_some_and(|used| used > limit)
    }

    /// Says that what was answered may be answered otherwise the next time, and why.
    pub(super) fn doubt(&self, why: &str) {
        if let Some(watch) = &self.watch {
            watch.doubt(why);
        }
    }

    /// Returns the memory that it takes in bytes, pages that several processes share counted once between them (PSS); the resident
    /// memory where the system does not tell that.
    pub fn memory(&self) -> Option<u64> {
        let read = |file: &str, key: &str| {
            let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.running.child.id())).ok()?;
            let kib = text.lines().find_map(|line| line.strip_prefix(key))?.trim().trim_end_matches(" kB");
            Some(kib.parse::<u64>().ok()? * 1024)
        };
        read("smaps_rollup", "Pss:").or_else(|| read("status", "VmRSS:"))
    }
}

impl Drop for EvalServer {
    fn drop(&mut self) {
        // It has nothing to put in order: what it instantiated is in the store already.
        self.running.kill();
    }
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(answer: &str) -> Result<T, Error> {
    serde_json::from_str(answer).map_err(|e| Error::Garbage {
        program: "nix repl".into(),
        reason: e.to_string(),
        answer: answer.to_string(),
    })
}

/// Makes the failure of a question at which a server was lost.
pub(super) fn lost_failure(lost: &Lost) -> EvalFailure {
    match lost {
        // Nix 2.8 ends at a stack overflow, but says so before.
        Lost::Died { printed, .. } if printed.contains("stack overflow") => EvalFailure::read(printed),
        // Its own words say more than how it ended.
        Lost::Died { how, printed } => {
            let last = last_line(printed).map_or(String::new(), |line| format!(": {line}"));
            EvalFailure::plain(FailureKind::Died, format!("the evaluator ended ({how}){last}"), printed.clone())
        }
        Lost::CutFile => cut_file(),
        Lost::Hung { limit } => {
            EvalFailure::plain(FailureKind::TimedOut, format!("no answer within {} s", limit.as_secs()), "")
        }
        Lost::OverMemory => EvalFailure::plain(FailureKind::Died, "it needs more memory than it may use", ""),
    }
}

/// Makes the failure of a question that evaluates a file which ends too early.
fn cut_file() -> EvalFailure {
    let message = "syntax error, unexpected end of file (in a file that it evaluates)";
    EvalFailure::plain(FailureKind::Syntax, message, message)
}
