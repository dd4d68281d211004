//! Names of files that are no UTF-8, against GNU patch and git: read, applied and written as bytes, from the source to the queue and back.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects")]

mod queue_support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use overlayctl::patch::{MemoryTree, Options, PatchFile, REGULAR, apply, bytes_of, diff_trees, path_of};
use queue_support::{Scene, mail, numbered, text};

/// In Latin-1.
const NAME: &[u8] = b"caf\xe9 1.c";

fn run(program: &str, args: &[&str], dir: &Path, input: &[u8]) -> bool {
    fs::write(dir.join("../input"), input).unwrap();
    let stdin = fs::File::open(dir.join("../input")).unwrap();
    let output = Command::new(program).args(args).current_dir(dir).stdin(stdin).output().unwrap();
    output.status.success()
}

fn there() -> bool {
    let found = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let both = found("patch") && found("git");
    if !both {
        eprintln!("skipped: `patch` or `git` is not installed");
    }
    both
}

#[test]
fn read_applied_and_written_as_gnu_patch_and_git_do() {
    if !there() {
        return;
    }
    let hunk = b"@@ -1 +1 @@\n-old\n+new\n";
    let raw = [b"--- a/", NAME, b"\t\n+++ b/", NAME, b"\t\n", hunk].concat();
    let quoted = [
        &b"diff --git \"a/caf\\351 1.c\" \"b/caf\\351 1.c\"\n--- \"a/caf\\351 1.c\"\n+++ \"b/caf\\351 1.c\"\n"[..],
        hunk,
    ]
    .concat();
    let path = path_of(NAME).unwrap();
    let tree = |text: &str| {
        let mut tree = MemoryTree::new();
        tree.insert(path.clone(), text.as_bytes().to_vec(), REGULAR);
        tree
    };
    let written = diff_trees(&tree("old\n"), &tree("new\n")).unwrap();
    for patch in [&raw, &quoted, &written] {
        let parsed = PatchFile::parse(patch).unwrap();
        assert_eq!(bytes_of(&parsed.check(1).unwrap()[0].new.clone().unwrap()), NAME);
        assert_eq!(parsed.to_bytes(), *patch);
        let mut mine = tree("old\n");
        mine.update(apply(&mine, &parsed, &Options::default()).unwrap().changes);
        assert_eq!(mine, tree("new\n"));
        for (program, args) in [("patch", &["-p1", "-s"][..]), ("git", &["apply"])] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("t");
            fs::create_dir(&root).unwrap();
            fs::write(root.join(OsStr::from_bytes(NAME)), "old\n").unwrap();
            assert!(run(program, args, &root, patch), "{program} {}", String::from_utf8_lossy(patch));
            assert_eq!(fs::read(root.join(OsStr::from_bytes(NAME))).unwrap(), b"new\n", "{program}");
        }
    }
}

