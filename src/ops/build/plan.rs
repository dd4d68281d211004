//! The plan of a build: what will be built, fetched, is there; in what order, and how long it may take.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::BuiltTarget;
use crate::base::store_path;
use crate::comparison::Comparison;
use crate::graph::{Delta, Graph, NodeId};
use crate::nix::{self, BuildRequest, CachedPath, Nix, Unbuilt};
use crate::ops::Error;
use crate::ops::history::History;

/// What a build would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The derivations that will be built, inputs before what needs them.
    pub build: Vec<Planned>,
    /// The paths that will be fetched.
    pub fetch: Vec<Fetched>,
    /// How much is downloaded in all, in Nix's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download: Option<String>,
    /// Derivations of the rebuild set that are there already.
    pub there: usize,
    /// Derivations of the rebuild set that are not there and not needed: what needs them is there, or is fetched.
    pub not_needed: usize,
    /// The longest chain of what will be built: names, in order.
    pub critical_path: Vec<String>,
    /// How long that chain takes by earlier builds, in seconds; absent when a part of it was never built.
    pub expected_seconds: Option<f64>,
    /// How many of the derivations were never built before.
    pub unknown_times: usize,
    /// Warnings of Nix, of caches that do not answer for example.
    pub warnings: Vec<String>,
}

/// A path that will be fetched.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetched {
    pub path: String,
    /// The cache that has it; absent when none of them says so any more.
    pub from: Option<String>,
    /// How much is downloaded, in bytes.
    pub bytes: Option<u64>,
}

/// A derivation that will be built.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    pub drv_path: String,
    pub name: String,
    /// Whether it is of the rebuild set.
    pub rebuilt: bool,
    /// Whether it only downloads a source, whose hash is known (a fixed-output derivation).
    pub fixed_output: bool,
    /// How long it took before, in seconds; absent when it was never built.
    pub expected_seconds: Option<f64>,
}

impl Plan {
    /// Refuses what builds more than downloads, and says what that is.
    pub(super) fn refuse(&self, targets: &[BuiltTarget]) -> Result<(), nix::Error> {
        let (downloads, builds): (Vec<_>, Vec<_>) = self.build.iter().partition(|planned| planned.fixed_output);
        if builds.is_empty() {
            return Ok(());
        }
        let unbuilt = Unbuilt {
            unknown: builds.iter().filter(|planned| planned.expected_seconds.is_none()).count(),
            builds: builds.into_iter().map(|planned| planned.name.clone()).collect(),
            downloads: downloads.len(),
            fetches: self.fetch.len(),
            download: self.download.clone(),
            expected: self.expected_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        };
        let what = targets.iter().map(|target| format!("`{}`", target.target)).collect::<Vec<_>>().join(", ");
        Err(nix::Error::WouldBuild { what, unbuilt: Box::new(unbuilt) })
    }
}

/// Asks Nix what it would do and puts it in order.
pub(super) fn make(
    nix: &Nix,
    comparison: &Comparison,
    delta: &Delta<'_>,
    history: &History,
    request: &BuildRequest,
) -> Result<Plan, Error> {
    let after = &comparison.after;
    let would = nix.plan_build(request)?;
    let mut wanted: BTreeSet<NodeId> = would.will_build.iter().filter_map(|drv| after.find(drv)).collect();
    if request.settings.check {
        wanted.extend(comparison.targets.iter().filter_map(|t| after.find(&t.after)));
    }
    let idle: Vec<NodeId> = delta.rebuilt().iter().filter(|id| !wanted.contains(id)).copied().collect();
    let there = present(nix, after, &idle)?;
    let expected = |id: NodeId| {
        let node = after.node(id);
        history.expected(node.pname(), node.name(), node.system()).map(|time| time.as_secs_f64())
    };
    // Ids rise from inputs to dependents, so the set is in build order already.
    let build: Vec<Planned> = wanted
        .iter()
        .map(|id| Planned {
            drv_path: after.node(*id).drv_path().into(),
            name: after.node(*id).name().into(),
            rebuilt: delta.is_rebuilt(*id),
            fixed_output: after.node(*id).fixed_output(),
            expected_seconds: expected(*id),
        })
        .collect();
    let (critical_path, expected_seconds) = critical_path(after, &wanted, &expected);
    let caches = nix.find_in_caches(&would.will_fetch, request)?;
    let fetch = would.will_fetch.into_iter().map(|path| {
        let found = caches.get(&path);
        Fetched { from: found.map(|f| f.cache.clone()), bytes: found.and_then(CachedPath::bytes), path }
    });
    Ok(Plan {
        fetch: fetch.collect(),
        download: would.download,
        there: there.len(),
        not_needed: idle.len() - there.len(),
        unknown_times: build.iter().filter(|b| b.expected_seconds.is_none()).count(),
        build,
        critical_path,
        expected_seconds,
        warnings: would.warnings,
    })
}

/// Returns those derivations of which the store has an output.
pub(super) fn present(nix: &Nix, graph: &Graph, ids: &[NodeId]) -> Result<BTreeSet<NodeId>, Error> {
    let outputs = |id: NodeId| graph.node(id).outputs().map(|(_, path)| path).filter(|path| !path.is_empty());
    let paths: Vec<&str> = ids.iter().flat_map(|id| outputs(*id)).collect();
    if paths.is_empty() {
        return Ok(BTreeSet::new());
    }
    let valid = nix.valid(&paths)?;
    Ok(ids.iter().copied().filter(|id| outputs(*id).any(|path| valid.contains(path))).collect())
}

/// Returns the chain of what is to be built that takes longest; what was never built counts as the mean of the others
/// (or as one unit), so that the path is useful before the times are known.
pub(in crate::ops) fn critical_path(
    after: &Graph,
    wanted: &BTreeSet<NodeId>,
    expected: &dyn Fn(NodeId) -> Option<f64>,
) -> (Vec<String>, Option<f64>) {
    let known: Vec<f64> = wanted.iter().filter_map(|id| expected(*id)).collect();
    let usual = if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
    let mut best: BTreeMap<NodeId, (f64, Option<NodeId>)> = BTreeMap::new();
    for id in wanted {
        let from = after
            .inputs(*id)
            .iter()
            .filter_map(|input| Some((*input, best.get(input)?.0)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let own = expected(*id).unwrap_or(usual);
        best.insert(*id, (own + from.map_or(0.0, |(_, time)| time), from.map(|(input, _)| input)));
    }
    let last = best.iter().max_by(|a, b| a.1.0.total_cmp(&b.1.0)).map(|(id, _)| *id);
    let mut path: Vec<NodeId> = std::iter::successors(last, |id| best.get(id).and_then(|(_, from)| *from)).collect();
    path.reverse();
    let times: Option<Vec<f64>> = path.iter().map(|id| expected(*id)).collect();
    let total = times.filter(|times| !times.is_empty()).map(|times| times.iter().sum());
    (path.iter().map(|id| store_path::drv_name(after.node(*id).drv_path()).to_string()).collect(), total)
}
