//! `gate --against REV` on pairs of a workspace: each file of `tests/gate_cases` holds both sides, what they evaluate to in Nix's own
//! words, and the verdict. What is rebuilt is held against Nix's closures of both. Real Nix on a small package set, nothing is built.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::sides::{Files, Sides, nix};

/// A case as its file says it.
#[derive(Default)]
struct Case {
    args: String,
    exit: i32,
    oracles: [String; 2],
    expect: Vec<String>,
    /// The files of both sides.
    sides: [Files; 2],
}

impl Case {
    /// Reads a case: a title, `KEY: VALUE`, then files, each behind `-- NAME --`; `base:` and `head:` say of which side it is.
    fn read(text: &str, dir: &Path) -> Case {
        let mut case = Case::default();
        let mut file: Option<(Vec<usize>, String)> = None;
        for line in text.lines().skip(1) {
            if let Some(name) = line.strip_prefix("-- ").and_then(|name| name.strip_suffix(" --")) {
                let (sides, name) = match name.split_once(':') {
                    Some(("base", name)) => (vec![0], name),
                    Some(("head", name)) => (vec![1], name),
                    _ => (vec![0, 1], name),
                };
                sides.iter().for_each(|side| drop(case.sides[*side].insert(name.to_owned(), String::new())));
                file = Some((sides, name.to_owned()));
            } else if let Some((sides, name)) = &file {
                let line = format!("{}\n", line.replace("@DIR@", &dir.display().to_string()));
                sides.iter().for_each(|side| case.sides[*side].get_mut(name).unwrap().push_str(&line));
            } else {
                let (key, value) = line.split_once(": ").unwrap();
                match key {
                    "args" => case.args = value.to_owned(),
                    "exit" => case.exit = value.parse().unwrap(),
                    "oracle" => case.oracles = [value.to_owned(), value.to_owned()],
                    "head oracle" => case.oracles[1] = value.to_owned(),
                    "expect" => case.expect.push(value.to_owned()),
                    other => panic!("{other}"),
                }
            }
        }
        case
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

    fn command(&self, line: &str) -> Command {
        let mut command = support::overlayctl(&self.at("board"));
        command.args(line.split_whitespace()).env("HOME", self.path()).env("XDG_CACHE_HOME", self.at("cache"));
        command.env("XDG_STATE_HOME", self.at("state")).env_remove("GITHUB_STEP_SUMMARY");
        command
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    fn json(&self, line: &str, exit: i32) -> Value {
        let output = self.run(&format!("{line} --json"));
        assert_eq!(output.status.code(), Some(exit), "{line}: {}", support::said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Returns what is rebuilt, as Nix's own closures say.
    fn oracle(&self, case: &Case) -> BTreeMap<String, BTreeSet<String>> {
        self.rebuilt([0, 1].map(|side| (&case.sides[side], case.oracles[side].as_str())))
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns `builds of board pi, target curl`.
fn limit(of: &Value) -> String {
    let mut scope = Vec::new();
    if let Some(board) = of["board"].as_str() {
        scope.push(format!("board {board}"));
    }
    if let Some(target) = of["target"].as_str() {
        scope.push(format!("target {target}"));
    }
    let scope = if scope.is_empty() { "workspace".to_owned() } else { scope.join(", ") };
    format!("{} of {scope}", text(&of["key"]))
}

/// Returns what a gate says, line by line as cases have it.
fn told(gate: &Value) -> Vec<String> {
    let all = |key: &str| gate[key].as_array().cloned().unwrap_or_default();
    let mut lines = Vec::new();
    for of in all("limits") {
        let number = match (&of["least"], &of["most"]) {
            (least, most) if least == most => least.to_string(),
            (least, Value::Null) => format!("{least}.."),
            (least, most) => format!("{least}..{most}"),
        };
        let mut line = format!("{} {} {number} <= {}", text(&of["standing"]), limit(&of), of["limit"]);
        if let Some(site) = of["causes"].get(0).map(|cause| &cause["site"]).filter(|site| site.is_object()) {
            line.push_str(&format!(" at {}:{}", text(&site["path"]), site["line"]));
        }
        lines.push(line);
    }
    for of in all("loosened") {
        let now = of["now"].as_u64().map_or("none".to_owned(), |now| now.to_string());
        lines.push(format!("loosened {} {} -> {now} {}", limit(&of), of["limit"], text(&of["standing"])));
    }
    lines.extend(all("idle").iter().map(|of| format!("idle {}", limit(of))));
    lines.extend(all("failures").iter().map(|of| format!("fails {}", text(&of["target"]))));
    lines.extend(all("onlyBefore").iter().map(|target| format!("gone {}", text(target))));
    lines.sort();
    lines
}

#[test]
fn each_pair_has_its_verdict_and_its_line() {
    let Some(scene) = Scene::new() else { return };
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gate_cases");
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 30);
    let mut wrong = Vec::new();
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let case = Case::read(&fs::read_to_string(&path).unwrap(), scene.path());
        scene.change(case.sides.each_ref());
        let line = format!("gate --against HEAD {}", case.args);
        let output = scene.run(&format!("{line} --json"));
        let Ok(gate) = serde_json::from_slice::<Value>(&output.stdout) else {
            panic!("{name}: {}", support::said(&output));
        };
        let rebuilt = scene.oracle(&case);
        // What is said of all is what Nix says; `?` in a case is a number that need not be written down.
        let count = |line: &String| line.contains("builds of workspace ").then_some(rebuilt.len());
        let mut expected: Vec<String> = case
            .expect
            .iter()
            .map(|line| count(line).map_or(line.clone(), |count| line.replace(" ? ", &format!(" {count} "))))
            .collect();
        expected.sort();
        let mut lines = told(&gate);
        for (line, expected) in lines.iter_mut().zip(&expected).filter(|(_, expected)| expected.contains(" ? ")) {
            let words: Vec<&str> = line.split(' ').collect();
            let Some(at) = words.iter().position(|word| *word == "<=").map(|at| at - 1) else { continue };
            assert!(words[at].parse::<usize>().is_ok_and(|number| (1..=rebuilt.len()).contains(&number)), "{line}");
            *line = words
                .iter()
                .enumerate()
                .map(|(i, word)| if i == at { "?" } else { word })
                .collect::<Vec<_>>()
                .join(" ");
            assert_eq!(line.matches('?').count(), expected.matches('?').count());
        }
        if output.status.code() != Some(case.exit) || lines != expected {
            wrong.push(format!("{name}: {:?} {lines:#?} instead of {} {expected:#?}", output.status.code(), case.exit));
        }
        assert_eq!(gate["passed"], Value::from(case.exit == 0), "{name}");
        assert_eq!(gate["counts"]["derivations"], rebuilt.len(), "{name}");
        // Without a word the gate takes all boards where no targets are listed.
        let is_open = case.args.is_empty() && !case.sides[1]["overlayctl.toml"].contains("targets = [");
        let args = if is_open { "--board all".to_owned() } else { case.args.replace("--strict", "") };
        let impact = scene.run(&format!("impact --against HEAD {args} --json"));
        let impact: Value = serde_json::from_slice(&impact.stdout).unwrap();
        let set: BTreeSet<&str> =
            impact["rebuild"].as_array().unwrap().iter().map(|one| text(&one["drvPath"])).collect();
        assert_eq!(set, rebuilt.keys().map(String::as_str).collect::<BTreeSet<_>>(), "{name}");
        // The other side is kept, and from there everything is the same.
        let again = scene.json(&line, case.exit);
        assert_eq!(told(&again), told(&gate), "{name}");
        // Whose targets are called otherwise in the revision is not kept.
        let is_kept = !name.ends_with("platform-of-a-board");
        assert_eq!(
            (&again["base"]["fromCache"], again["base"]["key"].is_string()),
            (&is_kept.into(), is_kept),
            "{name}"
        );
        assert_eq!(again["base"]["key"], gate["base"]["key"], "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns a case by the end of its name.
fn case(scene: &Scene, name: &str) -> Case {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gate_cases");
    let mut files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let path = files.find(|path| path.to_str().unwrap().ends_with(&format!("-{name}.txt"))).unwrap();
    Case::read(&fs::read_to_string(path).unwrap(), scene.path())
}

#[test]
fn the_kept_side_is_believed_only_as_long_as_it_holds() {
    let Some(scene) = Scene::new() else { return };
    let case = case(&scene, "patch-changed");
    scene.change(case.sides.each_ref());
    let line = "gate --against HEAD";
    let key = String::from_utf8(scene.run(&format!("{line} --base-key")).stdout).unwrap();
    let base = |exit| {
        let gate = scene.json(line, exit);
        let base = &gate["base"];
        (
            base["key"].as_str().unwrap().to_owned(),
            base["fromCache"].as_bool().unwrap(),
            gate["counts"]["builds"].clone(),
        )
    };
    let key = key.trim().to_owned();
    assert_eq!(base(1), (key.clone(), false, 3.into()));
    assert_eq!(base(1), (key.clone(), true, 3.into()));
    assert!(scene.at(&format!("cache/overlayctl/graphs/{key}.graph")).is_file());
    // The workspace goes on; the revision is the same.
    fs::write(scene.at("board/patches/zlib/1.patch"), "another\n").unwrap();
    assert_eq!(base(1), (key.clone(), true, 3.into()));
    // The same revision in another place: what is kept says nothing of places of ours.
    let text = fs::read(scene.at(&format!("cache/overlayctl/graphs/{key}.graph"))).unwrap();
    let place = std::env::temp_dir().join("overlayctl-").display().to_string();
    assert!(!text.windows(place.len()).any(|part| part == place.as_bytes()));
    // The package set under the revision is another one: it is evaluated again.
    fs::copy(scene.at("nixpkgs-next/packages.nix"), scene.at("nixpkgs/packages.nix")).unwrap();
    let (again, from_cache, _) = base(1);
    assert_eq!((again.as_str(), from_cache), (key.as_str(), false));
    // What is kept is damaged: it is evaluated again.
    fs::write(scene.at(&format!("cache/overlayctl/graphs/{key}.graph")), "x").unwrap();
    assert_eq!(base(1), (key.clone(), false, 3.into()));
    // Another revision has another key.
    support::commit(&scene.at("board"));
    let (other, ..) = base(0);
    assert_ne!(other, key);
    // A token is nobody's business and changes nothing.
    let config = format!("{}\naccess-tokens = example.org=secret", support::nix_config());
    let with_token = scene.command(&format!("{line} --base-key")).env("NIX_CONFIG", config).output().unwrap();
    assert_eq!(String::from_utf8(with_token.stdout).unwrap().trim(), other);
}

#[test]
fn a_pin_of_a_flake_is_blamed_in_its_lock() {
    let Some(scene) = Scene::new() else { return };
    let state = |set: &str| {
        let text = format!(
            "{{ inputs.nixpkgs = {{ url = \"path:{}\"; flake = false; }}; outputs = inputs: {{ }}; }}\n",
            scene.at(set).display()
        );
        let mut files = BTreeMap::from([("flake.nix".to_owned(), text)]);
        scene.write("lock", &files);
        let place = format!("path:{}", scene.at("lock").display());
        nix("nix", &scene.at("lock"), &["flake", "lock", &place]);
        files.insert("flake.lock".into(), fs::read_to_string(scene.at("lock/flake.lock")).unwrap());
        files.insert("overlay.nix".into(), "final: prev: { }\n".into());
        let toml =
            "nixpkgs = \"flake:nixpkgs\"\noverlays = [\"overlay.nix\"]\ntargets = [\"curl\"]\n[budget]\nbuilds = 1\n";
        files.insert("overlayctl.toml".into(), toml.into());
        files
    };
    let (before, next) = (state("nixpkgs"), state("nixpkgs-next"));
    // The lock moves on; the flake asks for the same address, where the store has what the lock names.
    let mut after = before.clone();
    let lock = next["flake.lock"].replace("nixpkgs-next\"", "nixpkgs\"");
    after.insert("flake.lock".into(), lock.clone());
    let stored =
        format!("\"${{builtins.path {{ path = {}; name = \"source\"; }}}}\"", scene.at("nixpkgs-next").display());
    nix("nix", Path::new("/"), &["eval", "--impure", "--raw", "--expr", &stored]);
    scene.change([&before, &after]);
    let gate = scene.json("gate --against HEAD", 1);
    let line = 1 + lock.lines().position(|line| line.contains("narHash")).unwrap();
    assert_eq!(told(&gate), [format!("over builds of workspace 2 <= 1 at flake.lock:{line}")], "{gate}");
    let again = scene.json("gate --against HEAD", 1);
    assert_eq!(again["base"]["fromCache"], true, "{again}");
}

#[test]
fn a_cache_that_does_not_answer_is_not_one_that_has_nothing() {
    let Some(scene) = Scene::new() else { return };
    let case = case(&scene, "own-builds");
    scene.change(case.sides.each_ref());
    let run = |caches: &str| {
        let config =
            format!("{}\nsubstituters = {caches}\nconnect-timeout = 1\ndownload-attempts = 1", support::nix_config());
        let output = scene.command("gate --against HEAD --json").env("NIX_CONFIG", config).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let gate = run("http://127.0.0.1:1");
    assert_eq!(told(&gate), ["unknown own-builds of workspace 0..3 <= 2 at patches/zlib/1.patch:1"]);
    assert!(text(&gate["limits"][0]["why"]).contains("http://127.0.0.1:1"), "{gate}");
    // An empty cache answers.
    let empty = scene.at("empty");
    fs::create_dir(&empty).unwrap();
    fs::write(empty.join("nix-cache-info"), "StoreDir: /nix/store\n").unwrap();
    let gate = run(&format!("file://{}", empty.display()));
    assert_eq!(told(&gate), ["over own-builds of workspace 3 <= 2 at patches/zlib/1.patch:1"]);
    // One that has zlib leaves the two others.
    let impact = scene.json("impact --against HEAD", 0);
    let zlib = impact["rebuild"].as_array().unwrap().iter().find(|one| text(&one["name"]).starts_with("zlib")).unwrap();
    let path = text(&zlib["outputs"]["out"]);
    let hash = path.strip_prefix("/nix/store/").unwrap().split('-').next().unwrap();
    let info = format!(
        "StorePath: {path}\nURL: nar/x.nar\nCompression: none\nNarHash: sha256:{}\nNarSize: 8\nReferences: \n",
        "0".repeat(52)
    );
    fs::write(empty.join(format!("{hash}.narinfo")), info).unwrap();
    let config = format!("{}\nsubstituters = file://{}", support::nix_config(), empty.display());
    let output = scene
        .command("gate --against HEAD --json")
        .env("NIX_CONFIG", config)
        .env("XDG_CACHE_HOME", scene.at("cold"))
        .output()
        .unwrap();
    let gate: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told(&gate), ["within own-builds of workspace 2 <= 2"], "{}", support::said(&output));
}

/// Names that every format has to escape, as a file system and Nix take them.
const HOSTILE: &str = "a<script>,::error::%0A\u{202e}'x&";

#[test]
fn every_format_says_the_same_of_hostile_names() {
    let Some(scene) = Scene::new() else { return };
    let toml = "nixpkgs = \"../nixpkgs\"\noverlays = [\"overlay.nix\"]\ntargets = [\"curl\"]\n[budget]\nbuilds = 2\n";
    let target = format!("{toml}[budget.targets]\n\"{HOSTILE}\".builds = 1\n");
    let overlay = format!(
        "final: prev: {{ zlib = prev.zlib.overrideAttrs (old: {{ flag = builtins.readFile (./lib + \"/{HOSTILE}\"); }}); }}\n"
    );
    let side = |patch: &str| {
        BTreeMap::from([
            ("overlayctl.toml".to_owned(), target.clone()),
            ("overlay.nix".to_owned(), overlay.clone()),
            (format!("lib/{HOSTILE}"), patch.to_owned()),
        ])
    };
    scene.change([&side("one\n"), &side("two\n")]);
    let summary = scene.at("summary.md");
    fs::write(&summary, "before\n").unwrap();
    let reports =
        ["sarif", "junit", "gitlab", "markdown", "json"].map(|format| format!("--report {format} ../{format}.out"));
    let line = format!("gate --against HEAD --format github {}", reports.join(" "));
    let output = scene.command(&line).env("GITHUB_STEP_SUMMARY", &summary).output().unwrap();
    let said = support::said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let commands = String::from_utf8(output.stdout).unwrap();
    let read = |name: &str| fs::read_to_string(scene.at(name)).unwrap();
    let json: Value = serde_json::from_str(&read("json.out")).unwrap();
    assert_eq!(json["schema"], "overlayctl.gate/1");
    let bad = told(&json).into_iter().filter(|line| !line.starts_with("within")).count();
    assert!(bad >= 2, "{json}");
    // Each line is one command and nothing begins another one.
    assert_eq!(commands.lines().count(), bad, "{commands}");
    for line in commands.lines() {
        assert!(line.starts_with("::error file=") || line.starts_with("::warning file="), "{line}");
        let (properties, _) = line[2..].split_once("::").unwrap();
        assert!(!properties.contains("error::") && !line.contains('\u{202e}'), "{line}");
    }
    let page = read("summary.md");
    assert!(page.starts_with("before\n### overlayctl gate: not passed\n"), "{page}");
    assert_eq!(page.strip_prefix("before\n").unwrap(), read("markdown.out"));
    assert!(page.lines().count() <= 61 && !page.contains('\u{202e}'));
    let sarif: serde_sarif::sarif::Sarif = serde_json::from_str(&read("sarif.out")).unwrap();
    assert_eq!(sarif.runs[0].results.as_ref().unwrap().len(), bad);
    let gitlab: Value = serde_json::from_str(&read("gitlab.out")).unwrap();
    assert_eq!(gitlab.as_array().unwrap().len(), bad);
    let junit = read("junit.out");
    let document = roxmltree::Document::parse(&junit).unwrap();
    let cases: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testcase")).collect();
    assert_eq!(cases.len(), told(&json).len());
    let is_bad = |node: &&roxmltree::Node<'_, '_>| node.first_element_child().is_some();
    assert_eq!(cases.iter().filter(is_bad).count(), bad, "{junit}");
    let text = support::said(&scene.run("gate --against HEAD"));
    assert!(!text.contains('\u{202e}') && text.contains("not passed"), "{text}");
    // A format that is none is refused before anything is evaluated.
    assert_eq!(scene.run("gate --against HEAD --report pdf x.pdf").status.code(), Some(2));
}

#[test]
fn what_cannot_be_compared_is_an_error() {
    let Some(scene) = Scene::new() else { return };
    let case = case(&scene, "patch-changed");
    scene.change(case.sides.each_ref());
    let refused = |line: &str, code: &str| {
        let output = scene.run(line);
        assert!(output.status.code() == Some(2) && support::said(&output).contains(code), "{}", support::said(&output));
    };
    refused("gate --against nowhere", "OV0703");
    refused("gate --against HEAD --board none", "OV0603");
    fs::write(scene.at("board/overlayctl.toml"), "[budget]\nbuilds = \"many\"\n").unwrap();
    refused("gate --against HEAD", "overlayctl.toml:2:10");
    // The budget of the revision is none: that is said of the revision.
    support::commit(&scene.at("board"));
    scene.write("board", &case.sides[1]);
    refused("gate --against HEAD", "OV1200");
}

/// The lines of `docs/ci` that a server runs, each file as far as it is about overlayctl, in its order.
#[test]
fn what_the_files_for_ci_servers_call_works() {
    let Some(scene) = Scene::new() else { return };
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ci");
    let case = case(&scene, "one-board-is-over");
    let program = Path::new(env!("CARGO_BIN_EXE_overlayctl")).parent().unwrap().to_path_buf();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let run = |line: &str| {
        let base = git2::Repository::open(scene.at("board")).unwrap().head().unwrap().target().unwrap().to_string();
        fs::write(scene.at("board/.git/FETCH_HEAD"), format!("{base}\t\tbranch 'main' of here\n")).unwrap();
        let mut command = Command::new("sh");
        command.args(["-ec", line]).current_dir(scene.at("board")).env("PATH", &path);
        command
            .env("NIX_CONFIG", support::nix_config())
            .env("HOME", scene.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("XDG_CACHE_HOME", scene.at("cache")).env("XDG_STATE_HOME", scene.at("state"));
        command.env("BASE", &base).env("CI_MERGE_REQUEST_DIFF_BASE_SHA", &base);
        command.env("GITHUB_OUTPUT", scene.at("output")).env("GITHUB_STEP_SUMMARY", scene.at("summary"));
        command.env("GATE_REPORT", scene.at("report.md")).output().unwrap()
    };
    let mut files = 0;
    for entry in fs::read_dir(&docs).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&entry).unwrap();
        let lines: Vec<String> = match entry.extension().and_then(|ending| ending.to_str()) {
            Some("yml") => text
                .lines()
                .filter_map(|line| line.trim().strip_prefix("run: ").or(line.trim().strip_prefix("- ")))
                .filter(|line| line.contains("overlayctl gate") || line.starts_with("mkdir"))
                .map(|line| line.replace("/tmp/", &format!("{}/", scene.path().display())))
                .collect(),
            Some("sh") => vec![format!("{} HEAD", entry.display())],
            _ => continue,
        };
        files += 1;
        assert!(lines.iter().any(|line| line.contains("gate")), "{name}");
        scene.change(case.sides.each_ref());
        let (last, first) = lines.split_last().unwrap();
        for line in first {
            let output = run(line);
            assert!(output.status.success(), "{name}: {line}: {}", support::said(&output));
        }
        let output = run(last);
        let said = support::said(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains("builds of board pi") && said.contains("patches/zlib/1.patch"), "{name}: {said}");
    }
    assert_eq!(files, 4);
    let key = fs::read_to_string(scene.at("output")).unwrap();
    assert!(key.strip_prefix("key=").is_some_and(|key| key.trim().len() == 32), "{key}");
    for file in ["summary", "gate.sarif", "report.md"] {
        assert!(fs::metadata(scene.at(file)).unwrap().len() > 0, "{file}");
    }
}

/// Builds: both sides of a pair, so that times and sizes are known.
#[test]
fn what_was_built_has_times_and_sizes() {
    let Some(scene) = Scene::new() else { return };
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    // What an earlier run of the test built would not be built again, and have no time.
    let salt = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let side = |bytes: usize, growth: u64, time: &str| {
        let overlay = format!(
            "final: prev: {{ zlib = prev.zlib.overrideAttrs (old: {{ salt = \"{salt}\"; installPhase = \"mkdir -p $out; printf %0{bytes}d 0 >$out/big\"; }}); }}\n"
        );
        let toml = format!(
            "nixpkgs = \"../nixpkgs\"\noverlays = [\"overlay.nix\"]\ntargets = [\"zlib\"]\n[budget]\nclosure-growth = \"{growth} B\"\nbuild-time = \"{time}\"\n"
        );
        BTreeMap::from([file("overlay.nix", &overlay), file("overlayctl.toml", &toml)])
    };
    let size = |built: &Output| {
        assert!(built.status.success(), "{}", support::said(built));
        let link = scene.at("board/result-zlib").canonicalize().unwrap();
        let path = link.to_str().unwrap();
        let info: Value =
            serde_json::from_str(&nix("nix", Path::new("/"), &["path-info", "-S", "--json", path])).unwrap();
        let entry = info.get(0).or(info.get(path)).unwrap().clone();
        entry["closureSize"].as_u64().unwrap()
    };
    scene.change([&side(100, 9_000, "1h"), &side(100, 9_000, "1h")]);
    let before = size(&scene.run("build"));
    scene.write("board", &side(9_100, 9_000, "1h"));
    let after = size(&scene.run("build"));
    let growth = after - before;
    assert!(growth >= 9_000);
    for (limit, standing, exit) in [(growth, "within", 0), (growth - 1, "over", 1)] {
        scene.change([&side(100, limit, "1h"), &side(9_100, limit, "1h")]);
        let gate = scene.json("gate --against HEAD", exit);
        let told = told(&gate);
        let rest = format!("closure-growth of workspace {growth} <= {limit}");
        assert!(told.iter().any(|line| line.starts_with(&format!("{standing} {rest}"))), "{told:?}");
        // The builds of a moment are known to be within an hour.
        assert!(told.iter().any(|line| line.starts_with("within build-time of workspace")), "{told:?}");
    }
    // The history says what it takes, and a limit below that is broken.
    let history = scene.at("state/overlayctl/history.json");
    let mut times: Value = serde_json::from_str(&fs::read_to_string(&history).unwrap()).unwrap();
    for seconds in times["seconds"].as_object_mut().unwrap().values_mut() {
        *seconds = serde_json::json!([7200.0]);
    }
    fs::write(&history, times.to_string()).unwrap();
    let over = told(&scene.json("gate --against HEAD", 1));
    assert!(
        over.iter().any(|line| line.starts_with("over build-time of workspace 7200 <= 3600 at overlay.nix:1")),
        "{over:?}"
    );
    // Parts of seconds are no doubt.
    for seconds in times["seconds"].as_object_mut().unwrap().values_mut() {
        *seconds = serde_json::json!([2.5]);
    }
    fs::write(&history, times.to_string()).unwrap();
    scene.write("board", &side(9_100, growth, "2s"));
    let over = told(&scene.json("gate --against HEAD", 1));
    assert!(over.iter().any(|line| line.starts_with("over build-time of workspace 3 <= 2")), "{over:?}");
}

/// What one target lets go of stays where another still needs it.
#[test]
fn what_an_unchanged_target_needs_is_no_saving() {
    let Some(scene) = Scene::new() else { return };
    let side = |of: &str| {
        let make = "name: script: derivation { inherit name; system = builtins.currentSystem; builder = \"/bin/sh\"; args = [ \"-c\" script ]; }";
        let overlay = format!(
            "final: prev: let make = {make}; in {{\n  x = make \"x\" \"printf %050000d 0 > $out\";\n  y = make \"y\" \"printf %050001d 0 > $out\";\n  \
             keep = make \"keep\" \"echo ${{final.x}} > $out\";\n  b = make \"b\" \"echo ${{final.{of}}} > $out\";\n}}\n"
        );
        let toml = "nixpkgs = \"../nixpkgs\"\noverlays = [\"overlay.nix\"]\ntargets = [\"keep\", \"b\"]\n[budget]\nclosure-growth = \"1 kB\"\n";
        BTreeMap::from([("overlay.nix".to_owned(), overlay), ("overlayctl.toml".to_owned(), toml.to_owned())])
    };
    scene.change([&side("x"), &side("x")]);
    for of in ["x", "y"] {
        scene.write("board", &side(of));
        let built = scene.run("build");
        assert!(built.status.success(), "{}", support::said(&built));
    }
    let gate = scene.json("gate --against HEAD", 1);
    let limit = &gate["limits"][0];
    assert_eq!(limit["standing"], "over", "{gate}");
    assert!(limit["least"].as_u64().unwrap() > 50_000, "{limit}");
}

#[test]
fn what_has_no_place_is_shown_at_the_file_of_the_budgets() {
    let Some(scene) = Scene::new() else { return };
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let toml = "nixpkgs = \"../../nixpkgs\"\noverlays = [\"overlay.nix\"]\ntargets = [\"zlib\"]\n";
    let side = BTreeMap::from([file("sub/overlayctl.toml", toml), file("sub/overlay.nix", "final: prev: { }\n")]);
    scene.change([&side, &side]);
    let output = scene.run("-C sub gate --against HEAD --format gitlab");
    let entries: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(entries[0]["location"]["path"], "sub/overlayctl.toml", "{entries}");
}

/// A few pairs on real package sets; skipped, and said so, where none is named.
#[test]
fn pairs_on_real_package_sets() {
    use support::nixpkgs::{OLD, TODAY, nixpkgs};
    for set in [TODAY, OLD].into_iter().filter_map(nixpkgs) {
        let Some(scene) = Scene::new() else { return };
        let overlay = |patches: &str| {
            format!(
                "final: prev: {{\n  zlib = prev.zlib.overrideAttrs (old: {{\n    patches = (old.patches or [ ]) ++ [ {patches} ];\n  }});\n}}\n"
            )
        };
        let side = |patches: &str, builds: usize, text: &str, more: &str| {
            let toml = format!(
                "nixpkgs = \"{}\"\noverlays = [\"overlay.nix\"]\ntargets = [\"curl\"]\n[budget]\nbuilds = {builds}\n{more}",
                set.display()
            );
            BTreeMap::from([
                ("overlayctl.toml".to_owned(), toml),
                ("overlay.nix".to_owned(), overlay(patches)),
                ("1.patch".to_owned(), text.to_owned()),
            ])
        };
        let oracle =
            format!("[ (import {} {{ config = {{ }}; overlays = [ (import ./overlay.nix) ]; }}).curl ]", set.display());
        let pairs = [
            ("added", side("", 0, "one\n", ""), side("./1.patch", 0, "one\n", ""), "overlay.nix:3"),
            ("changed", side("./1.patch", 0, "one\ntwo\n", ""), side("./1.patch", 0, "one\nthree\n", ""), "1.patch:2"),
            ("removed", side("./1.patch", 0, "one\n", ""), side("", 0, "one\n", ""), "overlay.nix:3"),
            ("nothing", side("./1.patch", 0, "one\n", ""), side("./1.patch", 0, "one\n", "lint = 99\n"), ""),
        ];
        for (what, before, after, place) in pairs {
            let case = Case { oracles: [oracle.clone(), oracle.clone()], sides: [before, after], ..Case::default() };
            scene.change(case.sides.each_ref());
            let rebuilt = scene.oracle(&case);
            let exit = i32::from(!rebuilt.is_empty());
            let gate = scene.json("gate --against HEAD", exit);
            assert_eq!(gate["counts"]["derivations"], rebuilt.len(), "{what}");
            let outputs: BTreeSet<_> = rebuilt.values().collect();
            let expected = match place {
                "" => "within builds of workspace 0 <= 0".to_owned(),
                place => format!("over builds of workspace {} <= 0 at {place}", outputs.len()),
            };
            assert!(told(&gate).contains(&expected), "{what}: {:?} instead of {expected}", told(&gate));
            assert_eq!(scene.json("gate --against HEAD", exit)["base"]["fromCache"], true, "{what}");
        }
    }
}
