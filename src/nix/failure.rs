//! Nix's evaluation errors: shortened, classified, with the place and near names.
//!
//! Nix prints errors for people, and every version words them a little differently; what is not recognised stays
//! [`FailureKind::Other`] with the whole text. Must not start anything.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::process::strip_controls;
use crate::base::span::{LineCol, Place};

/// What kind of failure an evaluation ended with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureKind {
    /// A set lacks an attribute.
    MissingAttribute { attribute: String },
    /// A name is not in scope.
    UndefinedVariable { name: String },
    /// A value depends on itself, or the calls nest too deep.
    InfiniteRecursion,
    /// nixpkgs refuses the package: broken, unfree, insecure, or not for this platform.
    Refused,
    /// An `assert` failed.
    Assertion,
    /// The text is no Nix.
    Syntax,
    /// A value is of another type than it is used as, or a function was called with other arguments.
    Type,
    /// A file is not there.
    MissingFile,
    /// The attribute exists and is no derivation.
    NotADerivation,
    /// Something would have to be built to go on, and that was not allowed or failed.
    ImportFromDerivation,
    /// The evaluator ended (out of memory, stack overflow, killed).
    Died,
    /// The evaluator gave no answer in the time it had.
    TimedOut,
    /// Anything else, `throw` among it.
    Other,
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvalFailure {
    #[serde(flatten)]
    pub kind: FailureKind,
    /// Nix's message, its first sentence or line.
    pub message: String,
    /// Where Nix says it is, when that is a file.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub place: Option<Box<Place>>,
    /// Names that exist and are near to the missing one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub near: Vec<String>,
    /// All that Nix printed, without control sequences.
    #[serde(skip)]
    pub full: String,
}

impl EvalFailure {
    /// Makes a failure that is not Nix's own text.
    pub(super) fn plain(kind: FailureKind, message: impl Into<String>, full: impl Into<String>) -> EvalFailure {
        EvalFailure { kind, message: message.into(), place: None, near: Vec::new(), full: full.into() }
    }

    /// Says whether it is one of the expression, which fails the same way as long as nothing changes; not of memory, time or network.
    pub fn is_lasting(&self) -> bool {
        use FailureKind::{
            Assertion, MissingAttribute, MissingFile, NotADerivation, Refused, Syntax, Type, UndefinedVariable,
        };
        let lasting =
            matches!(self.kind, MissingAttribute { .. } | UndefinedVariable { .. } | Refused | Assertion | Syntax);
        lasting || matches!(self.kind, Type | MissingFile | NotADerivation)
    }

    /// Reads what Nix printed on standard error.
    pub fn read(printed: &str) -> EvalFailure {
        let full = strip_controls(printed).trim().to_string();
        let lines: Vec<&str> = full.lines().collect();
        // Newer versions print the trace first and end with the error; `error:` alone opens a trace.
        let at = lines.iter().rposition(|line| error_text(line).is_some_and(|text| !text.is_empty()));
        let Some(at) = at else {
            let message = last_line(&full).unwrap_or("no message");
            return EvalFailure::plain(FailureKind::Other, message, full.clone());
        };
        let rest = lines.get(at..).unwrap_or_default();
        let message = rest.first().and_then(|line| error_text(line)).unwrap_or_default().to_string();
        let near = rest.iter().find_map(|line| line.trim().strip_prefix("Did you mean ")).map(near_names);
        let mut places = rest.iter().skip(1).filter_map(|line| place(line.trim()));
        let place = places.find(|place| !place.path.ends_with(super::reads::SCOPE_FILE)).map(Box::new);
        EvalFailure { kind: classify(&message), message, place, near: near.unwrap_or_default(), full }
    }
}

/// Returns the last line of what Nix printed that says something.
pub(super) fn last_line(printed: &str) -> Option<&str> {
    printed.lines().map(str::trim).rfind(|line| !line.is_empty())
}

fn error_text(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("error:").map(str::trim)
}

/// Reads `one of hello, helm, belr, celf or celt?` or `hello?`.
fn near_names(text: &str) -> Vec<String> {
    let text = text.trim_end_matches('?');
    let text = text.strip_prefix("one of ").unwrap_or(text);
    text.split(", ")
        .flat_map(|part| part.split(" or "))
        .map(|n| n.trim().to_string())
        .filter(|n| !n.is_empty())
        .collect()
}

