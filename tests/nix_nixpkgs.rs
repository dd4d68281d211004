//! The nix room against real nixpkgs: 19.09, named by `OVERLAYCTL_NIXPKGS_1909`, and today's, named by `OVERLAYCTL_NIXPKGS`
//! (which needs Nix 2.26 or newer); skipped without.

#![allow(clippy::unwrap_used, reason = "tests say what they expect")]

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;

use overlayctl::nix::{Cross, Nix, NixpkgsRef, Overlay, PackageSet, Patches, Root, Settings, Side};

fn nixpkgs() -> Option<(Nix, PathBuf)> {
    named(support::nixpkgs::OLD)
}

fn named(variable: &'static str) -> Option<(Nix, PathBuf)> {
    let path = support::nixpkgs::nixpkgs(variable)?;
    let settings = Settings {
        options: vec![("substituters".into(), String::new())],
        programs: std::env::var_os("OVERLAYCTL_NIX_BIN").map(PathBuf::from),
        store: std::env::var("OVERLAYCTL_TEST_STORE").ok(),
        ..Settings::default()
    };
    match Nix::discover(settings) {
        Ok(nix) => Some((nix, path)),
        Err(e) => {
            support::nixpkgs::skipped(&e.to_string());
            None
        }
    }
}

/// The seed case: musl patched, ripgrep for aarch64-musl; ten new store paths, eight builds.
#[test]
fn a_patched_musl_makes_ten_new_paths_in_the_closure_of_ripgrep() {
    let Some((nix, nixpkgs)) = nixpkgs() else { return };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("fix.patch"), "--- a/x\n+++ b/x\n").unwrap();
    let overlay = dir.path().join("overlay.nix");
    let text = "final: prev: { musl = prev.musl.overrideAttrs (o: { patches = o.patches ++ [ ./fix.patch ]; }); }";
    std::fs::write(&overlay, text).unwrap();
    let side = |name: &str, overlays: Vec<Overlay>| {
        let mut set = PackageSet::new(NixpkgsRef::Path(nixpkgs.clone()));
        set.cross = Some(Cross::Named("aarch64-multiplatform-musl".into()));
        set.overlays = overlays;
        Side { name: name.into(), root: Root::Packages(Box::new(set)), targets: vec![vec!["ripgrep".into()]] }
    };
    let sides = [side("without", Vec::new()), side("with", vec![Overlay::File(overlay)])];
    let results = nix.instantiate(&sides).unwrap();
    let closure =
        |i: usize| -> BTreeSet<String> { nix.requisites(&[&results[i][0].as_ref().unwrap().drv_path]).unwrap() };
    let (before, after) = (closure(0), closure(1));
    let new: Vec<&str> = after.difference(&before).map(|p| overlayctl::base::store_path::name(p)).collect();
    assert_eq!(new.len(), 10, "{new:?}");
    for name in ["fix.patch", "musl-1.1.22-aarch64-unknown-linux-musl.drv"] {
        assert!(new.contains(&name), "{name} in {new:?}");
    }
}

#[test]
fn facts_of_real_packages() {
    let Some((nix, nixpkgs)) = nixpkgs() else { return };
    let mut set = PackageSet::new(NixpkgsRef::Path(nixpkgs));
    set.cross = Some(Cross::Named("aarch64-multiplatform".into()));
    let root = Root::Packages(Box::new(set));
    let facts = |name: &str| nix.package_facts(&root, &[name.to_string()]).unwrap();
    let zlib = facts("zlib");
    assert!(matches!(zlib.patches, Patches::List(_)) && zlib.has_src == Some(true), "{zlib:?}");
    // A wrapper has no source: a patch of it would be ignored.
    assert_eq!(facts("binutils").has_src, Some(false));
    let typo = facts("opensll");
    assert!(!typo.exists && typo.near.iter().any(|n| n.starts_with("openssl")), "{:?}", typo.near);
}

/// What is asked of a package before a patch, where the name that is typed is not the one that an overlay has to bind.
#[test]
fn the_owner_of_a_package_is_the_same_derivation_by_whatever_name() {
    let Some((nix, nixpkgs)) = named(support::nixpkgs::TODAY) else { return };
    let root = Root::Packages(Box::new(PackageSet::new(NixpkgsRef::Path(nixpkgs))));
    for (typed, owner) in
        [("curl", None), ("libjpeg", Some("libjpeg_turbo")), ("xorg.libX11", Some("libx11")), ("qt6.qtbase", None)]
    {
        let path: Vec<String> = typed.split('.').map(String::from).collect();
        let survey = nix.survey(&root, &path, &[]).unwrap();
        let found = survey.owner.map(|owner| owner.path.join(".")).filter(|found| found != typed);
        assert_eq!(found.as_deref(), owner, "{typed}");
    }
}

/// A patched zlib does not reach ripgrep where only the target stage sees the overlay (`crossOverlays`).
#[test]
fn cross_overlays_reach_the_target_stage_only() {
    let Some((nix, nixpkgs)) = nixpkgs() else { return };
    let dir = tempfile::tempdir().unwrap();
    let overlay = dir.path().join("overlay.nix");
    std::fs::write(&overlay, "final: prev: { zlib = prev.zlib.overrideAttrs (o: { salt = 1; }); }").unwrap();
    let mut set = PackageSet::new(NixpkgsRef::Path(nixpkgs));
    set.cross = Some(Cross::Named("aarch64-multiplatform".into()));
    let side = |name: &str, set: &PackageSet| Side {
        name: name.into(),
        root: Root::Packages(Box::new(set.clone())),
        targets: vec![vec!["ripgrep".into()], vec!["curl".into()]],
    };
    let plain = side("plain", &set);
    set.cross_overlays = vec![Overlay::File(overlay.clone())];
    let host = side("host", &set);
    set.overlays = std::mem::take(&mut set.cross_overlays);
    let all = side("all", &set);
    let results = nix.instantiate(&[plain, host, all]).unwrap();
    let out = |side: usize, target: usize| results[side][target].as_ref().unwrap().out_path.clone();
    assert_eq!(out(0, 0), out(1, 0));
    assert_ne!(out(0, 0), out(2, 0));
    assert_ne!(out(0, 1), out(1, 1));
}
