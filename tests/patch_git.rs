//! `patch/` against git: patches that `git diff` writes with renames, copies and modes, and our diffs through `git apply`.
//!
//! A few dozen cases run in the suite; `OVERLAYCTL_PATCH_CASES=2000` runs as many.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects and fails loudly")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use overlayctl::patch::{EXECUTABLE, MemoryTree, Options, PatchFile, REGULAR, Skip, Verdict, apply, diff_trees};

type Tree = BTreeMap<String, (String, bool)>;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }
}

fn text(r: &mut Random) -> String {
    let lines = r.below(30);
    let mut out: String = (0..lines)
        .map(|_| {
            format!(
                "{}\n",
                ["a", "b", "", "}", "\tcall();", "unique"][r.below(6)].to_string() + ["", "1", "2"][r.below(3)]
            )
        })
        .collect();
    if r.below(5) == 0 {
        out.pop();
    }
    out
}

fn edit(r: &mut Random, text: &str) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_string).collect();
    for _ in 0..=r.below(3) {
        let at = r.below(lines.len() + 1);
        match r.below(3) {
            0 => lines.insert(at, "new line\n".to_string()),
            1 if at < lines.len() => {
                lines.remove(at);
            }
            _ if at < lines.len() => lines[at] = "changed\n".into(),
            _ => {}
        }
    }
    // A line without line feed can only be the last.
    let count = lines.len();
    for (i, line) in lines.iter_mut().enumerate() {
        if i + 1 < count && !line.ends_with('\n') {
            line.push('\n');
        }
    }
    lines.concat()
}

fn trees(seed: u64) -> (Tree, Tree) {
    let r = &mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let names = ["f", "d/g.c", "d/sp ace", "d/e/h", "ü", "run.sh", "q\"uote", "t\tab"];
    let mut before = Tree::new();
    for name in names {
        if r.below(3) > 0 {
            before.insert(name.to_string(), (text(r), r.below(3) == 0));
        }
    }
    let mut after = before.clone();
    for name in names {
        let Some((content, run)) = before.get(name).cloned() else {
            if r.below(3) == 0 {
                after.insert(name.to_string(), (text(r), false));
            }
            continue;
        };
        match r.below(7) {
            0 => {
                after.remove(name);
            }
            1 => {
                after.insert(name.to_string(), (content, !run));
            }
            2 | 3 => {
                after.insert(name.to_string(), (edit(r, &content), run));
            }
            4 => {
                after.remove(name);
                let content = if r.below(2) == 0 { content } else { edit(r, &content) };
                after.insert(format!("moved/{}", name.replace('/', "-")), (content, run));
            }
            5 => {
                let copy = if r.below(2) == 0 { content.clone() } else { edit(r, &content) };
                after.insert(format!("copy/{}", name.replace('/', "-")), (copy, run));
                after.insert(name.to_string(), (edit(r, &content), run));
            }
            _ => {}
        }
    }
    (before, after)
}

fn write(dir: &Path, tree: &Tree) {
    for entry in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        if entry.file_name().is_some_and(|n| n == ".git") {
            continue;
        }
        if entry.is_dir() { std::fs::remove_dir_all(entry).unwrap() } else { std::fs::remove_file(entry).unwrap() }
    }
    for (name, (content, run)) in tree {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(if *run { 0o755 } else { 0o644 })).unwrap();
    }
}

fn read(dir: &Path) -> Tree {
    let mut out = Tree::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(here) = todo.pop() {
        for path in std::fs::read_dir(here).unwrap().map(|e| e.unwrap().path()) {
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_string();
            if name == ".git" || name.ends_with(".orig") {
                continue;
            }
            if path.is_dir() {
                todo.push(path);
            } else {
                let run = path.metadata().unwrap().permissions().mode() & 0o100 != 0;
                out.insert(name, (std::fs::read_to_string(&path).unwrap(), run));
            }
        }
    }
    out
}

fn memory(tree: &Tree) -> MemoryTree {
    let mut out = MemoryTree::new();
    for (name, (content, run)) in tree {
        out.insert(name.clone(), content.as_bytes(), if *run { EXECUTABLE } else { REGULAR });
    }
    out
}

fn plain(tree: &MemoryTree) -> Tree {
    tree.iter()
        .map(|(n, f)| (n.to_string(), (String::from_utf8(f.bytes.to_vec()).unwrap(), f.mode == EXECUTABLE)))
        .collect()
}

struct Git<'a>(&'a Path);

impl Git<'_> {
    fn run(&self, args: &[&str]) -> (bool, Vec<u8>) {
        let output = Command::new("git")
            .args(args)
            .current_dir(self.0)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.success(), output.stdout)
    }

    fn tree(&self) -> String {
        assert!(self.run(&["add", "-A"]).0);
        String::from_utf8(self.run(&["write-tree"]).1).unwrap().trim().to_string()
    }
}

