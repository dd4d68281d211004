//! `deploy`, `rollback` and `undeploy` to a device that is a directory of this machine, behind an ssh of the test's own which runs what
//! it is given in a shell; and the gate, on closures that are put into the store by hand. A booted board: `tests/board/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use overlayctl::base::process::find_program;
use overlayctl::cross::Platform;
use overlayctl::deploy::{Closure, Error};
use overlayctl::nix::{Nix, Settings};
use serde_json::Value;

/// An ssh that connects to this machine: the master only makes its socket and waits, any other call runs its last argument.
const SSH: &str = r#"#!/bin/sh
socket='' master='' query=''
while [ $# -gt 1 ]; do
  case $1 in -S) socket=$2; shift;; -M) master=yes;; -G) query=yes;; --) shift; break;; esac; shift
done
[ "$query" ] && { echo 'stricthostkeychecking ask'; exit 0; }
if [ -e "$FAKE_SSH/down" ]; then echo 'ssh: no route to host' >&2; exit 255; fi
if [ -e "$FAKE_SSH/changed" ]; then echo '@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @' >&2; exit 255; fi
if [ "$master" ]; then : > "$socket"; exec cat; fi
shift
case $socket in none) [ ! -e "$FAKE_SSH/no-confirm" ] || exit 255;; esac
echo call >> "$FAKE_SSH/calls"
exec SHELL_OF_THE_BOARD -c "$*"
"#;

struct Board {
    dir: tempfile::TempDir,
    root: PathBuf,
}

