//! `nix repl` as an evaluation server: one process, many questions, a failure ends only its own question.
//!
//! The repl's output is meant for people, so each question is wrapped in markers that are searched for and nothing else:
//! on standard output `"@@NONCEr17 ..."` is the answer to question 17, on standard error `@@NONCEb17` (a trace) opens what
//! belongs to it, and `@@NONCEe` on both ends a batch. A function that is bound first puts the markers on (`_q 17 (...)`):
//! the repl's echo of a question never looks like an answer, and questions are short. That counts: the repl's readline
//! reads a pipe byte by byte, three system calls each, which were a fifth of all the time for a whole package set. Must
//! not know what is asked.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::error::Error;
use super::expression::{path_text, quoted};
use super::failure::{EvalFailure, FailureKind};
use super::program::Nix;
use crate::base::process::{Chunk, Exec, Running, Stream, interrupted, strip_controls};

/// How often a wait looks at the clock, the memory and the interrupt flag.
const TICK: Duration = Duration::from_millis(50);
/// The longest that a question may take when nothing else is said: a fetch during evaluation may be slow.
const LIMIT: Duration = Duration::from_secs(30 * 60);
/// The longest that an evaluator may take to answer something that needs no evaluation.
const GREETING: Duration = Duration::from_secs(60);
/// The most of a question's standard error that is kept, in bytes.
const MAX_PRINTED: usize = 256 << 10;

/// Limits and environment of one server.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerSettings {
    /// The longest that one question may take; [`LIMIT`] when not said.
    pub limit: Option<Duration>,
    /// The most resident memory, in bytes.
    pub max_memory: Option<u64>,
    /// Variables for the garbage collector of the evaluator.
    pub env: Vec<(String, String)>,
    /// Whether the files that are read are recorded.
    pub record_files: bool,
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
    files: BTreeSet<PathBuf>,
    /// Keeps the repl's history out of the user's home.
    home: tempfile::TempDir,
}

/// Why a batch ended before all its questions were answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lost {
    /// The process ended.
    Died {
        /// How it ended.
        how: String,
        /// The last of what it printed.
        printed: String,
    },
    /// A question took too long.
    Hung {
        /// The time that it had.
        limit: Duration,
    },
    /// It used more memory than it may.
    OverMemory,
}

/// What came of a batch.
#[derive(Debug)]
pub(super) struct Batch {
    /// The answers, by position; `None` where there is none because the server was lost.
    pub answers: Vec<Option<Result<String, EvalFailure>>>,
    /// How the server was lost, and the question that it was at.
    pub lost: Option<(Lost, Option<usize>)>,
}

impl Nix {
    /// Starts an evaluation server.
    ///
    /// # Errors
    /// Those of starting a process.
    pub fn eval_server(&self) -> Result<EvalServer, Error> {
        self.eval_server_with(ServerSettings { limit: self.settings.eval_limit, ..ServerSettings::default() })
    }

