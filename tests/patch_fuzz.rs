//! Real patches, mutated: whatever comes, reading, checking, linting, applying, refreshing, reversing and editing of headers end,
//! soon, without a panic, and make nothing that is larger than what went in allows.
//!
//! Deterministic: case N is the same everywhere. OVERLAYCTL_FUZZ_CASES says how many (a few thousand by default, as this is
//! unoptimised), OVERLAYCTL_FUZZ_FROM the first. More seeds: OVERLAYCTL_QUEUE_CASES, OVERLAYCTL_NIXPKGS_1909.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

#[path = "support/random.rs"]
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use overlayctl::patch::{
    self, EXECUTABLE, LineKind, MemoryTree, Options, PatchFile, REGULAR, Refreshed, SYMLINK, apply, mailbox, refresh,
    reverse, to_level,
};
use random::Random;

const MADE: [&str; 5] = [
    "From 0123 Mon Sep 17 00:00:00 2001\nFrom: =?UTF-8?q?J=C3=BC?= <j@x>\nDate: Mon, 1 Jan 2024 00:00:00 +0100\nSubject: [PATCH 1/2] a\n long one\n\nUpstream-Status: Backport [x]\nSigned-off-by: J <j@x>\n---\n f | 2 +-\n 1 file changed\n\ndiff --git a/f b/f\nindex 12..34 100644\n--- a/f\n+++ b/f\n@@ -1,3 +1,4 @@ sec\n a\n-b\n+B\n+BB\n c\n@@ -10,2 +11 @@\n j\n-k\n\\ No newline at end of file\n-- \n2.1\n",
    "diff --git a/old name b/new name\nsimilarity index 90%\nrename from old name\nrename to new name\n--- a/old name\t\n+++ b/new name\t\n@@ -1 +1 @@\n-a\n+b\ndiff --git a/x b/y\nsimilarity index 100%\ncopy from x\ncopy to y\ndiff --git a/s b/s\nold mode 100644\nnew mode 100755\ndiff --git a/gone b/gone\ndeleted file mode 100644\n--- a/gone\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-1\n-2\ndiff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+f\n\\ No newline at end of file\n",
    "Index: f.c\r\n===================\r\n--- f.c.orig\t2020-01-01 00:00:00.000000000 +0000\r\n+++ f.c\t1970-01-01 01:00:00.000000000 +0100\r\n@@ -1,3 +1,3 @@\r\n a\r\n-b\r\n+B\r\n c\r\n",
    "diff --git a/b.bin b/b.bin\nindex 0000000..e69de29 100644\nGIT binary patch\nliteral 3\nKcmZSh&&T2b0Fu%d\n\nliteral 0\nHcmV?d00001\n\nBinary files a/x and b/x differ\n--- \"a/q\\303\\274\\t\\\"\"\n+++ \"b/q\\303\\274\\t\\\"\"\n@@ -0,0 +1 @@\n+x\n",
    "*** f.c\n--- f.c\n***************\n*** 1,2 ****\n  a\n! b\n--- 1,2 ----\n  a\n! c\n",
];

/// What is put in: the words of the format, in places where they do not belong.
const WORDS: [&str; 30] = [
    "@@ -0,0 +1 @@\n",
    "@@ -1,9999999 +1,9999999 @@\n",
    "@@ -18446744073709551615 +0 @@\n",
    "@@ --1,-1 +-1 @@\n",
    "--- /dev/null\n",
    "+++ /dev/null\n",
    "--- a/../../x\n",
    "+++ b//etc/x\n",
    "\\ No newline at end of file\n",
    "\n",
    "\r\n",
    "\r",
    "\0",
    "\u{feff}",
    "diff --git a/f b/f\n",
    "rename from f\n",
    "rename to f\n",
    "copy to ../f\n",
    "new file mode 120000\n",
    "old mode 020644\n",
    "deleted file mode 100644\n",
    "GIT binary patch\nliteral 9\n",
    "Binary files a/f and b/f differ\n",
    "index e69de29..0000000\n",
    "-- \n",
    "---\n",
    "Upstream-Status: Pending\n",
    "From 1234 Mon Sep 17 00:00:00 2001\n",
    "=?UTF-8?B?////?=",
    "\u{1b}[31m",
];

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = MADE.iter().map(|text| text.as_bytes().to_vec()).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut todo = vec![root.join("overlays/demo/fixes"), root.join("overlays/example/patches")];
    for name in ["OVERLAYCTL_QUEUE_CASES", "OVERLAYCTL_NIXPKGS_1909"] {
        todo.extend(std::env::var_os(name).map(PathBuf::from));
    }
    let mut found = Vec::new();
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_patch = path.extension().is_some_and(|e| e == "patch" || e == "diff");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => todo.push(path),
                Ok(kind) if kind.is_file() && is_patch => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    seeds.extend(found.iter().map(|path| std::fs::read(path).unwrap()).filter(|bytes| bytes.len() < 12_000));
    seeds
}

