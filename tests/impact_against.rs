//! `impact --against REV`: the whole workspace as it was against the workspace as it is. What is rebuilt is held against Nix's own tools,
//! which are given both states written down by hand. Real Nix on a small package set, nothing is built.

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
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::sides::{Files, Sides, nix};

/// An overlay that patches these packages with files beside it, as `patch` writes it.
fn patching(packages: &[(&str, &[&str])]) -> String {
    let mut text = String::from("final: prev: {\n");
    for (package, patches) in packages {
        text.push_str(&format!(
            "  {package} = prev.{package}.overrideAttrs (old: {{ patches = (old.patches or [ ]) ++ [ {} ]; }});\n",
            patches.join(" ")
        ));
    }
    text + "}\n"
}

/// A state of the workspace: its files, and what it evaluates to in Nix's own words, seen from its directory.
#[derive(Clone, Default)]
struct State {
    files: Files,
    /// A list of derivations.
    oracle: String,
}

impl State {
    fn with(mut self, name: &str, text: &str) -> State {
        self.files.insert(name.into(), text.into());
        self
    }

    fn without(mut self, name: &str) -> State {
        assert!(self.files.remove(name).is_some());
        self
    }

    fn means(mut self, oracle: &str) -> State {
        self.oracle = oracle.into();
        self
    }
}

/// The sides, and overlayctl on them.
struct Scene(Sides);

impl std::ops::Deref for Scene {
    type Target = Sides;

    fn deref(&self) -> &Sides {
        &self.0
    }
}

impl Scene {
    fn new() -> Option<Scene> {
        Sides::new().map(Scene)
    }

    fn commit(&self) {
        support::commit(&self.at("board"));
    }

    /// Makes the workspace one that was committed in one state and is in another now.
    fn change(&self, before: &State, after: &State) {
        self.0.change([&before.files, &after.files]);
    }

    fn run(&self, line: &str) -> Output {
        support::overlayctl(&self.at("board"))
            .args(line.split(' '))
            .env("HOME", self.path())
            .env("XDG_CACHE_HOME", self.at("cache"))
            .output()
            .unwrap()
    }

