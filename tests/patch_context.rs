//! Patches that only GNU patch takes, as nixpkgs has some, against GNU patch: context diffs from `diff -c`, hunks that it drops, text between
//! names and hunks.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects and fails loudly")]

#[path = "support/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use overlayctl::patch::{MemoryTree, Options, PatchFile, REGULAR, apply, as_gnu_reads};
use random::Random;

fn available() -> bool {
    let found = |program: &str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    let both = found("patch") && found("diff");
    if !both {
        eprintln!("skipped: `patch` or `diff` is not installed");
    }
    both
}

fn files(dir: &Path, root: &Path, out: &mut BTreeMap<String, Vec<u8>>) {
    for path in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        if path.is_dir() {
            files(&path, root, out);
        } else {
            out.insert(path.strip_prefix(root).unwrap().to_str().unwrap().into(), std::fs::read(path).unwrap());
        }
    }
    out.retain(|name, _| !name.ends_with(".orig") && !name.ends_with(".rej"));
}

fn gnu(tree: &BTreeMap<String, Vec<u8>>, patch: &[u8]) -> (bool, BTreeMap<String, Vec<u8>>, String) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    for (name, bytes) in tree {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(dir.path().join("p"), patch).unwrap();
    let output = Command::new("patch")
        .arg("-p1")
        .current_dir(&root)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .stdin(std::fs::File::open(dir.path().join("p")).unwrap())
        .output()
        .unwrap();
    let mut after = BTreeMap::new();
    files(&root, &root, &mut after);
    (output.status.success(), after, String::from_utf8_lossy(&output.stdout).into_owned())
}

fn ours(tree: &BTreeMap<String, Vec<u8>>, patch: &[u8]) -> (bool, BTreeMap<String, Vec<u8>>, usize) {
    let (bytes, odd) = as_gnu_reads(patch).unwrap_or_else(|e| panic!("{e}\n{}", String::from_utf8_lossy(patch)));
    let mut memory = MemoryTree::new();
    tree.iter().for_each(|(name, bytes)| drop(memory.insert(name.clone(), bytes.clone(), REGULAR)));
    if bytes.is_empty() {
        return (true, tree.clone(), odd.len());
    }
    let outcome = apply(&memory, &PatchFile::parse(&bytes).unwrap(), &Options::default()).unwrap();
    let accepted = outcome.accepted();
    memory.update(outcome.changes);
    (accepted, memory.iter().map(|(name, file)| (name.to_string(), file.bytes.to_vec())).collect(), odd.len())
}

fn text(r: &mut Random, lines: usize) -> Vec<String> {
    let word = |r: &mut Random| {
        ["", "}", "- minus", "! bang", "+ plus", "  two", "*** 1 ****", "int x;"][r.below(8)].to_string()
    };
    (0..lines).map(|i| if r.below(3) == 0 { word(r) } else { format!("line {i} {}", r.below(4)) }).collect()
}

fn mutated(r: &mut Random, text: &[String]) -> Vec<String> {
    let mut lines = text.to_vec();
    for _ in 0..1 + r.below(4) {
        let at = r.below(lines.len() + 1);
        match r.below(3) {
            0 => lines.insert(at, format!("new {}", r.below(9))),
            1 if at < lines.len() => drop(lines.remove(at)),
            _ if at < lines.len() => lines[at] = format!("changed {}", r.below(9)),
            _ => {}
        }
    }
    lines
}

fn bytes(lines: &[String], cut: bool) -> Vec<u8> {
    let mut out = lines.join("\n");
    let cut = cut && lines.last().is_some_and(|l| !l.is_empty());
    if !lines.is_empty() && !cut {
        out.push('\n');
    }
    out.into_bytes()
}

