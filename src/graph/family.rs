//! The derivations that may be one package: its stages, its copies, what is made from its source.
//!
//! An overlay reaches those that come from the same expression, which a graph does not hold. What stands in for it is the
//! source, the name without the platform, and how each is configured. Must not read `.drv` files.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::image::{Image, NodeId, text_hash};
use super::names::{platform, split_version, without_platform};
use super::predict::Reason;
use super::{Error, Graph};

/// The derivations that may be stages of one package.
#[derive(Debug, Default)]
pub(super) struct Family {
    /// Of the same source and, without the platform, the same name; rising.
    pub certain: Vec<NodeId>,
    /// Sets of them, one of which at least an overlay surely reaches whole.
    pub sure: Vec<Vec<NodeId>>,
    /// The rest of the source's family, and the same package from another source.
    pub uncertain: Vec<(Reason, NodeId)>,
}

impl Family {
    /// Finds the family of a package that has these derivations in the stages.
    pub(super) fn of(graph: &Graph, attr: &str, stages: &[NodeId]) -> Result<Family, Error> {
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
        Family { certain, sure: Vec::new(), uncertain }.settled(graph, attr, stages)
    }

    /// Finds the derivations of a toolchain's part by its attribute, whether or not a root has that name; `None` for anything
    /// else, or when there is none.
    pub(super) fn of_toolchain(graph: &Graph, attr: &str) -> Result<Option<Family>, Error> {
        let Some(part) = ToolchainPart::of(attr) else { return Ok(None) };
        graph.prove()?;
        let wanted = &part.packages;
        let is_meant = |id: &NodeId| {
            let name = graph.node(*id).name();
            !graph.is_fixed_output(*id)
                && wanted.iter().any(|word| name.contains(word.as_str()))
                && wanted.iter().any(|word| split_version(&without_platform(name)).0 == word)
        };
        let found: Vec<NodeId> = graph.ids().filter(is_meant).collect();
        if found.is_empty() {
            return Ok(None);
        }
        let mut family = Family::of(graph, attr, &found)?;
        // Which platform's is meant is not known (`glibc` or `glibcCross`), nor which version's: one of them.
        let mut groups: BTreeMap<(String, Option<&str>), Vec<NodeId>> = BTreeMap::new();
        for id in &family.certain {
            let node = graph.node(*id);
            groups.entry((platform(node.name()), node.sources().next())).or_default().push(*id);
        }
        family.sure = if part.unsure { Vec::new() } else { groups.into_values().collect() };
        Ok(Some(family))
    }

    /// Takes out what cannot be of the family, and finds what is sure.
    fn settled(mut self, graph: &Graph, attr: &str, stages: &[NodeId]) -> Result<Family, Error> {
        self.certain.sort_unstable();
        self.certain.dedup();
        graph.prove_with(Image::prove_inputs)?;
        for id in self.certain.iter().chain(self.uncertain.iter().map(|(_, id)| id)) {
            graph.inputs(*id).iter().try_for_each(|input| graph.prove_with(|image| image.prove_node(*input)))?;
        }
        let Family { certain, uncertain, .. } = &mut self;
        uncertain.retain(|(_, id)| certain.binary_search(id).is_err());
        // The first links of a bootstrap are made without any stdenv: no overrides of what is made with one.
        if stages.iter().all(|id| stdenv_of(graph, *id).is_some()) {
            uncertain.retain(|(_, id)| stdenv_of(graph, *id).is_some());
        }
        let last = attr.rsplit('.').next().unwrap_or(attr);
        let is_plain = stages.iter().any(|id| without_platform(graph.node(*id).pname()) == last);
        self.sure = vec![sure(graph, &self.certain, stages, is_plain)];
        Ok(self)
    }
}

/// Returns the name of the stdenv that makes a derivation: each stage of a bootstrap has its own.
fn stdenv_of(graph: &Graph, id: NodeId) -> Option<&str> {
    graph.inputs(id).iter().map(|input| graph.node(*input).name()).find(|name| name.contains("stdenv-"))
}

/// The names of packages that a derivation needs.
type Needs = BTreeSet<String>;
/// Derivations of one package by how they are configured.
type Shapes = BTreeMap<u32, Vec<NodeId>>;

/// Returns the packages that a derivation needs, without downloads, hooks and what makes it.
fn needs(graph: &Graph, id: NodeId) -> Needs {
    let inputs = graph.inputs(id).iter().map(|input| graph.node(*input));
    let packages = inputs.filter(|input| {
        let name = input.name();
        !input.fixed_output() && !name.contains("stdenv-") && !name.ends_with("hook") && !name.ends_with("hook.sh")
    });
    packages.map(|input| without_platform(input.pname())).collect()
}

/// Returns how much of what one of two needs both need: from 0 to 1000.
fn likeness(one: &Needs, other: &Needs) -> usize {
    1000 * one.intersection(other).count() / one.union(other).count().max(1)
}