    pub(super) fn eval_server_with(&self, settings: ServerSettings) -> Result<EvalServer, Error> {
        let home = tempfile::tempdir()
            .map_err(|source| Error::from(crate::base::fs::FsError::Write { path: std::env::temp_dir(), source }))?;
        let mut exec = self.repl(home.path());
        if settings.record_files {
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
        let _ = to_child.send(markers(&nonce).into_bytes());
        Ok(EvalServer { running, to_child, from_child, nonce, settings, asked: 0, files: BTreeSet::new(), home })
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
fn markers(nonce: &str) -> String {
    let nonce = quoted(nonce);
    format!(
        "_q = n: answer: builtins.trace \"${{{nonce}}}b${{toString n}} \" (\"${{{nonce}}}r${{toString n}} \" + answer)\n\
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
    ///
    /// # Errors
    /// As [`EvalServer::eval_string`], and [`Error::Garbage`].
    pub fn eval_json(&mut self, expression: &str) -> Result<Result<serde_json::Value, EvalFailure>, Error> {
        match self.eval_string(&format!("builtins.toJSON ({expression})"))? {
            Err(failure) => Ok(Err(failure)),
            Ok(text) => match serde_json::from_str(&text) {
                Ok(value) => Ok(Ok(value)),
                Err(e) => Err(Error::Garbage { program: "nix repl".into(), reason: e.to_string(), answer: text }),
            },
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

    /// Makes the error of a lost server.
    pub(super) fn lost_error(&self, lost: Lost) -> Error {
        match lost {
            Lost::Died { how, printed } => Error::EvaluatorDied { how, printed },
            Lost::Hung { limit } => Error::EvaluatorHung { seconds: limit.as_secs() },
            Lost::OverMemory => {
                Error::EvaluatorDied { how: "it used more memory than it may".into(), printed: String::new() }
            }
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
        reading.chatty = self.settings.record_files;
        let mut since = Instant::now();
        loop {
            match self.from_child.recv_timeout(TICK) {
                Ok((stream, chunk)) => {
                    for line in chunk.split_inclusive(|b| *b == b'\n') {
                        if reading.line(stream, line) {
                            since = Instant::now();
                        }
                    }
                    self.files.append(&mut reading.files);
                    if reading.is_done() {
                        return Ok(reading.finish(None));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let how = self.running.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
                    let printed = reading.last_printed();
                    return Ok(reading.finish(Some(Lost::Died { how, printed })));
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
            if self.is_over_memory() {
                self.running.kill();
                return Ok(reading.finish(Some(Lost::OverMemory)));
            }
        }
    }

    fn is_over_memory(&self) -> bool {
        let Some(limit) = self.settings.max_memory else { return false };
        self.memory().is_some_and(|used| used > limit)
    }

    /// Returns the files that the evaluator read so far, when it was told to record them.
    pub(super) fn take_files(&mut self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut self.files)
    }

    /// Returns the resident memory in bytes, where the system tells.
    pub fn memory(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.running.child.id())).ok()?;
        let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB");
        Some(kib.parse::<u64>().ok()? * 1024)
    }
}

impl Drop for EvalServer {
    fn drop(&mut self) {
        // It has nothing to put in order: what it instantiated is in the store already.
        self.running.kill();
    }
}

struct Exchange {
    answers: Vec<Option<Result<String, EvalFailure>>>,
    lost: Option<(Lost, Option<usize>)>,
    /// What was printed before the first question was reached, if it is an error.
    stray: Option<String>,
}

/// The reader of one batch: lines in, answers out.
struct Reading {
    nonce: String,
    from: usize,
    results: Vec<Option<String>>,
    printed: Vec<String>,
    before: String,
    /// The question that standard error is at.
    at: Option<usize>,
    out_ended: bool,
    err_ended: bool,
    /// Whether Nix tells what it does, which is no error.
    chatty: bool,
    files: BTreeSet<PathBuf>,
}

impl Reading {
    fn new(nonce: &str, from: usize, count: usize) -> Reading {
        Reading {
            nonce: nonce.to_string(),
            from,
            results: vec![None; count],
            printed: vec![String::new(); count],
            before: String::new(),
            at: None,
            out_ended: false,
            err_ended: false,
            chatty: false,
            files: BTreeSet::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.out_ended && self.err_ended
    }

    /// Takes a line; says whether it was a marker.
    fn line(&mut self, stream: Stream, line: &[u8]) -> bool {
        let line = String::from_utf8_lossy(line);
        let marker = line.find(&self.nonce).and_then(|i| line.get(i + self.nonce.len()..)).and_then(read_marker);
        match (stream, marker) {
            (Stream::Out, Some(('r', number, rest))) => {
                if let Some(slot) = number.checked_sub(self.from).and_then(|i| self.results.get_mut(i)) {
                    *slot = Some(unescape(rest));
                }
                true
            }
            (Stream::Out, Some(('e', number, _))) => {
                self.out_ended |= number == self.from + self.results.len();
                true
            }
            (Stream::Err, Some(('b', number, _))) => {
                self.at = number.checked_sub(self.from);
                true
            }
            (Stream::Err, Some(('e', number, _))) => {
                self.err_ended |= number == self.from + self.results.len();
                true
            }
            (Stream::Err, _) => {
                if self.chatty && is_chatter(&line) {
                    self.files.extend(file_read(&line));
                    return false;
                }
                let slot = self.at.and_then(|i| self.printed.get_mut(i)).unwrap_or(&mut self.before);
                if slot.len() < MAX_PRINTED {
                    slot.push_str(&line);
                }
                false
            }
            (Stream::Out, _) => false,
        }
    }

    fn last_printed(&self) -> String {
        let text = self.at.and_then(|i| self.printed.get(i)).unwrap_or(&self.before);
        strip_controls(text).trim().to_string()
    }

    fn finish(self, lost: Option<Lost>) -> Exchange {
        let reached = self.at.filter(|_| lost.is_some());
        let stray =
            strip_controls(&self.before).lines().any(|l| l.trim_start().starts_with("error")).then_some(self.before);
        let whole = lost.is_none();
        let answers =
            self.results.into_iter().zip(self.printed).enumerate().map(|(i, (result, printed))| match result {
                Some(text) => Some(Ok(text)),
                // Without an answer and before the question at which the server was lost: it failed.
                None if whole || reached.is_some_and(|at| i < at) => {
                    Some(Err(EvalFailure::read(if printed.is_empty() {
                        stray.as_deref().unwrap_or("")
                    } else {
                        &printed
                    })))
                }
                None => None,
            });
        let answers: Vec<_> = answers.collect();
        let culprit = reached.filter(|i| answers.get(*i).is_some_and(Option::is_none));
        Exchange { lost: lost.map(|lost| (lost, culprit)), answers, stray }
    }
}

/// Says whether a line is of those that Nix prints at the verbosity that names files.
fn is_chatter(line: &str) -> bool {
    const BEGINNINGS: [&str; 6] =
        ["evaluating file ", "copied source ", "copying '", "copied '", "instantiated ", "source path "];
    BEGINNINGS.iter().any(|beginning| line.starts_with(beginning))
}

/// Reads the file out of `evaluating file '/a/b.nix'` and `copied source '/a/x.patch' -> '/nix/store/...'`.
fn file_read(line: &str) -> Option<PathBuf> {
    let rest = line.strip_prefix("evaluating file '").or_else(|| line.strip_prefix("copied source '"))?;
    let path = match rest.split_once("' -> '") {
        Some((path, _)) => path,
        None => rest.trim_end().strip_suffix('\'')?,
    };
    // Nix has files of its own: `«nix-internal»/derivation-internal.nix`.
    path.starts_with('/').then(|| PathBuf::from(path))
}

/// Reads `r17 text`: kind, number, the rest.
fn read_marker(text: &str) -> Option<(char, usize, &str)> {
    let kind = text.chars().next()?;
    let rest = text.get(kind.len_utf8()..)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at(digits);
    Some((kind, number.parse().ok()?, rest.strip_prefix(' ')?))
}

/// Takes a string as the repl prints it (up to the closing quote) back to what it is.
fn unescape(printed: &str) -> String {
    let mut out = String::with_capacity(printed.len());
    let mut chars = printed.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

/// Makes the failure of a question at which a server was lost.
pub(super) fn lost_failure(lost: &Lost) -> EvalFailure {
    match lost {
        // Nix 2.8 ends at a stack overflow, but says so before.
        Lost::Died { printed, .. } if printed.contains("stack overflow") => EvalFailure::read(printed),
        Lost::Died { how, printed } => {
            EvalFailure::plain(FailureKind::Died, format!("the evaluator ended ({how})"), printed.clone())
        }
        Lost::Hung { limit } => {
            EvalFailure::plain(FailureKind::TimedOut, format!("no answer within {} s", limit.as_secs()), "")
        }
        Lost::OverMemory => EvalFailure::plain(FailureKind::Died, "it needs more memory than it may use", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading() -> Reading {
        Reading::new("@@N", 5, 2)
    }

    #[test]
    fn the_echo_of_a_question_is_no_answer() {
        let mut r = reading();
        assert!(!r.line(Stream::Out, b"nix-repl> builtins.trace (\"@@N\" + \"b5 \") ((\"@@N\" + \"r5 \") + x)\n"));
        assert!(r.line(Stream::Err, b"trace: @@Nb5 \n"));
        // Some versions print the prompt, colours and the answer on one line.
        assert!(r.line(Stream::Out, b"nix-repl> \x1b[35;1m\"@@Nr5 a\\n\\\"b\\\" \\${c} \\\\\"\x1b[0m\n"));
        assert!(r.line(Stream::Err, b"trace: @@Nb6 \n"));
        r.line(Stream::Err, b"error: attribute 'x' missing\n");
        assert!(r.line(Stream::Err, b"trace: @@Ne7 \n"));
        assert!(!r.is_done());
        assert!(r.line(Stream::Out, b"\"@@Ne7 \"\n"));
        assert!(r.is_done());
        let done = r.finish(None);
        assert_eq!(done.answers[0].as_ref().unwrap().as_ref().unwrap(), "a\n\"b\" ${c} \\");
        let failure = done.answers[1].as_ref().unwrap().as_ref().unwrap_err();
        assert_eq!(failure.message, "attribute 'x' missing");
    }

    #[test]
    fn the_question_at_which_a_server_died_is_known() {
        let mut r = reading();
        r.line(Stream::Err, b"trace: @@Nb5 \n");
        r.line(Stream::Err, b"error: stack overflow\n");
        let died = Lost::Died { how: "signal: 11".into(), printed: String::new() };
        let done = r.finish(Some(died));
        assert_eq!(done.lost.unwrap().1, Some(0));
        assert!(done.answers[0].is_none() && done.answers[1].is_none());
    }

    #[test]
    fn files_are_recorded_and_are_no_errors() {
        let mut r = reading();
        r.chatty = true;
        r.line(Stream::Err, b"trace: @@Nb5 \n");
        for line in [
            "evaluating file '/n/it's.nix'\n",
            "evaluating file '\u{ab}nix-internal\u{bb}/derivation-internal.nix'\n",
            "copied source '/n/fix.patch' -> '/nix/store/x-fix.patch'\n",
            "instantiated 'a' -> '/nix/store/a.drv'\n",
        ] {
            r.line(Stream::Err, line.as_bytes());
        }
        assert_eq!(r.files.iter().map(|f| f.to_str().unwrap()).collect::<Vec<_>>(), ["/n/fix.patch", "/n/it's.nix"]);
        assert_eq!(r.last_printed(), "");
    }

    #[test]
    fn garbage_is_no_marker() {
        let mut r = reading();
        for line in [&b"@@N"[..], b"@@Nr", b"@@Nrx ", b"@@Nr99999999999999999999999 \"", b"\xff@@N\xff5 ", b"@@Nr4 x\""]
        {
            r.line(Stream::Out, line);
            r.line(Stream::Err, line);
        }
        assert!(!r.is_done());
        assert!(r.finish(None).answers.iter().all(|a| a.as_ref().is_some_and(Result::is_err)));
    }
}
