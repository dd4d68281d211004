//! A patch that conflicts in `rebase` is a cherry-pick of git in progress: what git's own tools see and make of it.
//!
//! The right values are git's: it is asked for the state, and resolves. Skipped, and said so, where there is no Nix or no git.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod queue_support;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use queue_support::{OWN, PACKAGES, Scene, mail, numbered, patch, text};

/// A scene with a patch that conflicts: upstream changed the same line of `c.c`.
struct Stopped {
    scene: Scene,
    /// The user's settings of git.
    settings: PathBuf,
}

const HEAD: &str = "From: Ada <ada@example.org>\nDate: Mon, 1 Jan 2024 10:00:00 +0100\nSubject: [PATCH] change c.c\n\nBecause.\n\n#1 in the list\n\nUpstream-Status: Pending\nSigned-off-by: Ada <ada@example.org>\n---\n";

fn lines_with(line: &str) -> String {
    let mut lines = numbered(1..31);
    lines[9] = line.into();
    text(&lines)
}

impl Stopped {
    /// `None`, and said so, where something is missing.
    fn before() -> Option<Stopped> {
        if Command::new("git").arg("--version").output().is_err() {
            eprintln!("skipped: git is not installed");
            return None;
        }
        let scene = Scene::new()?;
        scene.queue(&[patch("c.c", 10, "OURS", HEAD)]);
        scene.write("two/foo/c.c", &lines_with("THEIRS"));
        let settings = scene.at("gitconfig");
        fs::write(&settings, "[user]\nname = Bea\nemail = bea@example.org\n").unwrap();
        Some(Stopped { scene, settings })
    }

    fn new() -> Option<Stopped> {
        let stopped = Stopped::before()?;
        stopped.rebase(1, &["--to", "two"]);
        Some(stopped)
    }

    fn dir(&self) -> PathBuf {
        self.scene.at(".overlayctl/rebase/foo")
    }

    /// Runs `rebase` with the user's settings of git.
    fn rebase(&self, status: i32, args: &[&str]) -> String {
        let mut command = self.scene.command(&["rebase"]);
        let output = command.args(args).env("GIT_CONFIG_GLOBAL", &self.settings).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
        said
    }

    fn try_git(&self, args: &[&str]) -> Output {
        let mut git = Command::new("git");
        git.args(args).current_dir(self.dir()).env("GIT_CONFIG_GLOBAL", &self.settings).env("GIT_CONFIG_NOSYSTEM", "1");
        git.env("GIT_EDITOR", "true").output().unwrap()
    }