/// Returns those of a package's derivations that an overlay surely reaches.
///
/// Where one platform and stage has several that are configured otherwise, one is an override of another, and an overlay on
/// the derived one leaves the base as it is. Of these stay: the package itself (elsewhere: what is most like it), and, where
/// the attribute is the package's plain name, what needs all that it needs and more: `valgrind` is no reduction of a larger
/// `valgrind`, as `valgrind-light` is.
fn sure(graph: &Graph, certain: &[NodeId], stages: &[NodeId], is_plain: bool) -> Vec<NodeId> {
    let mut groups: BTreeMap<(String, Option<&str>), Shapes> = BTreeMap::new();
    for id in certain {
        let node = graph.node(*id);
        let group = groups.entry((platform(node.name()), stdenv_of(graph, *id))).or_default();
        group.entry(node.shape()).or_default().push(*id);
    }
    let mut sure: Vec<NodeId> = Vec::new();
    for shapes in groups.into_values() {
        if shapes.len() == 1 {
            sure.extend(shapes.into_values().flatten());
            continue;
        }
        let own: Vec<Needs> = stages.iter().map(|id| needs(graph, *id)).collect();
        let all: Vec<(Vec<Needs>, Vec<NodeId>)> =
            shapes.into_values().map(|ids| (ids.iter().map(|id| needs(graph, *id)).collect(), ids)).collect();
        let closeness = |needs: &[Needs]| {
            needs.iter().flat_map(|one| own.iter().map(|own| likeness(own, one))).max().unwrap_or_default()
        };
        let holds_stage = |ids: &[NodeId]| ids.iter().any(|id| stages.contains(id));
        let stage_here = all.iter().any(|(_, ids)| holds_stage(ids));
        let closest = all.iter().map(|(needs, _)| closeness(needs)).max().unwrap_or_default();
        let (bases, others): (Vec<_>, Vec<_>) = all
            .iter()
            .partition(|(needs, ids)| if stage_here { holds_stage(ids) } else { closeness(needs) == closest });
        let exceeds = |needs: &[Needs]| {
            bases.iter().flat_map(|(base, _)| base.first()).any(|base| needs.iter().any(|one| one.is_superset(base)))
        };
        let larger = others.iter().filter(|(needs, _)| is_plain && exceeds(needs));
        sure.extend(bases.iter().chain(larger).flat_map(|(_, ids)| ids));
    }
    sure.sort_unstable();
    sure
}

/// What every closure holds and lists of attributes seldom name: libc, kernel headers, compilers.
const TOOLCHAIN: [&str; 8] = ["glibc", "musl", "uclibc", "uclibc-ng", "newlib", "linux-headers", "gcc", "binutils"];
/// Compilers that others take from sets of their own: of their attributes nothing is sure.
const FROM_SETS: [&str; 5] = ["clang", "llvm", "rustc", "go", "ghc"];

/// A part of a toolchain that an attribute names.
#[derive(Debug, PartialEq, Eq)]
struct ToolchainPart {
    packages: Vec<String>,
    /// Whether the attribute says a version, which the packages' names do not, or others take the package otherwise.
    unsure: bool,
}

impl ToolchainPart {
    /// Understands `linuxHeaders`, `glibcCross`, `gcc-unwrapped`, `gcc14`.
    fn of(attr: &str) -> Option<ToolchainPart> {
        let mut name = String::with_capacity(attr.len() + 2);
        for letter in attr.chars() {
            if letter.is_ascii_uppercase() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        let whole = name.strip_suffix("-cross").unwrap_or(&name);
        let unwrapped = whole.strip_suffix("-unwrapped");
        let plain = unwrapped.unwrap_or(whole);
        let package = plain.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let from_set = FROM_SETS.contains(&package);
        if !from_set && !TOOLCHAIN.contains(&package) {
            return None;
        }
        let mut packages = vec![package.to_owned()];
        if unwrapped.is_none() {
            packages.push(format!("{package}-wrapper"));
        }
        Some(ToolchainPart { packages, unsure: from_set || package != plain })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_toolchains_are_understood() {
        for (attr, packages, unsure) in [
            ("glibc", &["glibc", "glibc-wrapper"][..], false),
            ("glibcCross", &["glibc", "glibc-wrapper"], false),
            ("linuxHeaders", &["linux-headers", "linux-headers-wrapper"], false),
            ("gcc-unwrapped", &["gcc"], false),
            ("gcc14", &["gcc", "gcc-wrapper"], true),
            ("rustc-unwrapped", &["rustc"], true),
        ] {
            let part = ToolchainPart::of(attr).unwrap();
            let packages: Vec<String> = packages.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!((part.packages, part.unsure), (packages, unsure), "{attr}");
        }
        for attr in ["", "Cross", "zlib", "gccStdenv", "14", "-unwrapped"] {
            assert_eq!(ToolchainPart::of(attr), None, "{attr}");
        }
    }
}
