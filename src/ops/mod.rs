//! Use cases, one a file: options in, a serialisable outcome out.
//!
//! Must not print and must not parse arguments; what takes long is told through [`progress::Progress`].

pub mod init;
pub mod progress;

use std::path::PathBuf;

use serde::Serialize;

use crate::base::diagnostic::{Coded, Explanation, Verdict};
use crate::base::fs::FsError;
use crate::base::span::Place;
use crate::view::Document;
use crate::{config, git};

/// What a use case leaves: data for `--json`, a document for people, and whether the answer is yes.
pub trait Outcome: Serialize {
    /// The name and version of the JSON shape, `overlayctl.impact/1`.
    const SCHEMA: &'static str;

    /// Returns what a person is shown; `verbose` asks for more.
    fn document(&self, verbose: bool) -> Document;

    /// Says whether the answer is yes; a no ends the process with status 1.
    fn is_yes(&self) -> bool {
        true
    }
}

/// Why a use case could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The workspace.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// Git.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// What `init` would write is there already.
    #[error("{} is there already", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// An argument does not fit.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to type instead.
        hint: String,
    },
}

/// The codes of this room.
pub static EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: "OV1001",
        title: "something stands where a new file would go",
        text: "overlayctl never overwrites what it did not write. Choose another directory, or move the old one away.",
    },
    Explanation {
        code: "OV1002",
        title: "the arguments do not fit together",
        text: "The message says which; `overlayctl COMMAND --help` has examples.",
    },
];

impl Error {
    /// Returns the whole of a message that is shown shortened.
    pub fn detail(&self) -> Option<String> {
        None
    }

    /// Returns the room's own error that says more, when there is one.
    fn inner(&self) -> Option<&dyn Coded> {
        match self {
            Error::Fs(e) => Some(e),
            Error::Config(e) => Some(e),
            Error::Git(e) => Some(e),
            Error::Exists { .. } | Error::Usage { .. } => None,
        }
    }
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Exists { .. } => "OV1001",
            Error::Usage { .. } => "OV1002",
            Error::Fs(e) => e.code(),
            Error::Config(e) => e.code(),
            Error::Git(e) => e.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Usage { hint, .. } => Some(hint.clone()),
            _ => self.inner().and_then(Coded::hint),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Exists { path } => Some(Place::file(path)),
            _ => self.inner().and_then(Coded::place),
        }
    }

    fn source_line(&self) -> Option<String> {
        self.inner().and_then(Coded::source_line)
    }

    fn verdict(&self) -> Verdict {
        self.inner().map_or(Verdict::Error, Coded::verdict)
    }
}
