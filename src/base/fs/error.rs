//! What can go wrong with files.

use std::io;
use std::path::PathBuf;

use crate::base::diagnostic::{Coded, Explanation, Origin};
use crate::base::span::Place;

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