#[test]
fn git_diffs_apply_and_our_diffs_apply_with_git() {
    if !Command::new("git").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        eprintln!("skipped: `git` is not installed");
        return;
    }
    let cases: u64 = std::env::var("OVERLAYCTL_PATCH_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(25);
    let has_patch = Command::new("patch").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    let mut unlike_gnu = 0;
    let temp = tempfile::tempdir().unwrap();
    let repo = temp.path().join("r");
    std::fs::create_dir(&repo).unwrap();
    let git = Git(&repo);
    assert!(git.run(&["init", "-q", "."]).0);
    let (mut renames, mut copies, mut drifted, mut same, mut both_refuse, mut other) = (0, 0, 0, 0, 0, Vec::new());
    for seed in 1..=cases {
        let (before, after) = trees(seed);
        if before == after {
            continue;
        }
        write(&repo, &before);
        let old = git.tree();
        write(&repo, &after);
        let new = git.tree();
        let (_, bytes) = git.run(&["diff", "-M50%", "-C", "--no-ext-diff", &old, &new]);
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        renames += shown.matches("\nrename from ").count();
        copies += shown.matches("\ncopy from ").count();
        let patch = PatchFile::parse(&bytes).unwrap_or_else(|e| panic!("{seed}: {e}\n{shown}"));
        assert_eq!(patch.to_bytes(), bytes);
        let mut tree = memory(&before);
        let outcome = apply(&tree, &patch, &Options::default()).unwrap();
        // GNU patch cannot read what git writes for a mode or a rename of a name with blanks.
        let blank = outcome.files.iter().any(|f| f.skipped == Some(Skip::BlankInName));
        if !blank {
            assert_eq!(outcome.verdict(), Verdict::Clean, "{seed}\n{shown}\n{:?}", outcome.files);
            tree.update(outcome.changes);
            assert_eq!(plain(&tree), after, "{seed}\n{shown}");
        }
        // Backwards, where git wrote no copies (their reverse removes files).
        if !blank && !shown.contains("\ncopy from ") {
            let outcome = apply(&tree, &patch, &Options { reverse: true, ..Options::default() }).unwrap();
            assert!(outcome.accepted(), "{seed} backwards\n{shown}\n{:?}", outcome.files);
            tree.update(outcome.changes);
            assert_eq!(plain(&tree), before, "{seed} backwards\n{shown}");
        }
        // A second time everything is in.
        let again = apply(&memory(&after), &patch, &Options::default()).unwrap();
        assert!(!again.accepted() || again.verdict() != Verdict::Clean, "{seed} a second time\n{shown}");
        // Our diff through git.
        let ours = diff_trees(&memory(&before), &memory(&after)).unwrap();
        let file = temp.path().join("ours.patch");
        std::fs::write(&file, &ours).unwrap();
        write(&repo, &before);
        let (ok, _) = git.run(&["apply", "--whitespace=nowarn", file.to_str().unwrap()]);
        assert!(ok, "{seed}: git refuses\n{}", String::from_utf8_lossy(&ours));
        assert_eq!(read(&repo), after, "{seed}\n{}", String::from_utf8_lossy(&ours));
        if has_patch {
            write(&repo, &before);
            let output = Command::new("patch")
                .args(["-p1", "-F0"])
                .current_dir(&repo)
                .stdin(std::fs::File::open(&file).unwrap())
                .output()
                .unwrap();
            assert!(output.status.success(), "{seed}: GNU patch refuses\n{}", String::from_utf8_lossy(&output.stdout));
            assert_eq!(read(&repo), after, "{seed} GNU patch\n{}", String::from_utf8_lossy(&ours));
        }
        // The source has moved: with no fuzz, git and we take and refuse the same, and make the same.
        let r = &mut Random(seed | 1 << 40);
        let moved: Tree = before
            .iter()
            .map(|(n, (c, run))| {
                let lines = if r.below(4) == 0 {
                    edit(r, c)
                } else if r.below(3) == 0 {
                    format!("0\n1\n2\n3\n{c}")
                } else {
                    c.clone()
                };
                (n.clone(), (lines, *run))
            })
            .collect();
        write(&repo, &moved);
        std::fs::write(&file, &bytes).unwrap();
        let (ok, _) = git.run(&["apply", "--whitespace=nowarn", file.to_str().unwrap()]);
        let mut tree = memory(&moved);
        let outcome = apply(&tree, &patch, &Options { fuzz: 0, ..Options::default() }).unwrap();
        drifted += 1;
        let accepted = outcome.accepted();
        let clean = outcome.verdict() == Verdict::Clean;
        if accepted {
            tree.update(outcome.changes);
        }
        match (ok, accepted) {
            (true, true) if read(&repo) == plain(&tree) => same += 1,
            (false, false) => both_refuse += 1,
            _ => {
                // git wants a hunk at the first line to stay there, and looks elsewhere first: GNU patch decides.
                if has_patch {
                    write(&repo, &moved);
                    let output = Command::new("patch")
                        .args(["-p1", "-F0"])
                        .current_dir(&repo)
                        .stdin(std::fs::File::open(&file).unwrap())
                        .output()
                        .unwrap();
                    let gnu = output.status.success();
                    let equal = gnu == accepted && (!gnu || read(&repo) == plain(&tree));
                    if !equal {
                        eprintln!(
                            "{seed}: git {ok}, we {accepted}, GNU patch {gnu}\n{}",
                            String::from_utf8_lossy(&output.stdout)
                        );
                        unlike_gnu += 1;
                    }
                }
                assert!(
                    !(clean && accepted) || ok || blank || shown.contains("copy from"),
                    "{seed}: clean for us, refused by git\n{shown}"
                );
                other.push((seed, ok, accepted));
            }
        }
    }
    eprintln!(
        "{cases} cases, {renames} renames, {copies} copies; moved sources {drifted}: {same} the same, {both_refuse} refused by both, {} otherwise (seed, git, we): {:?}",
        other.len(),
        other.iter().take(12).collect::<Vec<_>>()
    );
    assert_eq!(unlike_gnu, 0);
}