    /// Runs git in the worktree.
    fn git(&self, args: &[&str]) -> String {
        let output = self.try_git(args);
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn resolve(&self) {
        fs::write(self.dir().join("c.c"), lines_with("BOTH")).unwrap();
    }

    /// Goes on, and returns the patch.
    fn done(&self) -> String {
        self.rebase(0, &["--continue"]);
        let names = self.scene.names();
        assert_eq!(names.len(), 1, "{names:?}");
        self.scene.assert_in_step();
        self.scene.read(&format!("patches/foo/{}", names[0]))
    }
}

/// The patch as upstream's text makes it, with the header that it had.
fn resolved(to: &str) -> String {
    let made = patch("c.c", 10, to, &format!("{HEAD}diff --git a/c.c b/c.c\n"));
    made.replace("-line 10\n", "-THEIRS\n")
}

#[test]
fn a_stopped_patch_is_a_cherry_pick_of_git_in_progress() {
    let Some(stopped) = Stopped::before() else { return };
    fs::write(&stopped.settings, "[merge]\nconflictStyle = diff3\n").unwrap();
    let said = stopped.rebase(1, &["--to", "two"]);
    assert!(said.contains("resolve .overlayctl/rebase/foo/c.c") && said.contains("cherry-pick of git"), "{said}");
    assert!(stopped.git(&["status"]).contains("You are currently cherry-picking commit"));
    let blob = |side: &str| stopped.git(&["rev-parse", side]).trim().to_string();
    let (base, ours, theirs) = (blob(":1:c.c"), blob(":2:c.c"), blob(":3:c.c"));
    let status = stopped.git(&["status", "--porcelain=v2"]);
    assert_eq!(status, format!("u UU N... 100644 100644 100644 100644 {base} {ours} {theirs} c.c\n"));
    let sides = [":1:c.c", ":2:c.c", ":3:c.c"].map(|side| stopped.git(&["cat-file", "blob", side]));
    assert_eq!(sides, ["line 10", "THEIRS", "OURS"].map(lines_with));
    let log = stopped.git(&["log", "-1", "--format=%an|%ae|%aI|%B", "CHERRY_PICK_HEAD"]);
    let message =
        "change c.c\n\nBecause.\n\n#1 in the list\n\nUpstream-Status: Pending\nSigned-off-by: Ada <ada@example.org>\n";
    assert_eq!(log, format!("Ada|ada@example.org|2024-01-01T10:00:00+01:00|{message}\n"));
    let merge_msg = fs::read_to_string(stopped.dir().join(".git/MERGE_MSG")).unwrap();
    assert_eq!(merge_msg, format!("{message}\n# Conflicts:\n#\tc.c\n"));
    let short = stopped.git(&["rev-parse", "--short", "CHERRY_PICK_HEAD"]);
    let short = short.trim();
    let expected = format!(
        "<<<<<<< HEAD\nTHEIRS\n||||||| parent of {short} (change c.c)\nline 10\n=======\nOURS\n>>>>>>> {short} (change c.c)\n"
    );
    let file = fs::read_to_string(stopped.dir().join("c.c")).unwrap();
    assert!(file.contains(&expected), "{file}");
    // The line before is the old source with the patches before this one.
    assert_eq!(stopped.git(&["show", "CHERRY_PICK_HEAD^:own.c"]), "patched by nixpkgs\n");
}

/// Author, date, message and trailers stay, to the byte, by whichever way git has.
#[test]
fn every_way_of_gits_to_resolve_keeps_the_header() {
    type Way<'w> = (&'w str, &'w dyn Fn(&Stopped));
    let ways: &[Way<'_>] = &[
        ("an edit", &|s| s.resolve()),
        ("an edit, and added", &|s| {
            s.resolve();
            s.git(&["add", "c.c"]);
        }),
        ("commit", &|s| {
            s.resolve();
            s.git(&["commit", "-qa"]);
        }),
        ("commit --no-edit", &|s| {
            s.resolve();
            s.git(&["commit", "-qa", "--no-edit"]);
        }),
        ("cherry-pick --continue", &|s| {
            s.resolve();
            s.git(&["add", "c.c"]);
            s.git(&["cherry-pick", "--continue"]);
        }),
        ("mergetool", &|s| {
            let tool = s.scene.at("tool");
            fs::write(&tool, "#!/bin/sh\nsed 's/THEIRS/BOTH/' \"$1\" > \"$2\"\n").unwrap();
            fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
            let cmd = format!("mergetool.t.cmd={} \"$LOCAL\" \"$MERGED\"", tool.display());
            s.git(&["-c", "merge.tool=t", "-c", &cmd, "-c", "mergetool.t.trustExitCode=true", "mergetool", "-y"]);
            assert!(s.dir().join("c.c.orig").exists(), "mergetool keeps a backup");
        }),
        ("cherry-pick given up and begun anew", &|s| {
            let commit = s.git(&["rev-parse", "CHERRY_PICK_HEAD"]);
            s.git(&["cherry-pick", "--abort"]);
            let said = s.rebase(1, &["--continue"]);
            assert!(said.contains(&commit[..10]), "{said}");
            assert!(!s.try_git(&["cherry-pick", commit.trim()]).status.success());
            s.resolve();
        }),
    ];
    for (name, way) in ways {
        let Some(stopped) = Stopped::new() else { return };
        way(&stopped);
        assert_eq!(stopped.done(), resolved("BOTH"), "{name}");
    }
    // The patch's own text; that is a resolution, and no drop.
    let Some(stopped) = Stopped::new() else { return };
    stopped.git(&["checkout", "--theirs", "c.c"]);
    assert_eq!(stopped.done(), resolved("OURS"));
}

#[test]
fn words_of_the_users_do_not_cost_the_trailers() {
    let body =
        "\n\nBecause.\n\n#1 in the list\n\nUpstream-Status: Pending\nSigned-off-by: Ada <ada@example.org>\n---\n";
    let by = "From: Ada <ada@example.org>\nDate: Mon, 1 Jan 2024 10:00:00 +0100\nSubject: ";
    let way = |ways: &[&[&str]]| {
        let stopped = Stopped::new()?;
        stopped.resolve();
        ways.iter().for_each(|args| drop(stopped.git(args)));
        Some(stopped.done())
    };
    let Some(made) = way(&[&["commit", "-qam", "take both"]]) else { return };
    assert!(made.starts_with(&format!("{by}take both{body}")), "{made}");
    // `git reset` forgets the cherry-pick, and with it who wrote the patch.
    let made = way(&[&["reset", "-q"], &["commit", "-qam", "take both"]]).unwrap();
    assert!(made.starts_with(&format!("{by}take both{body}")), "{made}");
    let made = way(&[&["commit", "-qas", "--no-edit"]]).unwrap();
    assert!(
        made.contains("Pending\nSigned-off-by: Ada <ada@example.org>\nSigned-off-by: Bea <bea@example.org>\n---\n"),
        "{made}"
    );
    let made =
        way(&[&["commit", "-qa", "--author=Cy <cy@example.org>", "-m", "mine\n\nNow.\n\nUpstream-Status: Denied"]]);
    let made = made.unwrap();
    assert!(made.starts_with("From: Cy <cy@example.org>\n"), "{made}");
    assert!(made.contains("\nSubject: mine\n\nNow.\n\nUpstream-Status: Denied\n---\n"), "{made}");
}

/// Whose commit it is is git's to say: who commits may say to be the author; where git was told nothing it is still the patch's.
#[test]
fn the_author_is_whose_git_says_it_is() {
    let own = "--author=Bea <bea@example.org>";
    for (ways, author) in [
        (&[&["commit", "-qa", own, "--no-edit"][..]][..], "Bea <bea@example.org>"),
        (
            &[&["commit", "-qa", "--no-edit"], &["commit", "-q", "--amend", "--no-edit", "--reset-author"]],
            "Bea <bea@example.org>",
        ),
        (&[&["commit", "-qa", "--no-edit"], &["commit", "-q", "--amend", "--no-edit", own]], "Bea <bea@example.org>"),
        (
            &[&["commit", "-qa", own, "--no-edit"], &["commit", "-q", "--amend", "-m", "other words"]],
            "Bea <bea@example.org>",
        ),
        (
            &[&["commit", "-qa", "--no-edit"], &["commit", "-q", "--amend", "-m", "other words"]],
            "Ada <ada@example.org>",
        ),
        (
            &[&["reset", "-q"], &["commit", "-qam", "x"], &["commit", "-q", "--amend", "-m", "y"]],
            "Ada <ada@example.org>",
        ),
        (
            &[
                &["reset", "-q"],
                &["commit", "-qam", "x"],
                &["commit", "-q", "--amend", "-m", "y", "--reset-author", "--date=2001-02-03T04:05:06"],
            ],
            "Bea <bea@example.org>",
        ),
    ] {
        let Some(stopped) = Stopped::new() else { return };
        stopped.resolve();
        ways.iter().for_each(|args| drop(stopped.git(args)));
        let made = stopped.done();
        assert!(made.starts_with(&format!("From: {author}\n")), "{ways:?}: {made}");
    }
}

#[test]
fn only_what_git_tracks_is_in_the_patch() {
    let Some(stopped) = Stopped::new() else { return };
    stopped.resolve();
    for name in ["c.c.orig", "a_BACKUP_1.c", "dir/new.c", "notes/todo"] {
        fs::create_dir_all(stopped.dir().join(name).parent().unwrap()).unwrap();
        fs::write(stopped.dir().join(name), "x\n").unwrap();
    }
    let odd = std::ffi::OsStr::from_bytes(b"\xff.orig");
    fs::write(stopped.dir().join(odd), "odd").unwrap();
    symlink("c.c", stopped.dir().join("link")).unwrap();
    stopped.git(&["add", "link", "dir/new.c"]);
    fs::remove_file(stopped.dir().join("b.c")).unwrap();
    fs::set_permissions(stopped.dir().join("a.c"), fs::Permissions::from_mode(0o755)).unwrap();
    let said = stopped.rebase(0, &["--continue"]);
    assert!(said.contains("OV1059") && said.contains(": a_BACKUP_1.c, c.c.orig, notes/, "), "{said}");
    assert!(stopped.scene.at(".overlayctl/left/foo-1").join(odd).is_file(), "{said}");
    for name in ["c.c.orig", "notes/todo"] {
        assert_eq!(stopped.scene.read(&format!(".overlayctl/left/foo-1/{name}")), "x\n", "{said}");
    }
    let made = stopped.scene.read("patches/foo/0001-change-c.c.patch");
    let files: Vec<&str> =
        made.lines().filter_map(|line| line.strip_prefix("diff --git a/")?.split(' ').next()).collect();
    assert_eq!(files, ["a.c", "b.c", "c.c", "dir/new.c", "link"], "{made}");
    assert!(made.contains("new mode 100755\n") && made.contains("new file mode 120000\n"), "{made}");
}

#[test]
fn resolved_to_nothing_is_not_taken_for_upstream() {
    let ways: &[&[&[&str]]] = &[
        &[&["checkout", "--ours", "c.c"]],
        &[&["checkout", "--ours", "c.c"], &["add", "c.c"]],
        &[&["cherry-pick", "--skip"]],
        &[&["checkout", "--ours", "c.c"], &["commit", "-qa", "--no-edit", "--allow-empty"]],
    ];
    for way in ways {
        let Some(stopped) = Stopped::new() else { return };
        way.iter().for_each(|args| drop(stopped.git(args)));
        let before = stopped.scene.state();
        let said = stopped.rebase(1, &["--continue"]);
        assert!(
            said.contains("OV1058") && said.contains("nothing is left") && said.contains("--skip"),
            "{way:?}: {said}"
        );
        assert_eq!(stopped.scene.state(), before);
        let said = stopped.rebase(0, &["--skip"]);
        assert!(said.contains("skipped: dropped"), "{said}");
        assert!(stopped.scene.names().is_empty());
    }
}

/// What was resolved by hand may hold the next patch too; the source does not have it for that.
#[test]
fn what_a_resolution_holds_already_is_to_be_skipped() {
    let Some(stopped) = Stopped::before() else { return };
    let scene = &stopped.scene;
    scene.queue(&[patch("b.c", 10, "NEW", &mail("change b"))]);
    stopped.rebase(1, &["--to", "two"]);
    stopped.resolve();
    fs::write(stopped.dir().join("b.c"), lines_with("NEW")).unwrap();
    let said = stopped.rebase(1, &["--continue"]);
    assert!(said.contains("nothing left of it") && said.contains("to be skipped"), "{said}");
    assert!(stopped.git(&["status"]).contains("cherry-picking"));
    let said = stopped.rebase(1, &["--continue"]);
    assert!(said.contains("nothing is left"), "{said}");
    stopped.rebase(0, &["--skip"]);
    assert_eq!(scene.names().len(), 1);
    assert!(scene.read("patches/foo/0001-change-c.c.patch").contains("+NEW"));
    // With the change in the source it is upstream, whatever was resolved before.
    let Some(stopped) = Stopped::before() else { return };
    stopped.scene.queue(&[patch("b.c", 10, "NEW", &mail("change b"))]);
    stopped.scene.write("two/foo/b.c", &lines_with("NEW"));
    stopped.rebase(1, &["--to", "two"]);
    stopped.resolve();
    let said = stopped.rebase(0, &["--continue"]);
    assert!(said.contains("upstream now"), "{said}");
}

#[test]
fn what_is_open_is_refused() {
    // Markers, added or committed; lines of the source's own that look like some are none.
    for ways in [&[][..], &[&["add", "c.c"][..]], &[&["commit", "-qam", "x"]]] {
        let Some(stopped) = Stopped::new() else { return };
        ways.iter().for_each(|args| drop(stopped.git(args)));
        let said = stopped.rebase(1, &["--continue"]);
        assert!(said.contains("OV1058") && said.contains("still has conflict markers"), "{said}");
    }
    let Some(stopped) = Stopped::before() else { return };
    let marked = |text: &str| format!("<<<<<<< example\n{text}");
    for set in ["one", "two"] {
        let file = format!("{set}/foo/c.c");
        stopped.scene.write(&file, &marked(&stopped.scene.read(&file)));
    }
    stopped.rebase(1, &["--to", "two"]);
    fs::write(stopped.dir().join("c.c"), marked(&lines_with("BOTH"))).unwrap();
    assert!(stopped.done().contains("+BOTH"));
    // A commit and something on top of it that is not committed.
    let Some(stopped) = Stopped::new() else { return };
    stopped.resolve();
    stopped.git(&["commit", "-qam", "x"]);
    fs::write(stopped.dir().join("b.c"), "loose\n").unwrap();
    let said = stopped.rebase(1, &["--continue"]);
    assert!(said.contains("OV1049") && said.contains("b.c"), "{said}");
    // Another operation of git's, begun there.
    let Some(stopped) = Stopped::new() else { return };
    stopped.resolve();
    stopped.git(&["commit", "-qam", "x"]);
    assert!(!stopped.try_git(&["rebase", "--exec", "false", "HEAD^"]).status.success());
    let said = stopped.rebase(1, &["--continue"]);
    assert!(said.contains("in the middle of another operation"), "{said}");
    // Where git marks nothing in the file, only the index says that it is resolved.
    let Some(stopped) = Stopped::before() else { return };
    fs::remove_file(stopped.scene.at("two/foo/c.c")).unwrap();
    stopped.rebase(1, &["--to", "two"]);
    assert!(stopped.git(&["status", "--porcelain"]).contains("DU c.c"));
    let said = stopped.rebase(1, &["--continue"]);
    assert!(said.contains("OV1058") && said.contains("is not marked as resolved"), "{said}");
    stopped.git(&["add", "c.c"]);
    assert!(stopped.done().contains("new file mode 100644"));
}

/// The resolution outlives the repository, which does not stay.
#[test]
fn rerere_is_honoured_when_it_is_on() {
    let Some(stopped) = Stopped::before() else { return };
    stopped.rebase(1, &["--to", "two"]);
    assert!(!stopped.scene.at(".overlayctl/rr-cache").exists());
    stopped.rebase(0, &["--abort"]);
    let on = "[user]\nname = Bea\nemail = bea@example.org\n[rerere]\nenabled = true\n";
    fs::write(&stopped.settings, on).unwrap();
    for by_git in [true, false] {
        let before = stopped.scene.state();
        stopped.rebase(1, &["--to", "two"]);
        let text = fs::read_to_string(stopped.dir().join("c.c")).unwrap();
        assert!(text.contains("<<<<<<< HEAD\n"), "{text}");
        stopped.resolve();
        if by_git {
            stopped.git(&["commit", "-qa", "--no-edit"]);
        } else {
            stopped.rebase(0, &["--continue"]);
            stopped.scene.run(0, &["recover"]);
            for (path, bytes) in &before {
                fs::write(stopped.scene.at(path.to_str().unwrap()), bytes).unwrap();
            }
        }
        if by_git {
            stopped.rebase(0, &["--abort"]);
        }
        stopped.rebase(1, &["--to", "two"]);
        assert_eq!(fs::read_to_string(stopped.dir().join("c.c")).unwrap(), lines_with("BOTH"), "by git: {by_git}");
        stopped.rebase(0, &["--abort"]);
        fs::remove_dir_all(stopped.scene.at(".overlayctl/rr-cache")).unwrap();
    }
}

/// A repository that lies there from elsewhere starts nothing, and its files are its own.
#[test]
fn settings_of_the_repository_start_no_program() {
    let Some(stopped) = Stopped::before() else { return };
    stopped.scene.queue(&[patch("b.c", 10, "OURS", &mail("change b"))]);
    stopped.scene.write("two/foo/b.c", &lines_with("THEIRS"));
    stopped.rebase(1, &["--to", "two"]);
    let evil = stopped.scene.at("evil");
    fs::write(&evil, format!("#!/bin/sh\ntouch {}\n", stopped.scene.at("started").display())).unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    for hook in ["post-index-change", "pre-commit", "post-checkout", "prepare-commit-msg", "reference-transaction"] {
        fs::create_dir_all(stopped.dir().join(".git/hooks")).unwrap();
        symlink(&evil, stopped.dir().join(".git/hooks").join(hook)).unwrap();
    }
    let program = evil.display();
    for key in
        ["core.fsmonitor", "filter.e.clean", "filter.e.smudge", "merge.e.driver", "diff.e.command", "diff.external"]
    {
        stopped.git(&["config", key, &format!("{program}")]);
    }
    stopped.git(&["config", "merge.default", "e"]);
    for attributes in [".gitattributes", ".git/info/attributes"] {
        fs::write(stopped.dir().join(attributes), "* filter=e merge=e diff=e\n").unwrap();
    }
    stopped.resolve();
    let said = stopped.rebase(1, &["--continue"]);
    assert!(said.contains("rebase/foo/b.c"), "{said}");
    assert!(fs::read_to_string(stopped.dir().join("b.c")).unwrap().contains("<<<<<<< HEAD"));
    assert!(!stopped.scene.at("started").exists());
    // Its files elsewhere: refused before anything is written there.
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("mine"), "x").unwrap();
    let config = stopped.dir().join(".git/config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}[core]\nworktree = {}\n", outside.path().display())).unwrap();
    stopped.rebase(2, &["--skip"]);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

