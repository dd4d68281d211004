//! A workspace over `fixtures/chain` for tests of `overlayctl build`, and what they ask of processes and of the store.
//!
//! `OVERLAYCTL_NIX_BIN` and `OVERLAYCTL_TEST_STORE` choose another Nix, as in `nix_real.rs`.

#![allow(dead_code, reason = "each test uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use overlayctl::base::process::find_program;
use serde_json::Value;

/// The eight of the chain, in order.
pub const CHAIN: [&str; 8] = ["libc", "binutils", "gcc", "gcc-wrapper", "stdenv", "rustc", "vendor", "program"];

/// A patch for the chain's libc.
pub const PATCH: &str =
    "Subject: say more\n\n--- a/text\n+++ b/text\n@@ -1,3 +1,4 @@\n one\n+one and a half\n two\n three\n";
/// One that does not fit.
pub const BAD_PATCH: &str = "Subject: does not fit\n\n--- a/text\n+++ b/text\n@@ -1,3 +1,4 @@\n one\n+more\n two\n three\n@@ -4,3 +5,3 @@\n four\n-fuenf\n+funf\n six\n";

/// How a scene differs from the plain one.
pub struct Set<'a> {
    pub patch: &'a str,
    pub seconds: &'a str,
    pub lines: u32,
    pub options: &'a [(&'a str, &'a str)],
}

impl Default for Set<'_> {
    fn default() -> Self {
        Set { patch: PATCH, seconds: "0", lines: 0, options: &[] }
    }
}

/// A workspace with the patched chain.
pub struct Scene {
    pub dir: tempfile::TempDir,
    pub root: PathBuf,
    pub marks: PathBuf,
}

