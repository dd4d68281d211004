//! `impact`: what the overlays rebuild, and through which chain, before anything is built.

pub mod names;
pub mod view;

use serde::Serialize;

use super::{Error, Outcome};
use crate::base::diagnostic::{Verdict, Warning};
use crate::base::progress::Progress;
use crate::comparison::baseline::Baseline;
use crate::comparison::changes::Change;
use crate::comparison::unreached::{self, Unreached};
use crate::comparison::{self, Comparison, TargetFailure};
use crate::config::Workspace;
use crate::graph::{Counts, Delta, Graph, NodeId};
use crate::targets::{Selection, engine};
use view::{Each, Rebuild, View};

/// What is compared, and how it is shown.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub selection: Selection,
    pub baseline: Baseline,
    pub view: View,
    /// Whether a patch that reaches no target makes the answer no.
    pub strict: bool,
}

/// What is rebuilt for some targets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Impact {
    /// What the workspace's overlays are compared with.
    pub compared_with: String,
    /// What changed since the revision that the workspace is compared with, where that is one.
    #[serde(flatten)]
    pub since: Option<Changes>,
    /// The targets that evaluate on both sides.
    pub targets: Vec<TargetImpact>,
    /// The rebuild set, and what covers it.
    #[serde(flatten)]
    pub rebuild: Rebuild,
    /// Fixed-output derivations whose `.drv` path is new and whose output is not: nothing is built.
    pub fixed_output_only: Vec<Named>,
    /// Fixed-output derivations with new outputs: fetched, not built.
    pub fetched: Vec<Named>,
    /// Derivations whose outputs are known only after the build (content-addressed): Nix may stop early there.
    pub unknown_outputs: Vec<Named>,
    /// The chains, one a rebuilt target.
    pub chains: Vec<Chain>,
    pub counts: Counts,
    pub failures: Vec<TargetFailure>,
    /// Patches of the workspace that reach none of the targets.
    pub unreached: Vec<Unreached>,
    pub warnings: Vec<Warning>,
    #[serde(skip)]
    pub view: View,
    #[serde(skip)]
    strict: bool,
}

/// What changed in the workspace since a revision.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    pub revision: String,
    pub changes: Vec<Change>,
    /// Why it could not be told which of them are the causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untold: Option<String>,
    /// Of how many rebuilt derivations that could not be told.
    pub unexplained: usize,
    /// Targets that there were and are no more.
    pub only_before: Vec<String>,
    pub only_after: Vec<String>,
    /// The package set, where no revision says what it was: it counts as it is on both sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unversioned: Option<String>,
}

impl Changes {
    /// Takes what a comparison found, and what the changes say of each rebuilt derivation, in their order.
    pub(super) fn of(comparison: &Comparison) -> Option<(Changes, Vec<Vec<String>>)> {
        let since = comparison.since.as_ref()?;
        let rebuilt = Delta::between(&comparison.before, &comparison.after).rebuilt().len();
        let name = |number: &usize| since.changes.get(*number).map(ToString::to_string);
        let causes = (0..rebuilt).map(|at| since.causes.of(at).iter().filter_map(name).collect()).collect();
        let changes = Changes {
            revision: since.revision.clone(),
            changes: since.changes.clone(),
            untold: since.untold.clone(),
            unexplained: if since.untold.is_some() { rebuilt } else { since.causes.unknown },
            only_before: since.only_before.clone(),
            only_after: since.only_after.clone(),
            unversioned: since.unversioned.clone(),
        };
        Some((changes, causes))
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetImpact {
    /// Its whole attribute path.
    pub target: String,
    /// Its derivation on the other side; absent when there is none.
    pub before: Option<String>,
    pub after: String,
    pub rebuilt: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    pub drv_path: String,
    pub name: String,
}

impl Named {
    pub(super) fn of(graph: &Graph, id: NodeId) -> Named {
        let node = graph.node(id);
        Named { drv_path: node.drv_path().into(), name: node.name().into() }
    }

    pub(super) fn all(graph: &Graph, ids: &[NodeId]) -> Vec<Named> {
        ids.iter().map(|id| Named::of(graph, *id)).collect()
    }

    /// As [`Named::all`], made while it is written.
    pub(super) fn each<'g>(graph: &'g Graph, ids: &'g [NodeId]) -> Each<impl Iterator<Item = Named> + Clone> {
        Each(ids.iter().map(move |id| Named::of(graph, *id)))
    }
}

/// The way from a root cause to a target.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chain {
    pub target: String,
    /// A longest chain, the critical one: names, root first.
    pub path: Vec<String>,
    pub shortest: Vec<String>,
    /// The derivations of `path`.
    pub drv_paths: Vec<String>,
    /// The derivations of `shortest`.
    pub shortest_drv_paths: Vec<String>,
}

