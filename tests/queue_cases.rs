//! Real queues onto real new versions: Debian's source packages in several releases.
//!
//! `OVERLAYCTL_QUEUE_CASES` names the folder that `tests/queue_cases/fetch.sh` makes; without it the tests say so and end. A case is a patch
//! of a Debian queue, the source it is for, and the source of a later version. Each is judged by GNU `patch` (without fuzz, forward
//! and in reverse) on the same files, and where it is clean the refreshed patch has to give what the three-way merge gives. Further
//! cases are seeded: the new source is the old one with the patch taken, a file removed, a line of a hunk changed, lines put before.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use overlayctl::git::{Merged, Worktree};
use overlayctl::patch::series::Series;
use overlayctl::patch::{self, MemoryTree, Options, PatchFile, Refreshed, Tree as _, Verdict};
use overlayctl::queue::applying;
use overlayctl::queue::source::{self, Limits};

/// A source package: the source without Debian's folder, and its queue.
struct Package {
    name: String,
    dir: PathBuf,
    tree: MemoryTree,
    queue: Vec<(String, Vec<u8>)>,
}

fn packages() -> Option<Vec<Package>> {
    let Some(root) = std::env::var_os("OVERLAYCTL_QUEUE_CASES") else {
        eprintln!("skipped: OVERLAYCTL_QUEUE_CASES does not name the folder that tests/queue_cases/fetch.sh makes");
        return None;
    };
    let dirs = |path: &Path| -> Vec<PathBuf> {
        let mut dirs: Vec<PathBuf> =
            fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
        dirs.retain(|p| !p.file_name().unwrap().to_str().unwrap().starts_with('.'));
        dirs.sort();
        dirs
    };
    let mut packages = Vec::new();
    for program in dirs(Path::new(&root)) {
        for dir in dirs(&program) {
            let name = format!("{}/{}", program.file_name().unwrap().display(), dir.file_name().unwrap().display());
            let mut tree = source::read(&dir, &Limits::default()).unwrap();
            let debian: Vec<String> =
                tree.iter().map(|(p, _)| p).filter(|p| p.starts_with("debian/")).map(str::to_string).collect();
            debian.iter().for_each(|path| drop(tree.remove(path)));
            let queue = queue(&dir.join("debian/patches"));
            packages.push(Package { name, dir, tree, queue });
        }
    }
    Some(packages)
}

fn queue(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(text) = fs::read_to_string(dir.join("series")) else { return Vec::new() };
    let read = |e: &patch::series::Entry| (e.name.clone(), fs::read(dir.join(&e.name)).unwrap());
    let mut queue: Vec<_> = Series::parse(&text).unwrap().entries().filter(|e| !e.reverse).map(read).collect();
    // Debian keeps a few patches of which nothing is left; they change nothing and are no patches.
    queue.retain(|(_, bytes)| {
        !matches!(PatchFile::parse(bytes), Err(patch::Error::Empty { .. } | patch::Error::NotAPatch { .. }))
    });
    queue
}

/// The four classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Clean,
    Merged,
    Conflict,
    Gone,
}

fn ours(verdict: Verdict) -> Class {
    match verdict {
        Verdict::Clean | Verdict::Offset => Class::Clean,
        Verdict::AlreadyApplied => Class::Merged,
        // Fuzz is never accepted silently: it is a conflict until somebody says otherwise.
        Verdict::Fuzz | Verdict::PartlyApplied | Verdict::Conflict => Class::Conflict,
        Verdict::FileGone => Class::Gone,
    }
}

/// What GNU patch says of the files that the patch touches.
fn gnu(tree: &MemoryTree, bytes: &[u8]) -> Class {
    let parsed = PatchFile::parse(bytes).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut gone = false;
    for file in parsed.files() {
        let target = file.target(1).unwrap();
        for path in [&target.old, &target.new].into_iter().flatten() {
            if let Some(file) = tree.read(path).unwrap() {
                let at = dir.path().join(path);
                fs::create_dir_all(at.parent().unwrap()).unwrap();
                fs::write(at, &file.bytes).unwrap();
            }
        }
        let there = [&target.old, &target.new].into_iter().flatten().any(|p| tree.get(p).is_some());
        gone |= !there && !file.creates();
    }
    let run = |reverse: bool| {
        let mut command = Command::new("patch");
        command.args(["-p1", "-F0", "-f", "-s", "--dry-run"]).args(reverse.then_some("-R"));
        let mut child = command
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(bytes);
        child.wait().unwrap().success()
    };
    // A file that the patch removes and that is not there any more makes the whole merged, not gone.
    match (run(false), run(true)) {
        (true, false) => Class::Clean,
        (_, true) => Class::Merged,
        _ if gone => Class::Gone,
        _ => Class::Conflict,
    }
}

