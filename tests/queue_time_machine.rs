//! `rebase --time-machine` on a made nixpkgs with a history: which revision broke a patch, took it, removed its file.

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

use git2::{Oid, Repository};
use queue_support::{PACKAGES, Scene, mail, numbered, patch, text};
use serde_json::Value;

/// A repository with a nixpkgs in it.
struct Set {
    repository: Repository,
    seconds: i64,
}

impl Set {
    fn new(dir: &Path) -> Set {
        Set { repository: Repository::init(dir).unwrap(), seconds: 1_700_000_000 }
    }

    /// Commits the files as they stand on top of HEAD and of `merged`.
    fn commit(&mut self, message: &str, merged: &[Oid]) -> Oid {
        let mut index = self.repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        index.update_all(["*"], None).unwrap();
        index.write().unwrap();
        let tree = self.repository.find_tree(index.write_tree().unwrap()).unwrap();
        self.seconds += 86_400;
        let by = git2::Signature::new("N", "n@example.org", &git2::Time::new(self.seconds, 0)).unwrap();
        let head = self.repository.head().ok().and_then(|h| h.target());
        let parents: Vec<_> = head.iter().chain(merged).map(|id| self.repository.find_commit(*id).unwrap()).collect();
        let parents: Vec<_> = parents.iter().collect();
        self.repository.commit(Some("HEAD"), &by, &by, message, &tree, &parents).unwrap()
    }

    fn go_to(&self, id: Oid) {
        let object = self.repository.find_object(id, None).unwrap();
        self.repository.reset(&object, git2::ResetType::Hard, None).unwrap();
    }
}

/// The version of the set in `one`.
fn version(scene: &Scene, version: &str) {
    scene.write("one/default.nix", &PACKAGES.replace("VERSION", version));
}

fn line(scene: &Scene, file: &str, at: usize, new: &str) {
    let mut lines = numbered(1..31);
    lines[at - 1] = new.into();
    scene.write(&format!("one/foo/{file}"), &text(&lines));
}

/// Four patches on `foo`, and twelve commits: one breaks the first, one takes the second, one removes the third's file.
fn history() -> Option<(Scene, Vec<Oid>)> {
    let scene = Scene::new()?;
    scene.queue(&["a.c", "b.c", "c.c", "own.c"].map(|file| match file {
        "own.c" => "--- a/own.c\n+++ b/own.c\n@@ -1 +1 @@\n-patched by nixpkgs\n+and by us\n".to_string(),
        file => patch(file, 10, "OURS", &mail(&format!("change {file}"))),
    }));
    let mut set = Set::new(&scene.at("one"));
    let mut ids = Vec::new();
    for i in 0..12 {
        let message = match i {
            3 => {
                version(&scene, "1.1");
                line(&scene, "a.c", 25, "far away");
                "foo: 1.0 -> 1.1"
            }
            5 => {
                version(&scene, "1.2");
                line(&scene, "a.c", 10, "THEIRS");
                "foo: 1.1 -> 1.2\n\nMore words."
            }
            7 => {
                version(&scene, "1.3");
                line(&scene, "b.c", 10, "OURS");
                "foo: 1.2 -> 1.3"
            }
            10 => {
                version(&scene, "2.0");
                fs::remove_file(scene.at("one/foo/c.c")).unwrap();
                "foo: 1.3 -> 2.0"
            }
            _ => {
                scene.write("one/other.nix", &format!("{i}"));
                "something else"
            }
        };
        ids.push(set.commit(message, &[]));
    }
    scene.write("one/untracked", "the working directory is not touched\n");
    Some((scene, ids))
}

fn patches(travelled: &Value) -> &[Value] {
    travelled["packages"][0]["patches"].as_array().unwrap()
}

