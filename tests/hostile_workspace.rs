//! Workspaces of strangers: whatever is in one, nothing outside it is touched, nothing hangs, nothing reaches the terminal.
//!
//! Each folder of `tests/hostile_workspace/` is a case: `in/` becomes the workspace, beside it stands `outside/`, which must be the same
//! afterwards, to the last name. `cmd` holds what is done: `overlayctl ARGS`, `! N` in front says the exit status that is wanted, else 0;
//! `> TEXT` and `>! TEXT` say what the command before must and must not print; `$ PROGRAM ARGS` prepares; `needs PROGRAM...` skips the
//! case, and says so, where one is not installed. No command may take longer than a minute or print a control character.

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

use overlayctl::base::process::find_program;
use support::said;

/// A workspace, and what lies outside it.
struct Scene {
    dir: tempfile::TempDir,
    outside: BTreeMap<PathBuf, Vec<u8>>,
}

/// Returns what stands below a directory: bytes of files, targets of links.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            let bytes = match () {
                () if kind.is_dir() => {
                    todo.push(path.clone());
                    b"folder".to_vec()
                }
                () if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                () if kind.is_file() => fs::read(&path).unwrap(),
                () => b"special".to_vec(),
            };
            found.insert(path, bytes);
        }
    }
    found
}

impl Scene {
    fn new(from: Option<&Path>) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["workspace", "outside/victim", "home"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        fs::write(dir.path().join("outside/bashrc"), "mine\n").unwrap();
        fs::write(dir.path().join("outside/victim/file"), "mine\n").unwrap();
        let overlay = "final: prev: {\n  zlib = prev.zlib.overrideAttrs (old: { patches = [ ./bashrc ]; });\n}\n";
        fs::write(dir.path().join("outside/overlay.nix"), overlay).unwrap();
        if let Some(from) = from {
            // Links and dot files as they are.
            let copied = Command::new("cp").arg("-a").arg(from.join("in/.")).arg(dir.path().join("workspace")).status();
            assert!(copied.unwrap().success());
        }
        let outside = tree(&dir.path().join("outside"));
        Scene { dir, outside }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join("workspace").join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = match program {
            "overlayctl" => support::overlayctl(&self.at("")),
            other => {
                let mut command = Command::new(other);
                command.current_dir(self.at("")).env("GIT_CONFIG_GLOBAL", "/dev/null");
                command
            }
        };
        command.env("HOME", self.dir.path().join("home")).env("XDG_STATE_HOME", self.dir.path().join("home/state"));
        command.stdin(Stdio::null());
        command
    }

    /// Runs overlayctl, which has to end by itself, with `status`.
    fn run(&self, status: i32, args: &[&str]) -> Output {
        let mut limited = Command::new("timeout");
        let plain = self.command("overlayctl");
        limited
            .args(["-s", "KILL", "60"])
            .arg(plain.get_program())
            .args(args)
            .current_dir(self.at(""))
            .stdin(Stdio::null());
        limited.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = limited.output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
        assert_no_controls(&said, args);
        output
    }

    fn assert_outside_is_untouched(&self) {
        assert_eq!(tree(&self.dir.path().join("outside")), self.outside);
    }
}

/// Asserts that a terminal finds nothing to act on but line ends, tabs and, with `--color always`, our own styles.
fn assert_no_controls(said: &str, args: &[&str]) {
    let mut plain = said.to_string();
    if args.contains(&"always") {
        let mut rest = said;
        plain.clear();
        while let Some((before, after)) = rest.split_once("\u{1b}[") {
            let end = after.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap();
            assert!(after[end..].starts_with('m'), "{args:?}: {said:?}");
            plain.push_str(before);
            rest = &after[end + 1..];
        }
        plain.push_str(rest);
    }
    let bidi = [
        '\u{200b}',
        '\u{feff}',
        '\u{e0041}',
        '\u{61c}',
        '\u{200e}',
        '\u{200f}',
        '\u{202a}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
    ];
    let bad = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || bidi.contains(&c);
    assert!(!plain.contains(bad), "{args:?}: {plain:?}");
}

/// Splits a line into words at spaces outside single quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for c in line.trim().chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

