//! What a text has to keep, and how differences between files are told.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::Output;

use super::scene::Files;
use crate::support;

/// Returns the name of a file.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Returns the subjects of patches, which are enough to tell those of the shapes apart.
pub fn subjects(patches: &[Vec<u8>]) -> String {
    let of = |patch: &Vec<u8>| {
        let text = String::from_utf8_lossy(patch).into_owned();
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ").map(str::to_owned));
        subject.unwrap_or_else(|| text.lines().next().unwrap_or_default().to_owned())
    };
    format!("{:?}", patches.iter().map(of).collect::<Vec<_>>())
}

/// Returns what differs between two states, in a few lines.
pub fn changed(before: &Files, now: &Files) -> String {
    let mut lines = Vec::new();
    for path in before.keys().chain(now.keys()).collect::<BTreeSet<_>>() {
        match (before.get(path), now.get(path)) {
            (Some(a), Some(b)) if a != b => lines.push(format!("{} differs:\n{}", path.display(), b.text())),
            (Some(_), None) => lines.push(format!("{} is gone", path.display())),
            (None, Some(_)) => lines.push(format!("{} is new", path.display())),
            _ => {}
        }
    }
    lines.join("; ")
}

pub fn first_error(output: &Output) -> String {
    let text = support::said(output);
    let errors = text.lines().skip_while(|line| !line.starts_with("error") && !line.contains("panicked"));
    let lines: Vec<&str> = errors.take(3).map(str::trim).collect();
    if lines.is_empty() { text.chars().take(300).collect() } else { lines.join(" | ") }
}

/// Returns the relative paths to patch files that a Nix text writes.
pub fn path_literals(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || "._-+/".contains(c));
    let is_path = |word: &&str| (word.starts_with("./") || word.starts_with("../")) && word.ends_with(".patch");
    text.split(ends).filter(is_path)
}

/// Returns a path without `.` and `a/..`, by its text alone.
pub fn collapsed(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut out, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
        out
    })
}

/// Says whether two paths are the same without looking at the disk.
pub fn same(a: &Path, b: &Path) -> bool {
    collapsed(a) == collapsed(b)
}

/// Takes the paths of patches out of a text.
fn without_patches(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "._-+/".contains(c);
    let words = text.split_inclusive(|c: char| !is_part(c));
    words.filter(|word| !word.trim_end_matches(|c| !is_part(c)).ends_with(".patch")).collect()
}

/// Says whether two texts have the same lines, in whatever order, but for the paths of patches.
pub fn same_lines(old: &str, new: &str) -> bool {
    let sorted = |text: &str| {
        let text = without_patches(text);
        let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        lines.sort();
        lines
    };
    sorted(old) == sorted(new)
}

/// Says whether everything of the old text that is no path of a patch is in the new one, in its order.
pub fn is_kept(old: &str, new: &str) -> bool {
    let new = without_patches(new);
    let mut left = new.chars();
    without_patches(old).chars().filter(|c| !c.is_whitespace()).all(|c| left.any(|other| other == c))
}
