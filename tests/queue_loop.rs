//! The loop of a patch queue on a small package set: check, edit, finish, import, export, reorder, refresh, rebase.
//!
//! Everything goes through the program, with real Nix (which evaluates; nothing is built) and real repositories. Skipped,
//! and said so, where there is no Nix.

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
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const PACKAGES: &str = r#"{ overlays ? [ ], ... }:
let
  mkDerivation = attrs: derivation ({
    system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
  } // attrs) // { overrideAttrs = f: mkDerivation (attrs // f attrs); };
  packages = { foo = mkDerivation { name = "foo-VERSION"; version = "VERSION"; src = ./foo; patches = [ ./own.patch ]; }; };
  final = builtins.foldl' (set: overlay: set // overlay final set) packages overlays;
in final
"#;

/// nixpkgs' own patch: the queue applies behind it.
const OWN: &str = "--- a/own.c\n+++ b/own.c\n@@ -1 +1 @@\n-plain\n+patched by nixpkgs\n";

struct Scene {
    dir: tempfile::TempDir,
}

fn numbered(lines: std::ops::Range<u32>) -> Vec<String> {
    lines.map(|n| format!("line {n}")).collect()
}

fn text(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

/// A patch that changes one line of `file`, made against lines `1..=30`.
fn patch(file: &str, line: u32, new: &str, head: &str) -> String {
    let context = |range: std::ops::Range<u32>| range.map(|n| format!(" line {n}\n")).collect::<String>();
    format!(
        "{head}--- a/{file}\n+++ b/{file}\n@@ -{0},7 +{0},7 @@\n{1}-line {line}\n+{new}\n{2}",
        line - 3,
        context(line - 3..line),
        context(line + 1..line + 4)
    )
}

fn mail(subject: &str) -> String {
    format!(
        "From: Ada <ada@example.org>\nDate: Mon, 1 Jan 2024 10:00:00 +0100\nSubject: [PATCH] {subject}\n\nUpstream-Status: Pending\nSigned-off-by: Ada <ada@example.org>\n---\n"
    )
}

impl Scene {
    /// Makes a workspace with two package sets; `None`, and said so, without Nix.
    fn new() -> Option<Scene> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|dir| dir.join("nix").is_file()) {
            eprintln!("skipped: nix is not installed");
            return None;
        }
        let scene = Scene { dir: tempfile::tempdir().unwrap() };
        for (set, version) in [("one", "1.0"), ("two", "2.0")] {
            scene.write(&format!("{set}/default.nix"), &PACKAGES.replace("VERSION", version));
            scene.write(&format!("{set}/own.patch"), OWN);
            scene.write(&format!("{set}/foo/own.c"), "plain\n");
            for file in ["a.c", "b.c", "c.c"] {
                scene.write(&format!("{set}/foo/{file}"), &text(&numbered(1..31)));
            }
        }
        scene.write("overlay.nix", "final: prev: {\n}\n");
        scene.write("overlayctl.toml", "nixpkgs = \"./one\"\noverlays = [\"overlay.nix\"]\n");
        Some(scene)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = support::overlayctl(self.dir.path());
        command.args(args);
        command
    }

    fn try_run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs the program; its status has to be `status`.
    fn run(&self, status: i32, args: &[&str]) -> String {
        let output = self.try_run(args);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{args:?}\n{out}\n{err}");
        out.into_owned()
    }

    fn json(&self, status: i32, args: &[&str]) -> serde_json::Value {
        let mut args = args.to_vec();
        args.push("--json");
        serde_json::from_str(&self.run(status, &args)).unwrap()
    }

    /// Puts patches on `foo`.
    fn queue(&self, patches: &[String]) {
        for (i, text) in patches.iter().enumerate() {
            self.write(&format!("in/{i}.patch"), text);
            self.run(0, &["patch", "foo", &format!("in/{i}.patch"), "--offline"]);
        }
    }

    /// Returns the overlay and the files of the queue.
    fn state(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::from([(PathBuf::from("overlay.nix"), fs::read(self.at("overlay.nix")).unwrap())]);
        for entry in fs::read_dir(self.at("patches/foo")).into_iter().flatten() {
            let path = entry.unwrap().path();
            // A file that was staged when the process was killed is no patch of the queue.
            if path.file_name().unwrap().to_str().unwrap().starts_with(".overlayctl-") {
                continue;
            }
            files.insert(path.strip_prefix(self.dir.path()).unwrap().to_path_buf(), fs::read(&path).unwrap());
        }
        files
    }

    fn names(&self) -> Vec<String> {
        let state = self.state();
        let names = state.keys().filter(|p| p.starts_with("patches"));
        names.map(|p| p.file_name().unwrap().to_str().unwrap().to_string()).collect()
    }

    /// The files that the overlay names are the files of the queue, in their order.
    fn assert_in_step(&self) {
        let listed = self.json(0, &["list", "foo"]);
        let empty = Vec::new();
        let patches = listed["packages"][0]["patches"].as_array().unwrap_or(&empty);
        let listed: Vec<String> = patches
            .iter()
            .map(|p| Path::new(p["path"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_string())
            .collect();
        assert_eq!(listed, self.names());
    }

    fn worktree(&self) -> git2::Repository {
        git2::Repository::open(self.at(".overlayctl/edit/foo")).unwrap()
    }

    fn commit(&self, file: &str, text: &str, message: &str) {
        self.write(&format!(".overlayctl/edit/foo/{file}"), text);
        let repository = self.worktree();
        let mut index = repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.write().unwrap();
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let by = git2::Signature::new("Bea", "bea@example.org", &git2::Time::new(1_700_000_000, -330)).unwrap();
        let parent = repository.head().unwrap().peel_to_commit().unwrap();
        repository.commit(Some("HEAD"), &by, &by, message, &tree, &[&parent]).unwrap();
    }

    fn tree_id(&self) -> git2::Oid {
        self.worktree().head().unwrap().peel_to_tree().unwrap().id()
    }
}

#[test]
fn check_tells_every_class_apart() {
    let Some(scene) = Scene::new() else { return };
    let mut moved = numbered(1..31);
    moved.insert(0, "new first line".into());
    scene.write("one/foo/offset.c", &text(&moved));
    let mut other = numbered(1..31);
    other[6] = "other context".into();
    scene.write("one/foo/fuzz.c", &text(&other));
    let mut merged = numbered(1..31);
    merged[9] = "NEW".into();
    scene.write("one/foo/merged.c", &text(&merged));
    let mut conflict = numbered(1..31);
    conflict[9] = "something else".into();
    scene.write("one/foo/conflict.c", &text(&conflict));
    scene.write("one/foo/partly.c", &text(&merged));
    let partly = patch("partly.c", 10, "NEW", "") + &patch("a.c", 20, "NEW", "");
    let class = |file: &str| patch(file, 10, "NEW", &mail(file));
    scene.queue(&[
        class("a.c"),
        class("offset.c"),
        class("fuzz.c"),
        class("merged.c"),
        partly,
        class("conflict.c"),
        class("gone.c"),
        "--- a/own.c\n+++ b/own.c\n@@ -1 +1 @@\n-patched by nixpkgs\n+and by us\n".to_string(),
    ]);
    let before = scene.state();
    let checked = scene.json(1, &["check"]);
    let states: Vec<&str> =
        checked["packages"][0]["patches"].as_array().unwrap().iter().map(|p| p["state"].as_str().unwrap()).collect();
    assert_eq!(
        states,
        ["clean", "offset", "fuzz", "already-upstream", "partly-upstream", "conflict", "file-gone", "clean"]
    );
    assert_eq!(scene.state(), before, "check writes nothing");
    for name in scene.names().into_iter().filter(|name| ["0004", "0005", "0006", "0007"].contains(&&name[..4])) {
        scene.run(0, &["unpatch", "foo", &name]);
    }
    scene.assert_in_step();
    assert_eq!(scene.names().len(), 4);
    scene.run(1, &["check", "foo"]);
    scene.run(0, &["check", "foo", "--allow-fuzz"]);
    // Refreshed, all fit at their lines; headers stay.
    scene.run(1, &["refresh", "foo"]);
    scene.run(0, &["refresh", "foo", "--allow-fuzz"]);
    let checked = scene.json(0, &["check"]);
    let all = checked["packages"][0]["patches"].as_array().unwrap();
    assert!(all.iter().all(|p| p["state"] == "clean"), "{checked}");
    assert!(scene.read("patches/foo/0002-offset.c.patch").starts_with(&mail("offset.c")));
    scene.run(0, &["refresh", "foo", "--allow-fuzz"]);
}

#[test]
fn edit_and_finish_go_round() {
    let Some(scene) = Scene::new() else { return };
    let a = patch("a.c", 10, "A", &mail("change a"));
    let b = patch("b.c", 10, "B", "Free text, no author.\n\n");
    scene.queue(&[a.clone(), b.clone()]);
    let before = scene.state();
    scene.run(0, &["edit", "foo"]);
    let log = |scene: &Scene| -> Vec<(String, String, i64)> {
        let repository = scene.worktree();
        let mut walk = repository.revwalk().unwrap();
        walk.push_head().unwrap();
        walk.map(|id| {
            let commit = repository.find_commit(id.unwrap()).unwrap();
            let by = commit.author();
            let author = String::from_utf8_lossy(by.name_bytes()).into_owned();
            let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
            (message.lines().next().unwrap().to_string(), author, by.when().seconds())
        })
        .collect()
    };
    let commits = log(&scene);
    assert_eq!(commits[1], ("change a".into(), "Ada".into(), 1_704_099_600));
    assert_eq!(commits.len(), 4, "source, nixpkgs' own patch, two of ours: {commits:?}");
    assert_eq!(scene.read(".overlayctl/edit/foo/own.c"), "patched by nixpkgs\n");
    // Nothing done, nothing changed.
    assert!(scene.json(0, &["finish", "foo"])["unchanged"].as_bool().unwrap());
    assert_eq!(scene.state(), before);
    // What is not committed is no patch.
    scene.write(".overlayctl/edit/foo/c.c", "loose\n");
    assert!(String::from_utf8_lossy(&scene.try_run(&["finish", "foo"]).stderr).contains("OV1049"));
    scene.commit("c.c", "all new\n", "change c\n\nBecause.\n\nUpstream-Status: Submitted [list]\n");
    scene.commit("dir/new.c", "new file, no end of line", "add a file");
    scene.run(0, &["finish", "foo"]);
    assert_eq!(scene.names().len(), 4);
    scene.assert_in_step();
    assert_eq!(scene.read("patches/foo/0001-change-a.patch"), a);
    assert_eq!(scene.read("patches/foo/0002-Free-text-no-author.patch"), b);
    let c = scene.read("patches/foo/0003-change-c.patch");
    assert!(c.starts_with("From: Bea <bea@example.org>\nDate: Tue, 14 Nov 2023 16:43:20 -0530\nSubject: change c\n\nBecause.\n\nUpstream-Status: Submitted [list]\n---\ndiff "), "{c}");
    // Again: nothing. And a new worktree has the same files.
    let finished = scene.state();
    assert!(scene.json(0, &["finish", "foo"])["unchanged"].as_bool().unwrap());
    let tree = scene.tree_id();
    scene.run(0, &["edit", "foo"]);
    assert_eq!(scene.tree_id(), tree);
    assert!(scene.json(0, &["finish", "foo"])["unchanged"].as_bool().unwrap());
    assert_eq!(scene.state(), finished);
    // A queue that changed meanwhile is not overwritten.
    scene.write("patches/foo/0001-change-a.patch", &a.replace("+A", "+AA"));
    assert!(String::from_utf8_lossy(&scene.try_run(&["finish", "foo"]).stderr).contains("OV1055"));
    scene.write("patches/foo/0001-change-a.patch", &a);
    // Two commits dropped: the queue is what it was at first, to the byte.
    let repository = scene.worktree();
    let back = repository.revparse_single("HEAD~2").unwrap();
    repository.reset(&back, git2::ResetType::Hard, None).unwrap();
    scene.run(0, &["finish", "foo"]);
    assert_eq!(scene.state(), before);
    scene.run(0, &["finish", "foo", "--abort"]);
    assert!(!scene.at(".overlayctl/edit/foo").exists());
    assert_eq!(scene.state(), before);
}

#[test]
fn killed_at_any_moment_all_is_old_or_all_is_new() {
    let Some(scene) = Scene::new() else { return };
    scene.queue(&[patch("a.c", 10, "A", &mail("a")), patch("b.c", 10, "B", &mail("b"))]);
    scene.run(0, &["edit", "foo"]);
    let old = scene.state();
    for i in 0..6 {
        scene.commit(&format!("n{i}.c"), "x\n", &format!("add n{i}"));
    }
    let dry = scene.json(0, &["finish", "foo", "--dry-run"]);
    let count = dry["patches"].as_array().unwrap().len();
    let mut killed = 0;
    for round in 0..12u64 {
        let mut child = scene.command(&["finish", "foo"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(3_000 + round * 2_500));
        let _ = child.kill();
        killed += i32::from(child.wait().unwrap().code().is_none());
        // The next run of any command finishes or forgets what was begun.
        scene.run(0, &["list"]);
        let now = scene.state();
        let is_new = scene.names().len() == count;
        assert!(now == old || is_new, "a mix after round {round}: {:?}", scene.names());
        scene.assert_in_step();
        if is_new {
            // Back to the old queue for another round.
            let repository = scene.worktree();
            let tip = repository.head().unwrap().peel_to_commit().unwrap().id();
            let base = repository.revparse_single("HEAD~6").unwrap();
            repository.reset(&base, git2::ResetType::Hard, None).unwrap();
            scene.run(0, &["finish", "foo"]);
            assert_eq!(scene.state(), old);
            repository.reset(&repository.find_object(tip, None).unwrap(), git2::ResetType::Hard, None).unwrap();
        }
    }
    println!("killed in {killed} of 12 rounds");
}

#[test]
fn import_and_export_come_back_to_the_same_bytes() {
    let Some(scene) = Scene::new() else { return };
    let (a, b) =
        (patch("a.c", 10, "A", &mail("change a")), patch("b.c", 10, "B", "Description: change b\nAuthor: X <x@y>\n\n"));
    scene.write("debian/patches/a.patch", &a);
    scene.write("debian/patches/sub/b.diff", &b);
    scene.write("debian/patches/series", "# ours\na.patch\nsub/b.diff -p1\n");
    scene.run(0, &["import", "foo", "debian/patches", "--offline"]);
    scene.assert_in_step();
    let imported = scene.state();
    assert_eq!(scene.json(0, &["import", "foo", "debian/patches", "--offline"])["already"], 2);
    assert_eq!(scene.state(), imported);
    scene.run(0, &["check"]);
    scene.run(0, &["export", "foo", "--quilt", "out/quilt"]);
    scene.run(0, &["export", "foo", "--mbox", "out/all.mbox"]);
    let bytes = |scene: &Scene| {
        scene.state().into_iter().filter(|(p, _)| p.starts_with("patches")).map(|(_, b)| b).collect::<Vec<_>>()
    };
    let queue = bytes(&scene);
    assert_eq!(queue, [a.into_bytes(), b.into_bytes()]);
    for from in ["out/quilt", "out/all.mbox"] {
        scene.run(0, &["unpatch", "foo"]);
        assert!(scene.names().is_empty());
        scene.run(0, &["import", "foo", from, "--offline"]);
        assert_eq!(bytes(&scene), queue, "{from}");
    }
    // As commits of a repository, and from there again.
    let repository = git2::Repository::init(scene.at("upstream")).unwrap();
    for file in ["own.c", "a.c", "b.c", "c.c"] {
        fs::copy(scene.at(&format!("one/foo/{file}")), scene.at(&format!("upstream/{file}"))).unwrap();
    }
    let mut index = repository.index().unwrap();
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let by = git2::Signature::new("U", "u@example.org", &git2::Time::new(1, 0)).unwrap();
    repository.commit(Some("HEAD"), &by, &by, "v1", &tree, &[]).unwrap();
    scene.run(0, &["export", "foo", "--branch", "ours", "--repo", "upstream"]);
    scene.run(0, &["unpatch", "foo"]);
    scene.run(0, &["import", "foo", "upstream..HEAD..ours", "--offline"]);
    assert_eq!(scene.names(), ["0001-change-a.patch", "0002-change-b.patch"]);
    assert!(scene.read("patches/foo/0001-change-a.patch").contains("Upstream-Status: Pending\nSigned-off-by: Ada"));
    scene.run(0, &["check"]);
    assert!(String::from_utf8_lossy(&scene.try_run(&["import", "foo", "nowhere"]).stderr).contains("OV1052"));
}

#[test]
fn the_order_and_the_names_change_with_the_overlay() {
    let Some(scene) = Scene::new() else { return };
    scene.queue(&["a.c", "b.c", "c.c"].map(|f| patch(f, 10, "X", &mail(&format!("change {f}")))));
    let before = scene.state();
    scene.run(0, &["move", "foo", "3", "1"]);
    assert_eq!(scene.names(), ["0001-change-c.c.patch", "0002-change-a.c.patch", "0003-change-b.c.patch"]);
    scene.assert_in_step();
    scene.run(0, &["reorder", "foo", "2", "3"]);
    assert_eq!(scene.state(), before);
    scene.run(0, &["rename", "foo", "2", "the b change"]);
    assert_eq!(scene.names()[1], "0002-the-b-change.patch");
    scene.assert_in_step();
    scene.run(0, &["rename", "foo", "2", "0002-change-b.c.patch"]);
    assert_eq!(scene.state(), before);
    let dry = scene.json(0, &["move", "foo", "1", "2", "--dry-run"]);
    assert_eq!(dry["patches"].as_array().unwrap().len(), 3);
    assert_eq!(scene.state(), before);
    scene.run(2, &["move", "foo", "9", "1"]);
    scene.run(0, &["check"]);
}

#[test]
fn rebase_merges_drops_refreshes_and_stops_at_conflicts() {
    let Some(scene) = Scene::new() else { return };
    let of = |file: &str| patch(file, 10, "OURS", &mail(&format!("change {file}")));
    scene.queue(&["a.c", "b.c", "c.c"].map(of));
    let before = scene.state();
    // a.c: upstream took the patch; b.c: it moved; c.c: upstream changed the same line.
    let mut a = numbered(1..31);
    a[9] = "OURS".into();
    scene.write("two/foo/a.c", &text(&a));
    let mut b = numbered(1..31);
    b.splice(0..0, numbered(100..105));
    scene.write("two/foo/b.c", &text(&b));
    let mut c = numbered(1..31);
    c[9] = "THEIRS".into();
    scene.write("two/foo/c.c", &text(&c));
    let states = |value: &serde_json::Value| -> Vec<String> {
        let patches = value["packages"][0]["patches"].as_array().unwrap();
        patches.iter().map(|p| p["state"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(states(&scene.json(1, &["rebase", "--to", "two", "--dry-run"])), ["merged", "rebased", "conflict"]);
    assert_eq!(scene.state(), before);
    assert!(!scene.at(".overlayctl/rebase").exists());
    let begun = scene.json(1, &["rebase", "--to", "two"]);
    assert_eq!(states(&begun), ["merged", "rebased", "conflict"]);
    assert_eq!(scene.state(), before, "nothing changes before the end");
    let file = scene.at(begun["packages"][0]["dir"].as_str().unwrap()).join("c.c");
    let marked = fs::read_to_string(&file).unwrap();
    assert!(marked.contains("<<<<<<< foo-2.0\nTHEIRS\n=======\nOURS\n>>>>>>> the patch\n"), "{marked}");
    // Not resolved, not gone on with; given up, all is as it was.
    scene.run(2, &["rebase", "--continue"]);
    scene.run(2, &["rebase", "--to", "two"]);
    scene.run(0, &["rebase", "--abort"]);
    assert_eq!(scene.state(), before);
    scene.run(2, &["rebase", "--continue"]);
    // Again, resolved.
    scene.run(1, &["rebase", "--to", "two"]);
    c[9] = "BOTH".into();
    fs::write(&file, text(&c)).unwrap();
    let done = scene.json(0, &["rebase", "--continue"]);
    assert_eq!(states(&done), ["merged", "rebased", "rebased"]);
    assert!(done["written"].as_bool().unwrap());
    assert_eq!(scene.names(), ["0002-change-b.c.patch", "0003-change-c.c.patch"]);
    scene.assert_in_step();
    let b = scene.read("patches/foo/0002-change-b.c.patch");
    assert_eq!(b, of("b.c").replace("@@ -7,7 +7,7 @@", "@@ -12,7 +12,7 @@"), "only the numbers changed");
    assert!(scene.read("patches/foo/0003-change-c.c.patch").contains("-THEIRS\n+BOTH\n"));
    let checked = scene.json(0, &["check", "--nixpkgs", "two"]);
    assert!(states(&checked).iter().all(|s| s == "clean"), "{checked}");
    assert!(!scene.at(".overlayctl/rebase").exists());
    // The same source: nothing to do. A package that is gone: said.
    let same = scene.json(0, &["rebase", "--from", "two", "--to", "two"]);
    assert_eq!(same["packages"][0]["sameSource"], true);
    scene.write("two/default.nix", &PACKAGES.replace("foo =", "fooo ="));
    let gone = scene.json(1, &["rebase", "--from", "one", "--to", "two"]);
    assert_eq!(gone["packages"][0]["failure"]["code"], "OV1011");
    assert!(gone["packages"][0]["failure"]["hint"].as_str().unwrap().contains("fooo"), "{gone}");
    // Skipped patches are dropped.
    scene.write("two/default.nix", &PACKAGES.replace("VERSION", "2.0"));
    scene.write("overlay.nix", std::str::from_utf8(&before[Path::new("overlay.nix")]).unwrap());
    for (path, bytes) in &before {
        fs::write(scene.at(path.to_str().unwrap()), bytes).unwrap();
    }
    scene.run(1, &["rebase", "--to", "two"]);
    assert_eq!(states(&scene.json(0, &["rebase", "--skip"])), ["merged", "rebased", "skipped"]);
    assert_eq!(scene.names(), ["0002-change-b.c.patch"]);
    scene.assert_in_step();
}

#[test]
fn headers_are_linted_edited_and_summed_up() {
    let Some(scene) = Scene::new() else { return };
    let cve = mail("fix CVE-2024-12345")
        .replace("Upstream-Status: Pending", "Upstream-Status: Backport [abc]\nCVE: CVE-2024-12345");
    let good = patch("a.c", 10, "A", &cve);
    scene.queue(&[good.clone(), patch("gone.c", 10, "B", "Something.\n\n")]);
    let linted = scene.json(1, &["lint", "--patches"]);
    assert_eq!(linted["packages"][0]["cves"], serde_json::json!(["CVE-2024-12345"]));
    let codes = |at: usize| -> Vec<String> {
        let findings = linted["packages"][0]["patches"][at]["findings"].as_array().unwrap();
        findings.iter().map(|f| f["code"].as_str().unwrap().to_string()).collect()
    };
    assert!(codes(0).is_empty(), "{linted}");
    assert_eq!(codes(1), ["OV0241", "OV0242", "OV0244"]);
    let status = scene.json(0, &["status"]);
    let first = &status["packages"][0]["patches"][0];
    assert_eq!(first["applies"], "clean");
    assert_eq!(first["upstreamStatus"]["status"], "backport");
    assert_eq!(first["owner"], "Ada <ada@example.org>");
    assert!(first["ageDays"].as_i64().unwrap() > 300);
    assert_eq!(status["packages"][0]["patches"][1]["applies"], "file-gone");
    assert!(scene.json(0, &["status", "--offline"])["packages"][0]["patches"][0]["applies"].is_null());
    // An edit changes its line and no other byte; a second one changes nothing.
    let edit = ["header", "foo", "1", "--set", "Upstream-Status=Submitted [list]"];
    scene.run(0, &edit);
    let path = "patches/foo/0001-fix-CVE-2024-12345.patch";
    assert_eq!(scene.read(path), good.replace("Backport [abc]", "Submitted [list]"));
    assert_eq!(scene.json(0, &edit)["files"], serde_json::json!([]));
    scene.run(0, &["header", "foo", "1", "--set", "Upstream-Status=Backport [abc]"]);
    assert_eq!(scene.read(path), good);
    scene.run(2, &["header", "foo", "1", "--set", "no value"]);
    scene.run(2, &["header", "foo", "7"]);
}

/// Two packages in one overlay file: the second queue must not undo what the first wrote.
#[test]
fn two_queues_in_one_overlay_are_rebased_together() {
    let Some(scene) = Scene::new() else { return };
    for (set, version) in [("one", "1.0"), ("two", "2.0")] {
        let both = PACKAGES.replace("VERSION", version);
        let foo = both[both.find("foo =").unwrap()..both.find(" };\n  final").unwrap()].to_string();
        let bar = foo.replace("foo =", "bar =").replace("foo-", "bar-");
        scene.write(&format!("{set}/default.nix"), &both.replace(&foo, &format!("{foo} {bar}")));
    }
    for file in ["a.c", "b.c"] {
        scene.write("in/x.patch", &patch(file, 10, "OURS", &mail(&format!("change {file}"))));
        for attr in ["foo", "bar"] {
            scene.run(0, &["patch", attr, "in/x.patch", "--offline"]);
        }
    }
    let mut merged = numbered(1..31);
    merged[9] = "OURS".into();
    scene.write("two/foo/a.c", &text(&merged));
    let mut conflict = numbered(1..31);
    conflict[9] = "THEIRS".into();
    scene.write("two/foo/b.c", &text(&conflict));
    let begun = scene.json(1, &["rebase", "--to", "two"]);
    // One is resolved by a commit of the user's, the other by files that are only changed.
    conflict[9] = "BOTH".into();
    for (i, package) in begun["packages"].as_array().unwrap().iter().enumerate() {
        let dir = scene.at(package["dir"].as_str().unwrap());
        fs::write(dir.join("b.c"), text(&conflict)).unwrap();
        if i == 0 {
            let repository = git2::Repository::open(&dir).unwrap();
            let mut index = repository.index().unwrap();
            index.add_path(Path::new("b.c")).unwrap();
            index.write().unwrap();
            let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
            let by = git2::Signature::new("Bea", "bea@example.org", &git2::Time::new(1_700_000_000, 0)).unwrap();
            let parent = repository.head().unwrap().peel_to_commit().unwrap();
            repository.commit(Some("HEAD"), &by, &by, "my own words\n", &tree, &[&parent]).unwrap();
        }
    }
    let done = scene.json(0, &["rebase", "--continue"]);
    assert!(done["written"].as_bool().unwrap(), "{done}");
    let overlay = scene.read("overlay.nix");
    for attr in ["foo", "bar"] {
        let names: Vec<String> = fs::read_dir(scene.at(&format!("patches/{attr}")))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 1, "{attr}: {names:?}");
        assert_eq!(overlay.matches(&format!("patches/{attr}/")).count(), 1, "{overlay}");
        assert!(overlay.contains(&format!("./patches/{attr}/{}", names[0])), "{overlay}");
    }
    assert!(scene.at("patches/bar").join("0001-my-own-words.patch").is_file());
    let checked = scene.json(0, &["check", "--nixpkgs", "two"]);
    assert_eq!(checked["packages"].as_array().unwrap().len(), 2);
}

/// An address is fetched by Nix; a file that promises an archive and is none is refused.
#[test]
fn addresses_and_damaged_sources() {
    let Some(scene) = Scene::new() else { return };
    scene.write("in/x.patch", &patch("a.c", 10, "X", &mail("change a")));
    let address = format!("file://{}", scene.at("in/x.patch").display());
    scene.run(0, &["import", "foo", &address, "--offline"]);
    assert_eq!(scene.names(), ["0001-change-a.patch"]);
    scene.run(0, &["check"]);
    scene.write("one/broken.tar.gz", "");
    scene.write("one/default.nix", &PACKAGES.replace("./foo", "./broken.tar.gz"));
    let checked = scene.json(1, &["check"]);
    assert_eq!(checked["packages"][0]["failure"]["code"], "OV1041", "{checked}");
    assert!(String::from_utf8_lossy(&scene.try_run(&["edit", "foo"]).stderr).contains("OV1041"));
    assert!(!scene.at(".overlayctl/edit/foo").exists());
}

/// The packages of the demo, whose sources are real releases.
#[test]
fn the_packages_of_the_demo_go_round() {
    let Some(scene) = Scene::new() else { return };
    scene.run(0, &["init", "--demo", "demo"]);
    let demo = |args: &[&str]| {
        let mut all = vec!["-C", "demo"];
        all.extend_from_slice(args);
        scene.try_run(&all)
    };
    let json = |output: &Output| -> serde_json::Value { serde_json::from_slice(&output.stdout).unwrap() };
    for attr in ["musl", "bzip2", "lua", "pcre2"] {
        let edited = demo(&["edit", attr, "--json"]);
        if String::from_utf8_lossy(&edited.stdout).contains("OV1044") {
            eprintln!("skipped: {attr}: its source is not in the store and cannot be fetched");
            continue;
        }
        let overlay = scene.read("demo/overlays/default.nix");
        let dir = scene.at("demo/.overlayctl/edit").join(attr);
        let repository = git2::Repository::open(&dir).unwrap();
        let by = git2::Signature::new("Bea", "bea@example.org", &git2::Time::new(1_700_000_000, 60)).unwrap();
        let mut index = repository.index().unwrap();
        let path = index.iter().map(|e| String::from_utf8(e.path).unwrap()).find(|p| p.ends_with(".c")).unwrap();
        for line in ["/* one */", "/* two */"] {
            let old = fs::read_to_string(dir.join(&path)).unwrap();
            fs::write(dir.join(&path), format!("{line}\n{old}")).unwrap();
            index.add_path(Path::new(&path)).unwrap();
            let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
            let parent = repository.head().unwrap().peel_to_commit().unwrap();
            let message = format!("add {line}\n\nSigned-off-by: Bea <bea@example.org>\n");
            repository.commit(Some("HEAD"), &by, &by, &message, &tree, &[&parent]).unwrap();
        }
        index.write().unwrap();
        let tree = |repository: &git2::Repository| repository.head().unwrap().peel_to_tree().unwrap().id();
        let wanted = tree(&repository);
        let finish = ["finish", attr, "--overlay", "overlays/default.nix", "--json"];
        let finished = demo(&finish);
        assert!(finished.status.success(), "{}", String::from_utf8_lossy(&finished.stdout));
        assert_eq!(json(&demo(&finish))["unchanged"], true);
        assert!(demo(&["check", attr]).status.success());
        assert!(demo(&["edit", attr]).status.success());
        let repository = git2::Repository::open(&dir).unwrap();
        assert_eq!(tree(&repository), wanted);
        let commit = repository.head().unwrap().peel_to_commit().unwrap();
        assert_eq!((commit.author().when().seconds(), commit.author().when().offset_minutes()), (1_700_000_000, 60));
        assert!(String::from_utf8_lossy(commit.message_bytes()).contains("Signed-off-by: Bea"));
        // Without the commits the overlay is what it was.
        let base = repository.revparse_single("HEAD~2").unwrap();
        repository.reset(&base, git2::ResetType::Hard, None).unwrap();
        assert!(demo(&finish).status.success());
        assert_eq!(scene.read("demo/overlays/default.nix"), overlay, "{attr}");
    }
}
