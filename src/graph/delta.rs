//! Two graphs compared: what is rebuilt, what only looks as if, and which changes are the causes.
//!
//! A derivation is rebuilt when it is not fixed-output and at least one of its output paths is not among those of the
//! other graph. `.drv` paths are not compared, except where Nix knows no output path before the build. Must not read
//! `.drv` files; see `changes.rs` for what exactly changed in one.

use std::collections::{HashMap, HashSet};

use fixedbitset::FixedBitSet;
use serde::Serialize;

use super::counterpart::Counterparts;
use super::image::NodeId;
use super::path_hash::PathHash;
use super::{Graph, Node};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub derivations: usize,
    /// Builds: derivations that have the same outputs are built once.
    pub builds: usize,
}

/// An attribute whose output paths differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeChange<'g> {
    pub attr: &'g str,
    /// Its derivation before; `None` when there was none.
    pub before: Option<NodeId>,
    /// Its derivation after; `None` when there is none any more.
    pub after: Option<NodeId>,
}

/// The difference of two graphs.
#[derive(Debug)]
pub struct Delta<'g> {
    before: &'g Graph,
    after: &'g Graph,
    rebuilt: Vec<NodeId>,
    is_rebuilt: FixedBitSet,
    replaced: Vec<NodeId>,
    fixed_output_only: Vec<NodeId>,
    fetched: Vec<NodeId>,
    unknown_outputs: Vec<NodeId>,
    is_root_cause: FixedBitSet,
    counterparts: Counterparts,
    depths: Vec<u32>,
}

/// The output paths of a graph, and the derivations whose outputs are not known before they are built.
struct Products<'g> {
    graph: &'g Graph,
    paths: HashSet<&'g str, PathHash>,
}

impl<'g> Products<'g> {
    fn of(graph: &'g Graph) -> Products<'g> {
        let mut paths = HashSet::with_capacity_and_hasher(graph.len() * 2, PathHash::default());
        for id in graph.ids() {
            paths.extend(graph.node(id).outputs().map(|(_, path)| path).filter(|path| !path.is_empty()));
        }
        Products { graph, paths }
    }

    /// Says whether all that the derivation of another graph makes is made here too.
    fn hold(&self, node: &Node<'_>) -> bool {
        if node.has_unknown_outputs() {
            return self.graph.find(node.drv_path()).is_some();
        }
        node.outputs().all(|(_, path)| self.paths.contains(path))
    }
}

impl<'g> Delta<'g> {
    /// Compares two graphs. Linear in their sizes.
    pub fn between(before: &'g Graph, after: &'g Graph) -> Delta<'g> {
        let (products_before, products_after) = rayon::join(|| Products::of(before), || Products::of(after));
        let mut rebuilt = Vec::new();
        let mut is_rebuilt = FixedBitSet::with_capacity(after.len());
        let (mut fixed_output_only, mut fetched, mut unknown_outputs) = (Vec::new(), Vec::new(), Vec::new());
        for id in after.ids() {
            let node = after.node(id);
            if node.has_unknown_outputs() {
                unknown_outputs.push(id);
            }
            let same = products_before.hold(&node);
            match (node.fixed_output(), same) {
                (false, false) => {
                    rebuilt.push(id);
                    is_rebuilt.insert(id as usize);
                }
                (true, false) => fetched.push(id),
                (true, true) if before.find(node.drv_path()).is_none() => fixed_output_only.push(id),
                _ => {}
            }
        }
        let replaced = before
            .ids()
            .filter(|id| {
                let node = before.node(*id);
                !node.fixed_output() && !products_after.hold(&node)
            })
            .collect();
        let counterparts = Counterparts::between(before, after);
        let mut is_root_cause = FixedBitSet::with_capacity(after.len());
        let mut depths = vec![0u32; rebuilt.len()];
        let rank: HashMap<NodeId, usize> = rebuilt.iter().enumerate().map(|(rank, id)| (*id, rank)).collect();
        for (index, id) in rebuilt.iter().enumerate() {
            let below = after.inputs(*id).iter().filter_map(|input| rank.get(input)).map(|rank| depths[*rank]).max();
            let own = match counterparts.of(*id) {
                Some(old) => before.node(old).digest() != after.node(*id).digest(),
                // It is new; what asked for it is the cause, unless nothing below it changed either.
                None => false,
            };
            depths[index] = below.map_or(0, |depth| depth + 1);
            if own || below.is_none() {
                is_root_cause.insert(*id as usize);
            }
        }
        Delta {
            before,
            after,
            rebuilt,
            is_rebuilt,
            replaced,
            fixed_output_only,
            fetched,
            unknown_outputs,
            is_root_cause,
            counterparts,
            depths,
        }
    }

