//! A source tree as patches see it: regular files and symbolic links by path. Directories are not entries.
//!
//! The trait lets `ops` hand in a directory, a git tree or an archive; [`MemoryTree`] holds everything in memory. Must not
//! touch the disk.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

use super::error::{Error, Spot};
use super::names::safe;

/// The mode of an ordinary file.
pub const REGULAR: u32 = 0o100_644;
/// The mode of an executable file.
pub const EXECUTABLE: u32 = 0o100_755;
/// The mode of a symbolic link; its bytes are the target.
pub const SYMLINK: u32 = 0o120_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<'t> {
    /// The contents; of a link, its target.
    pub bytes: Cow<'t, [u8]>,
    /// The mode as git has it: [`REGULAR`], [`EXECUTABLE`] or [`SYMLINK`].
    pub mode: u32,
}

impl File<'_> {
    /// Says whether it is a symbolic link.
    pub fn is_link(&self) -> bool {
        self.mode >> 12 == SYMLINK >> 12
    }

    /// Returns the file with its own bytes.
    pub fn into_owned(self) -> File<'static> {
        File { bytes: Cow::Owned(self.bytes.into_owned()), mode: self.mode }
    }
}

/// Something that has files by path.
pub trait Tree {
    /// Returns what stands at a path, links not followed; `None` when nothing is there or it is a directory. Paths are relative,
    /// with `/`, and have neither `..` nor empty components. Anything other than a file or a link is an error.
    fn read(&self, path: &str) -> io::Result<Option<File<'_>>>;

    /// Says whether a path is a directory; a tree that does not know says no.
    fn is_folder(&self, path: &str) -> io::Result<bool> {
        let _ = path;
        Ok(false)
    }
}

impl<T: Tree + ?Sized> Tree for &T {
    fn read(&self, path: &str) -> io::Result<Option<File<'_>>> {
        (**self).read(path)
    }

    fn is_folder(&self, path: &str) -> io::Result<bool> {
        (**self).is_folder(path)
    }
}

/// A tree in memory, ordered by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryTree {
    files: BTreeMap<String, File<'static>>,
}

impl MemoryTree {
    /// Makes an empty tree.
    pub fn new() -> MemoryTree {
        MemoryTree::default()
    }

    /// Puts a file there; returns what was there.
    pub fn insert(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>, mode: u32) -> Option<File<'static>> {
        self.files.insert(path.into(), File { bytes: Cow::Owned(bytes.into()), mode })
    }

    pub fn remove(&mut self, path: &str) -> Option<File<'static>> {
        self.files.remove(path)
    }

    pub fn get(&self, path: &str) -> Option<&File<'static>> {
        self.files.get(path)
    }

    /// Returns all files in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &File<'static>)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    pub fn update(&mut self, changes: BTreeMap<String, Option<File<'static>>>) {
        for (path, file) in changes {
            match file {
                Some(file) => self.files.insert(path, file),
                None => self.files.remove(&path),
            };
        }
    }
}

impl Tree for MemoryTree {
    fn read(&self, path: &str) -> io::Result<Option<File<'_>>> {
        Ok(self.files.get(path).map(|f| File { bytes: Cow::Borrowed(&f.bytes), mode: f.mode }))
    }

    fn is_folder(&self, path: &str) -> io::Result<bool> {
        let folder = format!("{path}/");
        Ok(self.files.range(folder.clone()..).next().is_some_and(|(path, _)| path.starts_with(&folder)))
    }
}

/// A tree with changes on top of it.
pub(super) struct Layered<'t, T: Tree> {
    pub(super) base: &'t T,
    pub(super) changes: BTreeMap<String, Option<File<'static>>>,
}

impl<'t, T: Tree> Layered<'t, T> {
    pub(super) fn new(base: &'t T) -> Layered<'t, T> {
        Layered { base, changes: BTreeMap::new() }
    }

    pub(super) fn get(&self, path: &str) -> Result<Option<File<'_>>, Error> {
        if let Some(file) = self.changes.get(path) {
            return Ok(file.as_ref().map(|f| File { bytes: Cow::Borrowed(&f.bytes), mode: f.mode }));
        }
        self.base.read(path).map_err(|e| Error::Unreadable { path: path.to_string(), why: e.to_string() })
    }

    /// Returns the path with the links among its folders followed; the last component is not followed.
    ///
    /// # Errors
    /// [`Error::LeavesTree`] when a link leads out of the tree or in circles.
    pub(super) fn resolve(&self, path: &str, at: &Spot) -> Result<String, Error> {
        let leaves = || Error::LeavesTree { name: path.to_string(), at: at.clone() };
        let mut todo: Vec<String> = path.split('/').rev().map(str::to_string).collect();
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop().ok_or_else(leaves)?;
                    continue;
                }
                _ => done.push(part),
            }
            if todo.is_empty() {
                break;
            }
            let here = done.join("/");
            let Some(link) = self.get(&here)?.filter(File::is_link) else { continue };
            links += 1;
            let target = std::str::from_utf8(&link.bytes).map_err(|_| leaves())?;
            if links > 40 || target.starts_with('/') {
                return Err(leaves());
            }
            done.pop();
            todo.extend(target.split('/').rev().map(str::to_string));
        }
        let resolved = done.join("/");
        safe(&resolved).map_err(|()| leaves())?;
        Ok(resolved)
    }

    /// Refuses a link at `path` that would lead out of the tree.
    pub(super) fn check_link(&self, path: &str, target: &[u8], at: &Spot) -> Result<(), Error> {
        let leaves =
            || Error::LeavesTree { name: format!("{path} -> {}", String::from_utf8_lossy(target)), at: at.clone() };
        let target = std::str::from_utf8(target).map_err(|_| leaves())?;
        if target.is_empty() || target.starts_with('/') || target.contains('\0') {
            return Err(leaves());
        }
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut depth = folder.split('/').filter(|c| !c.is_empty() && *c != ".").count();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => depth = depth.checked_sub(1).ok_or_else(leaves)?,
                _ => depth += 1,
            }
        }
        Ok(())
    }
}
