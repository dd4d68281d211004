//! Trailers against `git interpret-trailers`, and their inverse: what is added and removed again leaves the bytes.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects and fails loudly")]

#[path = "support/random.rs"]
mod random;

use std::io::Write as _;
use std::process::{Command, Stdio};

use overlayctl::patch::{PatchFile, add_trailer, remove_trailer};
use random::Random;

const DIFF: &str = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n";

fn git(message: &str) -> Vec<String> {
    let mut child = Command::new("git")
        .args(["interpret-trailers", "--parse"])
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|l| l.trim_end().to_string()).collect()
}

fn ours(text: &str) -> Vec<String> {
    let trailers = PatchFile::parse(text.as_bytes()).unwrap().trailers();
    trailers.iter().map(|t| format!("{}: {}", t.key, t.value).trim_end().to_string()).collect()
}

const LINES: [&str; 20] = [
    "Signed-off-by: A <a@b>",
    "Signed-off-by: B <b@c>",
    "[B: rebased]",
    " Signed-off-by: C <c@d>",
    "Signed-off-by D <d@e>",
    "(cherry picked from commit 0123456789)",
    "Upstream-Status: Backport [x]",
    "Key:value",
    "Key : value",
    "a word",
    "another line of text",
    "Fixes: 0123 (\"x\")",
    "  continued",
    "# a comment",
    "Conflicts:",
    "\tsrc/f.c",
    "",
    "https://example.org/x",
    "Note: a thing",
    "-- item",
];

#[test]
fn as_git_interpret_trailers() {
    if !Command::new("git").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        eprintln!("skipped: `git` is not installed");
        return;
    }
    let (mut with, mut brought_back) = (0, 0);
    for seed in 1..=600 {
        let r = &mut Random(seed);
        let mut body = String::from("Why it is so.\n\n");
        for _ in 0..r.below(7) {
            body.push_str(LINES[r.below(LINES.len())]);
            body.push('\n');
        }
        let message = format!("the subject\n\n{body}");
        let text = format!("From: A <a@b>\nSubject: the subject\n\n{body}---\n f | 2 +-\n\n{DIFF}");
        let theirs = git(&message);
        assert_eq!(ours(&text), theirs, "seed {seed}:\n{message}");
        with += u32::from(!theirs.is_empty());
        // One more is found by git, too, and the others stay.
        let (key, value) = ("Tested-by", "T <t@x>");
        let added = String::from_utf8(add_trailer(text.as_bytes(), key, value).unwrap()).unwrap();
        let inner =
            added.strip_prefix("From: A <a@b>\nSubject: ").unwrap().split("\n---\n").next().unwrap().to_string() + "\n";
        let mut more = theirs.clone();
        more.push("Tested-by: T <t@x>".into());
        assert_eq!((git(&inner), ours(&added)), (more.clone(), more), "seed {seed}:\n{added}");
        let removed = remove_trailer(added.as_bytes(), key, Some(value)).unwrap();
        assert_eq!(String::from_utf8(removed).unwrap(), text, "seed {seed}");
        brought_back += 1;
    }
    eprintln!("{with} messages with trailers, {brought_back} came back");
    assert!(with > 100);
}

/// Whatever stands before the diff: mail, DEP-3, text, tags above a mail, CR LF, nothing.
#[test]
fn added_and_removed_is_nothing() {
    let heads = [
        "",
        "\n",
        "text\n",
        "text\n\n",
        "From: A <a@b>\nSubject: x\n",
        "From: A <a@b>\nSubject: x\n\n",
        "Description: x\n long\nAuthor: A\n",
        "Description: x\n\n",
        "Upstream-Status: Pending\n\nFrom 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\nSubject: x\n\n",
    ];
    let bodies = [
        "",
        "\n",
        "Why.\n",
        "\n\nWhy.\n\n\n",
        "Why.\n\nSigned-off-by: A <a@b>\n",
        "Signed-off-by: A <a@b>\n",
        "Why.\n\nSigned-off-by: A <a@b>\n\n",
    ];
    let ends = ["", "---\n", "---\n f | 2 +-\n\n", "\n---\n", "Index: f\n====\n"];
    for head in heads {
        for body in bodies {
            for end in ends {
                for crlf in [false, true] {
                    let text = format!("{head}{body}{end}{DIFF}");
                    let text = if crlf { text.replace('\n', "\r\n") } else { text };
                    for key in ["Upstream-Status", "Tested-by", "Forwarded"] {
                        let added = add_trailer(text.as_bytes(), key, "X <x@y>").unwrap();
                        assert_ne!(added, text.as_bytes());
                        let found = PatchFile::parse(&added).unwrap().headers();
                        assert!(found.values(key).any(|v| v == "X <x@y>"), "{}", String::from_utf8_lossy(&added));
                        let removed = remove_trailer(&added, key, Some("X <x@y>")).unwrap();
                        assert_eq!(
                            String::from_utf8_lossy(&removed),
                            text,
                            "{key} in {}",
                            String::from_utf8_lossy(&added)
                        );
                    }
                }
            }
        }
    }
}