/// Where git is not to be had there is the same state, made by libgit2.
#[test]
fn without_git_the_state_is_the_same() {
    let Some(stopped) = Stopped::before() else { return };
    let bin = stopped.scene.at("bin");
    fs::create_dir_all(&bin).unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for dir in std::env::split_paths(&path) {
        for name in ["nix", "nix-store", "nix-instantiate", "nix-build", "sh"] {
            if dir.join(name).exists() && !bin.join(name).exists() {
                symlink(dir.join(name), bin.join(name)).unwrap();
            }
        }
    }
    let output = stopped.scene.command(&["rebase", "--to", "two"]).env("PATH", &bin).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stopped.git(&["status"]).contains("You are currently cherry-picking commit"));
    assert!(stopped.git(&["status", "--porcelain=v2"]).starts_with("u UU N... 100644 100644 100644 100644 "));
    stopped.resolve();
    stopped.git(&["commit", "-qa", "--no-edit"]);
    assert_eq!(stopped.done(), resolved("BOTH"));
}

/// Given up, killed or done: the user's repository has nothing of it.
#[test]
fn the_users_repository_stays_clean() {
    let Some(stopped) = Stopped::before() else { return };
    let scene = &stopped.scene;
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(args).current_dir(scene.dir.path()).env("GIT_CONFIG_GLOBAL", &stopped.settings);
        let output = git.output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "all"]);
    let all = || {
        let state = [
            "status --porcelain --branch",
            "worktree list",
            "for-each-ref",
            "stash list",
            "ls-files -s",
            "config -l --local",
        ];
        state.map(|args| git(&args.split(' ').collect::<Vec<_>>()))
    };
    let before = all();
    // As in a hook of the user's repository, where git leaves its own settings in the environment.
    let mut command = scene.command(&["rebase", "--to", "two"]);
    let (dir, index) = (scene.at(".git"), scene.at(".git/index"));
    command.env("GIT_DIR", dir).env("GIT_INDEX_FILE", index).env("GIT_WORK_TREE", scene.dir.path());
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    assert_eq!(all(), before);
    assert!(stopped.git(&["status"]).contains("cherry-picking"));
    stopped.rebase(0, &["--abort"]);
    assert_eq!(all(), before);
    assert!(!scene.at(".overlayctl/rebase").exists());
    stopped.rebase(1, &["--to", "two"]);
    stopped.resolve();
    stopped.rebase(0, &["--continue"]);
    assert_eq!(git(&["status", "--porcelain"]), " M patches/foo/0001-change-c.c.patch\n");
    assert_eq!(all()[1..5], before[1..5]);
}

