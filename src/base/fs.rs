//! Files: the only place that writes them.
//!
//! Every write is atomic (a new file beside the old one, then a rename), keeps the mode, and leaves a file alone whose
//! bytes would not change. [`Batch`] makes several writes one: either all of them are to be seen or none, also
//! when the process is killed in between (a journal is rolled forward by the next run). Must not know what the
//! files hold.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::diagnostic::{Coded, Explanation};
use super::span::Place;

mod batch;
pub use batch::{Batch, recover};

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// Reading failed.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Writing failed; the file is as it was.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds bytes that are not UTF-8.
    #[error("{} is not UTF-8 (first at byte {offset})", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The offset of the first bad byte.
        offset: usize,
    },
    /// The file is larger than overlayctl reads.
    #[error("{} has {size} bytes, more than the {limit} that are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

/// The codes of this room.
pub static EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: "OV0001",
        title: "a file could not be read",
        text: "The system refused to read the file; its message is shown. Check the path and its permissions.",
    },
    Explanation {
        code: "OV0002",
        title: "a file could not be written",
        text: "The system refused to write, for example because the disk is full or the directory is read-only. \
               overlayctl writes a new file beside the old one and renames it, so the old file is as it was.",
    },
    Explanation {
        code: "OV0003",
        title: "a file is not UTF-8",
        text: "Nix files are UTF-8. A .nix file that is not is often an encrypted one (git-crypt). It is left alone.",
    },
    Explanation {
        code: "OV0004",
        title: "a file is too large",
        text: "There is a limit on the size of what is read into memory. Real overlays are far below it.",
    },
];

impl Coded for FsError {
    fn code(&self) -> &'static str {
        match self {
            FsError::Read { .. } => "OV0001",
            FsError::Write { .. } => "OV0002",
            FsError::NotUtf8 { .. } => "OV0003",
            FsError::TooLarge { .. } => "OV0004",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            FsError::Write { source, .. } => Some(match source.kind() {
                io::ErrorKind::StorageFull => {
                    "the disk is full; nothing was changed, free some room and run it again".into()
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "the place is read-only for you; nothing was changed".into()
                }
                _ => "nothing was changed".into(),
            }),
            FsError::Read { .. } => None,
            FsError::NotUtf8 { .. } => Some("is it encrypted (git-crypt)? unlock it first".into()),
            FsError::TooLarge { .. } => None,
        }
    }

    fn place(&self) -> Option<Place> {
        let (FsError::Read { path, .. }
        | FsError::Write { path, .. }
        | FsError::NotUtf8 { path, .. }
        | FsError::TooLarge { path, .. }) = self;
        Some(Place::file(path))
    }
}

/// The largest text file that is read, in bytes.
pub const MAX_TEXT: u64 = 64 << 20;

/// Reads a file of bytes.
///
/// # Errors
/// [`FsError::Read`].
pub fn read(path: &Path) -> Result<Vec<u8>, FsError> {
    fs::read(path).map_err(|source| FsError::Read { path: path.to_path_buf(), source })
}

/// Reads a text file of at most [`MAX_TEXT`] bytes.
///
/// # Errors
/// [`FsError::Read`], [`FsError::TooLarge`] (before reading), [`FsError::NotUtf8`].
pub fn read_text(path: &Path) -> Result<String, FsError> {
    let size = fs::metadata(path).map_err(|source| FsError::Read { path: path.to_path_buf(), source })?.len();
    if size > MAX_TEXT {
        return Err(FsError::TooLarge { path: path.to_path_buf(), size, limit: MAX_TEXT });
    }
    String::from_utf8(read(path)?)
        .map_err(|e| FsError::NotUtf8 { path: path.to_path_buf(), offset: e.utf8_error().valid_up_to() })
}

