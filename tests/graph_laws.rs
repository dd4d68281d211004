//! What has to hold of every graph: generated package sets, changed as overlays change them, against brute force.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

#[path = "support/store_path.rs"]
mod store_path;

use std::collections::{BTreeSet, HashMap, HashSet};

use overlayctl::graph::{Builder, Chain, Delta, Error, Facts, Graph, NodeId};
use proptest::prelude::*;
use store_path::path;

/// A package of a made-up set. Inputs are indices of earlier packages.
#[derive(Debug, Clone)]
struct Package {
    own: u64,
    fixed: bool,
    inputs: Vec<usize>,
    attr: bool,
}

fn name(index: usize) -> String {
    format!("package{index}-1.0")
}

/// Builds the graph of a set with paths as Nix would give them, and returns the output path of each package too.
fn graph(packages: &[Package]) -> (Graph, Vec<String>) {
    let mut builder = Builder::new();
    let (mut outputs, mut drvs): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for (index, package) in packages.iter().enumerate() {
        let name = name(index);
        let below: Vec<&String> = package.inputs.iter().map(|input| &outputs[*input]).collect();
        let output = if package.fixed { path(package.own, &name) } else { path((package.own, below), &name) };
        let below: Vec<&String> = package.inputs.iter().map(|input| &drvs[*input]).collect();
        let drv = path((package.own, below), &format!("{name}.drv"));
        let source = format!("/nix/store/source-of-{index}");
        builder.add(&Facts {
            drv_path: &drv,
            system: "x86_64-linux",
            outputs: &[("out", &output)],
            fixed_output: package.fixed,
            sources: &[&source],
            digest: u128::from(package.own),
            inputs: &package.inputs.iter().map(|input| *input as u32).collect::<Vec<_>>(),
            ..Facts::default()
        });
        outputs.push(output);
        drvs.push(drv);
    }
    let names: Vec<String> = (0..packages.len()).map(|index| format!("attr{index}")).collect();
    // As in every closure: what nothing needs is a root.
    let needed: HashSet<usize> = packages.iter().flat_map(|package| package.inputs.iter().copied()).collect();
    let is_root = |index: &usize| packages[*index].attr || !needed.contains(index);
    let roots: Vec<(Option<&str>, u32)> =
        (0..packages.len()).filter(is_root).map(|index| (Some(names[index].as_str()), index as u32)).collect();
    (builder.finish(&roots).unwrap(), outputs)
}

fn packages() -> impl Strategy<Value = Vec<Package>> {
    let one = (
        any::<u64>(),
        prop::bool::weighted(0.2),
        prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        any::<bool>(),
    );
    prop::collection::vec(one, 1..28).prop_map(|list| {
        let make = |(index, (own, fixed, inputs, attr)): (usize, (u64, bool, Vec<prop::sample::Index>, bool))| {
            let inputs: BTreeSet<usize> = match index {
                0 => BTreeSet::new(),
                _ => inputs.iter().map(|input| input.index(index)).collect(),
            };
            Package { own, fixed, inputs: inputs.into_iter().collect(), attr }
        };
        list.into_iter().enumerate().map(make).collect()
    })
}

fn changed(packages: &[Package], which: &[prop::sample::Index]) -> (Vec<Package>, BTreeSet<usize>) {
    let mut after = packages.to_vec();
    let which: BTreeSet<usize> = which.iter().map(|index| index.index(packages.len())).collect();
    for index in &which {
        after[*index].own ^= 0x5555;
    }
    (after, which)
}

/// The number of a package in a graph.
fn ids(graph: &Graph) -> HashMap<String, NodeId> {
    graph.ids().map(|id| (graph.node(id).name().to_owned(), id)).collect()
}