#[test]
fn what_is_under_way_is_a_no() {
    let Some(stopped) = Stopped::new() else { return };
    stopped.rebase(1, &["--to", "two"]);
    stopped.rebase(1, &["--continue"]);
    stopped.rebase(0, &["--abort"]);
    stopped.rebase(2, &["--continue"]);
    stopped.rebase(2, &["--skip"]);
    stopped.rebase(2, &["--abort"]);
    let scene = &stopped.scene;
    scene.run(0, &["edit", "foo"]);
    scene.commit("c.c", "mine\n", "mine");
    scene.write("in/x.patch", &patch("a.c", 10, "X", &mail("x")));
    for args in [
        &["rebase", "--to", "two"][..],
        &["refresh", "foo"],
        &["import", "foo", "in/x.patch"],
        &["move", "foo", "1", "1"],
        &["header", "foo", "1", "--set", "Upstream-Status=Denied"],
    ] {
        let output = scene.try_run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("OV1047"), "{args:?}: {said}");
    }
}

/// The byte-identical patch is nixpkgs' own as well: it stands there twice, and the queue's is the one too many.
#[test]
fn a_patch_that_nixpkgs_has_itself_is_upstream() {
    for same in [true, false] {
        let Some(scene) = Scene::new() else { return };
        let ours = patch("a.c", 10, "OURS", &mail("change a"));
        scene.queue(&[ours.clone(), patch("b.c", 10, "B", &mail("change b"))]);
        let theirs = if same { ours } else { ours.replace("Ada", "Bob") };
        let name = "0001-change-a.patch";
        scene.write(&format!("two/{name}"), &theirs);
        let set = PACKAGES.replace("VERSION", "2.0").replace("[ ./own.patch ]", &format!("[ ./own.patch ./{name} ]"));
        scene.write("two/default.nix", &set);
        scene.write("two/own.patch", OWN);
        let states = |value: &serde_json::Value| -> Vec<String> {
            let patches = value["packages"][0]["patches"].as_array().unwrap();
            patches.iter().map(|p| p["state"].as_str().unwrap().to_string()).collect()
        };
        let checked = scene.json(1, &["check", "--nixpkgs", "two"]);
        assert_eq!(states(&checked), ["already-upstream", "clean"], "{same}");
        assert_eq!(checked["packages"][0]["ownPatches"], 2, "{same}");
        let rebased = scene.json(0, &["rebase", "--to", "two"]);
        assert_eq!(states(&rebased), ["merged", "rebased"], "{same}");
        assert_eq!(scene.names(), ["0002-change-b.patch"]);
        scene.run(0, &["check", "--nixpkgs", "two"]);
        // The workspace's nixpkgs has it already, and so has the next.
        let back = [patch("c.c", 10, "C", &mail("change c")), theirs];
        for (i, text) in back.iter().enumerate() {
            scene.write(&format!("in/back{i}.patch"), text);
            scene.run(0, &["patch", "foo", &format!("in/back{i}.patch"), "--offline"]);
        }
        for file in ["default.nix", "own.patch", name] {
            scene.write(&format!("three/{file}"), &scene.read(&format!("two/{file}")));
        }
        for file in ["own.c", "a.c", "b.c", "c.c"] {
            scene.write(&format!("three/foo/{file}"), &("new\n".to_string() + &scene.read(&format!("two/foo/{file}"))));
        }
        scene.write("three/foo/own.c", &scene.read("two/foo/own.c"));
        let rebased = scene.json(0, &["rebase", "--from", "two", "--to", "three"]);
        assert_eq!(states(&rebased), ["rebased", "rebased", "merged"], "{same}");
    }
}

