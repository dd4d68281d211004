//! Which derivations of a graph are a patched package, and which patches each of them has.
//!
//! A package is in a graph more than once: for every stage, and as private copies. What belongs together is told by the
//! source: the same source and the same name once the platform is taken off.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;

use fixedbitset::FixedBitSet;

use crate::base::fs;
use crate::graph::{Delta, Graph, NodeId, without_platform};
use crate::nix::Nix;
use crate::verify::subject::{Package, Patch};

/// What makes a derivation one of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Family {
    pub sources: BTreeSet<String>,
    pub names: BTreeSet<String>,
}

impl Family {
    pub(super) fn add(&mut self, graph: &Graph, id: NodeId) {
        self.sources.extend(graph.node(id).sources().map(str::to_string));
        self.names.insert(bare(graph, id));
    }

    /// Says whether a derivation is of the package for certain.
    pub(super) fn has(&self, graph: &Graph, id: NodeId) -> bool {
        self.shares_source(graph, id) && self.names.contains(&bare(graph, id))
    }

    /// Says whether a derivation is made of the same source, under whatever name.
    pub(super) fn shares_source(&self, graph: &Graph, id: NodeId) -> bool {
        graph.node(id).sources().any(|source| self.sources.contains(source))
    }
}

/// Returns the name of a package, the same in every stage.
pub(super) fn bare(graph: &Graph, id: NodeId) -> String {
    without_platform(graph.node(id).pname())
}

/// How often a derivation has a patch; `None` when that cannot be told.
pub(super) type Times = Option<usize>;

/// Reads patches out of the store, each once.
#[derive(Debug)]
pub(super) struct Identity<'n> {
    nix: &'n Nix,
    contents: HashMap<String, Option<Vec<u8>>>,
}

impl<'n> Identity<'n> {
    pub(super) fn new(nix: &'n Nix) -> Identity<'n> {
        Identity { nix, contents: HashMap::new() }
    }

    /// Says whether the file at `path`, in the store or anywhere, is the patch: byte by byte.
    pub(super) fn same(&mut self, path: &str, patch: &Patch) -> bool {
        let Some(wanted) = &patch.bytes else { return false };
        let nix = self.nix;
        let there = self.contents.entry(path.to_string()).or_insert_with(|| {
            let real = if path.starts_with("/nix/store/") { nix.physical(path)? } else { PathBuf::from(path) };
            real.is_file().then(|| fs::read(&real).ok()).flatten()
        });
        there.as_ref() == Some(wanted)
    }

    /// Counts how often a list of patches has each patch of a package; `old` is the list without the overlays.
    ///
    /// A patch that is a file is told by its contents. What the overlay fetches or computes has no contents to compare: it
    /// is what the list has more than without the overlays, if that fits.
    pub(super) fn times(&mut self, list: &[&str], old: &[&str], package: &Package) -> Vec<Times> {
        let mut rest: Vec<&str> = list.to_vec();
        for known in old {
            if let Some(at) = rest.iter().position(|path| path == known) {
                rest.remove(at);
            }
        }
        let mut extra: Vec<&str> = Vec::new();
        for path in rest {
            if !package.patches.iter().any(|patch| self.same(path, patch)) {
                extra.push(path);
            }
        }
        let opaque = package.patches.iter().filter(|patch| patch.bytes.is_none()).count();
        let one = |me: &mut Self, patch: &Patch| -> Times {
            if patch.bytes.is_some() {
                return Some(list.iter().filter(|path| me.same(path, patch)).count());
            }
            let file = patch.url.as_deref().and_then(|url| url.rsplit('/').next());
            if let Some(file) = file.and_then(|f| f.split(['?', '#']).next()).filter(|f| !f.is_empty()) {
                let named = extra.iter().filter(|path| path.ends_with(&format!("-{file}"))).count();
                if named > 0 {
                    return Some(named);
                }
            }
            match extra.len() {
                0 => Some(0),
                n if n == opaque => Some(1),
                _ => None,
            }
        };
        package.patches.iter().map(|patch| one(self, patch)).collect()
    }

    /// Counts the patches of one derivation of the patched graph.
    pub(super) fn times_of(&mut self, delta: &Delta<'_>, id: NodeId, package: &Package) -> Vec<Times> {
        let list: Vec<&str> = delta.after().node(id).patches().collect();
        let old: Vec<&str> = match delta.counterpart(id) {
            Some(old) => delta.before().node(old).patches().collect(),
            None => Vec::new(),
        };
        self.times(&list, &old, package)
    }
}

/// The derivations that a target needs, itself among them.
#[derive(Debug)]
pub(super) struct Needs<'g> {
    graph: &'g Graph,
    target: NodeId,
    has: FixedBitSet,
}

impl<'g> Needs<'g> {
    pub(super) fn of(graph: &'g Graph, target: NodeId) -> Needs<'g> {
        let mut has = FixedBitSet::with_capacity(graph.len());
        let mut todo = vec![target];
        has.insert(target as usize);
        while let Some(id) = todo.pop() {
            for input in graph.inputs(id) {
                if !has.put(*input as usize) {
                    todo.push(*input);
                }
            }
        }
        Needs { graph, target, has }
    }

    pub(super) fn target(&self) -> NodeId {
        self.target
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.has.ones().map(|id| id as NodeId)
    }

    /// Returns a shortest chain from a derivation to the target: names, the derivation first.
    pub(super) fn chain(&self, from: NodeId) -> Vec<String> {
        let mut towards: HashMap<NodeId, NodeId> = HashMap::new();
        let mut queue = VecDeque::from([self.target]);
        while let Some(id) = queue.pop_front() {
            if id == from {
                break;
            }
            for input in self.graph.inputs(id) {
                if *input != self.target && !towards.contains_key(input) {
                    towards.insert(*input, id);
                    queue.push_back(*input);
                }
            }
        }
        let mut chain = vec![self.graph.node(from).name().to_string()];
        let mut at = from;
        while let Some(next) = towards.get(&at) {
            chain.push(self.graph.node(*next).name().to_string());
            at = *next;
        }
        chain
    }
}
