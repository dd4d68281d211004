//! Chains of rebuilds: from a root cause through inputs to a target, root first.
//!
//! Each pair of neighbours is a derivation and one that needs it, both rebuilt. A rebuilt derivation without rebuilt
//! inputs is a root cause, so every walk down the rebuild set ends in one.

use std::collections::{HashMap, VecDeque};

use super::Delta;
use super::image::NodeId;

/// A chain: ids of the graph after, the root cause first, the target last; at least one.
pub type Chain = Vec<NodeId>;

impl<'g> Delta<'g> {
    fn rebuilt_inputs(&self, id: NodeId) -> impl DoubleEndedIterator<Item = NodeId> + '_ {
        self.after().inputs(id).iter().copied().filter(|input| self.is_rebuilt(*input))
    }

    /// Returns a longest chain to a target; of several the one over the smallest numbers. `None` when the target is not
    /// rebuilt.
    pub fn critical_chain(&self, target: NodeId) -> Option<Chain> {
        let mut depth = self.depth(target)?;
        let mut chain = vec![target];
        let mut at = target;
        while depth > 0 {
            depth -= 1;
            at = self.rebuilt_inputs(at).find(|input| self.depth(*input) == Some(depth))?;
            chain.push(at);
        }
        chain.reverse();
        Some(chain)
    }

    /// Returns the longest chain there is in the rebuild set, whatever its target; `None` when nothing is rebuilt.
    pub fn longest_chain(&self) -> Option<Chain> {
        let deepest = self.rebuilt().iter().copied().max_by_key(|id| (self.depth(*id), std::cmp::Reverse(*id)))?;
        self.critical_chain(deepest)
    }

    /// Returns a shortest chain from a root cause to a target; a target that is itself a root cause is a chain of one.
    /// `None` when the target is not rebuilt.
    pub fn shortest_chain(&self, target: NodeId) -> Option<Chain> {
        if !self.is_rebuilt(target) {
            return None;
        }
        let mut towards: HashMap<NodeId, NodeId> = HashMap::new();
        let mut queue = VecDeque::from([target]);
        while let Some(id) = queue.pop_front() {
            if self.is_root_cause(id) {
                let mut chain = vec![id];
                let mut at = id;
                while at != target {
                    at = *towards.get(&at)?;
                    chain.push(at);
                }
                return Some(chain);
            }
            for input in self.rebuilt_inputs(id) {
                if input != target && !towards.contains_key(&input) {
                    towards.insert(input, id);
                    queue.push_back(input);
                }
            }
        }
        None
    }

    /// Returns all chains to a target, one after the other. There can be astronomically many: take as many as are wanted,
    /// and see [`Delta::count_chains`].
    pub fn all_chains(&self, target: NodeId) -> Chains<'_, 'g> {
        Chains { delta: self, stack: if self.is_rebuilt(target) { vec![Step::at(target)] } else { Vec::new() } }
    }

    /// Counts the chains to a target; `u64::MAX` stands for that many or more.
    pub fn count_chains(&self, target: NodeId) -> u64 {
        if !self.is_rebuilt(target) {
            return 0;
        }
        // Numbers rise from inputs to dependents, so one pass over the rebuild set is enough.
        let mut counts: HashMap<NodeId, u64> = HashMap::new();
        for id in self.rebuilt().iter().copied().take_while(|id| *id <= target) {
            let below = self
                .rebuilt_inputs(id)
                .fold(0u64, |sum, input| sum.saturating_add(counts.get(&input).copied().unwrap_or_default()));
            counts.insert(id, below.saturating_add(u64::from(self.is_root_cause(id))));
        }
        counts.get(&target).copied().unwrap_or_default()
    }
}

/// The chains to a target, depth first; see [`Delta::all_chains`].
#[derive(Debug)]
pub struct Chains<'d, 'g> {
    delta: &'d Delta<'g>,
    stack: Vec<Step>,
}

/// A derivation on the way down, and how far its inputs have been tried.
#[derive(Debug)]
struct Step {
    id: NodeId,
    shown: bool,
    next: usize,
}

impl Step {
    fn at(id: NodeId) -> Step {
        Step { id, shown: false, next: 0 }
    }
}

impl Iterator for Chains<'_, '_> {
    type Item = Chain;

    fn next(&mut self) -> Option<Chain> {
        loop {
            let step = self.stack.last_mut()?;
            if !step.shown {
                step.shown = true;
                if self.delta.is_root_cause(step.id) {
                    return Some(self.stack.iter().rev().map(|step| step.id).collect());
                }
            }
            let inputs = self.delta.after().inputs(step.id);
            match inputs.iter().enumerate().skip(step.next).find(|(_, input)| self.delta.is_rebuilt(**input)) {
                Some((index, input)) => {
                    step.next = index + 1;
                    self.stack.push(Step::at(*input));
                }
                None => {
                    self.stack.pop();
                }
            }
        }
    }
}