/// Whatever the new source has in the place of the file: git says what is the matter, and the rebase can be ended either way.
#[test]
fn odd_sources_are_conflicts_too() {
    type Source<'s> = (&'s str, &'s dyn Fn(&Path));
    let sources: &[Source<'_>] = &[
        ("a folder", &|file| {
            fs::create_dir(file).unwrap();
            fs::write(file.join("x"), "x\n").unwrap();
        }),
        ("a link", &|file| symlink("a.c", file).unwrap()),
        ("a link that leads out", &|file| symlink("/etc/passwd", file).unwrap()),
        ("a binary file", &|file| fs::write(file, "\0\u{1}").unwrap()),
        ("nothing", &|_| {}),
        ("a file of another name", &|file| fs::write(file.with_file_name("z.c"), lines_with("THEIRS")).unwrap()),
        ("a file below a folder of another name", &|file| {
            let dir = file.with_file_name("z");
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("c.c"), lines_with("THEIRS")).unwrap();
        }),
    ];
    for (what, make) in sources {
        for end in ["--abort", "--skip"] {
            let Some(stopped) = Stopped::before() else { return };
            let file = stopped.scene.at("two/foo/c.c");
            fs::remove_file(&file).unwrap();
            make(&file);
            let said = stopped.rebase(1, &["--to", "two"]);
            assert!(said.contains("conflict") && !said.contains("OV0701"), "{what}: {said}");
            assert!(stopped.git(&["status"]).contains("You are currently cherry-picking commit"), "{what}");
            assert!(!stopped.git(&["ls-files", "-u"]).is_empty(), "{what}");
            let said = stopped.rebase(1, &["--continue"]);
            assert!(said.contains("OV1058"), "{what}: {said}");
            stopped.rebase(0, &[end]);
            assert!(!stopped.scene.at(".overlayctl/rebase").exists());
        }
    }
}