    pub fn before(&self) -> &'g Graph {
        self.before
    }

    pub fn after(&self) -> &'g Graph {
        self.after
    }

    /// Returns the rebuild set: derivations of the graph after, inputs before what needs them.
    pub fn rebuilt(&self) -> &[NodeId] {
        &self.rebuilt
    }

    /// Says whether a derivation of the graph after is rebuilt.
    pub fn is_rebuilt(&self, id: NodeId) -> bool {
        self.is_rebuilt.contains(id as usize)
    }

    /// Returns the derivations of the graph before whose outputs the graph after no longer makes.
    pub fn replaced(&self) -> &[NodeId] {
        &self.replaced
    }

    /// Returns the fixed-output derivations of the graph after whose `.drv` path is new and whose outputs are not.
    pub fn fixed_output_only(&self) -> &[NodeId] {
        &self.fixed_output_only
    }

    /// Returns the fixed-output derivations of the graph after with new outputs: new downloads.
    pub fn fetched(&self) -> &[NodeId] {
        &self.fetched
    }

    /// Returns the derivations of the graph after with outputs that are known only after the build. They were compared by
    /// `.drv` path, and Nix may find at build time that nothing changed (early cut-off).
    pub fn unknown_outputs(&self) -> &[NodeId] {
        &self.unknown_outputs
    }

    /// Says whether a derivation of the graph after is a root cause.
    pub fn is_root_cause(&self, id: NodeId) -> bool {
        self.is_root_cause.contains(id as usize)
    }

    /// Returns the derivation of the graph before that plays the part of one of the graph after.
    pub fn counterpart(&self, after: NodeId) -> Option<NodeId> {
        self.counterparts.of(after)
    }

    /// Returns the length of the longest chain of rebuilds that ends at a rebuilt derivation, in edges.
    pub fn depth(&self, id: NodeId) -> Option<u32> {
        self.depths.get(self.rebuilt.binary_search(&id).ok()?).copied()
    }

    pub fn counts(&self) -> Counts {
        count(self.after, self.rebuilt.iter().copied())
    }

    /// Returns the attributes whose output paths differ, by name; attributes without derivation on both sides are not known.
    pub fn attributes(&self) -> Vec<AttributeChange<'g>> {
        let named = |graph: &'g Graph| -> HashMap<&'g str, NodeId> {
            graph.roots().filter_map(|root| Some((root.attr?, root.node))).collect()
        };
        let (before, after) = (named(self.before), named(self.after));
        let paths = |graph: &'g Graph, id: NodeId| -> Vec<(&'g str, &'g str)> {
            let node = graph.node(id);
            if node.has_unknown_outputs() { vec![("", node.drv_path())] } else { node.outputs().collect() }
        };
        let mut names: Vec<&str> = before.keys().chain(after.keys()).copied().collect();
        names.sort_unstable();
        names.dedup();
        let mut changes = Vec::new();
        for attr in names {
            let (old, new) = (before.get(attr).copied(), after.get(attr).copied());
            if old.map(|id| paths(self.before, id)) != new.map(|id| paths(self.after, id)) {
                changes.push(AttributeChange { attr, before: old, after: new });
            }
        }
        changes
    }
}

impl Graph {
    /// Counts derivations and builds of some of its derivations.
    pub fn counts_of(&self, ids: &[NodeId]) -> Counts {
        count(self, ids.iter().copied())
    }

    /// Leaves out derivations that make what an earlier one makes: that is built once. As many stay as [`Graph::counts_of`] says builds.
    pub fn builds_of(&self, ids: &[NodeId]) -> Vec<NodeId> {
        let mut known: HashSet<Vec<&str>> = HashSet::new();
        let mut is_new = |id: &NodeId| {
            let node = self.node(*id);
            let mut paths: Vec<&str> = node.outputs().map(|(_, path)| path).collect();
            paths.sort_unstable();
            node.has_unknown_outputs() || known.insert(paths)
        };
        ids.iter().copied().filter(|id| is_new(id)).collect()
    }

    /// Returns some derivations and all that they need.
    pub fn closure(&self, roots: impl IntoIterator<Item = NodeId>) -> FixedBitSet {
        let mut seen = FixedBitSet::with_capacity(self.len());
        let mut todo: Vec<NodeId> = roots.into_iter().collect();
        while let Some(id) = todo.pop() {
            if !seen.put(id as usize) {
                todo.extend_from_slice(self.inputs(id));
            }
        }
        seen
    }
}

/// Counts derivations and distinct sets of outputs.
pub(super) fn count(graph: &Graph, ids: impl Iterator<Item = NodeId>) -> Counts {
    let (mut derivations, mut unknown) = (0, 0);
    // Most have one output, and then no list is needed.
    let mut single: HashSet<&str, PathHash> = HashSet::default();
    let mut several: HashSet<Vec<&str>> = HashSet::new();
    for id in ids {
        derivations += 1;
        let node = graph.node(id);
        let mut outputs = node.outputs().map(|(_, path)| path);
        if node.has_unknown_outputs() {
            unknown += 1;
        } else if outputs.len() == 1 {
            single.extend(outputs);
        } else {
            let mut paths: Vec<&str> = outputs.by_ref().collect();
            paths.sort_unstable();
            several.insert(paths);
        }
    }
    Counts { derivations, builds: single.len() + several.len() + unknown }
}