/// Reads `at /a/b.nix:12:3:`; a place in a text of our own is none.
fn place(line: &str) -> Option<Place> {
    let rest = line.strip_prefix("at ")?.trim_end_matches(':');
    let (rest, column) = rest.rsplit_once(':')?;
    let (path, line) = rest.rsplit_once(':')?;
    let line_col = LineCol { line: line.parse().ok()?, column: column.parse().ok()? };
    path.starts_with('/').then(|| Place { path: PathBuf::from(path), span: None, line_col: Some(line_col) })
}

/// Returns what stands between the first pair of quotes (`'...'`).
fn between_quotes(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('\'')?;
    rest.split_once('\'').map(|(name, _)| name.to_string())
}

fn classify(message: &str) -> FailureKind {
    let has = |needle: &str| message.contains(needle);
    if message.starts_with("attribute ") && has("missing") {
        return FailureKind::MissingAttribute { attribute: between_quotes(message).unwrap_or_default() };
    }
    if message.starts_with("undefined variable") {
        return FailureKind::UndefinedVariable { name: between_quotes(message).unwrap_or_default() };
    }
    if has("infinite recursion") || has("stack overflow") || has("max-call-depth") {
        FailureKind::InfiniteRecursion
    } else if has("efusing to evaluate") || has("is not available on the requested") {
        FailureKind::Refused
    } else if message.starts_with("assertion ") {
        FailureKind::Assertion
    } else if message.starts_with("syntax error") || has("dynamic attributes not allowed") {
        FailureKind::Syntax
    } else if has("allow-import-from-derivation")
        || has("while building during evaluation is not allowed")
        || has("during evaluation because the option")
        || has("failed to build")
        || message.starts_with("builder for ")
        || message.starts_with("Cannot build ")
    {
        FailureKind::ImportFromDerivation
    } else if (has("getting status of") || has("opening file") || has("does not exist"))
        && (has("No such file") || has("does not exist"))
    {
        FailureKind::MissingFile
    } else if message.starts_with("cannot coerce")
        || message.starts_with("value is ")
        || message.starts_with("expected a ")
        || message.starts_with("cannot add ")
        || message.starts_with("attempt to call something which is not a function")
        || has("called without required argument")
        || has("called with unexpected argument")
    {
        FailureKind::Type
    } else {
        FailureKind::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_attribute_with_near_names() {
        let failure = EvalFailure::read(
            "\u{1b}[31;1merror:\u{1b}[0m attribute 'helo' missing\n\n       at «string»:1:8:\n\n            1| x\n             |  ^\n       Did you mean one of hello, helm, belr, celf or celt?\n",
        );
        assert_eq!(failure.kind, FailureKind::MissingAttribute { attribute: "helo".into() });
        assert_eq!(failure.near, ["hello", "helm", "belr", "celf", "celt"]);
        assert_eq!((failure.message.as_str(), failure.place), ("attribute 'helo' missing", None));
    }

    #[test]
    fn a_trace_of_a_newer_version_ends_with_the_error() {
        let failure = EvalFailure::read(
            "error:\n       … while calling the 'throw' builtin\n         at /w/a.nix:3:5:\n            2| {\n\n       error: Package ‘x’ in /n/x.nix:7 is marked as broken, refusing to evaluate.\n\n       a) To temporarily allow ...\n       at /w/b.nix:12:30:\n",
        );
        assert_eq!(failure.kind, FailureKind::Refused);
        assert!(failure.message.starts_with("Package ‘x’"), "{}", failure.message);
        let place = failure.place.unwrap();
        assert_eq!(place.to_string(), "/w/b.nix:12:30");
    }

    #[test]
    fn the_recorded_texts_of_three_versions() {
        let Some(logs) = crate::nix::log::tests::recorded() else { return };
        for version in ["2.8.0", "2.26.3", "2.34.8"] {
            let read = |name: &str| {
                EvalFailure::read(&std::fs::read_to_string(logs.join(format!("v-{version}")).join(name)).unwrap())
            };
            assert_eq!(read("undef.txt").kind, FailureKind::UndefinedVariable { name: "y".into() }, "{version}");
            assert_eq!(read("parse.txt").kind, FailureKind::Syntax, "{version}");
        }
    }

    #[test]
    fn anything_is_read() {
        assert_eq!(EvalFailure::read("").message, "no message");
        assert_eq!(EvalFailure::read("Killed\n").message, "Killed");
        assert_eq!(EvalFailure::read("error:").kind, FailureKind::Other);
    }
}
