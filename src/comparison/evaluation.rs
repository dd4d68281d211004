//! The evaluation of one side of a comparison: taken from the kept graphs, or done by Nix, first without building anything.

use std::collections::BTreeMap;

use super::Error;
use super::cache::{Answer, GraphCache, Open, Question};
use super::parts::Key;
use crate::base::diagnostic::Warning;
use crate::base::progress::Progress;
use crate::base::store_path;
use crate::graph::Graph;
use crate::nix::{self, EvalFailure, FailureKind, Instantiated, Nix, Reads, Side, SideResult};
use crate::targets::{Selection, Target};

/// The side that the workspace is compared with.
pub(super) enum Before {
    /// As it was kept from an earlier run.
    Kept(Graph),
    /// Just evaluated; to be kept as the answer to that.
    Evaluated { sides: Vec<SideResult>, keep: Option<(Open, Reads)> },
}

impl Before {
    pub(super) fn of(nix: &Nix, sides: &[Side], cache: Option<(GraphCache, Question)>) -> Result<Before, nix::Error> {
        let Some((cache, question)) = cache else {
            return Ok(Before::Evaluated { sides: nix.instantiate(sides)?, keep: None });
        };
        match cache.ask(question) {
            Answer::Kept(graph) => Ok(Before::Kept(graph)),
            Answer::Open(open) => {
                let (watched, watch) = nix.watched(sides.iter().map(|side| &side.root));
                let results = watched.instantiate(sides)?;
                if results.iter().flatten().any(Result::is_err) {
                    // A target that does not evaluate is evaluated again each time, for its message in Nix's own words.
                    return Ok(Before::Evaluated { sides: nix.instantiate(sides)?, keep: None });
                }
                Ok(Before::Evaluated { sides: results, keep: Some((open, watch.reads())) })
            }
        }
    }
    /// Returns what came of each target.
    pub(super) fn results<'t>(&self, targets: &'t [(Key, Target)]) -> BTreeMap<&'t Key, Result<String, EvalFailure>> {
        match self {
            Before::Kept(graph) => {
                let known = |name: &str| graph.roots().find(|root| root.attr == Some(name));
                let derivation = |name: &str| Some(graph.node(known(name)?.node).drv_path().to_owned());
                targets.iter().filter_map(|(key, target)| Some((key, Ok(derivation(&target.name)?)))).collect()
            }
            Before::Evaluated { sides, .. } => {
                let result = |result: &Result<Instantiated, EvalFailure>| {
                    result.as_ref().map(|derivation| derivation.drv_path.clone()).map_err(Clone::clone)
                };
                targets.iter().zip(sides.iter().flatten()).map(|((key, _), of)| (key, result(of))).collect()
            }
        }
    }
}

/// Evaluates targets again that need something built during evaluation, and says so before; says whether there were any.
pub(super) fn build_during_evaluation(
    nix: &Nix,
    sides: &[Side],
    results: &mut [SideResult],
    selection: &Selection,
    warnings: &mut Vec<Warning>,
    progress: &mut dyn Progress,
) -> Result<bool, Error> {
    let mut found = false;
    if selection.no_import_from_derivation {
        return Ok(found);
    }
    for (side, results) in sides.iter().zip(results) {
        let needs = |result: &Result<Instantiated, EvalFailure>| matches!(result, Err(failure) if failure.kind == FailureKind::ImportFromDerivation);
        let again: Vec<usize> = (0..results.len()).filter(|at| results.get(*at).is_some_and(needs)).collect();
        if again.is_empty() {
            continue;
        }
        found = true;
        let names: Vec<String> =
            again.iter().filter_map(|at| side.targets.get(*at)).map(|path| path.join(".")).collect();
        let why = again.first().and_then(|at| results.get(*at)?.as_ref().err()).map(|failure| failure.message.clone());
        // Of Nix's sentence only what is to be built is of interest.
        let why = why.unwrap_or_default();
        let built = why
            .split(['\'', '`', ' ', '^'])
            .find(|word| word.ends_with(".drv"))
            .map_or(why.as_str(), store_path::drv_name);
        let message = format!("{} needs {built} built during evaluation (import-from-derivation)", names.join(", "));
        if !warnings.iter().any(|warning| warning.message == message) {
            progress.stage(&message);
            let hint = Some("--no-import-from-derivation refuses that".into());
            warnings.push(Warning { code: "OV1082", message, place: None, hint });
        }
        let targets = again.iter().filter_map(|at| side.targets.get(*at).cloned()).collect();
        let anew = nix.instantiate(&[Side { targets, ..side.clone() }])?;
        for (at, result) in again.into_iter().zip(anew.into_iter().flatten()) {
            if let Some(place) = results.get_mut(at) {
                *place = result;
            }
        }
    }
    Ok(found)
}
