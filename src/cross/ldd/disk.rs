//! Files on disk, also those of a store or a system that stands below another directory.

use std::path::{Component, Path, PathBuf};

use super::Files;
use crate::base::fs;
use crate::cross::error::Error;

/// Files of this machine, seen as from below a root: with the root `/target`, `/lib/libc.so` is
/// `/target/lib/libc.so`, and a symbolic link to an absolute path stays below the root too.
///
/// With several roots the first that has a path wins, as qemu's `-L` takes the sysroot first and then `/`.
#[derive(Debug, Clone)]
pub struct Disk {
    roots: Vec<PathBuf>,
}

/// The number of symbolic links that Linux follows.
const MAX_LINKS: usize = 40;

impl Disk {
    /// Makes the files of this machine as they are.
    pub fn here() -> Disk {
        Disk { roots: vec![PathBuf::from("/")] }
    }

    pub fn below(roots: impl IntoIterator<Item = PathBuf>) -> Disk {
        Disk { roots: roots.into_iter().collect() }
    }

    /// Returns the real place of `path` and its path as seen from below the root.
    fn find(&self, path: &str) -> Option<(PathBuf, PathBuf)> {
        self.roots.iter().find_map(|root| {
            let seen = resolve(root, Path::new(path))?;
            let real = root.join(seen.strip_prefix("/").ok()?);
            real.metadata().is_ok().then_some((real, seen))
        })
    }
}

/// Follows the symbolic links of `path` below `root`; relative paths count from the root.
fn resolve(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut done = PathBuf::from("/");
    let mut rest: Vec<PathBuf> = Vec::new();
    let push = |rest: &mut Vec<PathBuf>, path: &Path| {
        let parts: Vec<_> =
            path.components().filter(|c| !matches!(c, Component::RootDir | Component::CurDir)).collect();
        rest.extend(parts.into_iter().rev().map(|c| PathBuf::from(c.as_os_str())));
    };
    push(&mut rest, path);
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part.as_os_str() == ".." {
            done.pop();
            continue;
        }
        let next = done.join(&part);
        let real = root.join(next.strip_prefix("/").ok()?);
        match std::fs::read_link(&real) {
            Ok(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                if target.is_absolute() {
                    done = PathBuf::from("/");
                }
                push(&mut rest, &target);
            }
            Err(_) => done = next,
        }
    }
    Some(done)
}

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some((real, _)) = self.find(path) else { return Ok(None) };
        let failed = |what: String| Error::File { path: path.to_string(), what };
        // Opening a pipe would wait for whoever writes into it.
        if !real.is_file() {
            let what = if real.is_dir() { "it is a directory" } else { "it is no regular file" };
            return Err(failed(what.to_string()));
        }
        match fs::read(&real) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(fs::FsError::Read { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => Ok(None),
            Err(error) => {
                Err(failed(std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)))
            }
        }
    }

    fn canonical(&self, path: &str) -> Option<String> {
        let (real, seen) = self.find(path)?;
        real.is_file().then(|| seen.to_string_lossy().into_owned())
    }

    fn names(&self, dir: &str) -> Vec<String> {
        let Some((real, _)) = self.find(dir) else { return Vec::new() };
        let entries = std::fs::read_dir(real).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("lib/deep")).unwrap();
        std::fs::write(root.join("lib/a.so.1"), b"a").unwrap();
        symlink("a.so.1", root.join("lib/a.so")).unwrap();
        symlink("/lib/a.so", root.join("lib/absolute.so")).unwrap();
        symlink("../../../../lib/a.so", root.join("lib/deep/up.so")).unwrap();
        symlink("loop", root.join("lib/loop")).unwrap();
        let files = Disk::below([root.to_path_buf()]);
        for path in ["/lib/a.so", "/lib/absolute.so", "/lib/deep/up.so", "/lib/deep/../a.so"] {
            assert_eq!(files.canonical(path).as_deref(), Some("/lib/a.so.1"), "{path}");
            assert_eq!(files.read(path).unwrap().as_deref(), Some(&b"a"[..]), "{path}");
        }
        for path in ["/lib/loop", "/lib/none", "/etc/passwd"] {
            assert_eq!(files.read(path).unwrap(), None, "{path}");
        }
        // A loader opens a directory and fails when it reads.
        assert!(files.read("/lib").is_err() && files.canonical("/lib").is_none());
        assert_eq!(files.names("/lib/deep"), ["up.so"]);
    }
}
