//! The graph room against a real package set and its oracles.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod graph_support;

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use graph_support::{after_musl, before, data};
use overlayctl::drv::{self, Scanner};
use overlayctl::graph::{CacheProblem, Change, Delta, Error, Graph, Missing, NodeId, Prediction, Root};
use rayon::prelude::*;

fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_scanner_and_the_parser_agree_on_every_file_and_printing_gives_the_bytes_back() {
    let Some(data) = data() else { return };
    let files = data.files();
    assert_eq!(files.len(), 47_731);
    files.par_iter().for_each_init(Scanner::default, |scanner, file| {
        let text = std::fs::read(file).unwrap();
        let derivation = drv::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(derivation.print() == text, "{}", file.display());
        assert!(scanner.scan(&text), "{}", file.display());
        let inputs: Vec<&str> = scanner.inputs.iter().map(|range| text_of(range.of(&text))).collect();
        assert!(derivation.inputs.iter().map(|input| input.drv_path.as_ref()).eq(inputs), "{}", file.display());
        let outputs: Vec<_> =
            scanner.outputs.iter().map(|output| (text_of(output.name.of(&text)), output.kind)).collect();
        assert!(derivation.outputs.iter().map(|output| (output.name.as_ref(), output.kind())).eq(outputs));
        assert_eq!(text_of(scanner.system.of(&text)), derivation.system);
        for (name, range) in [
            ("pname", scanner.pname),
            ("version", scanner.version),
            ("src", scanner.src),
            ("srcs", scanner.srcs),
            ("patches", scanner.patches),
            ("__json", scanner.json),
        ] {
            let found = range.map(|range| drv::unescape(range.of(&text)));
            assert_eq!(found.as_deref(), derivation.env(name), "{name} of {}", file.display());
        }
    });
}

#[test]
fn the_graph_has_the_known_numbers_and_nodes() {
    let Some(graph) = before() else { return };
    assert_eq!((graph.len(), graph.edges(), graph.fixed_outputs()), (34_047, 215_791, 19_267));
    assert_eq!(graph.roots().len(), 8_035);
    assert_eq!(graph.missing().len(), 0);
    for id in graph.ids() {
        assert_eq!(graph.find(graph.node(id).drv_path()), Some(id));
        assert!(graph.inputs(id).iter().all(|input| *input < id && graph.dependents(*input).contains(&id)));
    }
    let musl = graph.node(graph.attribute("musl").unwrap());
    assert_eq!((musl.pname(), musl.version(), musl.system()), ("musl", "1.1.22", "x86_64-linux"));
    assert_eq!(musl.name(), "musl-1.1.22-aarch64-unknown-linux-musl");
    assert_eq!(musl.outputs().map(|(name, _)| name).collect::<Vec<_>>(), ["debug", "dev", "out"]);
    assert_eq!(musl.patches().collect::<Vec<_>>(), ["/nix/store/mdmbvb93z195n3bij8pa838v3safw346-300-relative.patch"]);
    assert_eq!(musl.sources().collect::<Vec<_>>(), ["/nix/store/2hy69kbw9xfg4r973wdb8vpilacb04sx-musl-1.1.22.tar.gz"]);
    assert!(!musl.fixed_output());
    let error = graph.attribute("ripgrpe").unwrap_err();
    assert!(
        matches!(&error, Error::UnknownAttribute { similar, .. } if similar.contains(&"ripgrep".to_owned())),
        "{error}"
    );
}

#[test]
fn every_output_path_of_the_list_is_in_the_graph() {
    let (Some(data), Some(graph)) = (data(), before()) else { return };
    for line in data.text("before.tsv").lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let node = graph.node(graph.attribute(columns[0]).unwrap());
        assert_eq!(node.drv_path(), columns[1]);
        assert!(node.outputs().any(|(_, path)| path == columns[2]), "{line}");
    }
}

fn paths(graph: &Graph, ids: impl IntoIterator<Item = NodeId>) -> BTreeSet<&str> {
    ids.into_iter().map(|id| graph.node(id).drv_path()).collect()
}

/// Checks what holds of every prediction.
fn check_shape(graph: &Graph, prediction: &Prediction) {
    let rebuild: HashSet<NodeId> = prediction.rebuild.iter().copied().collect();
    assert!(prediction.possible.iter().all(|possible| !rebuild.contains(&possible.node)));
    assert!(prediction.possible.len() <= (prediction.rebuild.len() / 2).max(200));
    assert!(prediction.rebuild.iter().all(|id| !graph.is_fixed_output(*id)));
}

