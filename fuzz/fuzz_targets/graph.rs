//! Graph files, whose sums count as right under a fuzzer: whatever they hold is refused or can be asked everything, inside of its bounds.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use overlayctl::graph::{Builder, Delta, Facts, Graph};

static DIR: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
static FILE: LazyLock<PathBuf> = LazyLock::new(|| DIR.path().join("graph"));
static OTHER: LazyLock<Graph> = LazyLock::new(|| made(2));

fn path(digit: usize, name: &str) -> String {
    format!("/nix/store/0gbfxchai3yvrf514a7pjcjxrw1qx9z{digit}-{name}")
}

fn made(size: usize) -> Graph {
    let mut builder = Builder::new();
    for index in 0..size {
        let (drv, out) = (path(index, &format!("p{index}-1.drv")), path(index, &format!("p{index}-1")));
        let (source, patch) = (path(9, "s"), path(8, "x.patch"));
        let inputs: Vec<u32> = (0..index as u32).filter(|i| (index as u32 + i) % 2 == 1 || *i + 1 == index as u32).collect();
        builder.add(&Facts {
            drv_path: &drv,
            system: "x86_64-linux",
            outputs: &[("dev", ""), ("out", &out)],
            fixed_output: index == 1,
            sources: &[&source],
            patches: &[&patch],
            digest: index as u128 + 5,
            inputs: &inputs,
            ..Facts::default()
        });
    }
    builder.finish(&[(Some("attr0"), size as u32 - 1), (None, 0), (Some("attr1"), 0)]).unwrap()
}

fuzz_target!(|data: &[u8]| {
    // A number alone stands for a graph of that size: its seeds are made, not kept.
    let made_bytes;
    let data = match data {
        [size @ 1..=6] => {
            made(*size as usize).write(&FILE, "key").unwrap();
            made_bytes = std::fs::read(&*FILE).unwrap();
            if let Ok(dir) = std::env::var("OVERLAYCTL_FUZZ_SEEDS") {
                std::fs::write(PathBuf::from(dir).join(format!("graph-{size}")), &made_bytes).unwrap();
            }
            &made_bytes
        }
        data => data,
    };
    std::fs::write(&*FILE, data).unwrap();
    let Ok(graph) = Graph::open_unproved(&FILE) else { return };
    // A prediction proves what it reads.
    for attr in ["attr0", "attr1", "a"] {
        if let Ok(prediction) = graph.predict(attr) {
            let _ = prediction.counts(&graph);
        }
    }
    let _ = graph.predict_stages("attr0", &[0, 1, 2, u32::MAX, u32::MAX - 1]);
    let Ok(graph) = Graph::open(&FILE) else { return };
    assert!(graph.len() * 64 <= data.len() && graph.edges() * 4 <= data.len(), "it holds no more than its bytes");
    for id in graph.ids() {
        let node = graph.node(id);
        let _ = (node.drv_path(), node.name(), node.pname(), node.version(), node.system(), node.digest());
        let _ = (node.fixed_output(), node.has_unknown_outputs(), node.outputs().count());
        let _ = (node.sources().count(), node.patches().count(), graph.find(node.drv_path()));
        assert!(graph.inputs(id).iter().all(|input| *input < id));
        assert!(graph.dependents(id).iter().all(|other| *other > id && (*other as usize) < graph.len()));
    }
    let names: Vec<String> = graph.roots().filter_map(|root| root.attr.map(str::to_string)).take(8).collect();
    for name in &names {
        let _ = (graph.attribute(name), graph.predict(name).map(|prediction| prediction.counts(&graph)));
    }
    let _ = (graph.missing().count(), graph.fixed_outputs(), graph.key().len());
    for (one, other) in [(&graph, &graph), (&*OTHER, &graph), (&graph, &*OTHER)] {
        let delta = Delta::between(one, other);
        let _ = (delta.counts(), delta.attributes().len(), delta.longest_chain(), delta.replaced().len());
        for id in delta.rebuilt().iter().copied().take(8) {
            let _ = (delta.critical_chain(id), delta.shortest_chain(id), delta.count_chains(id), delta.counterpart(id));
            let _ = (delta.depth(id), delta.all_chains(id).take(20).count());
        }
    }
    // What is written again is read again; writing takes its time.
    if data.len() % 16 != 0 {
        return;
    }
    graph.write(&FILE, "another key").unwrap();
    let again = Graph::open(&FILE).expect("what was written is read");
    assert!(again.key() == "another key" && again.len() == graph.len() && again.edges() == graph.edges());
});
