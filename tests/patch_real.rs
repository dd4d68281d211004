//! The engine of `patch/` on the patch queues that Debian carries, against GNU patch.
//!
//! `OVERLAYCTL_DEBIAN_SOURCES` names a folder of unpacked Debian source packages (each with `debian/patches/series`, the
//! patches not applied). Each patch is applied in order, then a second time, then to the wrong state, with both.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects and fails loudly")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use overlayctl::patch::series::Series;
use overlayctl::patch::{
    EXECUTABLE, HunkState, MemoryTree, Options, Outcome, PatchFile, REGULAR, Refreshed, SYMLINK, Verdict, apply,
    refresh,
};

fn load(dir: &Path, tree: &mut MemoryTree, root: &Path) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
        let meta = path.symlink_metadata().unwrap();
        if meta.is_symlink() {
            tree.insert(name, std::fs::read_link(&path).unwrap().to_str().unwrap(), SYMLINK);
        } else if meta.is_dir() {
            if name != "debian" {
                load(&path, tree, root);
            }
        } else {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = if meta.permissions().mode() & 0o100 != 0 { EXECUTABLE } else { REGULAR };
            tree.insert(name, std::fs::read(&path).unwrap(), mode);
        }
    }
}

/// Writes the files of a patch from the tree, runs `patch`, and reads them again.
fn gnu(
    tree: &MemoryTree,
    names: &[String],
    patch: &Path,
    strip: usize,
) -> (bool, Vec<String>, BTreeMap<String, Option<Vec<u8>>>) {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        if let Some(file) = tree.get(name) {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &file.bytes).unwrap();
        }
    }
    let output = Command::new("patch")
        .arg(format!("-p{strip}"))
        .current_dir(dir.path())
        .env("LC_ALL", "C")
        .stdin(std::fs::File::open(patch).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let hunks =
        text.lines().filter(|l| l.starts_with("Hunk #") && !l.contains("ignored")).map(str::to_string).collect();
    let after = names.iter().map(|n| (n.clone(), std::fs::read(dir.path().join(n)).ok())).collect();
    (output.status.success(), hunks, after)
}

fn said(outcome: &Outcome) -> Vec<String> {
    let mut out = Vec::new();
    for file in &outcome.files {
        for (i, hunk) in file.hunks.iter().enumerate() {
            match hunk.state {
                HunkState::Applied { line, offset, fuzz } if (offset, fuzz) != (0, 0) => {
                    let fuzz = if fuzz > 0 { format!(" with fuzz {fuzz}") } else { String::new() };
                    let lines = if offset == 1 { "line" } else { "lines" };
                    let offset = if offset != 0 { format!(" (offset {offset} {lines})") } else { String::new() };
                    out.push(format!("Hunk #{} succeeded at {line}{fuzz}{offset}.", i + 1));
                }
                HunkState::Failed { line } => out.push(format!("Hunk #{} FAILED at {line}.", i + 1)),
                _ => {}
            }
        }
    }
    out
}