fn run_case(case: &Path) {
    let cmd = fs::read_to_string(case.join("cmd")).unwrap();
    let mut lines = cmd.lines().peekable();
    let needed = lines.next_if(|line| line.starts_with("needs ")).map_or(Vec::new(), |line| words(&line[6..]));
    if let Some(missing) = needed.iter().find(|program| find_program(program).is_none()) {
        eprintln!("skipped {}: {missing} is not installed", case.display());
        return;
    }
    println!("{}", case.display());
    let scene = Scene::new(Some(case));
    let mut last = String::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(text) = line.strip_prefix(">! ") {
            assert!(!last.contains(text), "{line}: {last}");
        } else if let Some(text) = line.strip_prefix("> ") {
            assert!(last.contains(text), "{line}: {last}");
        } else if let Some(prepare) = line.strip_prefix("$ ") {
            let all = words(prepare);
            assert!(scene.command(&all[0]).args(&all[1..]).status().unwrap().success(), "{line}");
        } else {
            let (status, command) = match line.strip_prefix("! ") {
                Some(rest) => rest.split_once(' ').unwrap(),
                None => ("0", line),
            };
            let all = words(command.strip_prefix("overlayctl ").unwrap());
            let args: Vec<&str> = all.iter().map(String::as_str).collect();
            last = said(&scene.run(status.parse().unwrap(), &args));
            scene.assert_outside_is_untouched();
        }
    }
    scene.assert_outside_is_untouched();
}

#[test]
fn every_case() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_workspace");
    let mut cases: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 10);
    cases.iter().for_each(|case| run_case(case));
}

/// The same set as in `native-code-in-evaluation`: with the user's leave its code does run, so the cases can fail.
#[test]
fn leave_is_given_once_for_an_option_and_its_value() {
    if find_program("nix").is_none() {
        eprintln!("skipped: nix is not installed");
        return;
    }
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_workspace/native-code-in-evaluation");
    let scene = Scene::new(Some(&case));
    let ran = scene.dir.path().join("outside/ran");
    let asks = |args: &[&str]| {
        let _ = fs::remove_file(&ran);
        let said = said(&scene.command("overlayctl").args(args).output().unwrap());
        (said.contains("OV0606"), ran.exists())
    };
    assert_eq!(asks(&["impact", "--target", "zlib"]), (true, false));
    assert_eq!(asks(&["impact", "--target", "zlib", "--trust-workspace"]), (false, true));
    assert_eq!(asks(&["impact", "--target", "zlib"]), (false, true), "it is remembered");
    let toml = fs::read_to_string(scene.at("overlayctl.toml")).unwrap();
    scene.write("overlayctl.toml", toml.replace("cores = \"1\"", "sandbox-paths = \"/\""));
    assert_eq!(asks(&["impact", "--target", "zlib"]), (true, false), "another option is not allowed with it");
    scene.write("overlayctl.toml", toml.replace("evaluation = \"true\"", "evaluation = \"yes\""));
    assert_eq!(asks(&["impact", "--target", "zlib"]), (true, false), "nor another value");
    scene.write("overlayctl.toml", &toml);
    // The same in another directory is another workspace.
    fs::rename(scene.at(""), scene.dir.path().join("moved")).unwrap();
    fs::create_dir(scene.at("")).unwrap();
    let moved = scene
        .command("overlayctl")
        .current_dir(scene.dir.path().join("moved"))
        .args(["impact", "--target", "zlib"])
        .output();
    assert!(said(&moved.unwrap()).contains("OV0606"));
    // What the user's own configuration says needs no leave.
    let mut own = scene.command("overlayctl");
    let config = format!("{}\nallow-unsafe-native-code-during-evaluation = true", support::nix_config());
    own.current_dir(scene.dir.path().join("moved")).env("NIX_CONFIG", config).args(["impact", "--target", "zlib"]);
    assert!(!said(&own.output().unwrap()).contains("OV0606"));
}

#[test]
fn the_demo_asks_nothing() {
    let scene = Scene::new(None);
    scene.run(0, &["init", "--demo", "demo"]);
    if find_program("nix").is_some() {
        let said = said(&scene.command("overlayctl").args(["-C", "demo", "boards"]).output().unwrap());
        assert!(!said.contains("OV0606"), "{said}");
    }
    let trust = fs::read_to_string(scene.dir.path().join("home/state/overlayctl/trust.json")).unwrap();
    assert!(trust.contains("sandbox-paths") && !trust.contains("substituters"), "{trust}");
}

