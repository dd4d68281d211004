//! The derivation graph: closures in compressed rows, chains, deltas, prediction, the cache.
//!
//! A [`Graph`] is read once from `.drv` files ([`Graph::read`]) or from a cache file ([`Graph::open`]) and never
//! changes. Two graphs make a [`Delta`]: what is rebuilt and why. One graph and some of its derivations make a
//! [`Prediction`]. Output paths are compared, never `.drv` paths. Must not know how derivations are obtained: it is handed
//! roots and a [`Source`], and must not print.

mod alias;
mod assemble;
mod builder;
mod cache;
mod chains;
mod changes;
mod counterpart;
mod cover;
mod delta;
mod digest;
mod error;
mod family;
mod image;
mod layout;
mod marks;
mod names;
mod node;
mod order;
mod path_hash;
mod predict;
mod read;
mod roots;
mod variables;
mod walk;

pub use crate::drv::StoreDir;
pub use builder::{Builder, Facts};
pub use chains::{Chain, Chains};
pub use changes::{Change, Changes};
pub use cover::Cover;
pub use delta::{AttributeChange, Counts, Delta};
pub use error::{CacheProblem, Error};
pub use image::{NodeId, Rows};
pub use marks::{MARK, Marked};
pub use names::{split_version, without_platform};
pub use node::Node;
pub use predict::{Possible, Prediction, Range, Reason};
pub use read::Missing;
pub use roots::{Failure, Root, RootList};

pub use crate::drv::Source;

use std::path::PathBuf;

use image::Image;

/// A graph of derivations: an edge from each to every derivation that it needs. Immutable.
#[derive(Debug)]
pub struct Graph {
    image: Image,
    file: Option<PathBuf>,
}

/// An attribute of the list of roots and its derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'g> {
    /// The attribute path; `None` for a root without one.
    pub attr: Option<&'g str>,
    pub node: NodeId,
}

impl Graph {
    fn from_image(image: Image) -> Graph {
        Graph { image, file: None }
    }

    /// Returns the number of derivations; their ids are the numbers below it, inputs before what needs them.
    pub fn len(&self) -> usize {
        self.image.counts().nodes
    }

    /// Says whether there is no derivation.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of edges: pairs of a derivation and one of its inputs.
    pub fn edges(&self) -> usize {
        self.image.counts().edges
    }

    /// Returns the number of fixed-output derivations.
    pub fn fixed_outputs(&self) -> usize {
        self.ids().filter(|id| self.is_fixed_output(*id)).count()
    }

    /// Returns all ids, inputs before what needs them.
    pub fn ids(&self) -> std::ops::Range<NodeId> {
        0..self.len() as NodeId
    }

    /// Returns what is known of a derivation; empty fields for a number that is no node.
    pub fn node(&self, id: NodeId) -> Node<'_> {
        Node::new(&self.image, id)
    }

    /// Says whether all outputs of a derivation are given by hash.
    pub fn is_fixed_output(&self, id: NodeId) -> bool {
        self.image.is_fixed_output(id)
    }

    /// Returns the derivations that this one needs, rising.
    pub fn inputs(&self, id: NodeId) -> &[NodeId] {
        self.image.input_rows().of(id)
    }

    /// Returns the derivations that need this one, rising.
    pub fn dependents(&self, id: NodeId) -> &[NodeId] {
        self.image.dependent_rows().of(id)
    }

    /// Returns the rows of dependents, for going through many.
    pub fn dependent_rows(&self) -> Rows<'_> {
        self.image.dependent_rows()
    }

    /// Finds a derivation by its store path.
    pub fn find(&self, drv_path: &str) -> Option<NodeId> {
        let by_path = self.image.by_path();
        let wanted = (order::path_key(drv_path.as_bytes()), drv_path);
        let at = by_path.partition_point(|id| {
            let path = self.node(*id).drv_path();
            (order::path_key(path.as_bytes()), path) < wanted
        });
        by_path.get(at).copied().filter(|id| self.node(*id).drv_path() == drv_path)
    }

    /// Returns the roots in the order of their list.
    pub fn roots(&self) -> impl ExactSizeIterator<Item = Attribute<'_>> {
        self.image.roots().iter().map(|[start, length, node, named]| Attribute {
            attr: (*named != 0).then(|| self.image.text(*start, *length)),
            node: *node,
        })
    }

    /// Returns the derivation of an attribute of the list of roots.
    ///
    /// # Errors
    /// [`Error::UnknownAttribute`] with similar names.
    pub fn attribute(&self, attr: &str) -> Result<NodeId, Error> {
        if let Some(root) = self.roots().find(|root| root.attr == Some(attr)) {
            return Ok(root.node);
        }
        let mut similar: Vec<(f64, &str)> = self
            .roots()
            .filter_map(|root| root.attr)
            .map(|known| (strsim::jaro_winkler(attr, known), known))
            .filter(|(score, _)| *score > 0.85)
            .collect();
        similar.sort_by(|a, b| b.0.total_cmp(&a.0));
        let similar = similar.into_iter().take(3).map(|(_, known)| known.to_owned()).collect();
        Err(Error::UnknownAttribute { attr: attr.to_owned(), similar })
    }

    /// Returns the derivations that could not be read; the graph is partial unless there is none.
    pub fn missing(&self) -> impl ExactSizeIterator<Item = &str> {
        self.image.missing().iter().map(|[start, length]| self.image.text(*start, *length))
    }

    /// Returns the store directory that its paths are in.
    pub fn store_dir(&self) -> &str {
        self.image.store_dir()
    }

    /// Returns what the graph was said to depend on when it was written.
    pub fn key(&self) -> &str {
        self.image.key()
    }
}
