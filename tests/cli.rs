//! Command-line cases: each folder of `tests/cli/` is one.
//!
//! `in/` is copied to a scratch directory and becomes the current one; `cmd` holds one command a line
//! (`overlayctl ARGS...`, with shell-like quotes; `# comment`; `! N ` in front says the exit status that is wanted,
//! else 0; `$ PROGRAM ARGS` prepares the scene); `out/` is what the directory must look like afterwards (when it is
//! missing: as `in/`); `stdout` and `stderr`, when there, are what the last command must print. A first line
//! `needs PROGRAM...` skips the case, and says so, where one is not installed. `SNAPSHOTS=overwrite` writes them.

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
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use snapbox::{Assert, Data, Redactions};

fn cases() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

/// Returns the files below `dir` with their bytes, leaving git's own and our state out.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if name == ".git" || name == ".overlayctl" {
                continue;
            }
            if path.is_dir() {
                todo.push(path);
            } else {
                files.insert(path.strip_prefix(dir).unwrap().to_path_buf(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

/// Splits a line into words: blanks separate, single and double quotes hold together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn run(case: &Path) -> Result<(), String> {
    let name = case.file_name().unwrap().to_str().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("work");
    fs::create_dir(&dir).unwrap();
    if case.join("in").is_dir() {
        support::copy(&case.join("in"), &dir);
    }
    let overwrite = std::env::var("SNAPSHOTS").is_ok_and(|v| v == "overwrite");
    let mut redactions = Redactions::new();
    redactions.insert("[DIR]", dir.clone()).unwrap();
    let assert = Assert::new().action_env("SNAPSHOTS").redact_with(redactions);
    let script = fs::read_to_string(case.join("cmd")).unwrap();
    let mut last = None;
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(programs) = line.strip_prefix("needs ") {
            let path = std::env::var_os("PATH").unwrap();
            let there = |program: &&str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
            if let Some(missing) = programs.split(' ').find(|p| !there(p)) {
                eprintln!("skipped: {name}: {missing} is not installed");
                return Ok(());
            }
            continue;
        }
        let (wanted, line) = match line.strip_prefix("! ") {
            Some(rest) => {
                let (status, rest) = rest.split_once(' ').ok_or("`! N command`")?;
                (status.parse::<i32>().map_err(|e| e.to_string())?, rest)
            }
            None => (0, line),
        };
        let (program, args) = match line.strip_prefix("$ ") {
            Some(other) => {
                let words = words(other);
                (words[0].clone(), words[1..].to_vec())
            }
            None => (env!("CARGO_BIN_EXE_overlayctl").to_string(), words(line)[1..].to_vec()),
        };
        let output = Command::new(&program)
            .args(args)
            .current_dir(&dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", scratch.path())
            .env("COLUMNS", "100")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.org")
            .output()
            .map_err(|e| format!("{program}: {e}"))?;
        if output.status.code() != Some(wanted) {
            return Err(format!(
                "{name}: `{line}` ended with {:?}, not {wanted}\n{}{}",
                output.status.code(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        last = Some(output);
    }
    let last = last.ok_or_else(|| format!("{name}: no command"))?;
    for (stream, bytes) in [("stdout", &last.stdout), ("stderr", &last.stderr)] {
        let file = case.join(stream);
        if file.is_file() || overwrite && !bytes.is_empty() {
            if overwrite && !file.is_file() {
                fs::write(&file, "").unwrap();
            }
            let actual = String::from_utf8_lossy(bytes).into_owned();
            assert
                .try_eq(Some(&stream), Data::text(actual), Data::read_from(&file, None))
                .map_err(|e| format!("{name}: {e}"))?;
        }
    }
    let wanted_dir = if case.join("out").is_dir() { case.join("out") } else { case.join("in") };
    let (actual, wanted) = (tree(&dir), tree(&wanted_dir));
    if actual != wanted && overwrite {
        let _ = fs::remove_dir_all(case.join("out"));
        for (path, bytes) in &actual {
            let path = case.join("out").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        return Ok(());
    }
    for path in actual.keys().chain(wanted.keys()) {
        match (actual.get(path), wanted.get(path)) {
            (Some(a), Some(w)) if a == w => {}
            (Some(a), Some(w)) => {
                let (a, w) = (String::from_utf8_lossy(a), String::from_utf8_lossy(w));
                let diff = similar::TextDiff::from_lines(w.as_ref(), a.as_ref()).unified_diff().to_string();
                return Err(format!("{name}: {} differs:\n{diff}", path.display()));
            }
            (Some(_), None) => return Err(format!("{name}: {} should not be there", path.display())),
            (None, _) => return Err(format!("{name}: {} is missing", path.display())),
        }
    }
    Ok(())
}

#[test]
fn every_folder() {
    let failures: Vec<String> = cases().iter().filter_map(|case| run(case).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// A pipe that nobody reads any more is no failure.
#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_overlayctl"))
        .args(["--explain", "OV0604"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A directory that cannot be written to: a clear error, and nothing is left behind. (Root may write anywhere, so
/// it is skipped there.)
#[test]
fn a_read_only_directory_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(dir.path().join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write into a read-only directory");
        return;
    }
    let output = support::overlayctl(dir.path()).arg("init").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("OV0002"));
}
