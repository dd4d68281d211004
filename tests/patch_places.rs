//! Where `overlayctl patch` finds and writes: links, folders that cannot be written, files that are no text, addresses.
//! Whatever goes wrong, every file is as it was.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::said;

const PATCH: &str = "Subject: fix it\n\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";
const EMPTY: &str = "final: prev: { }\n";

/// A package set of two packages; for its fetchpatch Nix itself fetches.
const TINY: &str = r#"{ overlays ? [ ], system ? builtins.currentSystem, ... }:
let
  package = name: let
    make = more: derivation ({ inherit name system; builder = "/bin/sh"; } // more) // {
      src = ./default.nix;
      overrideAttrs = f: make (more // f (make more)) // { patches = (f (make more)).patches; };
    };
  in make { };
  base = {
    jq = package "jq-1.6";
    fetcher = package "fetcher-1";
    fetchpatch = { url, hash }: derivation {
      name = "fetched.patch";
      builder = "builtin:fetchurl";
      system = "builtin";
      preferLocalBuild = true;
      inherit url;
      urls = [ url ];
      unpack = false;
      executable = false;
      outputHash = hash;
      outputHashAlgo = "sha256";
      outputHashMode = "flat";
    };
  };
  set = builtins.foldl' (prev: overlay: prev // overlay set prev) base overlays;
in set
"#;

fn overlayctl(dir: &Path, args: &[&str]) -> Output {
    support::overlayctl(dir).args(args).output().unwrap()
}

fn workspace(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files.iter().chain(&[("fix.patch", PATCH.as_bytes())]) {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            files.extend(tree(&path));
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap_or_default());
        }
    }
    files
}

#[test]
fn a_link_stays_a_link_and_its_file_is_edited() {
    let dir = workspace(&[("real/musl.nix", EMPTY.as_bytes())]);
    symlink("real/musl.nix", dir.path().join("overlay.nix")).unwrap();
    let run = overlayctl(dir.path(), &["patch", "musl", "fix.patch", "--offline"]);
    assert!(run.status.success(), "{}", said(&run));
    assert!(dir.path().join("overlay.nix").is_symlink());
    let text = std::fs::read_to_string(dir.path().join("real/musl.nix")).unwrap();
    assert!(text.contains("0001-fix-it.patch"), "{text}");
    let run = overlayctl(dir.path(), &["unpatch", "musl"]);
    assert!(run.status.success(), "{}", said(&run));
    assert_eq!(std::fs::read_to_string(dir.path().join("real/musl.nix")).unwrap(), EMPTY);
    assert!(!dir.path().join("patches/musl").exists());
}

#[test]
fn what_leaves_the_workspace_is_edited_only_when_it_is_named() {
    let outside = workspace(&[("shared.nix", EMPTY.as_bytes())]);
    let dir = workspace(&[("default.nix", format!("[ {}/shared.nix ]", outside.path().display()).as_bytes())]);
    symlink(outside.path().join("shared.nix"), dir.path().join("overlay.nix")).unwrap();
    let before = tree(dir.path());
    let run = overlayctl(dir.path(), &["patch", "musl", "fix.patch", "--offline"]);
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
    assert!(said(&run).contains("OV1008"), "{}", said(&run));
    assert_eq!(tree(dir.path()), before);
    let named = outside.path().join("shared.nix");
    let run =
        overlayctl(dir.path(), &["patch", "musl", "fix.patch", "--offline", "--overlay", named.to_str().unwrap()]);
    assert!(run.status.success(), "{}", said(&run));
    assert!(std::fs::read_to_string(&named).unwrap().contains("0001-fix-it.patch"));
}

