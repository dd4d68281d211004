//! Two commands that write, started together, of which one at least works on a worktree or a source: `edit`, `finish`, `refresh`, `rebase`.
//! What is left is what one after the other leaves, in some order: queues, overlay and worktrees. (Pairs of the others: `journal.rs`.)
//!
//! OVERLAYCTL_PAIRS says how many random pairs are tried.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod queue_support;
#[path = "support/random.rs"]
mod random;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use queue_support::{PACKAGES, Scene, mail, numbered, patch, text};
use random::Random;

/// Those that this test is about stand first.
const WRITERS: &[&[&str]] = &[
    &["edit", "bar"],
    &["edit", "foo"],
    &["edit", "foo", "--abort"],
    &["finish", "foo", "--offline"],
    &["finish", "foo", "--abort"],
    &["refresh", "bar", "--offline"],
    &["refresh", "--offline"],
    &["rebase", "bar", "--to", "two", "--offline"],
    &["rebase", "baz", "--to", "two", "--offline"],
    &["rebase", "--to", "two", "--offline"],
    &["rebase", "--abort"],
    &["patch", "foo", "in/x.patch", "--offline"],
    &["patch", "bar", "in/x.patch", "--offline"],
    &["unpatch", "bar"],
    &["unpatch", "foo", "1"],
    &["reorder", "bar", "2", "1"],
    &["header", "bar", "1", "--set", "Upstream-Status=Denied"],
    &["import", "baz", "in", "--offline"],
];
const OWN: usize = 11;

/// `foo` is being edited and has a new commit, `bar` has patches whose lines moved, `baz` conflicts with what comes.
fn scene() -> Option<Scene> {
    let scene = Scene::new()?;
    for (set, version) in [("one", "1.0"), ("two", "2.0")] {
        let packages = PACKAGES.replace("VERSION", version);
        let entry = packages[packages.find("foo =").unwrap()..packages.find(" };\n  final").unwrap()].to_string();
        let named = |name: &str| entry.replace("foo", name);
        let all = [entry.clone(), named("bar"), named("baz")].join(" ");
        scene.write(&format!("{set}/default.nix"), &packages.replace(&entry, &all));
        let mut moved = numbered(1..31);
        moved.insert(0, "new first line".into());
        for name in ["bar", "baz"] {
            scene.write(&format!("{set}/{name}/own.c"), "plain\n");
            ["a.c", "b.c"].iter().for_each(|file| scene.write(&format!("{set}/{name}/{file}"), &text(&moved)));
        }
    }
    let mut theirs = numbered(1..31);
    theirs[9] = "THEIRS".into();
    scene.write("two/baz/a.c", &text(&theirs));
    for (attr, files) in [("foo", &["a.c", "b.c", "c.c"][..]), ("bar", &["a.c", "b.c"]), ("baz", &["a.c"])] {
        for file in files {
            scene.write("in/x.patch", &patch(file, 10, "OURS", &mail(&format!("change {file}"))));
            scene.run(0, &["patch", attr, "in/x.patch", "--offline"]);
        }
    }
    scene.write("in/x.patch", &patch("b.c", 20, "MORE", &mail("more")));
    scene.run(0, &["edit", "foo"]);
    scene.commit("n.c", "x\n", "add n");
    Some(scene)
}

/// Everything but what git writes down of times and ways: of a repository the heads, the references and our own state.
fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut todo) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
            let of_git = below.split_once("/.git/").map(|(_, rest)| rest.to_string());
            if path.is_dir() {
                todo.push(path);
            } else if of_git.is_none_or(|name| name == "HEAD" || name.starts_with("refs/") || name.ends_with(".json")) {
                found.insert(below.into(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn reset(scene: &Scene, to: &Path) {
    for entry in fs::read_dir(scene.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
    let copied = Command::new("cp").arg("-a").arg(to.join(".")).arg(scene.dir.path()).status().unwrap();
    assert!(copied.success());
}

#[test]
fn two_at_once_are_as_one_after_the_other() {
    let Some(scene) = scene() else { return };
    let begin = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-a").arg(scene.dir.path().join(".")).arg(begin.path()).status().unwrap();
    assert!(copied.success());
    let pairs: u64 = std::env::var("OVERLAYCTL_PAIRS").ok().and_then(|count| count.parse().ok()).unwrap_or(12);
    let mut after: BTreeMap<(usize, usize), BTreeMap<PathBuf, Vec<u8>>> = BTreeMap::new();
    let mut random = Random(0x5eed);
    let (mut changed, untouched) = (0, tree(scene.dir.path()));
    for pair in 0..pairs {
        let (one, two) = (random.below(OWN), random.below(WRITERS.len()));
        for order in [(one, two), (two, one)] {
            after.entry(order).or_insert_with(|| {
                reset(&scene, begin.path());
                for index in [order.0, order.1] {
                    let code = scene.try_run(WRITERS[index]).status.code();
                    assert!(code.is_some_and(|code| code <= 2), "{:?}: {code:?}", WRITERS[index]);
                }
                tree(scene.dir.path())
            });
        }
        reset(&scene, begin.path());
        let start =
            |index: usize| scene.command(WRITERS[index]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        for mut child in [start(one), start(two)] {
            let code = child.wait().unwrap().code();
            assert!(code.is_some_and(|code| code <= 2), "{:?}, {:?}: {code:?}", WRITERS[one], WRITERS[two]);
        }
        let now = tree(scene.dir.path());
        changed += u64::from(now != untouched);
        let differs = |order: (usize, usize)| -> Vec<PathBuf> {
            let then = &after[&order];
            let all = now.keys().chain(then.keys());
            all.filter(|path| now.get(*path) != then.get(*path)).cloned().collect()
        };
        let (first, second) = (differs((one, two)), differs((two, one)));
        assert!(
            first.is_empty() || second.is_empty(),
            "pair {pair}: {:?} and {:?}: {first:?}, {second:?}",
            WRITERS[one],
            WRITERS[two]
        );
    }
    println!("{pairs} pairs, of which {changed} changed something");
    assert!(changed > pairs / 2);
}
