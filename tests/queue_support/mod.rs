//! A workspace on a small package set, for the tests of the queue's commands; real Nix evaluates, nothing is built.

#![allow(dead_code, reason = "each test file takes what it needs")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const PACKAGES: &str = r#"{ overlays ? [ ], ... }:
let
  mkDerivation = attrs: derivation ({
    system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ];
  } // attrs) // { overrideAttrs = f: mkDerivation (attrs // f attrs); };
  packages = { foo = mkDerivation { name = "foo-VERSION"; version = "VERSION"; src = ./foo; patches = [ ./own.patch ]; }; };
  final = builtins.foldl' (set: overlay: set // overlay final set) packages overlays;
in final
"#;

/// nixpkgs' own patch: the queue applies behind it.
pub const OWN: &str = "--- a/own.c\n+++ b/own.c\n@@ -1 +1 @@\n-plain\n+patched by nixpkgs\n";

pub struct Scene {
    pub dir: tempfile::TempDir,
}

pub fn numbered(lines: std::ops::Range<u32>) -> Vec<String> {
    lines.map(|n| format!("line {n}")).collect()
}

pub fn text(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

/// A patch that changes one line of `file`, made against lines `1..=30`.
pub fn patch(file: &str, line: u32, new: &str, head: &str) -> String {
    let context = |range: std::ops::Range<u32>| range.map(|n| format!(" line {n}\n")).collect::<String>();
    format!(
        "{head}--- a/{file}\n+++ b/{file}\n@@ -{0},7 +{0},7 @@\n{1}-line {line}\n+{new}\n{2}",
        line - 3,
        context(line - 3..line),
        context(line + 1..line + 4)
    )
}

pub fn mail(subject: &str) -> String {
    format!(
        "From: Ada <ada@example.org>\nDate: Mon, 1 Jan 2024 10:00:00 +0100\nSubject: [PATCH] {subject}\n\nUpstream-Status: Pending\nSigned-off-by: Ada <ada@example.org>\n---\n"
    )
}

impl Scene {
    /// Makes a workspace with two package sets; `None`, and said so, without Nix.
    pub fn new() -> Option<Scene> {
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

    pub fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = support::overlayctl(self.dir.path());
        command.args(args);
        command
    }

    pub fn try_run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs the program; its status has to be `status`.
    pub fn run(&self, status: i32, args: &[&str]) -> String {
        let output = self.try_run(args);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{args:?}\n{out}\n{err}");
        out.into_owned()
    }

    pub fn json(&self, status: i32, args: &[&str]) -> serde_json::Value {
        let mut args = args.to_vec();
        args.push("--json");
        serde_json::from_str(&self.run(status, &args)).unwrap()
    }

    /// Puts patches on `foo`.
    pub fn queue(&self, patches: &[String]) {
        for (i, text) in patches.iter().enumerate() {
            self.write(&format!("in/{i}.patch"), text);
            self.run(0, &["patch", "foo", &format!("in/{i}.patch"), "--offline"]);
        }
    }

    /// Returns the overlay and the files of the queue.
    pub fn state(&self) -> BTreeMap<PathBuf, Vec<u8>> {
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

    pub fn names(&self) -> Vec<String> {
        let state = self.state();
        let names = state.keys().filter(|p| p.starts_with("patches"));
        names.map(|p| p.file_name().unwrap().to_str().unwrap().to_string()).collect()
    }

    /// The files that the overlay names are the files of the queue, in their order.
    pub fn assert_in_step(&self) {
        let listed = self.json(0, &["list", "foo"]);
        let empty = Vec::new();
        let patches = listed["packages"][0]["patches"].as_array().unwrap_or(&empty);
        let listed: Vec<String> = patches
            .iter()
            .map(|p| Path::new(p["path"].as_str().unwrap()).file_name().unwrap().to_str().unwrap().to_string())
            .collect();
        assert_eq!(listed, self.names());
    }

    pub fn worktree(&self) -> git2::Repository {
        git2::Repository::open(self.at(".overlayctl/edit/foo")).unwrap()
    }

    pub fn commit(&self, file: &str, text: &str, message: &str) {
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

    pub fn tree_id(&self) -> git2::Oid {
        self.worktree().head().unwrap().peel_to_tree().unwrap().id()
    }
}
