//! The graph commands as processes: on the shared package set with its oracles, and on damaged input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod support;

mod graph_support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use graph_support::{Data, data};
use serde_json::Value;

fn overlayctl(args: &[&str]) -> Output {
    support::overlayctl(std::path::Path::new(".")).args(args).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = overlayctl(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Builds a graph of the data set into `dir`.
fn build(data: &Data, dir: &Path, list: &str) -> (PathBuf, Value) {
    let (roots, out) = (dir.join(format!("{list}.tsv")), dir.join(format!("{list}.graph")));
    fs::write(&roots, data.text(&format!("{list}.tsv"))).unwrap();
    let built = json(&[
        "graph",
        "build",
        "--roots",
        roots.to_str().unwrap(),
        "--store",
        data.root.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
        "--json",
    ]);
    (out, built)
}

fn paths(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|entry| entry["drvPath"].as_str().unwrap()).collect()
}

#[test]
fn build_predict_and_diff_meet_the_oracles() {
    let Some(data) = data() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (before, built) = build(data, dir.path(), "before");
    assert_eq!(
        [&built["derivations"], &built["edges"], &built["fixedOutput"], &built["roots"]],
        [34_047, 215_791, 19_267, 8_035]
    );
    assert_eq!((&built["partial"], built["missing"].as_array().unwrap().len()), (&Value::Bool(false), 0));
    let graph = before.to_str().unwrap();
    for (attr, outside) in [("musl", 0), ("busybox", 0), ("sqlite", 2)] {
        let oracle = data.text(&format!("rebuilt-{attr}.txt"));
        let oracle: BTreeSet<&str> = oracle.lines().collect();
        let predicted = json(&["impact", attr, "--predict", "--graph", graph, "--json"]);
        let (rebuild, possible) = (paths(&predicted["rebuild"]), paths(&predicted["possible"]));
        assert!(rebuild.is_disjoint(&possible), "{attr}");
        if outside == 0 {
            assert_eq!(rebuild, oracle, "{attr}");
        }
        assert!(rebuild.difference(&oracle).count() <= 3.max(oracle.len() / 1000), "{attr}");
        assert!(possible.len() <= (rebuild.len() / 2).max(200), "{attr}");
        let missed = oracle.iter().filter(|path| !rebuild.contains(*path) && !possible.contains(*path)).count();
        assert!(missed <= outside, "{attr}: {missed}");
        assert_eq!(predicted["counts"]["derivations"], rebuild.len());
        assert!(paths(&predicted["roots"]).is_subset(&rebuild));
        assert_eq!(predicted["prediction"], true);
    }

    let (after, _) = build(data, dir.path(), "after-musl");
    let diff = json(&["graph", "diff", graph, after.to_str().unwrap(), "--json"]);
    assert_eq!((&diff["counts"]["derivations"], &diff["counts"]["builds"]), (&12_981.into(), &12_978.into()));
    assert_eq!(diff["attributes"].as_array().unwrap().len(), 7_789);
    let oracle = data.text("rebuilt-musl.txt");
    assert_eq!(paths(&diff["replaced"]), oracle.lines().collect());
    let causes: Vec<&Value> =
        diff["rebuild"].as_array().unwrap().iter().filter(|one| one["rootCause"] == true).collect();
    assert!(causes.len() == 2 && causes.iter().all(|one| one["name"].as_str().unwrap().starts_with("musl-")));

    // A musl patch with all its rebuilds explains itself in a few lines, and every printed edge is one.
    let store = ["--store", data.root.to_str().unwrap()];
    let graphs = ["--graph", graph, after.to_str().unwrap()];
    let text = overlayctl(&[&["why"][..], &graphs, &store].concat()).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.lines().count() <= 20 && text.contains("12978 builds") && text.contains("+ fix.patch"), "{text}");
    let why = json(&[&["why", "ripgrep", "--all-chains", "--json"][..], &graphs, &store].concat());
    let target = &why["targets"][0];
    assert_eq!(
        (&target["counts"]["builds"], &target["rootCauses"][0]["own"][0]["field"]),
        (&8.into(), &"patches".into())
    );
    let all = target["chains"].as_array().unwrap();
    assert_eq!(target["chainCount"], all.len());
    let lengths: Vec<usize> = all.iter().map(|chain| chain.as_array().unwrap().len()).collect();
    for (chain, length) in [("criticalChain", lengths.iter().max()), ("shortestChain", lengths.iter().min())] {
        assert!(all.contains(&target[chain]) && Some(&target[chain].as_array().unwrap().len()) == length, "{chain}");
    }
    for pair in all.iter().flat_map(|chain| chain.as_array().unwrap().windows(2)) {
        let path = |one: &Value| one["drvPath"].as_str().unwrap().to_owned();
        let text = fs::read_to_string(data.root.join(path(&pair[1]).trim_start_matches('/'))).unwrap();
        assert!(text.contains(&path(&pair[0])), "{pair:?}");
    }

    // What people read fits on a screen, and says what it is.
    let text = overlayctl(&["impact", "musl", "--predict", "--graph", graph]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("prediction: if musl were changed") && text.lines().count() < 60, "{text}");
    for (format, start) in [("dot", "digraph"), ("mermaid", "flowchart"), ("json", "{"), ("table", "prediction")] {
        let args = ["impact", "busybox", "--predict", "--graph", graph, "--format", format, "--limit", "10"];
        let text = String::from_utf8(overlayctl(&args).stdout).unwrap();
        assert!(text.starts_with(start), "{text}");
    }
    let unknown = overlayctl(&["impact", "busyboks", "--predict", "--graph", graph]);
    let text = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(2) && text.contains("OV0307") && text.contains("busybox"), "{text}");
}

