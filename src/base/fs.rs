//! Files: the only place that writes them.
//!
//! Every write is atomic (a new file beside the old one, then a rename), keeps the mode, and leaves a file alone whose
//! bytes would not change. [`Batch`] makes several writes one: either all of them are to be seen or none, also
//! when the process is killed in between (a journal is rolled forward by the next run that writes). Commands that write take the
//! lock of their directory in turn ([`lock_dir`]). Must not know what the files hold.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

mod batch;
mod error;
mod journal;
mod lock;
mod read;
pub use batch::Batch;
pub use error::FsError;
pub use journal::{discard, look, recover};
pub use lock::{Holder, Lock, lock, lock_dir};
pub(in crate::base) use read::open_regular;
pub use read::{MAX_BYTES, MAX_TEXT, ensure_regular, read, read_at_most, read_stream, read_text, read_text_if_there};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// There was no such file.
    Created,
    /// The bytes changed.
    Replaced,
    /// The file already held these bytes and was not touched.
    Unchanged,
}

/// Writes a file atomically; missing directories are made, a symbolic link is followed, the mode is kept.
///
/// # Errors
/// [`FsError::Write`], [`FsError::NotAFile`]; the old file is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<Written, FsError> {
    let fail = |source| FsError::Write { path: path.to_path_buf(), source };
    let target = resolve(path).map_err(fail)?;
    let was = match read(&target) {
        Ok(old) if old == bytes => return Ok(Written::Unchanged),
        Ok(_) => Written::Replaced,
        Err(FsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Written::Created,
        Err(FsError::Read { source, .. }) => return Err(fail(source)),
        Err(e) => return Err(e),
    };
    let staged = stage(&target, bytes).map_err(fail)?;
    staged.persist(&target).map_err(|e| fail(e.error))?;
    Ok(was)
}

/// As [`write`], and only when the file, links followed, is below `dir`: for a copy of what may hold links to anywhere.
pub fn write_below(dir: &Path, path: &Path, bytes: &[u8]) -> Result<Written, FsError> {
    let fail = |source| FsError::Write { path: path.to_path_buf(), source };
    let target = std::path::absolute(resolve(path).map_err(fail)?).map_err(fail)?;
    // What is missing on the way is made as plain directories.
    let there = target.ancestors().find_map(|above| above.canonicalize().ok());
    match there.is_some_and(|there| dir.canonicalize().is_ok_and(|dir| there.starts_with(dir))) {
        true => write(path, bytes),
        false => Err(FsError::LeadsOut { path: path.to_path_buf(), dir: dir.to_path_buf() }),
    }
}

/// How the name of a temporary file begins: with the process that made it, so that it is known when nobody needs it.
fn temporary_prefix() -> String {
    format!("{TEMPORARY}{}-", std::process::id())
}

const TEMPORARY: &str = ".overlayctl-";

/// Makes an empty directory in `dir`, which is made too, for what is put together before it takes its place; it goes when dropped,
/// and [`sweep`] knows it.
pub fn temporary_dir(dir: &Path) -> Result<tempfile::TempDir, FsError> {
    create_dir(dir)?;
    let made = tempfile::Builder::new().prefix(&temporary_prefix()).tempdir_in(dir);
    made.map_err(|source| FsError::Write { path: dir.to_path_buf(), source })
}

/// Says that this process is at work in `dir`, by an empty file that goes when dropped: one that is killed leaves it, which
/// [`sweep`] then counts.
pub fn at_work(dir: &Path) -> Result<tempfile::TempPath, FsError> {
    let made = tempfile::Builder::new().prefix(&temporary_prefix()).tempfile_in(dir);
    Ok(made.map_err(|source| FsError::Write { path: dir.to_path_buf(), source })?.into_temp_path())
}

/// Removes the temporary files and directories in `dir` that a process left which was killed; returns how many.
pub fn sweep(dir: &Path) -> usize {
    let mut swept = 0;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(TEMPORARY)?.split_once('-')?.0.parse().ok());
        let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else { continue };
        if rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            let _ = match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => fs::remove_dir_all(entry.path()),
                false => fs::remove_file(entry.path()),
            };
            swept += 1;
        }
    }
    swept
}

