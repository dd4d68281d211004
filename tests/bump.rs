//! `bump` on small package sets with real Nix and nothing built: the report, the pin in each of its formats, carrying it out, conflicts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod queue_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use queue_support::{PACKAGES, Scene, mail, numbered, patch, text};
use serde_json::Value;

/// All files of the workspace but what overlayctl keeps for itself.
fn files(scene: &Scene) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![scene.dir.path().to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.ends_with(".git") => {}
                true => todo.push(path),
                false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
            }
        }
    }
    found
}

fn of(file: &str) -> String {
    patch(file, 10, "OURS", &mail(&format!("change {file}")))
}

/// `a.c` stays, `b.c` moves by a line, `c.c` is upstream, `d.c` is gone, `e.c` conflicts.
fn scene() -> Option<Scene> {
    let scene = Scene::new()?;
    for set in ["one", "two"] {
        for file in ["d.c", "e.c"] {
            scene.write(&format!("{set}/foo/{file}"), &text(&numbered(1..31)));
        }
        // A package that takes `foo`, and one that does not.
        let more = "foo = mkDerivation { name = \"foo-";
        let packages = scene.read(&format!("{set}/default.nix"));
        let packages = packages.replace(
            more,
            &format!(
                "app = mkDerivation {{ name = \"app\"; foo = final.foo; lib = final.lib; }}; \
                 lib = mkDerivation {{ name = \"lib-{set}\"; }}; {more}"
            ),
        );
        scene.write(&format!("{set}/default.nix"), &packages);
    }
    let toml = "nixpkgs = \"./one\" # ours\noverlays = [\"overlay.nix\"]\ntargets = [\"app\"]\n";
    scene.write("overlayctl.toml", toml);
    Some(scene)
}

fn change(scene: &Scene) {
    let mut moved = numbered(1..31);
    moved.insert(0, "new first line".into());
    scene.write("two/foo/b.c", &text(&moved));
    let mut taken = numbered(1..31);
    taken[9] = "OURS".into();
    scene.write("two/foo/c.c", &text(&taken));
}

fn conflict(scene: &Scene) {
    fs::remove_file(scene.at("two/foo/d.c")).unwrap();
    let mut theirs = numbered(1..31);
    theirs[9] = "THEIRS".into();
    scene.write("two/foo/e.c", &text(&theirs));
}

fn states(report: &Value) -> Vec<(&str, &str)> {
    let word = |patch: &'_ Value, key: &str| -> &'static str {
        Box::leak(patch[key].as_str().unwrap_or("none").to_owned().into_boxed_str())
    };
    let patches = report["packages"][0]["patches"].as_array().unwrap();
    patches.iter().map(|patch| (word(patch, "applies"), word(patch, "merge"))).collect()
}

