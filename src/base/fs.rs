//! Files: the only place that writes them.
//!
//! Every write is atomic (a new file beside the old one, then a rename), keeps the mode, and leaves a file alone whose
//! bytes would not change. [`Batch`] makes several writes one: either all of them are to be seen or none, also
//! when the process is killed in between (a journal is rolled forward by the next run that writes). Commands that write take the
//! lock of their directory in turn ([`lock_dir`]). Must not know what the files hold.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::diagnostic::{Coded, Explanation};
use super::span::Place;

mod batch;
mod journal;
mod lock;
mod read;
pub use batch::Batch;
pub use journal::{discard, look, recover};
pub use lock::{Holder, Lock, lock, lock_dir};
pub(in crate::base) use read::open_regular;
pub use read::{MAX_BYTES, MAX_TEXT, read, read_at_most, read_stream, read_text, read_text_if_there};

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
    /// Something that is no regular file lies where one is read.
    #[error("{} is {what}, not a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file does not hold any more what was read before; nothing was written.
    #[error("{} was changed by another program meanwhile", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A link leads out of the directory that may be written to.
    #[error("{} leads out of {}", path.display(), dir.display())]
    LeadsOut {
        /// The path.
        path: PathBuf,
        /// The directory.
        dir: PathBuf,
    },
    /// The user gave up waiting for a lock.
    #[error("interrupted while another command writes to {}", path.display())]
    Interrupted {
        /// The directory.
        path: PathBuf,
    },
    /// A run was ended while it wrote, and what it left is not as it left it.
    #[error("a run was ended while it wrote here, and cannot be finished: {why}")]
    Unfinished {
        /// The journal.
        journal: PathBuf,
        /// Why.
        why: String,
        /// What finishes it by hand.
        ways: Vec<String>,
    },
    /// A journal that no run of this user wrote for this place.
    #[error("{} was not left here by a run of yours; nothing in it is carried out", journal.display())]
    ForeignJournal {
        /// The journal.
        journal: PathBuf,
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
    Explanation {
        code: "OV0005",
        title: "something that is no file lies where one is read",
        text: "Overlays, patches of a queue and settings are regular files. A named pipe, a device or a directory in the place of one \
               is refused before anything is read, since reading it might never end. A patch that is typed on the command line \
               may be a pipe.",
    },
    Explanation {
        code: "OV0006",
        title: "a file was changed meanwhile",
        text: "Between reading the file and writing it, another program (an editor, git) changed it. Nothing was written, so \
               nobody's change is lost. Run the command again: it starts from the file as it is now.",
    },
    Explanation {
        code: "OV0007",
        title: "interrupted while waiting for another command",
        text: "Commands that write to a workspace take turns. The wait for the other one was given up; nothing was changed.",
    },
    Explanation {
        code: "OV0008",
        title: "a run was ended while it wrote",
        text: "A command was killed, or the machine went down, between the renames that belong together, so some files are new and \
               some old. The next command that writes finishes it, as long as every file still holds what it held then. If one \
               was changed since, nothing is touched: either do the rest by hand (the commands are shown), or keep the \
               files as they are with `overlayctl recover --discard`. `overlayctl recover` does nothing but finish.",
    },
    Explanation {
        code: "OV0010",
        title: "a file leads out of where may be written",
        text: "Something is tried on a copy of the workspace, and a symbolic link in it leads to a file elsewhere. That file is not \
               touched. Name the overlay by its own path in overlayctl.toml instead of through a link.",
    },
    Explanation {
        code: "OV0009",
        title: "a journal that is not yours",
        text: "The workspace holds a journal of unfinished writes that no run of yours, on this machine and in this directory, has left: \
               it came with a clone or a copy, is another user's, or of an older overlayctl. It could name any file, so it is not \
               carried out. If it is another user's, let them finish; else look at it and remove it.",
    },
];

impl Coded for FsError {
    fn code(&self) -> &'static str {
        match self {
            FsError::Read { .. } => "OV0001",
            FsError::Write { .. } => "OV0002",
            FsError::NotUtf8 { .. } => "OV0003",
            FsError::TooLarge { .. } => "OV0004",
            FsError::NotAFile { .. } => "OV0005",
            FsError::Changed { .. } => "OV0006",
            FsError::Interrupted { .. } => "OV0007",
            FsError::Unfinished { .. } => "OV0008",
            FsError::ForeignJournal { .. } => "OV0009",
            FsError::LeadsOut { .. } => "OV0010",
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
            FsError::Read { .. } | FsError::Interrupted { .. } => None,
            FsError::LeadsOut { .. } => Some("nothing was written; name the file by its own path".into()),
            FsError::NotUtf8 { .. } => Some("is it encrypted (git-crypt)? unlock it first".into()),
            FsError::TooLarge { .. } => None,
            FsError::NotAFile { .. } => Some("nothing was read; put a file in its place, or take it away".into()),
            FsError::Changed { .. } => {
                Some("nothing was written; run it again, it starts from the file as it is now".into())
            }
            FsError::Unfinished { ways, .. } => {
                let keep = "nothing was touched; `overlayctl recover --discard` keeps the files as they are";
                let by_hand = ways.join("; ");
                Some(if ways.is_empty() {
                    keep.into()
                } else {
                    format!("{keep}; to finish by hand, before that: {by_hand}")
                })
            }
            FsError::ForeignJournal { .. } => {
                Some("if it came with a clone or a copy, `overlayctl recover --discard` removes it".into())
            }
        }
    }

    fn place(&self) -> Option<Place> {
        let (FsError::Read { path, .. }
        | FsError::Write { path, .. }
        | FsError::NotUtf8 { path, .. }
        | FsError::TooLarge { path, .. }
        | FsError::NotAFile { path, .. }
        | FsError::Changed { path }
        | FsError::LeadsOut { path, .. }
        | FsError::Interrupted { path }
        | FsError::Unfinished { journal: path, .. }
        | FsError::ForeignJournal { journal: path }) = self;
        Some(Place::file(path))
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
///
/// # Errors
/// As [`write`], and [`FsError::LeadsOut`].
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