const HASHES: [&str; 3] =
    ["0000000000000000000000000000000a", "0000000000000000000000000000000b", "0000000000000000000000000000000c"];

/// Returns the text of a derivation of that name with one output and these inputs.
fn derivation(name: &str, inputs: &[&str]) -> String {
    let inputs: Vec<String> = inputs.iter().map(|path| format!("(\"{path}\",[\"out\"])")).collect();
    let out = format!("/nix/store/{}-{name}", HASHES[2]);
    format!(
        "Derive([(\"out\",\"{out}\",\"\",\"\")],[{}],[],\"x86_64-linux\",\"/bin/sh\",[],[(\"name\",\"{name}\"),(\"out\",\"{out}\")])",
        inputs.join(",")
    )
}

struct Store {
    dir: tempfile::TempDir,
}

impl Store {
    fn new(files: &[(&str, &str)]) -> Store {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("nix/store")).unwrap();
        for (path, text) in files {
            fs::write(dir.path().join(path.trim_start_matches('/')), text).unwrap();
        }
        Store { dir }
    }

    fn build(&self, root: &str, more: &[&str]) -> Output {
        let (list, out) = (self.dir.path().join("roots.tsv"), self.graph());
        fs::write(&list, format!("a\t{root}\t/nix/store/x\n")).unwrap();
        let store = self.dir.path().to_str().unwrap();
        let args =
            ["graph", "build", "--roots", list.to_str().unwrap(), "--store", store, "--out", out.to_str().unwrap()];
        overlayctl(&[&args[..], more].concat())
    }

    fn graph(&self) -> PathBuf {
        self.dir.path().join("g.graph")
    }
}

fn drv(index: usize, name: &str) -> String {
    format!("/nix/store/{}-{name}.drv", HASHES[index])
}

fn refused(output: &Output, code: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains(code), "{code}: {:?} {text}", output.status);
}

