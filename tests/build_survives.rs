//! What `build` survives: `kill -9`, Ctrl-C, a full disk, a second run beside it, a lock that another process holds.
//!
//! Builders leave marks outside the store, so that what was built how often is counted and not believed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod farm_support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use farm_support::{CHAIN, Scene, Set, anyone_at_work, kill_tree, signal};
use rustix::process::Signal;

/// Where a run is killed.
#[derive(Debug, Clone, Copy)]
enum Point {
    /// While targets are evaluated.
    Evaluating,
    /// When the build of this many has begun.
    Begun(usize),
    /// When the last build has ended: the link is not there yet, or just made.
    Ended,
}

const POINTS: [Point; 10] = [
    Point::Evaluating,
    Point::Begun(1),
    Point::Begun(2),
    Point::Begun(3),
    Point::Begun(4),
    Point::Begun(5),
    Point::Begun(6),
    Point::Begun(7),
    Point::Begun(8),
    Point::Ended,
];

fn slow() -> Set<'static> {
    Set { seconds: "0.3", ..Set::default() }
}

/// Kills a run at a point, runs again, and looks at what came of it.
fn killed_and_run_again(point: Point, with_children: bool) {
    let Some(scene) = Scene::new(&slow()) else { return };
    let mut child = scene.start(&["build", "program"]);
    match point {
        Point::Evaluating => std::thread::sleep(Duration::from_millis(150)),
        Point::Begun(n) => scene.wait_until(|s| s.begun() >= n),
        Point::Ended => scene.wait_until(|s| s.marks("ended").contains_key("program")),
    }
    if with_children {
        kill_tree(child.id());
    } else {
        signal(child.id(), Signal::KILL);
    }
    child.wait().unwrap();
    let case = format!("{point:?}, with children: {with_children}");
    if with_children {
        scene.wait_until(|s| anyone_at_work(s).is_empty());
    }
    let finished = scene.finished();
    let before = scene.marks("begun");
    let output = scene.run(&["build", "program"]);
    assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    let after = scene.marks("begun");
    for name in &finished {
        // Alone, Nix goes on to its end; then what it finishes is not built by the second run either.
        assert_eq!(before.get(name), after.get(name), "{case}: {name} was built twice");
    }
    for (name, count) in &after {
        assert!(*count <= 2, "{case}: {name} began {count} times");
    }
    if !with_children {
        assert!(after.values().all(|n| *n == 1), "{case}: Nix went on by itself, so each is built once: {after:?}");
    }
    let result = fs::read_link(scene.root.join("result-program")).unwrap();
    let text = fs::read_to_string(physical(&result)).unwrap();
    assert!(text.starts_with("program-1.0\nvendor-1.0\nrustc-1.0\n") && text.contains("one and a half\n"), "{text}");
    assert_eq!(scene.leftovers(), Vec::<std::path::PathBuf>::new(), "{case}");
    // Nothing is left to do.
    let (status, third) = scene.json(&["build", "program"]);
    assert_eq!((status, third["plan"]["build"].as_array().unwrap().len()), (0, 0), "{case}");
    assert_eq!(scene.marks("begun"), after, "{case}");
}

/// Returns where a store path is, in a store elsewhere too.
fn physical(path: &Path) -> std::path::PathBuf {
    let root = std::env::var("OVERLAYCTL_TEST_STORE").unwrap_or_else(|_| "/".into());
    if path.starts_with("/nix/store") { Path::new(&root).join(path.strip_prefix("/").unwrap()) } else { path.into() }
}

/// Runs the ten points, some at a time: a run sleeps more than it works.
fn at_every_point(with_children: bool) {
    for some in POINTS.chunks(5) {
        std::thread::scope(|scope| {
            for point in some {
                scope.spawn(move || killed_and_run_again(*point, with_children));
            }
        });
    }
}

#[test]
fn killed_alone_at_ten_points_nothing_finished_is_built_twice() {
    at_every_point(false);
}

#[test]
fn killed_with_its_children_at_ten_points_nothing_finished_is_built_twice() {
    at_every_point(true);
}

