//! The seed case on real nixpkgs: its commands evaluated and explained, and its story, a patched musl, x86_64 to aarch64-musl,
//! target ripgrep.
//!
//! Needs Nix and checkouts (`OVERLAYCTL_NIXPKGS`, `OVERLAYCTL_NIXPKGS_1909`); says so and passes where they are missing.

#![allow(clippy::unwrap_used, reason = "a test says what it expects")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::nixpkgs::{OLD, TODAY, checkouts, evaluate, nixpkgs};

/// Where a checkout of today's lacks a part that qemu needs, a package stands in for it: what qemu emulates has no part in the story.
const STAND_INS: &str =
    "(final: prev: prev.lib.genAttrs [ \"canokey-qemu\" \"libu2f-emu\" \"qemu\" \"qemu-user\" ] (_: final.hello))";

/// Writes a package set that is a checkout's with the stand-ins below every overlay.
fn with_stand_ins(dir: &Path, nixpkgs: &Path) -> PathBuf {
    let set = dir.join("set");
    std::fs::create_dir_all(&set).unwrap();
    let nixpkgs = nixpkgs.display();
    let text =
        format!("args: import {nixpkgs} (args // {{ overlays = [ {STAND_INS} ] ++ (args.overlays or [ ]); }})\n");
    std::fs::write(set.join("default.nix"), text).unwrap();
    set
}

const PATCH: &str = "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n";
const TARGET: &str = "pkgsCross.aarch64-multiplatform-musl.ripgrep";

struct Story {
    impact: Value,
    /// Names of what is rebuilt, sorted.
    names: Vec<String>,
    /// The chain to ripgrep.
    chain: Vec<String>,
}

/// Patches musl and asks for the impact on ripgrep.
fn story(nixpkgs: &Path) -> Story {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("fix.patch", PATCH);
    write("overlay.nix", "final: prev: {\n}\n");
    write("overlayctl.toml", &format!("nixpkgs = \"{}\"\noverlays = [\"overlay.nix\"]\n", nixpkgs.display()));
    let run = |args: &[&str]| {
        let output = support::overlayctl(dir.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{}", support::said(&output));
        output.stdout
    };
    run(&["patch", "musl", "fix.patch"]);
    let impact: Value = serde_json::from_slice(&run(&["impact", "--json", "--target", TARGET])).unwrap();
    let strings = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_string()).collect()
    };
    let mut names: Vec<String> =
        impact["rebuild"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap().to_string()).collect();
    names.sort_unstable();
    let chain = strings(&impact["chains"][0]["path"]);
    Story { names, chain, impact }
}

/// The chain begins with musl, ends with ripgrep, and names these in between, in this order.
fn assert_chain(chain: &[String], between: &[&str]) {
    let mut rest = chain.iter();
    for name in ["musl-"].iter().chain(between).chain(&["ripgrep-"]) {
        assert!(rest.any(|step| step.contains(name)), "{name} in {chain:?}");
    }
    assert!(chain.first().unwrap().starts_with("musl-") && rest.next().is_none(), "{chain:?}");
}

#[test]
fn eight_builds_from_musl_to_ripgrep() {
    let Some(nixpkgs) = nixpkgs(OLD) else { return };
    let Story { impact, names, chain } = story(&nixpkgs);
    assert_eq!(
        names,
        [
            "aarch64-unknown-linux-musl-binutils-wrapper-2.31.1",
            "aarch64-unknown-linux-musl-stage-final-gcc-7.4.0",
            "aarch64-unknown-linux-musl-stage-final-gcc-wrapper-7.4.0",
            "cargo-1.34.0",
            "musl-1.1.22-aarch64-unknown-linux-musl",
            "ripgrep-11.0.1-aarch64-unknown-linux-musl",
            "rustc-1.34.0",
            "stdenv-linux",
        ]
    );
    assert_eq!(impact["counts"], json!({ "derivations": 8, "builds": 8 }));
    let renamed = impact["fixedOutputOnly"].as_array().unwrap();
    assert!(renamed.len() == 1 && renamed[0]["name"].as_str().unwrap().contains("ripgrep-"), "{renamed:?}");
    assert_chain(&chain, &["stage-final-gcc-7", "gcc-wrapper", "rustc-"]);
}