#[test]
fn what_is_typed_may_be_a_pipe() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile_workspace/patches-are-pipes");
    let scene = Scene::new(Some(&case));
    let patch = fs::read(scene.at("fix.patch")).unwrap();
    let mut command = scene.command("overlayctl");
    command.args(["patch", "zlib", "/dev/stdin", "--offline"]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &patch).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(scene.at("patches/zlib/0002-more.patch").is_file());
    if find_program("bash").is_some() {
        let program = scene.command("overlayctl").get_program().to_str().unwrap().to_string();
        let line = format!("{program} patch curl <(cat fix.patch) --offline");
        let output = scene.command("bash").args(["-c", &line]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(scene.at("patches/curl/0001-more.patch").is_file());
    }
}

#[test]
fn nothing_that_a_workspace_says_reaches_the_terminal() {
    let scene = Scene::new(None);
    let evil = "x\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\u{9d}52;c;eA==\u{9c}\u{202e}cod\u{2066}\u{61c}\u{200f}\u{200b}\u{feff}\u{e0041}\r\u{8}";
    let patch = format!(
        "From: {evil} <a@example.org>\nDate: Mon, 1 Jan 2024 10:00:00 +0100\nSubject: [PATCH] {evil}\n\n{evil}\n\n\
         Upstream-Status: {evil}\nSigned-off-by: {evil} <a@example.org>\n---\n--- a/{evil}\n+++ b/{evil}\n@@ -1 +1 @@\n-{evil}\n+b\n"
    )
    .replace('\r', "");
    let name = format!("0001-{evil}.patch");
    scene.write(&format!("patches/zlib/{name}"), &patch);
    scene.write("fix.patch", &patch);
    scene.write("broken.patch", patch.replace("@@ -1", &format!("@@ {evil}")));
    scene.write(
        "overlayctl.toml",
        format!("overlays = [\"overlay.nix\"]\n[boards.\"{}\"]\nplatform = \"b\"\n", "x\\u001b]0;t\\u0007\\u202e"),
    );
    let overlay = format!(
        "final: prev: {{\n  zlib = prev.zlib.overrideAttrs (old: {{ patches = [ (./patches/zlib + \"/{evil}\") ./patches/zlib/0001.patch ]; }});\n\
         \x20 \"{evil}\" = prev.\"{evil}\".overrideAttrs (old: {{ patches = [ ./fix.patch ]; }});\n}}\n"
    );
    scene.write("overlay.nix", &overlay);
    let broken = overlay.replace("prev: {", &format!("prev: {{ {evil} "));
    let commands: &[&[&str]] = &[
        &["list"],
        &["status"],
        &["lint", "--patches"],
        &["header", "zlib", "1"],
        &["header", "zlib", &name],
        &["patch", "curl", "fix.patch", "--offline", "--dry-run"],
        &["patch", "curl", "broken.patch", "--offline"],
        &["patch", "curl", evil, "--offline"],
        &["unpatch", evil],
        &["unpatch", "zlib", "--dry-run"],
        &["import", "curl", "fix.patch", "--offline", "--dry-run"],
        &["boards"],
        &["impact", "--board", "none"],
        &["reorder", "zlib", "1"],
        &["list", "--overlay", "overlay.nix"],
    ];
    for text in [&overlay, &broken] {
        scene.write("overlay.nix", text);
        for command in commands {
            for more in [&[][..], &["--json"], &["--verbose"], &["--color", "always"]] {
                let args: Vec<&str> = command.iter().chain(more).copied().collect();
                let output = scene.command("overlayctl").args(&args).output().unwrap();
                assert!(output.status.code().is_some(), "{args:?}");
                // clap shows what was typed as it was.
                if !said(&output).contains("Usage:") {
                    assert_no_controls(&said(&output), &args);
                }
            }
        }
    }
}

