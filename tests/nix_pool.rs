//! A whole package set over several evaluators: workers that run out of memory, hang, die or talk nonsense.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use overlayctl::base::diagnostic::Coded as _;
use overlayctl::nix::{Error, Evaluated, FailureKind, Fragment, Nix, PoolSettings, PoolSummary, Root, Settings};

const SETTINGS: PoolSettings = PoolSettings { workers: 2, max_memory: None, recurse: true, limit: None };

fn nix() -> Option<Nix> {
    let settings = Settings { options: vec![("substituters".into(), String::new())], ..Settings::default() };
    let nix = Nix::discover(settings);
    if nix.is_err() {
        eprintln!("skipped: Nix is not installed");
    }
    nix.ok()
}

fn root(text: &str) -> Root {
    let drv = "d = n: derivation { name = n; system = builtins.currentSystem; builder = \"/bin/sh\"; }";
    Root::Expression(Fragment::parse(format!("let {drv}; in {text}")).unwrap())
}

type Found = BTreeMap<String, Evaluated>;

fn evaluate(nix: &Nix, root: &Root, settings: PoolSettings) -> Result<(PoolSummary, Found), Error> {
    let mut found = Found::new();
    let summary = nix.evaluate_all(root, vec![Vec::new()], settings, &mut |path, evaluated, _| {
        assert!(found.insert(path.join("."), evaluated).is_none(), "twice: {path:?}");
    })?;
    Ok((summary, found))
}

fn is_derivation(found: &Found, attr: &str) -> bool {
    matches!(found.get(attr), Some(Evaluated::Derivation { .. }))
}

#[test]
fn a_worker_over_its_share_of_memory_starts_anew_and_goes_on() {
    let Some(nix) = nix() else { return };
    // Each holds what it made; all together are more than one evaluator may have, each alone is less.
    let held = "held = n: builtins.genList (i: [ i n ]) 1500000; \
                of = n: let l = held n; in { type = \"derivation\"; inherit (d n) outPath; keep = l; drvPath = \
                builtins.seq (builtins.foldl' (a: b: a + builtins.length b) 0 l) (d n).drvPath; };";
    let set = root(&format!(
        "let {held} in builtins.listToAttrs (map (n: {{ name = n; value = of n; }}) [ \"a\" \"b\" \"c\" \"e\" \"f\" \"g\" ])"
    ));
    let ample = evaluate(&nix, &set, PoolSettings { workers: 1, ..SETTINGS }).unwrap();
    assert_eq!((ample.0.derivations, ample.0.restarts), (6, 0));
    let tight = PoolSettings { workers: 1, max_memory: Some(400 << 20), ..SETTINGS };
    let (summary, found) = evaluate(&nix, &set, tight).unwrap();
    assert!(summary.restarts > 0, "{summary:?}");
    assert_eq!(found, ample.1, "slower, but right");
}

#[test]
fn what_alone_needs_more_than_all_memory_fails_alone() {
    let Some(nix) = nix() else { return };
    let set = root(
        "{ a = d \"a\"; b = d \"b\"; hog = let l = builtins.genList (i: [ i ]) 30000000; in \
         builtins.seq (builtins.foldl' (a: b: a + builtins.length b) (builtins.length l) l) (d (toString l)); z = d \"z\"; }",
    );
    let (summary, found) = evaluate(&nix, &set, PoolSettings { max_memory: Some(300 << 20), ..SETTINGS }).unwrap();
    assert!(is_derivation(&found, "a") && is_derivation(&found, "b") && is_derivation(&found, "z"), "{found:?}");
    let Some(Evaluated::Failed(failure)) = found.get("hog") else { panic!("{found:?}") };
    assert!(failure.message.contains("memory"), "{failure:?}");
    assert_eq!((summary.derivations, summary.failed), (3, 1));
}

#[test]
fn what_takes_too_long_or_kills_the_evaluator_fails_alone() {
    let Some(nix) = nix() else { return };
    let set = root(
        "{ a = d \"a\"; b = d \"b\"; long = let l = builtins.genList (i: i) 100000; in d (toString (builtins.foldl' (a: _: \
         builtins.foldl' (x: _: x) a l) 0 l)); deep = let f = n: 1 + f (n + 1); in f 0; z = d \"z\"; }",
    );
    let settings = PoolSettings { limit: Some(Duration::from_secs(3)), ..SETTINGS };
    let (summary, found) = evaluate(&nix, &set, settings).unwrap();
    assert!(is_derivation(&found, "a") && is_derivation(&found, "b") && is_derivation(&found, "z"), "{found:?}");
    let kind = |attr: &str| match found.get(attr) {
        Some(Evaluated::Failed(failure)) => failure.kind.clone(),
        other => panic!("{attr}: {other:?}"),
    };
    assert_eq!(kind("long"), FailureKind::TimedOut);
    assert_eq!(kind("deep"), FailureKind::InfiniteRecursion);
    assert_eq!((summary.attributes, summary.failed), (5, 2));
}

/// Makes a directory with programs called as Nix's, each a shell script.
fn impostor(programs: &[(&str, &str)]) -> (tempfile::TempDir, Nix) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["nix", "nix-store", "nix-instantiate"] {
        script(dir.path(), name, "exit 1");
    }
    for (name, text) in programs {
        script(dir.path(), name, text);
    }
    let settings = Settings {
        programs: Some(dir.path().to_path_buf()),
        eval_limit: Some(Duration::from_secs(2)),
        ..Settings::default()
    };
    (dir, Nix::discover(settings).unwrap())
}

fn script(dir: &Path, name: &str, text: &str) {
    let file = dir.join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_pool_of_impostors_is_a_clear_error() {
    let version = "if [ \"$1\" = --version ]; then echo 'nix (Nix) 2.8.0'; else";
    let settings = PoolSettings { limit: Some(Duration::from_secs(2)), ..SETTINGS };
    for (text, code) in [
        (format!("{version} exit 7; fi"), "OV0512"),
        (format!("{version} sleep 60; fi"), "OV0513"),
        (format!("{version} yes '@@garbage'; fi"), "OV0513"),
        (format!("{version} head -c 3000000 /dev/urandom; fi"), "OV0512"),
        ("kill -9 $$".to_string(), "OV0512"),
    ] {
        let (_dir, nix) = impostor(&[("nix", &text)]);
        let error = evaluate(&nix, &root("{ }"), settings).unwrap_err();
        assert_eq!(error.code(), code, "{text}: {error}");
    }
}