#[test]
fn files_that_are_no_overlays_are_passed_over() {
    let deep = format!("final: prev: {}1{}", "[".repeat(30_000), "]".repeat(30_000));
    let dir = workspace(&[
        ("overlays/a.nix", b"\xff\xfe\x00final: prev: { }"),
        ("overlays/b.nix", b"final: prev: { a = \0; }"),
        ("overlays/c.nix", b""),
        ("overlays/d.nix", deep.as_bytes()),
        ("overlays/e.nix", b"final: prev: { broken"),
        ("overlays/good.nix", EMPTY.as_bytes()),
        ("node_modules/x/overlay.nix", EMPTY.as_bytes()),
    ]);
    symlink(dir.path().join("overlays"), dir.path().join("overlays/loop")).unwrap();
    std::fs::create_dir(dir.path().join("overlays/folder.nix")).unwrap();
    let run = overlayctl(dir.path(), &["patch", "musl", "fix.patch", "--offline"]);
    assert!(run.status.success(), "{}", said(&run));
    assert!(std::fs::read_to_string(dir.path().join("overlays/good.nix")).unwrap().contains("0001-fix-it.patch"));
    // One that is named has to be an overlay.
    let before = tree(dir.path());
    for name in ["a", "b", "d", "e"] {
        let overlay = format!("overlays/{name}.nix");
        let run = overlayctl(dir.path(), &["patch", "zlib", "fix.patch", "--offline", "--overlay", &overlay]);
        assert_eq!(run.status.code(), Some(2), "{name}: {}", said(&run));
        assert_eq!(tree(dir.path()), before);
    }
}