#[test]
fn damaged_derivations_are_errors_and_nothing_is_written() {
    let (a, b) = (drv(0, "a"), drv(1, "b"));
    let text = derivation("a", &[]);
    let cut = Store::new(&[(&a, &text[..text.len() / 2])]);
    refused(&cut.build(&a, &[]), "OV04");
    assert!(!cut.graph().exists());
    let circle = Store::new(&[(&a, &derivation("a", &[&b])), (&b, &derivation("b", &[&a]))]);
    refused(&circle.build(&a, &[]), "OV0302");
    let list = Store::new(&[]);
    fs::write(list.dir.path().join("bad.tsv"), "a\tnonsense\n").unwrap();
    let bad = list.dir.path().join("bad.tsv");
    let args = ["graph", "build", "--roots", bad.to_str().unwrap(), "--out", "/dev/null/x"];
    refused(&overlayctl(&args), "OV0305");
}

#[test]
fn the_list_of_nix_eval_jobs_is_read_with_its_failures() {
    let a = drv(0, "a");
    let store = Store::new(&[(&a, &derivation("a", &[]))]);
    let list = store.dir.path().join("jobs.json");
    let jobs = format!(
        "{{\"attr\":\"a\",\"attrPath\":[\"a\"],\"drvPath\":\"{a}\",\"outputs\":{{}}}}\n{{\"attr\":\"b\",\"attrPath\":[\"b\"],\"error\":\"no b\"}}\n"
    );
    fs::write(&list, jobs).unwrap();
    let root = store.dir.path().to_str().unwrap();
    let graph = store.graph();
    let args = ["graph", "build", "--roots", list.to_str().unwrap(), "--store", root, "--out", graph.to_str().unwrap()];
    let built = json(&[&args[..], &["--json"]].concat());
    assert_eq!((&built["derivations"], &built["failures"][0]["attr"]), (&1.into(), &"b".into()));
    assert!(String::from_utf8_lossy(&overlayctl(&args).stdout).contains("b: no b"));
}

#[test]
fn a_missing_derivation_is_an_error_or_said() {
    let (a, b) = (drv(0, "a"), drv(1, "b"));
    let store = Store::new(&[(&a, &derivation("a", &[&b]))]);
    let output = store.build(&a, &[]);
    refused(&output, "OV04");
    assert!(String::from_utf8_lossy(&output.stderr).contains(&b));
    let output = store.build(&a, &["--allow-missing", "--json"]);
    let built: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&built["partial"], &built["missing"][0], &built["derivations"]), (&true.into(), &b.into(), &1.into()));
    // Whatever is said from it is called partial.
    let graph = store.graph();
    let predicted = json(&["impact", "a", "--predict", "--graph", graph.to_str().unwrap(), "--json"]);
    assert_eq!(predicted["partial"], true);
}

#[test]
fn a_graph_that_is_damaged_foreign_or_of_another_version_is_not_believed() {
    let a = drv(0, "a");
    let store = Store::new(&[(&a, &derivation("a", &[]))]);
    assert!(store.build(&a, &[]).status.success());
    let good = fs::read(store.graph()).unwrap();
    let other_version = [&good[..8], &[good[8] + 1], &good[9..]].concat();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let graph = store.graph();
    for (bytes, problem) in [
        (b"hello".repeat(1000), "does not start as one"),
        (Vec::new(), "does not start as one"),
        (other_version, "another version"),
        (flipped, "checksum"),
        (good[..good.len() - 8].to_vec(), "length"),
    ] {
        fs::write(&graph, bytes).unwrap();
        let output = overlayctl(&["impact", "a", "--predict", "--graph", graph.to_str().unwrap()]);
        refused(&output, "OV0306");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(problem) && text.contains("graph build"), "{problem}: {text}");
    }
    // Two gigabytes of nothing take no time: the first bytes tell.
    let sparse = fs::File::create(&graph).unwrap();
    sparse.set_len(2 << 30).unwrap();
    refused(&overlayctl(&["impact", "a", "--predict", "--graph", graph.to_str().unwrap()]), "OV0306");
}