/// Filters, hooks, monitors and drivers of git, in the workspace's own repository and in a source that is edited: nothing runs, and files
/// are their bytes.
#[test]
fn nothing_that_git_could_start_is_started() {
    if let Some(missing) = ["nix", "git"].into_iter().find(|program| find_program(program).is_none()) {
        eprintln!("skipped: {missing} is not installed");
        return;
    }
    let scene = Scene::new(None);
    let ran = scene.dir.path().join("outside/ran");
    let touch = format!("sh -c 'touch {}; cat'", ran.display());
    let attributes = "* filter=evil diff=evil merge=evil text eol=crlf ident working-tree-encoding=UTF-16\n";
    let set = r#"{ overlays ? [ ], ... }:
let
  mkDerivation = attrs: derivation ({ system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; } // attrs)
    // { overrideAttrs = f: mkDerivation (attrs // f attrs); };
  packages = { foo = mkDerivation { name = "foo-1"; version = "1"; src = ./foo; patches = [ ]; }; };
  final = builtins.foldl' (set: overlay: set // overlay final set) packages overlays;
in final
"#;
    scene.write("set/default.nix", set);
    let text = "one\ntwo $Id$\r\nthree\n";
    scene.write("set/foo/text", text);
    scene.write("set/foo/.gitattributes", attributes);
    scene.write("set/foo/.gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = ../../outside\n\tupdate = !touch ran\n");
    scene.write(".gitattributes", attributes);
    scene.write("overlay.nix", "final: prev: {\n}\n");
    scene.write("overlayctl.toml", "nixpkgs = \"./set\"\noverlays = [\"overlay.nix\"]\n");
    scene.write("fix.patch", "Subject: [PATCH] more\n\n---\n--- a/text\n+++ b/text\n@@ -1,3 +1,4 @@\n one\n+one and a half\n two $Id$\r\n three\n");
    let git = |args: &[&str]| assert!(scene.command("git").args(args).status().unwrap().success(), "{args:?}");
    git(&["init", "-q", "."]);
    scene.write(".git/hooks/post-index-change", "#!/bin/sh\ntouch ../outside/ran\n");
    scene.write(".git/hooks/post-checkout", "#!/bin/sh\ntouch ../outside/ran\n");
    for (name, value) in [
        ("filter.evil.clean", touch.as_str()),
        ("filter.evil.smudge", &touch),
        ("filter.evil.required", "true"),
        ("diff.evil.textconv", &touch),
        ("diff.evil.command", &touch),
        ("diff.external", &touch),
        ("merge.evil.driver", &touch),
        ("core.fsmonitor", &touch),
        ("core.hooksPath", ".git/hooks"),
        ("core.sshCommand", &touch),
        ("core.editor", &touch),
    ] {
        git(&["config", name, value]);
    }
    let _ = fs::remove_file(&ran);
    scene.run(0, &["patch", "foo", "fix.patch", "--offline"]);
    scene.run(0, &["list"]);
    scene.run(0, &["impact", "--target", "foo"]);
    scene.run(0, &["edit", "foo"]);
    let edited = scene.at(".overlayctl/edit/foo");
    assert_eq!(fs::read_to_string(edited.join("text")).unwrap(), text.replace("one\n", "one\none and a half\n"));
    assert_eq!(fs::read_to_string(edited.join(".gitattributes")).unwrap(), attributes);
    // Also when the user's own settings know the filter, as those of large files do.
    let mut global = scene.command("git");
    let config = scene.dir.path().join("home/gitconfig");
    global.args(["config", "--file"]).arg(&config).args(["filter.evil.clean", &touch]).status().unwrap();
    fs::write(edited.join("text"), text.replace("three", "four")).unwrap();
    let commit = ["-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-qam", "another"];
    let committed = scene.command("git").env("GIT_CONFIG_GLOBAL", &config).current_dir(&edited).args(commit).status();
    assert!(committed.unwrap().success());
    scene.run(0, &["finish", "foo", "--offline"]);
    let second = fs::read_to_string(scene.at("patches/foo/0002-another.patch")).unwrap();
    assert!(second.contains("-three\n+four\n"), "{second}");
    scene.run(0, &["refresh", "foo"]);
    scene.run(0, &["export", "foo", "--quilt", "out"]);
    assert!(!ran.exists(), "something was started");
    scene.assert_outside_is_untouched();
}