#[test]
fn through_the_queue() {
    if !there() {
        return;
    }
    let Some(scene) = Scene::new() else { return };
    let source = scene.at("one/foo").join(OsStr::from_bytes(NAME));
    fs::write(&source, text(&numbered(1..31))).unwrap();
    let context = "@@ -9,3 +9,3 @@\n line 9\n-line 10\n+TEN\n line 11\n";
    let patch = [mail("ten").as_bytes(), b"--- a/", NAME, b"\t\n+++ b/", NAME, b"\t\n", context.as_bytes()].concat();
    fs::create_dir_all(scene.at("in")).unwrap();
    fs::write(scene.at("in/ten.patch"), &patch).unwrap();
    scene.run(0, &["patch", "foo", "in/ten.patch"]);
    assert_eq!(fs::read(scene.at("patches/foo/0001-ten.patch")).unwrap(), patch, "the bytes stay");
    assert_eq!(scene.json(0, &["check", "foo"])["packages"][0]["patches"][0]["state"], "clean");
    scene.run(0, &["edit", "foo"]);
    let mut lines = numbered(1..31);
    (lines[9], lines[19]) = ("TEN".into(), "TWENTY".into());
    scene.commit(&path_of(NAME).unwrap(), &text(&lines), "twenty");
    scene.run(0, &["finish", "foo"]);
    // GNU patch takes the queue.
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    fs::create_dir(&root).unwrap();
    fs::copy(&source, root.join(OsStr::from_bytes(NAME))).unwrap();
    for name in scene.names() {
        assert!(run("patch", &["-p1", "-s"], &root, &fs::read(scene.at(&format!("patches/foo/{name}"))).unwrap()));
    }
    assert_eq!(fs::read(root.join(OsStr::from_bytes(NAME))).unwrap(), text(&lines).into_bytes());
    // So does git, as a mailbox and as a branch; and from there it comes back.
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=U", "-c", "user.email=u@example.org"];
        let mut command = Command::new("git");
        command.args(identity).args(args).current_dir(scene.at("one/foo")).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let queue = || -> Vec<Vec<u8>> {
        scene.names().iter().map(|name| fs::read(scene.at(&format!("patches/foo/{name}"))).unwrap()).collect()
    };
    let before = queue();
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "v1"]);
    scene.run(0, &["export", "foo", "--branch", "ours", "--repo", "one/foo"]);
    let path = [b"ours:", NAME].concat();
    let mut show = Command::new("git");
    show.arg("show").arg(OsStr::from_bytes(&path)).current_dir(scene.at("one/foo"));
    assert_eq!(show.output().unwrap().stdout, text(&lines).into_bytes());
    scene.run(0, &["export", "foo", "--mbox", "out.mbox"]);
    git(&["am", "-q", scene.at("out.mbox").to_str().unwrap()]);
    assert_eq!(git(&["diff", "--stat", "HEAD", "ours"]), b"");
    for from in ["out.mbox", "one/foo..ours~2..ours"] {
        scene.run(0, &["unpatch", "foo"]);
        scene.run(0, &["import", "foo", from, "--offline"]);
        assert_eq!(queue(), before, "{from}");
    }
}

/// What GNU patch cannot do is refused by every command in our own words.
#[test]
fn a_git_binary_patch_in_a_queue() {
    if !there() {
        return;
    }
    let Some(scene) = Scene::new() else { return };
    let binary = "diff --git a/b.bin b/b.bin\nnew file mode 100644\nindex 0000000..8352675\nGIT binary patch\nliteral 2\nJcmZQzWMTjS00961\n\nliteral 0\nHcmV?d00001\n\n";
    let patch = mail("binary") + binary;
    let refused = |args: &[&str]| {
        let output = scene.try_run(args);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!output.status.success(), "{args:?}: {said}");
        assert!(said.contains("patchPhase") && said.contains("postPatch"), "{args:?}: {said}");
    };
    scene.write("in/b.patch", &patch);
    let before = scene.state();
    refused(&["patch", "foo", "in/b.patch"]);
    refused(&["import", "foo", "in/b.patch"]);
    assert_eq!(scene.state(), before);
    // Put there by hand.
    scene.queue(&[queue_support::patch("a.c", 10, "A", &mail("binary"))]);
    scene.write(&format!("patches/foo/{}", scene.names()[0]), &patch);
    let checked = scene.json(1, &["check", "foo"]).to_string();
    assert!(checked.contains("\"invalid\"") && checked.contains("patchPhase"), "{checked}");
    refused(&["edit", "foo"]);
    refused(&["rebase", "foo", "--to", "two"]);
    refused(&["refresh", "foo"]);
    refused(&["export", "foo", "--mbox", "out.mbox"]);
    let repository = git2::Repository::init(scene.at("one/foo")).unwrap();
    let mut index = repository.index().unwrap();
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let by = git2::Signature::now("A", "a@example.org").unwrap();
    repository.commit(Some("HEAD"), &by, &by, "v1", &tree, &[]).unwrap();
    refused(&["export", "foo", "--branch", "ours", "--repo", "one/foo"]);
    assert!(repository.find_branch("ours", git2::BranchType::Local).is_err(), "no half of a branch");
    // The files alone go out as they are.
    scene.run(0, &["export", "foo", "--quilt", "out"]);
    assert_eq!(scene.read(&format!("out/{}", scene.names()[0])), patch);
    // It came into the queue while the worktree was open: `finish` writes nothing over it.
    let good = queue_support::patch("a.c", 10, "A", &mail("binary"));
    scene.write(&format!("patches/foo/{}", scene.names()[0]), &good);
    scene.run(0, &["edit", "foo"]);
    scene.commit("a.c", "other\n", "another");
    scene.write(&format!("patches/foo/{}", scene.names()[0]), &patch);
    let before = scene.state();
    let output = scene.try_run(&["finish", "foo"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("OV1055"), "{said}");
    assert_eq!(scene.state(), before);
}
