//! The smallest set of attributes whose build builds the whole rebuild set, as `guix refresh --list-dependent` gives it.

use std::collections::HashMap;

use super::Graph;
use super::image::NodeId;

/// Attributes that cover a rebuild set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cover<'g> {
    /// The attributes, by name; of several names for one derivation the shortest.
    pub attributes: Vec<(&'g str, NodeId)>,
    /// Rebuilt derivations that no attribute's build is bound to build: only downloads need them, or the root has no
    /// attribute.
    pub uncovered: Vec<NodeId>,
}

impl Graph {
    /// Returns the smallest set of attributes whose build builds all of `rebuilt` (rising ids, with everything between
    /// them, as [`super::Delta::rebuilt`] and [`super::Prediction`] give it).
    ///
    /// A rebuilt derivation that no other rebuilt one needs can only be built by naming it, and every other is below
    /// one of those: so these are necessary, and enough.
    pub fn cover(&self, rebuilt: &[NodeId]) -> Cover<'_> {
        let is_rebuilt = |id: &NodeId| rebuilt.binary_search(id).is_ok();
        let mut names: HashMap<NodeId, &str> = HashMap::new();
        for root in self.roots() {
            if let Some(attr) = root.attr {
                let name = names.entry(root.node).or_insert(attr);
                if (attr.len(), attr) < (name.len(), *name) {
                    *name = attr;
                }
            }
        }
        let mut cover = Cover::default();
        for id in rebuilt {
            if self.dependents(*id).iter().any(is_rebuilt) {
                continue;
            }
            match names.get(id) {
                Some(attr) => cover.attributes.push((attr, *id)),
                None => cover.uncovered.push(*id),
            }
        }
        cover.attributes.sort_unstable();
        cover
    }
}
