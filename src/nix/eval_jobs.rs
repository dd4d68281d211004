//! A whole package set over nix-eval-jobs, where that is installed: it spreads the work over processes and starts one
//! anew that holds too much memory, as the pool of evaluation servers does.
//!
//! It answers in JSON lines, one an attribute, with the attribute's error where it has one. Its answers are believed only
//! when it ends well: what it did not get to it does not name. Must not keep the results.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::error::Error;
use super::expression::{Names, Root, attr_path_text};
use super::failure::EvalFailure;
use super::instantiate::below_root;
use super::pool::{Evaluated, PoolSettings, PoolSummary};
use super::program::Nix;
use crate::base::process::{Exec, Stream, find_program, interrupted};

/// The name of the program.
const PROGRAM: &str = "nix-eval-jobs";
/// How often a wait looks at the clock and the interrupt flag.
const TICK: Duration = Duration::from_millis(50);
/// The longest that it may say nothing when nothing else is said.
const LIMIT: Duration = Duration::from_secs(30 * 60);
/// The most of its standard error that is kept, in bytes.
const MAX_PRINTED: usize = 64 << 10;
/// The longest line that is an answer, in bytes.
const MAX_ANSWER: usize = 16 << 20;

/// One line of its answer. Versions differ in what else is in it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    attr: String,
    attr_path: Option<Vec<String>>,
    drv_path: Option<String>,
    #[serde(default)]
    outputs: std::collections::BTreeMap<String, Option<String>>,
    error: Option<String>,
}

impl Nix {
    /// Finds nix-eval-jobs where Nix's programs are looked for; starts nothing.
    pub fn eval_jobs(&self) -> Option<PathBuf> {
        let wanted = self.settings.programs.as_ref().map_or_else(|| PROGRAM.into(), |dir| dir.join(PROGRAM));
        find_program(&wanted.display().to_string())
    }

