//! Odd trees, against GNU patch and git: links, binary files, files that become folders, submodules, names that are taken.
//!
//! `OVERLAYCTL_PATCH_PROGRAM` names another `patch` than the one on PATH (2.8, say).

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects and fails loudly")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use overlayctl::base::diagnostic::Coded as _;
use overlayctl::patch::{
    EXECUTABLE, Error, MemoryTree, Options, PatchFile, REGULAR, SYMLINK, apply, diff_trees, reverse,
};

fn available() -> bool {
    let found = |program: &str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    let both = found("patch") && found("git");
    if !both {
        eprintln!("skipped: `patch` or `git` is not installed");
    }
    both
}

fn write(dir: &Path, tree: &MemoryTree) {
    for (path, file) in tree.iter() {
        let at = dir.join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        if file.is_link() {
            std::os::unix::fs::symlink(std::str::from_utf8(&file.bytes).unwrap(), at).unwrap();
            continue;
        }
        std::fs::write(&at, &file.bytes).unwrap();
        let mode = if file.mode == EXECUTABLE { 0o755 } else { 0o644 };
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn read(dir: &Path, root: &Path, tree: &mut MemoryTree) {
    for entry in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap()) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
        if kind.is_dir() {
            read(&path, root, tree);
        } else if kind.is_symlink() {
            tree.insert(name, std::fs::read_link(&path).unwrap().to_str().unwrap(), SYMLINK);
        } else {
            let mode = if entry.metadata().unwrap().permissions().mode() & 0o100 != 0 { EXECUTABLE } else { REGULAR };
            tree.insert(name, std::fs::read(&path).unwrap(), mode);
        }
    }
}

/// Runs `patch -p1` or `git apply`; returns whether it took the patch, and the tree afterwards.
fn peer(program: &str, tree: &MemoryTree, patch: &[u8]) -> (bool, MemoryTree) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    std::fs::create_dir(&root).unwrap();
    write(&root, tree);
    std::fs::write(dir.path().join("p"), patch).unwrap();
    let named = std::env::var("OVERLAYCTL_PATCH_PROGRAM").ok().filter(|_| program == "patch");
    let mut command = Command::new(named.as_deref().unwrap_or(program));
    match program {
        "git" => command.args(["apply", "-p1", "-"]),
        _ => command.args(["-p1", "-s"]),
    };
    let done = command
        .current_dir(&root)
        .env("GIT_CEILING_DIRECTORIES", dir.path())
        .env("LC_ALL", "C")
        .stdin(std::fs::File::open(dir.path().join("p")).unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let mut after = MemoryTree::new();
    read(&root, &root, &mut after);
    (done.success(), after)
}

fn tree(files: &[(&str, &[u8], u32)]) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for (path, bytes, mode) in files {
        tree.insert(*path, *bytes, *mode);
    }
    tree
}

/// What is written between two trees does that for GNU patch, for git, for ourselves, and turned round it takes it back.
#[test]
fn what_is_written_is_applied_by_all() {
    if !available() {
        return;
    }
    let binary: &[u8] = b"\0\x01\x02binary\xff";
    let cases: &[(&str, MemoryTree, MemoryTree)] = &[
        ("a link to elsewhere", tree(&[("l", b"a.c", SYMLINK)]), tree(&[("l", b"b.c", SYMLINK)])),
        (
            "a link made",
            tree(&[("a.c", b"x\n", REGULAR)]),
            tree(&[("a.c", b"x\n", REGULAR), ("d/l", b"../a.c", SYMLINK)]),
        ),
        ("a link removed", tree(&[("l", b"a.c", SYMLINK)]), tree(&[])),
        ("a mode of a binary file", tree(&[("b", binary, REGULAR)]), tree(&[("b", binary, EXECUTABLE)])),
        ("a name of a binary file", tree(&[("b", binary, REGULAR)]), tree(&[("d/c", binary, REGULAR)])),
        (
            "names of two",
            tree(&[("b", binary, REGULAR), ("c", binary, REGULAR)]),
            tree(&[("d", binary, REGULAR), ("e", binary, REGULAR)]),
        ),
        ("a name with a blank", tree(&[("b", binary, REGULAR)]), tree(&[("b c", binary, REGULAR)])),
        ("a blank and what is quoted", tree(&[("b", binary, REGULAR)]), tree(&[("ä c", binary, REGULAR)])),
        (
            "a blank at the end",
            tree(&[("d ", b"x\n", REGULAR)]),
            tree(&[("d ", b"y\n", REGULAR), (" ", b"x\n", REGULAR)]),
        ),
    ];
    for (what, before, after) in cases {
        let bytes = diff_trees(before, after).unwrap_or_else(|e| panic!("{what}: {e}"));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut back = tree(&[]);
        for program in ["patch", "git"] {
            assert_eq!(peer(program, before, &bytes), (true, after.clone()), "{program}, {what}:\n{text}");
        }
        let patch = PatchFile::parse(&bytes).unwrap();
        let outcome = apply(before, &patch, &Options::default()).unwrap();
        assert!(outcome.accepted(), "{what}: {:?}", outcome.files);
        before.iter().for_each(|(path, file)| drop(back.insert(path, file.bytes.to_vec(), file.mode)));
        back.update(outcome.changes);
        assert_eq!(&back, after, "{what}");
        let turned = reverse(&patch).unwrap();
        assert_eq!(peer("patch", after, &turned), (true, before.clone()), "back, {what}");
    }
}

