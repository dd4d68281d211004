//! Prediction: what would be rebuilt if a package were changed, from the unpatched graph alone.
//!
//! A package is built more than once: for several platforms, in bootstrap stages, as a private copy. An overlay reaches
//! those that come from the same expression, which the graph does not hold. What stands in for it: derivations with the
//! same source and, once the platform and `-static` are taken off, the same name. These are the certain roots; what needs
//! them, stopping at fixed-output derivations, is the rebuild set. Derivations of which that is not sure (the rest of the
//! source family, the same package from another source) make the possible part. It is a prediction all the same, and has
//! to be called one. Must not read `.drv` files.
//! How near it comes is measured in docs/prediction.md.
//!
//! What a graph does not hold makes it a range. Of two derivations of one source either may be an override of the other, and
//! another attribute may name the same derivation; see [`Range`].

use fixedbitset::FixedBitSet;
use serde::Serialize;

use super::alias::{self, Alias};
use super::delta::{Counts, count};
use super::family::Family;
use super::image::{Image, NodeId};
use super::{Error, Graph};

/// Why a derivation may be rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Reason {
    /// It is built from the same source under another name, or needs something that is.
    SameSource,
    /// It is the same package from another source, or needs one.
    SamePackage,
    /// It needs the package, but perhaps through another attribute with the same derivation.
    Alias,
    /// Nothing is known of it: what needs it did not evaluate with marks.
    Untold,
}

/// A derivation that may be rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Possible {
    pub node: NodeId,
    pub reason: Reason,
    /// The uncertain root that it is, or that it needs.
    pub root: NodeId,
}

/// Between how many and how many derivations are rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Range {
    /// At least so many.
    pub low: usize,
    /// At most so many: all that is predicted, possible or unlisted.
    pub high: usize,
}

/// What would be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prediction {
    /// The derivations that would themselves be changed.
    pub roots: Vec<NodeId>,
    /// The rebuild set, inputs first.
    pub rebuild: Vec<NodeId>,
    /// What else may be rebuilt, inputs first; disjoint from `rebuild`, at most half as many or 200.
    pub possible: Vec<Possible>,
    /// How many more may be: those that need an uncertain root which too much needs for them to be listed.
    pub unlisted: usize,
    /// Between how many and how many are rebuilt.
    pub range: Range,
}

impl Prediction {
    /// Counts derivations and builds of the rebuild set.
    pub fn counts(&self, graph: &Graph) -> Counts {
        count(graph, self.rebuild.iter().copied())
    }
}

/// So many are at most taken out of the lower end for other names, where a part of it is not more: a graph does not say by
/// which attribute a package is taken, and what takes it by another (`gnupatch` for `patch`) stays as it is.
const BY_NAMES: usize = 10;
const BY_NAMES_PART: usize = 20;
/// The least, where the range is wide already.
const BY_NAMES_LEAST: usize = 3;

/// Returns how much less than `low` it may be because of other names.
fn by_names(low: usize, high: usize) -> usize {
    BY_NAMES.saturating_sub(high - low).max(BY_NAMES_LEAST).max(low / BY_NAMES_PART)
}

/// At most this many are possible where half the rebuild set is less.
const POSSIBLE: usize = 200;

impl Graph {
    /// Predicts what would be rebuilt if an attribute of the list of roots were changed, in every stage; libc, kernel headers
    /// and compilers are found without being roots.
    ///
    /// # Errors
    /// [`Error::UnknownAttribute`]; [`Error::Cache`] when the graph was not proved before and what is read of it is damaged.
    pub fn predict(&self, attr: &str) -> Result<Prediction, Error> {
        self.prove_with(Image::prove_roots)?;
        if let Some(prediction) = self.predict_marked(attr)? {
            return Ok(prediction);
        }
        match self.attribute(attr) {
            Ok(id) => self.predict_stages(attr, &[id]),
            Err(unknown) => match Family::of_toolchain(self, attr)? {
                Some(family) => self.predict_family(family, None, &[]),
                None => Err(unknown),
            },
        }
    }

    /// Predicts what would be rebuilt if an attribute were changed that has these derivations in the stages (`pkgs`,
    /// `buildPackages` and so on). More stages make it no worse; one is enough where the package has a source.
    ///
    /// # Errors
    /// [`Error::Cache`], as [`Graph::predict`].
    pub fn predict_stages(&self, attr: &str, stages: &[NodeId]) -> Result<Prediction, Error> {
        self.prove_with(Image::prove_dependents)?;
        let family = Family::of(self, attr, stages)?;
        // What takes the package by a name, and perhaps by another than this one.
        let alias = stages.first().and_then(|id| alias::of(self, attr, *id));
        if let Some(Alias::Interpreter(_) | Alias::Enclosed(_)) = &alias {
            // The names of all that needs it tell these apart.
            self.prove()?;
        }
        self.predict_family(family, alias, stages)
    }

