//! Where the overlays of a workspace are: its entry points, what they import or load from a folder, and at last everything.
//!
//! Files are judged by their text alone, quickly and generously: whether a function is an overlay is for those to say
//! who can parse. Nothing outside the workspace is found, no symbolic link to a folder is followed, and every search is
//! bounded. Must not parse Nix.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// The largest file that is read, in bytes: a megabyte is more than any overlay written by hand has.
const MAX_SIZE: u64 = 4 << 20;
/// The most `.nix` files that a search reads.
const MAX_FILES: usize = 2_000;
/// The most bytes that a search reads.
const MAX_BYTES: u64 = 32 << 20;
/// The most entries of folders that a search looks at.
const MAX_ENTRIES: usize = 20_000;
/// With more path literals than this in one text its folder is listed once, instead of asking for each.
const MANY: usize = 64;
/// The deepest folder that is looked into.
const MAX_DEPTH: usize = 10;

/// Files that by custom say what a workspace consists of.
const ENTRY_POINTS: &[&str] = &[
    "overlay.nix",
    "overlays.nix",
    "default.nix",
    "flake.nix",
    "configuration.nix",
    "home.nix",
    "config.nix",
    "nixpkgs.nix",
    "devenv.nix",
    "shell.nix",
    "release.nix",
    "overlay/default.nix",
    "pkgs/overlay.nix",
    "pkgs/overlays.nix",
    "pkgs/default.nix",
    "nix/overlay.nix",
    "nix/overlays.nix",
    "nix/default.nix",
    "nix/nixpkgs.nix",
    "nix/pkgs.nix",
    "nixpkgs/config.nix",
    "nixpkgs/overlays.nix",
    ".config/nixpkgs/config.nix",
];

/// Folders whose every file is an overlay by custom.
const OVERLAY_FOLDERS: &[&str] = &["overlays", "nix/overlays", "nixpkgs/overlays", ".config/nixpkgs/overlays"];

/// Folders that hold what is not the workspace's own.
const FOREIGN: &[&str] = &["node_modules", "target", "npins", "vendor", "dist", "__pycache__"];

/// Folders with examples: what they bind is bound for nobody.
const EXAMPLES: &[&str] = &["test", "tests", "example", "examples", "template", "templates", "fixtures", "docs", "doc"];

/// Returns the entry points that are there, relative to `root`.
pub(super) fn entry_points(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in OVERLAY_FOLDERS {
        below(root, Path::new(folder), &mut Budget::default(), &mut found);
    }
    found.extend(ENTRY_POINTS.iter().map(PathBuf::from).filter(|path| root.join(path).is_file()));
    found
}

/// Returns the files that `seeds` lead to, themselves included, whose text looks as if it held an overlay; without those of
/// `known`, whose path literals were followed before.
pub(super) fn reachable(root: &Path, seeds: &[PathBuf], known: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    followed(root, seeds, known, &may_hold_overlay)
}

/// Returns the files that `seeds` lead to, themselves included, whose text is `wanted`; without those of `known`.
pub(super) fn followed(
    root: &Path,
    seeds: &[PathBuf],
    known: &BTreeSet<PathBuf>,
    wanted: &dyn Fn(&str) -> bool,
) -> Vec<PathBuf> {
    let mut budget = Budget::default();
    let mut seen: BTreeSet<PathBuf> = known.clone();
    let mut todo: Vec<PathBuf> = seeds.iter().rev().cloned().collect();
    let mut found = Vec::new();
    while let Some(path) = todo.pop() {
        let path = if root.join(&path).is_dir() { path.join("default.nix") } else { path };
        let Some(path) = normal(&path).filter(|path| seen.insert(path.clone())) else { continue };
        if path.extension().is_none_or(|e| e != "nix") || !is_inside(root, &path) {
            continue;
        }
        let Some(text) = budget.read(&root.join(&path)) else { continue };
        let next = leads(root, &path, &text, &mut budget);
        if wanted(&text) {
            found.push(path);
        }
        todo.extend(next.into_iter().rev().filter(|path| !seen.contains(path)));
    }
    found
}

