//! `impact`, `why` and the kept graphs as processes, on a small package set of nixpkgs' shape. Real Nix, nothing is built.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use overlayctl::base::process::find_program;
use serde_json::Value;

const ZLIB: &str =
    "final: prev: { zlib = prev.zlib.overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ ./fix.patch ]; }); }\n";

/// A workspace beside a copy of the small package set.
struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    /// Makes one with this overlay; `None`, and says so, where there is no Nix.
    fn new(overlay: &str) -> Option<Scene> {
        if find_program("nix-store").is_none() {
            eprintln!("skipped: Nix is not installed");
            return None;
        }
        let scene = Scene { dir: tempfile::tempdir().unwrap() };
        support::copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mini-nixpkgs"), &scene.nixpkgs());
        scene.write("overlay.nix", overlay);
        scene.write("fix.patch", "one\n");
        let nixpkgs = scene.nixpkgs();
        scene.write("overlayctl.toml", &format!("nixpkgs = {:?}\n", nixpkgs.display().to_string()));
        // What changed just before a run may have changed during it, and is not kept.
        std::thread::sleep(std::time::Duration::from_millis(20));
        Some(scene)
    }

    fn nixpkgs(&self) -> PathBuf {
        self.dir.path().join("nixpkgs")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join("board").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn run(&self, line: &str) -> Output {
        // What stands here comes first on PATH.
        let own = std::iter::once(self.dir.path().join("bin"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        support::overlayctl(&self.dir.path().join("board"))
            .args(line.split(' '))
            .env("PATH", std::env::join_paths(own.chain(std::env::split_paths(&path))).unwrap())
            .env("HOME", self.dir.path())
            .env("XDG_CACHE_HOME", self.dir.path().join("cache"))
            .env("NIX_PATH", format!("nixpkgs={}", self.dir.path().join("channel").display()))
            .output()
            .unwrap()
    }

    fn text(&self, line: &str) -> String {
        let output = self.run(line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.text(&format!("{line} --json"))).unwrap()
    }

    fn refused(&self, line: &str, code: &str) {
        let output = self.run(line);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(code), "{line}: {text}");
    }

    fn commit(&self) {
        support::commit(&self.dir.path().join("board"));
    }
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

fn set(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|one| one["drvPath"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_kept_answers_the_same_and_only_while_the_set_stays() {
    let Some(scene) = Scene::new(ZLIB) else { return };
    let line = "impact --target pkgsCross.arm.curl --target curl";
    let first = scene.json(line);
    assert!(names(&first["rebuild"]).contains(&"curl-aarch64-unknown-linux-gnu-8".to_owned()), "{first}");
    let kept = scene.json("cache list");
    assert_eq!(kept["graphs"].as_array().unwrap().len(), 1);
    assert_eq!(scene.json(line), first, "from the cache");

    // A file that is only read, not evaluated, counts as well: the builder is copied, and a new one changes everything.
    let builder = scene.nixpkgs().join("builder.sh");
    let text = fs::read_to_string(&builder).unwrap();
    fs::write(&builder, text + "# changed\n").unwrap();
    let other = scene.json(line);
    // Derivations that need nothing of each other stand in the order of their paths, which are new.
    let sorted = |json: &Value| BTreeSet::from_iter(names(&json["rebuild"]));
    assert_eq!(sorted(&other), sorted(&first));
    assert!(set(&other["rebuild"]).is_disjoint(&set(&first["rebuild"])));

    // A damaged file is not believed, and replaced.
    let file = PathBuf::from(kept["graphs"][0]["file"].as_str().unwrap());
    fs::write(&file, b"ovgraph\nnonsense").unwrap();
    assert!(scene.text("cache list").contains("damaged"));
    assert_eq!(scene.json(line), other);
    assert!(!scene.text("cache list").contains("damaged"));
    assert_eq!(scene.json("cache clear")["removed"], 1);
    assert!(!file.exists());
}

#[test]
fn a_set_that_leads_elsewhere_is_kept_as_long_as_that_stays() {
    let Some(scene) = Scene::new(ZLIB) else { return };
    let elsewhere = scene.dir.path().join("elsewhere");
    fs::rename(scene.nixpkgs(), &elsewhere).unwrap();
    fs::create_dir(scene.nixpkgs()).unwrap();
    fs::write(scene.nixpkgs().join("default.nix"), "import ../elsewhere\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let first = scene.json("impact --target curl");
    assert!(first["counts"]["builds"].as_u64().unwrap() > 0);
    assert_eq!(scene.json("cache list")["graphs"].as_array().unwrap().len(), 1);
    assert_eq!(scene.json("impact --target curl"), first);
    let builder = fs::read_to_string(elsewhere.join("builder.sh")).unwrap();
    fs::write(elsewhere.join("builder.sh"), builder + "# changed\n").unwrap();
    let other = scene.json("impact --target curl");
    assert_eq!(other["counts"], first["counts"]);
    assert!(set(&other["rebuild"]).is_disjoint(&set(&first["rebuild"])));
}

/// Nix's own tools, for what a test puts into the store.
fn nix(program: &str, args: &[&str]) -> String {
    let output = std::process::Command::new(program)
        .args(args)
        .env("NIX_CONFIG", "experimental-features = nix-command flakes")
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_pin_a_lock_and_a_channel_are_keys_of_their_own() {
    let Some(scene) = Scene::new(ZLIB) else { return };
    let store_path = nix("nix-store", &["--add", &scene.nixpkgs().display().to_string()]);
    let text = |name: &str| fs::read_to_string(scene.dir.path().join("board").join(name)).unwrap();
    // Whether a second run has the other side from what is kept, and how many graphs that makes.
    let kept = || {
        // What changed just before a run may have changed during it, and is not kept.
        std::thread::sleep(std::time::Duration::from_millis(20));
        let first = scene.json("impact --target curl");
        let count = scene.json("cache list")["graphs"].as_array().unwrap().len();
        assert_eq!(scene.json("impact --target curl"), first);
        assert!(!names(&first["rebuild"]).is_empty());
        count
    };
    scene.write("overlayctl.toml", "");
    let pin = format!("{{ nixpkgs.outPath = builtins.storePath {store_path}; }}\n");
    scene.write("npins/default.nix", &pin);
    scene.write("npins/sources.json", r#"{ "version": 3, "pins": { "nixpkgs": { "hash": "one" } } }"#);
    assert_eq!(kept(), 1);
    // What the pin is read from may say something else now: it is evaluated again, and kept in the place of the other.
    scene.write("npins/default.nix", "import ../other.nix");
    scene.write("other.nix", &pin);
    assert_eq!(kept(), 1);
    // What a pin is made of without a hash can be anything the next time.
    scene.write("other.nix", &format!("builtins.seq builtins.currentTime ({pin})"));
    scene.text("cache clear");
    assert_eq!(kept(), 0);
    fs::remove_dir_all(scene.dir.path().join("board/npins")).unwrap();

    scene.write("overlayctl.toml", "nixpkgs = \"flake:nixpkgs\"\n");
    let url = format!("path:{}", scene.nixpkgs().display());
    scene.write(
        "flake.nix",
        &format!("{{ inputs.nixpkgs = {{ url = {url:?}; flake = false; }}; outputs = inputs: {{ }}; }}\n"),
    );
    let board = scene.dir.path().join("board");
    nix("nix", &["flake", "lock", &format!("path:{}", board.display())]);
    assert!(text("flake.lock").contains("narHash"));
    assert_eq!(kept(), 1);
    // A comment in the flake could as well be another input.
    scene.write("flake.nix", &format!("# new\n{}", text("flake.nix")));
    assert_eq!(kept(), 2);

    fs::remove_file(board.join("flake.nix")).unwrap();
    scene.write("overlayctl.toml", "nixpkgs = \"<nixpkgs>\"\n");
    let channel = scene.dir.path().join("channel");
    std::os::unix::fs::symlink(&store_path, &channel).unwrap();
    assert_eq!(kept(), 3);
    // The channel moves on: what is kept is of the other store path.
    scene.write("../nixpkgs/new.nix", "{ }");
    let next = nix("nix-store", &["--add", &scene.nixpkgs().display().to_string()]);
    fs::remove_file(&channel).unwrap();
    std::os::unix::fs::symlink(&next, &channel).unwrap();
    assert_eq!(kept(), 3, "in the place of the other");
    let list = scene.text("cache list --verbose");
    assert!(list.contains(&next) && !list.contains(&store_path), "{list}");
}

#[test]
fn the_change_since_a_revision_and_the_patches_of_one_package() {
    let openssl = "openssl = prev.openssl.overrideAttrs (old: { patches = [ ./ssl.patch ]; });";
    let Some(scene) = Scene::new(ZLIB) else { return };
    scene.write("ssl.patch", "two\n");
    scene.commit();
    let line = "impact --target curl --target openssl";
    assert_eq!(scene.json(&format!("{line} --against HEAD"))["counts"]["builds"], 0, "nothing changed since");
    scene.write("overlay.nix", &ZLIB.replace("{ zlib", &format!("{{ {openssl} zlib")));
    assert_eq!(names(&scene.json(&format!("{line} --against HEAD"))["rebuild"]), ["openssl-1.0"]);
    assert_eq!(names(&scene.json(&format!("{line} --package openssl"))["rebuild"]), ["openssl-1.0"]);
    let zlib = scene.json(&format!("{line} --package zlib"));
    assert!(names(&zlib["rebuild"]).contains(&"zlib-1.0".to_owned()), "{zlib}");
    assert!(!names(&zlib["rebuild"]).contains(&"openssl-1.0".to_owned()), "{zlib}");
    let cover: Vec<&str> =
        zlib["cover"]["attributes"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    assert_eq!(cover, ["curl"]);
    scene.refused("impact --target curl --against nowhere", "OV0703");
    scene.refused("impact --target curl --package perl", "OV1010");
    // The working tree is as it was.
    assert!(scene.dir.path().join("board/ssl.patch").is_file());

    // The content of a patch alone: the root cause says which file, by its hash.
    scene.commit();
    scene.write("fix.patch", "another\n");
    let why = scene.text("why curl --against HEAD");
    assert!(why.contains("zlib-1.0") && why.contains("- fix.patch") && why.contains("+ fix.patch"), "{why}");
    assert!(why.lines().count() <= 20, "{why}");
}

#[test]
fn a_patch_that_reaches_no_target_is_named_by_every_name_of_its_package() {
    let Some(scene) = Scene::new(&ZLIB.replace("zlib", "perl")) else { return };
    for name in ["perl", "\"perl\"", "perl528"] {
        let impact = scene.json(&format!("impact {name} --target curl"));
        let unreached = impact["unreached"].as_array().unwrap();
        assert_eq!((unreached.len(), &unreached[0]["attr"]), (1, &"perl".into()), "{name}: {impact}");
        assert_eq!(impact["counts"]["builds"], 0, "{name}: {impact}");
    }
}

#[test]
fn prediction_and_scopes_agree_with_what_is_evaluated() {
    let Some(scene) = Scene::new(ZLIB) else { return };
    let exact = scene.json("impact --cross arm --target curl");
    scene.write("overlay.nix", "final: prev: { }\n");
    let predicted = scene.json("impact zlib --predict --cross arm --target curl");
    assert_eq!(names(&predicted["rebuild"]), names(&exact["rebuild"]));
    assert_eq!(predicted["counts"], exact["counts"]);
    scene.refused("impact zlibb --predict --target curl", "OV1011");

    let costs = scene.json("impact zlib --scopes --cross arm --target curl");
    assert_eq!(costs["all"]["builds"], exact["counts"]["builds"]);
    assert!(costs["host"]["builds"].as_u64() < costs["all"]["builds"].as_u64(), "{costs}");
    assert_eq!((&costs["host"]["reaches"], &costs["native"]), (&true.into(), &false.into()));
    let native = scene.json("impact zlib --scopes --target curl");
    assert_eq!((&native["native"], &native["host"]["builds"]), (&true.into(), &0.into()));
}

#[test]
fn the_whole_set_again_only_where_a_change_can_reach() {
    let Some(scene) = Scene::new(ZLIB) else { return };
    let line = "impact --all --cross arm --eval-workers 2";
    let first = scene.json(line);
    assert_eq!((&first["exhaustive"], first["evaluatedBefore"].as_u64() > Some(50)), (&true.into(), true), "{first}");
    assert!(names(&first["rebuild"]).iter().any(|name| name.starts_with("curl-")));
    let second = scene.json(line);
    assert_eq!((&second["exhaustive"], &second["evaluatedBefore"]), (&false.into(), &0.into()));
    assert!(second["evaluatedAfter"].as_u64() < first["evaluatedAfter"].as_u64());
    for key in ["counts", "rebuild", "attributes", "cover"] {
        assert_eq!(second[key], first[key], "{key}");
    }
    assert_eq!(scene.json(&format!("{line} --exhaustive"))["rebuild"], first["rebuild"]);
    // A name that is new may be used by anything, and one that fails is recorded and is no end.
    scene.write("overlay.nix", "final: prev: { fresh = 1; curl = throw \"no curl\"; }\n");
    let broken = scene.json(line);
    assert_eq!(broken["exhaustive"], true);
    assert_eq!(broken["warnings"][0]["code"], "OV1081");
    assert!(broken["broken"].as_array().unwrap().contains(&"curl".into()), "{}", broken["broken"]);
    assert!(broken["failures"]["curl"].as_str().unwrap().contains("no curl"));
}

#[test]
fn failures_are_grouped_and_what_is_not_looked_into_is_named_and_can_be() {
    let Some(scene) = Scene::new("final: prev: { perl = throw \"no perl\"; }\n") else { return };
    let all = scene.json("impact --all --eval-workers 2");
    let causes = all["failureCauses"].as_array().unwrap();
    let perl = causes.iter().find(|cause| cause["message"].as_str().unwrap().contains("no perl")).unwrap();
    assert_eq!((&perl["count"], &perl["example"]), (&2.into(), &"perl".into()), "{causes:?}");
    let left_out: Vec<&str> = all["leftOut"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(left_out.contains(&"pkgsStatic") && left_out.contains(&"buildPackages"), "{left_out:?}");
    let text = scene.text("impact --all --eval-workers 2 --exhaustive");
    assert!(text.contains("perl and 1 more: no perl") && text.contains("pkgsStatic"), "{text}");

    scene.write("overlay.nix", ZLIB);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let whole = scene.json("impact --static --all --eval-workers 2 --exhaustive");
    for _ in ["evaluated", "kept"] {
        let set = scene.json("impact --all --set pkgsStatic --eval-workers 2");
        assert_eq!(set["counts"], whole["counts"]);
        let attributes = set["attributes"].as_array().unwrap();
        assert!(attributes.iter().any(|one| one["attr"] == "pkgsStatic.curl"), "{attributes:?}");
        assert!(attributes.iter().all(|one| one["attr"].as_str().unwrap().starts_with("pkgsStatic.")));
    }
    scene.write("attrs", "# two\ncurl\n\npkgsCross.arm.openssl\n");
    let two = scene.json("impact --all --attrs attrs");
    assert_eq!((&two["evaluatedAfter"], two["attributes"].as_array().unwrap().len()), (&2.into(), 1));
    assert_eq!(two["counts"], scene.json("impact --target curl")["counts"]);
    scene.refused("impact --all --set nosuch", "OV0503");
}

/// Nix, which is told to stop by Ctrl-C when it is asked for `zz_last` and there is a file `stop` beside it.
const STOPPING: &str = r#"#!/bin/bash
real=$(PATH=${PATH#*:} command -v nix)
[ "$1" = repl ] || exec "$real" "$@"
while IFS= read -r line; do
  case "$line" in
    *zz_last*) if [ -e "$(dirname "$0")/stop" ]; then kill -INT $PPID; sleep 60; fi ;;
  esac
  printf '%s\n' "$line"
done | "$real" "$@"
"#;

#[test]
fn what_is_finished_when_it_is_interrupted_is_gone_on_with() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(scene) = Scene::new(ZLIB) else { return };
    let bin = scene.dir.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("nix"), STOPPING).unwrap();
    fs::set_permissions(bin.join("nix"), fs::Permissions::from_mode(0o755)).unwrap();
    let packages = scene.nixpkgs().join("packages.nix");
    let text = fs::read_to_string(&packages).unwrap();
    fs::write(
        &packages,
        text.replace("many // {\n", "many // {\n  zz_last = final.callPackage (library \"last\") { };\n"),
    )
    .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let line = "impact --all --cross arm --eval-workers 1";
    let stop = |is_on: bool| {
        if is_on { fs::write(bin.join("stop"), "").unwrap() } else { fs::remove_file(bin.join("stop")).unwrap() }
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    // The unpatched side is interrupted at its last attribute; the next run finds all else finished, and is interrupted too.
    stop(true);
    let first = scene.run(line);
    assert!(!first.status.success() && said(&first).contains("the next run goes on from there"), "{}", said(&first));
    assert!(!said(&first).contains("finished by an earlier run"));
    assert!(said(&scene.run(line)).contains("finished by an earlier run"));
    // Something that it looked at changes: nothing of it is believed.
    let builder = scene.nixpkgs().join("builder.sh");
    let text = fs::read_to_string(&builder).unwrap();
    fs::write(&builder, text + "# changed\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(!said(&scene.run(line)).contains("finished by an earlier run"));
    stop(false);
    let gone_on = scene.json(line);
    assert!(gone_on["finishedEarlier"].as_u64() > Some(50), "{gone_on}");
    // And the patched side, when the other one is kept.
    stop(true);
    let patched = scene.run(&format!("{line} --exhaustive"));
    assert!(!patched.status.success() && said(&patched).contains("the next run goes on from there"));
    stop(false);
    let patched = scene.json(&format!("{line} --exhaustive"));
    assert!(patched["finishedEarlier"].as_u64() > Some(50), "{patched}");
    scene.text("cache clear");
    let fresh = scene.json(line);
    assert_eq!(fresh["finishedEarlier"], 0);
    for key in ["counts", "rebuild", "attributes", "failures", "failureCauses", "leftOut", "derivationsAfter"] {
        assert_eq!(gone_on[key], fresh[key], "{key}");
        assert_eq!(patched[key], fresh[key], "{key}");
    }
}

#[test]
fn targets_of_the_workspace_itself() {
    let Some(scene) = Scene::new(ZLIB) else { return };
    scene.write(
        "release.nix",
        "let pkgs = import ../nixpkgs { overlays = [ (import ./overlay.nix) ]; }; in { image = pkgs.curl; bare = pkgs.stubborn; }\n",
    );
    // `../nixpkgs` is beside the workspace, so it has to be beside its copy.
    let nixpkgs = scene.nixpkgs().display().to_string();
    let release = fs::read_to_string(scene.dir.path().join("board/release.nix")).unwrap();
    scene.write("release.nix", &release.replace("../nixpkgs", &nixpkgs));
    let impact = scene.json("impact --target ./release.nix#image --target ./release.nix#bare");
    assert!(names(&impact["rebuild"]).contains(&"zlib-1.0".to_owned()), "{impact}");
    assert_eq!(impact["targets"][1]["rebuilt"], false);
    assert_eq!(impact["counts"], scene.json("impact --target curl")["counts"]);
    scene.refused("impact --target ./none.nix#image", "OV1002");
}

#[test]
fn what_is_built_during_evaluation_is_said_or_refused() {
    let Some(scene) = Scene::new(ZLIB) else { return };
    scene.write(
        "release.nix",
        &format!(
            "let pkgs = import {} {{ }}; made = derivation {{ name = \"made\"; system = builtins.currentSystem; builder = \"/no/such\"; }};
             in {{ a = pkgs.curl // (import made); }}\n",
            scene.nixpkgs().display()
        ),
    );
    let refused = scene.run("impact --target ./release.nix#a --no-import-from-derivation");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("OV1003"));
    // It cannot be built, which is the point: that it would be is said before.
    let tried = scene.run("impact --target ./release.nix#a");
    let text = String::from_utf8_lossy(&tried.stderr).into_owned();
    assert!(text.contains("a needs made built during evaluation") && text.contains("OV1003"), "{text}");
}
