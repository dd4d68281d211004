//! `bump` of a package set over Debian's sources, from bullseye's (the oldest that the mirror has) to trixie's, with Debian's own patches:
//! every class as GNU patch has it, every merge as `git cherry-pick` makes it, and what is carried out is what git leaves by hand.
//!
//! `OVERLAYCTL_QUEUE_CASES` names the folder that `tests/queue_cases/fetch.sh` makes; without it the test says so and ends. Nothing is built.

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

use serde_json::Value;

/// The packages, and what trixie's versions begin with.
const PACKAGES: [(&str, &str); 15] = [
    ("musl", "1.2.5"),
    ("busybox", "1_1.37"),
    ("zlib", "1_1.3.dfsg+really1.3.1"),
    ("dash", "0.5.12"),
    ("lua5.3", "5.3.6"),
    ("lua5.4", "5.4.7"),
    ("pcre2", "10.4"),
    ("bzip2", "1.0.8"),
    ("expat", "2.7"),
    ("libpng1.6", "1.6.48"),
    ("less", "668"),
    ("mksh", "59c"),
    ("attr", "1_2.5.2"),
    ("acl", "2.3.2"),
    ("mawk", "1.3.4.20250131"),
];

struct Case {
    attr: String,
    old: PathBuf,
    new: PathBuf,
}

/// The two sources of each package, without Debian's folder; the queue is that of the old one.
fn cases(into: &Path) -> Option<Vec<Case>> {
    let Some(root) = std::env::var_os("OVERLAYCTL_QUEUE_CASES") else {
        eprintln!("skipped: OVERLAYCTL_QUEUE_CASES does not name the folder that tests/queue_cases/fetch.sh makes");
        return None;
    };
    let mut cases = Vec::new();
    for (package, trixie) in PACKAGES {
        let versions = fs::read_dir(Path::new(&root).join(package)).into_iter().flatten().map(|e| e.unwrap().path());
        let mut versions: Vec<PathBuf> = versions.filter(|path| path.join("debian").is_dir()).collect();
        versions.sort();
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_new = |path: &&PathBuf| name(path).starts_with(trixie) || name(path).contains("deb13");
        let has_queue = |path: &&PathBuf| path.join("debian/patches/series").is_file();
        let (Some(old), Some(new)) = (versions.iter().find(has_queue), versions.iter().rfind(is_new)) else {
            eprintln!("skipped: {package}: the mirror has not both versions");
            continue;
        };
        if old == new || name(old) > name(new) {
            eprintln!("skipped: {package}: {} is all that the mirror has, or has no queue", old.display());
            continue;
        }
        let attr = package.replace('.', "_");
        let case = Case { old: into.join(&attr).join("old"), new: into.join(&attr).join("new"), attr };
        for (from, to) in [(old, &case.old), (new, &case.new)] {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
        }
        fs::rename(case.old.join("debian/patches"), into.join(&case.attr).join("patches")).unwrap();
        for side in [&case.old, &case.new] {
            fs::remove_dir_all(side.join("debian")).unwrap();
            let _ = fs::remove_dir_all(side.join(".pc"));
        }
        cases.push(case);
    }
    Some(cases)
}

fn run(dir: &Path, args: &[&str]) -> Output {
    support::overlayctl(dir).args(args).output().unwrap()
}

fn json(dir: &Path, status: &[i32], args: &[&str]) -> Value {
    let output = run(dir, &[args, &["--json"]].concat());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(status.contains(&output.status.code().unwrap()), "{args:?}\n{out}\n{err}");
    serde_json::from_str(&out).unwrap()
}

fn set(cases: &[Case], side: impl Fn(&Case) -> &Path, version: &str) -> String {
    let package = |case: &Case| {
        format!("    {0} = mkDerivation {{ name = \"{0}-{version}\"; src = {1}; }};\n", case.attr, side(case).display())
    };
    format!(
        "{{ overlays ? [ ], ... }}:\nlet\n  mkDerivation = attrs: derivation (removeAttrs attrs [ \"src\" ] // {{ source = toString attrs.src; system = \"x86_64-linux\"; \
         builder = \"/bin/sh\"; }}) // {{ inherit (attrs) src; patches = attrs.patches or [ ]; overrideAttrs = f: mkDerivation (attrs // f attrs); }};\n  \
         packages = {{\n{}  }};\n  final = builtins.foldl' (set: overlay: set // overlay final set) packages overlays;\nin final\n",
        cases.iter().map(package).collect::<String>()
    )
}

