//! Reading: regular files only, and no more of them than fits.
//!
//! A named pipe or a device that lies where a file is read would hold the program for ever or never end, so both are refused
//! at once, whatever put them there. What the user typed (`<(...)`, `/dev/stdin`) may be one: [`read_stream`]. Symbolic links are followed
//! as the system does.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::FsError;

/// The largest text file that is read, in bytes.
pub const MAX_TEXT: u64 = 64 << 20;
/// The largest file of bytes that is read, in bytes: programs with all their symbols are smaller.
pub const MAX_BYTES: u64 = 4 << 30;

/// Opens a regular file for reading, without waiting for anybody; `follow` says whether it may be a symbolic link.
pub(in crate::base) fn open_regular(path: &Path, follow: bool) -> Result<File, FsError> {
    let fail = |source| FsError::Read { path: path.to_path_buf(), source };
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    // The bits of flags are the system's own, whatever their sign.
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let what = match &opened {
        Ok(file) => kind(&file.metadata().map_err(fail)?),
        // A socket cannot be opened at all.
        Err(_) => std::fs::metadata(path).ok().and_then(|there| kind(&there)),
    };
    match what {
        Some(what) => Err(FsError::NotAFile { path: path.to_path_buf(), what }),
        None => opened.map_err(fail),
    }
}

/// Says what something is that is no regular file.
fn kind(there: &Metadata) -> Option<&'static str> {
    let kind = there.file_type();
    Some(match kind {
        _ if kind.is_file() => return None,
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ => "a device",
    })
}

/// Reads a regular file of at most [`MAX_BYTES`].
pub fn read(path: &Path) -> Result<Vec<u8>, FsError> {
    read_at_most(path, MAX_BYTES)
}

/// As [`read`], of at most `limit` bytes.
pub fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, FsError> {
    take(path, open_regular(path, true)?, limit)
}

/// Refuses what another program would wait for or read without an end: a pipe, a device.
pub fn ensure_regular(path: &Path) -> Result<(), FsError> {
    open_regular(path, true).map(drop)
}

/// As [`read_at_most`], and no symbolic link; `None` when there is nothing.
pub(super) fn read_unlinked(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FsError> {
    match open_regular(path, false) {
        Err(FsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => take(path, opened?, limit).map(Some),
    }
}

/// Reads what the user named on the command line, to its end: also a pipe or a terminal, but no directory; at most [`MAX_TEXT`]
/// bytes.
pub fn read_stream(path: &Path) -> Result<Vec<u8>, FsError> {
    let fail = |source| FsError::Read { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(fail)?;
    match kind(&file.metadata().map_err(fail)?) {
        Some(what @ ("a directory" | "a socket")) => Err(FsError::NotAFile { path: path.to_path_buf(), what }),
        _ => take(path, file, MAX_TEXT),
    }
}

fn take(path: &Path, file: File, limit: u64) -> Result<Vec<u8>, FsError> {
    let fail = |source| FsError::Read { path: path.to_path_buf(), source };
    let size = file.metadata().map_err(fail)?.len();
    let too_large = |size| FsError::TooLarge { path: path.to_path_buf(), size, limit };
    if size > limit {
        return Err(too_large(size));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // It may have grown, and what is no file has no size.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
    match bytes.len() as u64 {
        read if read > limit => Err(too_large(read)),
        _ => Ok(bytes),
    }
}

/// Reads a text file of at most [`MAX_TEXT`] bytes.
pub fn read_text(path: &Path) -> Result<String, FsError> {
    String::from_utf8(read_at_most(path, MAX_TEXT)?)
        .map_err(|e| FsError::NotUtf8 { path: path.to_path_buf(), offset: e.utf8_error().valid_up_to() })
}

/// Reads a text file; `None` when there is none.
pub fn read_text_if_there(path: &Path) -> Result<Option<String>, FsError> {
    match read_text(path) {
        Err(FsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fifo(path: &Path) {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fifo(&at("pipe"));
        std::os::unix::fs::symlink("pipe", at("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let what = |path: &Path| match read(path) {
            Err(FsError::NotAFile { what, .. }) => what,
            other => panic!("{}: {other:?}", path.display()),
        };
        assert_eq!(what(&at("pipe")), "a named pipe");
        assert_eq!(what(&at("link")), "a named pipe");
        assert_eq!(what(&at("socket")), "a socket");
        assert_eq!(what(dir.path()), "a directory");
        assert_eq!(what(Path::new("/dev/zero")), "a device");
        assert!(matches!(read_text_if_there(&at("pipe")), Err(FsError::NotAFile { .. })));
        assert!(matches!(read_text_if_there(&at("none")), Ok(None)));
    }

    #[test]
    fn what_was_typed_may_be_a_pipe_and_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        fifo(&path);
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, "text").unwrap()
        });
        assert_eq!(read_stream(&path).unwrap(), b"text");
        writer.join().unwrap();
        assert!(matches!(read_stream(Path::new("/dev/zero")), Err(FsError::TooLarge { limit: MAX_TEXT, .. })));
        assert!(matches!(read_stream(dir.path()), Err(FsError::NotAFile { .. })));
    }

    #[test]
    fn a_file_larger_than_the_bound_is_refused_before_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        std::fs::File::create(&path).unwrap().set_len(MAX_TEXT + 1).unwrap();
        assert!(matches!(read_text(&path), Err(FsError::TooLarge { size, .. }) if size == MAX_TEXT + 1));
        assert_eq!(read_at_most(Path::new("/proc/self/stat"), 1 << 20).map(|b| b.is_empty()).ok(), Some(false));
    }

    #[test]
    fn not_utf8_names_the_byte() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.nix");
        std::fs::write(&file, b"ab\xff").unwrap();
        assert!(matches!(read_text(&file), Err(FsError::NotUtf8 { offset: 2, .. })));
    }
}
