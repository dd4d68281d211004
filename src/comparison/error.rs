//! Why the two sides of a workspace could not be compared.

use crate::base::diagnostic::{Coded, Origin};
use crate::base::fs::FsError;
use crate::{config, drv, git, graph, nix, overlay, queue, targets};

/// Why the two sides of a workspace could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the workspace at {revision} cannot be evaluated{}", target.as_ref().map_or(String::new(), |target| format!(", and `{target}` can as it is now")))]
    Before {
        revision: String,
        /// The target that only evaluates now.
        target: Option<String>,
        source: Box<Error>,
    },
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Git(#[from] git::Error),
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    #[error(transparent)]
    Nix(#[from] nix::Error),
    #[error(transparent)]
    Graph(#[from] graph::Error),
    #[error(transparent)]
    Drv(#[from] drv::Error),
    #[error(transparent)]
    Targets(#[from] targets::Error),
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