fn names(rebuilt: &Value) -> Vec<&str> {
    rebuilt.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[test]
fn a_report_changes_nothing_and_names_every_class() {
    let Some(scene) = scene() else { return };
    scene.queue(&["a.c", "b.c", "c.c", "d.c", "e.c"].map(of));
    change(&scene);
    conflict(&scene);
    let before = files(&scene);
    let report = scene.json(1, &["bump", "--to", "two"]);
    assert_eq!(files(&scene), before, "nothing changes");
    let expected = [
        ("clean", "rebased"),
        ("offset", "rebased"),
        ("already-upstream", "merged"),
        ("file-gone", "conflict"),
        ("conflict", "conflict"),
    ];
    assert_eq!(states(&report), expected);
    assert_eq!((&report["pin"]["from"], &report["pin"]["to"]), (&"one".into(), &"two".into()), "{report}");
    assert_eq!(report["unnecessary"], serde_json::json!(["patches/foo/0003-change-c.c.patch"]));
    let board = &report["boards"][0];
    assert_eq!(names(&board["ofPatches"]), ["foo-2.0", "app"], "{report}");
    assert_eq!(names(&board["ofNixpkgs"]), ["lib-two"]);
    assert_eq!(board["criticalChain"], serde_json::json!(["foo-2.0", "app"]));
    assert_eq!((&board["expectedSeconds"], &board["unknownTimes"]), (&Value::Null, &2.into()));
    let shown = scene.run(1, &["bump", "--to", "two", "--report", "report.md"]);
    for words in
        ["no longer needed: patches/foo/0003", "2 builds of your patches, 1 build of the new nixpkgs", "never built"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let markdown = scene.read("report.md");
    assert!(markdown.contains("| package | patch |") && markdown.contains("file gone"), "{markdown}");
    scene.run(1, &["bump", "--to", "two", "--report", "report.json"]);
    let file: Value = serde_json::from_str(&scene.read("report.json")).unwrap();
    assert_eq!(file["schema"], "overlayctl.bump/1");
    let refused = scene.try_run(&["bump", "--to", "two", "--report", "report.html"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("HTML"));
}

/// The rebuild set is that of `nix-store -qR` of the three states.
#[test]
fn the_split_is_what_stock_nix_says() {
    let Some(scene) = scene() else { return };
    scene.queue(&["a.c", "b.c"].map(of));
    change(&scene);
    let report = scene.json(0, &["bump", "--to", "two"]);
    scene.run(0, &["bump", "--to", "two", "--apply"]);
    let new = scene.at("two").display().to_string();
    let old_overlay = "(final: prev: { })";
    let closure = |set: &str, overlays: &str| -> Vec<String> {
        let expression = format!("(import {set} {{ overlays = [ {overlays} ]; }}).app");
        let drv = Command::new("nix-instantiate").args(["-E", &expression]).output().unwrap();
        let drv = String::from_utf8(drv.stdout).unwrap().trim().to_owned();
        let all = Command::new("nix-store").args(["-qR", &drv]).output().unwrap();
        let all = String::from_utf8(all.stdout).unwrap();
        all.lines().filter(|path| path.ends_with(".drv")).map(str::to_owned).collect()
    };
    let then = closure(&new, &format!("(import {})", scene.at("overlay.nix").display()));
    let plain = closure(&new, old_overlay);
    let own: Vec<String> = then.iter().filter(|drv| !plain.contains(drv)).cloned().collect();
    let paths = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|one| one["drvPath"].as_str().unwrap().to_owned()).collect()
    };
    let mut ours = paths(&report["boards"][0]["ofPatches"]);
    ours.sort();
    let mut own = own;
    own.sort();
    assert_eq!(ours, own);
    let theirs = paths(&report["boards"][0]["ofNixpkgs"]);
    assert!(theirs.iter().all(|drv| then.contains(drv) && plain.contains(drv)), "{theirs:?}");
}

#[test]
fn it_is_carried_out_as_one() {
    let Some(scene) = scene() else { return };
    scene.queue(&["a.c", "b.c", "c.c"].map(of));
    change(&scene);
    let done = scene.json(0, &["bump", "--to", "two", "--apply"]);
    assert_eq!(done["applied"]["written"], true, "{done}");
    let toml = scene.read("overlayctl.toml");
    assert_eq!(toml, "nixpkgs = \"two\" # ours\noverlays = [\"overlay.nix\"]\ntargets = [\"app\"]\n");
    assert_eq!(scene.names(), ["0001-change-a.c.patch", "0002-change-b.c.patch"]);
    scene.assert_in_step();
    let checked = scene.json(0, &["check"]);
    assert!(checked["packages"][0]["patches"].as_array().unwrap().iter().all(|patch| patch["state"] == "clean"));
    // The same again: nothing is left to do.
    let again = scene.json(0, &["bump", "--to", "two"]);
    assert_eq!(again["boards"][0]["ofPatches"], serde_json::json!([]), "{again}");
    assert!(!scene.at(".overlayctl/rebase").exists());
}

#[test]
fn a_conflict_waits_and_everything_is_as_it_was() {
    let Some(scene) = scene() else { return };
    scene.queue(&["a.c", "d.c", "e.c"].map(of));
    change(&scene);
    conflict(&scene);
    let before = files(&scene);
    let unchanged = || {
        let now: BTreeMap<_, _> =
            files(&scene).into_iter().filter(|(path, _)| !path.starts_with(scene.at(".overlayctl"))).collect();
        let then: BTreeMap<_, _> =
            before.clone().into_iter().filter(|(path, _)| !path.starts_with(scene.at(".overlayctl"))).collect();
        assert_eq!(now, then);
    };
    let begun = scene.run(1, &["bump", "--to", "two", "--apply"]);
    assert!(begun.contains("overlayctl bump --continue"), "{begun}");
    unchanged();
    let other = scene.try_run(&["bump", "--skip", "bar"]);
    assert!(String::from_utf8_lossy(&other.stderr).contains("OV1054"), "no such package");
    scene.run(0, &["bump", "--abort"]);
    unchanged();
    scene.run(1, &["bump", "--to", "two", "--apply"]);
    scene.run(1, &["bump", "--skip", "foo"]);
    unchanged();
    let mut both = numbered(1..31);
    both[9] = "BOTH".into();
    fs::write(scene.at(".overlayctl/rebase/foo/e.c"), text(&both)).unwrap();
    // Whichever command goes on, the pin is written with the queues.
    scene.run(0, &["rebase", "--continue"]);
    assert!(scene.read("overlayctl.toml").starts_with("nixpkgs = \"two\" # ours"));
    assert_eq!(scene.names(), ["0001-change-a.c.patch", "0003-change-e.c.patch"]);
    scene.assert_in_step();
    scene.run(0, &["check"]);
}

/// The pin was edited while a conflict waited: nothing is written over.
#[test]
fn a_pin_that_was_edited_meanwhile_is_not_written_over() {
    let Some(scene) = scene() else { return };
    scene.queue(&["e.c"].map(of));
    conflict(&scene);
    scene.run(1, &["bump", "--to", "two", "--apply"]);
    let edited = scene.read("overlayctl.toml") + "# by hand\n";
    scene.write("overlayctl.toml", &edited);
    let refused = scene.try_run(&["bump", "--skip", "foo"]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("OV0006"),
        "{}",
        String::from_utf8_lossy(&refused.stderr)
    );
    assert_eq!(scene.read("overlayctl.toml"), edited);
    assert_eq!(scene.names(), ["0001-change-e.c.patch"]);
}

#[test]
fn what_does_not_evaluate_any_more_has_its_place() {
    let Some(scene) = scene() else { return };
    scene.queue(&["a.c"].map(of));
    let overlay = scene.read("overlay.nix").replacen(
        "{\n",
        "{\n  extra = prev.mkThing prev;\n  app = prev.app.overrideAttrs (old: { x = old.foo; });\n",
        1,
    );
    scene.write("overlay.nix", &overlay);
    let one =
        scene.read("one/default.nix").replace("lib = mkDerivation", "mkThing = pkgs: pkgs.lib; lib = mkDerivation");
    scene.write("one/default.nix", &one);
    let report = scene.json(1, &["bump", "--to", "two"]);
    let broken = report["overlays"].as_array().unwrap();
    assert_eq!(broken.len(), 1, "{report}");
    assert_eq!((&broken[0]["name"], &broken[0]["place"]["line"]), (&"extra".into(), &2.into()), "{report}");
    assert!(broken[0]["message"].as_str().unwrap().contains("mkThing"));
    // A target that goes with it.
    scene.write("overlay.nix", &overlay.replace("x = old.foo", "x = final.extra"));
    let report = scene.json(1, &["bump", "--to", "two"]);
    let failure = &report["boards"][0]["failures"][0];
    assert_eq!((&failure["before"], &failure["withoutOverlays"]), (&true.into(), &true.into()), "{report}");
}

#[test]
fn an_attribute_that_is_gone_or_renamed_is_said_with_the_new_name() {
    let Some(scene) = scene() else { return };
    scene.queue(&["a.c"].map(of));
    let two = scene.read("two/default.nix");
    scene.write(
        "two/default.nix",
        &two.replace("foo = mkDerivation", "bar = mkDerivation").replace("foo = final.foo;", ""),
    );
    let report = scene.json(1, &["bump", "--to", "two", "--apply"]);
    assert_eq!(report["packages"][0]["gone"]["message"], Value::Null, "{report}");
    assert!(report["notApplied"]["why"].as_str().unwrap().contains("not in the new nixpkgs"), "{report}");
    let renamed = two.replace(
        "foo = mkDerivation",
        "foo = throw \"'foo' has been renamed to/replaced by 'bar'\"; bar = mkDerivation",
    );
    scene.write("two/default.nix", &renamed.replace("foo = final.foo;", ""));
    let report = scene.json(1, &["bump", "--to", "two"]);
    assert_eq!(report["packages"][0]["gone"]["instead"], serde_json::json!(["bar"]), "{report}");
    assert!(scene.read("overlayctl.toml").contains("./one"));
}

fn git(dir: &Path, args: &[&str]) -> String {
    let who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"];
    let output = Command::new("git")
        .args(who)
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes a repository of the two sets outside the workspace: a revision each.
fn repository(scene: &Scene) -> (tempfile::TempDir, String, String) {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q", "-b", "main"]);
    let commit = |set: &str| {
        for entry in fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if !entry.ends_with(".git") {
                let _ = if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
            }
        }
        let copied =
            Command::new("cp").arg("-r").arg(format!("{}/.", scene.at(set).display())).arg(dir.path()).status();
        assert!(copied.unwrap().success());
        git(dir.path(), &["add", "-A"]);
        git(dir.path(), &["commit", "-q", "-m", set]);
        git(dir.path(), &["rev-parse", "HEAD"])
    };
    let (old, new) = (commit("one"), commit("two"));
    (dir, old, new)
}

/// A workspace that pins the sets by a file of npins or niv.
fn pinned(keeper: &str, of: impl Fn(&str, &str) -> String) -> Option<(Scene, tempfile::TempDir, String, String)> {
    let scene = scene()?;
    change(&scene);
    let (dir, old, new) = repository(&scene);
    let url = format!("file://{}", dir.path().display());
    let (folder, nix) = match keeper {
        "npins" => (
            "npins",
            "let all = builtins.fromJSON (builtins.readFile ./sources.json); in builtins.mapAttrs (_: p: { outPath = (builtins.fetchGit { url = p.repository.url; rev = p.revision; allRefs = true; narHash = p.hash; }).outPath; }) all.pins",
        ),
        _ => (
            "nix",
            "builtins.mapAttrs (_: p: { outPath = (builtins.fetchGit { url = p.repo; inherit (p) rev; allRefs = true; }).outPath; }) (builtins.fromJSON (builtins.readFile ./sources.json))",
        ),
    };
    let name = if keeper == "npins" { "default.nix" } else { "sources.nix" };
    scene.write(&format!("{folder}/{name}"), nix);
    scene.write(&format!("{folder}/sources.json"), &of(&url, &old));
    let toml = "overlays = [\"overlay.nix\"]\ntargets = [\"app\"]\n";
    scene.write("overlayctl.toml", toml);
    scene.write("in/1.patch", &self::of("a.c"));
    scene.write("in/2.patch", &self::of("c.c"));
    for patch in ["in/1.patch", "in/2.patch"] {
        scene.run(0, &["patch", "foo", patch, "--offline"]);
    }
    Some((scene, dir, old, new))
}

fn nar_hash(dir: &Path, rev: &str) -> String {
    let expression = format!(
        "(builtins.fetchGit {{ url = \"file://{}\"; rev = \"{rev}\"; allRefs = true; }}).narHash",
        dir.display()
    );
    let args =
        ["--extra-experimental-features", "nix-command flakes", "eval", "--impure", "--raw", "--expr", &expression];
    let output = Command::new("nix").args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn niv_is_moved_in_its_own_format() {
    let of = |url: &str, rev: &str| {
        format!(
            "{{\n    \"nixpkgs\": {{ \"branch\": \"main\",\n        \"repo\": \"{url}\", \"rev\": \"{rev}\",\n        \"type\": \"git\" }},\n    \"other\": {{\"rev\": \"{rev}\"}}\n}}\n"
        )
    };
    let Some((scene, dir, old, new)) = pinned("niv", of) else { return };
    // Without --to: the newest of its branch.
    let report = scene.json(0, &["bump", "--apply"]);
    assert_eq!(report["pin"]["from"], old[..12], "{report}");
    let url = format!("file://{}", dir.path().display());
    assert_eq!(scene.read("nix/sources.json"), of(&url, &old).replacen(&old, &new, 1));
    assert_eq!(scene.names(), ["0001-change-a.c.patch"]);
    assert_eq!(names(&report["boards"][0]["ofPatches"]), ["foo-2.0", "app"]);
}

#[test]
fn npins_is_moved_in_its_own_format() {
    let of = |url: &str, rev: &str, hash: &str| {
        format!(
            "{{\n  \"pins\": {{\n    \"nixpkgs\": {{\n      \"type\": \"Git\",\n      \"repository\": {{\n        \"type\": \"Git\",\n        \"url\": \"{url}\"\n      }},\n      \"branch\": \"main\",\n      \"submodules\": false,\n      \"revision\": \"{rev}\",\n      \"url\": null,\n      \"hash\": \"{hash}\"\n    }}\n  }},\n  \"version\": 5\n}}\n"
        )
    };
    let first = |url: &str, rev: &str| of(url, rev, &nar_hash(Path::new(url.trim_start_matches("file://")), rev));
    let Some((scene, dir, old, new)) = pinned("npins", first) else { return };
    let report = scene.json(0, &["bump", "--to", &new, "--apply"]);
    assert_eq!(report["applied"]["written"], true, "{report}");
    let url = format!("file://{}", dir.path().display());
    assert_eq!(scene.read("npins/sources.json"), of(&url, &new, &nar_hash(dir.path(), &new)));
    let refused = scene.json(1, &["bump", "--to", "one", "--apply"]);
    assert!(refused["notApplied"]["why"].as_str().unwrap().contains("place on the net"), "{refused}");
    // A tag is no branch to follow; a branch is.
    git(dir.path(), &["tag", "v2", &old]);
    git(dir.path(), &["branch", "next", &old]);
    for (to, branch) in [("v2", "main"), ("next", "next")] {
        scene.json(0, &["bump", "--to", to, "--apply"]);
        let pins = of(&url, &old, &nar_hash(dir.path(), &old)).replace("\"main\"", &format!("\"{branch}\""));
        assert_eq!(scene.read("npins/sources.json"), pins, "{to}");
    }
    let unknown = scene.try_run(&["bump", "--input", "no-such-pin"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("OV1240"));
}

/// A flake, whose lock Nix writes: the same as `nix flake lock --override-input` does by hand.
#[test]
fn a_flake_is_moved_by_its_lock() {
    let Some(scene) = scene() else { return };
    change(&scene);
    let (dir, old, new) = repository(&scene);
    let url = format!("git+file://{}", dir.path().display());
    scene.write(
        "flake.nix",
        &format!("{{ inputs.nixpkgs = {{ url = \"{url}?ref=main\"; flake = false; }}; outputs = _: {{ }}; }}\n"),
    );
    scene.write("overlayctl.toml", "nixpkgs = \"flake:nixpkgs\"\noverlays = [\"overlay.nix\"]\ntargets = [\"app\"]\n");
    let nix = |args: &[&str]| {
        let features = ["--extra-experimental-features", "nix-command flakes", "flake"];
        let output = Command::new("nix").args(features).args(args).output().unwrap();
        output.status.success()
    };
    let flake = format!("path:{}", scene.dir.path().display());
    git(dir.path(), &["checkout", "-q", "--detach"]);
    git(dir.path(), &["branch", "-f", "main", &old]);
    assert!(nix(&["lock", &flake]));
    let before = scene.read("flake.lock");
    git(dir.path(), &["branch", "-f", "main", &new]);
    assert!(nix(&["lock", &flake, "--update-input", "nixpkgs"]) || nix(&["update", "nixpkgs", "--flake", &flake]));
    let by_hand = scene.read("flake.lock");
    scene.write("flake.lock", &before);
    for (i, file) in ["a.c", "c.c"].iter().enumerate() {
        scene.write(&format!("in/{i}.patch"), &of(file));
        scene.run(0, &["patch", "foo", &format!("in/{i}.patch"), "--offline"]);
    }
    let report = scene.json(0, &["bump", "--to", &new]);
    assert_eq!(scene.read("flake.lock"), before, "a report changes nothing");
    assert_eq!(states(&report), [("clean", "rebased"), ("already-upstream", "merged")]);
    assert_eq!((&report["pin"]["from"], &report["pin"]["to"]), (&old[..12].into(), &new[..12].into()));
    // What the flake asks for stays: the lock is one that Nix takes as it is.
    let lock: Value = serde_json::from_str(&before).unwrap();
    scene.run(0, &["bump", "--to", &new, "--apply"]);
    let applied: Value = serde_json::from_str(&scene.read("flake.lock")).unwrap();
    assert_eq!(applied["nodes"]["nixpkgs"]["locked"]["rev"], new);
    assert_eq!(applied["nodes"]["nixpkgs"]["original"], lock["nodes"]["nixpkgs"]["original"]);
    assert!(nix(&["metadata", "--no-update-lock-file", &flake]));
    assert_eq!(scene.names(), ["0001-change-a.c.patch"]);
    // Without --to: what Nix itself updates it to.
    scene.write("flake.lock", &before);
    scene.run(0, &["bump", "--apply"]);
    assert_eq!(scene.read("flake.lock"), by_hand);
    assert_eq!(scene.names(), ["0001-change-a.c.patch"]);
}

#[test]
fn a_checkout_is_not_moved_and_the_way_out_is_said() {
    let Some(scene) = scene() else { return };
    let (dir, old, new) = repository(&scene);
    git(dir.path(), &["checkout", "-q", &old]);
    let toml = format!("nixpkgs = \"{}\"\noverlays = [\"overlay.nix\"]\ntargets = [\"app\"]\n", dir.path().display());
    scene.write("overlayctl.toml", &toml);
    scene.queue(&["a.c"].map(of));
    let report = scene.json(0, &["bump", "--to", &new]);
    assert_eq!(names(&report["boards"][0]["ofNixpkgs"]), ["lib-two"]);
    let refused = scene.run(1, &["bump", "--to", &new, "--apply"]);
    assert!(refused.contains("worktree add") && refused.contains("nothing was written"), "{refused}");
    assert_eq!(scene.read("overlayctl.toml"), toml);
    let nowhere = scene.try_run(&["bump"]);
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("OV1242"));
}

#[test]
fn the_revision_that_broke_a_target_or_a_patch_is_found() {
    let Some(scene) = scene() else { return };
    scene.queue(&["a.c"].map(of));
    // Six sets: the target breaks in the fourth, the patch in the fifth, the third is no package set at all.
    let set = |at: usize, break_it: &dyn Fn(String) -> String| {
        Command::new("cp").arg("-r").arg(scene.at("one")).arg(scene.at(&format!("s{at}"))).status().unwrap();
        let packages = break_it(scene.read(&format!("s{at}/default.nix")));
        scene.write(&format!("s{at}/default.nix"), &packages);
    };
    for at in 0..6 {
        set(at, &|packages| match at {
            2 => "throw \"staging\"".into(),
            3.. => packages.replace("lib = final.lib;", "lib = final.libs;"),
            _ => packages,
        });
    }
    let mut theirs = numbered(1..31);
    theirs[9] = "THEIRS".into();
    for at in 4..6 {
        scene.write(&format!("s{at}/foo/a.c"), &text(&theirs));
    }
    scene.write("pins", "# old to new\ns0\ns1\ns2\n\ns3\ns4\ns5\n");
    let found = scene.json(1, &["bump", "--bisect", "--pins", "pins", "--target", "app"]);
    let finding = &found["findings"][0];
    assert_eq!((&finding["first"], &finding["lastBefore"]), (&"s3".into(), &"s1".into()), "{found}");
    assert_eq!(finding["unclear"], 1);
    let found = scene.json(1, &["bump", "--bisect", "--pins", "pins"]);
    let finding = &found["findings"][0];
    assert_eq!((&finding["first"], &finding["lastBefore"]), (&"s4".into(), &"s3".into()), "{found}");
    // A package that the last one does not have is a question without an answer, which is no good news.
    let without = scene.read("s1/default.nix").replace("foo =", "renamed =");
    scene.write("s1/default.nix", &without);
    scene.write("two-pins", "s0\ns1\n");
    let unknown = scene.json(1, &["bump", "--bisect", "--pins", "two-pins"]);
    assert_eq!(
        (&unknown["findings"][0]["broken"], unknown["findings"].as_array().map(Vec::len)),
        (&Value::Null, Some(1))
    );
    assert!(PACKAGES.contains("VERSION"));
    // In a clone.
    let (dir, old, new) = repository(&scene);
    git(dir.path(), &["checkout", "-q", &old]);
    scene.write(
        "overlayctl.toml",
        &format!("nixpkgs = \"{}\"\noverlays = [\"overlay.nix\"]\ntargets = [\"app\"]\n", dir.path().display()),
    );
    let fine = scene.json(0, &["bump", "--bisect", "--to", &new, "--target", "app"]);
    assert_eq!(fine["findings"][0]["broken"], false, "{fine}");
    scene.run(0, &["bump", "--bisect", "--to", &new]);
}
