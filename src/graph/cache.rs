//! Stored graphs: one file, memory-mapped, checked before anything in it is believed.
//!
//! The file is the image of `image.rs` with a checksum. It is written by a rename, so that a reader that has it mapped
//! keeps the old one. Must not decide where cache files are or what they depend on.

use std::fs::File;
use std::path::Path;

use super::Graph;
use super::error::{CacheProblem, Error};
use super::image::{Bytes, HEADER, Image};
use crate::base::fs::{self, FsError, Written};

impl Graph {
    /// Writes the graph to a file, atomically. `key` says what it depends on; [`Graph::key`] gives it back.
    ///
    /// # Errors
    /// [`Error::Io`]; an older file is then as it was. [`Error::TooLarge`] for a key that does not fit.
    pub fn write(&self, path: &Path, key: &str) -> Result<Written, Error> {
        if key == self.key() {
            return Ok(fs::write(path, self.image.as_bytes())?);
        }
        Ok(fs::write(path, self.image.with_key(key)?.as_bytes())?)
    }

    /// Opens a stored graph.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Cache`] when it is damaged, cut off, foreign or from another
    /// version: build it again then.
    pub fn open(path: &Path) -> Result<Graph, Error> {
        let unreadable = |source| Error::Io(FsError::Read { path: path.to_path_buf(), source });
        let broken = |problem| Error::Cache { path: path.to_path_buf(), problem };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() || metadata.len() < (HEADER * 8) as u64 {
            return Err(broken(CacheProblem::Foreign));
        }
        let map = map(&file).map_err(unreadable)?;
        Image::check(Bytes::Mapped(map)).map(Graph::from_image).map_err(broken)
    }
}

/// Maps a file for reading.
#[allow(unsafe_code, reason = "the house's one exception: a map is what makes opening a large graph instant")]
fn map(file: &File) -> std::io::Result<memmap2::Mmap> {
    // SAFETY: the map must not change while it is used. Graph files are only ever replaced by rename (`base::fs::write`),
    // never written in place, so the mapped inode keeps its bytes. Whoever truncates one by hand while it is mapped ends
    // this process with SIGBUS, which harms nothing else; changed bytes cannot break memory safety either, since every
    // access goes through checked ranges and checked UTF-8.
    unsafe { memmap2::Mmap::map(file) }
}