impl Board {
    /// Makes a workspace with a patched library, a program that is linked with it, and a device whose shell is `shell`.
    fn new(shell: &str) -> Option<Board> {
        let needed = ["nix-store", "gcc", "xz", "tar", "sha256sum", shell.split(' ').next().unwrap()];
        if let Some(missing) = needed.iter().find(|program| find_program(program).is_none()) {
            eprintln!("skipped: {missing} is not installed");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["bin", "fake", "device", "w"] {
            fs::create_dir(at(folder)).unwrap();
        }
        fs::write(at("device/file"), "was here before").unwrap();
        fs::write(at("bin/ssh"), SSH.replace("SHELL_OF_THE_BOARD", shell)).unwrap();
        fs::set_permissions(at("bin/ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        let overlay = "final: prev: { say = prev.say.overrideAttrs (old: { patches = [ ./fix.patch ]; }); }";
        fs::write(at("w/overlay.nix"), overlay).unwrap();
        let root = dir.path().canonicalize().unwrap().join("device/opt/overlayctl");
        let board = Board { dir, root };
        board.patch("one");
        board.settings("");
        Some(board)
    }

    fn patch(&self, word: &str) {
        let patch = format!(
            "Subject: {word}\n\n--- a/say.c\n+++ b/say.c\n@@ -4,7 +4,7 @@\n const char *greeting(int late)\n {{\n \tif (late)\n-\t\treturn \"good evening from the library\";\n+\t\treturn \"{word} evening from the patched library\";\n \treturn \"good morning from the library\";\n }}\n \n"
        );
        fs::write(self.dir.path().join("w/fix.patch"), patch).unwrap();
    }

    fn settings(&self, more: &str) {
        let nixpkgs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mini-nixpkgs");
        let toml = format!(
            "nixpkgs = {:?}\noverlays = [\"overlay.nix\"]\n[nix.options]\nsubstituters = \"\"\nsandbox = \"false\"\n[boards.dev]\npackages = [\"greeter\"]\ndevice = \"root@device\"\nroot = {:?}\n{more}\n",
            nixpkgs.display().to_string(),
            self.root.display().to_string()
        );
        fs::write(self.dir.path().join("w/overlayctl.toml"), toml).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap();
        let bin = self.dir.path().join("bin");
        let fake = self.dir.path().join("fake");
        let mut command = support::overlayctl(&self.dir.path().join("w"));
        command.args(args).args(["--board", "dev", "--json"]);
        command.env("PATH", format!("{}:{path}", bin.display())).env("FAKE_SSH", fake);
        command.env("XDG_STATE_HOME", self.dir.path().join("state")).output().unwrap()
    }

    /// Runs it and returns what it says, which has to end with `status`.
    fn says(&self, args: &[&str], status: i32) -> Value {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn history(&self) -> Value {
        let mut command = support::overlayctl(&self.dir.path().join("w"));
        let output = command.args(["boards", "--history", "dev", "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn code(&self, args: &[&str], status: i32) -> String {
        self.says(args, status)["error"]["code"].as_str().unwrap_or("none").to_string()
    }

    /// Returns what the program on the board prints.
    fn greeting(&self) -> Option<String> {
        let output = Command::new(self.root.join("current/bin/greeter")).arg("late").output().ok()?;
        Some(String::from_utf8(output.stdout).unwrap())
    }

    /// Returns all that is on the board, with what is in files and where links lead.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        use std::os::unix::ffi::OsStringExt as _;
        let (mut found, mut todo) = (Vec::new(), vec![self.dir.path().join("device")]);
        while let Some(path) = todo.pop() {
            let content = match fs::symlink_metadata(&path).unwrap().file_type() {
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_vec(),
                kind if kind.is_file() => fs::read(&path).unwrap(),
                _ => {
                    todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                    Vec::new()
                }
            };
            found.push((path, content));
        }
        found.sort();
        found
    }

    fn stored(&self) -> usize {
        fs::read_dir(self.root.join("store")).unwrap().count()
    }

    fn touch(&self, name: &str, there: bool) {
        let path = self.dir.path().join("fake").join(name);
        if there { fs::write(path, "").unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

fn story(shell: &str) {
    let Some(board) = Board::new(shell) else { return };
    // Built by nobody yet.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    board.patch(&format!("one {} {shell}", now.as_nanos()));
    let before = board.files();
    let dry = board.run(&["deploy", "-n"]);
    assert_eq!(dry.status.code(), Some(1), "what is not built is not built by a dry run: {dry:?}");
    assert_eq!(board.files(), before);

    let first = board.says(&["deploy"], 0);
    assert_eq!((&first["schema"], &first["generation"]), (&"overlayctl.deploy/1".into(), &1.into()), "{first}");
    assert_eq!(first["sent"]["paths"].as_array().unwrap().len(), 1);
    assert!(board.greeting().unwrap().starts_with("one"), "{:?}", board.greeting());
    let ledger = fs::read_to_string(board.root.join("ledger")).unwrap();
    let entry: Value = serde_json::from_str(&ledger).unwrap();
    assert_eq!((&entry["action"], &entry["board"]), (&"deploy".into(), &"dev".into()));
    assert!(entry["patches"][0].as_str().unwrap().starts_with("say fix.patch "), "{entry}");
    assert_eq!(fs::read_to_string(board.dir.path().join("w/.overlayctl/deployments.jsonl")).unwrap(), ledger);

    let again = board.says(&["deploy"], 0);
    assert_eq!((&again["unchanged"], &again["generation"]), (&true.into(), &1.into()));

    board.patch("two");
    let second = board.says(&["deploy"], 0);
    assert_eq!((&second["generation"], &second["before"]), (&2.into(), &1.into()));
    assert!(board.greeting().unwrap().starts_with("two evening"));

    let history = board.history();
    let told: Vec<&Value> = history["entries"].as_array().unwrap().iter().map(|entry| &entry["generation"]).collect();
    assert_eq!(told, [&Value::from(1), &Value::from(2)], "{history}");

    let back = board.says(&["rollback"], 0);
    assert_eq!((&back["from"], &back["to"]), (&2.into(), &1.into()));
    assert!(board.greeting().unwrap().starts_with("one"));
    assert_eq!(board.code(&["rollback", "--to", "7"], 1), "OV1280");
    assert_eq!(board.says(&["rollback", "--to", "2"], 0)["to"], 2);

    assert_eq!(board.code(&["undeploy", "no such 'target'"], 1), "OV1280");
    let gone = board.says(&["undeploy"], 0);
    assert_eq!(gone["targets"][0], "greeter");
    assert_eq!(board.files(), before);
    assert_eq!(board.says(&["undeploy"], 0)["targets"], serde_json::json!([]), "twice is no harm");
    assert_eq!(board.files(), before);
}

#[test]
fn a_program_goes_to_the_board_and_back_off_it() {
    story("dash");
}

#[test]
fn busybox_will_do_on_the_board() {
    story("busybox sh");
}

#[test]
fn what_fails_its_check_or_is_not_confirmed_is_taken_back() {
    let Some(board) = Board::new("sh") else { return };
    board.says(&["deploy"], 0);
    board.patch("two");
    let odd = board.dir.path().join("odd");
    let check = |words: &[&str]| format!("check = {words:?}");
    board.settings(&check(&["sh", "-c", "echo no good; exit 3"]));
    assert_eq!(board.code(&["deploy"], 2), "OV1272", "a command of the workspace needs leave");
    let refused = board.says(&["deploy", "--trust-workspace"], 1);
    assert_eq!(refused["error"]["code"], "OV1281");
    assert!(refused["error"]["message"].as_str().unwrap().contains("check failed with status 3"), "{refused}");
    assert!(board.greeting().unwrap().starts_with("one evening"));

    board.settings(&check(&["sleep", "600"]));
    let hung = board.says(&["deploy", "--trust-workspace", "--confirm-within", "2s"], 1);
    assert!(hung["error"]["message"].as_str().unwrap().contains("did not end in time"), "{hung}");
    assert!(board.greeting().unwrap().starts_with("one evening"));

    // Words of a command come as they are written.
    let odd_text = odd.display().to_string();
    board.settings(&check(&["sh", "-c", "printf '%s|' \"$@\" > \"$0\"", &odd_text, "it's", "$(touch x)", "-n", "a b"]));
    board.touch("no-confirm", true);
    let cut = board.says(&["deploy", "--trust-workspace", "--confirm-within", "1s"], 2);
    assert_eq!(cut["error"]["code"], "OV1282", "{cut}");
    assert_eq!(fs::read_to_string(&odd).unwrap(), "it's|$(touch x)|-n|a b|");
    board.touch("no-confirm", false);
    // The board goes back by itself, and the next one finds it there.
    let next = loop {
        let output = board.run(&["deploy"]);
        let object: Value = serde_json::from_slice(&output.stdout).unwrap();
        if object["error"]["code"] != "OV1276" {
            break object;
        }
    };
    assert_eq!(next["before"], 1, "{next}");
    assert!(board.greeting().unwrap().starts_with("two evening"));
}

#[test]
fn a_board_that_is_not_as_it_should_be_is_refused() {
    let Some(board) = Board::new("sh") else { return };
    board.touch("down", true);
    assert_eq!(board.code(&["deploy"], 2), "OV1273");
    board.touch("down", false);
    board.touch("changed", true);
    assert_eq!(board.code(&["deploy"], 1), "OV1274");
    board.touch("changed", false);
    board.says(&["deploy"], 0);
    board.patch("two");
    // Somebody else is at work: the lock names a process that runs since this boot.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    fs::create_dir(board.root.join("lock")).unwrap();
    let owner = format!("other {} {} somebody else\n", boot.trim(), std::process::id());
    fs::write(board.root.join("lock/owner"), owner).unwrap();
    let busy = board.says(&["deploy"], 1);
    assert_eq!(busy["error"]["code"], "OV1276");
    assert!(busy["error"]["message"].as_str().unwrap().contains("somebody else"), "{busy}");
    assert!(board.greeting().unwrap().starts_with("one evening"));
    // One of before a reboot holds nothing.
    fs::write(board.root.join("lock/owner"), "other some-other-boot 1 somebody else\n").unwrap();
    board.says(&["deploy"], 0);
    // A record that the board made up.
    fs::set_permissions(board.root.join("current/record"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(board.root.join("current/record"), "{\"placed\":1}\n").unwrap();
    assert_eq!(board.code(&["deploy"], 2), "OV1275");
}

#[test]
fn what_power_loss_leaves_unconfirmed_goes_back() {
    let Some(board) = Board::new("sh") else { return };
    board.says(&["deploy"], 0);
    board.patch("two");
    board.says(&["deploy"], 0);
    // As if the power had gone after the switch to 2, before it was confirmed.
    let pending = board.root.join("pending");
    fs::create_dir(&pending).unwrap();
    for (name, text) in [("old", "1\n"), ("new", "2\n"), ("who", "some-other-boot 1\n"), ("state", "checked\n")] {
        fs::write(pending.join(name), text).unwrap();
    }
    let back = board.says(&["deploy"], 0);
    assert!(back["settled"].as_str().unwrap().starts_with("back "), "{back}");
    assert_eq!((&back["before"], &back["generation"]), (&1.into(), &3.into()), "{back}");
    assert!(board.greeting().unwrap().starts_with("two evening"), "{:?}", board.greeting());
    assert!(!pending.exists());
}

#[test]
fn what_cannot_be_told_apart_stays_on_the_board() {
    let Some(board) = Board::new("sh") else { return };
    board.says(&["deploy"], 0);
    board.patch("two");
    board.says(&["deploy"], 0);
    // What the first generation needs is not known any more.
    fs::remove_file(board.root.join("generations/1/paths")).unwrap();
    board.patch("three");
    let third = board.says(&["deploy"], 0);
    assert!(third["warnings"].to_string().contains("could not be taken off"), "{third}");
    assert_eq!((third["removed"].as_array().map(Vec::len), board.stored()), (Some(0), 3), "{third}");
    assert!(board.greeting().unwrap().starts_with("three evening"));
}

#[test]
fn a_full_disk_does_not_keep_it_from_going_back() {
    let Some(board) = Board::new("sh") else { return };
    board.says(&["deploy"], 0);
    board.patch("two");
    // Nothing can be decided on: as a disk without room has it.
    let mkdir = board.dir.path().join("bin/mkdir");
    fs::write(&mkdir, "#!/bin/sh\ncase $1 in pending/decided) exit 1;; esac\ncommand -p mkdir \"$@\"\n").unwrap();
    fs::set_permissions(&mkdir, fs::Permissions::from_mode(0o755)).unwrap();
    let refused = board.says(&["deploy", "--confirm-within", "1s"], 2);
    assert!(refused["error"]["message"].as_str().unwrap().contains("goes back by itself"), "{refused}");
    fs::remove_file(mkdir).unwrap();
    let begin = std::time::Instant::now();
    while board.greeting().unwrap().starts_with("two") {
        assert!(begin.elapsed().as_secs() < 60, "it does not go back");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(board.greeting().unwrap().starts_with("one evening"));
}

#[test]
fn other_commands_are_another_generation_and_what_is_lost_is_sent_again() {
    let Some(board) = Board::new("sh") else { return };
    board.says(&["deploy"], 0);
    board.settings("check = [\"true\"]");
    assert_eq!(board.says(&["deploy", "--trust-workspace"], 0)["generation"], 2);
    assert_eq!(board.says(&["deploy"], 0)["unchanged"], true);
    let path = fs::read_dir(board.root.join("store")).unwrap().next().unwrap().unwrap().path();
    fs::rename(&path, board.dir.path().join("lost")).unwrap();
    let again = board.says(&["deploy"], 0);
    assert_eq!(
        (&again["unchanged"], again["sent"]["paths"].as_array().map(Vec::len)),
        (&false.into(), Some(1)),
        "{again}"
    );
    assert!(path.exists());
}

#[test]
fn what_no_deploy_made_is_left_alone() {
    let Some(board) = Board::new("sh") else { return };
    for name in ["incoming", "gone", "last", "ledger", "at-boot", "lock"] {
        fs::create_dir_all(board.root.join(name)).unwrap();
        fs::write(board.root.join(name).join("upload"), "somebody's").unwrap();
        assert_eq!(board.code(&["deploy"], 2), "OV1275", "{name}");
        assert_eq!(board.code(&["undeploy"], 2), "OV1275", "{name}");
        assert_eq!(fs::read_to_string(board.root.join(name).join("upload")).unwrap(), "somebody's");
        fs::remove_dir_all(board.root.join(name)).unwrap();
    }
    board.says(&["deploy"], 0);
    // What the board says that it needs is not sent to it.
    let record = board.root.join("current/record");
    let mut told: Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    let mut other = told["placed"][0].clone();
    other["target"] = "other".into();
    other["programs"] = serde_json::json!([]);
    other["paths"] = serde_json::json!(["7rjj2rlqr3p3bn0z6k0bkhwb41bdrkgl-secret"]);
    told["placed"].as_array_mut().unwrap().push(other);
    fs::set_permissions(&record, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&record, told.to_string()).unwrap();
    board.patch("two");
    let refused = board.says(&["deploy"], 2);
    assert!(refused["error"]["message"].as_str().unwrap().contains("-secret"), "{refused}");
    assert!(board.greeting().unwrap().starts_with("one evening"));
}

#[test]
fn what_holds_no_patch_is_said_to_be_unproven() {
    let Some(board) = Board::new("sh") else { return };
    let codes = |answer: &Value| answer["warnings"].to_string().contains("OV1284");
    assert!(!codes(&board.says(&["deploy"], 0)));
    fs::write(board.dir.path().join("w/overlay.nix"), "final: prev: { }").unwrap();
    assert!(codes(&board.says(&["deploy"], 0)));
}

/// The power goes while an undeploy takes things off: at the next boot nothing is put back that is half gone, and it can be done again.
#[test]
fn an_undeploy_that_is_cut_is_done_again() {
    let Some(board) = Board::new("sh") else { return };
    let before = board.files();
    for left in [None, Some([("new", "1\n"), ("who", "some-other-boot 1\n")])] {
        board.says(&["deploy"], 0);
        // The current generation is out, and of what says that a switch is under way some files are gone.
        fs::remove_file(board.root.join("current")).unwrap();
        let pending = board.root.join("pending");
        fs::create_dir(&pending).unwrap();
        for (name, text) in left.into_iter().flatten() {
            fs::write(pending.join(name), text).unwrap();
        }
        let boot = Command::new("sh").arg(board.root.join("at-boot")).status().unwrap();
        assert!(boot.success());
        let current = fs::read_link(board.root.join("current"));
        assert!(current.is_err(), "{current:?}");
        board.says(&["undeploy"], 0);
        assert_eq!(board.files(), before);
    }
}

/// The header of a program of some machine, with an interpreter if one is named.
fn elf(machine: u8, class: u8, flags: u32, interpreter: Option<&str>) -> Vec<u8> {
    let wide = class == 2;
    let (header, entry) = if wide { (64u16, 56u16) } else { (52, 32) };
    let mut bytes = vec![0x7f, b'E', b'L', b'F', class, 1, 1];
    bytes.resize(16, 0);
    bytes.extend([2, 0, machine, 0, 1, 0, 0, 0]);
    bytes.resize(header.into(), 0);
    let word = |bytes: &mut Vec<u8>, at: usize, value: u64| {
        let size = if wide { 8 } else { 4 };
        bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    };
    let flags_at = if wide { 48 } else { 36 };
    bytes[flags_at..flags_at + 4].copy_from_slice(&flags.to_le_bytes());
    bytes[flags_at + 4..flags_at + 6].copy_from_slice(&header.to_le_bytes());
    bytes[flags_at + 6..flags_at + 8].copy_from_slice(&entry.to_le_bytes());
    if let Some(interpreter) = interpreter {
        word(&mut bytes, if wide { 32 } else { 28 }, header.into());
        bytes[flags_at + 8] = 1;
        let at = usize::from(header);
        bytes.resize(at + usize::from(entry), 0);
        bytes[at] = 3;
        let (offset, size) = if wide { (at + 8, at + 32) } else { (at + 4, at + 16) };
        let length = interpreter.len() as u64 + 1;
        word(&mut bytes, offset, u64::from(header) + u64::from(entry));
        word(&mut bytes, size, length);
        bytes.extend(interpreter.bytes().chain([0]));
    }
    bytes
}

/// Puts a file as `bin/tool` of a store path into the store, at the end of a chain of 50, and examines the whole for a platform.
fn examined(bytes: &[u8], platform: &str) -> Option<Result<Closure, Error>> {
    if find_program("nix-store").is_none() {
        eprintln!("skipped: Nix is not installed");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("tree/bin")).unwrap();
    let tool = dir.path().join("tree/bin/tool");
    fs::write(&tool, bytes).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let expression = format!(
        "let tool = builtins.path {{ path = {}; name = \"tool\"; }}; in builtins.foldl' (below: n: builtins.toFile \"link-${{toString n}}\" \"needs ${{below}}\") tool (builtins.genList (n: n + 1) 49)",
        dir.path().join("tree").display()
    );
    let output = Command::new("nix-instantiate")
        .args(["--eval", "--strict", "--read-write-mode", "--expr", &expression])
        .output()
        .unwrap();
    let path = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let nix = Nix::discover(Settings::default()).unwrap();
    Some(Closure::examine(&nix, &Platform::parse(platform).unwrap(), "top", path.trim().trim_matches('"')))
}

const ARM64: &str = "aarch64-unknown-linux-musl";
const ARMHF: &str = "armv7l-unknown-linux-musleabihf";
const EABI5: u32 = 0x0500_0000;

#[test]
fn the_gate_names_the_file_and_the_chain_to_it() {
    let cases: &[(Vec<u8>, &str, &str)] = &[
        (elf(62, 2, 0, None), ARM64, "machine: aarch64 wanted"),
        (elf(40, 1, EABI5 | 0x200, None), ARMHF, "float ABI: hard float wanted"),
        (elf(40, 1, EABI5 | 0x400, None), ARM64, "machine"),
        (elf(183, 2, 0, Some("/lib/ld-musl-aarch64.so.1")), ARM64, "its interpreter /lib/ld-musl-aarch64.so.1 is not"),
        (b"#!/nix/store/00000000000000000000000000000000-bash/bin/sh\n".to_vec(), ARM64, "is not in the closure"),
    ];
    for (bytes, platform, wanted) in cases {
        let Some(examined) = examined(bytes, platform) else { return };
        let Err(Error::Gate { path, why, chain, .. }) = examined else { panic!("{wanted}: {examined:?}") };
        assert!(path.ends_with("-tool/bin/tool") && why.contains(wanted), "{path}: {why}");
        assert_eq!((chain.len(), chain[0].as_str(), chain[49].as_str()), (50, "tool", "link-49"));
    }
}

#[test]
fn the_gate_lets_pass_what_fits() {
    let Some(examined) = examined(&elf(183, 2, 0, None), ARM64) else { return };
    let closure = examined.unwrap();
    assert_eq!((closure.paths.len(), closure.needs_store()), (50, true));
    let Some(examined) = self::examined(&elf(40, 1, EABI5 | 0x400, None), ARMHF) else { return };
    assert_eq!(examined.unwrap().paths.len(), 50);
}
