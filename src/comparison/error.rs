//! Why the two sides of a workspace could not be compared.

use crate::base::diagnostic::{Coded, Origin};
use crate::base::fs::FsError;
use crate::{config, drv, git, graph, nix, overlay, queue, targets};

/// Why the two sides of a workspace could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The workspace at a revision cannot be evaluated.
    #[error("the workspace at {revision} cannot be evaluated{}", target.as_ref().map_or(String::new(), |target| format!(", and `{target}` can as it is now")))]
    Before {
        /// The revision as typed.
        revision: String,
        /// The target that only evaluates now.
        target: Option<String>,
        /// Why.
        source: Box<Error>,
    },
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
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Before { .. } => Origin::Here("OV1200"),
            Error::Fs(e) => Origin::Below(e),
            Error::Config(e) => Origin::Below(e),
            Error::Git(e) => Origin::Below(e),
            Error::Overlay(e) => Origin::Below(e),
            Error::Nix(e) => Origin::Below(e),
            Error::Graph(e) => Origin::Below(e),
            Error::Drv(e) => Origin::Below(e),
            Error::Targets(e) => Origin::Below(e),
            Error::Queue(e) => Origin::Below(e),
        }
    }
}
