//! Files made visible to Nix: flakes see only what git's index knows, so new files get an entry without content, as
//! `git add --intent-to-add` makes it.

use std::path::{Path, PathBuf};

use super::{Error, repository_of};

/// The flag of an index entry that says "intent to add" (extended flag bit 13 of the index format, version 3).
const INTENT_TO_ADD: u16 = 1 << 13;

/// Adds index entries without content for those of `files` that git does not know and does not ignore; returns them.
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

/// Takes back what [`make_visible`] did for files that are gone again: entries that were only an intent to add. What git
/// really has in its index stays.
pub fn forget(dir: &Path, files: &[PathBuf]) -> Result<(), Error> {
    let Some(repository) = repository_of(dir)? else { return Ok(()) };
    let fail = |doing| move |source| Error::Git { doing, repository: dir.to_path_buf(), source };
    let Some(root) = repository.workdir().and_then(|p| p.canonicalize().ok()) else { return Ok(()) };
    let mut index = repository.index().map_err(fail("read the index"))?;
    let mut removed = false;
    for file in files.iter().filter(|file| !file.exists()) {
        // The file and perhaps its folder are gone: the nearest folder that is there says where it was.
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        let Some(there) = absolute.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?))) else {
            continue;
        };
        let (above, real) = there;
        let Ok(below) = absolute.strip_prefix(above) else { continue };
        let whole = real.join(below);
        let Ok(relative) = whole.strip_prefix(&root) else { continue };
        let intended = index.get_path(relative, 0).is_some_and(|entry| entry.flags_extended & INTENT_TO_ADD != 0);
        if intended {
            index.remove(relative, 0).map_err(fail("remove from the index"))?;
            removed = true;
        }
    }
    if removed {
        index.write().map_err(fail("write the index"))?;
    }
    Ok(())
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
    fn what_is_gone_is_forgotten_and_what_git_has_stays() {
        let dir = tempfile::tempdir().unwrap();
        let repository = git2::Repository::init(dir.path()).unwrap();
        let files = ["q/a.patch", "b.patch"].map(|name| dir.path().join(name));
        for file in &files {
            crate::base::fs::write(file, b"x").unwrap();
        }
        let mut index = repository.index().unwrap();
        index.add_path(Path::new("b.patch")).unwrap();
        index.write().unwrap();
        assert_eq!(make_visible(dir.path(), &files).unwrap(), files[..1]);
        forget(dir.path(), &files).unwrap();
        let has = |name: &str| {
            let mut index = repository.index().unwrap();
            index.read(true).unwrap();
            index.get_path(Path::new(name), 0).is_some()
        };
        assert!(has("q/a.patch") && has("b.patch"));
        crate::base::fs::remove_tree(&dir.path().join("q")).unwrap();
        crate::base::fs::remove(&files[1]).unwrap();
        forget(dir.path(), &files).unwrap();
        assert!(!has("q/a.patch") && has("b.patch"));
    }

    #[test]
    fn outside_a_repository_nothing_happens() {
        let dir = tempfile::tempdir().unwrap();
        assert!(make_visible(dir.path(), &[dir.path().join("a")]).unwrap().is_empty());
    }
}
