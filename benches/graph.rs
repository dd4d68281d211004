//! The graph room: reading a package set, opening a stored graph, predicting, comparing; and how it grows.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a bench")]

mod generated;

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use generated::generated;
use overlayctl::graph::{Delta, Graph, RootList, StoreDir};

fn growth(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("open and predict, generated");
    group.sample_size(10);
    for count in [125_000, 250_000, 500_000, 1_000_000] {
        let (graph, attr) = generated(count);
        let file = dir.path().join(format!("{count}.graph"));
        graph.write(&file, "").unwrap();
        let predicted = graph.predict(attr).unwrap().rebuild.len();
        eprintln!(
            "{count} derivations, {} edges, {predicted} predicted, {} MB",
            graph.edges(),
            std::fs::metadata(&file).unwrap().len() / 1_000_000
        );
        drop(graph);
        group.bench_with_input(BenchmarkId::new("prove all", count), &file, |bencher, file| {
            bencher.iter(|| black_box(Graph::open(file).unwrap().predict(attr).unwrap().rebuild.len()));
        });
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::from_parameter(count), &file, |bencher, file| {
            // What is read is proved; nothing else is read.
            bencher.iter(|| black_box(Graph::open_unproved(file).unwrap().predict(attr).unwrap().rebuild.len()));
        });
    }
    group.finish();
}

/// The unpacked data set: `OVERLAYCTL_UNPACKED`, as `benches/versus-nix.sh` leaves it, or that of the tests.
fn unpacked() -> Option<PathBuf> {
    let root = std::env::var_os("OVERLAYCTL_UNPACKED").map(PathBuf::from);
    root.filter(|root| root.join("nix/store").is_dir() && root.join("before.tsv").is_file())
}

fn real(criterion: &mut Criterion) {
    let Some(root) = unpacked() else {
        eprintln!("skipped: OVERLAYCTL_UNPACKED does not name the unpacked data set");
        return;
    };
    let read = |name: &str| {
        let list = RootList::parse(&std::fs::read_to_string(root.join(name)).unwrap()).unwrap();
        Graph::read(&list.roots, &StoreDir::open(Path::new(&root)).unwrap()).unwrap()
    };
    let mut group = criterion.benchmark_group("nixpkgs 19.09");
    group.sample_size(10);
    group.bench_function("read the .drv files", |bencher| bencher.iter(|| black_box(read("before.tsv").len())));
    let (before, after) = (read("before.tsv"), read("after-musl.tsv"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("graph");
    before.write(&file, "").unwrap();
    group.bench_function("open", |bencher| bencher.iter(|| black_box(Graph::open(&file).unwrap().len())));
    group.bench_function("predict musl", |bencher| {
        bencher.iter(|| black_box(before.predict("musl").unwrap().rebuild.len()));
    });
    group.bench_function("compare", |bencher| {
        bencher.iter(|| black_box(Delta::between(&before, &after).rebuilt().len()));
    });
    group.finish();
}

criterion_group!(benches, growth, real);
criterion_main!(benches);
