//! Files made visible to Nix: flakes see only what git's index knows, so new files get an entry without content, as
//! `git add --intent-to-add` makes it.

use std::path::{Path, PathBuf};

use super::{Error, repository_of};

/// The flag of an index entry that says "intent to add" (extended flag bit 13 of the index format, version 3).
const INTENT_TO_ADD: u16 = 1 << 13;

/// Adds index entries without content for those of `files` that git does not know and does not ignore; returns them.
///
/// # Errors
/// [`Error::Git`].
pub fn make_visible(dir: &Path, files: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let Some(repository) = repository_of(dir)? else { return Ok(Vec::new()) };
    let fail = |doing| move |source| Error::Git { doing, repository: dir.to_path_buf(), source };
    let Some(root) = repository.workdir().and_then(|p| p.canonicalize().ok()) else { return Ok(Vec::new()) };
    let mut index = repository.index().map_err(fail("read the index"))?;
    let mut added = Vec::new();
    for file in files {
        let Ok(absolute) = file.canonicalize() else { continue };
        let Ok(relative) = absolute.strip_prefix(&root) else { continue };
        let known = index.get_path(relative, 0).is_some();
        if known || repository.is_path_ignored(relative).map_err(fail("look at .gitignore"))? {
            continue;
        }
        index
            .add(&intent_entry(relative, &absolute, &repository).map_err(fail("add to the index"))?)
            .map_err(fail("add to the index"))?;
        added.push(file.clone());
    }
    if !added.is_empty() {
        index.write().map_err(fail("write the index"))?;
    }
    Ok(added)
}

/// Makes an entry for the empty blob with the intent-to-add flag, as git does.
fn intent_entry(
    relative: &Path,
    absolute: &Path,
    repository: &git2::Repository,
) -> Result<git2::IndexEntry, git2::Error> {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    let executable = absolute.metadata().is_ok_and(|m| m.permissions().mode() & 0o111 != 0);
    let path = relative.as_os_str().as_bytes().to_vec();
    let name_length = u16::try_from(path.len()).unwrap_or(0xfff).min(0xfff);
    Ok(git2::IndexEntry {
        ctime: git2::IndexTime::new(0, 0),
        mtime: git2::IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode: if executable { 0o100_755 } else { 0o100_644 },
        uid: 0,
        gid: 0,
        file_size: 0,
        id: repository.blob(&[])?,
        // The name length, and the bit that says that extended flags follow.
        flags: name_length | 0x4000,
        flags_extended: INTENT_TO_ADD,
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_files_become_visible_once_and_ignored_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init(dir.path()).unwrap();
        crate::base::fs::write(&dir.path().join(".gitignore"), b"*.log\n").unwrap();
        let files = [dir.path().join("patches/a/0001.patch"), dir.path().join("x.log")];
        for file in &files {
            crate::base::fs::write(file, b"text").unwrap();
        }
        assert_eq!(make_visible(dir.path(), &files).unwrap(), files[..1]);
        assert_eq!(make_visible(dir.path(), &files).unwrap(), [] as [PathBuf; 0]);
        let index = git2::Repository::open(dir.path()).unwrap().index().unwrap();
        let entry = index.get_path(Path::new("patches/a/0001.patch"), 0).unwrap();
        assert_eq!(entry.flags_extended & INTENT_TO_ADD, INTENT_TO_ADD);
        // git itself must see a new file with content still to add.
        let status = repository.status_file(Path::new("patches/a/0001.patch")).unwrap();
        assert!(status.contains(git2::Status::WT_MODIFIED) || status.contains(git2::Status::WT_NEW), "{status:?}");
    }

    #[test]
    fn outside_a_repository_nothing_happens() {
        let dir = tempfile::tempdir().unwrap();
        assert!(make_visible(dir.path(), &[dir.path().join("a")]).unwrap().is_empty());
    }
}
