//! `why`: what makes a target rebuild: the root causes with the field that changed, the chains, the cascade in counts.

pub(crate) mod cause;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::impact::names::kind;
use crate::base::diagnostic::{Verdict, Warning};
use crate::base::progress::Progress;
use crate::comparison::baseline::Baseline;
use crate::comparison::{self, TargetFailure};
use crate::config::Workspace;
use crate::graph::Source;
use crate::graph::{Counts, Delta, Graph, NodeId, StoreDir};
use crate::ops::impact::{Changes, Named};
use crate::ops::{Error, Outcome};
use crate::targets::Selection;
use crate::targets::engine;
use cause::Cause;

/// How many chains are listed when nothing is said.
const CHAINS: usize = 20;

#[derive(Debug, Clone, Default)]
pub struct Options {
    pub selection: Selection,
    pub baseline: Baseline,
    /// Whether chains besides the critical and the shortest are listed, and at most how many.
    pub all_chains: bool,
    /// The most chains.
    pub limit: Option<usize>,
}

/// Two stored graphs to compare instead of two evaluations.
#[derive(Debug, Clone)]
pub struct Stored {
    pub before: PathBuf,
    pub after: PathBuf,
    /// The root of the store that has the derivations, to quote what changed.
    pub store: PathBuf,
    /// The attributes; the whole graph when there is none.
    pub attrs: Vec<String>,
    /// Whether chains besides the critical and the shortest are listed, and at most how many.
    pub all_chains: bool,
    /// The most chains.
    pub limit: Option<usize>,
}

/// What makes targets rebuild.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    pub compared_with: String,
    /// What changed since the revision that the workspace is compared with, where that is one.
    #[serde(flatten)]
    pub since: Option<Changes>,
    pub targets: Vec<Explained>,
    pub failures: Vec<TargetFailure>,
    pub warnings: Vec<Warning>,
}

/// What makes one target rebuild.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The target; absent for a whole graph.
    pub target: Option<String>,
    /// Its derivation on the patched side.
    pub drv_path: Option<String>,
    pub rebuilt: bool,
    pub counts: Counts,
    /// The derivations whose change is their own.
    pub root_causes: Vec<Cause>,
    /// The rebuild set by kind of package, the most first.
    pub by_kind: Vec<(String, usize)>,
    /// How many are how far from a root cause.
    pub by_depth: Vec<usize>,
    /// A longest chain, root cause first.
    pub critical_chain: Vec<Named>,
    pub shortest_chain: Vec<Named>,
    /// How many chains there are; `u64::MAX` stands for that many or more.
    pub chain_count: u64,
    /// The chains, when asked for; at most the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chains: Option<Vec<Vec<Named>>>,
    /// Derivations whose outputs are known only after the build.
    pub unknown_outputs: usize,
}

