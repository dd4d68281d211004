//! A fingerprint over all files of a directory: what is cheap to see of each (path, kind, size, times, inode).

use std::ffi::CStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rayon::prelude::*;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, open, statat};
use twox_hash::XxHash3_128;

/// What changes in `.git` when another revision is checked out; the rest of it is no part of a package set.
const OF_GIT: [&CStr; 4] = [c".git/HEAD", c".git/logs/HEAD", c".git/packed-refs", c".git/index"];

/// What all files of a directory look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// Another number for other files.
    pub print: u128,
    /// When something was changed last, in nanoseconds since 1970.
    newest: i128,
}

impl Fingerprint {
    /// Says whether something changed after `moment`, or so shortly before that the file system's clock cannot tell.
    pub(super) fn changed_since(&self, moment: SystemTime) -> bool {
        /// A tick of the slowest clock that a kernel marks files with.
        const TICK: Duration = Duration::from_millis(11);
        let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(TICK);
        i128::try_from(since.as_nanos()).is_ok_and(|since| self.newest >= since)
    }
}

/// Returns the fingerprint; `None` when something cannot be looked at, or a link leads to a directory outside, whose files
/// would not be covered.
pub(super) fn of(root: &Path) -> Option<Fingerprint> {
    let root = root.canonicalize().ok()?;
    let mut sum = Fingerprint { print: 0, newest: 0 };
    let mut level = vec![root.clone()];
    while !level.is_empty() {
        let looked: Option<Vec<(Fingerprint, Vec<PathBuf>)>> = level.par_iter().map(|dir| look(&root, dir)).collect();
        level = Vec::new();
        for (found, dirs) in looked? {
            // The order in which a directory lists its files says nothing.
            sum.print = sum.print.wrapping_add(found.print);
            sum.newest = sum.newest.max(found.newest);
            level.extend(dirs);
        }
    }
    Some(sum)
}

/// Looks at one directory: the sum over what is in it, and the directories below. Each file is asked for relative to the
/// open directory, which halves the time of asking for its whole path.
fn look(root: &Path, dir: &Path) -> Option<(Fingerprint, Vec<PathBuf>)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut entries = Dir::new(open(dir, flags, Mode::empty()).ok()?).ok()?;
    let mut looking = Looking { sum: Fingerprint { print: 0, newest: 0 }, text: Vec::with_capacity(256) };
    let place = XxHash3_128::oneshot(dir.as_os_str().as_bytes());
    let mut dirs = Vec::new();
    while let Some(entry) = entries.read() {
        let entry = entry.ok()?;
        let fd = entries.fd().ok()?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let there = statat(fd, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let kind = FileType::from_raw_mode(there.st_mode);
        let path = || dir.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
        if name == c".git" && kind == FileType::Directory {
            for file in OF_GIT {
                if let Ok(there) = statat(fd, file, AtFlags::SYMLINK_NOFOLLOW) {
                    looking.add(place, file, &there, true);
                }
            }
            continue;
        }
        if kind == FileType::Symlink {
            // What it leads to counts as well; one that leads nowhere is only itself.
            if let Ok(target) = statat(fd, name, AtFlags::empty()) {
                let is_dir = FileType::from_raw_mode(target.st_mode) == FileType::Directory;
                if is_dir && !path().canonicalize().ok()?.starts_with(root) {
                    return None;
                }
                looking.add(place.rotate_left(1), name, &target, !is_dir);
            }
        }
        // Where a directory was written to says nothing that its files do not say.
        looking.add(place, name, &there, kind != FileType::Directory);
        if kind == FileType::Directory {
            dirs.push(path());
        }
    }
    Some((looking.sum, dirs))
}

/// A sum in the making.
struct Looking {
    sum: Fingerprint,
    text: Vec<u8>,
}

impl Looking {
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "the types differ between systems")]
    fn add(&mut self, place: u128, name: &CStr, there: &Stat, times: bool) {
        let text = &mut self.text;
        text.clear();
        text.extend_from_slice(&place.to_le_bytes());
        text.extend_from_slice(name.to_bytes_with_nul());
        let mut add = |number: i64| text.extend_from_slice(&number.to_le_bytes());
        add(there.st_mode as i64);
        let changed = (there.st_ctime as i64, there.st_ctime_nsec as i64);
        if times {
            for number in
                [there.st_size as i64, there.st_mtime as i64, there.st_mtime_nsec as i64, changed.0, changed.1]
            {
                add(number);
            }
            add(there.st_ino as i64);
            add(there.st_dev as i64);
        }
        self.sum.print = self.sum.print.wrapping_add(XxHash3_128::oneshot(text));
        // A directory's time tells of what is gone from it.
        self.sum.newest = self.sum.newest.max(i128::from(changed.0) * 1_000_000_000 + i128::from(changed.1));
    }
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
        let mut seen = vec![of(root).unwrap().print];
        assert_eq!(of(root).unwrap().print, seen[0]);
        let mut next = |what: &str| {
            let print = of(root).unwrap().print;
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

    #[test]
    fn what_changed_meanwhile_shows() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(&root.join("a/b.nix"), b"1").unwrap();
        fs::write(&root.join("a/c.nix"), b"1").unwrap();
        let wait = || std::thread::sleep(Duration::from_millis(30));
        wait();
        let since = SystemTime::now();
        assert!(!of(root).unwrap().changed_since(since));
        wait();
        fs::remove(&root.join("a/b.nix")).unwrap();
        assert!(of(root).unwrap().changed_since(since), "a file that went");
        wait();
        let since = SystemTime::now();
        assert!(!of(root).unwrap().changed_since(since));
        wait();
        fs::write(&root.join("a/c.nix"), b"2").unwrap();
        assert!(of(root).unwrap().changed_since(since), "another content");
    }
}