fn judged(tree: &MemoryTree, bytes: &[u8]) -> Verdict {
    applying::judged(tree, &PatchFile::parse(bytes).unwrap(), 1).unwrap().1
}

fn applied(tree: &MemoryTree, bytes: &[u8]) -> Option<MemoryTree> {
    let outcome = patch::apply(tree, &PatchFile::parse(bytes).unwrap(), &Options::default()).unwrap();
    let mut tree = tree.clone();
    tree.update(outcome.changes.clone());
    outcome.accepted().then_some(tree)
}

/// The three-way merge, and the patch refreshed for the new source: both have to give the same files.
fn assert_merge_agrees(case: &str, before: &MemoryTree, after: &MemoryTree, new: &MemoryTree, bytes: &[u8]) {
    // Only the files that differ or that the patch touches matter.
    let touched: Vec<String> = PatchFile::parse(bytes)
        .unwrap()
        .files()
        .iter()
        .flat_map(|f| {
            let target = f.target(1).unwrap();
            [target.old, target.new]
        })
        .flatten()
        .collect();
    let part = |tree: &MemoryTree| {
        let mut part = MemoryTree::new();
        for path in &touched {
            if let Some(file) = tree.get(path) {
                part.insert(path.clone(), file.bytes.to_vec(), file.mode);
            }
        }
        part
    };
    let (before, after, new) = (part(before), part(after), part(new));
    let options = Options { fuzz: 0, ..Options::default() };
    let refreshed = match patch::refresh(&new, &PatchFile::parse(bytes).unwrap(), &options).unwrap() {
        Refreshed::Unchanged => bytes.to_vec(),
        Refreshed::Rewritten(bytes) => bytes,
        Refreshed::Rejected(outcome) => panic!("{case}: {:?}", outcome.files),
    };
    assert_eq!(judged(&new, &refreshed), Verdict::Clean, "{case}");
    let by_patch = applied(&new, &refreshed).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let worktree = Worktree::create(dir.path()).unwrap();
    let id = |tree: &MemoryTree| worktree.tree_of(tree.iter().map(|(p, f)| (p, f.bytes.as_ref(), f.mode))).unwrap();
    match worktree.merge(id(&before), id(&new), id(&after)).unwrap() {
        Merged::Clean(tree) => assert_eq!(tree, id(&by_patch), "{case}: the merge gives other files"),
        // git merges no two changes on neighbouring lines; `patch` minds its context only.
        Merged::Conflicts(files) => println!("{case}: clean by patch, a conflict for the merge in {files:?}"),
    }
}

