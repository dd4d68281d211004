//! What is said of a build that failed: where in the chain, in which phase, the log's end, what it blocks, and the patch
//! when it is one that did it.

use std::collections::VecDeque;

use serde::Serialize;

use crate::base::process::strip_controls;
use crate::base::store_path;
use crate::comparison::Comparison;
use crate::graph::{Graph, NodeId};
use crate::nix::{self, BuildReport, Nix};
use crate::ops::Error;

/// How many of the last lines of a log are looked at for the patch that failed.
const LOOKED_AT: usize = 2000;
/// How many of the last lines of a log are shown.
const TAIL: usize = 15;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildFailure {
    pub drv_path: String,
    pub name: String,
    pub reason: String,
    pub phase: Option<String>,
    /// The machine, when another one.
    pub host: Option<String>,
    /// From the failed derivation to the first target that needs it: names.
    pub chain: Vec<String>,
    /// The last lines of its log.
    pub tail: Vec<String>,
    /// The command that shows the whole log.
    pub log_command: String,
    /// What else cannot be built because of it: names.
    pub blocked: Vec<String>,
    /// The patch that did not apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<FailingPatch>,
}

/// A patch that did not apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailingPatch {
    pub patch: String,
    /// The file that it did not fit.
    pub file: Option<String>,
    /// The hunk, from 1.
    pub hunk: Option<u32>,
    /// What `patch` said.
    pub said: String,
}

/// Describes every failure that is not a consequence of another one.
pub(super) fn describe(nix: &Nix, comparison: &Comparison, report: &BuildReport) -> Result<Vec<BuildFailure>, Error> {
    let after = &comparison.after;
    let mut failures = Vec::new();
    for (drv_path, result) in report.results.iter().filter(|(_, r)| r.outcome == nix::Outcome::Failed) {
        // After Ctrl-C nothing is started any more; what came of the log while it was built has to do.
        let log = if report.interrupted { None } else { end_of_log(nix, drv_path)? };
        let mut tail = log.unwrap_or_else(|| result.tail.clone());
        let patch = failing_patch(&tail);
        tail.drain(..tail.len().saturating_sub(TAIL));
        let id = after.find(drv_path);
        failures.push(BuildFailure {
            drv_path: drv_path.clone(),
            name: store_path::drv_name(drv_path).to_string(),
            reason: result.failure.as_ref().map_or_else(|| "its builder failed".into(), |f| f.reason.to_string()),
            phase: result.phases.last().map(|(name, _)| name.clone()),
            host: result.host.clone(),
            chain: id.map(|id| chain_to_target(after, id)).unwrap_or_default(),
            tail,
            log_command: format!("nix-store --read-log {drv_path}"),
            blocked: id.map(|id| blocked(after, id, report)).unwrap_or_default(),
            patch,
        });
    }
    Ok(failures)
}

/// Returns the last lines of a log, as they can be shown.
fn end_of_log(nix: &Nix, drv_path: &str) -> Result<Option<Vec<String>>, Error> {
    let mut end = VecDeque::with_capacity(LOOKED_AT);
    let there = nix.read_log(drv_path, &mut |line| {
        // Nix keeps its own lines (phases) in the log.
        if line.starts_with(b"@nix {") {
            return;
        }
        if end.len() == LOOKED_AT {
            end.pop_front();
        }
        end.push_back(line.to_vec());
    })?;
    let shown = |line: Vec<u8>| strip_controls(String::from_utf8_lossy(&line).trim_end_matches('\n'));
    Ok(there.then(|| end.into_iter().map(shown).collect()))
}

/// Returns the shortest way from a derivation up to a target, as names.
fn chain_to_target(graph: &Graph, from: NodeId) -> Vec<String> {
    let roots: Vec<NodeId> = graph.roots().map(|root| root.node).collect();
    let mut came_from: std::collections::BTreeMap<NodeId, NodeId> = [(from, from)].into();
    let mut queue: VecDeque<NodeId> = [from].into();
    while let Some(at) = queue.pop_front() {
        if roots.contains(&at) {
            let mut chain: Vec<NodeId> =
                std::iter::successors(Some(at), |id| came_from.get(id).copied().filter(|p| p != id)).collect();
            chain.reverse();
            return chain.iter().map(|id| graph.node(*id).name().to_string()).collect();
        }
        for dependent in graph.dependents(at) {
            came_from.entry(*dependent).or_insert_with(|| {
                queue.push_back(*dependent);
                at
            });
        }
    }
    vec![graph.node(from).name().to_string()]
}

/// Returns what depends on a derivation and was not built, as names.
fn blocked(graph: &Graph, from: NodeId, report: &BuildReport) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let mut todo = vec![from];
    while let Some(at) = todo.pop() {
        todo.extend(graph.dependents(at).iter().filter(|id| seen.insert(**id)));
    }
    let left = |id: &&NodeId| {
        let outcome = report.results.get(graph.node(**id).drv_path()).map(|r| r.outcome);
        matches!(outcome, Some(nix::Outcome::Blocked | nix::Outcome::NotRun))
    };
    seen.iter().filter(left).map(|id| graph.node(*id).name().to_string()).collect()
}

/// The words of nixpkgs' patchPhase before each patch.
const APPLYING: &str = "applying patch ";

/// Finds the patch that did not apply in a log: the last `applying patch` line, then what GNU patch says
/// (`Hunk #2 FAILED at 12.`, `can't find file to patch`, `Reversed (or previously applied) patch detected`).
fn failing_patch(log: &[String]) -> Option<FailingPatch> {
    let at = log.iter().rposition(|line| line.starts_with(APPLYING))?;
    let path = log[at].strip_prefix(APPLYING)?.split_whitespace().next()?;
    let mut file = None;
    for line in &log[at + 1..] {
        if let Some(name) = line.strip_prefix("patching file ") {
            file = Some(name.trim_matches('\'').to_string());
        }
        let failed = line.strip_prefix("Hunk #").filter(|rest| rest.contains(" FAILED"));
        let hunk = failed.and_then(|rest| rest.split(' ').next()?.parse().ok());
        let other = [
            "can't find file to patch",
            "Reversed (or previously applied)",
            "malformed patch",
            "Only garbage was found",
        ];
        if failed.is_some() || other.iter().any(|words| line.contains(words)) {
            let patch = store_path::name(path).to_string();
            return Some(FailingPatch { patch, file, hunk, said: line.trim().to_string() });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_string).collect()
    }

    #[test]
    fn the_patch_file_and_hunk_are_named() {
        let log = lines(
            "applying patch /nix/store/971qyph05ykg6i7akswlz0pq4dzl26r5-0001-a.patch\npatching file a.c\n\
             applying patch /nix/store/971qyph05ykg6i7akswlz0pq4dzl26r5-0002-b.patch\npatching file src/b.c\n\
             Hunk #1 succeeded at 3.\nHunk #2 FAILED at 12.\n1 out of 2 hunks FAILED -- saving rejects to file src/b.c.rej",
        );
        let found = failing_patch(&log).unwrap();
        assert_eq!(
            (found.patch.as_str(), found.file.as_deref(), found.hunk),
            ("0002-b.patch", Some("src/b.c"), Some(2))
        );
    }

    #[test]
    fn a_failure_after_the_patches_is_not_theirs() {
        let log = lines(
            "applying patch /nix/store/971qyph05ykg6i7akswlz0pq4dzl26r5-a.patch\npatching file a.c\nmake: *** [x] Error 1",
        );
        assert_eq!(failing_patch(&log), None);
    }
}
