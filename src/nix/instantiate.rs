//! Targets of one or several package sets to derivations.
//!
//! Each side is one evaluator with all its targets, the sides run beside each other; a target that fails does not take
//! the others with it. The derivations are written to the store, as `nix-instantiate` does. Must not compare anything.

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::expression::{Names, Root, attr_path_text, quoted};
use super::failure::{EvalFailure, FailureKind};
use super::program::Nix;
use super::server::{EvalServer, lost_failure, read_json};

/// A package set (or another root) and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// What the side is called in messages.
    pub name: String,
    /// What the attribute paths start from.
    pub root: Root,
    pub targets: Vec<Names>,
}

/// A target's derivation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instantiated {
    /// The path of the `.drv` file.
    pub drv_path: String,
    /// The output that the attribute stands for.
    pub out_path: String,
    pub name: String,
    pub system: String,
    /// All outputs, in the derivation's order (the first is the default).
    pub outputs: Vec<Output>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its name (`out`, `dev`).
    pub name: String,
    /// Its store path; a placeholder for a derivation whose outputs are content-addressed.
    pub path: String,
}

/// What an evaluator says to one question.
pub(super) type Answered = Result<String, EvalFailure>;

/// What came of one side: one result for each target, in their order.
pub type SideResult = Vec<Result<Instantiated, EvalFailure>>;

impl Nix {
    /// Instantiates the targets of all sides, each side in a process of its own.
    ///
    /// # Errors
    /// Those of a side as a whole: its expression does not parse, or Nix cannot be run. What is wrong with one target
    /// is in its result.
    pub fn instantiate(&self, sides: &[Side]) -> Result<Vec<SideResult>, Error> {
        let all: Vec<Result<SideResult, Error>> = match sides {
            [] => Vec::new(),
            [one] => vec![self.instantiate_side(one)],
            many => std::thread::scope(|scope| {
                let running: Vec<_> =
                    many.iter().map(|side| scope.spawn(move || self.instantiate_side(side))).collect();
                running.into_iter().map(|thread| thread.join().unwrap_or(Err(Error::Interrupted))).collect()
            }),
        };
        all.into_iter().collect()
    }

    /// As [`Nix::instantiate`], from what is kept of an earlier run where that still holds.
    pub fn instantiate_kept(&self, sides: &[Side]) -> Result<Vec<SideResult>, Error> {
        let text = format!("instantiate {sides:?}");
        self.kept(&text, sides.iter().map(|side| &side.root), |nix| nix.instantiate(sides))
    }

    fn instantiate_side(&self, side: &Side) -> Result<SideResult, Error> {
        let questions: Vec<String> = side.targets.iter().map(|target| derivation_question(target)).collect();
        self.ask_each(&side.root.to_nix()?, &side.name, &questions, |server, at, answer| match answer {
            Ok(text) => read_derivation(&text),
            Err(failure) => {
                let target = side.targets.get(at).map(Vec::as_slice).unwrap_or_default();
                Ok(Err(self.with_near_names(server, target, failure)))
            }
        })
    }

    /// Asks all `questions` about a root, and reads each answer with the number of its question. The question at which an evaluator is
    /// lost gets that as its failure; the rest gets a new evaluator.
    pub(super) fn ask_each<T>(
        &self,
        root: &str,
        what: &str,
        questions: &[String],
        mut read: impl FnMut(&mut EvalServer, usize, Answered) -> Result<Result<T, EvalFailure>, Error>,
    ) -> Result<Vec<Result<T, EvalFailure>>, Error> {
        let mut results = Vec::with_capacity(questions.len());
        while let Some(rest) = questions.get(results.len()..).filter(|rest| !rest.is_empty()) {
            let mut server = self.eval_server()?;
            bind_root(&mut server, root, what).map_err(|e| self.explained(e))?;
            let batch = server.ask(rest)?;
            let before = results.len();
            for answer in batch.answers.into_iter().map_while(|answer| answer) {
                results.push(read(&mut server, results.len(), answer)?);
            }
            match batch.lost {
                Some((lost, culprit)) => {
                    server.doubt("an evaluator was lost");
                    if culprit.is_none() && results.len() == before {
                        return Err(self.explained(server.lost_error(lost)));
                    }
                    if results.len() < questions.len() {
                        results.push(Err(lost_failure(&lost)));
                    }
                }
                None if results.len() == before => return Err(Error::no_answer("nix repl", what)),
                None => {}
            }
        }
        Ok(results)
    }