/// Reads a text file; `None` when there is none.
///
/// # Errors
/// As [`read_text`], but for a missing file.
pub fn read_text_if_there(path: &Path) -> Result<Option<String>, FsError> {
    match read_text(path) {
        Err(FsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// What a write did.
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
/// [`FsError::Write`]; the old file is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<Written, FsError> {
    let fail = |source| FsError::Write { path: path.to_path_buf(), source };
    let target = resolve(path).map_err(fail)?;
    let was = match fs::read(&target) {
        Ok(old) if old == bytes => return Ok(Written::Unchanged),
        Ok(_) => Written::Replaced,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Written::Created,
        Err(e) => return Err(fail(e)),
    };
    let staged = stage(&target, bytes).map_err(fail)?;
    staged.persist(&target).map_err(|e| fail(e.error))?;
    Ok(was)
}

/// How the name of a temporary file begins: with the process that made it, so that it is known when nobody needs it.
fn temporary_prefix() -> String {
    format!("{TEMPORARY}{}-", std::process::id())
}

const TEMPORARY: &str = ".overlayctl-";

/// Makes an empty directory in `dir`, which is made too, for what is put together before it takes its place; it goes when dropped,
/// and [`sweep`] knows it.
///
/// # Errors
/// [`FsError::Write`].
pub fn temporary_dir(dir: &Path) -> Result<tempfile::TempDir, FsError> {
    create_dir(dir)?;
    let made = tempfile::Builder::new().prefix(&temporary_prefix()).tempdir_in(dir);
    made.map_err(|source| FsError::Write { path: dir.to_path_buf(), source })
}

/// Says that this process is at work in `dir`, by an empty file that goes when dropped: one that is killed leaves it, which
/// [`sweep`] then counts.
///
/// # Errors
/// [`FsError::Write`].
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

/// A lock that other processes which take it wait for; it is free again when dropped, or when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

/// Waits for the lock that the file `path` stands for, making the file when there is none; it stays, empty.
///
/// # Errors
/// [`FsError::Write`].
pub fn lock(path: &Path) -> Result<Lock, FsError> {
    let fail = |source| FsError::Write { path: path.to_path_buf(), source };
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(fail)?;
    }
    let file = fs::File::options().create(true).append(true).open(path).map_err(fail)?;
    file.lock().map_err(fail)?;
    Ok(Lock { _file: file })
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
    ///
    /// # Errors
    /// [`FsError::Write`].
    pub fn begin(path: &Path) -> Result<NewFile, FsError> {
        let fail = |source| FsError::Write { path: path.to_path_buf(), source };
        let target = resolve(path).map_err(fail)?;
        let staged = io::BufWriter::with_capacity(1 << 16, stage(&target, &[]).map_err(fail)?);
        Ok(NewFile { path: path.to_path_buf(), target, staged })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`FsError::Write`].
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
///
/// # Errors
/// [`FsError::Write`].
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
///
/// # Errors
/// [`FsError::Write`].
pub fn make_executable(path: &Path) -> Result<(), FsError> {
    use std::os::unix::fs::PermissionsExt as _;
    let fail = |source| FsError::Write { path: path.to_path_buf(), source };
    let mode = fs::metadata(path).map_err(fail)?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(mode | (mode & 0o444) >> 2)).map_err(fail)
}

/// Removes a file; that there is none is no error.
///
/// # Errors
/// [`FsError::Write`].
pub fn remove(path: &Path) -> Result<(), FsError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(FsError::Write { path: path.to_path_buf(), source: e }),
        _ => Ok(()),
    }
}

/// Removes a directory with all that is in it; links are not followed. That there is none is no error.
///
/// It first gets a temporary name, so that it is there as a whole or not at all, whenever the process is killed.
///
/// # Errors
/// [`FsError::Write`].
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
///
/// # Errors
/// [`FsError::Write`].
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

    #[test]
    fn not_utf8_names_the_byte() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.nix");
        fs::write(&file, b"ab\xff").unwrap();
        assert!(matches!(read_text(&file), Err(FsError::NotUtf8 { offset: 2, .. })));
        assert!(read_text_if_there(&dir.path().join("none")).unwrap().is_none());
    }
}