/// Returns every file of the workspace whose text looks as if it held an overlay; examples, tests and those of `known` come
/// not at all.
pub(super) fn everywhere(root: &Path, patches: &Path, known: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut budget = Budget::default();
    let mut files = Vec::new();
    below(root, Path::new(""), &mut budget, &mut files);
    files.retain(|path| {
        let example = |c: Component| EXAMPLES.iter().any(|name| c.as_os_str() == *name);
        !known.contains(path)
            && !path.components().any(example)
            && !root.join(path).starts_with(patches)
            && is_inside(root, path)
            && budget.read(&root.join(path)).is_some_and(|text| may_hold_overlay(&text))
    });
    files
}

/// What a search may still spend.
struct Budget {
    files: usize,
    bytes: u64,
    entries: usize,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { files: MAX_FILES, bytes: MAX_BYTES, entries: MAX_ENTRIES }
    }
}

impl Budget {
    /// Reads a text, if there is still something to spend and it is one.
    fn read(&mut self, path: &Path) -> Option<String> {
        let size = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?.len();
        self.files = self.files.checked_sub(1)?;
        if size > MAX_SIZE {
            return None;
        }
        self.bytes = self.bytes.checked_sub(size)?;
        String::from_utf8(std::fs::read(path).ok()?).ok()
    }
}

/// Adds the `.nix` files below a folder, those of a folder before those of its folders, each in the order of the names.
fn below(root: &Path, folder: &Path, budget: &mut Budget, files: &mut Vec<PathBuf>) {
    let depth = folder.components().count();
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return };
    let mut entries: Vec<std::fs::DirEntry> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let mut folders = Vec::new();
    for entry in entries {
        let Some(left) = budget.entries.checked_sub(1) else { return };
        budget.entries = left;
        let (Ok(kind), name) = (entry.file_type(), entry.file_name()) else { continue };
        let path = folder.join(&name);
        if kind.is_dir() {
            folders.push(path);
        } else if path.extension().is_some_and(|e| e == "nix") {
            files.push(path);
        }
    }
    for path in folders {
        if depth < MAX_DEPTH && !is_foreign(root, &path) {
            below(root, &path, budget, files);
        }
    }
}

/// Says whether a folder is hidden, a build result, another repository, or a copy of nixpkgs.
fn is_foreign(root: &Path, folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.')
        || name.starts_with("result")
        || FOREIGN.contains(&name.as_ref())
        || root.join(folder).join(".git").exists()
        || root.join(folder).join("pkgs/top-level").is_dir()
}

/// Returns the files that the path literals of `from` lead to, each once.
fn leads(root: &Path, from: &Path, text: &str, budget: &mut Budget) -> Vec<PathBuf> {
    let folder = from.parent().unwrap_or(Path::new(""));
    let literals = path_literals(text);
    // Thousands of `callPackage ./x` lead nowhere that is an overlay; most of them to what is not there at all.
    let there = (literals.len() > MANY).then(|| names(&root.join(folder)));
    let is_there = |literal: &str| {
        let first = literal.strip_prefix("./").map(|rest| rest.split('/').find(|part| !part.is_empty()));
        let (Some(there), Some(Some(first))) = (&there, first) else { return true };
        matches!(first, "." | "..") || there.contains(std::ffi::OsStr::new(first))
    };
    let mut asked = HashSet::new();
    let mut next = Vec::new();
    for literal in literals {
        if next.len() >= MAX_FILES {
            break;
        }
        if asked.insert(literal) && is_there(literal) {
            lead(root, folder, text, literal, budget, &mut next);
        }
    }
    next
}

/// Returns what a folder holds, by name.
fn names(folder: &Path) -> HashSet<OsString> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect()
}

