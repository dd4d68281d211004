//! How many leading components the names of a patch have before the path in the tree (`-p`).
//!
//! The caller may know it; the source decides where it is at hand ([`PatchFile::level_for`]); otherwise it is as `git apply` reads patches
//! ([`PatchFile::strip_level`]). Must not change names: `normalise` does.

use super::apply::{Options, apply};
use super::error::Error;
use super::names::FileName;
use super::outcome::{Skip, Verdict};
use super::patch_file::{FileDiff, PatchFile};
use super::tree::Tree;

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
