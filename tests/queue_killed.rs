//! Commands of the queue killed before each change of the file system that they make: overlay and queue are the old ones or the
//! new ones, and the next command goes on from there.
//!
//! strace counts the calls of each kind and kills (`inject=rename:signal=SIGKILL:when=N`), so the program has nothing in it for
//! this. Calls of git's library count too. Skipped, and said so, where strace is not to be had. Of many calls of a kind
//! some are left out; OVERLAYCTL_KILL_ALL=1 takes all.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod queue_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use queue_support::{Scene, mail, numbered, patch, text};

/// What changes the file system, but for the writing of files that have no name yet.
const CALLS: [&str; 12] = [
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
];

fn strace_works() -> bool {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    let works = traced.is_ok_and(|status| status.success());
    if !works {
        eprintln!("skipped: strace is not installed, or may not trace");
    }
    works
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let at = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &at),
            false => drop(fs::copy(entry.path(), &at).unwrap()),
        }
    }
}

fn restore(scene: &Scene, from: &Path) {
    for entry in fs::read_dir(scene.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
    copy(from, scene.dir.path());
}

/// Overlays and queues of all packages, and the pin.
fn state(scene: &Scene) -> BTreeMap<PathBuf, Vec<u8>> {
    let own = ["overlay.nix", "overlayctl.toml"].map(|file| (PathBuf::from(file), fs::read(scene.at(file)).unwrap()));
    let mut files = BTreeMap::from(own);
    let mut todo = vec![scene.at("patches")];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            // A file that was staged when the process was killed is no patch.
            if path.file_name().unwrap().to_str().unwrap().starts_with(".overlayctl-") {
            } else if path.is_dir() {
                todo.push(path);
            } else {
                files.insert(path.strip_prefix(scene.dir.path()).unwrap().to_path_buf(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Files and directories of ours that have a temporary name, and the journal.
fn left_behind(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(".overlayctl-") {
            found.push(path);
        } else if path.is_dir() {
            found.extend(left_behind(&path));
        }
    }
    found
}

fn killed_at(scene: &Scene, call: &str, n: usize, args: &[&str]) -> Output {
    let plain = scene.command(args);
    let mut command = Command::new("strace");
    command.args(["-q", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={call}:signal=SIGKILL:when={n}")]);
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(scene.dir.path());
    for (key, value) in plain.get_envs() {
        command.env(key, value.unwrap());
    }
    command.output().unwrap()
}

/// Kills a command at each of its calls. `again` is what the user does next, after which the queue is the new one.
fn killed_everywhere(scene: &Scene, args: &[&str], again: &[&str]) {
    let backup = tempfile::tempdir().unwrap();
    copy(scene.dir.path(), backup.path());
    let old = state(scene);
    let output = scene.try_run(args);
    let new = state(scene);
    assert!(output.status.code().is_some_and(|code| code < 2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let all = std::env::var_os("OVERLAYCTL_KILL_ALL").is_some();
    let (mut kills, mut went_on) = (0, 0);
    for call in CALLS {
        let mut n = 1;
        loop {
            restore(scene, backup.path());
            let output = killed_at(scene, call, n, args);
            if output.status.code().is_some_and(|code| code < 2) {
                break;
            }
            let stderr = String::from_utf8_lossy(&output.stderr);
            let place = format!("{args:?} killed at {call} {n}");
            assert!(!stderr.contains("panicked") && !stderr.contains("error["), "{place}: {stderr}");
            kills += 1;
            // A reader changes nothing, and says so when what it reads is a mix.
            let half = state(scene);
            let listed = scene.try_run(&["list"]);
            assert!(state(scene) == half, "{place}: `list` wrote");
            let is_said = String::from_utf8_lossy(&listed.stderr).contains("OV0008");
            assert!(half == old || half == new || is_said, "{place}: a mix, and nothing said of it");
            // What was begun is finished or forgotten, by a command that does nothing else.
            scene.run(0, &["recover"]);
            let now = state(scene);
            assert!(now == old || now == new, "{place}: a mix: {:?}", now.keys().collect::<Vec<_>>());
            if now == new && old != new {
                went_on += 1;
            } else {
                next(scene, again, &new, &place);
            }
            n += if all || n < 4 { 1 } else { n };
        }
    }
    println!("{args:?}: killed {kills} times, {went_on} times the new queue was in place");
    assert!(kills > 4, "{args:?}: it makes more calls than that");
    restore(scene, backup.path());
}

/// What the user does next goes through, and takes away what was left.
fn next(scene: &Scene, again: &[&str], new: &BTreeMap<PathBuf, Vec<u8>>, place: &str) {
    let mut next = scene.try_run(again);
    if String::from_utf8_lossy(&next.stderr).contains("OV1054") {
        // All was merged, and only the writing is left; that is what the message says.
        next = scene.try_run(&["rebase", "--continue"]);
    }
    let said = String::from_utf8_lossy(&next.stderr).into_owned();
    assert!(next.status.code().is_some_and(|code| code < 2), "{place}: then {again:?}: {said}");
    assert!(state(scene) == *new, "{place}: then {again:?}: {:?}", state(scene).keys().collect::<Vec<_>>());
    let left = left_behind(scene.dir.path());
    assert!(left.is_empty(), "{place}: left behind: {left:?}");
}

fn of(file: &str, line: u32) -> String {
    patch(file, line, "OURS", &mail(&format!("change {file}")))
}

#[test]
fn the_order_the_names_and_imports() {
    let Some(scene) = Scene::new().filter(|_| strace_works()) else { return };
    scene.queue(&["a.c", "b.c", "c.c"].map(|file| of(file, 10)));
    for args in [["reorder", "foo", "3", "1"], ["move", "foo", "3", "1"], ["rename", "foo", "2", "another name"]] {
        killed_everywhere(&scene, &args, &args);
    }
    scene.write("more/1.patch", &of("a.c", 20));
    scene.write("more/2.patch", &of("b.c", 20));
    let import = ["import", "foo", "more", "--offline"];
    killed_everywhere(&scene, &import, &import);
    // Into a queue that is not there yet: folder, files and the overlay's entry come into being together.
    let import = ["import", "bar", "more", "--offline"];
    killed_everywhere(&scene, &import, &import);
    let header = ["header", "foo", "1", "--set", "Upstream-Status=Denied"];
    killed_everywhere(&scene, &header, &header);
}

#[test]
fn refresh_rewrites_all_or_nothing() {
    let Some(scene) = Scene::new().filter(|_| strace_works()) else { return };
    scene.queue(&["a.c", "b.c", "c.c"].map(|file| of(file, 10)));
    let mut moved = numbered(1..31);
    moved.insert(0, "new first line".into());
    for file in ["a.c", "b.c", "c.c"] {
        scene.write(&format!("one/foo/{file}"), &text(&moved));
    }
    killed_everywhere(&scene, &["refresh"], &["refresh"]);
}

#[test]
fn finish_and_edit() {
    let Some(scene) = Scene::new().filter(|_| strace_works()) else { return };
    scene.queue(&["a.c", "b.c", "c.c"].map(|file| of(file, 10)));
    killed_everywhere(&scene, &["edit", "foo"], &["edit", "foo"]);
    scene.run(0, &["edit", "foo"]);
    // One goes, two come, so that the numbers change as well.
    let repository = scene.worktree();
    let back = repository.revparse_single("HEAD~2").unwrap();
    repository.reset(&back, git2::ResetType::Hard, None).unwrap();
    scene.commit("n.c", "x\n", "add n");
    scene.commit("dir/m.c", "x\n", "add m");
    killed_everywhere(&scene, &["finish", "foo", "--offline"], &["finish", "foo", "--offline"]);
}

#[test]
fn rebase_of_two_packages() {
    let Some(scene) = Scene::new().filter(|_| strace_works()) else { return };
    for (set, version) in [("one", "1.0"), ("two", "2.0")] {
        let both = queue_support::PACKAGES.replace("VERSION", version);
        let foo = both[both.find("foo =").unwrap()..both.find(" };\n  final").unwrap()].to_string();
        let bar = foo.replace("foo =", "bar =").replace("foo-", "bar-");
        scene.write(&format!("{set}/default.nix"), &both.replace(&foo, &format!("{foo} {bar}")));
    }
    for file in ["a.c", "b.c"] {
        scene.write("in/x.patch", &of(file, 10));
        for attr in ["foo", "bar"] {
            scene.run(0, &["patch", attr, "in/x.patch", "--offline"]);
        }
    }
    // a.c: upstream took it; b.c: it moved.
    let mut merged = numbered(1..31);
    merged[9] = "OURS".into();
    scene.write("two/foo/a.c", &text(&merged));
    let mut moved = numbered(1..31);
    moved.insert(0, "new first line".into());
    scene.write("two/foo/b.c", &text(&moved));
    killed_everywhere(&scene, &["rebase", "--to", "two"], &["rebase", "--to", "two"]);
    // The same in two steps, with a conflict between them.
    let mut conflict = moved;
    conflict[10] = "THEIRS".into();
    scene.write("two/foo/b.c", &text(&conflict));
    let begun = scene.json(1, &["rebase", "--to", "two"]);
    conflict[10] = "BOTH".into();
    for package in begun["packages"].as_array().unwrap() {
        fs::write(scene.at(package["dir"].as_str().unwrap()).join("b.c"), text(&conflict)).unwrap();
    }
    killed_everywhere(&scene, &["rebase", "--continue"], &["rebase", "--continue"]);
}

/// The pin is written with the queues: it is old with old queues, and new with new ones.
#[test]
fn bump_of_queue_and_pin() {
    let Some(scene) = Scene::new().filter(|_| strace_works()) else { return };
    scene.queue(&["a.c", "b.c", "c.c"].map(|file| of(file, 10)));
    scene.write("overlayctl.toml", "nixpkgs = \"./one\"\noverlays = [\"overlay.nix\"]\ntargets = [\"foo\"]\n");
    let mut merged = numbered(1..31);
    merged[9] = "OURS".into();
    scene.write("two/foo/a.c", &text(&merged));
    let mut moved = numbered(1..31);
    moved.insert(0, "new first line".into());
    scene.write("two/foo/b.c", &text(&moved));
    let bump = ["bump", "--to", "two", "--apply"];
    killed_everywhere(&scene, &bump, &bump);
    // In two steps, with a conflict between them.
    let mut conflict = moved;
    conflict[10] = "THEIRS".into();
    scene.write("two/foo/b.c", &text(&conflict));
    scene.run(1, &bump);
    conflict[10] = "BOTH".into();
    fs::write(scene.at(".overlayctl/rebase/foo/b.c"), text(&conflict)).unwrap();
    killed_everywhere(&scene, &["bump", "--continue"], &["bump", "--continue"]);
}
