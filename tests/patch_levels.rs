//! The strip level of a package counts everywhere: `patchFlags` in all its forms, with GNU patch in a real build as the judge.
//!
//! The builder of the small package set calls `patch` as nixpkgs' stdenv does, and keeps the tree that comes of it. Skipped, and said so,
//! where Nix or GNU patch is missing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod queue_support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use queue_support::{Scene, mail, numbered, text};

/// Two packages, `foo` and a kernel, whose build is to apply patches as stdenv does.
const PACKAGES: &str = r#"{ overlays ? [ ], ... }:
let
  mkDerivation = attrs: let drv = derivation ({
    system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-e" "-c" ''
      PATH=/usr/bin:/bin
      mkdir source; cp -r $src/. source; chmod -R u+w source; cd source
      for i in $patches; do patch ''${patchFlags:--p1} < $i; done
      find . -name '*.orig' -delete
      mkdir $out; cp -r . $out
    '' ];
  } // builtins.removeAttrs attrs [ "passthru" ]); in drv // (attrs.passthru or { }) // { overrideAttrs = f: mkDerivation (attrs // f attrs); };
  overridable = f: args: f args // { override = new: overridable f (args // (if builtins.isFunction new then new args else new)); };
  packages = {
    foo = mkDerivation { name = "foo-1"; src = ./foo; FLAGS };
    linux = overridable ({ kernelPatches ? [ ] }: mkDerivation {
      name = "linux-1"; src = ./foo; patches = map (p: p.patch) kernelPatches; FLAGS passthru = { inherit kernelPatches; modDirVersion = "1"; };
    }) { };
  };
  final = builtins.foldl' (set: overlay: set // overlay final set) packages overlays;
in final
"#;

struct Case {
    scene: Scene,
    /// The directory below the source in which patches apply.
    directory: &'static str,
}

/// A change of line `at` of `src/lib/a.c`, with these names.
fn change(at: u32, old: &str, new: &str) -> String {
    let lines = |range: std::ops::Range<u32>| range.map(|n| format!(" line {n}\n")).collect::<String>();
    let head = mail(&format!("change line {at}"));
    let (before, after) = (lines(at - 3..at), lines(at + 1..at + 4));
    format!("{head}--- {old}\n+++ {new}\n@@ -{0},7 +{0},7 @@\n{before}-line {at}\n+new {at}\n{after}", at - 3)
}

/// A patch that makes a file.
fn new_file(name: &str) -> String {
    format!("{}--- /dev/null\n+++ {name}\n@@ -0,0 +1 @@\n+all new\n", mail("add a file"))
}

impl Case {
    fn new(flags: &str, directory: &'static str) -> Option<Case> {
        let scene = Scene::new()?;
        if Command::new("patch").arg("--version").output().is_err() {
            eprintln!("skipped: GNU patch is not installed");
            return None;
        }
        scene.write("one/default.nix", &PACKAGES.replace("FLAGS", flags));
        fs::remove_dir_all(scene.at("one/foo")).unwrap();
        scene.write(&format!("one/foo/{directory}src/lib/a.c"), &text(&numbered(1..51)));
        scene.write(&format!("one/foo/{directory}top.c"), "top\n");
        Some(Case { scene, directory })
    }