#[test]
fn predictions_meet_the_oracles() {
    let (Some(data), Some(graph)) = (data(), before()) else { return };
    for (attr, outside) in [("musl", 0), ("busybox", 0), ("sqlite", 2)] {
        let oracle = data.text(&format!("rebuilt-{attr}.txt"));
        let oracle: BTreeSet<&str> = oracle.lines().collect();
        let prediction = graph.predict(attr).unwrap();
        check_shape(graph, &prediction);
        let rebuild = paths(graph, prediction.rebuild.iter().copied());
        let possible = paths(graph, prediction.possible.iter().map(|possible| possible.node));
        if outside == 0 {
            assert_eq!(rebuild, oracle, "{attr}");
        }
        let wrong = rebuild.difference(&oracle).count();
        assert!(wrong <= 3.max(oracle.len() / 1000), "{attr}: {wrong} too many");
        let missed = oracle.iter().filter(|path| !rebuild.contains(*path) && !possible.contains(*path)).count();
        assert!(missed <= outside, "{attr}: {missed} missed");
    }
}

#[test]
fn a_source_that_many_share_does_not_carry_a_prediction_away() {
    let Some(graph) = before() else { return };
    let prediction = graph.predict("apparmor-bin-utils").unwrap();
    check_shape(graph, &prediction);
    assert_eq!(prediction.rebuild.len(), 1);
    assert!(prediction.unlisted > 4_000, "what was left out is counted");
    for root in graph.roots().step_by(40) {
        check_shape(graph, &graph.predict_stages(root.attr.unwrap(), &[root.node]).unwrap());
    }
}

#[test]
fn the_difference_to_a_patched_musl_is_the_oracle_and_musl_is_the_only_cause() {
    let (Some(data), Some(before), Some(after)) = (data(), before(), after_musl()) else { return };
    let delta = Delta::between(before, after);
    let counts = delta.counts();
    assert_eq!((counts.derivations, counts.builds), (12_981, 12_978));
    let oracle = data.text("rebuilt-musl.txt");
    assert_eq!(paths(before, delta.replaced().iter().copied()), oracle.lines().collect());
    let changed: BTreeSet<&str> = delta.attributes().iter().map(|change| change.attr).collect();
    assert_eq!(changed.len(), 7_789);
    // The same from the output paths of the two lists alone.
    let list = |name| -> BTreeSet<(String, String)> {
        let text = data.text(name);
        let columns = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
        text.lines().map(columns).map(|row| (row[0].clone(), row[2].clone())).collect()
    };
    let (old, new) = (list("before.tsv"), list("after-musl.tsv"));
    assert!(changed.iter().copied().eq(new.difference(&old).map(|(attr, _)| attr.as_str())));

    let names: Vec<&str> =
        delta.rebuilt().iter().filter(|id| delta.is_root_cause(**id)).map(|id| after.node(*id).pname()).collect();
    assert_eq!(names, ["musl", "musl"]);
    for id in delta.rebuilt().iter().filter(|id| delta.is_root_cause(**id)) {
        let changes = delta.what_changed(*id, &data.store(), &data.store()).unwrap().unwrap();
        assert_eq!(changes.own.len(), 1, "{changes:?}");
        let Change::Patches { added, removed, reordered } = &changes.own[0] else { panic!("{changes:?}") };
        assert!(added.len() == 1 && added[0].ends_with("-fix.patch"), "{added:?}");
        assert!(removed.is_empty() && !reordered);
    }
    let ripgrep = after.attribute("ripgrep").unwrap();
    let changes = delta.what_changed(ripgrep, &data.store(), &data.store()).unwrap().unwrap();
    assert!(changes.own.is_empty(), "{changes:?}");
    assert!(changes.inherited.contains(&"stdenv".to_owned()));
    assert!(delta.rebuilt().iter().all(|id| delta.counterpart(*id).is_some()));
    assert!(delta.fetched().is_empty() && delta.unknown_outputs().is_empty());
    let vendor = delta.fixed_output_only().iter().any(|id| after.node(*id).name() == "ripgrep-11.0.1-vendor");
    assert!(vendor, "a download whose .drv alone changed stands apart");
}

