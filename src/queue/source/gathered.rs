//! What unpacking gathers: files and links by path, checked one by one.
//!
//! Must not read archives or the disk.

use std::collections::BTreeSet;
use std::path::Path;

use crate::patch::{MemoryTree, SYMLINK, path_of};
use crate::queue::Error;
use crate::queue::source::Limits;

/// The files of one or several sources.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) tree: MemoryTree,
    /// The directories directly in it, also empty ones.
    pub(crate) tops: BTreeSet<String>,
    /// Every directory that something stands in.
    dirs: BTreeSet<String>,
    /// Entries that were left out: the path, and why.
    pub(crate) skipped: Vec<(String, &'static str)>,
    /// How many bytes all files have.
    pub(crate) bytes: u64,
}

/// The parts of a path in the tree; `None` when it leads out. `./` and doubled slashes mean nothing.
fn parts(name: &str) -> Option<Vec<&str>> {
    if name.starts_with('/') || name.contains('\0') {
        return None;
    }
    let parts: Vec<&str> = name.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    (!parts.contains(&"..")).then_some(parts)
}

/// Says whether a link at `from` leads out of the tree, going by its text.
fn leads_out(from: &[&str], target: &str) -> bool {
    let mut depth = from.len() as i64 - 1;
    target.starts_with('/')
        || target.split('/').any(|part| {
            match part {
                "" | "." => {}
                ".." => depth -= 1,
                _ => depth += 1,
            }
            depth < 0
        })
}

