//! Three trees merged into one; what conflicts is marked in the files as git does.
//!
//! Must not touch the files of a worktree.

use std::path::Path;

use git2::Oid;

use super::worktree::entry;
use super::{Error, Worktree};

/// What came of merging three trees.
#[derive(Debug)]
pub enum Merged {
    /// The tree, which is in the repository.
    Clean(Oid),
    /// Some files conflict: the tree with conflict markers in those, and their paths.
    Conflicts(Oid, Vec<String>),
}

impl Worktree {
    /// Merges the changes from `base` to `theirs` into `ours`.
    ///
    /// # Errors
    /// [`Error::Git`].
    pub fn merge(&self, base: Oid, ours: Oid, theirs: Oid, names: (&str, &str)) -> Result<Merged, Error> {
        let fail = self.fail("merge");
        let tree = |id| self.repository.find_tree(id);
        let (a, b, c) = (tree(base).map_err(&fail)?, tree(ours).map_err(&fail)?, tree(theirs).map_err(&fail)?);
        let mut index = self.repository.merge_trees(&a, &b, &c, None).map_err(&fail)?;
        if !index.has_conflicts() {
            return Ok(Merged::Clean(index.write_tree_to(&self.repository).map_err(fail)?));
        }
        let conflicts: Vec<git2::IndexConflict> =
            index.conflicts().map_err(&fail)?.collect::<Result<_, _>>().map_err(&fail)?;
        let mut paths = Vec::new();
        for conflict in conflicts {
            let sides = [&conflict.our, &conflict.their, &conflict.ancestor];
            let Some(path) = sides.iter().find_map(|s| s.as_ref().map(|e| e.path.clone())) else { continue };
            let shown = String::from_utf8_lossy(&path).into_owned();
            index.remove_path(Path::new(&shown)).map_err(&fail)?;
            let resolved = match (&conflict.our, &conflict.their) {
                (Some(our), Some(their)) => Some(self.with_markers(&conflict, our, their, names).map_err(&fail)?),
                // One side took the file away: what the other has stays in sight.
                (Some(one), None) | (None, Some(one)) => Some((one.id, one.mode)),
                (None, None) => None,
            };
            if let Some((id, mode)) = resolved {
                index.add(&entry(&shown, id, mode)).map_err(&fail)?;
            }
            paths.push(shown);
        }
        paths.sort();
        paths.dedup();
        Ok(Merged::Conflicts(index.write_tree_to(&self.repository).map_err(fail)?, paths))
    }

    /// Makes the file that holds both sides between conflict markers.
    fn with_markers(
        &self,
        conflict: &git2::IndexConflict,
        our: &git2::IndexEntry,
        their: &git2::IndexEntry,
        names: (&str, &str),
    ) -> Result<(Oid, u32), git2::Error> {
        let content = |id: Oid| Ok::<_, git2::Error>(self.repository.find_blob(id)?.content().to_vec());
        let base = conflict.ancestor.as_ref().map(|e| content(e.id)).transpose()?.unwrap_or_default();
        let (ours, theirs) = (content(our.id)?, content(their.id)?);
        let (mut a, mut b, mut c) =
            (git2::MergeFileInput::new(), git2::MergeFileInput::new(), git2::MergeFileInput::new());
        a.content(&base);
        b.content(&ours);
        c.content(&theirs);
        let mut options = git2::MergeFileOptions::new();
        options.style_standard(true).our_label(names.0).their_label(names.1);
        let merged = git2::merge_file(&a, &b, &c, Some(&mut options))?;
        Ok((self.repository.blob(merged.content())?, our.mode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let Merged::Clean(merged) = worktree.merge(base, ours, of("1", "nine"), ("source", "patch")).unwrap() else {
            panic!("it should merge")
        };
        assert_eq!(worktree.file(merged, "f").unwrap().unwrap().0, text("one", "nine").into_bytes());
        let Merged::Conflicts(tree, paths) = worktree.merge(base, ours, of("eins", "9"), ("source", "patch")).unwrap()
        else {
            panic!("it should conflict")
        };
        assert_eq!(paths, ["f"]);
        let text = String::from_utf8(worktree.file(tree, "f").unwrap().unwrap().0).unwrap();
        assert!(text.starts_with("<<<<<<< source\none\n=======\neins\n>>>>>>> patch\n"), "{text}");
    }

    /// The source's own `.gitattributes` may name a driver that takes both sides and says nothing.
    #[test]
    fn no_attribute_of_the_source_hides_a_conflict() {
        let dir = tempfile::tempdir().unwrap();
        let worktree = Worktree::create(dir.path()).unwrap();
        let of = |text: &str| tree(&worktree, &[(".gitattributes", "* merge=union\n"), ("f", text)]);
        let (base, ours, theirs) = (of("1\n"), of("one\n"), of("eins\n"));
        worktree.lay_out(ours).unwrap();
        assert!(matches!(worktree.merge(base, ours, theirs, ("a", "b")).unwrap(), Merged::Conflicts(..)));
    }
}