#[test]
fn chains_to_ripgrep_run_over_real_inputs() {
    let (Some(before), Some(after)) = (before(), after_musl()) else { return };
    let delta = Delta::between(before, after);
    let ripgrep = after.attribute("ripgrep").unwrap();
    let all: Vec<Vec<NodeId>> = delta.all_chains(ripgrep).collect();
    assert_eq!(all.len() as u64, delta.count_chains(ripgrep));
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    let (critical, shortest) = (delta.critical_chain(ripgrep).unwrap(), delta.shortest_chain(ripgrep).unwrap());
    assert_eq!(critical.len(), all.iter().map(Vec::len).max().unwrap());
    assert_eq!(shortest.len(), all.iter().map(Vec::len).min().unwrap());
    for chain in all.iter().chain([&critical, &shortest]) {
        assert!(delta.is_root_cause(chain[0]) && *chain.last().unwrap() == ripgrep);
        for pair in chain.windows(2) {
            assert!(after.inputs(pair[1]).contains(&pair[0]));
        }
    }
    assert_eq!(after.node(critical[0]).pname(), "musl");
    let cover = after.cover(delta.rebuilt());
    let mut built = vec![false; after.len()];
    let mut stack: Vec<NodeId> = cover.attributes.iter().map(|(_, id)| *id).chain(cover.uncovered.clone()).collect();
    while let Some(id) = stack.pop() {
        if !std::mem::replace(&mut built[id as usize], true) {
            stack.extend(after.inputs(id));
        }
    }
    assert!(delta.rebuilt().iter().all(|id| built[*id as usize]));
    assert!(cover.uncovered.len() <= 2);
}

fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

#[test]
fn a_stored_graph_is_the_same_and_a_damaged_one_is_not_believed() {
    let Some(graph) = before() else { return };
    let file = scratch("stored.graph");
    graph.write(&file, "nixpkgs 19.09").unwrap();
    let opened = Graph::open(&file).unwrap();
    assert_eq!(opened.key(), "nixpkgs 19.09");
    assert_eq!((opened.len(), opened.edges()), (graph.len(), graph.edges()));
    for id in graph.ids() {
        let (one, other) = (graph.node(id), opened.node(id));
        assert_eq!(one.drv_path(), other.drv_path());
        assert_eq!(one.digest(), other.digest());
        assert!(one.outputs().eq(other.outputs()) && one.sources().eq(other.sources()));
        assert_eq!((graph.inputs(id), graph.dependents(id)), (opened.inputs(id), opened.dependents(id)));
    }
    drop(opened);
    let good = std::fs::read(&file).unwrap();
    let problem = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        match Graph::open(&file) {
            Err(Error::Cache { problem, .. }) => problem,
            other => panic!("believed: {other:?}"),
        }
    };
    assert_eq!(problem(b""), CacheProblem::Foreign);
    assert_eq!(problem(&vec![0x5a; 4096]), CacheProblem::Foreign);
    assert_eq!(problem(&good[..good.len() - 8]), CacheProblem::Length);
    assert_eq!(problem(&good[..good.len() / 2]), CacheProblem::Length);
    assert_eq!(problem(&[&good[..], &[0; 8]].concat()), CacheProblem::Length);
    let mut other_version = good.clone();
    other_version[8] ^= 3;
    assert_eq!(problem(&other_version), CacheProblem::Version);
    for part in 0..40 {
        let mut bad = good.clone();
        let at = 24 + part * (bad.len() - 24) / 40;
        bad[at] ^= 1;
        problem(&bad);
    }
    let mut huge = good.clone();
    huge[32..40].copy_from_slice(&u64::MAX.to_ne_bytes());
    assert_eq!(problem(&huge), CacheProblem::Length);
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_missing_derivation_is_named_or_listed() {
    let Some(data) = data() else { return };
    let text = data.text("after-musl.tsv");
    let root = text.lines().find(|line| line.starts_with("ripgrep\t")).unwrap().split('\t').nth(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("nix/store")).unwrap();
    std::fs::copy(data.root.join(&root[1..]), dir.path().join(&root[1..])).unwrap();
    let store = overlayctl::graph::StoreDir::open(dir.path()).unwrap();
    let roots = [Root { attr: Some("ripgrep".into()), drv_path: root.to_owned() }];
    let error = Graph::read(&roots, &store).unwrap_err();
    assert!(matches!(&error, Error::Derivation(drv::Error::Read { .. })), "{error}");
    let partial = Graph::read_with(&roots, &store, Missing::List).unwrap();
    assert_eq!((partial.len(), partial.edges(), partial.missing().len()), (1, 0, 13));
    // Cut off in the middle, the root itself is refused with the offset.
    let whole = std::fs::read(data.root.join(&root[1..])).unwrap();
    std::fs::write(dir.path().join(&root[1..]), &whole[..whole.len() / 2]).unwrap();
    let error = Graph::read(&roots, &store).unwrap_err();
    assert!(matches!(&error, Error::Derivation(drv::Error::Parse { source, .. }) if source.offset == whole.len() / 2));
}
