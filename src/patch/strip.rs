//! How many leading components the names of a patch have before the path in the tree (`-p`).
//!
//! The caller may know it; the source decides where it is at hand ([`PatchFile::level_for`]); otherwise it is as `git apply` reads patches
//! ([`PatchFile::strip_level`]). What a package applies its patches with stands in its flags ([`Flags`]). Must not change names: `level` does.

use super::apply::{Options, apply};
use super::error::Error;
use super::names::FileName;
use super::outcome::{Skip, Verdict};
use super::patch_file::{FileDiff, PatchFile};
use super::tree::Tree;

/// What the flags of `patch` say of the names in the patches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    pub strip: usize,
    /// The directory in which the patches apply.
    pub directory: Option<String>,
}

/// The short options of GNU patch that take a value, `p` and `d` left out.
const WITH_VALUE: &str = "BDFgiorVxYz";

impl Flags {
    /// Reads the flags of a package as GNU patch would; without any, as nixpkgs' `patchPhase` has it, `-p1`.
    pub fn read<'f>(flags: impl IntoIterator<Item = &'f str>) -> Flags {
        let mut words = flags.into_iter().flat_map(str::split_ascii_whitespace).peekable();
        // Without `-p` only the last component of a name counts.
        let strip = if words.peek().is_some() { BASE_NAME } else { 1 };
        let mut read = Flags { strip, directory: None };
        while let Some(word) = words.next() {
            let (option, value) = if let Some(long) = word.strip_prefix("--") {
                let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                // As short as no other option is; all that begin so take a value.
                match name {
                    "st" | "str" | "stri" | "strip" => ('p', value),
                    _ if name.starts_with("di") && "directory".starts_with(name) => ('d', value),
                    _ => continue,
                }
            } else {
                let letters = word.strip_prefix('-').unwrap_or_default();
                let takes = |c: char| c == 'p' || c == 'd' || WITH_VALUE.contains(c);
                let Some((at, option)) = letters.char_indices().find(|(_, c)| takes(*c)) else { continue };
                (option, letters.get(at + 1..).filter(|value| !value.is_empty()))
            };
            let Some(value) = value.or_else(|| words.next()) else { break };
            match option {
                'p' => read.strip = value.parse().unwrap_or(read.strip),
                'd' => read.directory = Some(value.to_string()),
                _ => {}
            }
        }
        read
    }
}

/// The level without `-p`: only the last component of a name counts.
pub const BASE_NAME: usize = usize::MAX;

