//! `overlayctl patch` on real package sets, as a user runs it: Nix is asked, the overlay is written, and then the patch is in
//! `patches` of the package exactly once, under every name of the package, and its siblings are as they were.
//!
//! Needs Nix and checkouts: `OVERLAYCTL_NIXPKGS`, `OVERLAYCTL_NIXPKGS_1909`, `OVERLAYCTL_NIXPKGS_CORE` (the 24.05 core).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test says what it expects")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::nixpkgs::{CORE, OLD, TODAY, checkouts, nixpkgs};
use support::said;

const PATCH: &str = "Subject: fix it\n\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";
const EMPTY: &str = "final: prev: { }";

fn overlayctl(dir: &Path, args: &[&str]) -> Output {
    support::overlayctl(dir).args(args).output().unwrap()
}

/// A workspace with these files and the patch `fix.patch`.
fn workspace(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files.iter().chain(&[("fix.patch", PATCH)]) {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

struct Case {
    attr: &'static str,
    overlay: &'static str,
    /// Other names under which the patch has to be found.
    also: &'static [&'static str],
    /// Packages whose derivation is the same as before.
    siblings: &'static [&'static str],
}

/// A package of a scope that an overlay makes.
const INNER: Case = Case {
    attr: "own.inner",
    overlay: "final: prev: { own = prev.lib.makeScope prev.newScope (self: { inner = prev.jq; outer = prev.lzip; }); }",
    also: &[],
    siblings: &["own.outer", "jq"],
};

/// A package that an overlay makes.
const MINE: Case = Case {
    attr: "mine",
    overlay: "final: prev: { mine = prev.jq.overrideAttrs (o: { pname = \"mine\"; }); }",
    also: &[],
    siblings: &["jq"],
};