fn patch(dir: &Path, file: &Path, more: &[&str]) -> bool {
    let args = ["-p1", "-f", "-s", "--no-backup-if-mismatch", "-r", "-", "-i"];
    let mut command = Command::new("patch");
    command.args(args).arg(file).args(more).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

fn git(dir: &Path, args: &[&str]) -> (bool, String) {
    let who = [
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.org",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "core.autocrlf=false",
    ];
    let output = Command::new("git")
        .args(who)
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_EDITOR", "true")
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What GNU patch says of each patch on the new source, without fuzz; what fits is applied.
fn by_patch(case: &Case, files: &[PathBuf]) -> Vec<&'static str> {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("t");
    assert!(Command::new("cp").arg("-r").args([&case.new, &tree]).status().unwrap().success());
    let class = |file: &PathBuf| {
        let (forward, reverse) =
            (patch(&tree, file, &["-F0", "--dry-run"]), patch(&tree, file, &["-F0", "-R", "--dry-run"]));
        match (forward, reverse) {
            (_, true) => "upstream",
            (true, false) => {
                assert!(patch(&tree, file, &["-F0"]));
                "fits"
            }
            _ => {
                // The hunks that fit stay, as those behind are judged by them.
                patch(&tree, file, &["-N"]);
                "no"
            }
        }
    };
    files.iter().map(class).collect()
}

/// What git leaves of the queue when it is cherry-picked onto the new source by hand, conflicts skipped: each fate, and the files.
fn by_git(case: &Case, files: &[PathBuf]) -> (Vec<&'static str>, tempfile::TempDir) {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let fill = |from: &Path, message: &str| {
        for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|path| !path.ends_with(".git")) {
            let _ = if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
        }
        assert!(Command::new("cp").arg("-r").arg(format!("{}/.", from.display())).arg(dir).status().unwrap().success());
        assert!(git(dir, &["add", "-A", "-f"]).0 && git(dir, &["commit", "-q", "--allow-empty", "-m", message]).0);
        git(dir, &["rev-parse", "HEAD"]).1
    };
    assert!(git(dir, &["init", "-q", "-b", "new"]).0);
    let new = fill(&case.new, "new");
    assert!(git(dir, &["checkout", "-q", "--orphan", "old"]).0);
    fill(&case.old, "old");
    let commits: Vec<String> = files
        .iter()
        .map(|file| {
            assert!(patch(dir, file, &[]), "{}", file.display());
            assert!(git(dir, &["add", "-A", "-f"]).0 && git(dir, &["commit", "-q", "-m", "patch"]).0);
            git(dir, &["rev-parse", "HEAD"]).1
        })
        .collect();
    assert!(git(dir, &["checkout", "-q", "-f", &new]).0);
    let pick = |commit: &String| match git(dir, &["cherry-pick", commit]).0 {
        true => "rebased",
        false if git(dir, &["status", "--porcelain", "-uno"]).1.is_empty() => {
            git(dir, &["cherry-pick", "--skip"]);
            "merged"
        }
        false => {
            assert!(git(dir, &["cherry-pick", "--skip"]).0);
            "conflict"
        }
    };
    let fates = commits.iter().map(pick).collect();
    (fates, scratch)
}

fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(at) = todo.pop() {
        for path in fs::read_dir(&at).unwrap().map(|e| e.unwrap().path()).filter(|path| !path.ends_with(".git")) {
            match path.symlink_metadata().unwrap() {
                there if there.is_dir() => todo.push(path),
                there if there.is_file() => {
                    files.insert(path.strip_prefix(dir).unwrap().to_path_buf(), fs::read(&path).unwrap());
                }
                _ => {}
            }
        }
    }
    files
}

fn word<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or("none")
}