#[test]
fn real_versions() {
    let Some(packages) = packages() else { return };
    let mut count: BTreeMap<Class, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for pair in packages.windows(2) {
        let [old, new] = pair else { continue };
        if old.name.split('/').next() != new.name.split('/').next() {
            continue;
        }
        let (mut before, mut target) = (old.tree.clone(), new.tree.clone());
        for (name, bytes) in &old.queue {
            let case = format!("{} -> {}: {name}", old.name, new.name.rsplit('/').next().unwrap());
            let Some(after) = applied(&before, bytes) else {
                println!("{case}: it does not apply to its own source");
                continue;
            };
            let (ours, gnu) = (ours(judged(&target, bytes)), gnu(&target, bytes));
            if ours == gnu {
                *count.entry(ours).or_default() += 1
            } else {
                wrong.push(format!("{case}: {ours:?}, GNU patch says {gnu:?}"))
            }
            if ours == Class::Clean {
                assert_merge_agrees(&case, &before, &after, &target, bytes);
                target = applied(&target, bytes).unwrap();
            }
            before = after;
        }
    }
    println!("{count:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count.values().sum::<usize>() >= 60, "{count:?}");
}

#[test]
fn seeded() {
    let Some(packages) = packages() else { return };
    let mut count: BTreeMap<Class, usize> = BTreeMap::new();
    for package in &packages {
        let mut before = package.tree.clone();
        for (name, bytes) in &package.queue {
            let case = format!("{}: {name}", package.name);
            let Some(after) = applied(&before, bytes) else { continue };
            let mut is = |class: Class, tree: &MemoryTree, how: &str| {
                let verdict = judged(tree, bytes);
                assert_eq!(ours(verdict), class, "{case}, {how}: {verdict:?}");
                *count.entry(class).or_default() += 1;
            };
            is(Class::Merged, &after, "taken by upstream");
            let parsed = PatchFile::parse(bytes).unwrap();
            let changed = parsed.files().iter().find(|f| !f.creates() && !f.deletes() && !f.hunks.is_empty());
            if let Some(file) = changed {
                let path = file.target(1).unwrap().path().to_string();
                let old = before.get(&path).unwrap().clone();
                let mut gone = before.clone();
                gone.remove(&path);
                is(Class::Gone, &gone, "the file is removed");
                // The first line that the patch takes out (or else keeps) becomes another one.
                let hunk = &file.hunks[0];
                let removed = hunk.lines.iter().position(|l| l.kind == patch::LineKind::Removed);
                if let Some(at) = removed {
                    let line = hunk.old_start as usize - 1
                        + hunk.lines[..at].iter().filter(|l| l.kind != patch::LineKind::Added).count();
                    let mut lines: Vec<Vec<u8>> =
                        old.bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
                    if judged(&before, bytes) == Verdict::Clean && line < lines.len() {
                        lines[line] = b"upstream has something else here\n".to_vec();
                        let mut conflict = before.clone();
                        conflict.insert(path.clone(), lines.concat(), old.mode);
                        is(Class::Conflict, &conflict, "the line is another one");
                    }
                }
                let mut moved = before.clone();
                let lines: String = (0..7).map(|n| format!("a new line {n} of upstream\n")).collect();
                moved.insert(path.clone(), [lines.as_bytes(), &old.bytes].concat(), old.mode);
                if matches!(judged(&before, bytes), Verdict::Clean | Verdict::Offset) && hunk.old_start > 4 {
                    is(Class::Clean, &moved, "lines before it");
                    assert_merge_agrees(&case, &before, &after, &moved, bytes);
                }
            }
            before = after;
        }
    }
    println!("{count:?}");
    assert!(count.values().sum::<usize>() >= 60 && count.len() == 4, "{count:?}");
}

/// Debian's own series: imported, applied, exported, the same bytes; edited and finished, nothing changes.
#[test]
fn series_come_back() {
    let Some(packages) = packages() else { return };
    let mut patches = 0;
    for package in packages.iter().filter(|p| !p.queue.is_empty()) {
        let dir = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| {
            let output = support::overlayctl(dir.path()).args(args).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.code(), text, String::from_utf8_lossy(&output.stderr).into_owned())
        };
        fs::write(dir.path().join("overlay.nix"), "final: prev: {\n}\n").unwrap();
        let set = format!(
            "{{ overlays ? [ ], ... }}: {{ pkg = derivation {{ name = \"pkg\"; system = \"x\"; builder = \"x\"; }} // {{ src = {}; }}; }}",
            package.dir.display()
        );
        fs::write(dir.path().join("set.nix"), set).unwrap();
        fs::write(dir.path().join("overlayctl.toml"), "nixpkgs = \"./set.nix\"\noverlays = [\"overlay.nix\"]\n")
            .unwrap();
        let folder = package.dir.join("debian/patches");
        let (status, _, error) = run(&["import", "pkg", folder.to_str().unwrap(), "--offline"]);
        assert_eq!(status, Some(0), "{}: {error}", package.name);
        let (status, _, error) = run(&["export", "pkg", "--quilt", "out"]);
        assert_eq!(status, Some(0), "{}: {error}", package.name);
        let bytes = |queue: Vec<(String, Vec<u8>)>| queue.into_iter().map(|(_, b)| b).collect::<Vec<_>>();
        let exported = bytes(queue(&dir.path().join("out")));
        assert!(exported == bytes(package.queue.clone()), "{}: other bytes", package.name);
        patches += exported.len();
        let (status, text, error) = run(&["check", "--allow-fuzz", "--json"]);
        if status == Some(2) && error.contains("OV03") || text.contains("OV03") {
            eprintln!("skipped: check and edit of {}: no Nix", package.name);
            continue;
        }
        assert_eq!(status, Some(0), "{}: {text}{error}", package.name);
        let (status, _, error) = run(&["edit", "pkg"]);
        assert_eq!(status, Some(0), "{}: {error}", package.name);
        let (status, text, error) = run(&["finish", "pkg", "--json"]);
        assert!(status == Some(0) && text.contains("\"unchanged\":true"), "{}: {text}{error}", package.name);
    }
    println!("{patches} patches came back");
    assert!(patches > 30);
}