/// Compares the targets without and with the workspace's overlays, or two states of the workspace.
///
/// # Errors
/// [`Error::Eval`] when no target evaluates, and those of the workspace, of git and of Nix.
pub fn impact(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Impact, Error> {
    let comparison = comparison::of_sides(workspace, &options.selection, &options.baseline, progress)?;
    let mut impact = describe(&comparison);
    let nix = engine::nix(workspace)?;
    impact.unreached = unreached::of(workspace, &options.selection, &options.baseline, &comparison, &nix)?;
    if let Some(attr) = &comparison.package {
        impact.unreached.retain(|one| one.attr == *attr);
    }
    impact.strict = options.strict;
    impact.view = options.view.clone();
    impact.compared_with = options.baseline.to_string();
    Ok(impact)
}

fn describe(comparison: &Comparison) -> Impact {
    let delta = Delta::between(&comparison.before, &comparison.after);
    let after = &comparison.after;
    let names = |chain: &[NodeId]| chain.iter().map(|id| after.node(*id).name().to_string()).collect::<Vec<_>>();
    let paths = |chain: &[NodeId]| chain.iter().map(|id| after.node(*id).drv_path().to_string()).collect::<Vec<_>>();
    let mut chains = Vec::new();
    let mut targets = Vec::new();
    let mut ids = Vec::new();
    for target in &comparison.targets {
        let id = after.find(&target.after);
        let is_rebuilt = id.is_some_and(|id| delta.is_rebuilt(id));
        targets.push(TargetImpact {
            target: target.name.clone(),
            before: target.before.clone(),
            after: target.after.clone(),
            rebuilt: is_rebuilt,
        });
        let Some(id) = id.filter(|_| is_rebuilt) else { continue };
        ids.push(id);
        if let (Some(longest), Some(shortest)) = (delta.critical_chain(id), delta.shortest_chain(id)) {
            chains.push(Chain {
                target: target.name.clone(),
                path: names(&longest),
                shortest: names(&shortest),
                drv_paths: paths(&longest),
                shortest_drv_paths: paths(&shortest),
            });
        }
    }
    let mut rebuild = Rebuild::of_delta(&delta, &ids);
    let since = Changes::of(comparison).map(|(since, causes)| {
        for (rebuilt, causes) in rebuild.rebuild.iter_mut().zip(causes) {
            rebuilt.caused_by = causes;
        }
        since
    });
    Impact {
        compared_with: String::new(),
        since,
        targets,
        rebuild,
        fixed_output_only: Named::all(after, delta.fixed_output_only()),
        fetched: Named::all(after, delta.fetched()),
        unknown_outputs: Named::all(after, delta.unknown_outputs()),
        chains,
        counts: delta.counts(),
        failures: comparison.failures.clone(),
        unreached: Vec::new(),
        warnings: comparison.warnings.clone(),
        view: View::default(),
        strict: false,
    }
}

impl Outcome for Impact {
    const SCHEMA: &'static str = "overlayctl.impact/2";

    fn verdict(&self) -> Option<Verdict> {
        match self.failures.is_empty() {
            false => Some(Verdict::Error),
            true => (self.strict && self.unreached.iter().any(|one| one.ours)).then_some(Verdict::No),
        }
    }
}
