//! The loop of a patch queue on a small package set: check, edit, finish, import, export, reorder, refresh, rebase.
//!
//! Everything goes through the program, with real Nix (which evaluates; nothing is built) and real repositories. Skipped,
//! and said so, where there is no Nix.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod queue_support;

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use queue_support::{PACKAGES, Scene, mail, numbered, patch, text, text as text_of};

#[test]
fn check_tells_every_class_apart() {
    let Some(scene) = Scene::new() else { return };
    let mut moved = numbered(1..31);
    moved.insert(0, "new first line".into());
    scene.write("one/foo/offset.c", &text(&moved));
    let mut other = numbered(1..31);
    other[6] = "other context".into();
    scene.write("one/foo/fuzz.c", &text(&other));
    let mut merged = numbered(1..31);
    merged[9] = "NEW".into();
    scene.write("one/foo/merged.c", &text(&merged));
    let mut conflict = numbered(1..31);
    conflict[9] = "something else".into();
    scene.write("one/foo/conflict.c", &text(&conflict));
    scene.write("one/foo/partly.c", &text(&merged));
    let partly = patch("partly.c", 10, "NEW", "") + &patch("a.c", 20, "NEW", "");
    let class = |file: &str| patch(file, 10, "NEW", &mail(file));
    scene.queue(&[
        class("a.c"),
        class("offset.c"),
        class("fuzz.c"),
        class("merged.c"),
        partly,
        class("conflict.c"),
        class("gone.c"),
        "--- a/own.c\n+++ b/own.c\n@@ -1 +1 @@\n-patched by nixpkgs\n+and by us\n".to_string(),
    ]);
    let before = scene.state();
    let checked = scene.json(1, &["check"]);
    let states: Vec<&str> =
        checked["packages"][0]["patches"].as_array().unwrap().iter().map(|p| p["state"].as_str().unwrap()).collect();
    assert_eq!(
        states,
        ["clean", "offset", "fuzz", "already-upstream", "partly-upstream", "conflict", "file-gone", "clean"]
    );
    assert_eq!(scene.state(), before, "check writes nothing");
    for name in scene.names().into_iter().filter(|name| ["0004", "0005", "0006", "0007"].contains(&&name[..4])) {
        scene.run(0, &["unpatch", "foo", &name]);
    }
    scene.assert_in_step();
    assert_eq!(scene.names().len(), 4);
    scene.run(1, &["check", "foo"]);
    scene.run(0, &["check", "foo", "--allow-fuzz"]);
    // Refreshed, all fit at their lines; headers stay.
    scene.run(1, &["refresh", "foo"]);
    scene.run(0, &["refresh", "foo", "--allow-fuzz"]);
    let checked = scene.json(0, &["check"]);
    let all = checked["packages"][0]["patches"].as_array().unwrap();
    assert!(all.iter().all(|p| p["state"] == "clean"), "{checked}");
    assert!(scene.read("patches/foo/0002-offset.c.patch").starts_with(&mail("offset.c")));
    scene.run(0, &["refresh", "foo", "--allow-fuzz"]);
}