#[test]
fn from_bullseye_to_trixie() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(cases) = cases(&scratch.path().join("sources")) else { return };
    let ws = scratch.path().join("ws");
    for dir in ["old", "new"] {
        fs::create_dir_all(ws.join(dir)).unwrap();
    }
    let write = |name: &str, text: &str| fs::write(ws.join(name), text).unwrap();
    write("old/default.nix", &set(&cases, |case| &case.old, "1"));
    write("new/default.nix", &set(&cases, |case| &case.new, "2"));
    write("overlay.nix", "final: prev: {\n}\n");
    write("overlayctl.toml", "nixpkgs = \"./old\"\noverlays = [\"overlay.nix\"]\ntargets = [\"dash\"]\n");
    for case in &cases {
        let folder = scratch.path().join("sources").join(&case.attr).join("patches");
        let imported = run(&ws, &["import", &case.attr, folder.to_str().unwrap(), "--offline"]);
        assert!(imported.status.success(), "{}: {}", case.attr, String::from_utf8_lossy(&imported.stderr));
    }
    let before = tree(&ws);
    let report = json(&ws, &[0, 1], &["bump", "--to", "new"]);
    assert_eq!(tree(&ws), before, "nothing changes");
    let (mut count, mut wrong, mut total) = (BTreeMap::new(), Vec::new(), 0);
    let mut left = BTreeMap::new();
    for case in &cases {
        let row = report["packages"].as_array().unwrap().iter().find(|row| row["attr"] == case.attr.as_str()).unwrap();
        let patches = row["patches"].as_array().unwrap();
        assert!(row["failure"].is_null(), "{row}");
        let files: Vec<PathBuf> = patches.iter().map(|patch| ws.join(word(patch, "path"))).collect();
        let (gnu, (git, by_hand)) = (by_patch(case, &files), by_git(case, &files));
        for (i, patch) in patches.iter().enumerate() {
            total += 1;
            let (applies, merge) = (word(patch, "applies"), word(patch, "merge"));
            *count.entry(format!("{applies}, {merge}")).or_insert(0) += 1;
            let class = match applies {
                "clean" | "offset" => "fits",
                "already-upstream" => "upstream",
                _ => "no",
            };
            let name = format!("{} {}", case.attr, files[i].file_name().unwrap().display());
            if class != gnu[i] {
                wrong.push(format!("{name}: {applies}, GNU patch says {}", gnu[i]));
            }
            if merge != git[i] && !(merge == "none" && git[i] == "rebased") {
                wrong.push(format!("{name}: {applies}, {merge}; git says {}", git[i]));
            }
        }
        left.insert(case.attr.clone(), by_hand);
    }
    println!("{} packages, {total} patches: {count:#?}", cases.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(cases.len() >= 6 && total >= 10 && count.len() >= 3, "too little was there to be compared");
    // Carried out, conflicts skipped: what git leaves by hand.
    let mut done = json(&ws, &[0, 1], &["bump", "--to", "new", "--apply"])["applied"].clone();
    let mut rounds = 0;
    while done["written"] != true {
        let stuck = |row: &&Value| row["patches"].as_array().unwrap().iter().any(|patch| patch["state"] == "conflict");
        let attr = word(done["packages"].as_array().unwrap().iter().find(stuck).unwrap(), "attr").to_owned();
        done = json(&ws, &[0, 1], &["bump", "--skip", &attr]);
        rounds += 1;
        assert!(rounds < 200);
    }
    assert!(fs::read_to_string(ws.join("overlayctl.toml")).unwrap().starts_with("nixpkgs = \"new\""));
    for case in &cases {
        let result = scratch.path().join("result");
        let _ = fs::remove_dir_all(&result);
        assert!(Command::new("cp").arg("-r").args([&case.new, &result]).status().unwrap().success());
        let listed = json(&ws, &[0], &["list", &case.attr]);
        let empty = Vec::new();
        for one in listed["packages"][0]["patches"].as_array().unwrap_or(&empty) {
            assert!(patch(&result, &ws.join(word(one, "path")), &["-F0"]), "{}: {one}", case.attr);
        }
        assert!(tree(&result) == tree(left[&case.attr].path()), "{}: other files than git leaves", case.attr);
    }
    println!("{rounds} conflicts skipped; every tree is what git leaves");
}
