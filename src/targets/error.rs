//! Why targets could not be found or do not evaluate.

use crate::base::diagnostic::{Coded, Origin};
use crate::base::fs::FsError;
use crate::base::span::Place;
use crate::{config, git, nix, syntax};

/// Why targets could not be found or do not evaluate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(transparent)]
    Config(#[from] config::Error),
    #[error(transparent)]
    Git(#[from] git::Error),
    #[error(transparent)]
    Syntax(#[from] syntax::Error),
    #[error(transparent)]
    Nix(#[from] nix::Error),
    #[error("{message}")]
    Usage { message: String, hint: String },
    #[error("`{target}` does not evaluate: {}", failure.message)]
    Eval { target: String, failure: Box<nix::EvalFailure> },
    #[error("there is no target")]
    NoTargets,
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Fs(e) => Origin::Below(e),
            Error::Config(e) => Origin::Below(e),
            Error::Git(e) => Origin::Below(e),
            Error::Syntax(e) => Origin::Below(e),
            Error::Nix(e) => Origin::Below(e),
            Error::Usage { .. } => Origin::Here("OV1002"),
            Error::Eval { .. } => Origin::Here("OV1003"),
            Error::NoTargets => Origin::Here("OV1004"),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Usage { hint, .. } => Some(hint.clone()).filter(|hint| !hint.is_empty()),
            Error::Eval { failure, .. } if !failure.near.is_empty() => {
                Some(format!("near names: {}", failure.near.join(", ")))
            }
            Error::NoTargets => Some("name one with --target, or a board with --board".into()),
            _ => self.below().and_then(Coded::hint),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Eval { failure, .. } => failure.place.as_deref().cloned(),
            _ => self.below().and_then(Coded::place),
        }
    }

    fn detail(&self) -> Option<String> {
        match self {
            Error::Eval { failure, .. } => Some(failure.full.clone()),
            _ => self.below().and_then(Coded::detail),
        }
    }
}