#[test]
fn context_diffs_as_gnu_patch() {
    if !available() {
        return;
    }
    let (mut accepted, mut rejected) = (0, 0);
    for seed in 1..=400 {
        let r = &mut Random(seed);
        let length = [0, 3, 12, 40][r.below(4)];
        let old = text(r, length);
        let new = mutated(r, &old);
        let (old_cut, new_cut) = (r.below(6) == 0, r.below(6) == 0);
        let dir = tempfile::tempdir().unwrap();
        for (side, lines, cut) in [("a", &old, old_cut), ("b", &new, new_cut)] {
            std::fs::create_dir(dir.path().join(side)).unwrap();
            std::fs::write(dir.path().join(side).join("f.c"), bytes(lines, cut)).unwrap();
        }
        let context = ["-C3", "-C3", "-C1", "-C2", "-C5"][r.below(5)];
        let args = if r.below(4) == 0 { vec![context, "-p"] } else { vec![context] };
        let output = Command::new("diff").args(args).args(["a/f.c", "b/f.c"]).current_dir(dir.path()).output().unwrap();
        if output.stdout.is_empty() {
            continue;
        }
        let mut patch = [&b"Some text.\n\n"[..], &output.stdout].concat();
        if r.below(4) == 0 {
            patch.extend_from_slice(b"\n-- \ntext\n");
        }
        let there = if r.below(2) == 0 { old.clone() } else { mutated(r, &old) };
        let tree = BTreeMap::from([("f.c".to_string(), bytes(&there, old_cut))]);
        let (theirs, mine) = (gnu(&tree, &patch), ours(&tree, &patch));
        let shown = || {
            format!(
                "seed {seed}\n{}\n{}\n{:?}",
                String::from_utf8_lossy(&patch),
                theirs.2,
                String::from_utf8_lossy(&tree["f.c"])
            )
        };
        assert_eq!((mine.0, &mine.1), (theirs.0, &theirs.1), "{}", shown());
        assert_eq!(mine.2, 1);
        accepted += u32::from(theirs.0);
        rejected += u32::from(!theirs.0);
    }
    eprintln!("{accepted} accepted, {rejected} rejected by both");
    assert!(accepted > 100 && rejected > 10);
}

#[test]
fn what_gnu_patch_passes_over() {
    if !available() {
        return;
    }
    let lines: Vec<String> = (1..=40).map(|i| format!("line {i}")).collect();
    let tree = BTreeMap::from([("a.c".to_string(), bytes(&lines, false)), ("b.c".to_string(), bytes(&lines, false))]);
    let first = "--- a/a.c\n+++ b/a.c\n@@ -9,3 +9,3 @@\n line 9\n-line 10\n+line TEN\n line 11\n";
    let second = "--- a/b.c\n+++ b/b.c\n@@ -9,3 +9,3 @@\n line 9\n-line 10\n+line TEN\n line 11\n";
    for (what, text, oddities) in [
        (
            "a surplus line",
            format!("{first} line 12\n@@ -29,3 +29,3 @@\n line 29\n-line 30\n+line X\n line 31\n{second}"),
            1,
        ),
        ("two hunks lost", format!("{first}+\n@@ -1 +1 @@\n-line 1\n+x\n@@ -2 +2 @@\n-line 2\n+y\n"), 1),
        ("a blank line behind the names", first.replace("\n@@", "\n \n@@") + second, 1),
        (
            "text behind git's names",
            format!(
                "diff --git a/b.c b/b.c\nindex 12..34 100644\n lost\n@@ -9,3 +9,3 @@\n line 9\n-line 10\n+line TEN\n line 11\n{first}"
            ),
            1,
        ),
        ("names alone", format!("--- a/a.c\n+++ b/a.c\n{second}"), 1),
        ("names alone behind a hunk", format!("{first}--- a/b.c\n+++ b/b.c\n"), 1),
        ("a comment within a hunk", format!("{second}{}", first.replace("-line 10", "# why\n-line 10")), 1),
        (
            "a normal diff",
            format!(
                "--- a/b.c\n+++ b/b.c\n3a4,5\n> new\n> \n10c12\n< line 10\n---\n> line TEN\n20,21d21\n< line 20\n< line 21\n{first}"
            ),
            1,
        ),
        ("names that a mailer broke", format!("diff --git a/a.c\nb/a.c\nindex 12..34 100644\n{first}"), 1),
        ("a name that leads out", first.replace("a/a.c", "a/../a/a.c") + &second.replace("b/b.c", "b/../../b.c"), 1),
        ("a device", first.replace("b/a.c", "/dev/stdin"), 1),
        ("one @", first.replace("+9,3 @@", "+9,3 @"), 1),
        ("no blanks around the numbers", first.replace(" +9,3 @@", "+9,3@@"), 1),
        (
            "names that a mailer broke from their times",
            second.replace(
                "b.c\n+++ b/b.c\n",
                "b.c 2008-03-29 00:48:22.000000000\n-0800\n+++ b/b.c   2008-03-29\n-0800\n",
            ) + first,
            1,
        ),
        ("nothing at all", String::new(), 1),
        ("nothing", format!("{first}{second}"), 0),
    ] {
        let (theirs, mine) = (gnu(&tree, text.as_bytes()), ours(&tree, text.as_bytes()));
        assert_eq!((mine.0, &mine.1), (theirs.0, &theirs.1), "{what}\n{text}\n{}", theirs.2);
        assert_eq!(mine.2, oddities, "{what}");
    }
}
