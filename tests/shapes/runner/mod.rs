//! Runs shapes and gathers what is wrong with them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects")]

mod expect;
mod kept;
mod oracle;
mod reading;
mod scene;
mod writing;

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use overlayctl::base::process::find_program;
use serde_json::Value;

use crate::support;
use expect::Expect;
use scene::Scene;

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shapes")
}

/// Returns the names of all shapes.
pub fn shapes() -> Vec<String> {
    let names = fs::read_dir(dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| dir().join(name).join("expect.toml").is_file()).collect();
    names.sort();
    names
}

/// Says whether a shape is one of a group: its name begins with the group's word.
pub fn is_of(name: &str, group: &str) -> bool {
    name.split('-').next() == Some(group)
}

/// Returns what is known to be wrong with a shape, by kind: `known-faults.txt`, a line `SHAPE: KIND` each.
fn known(shape: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(dir().join("known-faults.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "));
    lines.filter(|(name, _)| *name == shape).map(|(_, kind)| kind.to_string()).collect()
}

/// Splits what is wrong with a shape into what is not known, and says what is known and did not show: the list only shrinks.
fn judged(shape: &str, failures: Vec<String>) -> Vec<String> {
    let known = known(shape);
    let kind = |line: &String| line.trim_start_matches("WRONG ").split(" | ").next().unwrap_or_default().to_string();
    let shown: BTreeSet<String> = failures.iter().map(kind).collect();
    let mended =
        known.difference(&shown).map(|kind| format!("MENDED {shape}: {kind}: take it out of known-faults.txt"));
    let new = failures.iter().filter(|line| !known.contains(&kind(line))).cloned();
    new.chain(mended).collect()
}

/// Runs the shapes of a group, and panics with everything that is wrong with them.
pub fn group(group: &str) {
    if find_program("nix-instantiate").is_none() || find_program("nix").is_none() {
        // Not by `eprintln!`, which is kept from the eye when a test passes.
        let _ = writeln!(std::io::stderr(), "skipped: the shapes `{group}-...` need Nix, which is not installed");
        return;
    }
    let only = std::env::var("SHAPE").unwrap_or_default();
    let mut wrong = Vec::new();
    let of_group = shapes().into_iter().filter(|name| is_of(name, group) && name.starts_with(&only));
    for name in of_group {
        let began = std::time::Instant::now();
        let mut report = Report { shape: name.clone(), failures: Vec::new() };
        let path = dir().join(&name);
        let text = fs::read_to_string(path.join("expect.toml")).unwrap();
        let expect: Expect = toml_edit::de::from_str(&text).unwrap_or_else(|e| panic!("{name}/expect.toml: {e}"));
        let scene = Scene::new(&path);
        reading::check(&scene, &expect, &mut report);
        writing::check(&scene, &expect, &mut report);
        if std::env::var_os("SHAPES_LIST").is_some() {
            report.failures.iter().for_each(|line| eprintln!("{line}"));
        }
        let all = report.failures.len();
        let judged = judged(&name, report.failures);
        eprintln!("{name}: {all} wrong, {} not known, {:.1} s", judged.len(), began.elapsed().as_secs_f32());
        wrong.extend(judged);
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with a shape.
pub struct Report {
    shape: String,
    failures: Vec<String>,
}

impl Report {
    /// Notes a failure: its kind, the command, what was expected and what came.
    pub fn fail(&mut self, kind: &str, command: impl Display, expected: impl Display, got: impl Display) {
        // One line each, so that they can be sorted by kind.
        let line = format!("WRONG {kind} | {} | {command} | expected {expected} | got {got}", self.shape);
        self.failures.push(line.replace('\n', "⏎"));
    }

    /// Returns how many there are so far.
    pub fn count(&self) -> usize {
        self.failures.len()
    }

    /// Notes a failure when two sets differ.
    pub fn same<T: Ord + Debug>(&mut self, kind: &str, command: &str, expected: &BTreeSet<T>, got: &BTreeSet<T>) {
        if expected != got {
            let missing: Vec<&T> = expected.difference(got).collect();
            let surplus: Vec<&T> = got.difference(expected).collect();
            self.fail(kind, command, format!("{expected:?}"), format!("missing {missing:?}, surplus {surplus:?}"));
        }
    }

    /// Runs a command and reads its answer; it has to end with one of these.
    pub fn json(&mut self, scene: &Scene, line: &[&str], codes: &[i32]) -> Option<Value> {
        let output = scene.run(line);
        let answer = serde_json::from_slice(&output.stdout).ok();
        let is_good = output.status.code().is_some_and(|code| codes.contains(&code));
        if !is_good || answer.is_none() {
            let said = support::said(&output);
            let said: String = said.chars().take(300).collect();
            self.fail(
                &format!("{}: failed", line[0]),
                line.join(" "),
                format!("{codes:?}"),
                format!("{:?} {said}", output.status.code()),
            );
            return None;
        }
        answer
    }
}
