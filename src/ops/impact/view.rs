//! A rebuild set as it is shown: trees, tables, a directed graph, the attributes that cover it.
//!
//! The set of an evaluation, of two stored graphs and of a prediction are shown alike.

use std::collections::{BTreeMap, HashMap};

use fixedbitset::FixedBitSet;
use serde::{Serialize, Serializer};

use crate::graph::{Delta, Graph, NodeId};

/// A list that is made while it is written: thousands of derivations must not be held as text.
pub(in crate::ops) struct Each<I>(pub(in crate::ops) I);

impl<I: Iterator<Item: Serialize> + Clone> Serialize for Each<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

/// What the rows of a table stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum By {
    /// A kind of package: Python modules, toolchain, kernel.
    #[default]
    Kind,
    /// A distance from the root causes.
    Depth,
    /// An attribute of the package set, or a target.
    Attribute,
}

/// How a rebuild set is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// As a table with these rows; as a tree when absent.
    pub table: Option<By>,
    /// The most rows.
    pub limit: Option<usize>,
    /// Only what has this in its name, and the way to it.
    pub filter: Option<String>,
    /// Only what is at most this far from a root cause.
    pub depth: Option<usize>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebuilt {
    /// Its path on the patched side (on the unpatched one in a prediction).
    pub drv_path: String,
    pub name: String,
    /// The derivation that it takes the place of; absent for a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    pub outputs: BTreeMap<String, String>,
    /// Whether the change is its own.
    pub root_cause: bool,
    /// The length of the longest chain from a root cause to it.
    pub depth: u32,
    /// The changes since a revision without any one of which it would not be rebuilt, where the workspace is compared with one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caused_by: Vec<String>,
}

/// The smallest set of attributes whose build builds the whole rebuild set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cover {
    pub attributes: Vec<String>,
    /// Rebuilt derivations that no attribute's build is bound to build: only downloads need them.
    pub uncovered: usize,
}

/// A rebuild set with its shape.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebuild {
    /// The rebuild set, inputs before what needs them.
    pub rebuild: Vec<Rebuilt>,
    pub cover: Cover,
    #[serde(skip)]
    pub(crate) shape: Shape,
}

/// What hangs on what in a rebuild set; all numbers are indices into it.
#[derive(Debug, Default)]
pub struct Shape {
    /// The deepest rebuilt input of each: the parent in the spanning tree.
    pub(crate) parents: Vec<Option<usize>>,
    /// From input to dependent.
    pub(crate) edges: Vec<(usize, usize)>,
    pub(crate) depths: Vec<u32>,
    /// The names of each as an attribute or a target.
    pub(crate) attributes: Vec<Vec<String>>,
    pub(crate) targets: FixedBitSet,
}

impl Shape {
    /// Finds the shape of rising ids of a graph.
    pub(in crate::ops) fn of(graph: &Graph, ids: &[NodeId]) -> Shape {
        let index: HashMap<NodeId, usize> = ids.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let mut shape = Shape {
            parents: Vec::with_capacity(ids.len()),
            depths: Vec::with_capacity(ids.len()),
            attributes: vec![Vec::new(); ids.len()],
            targets: FixedBitSet::with_capacity(ids.len()),
            edges: Vec::new(),
        };
        for (i, id) in ids.iter().enumerate() {
            let mut parent: Option<usize> = None;
            for input in graph.inputs(*id) {
                let Some(at) = index.get(input).copied() else { continue };
                shape.edges.push((at, i));
                // Of several that are as deep the first.
                if parent.is_none_or(|best| shape.depths[at] > shape.depths[best]) {
                    parent = Some(at);
                }
            }
            shape.depths.push(parent.map_or(0, |at| shape.depths[at] + 1));
            shape.parents.push(parent);
        }
        for root in graph.roots() {
            if let (Some(attr), Some(at)) = (root.attr, index.get(&root.node)) {
                shape.attributes[*at].push(attr.to_owned());
            }
        }
        shape
    }
}

impl Cover {
    /// Returns what covers rising ids of a graph.
    pub(in crate::ops) fn of(graph: &Graph, ids: &[NodeId]) -> Cover {
        let cover = graph.cover(ids);
        Cover {
            attributes: cover.attributes.iter().map(|(attr, _)| (*attr).to_owned()).collect(),
            uncovered: cover.uncovered.len(),
        }
    }
}

impl Rebuilt {
    /// Describes one of the rebuild set of a comparison.
    pub(in crate::ops) fn of(delta: &Delta<'_>, id: NodeId) -> Rebuilt {
        let node = delta.after().node(id);
        Rebuilt {
            drv_path: node.drv_path().into(),
            name: node.name().into(),
            before: delta.counterpart(id).map(|old| delta.before().node(old).drv_path().into()),
            outputs: node.outputs().map(|(name, path)| (name.to_string(), path.to_string())).collect(),
            root_cause: delta.is_root_cause(id),
            depth: delta.depth(id).unwrap_or_default(),
            caused_by: Vec::new(),
        }
    }
}

impl Rebuild {
    /// Describes the rebuild set of a comparison; `targets` are derivations of the graph after.
    pub(in crate::ops) fn of_delta(delta: &Delta<'_>, targets: &[NodeId]) -> Rebuild {
        let (after, ids) = (delta.after(), delta.rebuilt());
        let mut shape = Shape::of(after, ids);
        for (i, id) in ids.iter().enumerate() {
            shape.targets.set(i, targets.contains(id));
        }
        let rebuild = ids.iter().map(|id| Rebuilt::of(delta, *id)).collect();
        Rebuild { rebuild, cover: Cover::of(after, ids), shape }
    }

    /// Describes a predicted rebuild set; rising ids of the unpatched graph.
    pub(in crate::ops) fn of_prediction(graph: &Graph, ids: &[NodeId], roots: &[NodeId]) -> Rebuild {
        let shape = Shape::of(graph, ids);
        let rebuild = ids
            .iter()
            .zip(&shape.depths)
            .map(|(id, depth)| Rebuilt {
                drv_path: graph.node(*id).drv_path().into(),
                name: graph.node(*id).name().into(),
                before: None,
                outputs: BTreeMap::new(),
                root_cause: roots.contains(id),
                depth: *depth,
                caused_by: Vec::new(),
            })
            .collect();
        Rebuild { rebuild, cover: Cover::of(graph, ids), shape }
    }
}