/// Adds the files that a path literal of a file in `folder` leads to.
fn lead(root: &Path, folder: &Path, text: &str, literal: &str, budget: &mut Budget, next: &mut Vec<PathBuf>) {
    let bases: &[&Path] = if literal.starts_with('/') { &[Path::new(""), folder] } else { &[folder] };
    for base in bases {
        let Some(path) = normal(&base.join(literal.trim_start_matches('/'))) else { continue };
        let at = root.join(&path);
        let Ok(kind) = std::fs::symlink_metadata(&at) else { continue };
        if !kind.is_dir() {
            next.push(path);
            return;
        }
        let default = path.join("default.nix");
        let is_default = root.join(&default).is_file();
        let loads = ["readDir", "import-tree", "importTree", "haumea", "listFilesRecursive", "FromDirectory"]
            .iter()
            .any(|word| text.contains(word));
        if is_default {
            next.push(default);
        }
        // Only something that loads a folder can be given one that cannot be imported.
        if (loads || !is_default) && !path.as_os_str().is_empty() && !is_foreign(root, &path) {
            below(root, &path, budget, next);
        }
        return;
    }
}

/// Returns a relative path without `.` and `..`; `None` when it leaves the folder that it starts in.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

/// Says whether a file, its symbolic links followed, is in the workspace.
fn is_inside(root: &Path, path: &Path) -> bool {
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    match (root.canonicalize(), root.join(path).canonicalize()) {
        (Ok(root), Ok(path)) => path.starts_with(root),
        _ => false,
    }
}

/// Returns the path literals of a Nix text: `./x`, `../x`, and `/x` where it follows a folder's variable, as in
/// `"${self}/x"` and `self + "/x"`. What stands in comments is among them.
pub fn path_literals(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let is_path = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'/');
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(slash) = bytes.get(at..).and_then(|rest| memchr::memchr(b'/', rest)).map(|found| at + found) {
        let before = bytes.get(..slash).unwrap_or_default();
        let rest = bytes.get(slash..).unwrap_or_default();
        let start = before.iter().rposition(|b| !is_path(b)).map_or(0, |other| other + 1);
        let end = rest.iter().position(|b| !is_path(b)).map_or(bytes.len(), |length| slash + length);
        at = end.max(slash + 1);
        let Some(literal) = text.get(start..end) else { continue };
        let relative = literal.starts_with("./") || literal.starts_with("../");
        let joined = literal.starts_with('/')
            && literal.len() > 1
            && start.checked_sub(1).and_then(|i| bytes.get(i)).is_some_and(|b| matches!(b, b'"' | b'}'));
        if relative || joined {
            out.push(literal);
        }
    }
    out
}

/// Says whether a text holds `packageOverrides`, flake-parts' `overlayAttrs`, or the head of a function of two plain arguments.
fn may_hold_overlay(text: &str) -> bool {
    text.contains("packageOverrides") || text.contains("overlayAttrs") || has_two_arguments(text.as_bytes())
}