/// Explains why targets of the workspace are rebuilt.
pub fn why(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Why, Error> {
    let comparison = comparison::of_sides(workspace, &options.selection, &options.baseline, progress)?;
    let store = engine::nix(workspace)?.store_dir()?;
    let delta = Delta::between(&comparison.before, &comparison.after);
    let limit = options.all_chains.then(|| options.limit.unwrap_or(CHAINS));
    let mut targets = Vec::new();
    for target in &comparison.targets {
        if let Some(id) = comparison.after.find(&target.after) {
            targets.push(explain(&delta, Some((target.name.clone(), id)), &store, limit));
        }
    }
    let since = Changes::of(&comparison).map(|(since, causes)| {
        for cause in targets.iter_mut().flat_map(|target| &mut target.root_causes) {
            let at = comparison.after.find(&cause.drv_path).and_then(|id| delta.rebuilt().binary_search(&id).ok());
            cause.caused_by = at.and_then(|at| causes.get(at).cloned()).unwrap_or_default();
        }
        since
    });
    Ok(Why {
        since,
        compared_with: options.baseline.to_string(),
        targets,
        failures: comparison.failures,
        warnings: comparison.warnings,
    })
}

/// Explains the difference of two stored graphs.
pub fn why_stored(stored: &Stored) -> Result<Why, Error> {
    let (before, after) = rayon::join(|| Graph::open(&stored.before), || Graph::open(&stored.after));
    let (before, after) = (before?, after?);
    let store = StoreDir::open(&stored.store)?;
    let delta = Delta::between(&before, &after);
    let limit = stored.all_chains.then(|| stored.limit.unwrap_or(CHAINS));
    let targets = if stored.attrs.is_empty() {
        vec![explain(&delta, None, &store, limit)]
    } else {
        let found: Result<Vec<_>, _> =
            stored.attrs.iter().map(|attr| Ok((attr.clone(), after.attribute(attr)?))).collect();
        let found = found.map_err(Error::Graph)?;
        found.into_iter().map(|target| explain(&delta, Some(target), &store, limit)).collect()
    };
    let shown = |path: &Path| path.display().to_string();
    Ok(Why { since: None, compared_with: shown(&stored.before), targets, failures: Vec::new(), warnings: Vec::new() })
}

/// Explains one target, or the whole graph.
fn explain(delta: &Delta<'_>, target: Option<(String, NodeId)>, store: &dyn Source, limit: Option<usize>) -> Explained {
    let after = delta.after();
    let id = target.as_ref().map(|(_, id)| *id);
    let rebuilt: Vec<NodeId> = match id {
        None => delta.rebuilt().to_vec(),
        Some(id) => rebuilt_below(delta, id),
    };
    let mut by_kind: BTreeMap<&str, usize> = BTreeMap::new();
    let mut by_depth: Vec<usize> = Vec::new();
    for id in &rebuilt {
        *by_kind.entry(kind(after.node(*id).name())).or_default() += 1;
        let depth = delta.depth(*id).unwrap_or_default() as usize;
        by_depth.resize(by_depth.len().max(depth + 1), 0);
        by_depth[depth] += 1;
    }
    let mut by_kind: Vec<(String, usize)> = by_kind.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
    by_kind.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let causes: Vec<NodeId> = rebuilt.iter().copied().filter(|id| delta.is_root_cause(*id)).collect();
    let named = |chain: Option<Vec<NodeId>>| Named::all(after, &chain.unwrap_or_default());
    let critical = id.map_or_else(|| delta.longest_chain(), |id| delta.critical_chain(id));
    let end = id.or_else(|| critical.as_ref()?.last().copied());
    Explained {
        drv_path: id.map(|id| after.node(id).drv_path().to_owned()),
        rebuilt: id.map_or(!rebuilt.is_empty(), |id| delta.is_rebuilt(id)),
        counts: after.counts_of(&rebuilt),
        root_causes: causes.iter().map(|id| Cause::of(delta, *id, store)).collect(),
        by_kind,
        by_depth,
        shortest_chain: named(end.and_then(|end| delta.shortest_chain(end))),
        critical_chain: named(critical),
        chain_count: end.map_or(0, |end| delta.count_chains(end)),
        chains: limit
            .zip(end)
            .map(|(limit, end)| delta.all_chains(end).take(limit).map(|chain| Named::all(after, &chain)).collect()),
        unknown_outputs: rebuilt.iter().filter(|id| after.node(**id).has_unknown_outputs()).count(),
        target: target.map(|(name, _)| name),
    }
}

/// Returns what is rebuilt for a target, rising. What only a fixed-output derivation needs is built for it too, should it
/// have to be fetched, so the way goes through these as well.
fn rebuilt_below(delta: &Delta<'_>, target: NodeId) -> Vec<NodeId> {
    let after = delta.after();
    let mut seen = vec![false; after.len()];
    let mut todo = vec![target];
    let mut found = Vec::new();
    while let Some(id) = todo.pop() {
        match seen.get_mut(id as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => continue,
        }
        if delta.is_rebuilt(id) {
            found.push(id);
        }
        todo.extend_from_slice(after.inputs(id));
    }
    found.sort_unstable();
    found
}

impl Outcome for Why {
    const SCHEMA: &'static str = "overlayctl.why/2";

    fn verdict(&self) -> Option<Verdict> {
        (!self.failures.is_empty()).then_some(Verdict::Error)
    }
}
