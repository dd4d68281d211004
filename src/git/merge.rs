//! Three trees merged into one.
//!
//! Must not touch the files of a worktree.

use git2::Oid;

use super::{Error, Worktree};

/// What came of merging three trees.
#[derive(Debug)]
pub enum Merged {
    /// The tree, which is in the repository.
    Clean(Oid),
    Conflicts(Vec<String>),
}

impl Worktree {
    /// Merges the changes from `base` to `theirs` into `ours`.
    pub fn merge(&self, base: Oid, ours: Oid, theirs: Oid) -> Result<Merged, Error> {
        let fail = self.fail("merge");
        let tree = |id| self.repository.find_tree(id);
        let (a, b, c) = (tree(base).map_err(&fail)?, tree(ours).map_err(&fail)?, tree(theirs).map_err(&fail)?);
        let mut index = self.repository.merge_trees(&a, &b, &c, None).map_err(&fail)?;
        if !index.has_conflicts() {
            return Ok(Merged::Clean(index.write_tree_to(&self.repository).map_err(fail)?));
        }
        let mut paths = Vec::new();
        for conflict in index.conflicts().map_err(&fail)? {
            let conflict = conflict.map_err(&fail)?;
            let entry = [conflict.our, conflict.their, conflict.ancestor].into_iter().flatten().next();
            paths.extend(entry.map(|entry| String::from_utf8_lossy(&entry.path).into_owned()));
        }
        paths.sort();
        paths.dedup();
        Ok(Merged::Conflicts(paths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Author;

    fn tree(worktree: &Worktree, files: &[(&str, &str)]) -> Oid {
        worktree.tree_of(files.iter().map(|(p, t)| (*p, t.as_bytes(), 0o100_644))).unwrap()
    }

    #[test]
    fn merges_are_three_way_and_conflicts_have_markers() {
        let dir = tempfile::tempdir().unwrap();
        let worktree = Worktree::create(dir.path()).unwrap();
        let text = |first: &str, last: &str| format!("{first}\n2\n3\n4\n5\n6\n7\n8\n{last}\n");
        let of = |a: &str, b: &str| tree(&worktree, &[("f", &text(a, b))]);
        let (base, ours) = (of("1", "9"), of("one", "9"));
        let Merged::Clean(merged) = worktree.merge(base, ours, of("1", "nine")).unwrap() else {
            panic!("it should merge")
        };
        assert_eq!(worktree.file(merged, "f").unwrap().unwrap().0, text("one", "nine").into_bytes());
        let Merged::Conflicts(paths) = worktree.merge(base, ours, of("eins", "9")).unwrap() else {
            panic!("it should conflict")
        };
        assert_eq!(paths, ["f"]);
    }

    /// The source's own `.gitattributes` may name a driver that takes both sides and says nothing.
    #[test]
    fn no_attribute_of_the_source_hides_a_conflict() {
        let dir = tempfile::tempdir().unwrap();
        let worktree = Worktree::create(dir.path()).unwrap();
        let of = |text: &str| tree(&worktree, &[(".gitattributes", "* merge=union\n"), ("f", text)]);
        let (base, ours, theirs) = (of("1\n"), of("one\n"), of("eins\n"));
        let by = Author { name: "A".into(), mail: "a@b".into(), seconds: 1_700_000_000, offset: 60 };
        worktree.check_out(worktree.commit(ours, None, "source\n", &by).unwrap()).unwrap();
        assert!(matches!(worktree.merge(base, ours, theirs).unwrap(), Merged::Conflicts(..)));
    }
}
