//! What a message quotes of diffs, against GNU patch: where nothing is found `patch` does only what the diff says, where something is found
//! it does not, and once quoted it does.
//!
//! `OVERLAYCTL_PATCH_PROGRAM` names another `patch` than the one on PATH (2.8, say).

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects and fails loudly")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use overlayctl::patch::{Message, PatchFile, compose};

const DIFF: &str = "--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,2 @@\n-line 1\n+line ONE\n line 2\n";

fn patch_program() -> String {
    std::env::var("OVERLAYCTL_PATCH_PROGRAM").unwrap_or_else(|_| "patch".into())
}

/// Applies bytes; returns success, what was said, and the files.
fn patched(bytes: &[u8]) -> (bool, String, Vec<(String, String)>) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.c", "b.c"] {
        std::fs::write(dir.path().join(name), "line 1\nline 2\n").unwrap();
    }
    let mut child = Command::new(patch_program())
        .arg("-p1")
        .current_dir(dir.path())
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(bytes);
    let output = child.wait_with_output().unwrap();
    let mut files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .map(|p| (p.file_name().unwrap().to_str().unwrap().to_string(), std::fs::read_to_string(p).unwrap()))
        .collect();
    files.sort();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned(), files)
}

/// Lines of a message, indented as mail and people do.
const LINES: [&str; 22] = [
    "--- a/b.c",
    "+++ b/b.c",
    "@@ -1,2 +1,2 @@",
    "-line 1",
    "+line TWO",
    " line 2",
    "text",
    "",
    "Index: b.c",
    "*** a/b.c",
    "***************",
    "*** 1,2 ****",
    "--- 1,2 ----",
    "diff --git a/b.c b/b.c",
    "rename from b.c",
    "rename to c.c",
    "old mode 100644",
    "1c1",
    "< line 1",
    "> line 9",
    "Prereq: 1.2",
    "- --- a/b.c",
];

fn message(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |n: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    };
    let indent = *[" ", "  ", "\t", "X", "> ", "    ", "|", "| ", "# "].get(below(9)).unwrap();
    let mut out = String::from("Text first.\n");
    if below(3) == 0 {
        // A whole diff.
        for line in &LINES[..6] {
            out.push_str(&format!("{indent}{line}\n"));
        }
    }
    for _ in 0..below(8) {
        let indent = if below(4) == 0 { "" } else { indent };
        let line = LINES[below(LINES.len())];
        // Unindented a diff is a diff; that one is read.
        let indent = if indent.is_empty() && !line.is_empty() { " " } else { indent };
        out.push_str(&format!("{indent}{line}\n"));
    }
    out
}

#[test]
fn as_gnu_patch_sees_messages() {
    if !Command::new(patch_program()).arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        eprintln!("skipped: `patch` is not installed");
        return;
    }
    let clean = patched(DIFF.as_bytes());
    assert!(clean.0);
    let cases = std::env::var("OVERLAYCTL_PATCH_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(400);
    let (mut seen, mut false_alarms) = (0, Vec::new());
    for seed in 1..=cases {
        let message = message(seed);
        let text = format!("{message}\n---\n{DIFF}");
        let patch = PatchFile::parse(text.as_bytes()).unwrap();
        let places = patch.quoted_diffs();
        let does = patched(text.as_bytes());
        if places.is_empty() {
            assert_eq!(does, clean, "seed {seed}, nothing was found:\n{text}");
        } else {
            seen += 1;
            // A name or a mode that the next file inherits may happen to change nothing.
            let inherited = ["Index:", "diff --git"].iter().any(|word| message.contains(word));
            if does == clean && !inherited {
                false_alarms.push(seed);
            }
        }
        // As it is written it does no harm, and it comes back.
        let wanted = Message { subject: "x".into(), body: message.trim_matches('\n').into(), ..Message::default() };
        let written = compose(&wanted, DIFF.as_bytes());
        assert_eq!(patched(&written), clean, "seed {seed}:\n{}", String::from_utf8_lossy(&written));
        let read = PatchFile::parse(&written).unwrap();
        assert_eq!((read.message(), read.quoted_diffs()), (wanted, Vec::new()), "seed {seed}");
    }
    eprintln!(
        "{cases} messages, {seen} with something found, {} of them without effect: {false_alarms:?}",
        false_alarms.len()
    );
    assert!(seen * 5 > cases && false_alarms.len() as u64 * 20 < seen, "{seen} {false_alarms:?}");
}