#[test]
fn today_too_musl_reaches_ripgrep_through_gcc_and_rustc() {
    let Some(nixpkgs) = nixpkgs(TODAY) else { return };
    let dir = tempfile::tempdir().unwrap();
    let set = with_stand_ins(dir.path(), &nixpkgs);
    let Story { impact, names, chain } = story(&set);
    assert_chain(&chain, &["gcc-", "gcc-wrapper", "rustc-", "rustc-wrapper"]);
    for name in ["binutils-wrapper", "-gcc-1", "rustc-wrapper", "cargo-", "ripgrep-"] {
        assert!(names.iter().any(|rebuilt| rebuilt.contains(name)), "{name} in {names:?}");
    }
    // All that stock Nix finds, and nothing else.
    let file = dir.path().join("0001-fix.patch");
    std::fs::write(&file, PATCH).unwrap();
    let overlay = format!(
        "(final: prev: {{ musl = prev.musl.overrideAttrs (old: {{ patches = (old.patches or [ ]) ++ [ {} ]; }}); }})",
        file.display()
    );
    let side = |overlays: &str| {
        let set = set.display();
        closure(&format!("(import {set} {{ config = {{ }}; overlays = [ {overlays} ]; }}).{TARGET}"))
    };
    let (before, after) = (side(""), side(&overlay));
    let known: BTreeSet<&String> = before.iter().flat_map(|(_, outputs)| outputs).collect();
    let mut wanted: Vec<String> = after
        .iter()
        .filter(|(_, outputs)| outputs.iter().any(|output| !known.contains(output)))
        .map(|(drv, _)| overlayctl::base::store_path::name(drv).trim_end_matches(".drv").to_string())
        .collect();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    assert_eq!(impact["counts"]["derivations"], names.len());
}

/// Returns the derivations of a closure, each with its outputs, as stock Nix knows them.
fn closure(expression: &str) -> Vec<(String, Vec<String>)> {
    let run = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        let output = command.env("NIX_CONFIG", support::nix_config()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", support::said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let drv = run("nix-instantiate", &["-E", expression]);
    let requisites = run("nix-store", &["-qR", drv.trim()]);
    let drvs = requisites.lines().filter(|path| path.ends_with(".drv"));
    drvs.map(|drv| {
        let text = String::from_utf8_lossy(&std::fs::read(drv).unwrap()).into_owned();
        let outputs = text.strip_prefix("Derive([").unwrap().split_once("],[").unwrap().0;
        let paths = outputs.split("),(").map(|output| output.split("\",\"").nth(1).unwrap().to_string());
        (drv.to_string(), paths.collect())
    })
    .collect()
}

/// curl, its static form and both compilers: each evaluates, and what is said of its platforms is what Nix says.
#[test]
fn the_commands_of_the_seed_evaluate_and_are_explained() {
    let set = "pkgsCross.aarch64-multiplatform";
    for (variable, nixpkgs) in checkouts() {
        let dir = tempfile::tempdir().unwrap();
        for (below, package, role) in [
            ("", "curl", "program"),
            (".pkgsStatic", "curl", "program"),
            ("", "gcc", "toolchain"),
            (".buildPackages", "gcc", "toolchain"),
        ] {
            let at = format!("{set}{below}");
            let facts = evaluate(&format!(
                "let pkgs = (import {} {{ config = {{ }}; overlays = [ ]; }}).{at}; in {{ drv = pkgs.{package}.drvPath; \
                 triples = map (p: p.config) [ pkgs.stdenv.buildPlatform pkgs.stdenv.hostPlatform pkgs.stdenv.targetPlatform ]; }}",
                nixpkgs.display()
            ));
            let Ok(facts) = facts else {
                // The core of 24.05 recurses there as it is.
                assert_eq!(variable, support::nixpkgs::CORE, "{variable} {at}.{package}: {facts:?}");
                continue;
            };
            let attr = format!("{at}.{package}");
            let arguments = ["explain", &attr, "--json", "--nixpkgs", nixpkgs.to_str().unwrap()];
            let output = support::overlayctl(dir.path()).args(arguments).output().unwrap();
            let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let triples = ["build", "host", "target"].map(|side| told[side]["triple"].clone());
            assert_eq!(json!(triples), facts["triples"], "{variable} {attr}: {}", support::said(&output));
            assert_eq!(told["role"], role, "{variable} {attr}");
            assert_eq!(told["source"], "evaluation", "{variable} {attr}");
        }
    }
}
