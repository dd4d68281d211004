//! Stored graphs: one file, read as it is, checked before anything in it is believed: as a whole, or, for a
//! prediction from a large one, in the parts that are looked at. It is not mapped: a file that is cut off while it is would end the
//! process with SIGBUS, and reading one costs little beside proving it.
//!
//! The file is the image of `image.rs` with a checksum. It is written by a rename, so that a reader has
//! the old one or the new one. Must not decide where cache files are or what they depend on.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rayon::prelude::*;

use super::Graph;
use super::error::{CacheProblem, Error};
use super::image::Image;
use super::layout::{BLOCK, HEADER};
use crate::base::fs::{self, FsError, Written};

impl Graph {
    /// Writes the graph to a file, atomically. `key` says what it depends on; [`Graph::key`] gives it back.
    ///
    /// # Errors
    /// [`Error::Io`]; an older file is then as it was. [`Error::TooLarge`] for a key that does not fit; those of
    /// [`Graph::prove`].
    pub fn write(&self, path: &Path, key: &str) -> Result<Written, Error> {
        self.prove()?;
        if key == self.key() {
            return Ok(fs::write(path, self.image.as_bytes())?);
        }
        Ok(fs::write(path, self.image.with_key(key)?.as_bytes())?)
    }

    /// Opens a stored graph and checks all of it.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Cache`] when it is damaged, cut off, foreign or from another
    /// version: build it again then.
    pub fn open(path: &Path) -> Result<Graph, Error> {
        let graph = Graph::open_unproved(path)?;
        graph.prove()?;
        Ok(graph)
    }

    /// Opens a stored graph without checking more than its header. [`Graph::predict`] checks what it reads; before
    /// anything else is asked of it, [`Graph::prove`] has to check the rest.
    pub fn open_unproved(path: &Path) -> Result<Graph, Error> {
        let unreadable = |source| Error::Io(FsError::Read { path: path.to_path_buf(), source });
        let broken = |problem| Error::Cache { path: path.to_path_buf(), problem };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() || metadata.len() < (HEADER * 8) as u64 {
            return Err(broken(CacheProblem::Foreign));
        }
        let words = usize::try_from(metadata.len() / 8).map_err(|_| broken(CacheProblem::Length))?;
        let mut words = vec![0u64; words];
        let part = |(index, part): (usize, &mut [u64])| {
            file.read_exact_at(bytemuck::cast_slice_mut(part), (index * BLOCK) as u64)
        };
        words.par_chunks_mut(BLOCK / 8).enumerate().try_for_each(part).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => broken(CacheProblem::Length),
            _ => unreadable(error),
        })?;
        if metadata.len() % 8 != 0 {
            return Err(broken(CacheProblem::Length));
        }
        let image = Image::begin(words).map_err(broken)?;
        Ok(Graph { image, file: Some(path.to_path_buf()) })
    }

    /// Makes sure that the whole graph is as it was written. Costs nothing where that is known.
    pub fn prove(&self) -> Result<(), Error> {
        self.prove_with(Image::prove_all)
    }

    /// Makes sure of some part of the graph.
    pub(super) fn prove_with(&self, prove: impl FnOnce(&Image) -> Result<(), CacheProblem>) -> Result<(), Error> {
        let Some(path) = &self.file else { return Ok(()) };
        prove(&self.image).map_err(|problem| Error::Cache { path: path.clone(), problem })
    }
}