#[test]
fn debian_queues_as_gnu_patch() {
    let Some(sources) = std::env::var_os("OVERLAYCTL_DEBIAN_SOURCES").map(PathBuf::from) else {
        eprintln!("skipped: OVERLAYCTL_DEBIAN_SOURCES does not name unpacked Debian source packages");
        return;
    };
    if !Command::new("patch").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        eprintln!("skipped: `patch` is not installed");
        return;
    }
    let mut packages: Vec<PathBuf> = std::fs::read_dir(&sources).unwrap().map(|e| e.unwrap().path()).collect();
    packages.sort();
    let (mut patches, mut compared, mut offsets, mut fuzzes) = (0, 0, 0, 0);
    for package in packages {
        let folder = package.join("debian/patches");
        let Ok(text) = std::fs::read_to_string(folder.join("series")) else { continue };
        let series = Series::parse(&text).unwrap();
        assert_eq!(series.to_string(), text);
        let mut original = MemoryTree::new();
        load(&package, &mut original, &package);
        let mut tree = original.clone();
        for entry in series.entries() {
            let file = folder.join(&entry.name);
            let bytes = std::fs::read(&file).unwrap();
            let patch = PatchFile::parse(&bytes).unwrap_or_else(|e| panic!("{}: {e} {:?}", file.display(), e.spot()));
            assert_eq!(patch.to_bytes(), bytes, "{}", file.display());
            assert!(patch.headers().subject.is_some() || patch.preamble().is_empty(), "{}", file.display());
            let targets = patch.check(entry.strip).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            // `patch` keeps a copy `f.orig` of what did not fit exactly, so such a name says nothing.
            let names: Vec<String> = targets
                .iter()
                .flat_map(|t| [t.old.clone(), t.new.clone()])
                .flatten()
                .filter(|n| !n.ends_with(".orig"))
                .collect();
            let options = Options { strip: entry.strip, ..Options::default() };
            patches += 1;
            let mut next = tree.clone();
            // In order; a second time; and to the unpatched source, where earlier patches of the queue are missing.
            for (what, base) in [("in order", 0), ("a second time", 1), ("out of order", 2)] {
                let base = match base {
                    0 => &tree,
                    1 => &next,
                    _ => &original,
                };
                let outcome = apply(base, &patch, &options).unwrap();
                let (accepted, hunks, after) = gnu(base, &names, &file, entry.strip);
                let context = format!("{} {what}", file.display());
                assert_eq!((outcome.accepted(), said(&outcome)), (accepted, hunks), "{context}");
                let mut ours = base.clone();
                ours.update(outcome.changes.clone());
                for (name, theirs) in &after {
                    assert_eq!(ours.get(name).map(|f| f.bytes.to_vec()), *theirs, "{context}: {name}");
                }
                compared += 1;
                match what {
                    "in order" => {
                        assert!(accepted, "{context}");
                        offsets += usize::from(outcome.verdict() == Verdict::Offset);
                        fuzzes += usize::from(outcome.verdict() == Verdict::Fuzz);
                        // A refreshed patch makes the same tree, clean.
                        if let Refreshed::Rewritten(bytes) = refresh(base, &patch, &options).unwrap() {
                            let fresh = PatchFile::parse(&bytes).unwrap();
                            let again = apply(base, &fresh, &options).unwrap();
                            assert_eq!(again.verdict(), Verdict::Clean, "{context}");
                            assert_eq!(again.changes, outcome.changes, "{context}");
                        }
                        // Backwards it gives the tree before.
                        let mut back = ours.clone();
                        let outcome = apply(&ours, &patch, &Options { reverse: true, ..options }).unwrap();
                        assert!(outcome.accepted(), "{context}");
                        back.update(outcome.changes);
                        assert!(&back == base, "{context}: backwards");
                        next = ours;
                    }
                    "a second time" => assert!(
                        matches!(outcome.verdict(), Verdict::AlreadyApplied) || accepted,
                        "{context}: {:?}",
                        outcome.verdict()
                    ),
                    _ => {}
                }
            }
            tree = next;
        }
    }
    eprintln!("{patches} patches, {compared} comparisons; in order {offsets} with offset, {fuzzes} with fuzz");
    assert!(patches > 0, "no patch found in {}", sources.display());
}

fn patches_below(dir: &Path, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.map(|e| e.unwrap().path()) {
        if path.is_dir() && !path.is_symlink() {
            patches_below(&path, out);
        } else if path.extension().is_some_and(|e| e == "patch" || e == "diff") {
            out.push(path);
        }
    }
}

/// Every patch of a nixpkgs checkout is read, given back to the byte, and applies to what its own hunks say was there.
#[test]
fn the_patches_of_nixpkgs() {
    let named = ["OVERLAYCTL_NIXPKGS", "OVERLAYCTL_NIXPKGS_1909"];
    let checkouts: Vec<PathBuf> = named.into_iter().filter_map(std::env::var_os).map(PathBuf::from).collect();
    if checkouts.is_empty() {
        eprintln!("skipped: neither of {} names a checkout of nixpkgs", named.join(", "));
        return;
    }
    let mut files = Vec::new();
    for checkout in &checkouts {
        patches_below(checkout, &mut files);
    }
    files.sort();
    let (mut read, mut usable, mut subjects, mut normalised) = (0, 0, 0, 0);
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in &files {
        let bytes = std::fs::read(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let patch = match PatchFile::parse(&bytes) {
            Ok(patch) => patch,
            Err(error) => {
                refused
                    .entry(format!("{error}"))
                    .or_default()
                    .push(format!("{name}:{}", error.spot().map_or(0, |s| s.line)));
                continue;
            }
        };
        read += 1;
        assert_eq!(patch.to_bytes(), bytes, "{}", path.display());
        subjects += usize::from(patch.headers().subject.is_some());
        match patch.check(1) {
            Ok(_) => usable += 1,
            Err(error) => {
                refused.entry(format!("-p1: {error}")).or_default().push(name);
                if let Ok(bytes) = overlayctl::patch::to_level(&patch, patch.strip_level(), 1) {
                    PatchFile::parse(&bytes).unwrap().check(1).unwrap();
                    normalised += 1;
                }
            }
        }
    }
    eprintln!(
        "{} files: {read} read, {usable} usable with -p1, {normalised} more normalised, {subjects} with a subject; refused:",
        files.len()
    );
    for (why, names) in &refused {
        eprintln!("  {} {why}: {}", names.len(), names.iter().take(4).cloned().collect::<Vec<_>>().join(" "));
    }
    // Of these patches nixpkgs applies all but a few; one in fifty refused would mean that we are too strict.
    assert!(files.is_empty() || (files.len() - read) * 50 < files.len());
}