    /// Builds a package with the overlay; returns what its build made of the source.
    fn build(&self, attr: &str) -> PathBuf {
        let overlay = self.scene.at("overlay.nix").canonicalize().unwrap();
        let set = self.scene.at("one").canonicalize().unwrap();
        let expression =
            format!("(import {} {{ overlays = [ (import {}) ]; }}).{attr}", set.display(), overlay.display());
        let output = Command::new("nix-build")
            .args(["--no-out-link", "-E", &expression])
            .env("NIX_CONFIG", "substituters =\nsandbox = false")
            .output()
            .unwrap();
        assert!(output.status.success(), "the build takes the patches:\n{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    }

    /// The build changes these lines, and makes what else is named.
    fn assert_built(&self, attr: &str, lines: &[u32], made: &[&str]) {
        let tree = self.build(attr).join(self.directory);
        let mut expected = numbered(1..51);
        for line in lines {
            expected[*line as usize - 1] = format!("new {line}");
        }
        assert_eq!(fs::read_to_string(tree.join("src/lib/a.c")).unwrap(), text(&expected));
        for file in made {
            assert_eq!(fs::read_to_string(tree.join(file)).unwrap(), "all new\n");
        }
    }

    fn queue(&self) -> Vec<Vec<u8>> {
        let state = self.scene.state();
        state.into_iter().filter(|(path, _)| path.starts_with("patches")).map(|(_, bytes)| bytes).collect()
    }
}

/// Each way to write a level, and everything that it has to do with where `whole`.
#[test]
fn the_level_of_the_package_counts_everywhere() {
    for (flags, level, directory, whole) in [
        ("", 1, "", false),
        ("patchFlags = [ ];", 1, "", false),
        ("patchFlags = [ \"-p0\" ];", 0, "", true),
        ("patchFlags = \"-p 0\";", 0, "", false),
        ("patchFlags = [ \"--strip=0\" \"--no-backup-if-mismatch\" ];", 0, "", false),
        ("patchFlags = [ \"-tp2\" ];", 2, "", false),
        ("patchFlags = \"-F0 -p3\";", 3, "", true),
        ("patchFlags = [ \"-p0\" \"-d\" \"code\" ];", 0, "code/", false),
    ] {
        let Some(case) = Case::new(flags, directory) else { return };
        let scene = &case.scene;
        let before = scene.state();
        println!("{flags}");
        // Each for another level; the source says which, but where it cannot: a file that is made.
        scene.write("in/git.patch", &change(5, "a/src/lib/a.c", "b/src/lib/a.c"));
        scene.write("in/p0.patch", &change(15, "src/lib/a.c.old", "src/lib/a.c"));
        scene.write("in/p2.patch", &change(25, "foo/foo-1/src/lib/a.c", "foo/foo-1/src/lib/a.c"));
        scene.write("in/new.patch", &new_file("new/src/new.c"));
        let patched = scene.json(0, &["patch", "foo", "in/git.patch", "in/p0.patch", "in/p2.patch"]);
        let warned = |code: &str| patched["warnings"].as_array().unwrap().iter().filter(|w| w["code"] == code).count();
        assert_eq!(warned("OV1165"), [1, 0, 2].iter().filter(|read| **read != level).count(), "{patched}");
        assert_eq!(warned("OV1164"), 0);
        scene.run(0, &["patch", "foo", "in/new.patch", "-p", "1"]);
        case.assert_built("foo", &[5, 15, 25], &["src/new.c"]);
        let checked = scene.json(0, &["check", "foo"]);
        assert!(
            checked["packages"][0]["patches"].as_array().unwrap().iter().all(|p| p["state"] == "clean"),
            "{checked}"
        );
        if !whole {
            scene.run(0, &["unpatch", "foo"]);
            assert_eq!(scene.state(), before, "{flags}");
            continue;
        }
        // A series that says other levels, and one that says nothing.
        scene.write("quilt/a.patch", &change(35, "src/lib/a.c", "src/lib/a.c"));
        scene.write("quilt/b.patch", &change(45, "x/y/src/lib/a.c", "x/y/src/lib/a.c"));
        scene.write("quilt/series", "a.patch -p0\nb.patch -p2 # deep\n");
        scene.run(0, &["import", "foo", "quilt"]);
        case.assert_built("foo", &[5, 15, 25, 35, 45], &["src/new.c"]);
        // Edited: one made by hand.
        scene.run(0, &["edit", "foo"]);
        scene.commit("src/made.c", "all new\n", "make a file");
        scene.commit("a b/made.c", "all new\n", "a name with a blank");
        scene.run(0, &["finish", "foo"]);
        case.assert_built("foo", &[5, 15, 25, 35, 45], &["src/new.c", "src/made.c", "a b/made.c"]);
        scene.run(0, &["refresh", "foo"]);
        scene.run(0, &["check", "foo"]);
        // Out and in again: what is stored comes back to the byte.
        let state = scene.state();
        let queue = case.queue();
        scene.run(0, &["export", "foo", "--quilt", "out/quilt"]);
        scene.run(0, &["export", "foo", "--mbox", "out/all.mbox"]);
        let series = scene.read("out/quilt/series");
        let says = |line: &str| line.contains(&format!(" -p{level}")) || level == 1;
        assert!(series.lines().all(says), "{series}");
        for from in ["out/quilt", "out/all.mbox"] {
            scene.run(0, &["unpatch", "foo"]);
            scene.run(0, &["import", "foo", from]);
            assert_eq!(case.queue(), queue, "{from} {flags}");
            case.assert_built("foo", &[5, 15, 25, 35, 45], &["src/new.c", "src/made.c", "a b/made.c"]);
        }
        // `git am` takes the mailbox, and the branch is the same.
        let git = |args: &[&str]| {
            let output = Command::new("git")
                .args(["-c", "user.name=U", "-c", "user.email=u@example.org"])
                .args(args)
                .current_dir(scene.at(&format!("one/foo/{directory}")))
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .output()
                .unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        git(&["init", "-q"]);
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "v1"]);
        scene.run(0, &["export", "foo", "--branch", "ours", "--repo", &format!("one/foo/{directory}")]);
        git(&["am", "-q", scene.at("out/all.mbox").to_str().unwrap()]);
        assert_eq!(git(&["diff", "--stat", "HEAD", "ours"]), "");
        fs::remove_dir_all(scene.at(&format!("one/foo/{directory}.git"))).unwrap();
        git_restore(&case);
        scene.run(0, &["unpatch", "foo"]);
        assert_eq!(scene.state(), before, "{flags}");
        drop(state);
    }
}

/// Puts the source back as it was before `git am`.
fn git_restore(case: &Case) {
    let root = format!("one/foo/{}", case.directory);
    fs::remove_dir_all(case.scene.at(&root)).unwrap();
    case.scene.write(&format!("{root}src/lib/a.c"), &text(&numbered(1..51)));
    case.scene.write(&format!("{root}top.c"), "top\n");
}

#[test]
fn a_kernel_takes_its_patches_with_its_level() {
    let Some(case) = Case::new("patchFlags = [ \"-p0\" ];", "") else { return };
    case.scene.write("in/git.patch", &change(5, "a/src/lib/a.c", "b/src/lib/a.c"));
    case.scene.run(0, &["patch", "linux", "in/git.patch"]);
    assert!(case.scene.read("overlay.nix").contains("kernelPatches"), "{}", case.scene.read("overlay.nix"));
    case.assert_built("linux", &[5], &[]);
    case.scene.run(0, &["check", "linux"]);
}

/// Where Nix is not asked that is said; what the user says of the names counts all the same.
#[test]
fn offline_the_level_is_not_known() {
    let Some(case) = Case::new("patchFlags = [ \"-p0\" ];", "") else { return };
    let scene = &case.scene;
    scene.write("in/p0.patch", &change(5, "src/lib/a.c", "src/lib/a.c"));
    let patched = scene.json(0, &["patch", "foo", "in/p0.patch", "--offline", "-p0"]);
    let codes: Vec<&str> =
        patched["warnings"].as_array().unwrap().iter().map(|w| w["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["OV1164", "OV1165"]);
    assert!(scene.read("patches/foo/0001-change-line-5.patch").contains("--- a/src/lib/a.c\n+++ b/src/lib/a.c\n"));
    scene.run(1, &["check", "foo"]);
    let deep = scene.try_run(&["patch", "foo", "in/p0.patch", "-p9"]);
    assert!(String::from_utf8_lossy(&deep.stderr).contains("has fewer than 9 leading directories"));
}

/// The level may come from the workspace's own overlay.
#[test]
fn flags_of_the_overlay_count() {
    let Some(case) = Case::new("", "") else { return };
    let scene = &case.scene;
    scene.write(
        "overlay.nix",
        "final: prev: {\n  foo = prev.foo.overrideAttrs (old: { patchFlags = [ \"-p0\" ]; });\n}\n",
    );
    scene.write("in/git.patch", &change(5, "a/src/lib/a.c", "b/src/lib/a.c"));
    scene.run(0, &["patch", "foo", "in/git.patch"]);
    assert!(scene.read("patches/foo/0001-change-line-5.patch").contains("--- src/lib/a.c\n+++ src/lib/a.c\n"));
    case.assert_built("foo", &[5], &[]);
}
