//! What can go wrong with files.

use std::io;
use std::path::PathBuf;

use crate::base::diagnostic::{Coded, Origin};
use crate::base::span::Place;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Writing failed; the file is as it was.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is not UTF-8 (first at byte {offset})", path.display())]
    NotUtf8 { path: PathBuf, offset: usize },
    #[error("{} has {size} bytes, more than the {limit} that are read", path.display())]
    TooLarge {
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Something that is no regular file lies where one is read.
    #[error("{} is {what}, not a file", path.display())]
    NotAFile { path: PathBuf, what: &'static str },
    /// A file does not hold any more what was read before; nothing was written.
    #[error("{} was changed by another program meanwhile", path.display())]
    Changed { path: PathBuf },
    /// A link leads out of the directory that may be written to.
    #[error("{} leads out of {}", path.display(), dir.display())]
    LeadsOut { path: PathBuf, dir: PathBuf },
    #[error("interrupted while another command writes to {}", path.display())]
    Interrupted { path: PathBuf },
    /// A run was ended while it wrote, and what it left is not as it left it.
    #[error("a run was ended while it wrote here, and cannot be finished: {why}")]
    Unfinished { journal: PathBuf, why: String, ways: Vec<String> },
    /// A journal that no run of this user wrote for this place.
    #[error("{} was not left here by a run of yours; nothing in it is carried out", journal.display())]
    ForeignJournal { journal: PathBuf },
}

impl Coded for FsError {
    fn origin(&self) -> Origin<'_> {
        match self {
            FsError::Read { .. } => Origin::Here("OV0001"),
            FsError::Write { .. } => Origin::Here("OV0002"),
            FsError::NotUtf8 { .. } => Origin::Here("OV0003"),
            FsError::TooLarge { .. } => Origin::Here("OV0004"),
            FsError::NotAFile { .. } => Origin::Here("OV0005"),
            FsError::Changed { .. } => Origin::Here("OV0006"),
            FsError::Interrupted { .. } => Origin::Here("OV0007"),
            FsError::Unfinished { .. } => Origin::Here("OV0008"),
            FsError::ForeignJournal { .. } => Origin::Here("OV0009"),
            FsError::LeadsOut { .. } => Origin::Here("OV0010"),
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
