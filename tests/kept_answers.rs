//! Kept answers against fresh ones: a workspace, its package set and all else that they look at are changed at random, and what `impact` and
//! `list` say, kept or not, is what stock Nix says of the same expressions.
//!
//! `OVERLAYCTL_KEPT_CASES` is the number of changes, `OVERLAYCTL_KEPT_SEED` the seed; both are printed.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects")]

#[path = "support/random.rs"]
mod random;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use overlayctl::base::process::find_program;
use random::Random;
use serde_json::Value;

/// A package set that looks at files, directories, links and variables in every way that Nix knows.
const SET: &str = r#"{ config ? { }, overlays ? [ ], ... }:
let
  make = args: derivation args // { overrideAttrs = change: make (args // change args); };
  package = name: needs: info: make {
    inherit name needs;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    src = "/src";
    info = builtins.toJSON info;
    patches = [ ];
  };
  kind = builtins.readFileType or (file: "unknown");
  is = file: if builtins.pathExists file then "there" else "gone";
  seen = {
    read = builtins.readFile ./version;
    partly = map builtins.readFile [ ./version ../outside/hashed ];
    outside = is ../outside/flag;
    deep = is ../outside/gone/deeper/flag;
    text = is (toString ../outside + "/flag");
    names = builtins.readDir ../outside/names;
    linked = import ./link.nix;
    env = builtins.getEnv "VARIANT";
    global = __getEnv "VARIANT" + __readFile ./version;
    home = is ~/.config/nixpkgs/config.nix;
    search = builtins.tryEval (import <extra>);
    found = builtins.tryEval (builtins.findFile [ { prefix = "x"; path = toString ../outside; } ] "x/flag");
    hash = builtins.hashFile "sha256" ../outside/hashed;
    kind = kind ../outside/odd;
    copied = "${./tree}";
    file = "${../outside/hashed}";
    filtered = builtins.filterSource (path: type: type == "directory" || baseNameOf path != "left-out") ../outside/tree;
    path = builtins.path { path = ../outside/tree; name = "given"; };
    string = import (toString ./. + "/string.nix");
    scoped = builtins.scopedImport { inherited = builtins.readFile ../outside/hashed; } ./scoped.nix;
    dir = import ../outside/dir;
    lib = (import ./lib) 1;
    again = builtins.attrValues (builtins.mapAttrs (_: file: import file) { a = ./lib; b = ./lib/default.nix; }) != [ ];
    time = if builtins.pathExists ./clock then builtins.currentTime > 0 else false;
    inherit config;
  };
  base = final: builtins.mapAttrs (name: info: package name [ ] info) seen // {
    all = package "all" (map (name: final.${name}) (builtins.attrNames seen)) null;
    some = package "some" [ final.read final.linked final.copied ] null;
  };
  extended = builtins.foldl' (f: overlay: final: let prev = f final; in prev // overlay final prev) base overlays;
  fix = f: let x = f x; in x;
in
fix extended
"#;

/// An overlay, one of whose patches comes and goes with a file, a variable and another overlay that it imports.
const OVERLAY: &str = r#"final: prev:
let
  on = builtins.pathExists ../outside/flag || builtins.getEnv "VARIANT" == "" || import ./on.nix == 1;
in
{
  read = if on then prev.read.overrideAttrs (old: { patches = old.patches ++ [ ./fix.patch ]; }) else prev.read;
  dir = prev.dir.overrideAttrs (old: { patches = old.patches ++ [ ./fix.patch ]; });
} #
"#;

