//! The engine of `patch/` against GNU patch and git: the same accept or reject, offsets, fuzz and bytes.
//!
//! `patch` is called as nixpkgs' patchPhase calls it: `patch -p1 < file`, no terminal. A few hundred generated cases run in the
//! suite; `OVERLAYCTL_PATCH_CASES=20000` runs as many. `OVERLAYCTL_PATCH_SEED` starts elsewhere.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects and fails loudly")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use overlayctl::patch::{Error, HunkState, MemoryTree, Options, PatchFile, REGULAR, apply};

/// A deterministic generator (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Lines without line ends; `true` when the last has no line feed.
#[derive(Clone, Debug, PartialEq)]
struct Text {
    lines: Vec<String>,
    cut: bool,
}

impl Text {
    /// An empty last line always has its line feed, or it would not be there.
    fn new(lines: Vec<String>, cut: bool) -> Text {
        let cut = cut && lines.last().is_some_and(|l| !l.is_empty());
        Text { lines, cut }
    }

    fn bytes(&self, eol: &str) -> Vec<u8> {
        let mut out = self.lines.join(eol);
        if !self.lines.is_empty() && !self.cut {
            out.push_str(eol);
        }
        out.into_bytes()
    }
}

fn random_line(r: &mut Random, variety: usize) -> String {
    let n = r.below(variety);
    match n % 5 {
        0 => String::new(),
        1 => "}".to_string(),
        2 => format!("\tline {n}"),
        3 => format!("- {n}"),
        _ => format!("call_{n}();"),
    }
}

fn random_text(r: &mut Random) -> Text {
    let variety = [4, 12, 40, 1000][r.below(4)];
    let len = match r.below(6) {
        0 => r.below(4),
        1 | 2 => r.below(15),
        _ => 10 + r.below(60),
    };
    Text::new((0..len).map(|_| random_line(r, variety)).collect(), r.one_in(6))
}

fn mutate(r: &mut Random, text: &Text, edits: usize) -> Text {
    let mut lines = text.lines.clone();
    for _ in 0..edits {
        let at = r.below(lines.len() + 1);
        match r.below(3) {
            0 => {
                for _ in 0..=r.below(3) {
                    lines.insert(at, random_line(r, 30));
                }
            }
            1 if !lines.is_empty() => {
                let end = (at + 1 + r.below(3)).min(lines.len());
                lines.drain(at.min(end)..end);
            }
            _ if at < lines.len() => lines[at] = random_line(r, 30),
            _ => {}
        }
    }
    Text::new(lines, if r.one_in(8) { !text.cut } else { text.cut })
}

/// Writes hunks with `context` lines; `uneven` leaves some context lines out at random ends.
fn hunks(r: &mut Random, old: &Text, new: &Text, context: usize, eol: &str) -> String {
    let mark = |text: &Text| -> Vec<String> {
        let mut lines: Vec<String> = text.lines.iter().map(|l| format!("{l}{eol}\n")).collect();
        if text.cut
            && let Some(last) = lines.last_mut()
        {
            *last = format!("{}\n\\ No newline at end of file\n", last.trim_end_matches('\n').trim_end_matches(eol));
        }
        lines
    };
    let (a, b) = (mark(old), mark(new));
    let diff = similar::TextDiff::from_slices(
        &a.iter().map(String::as_str).collect::<Vec<_>>()[..],
        &b.iter().map(String::as_str).collect::<Vec<_>>()[..],
    );
    let mut out = String::new();
    for group in diff.grouped_ops(context) {
        let mut lines: Vec<(char, String)> = Vec::new();
        let (first, last) = (group.first().unwrap(), group.last().unwrap());
        let (mut o, mut n) = (first.old_range().start, first.new_range().start);
        let (_, _) = (last.old_range().end, last.new_range().end);
        for op in &group {
            for change in diff.iter_changes(op) {
                let sign = match change.tag() {
                    similar::ChangeTag::Equal => ' ',
                    similar::ChangeTag::Delete => '-',
                    similar::ChangeTag::Insert => '+',
                };
                lines.push((sign, change.value().to_string()));
            }
        }
        if r.one_in(8) && lines.first().is_some_and(|l| l.0 == ' ') {
            lines.remove(0);
            o += 1;
            n += 1;
        }
        if r.one_in(8) && lines.last().is_some_and(|l| l.0 == ' ') {
            lines.pop();
        }
        if r.one_in(12) {
            let shift = r.below(12);
            o += shift;
            n += shift;
        }
        let olds = lines.iter().filter(|l| l.0 != '+').count();
        let news = lines.iter().filter(|l| l.0 != '-').count();
        let start = |at: usize, count: usize| if count == 0 { at } else { at + 1 };
        let _ = writeln!(out, "@@ -{},{olds} +{},{news} @@{}", start(o, olds), start(n, news), eol_of_header(eol));
        for (sign, line) in lines {
            out.push(sign);
            out.push_str(&line);
        }
    }
    out
}