/// Changes a patch in a few places.
fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(seeds).clone();
    for _ in 0..1 + random.below(5) {
        let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        let (at, other) = (random.below(lines.len()), random.below(lines.len()));
        match random.below(11) {
            _ if lines.is_empty() => bytes.extend_from_slice(random.pick(&WORDS).as_bytes()),
            0 => bytes[at % 7] = u8::try_from(random.below(256)).unwrap(),
            1 => {
                let at = random.below(bytes.len());
                bytes[at] = u8::try_from(random.below(256)).unwrap();
            }
            2 => bytes.truncate(random.below(bytes.len() + 1)),
            3 => {
                let word = random.pick(&WORDS).as_bytes().to_vec();
                let at = random.below(bytes.len() + 1);
                bytes.splice(at..at, word);
            }
            4 => {
                lines.remove(at);
                bytes = lines.concat();
            }
            5 => {
                lines.swap(at, other);
                bytes = lines.concat();
            }
            6 => {
                lines.insert(at, random.pick(&WORDS).as_bytes().to_vec());
                bytes = lines.concat();
            }
            7 => {
                // A digit of a header.
                let digits: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    bytes[*random.pick(&digits)] = b'0' + u8::try_from(random.below(10)).unwrap();
                }
            }
            8 => {
                let line = lines[at].clone();
                lines.splice(at..at, std::iter::repeat_n(line, 1 + random.below(40)));
                bytes = lines.concat();
            }
            9 => {
                let more = random.pick(seeds);
                let from = random.below(more.len());
                bytes.truncate(random.below(bytes.len() + 1));
                bytes.extend_from_slice(&more[from..]);
            }
            _ => {
                let sign = *random.pick(b" -+@\\");
                lines[at][0] = sign;
                bytes = lines.concat();
            }
        }
    }
    bytes
}

/// Makes files that a patch could fit, or nearly.
fn tree_for(patch: &PatchFile<'_>, random: &mut Random) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for file in patch.files() {
        let Ok(target) = file.target(1) else { continue };
        let mut text = Vec::new();
        for hunk in &file.hunks {
            for _ in 0..random.below(5) {
                text.extend_from_slice(b"something between\n");
            }
            for line in hunk.lines.iter().filter(|line| line.kind != LineKind::Added) {
                if random.below(30) > 0 {
                    text.extend_from_slice(line.content(file.strip_cr));
                    text.push(b'\n');
                }
            }
        }
        let mode = [REGULAR, REGULAR, EXECUTABLE, SYMLINK][random.below(4)];
        if random.below(8) > 0 {
            tree.insert(target.path(), text, mode);
        }
    }
    tree
}

fn size(tree: &MemoryTree) -> usize {
    tree.iter().map(|(path, file)| path.len() + file.bytes.len()).sum()
}