#[test]
fn the_revision_that_broke_a_patch_is_found() {
    let Some((scene, ids)) = history() else { return };
    let before = scene.state();
    let (old, new) = (ids[0].to_string(), ids[11].to_string());
    let travelled = scene.json(1, &["rebase", "--from", &old, "--to", &new, "--time-machine"]);
    assert_eq!(travelled["between"], 11);
    assert!(travelled["asked"].as_u64().unwrap() < 12, "each revision once at most, and not all: {travelled}");
    let expected =
        [("conflict", 5, "1.1", "1.2"), ("already-upstream", 7, "1.2", "1.3"), ("file-gone", 10, "1.3", "2.0")];
    for (patch, (state, at, from, to)) in patches(&travelled).iter().zip(expected) {
        assert_eq!(patch["state"], state);
        let since = &patch["since"];
        assert_eq!(since["first"]["id"], ids[at].to_string(), "{patch}");
        assert_eq!(since["first"]["subject"], format!("foo: {from} -> {to}"));
        assert_eq!(since["lastBefore"]["id"], ids[at - 1].to_string());
        assert_eq!((&since["from"], &since["to"]), (&format!("foo-{from}").into(), &format!("foo-{to}").into()));
        assert_eq!((&since["unclear"], &since["merges"]), (&0.into(), &serde_json::json!([])));
    }
    assert_eq!(patches(&travelled)[3]["state"], "clean");
    assert!(patches(&travelled)[3]["since"].is_null());
    let shown = scene.run(1, &["rebase", "foo", "--from", &old, "--to", &new, "--time-machine"]);
    for words in ["became upstream at", "foo: 1.1 -> 1.2  2023-11-20", "last before: ", "foo-1.1 -> foo-1.2"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    // Up to where all is well there is nothing to be found; a directory with a revision is named too.
    let fine = format!("one@{}", ids[4]);
    let travelled = scene.json(0, &["rebase", "--from", &old, "--to", &fine, "--time-machine"]);
    assert!(patches(&travelled).iter().all(|p| p["state"] == "clean"), "{travelled}");
    // From where it is broken already, that is said.
    let shown = scene.run(1, &["rebase", "--from", &ids[6].to_string(), "--to", &new, "--time-machine"]);
    assert!(shown.contains("it was so in the old revision already"), "{shown}");
    assert_eq!(scene.state(), before, "nothing changes");
    assert!(!scene.at(".overlayctl/rebase").exists());
    assert!(scene.at("one/untracked").is_file());
}

#[test]
fn a_revision_is_a_package_set_for_the_rebase_itself() {
    let Some((scene, ids)) = history() else { return };
    let to = ids[4].to_string();
    Set { repository: Repository::open(scene.at("one")).unwrap(), seconds: 0 }.go_to(ids[0]);
    let done = scene.json(0, &["rebase", "--to", &to]);
    assert_eq!(done["packages"][0]["to"], "foo-1.1");
    assert!(done["written"].as_bool().unwrap());
    let no = scene.try_run(&["rebase", "--to", "no-such-place"]);
    assert!(String::from_utf8_lossy(&no.stderr).contains("no-such-place"));
    assert_eq!(no.status.code(), Some(2));
}

/// A merge is looked into; a revision that does not evaluate is passed by; a branch of the old revision's own is no obstacle.
#[test]
fn merges_gaps_and_branches() {
    let Some(scene) = Scene::new() else { return };
    scene.queue(&[patch("a.c", 10, "OURS", &mail("change a"))]);
    let mut set = Set::new(&scene.at("one"));
    let step = |set: &mut Set, message: &str, merged: &[Oid]| {
        scene.write("one/other.nix", message);
        set.commit(message, merged)
    };
    let first = step(&mut set, "first", &[]);
    // The old revision is on a branch of its own.
    let old = step(&mut set, "only on the old branch", &[]);
    set.go_to(first);
    let second = step(&mut set, "second", &[]);
    // Staging: the package set does not evaluate in the commit before the one that breaks the patch.
    scene.write("one/default.nix", "throw \"staging\"");
    let broken = step(&mut set, "staging: broken", &[]);
    version(&scene, "2.0");
    line(&scene, "a.c", 10, "THEIRS");
    let bump = step(&mut set, "foo: 1.0 -> 2.0", &[]);
    let staging = step(&mut set, "staging: more", &[]);
    set.go_to(second);
    step(&mut set, "third", &[]);
    version(&scene, "2.0");
    line(&scene, "a.c", 10, "THEIRS");
    let merge = step(&mut set, "Merge branch 'staging'", &[staging]);
    let tip = step(&mut set, "last", &[]);
    let travel =
        |to: Oid| scene.json(1, &["rebase", "--from", &old.to_string(), "--to", &to.to_string(), "--time-machine"]);
    let travelled = travel(tip);
    let since = &patches(&travelled)[0]["since"];
    assert_eq!(since["merges"][0]["id"], merge.to_string(), "{travelled}");
    assert_eq!(since["first"]["id"], bump.to_string());
    assert_eq!(since["lastBefore"]["id"], second.to_string());
    assert_eq!(since["unclear"], 1, "one revision between says nothing");
    // The attribute goes: the revision that took it away.
    scene.write("one/default.nix", &PACKAGES.replace("foo =", "fooo ="));
    let gone = step(&mut set, "foo: rename to fooo", &[]);
    let after = step(&mut set, "and on", &[]);
    let travelled = travel(after);
    assert_eq!(travelled["packages"][0]["failure"]["code"], "OV1011");
    assert_eq!(travelled["packages"][0]["since"]["first"]["id"], gone.to_string(), "{travelled}");
    let _ = broken;
}

#[test]
fn without_a_history_the_way_out_is_said() {
    let Some(scene) = Scene::new() else { return };
    scene.queue(&[patch("a.c", 10, "OURS", &mail("change a"))]);
    let refused = |args: &[&str], words: &[&str]| {
        let mut all = vec!["rebase", "--time-machine"];
        all.extend_from_slice(args);
        let output = scene.try_run(&all);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        for words in words {
            assert!(text.contains(words), "{words}: {text}");
        }
    };
    refused(&["--to", "two"], &["OV1056", "is in a git repository", "--to DIR@REV"]);
    let mut set = Set::new(&scene.at("one"));
    let first = set.commit("first", &[]);
    refused(&["--to", "nowhere"], &["OV1056", "has no revision nowhere", "fetch"]);
    refused(&["--to", &first.to_string()], &["OV1056", "are both at the revision"]);
    // A set that is no checkout says no revision, unless nixpkgs' own file does.
    refused(&["--to", "two"], &["OV1056", "--to REV"]);
    scene.write("two/.git-revision", &format!("{first}\n"));
    scene.write("one/other.nix", "");
    set.commit("second", &[]);
    scene.run(0, &["rebase", "--time-machine", "--from", "two", "--to", "one"]);
    // Two lines with nothing in common.
    set.repository.set_head("refs/heads/orphan").unwrap();
    let other = set.commit("another beginning", &[]);
    refused(&["--from", &first.to_string(), "--to", &other.to_string()], &["OV1056", "no commit in common"]);
}