#[test]
fn edit_and_finish_go_round() {
    let Some(scene) = Scene::new() else { return };
    let a = patch("a.c", 10, "A", &mail("change a"));
    let b = patch("b.c", 10, "B", "Free text, no author.\n\n");
    scene.queue(&[a.clone(), b.clone()]);
    let before = scene.state();
    scene.run(0, &["edit", "foo"]);
    let log = |scene: &Scene| -> Vec<(String, String, i64)> {
        let repository = scene.worktree();
        let mut walk = repository.revwalk().unwrap();
        walk.push_head().unwrap();
        walk.map(|id| {
            let commit = repository.find_commit(id.unwrap()).unwrap();
            let by = commit.author();
            let author = String::from_utf8_lossy(by.name_bytes()).into_owned();
            let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
            (message.lines().next().unwrap().to_string(), author, by.when().seconds())
        })
        .collect()
    };
    let commits = log(&scene);
    assert_eq!(commits[1], ("change a".into(), "Ada".into(), 1_704_099_600));
    assert_eq!(commits.len(), 4, "source, nixpkgs' own patch, two of ours: {commits:?}");
    assert_eq!(scene.read(".overlayctl/edit/foo/own.c"), "patched by nixpkgs\n");
    // Nothing done, nothing changed.
    assert!(scene.json(0, &["finish", "foo"])["unchanged"].as_bool().unwrap());
    assert_eq!(scene.state(), before);
    // What is not committed is no patch.
    scene.write(".overlayctl/edit/foo/c.c", "loose\n");
    assert!(String::from_utf8_lossy(&scene.try_run(&["finish", "foo"]).stderr).contains("OV1049"));
    scene.commit("c.c", "all new\n", "change c\n\nBecause.\n\nUpstream-Status: Submitted [list]\n");
    scene.commit("dir/new.c", "new file, no end of line", "add a file");
    scene.run(0, &["finish", "foo"]);
    assert_eq!(scene.names().len(), 4);
    scene.assert_in_step();
    assert_eq!(scene.read("patches/foo/0001-change-a.patch"), a);
    assert_eq!(scene.read("patches/foo/0002-Free-text-no-author.patch"), b);
    let c = scene.read("patches/foo/0003-change-c.patch");
    assert!(c.starts_with("From: Bea <bea@example.org>\nDate: Tue, 14 Nov 2023 16:43:20 -0530\nSubject: change c\n\nBecause.\n\nUpstream-Status: Submitted [list]\n---\ndiff "), "{c}");
    // Again: nothing. And a new worktree has the same files.
    let finished = scene.state();
    assert!(scene.json(0, &["finish", "foo"])["unchanged"].as_bool().unwrap());
    let tree = scene.tree_id();
    scene.run(0, &["edit", "foo"]);
    assert_eq!(scene.tree_id(), tree);
    assert!(scene.json(0, &["finish", "foo"])["unchanged"].as_bool().unwrap());
    assert_eq!(scene.state(), finished);
    // A queue that changed meanwhile is not overwritten.
    scene.write("patches/foo/0001-change-a.patch", &a.replace("+A", "+AA"));
    assert!(String::from_utf8_lossy(&scene.try_run(&["finish", "foo"]).stderr).contains("OV1055"));
    scene.write("patches/foo/0001-change-a.patch", &a);
    // Two commits dropped: the queue is what it was at first, to the byte.
    let repository = scene.worktree();
    let back = repository.revparse_single("HEAD~2").unwrap();
    repository.reset(&back, git2::ResetType::Hard, None).unwrap();
    scene.run(0, &["finish", "foo"]);
    assert_eq!(scene.state(), before);
    scene.run(0, &["finish", "foo", "--abort"]);
    assert!(!scene.at(".overlayctl/edit/foo").exists());
    assert_eq!(scene.state(), before);
}