struct Scene {
    dir: tempfile::TempDir,
    variant: Option<String>,
    config: String,
    search: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        // The tests' own home for caches is no place: what is there changes.
        let dir = tempfile::tempdir().unwrap();
        let scene = Scene { search: dir.path().join("outside/extra.nix"), dir, variant: None, config: String::new() };
        for (file, text) in [
            ("set/default.nix", SET),
            ("set/version", "1"),
            ("set/link-a.nix", "import ./lib 1"),
            ("set/string.nix", "{ v = builtins.readFile ./version; }"),
            ("set/scoped.nix", "[ inherited (import ./string.nix) ]"),
            ("set/lib/default.nix", "x: x + import ./one.nix"),
            ("set/lib/one.nix", "1"),
            ("set/tree/a", "a"),
            ("set/tree/below/b", "b"),
            ("outside/hashed", "h"),
            ("outside/names/one", ""),
            ("outside/odd", ""),
            ("outside/tree/left-out", "l"),
            ("outside/tree/c", "c"),
            ("outside/dir/default.nix", "import ./value.nix"),
            ("outside/dir/value.nix", "1"),
            ("outside/other/default.nix", "import ./value.nix"),
            ("outside/other/value.nix", "2"),
            ("outside/extra.nix", "1"),
            ("outside/link-b.nix", "2"),
            ("board/overlay.nix", OVERLAY),
            ("board/fix.patch", "one\n"),
            ("board/on.nix", "1"),
            // Starts are counted: with a kept side there is one less.
            (
                "bin/nix",
                &format!("#!/bin/sh\necho >> \"$STARTS\"\nexec {} \"$@\"\n", find_program("nix").unwrap().display()),
            ),
        ] {
            scene.write(file, text);
        }
        fs::set_permissions(scene.path("bin/nix"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("link-a.nix", scene.path("set/link.nix")).unwrap();
        scene.settings();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn settings(&self) {
        let text = format!("nixpkgs = \"../set\"\noverlays = [\"overlay.nix\"]\nconfig.x = {:?}\n", self.config);
        self.write("board/overlayctl.toml", &text);
    }

    /// Changes one thing; says what.
    fn change(&mut self, random: &mut Random) -> String {
        let number = random.next() % 1000;
        let files = [
            "set/version",
            "set/link-a.nix",
            "outside/link-b.nix",
            "set/lib/one.nix",
            "outside/dir/value.nix",
            "outside/other/value.nix",
            "outside/extra.nix",
            "outside/hashed",
            "set/tree/a",
            "set/tree/below/b",
            "outside/tree/left-out",
            "outside/tree/c",
            "board/fix.patch",
            "board/overlay.nix",
            "board/on.nix",
        ];
        let toggled = [
            "outside/flag",
            "outside/gone/deeper/flag",
            "outside/names/two",
            "home/.config/nixpkgs/config.nix",
            "set/tree/new",
            "outside/tree/below/new",
            "set/clock",
            "outside/extra.nix",
            "set/unrelated.nix",
        ];
        let pick = |random: &mut Random, names: &[&str]| random.pick(names).to_string();
        match random.next() % 17 {
            0..=3 => "nothing".into(),
            4..=6 => {
                let name = pick(random, &files);
                let text = match name.as_str() {
                    "board/on.nix" => (number % 2).to_string(),
                    "board/overlay.nix" => OVERLAY.replace(
                        '#',
                        &format!("// {{ some = prev.some.overrideAttrs (old: {{ number = {number}; }}); }}"),
                    ),
                    name if name.ends_with(".nix") => format!("{number}"),
                    _ => format!("{number}\n"),
                };
                // Sometimes of the same size and time, or a new file in the place of the old one.
                let before = fs::metadata(self.path(&name)).and_then(|there| there.modified());
                match number % 3 {
                    0 => self.write(&name, &text),
                    1 => {
                        self.write("new", &text);
                        fs::rename(self.path("new"), self.path(&name)).unwrap();
                    }
                    _ => {
                        self.write(&name, &text);
                        if let Ok(before) = before {
                            fs::File::options()
                                .write(true)
                                .open(self.path(&name))
                                .unwrap()
                                .set_modified(before)
                                .unwrap();
                        }
                    }
                }
                format!("{name} is {text:?}")
            }
            7..=9 => {
                let name = pick(random, &toggled);
                if fs::remove_file(self.path(&name)).is_err() {
                    self.write(&name, &format!("{number}"));
                    return format!("{name} comes");
                }
                if let Some(dir) = self.path(&name).parent().filter(|dir| dir.ends_with("deeper")) {
                    fs::remove_dir(dir).unwrap();
                }
                format!("{name} goes")
            }
            10 => {
                let to = pick(
                    random,
                    &["link-a.nix", "../outside/link-b.nix", "../outside/dir/default.nix", "../outside/other"],
                );
                fs::remove_file(self.path("set/link.nix")).unwrap();
                symlink(&to, self.path("set/link.nix")).unwrap();
                format!("the link leads to {to}")
            }
            11 => {
                self.variant = [None, Some(String::new()), Some(number.to_string())][number as usize % 3].clone();
                format!("the variable is {:?}", self.variant)
            }
            12 => {
                self.search = self
                    .path(&pick(random, &["outside/extra.nix", "outside/gone.nix", "outside/dir", "set/lib/one.nix"]));
                format!("the search path leads to {}", self.search.display())
            }
            13 => {
                for (from, to) in [
                    ("outside/dir", "outside/swap"),
                    ("outside/other", "outside/dir"),
                    ("outside/swap", "outside/other"),
                ] {
                    fs::rename(self.path(from), self.path(to)).unwrap();
                }
                "two directories change places".into()
            }
            14 => {
                let odd = self.path("outside/odd");
                let _ = fs::remove_file(&odd).or_else(|_| fs::remove_dir(&odd));
                match number % 3 {
                    0 => fs::write(&odd, "").unwrap(),
                    1 => fs::create_dir(&odd).unwrap(),
                    _ => symlink("nowhere", &odd).unwrap(),
                }
                "another kind of file".into()
            }
            15 => {
                self.config = (number % 3).to_string();
                self.settings();
                format!("config.x is {}", self.config)
            }
            _ => {
                let again = self.path("copy");
                assert!(Command::new("cp").arg("-a").arg(self.path("set")).arg(&again).status().unwrap().success());
                fs::remove_dir_all(self.path("set")).unwrap();
                fs::rename(&again, self.path("set")).unwrap();
                self.write("set/lib/one.nix", &format!("{number}"));
                "a copy of the set, changed, in its place".into()
            }
        }
    }

    fn command(&self, mut command: Command) -> Command {
        command
            .env("HOME", self.path("home"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("NIX_CONFIG", support::nix_config())
            .env("NIX_PATH", format!("extra={}", self.search.display()))
            .env_remove("VARIANT");
        if let Some(variant) = &self.variant {
            command.env("VARIANT", variant);
        }
        command
    }

    fn nix(&self, program: &str, args: &[&str]) -> Vec<String> {
        let output = self.command(Command::new(program)).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// What has to be built, as stock Nix says: derivations with an output that the set without the overlays has not.
    fn judged(&self, targets: &[&str]) -> BTreeSet<String> {
        let side = |overlays: &str| {
            let set = format!(
                "import {} {{ config = {{ x = {:?}; }}; overlays = [ {overlays} ]; }}",
                self.path("set").display(),
                self.config
            );
            let wanted: Vec<String> = targets.iter().map(|target| format!("({set}).{target}")).collect();
            let drvs = self.nix("nix-instantiate", &["-E", &format!("[ {} ]", wanted.join(" "))]);
            let drvs: Vec<&str> = drvs.iter().map(|drv| drv.split('!').next().unwrap()).collect();
            let all = self.nix("nix-store", &[&["-qR"], &drvs[..]].concat());
            all.into_iter().filter(|path| path.ends_with(".drv")).collect::<Vec<_>>()
        };
        let outputs = |drvs: &[String]| {
            let args: Vec<&str> = ["-q", "--outputs"].into_iter().chain(drvs.iter().map(String::as_str)).collect();
            self.nix("nix-store", &args)
        };
        let before: BTreeSet<String> = outputs(&side("")).into_iter().collect();
        let after = side(&format!("(import {})", self.path("board/overlay.nix").display()));
        // Each has one output.
        let built = outputs(&after);
        assert_eq!(after.len(), built.len());
        after.into_iter().zip(built).filter(|(_, out)| !before.contains(out)).map(|(drv, _)| drv).collect()
    }

    /// What overlayctl answers, and how often it started Nix.
    fn ask(&self, args: &[&str]) -> (Value, usize) {
        let _ = fs::remove_file(self.path("starts"));
        let others = std::env::var_os("PATH").unwrap();
        let path = std::iter::once(self.path("bin")).chain(std::env::split_paths(&others));
        let path = std::env::join_paths(path).unwrap();
        let mut command = self.command(support::overlayctl(&self.path("board")));
        let output = command.args(args).env("PATH", path).env("STARTS", self.path("starts")).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", support::said(&output));
        let starts = fs::read_to_string(self.path("starts")).unwrap_or_default().len();
        (serde_json::from_slice(&output.stdout).unwrap(), starts)
    }

    /// What has to be built, as `impact` says, and whether it had the unpatched side from before.
    fn impact(&self, targets: &[&str]) -> (BTreeSet<String>, bool) {
        let targets = targets.iter().flat_map(|target| ["--target", target]);
        let (found, starts) = self.ask(&["impact", "--json"].into_iter().chain(targets).collect::<Vec<_>>());
        let rebuild = found["rebuild"].as_array().unwrap();
        (rebuild.iter().map(|one| one["drvPath"].as_str().unwrap().to_owned()).collect(), starts < 2)
    }

    /// Which packages have the patch, as `list` says, and whether it started no Nix.
    fn list(&self) -> (BTreeSet<String>, bool) {
        let (found, starts) = self.ask(&["list", "--json"]);
        assert_eq!(found["asked"], true, "{found}");
        let in_effect = |package: &&Value| {
            package["patches"].as_array().unwrap().iter().any(|p| p["in_effect"] == "yes" || p["inEffect"] == "yes")
        };
        let packages = found["packages"].as_array().unwrap().iter().filter(in_effect);
        (packages.map(|package| package["attr"].as_str().unwrap().to_owned()).collect(), starts == 0)
    }

    /// The same as stock Nix says.
    fn patched(&self) -> BTreeSet<String> {
        let overlay = self.path("board/overlay.nix");
        let set = format!(
            "import {} {{ config = {{ x = {:?}; }}; overlays = [ (import {}) ]; }}",
            self.path("set").display(),
            self.config,
            overlay.display()
        );
        let text = format!("builtins.filter (name: (({set}).${{name}}).patches != [ ]) [ \"read\" \"dir\" ]");
        let said = self.nix("nix-instantiate", &["--eval", "--strict", "--json", "-E", &text]).concat();
        serde_json::from_str(&said).unwrap()
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn a_kept_answer_is_the_fresh_one_whatever_changed() {
    if find_program("nix-store").is_none() {
        eprintln!("skipped: Nix is not installed");
        return;
    }
    let cases = number("OVERLAYCTL_KEPT_CASES", 40);
    let seed = number("OVERLAYCTL_KEPT_SEED", u64::from(std::process::id()));
    eprintln!("OVERLAYCTL_KEPT_SEED={seed} OVERLAYCTL_KEPT_CASES={cases}");
    let mut random = Random(seed);
    let mut scene = Scene::new();
    let (mut kept, mut story) = (0, Vec::new());
    for case in 0..cases {
        story.push(scene.change(&mut random));
        // What changed just before a run may have changed during it, and is not kept.
        if random.below(8) != 0 {
            std::thread::sleep(Duration::from_millis(15));
        }
        if random.below(2) == 0 {
            let (listed, was_kept) = scene.list();
            kept += u64::from(was_kept);
            assert_eq!(listed, scene.patched(), "seed {seed}, change {case}, after {story:#?}");
        } else {
            let targets: &[&str] = if random.below(6) == 0 { &["some"] } else { &["all"] };
            let (rebuild, was_kept) = scene.impact(targets);
            kept += u64::from(was_kept);
            assert_eq!(rebuild, scene.judged(targets), "seed {seed}, change {case} of {targets:?}, after {story:#?}");
        }
    }
    eprintln!("{kept} of {cases} answers were kept, or the unpatched side of them");
    assert!(kept * 10 >= cases || cases < 20, "only {kept} of {cases} answers were kept: nothing was tried");
}

#[test]
fn a_dry_run_that_was_asked_before_starts_nothing() {
    if find_program("nix-store").is_none() {
        eprintln!("skipped: Nix is not installed");
        return;
    }
    let scene = Scene::new();
    scene.write("board/new.patch", "Subject: new\n\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n");
    let wait = || std::thread::sleep(Duration::from_millis(20));
    wait();
    let line = ["patch", "-n", "dir", "new.patch", "--json"];
    let (first, starts) = scene.ask(&line);
    assert!(starts > 0);
    assert_eq!(scene.ask(&line), (first.clone(), 0));
    let (cleared, _) = scene.ask(&["cache", "clear", "--json"]);
    assert!(cleared["answers"].as_u64().unwrap() > 0, "{cleared}");
    assert!(scene.ask(&line).1 > 0);
    // What would be in the copy counts by its content, all else as it is.
    scene.write("board/overlay.nix", &OVERLAY.replace('#', "// { some = prev.some; } #"));
    wait();
    assert!(scene.ask(&line).1 > 0, "another overlay");
    assert_eq!(scene.ask(&line).1, 0);
    scene.write("outside/dir/value.nix", "7");
    wait();
    assert!(scene.ask(&line).1 > 0, "another package set");
}