/// Writes a new file that only the user may read, in a directory that only the user may enter when it has to be made; one that is
/// there already stays.
pub(in crate::base) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let dir = parent(path);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // A temporary file is for its user alone, until it says otherwise.
    let mut file = tempfile::Builder::new().prefix(&temporary_prefix()).tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map(drop).map_err(|e| e.error)
}

/// A file that is written bit by bit and takes its place as a whole; dropped before, it leaves nothing behind.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    target: PathBuf,
    staged: io::BufWriter<tempfile::NamedTempFile>,
}

impl NewFile {
    /// Begins a file that will stand at `path`; missing directories are made.
    pub fn begin(path: &Path) -> Result<NewFile, FsError> {
        let fail = |source| FsError::Write { path: path.to_path_buf(), source };
        let target = resolve(path).map_err(fail)?;
        let staged = io::BufWriter::with_capacity(1 << 16, stage(&target, &[]).map_err(fail)?);
        Ok(NewFile { path: path.to_path_buf(), target, staged })
    }

    pub fn add(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        let path = &self.path;
        self.staged.write_all(bytes).map_err(|source| FsError::Write { path: path.clone(), source })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`FsError::Write`]; what stood there before then stands there still.
    pub fn finish(self) -> Result<(), FsError> {
        let NewFile { path, target, staged } = self;
        let done = staged.into_inner().map_err(io::IntoInnerError::into_error);
        let done = done.and_then(|staged| staged.persist(&target).map_err(|e| e.error));
        done.map(drop).map_err(|source| FsError::Write { path, source })
    }
}

/// Makes a directory and those above it.
pub fn create_dir(path: &Path) -> Result<(), FsError> {
    fs::create_dir_all(path).map_err(|source| FsError::Write { path: path.to_path_buf(), source })
}

/// Makes the symbolic link `link` to `target` atomically, in place of an older link.
///
/// # Errors
/// [`FsError::Write`], also when something that is no link stands there.
pub fn link(target: &Path, link: &Path) -> Result<(), FsError> {
    let fail = |source| FsError::Write { path: link.to_path_buf(), source };
    match fs::symlink_metadata(link) {
        Ok(m) if !m.file_type().is_symlink() => return Err(fail(io::Error::from(io::ErrorKind::AlreadyExists))),
        _ => {}
    }
    let dir = parent(link);
    fs::create_dir_all(dir).map_err(fail)?;
    let temporary = tempfile::Builder::new()
        .prefix(&temporary_prefix())
        .make_in(dir, |path| std::os::unix::fs::symlink(target, path))
        .map_err(fail)?;
    temporary.into_temp_path().persist(link).map_err(|e| fail(e.error))
}

/// Makes the file executable for those who may read it.
pub fn make_executable(path: &Path) -> Result<(), FsError> {
    use std::os::unix::fs::PermissionsExt as _;
    let fail = |source| FsError::Write { path: path.to_path_buf(), source };
    let mode = fs::metadata(path).map_err(fail)?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(mode | (mode & 0o444) >> 2)).map_err(fail)
}

/// Removes a file; that there is none is no error.
pub fn remove(path: &Path) -> Result<(), FsError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(FsError::Write { path: path.to_path_buf(), source: e }),
        _ => Ok(()),
    }
}

/// Removes a directory with all that is in it; links are not followed. That there is none is no error.
///
/// It first gets a temporary name, so that it is there as a whole or not at all, whenever the process is killed.
pub fn remove_tree(path: &Path) -> Result<(), FsError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let away = parent(path).join(format!("{}{name}", temporary_prefix()));
    // Where it cannot be renamed (a mount point) it is removed where it is.
    let path = if !away.exists() && fs::rename(path, &away).is_ok() { &away } else { path };
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(FsError::Write { path: path.to_path_buf(), source: e }),
        _ => Ok(()),
    }
}

/// Renames a file or a directory, on one file system.
pub fn rename(from: &Path, to: &Path) -> Result<(), FsError> {
    fs::rename(from, to).map_err(|source| FsError::Write { path: to.to_path_buf(), source })
}

