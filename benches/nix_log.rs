//! The reader of Nix's log: lines a second, from bytes to state. The bar is 200,000.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "criterion's macros write undocumented functions; a bench may fail loudly"
)]

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use overlayctl::nix::{BuildState, log::Message};

/// Makes a log as a compiler's: a tenth of it phases, counters and messages, the rest log lines with escapes.
fn log(lines: usize) -> Vec<u8> {
    let mut log = String::new();
    log.push_str("@nix {\"action\":\"start\",\"id\":1,\"level\":0,\"parent\":0,\"text\":\"\",\"type\":104}\n");
    for i in 0..lines {
        let build = i / 1000;
        let line = match i % 1000 {
            0 => format!(
                "@nix {{\"action\":\"start\",\"fields\":[\"/nix/store/x9cf7zxips9i53y521bj4b90jg5nd899-p{build}.drv\",\"\",1,1],\"id\":{},\"level\":3,\"parent\":0,\"text\":\"building\",\"type\":105}}\n",
                build + 2
            ),
            999 => format!("@nix {{\"action\":\"stop\",\"id\":{}}}\n", build + 2),
            n if n % 10 == 0 => {
                format!("@nix {{\"action\":\"result\",\"fields\":[{build},900,1,0],\"id\":1,\"type\":105}}\n")
            }
            n => format!(
                "@nix {{\"action\":\"result\",\"fields\":[\"\\u001b[1msrc/file{n}.c:12:3:\\u001b[0m warning: unused variable \\\"x\\\" [-Wunused] {}\"],\"id\":{},\"type\":101}}\n",
                "-I../include ".repeat(n % 12),
                build + 2
            ),
        };
        log.push_str(&line);
    }
    log.into_bytes()
}

fn reader(criterion: &mut Criterion) {
    let log = log(100_000);
    let mut group = criterion.benchmark_group("nix log");
    group.throughput(Throughput::Elements(100_000)).sample_size(10);
    group.bench_function("bytes to state", |bencher| {
        bencher.iter(|| {
            let mut state = BuildState::default();
            for line in log.split_inclusive(|b| *b == b'\n') {
                state.apply(&Message::read(line), Duration::ZERO);
            }
            state.builds.len()
        });
    });
    group.finish();
}

criterion_group!(benches, reader);
criterion_main!(benches);