/// Does with a patch all that can be done with one.
fn exercise(bytes: &[u8], random: &mut Random) -> bool {
    for piece in mailbox::read(bytes).unwrap_or_default() {
        let _ = PatchFile::parse(&piece);
    }
    let joined = mailbox::join([bytes]);
    let back = mailbox::read(&joined).expect("what was put into a mailbox is read");
    assert!(bytes.is_empty() || back == [bytes], "a mailbox gives the bytes back");
    if let Ok((own, _)) = patch::as_gnu_reads(bytes) {
        assert!(bytes.is_empty() || PatchFile::parse(&own).is_ok(), "what GNU patch reads is a patch");
    }
    if let Ok(counted) = patch::recount(bytes) {
        assert!(patch::recount(&counted).expect("it is one") == counted, "counted once is enough");
    }
    let _ = (patch::set_trailer(bytes, "Upstream-Status", "Pending"), patch::remove_trailer(bytes, "CVE", None));
    let _ = (patch::add_trailer(bytes, "Signed-off-by", "A <a@b>"), patch::lint::upstream_status(bytes));
    let Ok(parsed) = PatchFile::parse(bytes) else { return false };
    assert!(parsed.to_bytes() == bytes, "every byte is in one part");
    let _ = (parsed.headers(), parsed.message(), parsed.strip_level(), parsed.check(0), parsed.check(1));
    let _ = (patch::lint::lint("0001-CVE-2024-1.patch", &parsed, &Default::default()), ());
    for (from, to) in [(parsed.strip_level(), 1), (1, 0), (0, 2), (2, 1)] {
        if let Ok(other) = to_level(&parsed, from, to) {
            PatchFile::parse(&other).expect("what was brought to another level is a patch");
        }
    }
    let _ = (parsed.quoted_diffs(), parsed.miscounted(), parsed.standing(), parsed.trailers());
    let added = patch::add_trailer(bytes, "Checked-by", "X").expect("a trailer is added");
    let removed = patch::remove_trailer(&added, "Checked-by", Some("X")).expect("a trailer is removed");
    let had = parsed.headers().values("Checked-by").next().is_some();
    assert!(had || removed == bytes, "added and removed is nothing:\n{}", String::from_utf8_lossy(&removed));
    let turned = reverse(&parsed);
    let tree = tree_for(&parsed, random);
    let _ = parsed.level_for(&tree, 0..=3);
    for options in [
        Options::default(),
        Options { fuzz: 0, ..Options::default() },
        Options { reverse: true, fuzz: 0, ..Options::default() },
    ] {
        let Ok(outcome) = apply(&tree, &parsed, &options) else { continue };
        let made: usize = outcome.changes.values().flatten().map(|file| file.bytes.len()).sum();
        // A copy may double a file for each header.
        let most = (size(&tree) + bytes.len()) * (1 + parsed.files().len());
        assert!(made <= most, "{made} bytes out of {} and {}", size(&tree), bytes.len());
        for path in outcome.changes.keys() {
            assert!(!path.starts_with('/') && !path.split('/').any(|c| c == ".."), "{path}");
        }
        let (Ok(Refreshed::Rewritten(new)), false) = (refresh(&tree, &parsed, &options), options.reverse) else {
            continue;
        };
        let again = PatchFile::parse(&new).expect("what was refreshed is a patch");
        let after = apply(&tree, &again, &options).unwrap_or_else(|e| {
            panic!("refreshed it does not apply: {e}\n{}", String::from_utf8_lossy(&new));
        });
        assert!(after.accepted() && after.changes == outcome.changes, "it does the same");
    }
    if let Ok(turned) = turned {
        let turned = PatchFile::parse(&turned).expect("what was turned round is a patch");
        let _ = apply(&tree, &turned, &Options::default());
    }
    true
}

#[test]
fn mutated_patches_end_without_a_panic() {
    let number = |name: &str, or: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(or);
    let (from, cases) = (number("OVERLAYCTL_FUZZ_FROM", 0), number("OVERLAYCTL_FUZZ_CASES", 3000));
    let seeds = seeds();
    let started = Instant::now();
    let (mut patches, mut slowest) = (0, (Duration::ZERO, 0));
    for case in from..from + cases {
        let mut random = Random(case.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let bytes = mutate(&seeds, &mut random);
        let before = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| exercise(&bytes, &mut random))) {
            Ok(is_patch) => patches += u64::from(is_patch),
            Err(_) => panic!("case {case}:\n{}", String::from_utf8_lossy(&bytes)),
        }
        slowest = slowest.max((before.elapsed(), case));
        assert!(before.elapsed() < Duration::from_secs(20), "case {case} takes {:?}", before.elapsed());
    }
    println!(
        "{cases} cases from {} seeds, {patches} of them patches still; {:?}, the slowest (case {}) {:?}",
        seeds.len(),
        started.elapsed(),
        slowest.1,
        slowest.0
    );
    assert!(patches * 20 > cases, "too few of the cases are patches to say anything");
}
