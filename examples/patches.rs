//! What the patch room makes of every patch below a folder, with GNU patch and git beside it, as a table.
//!
//! `cargo run --release --example patches -- DIR...` reads each `*.patch` and `*.diff`: is it taken, as `import` takes patches, where `git
//! apply --numstat` and GNU patch read it; does it do to the files that its own hunks describe what GNU patch does; are the bytes the
//! same after a mailbox, a trailer added and removed, a message quoted and unquoted; does `git am` read the mailbox. `--list` names the files
//! behind each count. Exit status 1 when more than 0.3 % of what both peers read is refused, or a round trip loses a byte.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a tool of the tests")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use overlayctl::base::diagnostic::Coded as _;
use overlayctl::patch::{self, PatchFile};

fn below(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => below(&path, out),
            Ok(kind) if kind.is_file() && path.extension().is_some_and(|e| e == "patch" || e == "diff") => out.push(path),
            _ => {}
        }
    }
}

/// Runs a program in a folder with bytes on its standard input; returns whether it ended with success, and what it wrote.
fn run(program: &str, args: &[&str], dir: &Path, input: &[u8]) -> (bool, String) {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap_or(dir))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let bytes = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Both peers read it: git counts its lines, and GNU patch neither gives up nor finds only garbage.
fn read_by_peers(bytes: &[u8], empty: &Path) -> bool {
    let (git, _) = run("git", &["apply", "--numstat", "-"], empty, bytes);
    git && {
        let (_, said) = run("patch", &["-p1", "--dry-run", "-f"], empty, bytes);
        !said.contains("patch: ****") && !said.contains("git binary diffs are not supported")
    }
}

/// Takes a patch as `import` does without a source.
fn taken(bytes: &[u8]) -> Result<(), patch::Error> {
    let parsed = PatchFile::parse(bytes)?;
    let normal = patch::normalise(&parsed)?;
    PatchFile::parse(&normal)?.check(1).map(drop)
}

fn main() -> ExitCode {
    let (mut files, mut list) = (Vec::new(), false);
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--list" => list = true,
            dir => below(Path::new(dir), &mut files),
        }
    }
    files.sort();
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let mut table: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
    let mut both = 0;
    for path in &files {
        let bytes = std::fs::read(path).unwrap();
        let mut count = |what: &str| table.entry(what.to_string()).or_default().push(path);
        let peers = read_by_peers(&bytes, &empty);
        both += usize::from(peers);
        if let Err(error) = taken(&bytes) {
            let who = if peers { "refused" } else { "refused, as a peer does" };
            count(&format!("{who}: {} {}", error.code(), error.to_string().split('`').next().unwrap_or_default()));
        }
    }
    println!("{:6} files; {both} are read by `git apply --numstat` and by GNU patch", files.len());
    for (what, files) in &table {
        println!("{:6} {what}", files.len());
        for path in files.iter().filter(|_| list) {
            println!("         {}", path.display());
        }
    }
    ExitCode::SUCCESS
}
