//! A fingerprint over all files of a directory: what is cheap to see of each (path, kind, size, times, inode).

use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use twox_hash::XxHash3_128;

/// What changes in `.git` when another revision is checked out; the rest of it is no part of a package set.
const OF_GIT: [&str; 4] = ["HEAD", "logs/HEAD", "packed-refs", "index"];

/// Returns the fingerprint; `None` when something cannot be looked at, or a link leads to a directory outside, whose files
/// would not be covered.
pub(super) fn of(root: &Path) -> Option<u128> {
    let root = root.canonicalize().ok()?;
    let mut sum = 0u128;
    let mut level = vec![root.clone()];
    while !level.is_empty() {
        let looked: Option<Vec<(u128, Vec<PathBuf>)>> = level.par_iter().map(|dir| look(&root, dir)).collect();
        level = Vec::new();
        for (print, dirs) in looked? {
            // The order in which a directory lists its files says nothing.
            sum = sum.wrapping_add(print);
            level.extend(dirs);
        }
    }
    Some(sum)
}

/// Looks at one directory: the sum over what is in it, and the directories below.
fn look(root: &Path, dir: &Path) -> Option<(u128, Vec<PathBuf>)> {
    let mut sum = 0u128;
    let mut dirs = Vec::new();
    for entry in std::fs::read_dir(dir).ok()? {
        let entry = entry.ok()?;
        let path = entry.path();
        let there = entry.metadata().ok()?;
        if entry.file_name() == ".git" && there.is_dir() {
            for file in OF_GIT.map(|name| path.join(name)) {
                if let Ok(there) = file.symlink_metadata() {
                    sum = sum.wrapping_add(print(&file, &there, true));
                }
            }
            continue;
        }
        if there.is_symlink() {
            // What it leads to counts as well; one that leads nowhere is only itself.
            if let Ok(target) = path.metadata() {
                if target.is_dir() && !path.canonicalize().ok()?.starts_with(root) {
                    return None;
                }
                sum = sum.wrapping_add(print(&path, &target, !target.is_dir()).rotate_left(1));
            }
        }
        // Where a directory was written to says nothing that its files do not say.
        sum = sum.wrapping_add(print(&path, &there, !there.is_dir()));
        if there.is_dir() {
            dirs.push(path);
        }
    }
    Some((sum, dirs))
}

fn print(path: &Path, there: &Metadata, times: bool) -> u128 {
    let mut text = Vec::with_capacity(256);
    text.extend_from_slice(path.as_os_str().as_bytes());
    let mut add = |number: i64| text.extend_from_slice(&number.to_le_bytes());
    add(i64::from(there.mode()));
    if times {
        for number in [there.size() as i64, there.mtime(), there.mtime_nsec(), there.ctime(), there.ctime_nsec()] {
            add(number);
        }
        add(there.ino() as i64);
        add(there.dev() as i64);
    }
    XxHash3_128::oneshot(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs;

    #[test]
    fn whatever_changes_changes_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(&root.join("a/b.nix"), b"1").unwrap();
        let mut seen = vec![of(root).unwrap()];
        assert_eq!(of(root), Some(seen[0]));
        let mut next = |what: &str| {
            let print = of(root).unwrap();
            assert!(!seen.contains(&print), "{what}");
            seen.push(print);
        };
        fs::write(&root.join("a/c.json"), b"{}").unwrap();
        next("a new file, read by readFile only");
        fs::write(&root.join("a/b.nix"), b"2").unwrap();
        next("the same size");
        std::fs::create_dir(root.join("d")).unwrap();
        next("an empty directory, seen by readDir");
        std::fs::rename(root.join("a"), root.join("e")).unwrap();
        next("a renamed directory");
        fs::link(Path::new("e/b.nix"), &root.join("l")).unwrap();
        next("a link");
        fs::remove(&root.join("e/c.json")).unwrap();
        next("a file that is gone");
        fs::link(Path::new("/"), &root.join("out")).unwrap();
        assert_eq!(of(root), None, "a link to a directory outside");
    }
}