#[test]
fn killed_at_any_moment_all_is_old_or_all_is_new() {
    let Some(scene) = Scene::new() else { return };
    scene.queue(&[patch("a.c", 10, "A", &mail("a")), patch("b.c", 10, "B", &mail("b"))]);
    scene.run(0, &["edit", "foo"]);
    let old = scene.state();
    for i in 0..6 {
        scene.commit(&format!("n{i}.c"), "x\n", &format!("add n{i}"));
    }
    let dry = scene.json(0, &["finish", "foo", "--dry-run"]);
    let count = dry["patches"].as_array().unwrap().len();
    let mut killed = 0;
    for round in 0..12u64 {
        let mut child = scene.command(&["finish", "foo"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(3_000 + round * 2_500));
        let _ = child.kill();
        killed += i32::from(child.wait().unwrap().code().is_none());
        // The next run of any command finishes or forgets what was begun.
        scene.run(0, &["list"]);
        let now = scene.state();
        let is_new = scene.names().len() == count;
        assert!(now == old || is_new, "a mix after round {round}: {:?}", scene.names());
        scene.assert_in_step();
        if is_new {
            // Back to the old queue for another round.
            let repository = scene.worktree();
            let tip = repository.head().unwrap().peel_to_commit().unwrap().id();
            let base = repository.revparse_single("HEAD~6").unwrap();
            repository.reset(&base, git2::ResetType::Hard, None).unwrap();
            scene.run(0, &["finish", "foo"]);
            assert_eq!(scene.state(), old);
            repository.reset(&repository.find_object(tip, None).unwrap(), git2::ResetType::Hard, None).unwrap();
        }
    }
    println!("killed in {killed} of 12 rounds");
}

#[test]
fn import_and_export_come_back_to_the_same_bytes() {
    let Some(scene) = Scene::new() else { return };
    let (a, b) =
        (patch("a.c", 10, "A", &mail("change a")), patch("b.c", 10, "B", "Description: change b\nAuthor: X <x@y>\n\n"));
    scene.write("debian/patches/a.patch", &a);
    scene.write("debian/patches/sub/b.diff", &b);
    scene.write("debian/patches/series", "# ours\na.patch\nsub/b.diff -p1\n");
    scene.run(0, &["import", "foo", "debian/patches", "--offline"]);
    scene.assert_in_step();
    let imported = scene.state();
    assert_eq!(scene.json(0, &["import", "foo", "debian/patches", "--offline"])["already"], 2);
    assert_eq!(scene.state(), imported);
    scene.run(0, &["check"]);
    scene.run(0, &["export", "foo", "--quilt", "out/quilt"]);
    scene.run(0, &["export", "foo", "--mbox", "out/all.mbox"]);
    let bytes = |scene: &Scene| {
        scene.state().into_iter().filter(|(p, _)| p.starts_with("patches")).map(|(_, b)| b).collect::<Vec<_>>()
    };
    let queue = bytes(&scene);
    assert_eq!(queue, [a.into_bytes(), b.into_bytes()]);
    for from in ["out/quilt", "out/all.mbox"] {
        scene.run(0, &["unpatch", "foo"]);
        assert!(scene.names().is_empty());
        scene.run(0, &["import", "foo", from, "--offline"]);
        assert_eq!(bytes(&scene), queue, "{from}");
    }
    // As commits of a repository, and from there again.
    let repository = git2::Repository::init(scene.at("upstream")).unwrap();
    for file in ["own.c", "a.c", "b.c", "c.c"] {
        fs::copy(scene.at(&format!("one/foo/{file}")), scene.at(&format!("upstream/{file}"))).unwrap();
    }
    let mut index = repository.index().unwrap();
    index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let by = git2::Signature::new("U", "u@example.org", &git2::Time::new(1, 0)).unwrap();
    repository.commit(Some("HEAD"), &by, &by, "v1", &tree, &[]).unwrap();
    scene.run(0, &["export", "foo", "--branch", "ours", "--repo", "upstream"]);
    scene.run(0, &["unpatch", "foo"]);
    scene.run(0, &["import", "foo", "upstream..HEAD..ours", "--offline"]);
    assert_eq!(scene.names(), ["0001-change-a.patch", "0002-change-b.patch"]);
    assert_eq!(bytes(&scene), queue, "a branch");
    scene.run(0, &["check"]);
    assert!(String::from_utf8_lossy(&scene.try_run(&["import", "foo", "nowhere"]).stderr).contains("OV1052"));
}

#[test]
fn the_order_and_the_names_change_with_the_overlay() {
    let Some(scene) = Scene::new() else { return };
    scene.queue(&["a.c", "b.c", "c.c"].map(|f| patch(f, 10, "X", &mail(&format!("change {f}")))));
    let before = scene.state();
    scene.run(0, &["move", "foo", "3", "1"]);
    assert_eq!(scene.names(), ["0001-change-c.c.patch", "0002-change-a.c.patch", "0003-change-b.c.patch"]);
    scene.assert_in_step();
    scene.run(0, &["reorder", "foo", "2", "3"]);
    assert_eq!(scene.state(), before);
    scene.run(0, &["rename", "foo", "2", "the b change"]);
    assert_eq!(scene.names()[1], "0002-the-b-change.patch");
    scene.assert_in_step();
    scene.run(0, &["rename", "foo", "2", "0002-change-b.c.patch"]);
    assert_eq!(scene.state(), before);
    let dry = scene.json(0, &["move", "foo", "1", "2", "--dry-run"]);
    assert_eq!(dry["patches"].as_array().unwrap().len(), 3);
    assert_eq!(scene.state(), before);
    scene.run(2, &["move", "foo", "9", "1"]);
    scene.run(0, &["check"]);
}

#[test]
fn rebase_merges_drops_refreshes_and_stops_at_conflicts() {
    let Some(scene) = Scene::new() else { return };
    let of = |file: &str| patch(file, 10, "OURS", &mail(&format!("change {file}")));
    scene.queue(&["a.c", "b.c", "c.c"].map(of));
    let before = scene.state();
    // a.c: upstream took the patch; b.c: it moved; c.c: upstream changed the same line.
    let mut a = numbered(1..31);
    a[9] = "OURS".into();
    scene.write("two/foo/a.c", &text(&a));
    let mut b = numbered(1..31);
    b.splice(0..0, numbered(100..105));
    scene.write("two/foo/b.c", &text(&b));
    let mut c = numbered(1..31);
    c[9] = "THEIRS".into();
    scene.write("two/foo/c.c", &text(&c));
    let states = |value: &serde_json::Value| -> Vec<String> {
        let patches = value["packages"][0]["patches"].as_array().unwrap();
        patches.iter().map(|p| p["state"].as_str().unwrap().to_string()).collect()
    };
    let dry = scene.json(1, &["rebase", "--to", "two", "--dry-run"]);
    assert_eq!(states(&dry), ["merged", "rebased", "conflict"]);
    assert!(dry["packages"][0]["dir"].is_null(), "there is no worktree to go to");
    assert_eq!(scene.state(), before);
    assert!(!scene.at(".overlayctl/rebase").exists());
    let begun = scene.json(1, &["rebase", "--to", "two"]);
    assert_eq!(states(&begun), ["merged", "rebased", "conflict"]);
    assert_eq!(scene.state(), before, "nothing changes before the end");
    let file = scene.at(begun["packages"][0]["dir"].as_str().unwrap()).join("c.c");
    let marked = fs::read_to_string(&file).unwrap();
    assert!(marked.contains("<<<<<<< HEAD\nTHEIRS\n=======\nOURS\n>>>>>>> "), "{marked}");
    // Not resolved, not gone on with; given up, all is as it was.
    scene.run(1, &["rebase", "--continue"]);
    scene.run(1, &["rebase", "--to", "two"]);
    scene.run(0, &["rebase", "--abort"]);
    assert_eq!(scene.state(), before);
    scene.run(2, &["rebase", "--continue"]);
    // Again, resolved.
    scene.run(1, &["rebase", "--to", "two"]);
    c[9] = "BOTH".into();
    fs::write(&file, text(&c)).unwrap();
    let done = scene.json(0, &["rebase", "--continue"]);
    assert_eq!(states(&done), ["merged", "rebased", "rebased"]);
    assert!(done["written"].as_bool().unwrap());
    assert_eq!(scene.names(), ["0002-change-b.c.patch", "0003-change-c.c.patch"]);
    scene.assert_in_step();
    let b = scene.read("patches/foo/0002-change-b.c.patch");
    assert_eq!(b, of("b.c").replace("@@ -7,7 +7,7 @@", "@@ -12,7 +12,7 @@"), "only the numbers changed");
    assert!(scene.read("patches/foo/0003-change-c.c.patch").contains("-THEIRS\n+BOTH\n"));
    let checked = scene.json(0, &["check", "--nixpkgs", "two"]);
    assert!(states(&checked).iter().all(|s| s == "clean"), "{checked}");
    assert!(!scene.at(".overlayctl/rebase").exists());
    // The same source: nothing to do. A package that is gone: said.
    let same = scene.json(0, &["rebase", "--from", "two", "--to", "two"]);
    assert_eq!(same["packages"][0]["sameSource"], true);
    scene.write("two/default.nix", &PACKAGES.replace("foo =", "fooo ="));
    let gone = scene.json(1, &["rebase", "--from", "one", "--to", "two"]);
    assert_eq!(gone["packages"][0]["failure"]["code"], "OV1011");
    assert!(gone["packages"][0]["failure"]["hint"].as_str().unwrap().contains("fooo"), "{gone}");
    // Skipped patches are dropped.
    scene.write("two/default.nix", &PACKAGES.replace("VERSION", "2.0"));
    scene.write("overlay.nix", std::str::from_utf8(&before[Path::new("overlay.nix")]).unwrap());
    for (path, bytes) in &before {
        fs::write(scene.at(path.to_str().unwrap()), bytes).unwrap();
    }
    scene.run(1, &["rebase", "--to", "two"]);
    assert_eq!(states(&scene.json(0, &["rebase", "--skip"])), ["merged", "rebased", "skipped"]);
    assert_eq!(scene.names(), ["0002-change-b.c.patch"]);
    scene.assert_in_step();
}

#[test]
fn headers_are_linted_edited_and_summed_up() {
    let Some(scene) = Scene::new() else { return };
    let cve = mail("fix CVE-2024-12345")
        .replace("Upstream-Status: Pending", "Upstream-Status: Backport [abc]\nCVE: CVE-2024-12345");
    let good = patch("a.c", 10, "A", &cve);
    scene.queue(&[good.clone(), patch("gone.c", 10, "B", "Something.\n\n")]);
    let linted = scene.json(1, &["lint", "--patches"]);
    assert_eq!(linted["packages"][0]["cves"], serde_json::json!(["CVE-2024-12345"]));
    let codes = |at: usize| -> Vec<String> {
        let findings = linted["packages"][0]["patches"][at]["findings"].as_array().unwrap();
        findings.iter().map(|f| f["code"].as_str().unwrap().to_string()).collect()
    };
    assert!(codes(0).is_empty(), "{linted}");
    assert_eq!(codes(1), ["OV0241", "OV0242", "OV0244"]);
    let status = scene.json(0, &["status"]);
    let first = &status["packages"][0]["patches"][0];
    assert_eq!(first["applies"], "clean");
    assert_eq!(first["upstreamStatus"]["status"], "backport");
    assert_eq!(first["owner"], "Ada <ada@example.org>");
    assert!(first["ageDays"].as_i64().unwrap() > 300);
    assert_eq!(status["packages"][0]["patches"][1]["applies"], "file-gone");
    assert!(scene.json(0, &["status", "--offline"])["packages"][0]["patches"][0]["applies"].is_null());
    // An edit changes its line and no other byte; a second one changes nothing.
    let edit = ["header", "foo", "1", "--set", "Upstream-Status=Submitted [list]"];
    scene.run(0, &edit);
    let path = "patches/foo/0001-fix-CVE-2024-12345.patch";
    assert_eq!(scene.read(path), good.replace("Backport [abc]", "Submitted [list]"));
    assert_eq!(scene.json(0, &edit)["files"], serde_json::json!([]));
    scene.run(0, &["header", "foo", "1", "--set", "Upstream-Status=Backport [abc]"]);
    assert_eq!(scene.read(path), good);
    scene.run(2, &["header", "foo", "1", "--set", "no value"]);
    scene.run(2, &["header", "foo", "7"]);
}

/// Two packages in one overlay file: the second queue must not undo what the first wrote.
#[test]
fn two_queues_in_one_overlay_are_rebased_together() {
    let Some(scene) = Scene::new() else { return };
    for (set, version) in [("one", "1.0"), ("two", "2.0")] {
        let both = PACKAGES.replace("VERSION", version);
        let foo = both[both.find("foo =").unwrap()..both.find(" };\n  final").unwrap()].to_string();
        let bar = foo.replace("foo =", "bar =").replace("foo-", "bar-");
        scene.write(&format!("{set}/default.nix"), &both.replace(&foo, &format!("{foo} {bar}")));
    }
    for file in ["a.c", "b.c"] {
        scene.write("in/x.patch", &patch(file, 10, "OURS", &mail(&format!("change {file}"))));
        for attr in ["foo", "bar"] {
            scene.run(0, &["patch", attr, "in/x.patch", "--offline"]);
        }
    }
    let mut merged = numbered(1..31);
    merged[9] = "OURS".into();
    scene.write("two/foo/a.c", &text(&merged));
    let mut conflict = numbered(1..31);
    conflict[9] = "THEIRS".into();
    scene.write("two/foo/b.c", &text(&conflict));
    let begun = scene.json(1, &["rebase", "--to", "two"]);
    // One is resolved by a commit of the user's, the other by files that are only changed.
    conflict[9] = "BOTH".into();
    for (i, package) in begun["packages"].as_array().unwrap().iter().enumerate() {
        let dir = scene.at(package["dir"].as_str().unwrap());
        fs::write(dir.join("b.c"), text(&conflict)).unwrap();
        if i == 0 {
            let repository = git2::Repository::open(&dir).unwrap();
            let mut index = repository.index().unwrap();
            index.add_path(Path::new("b.c")).unwrap();
            index.write().unwrap();
            let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
            let by = git2::Signature::new("Bea", "bea@example.org", &git2::Time::new(1_700_000_000, 0)).unwrap();
            let parent = repository.head().unwrap().peel_to_commit().unwrap();
            repository.commit(Some("HEAD"), &by, &by, "my own words\n", &tree, &[&parent]).unwrap();
        }
    }
    let done = scene.json(0, &["rebase", "--continue"]);
    assert!(done["written"].as_bool().unwrap(), "{done}");
    let overlay = scene.read("overlay.nix");
    for attr in ["foo", "bar"] {
        let names: Vec<String> = fs::read_dir(scene.at(&format!("patches/{attr}")))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 1, "{attr}: {names:?}");
        assert_eq!(overlay.matches(&format!("patches/{attr}/")).count(), 1, "{overlay}");
        assert!(overlay.contains(&format!("./patches/{attr}/{}", names[0])), "{overlay}");
    }
    assert!(scene.at("patches/bar").join("0001-my-own-words.patch").is_file());
    let checked = scene.json(0, &["check", "--nixpkgs", "two"]);
    assert_eq!(checked["packages"].as_array().unwrap().len(), 2);
}

