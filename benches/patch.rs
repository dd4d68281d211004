//! A patch of 10 MB over 210 files: reading it, applying it in memory, and the whole way (files read, patch applied, files
//! written) beside GNU patch on the same folder.

#![allow(clippy::expect_used, missing_docs, reason = "a bench fails loudly")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use overlayctl::patch::{File, MemoryTree, Options, PatchFile, REGULAR, SYMLINK, Tree, apply, diff_trees};

/// Sources of about 13 MB and a patch of about 10 MB: one line in ten changed.
fn material() -> (MemoryTree, Vec<u8>) {
    let (mut before, mut after) = (MemoryTree::new(), MemoryTree::new());
    let mut state = 1u64;
    for i in 0..210 {
        let (mut old, mut new) = (String::new(), String::new());
        for line in 0..1500 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let text = format!("\tresult[{line}] = compute_{}(input, {});\n", state >> 50, state % 97);
            old.push_str(&text);
            if line % 10 == 5 {
                new.push_str(&format!("\t/* changed */ {}\n", state >> 40));
            } else {
                new.push_str(&text);
            }
        }
        before.insert(format!("src/dir{}/file{i}.c", i % 20), old, REGULAR);
        after.insert(format!("src/dir{}/file{i}.c", i % 20), new, REGULAR);
    }
    let patch = diff_trees(&before, &after).expect("text");
    (before, patch)
}

/// A folder as a tree.
struct Folder(PathBuf);

impl Tree for Folder {
    fn read(&self, path: &str) -> std::io::Result<Option<File<'_>>> {
        let path = self.0.join(path);
        match path.symlink_metadata() {
            Ok(meta) if meta.is_symlink() => Ok(Some(File { bytes: b"".into(), mode: SYMLINK })),
            Ok(meta) if meta.is_file() => Ok(Some(File { bytes: std::fs::read(path)?.into(), mode: REGULAR })),
            Ok(_) => Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn write(dir: &Path, tree: &MemoryTree) {
    for (path, file) in tree.iter() {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, &file.bytes).expect("written");
    }
}

fn patch(c: &mut Criterion) {
    let (before, bytes) = material();
    let lines = bytes.iter().filter(|b| **b == b'\n').count();
    let mut group = c.benchmark_group(format!("{:.1} MB, {lines} lines", bytes.len() as f64 / 1e6));
    group.sample_size(10).measurement_time(Duration::from_secs(8));
    group.bench_function("parse", |b| b.iter(|| black_box(PatchFile::parse(&bytes).expect("a patch"))));
    group.bench_function("parse and apply in memory", |b| {
        b.iter(|| {
            let patch = PatchFile::parse(&bytes).expect("a patch");
            black_box(apply(&before, &patch, &Options::default()).expect("applied"))
        });
    });
    let temp = tempfile::tempdir().expect("a folder");
    let file = temp.path().join("big.patch");
    std::fs::write(&file, &bytes).expect("written");
    let dir = temp.path().join("t");
    group.bench_function("read files, apply, write files", |b| {
        b.iter_batched(
            || write(&dir, &before),
            |()| {
                let bytes = std::fs::read(&file).expect("read");
                let patch = PatchFile::parse(&bytes).expect("a patch");
                let outcome = apply(&Folder(dir.clone()), &patch, &Options::default()).expect("applied");
                assert!(outcome.accepted());
                for (path, file) in outcome.changes {
                    std::fs::write(dir.join(path), file.expect("changed").bytes).expect("written");
                }
            },
            BatchSize::PerIteration,
        );
    });
    if Command::new("patch").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        group.bench_function("GNU patch", |b| {
            b.iter_batched(
                || write(&dir, &before),
                |()| {
                    let input = std::fs::File::open(&file).expect("opened");
                    let status = Command::new("patch")
                        .args(["-p1", "-s"])
                        .current_dir(&dir)
                        .stdin(input)
                        .status()
                        .expect("started");
                    assert!(status.success());
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, patch);
criterion_main!(benches);
