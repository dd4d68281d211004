//! `impact`: what the overlays rebuild, and through which chain, before anything is built.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::comparison::{self, Comparison, TargetFailure};
use super::progress::Progress;
use super::targets::Selection;
use super::{Error, Outcome};
use crate::base::diagnostic::{Verdict, Warning};
use crate::config::Workspace;
use crate::graph::{Delta, NodeId};
use crate::view::{Block, Digraph, Document, Role, Text, Tree};

/// How many derivations the tree shows before the rest is counted.
const TREE_ROWS: usize = 40;

/// What is rebuilt for some targets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Impact {
    /// The targets that evaluate on both sides.
    pub targets: Vec<TargetImpact>,
    /// The rebuild set, inputs before what needs them.
    pub rebuild: Vec<Rebuilt>,
    /// Fixed-output derivations whose `.drv` path is new and whose output is not: nothing is built.
    pub fixed_output_only: Vec<Named>,
    /// Fixed-output derivations with new outputs: fetched, not built.
    pub fetched: Vec<Named>,
    /// Derivations whose outputs are known only after the build (content-addressed): Nix may stop early there.
    pub unknown_outputs: Vec<Named>,
    /// The chains, one a rebuilt target.
    pub chains: Vec<Chain>,
    /// How many.
    pub counts: Counts,
    /// Targets that do not evaluate.
    pub failures: Vec<TargetFailure>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// The spanning tree of the rebuild set: the index of each one's parent in `rebuild`, deepest input first.
    #[serde(skip)]
    parents: Vec<Option<usize>>,
    /// Edges within the rebuild set, from input to dependent, as indices into `rebuild`.
    #[serde(skip)]
    edges: Vec<(usize, usize)>,
}

/// One target.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetImpact {
    /// Its whole attribute path.
    pub target: String,
    /// Its derivation without the overlays; absent when there is none.
    pub before: Option<String>,
    /// Its derivation with them.
    pub after: String,
    /// Whether it is rebuilt itself.
    pub rebuilt: bool,
}

/// A derivation that is rebuilt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebuilt {
    /// Its path on the patched side.
    pub drv_path: String,
    /// Its name.
    pub name: String,
    /// Its outputs by name.
    pub outputs: BTreeMap<String, String>,
    /// Whether the change is its own.
    pub root_cause: bool,
}

/// A derivation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Named {
    /// Its path on the patched side.
    pub drv_path: String,
    /// Its name.
    pub name: String,
}

/// The way from a root cause to a target.
#[derive(Debug, Serialize)]
pub struct Chain {
    /// The target.
    pub target: String,
    /// A longest chain, the critical one: names, root first.
    pub path: Vec<String>,
    /// A shortest chain.
    pub shortest: Vec<String>,
}

/// How many of each.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Counts {
    /// Derivations in the rebuild set.
    pub derivations: usize,
    /// Builds: derivations that have the same outputs are built once.
    pub builds: usize,
}

/// Compares the targets without and with the workspace's overlays.
///
/// # Errors
/// [`Error::Eval`] when no target evaluates, and those of the workspace and of Nix.
pub fn impact(workspace: &Workspace, selection: &Selection, progress: &mut dyn Progress) -> Result<Impact, Error> {
    let comparison = comparison::of_workspace(workspace, selection, progress)?;
    Ok(describe(&comparison))
}

pub(super) fn describe(comparison: &Comparison) -> Impact {
    let delta = Delta::between(&comparison.before, &comparison.after);
    let after = &comparison.after;
    let named = |ids: &[NodeId]| -> Vec<Named> {
        let one =
            |id: &NodeId| Named { drv_path: after.node(*id).drv_path().into(), name: after.node(*id).name().into() };
        ids.iter().map(one).collect()
    };
    let rebuilt = delta.rebuilt();
    let index: BTreeMap<NodeId, usize> = rebuilt.iter().enumerate().map(|(i, id)| (*id, i)).collect();
    let mut edges = Vec::new();
    let mut parents = Vec::with_capacity(rebuilt.len());
    for (i, id) in rebuilt.iter().enumerate() {
        let inputs = after.inputs(*id).iter().filter_map(|input| index.get(input).map(|at| (*input, *at)));
        let inputs: Vec<(NodeId, usize)> = inputs.collect();
        edges.extend(inputs.iter().map(|(_, at)| (*at, i)));
        parents.push(
            inputs
                .into_iter()
                .max_by_key(|(input, at)| (delta.depth(*input), std::cmp::Reverse(*at)))
                .map(|(_, at)| at),
        );
    }
    let names = |chain: &[NodeId]| chain.iter().map(|id| after.node(*id).name().to_string()).collect::<Vec<_>>();
    let mut chains = Vec::new();
    let mut targets = Vec::new();
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
        if let (Some(longest), Some(shortest)) = (delta.critical_chain(id), delta.shortest_chain(id)) {
            chains.push(Chain { target: target.name.clone(), path: names(&longest), shortest: names(&shortest) });
        }
    }
    let counts = delta.counts();
    Impact {
        targets,
        rebuild: rebuilt
            .iter()
            .map(|id| {
                let node = after.node(*id);
                Rebuilt {
                    drv_path: node.drv_path().into(),
                    name: node.name().into(),
                    outputs: node.outputs().map(|(name, path)| (name.to_string(), path.to_string())).collect(),
                    root_cause: delta.is_root_cause(*id),
                }
            })
            .collect(),
        fixed_output_only: named(delta.fixed_output_only()),
        fetched: named(delta.fetched()),
        unknown_outputs: named(delta.unknown_outputs()),
        chains,
        counts: Counts { derivations: counts.derivations, builds: counts.builds },
        failures: comparison.failures.clone(),
        warnings: comparison.warnings.clone(),
        parents,
        edges,
    }
}