#[test]
fn a_folder_that_cannot_be_written_changes_nothing() {
    let dir = workspace(&[("overlays/a.nix", EMPTY.as_bytes())]);
    let folder = dir.path().join("overlays");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(folder.join("probe"), "").is_ok() {
        std::fs::remove_file(folder.join("probe")).unwrap();
        eprintln!("skipped: permissions do not hold for this user");
        return;
    }
    let before = tree(dir.path());
    let run = overlayctl(dir.path(), &["patch", "musl", "fix.patch", "--offline"]);
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
    assert!(said(&run).contains("OV0002"), "{}", said(&run));
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn one_bad_patch_of_several_leaves_everything_as_it_was() {
    let dir = workspace(&[("overlay.nix", EMPTY.as_bytes()), ("bad.patch", b"no patch at all\n")]);
    let before = tree(dir.path());
    let run =
        overlayctl(dir.path(), &["patch", "musl", "fix.patch", "bad.patch", "--offline", "--new-overlay", "n.nix"]);
    assert!(!run.status.success());
    assert_eq!(tree(dir.path()), before);
    let run = overlayctl(dir.path(), &["patch", "musl", "fix.patch", "--offline", "--position", "0"]);
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
    let run = overlayctl(dir.path(), &["patch", "musl", "fix.patch", "--offline", "--position", "9", "--json"]);
    assert!(run.status.success() || run.status.code() == Some(1), "{}", said(&run));
}

/// What holds for the target stage only is asked in the set that the target is named in; a package that does not evaluate there is
/// not known to have no effect.
#[test]
fn a_package_that_does_not_evaluate_for_the_board_is_no_refusal() {
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mini-nixpkgs");
    let broken = "final: prev: {\n  zlib = if prev.stdenv.hostPlatform != prev.stdenv.buildPlatform then \
                  prev.zlib // { drvPath = throw \"not for boards\"; } else prev.zlib;\n}\n";
    let config = format!(
        "nixpkgs = \"{}\"\noverlays = [\"overlay.nix\"]\ncross-overlays = [\"broken.nix\"]\n\
         targets = [\"pkgsCross.arm.curl\"]\n",
        set.display()
    );
    for (broken, wanted) in [(EMPTY, None), (broken, Some("OV1162"))] {
        let dir = workspace(&[
            ("overlay.nix", EMPTY.as_bytes()),
            ("broken.nix", broken.as_bytes()),
            ("overlayctl.toml", config.as_bytes()),
        ]);
        let run =
            overlayctl(dir.path(), &["patch", "zlib", "fix.patch", "--scope", "host", "--overlay", "overlay.nix"]);
        assert!(run.status.success(), "{}", said(&run));
        assert_eq!(said(&run).contains("OV1162"), wanted.is_some(), "{}", said(&run));
        assert!(!said(&run).contains("OV1161"), "{}", said(&run));
    }
}

#[test]
fn line_ends_and_marks_of_the_overlay_stay() {
    for text in ["final: prev: {\r\n  a = 1;\r\n}\r\n", "final: prev: {\n\ta = 1;\n}", "# c\nfinal: prev: { }"] {
        let dir = workspace(&[("overlay.nix", text.as_bytes())]);
        assert!(overlayctl(dir.path(), &["patch", "musl", "fix.patch", "--offline"]).status.success());
        let edited = std::fs::read_to_string(dir.path().join("overlay.nix")).unwrap();
        assert!(edited.contains("0001-fix-it.patch"));
        assert_eq!(
            edited.matches('\n').count(),
            edited.matches("\r\n").count().max(if text.contains('\r') { 0 } else { edited.matches('\n').count() })
        );
        assert!(overlayctl(dir.path(), &["unpatch", "musl"]).status.success());
        assert_eq!(std::fs::read_to_string(dir.path().join("overlay.nix")).unwrap(), text);
    }
}

/// Nix's own fetcher reads the address; without a cache that has the fetcher the patch is kept, and the user told.
#[test]
fn an_address_is_read_by_nix() {
    if Command::new("nix").arg("--version").output().is_err() {
        eprintln!("skipped: there is no nix");
        return;
    }
    let dir = workspace(&[("overlay.nix", EMPTY.as_bytes())]);
    let address = format!("file://{}/fix.patch", dir.path().display());
    let run = overlayctl(dir.path(), &["patch", "musl", "--fetch", &address, "--offline"]);
    assert!(run.status.success() && said(&run).contains("OV1128"), "{}", said(&run));
    assert_eq!(std::fs::read_to_string(dir.path().join("patches/musl/0001-fix-it.patch")).unwrap(), PATCH);
    let before = tree(dir.path());
    let run = overlayctl(dir.path(), &["patch", "musl", "--fetch", "file:///nowhere/x.patch", "--offline"]);
    assert!(run.status.code() == Some(2) && said(&run).contains("OV1130"), "{}", said(&run));
    assert_eq!(tree(dir.path()), before);

    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/fix.patch", server.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PATCH}",
                PATCH.len()
            );
        }
    });
    // A package set whose fetchpatch needs nothing but Nix itself.
    let tiny = workspace(&[("overlay.nix", EMPTY.as_bytes()), ("set/default.nix", TINY.as_bytes())]);
    let run = overlayctl(tiny.path(), &["patch", "jq", "--fetch", &address, "--nixpkgs", "set"]);
    assert!(run.status.success(), "{}", said(&run));
    let text = std::fs::read_to_string(tiny.path().join("overlay.nix")).unwrap();
    let hash = "sha256-";
    assert!(text.contains(&format!("url = \"{address}\"")) && text.contains(&format!("hash = \"{hash}")), "{text}");
    assert!(!tiny.path().join("patches").exists() && !said(&run).contains("warning"), "{}", said(&run));
    // With that hash Nix has it.
    let expression = "(import ./set { overlays = [ (import ./overlay.nix) ]; }).jq.patches";
    let built = Command::new("nix-build")
        .current_dir(tiny.path())
        .args(["--no-out-link", "-E", expression])
        .env("NIX_CONFIG", "substituters =")
        .output()
        .unwrap();
    let path = String::from_utf8_lossy(&built.stdout).trim().to_string();
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), PATCH, "{}", said(&built));
    let needs = TINY.replace("inherit url;", "inherit url; needs = base.fetcher;");
    std::fs::write(tiny.path().join("set/default.nix"), needs).unwrap();
    let run = overlayctl(tiny.path(), &["patch", "fetcher", "--fetch", &address, "--nixpkgs", "set"]);
    assert!(run.status.success() && said(&run).contains("OV1127"), "{}", said(&run));

    for (_, nixpkgs) in support::nixpkgs::checkouts() {
        fetched_on(nixpkgs.to_str().unwrap(), &address);
    }
}

fn fetched_on(set: &str, address: &str) {
    // curl is what fetchpatch fetches with.
    for (attr, code) in [("curl", "OV1127"), ("zlib", "OV1127"), ("jq", "OV1128")] {
        let dir = workspace(&[("overlay.nix", EMPTY.as_bytes())]);
        let run = overlayctl(dir.path(), &["patch", attr, "--fetch", address, "--nixpkgs", set]);
        assert!(run.status.success(), "{attr}: {}", said(&run));
        let text = std::fs::read_to_string(dir.path().join("overlay.nix")).unwrap();
        // Where the fetcher is at hand jq's is fetched.
        assert!(said(&run).contains(code) || attr == "jq" && text.contains("fetchpatch"), "{attr}: {}", said(&run));
        assert!(text.contains("fetchpatch") || text.contains("0001-fix-it.patch"), "{text}");
    }
}
