//! What is only needed on the way (a source, a program, a toolchain) and would have to be built is said, and built with `--build` alone.
//! Real Nix builds, with /bin/sh.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod queue_support;

use std::process::Command;

use queue_support::{PACKAGES, Scene, mail, numbered, patch, text};

/// A package set whose `foo` is made from `source`, never built before.
fn with_source(scene: &Scene, set: &str, source: &str) {
    let fresh = format!("{:?}", std::time::SystemTime::now());
    let head = format!(
        "let
  fresh = \"{fresh}\";
  sh = attrs: script: derivation ({{ system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ \"-c\" script ]; inherit fresh; }} // attrs);
  content = ''{}// made with ${{fresh}}\n'';
  fetcher = sh {{ name = \"fetcher-7.1\"; pname = \"fetcher\"; }} \"echo 'printf %s \\\"$content\\\"' > $out\";
  fixed = {{ outputHashMode = \"flat\"; outputHashAlgo = \"sha256\"; outputHash = builtins.hashString \"sha256\" content; }};
in\n",
        text(&numbered(1..31))
    );
    let packages = PACKAGES.replace("VERSION", "1.0").replace("./own.patch", "").replace("./foo", source);
    scene.write(&format!("{set}/default.nix"), &packages.replacen("let\n", &format!("{head}let\n"), 1));
}

/// A download whose own program has to be built.
const BY_FETCHER: &str = "(sh ({ name = \"a.c\"; inherit fetcher content; } // fixed) \". $fetcher > $out\")";
/// No fixed output at all.
const MADE: &str = "(sh { name = \"a.c\"; inherit content; } \"printf %s \\\"$content\\\" > $out\")";
/// A download that needs nothing.
const PLAIN: &str = "(sh ({ name = \"a.c\"; inherit content; } // fixed) \"printf %s \\\"$content\\\" > $out\")";

fn scene(source: &str) -> Option<Scene> {
    let scene = Scene::new()?;
    with_source(&scene, "one", source);
    scene.queue(&[patch("a.c", 10, "X", &mail("change a"))]);
    Some(scene)
}

/// The error of a command that would build, as `--json` has it.
fn refused(scene: &Scene, args: &[&str]) -> serde_json::Value {
    let error = scene.json(1, args)["error"].clone();
    assert_eq!(error["code"], "OV0520", "{args:?}: {error}");
    assert!(error["hint"].as_str().unwrap().contains("--build"), "{error}");
    error
}

#[test]
fn a_source_that_has_to_be_built_is_said_and_built_on_demand() {
    for (source, built) in [(BY_FETCHER, "fetcher-7.1"), (MADE, "a.c")] {
        let Some(scene) = scene(source) else { return };
        // `check` says it in the row of the package.
        let checked = scene.json(1, &["check"]);
        let failure = &checked["packages"][0]["failure"];
        assert_eq!(failure["code"], "OV0520", "{checked}");
        let said = failure["message"].as_str().unwrap();
        assert!(said.contains(&format!("1 build ({built})")) && said.contains("never built here before"), "{said}");
        for args in [&["edit", "foo"][..], &["refresh", "foo"]] {
            let error = refused(&scene, args);
            assert!(error["message"].as_str().unwrap().contains(built), "{error}");
        }
        assert!(!scene.at(".overlayctl/edit/foo").exists());
        with_source(&scene, "two", source);
        let rebased = scene.json(1, &["rebase", "--to", "two", "--dry-run"]);
        assert_eq!(rebased["packages"][0]["failure"]["code"], "OV0520", "{rebased}");
        assert_eq!(
            scene.json(1, &["check"])["packages"][0]["failure"]["code"],
            "OV0520",
            "nothing was built meanwhile"
        );

        scene.run(0, &["check", "--build"]);
        scene.run(0, &["check"]);
        scene.run(0, &["edit", "foo"]);
        scene.run(0, &["rebase", "--to", "two", "--dry-run", "--build"]);
    }
}

#[test]
fn a_download_is_no_build() {
    let Some(scene) = scene(PLAIN) else { return };
    let output = scene.command(&["check"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("getting a.c"), "it is said: {output:?}");
}

/// One package whose source has to be built hides none whose source is at hand.
#[test]
fn the_others_are_checked_all_the_same() {
    let Some(scene) = scene(BY_FETCHER) else { return };
    let packages = scene.read("one/default.nix");
    let bar = "bar = mkDerivation { name = \"bar-1\"; src = ./foo; patches = [ ]; }; foo = mk";
    scene.write("one/default.nix", &packages.replace("foo = mk", bar));
    scene.write("in/bar.patch", &patch("b.c", 10, "X", &mail("change b")));
    scene.run(0, &["patch", "bar", "in/bar.patch", "--offline"]);
    let checked = scene.json(1, &["check"]);
    assert_eq!(checked["packages"][0]["patches"][0]["state"], "clean", "{checked}");
    assert_eq!(checked["packages"][1]["failure"]["code"], "OV0520", "{checked}");
}

#[test]
fn a_program_and_a_toolchain_too() {
    let Some(scene) = scene(PLAIN) else { return };
    let tool = "mkDerivation { name = \"gcc-9\"; pname = \"gcc\"; inherit fresh; args = [ \"-c\" \"PATH=/bin:/usr/bin; mkdir -p $out/bin; echo '#!/bin/sh\necho it runs \\\"$@\\\"' > $out/bin/gcc; chmod +x $out/bin/gcc\" ]; }";
    let set = format!("gcc = {tool}; buildPackages = final; pkgsCross.board = final; foo = mk");
    let packages = scene.read("one/default.nix").replace("foo = mk", &set);
    scene.write("one/default.nix", &packages);
    for args in [&["run", "gcc"][..], &["toolchain", "board"]] {
        let error = refused(&scene, args);
        assert!(error["message"].as_str().unwrap().contains("1 build (gcc-9)"), "{error}");
    }
    let out = scene.run(0, &["run", "gcc", "--build", "--", "well"]);
    assert_eq!(out, "it runs well\n");
    // It is there now, and its time is known.
    assert_eq!(scene.run(0, &["run", "gcc", "--", "again"]), "it runs again\n");
    let got = scene.json(0, &["toolchain", "board"]);
    assert_eq!(got["environment"][0][0], "CC", "{got}");
    let path = got["path"].as_str().unwrap();
    assert!(Command::new(format!("{path}/bin/gcc")).status().unwrap().success());
}

/// A build that fails is told as `build` tells it.
#[test]
fn a_program_that_does_not_build() {
    let Some(scene) = scene(PLAIN) else { return };
    let packages = scene.read("one/default.nix");
    let broken = "broken = mkDerivation { name = \"broken-1\"; inherit fresh; args = [ \"-c\" \"echo no luck; exit 3\" ]; }; foo = mk";
    scene.write("one/default.nix", &packages.replace("foo = mk", broken));
    let output = scene.try_run(&["run", "broken", "--build"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("no luck"), "{output:?}");
}
