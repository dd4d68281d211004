//! How tests start overlayctl: without substituters, without colours, and with caches and state of its own, so that nothing
//! is written to the home of who runs them.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod nixpkgs;
pub mod sides;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What Nix is told in tests. The workspaces of some say `sandbox = false` too, which they may as the user's own settings do.
pub const NIX_CONFIG: &str = "substituters =\nsandbox = false\nexperimental-features = nix-command flakes";

/// Returns the settings for Nix: those that the tests were started with (`tests/nix-versions.sh` needs some), and ours.
pub fn nix_config() -> String {
    format!("{}\n{NIX_CONFIG}", std::env::var("NIX_CONFIG").unwrap_or_default())
}

/// Returns the folder that takes the place of the user's caches and state.
pub fn home() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("home")
}

/// Makes a command that runs overlayctl in `dir`.
pub fn overlayctl(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overlayctl"));
    command
        .current_dir(dir)
        .env("NIX_CONFIG", nix_config())
        .env("NO_COLOR", "1")
        .env("XDG_CACHE_HOME", home().join("cache"))
        .env("XDG_STATE_HOME", home().join("state"))
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Commits all that is in a folder, which becomes a repository if it is none.
pub fn commit(dir: &Path) {
    let repository = git2::Repository::init(dir).unwrap();
    let mut index = repository.index().unwrap();
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
    index.update_all(["*"], None).unwrap();
    index.write().unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let who = git2::Signature::now("A", "a@example.org").unwrap();
    let parent = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
    repository.commit(Some("HEAD"), &who, &who, "m", &tree, &parent.iter().collect::<Vec<_>>()).unwrap();
}

/// Returns everything that a run wrote.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