#[test]
fn no_flipped_byte_of_a_graph_changes_an_answer() {
    let (a, b) = (drv(0, "a"), drv(1, "b"));
    let store = Store::new(&[(&a, &derivation("a", &[&b])), (&b, &derivation("b", &[]))]);
    assert!(store.build(&a, &[]).status.success());
    let file = store.graph();
    let good = fs::read(&file).unwrap();
    let answer = || -> Result<String, overlayctl::graph::Error> {
        let graph = overlayctl::graph::Graph::open_unproved(&file)?;
        let prediction = graph.predict("a")?;
        let paths: Vec<&str> = prediction.rebuild.iter().map(|id| graph.node(*id).drv_path()).collect();
        Ok(format!("{} {paths:?} {:?}", graph.len(), prediction.possible))
    };
    let right = answer().unwrap();
    assert!(right.contains(&a), "{right}");
    let mut refused = 0;
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(&file, bad).unwrap();
        match answer() {
            Ok(answer) => assert_eq!(answer, right, "byte {at}"),
            Err(overlayctl::graph::Error::Cache { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(refused * 10 > good.len() * 9, "{refused} of {}", good.len());
}

#[test]
fn a_store_that_vanishes_during_the_read_is_an_error_or_partial() {
    for allow in [false, true] {
        let (a, b) = (drv(0, "a"), drv(1, "b"));
        let store = Store::new(&[(&b, &derivation("b", &[]))]);
        // The first derivation is a pipe: the reader waits in it while the store goes away.
        let pipe = store.dir.path().join(a.trim_start_matches('/'));
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let b_file = store.dir.path().join(b.trim_start_matches('/'));
        let text = derivation("a", &[&b]);
        let (moved, gone) = (pipe.clone(), store.dir.path().join("gone"));
        let writer = std::thread::spawn(move || {
            let mut open = fs::OpenOptions::new().write(true).open(&moved).unwrap();
            // Now the reader has it open.
            fs::rename(b_file, gone).unwrap();
            std::io::Write::write_all(&mut open, text.as_bytes()).unwrap();
        });
        let more: &[&str] = if allow { &["--allow-missing", "--json"] } else { &[] };
        let output = store.build(&a, more);
        writer.join().unwrap();
        if allow {
            let built: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!((&built["partial"], &built["missing"][0]), (&true.into(), &b.into()));
        } else {
            refused(&output, "OV04");
            assert!(String::from_utf8_lossy(&output.stderr).contains(&b) && !store.graph().exists());
        }
    }
}

#[test]
fn garbage_that_starts_as_a_graph_is_refused_at_once() {
    let a = drv(0, "a");
    let store = Store::new(&[(&a, &derivation("a", &[]))]);
    assert!(store.build(&a, &[]).status.success());
    let graph = store.graph();
    let mut bytes = fs::read(&graph).unwrap();
    // Two gigabytes behind a good start: the length tells; and where that is made to fit, the checksum.
    let file = fs::OpenOptions::new().write(true).open(&graph).unwrap();
    file.set_len(2 << 30).unwrap();
    for command in [
        &["impact", "a", "--predict", "--graph", graph.to_str().unwrap()][..],
        &["graph", "diff", graph.to_str().unwrap(), graph.to_str().unwrap()],
    ] {
        refused(&overlayctl(command), "OV0306");
    }
    bytes[24..32].copy_from_slice(&(2u64 << 30).to_ne_bytes());
    bytes[80..88].copy_from_slice(&(2u64 << 30).to_ne_bytes());
    fs::write(&graph, &bytes).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&graph).unwrap();
    file.set_len(2 << 30).unwrap();
    refused(&overlayctl(&["impact", "a", "--predict", "--graph", graph.to_str().unwrap()]), "OV0306");
    // A directory, and what cannot be read, are no graphs either.
    let output = overlayctl(&["impact", "a", "--predict", "--graph", store.dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
}
