//! Which derivation of one graph plays the part of which derivation of the other.
//!
//! Equal `.drv` or output paths decide where there are any. From the attributes both graphs share the search goes down
//! the inputs of each pair side by side: what is on both sides is left out, what remains is matched by name, and among
//! several of one name by equal own part. What no pair leads to is matched by name alone.

use std::collections::HashMap;

use super::Graph;
use super::image::NodeId;
use super::names::split_version;
use super::path_hash::PathHash;

/// For each derivation of the graph after, its counterpart in the graph before.
#[derive(Debug)]
pub(super) struct Counterparts {
    before_of: Vec<Option<NodeId>>,
}

impl Counterparts {
    pub(super) fn of(&self, after: NodeId) -> Option<NodeId> {
        self.before_of.get(after as usize).copied().flatten()
    }

    pub(super) fn between(before: &Graph, after: &Graph) -> Counterparts {
        let mut search = Search {
            before,
            after,
            before_of: vec![None; after.len()],
            taken: vec![false; before.len()],
            pending: Vec::new(),
        };
        let mut by_output: HashMap<&str, NodeId, PathHash> =
            HashMap::with_capacity_and_hasher(before.len() * 2, PathHash::default());
        for id in before.ids() {
            let node = before.node(id);
            by_output.extend(node.outputs().filter(|(_, path)| !path.is_empty()).map(|(_, path)| (path, id)));
        }
        for id in after.ids() {
            let node = after.node(id);
            let same = before
                .find(node.drv_path())
                .or_else(|| node.outputs().find_map(|(_, path)| by_output.get(path).copied()));
            if let Some(old) = same {
                search.before_of[id as usize] = Some(old);
                search.taken[old as usize] = true;
            }
        }
        let attributes: HashMap<&str, NodeId> =
            before.roots().filter_map(|root| Some((root.attr?, root.node))).collect();
        for root in after.roots() {
            if let Some(old) = root.attr.and_then(|attr| attributes.get(attr)) {
                search.pair(root.node, *old);
            }
        }
        search.descend();
        search.by_name_alone();
        Counterparts { before_of: search.before_of }
    }
}

struct Search<'g> {
    before: &'g Graph,
    after: &'g Graph,
    before_of: Vec<Option<NodeId>>,
    taken: Vec<bool>,
    pending: Vec<(NodeId, NodeId)>,
}

impl Search<'_> {
    fn pair(&mut self, new: NodeId, old: NodeId) {
        if self.before_of[new as usize].is_none() && !self.taken[old as usize] {
            self.before_of[new as usize] = Some(old);
            self.taken[old as usize] = true;
            self.pending.push((new, old));
        }
    }

    fn descend(&mut self) {
        while let Some((new, old)) = self.pending.pop() {
            let (after, before) = (self.after, self.before);
            let new_inputs = after.inputs(new).to_vec();
            let old_inputs = before.inputs(old).to_vec();
            self.match_lists(new_inputs, old_inputs);
        }
    }

    fn by_name_alone(&mut self) {
        let (after, before) = (self.after, self.before);
        // Late numbers first: those are the targets, and they lead to the rest.
        self.match_lists(after.ids().rev().collect(), before.ids().rev().collect());
        self.descend();
    }

    fn open_after(&self, mut ids: Vec<NodeId>) -> Vec<NodeId> {
        ids.retain(|id| self.before_of[*id as usize].is_none());
        ids
    }

    fn open_before(&self, mut ids: Vec<NodeId>) -> Vec<NodeId> {
        ids.retain(|id| !self.taken[*id as usize]);
        ids
    }

    /// Matches what is open of two lists: by full name and own part, by full name, by name without version.
    fn match_lists(&mut self, new: Vec<NodeId>, old: Vec<NodeId>) {
        let (after, before) = (self.after, self.before);
        let (mut new, mut old) = (self.open_after(new), self.open_before(old));
        for round in 0..3 {
            let key = |graph: &'_ Graph, id: NodeId| -> (String, u128, bool) {
                let node = graph.node(id);
                let name = if round < 2 { node.name() } else { split_version(node.name()).0 };
                (name.to_owned(), if round == 0 { node.digest() } else { 0 }, node.fixed_output())
            };
            if new.is_empty() || old.is_empty() {
                return;
            }
            let mut groups: HashMap<(String, u128, bool), Vec<NodeId>> = HashMap::new();
            for id in old.iter().rev() {
                groups.entry(key(before, *id)).or_default().push(*id);
            }
            for id in &new {
                if let Some(old) = groups.get_mut(&key(after, *id)).and_then(Vec::pop) {
                    self.pair(*id, old);
                }
            }
            new = self.open_after(new);
            old = self.open_before(old);
        }
    }
}
