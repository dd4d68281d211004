//! The seed case on real nixpkgs 19.09: a patched musl, x86_64 to aarch64-musl, target ripgrep.
//!
//! Needs Nix and a checkout in OVERLAYCTL_NIXPKGS_1909; says so and passes where one is missing.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects")]

mod support;

#[test]
fn eight_builds_from_musl_to_ripgrep() {
    let Ok(nixpkgs) = std::env::var("OVERLAYCTL_NIXPKGS_1909") else {
        eprintln!("skipped: OVERLAYCTL_NIXPKGS_1909 names no checkout of nixpkgs 19.09");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let patch = "--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n";
    std::fs::write(dir.path().join("fix.patch"), patch).unwrap();
    std::fs::write(dir.path().join("overlay.nix"), "final: prev: {\n}\n").unwrap();
    let run = |args: &[&str]| {
        let output = support::overlayctl(dir.path()).args(args).args(["--nixpkgs", &nixpkgs]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run(&["patch", "musl", "fix.patch"]);
    let target = "pkgsCross.aarch64-multiplatform-musl.ripgrep";
    let impact: serde_json::Value = serde_json::from_slice(&run(&["impact", "--json", "--target", target])).unwrap();
    let mut names: Vec<&str> =
        impact["rebuild"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    names.sort_unstable();
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
    assert_eq!(impact["counts"], serde_json::json!({ "derivations": 8, "builds": 8 }));
    let renamed = impact["fixedOutputOnly"].as_array().unwrap();
    assert!(renamed.len() == 1 && renamed[0]["name"].as_str().unwrap().contains("ripgrep-"), "{renamed:?}");
    let path: Vec<&str> =
        impact["chains"][0]["path"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for (part, name) in [(0, "musl-"), (path.len() - 1, "ripgrep-")] {
        assert!(path[part].starts_with(name), "{path:?}");
    }
    for name in ["stage-final-gcc-7", "gcc-wrapper", "rustc-"] {
        assert!(path.iter().any(|step| step.contains(name)), "{name} in {path:?}");
    }
}