/// All chains to a target by plain recursion.
fn chains(delta: &Delta<'_>, target: NodeId, causes: &HashSet<NodeId>) -> Vec<Chain> {
    if !delta.is_rebuilt(target) {
        return Vec::new();
    }
    let mut all = if causes.contains(&target) { vec![vec![target]] } else { Vec::new() };
    for input in delta.after().inputs(target).iter().filter(|input| delta.is_rebuilt(**input)) {
        for mut chain in chains(delta, *input, causes) {
            chain.push(target);
            all.push(chain);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_delta_is_what_brute_force_finds(
        packages in packages(),
        which in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let (after_packages, touched) = changed(&packages, &which);
        let ((before, old_outputs), (after, new_outputs)) = (graph(&packages), graph(&after_packages));
        let delta = Delta::between(&before, &after);
        let ids = ids(&after);
        let rebuilt: BTreeSet<NodeId> = (0..packages.len())
            .filter(|index| !packages[*index].fixed && old_outputs[*index] != new_outputs[*index])
            .map(|index| ids[&name(index)])
            .collect();
        prop_assert_eq!(delta.rebuilt().iter().copied().collect::<BTreeSet<_>>(), rebuilt.clone());
        prop_assert_eq!(delta.replaced().len(), rebuilt.len());
        prop_assert_eq!(delta.counts().derivations, rebuilt.len());
        let fetched: BTreeSet<NodeId> =
            touched.iter().filter(|index| packages[**index].fixed).map(|index| ids[&name(*index)]).collect();
        prop_assert_eq!(delta.fetched().iter().copied().collect::<BTreeSet<_>>(), fetched);

        // Whoever was touched is a cause, and whoever has a new download.
        let causes: BTreeSet<NodeId> = (0..packages.len())
            .filter(|index| !packages[*index].fixed)
            .filter(|index| {
                touched.contains(index)
                    || packages[*index].inputs.iter().any(|input| packages[*input].fixed && touched.contains(input))
            })
            .map(|index| ids[&name(index)])
            .collect();
        prop_assert_eq!(delta.rebuilt().iter().copied().filter(|id| delta.is_root_cause(*id)).collect::<BTreeSet<_>>(), causes.clone());
        for (index, package) in packages.iter().enumerate() {
            let id = ids[&name(index)];
            let old = delta.counterpart(id).map(|old| before.node(old).name().to_owned());
            prop_assert_eq!(old, Some(name(index)));
            prop_assert_eq!(after.inputs(id).len(), package.inputs.len());
        }

        let causes: HashSet<NodeId> = causes.into_iter().collect();
        for id in after.ids() {
            let all = chains(&delta, id, &causes);
            prop_assert_eq!(all.is_empty(), !rebuilt.contains(&id));
            prop_assert_eq!(delta.count_chains(id), all.len() as u64);
            let given: Vec<Chain> = delta.all_chains(id).take(2_000).collect();
            if all.len() <= 2_000 {
                prop_assert_eq!(
                    given.iter().collect::<BTreeSet<_>>(), all.iter().collect::<BTreeSet<_>>());
                prop_assert_eq!(given.len(), all.len());
            }
            let critical = delta.critical_chain(id);
            prop_assert_eq!(critical.as_ref().map(Vec::len), all.iter().map(Vec::len).max());
            let shortest = delta.shortest_chain(id);
            prop_assert_eq!(shortest.as_ref().map(Vec::len), all.iter().map(Vec::len).min());
            for chain in critical.iter().chain(&shortest) {
                prop_assert!(all.contains(chain));
            }
        }
        let longest = after.ids().flat_map(|id| delta.critical_chain(id)).map(|chain| chain.len()).max();
        prop_assert_eq!(delta.longest_chain().map(|chain| chain.len()), longest);

        // The cover covers, and without any one of it something is left.
        let cover = after.cover(delta.rebuilt());
        let covered = |tops: &[NodeId]| -> HashSet<NodeId> {
            let mut seen = HashSet::new();
            let mut stack = tops.to_vec();
            while let Some(id) = stack.pop() {
                if delta.is_rebuilt(id) && seen.insert(id) {
                    stack.extend(after.inputs(id));
                }
            }
            seen
        };
        let tops: Vec<NodeId> = cover.attributes.iter().map(|(_, id)| *id).chain(cover.uncovered.clone()).collect();
        prop_assert_eq!(covered(&tops).len(), rebuilt.len());
        for index in 0..tops.len() {
            let mut fewer = tops.clone();
            fewer.remove(index);
            prop_assert!(covered(&fewer).len() < rebuilt.len());
        }
    }

    #[test]
    fn the_prediction_of_one_change_is_its_rebuild_set(packages in packages(), which: prop::sample::Index) {
        let which = which.index(packages.len());
        prop_assume!(!packages[which].fixed);
        let mut after_packages = packages.clone();
        after_packages[which].own ^= 1;
        let ((before, _), (after, _)) = (graph(&packages), graph(&after_packages));
        let delta = Delta::between(&before, &after);
        let root = ids(&before)[&name(which)];
        let prediction = before.predict_stages(&format!("attr{which}"), &[root]).unwrap();
        prop_assert_eq!(&prediction.rebuild[..], delta.replaced());
        prop_assert_eq!(prediction.roots.clone(), vec![root]);
        prop_assert!(prediction.possible.is_empty());
        prop_assert_eq!(prediction.counts(&before).derivations, prediction.rebuild.len());
    }

    #[test]
    fn a_circle_is_refused_and_named(packages in packages(), from: prop::sample::Index, to: prop::sample::Index) {
        let (a, b) = (from.index(packages.len()), to.index(packages.len()));
        let (low, high) = (a.min(b), a.max(b));
        let mut builder = Builder::new();
        for (index, package) in packages.iter().enumerate() {
            let mut inputs: Vec<u32> = package.inputs.iter().map(|input| *input as u32).collect();
            // One edge upward and one downward between the same two.
            if index == low {
                inputs.push(high as u32);
            }
            if index == high {
                inputs.push(low as u32);
            }
            builder.add(&Facts { drv_path: &path(index, &format!("{}.drv", name(index))), inputs: &inputs, ..Facts::default() });
        }
        let error = builder.finish(&[(Some("a"), 0)]).unwrap_err();
        let Error::Cycle(members) = &error else { panic!("{error}") };
        prop_assert!(!members.is_empty());
        let index_of = |member: &String| (0..packages.len()).find(|index| member.ends_with(&format!("-{}.drv", name(*index)))).unwrap();
        let needs = |one: usize, other: usize| {
            packages[one].inputs.contains(&other) || (one, other) == (low, high) || (one, other) == (high, low)
        };
        for (one, other) in members.iter().zip(members.iter().cycle().skip(1)) {
            // Printed in one direction: each is needed by the next.
            prop_assert!(needs(index_of(other), index_of(one)), "{members:?}");
        }
    }

    #[test]
    fn no_damaged_byte_is_believed(packages in packages(), at: prop::sample::Index, bit in 0..8u8, cut: bool) {
        let (graph, _) = graph(&packages);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("graph");
        graph.write(&file, "key").unwrap();
        let again = Graph::open(&file).unwrap();
        prop_assert!(again.ids().all(|id| again.node(id).drv_path() == graph.node(id).drv_path()));
        prop_assert!(again.roots().eq(graph.roots()));
        drop(again);
        let mut bytes = std::fs::read(&file).unwrap();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << bit;
        }
        std::fs::write(&file, &bytes).unwrap();
        let refused = matches!(Graph::open(&file), Err(Error::Cache { .. }));
        prop_assert!(refused);
    }
}

/// Whoever cuts a graph file off while it is open changes nothing for who has opened it.
#[test]
fn a_file_that_is_cut_off_while_it_is_open() {
    let mut builder = Builder::new();
    let node = |index: usize| path(index, &format!("{}.drv", name(index)));
    let ids: Vec<u32> =
        (0..20_000).map(|index| builder.add(&Facts { drv_path: &node(index), ..Facts::default() })).collect();
    let graph = builder.finish(&[(Some("last"), *ids.last().unwrap())]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("graph");
    graph.write(&file, "key").unwrap();
    let (unproved, proved) = (Graph::open_unproved(&file).unwrap(), Graph::open(&file).unwrap());
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(4096).unwrap();
    unproved.prove().unwrap();
    for opened in [unproved, proved] {
        assert!(opened.ids().all(|id| opened.node(id).drv_path() == graph.node(id).drv_path()));
    }
    assert!(matches!(Graph::open(&file), Err(Error::Cache { .. })));
}

#[test]
fn content_addressed_derivations_are_compared_by_their_own_path_and_said() {
    let build = |own: u8| {
        let mut builder = Builder::new();
        let floating = path(own, "floating.drv");
        let after = path((own, 1), "after.drv");
        let first = builder.add(&Facts {
            drv_path: &floating,
            outputs: &[("out", "")],
            digest: u128::from(own),
            ..Facts::default()
        });
        let second =
            builder.add(&Facts { drv_path: &after, outputs: &[("out", "")], inputs: &[first], ..Facts::default() });
        builder.finish(&[(Some("after"), second)]).unwrap()
    };
    let (one, same, other) = (build(1), build(1), build(2));
    let delta = Delta::between(&one, &same);
    assert!(delta.rebuilt().is_empty() && delta.attributes().is_empty());
    assert_eq!(delta.unknown_outputs().len(), 2, "that nothing is known of their outputs is said");
    let delta = Delta::between(&one, &other);
    assert_eq!(delta.counts().builds, 2);
    assert_eq!(delta.rebuilt().iter().filter(|id| delta.is_root_cause(**id)).count(), 1);
    assert_eq!(delta.attributes().len(), 1);
}