impl Impact {
    /// Returns the rebuild set as a graph, from root causes to targets.
    pub fn digraph(&self) -> Digraph {
        let targets: BTreeSet<&str> = self.targets.iter().map(|t| t.after.as_str()).collect();
        let node = |rebuilt: &Rebuilt| {
            let role = match (rebuilt.root_cause, targets.contains(rebuilt.drv_path.as_str())) {
                (true, _) => Role::Bad,
                (false, true) => Role::Good,
                (false, false) => Role::Plain,
            };
            (rebuilt.name.clone(), role)
        };
        Digraph { nodes: self.rebuild.iter().map(node).collect(), edges: self.edges.clone() }
    }

    /// Returns the trees from the root causes, each derivation once, below the deepest of its inputs.
    fn trees(&self, limit: usize) -> Vec<Tree> {
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.rebuild.len()];
        let mut roots = Vec::new();
        for (i, parent) in self.parents.iter().enumerate() {
            match parent {
                Some(parent) => children[*parent].push(i),
                None => roots.push(i),
            }
        }
        let mut left = limit;
        roots.into_iter().map(|root| self.tree(root, &children, &mut left)).collect()
    }

    fn tree(&self, at: usize, children: &[Vec<usize>], left: &mut usize) -> Tree {
        *left = left.saturating_sub(1);
        let rebuilt = &self.rebuild[at];
        let is_target = self.targets.iter().any(|t| t.after == rebuilt.drv_path);
        let mut label = Text::new().with(if rebuilt.root_cause { Role::Warn } else { Role::Plain }, &rebuilt.name);
        if rebuilt.root_cause {
            label = label.with(Role::Dim, "  (root cause)");
        }
        if is_target {
            label = label.with(Role::Good, "  (target)");
        }
        let mut below = Vec::new();
        let mut folded = 0;
        for child in &children[at] {
            // A target is always shown; what is folded is counted.
            if *left == 0 {
                folded += 1 + count_below(*child, children);
            } else {
                below.push(self.tree(*child, children, left));
            }
        }
        if folded > 0 {
            below.push(Tree {
                label: Text::new().with(Role::Dim, format!("... and {folded} more")),
                children: Vec::new(),
            });
        }
        Tree { label, children: below }
    }
}

/// Counts what hangs below a node. Iterative: a tree can be as deep as the rebuild set is long.
fn count_below(at: usize, children: &[Vec<usize>]) -> usize {
    let mut todo = vec![at];
    let mut count = 0;
    while let Some(at) = todo.pop() {
        count += children[at].len();
        todo.extend(&children[at]);
    }
    count
}

/// Returns `1 build`, `8 builds`.
pub(super) fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

impl Outcome for Impact {
    const SCHEMA: &'static str = "overlayctl.impact/1";

    fn document(&self, verbose: bool) -> Document {
        let mut document = Document::new();
        comparison::show_failures(&self.failures, &mut document);
        if self.rebuild.is_empty() {
            document.line("nothing is rebuilt: the overlays do not reach these targets");
        } else {
            let limit = if verbose { usize::MAX } else { TREE_ROWS };
            for tree in self.trees(limit) {
                document.push(Block::Tree(tree));
            }
            document.blank();
            for chain in &self.chains {
                document.line(Text::new().with(Role::Name, &chain.target));
                document.line(Text::new().with(Role::Dim, "  critical chain  ").plain(chain.path.join(" -> ")));
                if chain.shortest != chain.path {
                    document.line(Text::new().with(Role::Dim, "  shortest chain  ").plain(chain.shortest.join(" -> ")));
                }
            }
        }
        for target in self.targets.iter().filter(|t| !t.rebuilt) {
            document.line(
                Text::new()
                    .with(Role::Name, &target.target)
                    .with(Role::Warn, "  is not rebuilt: the overlays do not change it"),
            );
        }
        document.blank();
        let mut sum = plural(self.counts.builds, "build");
        if self.counts.derivations != self.counts.builds {
            sum.push_str(&format!(" ({})", plural(self.counts.derivations, "derivation")));
        }
        let mut line =
            Text::new().with(Role::Heading, sum).plain(format!(" for {}", plural(self.targets.len(), "target")));
        if !self.fixed_output_only.is_empty() {
            line = line.with(
                Role::Dim,
                format!(
                    "; {} only renamed (fixed output, not rebuilt)",
                    plural(self.fixed_output_only.len(), "derivation")
                ),
            );
        }
        if !self.fetched.is_empty() {
            line = line.plain(format!("; {}", plural(self.fetched.len(), "new download")));
        }
        document.line(line);
        if !self.unknown_outputs.is_empty() {
            document.line(Text::new().with(
                Role::Warn,
                format!(
                    "{} content-addressed: Nix may find that less has to be built",
                    plural(self.unknown_outputs.len(), "derivation is")
                ),
            ));
        }
        document
    }

    fn verdict(&self) -> Option<Verdict> {
        (!self.failures.is_empty()).then_some(Verdict::Error)
    }
}