    /// Evaluates attributes as [`Nix::evaluate_all`] does, with nix-eval-jobs, which always goes into sets that say
    /// `recurseForDerivations` and does not name what is no derivation.
    ///
    /// # Errors
    /// [`Error::EvaluatorDied`], [`Error::EvaluatorHung`] and [`Error::Garbage`] when it does not answer to the end: what
    /// it told before is then only a part.
    pub fn evaluate_all_by_jobs(
        &self,
        program: &Path,
        root: &Root,
        paths: &[Names],
        settings: PoolSettings,
        on_result: &mut dyn FnMut(Names, Evaluated, usize),
    ) -> Result<PoolSummary, Error> {
        let write = |source| Error::from(crate::base::fs::FsError::Write { path: std::env::temp_dir(), source });
        let dir = tempfile::tempdir().map_err(write)?;
        let whole = paths.iter().any(Vec::is_empty);
        let file = dir.path().join("set.nix");
        crate::base::fs::write(&file, expression(&root.to_nix()?, if whole { &[] } else { paths }).as_bytes())?;
        let links = dir.path().join("roots");
        crate::base::fs::create_dir(&links)?;
        let mut exec = self
            .evaluating(Exec::new(program))
            .args(["--workers", &settings.workers.max(1).to_string()])
            .arg("--gc-roots-dir")
            .arg(&links);
        if let Some(bytes) = settings.max_memory {
            exec = exec.args(["--max-memory-size", &(bytes >> 20).max(1).to_string()]);
        }
        let mut running = exec.arg(&file).spawn(Stdio::null())?;
        let chunks = running.chunks();
        let limit = settings.limit.unwrap_or(LIMIT);
        let mut summary = PoolSummary::default();
        let (mut answer, mut printed) = (Vec::new(), Vec::new());
        let mut since = Instant::now();
        loop {
            match chunks.recv_timeout(TICK) {
                Ok((Stream::Err, chunk)) => {
                    let room = MAX_PRINTED.saturating_sub(printed.len());
                    printed.extend(chunk.into_iter().take(room));
                }
                Ok((Stream::Out, chunk)) => {
                    since = Instant::now();
                    for piece in chunk.split_inclusive(|b| *b == b'\n') {
                        // A long line comes in pieces.
                        answer.extend_from_slice(piece);
                        if answer.ends_with(b"\n") || answer.len() > MAX_ANSWER {
                            let read = read_line(&answer, whole, paths);
                            answer.clear();
                            let (path, evaluated) = match read {
                                Ok(read) => read,
                                Err(error) => {
                                    running.kill();
                                    return Err(error);
                                }
                            };
                            summary.attributes += 1;
                            match &evaluated {
                                Evaluated::Failed(_) => summary.failed += 1,
                                _ => summary.derivations += 1,
                            }
                            on_result(
                                path,
                                evaluated,
                                if whole { 0 } else { paths.len().saturating_sub(summary.attributes) },
                            );
                        }
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if interrupted() {
                running.stop();
                return Err(Error::Interrupted);
            }
            if since.elapsed() > limit {
                running.kill();
                return Err(Error::EvaluatorHung { seconds: limit.as_secs() });
            }
        }
        let status = running.wait()?;
        if !status.success() || !answer.is_empty() {
            let how = if status.success() { "in the middle of an answer".into() } else { status.to_string() };
            let printed = String::from_utf8_lossy(&printed).into_owned();
            return Err(Error::EvaluatorDied { how: format!("{PROGRAM}: {how}"), printed });
        }
        Ok(summary)
    }
}

/// Makes the text of what is to be evaluated: the whole set, or those of it that are asked for, by number.
fn expression(root: &str, paths: &[Names]) -> String {
    if paths.is_empty() {
        return format!("{root}\n");
    }
    let mut text = format!("let root = {root}; in {{\n");
    for (number, path) in paths.iter().enumerate() {
        text.push_str(&format!("  \"{number}\" = {};\n", below_root(path)));
    }
    text.push_str("}\n");
    text
}

fn read_line(line: &[u8], whole: bool, paths: &[Names]) -> Result<(Names, Evaluated), Error> {
    let garbage = |reason: String| Error::Garbage {
        program: PROGRAM.into(),
        reason,
        answer: String::from_utf8_lossy(line).chars().take(2000).collect(),
    };
    let line: Line = serde_json::from_slice(line).map_err(|e| garbage(e.to_string()))?;
    let mut path = line.attr_path.unwrap_or_else(|| vec![line.attr]);
    if !whole {
        let asked = path.first().and_then(|number| paths.get(number.parse::<usize>().ok()?));
        let asked = asked.ok_or_else(|| garbage("an attribute that was not asked for".into()))?;
        path.splice(..1, asked.iter().cloned());
    }
    if let Some(error) = line.error {
        if path.is_empty() {
            let failure = Box::new(EvalFailure::read(&error));
            return Err(Error::Eval { what: "the package set".into(), failure });
        }
        return Ok((path, Evaluated::Failed(EvalFailure::read(&error))));
    }
    let drv_path = line.drv_path.filter(|drv_path| drv_path.ends_with(".drv"));
    let drv_path = drv_path.ok_or_else(|| garbage(format!("no derivation of `{}`", attr_path_text(&path))))?;
    let out_path = line.outputs.get("out").or_else(|| line.outputs.values().next()).cloned().flatten();
    Ok((path, Evaluated::Derivation { drv_path, out_path: out_path.unwrap_or_default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_or_refused() {
        let paths = [vec!["a".to_string()], vec!["b".to_string(), "c.d".to_string()]];
        let read = |line: &str, whole| read_line(line.as_bytes(), whole, &paths);
        let (path, evaluated) = read(
            r#"{"attr":"x.\"y.z\"","attrPath":["x","y.z"],"drvPath":"/nix/store/a.drv","inputDrvs":{},"outputs":{"dev":"/nix/store/d","out":"/nix/store/o"}}"#,
            true,
        )
        .unwrap();
        assert_eq!(path, ["x", "y.z"]);
        assert!(matches!(evaluated, Evaluated::Derivation { out_path, .. } if out_path == "/nix/store/o"));
        let (path, evaluated) =
            read(r#"{"attr":"1.e","attrPath":["1","e"],"error":"error: attribute 'q' missing\n"}"#, false).unwrap();
        assert_eq!(path, ["b", "c.d", "e"]);
        assert!(matches!(evaluated, Evaluated::Failed(failure) if failure.message == "attribute 'q' missing"));
        for line in ["", "hello", "{}", r#"{"attr":"7","drvPath":"/nix/store/a.drv"}"#, r#"{"attr":"0"}"#, "\u{0}"] {
            assert!(matches!(read(line, false), Err(Error::Garbage { .. })), "{line}");
        }
        let set = r#"{"attr":"","attrPath":[],"error":"error: no nixpkgs"}"#;
        assert!(matches!(read(set, true), Err(Error::Eval { .. })));
    }

    #[test]
    fn what_is_asked_for_goes_by_number() {
        let text = expression("import ./x { }", &[vec!["a".into()], vec!["b".into(), "c d".into()]]);
        assert_eq!(text, "let root = import ./x { }; in {\n  \"0\" = root.a;\n  \"1\" = root.b.\"c d\";\n}\n");
        assert_eq!(expression("import ./x { }", &[]), "import ./x { }\n");
    }
}