/// Removes a directory if it is empty; one that is not, or is not there, stays as it is.
pub fn remove_dir_if_empty(path: &Path) {
    // The system refuses to remove one that holds something, which is just what is wanted.
    let _ = fs::remove_dir(path);
}

/// Returns `path` without a leading `./`, as it is shown to people.
pub fn tidy(path: &Path) -> PathBuf {
    path.strip_prefix(".").ok().filter(|p| !p.as_os_str().is_empty()).unwrap_or(path).to_path_buf()
}

/// Returns `path` without `.` and `a/..`, by its text alone: as Nix reads a path, whatever is a link.
pub fn collapsed(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match (part, out.components().next_back()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => drop(out.pop()),
            _ => out.push(part),
        }
    }
    out
}

/// Returns the directory that holds `path`.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

/// Follows symbolic links to the file that is meant, so that a rename does not replace the link itself.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::symlink_metadata(path) {
        Ok(m) if m.file_type().is_symlink() => fs::canonicalize(path),
        _ => Ok(path.to_path_buf()),
    }
}

/// Writes `bytes` to a new file beside `target`, with the mode that `target` has or would get.
fn stage(target: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = parent(target);
    fs::create_dir_all(dir)?;
    // 0o666 less the umask, as any program that creates a file; tempfile's own default is 0o600.
    let mut file = tempfile::Builder::new()
        .prefix(&temporary_prefix())
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(dir)?;
    file.write_all(bytes)?;
    if let Ok(old) = fs::metadata(target) {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        let dead = format!(".overlayctl-{}-abc", gone.id());
        gone.wait().unwrap();
        let alive = format!(".overlayctl-{}-abc", std::process::id());
        for name in [&dead, &alive, ".overlayctl-notes", "1-2"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let tree = format!(".overlayctl-{}-tree", gone.id());
        fs::create_dir_all(dir.path().join(&tree).join("sub")).unwrap();
        assert_eq!(sweep(dir.path()), 2);
        assert!(!dir.path().join(&tree).exists());
        assert!(!dir.path().join(&dead).exists() && dir.path().join(&alive).exists());
        assert!(dir.path().join(".overlayctl-notes").exists() && dir.path().join("1-2").exists());
    }
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_write_keeps_the_mode_and_leaves_equal_bytes_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sub/a.nix");
        assert_eq!(write(&file, b"one").unwrap(), Written::Created);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        assert_eq!(write(&file, b"one").unwrap(), Written::Unchanged);
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
        assert_eq!(write(&file, b"two").unwrap(), Written::Replaced);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(dir.path().join("sub")).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn what_leads_out_is_not_written() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| dir.path().join(name);
        fs::write(outside.path().join("x"), "mine").unwrap();
        std::os::unix::fs::symlink(outside.path().join("x"), at("file")).unwrap();
        std::os::unix::fs::symlink(outside.path(), at("folder")).unwrap();
        std::os::unix::fs::symlink("real", at("inside")).unwrap();
        fs::write(at("real"), "old").unwrap();
        for name in ["file", "folder/x", "folder/new/y", "../z"] {
            assert!(matches!(write_below(dir.path(), &at(name), b"new"), Err(FsError::LeadsOut { .. })), "{name}");
        }
        for name in ["inside", "new/deep/file"] {
            write_below(dir.path(), &at(name), b"new").unwrap();
        }
        assert_eq!(fs::read(outside.path().join("x")).unwrap(), b"mine");
        assert_eq!(fs::read(at("real")).unwrap(), b"new");
    }

    #[test]
    fn a_symbolic_link_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real.nix");
        fs::write(&real, "one").unwrap();
        let link_path = dir.path().join("link.nix");
        std::os::unix::fs::symlink("real.nix", &link_path).unwrap();
        write(&link_path, b"two").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"two");
        assert!(fs::symlink_metadata(&link_path).unwrap().file_type().is_symlink());
    }

    #[test]
    fn links_replace_links_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("result");
        link(Path::new("/one"), &at).unwrap();
        link(Path::new("/two"), &at).unwrap();
        assert_eq!(fs::read_link(&at).unwrap(), Path::new("/two"));
        fs::write(dir.path().join("file"), "x").unwrap();
        assert!(link(Path::new("/one"), &dir.path().join("file")).is_err());
    }
}