impl PatchFile<'_> {
    /// Returns the level at which `git apply` reads the patch: 0 when a name has no folder at all, else 1.
    pub fn strip_level(&self) -> usize {
        let bare = |name: &FileName| !name.null && !name.name.contains('/');
        let flat = |file: &FileDiff<'_>| {
            let (old, new) = file.names();
            [old, new].into_iter().flatten().any(bare)
        };
        usize::from(!self.files.iter().any(flat))
    }

    /// Says whether the names leave nothing to decide: as git writes them, with `a/` and `b/`, or with one folder each before the same path.
    pub fn is_level_plain(&self) -> bool {
        let plain = |file: &FileDiff<'_>| {
            let is = |name: Option<&FileName>, prefix: &str| name.is_none_or(|n| n.null || n.name.starts_with(prefix));
            let below = |name: &FileName| name.name.split_once('/').map(|(_, below)| below.to_string());
            let (old, new) = file.names();
            let twins =
                old.zip(new).is_some_and(|(a, b)| a.name != b.name && below(a).is_some_and(|x| below(b) == Some(x)));
            twins || is(old, "a/") && is(new, "b/")
        };
        self.files.iter().all(plain)
    }

    /// Returns how many folders the deepest of the names has: no higher level finds a file.
    pub fn deepest(&self) -> usize {
        let names = self.files.iter().flat_map(|file| <[_; 2]>::from(file.names())).flatten();
        names.map(|name| name.name.matches('/').count()).max().unwrap_or_default()
    }

    /// Returns the level of those given at which the patch fits a source best: all of it, or else most of its files are there. `git
    /// apply`'s level wins where several are as good; `None` when no file is there at any of them, and nothing would be made.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when the tree cannot be read.
    pub fn level_for<T: Tree>(
        &self,
        tree: &T,
        levels: impl IntoIterator<Item = usize>,
    ) -> Result<Option<usize>, Error> {
        let usual = self.strip_level();
        let mut best = None;
        for strip in levels {
            let outcome = match apply(tree, self, &Options { strip, ..Options::default() }) {
                Ok(outcome) => outcome,
                Err(error @ Error::Unreadable { .. }) => return Err(error),
                Err(_) => continue,
            };
            let gone = outcome.files.iter().filter(|f| f.skipped == Some(Skip::Missing)).count();
            if gone == outcome.files.len() && outcome.verdict() != Verdict::AlreadyApplied {
                continue;
            }
            let rank = (!outcome.accepted(), gone, outcome.verdict(), strip != usual, strip);
            if best.is_none_or(|found| rank < found) {
                best = Some(rank);
            }
        }
        Ok(best.map(|(.., strip)| strip))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MemoryTree, REGULAR};
    use super::*;

    const HUNK: &str = "@@ -1 +1 @@\n-a\n+b\n";

    #[test]
    fn without_a_source_as_git_apply() {
        for (old, new, level) in [
            ("a/f.c", "b/f.c", 1),
            ("a/f.c.orig", "b/f.c", 1),
            ("f.c.orig", "f.c", 0),
            ("f.c", "/dev/null", 0),
            ("/dev/null", "dir/f.c", 1),
            ("dir/f.c", "dir/f.c", 1),
            ("x-1.0/dir/f.c", "x-1.0.new/dir/f.c", 1),
        ] {
            let text = format!("--- {old}\n+++ {new}\n{HUNK}");
            assert_eq!(PatchFile::parse(text.as_bytes()).unwrap().strip_level(), level, "{old} {new}");
        }
    }

    #[test]
    fn flags_as_gnu_patch_reads_them() {
        let read = |flags: &[&str]| Flags::read(flags.iter().copied());
        for (flags, strip) in [
            (&[][..], 1),
            (&["-p0"], 0),
            (&["-p", "0"], 0),
            (&["-p 2 -F0"], 2),
            (&["--strip=3", "-F0"], 3),
            (&["--strip", "3"], 3),
            (&["--str=2", "--binary"], 2),
            (&["-Ntp2"], 2),
            (&["-p2", "-p0"], 0),
            (&["-F", "3", "-p4"], 4),
            (&["-z", "-p3", "-p0"], 0),
            (&["-p1", "-d", "code"], 1),
            (&["--silent"], BASE_NAME),
        ] {
            assert_eq!(read(flags).strip, strip, "{flags:?}");
        }
        for flags in [&["-p1", "-d", "code"][..], &["-dcode", "-p1"], &["--directory=code -p1"], &["--dir", "code"]] {
            assert_eq!(read(flags).directory.as_deref(), Some("code"), "{flags:?}");
        }
        let names = |old: &str, new: &str| format!("--- {old}\n+++ {new}\n{HUNK}");
        for (old, new, plain) in [
            ("a/f", "b/f", true),
            ("a/f.orig", "b/f", true),
            ("x-1/d/f", "x-1.new/d/f", true),
            ("x-1/d/f.orig", "x-1/d/f", false),
            ("d/f", "d/f", false),
            ("/dev/null", "f", false),
            ("f.orig", "f", false),
        ] {
            assert_eq!(PatchFile::parse(names(old, new).as_bytes()).unwrap().is_level_plain(), plain, "{old} {new}");
        }
    }

    #[test]
    fn the_source_decides() {
        let mut tree = MemoryTree::new();
        for path in ["src/lib/f.c", "f.c"] {
            tree.insert(path, "a\n", REGULAR);
        }
        tree.insert("g.c", "x\n", REGULAR);
        for (old, new, level) in [
            ("src/lib/f.c", "src/lib/f.c", Some(0)),
            ("src/lib/f.c.orig", "src/lib/f.c", Some(0)),
            ("a/f.c", "b/f.c", Some(1)),
            ("pkg/a/src/lib/f.c", "pkg/b/src/lib/f.c", Some(2)),
            ("w/x/y/src/lib/f.c", "w/x/y/src/lib/f.c", Some(3)),
            ("v/w/x/y/src/lib/f.c", "v/w/x/y/src/lib/f.c", Some(4)),
            ("a/g.c", "b/g.c", Some(1)),
            ("a/nowhere.c", "b/nowhere.c", None),
            ("/dev/null", "dir/new.c", Some(1)),
        ] {
            let text = format!("--- {old}\n+++ {new}\n{HUNK}")
                .replace("@@ -1 +1", if old == "/dev/null" { "@@ -0,0 +1" } else { "@@ -1 +1" });
            let text = if old == "/dev/null" { text.replace("-a\n", "") } else { text };
            let patch = PatchFile::parse(text.as_bytes()).unwrap();
            assert_eq!(patch.level_for(&tree, 0..=5).unwrap(), level, "{old} {new}");
        }
    }
}