    /// Adds near names to the failure of a missing attribute, where Nix gave none.
    fn with_near_names(&self, server: &mut EvalServer, target: &[String], mut failure: EvalFailure) -> EvalFailure {
        if let FailureKind::MissingAttribute { attribute } = &failure.kind
            && failure.near.is_empty()
            && let Some(depth) = target.iter().position(|segment| segment == attribute)
            && let Ok(Ok(names)) = attr_names_in(server, target.get(..depth).unwrap_or_default())
        {
            failure.near = near_names(attribute, names);
        }
        failure
    }

    /// Returns the names of the attributes of the set at `path`, sorted.
    ///
    /// # Errors
    /// [`Error::Eval`] when there is no such set, and those of the evaluator.
    pub fn attr_names(&self, root: &Root, path: &[String]) -> Result<Vec<String>, Error> {
        let mut server = self.eval_server()?;
        bind_root(&mut server, &root.to_nix()?, "package set").map_err(|e| self.explained(e))?;
        attr_names_in(&mut server, path)?
            .map_err(|failure| Error::Eval { what: attr_path_text(path), failure: Box::new(failure) })
    }
}

/// Gives the server its root, under the name `root`.
pub(super) fn bind_root(server: &mut EvalServer, root: &str, what: &str) -> Result<(), Error> {
    server.bind("root", root).map_err(|error| match error {
        Error::Eval { failure, .. } => Error::Eval { what: what.to_string(), failure },
        error => error,
    })
}

/// Returns the Nix text of an attribute path below `root`.
pub(super) fn below_root(path: &[String]) -> String {
    if path.is_empty() { "root".into() } else { format!("root.{}", attr_path_text(path)) }
}

pub(super) fn attr_names_in(
    server: &mut EvalServer,
    path: &[String],
) -> Result<Result<Vec<String>, EvalFailure>, Error> {
    let answer = server.eval_json(&format!("builtins.attrNames ({})", below_root(path)))?;
    Ok(answer.map(|names| serde_json::from_value(names).unwrap_or_default()))
}

/// Returns those of `names` that are nearest to `wanted`, at most five, the nearest first.
pub(super) fn near_names(wanted: &str, names: Vec<String>) -> Vec<String> {
    let wanted_lower = wanted.to_lowercase();
    let mut scored: Vec<(f64, String)> = names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wanted_lower, &name.to_lowercase()), name))
        .filter(|(score, _)| *score > 0.85)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    scored.into_iter().take(5).map(|(_, name)| name).collect()
}

/// The beginning of an answer that says: it exists, and is no derivation.
const NOT_A_DERIVATION: &str = "not-a-derivation ";

fn derivation_question(target: &[String]) -> String {
    format!(
        "let d = {}; in if !(builtins.isAttrs d && d ? drvPath) then {} + builtins.typeOf d else builtins.toJSON {{ \
         inherit (d) name; drv = d.drvPath; result = d.outPath; system = d.system or \"\"; outputs = map (o: {{ name = o; path = \
         builtins.unsafeDiscardStringContext (d.${{o}}.outPath or d.outPath); }}) (d.outputs or [ \"out\" ]); }}",
        below_root(target),
        quoted(NOT_A_DERIVATION)
    )
}

/// The shape of an answer; no `outPath` in it, with which Nix would write the set as a mere text.
#[derive(Deserialize)]
struct Answer {
    drv: String,
    result: String,
    name: String,
    system: String,
    outputs: Vec<Output>,
}

/// Reads an answer; the outer error is one of the protocol.
fn read_derivation(answer: &str) -> Result<Result<Instantiated, EvalFailure>, Error> {
    if let Some(kind) = answer.strip_prefix(NOT_A_DERIVATION) {
        return Ok(Err(EvalFailure::plain(
            FailureKind::NotADerivation,
            format!("it is no derivation but a {kind}"),
            "",
        )));
    }
    let Answer { drv, result, name, system, outputs } = read_json(answer)?;
    Ok(Ok(Instantiated { drv_path: drv, out_path: result, name, system, outputs }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_near() {
        let names = || ["ripgrep", "ripgrep-all", "grep", "musl", "mysql", "rustc"].map(String::from).to_vec();
        assert_eq!(near_names("ripgerp", names())[0], "ripgrep");
        assert_eq!(near_names("Musl", names())[0], "musl");
        assert!(near_names("zzzz", names()).is_empty());
    }

    #[test]
    fn a_question_names_its_target_quoted() {
        let question = derivation_question(&["a b".into(), "c".into()]);
        assert!(question.starts_with("let d = root.\"a b\".c; in "), "{question}");
    }
}
