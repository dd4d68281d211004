//! Locks: a file of our own, and a directory that commands which write take in turn.
//!
//! The lock of a directory is on the directory itself (`flock` of its open descriptor): nothing is written for it, so a clone cannot
//! bring a file in its place, it works for every user who may read the directory, and it is free again when the process ends, however it
//! ends. Who holds it is asked of the system. A file system that has no such locks (NFS for directories) gets a file in the user's
//! state instead, which excludes the user's own commands.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use super::FsError;
use crate::base::{process, user};

/// How often a wait looks whether the lock is free, and at the interrupt flag.
const TICK: Duration = Duration::from_millis(20);

/// A lock that other processes which take it wait for; it is free again when dropped, or when the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

/// Waits for the lock that the file `path` stands for, making the file when there is none; it stays, empty.
pub fn lock(path: &Path) -> Result<Lock, FsError> {
    let file = lock_file(path)?;
    file.lock().map_err(|source| FsError::Write { path: path.to_path_buf(), source })?;
    Ok(Lock { _file: file })
}

fn lock_file(path: &Path) -> Result<fs::File, FsError> {
    let fail = |source| FsError::Write { path: path.to_path_buf(), source };
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(fail)?;
    }
    fs::File::options().create(true).append(true).open(path).map_err(fail)
}

/// Who holds the lock of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    pub command: String,
    pub running: Option<Duration>,
}

/// Waits for the lock of a directory. `waiting` is told who holds it, as far as the system says, once for each who does.
///
/// # Errors
/// [`FsError::Read`] when the directory cannot be opened, [`FsError::Interrupted`] when the user gave the wait up.
pub fn lock_dir(dir: &Path, waiting: &mut dyn FnMut(Option<&Holder>)) -> Result<Lock, FsError> {
    let fail = |e: Errno| FsError::Read { path: dir.to_path_buf(), source: io::Error::from(e) };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut file = fs::File::from(rustix::fs::open(dir, flags, Mode::empty()).map_err(fail)?);
    let mut substitute = false;
    let mut told: Option<Option<u32>> = None;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Lock { _file: file }),
            Err(Errno::WOULDBLOCK) => {
                let holder = holder_of(&file);
                let pid = holder.as_ref().map(|holder| holder.pid);
                if told != Some(pid) {
                    told = Some(pid);
                    waiting(holder.as_ref());
                }
                std::thread::sleep(TICK);
            }
            Err(Errno::INTR) => {}
            Err(_) if !substitute => {
                substitute = true;
                file = lock_file(&substitute_for(dir)?)?;
            }
            Err(e) => return Err(fail(e)),
        }
        if process::interrupted() {
            return Err(FsError::Interrupted { path: dir.to_path_buf() });
        }
    }
}

/// Says whether nobody holds the lock of a directory at this moment.
pub(super) fn is_free(dir: &Path) -> bool {
    fs::File::open(dir).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_ok())
}

/// Returns the file that is locked for a directory that cannot be.
fn substitute_for(dir: &Path) -> Result<PathBuf, FsError> {
    let fail = |source| FsError::Read { path: dir.to_path_buf(), source };
    let state = user::state_dir().ok_or_else(|| fail(io::Error::from(io::ErrorKind::Unsupported)))?;
    Ok(state.join("locks").join(user::place_of(dir).map_err(fail)?))
}

/// Asks the system who holds the lock of an open file.
fn holder_of(file: &fs::File) -> Option<Holder> {
    use std::os::unix::fs::MetadataExt as _;
    let inode = file.metadata().ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| holder_in(line, inode))?;
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = cmdline.split(|b| *b == 0).filter(|w| !w.is_empty()).map(String::from_utf8_lossy).collect();
    let program = words.first().map(|first| first.rsplit('/').next().unwrap_or_default().to_string());
    let rest = words.iter().skip(1).map(std::string::ToString::to_string);
    let command = program.into_iter().chain(rest).collect::<Vec<_>>().join(" ");
    let started = fs::metadata(format!("/proc/{pid}")).and_then(|there| there.modified());
    Some(Holder { pid, command, running: started.ok().and_then(|at| at.elapsed().ok()) })
}

/// Reads `3: FLOCK  ADVISORY  WRITE 25906 fe:00:5310700 0 EOF`; one that waits has an arrow, `3: -> FLOCK ...`. File systems name
/// their device in different ways, so only the inode is compared: what it is for is a word to the user.
fn holder_in(line: &str, inode: u64) -> Option<u32> {
    let mut words = line.split_whitespace().skip(1);
    (words.next()? == "FLOCK").then_some(())?;
    let pid = words.nth(2)?.parse().ok()?;
    (words.next()?.rsplit(':').next()?.parse::<u64>().ok()? == inode).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_of_a_directory_is_waited_for_and_its_holder_named() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock_dir(dir.path(), &mut |_| panic!("it is free")).unwrap();
        assert!(!is_free(dir.path()));
        let path = dir.path().to_path_buf();
        let (send, receive) = std::sync::mpsc::channel();
        let waits = std::thread::spawn(move || {
            lock_dir(&path, &mut |holder| send.send(holder.cloned()).unwrap()).unwrap();
        });
        let holder = receive.recv().unwrap();
        if Path::new("/proc/locks").exists() {
            let holder = holder.unwrap();
            assert_eq!(holder.pid, std::process::id());
            assert!(!holder.command.is_empty() && holder.running.is_some(), "{holder:?}");
        }
        drop(held);
        waits.join().unwrap();
        assert!(is_free(dir.path()));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is written for it");
    }

    #[test]
    fn lines_of_the_system_are_read() {
        assert_eq!(holder_in("3: FLOCK  ADVISORY  WRITE 25906 fe:00:5310700 0 EOF", 5_310_700), Some(25906));
        assert_eq!(holder_in("3: -> FLOCK  ADVISORY  WRITE 25907 fe:00:5310700 0 EOF", 5_310_700), None);
        assert_eq!(holder_in("3: POSIX  ADVISORY  WRITE 25906 fe:00:5310700 0 EOF", 5_310_700), None);
        assert_eq!(holder_in("", 1), None);
    }
}