/// Found by fuzzing: a name with a blank needs quotes where only `diff --git` has it, whatever the other name has.
#[test]
fn each_name_with_a_blank_has_quotes_of_its_own() {
    if !available() {
        return;
    }
    let before = tree(&[("from", b"x\n", REGULAR), ("f x", b"x\n", REGULAR)]);
    for (names, old, new) in [
        ("a/from \"b/to x\"", "from", "\"to x\""),
        ("\"a/from\" \"b/to x\"", "from", "\"to x\""),
        ("\"a/from\" b/to x", "from", "\"to x\""),
        ("a/from b/to x", "from", "to x"),
        ("\"a/f x\" b/to", "\"f x\"", "to"),
        ("a/f x b/to", "f x", "to"),
        ("a/f x \"b/to x\"", "f x", "\"to x\""),
    ] {
        let text = format!("diff --git {names}\nsimilarity index 100%\nrename from {old}\nrename to {new}\n");
        let ours = apply(&before, &PatchFile::parse(text.as_bytes()).unwrap(), &Options::default());
        let took = peer("patch", &before, text.as_bytes()).0;
        assert_eq!(ours.is_ok_and(|outcome| outcome.accepted()), took, "{text}");
    }
}

#[test]
fn what_patch_cannot_do_is_refused() {
    if !available() {
        return;
    }
    let (file, folder) = (tree(&[("a", b"1\n", REGULAR)]), tree(&[("a/b", b"2\n", REGULAR)]));
    for (before, after) in [(&file, &folder), (&folder, &file)] {
        assert_eq!(diff_trees(before, after).unwrap_err().code(), "OV0220");
    }
    // As git writes them: GNU patch takes neither.
    let to_folder = "diff --git a/a b/a\ndeleted file mode 100644\n--- a/a\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\ndiff --git a/a/b b/a/b\nnew file mode 100644\n--- /dev/null\n+++ b/a/b\n@@ -0,0 +1 @@\n+2\n";
    let to_file = "diff --git a/a/b b/a/b\ndeleted file mode 100644\n--- a/a/b\n+++ /dev/null\n@@ -1 +0,0 @@\n-2\ndiff --git a/a b/a\nnew file mode 100644\n--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+1\n";
    for (before, text) in [(&file, to_folder), (&folder, to_file)] {
        let patch = PatchFile::parse(text.as_bytes()).unwrap();
        assert!(!peer("patch", before, text.as_bytes()).0);
        assert!(!apply(before, &patch, &Options::default()).unwrap().accepted(), "{text}");
    }
    // The commit of a submodule, in each form.
    for text in [
        "diff --git a/s b/s\nindex 1111111..2222222 160000\n--- a/s\n+++ b/s\n@@ -1 +1 @@\n-Subproject commit 1\n+Subproject commit 2\n",
        "diff --git a/s b/s\nnew file mode 160000\nindex 0000000..2222222\n--- /dev/null\n+++ b/s\n@@ -0,0 +1 @@\n+Subproject commit 2\n",
    ] {
        assert_eq!(PatchFile::parse(text.as_bytes()).unwrap().check(1).unwrap_err().code(), "OV0228");
    }
    // Names that are taken, by files and by folders, or that lie below a file.
    let taken = tree(&[
        ("a", b"1\n", REGULAR),
        ("b", b"2\n", REGULAR),
        ("long", b"1\n", REGULAR),
        ("bin", b"\0\x01", REGULAR),
        ("d/x", b"1\n", REGULAR),
    ]);
    let made = |name: &str| {
        format!("diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n+1\n")
    };
    let moved = |how: &str, old: &str, new: &str, hunk: &str| {
        let names = format!("--- a/{old}\n+++ b/{new}\n");
        let hunk = if hunk.is_empty() { String::new() } else { names + hunk };
        format!("diff --git a/{old} b/{new}\nsimilarity index 50%\n{how} from {old}\n{how} to {new}\n{hunk}")
    };
    let mut texts = vec![made("d"), made("a/x"), made("n") + &made("n/x"), made("n/x") + &made("n")];
    for how in ["rename", "copy"] {
        for hunk in ["", "@@ -1 +1 @@\n-1\n+3\n", "@@ -1 +1 @@\n-2\n+3\n"] {
            for (old, new) in [
                ("a", "b"),
                ("long", "b"),
                ("a", "long"),
                ("d/x", "b"),
                ("a", "d"),
                ("a", "a/x"),
                ("d/x", "d"),
                ("a", "new"),
            ] {
                texts.push(moved(how, old, new, hunk));
            }
        }
        texts.push(moved(how, "bin", "b", ""));
    }
    for text in texts {
        let outcome = apply(&taken, &PatchFile::parse(text.as_bytes()).unwrap(), &Options::default()).unwrap();
        let (accepted, after) = peer("patch", &taken, text.as_bytes());
        assert_eq!(outcome.accepted(), accepted, "{text}: {:?}", outcome.files);
        // What GNU patch refuses it may leave halfway, with temporary files.
        if accepted {
            let mut ours = taken.clone();
            ours.update(outcome.changes);
            assert_eq!(ours, after, "{text}");
        }
    }
}

