//! Why the two sides of a workspace could not be compared.

use crate::base::diagnostic::Coded;
use crate::base::fs::FsError;
use crate::{config, drv, git, graph, nix, overlay, queue, targets};

/// Why the two sides of a workspace could not be compared.
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
    /// An overlay.
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    /// Nix.
    #[error(transparent)]
    Nix(#[from] nix::Error),
    /// The derivation graph.
    #[error(transparent)]
    Graph(#[from] graph::Error),
    /// A derivation.
    #[error(transparent)]
    Drv(#[from] drv::Error),
    /// The targets.
    #[error(transparent)]
    Targets(#[from] targets::Error),
    /// The patches of the workspace.
    #[error(transparent)]
    Queue(#[from] queue::Error),
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Fs(e) => e.code(),
            Error::Config(e) => e.code(),
            Error::Git(e) => e.code(),
            Error::Overlay(e) => e.code(),
            Error::Nix(e) => e.code(),
            Error::Graph(e) => e.code(),
            Error::Drv(e) => e.code(),
            Error::Targets(e) => e.code(),
            Error::Queue(e) => e.code(),
        }
    }

    fn below(&self) -> Option<&dyn Coded> {
        Some(match self {
            Error::Fs(e) => e,
            Error::Config(e) => e,
            Error::Git(e) => e,
            Error::Overlay(e) => e,
            Error::Nix(e) => e,
            Error::Graph(e) => e,
            Error::Drv(e) => e,
            Error::Targets(e) => e,
            Error::Queue(e) => e,
        })
    }
}