    fn json(&self, line: &str) -> Value {
        let output = self.run(&format!("{line} --json"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {errors}{}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn refused(&self, line: &str, code: &str) -> String {
        let output = self.run(line);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(code), "{line}: {text}");
        text
    }

    /// Returns what is rebuilt, as Nix's own closures say.
    fn rebuilt(&self, before: &State, after: &State) -> BTreeSet<String> {
        self.0.rebuilt([before, after].map(|state| (&state.files, state.oracle.as_str()))).into_keys().collect()
    }
}

/// Returns the derivations that an answer says are rebuilt.
fn rebuilt(json: &Value) -> BTreeSet<String> {
    json["rebuild"].as_array().unwrap().iter().map(|one| one["drvPath"].as_str().unwrap().to_owned()).collect()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// Returns the changes as `KIND WHAT HOW`, sorted.
fn changes(json: &Value) -> Vec<String> {
    let text = |change: &Value| {
        let word = |key: &str| change[key].as_str().unwrap().to_owned();
        format!("{} {} {}", word("kind"), word("what"), word("how"))
    };
    let mut all: Vec<String> = json["changes"].as_array().unwrap().iter().map(text).collect();
    all.sort();
    all
}

/// A workspace that patches zlib, in the words that `patch` writes, with a list of targets.
fn usual() -> State {
    State::default()
        .with(
            "overlayctl.toml",
            "nixpkgs = \"../nixpkgs\"\noverlays = [\"overlay.nix\"]\ntargets = [\"curl\", \"openssl\"]\n",
        )
        .with("overlay.nix", &patching(&[("zlib", &["./patches/zlib/1.patch"])]))
        .with("patches/zlib/1.patch", "one\n")
        .means("let p = import ../nixpkgs { overlays = [ (import ./overlay.nix) ]; }; in [ p.curl p.openssl ]")
}

#[test]
fn what_is_rebuilt_is_what_nix_says_and_each_cause_is_named() {
    let Some(scene) = Scene::new() else { return };
    let both = "let p = import ../nixpkgs { overlays = [ (import ./overlay.nix) ]; }; in [ p.curl p.openssl ]";
    let boards = |text: &str| format!("nixpkgs = \"../nixpkgs\"\noverlays = [\"overlay.nix\"]\n{text}");
    let arm = "(import ../nixpkgs { overlays = [ (import ./overlay.nix) ]; }).pkgsCross.arm";
    let riscv = arm.replace("arm", "riscv");
    let pi = "[boards.pi]\nplatform = \"arm\"\npackages = [\"curl\"]\n";
    let more_boards = boards(&format!("{pi}[boards.v]\nplatform = \"riscv\"\npackages = [\"tool\"]\n"));
    let of_pi = usual().with("overlayctl.toml", &boards(pi)).means(&format!("[ {arm}.curl ]"));
    let of_both = of_pi.clone().with("overlayctl.toml", &more_boards).means(&format!("[ {arm}.curl {riscv}.tool ]"));
    let order = |list: &str| format!("nixpkgs = \"../nixpkgs\"\noverlays = {list}\ntargets = [\"curl\"]\n");
    let ordered = |first: &str, second: &str| {
        usual()
            .with("a.nix", "final: prev: { zlib = prev.zlib.overrideAttrs (old: { name = \"${old.name}-a\"; }); }\n")
            .with("b.nix", "final: prev: { zlib = prev.zlib.overrideAttrs (old: { name = \"${old.name}-b\"; }); }\n")
            .with("overlayctl.toml", &order(&format!("[\"{first}.nix\", \"{second}.nix\"]")))
            .means(&format!(
                "[ (import ../nixpkgs {{ overlays = [ (import ./{first}.nix) (import ./{second}.nix) ]; }}).curl ]"
            ))
    };
    let flags = |n: &str| {
        usual()
            .with("overlay.nix", "final: prev: { zlib = prev.zlib.overrideAttrs (old: { flag = final.config.flag or 0; }); }\n")
            .with("overlayctl.toml", &format!("nixpkgs = \"../nixpkgs\"\noverlays = [\"overlay.nix\"]\ntargets = [\"curl\"]\n[config]\nflag = {n}\n"))
            .means(&format!("[ (import ../nixpkgs {{ config = {{ flag = {n}; }}; overlays = [ (import ./overlay.nix) ]; }}).curl ]"))
    };
    let next = |state: State| {
        let text = state.files["overlayctl.toml"].replace("../nixpkgs", "../nixpkgs-next");
        let oracle = state.oracle.replace("../nixpkgs", "../nixpkgs-next");
        state.with("overlayctl.toml", &text).means(&oracle)
    };
    let pinned = |set: &str| {
        usual()
            .with("overlayctl.toml", "overlays = [\"overlay.nix\"]\ntargets = [\"curl\"]\n")
            .with("npins/sources.json", &format!("{{ \"version\": 3, \"pins\": {{ \"nixpkgs\": {{ \"path\": \"{set}\" }} }} }}\n"))
            .with("npins/default.nix", &format!(
                "let pins = (builtins.fromJSON (builtins.readFile ./sources.json)).pins; in {{ nixpkgs.outPath = /. + \"{}/${{pins.nixpkgs.path}}\"; }}\n",
                scene.path().display()
            ))
            .means(&format!("[ (import ../{set} {{ overlays = [ (import ./overlay.nix) ]; }}).curl ]"))
    };
    let two_patches = usual()
        .with(
            "overlay.nix",
            &patching(&[("zlib", &["./patches/zlib/1.patch"]), ("openssl", &["./patches/openssl/1.patch"])]),
        )
        .with("patches/openssl/1.patch", "ssl\n");
    let more = usual()
        .with("overlay.nix", &patching(&[("zlib", &["./patches/zlib/1.patch", "./patches/zlib/2.patch"])]))
        .with("patches/zlib/2.patch", "two\n");
    let none = usual().with("overlay.nix", "final: prev: { }\n").without("patches/zlib/1.patch");
    let changed = usual().with("patches/zlib/1.patch", "another\n");
    let helper = |text: &str| {
        usual()
            .with("lib/flag.nix", text)
            .with(
                "overlay.nix",
                "final: prev: { zlib = prev.zlib.overrideAttrs (old: { flag = import ./lib/flag.nix; }); }\n",
            )
            .without("patches/zlib/1.patch")
    };
    let with_readme = changed.clone().with("README.md", "new\n");
    let listed = usual()
        .with("more.nix", &patching(&[("tool", &["./tool.patch"])]))
        .with("tool.patch", "tool\n")
        .with(
            "overlayctl.toml",
            "nixpkgs = \"../nixpkgs\"\noverlays = [\"overlay.nix\", \"more.nix\"]\ntargets = [\"curl\", \"openssl\"]\n",
        )
        .means(&both.replace("./overlay.nix)", "./overlay.nix) (import ./more.nix)"));
    let table: Vec<(&str, State, State, &str, Vec<&str>)> = vec![
        ("nothing", usual(), usual(), "", vec![]),
        ("a patch added", usual(), two_patches.clone(), "", vec!["queue openssl added"]),
        ("a patch removed", two_patches.clone(), usual(), "", vec!["queue openssl removed"]),
        ("the only patch removed", usual(), none.clone(), "", vec!["queue zlib removed"]),
        ("one more of the same package", usual(), more.clone(), "", vec!["queue zlib added"]),
        ("one less of the same package", more.clone(), usual(), "", vec!["queue zlib removed"]),
        ("a patch changed", usual(), changed.clone(), "", vec!["queue zlib changed"]),
        ("a pin moved", usual(), next(usual()), "", vec!["pin nixpkgs changed"]),
        ("npins moved", pinned("nixpkgs"), pinned("nixpkgs-next"), "", vec!["pin nixpkgs changed"]),
        ("config changed", flags("1"), flags("2"), "", vec!["config config.flag changed"]),
        ("the order of overlays", ordered("a", "b"), ordered("b", "a"), "", vec!["overlay overlays reordered"]),
        ("an overlay listed", usual(), listed.clone(), "", vec!["overlay more.nix added", "queue tool added"]),
        ("an overlay unlisted", listed.clone(), usual(), "", vec!["overlay more.nix removed", "queue tool removed"]),
        ("a file that an overlay imports", helper("1"), helper("2"), "", vec!["file lib/flag.nix changed"]),
        ("a board added", of_pi.clone(), of_both.clone(), "--board all", vec!["board v added"]),
        ("a board removed", of_both.clone(), of_pi.clone(), "--board all", vec!["board v removed"]),
        (
            "the platform of a board",
            of_pi.clone(),
            of_pi
                .clone()
                .with("overlayctl.toml", &boards(&pi.replace("arm", "riscv")))
                .means(&format!("[ {riscv}.curl ]")),
            "--board pi",
            vec!["config boards.pi.platform changed"],
        ),
        (
            "a package of a board",
            of_pi.clone(),
            of_pi
                .clone()
                .with("overlayctl.toml", &boards(&pi.replace("\"curl\"", "\"curl\", \"openssl\"")))
                .means(&format!("[ {arm}.curl {arm}.openssl ]")),
            "--board pi",
            vec!["targets boards.pi.packages changed"],
        ),
        (
            "pin and patch at once",
            usual(),
            next(changed.clone()),
            "",
            vec!["pin nixpkgs changed", "queue zlib changed"],
        ),
        (
            "two patches and a pin",
            usual(),
            next(two_patches.clone().with("patches/zlib/1.patch", "x\n")),
            "",
            vec!["pin nixpkgs changed", "queue openssl added", "queue zlib changed"],
        ),
        ("what nothing reads", usual(), with_readme, "", vec!["file README.md added", "queue zlib changed"]),
    ];
    for (what, before, after, args, expected) in table {
        scene.change(&before, &after);
        let line = format!("impact --against HEAD {args}").trim_end().to_owned();
        let dirty = scene.json(&line);
        let rebuilt = rebuilt(&dirty);
        assert_eq!(rebuilt, scene.rebuilt(&before, &after), "{what}");
        assert_eq!(changes(&dirty), expected, "{what}");
        assert_eq!(dirty["unexplained"], 0, "{what}: {dirty}");
        // Committed it is the same.
        scene.commit();
        let committed = scene.json(&line.replace("HEAD", "HEAD~1"));
        for key in ["rebuild", "counts", "onlyBefore", "onlyAfter"] {
            assert_eq!(committed[key], dirty[key], "{what}: {key}");
        }
        assert_eq!(changes(&committed), expected, "{what}");
        // Each rebuilt derivation has its cause, one of the changes.
        let known: BTreeSet<String> = dirty["changes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| {
                let kind = match change["kind"].as_str().unwrap() {
                    "queue" => "queue of",
                    kind => kind,
                };
                format!("{kind} {}", change["what"].as_str().unwrap())
            })
            .collect();
        for one in dirty["rebuild"].as_array().unwrap() {
            let causes = texts(&one["causedBy"]);
            assert!(!causes.is_empty() && causes.iter().all(|cause| known.contains(cause)), "{what}: {one}");
        }
        match what {
            "pin and patch at once" => {
                let of = |name: &str| {
                    let all = dirty["rebuild"].as_array().unwrap();
                    texts(&all.iter().find(|one| one["name"].as_str().unwrap().starts_with(name)).unwrap()["causedBy"])
                };
                assert_eq!(of("zlib-"), ["queue of zlib"]);
                assert_eq!(of("curl-"), ["pin nixpkgs", "queue of zlib"]);
            }
            "what nothing reads" => assert_eq!(dirty["changes"][1]["rebuilds"], 0, "{dirty}"),
            "a board removed" => assert_eq!(texts(&dirty["onlyBefore"]), ["pkgsCross.riscv.tool"]),
            "a board added" => assert_eq!(texts(&dirty["onlyAfter"]), ["pkgsCross.riscv.tool"]),
            _ => {}
        }
    }
}

/// A flake that has its package set from an input, and gives `curl` with the overlay.
fn flake(scene: &Scene, set: &str) -> State {
    let system = nix("nix", Path::new("/"), &["eval", "--impure", "--raw", "--expr", "builtins.currentSystem"]);
    let state = State::default()
        .with("flake.nix", &format!(
            "{{ inputs.nixpkgs = {{ url = \"path:{}\"; flake = false; }}; outputs = {{ self, nixpkgs }}: \
             {{ packages.{system}.curl = (import nixpkgs {{ system = \"{system}\"; overlays = [ (import ./overlay.nix) ]; }}).curl; }}; }}\n",
            scene.at(set).display()
        ))
        .with("overlay.nix", &patching(&[("zlib", &["./patches/zlib/1.patch"])]))
        .with("patches/zlib/1.patch", "one\n");
    scene.write("lock", &state.files);
    nix("nix", &scene.at("lock"), &["flake", "lock", &format!("path:{}", scene.at("lock").display())]);
    let lock = fs::read_to_string(scene.at("lock/flake.lock")).unwrap();
    state
        .with("flake.lock", &lock)
        .means(&format!("[ (import ../{set} {{ overlays = [ (import ./overlay.nix) ]; }}).curl ]"))
}

#[test]
fn a_flake_is_what_git_knows_of_it_and_its_lock_is_a_pin() {
    let Some(scene) = Scene::new() else { return };
    let lines = ["impact --against HEAD --target .#curl", "impact --against HEAD --target curl"];
    let (usual, next) = (flake(&scene, "nixpkgs"), flake(&scene, "nixpkgs-next"));
    // Another input under the same address, as a lock moves on: the flake itself stays.
    let moved = usual.clone().with("flake.lock", &next.files["flake.lock"].replace("nixpkgs-next\"", "nixpkgs\""));
    let changed = usual.clone().with("patches/zlib/1.patch", "two\n");
    let untracked = usual
        .clone()
        .with("overlay.nix", &patching(&[("zlib", &["./patches/zlib/1.patch"]), ("tool", &["./tool.patch"])]))
        .with("tool.patch", "t\n");
    for (what, after, means, expected) in [
        ("a patch changed", &changed, &changed, vec!["queue zlib changed"]),
        ("the input is another", &next, &next, vec!["file flake.nix changed", "pin nixpkgs changed"]),
        ("the lock moved", &moved, &next, vec!["pin nixpkgs changed"]),
    ] {
        for line in lines {
            scene.change(&usual, after);
            if what == "the lock moved" {
                // Nix takes the content that the lock names from the store.
                nix(
                    "nix",
                    Path::new("/"),
                    &[
                        "eval",
                        "--impure",
                        "--raw",
                        "--expr",
                        &format!(
                            "\"${{builtins.path {{ path = {}; name = \"source\"; }}}}\"",
                            scene.at("nixpkgs-next").display()
                        ),
                    ],
                );
            }
            let impact = scene.json(line);
            let rebuilt = rebuilt(&impact);
            assert_eq!(rebuilt, scene.rebuilt(&usual, means), "{what}: {line}");
            assert!(!rebuilt.is_empty());
            assert_eq!(changes(&impact), expected, "{what}: {line}");
            assert_eq!(impact["unexplained"], 0, "{what}: {line}: {impact}");
        }
    }
    // A file that git does not know is none of the flake; the package set that overlayctl composes reads what is there.
    scene.write("board", &usual.files);
    scene.commit();
    scene.write("board", &usual.clone().with("new.nix", "{ }\n").files);
    let impact = scene.json(lines[0]);
    assert_eq!((changes(&impact), &impact["counts"]["builds"]), (vec!["file new.nix added".to_owned()], &0.into()));
    assert!(impact["changes"][0]["details"][0].as_str().unwrap().contains("a flake does not see it"), "{impact}");
    scene.write("board", &untracked.files);
    scene.refused(lines[0], "OV1003");
    let seen = scene.json(lines[1]);
    let rebuilt = rebuilt(&seen);
    assert_eq!(rebuilt, scene.rebuilt(&usual, &untracked));
}

#[test]
fn what_cannot_be_evaluated_as_it_was_is_an_error_and_never_nothing() {
    let Some(scene) = Scene::new() else { return };
    let broken = [
        (
            "a pin that cannot be fetched",
            usual().with("overlayctl.toml", "nixpkgs = \"flake:nixpkgs\"\ntargets = [\"curl\"]\n").with(
                "flake.nix",
                "{ inputs.nixpkgs.url = \"tarball+file:///no/such/place.tar.gz\"; outputs = inputs: { }; }\n",
            ),
        ),
        ("a set that is gone", usual().with("overlayctl.toml", "nixpkgs = \"../gone\"\ntargets = [\"curl\"]\n")),
        ("an overlay that does not evaluate", usual().with("overlay.nix", "final: prev: throw \"no\"\n")),
        ("settings that are none", usual().with("overlayctl.toml", "targets = 1\n")),
    ];
    for (what, before) in broken {
        scene.change(&before, &usual());
        let text = scene.refused("impact --against HEAD", "OV1200");
        assert!(text.contains("at HEAD"), "{what}: {text}");
    }
    // What the revision may set of Nix's options is what the workspace may.
    let marker = scene.at("ran");
    let hook = format!("#!/bin/sh\ntouch {}\n", marker.display());
    let hostile = usual()
        .with("hook.sh", &hook)
        .with(
            "overlayctl.toml",
            &(usual().files["overlayctl.toml"].clone()
                + "[nix.options]\nallow-unsafe-native-code-during-evaluation = \"true\"\n"),
        )
        .with("overlay.nix", "final: prev: { zlib = builtins.exec [ \"sh\" ./hook.sh ]; }\n");
    scene.change(&hostile, &usual());
    let text = scene.refused("impact --against HEAD", "OV1200");
    assert!(text.contains("sets options of Nix") && !marker.exists(), "{text}");
    // A revision in which the way to the workspace is a link that leads out of it.
    let outside = scene.at("outside");
    fs::create_dir(&outside).unwrap();
    let board = scene.at("board");
    let _ = fs::remove_dir_all(&board);
    fs::create_dir(&board).unwrap();
    std::os::unix::fs::symlink(&outside, board.join("sub")).unwrap();
    scene.commit();
    fs::remove_file(board.join("sub")).unwrap();
    fs::create_dir(board.join("sub")).unwrap();
    let inner = usual();
    for (name, text) in &inner.files {
        let file = board.join("sub").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text.replace("../nixpkgs", "../../nixpkgs")).unwrap();
    }
    scene.refused("-C sub impact --against HEAD", "OV1200");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn only_the_overlays_count_when_that_is_said() {
    let Some(scene) = Scene::new() else { return };
    let text = usual().files["overlayctl.toml"].replace("../nixpkgs", "../nixpkgs-next");
    scene.change(&usual(), &usual().with("overlayctl.toml", &text));
    assert_ne!(scene.json("impact --against HEAD")["counts"]["builds"], 0);
    let only = scene.json("impact --against HEAD --overlays-only");
    assert_eq!((&only["counts"]["builds"], &only["changes"]), (&0.into(), &Value::Null));
    let why = scene.json("why curl --against HEAD");
    assert_eq!(texts(&why["targets"][0]["rootCauses"][0]["causedBy"]), ["pin nixpkgs"]);
    let text = String::from_utf8(scene.run("impact --against HEAD").stdout).unwrap();
    for wanted in
        ["changed since HEAD:", "pin nixpkgs  ../nixpkgs -> ../nixpkgs-next  2 rebuilds", "(root cause: pin nixpkgs)"]
    {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

#[test]
fn what_does_not_evaluate_any_more_is_held_against_the_revision() {
    let Some(scene) = Scene::new() else { return };
    let targets = |list: &str| format!("nixpkgs = \"../nixpkgs\"\noverlays = [\"overlay.nix\"]\ntargets = {list}\n");
    let state = |list: &str, broken: &[&str]| {
        let broken: String = broken.iter().map(|name| format!("{name} = throw \"no {name}\"; ")).collect();
        usual().with("overlayctl.toml", &targets(list)).with("overlay.nix", &format!("final: prev: {{ {broken}}}\n"))
    };
    scene.change(
        &state("[\"openssl\", \"tool\", \"perl\"]", &["perl"]),
        &state("[\"openssl\", \"tool\", \"perl\", \"script\"]", &["perl", "script", "tool"]),
    );
    let output = scene.run("impact --against HEAD --json");
    assert_eq!(output.status.code(), Some(2));
    let impact: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = |target: &str| {
        let failures = impact["failures"].as_array().unwrap();
        failures.iter().find(|failed| failed["target"] == target).unwrap()["alsoBefore"].clone()
    };
    assert_eq!((told("tool"), told("perl"), told("script")), (false.into(), true.into(), Value::Null), "{impact}");
    let text = String::from_utf8(scene.run("impact --against HEAD").stdout).unwrap();
    for wanted in
        ["tool (it does in the workspace at HEAD)", "perl (nor in the workspace at HEAD)", "script (it is new)"]
    {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

#[test]
fn a_flake_whose_inputs_the_store_has_is_the_one_that_nix_gives() {
    let Some(scene) = Scene::new() else { return };
    let input = |name: &str, text: &str| {
        fs::create_dir_all(scene.at(name)).unwrap();
        fs::write(scene.at(name).join("flake.nix"), text).unwrap();
        format!("path:{}", scene.at(name).display())
    };
    let deep = input("deep", "{ outputs = { self }: { value = 1; where = self.outPath; }; }");
    let other = input(
        "other",
        &format!(
            "{{ inputs.deep.url = \"{deep}\"; outputs = inputs: {{ value = inputs.deep.value + 1; at = inputs.self.lastModifiedDate; }}; }}"
        ),
    );
    let plain = format!("path:{}", scene.at("nixpkgs").display());
    let told = "told = { names = builtins.attrNames inputs; of = builtins.mapAttrs (_: one: removeAttrs one [ \"inputs\" \"outputs\" \"told\" \"self\" ]) \
                (removeAttrs inputs [ \"self\" ]); own = removeAttrs inputs.self [ \"inputs\" \"outputs\" \"told\" ]; };";
    let flakes = [
        format!(
            "inputs.other.url = \"{other}\"; inputs.plain = {{ url = \"{plain}\"; flake = false; }}; outputs = inputs: {{ {told} }};"
        ),
        format!(
            "inputs = {{ other = {{ url = \"{other}\"; inputs.deep.follows = \"deep\"; }}; deep.url = \"{deep}\"; same.follows = \"other/deep\"; }}; \
                 outputs = inputs: {{ {told} }};"
        ),
        // Without a word about its input, or with one that the lock does not know, Nix decides.
        format!("inputs.deep.url = \"{deep}\"; outputs = inputs: {{ {told} }};"),
    ];
    // What Nix refuses (2.8 does not lock anew what a flake asks for otherwise) is refused both ways.
    let show = |text: &str| {
        let text = format!("({text}).told");
        let output = Command::new("nix")
            .args(["eval", "--impure", "--json", "--expr", &text])
            .env("NIX_CONFIG", "experimental-features = nix-command flakes")
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    for (number, flake) in flakes.iter().enumerate() {
        for place in ["tree", "repository", "repository/sub"] {
            let top = scene.at(place.split('/').next().unwrap());
            let dir = scene.at(place);
            let _ = fs::remove_dir_all(&top);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("flake.nix"), format!("{{ {flake} }}\n")).unwrap();
            nix("nix", &dir, &["flake", "lock", &format!("path:{}", dir.display())]);
            if number == 2 {
                fs::write(dir.join("flake.nix"), format!("{{ {} }}\n", flake.replace(&deep, &other))).unwrap();
            }
            let reference = match place.split_once('/') {
                _ if place == "tree" => format!("path:{}", dir.display()),
                None => format!("git+file://{}", top.display()),
                Some((_, below)) => format!("git+file://{}?dir={below}", top.display()),
            };
            let git = |args: &[&str]| {
                nix("git", &top, &[&["-c", "user.name=a", "-c", "user.email=a@b"], args].concat());
            };
            for state in ["dirty", "committed"] {
                if place != "tree" {
                    git(&["init", "-q"]);
                    git(&["add", "-A"]);
                    if state == "committed" {
                        git(&["commit", "-qm", "x"]);
                    }
                }
                let root = overlayctl::nix::flake(&reference, &reference, &dir).unwrap().to_nix().unwrap();
                assert!(root.contains("stored = {"), "{root}");
                let ours = show(&root);
                assert!(ours.is_some() || number == 2, "{number} {place} {state}");
                assert_eq!(ours, show(&format!("builtins.getFlake \"{reference}\"")), "{number} {place} {state}");
            }
        }
    }
}
