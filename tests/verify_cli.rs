//! `verify`, `run` and `ldd` as they are typed: exit statuses, JSON, what is passed on. On the small package set, with real Nix.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use overlayctl::base::process::find_program;
use serde_json::Value;

const PATCH: &str = "Subject: say more\n\n--- a/text\n+++ b/text\n@@ -1,2 +1,3 @@\n one\n+one and a half\n two\n";

/// A workspace with a patched zlib; `None`, and says so, where a program is missing.
fn workspace(needed: &[&str]) -> Option<tempfile::TempDir> {
    if let Some(missing) = needed.iter().find(|program| find_program(program).is_none()) {
        eprintln!("skipped: {missing} is not installed");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let nixpkgs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mini-nixpkgs");
    let toml = format!(
        "nixpkgs = {:?}\noverlays = [\"overlay.nix\"]\n[nix.options]\nsubstituters = \"\"\nsandbox = \"false\"\n",
        nixpkgs.display().to_string()
    );
    fs::write(dir.path().join("overlayctl.toml"), toml).unwrap();
    fs::write(dir.path().join("fix.patch"), PATCH).unwrap();
    let overlay = "final: prev: { zlib = prev.zlib.overrideAttrs (old: { patches = [ ./fix.patch ]; }); }";
    fs::write(dir.path().join("overlay.nix"), overlay).unwrap();
    Some(dir)
}

fn overlayctl(dir: &Path, args: &[&str]) -> Output {
    support::overlayctl(dir).args(args).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn verify_answers_by_its_status_and_in_json() {
    let Some(dir) = workspace(&["nix-store"]) else { return };
    let fresh = format!("{PATCH}\nmade {:?}\n", std::time::SystemTime::now());
    fs::write(dir.path().join("fix.patch"), fresh).unwrap();
    let unknown = overlayctl(dir.path(), &["verify", "curl", "--json"]);
    assert_eq!(unknown.status.code(), Some(1));
    let object = json(&unknown);
    assert_eq!(object["schema"], "overlayctl.verify/2");
    assert_eq!(object["verified"], false);
    let levels: Vec<&str> =
        object["findings"].as_array().unwrap().iter().map(|f| f["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["derivation", "source", "log", "closure", "contents", "program"]);
    assert_eq!(object["findings"][0]["package"], "zlib");
    assert_eq!(object["findings"][0]["verdict"], "ok");
    let allowed = overlayctl(dir.path(), &["verify", "curl", "--allow-unknown"]);
    assert_eq!(allowed.status.code(), Some(0));
    assert!(text(&allowed.stdout).contains("not everything is known"), "{}", text(&allowed.stdout));
    assert_eq!(overlayctl(dir.path(), &["build", "curl"]).status.code(), Some(0));
    let built = overlayctl(dir.path(), &["verify", "curl"]);
    assert_eq!(built.status.code(), Some(0), "{}", text(&built.stdout));
    assert!(text(&built.stdout).contains("verified: "), "{}", text(&built.stdout));
    // The command that shows a verdict by hand does show it.
    let object = json(&overlayctl(dir.path(), &["verify", "curl", "--json"]));
    for finding in object["findings"].as_array().unwrap().iter().filter(|f| f["verdict"] == "ok") {
        let command = finding["command"].as_str().unwrap_or_else(|| panic!("{finding}"));
        let shown = Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(shown.status.success() && !shown.stdout.is_empty(), "{command}: {shown:?}");
    }
    let missing = overlayctl(dir.path(), &["verify", "curl", "--package", "openssl", "--json"]);
    assert_eq!((missing.status.code(), json(&missing)["error"]["code"].as_str()), (Some(1), Some("OV1010")));
}

#[test]
fn run_passes_on_arguments_output_and_status() {
    let Some(dir) = workspace(&["nix-store", "gcc"]) else { return };
    assert_eq!(overlayctl(dir.path(), &["build", "greeter"]).status.code(), Some(0));
    let ran = overlayctl(dir.path(), &["run", "greeter", "--", "late"]);
    assert_eq!((ran.status.code(), text(&ran.stdout).as_str()), (Some(0), "good evening from the library, 10\n"));
    let ran = overlayctl(dir.path(), &["run", "greeter", "--json"]);
    let object = json(&ran);
    assert_eq!((object["schema"].as_str(), object["status"].as_i64()), (Some("overlayctl.run/1"), Some(0)));
    assert_eq!(object["stdout"], "good morning from the library, 3\n");
    let other = overlayctl(dir.path(), &["run", "greeter", "--program", "none", "--json"]);
    assert_eq!((other.status.code(), json(&other)["error"]["code"].as_str()), (Some(2), Some("OV1035")));
    let library = overlayctl(dir.path(), &["build", "curl"]);
    assert_eq!(library.status.code(), Some(0));
    let none = overlayctl(dir.path(), &["run", "curl", "--json"]);
    assert_eq!((none.status.code(), json(&none)["error"]["code"].as_str()), (Some(2), Some("OV1035")));
}

#[test]
fn run_says_what_is_missing() {
    let Some(dir) = workspace(&["nix-store"]) else { return };
    // Never built: the patch is new.
    let fresh = format!("{PATCH}\nmade {:?}\n", std::time::SystemTime::now());
    fs::write(dir.path().join("fix.patch"), fresh).unwrap();
    let not_built = overlayctl(dir.path(), &["run", "curl", "--json"]);
    assert_eq!((not_built.status.code(), json(&not_built)["error"]["code"].as_str()), (Some(1), Some("OV0520")));

    // A program for RISC-V, and no qemu on the path.
    let file = dir.path().join("elf");
    fs::write(&file, riscv()).unwrap();
    let toml = fs::read_to_string(dir.path().join("overlayctl.toml")).unwrap();
    let config = format!("config = {{ elf = {:?} }}\n", file.display().to_string());
    fs::write(dir.path().join("overlayctl.toml"), config + &toml).unwrap();
    assert_eq!(overlayctl(dir.path(), &["build", "pkgsCross.riscv.program"]).status.code(), Some(0));
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for program in ["nix", "nix-store", "nix-instantiate"] {
        let real: PathBuf = find_program(program).unwrap().canonicalize().unwrap();
        std::os::unix::fs::symlink(real, bin.join(program)).unwrap();
    }
    let run = support::overlayctl(dir.path())
        .args(["run", "pkgsCross.riscv.program", "--json"])
        .env("PATH", &bin)
        .output()
        .unwrap();
    let object = json(&run);
    if cfg!(target_arch = "riscv64") {
        return;
    }
    assert_eq!((run.status.code(), object["error"]["code"].as_str()), (Some(2), Some("OV1036")), "{object}");
    assert!(object["error"]["hint"].as_str().unwrap().contains("qemu-user"), "{object}");
}

/// The header of a static RISC-V program.
fn riscv() -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    bytes.resize(16, 0);
    bytes.extend([2, 0, 243, 0, 1, 0, 0, 0]);
    bytes.resize(64, 0);
    bytes[52] = 64;
    bytes[54] = 56;
    bytes
}

#[test]
fn ldd_names_the_libraries_that_the_loader_names() {
    let Some(shell) = find_program("ldd").and(find_program("bash")) else {
        eprintln!("skipped: ldd or bash is not installed");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let shell = shell.canonicalize().unwrap().display().to_string();
    let ours = overlayctl(dir.path(), &["ldd", &shell]);
    let theirs = Command::new("ldd").arg(&shell).output().unwrap();
    let libraries = |printed: &str| -> Vec<String> {
        let mut names: Vec<String> = printed
            .lines()
            .filter_map(|line| line.trim().split_once(" => "))
            .filter(|(name, _)| !name.starts_with("ld-linux"))
            .map(|(name, path)| format!("{name} {}", path.split(' ').next().unwrap_or_default()))
            .collect();
        names.sort();
        names
    };
    assert_eq!(ours.status.code(), Some(0));
    assert_eq!(libraries(&text(&ours.stdout)), libraries(&text(&theirs.stdout)));
    assert!(!libraries(&text(&ours.stdout)).is_empty());
    let object = json(&overlayctl(dir.path(), &["ldd", &shell, "--json"]));
    assert_eq!((object["schema"].as_str(), object["complete"].as_bool()), (Some("overlayctl.ldd/1"), Some(true)));
}