/// An address is fetched by Nix; a file that promises an archive and is none is refused.
#[test]
fn addresses_and_damaged_sources() {
    let Some(scene) = Scene::new() else { return };
    scene.write("in/x.patch", &patch("a.c", 10, "X", &mail("change a")));
    let address = format!("file://{}", scene.at("in/x.patch").display());
    scene.run(0, &["import", "foo", &address, "--offline"]);
    assert_eq!(scene.names(), ["0001-change-a.patch"]);
    scene.run(0, &["check"]);
    scene.write("one/broken.tar.gz", "");
    scene.write("one/default.nix", &PACKAGES.replace("./foo", "./broken.tar.gz"));
    let checked = scene.json(1, &["check"]);
    assert_eq!(checked["packages"][0]["failure"]["code"], "OV1041", "{checked}");
    assert!(String::from_utf8_lossy(&scene.try_run(&["edit", "foo"]).stderr).contains("OV1041"));
    assert!(!scene.at(".overlayctl/edit/foo").exists());
}

/// The packages of the demo, whose sources are real releases.
#[test]
fn the_packages_of_the_demo_go_round() {
    let Some(scene) = Scene::new() else { return };
    scene.run(0, &["init", "--demo", "demo"]);
    let demo = |args: &[&str]| {
        let mut all = vec!["-C", "demo"];
        all.extend_from_slice(args);
        scene.try_run(&all)
    };
    let json = |output: &Output| -> serde_json::Value { serde_json::from_slice(&output.stdout).unwrap() };
    // All that have a source of files; the others are wrappers or assemble what these make.
    for attr in ["musl", "bzip2", "lua", "pcre2", "libgcc-eh", "rust-hello", "rust-musl"] {
        let edited = demo(&["edit", attr, "--json"]);
        if String::from_utf8_lossy(&edited.stdout).contains("OV1044") {
            eprintln!("skipped: {attr}: its source is not in the store and cannot be fetched");
            continue;
        }
        let overlay = scene.read("demo/overlays/default.nix");
        let dir = scene.at("demo/.overlayctl/edit").join(attr);
        let repository = git2::Repository::open(&dir).unwrap();
        let by = git2::Signature::new("Bea", "bea@example.org", &git2::Time::new(1_700_000_000, 60)).unwrap();
        let mut index = repository.index().unwrap();
        let path = index
            .iter()
            .map(|e| String::from_utf8(e.path).unwrap())
            .find(|p| p.ends_with(".c") || p.ends_with(".rs"))
            .unwrap();
        for line in ["/* one */", "/* two */"] {
            let old = fs::read_to_string(dir.join(&path)).unwrap();
            fs::write(dir.join(&path), format!("{line}\n{old}")).unwrap();
            index.add_path(Path::new(&path)).unwrap();
            let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
            let parent = repository.head().unwrap().peel_to_commit().unwrap();
            let message = format!("add {line}\n\nSigned-off-by: Bea <bea@example.org>\n");
            repository.commit(Some("HEAD"), &by, &by, &message, &tree, &[&parent]).unwrap();
        }
        index.write().unwrap();
        let tree = |repository: &git2::Repository| repository.head().unwrap().peel_to_tree().unwrap().id();
        let wanted = tree(&repository);
        let finish = ["finish", attr, "--overlay", "overlays/default.nix", "--json"];
        let finished = demo(&finish);
        assert!(finished.status.success(), "{}", String::from_utf8_lossy(&finished.stdout));
        assert_eq!(json(&demo(&finish))["unchanged"], true);
        assert!(demo(&["check", attr]).status.success());
        assert!(demo(&["edit", attr]).status.success());
        let repository = git2::Repository::open(&dir).unwrap();
        assert_eq!(tree(&repository), wanted);
        let commit = repository.head().unwrap().peel_to_commit().unwrap();
        assert_eq!((commit.author().when().seconds(), commit.author().when().offset_minutes()), (1_700_000_000, 60));
        assert!(String::from_utf8_lossy(commit.message_bytes()).contains("Signed-off-by: Bea"));
        // Without the commits the overlay is what it was.
        let base = repository.revparse_single("HEAD~2").unwrap();
        repository.reset(&base, git2::ResetType::Hard, None).unwrap();
        assert!(demo(&finish).status.success());
        assert_eq!(scene.read("demo/overlays/default.nix"), overlay, "{attr}");
    }
}

