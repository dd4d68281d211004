//! What can be wrong with `.drv` files.

use std::io;

use crate::base::diagnostic::{Coded, Origin};
use crate::base::span::{Place, Span};

/// What is wrong at one offset of a `.drv` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The text ends in the middle.
    #[error("the file ends too early")]
    Truncated,
    /// Something else stands where this text has to be.
    #[error("expected `{0}`")]
    Expected(&'static str),
    /// The text starts with neither `Derive(` nor `DrvWithVersion(`.
    #[error("neither `Derive(` nor `DrvWithVersion(`")]
    Header,
    /// A `DrvWithVersion` of a version that is not known.
    #[error("unknown version of the format")]
    Version,
    /// A backslash followed by something that Nix never writes.
    #[error("unknown escape")]
    Escape,
    /// A name or path that is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A store path that does not start with `/`.
    #[error("not an absolute path")]
    NotAbsolute,
    /// Two outputs, inputs, sources or variables of the same name.
    #[error("the same name twice")]
    Duplicate,
    /// A derivation without outputs.
    #[error("no outputs")]
    NoOutputs,
    /// An output whose path, hash algorithm and hash do not fit together.
    #[error("an output that is neither input-addressed, fixed nor content-addressed")]
    OutputKind,
    /// Dynamic inputs within dynamic inputs, deeper than any real one.
    #[error("dynamic inputs are nested too deeply")]
    TooDeep,
    /// Bytes after the closing parenthesis.
    #[error("something follows the derivation")]
    Trailing,
}

/// Why a text is no derivation, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {problem}")]
pub struct ParseError {
    /// The offset of the first byte that is wrong.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// Why derivations could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A `.drv` file could not be read.
    #[error("cannot read the derivation {drv_path}")]
    Read {
        /// Its store path.
        drv_path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A `.drv` file is not a derivation.
    #[error("{drv_path} is not a derivation")]
    Parse {
        /// Its store path.
        drv_path: String,
        /// What is wrong and where.
        source: ParseError,
    },
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