impl Gathered {
    /// Checks a path; `None` for what is left out.
    fn place(&mut self, name: &[u8], archive: &Path) -> Result<Option<String>, Error> {
        let Some(text) = path_of(name) else {
            self.skip(name, "its name holds characters that stand for nothing");
            return Ok(None);
        };
        let text = text.as_str();
        let refuse = |why: String| Error::Unpack { path: archive.to_path_buf(), why };
        let parts = parts(text).ok_or_else(|| refuse(format!("`{}` leads out of it", text.escape_debug())))?;
        if parts.iter().any(|p| p.eq_ignore_ascii_case(".git")) {
            // A checkout's own history is no source.
            return Ok(None);
        }
        let mut at = String::new();
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                if self.tree.get(&at).is_some() {
                    return Err(refuse(format!("`{}` leads through a link or a file", text.escape_debug())));
                }
                self.dirs.insert(at.clone());
                at.push('/');
            }
            at.push_str(part);
        }
        if let (Some(top), true) = (parts.first(), parts.len() > 1) {
            self.tops.insert((*top).to_string());
        }
        Ok((!at.is_empty()).then_some(at))
    }

    pub(crate) fn skip(&mut self, name: &[u8], why: &'static str) {
        self.skipped.push((String::from_utf8_lossy(name).into_owned(), why));
    }

    pub(crate) fn directory(&mut self, name: &[u8], archive: &Path) -> Result<(), Error> {
        if let Some(at) = self.place(name, archive)? {
            let top = at.split('/').next().unwrap_or_default().to_string();
            self.tops.insert(top);
        }
        Ok(())
    }

    pub(crate) fn file(
        &mut self,
        name: &[u8],
        bytes: Vec<u8>,
        mode: u32,
        archive: &Path,
        limits: &Limits,
    ) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > limits.bytes {
            return Err(limits.too_many_bytes(archive));
        }
        if let Some(at) = self.place(name, archive)? {
            self.put(at, bytes, mode, archive)?;
        }
        Ok(())
    }

    fn put(&mut self, at: String, bytes: Vec<u8>, mode: u32, archive: &Path) -> Result<(), Error> {
        if self.dirs.contains(&at) {
            let why = format!("`{}` is both a directory and something else", at.escape_debug());
            return Err(Error::Unpack { path: archive.to_path_buf(), why });
        }
        self.tree.insert(at, bytes, mode);
        Ok(())
    }

    pub(crate) fn link(&mut self, name: &[u8], target: &[u8], archive: &Path) -> Result<(), Error> {
        let Some(at) = self.place(name, archive)? else { return Ok(()) };
        let from: Vec<&str> = at.split('/').collect();
        // Its text is kept as it is; only where it leads matters here.
        let text = String::from_utf8_lossy(target);
        if text.is_empty() || leads_out(&from, &text) {
            self.skip(name, "it is a link that leads out");
        } else {
            self.put(at, target.to_vec(), SYMLINK, archive)?;
        }
        Ok(())
    }

    /// A hard link is a copy of a file that came before.
    pub(crate) fn hard_link(
        &mut self,
        name: &[u8],
        target: &[u8],
        archive: &Path,
        limits: &Limits,
    ) -> Result<(), Error> {
        let (Some(at), Some(from)) = (self.place(name, archive)?, self.place_of(target)) else {
            return Err(Error::Unpack {
                path: archive.to_path_buf(),
                why: format!("the hard link `{}` leads out of it", String::from_utf8_lossy(name).escape_debug()),
            });
        };
        match self.tree.get(&from).cloned() {
            Some(file) => {
                // Each is a copy here, so each counts.
                self.bytes = self.bytes.saturating_add(file.bytes.len() as u64);
                if self.bytes > limits.bytes {
                    return Err(limits.too_many_bytes(archive));
                }
                self.put(at, file.bytes.into_owned(), file.mode, archive)
            }
            None => {
                self.skip(name, "it is a hard link to nothing");
                Ok(())
            }
        }
    }

    fn place_of(&self, name: &[u8]) -> Option<String> {
        Some(parts(&path_of(name)?)?.join("/"))
    }

    /// Takes out what stands below a directory, as a tree of its own.
    pub(crate) fn take_below(&mut self, dir: &str) -> MemoryTree {
        if dir.is_empty() {
            return std::mem::take(&mut self.tree);
        }
        let prefix = format!("{dir}/");
        let paths: Vec<String> =
            self.tree.iter().map(|(path, _)| path).filter(|p| p.starts_with(&prefix)).map(str::to_string).collect();
        let mut out = MemoryTree::new();
        for path in paths {
            if let (Some(file), Some(rest)) = (self.tree.remove(&path), path.strip_prefix(&prefix)) {
                out.insert(rest, file.bytes.into_owned(), file.mode);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_stay_inside() {
        assert_eq!(parts("./a//b/./c"), Some(vec!["a", "b", "c"]));
        for bad in ["/etc/passwd", "a/../../b", "..", "a\0b"] {
            assert_eq!(parts(bad), None, "{bad:?}");
        }
        assert!(leads_out(&["a", "l"], "../../x") && leads_out(&["l"], "/etc") && leads_out(&["l"], "a/../../x"));
        assert!(!leads_out(&["a", "l"], "../x") && !leads_out(&["l"], "a/../x"));
    }

    proptest! {
        /// Whatever comes, every path in the tree is a plain relative one, and no file stands below a link.
        #[test]
        fn nothing_leaves(entries in prop::collection::vec(("[a/.]{0,6}", "[a/.]{0,6}", 0..4u8), 0..12)) {
            let mut gathered = Gathered::default();
            for (name, target, kind) in &entries {
                let (name, target, at) = (name.as_bytes(), target.as_bytes(), Path::new("x.tar"));
                let _ = match kind {
                    0 => gathered.directory(name, at),
                    1 => gathered.link(name, target, at),
                    2 => gathered.hard_link(name, target, at, &Limits::default()),
                    _ => gathered.file(name, vec![1], 0o100_644, at, &Limits::default()),
                };
            }
            for (path, _) in gathered.tree.iter() {
                prop_assert!(!path.starts_with('/') && !path.split('/').any(|p| matches!(p, "" | "." | "..")), "{path}");
                for (at, _) in path.match_indices('/') {
                    let above = gathered.tree.get(&path[..at]);
                    prop_assert!(above.is_none_or(|f| !f.is_link()), "{path} is below a link");
                }
            }
        }
    }
}