/// What a commit of the user's holds becomes the queue, or is refused with the reason.
#[test]
fn odd_commits_are_taken_or_refused() {
    let Some(stopped) = Stopped::before() else { return };
    let scene = &stopped.scene;
    let dir = scene.at(".overlayctl/edit/foo");
    let git = |args: &[&str]| {
        let output =
            Command::new("git").args(args).current_dir(&dir).env("GIT_CONFIG_GLOBAL", &stopped.settings).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let begin = || {
        scene.run(0, &["edit", "foo"]);
    };
    // A link and a mode are taken; what is not tracked stands in the way, is named, and is no patch.
    begin();
    symlink("b.c", dir.join("link")).unwrap();
    fs::set_permissions(dir.join("a.c"), fs::Permissions::from_mode(0o755)).unwrap();
    git(&["add", "."]);
    git(&["commit", "-qm", "make a link"]);
    fs::write(dir.join("a.c.orig"), "x\n").unwrap();
    let output = scene.try_run(&["finish", "foo"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("OV1049") && said.contains(": a.c.orig"), "{said}");
    fs::remove_file(dir.join("a.c.orig")).unwrap();
    fs::remove_file(dir.join("link")).unwrap();
    symlink("c.c", dir.join("link")).unwrap();
    git(&["commit", "-qam", "turn the link"]);
    let tree = git(&["rev-parse", "HEAD^{tree}"]);
    scene.run(0, &["finish", "foo"]);
    scene.run(0, &["finish", "foo", "--abort"]);
    begin();
    assert_eq!(git(&["rev-parse", "HEAD^{tree}"]), tree);
    assert_eq!(scene.names().len(), 3);
    // What no patch can hold.
    type Change<'c> = (&'c str, &'c dyn Fn());
    let changes: &[Change<'_>] = &[
        ("is a submodule", &|| {
            git(&["init", "-q", "sub"]);
            git(&["-C", "sub", "commit", "-q", "--allow-empty", "-m", "x"]);
        }),
        ("a file becomes a folder", &|| {
            fs::remove_file(dir.join("b.c")).unwrap();
            fs::create_dir(dir.join("b.c")).unwrap();
            fs::write(dir.join("b.c/x"), "x\n").unwrap();
        }),
        ("binary", &|| fs::write(dir.join("logo"), "\0\u{1}").unwrap()),
    ];
    for (why, change) in changes {
        begin();
        change();
        git(&["add", "-A"]);
        git(&["commit", "-qm", "odd"]);
        let before = scene.state();
        let output = scene.try_run(&["finish", "foo"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("OV1057") && said.contains(why), "{why}: {said}");
        assert_eq!(scene.state(), before);
        scene.run(0, &["finish", "foo", "--abort"]);
    }
}

/// Names that a folder has, or that lie below a file, are refused by `check` and `edit` alike.
#[test]
fn names_that_are_taken_are_refused() {
    for (from, to) in [("a.c", "b.c/x"), ("a.c", "dir"), ("", "dir"), ("", "b.c/x")] {
        let Some(scene) = Scene::new() else { return };
        scene.write("one/foo/dir/x", "x\n");
        let text = match from {
            "" => format!(
                "diff --git a/{to} b/{to}\nnew file mode 100644\n--- /dev/null\n+++ b/{to}\n@@ -0,0 +1 @@\n+x\n"
            ),
            from => format!("diff --git a/{from} b/{to}\nsimilarity index 100%\nrename from {from}\nrename to {to}\n"),
        };
        scene.queue(&[mail("odd") + &text]);
        let checked = scene.json(1, &["check"]);
        assert_eq!(checked["packages"][0]["patches"][0]["state"], "conflict", "{checked}");
        let output = scene.try_run(&["edit", "foo"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("OV1046"), "{said}");
    }
}
