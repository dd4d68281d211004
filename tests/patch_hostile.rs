//! Patches that want to do harm: refused by name, or applied correctly, in bounded memory.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects and fails loudly")]

use overlayctl::base::diagnostic::Coded;
use overlayctl::patch::{
    MemoryTree, Options, PatchFile, REGULAR, SYMLINK, Verdict, apply, diff_bytes, refresh, to_level,
};

fn tree(files: &[(&str, &str, u32)]) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for (path, text, mode) in files {
        tree.insert(*path, text.as_bytes(), *mode);
    }
    tree
}

/// The code of the refusal, or the verdict.
fn run(tree: &MemoryTree, patch: &str) -> String {
    match PatchFile::parse(patch.as_bytes()).and_then(|p| apply(tree, &p, &Options::default())) {
        Ok(outcome) => format!("{:?}", outcome.verdict()),
        Err(error) => error.code().to_string(),
    }
}

const NEW: &str = "new file mode 100644\n--- /dev/null\n";
const LINK: &str = "new file mode 120000\n--- /dev/null\n";

#[test]
fn paths_and_links_that_lead_out() {
    let plain = tree(&[("f", "a\n", REGULAR), ("d/g", "a\n", REGULAR)]);
    let linked = tree(&[
        ("out", "/etc", SYMLINK),
        ("up", "../..", SYMLINK),
        ("in", "d", SYMLINK),
        ("loop", "loop", SYMLINK),
        ("d/g", "a\n", REGULAR),
        ("d/back", "../d", SYMLINK),
    ]);
    let add = |name: &str| format!("diff --git a/{name} b/{name}\n{NEW}+++ b/{name}\n@@ -0,0 +1 @@\n+x\n");
    let change = |name: &str| format!("--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-a\n+b\n");
    let link = |name: &str, to: &str| {
        format!(
            "diff --git a/{name} b/{name}\n{LINK}+++ b/{name}\n@@ -0,0 +1 @@\n+{to}\n\\ No newline at end of file\n"
        )
    };
    for (tree, patch, expected) in [
        (&plain, add("../x"), "OV0214"),
        (&plain, add("d/../../x"), "OV0214"),
        (&plain, add("/etc/x"), "Clean"), // With -p1 that is `etc/x`, below the tree.
        (&plain, add("x/../../etc/x"), "OV0214"),
        (&plain, change("../../etc/passwd"), "OV0214"),
        (&plain, "diff --git a/f b/f\nrename from f\nrename to ../f\n".to_string(), "OV0214"),
        (&plain, "diff --git a/f b/f\ncopy from f\ncopy to d/../../f\n".to_string(), "OV0214"),
        (
            &plain,
            "diff --git a/f b/f\nrename from f\nrename to d/h\n--- a/f\n+++ b/../../h\n@@ -1 +1 @@\n-a\n+b\n"
                .to_string(),
            "OV0214",
        ),
        (&plain, link("l", "/etc/passwd"), "OV0214"),
        (&plain, link("l", "../x"), "OV0214"),
        (&plain, link("d/l", "../../x"), "OV0214"),
        (&plain, link("d/l", "../f"), "Clean"),
        // A link first, then a file through it.
        (&plain, link("l", "..") + &add("l/x"), "OV0214"),
        (&plain, link("l", "d") + &add("l/x"), "Clean"),
        (&plain, link("l", "m") + &link("m", "../.."), "OV0214"),
        (&linked, add("out/x"), "OV0214"),
        (&linked, add("up/x"), "OV0214"),
        (&linked, change("loop/x"), "OV0214"),
        (&linked, change("in/g"), "Clean"),
        (&linked, change("d/back/g"), "Clean"),
        // The link itself is no regular file.
        (&linked, change("out"), "Conflict"),
        (&linked, "--- a/dev\n+++ /dev/mem\n@@ -1 +1 @@\n-a\n+b\n".to_string(), "OV0215"),
        (&linked, "diff --git a/n b/n\nnew file mode 020644\n".to_string(), "OV0215"),
    ] {
        assert_eq!(run(tree, &patch), expected, "{patch}");
    }
    // Through a link inside the tree the file it names is changed, and no other.
    let bytes = change("in/g").into_bytes();
    let outcome = apply(&linked, &PatchFile::parse(&bytes).unwrap(), &Options::default()).unwrap();
    assert_eq!(outcome.changes.keys().collect::<Vec<_>>(), ["d/g"]);
}