fn eol_of_header(_: &str) -> &'static str {
    ""
}

struct Case {
    /// What is in the directory.
    tree: BTreeMap<String, Vec<u8>>,
    patch: Vec<u8>,
    reverse: bool,
}

fn case(seed: u64) -> Case {
    let r = &mut Random::new(seed);
    let mut tree = BTreeMap::new();
    let mut patch = String::new();
    let files = if r.one_in(5) { 1 + r.below(3) } else { 1 };
    // The text of the file has CR LF.
    let eol = if r.one_in(12) { "\r" } else { "" };
    let file_eol = if eol.is_empty() { "\n" } else { "\r\n" };
    for i in 0..files {
        let name = ["f", "d/g", "d/h.c"][i];
        let old = if r.one_in(15) { Text { lines: vec![], cut: false } } else { random_text(r) };
        let edits = 1 + r.below(4);
        let mut new = if r.one_in(15) { Text { lines: vec![], cut: false } } else { mutate(r, &old, edits) };
        if new == old {
            new.lines.insert(0, "changed".into());
            new.cut = false;
        }
        let context = [3, 3, 3, 3, 0, 1, 2, 5][r.below(8)];
        let body = hunks(r, &old, &new, context, eol);
        if body.is_empty() {
            continue;
        }
        let header = r.below(5);
        let (a, b) = match header {
            0 => (
                format!("a/{name}\t2024-01-02 03:04:05.000000000 +0000"),
                format!("b/{name}\t2024-01-02 03:04:05.000000000 +0000"),
            ),
            1 if old.lines.is_empty() => ("/dev/null".into(), format!("b/{name}")),
            2 if old.lines.is_empty() => (
                format!("a/{name}\t1970-01-01 00:00:00.000000000 +0000"),
                format!("b/{name}\t2024-01-02 03:04:05.0 +0000"),
            ),
            1 if new.lines.is_empty() => (format!("a/{name}"), "/dev/null".into()),
            2 if new.lines.is_empty() => (
                format!("a/{name}\t2024-01-02 03:04:05.0 +0000"),
                format!("b/{name}\t1970-01-01 00:00:00.000000000 +0000"),
            ),
            _ => (format!("a/{name}"), format!("b/{name}")),
        };
        if header == 3 {
            let _ = writeln!(patch, "diff --git a/{name} b/{name}");
            let (a, b) = match (old.lines.is_empty(), new.lines.is_empty()) {
                (true, _) => {
                    let _ = writeln!(patch, "new file mode 100644\nindex 0000000..1111111");
                    ("/dev/null".to_string(), b)
                }
                (_, true) => {
                    let _ = writeln!(patch, "deleted file mode 100644\nindex 1111111..0000000");
                    (a, "/dev/null".to_string())
                }
                _ => {
                    let _ = writeln!(patch, "index 1111111..2222222 100644");
                    (a, b)
                }
            };
            let _ = writeln!(patch, "--- {a}\n+++ {b}");
        } else {
            let _ = writeln!(patch, "--- {a}\n+++ {b}");
        }
        patch.push_str(&body);
        let drift = 1 + r.below(5);
        let there = match r.below(10) {
            0..=2 => Some(old),
            3..=6 => Some(mutate(r, &old, drift)),
            7 => Some(new),
            8 => Some(mutate(r, &new, drift)),
            _ if r.one_in(2) => None,
            _ => Some(Text { lines: vec![], cut: false }),
        };
        if let Some(text) = there {
            tree.insert(name.to_string(), text.bytes(file_eol));
        }
    }
    if r.one_in(15) {
        // A mailer's CR LF.
        patch = patch.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    if r.one_in(40) {
        // The last line feed is lost.
        patch.pop();
    }
    Case { tree, patch: patch.into_bytes(), reverse: r.one_in(10) }
}

/// Runs a command without the user's environment.
fn command(program: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("HOME", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap_or(dir));
    command
}

fn available(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !found {
        eprintln!("skipped: `{program}` is not installed");
    }
    found
}

fn write_tree(dir: &Path, tree: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in tree {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn read_tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(here) = todo.pop() {
        for entry in std::fs::read_dir(here).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_string();
            if name == ".git" || name.ends_with(".orig") || name.ends_with(".rej") {
                continue;
            }
            if path.is_dir() {
                todo.push(path);
            } else {
                out.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    out
}

/// What GNU patch said of each hunk of each file it named.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Said {
    accepted: bool,
    tree: BTreeMap<String, Vec<u8>>,
    hunks: Vec<String>,
}

fn gnu(dir: &Path, case: &Case) -> (Said, String) {
    write_tree(dir, &case.tree);
    let file = dir.parent().unwrap().join("the.patch");
    std::fs::write(&file, &case.patch).unwrap();
    let mut command = command("patch", dir);
    command.arg("-p1").stdin(std::fs::File::open(&file).unwrap());
    if case.reverse {
        command.arg("-R");
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let hunks = text
        .lines()
        .filter(|l| l.starts_with("Hunk #") && !l.contains(" ignored "))
        .map(|l| l.replace(" (different line endings)", ""))
        .collect();
    (Said { accepted: output.status.success(), tree: read_tree(dir), hunks }, text)
}

fn ours(case: &Case) -> Result<Said, Error> {
    let patch = PatchFile::parse(&case.patch)?;
    assert_eq!(patch.to_bytes(), case.patch);
    let mut tree = MemoryTree::new();
    for (name, bytes) in &case.tree {
        tree.insert(name.clone(), bytes.clone(), REGULAR);
    }
    let outcome = apply(&tree, &patch, &Options { reverse: case.reverse, ..Options::default() })?;
    let accepted = outcome.accepted();
    let _ = outcome.verdict();
    let mut hunks = Vec::new();
    for file in &outcome.files {
        for (i, hunk) in file.hunks.iter().enumerate() {
            match hunk.state {
                HunkState::Applied { line, offset, fuzz } if offset != 0 || fuzz != 0 => {
                    let mut said = format!("Hunk #{} succeeded at {line}", i + 1);
                    if fuzz != 0 {
                        let _ = write!(said, " with fuzz {fuzz}");
                    }
                    if offset != 0 {
                        let _ = write!(said, " (offset {offset} line{})", if offset == 1 { "" } else { "s" });
                    }
                    hunks.push(said + ".");
                }
                HunkState::Failed { line } => hunks.push(format!("Hunk #{} FAILED at {line}.", i + 1)),
                _ => {}
            }
        }
    }
    tree.update(outcome.changes);
    Ok(Said { accepted, tree: tree.iter().map(|(n, f)| (n.to_string(), f.bytes.to_vec())).collect(), hunks })
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn as_gnu_patch_on_generated_cases() {
    if !available("patch") {
        return;
    }
    let (cases, first) = (number("OVERLAYCTL_PATCH_CASES", 400), number("OVERLAYCTL_PATCH_SEED", 1));
    let mut differing = Vec::new();
    let (mut accepted, mut offset, mut fuzz, mut failed, mut refused) = (0, 0, 0, 0, 0);
    for seed in first..first + cases {
        let case = case(seed);
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("t");
        std::fs::create_dir(&inside).unwrap();
        let (theirs, text) = gnu(&inside, &case);
        let ours = ours(&case);
        accepted += u64::from(theirs.accepted);
        offset += u64::from(text.contains("(offset"));
        fuzz += u64::from(text.contains("with fuzz"));
        failed += u64::from(text.contains("FAILED"));
        match ours {
            Ok(ours) if ours == theirs => {}
            // GNU patch gave up in the middle (`patch: ****`): what it leaves says nothing.
            Ok(ours) if !ours.accepted && !theirs.accepted && text.contains("patch: ****") => {}
            // `patch` takes an empty file for a patch; we do not.
            Err(Error::Empty { .. }) => refused += 1,
            // A malformed patch: both must refuse.
            Err(_) if !theirs.accepted => refused += 1,
            ours => differing.push((seed, ours, theirs, text)),
        }
    }
    eprintln!(
        "{cases} cases: {accepted} accepted, {offset} with offset, {fuzz} with fuzz, {failed} with failed hunks, {refused} refused by both, {} differ",
        differing.len()
    );
    if std::env::var_os("OVERLAYCTL_PATCH_SHOW").is_some() {
        for (seed, ours, theirs, text) in &differing {
            let same_tree = ours.as_ref().is_ok_and(|o| o.tree == theirs.tree);
            eprintln!(
                "== {seed} same tree {same_tree}\n{text}-- ours {:?}",
                ours.as_ref().map(|o| (o.accepted, &o.hunks))
            );
        }
    }
    if let Some((seed, ours, theirs, text)) = differing.first() {
        let case = case(*seed);
        let seeds: Vec<_> = differing.iter().map(|d| d.0).take(30).collect();
        panic!(
            "{} of {cases} differ, seeds {seeds:?}; the first:\n--- patch (reverse {})\n{}\n--- tree\n{}\n--- GNU patch said\n{text}\n--- ours {:?}\n--- theirs {:?}\n--- ours tree\n{}\n--- theirs tree\n{}",
            differing.len(),
            case.reverse,
            String::from_utf8_lossy(&case.patch).replace('\r', "\\r"),
            show(&case.tree),
            ours.as_ref().map(|o| (o.accepted, &o.hunks)),
            (theirs.accepted, &theirs.hunks),
            ours.as_ref().map(|o| show(&o.tree)).unwrap_or_default(),
            show(&theirs.tree),
        );
    }
}

fn show(tree: &BTreeMap<String, Vec<u8>>) -> String {
    let mut out = String::new();
    for (name, bytes) in tree {
        let _ = writeln!(out, "{name}:\n{}|", String::from_utf8_lossy(bytes).replace('\r', "\\r"));
    }
    out
}