/// `Binary files differ`: GNU patch does what the lines of git's header above it say, and no more.
#[test]
fn binary_files_differ() {
    if !available() {
        return;
    }
    let headers = [
        "",
        "index 1111111..2222222\n",
        "index 1111111..2222222 100644\n",
        "index 1111111..2222222 100755\n",
        "old mode 100644\nnew mode 100755\nindex 1111111..2222222\n",
        "old mode 100644\nnew mode 100755\n",
        "new file mode 100644\nindex 0000000..2222222\n",
        "new file mode 100755\nindex 0000000..2222222\n",
        "new file mode 100644\nindex 0000000..e69de29\n",
        "new file mode 100644\n",
        "deleted file mode 100644\nindex 1111111..0000000\n",
        "deleted file mode 100644\n",
        "similarity index 90%\nrename from bin\nrename to new\nindex 1111111..2222222 100644\n",
        "similarity index 90%\ncopy from bin\ncopy to new\nindex 1111111..2222222 100644\n",
    ];
    let text = "diff --git a/a b/a\nindex 3333333..4444444 100644\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n";
    let a: (&str, &[u8], u32) = ("a", b"1\n", REGULAR);
    let bins: [&[u8]; 2] = [b"\0\x01", b""];
    let mut trees = vec![tree(&[a])];
    for bin in bins {
        trees.push(tree(&[a, ("bin", bin, REGULAR)]));
        trees.push(tree(&[a, ("bin", bin, EXECUTABLE)]));
        trees.push(tree(&[a, ("bin", bin, REGULAR), ("new", b"n", REGULAR)]));
    }
    let mut wrong = Vec::new();
    for header in headers {
        let new = if header.contains(" to new") { "new" } else { "bin" };
        for note in ["Binary files a/bin and b/bin differ\n", "Binary files /dev/null and b/bin differ\n", ""] {
            let bin = format!("diff --git a/bin b/{new}\n{header}{note}");
            for bytes in [bin.clone(), format!("{bin}{text}"), format!("{text}{bin}"), format!("{bin}-- \n2.40\n")] {
                let Ok(patch) = PatchFile::parse(bytes.as_bytes()) else { continue };
                for before in &trees {
                    let outcome = apply(before, &patch, &Options::default()).unwrap();
                    let mut ours = before.clone();
                    let accepted = outcome.accepted();
                    ours.update(outcome.changes.clone());
                    let (said, theirs) = peer("patch", before, bytes.as_bytes());
                    // What it refuses it may leave halfway.
                    // Without a word of git's there is nothing at all, which GNU patch takes for garbage.
                    if header.is_empty() && !bytes.contains("@@") {
                        assert!(!said && outcome.files.is_empty(), "{bytes}");
                    } else if said != accepted || (said && theirs != ours) {
                        wrong.push(format!("{said} {accepted}\n{bytes}\n{before:?}\n{theirs:?}\n{ours:?}"));
                    }
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ; the first: {}",
        wrong.len(),
        wrong.iter().take(12).cloned().collect::<Vec<_>>().join("\n=====\n")
    );
}

/// A hunk that names no file, a template whose names are still to be filled in, and text: GNU patch calls it garbage and fails.
#[test]
fn what_is_garbage_to_gnu_patch_is_refused() {
    let hunk = "@@ -1 +1 @@\n-old\n+new\n";
    for patch in [hunk.to_string(), format!("A word on it.\n\n{hunk}"), "s|@out@|$out|\n".into()] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "old\n").unwrap();
        std::fs::write(dir.path().join("input"), &patch).unwrap();
        let mut command = Command::new("patch");
        let Ok(output) =
            command.env("LC_ALL", "C").args(["-p1", "--batch", "-i", "input"]).current_dir(dir.path()).output()
        else {
            eprintln!("skipped: `patch` is not installed");
            return;
        };
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!output.status.success() && said.contains("Only garbage was found"), "{patch}: {said}");
        let refused = PatchFile::parse(patch.as_bytes()).unwrap_err();
        assert!(matches!(refused, Error::HunkWithoutFile { .. } | Error::NotAPatch { .. }), "{patch}: {refused}");
    }
}
