//! What can be wrong with `.drv` files.

use std::io;

use crate::base::diagnostic::{Coded, Origin};
use crate::base::span::{Place, Span};

/// What is wrong at one offset of a `.drv` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    #[error("the file ends too early")]
    Truncated,
    #[error("expected `{0}`")]
    Expected(&'static str),
    /// The text starts with neither `Derive(` nor `DrvWithVersion(`.
    #[error("neither `Derive(` nor `DrvWithVersion(`")]
    Header,
    #[error("unknown version of the format")]
    Version,
    /// A backslash followed by something that Nix never writes.
    #[error("unknown escape")]
    Escape,
    #[error("not UTF-8")]
    NotUtf8,
    #[error("not an absolute path")]
    NotAbsolute,
    /// Two outputs, inputs, sources or variables of the same name.
    #[error("the same name twice")]
    Duplicate,
    #[error("no outputs")]
    NoOutputs,
    /// An output whose path, hash algorithm and hash do not fit together.
    #[error("an output that is neither input-addressed, fixed nor content-addressed")]
    OutputKind,
    #[error("dynamic inputs are nested too deeply")]
    TooDeep,
    #[error("something follows the derivation")]
    Trailing,
}

/// Why a text is no derivation, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {problem}")]
pub struct ParseError {
    /// The offset of the first byte that is wrong.
    pub offset: usize,
    pub problem: Problem,
}

/// Why derivations could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot read the derivation {drv_path}")]
    Read { drv_path: String, source: io::Error },
    #[error("{drv_path} is not a derivation")]
    Parse { drv_path: String, source: ParseError },
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Read { .. } => Origin::Here("OV0401"),
            Error::Parse { .. } => Origin::Here("OV0402"),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "it is not in the store: was it collected as garbage, or is it the wrong store? instantiate it again".into()
            }
            Error::Read { .. } => "check the store and its permissions".into(),
            Error::Parse { .. } => {
                "the file is damaged, or written by a Nix that is newer than overlayctl; `nix-store --verify --check-contents` tells"
                    .into()
            }
        })
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Read { drv_path, .. } => Some(Place::file(drv_path)),
            Error::Parse { drv_path, source } => {
                let mut place = Place::file(drv_path);
                place.span = Some(Span::at(source.offset));
                Some(place)
            }
        }
    }
}