#[test]
fn counts_that_lie() {
    let source = tree(&[("f", "a\nb\nc\nd\n", REGULAR)]);
    let hunk = |header: &str, body: &str| format!("--- a/f\n+++ b/f\n{header}\n{body}");
    for (patch, expected) in [
        (hunk("@@ -1,18446744073709551615 +1 @@", "-a\n+b\n"), "OV0210"),
        (hunk("@@ -1,99999999999999999999999 +1 @@", "-a\n+b\n"), "OV0210"),
        (hunk("@@ -1,1000000000000 +1,1000000000000 @@", " a\n+b\n"), "OV0211"),
        (hunk("@@ -1,-1 +1 @@", "-a\n+b\n"), "OV0209"),
        (hunk("@@ --1 +1 @@", "-a\n+b\n"), "OV0209"),
        (hunk("@@ -1000000000000000000 +1000000000000000000 @@", "-a\n+b\n"), "Offset"),
        (hunk("@@ -1152921504606846975 +1152921504606846975 @@", "-zz\n+yy\n"), "Conflict"),
        (hunk("@@ -0 +0 @@", "-a\n+b\n"), "Offset"),
        // Hunks over each other and backwards.
        (hunk("@@ -1,3 +1,3 @@", " a\n-b\n+B\n c\n@@ -1,3 +1,3 @@\n a\n-b\n+X\n c\n"), "Conflict"),
        (hunk("@@ -3 +3 @@", "-c\n+C\n@@ -1 +1 @@\n-a\n+A\n"), "Conflict"),
    ] {
        assert_eq!(run(&source, &patch), expected, "{patch}");
    }
}

#[test]
fn a_line_of_100_megabytes() {
    for (start, code) in [
        ("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+", "OV0219"),
        ("", "OV0219"),
        ("diff --git ", "OV0219"),
        ("--- ", "OV0219"),
        ("Subject: ", "OV0219"),
    ] {
        let mut patch = start.as_bytes().to_vec();
        patch.resize(100 << 20, b' ');
        patch.extend_from_slice(b"x\n");
        assert_eq!(PatchFile::parse(&patch).unwrap_err().code(), code, "{start}");
    }
    // Just below the limit everything still answers, and quickly.
    for filler in ["=?", " a", "/", "b/ "] {
        for start in ["Subject: ", "diff --git a/", "--- a/", "Upstream-Status: "] {
            let patch =
                format!("{start}{}\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n", filler.repeat((4 << 20) / filler.len()));
            if let Ok(patch) = PatchFile::parse(patch.as_bytes()) {
                let _ = (
                    patch.headers(),
                    patch.check(1),
                    patch.strip_level(),
                    to_level(&patch, patch.strip_level(), 1),
                    patch.message(),
                );
                let _ = overlayctl::patch::lint::lint("x.patch", &patch, &Default::default());
            }
        }
    }
}

#[test]
fn many_equal_lines() {
    // A hunk that nearly fits everywhere.
    let source = tree(&[("f", &"\n".repeat(50_000), REGULAR)]);
    let patch = format!("--- a/f\n+++ b/f\n@@ -25000,1001 +25000,1002 @@\n{}-x\n+y\n+z\n", " \n".repeat(1000));
    assert_eq!(run(&source, &patch), "Conflict");
    let mut twice = source.clone();
    let bytes = diff_bytes(&source.get("f").unwrap().bytes, &b"x\n".repeat(3));
    let patch = [b"--- a/f\n+++ b/f\n", bytes.as_slice()].concat();
    let patch = PatchFile::parse(&patch).unwrap();
    let outcome = apply(&twice, &patch, &Options::default()).unwrap();
    assert_eq!(outcome.verdict(), Verdict::Clean);
    twice.update(outcome.changes);
    assert_eq!(&twice.get("f").unwrap().bytes[..], b"x\nx\nx\n");
    let _ = refresh(&source, &patch, &Options::default()).unwrap();
}