/// What the overlay itself does to a package counts: a source of its own, and patches that Nix fetches, in their place.
#[test]
fn an_overlays_own_source_and_fetched_patches_take_part() {
    let Some(scene) = Scene::new() else { return };
    let fetched = |file: &str, line: u32| patch(file, line, "FETCHED", "");
    scene.write("web/first.patch", &fetched("a.c", 10));
    scene.write("web/last.patch", &fetched("c.c", 10));
    for file in ["a.c", "b.c", "c.c"] {
        scene.write(&format!("newer/{file}"), &text(&numbered(1..41)));
    }
    scene.write("newer/own.c", "plain\n");
    let on_top = patch("a.c", 10, "OURS", &mail("change a again")).replace("-line 10", "-FETCHED");
    scene.write("patches/foo/0001-change-a-again.patch", &on_top);
    scene.write("patches/foo/0002-change-b.patch", &patch("b.c", 35, "OURS", &mail("change b")));
    let overlay = "final: prev:
let
  fetch = path: derivation {
    name = baseNameOf path;
    builder = \"builtin:fetchurl\";
    system = \"builtin\";
    preferLocalBuild = true;
    urls = [ \"file://${toString path}\" ];
    url = \"file://${toString path}\";
    unpack = false;
    executable = false;
    outputHash = builtins.hashFile \"sha256\" path;
    outputHashAlgo = \"sha256\";
    outputHashMode = \"flat\";
  };
in
{
  foo = prev.foo.overrideAttrs (old: {
    src = ./newer;
    patches = (old.patches or [ ]) ++ [
      (fetch ./web/first.patch)
      ./patches/foo/0001-change-a-again.patch
      ./patches/foo/0002-change-b.patch
      (fetch ./web/last.patch)
    ];
  });
}
";
    scene.write("overlay.nix", overlay);
    let checked = scene.json(0, &["check"]);
    let package = &checked["packages"][0];
    assert_eq!(package["ownPatches"], 1);
    let names = |key: &str| -> Vec<(String, String)> {
        let text = |v: &serde_json::Value| v.as_str().unwrap().to_string();
        let of = |p: &serde_json::Value| (text(p.get("name").unwrap_or(&p["subject"])), text(&p["state"]));
        package[key].as_array().unwrap().iter().map(of).collect()
    };
    let of = |name: &str| (name.to_string(), "clean".to_string());
    assert_eq!(names("fetched"), [of("first.patch"), of("last.patch")], "{checked}");
    assert_eq!(
        names("patches"),
        [of("change a again"), of("change b")],
        "b.c has line 35 in the overlay's source only"
    );
    // They are commits that the queue begins behind; what is done on top goes round.
    scene.run(0, &["edit", "foo"]);
    assert!(scene.read(".overlayctl/edit/foo/c.c").contains("FETCHED"));
    assert!(scene.json(0, &["finish", "foo"])["unchanged"].as_bool().unwrap());
    scene.commit("b.c", "all new\n", "replace b");
    scene.run(0, &["finish", "foo"]);
    let now = scene.read("overlay.nix");
    let added =
        overlay.replace("0002-change-b.patch\n", "0002-change-b.patch\n      ./patches/foo/0003-replace-b.patch\n");
    assert_eq!(now, added, "the fetched ones keep their places");
    scene.run(0, &["check"]);
    scene.run(0, &["refresh"]);
    assert_eq!(scene.read("overlay.nix"), now);
    // The same source on both sides, whatever nixpkgs has.
    assert_eq!(scene.json(0, &["rebase", "--to", "two"])["packages"][0]["sameSource"], true);
    // One that cannot be had is said, and the rest is checked.
    fs::remove_file(scene.at("web/last.patch")).unwrap();
    scene.write(
        "overlay.nix",
        &now.replace(
            "builtins.hashFile \"sha256\" path",
            "\"0000000000000000000000000000000000000000000000000000000000000000\"",
        ),
    );
    let output = scene.try_run(&["check"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("OV1061"), "{output:?}");
    scene.write("web/last.patch", &fetched("c.c", 10));
    // An overlay that does not evaluate is no reason to say nothing.
    scene.write("overlay.nix", &now.replace("src = ./newer;", "src = throw \"not today\";"));
    let output = scene.try_run(&["check"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("OV1064") && text.contains("not today"), "{text}");
}

/// What the build does to the source besides its patches is said where it matters: before them always, after them in `edit`.
#[test]
fn hooks_are_named_where_they_matter() {
    let Some(scene) = Scene::new() else { return };
    scene.queue(&[patch("a.c", 10, "X", &mail("change a"))]);
    let with = |hooks: &str| {
        scene.write("one/default.nix", &PACKAGES.replace("src = ./foo;", &format!("src = ./foo; {hooks}")));
    };
    let said = |args: &[&str]| String::from_utf8_lossy(&scene.try_run(args).stderr).into_owned();
    with("postPatch = \"sed -i s/a/b/ x\";");
    assert!(!said(&["check"]).contains("OV106"), "no matter of the patches");
    assert!(said(&["edit", "foo"]).contains("OV1065"));
    with("prePatch = \"rm x\"; postPatch = \"true\";");
    let text = said(&["check"]);
    assert!(text.contains("OV1060") && text.contains("runs prePatch before its patches"), "{text}");
    with("patchPhase = \"true\";");
    assert!(said(&["check"]).contains("patchPhase of its own"));
}

/// What GNU patch cannot do is refused with a way out; what a series does in reverse is turned round.
#[test]
fn binary_files_are_refused_and_reversed_patches_turned_round() {
    let Some(scene) = Scene::new() else { return };
    scene.queue(&[patch("a.c", 10, "X", &mail("change a"))]);
    scene.run(0, &["edit", "foo"]);
    let before = scene.state();
    scene.commit("logo.bin", "\0\u{1}binary", "add the logo");
    let output = scene.try_run(&["finish", "foo"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    for words in ["OV1057", "add the logo", "logo.bin", "binary", "postPatch"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(scene.state(), before);
    // As a patch from elsewhere: the file is named, and the way out.
    scene.run(0, &["finish", "foo", "--abort"]);
    scene.write(
        "in/logo.patch",
        "diff --git a/logo.bin b/logo.bin\nnew file mode 100644\nindex 0000000..e69de29\nGIT binary patch\nliteral 3\nKcmZSh&&T2b0Fu%d\n\nliteral 0\nHcmV?d00001\n\n",
    );
    let text = String::from_utf8_lossy(&scene.try_run(&["import", "foo", "in/logo.patch"]).stderr).into_owned();
    assert!(text.contains("OV0207") && text.contains("logo.bin"), "{text}");
    assert_eq!(scene.state(), before);
    // b.c as upstream has it now, and a patch that made it so: the series takes that back.
    let forward = patch("b.c", 10, "NEW", &mail("make it new"));
    let mut lines = numbered(1..31);
    lines[9] = "NEW".into();
    scene.write("one/foo/b.c", &text_of(&lines));
    scene.write("quilt/new.patch", &forward);
    scene.write("quilt/series", "new.patch -R\n");
    let output = scene.try_run(&["import", "foo", "quilt", "--offline"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("OV1066"), "{output:?}");
    let back = scene.read("patches/foo/0002-make-it-new.patch");
    assert!(back.starts_with(&mail("make it new")), "{back}");
    assert!(back.contains("--- b/b.c\n+++ a/b.c\n@@ -7,7 +7,7 @@\n") && back.contains("-NEW\n+line 10\n"), "{back}");
    scene.run(0, &["check"]);
}

/// Each command says what happened and what to do next.
#[test]
fn what_is_said() {
    let Some(scene) = Scene::new() else { return };
    scene.queue(&["a.c", "b.c", "c.c"].map(|file| patch(file, 10, "OURS", &mail(&format!("change {file}")))));
    let says = |status: i32, args: &[&str], words: &[&str]| {
        let output = scene.try_run(args);
        let all = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {all}");
        for words in words {
            assert!(all.contains(words), "{args:?}: {words}: {all}");
        }
    };
    // A status that OpenEmbedded refuses is not written.
    let before = scene.state();
    says(2, &["header", "foo", "1", "--set", "Upstream-Status=pending"], &["OV1002", "Pending"]);
    says(2, &["header", "foo", "1", "--set", "CVE=2024-1"], &["OV1002"]);
    assert_eq!(scene.state(), before);
    says(0, &["import", "foo", "in/0.patch", "--offline"], &["is in the queue already; nothing changed"]);
    // Work that is not taken yet.
    scene.run(0, &["edit", "foo"]);
    says(0, &["status"], &["0001-change-a.c.patch"]);
    scene.commit("n.c", "x\n", "add n");
    says(0, &["status"], &["there is work in", "overlayctl finish foo"]);
    says(0, &["finish", "foo"], &["4 patches in the queue, 3 of them as before", "overlayctl finish foo --abort"]);
    says(0, &["unpatch", "foo", "4"], &[]);
    scene.run(0, &["edit", "foo"]);
    scene.run(0, &["finish", "foo", "--abort"]);
    // Upstream took one, changed the place of another.
    for (file, line) in [("a.c", "OURS"), ("b.c", "THEIRS")] {
        let mut lines = numbered(1..31);
        lines[9] = line.into();
        scene.write(&format!("two/foo/{file}"), &text(&lines));
    }
    says(
        1,
        &["check", "--nixpkgs", "two"],
        &["Next: overlayctl unpatch foo 0001-change-a.c.patch", "overlayctl rebase foo --from OLD --to NEW"],
    );
    says(
        1,
        &["rebase", "--to", "two", "--dry-run"],
        &["upstream now", "conflict", "rebased", "as if those that conflict were skipped"],
    );
    says(1, &["rebase", "--to", "two"], &["resolve .overlayctl/rebase/foo/b.c", "overlayctl rebase --continue"]);
    says(0, &["status"], &["a rebase is under way"]);
    says(0, &["rebase", "--skip"], &["removed patches/foo/0001-change-a.c.patch", "make that the workspace's"]);
    assert!(!String::from_utf8_lossy(&scene.try_run(&["status"]).stdout).contains("under way"));
}

#[test]
fn what_cannot_be_tried_is_said_once_and_by_its_own_name() {
    let Some(scene) = Scene::new() else { return };
    let outside = tempfile::tempdir().unwrap();
    fs::rename(scene.at("overlay.nix"), outside.path().join("o.nix")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("o.nix"), scene.at("overlay.nix")).unwrap();
    scene.write("fix.patch", &patch("a.c", 10, "A", &mail("change a")));
    let said = scene.json(0, &["import", "foo", "fix.patch"]);
    let warnings: Vec<&str> =
        said["warnings"].as_array().unwrap().iter().map(|w| w["message"].as_str().unwrap()).collect();
    let [one] = warnings[..] else { panic!("{warnings:#?}") };
    assert!(one.contains(": overlay.nix leads out of "), "{one}");
}