impl Scene {
    /// Makes one; `None`, and says so, where there is no Nix.
    pub fn new(set: &Set<'_>) -> Option<Scene> {
        if std::env::var_os("OVERLAYCTL_NIX_BIN").is_none() && find_program("nix-store").is_none() {
            eprintln!("skipped: Nix is not installed");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("overlayctl-build-").tempdir().unwrap();
        let root = dir.path().join("work");
        Some(Scene::at(dir, root, set))
    }

    /// Makes one whose workspace is at `root`, a directory that may be there.
    pub fn at(dir: tempfile::TempDir, root: PathBuf, set: &Set<'_>) -> Scene {
        use std::os::unix::fs::PermissionsExt as _;
        let marks = dir.path().join("marks");
        for at in [&root, &marks] {
            fs::create_dir_all(at).unwrap();
        }
        // A sandboxed builder is another user.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&marks, fs::Permissions::from_mode(0o777)).unwrap();
        for name in ["begun", "ended"] {
            fs::write(marks.join(name), "").unwrap();
            fs::set_permissions(marks.join(name), fs::Permissions::from_mode(0o666)).unwrap();
        }
        let nixpkgs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chain");
        let mut options: BTreeMap<String, String> =
            [("substituters", ""), ("sandbox", "false"), ("builders", "")].map(|(k, v)| (k.into(), v.into())).into();
        if let Ok(store) = std::env::var("OVERLAYCTL_TEST_STORE") {
            // A store elsewhere builds in the sandbox only, where /nix/store is that store's.
            options.insert("store".into(), store);
            options.insert("sandbox".into(), "true".into());
            options.insert("sandbox-paths".into(), format!("/bin /usr /lib /lib64 {}", marks.display()));
            options.insert("build-users-group".into(), String::new());
        }
        options.extend(set.options.iter().map(|(k, v)| (k.to_string(), v.to_string())));
        let options: String = options.iter().map(|(k, v)| format!("{k} = {v:?}\n")).collect();
        let toml = format!(
            "nixpkgs = {:?}\noverlays = [\"overlay.nix\"]\n[config]\nmarks = {:?}\nseconds = {:?}\nlines = {}\n[nix.options]\n{options}",
            nixpkgs.display().to_string(),
            marks.display().to_string(),
            set.seconds,
            set.lines,
        );
        fs::write(root.join("overlayctl.toml"), toml).unwrap();
        fs::write(root.join("fix.patch"), set.patch).unwrap();
        let overlay = "final: prev: {\n  libc = prev.libc.overrideAttrs (old: { patches = old.patches ++ [ ./fix.patch ]; });\n}\n";
        fs::write(root.join("overlay.nix"), overlay).unwrap();
        let scene = Scene { dir, root, marks };
        // Builders, another store, an open sandbox: what a workspace may set only by its user's leave.
        assert!(scene.run(&["list", "--trust-workspace"]).status.success());
        scene
    }

    /// The command `overlayctl ARGS` in the workspace, with an environment of its own.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overlayctl"));
        let mut path = std::env::var_os("PATH").unwrap_or_default();
        if let Some(programs) = std::env::var_os("OVERLAYCTL_NIX_BIN") {
            let all = std::iter::once(PathBuf::from(programs)).chain(std::env::split_paths(&path));
            path = std::env::join_paths(all).unwrap();
        }
        command.current_dir(&self.root).args(args).stdin(Stdio::null());
        command
            .env("PATH", path)
            .env("XDG_STATE_HOME", self.dir.path().join("state"))
            .env("XDG_CACHE_HOME", self.dir.path().join("cache"))
            .env("NO_COLOR", "1");
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs with `--json`; returns the exit status and the last line.
    pub fn json(&self, args: &[&str]) -> (i32, Value) {
        let output = self.run(&[args, &["--json"]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let last = text.lines().last().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), serde_json::from_str(last).unwrap())
    }

    /// Starts in the background with its output in files below the scene.
    pub fn start(&self, args: &[&str]) -> std::process::Child {
        let file = |name: &str| fs::File::create(self.dir.path().join(name)).unwrap();
        self.command(args).stdout(file("stdout")).stderr(file("stderr")).spawn().unwrap()
    }

    pub fn said(&self, stream: &str) -> String {
        fs::read_to_string(self.dir.path().join(stream)).unwrap()
    }

    /// How often each derivation's build began (`begun`) or came to its end (`ended`), by name.
    pub fn marks(&self, which: &str) -> BTreeMap<String, usize> {
        let text = fs::read_to_string(self.marks.join(which)).unwrap_or_default();
        let mut counts = BTreeMap::new();
        for name in text.lines() {
            *counts.entry(name.trim_end_matches("-1.0").to_string()).or_insert(0) += 1;
        }
        counts
    }

    pub fn begun(&self) -> usize {
        self.marks("begun").values().sum()
    }

    /// Waits until `what`; fails after two minutes.
    pub fn wait_until(&self, mut what: impl FnMut(&Scene) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !what(self) {
            assert!(Instant::now() < deadline, "it never came to it");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the names of those of the rebuild set whose outputs the store has.
    pub fn finished(&self) -> BTreeSet<String> {
        let (_, plan) = self.json(&["build", "program", "--dry-run"]);
        let missing = plan["plan"]["build"].as_array().unwrap_or_else(|| panic!("{plan}"));
        let missing: Vec<&str> = missing.iter().map(|b| b["name"].as_str().unwrap()).collect();
        let there = CHAIN.iter().filter(|name| !missing.contains(&format!("{name}-1.0").as_str()));
        there.map(|name| name.to_string()).collect()
    }

    /// Returns the files of the workspace and of the state that are none of those that belong there.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        let mut left = Vec::new();
        let mut todo = vec![self.root.clone(), self.dir.path().join("state")];
        while let Some(at) = todo.pop() {
            for entry in fs::read_dir(&at).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    todo.push(path);
                    continue;
                }
                let name = path.file_name().unwrap().to_str().unwrap().to_string();
                let known = [
                    "overlayctl.toml",
                    "overlay.nix",
                    "fix.patch",
                    "result-program",
                    "history.json",
                    "history.lock",
                    "trust.json",
                    ".gitignore",
                ];
                if !known.contains(&name.as_str()) && !name.ends_with(".log") {
                    left.push(path);
                }
            }
        }
        left
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // The roots are links into this directory, which goes; what was built is garbage then.
        let _ = fs::remove_file(self.root.join("result-program"));
    }
}

/// One process, as /proc has it.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state ppid`: the name may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Returns a process and all below it.
pub fn tree(pid: u32) -> Vec<u32> {
    let all: Vec<u32> =
        fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    let parents: BTreeMap<u32, u32> = all.iter().filter_map(|pid| Some((*pid, parent(*pid)?))).collect();
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        let from = found[at];
        found.extend(parents.iter().filter(|(_, p)| **p == from).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

pub fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Kills a process with all below it at one moment: none of them sees another one go.
pub fn kill_tree(pid: u32) {
    use rustix::process::Signal;
    let mut all = BTreeSet::new();
    loop {
        let fresh: Vec<u32> = tree(pid).into_iter().filter(|pid| all.insert(*pid)).collect();
        if fresh.is_empty() {
            break;
        }
        fresh.iter().for_each(|pid| signal(*pid, Signal::STOP));
    }
    all.iter().for_each(|pid| signal(*pid, Signal::KILL));
}

/// Says whether any process works for this scene still: its directory is in the environment of each.
pub fn anyone_at_work(scene: &Scene) -> Vec<String> {
    let needle = scene.dir.path().as_os_str().as_encoded_bytes().to_vec();
    let has = |bytes: &[u8]| bytes.windows(needle.len()).any(|w| w == needle);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let at = entry.path();
        let environ = fs::read(at.join("environ")).unwrap_or_default();
        if has(&environ) {
            found.push(String::from_utf8_lossy(&fs::read(at.join("cmdline")).unwrap_or_default()).replace('\0', " "));
        }
    }
    found
}