fn case(attr: &'static str, also: &'static [&'static str], siblings: &'static [&'static str]) -> Case {
    Case { attr, overlay: EMPTY, also, siblings }
}

/// Patches in a workspace for each case, then evaluates all of them in one go; prints the table.
fn check(nixpkgs: &Path, cases: &[Case]) {
    let set = nixpkgs.to_str().unwrap();
    let mut failures = Vec::new();
    let mut items = Vec::new();
    let mut scenes = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        let dir = workspace(&[("overlay.nix", case.overlay)]);
        let run = overlayctl(dir.path(), &["patch", case.attr, "fix.patch", "--nixpkgs", set]);
        if !run.status.success() {
            failures.push(format!("{}: {}", case.attr, String::from_utf8_lossy(&run.stderr)));
            continue;
        }
        let found: Vec<String> = std::iter::once(case.attr)
            .chain(case.also.iter().copied())
            .map(|attr| format!("(count {i} (pkgs.{attr}.patches or [ ]))"))
            .collect();
        let same: Vec<String> =
            case.siblings.iter().map(|attr| format!("(pkgs.{attr}.drvPath == plain.{attr}.drvPath)")).collect();
        items.push(format!(
            "c{i} = let pkgs = set [ (import {}) ]; plain = set [ {} ]; in {{ found = [ {} ]; same = [ {} ]; }};",
            dir.path().join("overlay.nix").display(),
            if case.overlay == EMPTY { String::new() } else { format!("({})", case.overlay) },
            found.join(" "),
            same.join(" "),
        ));
        // What the edit is undone to is the overlay that was there.
        scenes.push((i, dir));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.nix");
    let expression = format!(
        "let set = overlays: import {set} {{ inherit overlays; config = {{ }}; system = \"x86_64-linux\"; }}; \
         count = _: patches: builtins.length (builtins.filter (p: builtins.match \".*0001-fix-it.patch\" (toString p) != null) patches); \
         in {{ {} }}",
        items.join("\n")
    );
    std::fs::write(&file, expression).unwrap();
    // All at once, which shares what they share; one by one where that fails.
    let evaluate = |case: Option<usize>| {
        let mut run = Command::new("nix-instantiate");
        run.args(["--eval", "--strict", "--json", "--read-write-mode"])
            .arg(&file)
            .env("NIX_CONFIG", support::NIX_CONFIG);
        if let Some(i) = case {
            run.args(["-A", &format!("c{i}")]);
        }
        let output = run.output().unwrap();
        match serde_json::from_slice::<serde_json::Value>(&output.stdout) {
            Ok(value) if output.status.success() => Ok(value),
            _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    };
    let together = evaluate(None).ok();
    for (i, dir) in &scenes {
        let case = &cases[*i];
        let text = std::fs::read_to_string(dir.path().join("overlay.nix")).unwrap();
        let value = match together.as_ref().map_or_else(|| evaluate(Some(*i)), |all| Ok(all[format!("c{i}")].clone())) {
            Ok(value) => value,
            Err(error) => {
                failures.push(format!("{}: {error}\n{text}", case.attr));
                continue;
            }
        };
        let all = |key: &str, wanted: serde_json::Value| value[key].as_array().unwrap().iter().all(|v| *v == wanted);
        let ways = [
            "overrideScope'",
            "overrideScope",
            "extend",
            "packageOverrides",
            "pythonPackagesExtensions",
            "kernelPatches",
        ];
        let way = ways.iter().find(|way| text.contains(**way)).unwrap_or(&"//");
        println!(
            "{:<28} {:<26} also {}",
            case.attr,
            if case.attr.contains('.') || *way != "//" { way } else { "" },
            case.also.join(" ")
        );
        if !all("found", 1.into()) || !all("same", true.into()) {
            failures.push(format!("{}: {value}\n{text}", case.attr));
        }
        // By the name that was typed, whatever the overlay calls it.
        let list = overlayctl(dir.path(), &["list", case.attr, "--nixpkgs", set, "--json"]);
        if !String::from_utf8_lossy(&list.stdout).contains("0001-fix-it.patch") {
            failures.push(format!("list {}: {}\n{text}", case.attr, said(&list)));
        }
        let undo = overlayctl(dir.path(), &["unpatch", case.attr, "--nixpkgs", set]);
        let left = std::fs::read_to_string(dir.path().join("overlay.nix")).unwrap();
        if left != case.overlay || dir.path().join("patches").join(case.attr).exists() {
            failures.push(format!("unpatch {}: {}\n{left}", case.attr, said(&undo)));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn nixpkgs_1909() {
    let Some(nixpkgs) = nixpkgs(OLD) else { return };
    check(
        &nixpkgs,
        &[
            case("musl", &["pkgsCross.aarch64-multiplatform-musl.musl"], &["bzip2"]),
            case("zlib", &["pkgsCross.aarch64-multiplatform.zlib"], &[]),
            case("python3", &["python37", "python3Packages.python"], &["python2"]),
            case("openssl", &["openssl_1_0_2"], &["zlib"]),
            // Each is defined apart, with another name of one of them beside it.
            case("postgresql", &["postgresql96", "postgresql_9_6"], &["postgresql_11"]),
            case("postgresql96", &["postgresql", "postgresql_9_6"], &["postgresql_11"]),
            case("llvm", &["llvm_5"], &["llvm_7"]),
            case("boost", &["boost167"], &["boost166"]),
            case(
                "python3Packages.requests",
                &["python37Packages.requests", "python3.pkgs.requests"],
                &["python3Packages.idna", "python3", "python2Packages.requests"],
            ),
            case("python37Packages.requests", &["python3Packages.requests"], &["python3Packages.idna"]),
            case(
                "pythonPackages.requests",
                &["python27Packages.requests", "python2.pkgs.requests"],
                &["pythonPackages.idna"],
            ),
            case("perlPackages.URI", &["perl528Packages.URI"], &["perlPackages.XMLParser"]),
            case("luaPackages.lpeg", &["lua52Packages.lpeg"], &["luaPackages.luafilesystem"]),
            case("ocamlPackages.findlib", &[], &["ocamlPackages.ocaml"]),
            case("qt5.qtbase", &["qt512.qtbase", "libsForQt5.qtbase or pkgs.qt5.qtbase"], &["zlib"]),
            case("libsForQt5.phonon", &["libsForQt512.phonon"], &["libsForQt5.libdbusmenu"]),
            case("gnome3.gnome-common", &[], &["gnome3.glib-networking"]),
            case("xorg.libX11", &[], &["xorg.libXau"]),
            case(
                "linuxPackages.v4l2loopback",
                &["linuxPackages_4_19.v4l2loopback"],
                &["linuxPackages.cpupower", "linuxPackages.kernel"],
            ),
            INNER,
            MINE,
        ],
    );
}

#[test]
fn nixpkgs_today() {
    let Some(nixpkgs) = nixpkgs(TODAY) else { return };
    check(
        &nixpkgs,
        &[
            case("musl", &["pkgsCross.aarch64-multiplatform-musl.musl"], &["bzip2"]),
            case("openssl", &["openssl_3_6"], &["zlib"]),
            case("python3Packages.six", &["python3.pkgs.six"], &["python3Packages.idna", "python3"]),
            case("perlPackages.URI", &["perl5Packages.URI"], &["perlPackages.TextFormat"]),
            INNER,
            MINE,
        ],
    );
}

#[test]
fn nixpkgs_2405_core() {
    let Some(nixpkgs) = nixpkgs(CORE) else { return };
    check(
        &nixpkgs,
        &[
            case("musl", &["pkgsCross.aarch64-multiplatform-musl.musl"], &["bzip2"]),
            case("zlib", &["pkgsCross.aarch64-multiplatform-musl.zlib"], &[]),
            case("python3", &["python311", "python3Packages.python"], &[]),
            case(
                "python3Packages.setuptools",
                &["python311Packages.setuptools", "python3.pkgs.setuptools"],
                &["python3Packages.flit-core", "python3"],
            ),
            case("perlPackages.XMLParser", &["perl538Packages.XMLParser"], &["perl"]),
            case("xorg.libX11", &[], &["xorg.libXau"]),
        ],
    );
}

/// A kernel takes its patches as `kernelPatches`; the derivation has them among its own.
#[test]
fn kernel() {
    for (_, nixpkgs) in checkouts().into_iter().filter(|(variable, _)| *variable != CORE) {
        kernel_of(&nixpkgs);
    }
}

fn kernel_of(nixpkgs: &Path) {
    let dir = workspace(&[("overlay.nix", EMPTY)]);
    let run = overlayctl(dir.path(), &["patch", "linux", "fix.patch", "--nixpkgs", nixpkgs.to_str().unwrap()]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let expression = format!(
        "let p = import {} {{ config = {{ }}; system = \"x86_64-linux\"; overlays = [ (import {}) ]; }}; \
         count = k: builtins.length (builtins.filter (p: builtins.match \".*0001-fix-it.patch\" (toString p) != null) k.patches); \
         in map count [ p.linux p.linuxPackages.kernel ]",
        nixpkgs.display(),
        dir.path().join("overlay.nix").display()
    );
    let output = Command::new("nix-instantiate")
        .args(["--eval", "--strict", "--json", "--read-write-mode", "-E", &expression])
        .env("NIX_CONFIG", support::NIX_CONFIG)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[1,1]", "{}", String::from_utf8_lossy(&output.stderr));
}

/// `--scope host` in a set of packages: the guard asks the package set, and what builds is left alone.
#[test]
fn host_in_a_set() {
    for (_, nixpkgs) in checkouts().into_iter().filter(|(variable, _)| *variable != CORE) {
        host_in_a_set_of(&nixpkgs);
    }
}

fn host_in_a_set_of(nixpkgs: &Path) {
    let set = nixpkgs.to_str().unwrap();
    let mut items = Vec::new();
    let mut scenes = Vec::new();
    for (i, attr) in ["python3Packages.six", "perlPackages.URI", "xorg.libX11", "qt5.qtbase", "zlib"].iter().enumerate()
    {
        let dir = workspace(&[
            ("overlay.nix", EMPTY),
            ("overlayctl.toml", "targets = [\"pkgsCross.aarch64-multiplatform.hello\"]"),
        ]);
        let run = overlayctl(dir.path(), &["patch", attr, "fix.patch", "--nixpkgs", set, "--scope", "host"]);
        assert!(run.status.success(), "{}", said(&run));
        items.push(format!(
            "(let p = set [ (import {}) ]; in map count [ p.pkgsCross.aarch64-multiplatform.{attr} p.{attr} ] ++ [ {i} ])",
            dir.path().join("overlay.nix").display()
        ));
        scenes.push((dir, *attr));
    }
    let expression = format!(
        "let set = overlays: import {set} {{ config = {{ }}; system = \"x86_64-linux\"; inherit overlays; }}; \
         count = p: builtins.length (builtins.filter (p: builtins.match \".*0001-fix-it.patch\" (toString p) != null) (p.patches or [ ])); \
         in [ {} ]",
        items.join(" ")
    );
    let output = Command::new("nix-instantiate")
        .args(["--eval", "--strict", "--json", "--read-write-mode", "-E", &expression])
        .env("NIX_CONFIG", support::NIX_CONFIG)
        .output()
        .unwrap();
    let wanted: Vec<String> = (0..scenes.len()).map(|i| format!("[1,0,{i}]")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("[{}]", wanted.join(",")), "{}", said(&output));
    for (dir, attr) in scenes {
        let undo = overlayctl(dir.path(), &["unpatch", attr, "--nixpkgs", set]);
        assert_eq!(std::fs::read_to_string(dir.path().join("overlay.nix")).unwrap(), EMPTY, "{}", said(&undo));
    }
}

/// A patch of Cargo.lock is one of `cargoPatches`: the derivation has it once, and the fetcher of its dependencies as well.
#[test]
fn cargo_lock() {
    for (_, nixpkgs) in checkouts().into_iter().filter(|(variable, _)| *variable != CORE) {
        cargo_lock_of(&nixpkgs);
    }
}

fn cargo_lock_of(nixpkgs: &Path) {
    let set = nixpkgs.to_str().unwrap();
    let lock = PATCH.replace("/x\n", "/Cargo.lock\n");
    let dir = workspace(&[("overlay.nix", EMPTY), ("fix-it.patch", &lock)]);
    let run = overlayctl(dir.path(), &["patch", "ripgrep", "fix-it.patch", "--nixpkgs", set]);
    assert!(run.status.success() && said(&run).contains("OV1125"), "{}", said(&run));
    let expression = format!(
        "let set = overlays: import {set} {{ config = {{ }}; system = \"x86_64-linux\"; inherit overlays; }}; \
         p = (set [ (import {}) ]).ripgrep; plain = (set [ ]).ripgrep; \
         count = builtins.length (builtins.filter (p: builtins.match \".*0001-fix-it.patch\" (toString p) != null) p.patches); \
         in [ count (p.cargoDeps.drvPath != plain.cargoDeps.drvPath) (p.src == plain.src) ]",
        dir.path().join("overlay.nix").display()
    );
    let output = Command::new("nix-instantiate")
        .args(["--eval", "--strict", "--json", "--read-write-mode", "-E", &expression])
        .env("NIX_CONFIG", support::NIX_CONFIG)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[1,true,true]", "{}", said(&output));
    assert!(overlayctl(dir.path(), &["unpatch", "ripgrep"]).status.success());
    assert_eq!(std::fs::read_to_string(dir.path().join("overlay.nix")).unwrap(), EMPTY);
}

/// U-Boot has patches of its own, which stay; so do the `extraPatches` of one that the overlay builds itself.
#[test]
fn u_boot() {
    let Some(nixpkgs) = nixpkgs(OLD) else { return };
    let own = "final: prev: {\n  board = final.buildUBoot {\n    defconfig = \"qemu_arm_defconfig\";\n    extraPatches = [ ./fix.patch ];\n    \
               filesToInstall = [ \"u-boot.bin\" ];\n    extraMeta.platforms = [ \"aarch64-linux\" ];\n  };\n}\n";
    for (attr, overlay, length) in [("ubootQemuAarch64", EMPTY, 2), ("board", own, 3)] {
        let dir = workspace(&[("overlay.nix", overlay), ("fix-it.patch", PATCH)]);
        let set = nixpkgs.to_str().unwrap();
        let run = overlayctl(dir.path(), &["patch", attr, "fix-it.patch", "--nixpkgs", set]);
        assert!(run.status.success(), "{}", said(&run));
        let text = std::fs::read_to_string(dir.path().join("overlay.nix")).unwrap();
        let expression = format!(
            "let p = (import {set} {{ config = {{ }}; system = \"x86_64-linux\"; overlays = [ (import {}) ]; \
             crossSystem.config = \"aarch64-unknown-linux-gnu\"; }}).{attr}; \
             in [ (builtins.length p.patches) (builtins.length (builtins.filter (p: builtins.match \".*0001-fix-it.patch\" (toString p) != null) p.patches)) ]",
            dir.path().join("overlay.nix").display()
        );
        let output = Command::new("nix-instantiate")
            .args(["--eval", "--strict", "--json", "--read-write-mode", "-E", &expression])
            .env("NIX_CONFIG", support::NIX_CONFIG)
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            format!("[{length},1]"),
            "{}\n{text}",
            said(&output)
        );
        assert!(overlayctl(dir.path(), &["unpatch", attr]).status.success());
        assert_eq!(std::fs::read_to_string(dir.path().join("overlay.nix")).unwrap(), overlay);
    }
}

/// The right attribute: wrappers are refused by name, the C library's owner is told, and nothing is written then.
#[test]
fn right_attribute() {
    let Some(nixpkgs) = nixpkgs(OLD) else { return };
    let set = nixpkgs.to_str().unwrap();
    for (attr, named) in [
        ("binutils", "`binutils-unwrapped`"),
        ("gcc", "`gcc-unwrapped`"),
        ("clang_7", "`llvmPackages_7.clang-unwrapped`"),
        ("firefox", "`firefox-unwrapped`"),
    ] {
        let dir = workspace(&[("overlay.nix", EMPTY)]);
        let run = overlayctl(dir.path(), &["patch", attr, "fix.patch", "--nixpkgs", set]);
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(1), "{attr}: {said}");
        assert!(said.contains("OV1012") && said.contains(named), "{attr}: {said}");
        assert_eq!(std::fs::read_to_string(dir.path().join("overlay.nix")).unwrap(), EMPTY);
        assert!(!dir.path().join("patches").exists());
    }
    for (settings, attr, owner) in [
        ("targets = [\"pkgsCross.aarch64-multiplatform.zlib\"]", "glibc", Some("glibcCross")),
        ("[boards.b]\nplatform = \"aarch64-multiplatform-musl\"\npackages = [\"zlib\"]", "musl", Some("muslCross")),
        ("targets = [\"zlib\"]", "glibc", None),
    ] {
        let dir = workspace(&[("overlay.nix", EMPTY), ("overlayctl.toml", settings)]);
        let run = overlayctl(dir.path(), &["patch", attr, "fix.patch", "--nixpkgs", set, "--dry-run"]);
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.success(), "{said}");
        assert_eq!(said.contains("OV1124"), owner.is_some(), "{attr}: {said}");
        assert!(owner.is_none_or(|owner| said.contains(&format!("`{owner}`"))), "{attr}: {said}");
    }
}