#[test]
fn ctrl_c_ends_the_children_and_keeps_what_is_finished() {
    let Some(scene) = Scene::new(&Set { seconds: "0.5", ..Set::default() }) else { return };
    let mut child = scene.start(&["build", "program"]);
    scene.wait_until(|s| s.begun() >= 4);
    let began = Instant::now();
    signal(child.id(), Signal::INT);
    let status = child.wait().unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(status.code(), Some(2), "{}{}", scene.said("stdout"), scene.said("stderr"));
    scene.wait_until(|s| anyone_at_work(s).is_empty());
    let said = scene.said("stdout");
    assert!(said.contains("interrupted: what is finished stays; run it again to go on"), "{said}");
    assert!(said.contains("not built program"), "{said}");
    // What was finished is known: its log, and how long it took.
    let log = fs::read_dir(scene.root.join(".overlayctl/logs")).unwrap().flatten().map(|e| e.file_name());
    assert!(log.map(|n| n.into_string().unwrap()).any(|n| n.starts_with("libc-1.0-")));
    let history = fs::read_to_string(scene.dir.path().join("state/overlayctl/history.json")).unwrap();
    assert!(history.contains("libc|"), "{history}");
    let finished = scene.finished();
    assert!(finished.contains("libc") && !finished.contains("program"), "{finished:?}");
    let before = scene.marks("begun");
    let again = scene.run(&["build", "program"]);
    assert!(again.status.success(), "{again:?}");
    let after = scene.marks("begun");
    assert!(finished.iter().all(|name| before.get(name) == after.get(name)), "{before:?} {after:?}");
    assert_eq!(scene.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn ctrl_c_while_evaluating_says_so() {
    let Some(scene) = Scene::new(&slow()) else { return };
    fs::write(scene.root.join("overlay.nix"), "final: prev: { libc = builtins.seq (builtins.foldl' (a: b: a + b) 0 (builtins.genList (i: i) 500000000)) prev.libc; }").unwrap();
    let mut child = scene.start(&["build", "program"]);
    std::thread::sleep(Duration::from_millis(700));
    signal(child.id(), Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(2));
    assert!(scene.said("stderr").contains("interrupted"), "{}", scene.said("stderr"));
    scene.wait_until(|s| anyone_at_work(s).is_empty());
}

#[test]
fn two_runs_at_once_build_each_derivation_once_and_both_end_well() {
    let Some(scene) = Scene::new(&slow()) else { return };
    let runs = [(); 2]
        .map(|()| scene.command(&["build", "program", "--json"]).stdout(std::process::Stdio::piped()).spawn().unwrap());
    for run in runs {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let begun = scene.marks("begun");
    assert!(begun.len() == CHAIN.len() && begun.values().all(|n| *n == 1), "{begun:?}");
    assert!(scene.root.join("result-program").is_symlink());
    assert_eq!(scene.leftovers(), Vec::<std::path::PathBuf>::new());
    // Both know how long it took, and neither lost what the other recorded.
    let (_, plan) = scene.json(&["build", "program", "--dry-run"]);
    assert_eq!(plan["plan"]["there"], 8);
    let history = fs::read_to_string(scene.dir.path().join("state/overlayctl/history.json")).unwrap();
    assert!(CHAIN.iter().all(|name| history.contains(&format!("\"{name}|"))), "{history}");
}

#[test]
fn a_lock_that_another_process_holds_is_waited_for_and_named() {
    let Some(scene) = Scene::new(&Set { seconds: "3", ..Set::default() }) else { return };
    let mut first = scene.start(&["build", "libc"]);
    scene.wait_until(|s| s.begun() == 1);
    let second = scene.run(&["build", "libc"]);
    assert!(first.wait().unwrap().success() && second.status.success());
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("waiting for lock on") && said.contains("libc-1.0"), "{said}");
    assert_eq!(scene.begun(), 1);
}

#[test]
fn a_full_disk_is_said_and_nothing_is_lost() {
    let Some(dir) = tempfile::tempdir().ok() else { return };
    let root = dir.path().join("small");
    fs::create_dir(&root).unwrap();
    let mount = |args: &[&str]| Command::new("mount").args(args).arg(&root).output().is_ok_and(|o| o.status.success());
    if !mount(&["-t", "tmpfs", "-o", "size=64k,nr_inodes=24", "tmpfs"]) {
        return eprintln!("skipped: a tmpfs cannot be mounted here");
    }
    struct Mounted(std::path::PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(&self.0).output();
        }
    }
    let _mounted = Mounted(root.clone());
    if Scene::new(&slow()).is_none() {
        return;
    }
    // A log of 100 KiB each does not fit.
    let scene = Scene::at(dir, root.clone(), &Set { lines: 1500, ..slow() });
    let output = scene.run(&["build", "program"]);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "the link still fits: {out}{err}");
    assert!(err.contains("OV1150") && err.contains("No space left on device"), "{err}");
    assert!(root.join("result-program").is_symlink());
    // Now there is no room for a link either.
    fs::remove_file(root.join("result-program")).unwrap();
    let filled = (0..).take_while(|n| fs::File::create(root.join(format!("filler-{n}"))).is_ok()).count();
    let output = scene.run(&["build", "program"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("No space left on device") && err.contains("result-program"), "{err}");
    assert_eq!(scene.marks("begun").values().max(), Some(&1), "what was built stays built");
    for n in 0..filled {
        fs::remove_file(root.join(format!("filler-{n}"))).unwrap();
    }
    let again = scene.run(&["build", "program"]);
    assert!(again.status.success(), "{again:?}");
    assert!(root.join("result-program").is_symlink());
    assert_eq!(scene.marks("begun").values().max(), Some(&1));
}
