//! Prediction: what would be rebuilt if a package were changed, from the unpatched graph alone.
//!
//! A package is built more than once: for several platforms, in bootstrap stages, as a private copy. An overlay reaches
//! those that come from the same expression, which the graph does not hold. What stands in for it: derivations with the
//! same source and, once the platform and `-static` are taken off, the same name. These are the certain roots; what needs
//! them, stopping at fixed-output derivations, is the rebuild set. Derivations of which that is not sure (the rest of the
//! source family, the same package from another source) make the possible part. It is a prediction all the same, and has
//! to be called one. Must not read `.drv` files.
//!
//! Measured against evaluation (patched by an overlay, both sides evaluated, output paths compared), nixpkgs 19.09. Real:
//! derivations rebuilt; false: predicted and not rebuilt; listed: really rebuilt, not predicted, but possible; missed:
//! neither.
//!
//! | set | package | real | false | listed | missed |
//! |---|---|---|---|---|---|
//! | whole, x86_64 to aarch64-musl | zlib, perl, linuxHeaders | 14,768, 14,769, 14,761 | 0 | 0 | 0 |
//! | | libxml2, curl, glib, cmake, systemd | 7,030, 5,713, 4,736, 4,620, 4,194 | 0 | 0 | 0 |
//! | | openssl, ncurses, libjpeg | 10,705, 10,709, 2,596 | 2, 0, 3 | 118, 108, 72 | 0 |
//! | | ruby, boost, gtk3, gtk2 | 1,844, 509, 891, 1,059 | 1, 1, 0, 4 | 25, 0, 0, 0 | 0 |
//! | | python37, python3, python | 6,685, 4,830, 6,852 | 0, 4, 0 | 0, 14, 79 | 0, 0, 6,772 |
//! | | ffmpeg, php, nodejs, lua5, llvm | 97, 11, 18, 108, 8 | 1, 3, 1, 1, 1 | 96, 11, 17, 108, 8 | 0 |
//! | | gcc (a wrapper without source) | 12,971 | 0 | 45 | 12,925 |
//! | 778 attributes, native | 22: glibc, gcc-unwrapped, binutils-unwrapped, bash, coreutils, gmp, bison, autoconf, gettext, sqlite, git, ... | 221 to 3,475 | 0 | 0 to 2 | 0 |
//! | | dbus, icu, readline, pkgconfig | 557, 373, 2,242, 2,396 | 3, 1, 1, 2 | 0, 9, 10, 5 | 0 |
//! | | rustc, cargo, jdk8, lua5_2 | 175, 93, 14, 1 | 1, 1, 2, 0 | 175, 93, 14, 0 | 0 |
//! | | llvm_7 (others take it from `llvmPackages_7`) | 184 | 1 | 127 | 57 |
//! | 685 attributes, aarch64-musl | the same 22 | 165 to 3,031 | 0 | 0 to 2 | 0 |
//! | | dbus, icu, readline, pkgconfig | 386, 239, 1,954, 2,124 | 6, 1, 1, 3 | 0, 7, 3, 13 | 0 |
//! | | rustc, cargo, llvm_7 | 139, 59, 475 | 3, 1, 0 | 139, 57, 200 | 0, 0, 274 |
//!
//! What is predicted falsely is most often the package itself: its old derivation stays in use under another attribute.

use std::collections::{BTreeSet, HashSet};

use fixedbitset::FixedBitSet;
use serde::Serialize;

use super::alias::{self, Alias};
use super::delta::{Counts, count};
use super::image::{Image, NodeId, text_hash};
use super::names::without_platform;
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
}

/// A derivation that may be rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Possible {
    /// The derivation.
    pub node: NodeId,
    /// Why.
    pub reason: Reason,
    /// The uncertain root that it is, or that it needs.
    pub root: NodeId,
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
}

impl Prediction {
    /// Counts derivations and builds of the rebuild set.
    pub fn counts(&self, graph: &Graph) -> Counts {
        count(graph, self.rebuild.iter().copied())
    }
}

/// At most this many are possible where half the rebuild set is less.
const POSSIBLE: usize = 200;

