//! Reading `.drv` files out of a store directory.
//!
//! The one place where this room touches files other than its cache; it only reads.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::closure::Source;
use crate::base::fs::FsError;
use crate::base::store_path;

/// How much is read at first; nearly every `.drv` file is smaller.
const READ: usize = 1 << 16;

/// A store directory, held open.
#[derive(Debug)]
pub struct StoreDir {
    dir: OwnedFd,
    store_dir: String,
}

impl StoreDir {
    /// Opens the store below `root`: `/` for the machine's own, else a chroot store with `ROOT/nix/store`.
    ///
    /// # Errors
    /// [`FsError::Read`] when there is no such directory.
    pub fn open(root: &Path) -> Result<StoreDir, FsError> {
        StoreDir::open_as(root, store_path::STORE_DIR)
    }

    /// Opens the store whose paths start with `store_dir`, below `root`.
    pub fn open_as(root: &Path, store_dir: &str) -> Result<StoreDir, FsError> {
        let path: PathBuf = root.join(store_dir.trim_start_matches('/'));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&path, flags, Mode::empty())
            .map_err(|errno| FsError::Read { path: path.clone(), source: errno.into() })?;
        Ok(StoreDir { dir, store_dir: store_dir.to_owned() })
    }
}

impl Source for StoreDir {
    fn read(&self, drv_path: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        // Only a name directly in the store is opened, so that nothing in a derivation leads elsewhere.
        let name = drv_path
            .strip_prefix(&self.store_dir)
            .and_then(|rest| rest.strip_prefix('/'))
            .filter(|name| !name.contains('/') && *name != "..")
            .ok_or(io::ErrorKind::InvalidInput)?;
        let file = rustix::fs::openat(&self.dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        loop {
            buffer.reserve(READ);
            let room = buffer.capacity() - buffer.len();
            let read = rustix::io::retry_on_intr(|| rustix::io::read(&file, rustix::buffer::spare_capacity(buffer)))?;
            // A regular file gives all it has: less than there was room for is its end. A derivation that was cut off
            // in between would be refused by the parser.
            if read == 0 || (read < room && buffer.ends_with(b")")) {
                return Ok(());
            }
        }
    }
}
