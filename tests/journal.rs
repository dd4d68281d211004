//! What a killed run leaves, and two runs at once: nobody's edit is lost, readers write nothing, and only what is as it was left is
//! finished.
//!
//! strace kills at a call (`inject=rename:signal=SIGKILL:when=N`). Skipped, and said so, where it is not to be had.
//! OVERLAYCTL_PAIRS says how many random pairs of commands are started together.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::said;

const JOURNAL: &str = ".overlayctl-journal.json";

struct Scene {
    dir: tempfile::TempDir,
}

fn patch(subject: &str, file: &str) -> String {
    format!(
        "From: Ada <ada@example.org>\nSubject: [PATCH] {subject}\n\n---\n--- a/{file}\n+++ b/{file}\n@@ -1,2 +1,3 @@\n one\n+{subject}\n two\n"
    )
}

impl Scene {
    /// A workspace with a queue of three patches and one of two.
    fn new() -> Scene {
        let scene = Scene { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(scene.root()).unwrap();
        scene.write("overlayctl.toml", "overlays = [\"overlay.nix\"]\n");
        scene.write("overlay.nix", "final: prev: {\n  # Kept.\n}\n");
        for (name, attr) in [("a", "foo"), ("b", "foo"), ("c", "foo"), ("d", "bar"), ("e", "bar")] {
            scene.write("in.patch", &patch(name, name));
            scene.run(0, &["patch", attr, "in.patch", "--offline"]);
        }
        for name in ["x", "y", "z"] {
            scene.write(&format!("in/{name}.patch"), &patch(name, name));
        }
        scene
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("w")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn command_in(&self, dir: &Path, args: &[&str]) -> Command {
        let mut command = support::overlayctl(dir);
        command.args(args).env("XDG_STATE_HOME", self.dir.path().join("state")).stdin(Stdio::null());
        command
    }

    fn command(&self, args: &[&str]) -> Command {
        self.command_in(&self.root(), args)
    }

    fn run(&self, status: i32, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {}", said(&output));
        said(&output)
    }

    /// Runs a command that is killed at its call `n` of a kind.
    fn killed(&self, call: &str, n: usize, args: &[&str]) -> Output {
        let plain = self.command(args);
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-o", "/dev/null", "-e", &format!("trace={call}")]);
        command.args(["-e", &format!("inject={call}:signal=SIGKILL:when={n}")]);
        command.arg(plain.get_program()).args(plain.get_args()).current_dir(self.root());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.output().unwrap()
    }

    /// Kills a command so that its journal stands and `done` of its files are in place; says whether it could.
    fn unfinished(&self, done: usize, args: &[&str]) -> bool {
        let works = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
        if !works.is_ok_and(|status| status.success()) {
            eprintln!("skipped: strace is not installed, or may not trace");
            return false;
        }
        let before = self.tree();
        for n in 1..20 {
            // The journal itself is renamed into its place first.
            self.killed("rename", n, args);
            if self.at(JOURNAL).exists() {
                self.reset(&before);
                self.killed("rename", n + done, args);
                assert!(self.at(JOURNAL).exists(), "{args:?} makes fewer renames");
                return true;
            }
            self.reset(&before);
        }
        panic!("{args:?} was never killed with a journal");
    }

    fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        tree(&self.root())
    }

    fn reset(&self, to: &BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(self.root()).unwrap() {
            let path = entry.unwrap().path();
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
        for (path, bytes) in to {
            self.write(path.to_str().unwrap(), std::str::from_utf8(bytes).unwrap());
        }
    }
}

fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_path_buf(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

const REORDER: [&str; 4] = ["reorder", "foo", "3", "1"];

#[test]
fn readers_write_nothing_and_say_that_something_is_unfinished() {
    let scene = Scene::new();
    let old = scene.tree();
    scene.run(0, &REORDER);
    let new = scene.tree();
    scene.reset(&old);
    if !scene.unfinished(1, &REORDER) {
        return;
    }
    let half = scene.tree();
    let readers: &[&[&str]] = &[
        &["list"],
        &["status"],
        &["lint", "--patches"],
        &["header", "foo", "1"],
        &["patch", "foo", "in/x.patch", "--offline", "--dry-run"],
        &["reorder", "foo", "1", "--dry-run"],
    ];
    for args in readers {
        let output = scene.command(args).output().unwrap();
        let said = said(&output);
        assert!(said.contains("OV0008") && said.contains("overlayctl recover"), "{args:?}: {said}");
        assert_eq!(scene.tree(), half, "{args:?} wrote");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&scene.command(&["list", "--json"]).output().unwrap().stdout).unwrap();
    assert_eq!(json["unfinished"]["code"], "OV0008");
    assert!(scene.run(0, &["recover"]).contains("finished"));
    assert_eq!(scene.tree(), new);
    assert!(scene.run(0, &["recover"]).contains("nothing is unfinished"));
    assert!(!scene.run(0, &["list"]).contains("OV0008"));
}

#[test]
fn an_edit_by_hand_after_the_kill_is_never_lost() {
    for done in 0..3 {
        let scene = Scene::new();
        if !scene.unfinished(done, &REORDER) {
            return;
        }
        let mine = format!("{}# mine\n", fs::read_to_string(scene.at("overlay.nix")).unwrap());
        scene.write("overlay.nix", &mine);
        let edited = scene.tree();
        scene.run(0, &["list"]);
        for writer in [&REORDER[..], &["recover"], &["patch", "foo", "in/x.patch", "--offline"], &["unpatch", "bar"]] {
            let said = scene.run(2, writer);
            assert!(said.contains("OV0008") && said.contains("overlay.nix has been changed since"), "{said}");
            assert_eq!(scene.tree(), edited, "{done}: {writer:?} wrote");
        }
        scene.run(0, &["recover", "--discard"]);
        assert_eq!(fs::read_to_string(scene.at("overlay.nix")).unwrap(), mine);
    }
}

#[test]
fn a_journal_counts_only_where_it_was_written() {
    let scene = Scene::new();
    if !scene.unfinished(1, &REORDER) {
        return;
    }
    // A copy, with all that is in it: what is bound to the place does not follow.
    let copy = scene.dir.path().join("copy");
    assert!(Command::new("cp").arg("-a").arg(scene.root()).arg(&copy).status().unwrap().success());
    let before = tree(&copy);
    let in_copy = |args: &[&str]| said(&scene.command_in(&copy, args).output().unwrap());
    assert!(in_copy(&["recover"]).contains("OV0009"));
    assert!(in_copy(&["list"]).contains("OV0009"));
    assert_eq!(tree(&copy), before);
    // Another user, who has another secret, in the same place.
    let mut other = scene.command(&["recover"]);
    other.env("XDG_STATE_HOME", scene.dir.path().join("other"));
    assert!(said(&other.output().unwrap()).contains("OV0009"));
    // One's own is still one's own, until a byte of it is changed.
    let journal = fs::read_to_string(scene.at(JOURNAL)).unwrap();
    scene.write(JOURNAL, &journal.replacen("overlay.nix", "overlay.nyx", 1));
    assert!(scene.run(2, &["recover"]).contains("OV0009"));
    scene.write(JOURNAL, &journal);
    scene.run(0, &["recover"]);
}

#[test]
fn no_link_is_followed_and_no_other_bytes_are_put_in_place() {
    for tamper in ["folder", "temporary", "target"] {
        let scene = Scene::new();
        if !scene.unfinished(0, &REORDER) {
            return;
        }
        let outside = scene.dir.path().join("outside");
        fs::create_dir_all(outside.join("foo")).unwrap();
        match tamper {
            "folder" => {
                // The queue's folder becomes a link to one outside, with the same files in it.
                fs::remove_dir(outside.join("foo")).unwrap();
                fs::rename(scene.at("patches/foo"), outside.join("foo")).unwrap();
                std::os::unix::fs::symlink(outside.join("foo"), scene.at("patches/foo")).unwrap();
            }
            "temporary" => {
                let all = scene.tree();
                let waiting = all.keys().find(|path| {
                    let name = path.file_name().unwrap().to_str().unwrap();
                    name.starts_with(".overlayctl-") && name != JOURNAL
                });
                scene.write(waiting.unwrap().to_str().unwrap(), "evil\n");
            }
            _ => {
                fs::rename(scene.at("overlay.nix"), outside.join("overlay.nix")).unwrap();
                std::os::unix::fs::symlink(outside.join("overlay.nix"), scene.at("overlay.nix")).unwrap();
            }
        }
        let before = (scene.tree(), tree(&outside));
        assert!(scene.run(2, &["recover"]).contains("OV0008"), "{tamper}");
        assert_eq!((scene.tree(), tree(&outside)), before, "{tamper}");
    }
}

/// An overlay outside is edited when it is named, but what is outside is not finished by a later run: its journal could be anybody's wish.
#[test]
fn what_is_outside_is_written_and_not_finished_by_another_run() {
    let scene = Scene::new();
    let outside = scene.dir.path().join("shared.nix");
    fs::write(&outside, "final: prev: {\n}\n").unwrap();
    let args = ["patch", "new", "in/x.patch", "--offline", "--overlay", "../shared.nix"];
    scene.run(0, &args);
    assert!(fs::read_to_string(&outside).unwrap().contains("0001-x.patch"));
    scene.run(0, &["unpatch", "new", "--overlay", "../shared.nix"]);
    if !scene.unfinished(0, &args) {
        return;
    }
    let before = fs::read(&outside).unwrap();
    let said = scene.run(2, &["recover"]);
    assert!(said.contains("shared.nix is not below it") && said.contains("mv "), "{said}");
    assert_eq!(fs::read(&outside).unwrap(), before);
}

#[test]
fn a_command_that_writes_waits_and_says_for_whom() {
    let scene = Scene::new();
    let directory = fs::File::open(scene.root()).unwrap();
    directory.lock().unwrap();
    let mut waiting = scene.command(&["patch", "foo", "in/x.patch", "--offline"]);
    let mut child = waiting.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    let mut err = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut err, &mut said).unwrap();
    assert!(said.starts_with("waiting for "), "{said}");
    if Path::new("/proc/locks").exists() {
        assert!(said.contains(&format!("process {} (journal", std::process::id())), "{said}");
        assert!(said.contains("running for"), "{said}");
    }
    // Readers and dry runs do not wait.
    scene.run(0, &["list"]);
    scene.run(0, &["unpatch", "foo", "--dry-run"]);
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    drop(directory);
    assert!(child.wait().unwrap().success());
    assert!(scene.at("patches/foo/0004-x.patch").is_file());
}

#[test]
fn readers_need_no_leave_to_write() {
    use std::os::unix::fs::PermissionsExt as _;
    let scene = Scene::new();
    let read_only = |mode| fs::set_permissions(scene.root(), fs::Permissions::from_mode(mode)).unwrap();
    read_only(0o555);
    let listed =
        scene.command(&["list"]).env("XDG_STATE_HOME", "/proc/none").env("HOME", "/proc/none").output().unwrap();
    read_only(0o755);
    assert!(listed.status.success(), "{}", said(&listed));
}

#[test]
fn without_a_place_for_the_secret_commands_write_all_the_same() {
    let scene = Scene::new();
    let mut homeless = scene.command(&REORDER);
    homeless.env("XDG_STATE_HOME", "/proc/none").env("HOME", "/proc/none");
    let output = homeless.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(!scene.at(JOURNAL).exists() && scene.at("patches/foo/0001-c.patch").exists());
}

/// What is started together with what.
const WRITERS: &[&[&str]] = &[
    &["patch", "foo", "in/x.patch", "--offline"],
    &["patch", "bar", "in/x.patch", "--offline"],
    &["patch", "bar", "in/y.patch", "--offline", "--position", "1"],
    &["patch", "new", "in/y.patch", "in/z.patch", "--offline"],
    &["unpatch", "foo", "1"],
    &["unpatch", "foo"],
    &["unpatch", "bar", "2"],
    &["move", "foo", "3", "1"],
    &["rename", "foo", "2", "another name"],
    &["reorder", "bar", "2", "1"],
    &["reorder", "foo", "3", "1"],
    &["header", "foo", "1", "--set", "Upstream-Status=Pending"],
    &["header", "bar", "1", "--set", "Upstream-Status=Denied"],
    &["import", "foo", "in", "--offline"],
    &["import", "new", "in", "--offline"],
    &["init"],
];

#[test]
fn two_at_once_are_as_one_after_the_other() {
    let scene = Scene::new();
    let begin = scene.tree();
    let pairs: u64 = std::env::var("OVERLAYCTL_PAIRS").ok().and_then(|count| count.parse().ok()).unwrap_or(30);
    let mut after: BTreeMap<(usize, usize), BTreeMap<PathBuf, Vec<u8>>> = BTreeMap::new();
    let mut both_wrote = 0;
    let mut random: u64 = 0x2545_f491_4f6c_dd1d;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap()
    };
    for pair in 0..pairs {
        let (one, two) = (next(WRITERS.len()), next(WRITERS.len()));
        for order in [(one, two), (two, one)] {
            after.entry(order).or_insert_with(|| {
                scene.reset(&begin);
                for index in [order.0, order.1] {
                    let _ = scene.command(WRITERS[index]).output().unwrap();
                }
                scene.tree()
            });
        }
        scene.reset(&begin);
        let start =
            |index: usize| scene.command(WRITERS[index]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut children = [start(one), start(two)];
        let done = children.iter_mut().filter_map(|child| child.wait().unwrap().code()).filter(|code| *code == 0);
        both_wrote += u64::from(done.count() == 2);
        let now = scene.tree();
        assert!(
            now == after[&(one, two)] || now == after[&(two, one)],
            "pair {pair}: {:?} and {:?}: {:?}",
            WRITERS[one],
            WRITERS[two],
            now.keys().collect::<Vec<_>>()
        );
    }
    println!("{pairs} pairs, of which both went through: {both_wrote}");
    assert!(both_wrote > pairs / 2);
}