fn has_two_arguments(bytes: &[u8]) -> bool {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'\'');
    let mut at = 0;
    while let Some(colon) = bytes.get(at..).and_then(|rest| memchr::memchr(b':', rest)).map(|i| at + i) {
        at = colon + 1;
        let before = bytes.get(..colon).unwrap_or_default().trim_ascii_end().last();
        if before.is_none_or(|b| !is_name(*b)) {
            continue;
        }
        let mut rest = bytes.get(at..).unwrap_or_default().trim_ascii_start();
        while let Some(b'#') = rest.first() {
            let line = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            rest = rest.get(line..).unwrap_or_default().trim_ascii_start();
        }
        if rest.starts_with(b"/*") {
            // Rare enough not to be looked through.
            return true;
        }
        // Without the parentheses of `final: (prev: ...)`.
        while let Some(b'(') = rest.first() {
            rest = rest.get(1..).unwrap_or_default().trim_ascii_start();
        }
        let name = rest.iter().take_while(|b| is_name(**b)).count();
        if name > 0 && rest.get(name..).unwrap_or_default().trim_ascii_start().first() == Some(&b':') {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            crate::base::fs::write(&dir.path().join(name), text.as_bytes()).unwrap();
        }
        dir
    }

    fn shown(paths: Vec<PathBuf>) -> Vec<String> {
        paths.into_iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn heads_are_seen_and_sets_are_not() {
        for text in
            ["final: prev: { }", "{ inputs }: _: _: { }", "a:\n# x\n  b:\n x", "self: (super: { })", "a /* */ : b: c"]
        {
            assert_eq!(has_two_arguments(text.as_bytes()), !text.contains("/*"), "{text}");
        }
        for text in ["{ pkgs, ... }: { a = 1; }", "\"https://x.org:80\"", "x: { y = 1; }", "::", ":", ""] {
            assert!(!has_two_arguments(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn literals_of_every_spelling() {
        let text = "[ ./a.nix (import ../b) \"${self}/c/d.nix\" (self + \"/e\") a/b 1/2 <nixpkgs/x> https://h/x ./. ]";
        assert_eq!(path_literals(text), ["./a.nix", "../b", "/c/d.nix", "/e", "./."]);
    }

    #[test]
    fn imports_folders_and_modules_are_followed() {
        let overlay = "final: prev: { }";
        let dir = tree(&[
            ("flake.nix", "{ outputs = { self }: { a = [ ./modules ]; b = \"${self}/lib/o.nix\"; c = ./../x.nix; }; }"),
            ("modules/default.nix", "{ imports = [ ./nixpkgs.nix ]; }"),
            ("modules/nixpkgs.nix", "{ nixpkgs.overlays = [ (self: super: { }) ]; }"),
            ("modules/other.nix", overlay),
            ("lib/o.nix", overlay),
            ("nix/default.nix", "map (n: import (./loaded + n)) (attrNames (readDir ./loaded))"),
            ("nix/loaded/x.nix", overlay),
            ("nix/loaded/y/default.nix", overlay),
            ("tests/z.nix", overlay),
            ("result-1/z.nix", overlay),
            ("sub/.git/HEAD", ""),
            ("sub/z.nix", overlay),
            ("deep/z.nix", overlay),
        ]);
        let found = reachable(dir.path(), &entry_points(dir.path()), &BTreeSet::new());
        assert_eq!(shown(found), ["modules/nixpkgs.nix", "lib/o.nix", "nix/loaded/x.nix", "nix/loaded/y/default.nix"]);
        let mut all = shown(everywhere(dir.path(), Path::new("patches"), &BTreeSet::new()));
        all.sort();
        assert_eq!(
            all,
            [
                "deep/z.nix",
                "lib/o.nix",
                "modules/nixpkgs.nix",
                "modules/other.nix",
                "nix/loaded/x.nix",
                "nix/loaded/y/default.nix"
            ]
        );
    }

    #[test]
    fn what_leaves_the_workspace_is_not_found() {
        let outside = tree(&[("o.nix", "final: prev: { }")]);
        let dir = tree(&[
            ("default.nix", "[ ../o.nix ./link.nix /etc/x ./../../../../etc/passwd ./own.nix ]"),
            ("own.nix", "a: b: { }"),
        ]);
        std::os::unix::fs::symlink(outside.path().join("o.nix"), dir.path().join("link.nix")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("folder")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        std::os::unix::fs::symlink("own.nix", dir.path().join("overlay.nix")).unwrap();
        assert_eq!(
            shown(reachable(dir.path(), &entry_points(dir.path()), &BTreeSet::new())),
            ["overlay.nix", "own.nix"]
        );
        assert_eq!(shown(everywhere(dir.path(), Path::new("patches"), &BTreeSet::new())), ["overlay.nix", "own.nix"]);
    }
}
