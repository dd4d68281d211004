//! What an evaluation server prints, read: markers, answers, errors, the files that were evaluated.
//!
//! The markers are those of [`super::server`]. Must not wait or start anything.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::failure::EvalFailure;
use super::reads::Reads;
use super::server::Lost;
use crate::base::process::{Stream, strip_controls};

/// The most of a question's standard error that is kept, in bytes.
const MAX_PRINTED: usize = 256 << 10;

pub(super) struct Exchange {
    /// The answers, by position; `None` where there is none because the server was lost.
    pub answers: Vec<Option<Result<String, EvalFailure>>>,
    /// How the server was lost, and the question that it was at.
    pub lost: Option<(Lost, Option<usize>)>,
    /// What was printed before the first question was reached, if it is an error.
    pub stray: Option<String>,
}

/// The reader of one batch: lines in, answers out.
#[derive(Default)]
pub(super) struct Reading {
    nonce: String,
    from: usize,
    results: Vec<Option<String>>,
    printed: Vec<String>,
    before: String,
    /// The question that standard error is at.
    at: Option<usize>,
    out_ended: bool,
    err_ended: bool,
    /// Whether the evaluation says what it looks at, and Nix what it does, which are no errors.
    pub watched: bool,
    pub reads: Reads,
    /// The questions that have no answer because of a `throw` or an `assert`.
    pub thrown: BTreeSet<usize>,
}

impl Reading {
    pub fn new(nonce: &str, from: usize, count: usize) -> Reading {
        Reading {
            nonce: nonce.to_string(),
            from,
            results: vec![None; count],
            printed: vec![String::new(); count],
            ..Reading::default()
        }
    }

    pub fn is_done(&self) -> bool {
        self.out_ended && self.err_ended
    }

    /// Takes a line; says whether it was a marker.
    pub fn line(&mut self, stream: Stream, line: &[u8]) -> bool {
        let line = String::from_utf8_lossy(line);
        let marked = line.find(&self.nonce).and_then(|i| line.get(i + self.nonce.len()..));
        if let (Stream::Err, true, Some(said)) = (stream, self.watched, marked.and_then(|text| text.strip_prefix('f')))
        {
            self.reads.hear(said);
            return false;
        }
        let marker = marked.and_then(read_marker);
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
            (Stream::Err, Some(('x', number, _))) => {
                self.thrown.extend(number.checked_sub(self.from));
                true
            }
            (Stream::Err, Some(('e', number, _))) => {
                let is_end = number == self.from + self.results.len();
                self.err_ended |= is_end;
                if !is_end {
                    // What stands before the end of an earlier batch belongs to that.
                    self.before.clear();
                }
                true
            }
            // What comes behind the end is no answer to what was asked before it.
            (Stream::Err, _) if self.err_ended => false,
            (Stream::Err, _) => {
                if self.watched && is_chatter(&line) {
                    if let Some(path) = file_read(&line) {
                        self.reads.notice(path, line.starts_with("copied "));
                    }
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

    /// Says whether the question that it is at was ended by the bracket that the server sends to one which waits for more.
    pub fn is_cut(&self) -> bool {
        let unanswered = self.at.filter(|at| matches!(self.results.get(*at), Some(None)));
        let printed = unanswered.and_then(|at| self.printed.get(at));
        printed.is_some_and(|printed| strip_controls(printed).contains("unexpected ')'"))
    }

    pub fn last_printed(&self) -> String {
        let text = self.at.and_then(|i| self.printed.get(i)).unwrap_or(&self.before);
        strip_controls(text).trim().to_string()
    }

    pub fn finish(self, lost: Option<Lost>) -> Exchange {
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
    const BEGINNINGS: [&str; 7] =
        ["evaluating file ", "copied source ", "copying '", "copied '", "hashing '", "instantiated ", "source path "];
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
    fn a_question_that_waits_for_more_is_told_from_one_that_is_slow() {
        let bracket = b"error: syntax error, unexpected ')'\n";
        let mut cut = reading();
        cut.line(Stream::Err, b"trace: @@Nb5 \n");
        cut.line(Stream::Err, bracket);
        cut.line(Stream::Err, b"trace: @@Ne7 \n");
        assert!(cut.is_cut());
        // A slow one ends as it would have, and what the repl says to the bracket is nobody's.
        let mut slow = reading();
        slow.line(Stream::Err, b"trace: @@Nb6 \n");
        slow.line(Stream::Err, b"error: attribute 'x' missing\n");
        slow.line(Stream::Err, b"trace: @@Ne7 \n");
        slow.line(Stream::Err, bracket);
        assert!(!slow.is_cut());
        let mut next = Reading::new("@@N", 8, 1);
        next.line(Stream::Err, bracket);
        next.line(Stream::Err, b"trace: @@Ne7 \n");
        next.line(Stream::Err, b"trace: @@Nb8 \n");
        assert_eq!(next.finish(None).stray, None);
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
    fn what_is_looked_at_is_no_error() {
        let mut r = reading();
        r.watched = true;
        r.line(Stream::Err, b"trace: @@Nb5 \n");
        for line in [
            "trace: @@Nfr /n/it's.nix\n",
            "evaluating file '/n/it's.nix'\n",
            "evaluating file '\u{ab}nix-internal\u{bb}/derivation-internal.nix'\n",
            "hashing '/n/fix.patch'...\n",
            "copied source '/n/fix.patch' -> '/nix/store/x-fix.patch'\n",
            "instantiated 'a' -> '/nix/store/a.drv'\n",
        ] {
            assert!(!r.line(Stream::Err, line.as_bytes()));
        }
        let mut expected = Reads::default();
        expected.hear("r /n/it's.nix");
        expected.notice("/n/it's.nix".into(), false);
        expected.notice("/n/fix.patch".into(), true);
        assert_eq!(r.reads, expected);
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