impl Graph {
    /// Predicts what would be rebuilt if an attribute of the list of roots were changed, in every stage.
    ///
    /// # Errors
    /// [`Error::UnknownAttribute`]; [`Error::Cache`] when the graph was not proved before and what is read of it is damaged.
    pub fn predict(&self, attr: &str) -> Result<Prediction, Error> {
        self.prove_with(Image::prove_roots)?;
        self.predict_stages(attr, &[self.attribute(attr)?])
    }

    /// Predicts what would be rebuilt if an attribute were changed that has these derivations in the stages (`pkgs`,
    /// `buildPackages` and so on). More stages make it no worse; one is enough where the package has a source.
    ///
    /// # Errors
    /// [`Error::Cache`], as [`Graph::predict`].
    pub fn predict_stages(&self, attr: &str, stages: &[NodeId]) -> Result<Prediction, Error> {
        self.prove_with(Image::prove_dependents)?;
        let mut family = Family::of(self, stages)?;
        let mut reached = FixedBitSet::with_capacity(self.len());
        // What takes the package by a name, and perhaps by another than this one.
        let alias = stages.first().and_then(|id| alias::of(self, attr, *id));
        match &alias {
            None => {}
            Some(Alias::Plain) => self.prove_with(Image::prove_inputs)?,
            // The names of all that needs it tell these apart.
            Some(Alias::Interpreter(_) | Alias::Enclosed(_)) => self.prove()?,
        }
        let by_other_name: Vec<NodeId> = match alias {
            None => {
                self.propagate(&family.certain, &mut reached);
                Vec::new()
            }
            Some(alias) => {
                let (own, copies): (Vec<NodeId>, Vec<NodeId>) =
                    family.certain.iter().partition(|id| stages.contains(id));
                match alias {
                    Alias::Plain => {
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
        Ok(prediction)
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

/// The derivations that may be stages of one package.
#[derive(Debug, Default)]
struct Family {
    certain: Vec<NodeId>,
    uncertain: Vec<(Reason, NodeId)>,
}

impl Family {
    fn of(graph: &Graph, stages: &[NodeId]) -> Result<Family, Error> {
        let prove = |id: NodeId| graph.prove_with(|image| image.prove_node(id));
        stages.iter().try_for_each(|id| prove(*id))?;
        let sources: BTreeSet<&str> = stages.iter().flat_map(|id| graph.node(*id).sources()).collect();
        let names: HashSet<String> = stages.iter().map(|id| without_platform(graph.node(*id).name())).collect();
        let packages: BTreeSet<&str> = stages.iter().map(|id| graph.node(*id).pname()).collect();
        let mut certain: Vec<NodeId> = stages.iter().copied().filter(|id| !graph.is_fixed_output(*id)).collect();
        let mut uncertain: Vec<(Reason, NodeId)> = Vec::new();
        let mut seen: HashSet<NodeId> = HashSet::new();
        for source in sources {
            for id in graph.hashed(graph.image.by_source(), source) {
                prove(id)?;
                let node = graph.node(id);
                if !node.sources().any(|other| other == source) || !seen.insert(id) {
                    continue;
                }
                if names.contains(&without_platform(node.name())) {
                    certain.push(id);
                } else {
                    uncertain.push((Reason::SameSource, id));
                }
            }
        }
        for package in packages {
            for id in graph.hashed(graph.image.by_package(), package) {
                prove(id)?;
                if graph.node(id).pname() == package && seen.insert(id) {
                    uncertain.push((Reason::SamePackage, id));
                }
            }
        }
        certain.sort_unstable();
        certain.dedup();
        uncertain.retain(|(_, id)| certain.binary_search(id).is_err());
        Ok(Family { certain, uncertain })
    }
}

impl Graph {
    /// Returns the nodes that stand under a text's hash in a section; some may be there for another text.
    fn hashed<'g>(&self, section: &'g [[u32; 2]], text: &str) -> impl Iterator<Item = NodeId> + use<'g> {
        let hash = text_hash(text.as_bytes());
        let start = section.partition_point(|row| row[0] < hash);
        section.get(start..).unwrap_or_default().iter().take_while(move |row| row[0] == hash).map(|row| row[1])
    }
}