    fn predict_family(&self, mut family: Family, alias: Option<Alias>, stages: &[NodeId]) -> Result<Prediction, Error> {
        let mut reached = FixedBitSet::with_capacity(self.len());
        // What is taken by other names may be all of it.
        let mut low = match alias {
            Some(Alias::Shared | Alias::Enclosed(_)) => 0,
            _ => {
                let closure = |set: &Vec<NodeId>| {
                    let mut reached = FixedBitSet::with_capacity(self.len());
                    self.propagate(set, &mut reached).len()
                };
                family.sure.iter().map(closure).min().unwrap_or_default()
            }
        };
        let by_other_name: Vec<NodeId> = match alias {
            None => {
                self.propagate(&family.certain, &mut reached);
                Vec::new()
            }
            Some(alias) => {
                let (own, copies): (Vec<NodeId>, Vec<NodeId>) =
                    family.certain.iter().partition(|id| stages.contains(id));
                match alias {
                    Alias::Plain | Alias::Shared => {
                        let nodes = self.propagate(&family.certain, &mut reached);
                        alias::directly_only(self, &family.certain, &nodes, &mut reached)
                    }
                    Alias::Interpreter(ref scope) | Alias::Enclosed(ref scope) => {
                        let enclosed = matches!(alias, Alias::Enclosed(_));
                        let users = alias::users(self, if enclosed { &own } else { &family.certain });
                        let (inside, outside): (Vec<NodeId>, Vec<NodeId>) =
                            users.into_iter().partition(|id| scope.as_ref().is_none_or(|scope| scope.holds(self, *id)));
                        reached.extend(own.iter().map(|id| *id as usize));
                        family.certain = own;
                        self.propagate(&outside, &mut reached);
                        copies.into_iter().chain(inside).collect()
                    }
                }
            }
        };
        let mut prediction = Prediction {
            rebuild: reached.ones().map(|id| id as NodeId).collect(),
            roots: family.certain.clone(),
            ..Prediction::default()
        };
        let mut room = (prediction.rebuild.len() / 2).max(POSSIBLE);
        if !by_other_name.is_empty() {
            let mut also = reached.clone();
            let root = family.certain.first().copied().unwrap_or_default();
            let nodes = self.propagate(&by_other_name, &mut also);
            // The first are the nearest: as many as there is room for.
            prediction.unlisted = nodes.len().saturating_sub(room);
            for node in nodes.into_iter().take(room) {
                reached.insert(node as usize);
                prediction.possible.push(Possible { node, reason: Reason::Alias, root });
            }
            room -= prediction.possible.len();
        }
        // The uncertain roots come first, nearest kinship first; then what needs them, as long as that is little.
        family.uncertain.retain(|(_, root)| !reached.contains(*root as usize));
        family.uncertain.sort_by_key(|(reason, root)| (*reason, self.dependents(*root).len(), *root));
        let listed = family.uncertain.len().min(room).min(POSSIBLE);
        for (reason, root) in family.uncertain.iter().take(listed) {
            reached.insert(*root as usize);
            prediction.possible.push(Possible { node: *root, reason: *reason, root: *root });
        }
        room -= listed;
        let mut effort = self.len();
        for (reason, root) in family.uncertain.iter().take(listed) {
            // Trying is bounded too: each root that too much needs costs as much as it may have.
            let limit = room.min(effort);
            let Some(nodes) = self.propagate_few(*root, &mut reached, limit) else {
                effort -= limit;
                continue;
            };
            room -= nodes.len();
            prediction.possible.extend(nodes.into_iter().map(|node| Possible { node, reason: *reason, root: *root }));
        }
        let all: Vec<NodeId> = family.uncertain.iter().map(|(_, root)| *root).collect();
        let mut also = reached.clone();
        for root in &all {
            also.set(*root as usize, false);
        }
        let rest = self.propagate(&all, &mut also);
        prediction.unlisted += rest.iter().filter(|id| !reached.contains(**id as usize)).count();
        prediction.possible.sort_by_key(|possible| possible.node);
        low = low.min(prediction.rebuild.len());
        if !by_other_name.is_empty() && prediction.rebuild.len() == prediction.roots.len() {
            // Nothing but the package itself is predicted, and that may stay in use by its other name.
            low = 0;
        }
        let high = prediction.rebuild.len() + prediction.possible.len() + prediction.unlisted;
        low -= low.min(by_names(low, high));
        if let [root] = stages
            && self.is_alone(*root)
        {
            low = low.max(1);
        }
        prediction.range = Range { low, high };
        Ok(prediction)
    }

    /// Says whether nothing needs a derivation and one attribute alone names it: then whoever changes that rebuilds it.
    fn is_alone(&self, id: NodeId) -> bool {
        !self.is_fixed_output(id)
            && self.dependents(id).is_empty()
            && self.roots().filter(|root| root.node == id).count() == 1
    }

    /// Marks all that need a derivation, unless that is more than `limit`: then nothing.
    fn propagate_few(&self, from: NodeId, reached: &mut FixedBitSet, limit: usize) -> Option<Vec<NodeId>> {
        let rows = self.dependent_rows();
        let mut new = Vec::new();
        let mut next = 0;
        let mut at = Some(from);
        while let Some(id) = at {
            for dependent in rows.of(id) {
                if !reached.contains(*dependent as usize) && !self.is_fixed_output(*dependent) {
                    reached.insert(*dependent as usize);
                    new.push(*dependent);
                }
            }
            if new.len() > limit {
                for id in new {
                    reached.set(id as usize, false);
                }
                return None;
            }
            at = new.get(next).copied();
            next += 1;
        }
        Some(new)
    }

    /// Marks some derivations and all that need them, stopping at fixed-output ones, and returns what was not yet marked.
    pub(super) fn propagate(&self, from: &[NodeId], reached: &mut FixedBitSet) -> Vec<NodeId> {
        let rows = self.dependent_rows();
        let mut new = Vec::new();
        let mut reach = |id: NodeId, new: &mut Vec<NodeId>| {
            if !reached.contains(id as usize) && !self.is_fixed_output(id) {
                reached.insert(id as usize);
                new.push(id);
            }
        };
        for id in from {
            reach(*id, &mut new);
        }
        let mut next = 0;
        while let Some(id) = new.get(next).copied() {
            next += 1;
            for dependent in rows.of(id) {
                reach(*dependent, &mut new);
            }
        }
        new
    }
}
