//! What can be wrong with Nix text before anyone asks what it means.

use std::path::{Path, PathBuf};

use crate::base::diagnostic::{Coded, Origin};
use crate::base::span::{Place, Span, line_col, line_span};

/// Why a text was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is larger than [`super::MAX_BYTES`].
    #[error("{} holds {bytes} bytes, more than the {} that are read", path.display(), super::MAX_BYTES)]
    TooLarge { path: PathBuf, bytes: usize },
    #[error("{} holds a NUL byte at offset {offset}", path.display())]
    Nul {
        path: PathBuf,
        /// Where it is.
        offset: usize,
    },
    #[error("{} starts with a byte-order mark, which Nix does not read", path.display())]
    ByteOrderMark { path: PathBuf },
    /// The text is nested, or chained, deeper than [`super::MAX_DEPTH`].
    #[error("the expression at {place} is nested or chained deeper than {}", super::MAX_DEPTH)]
    TooDeep {
        /// Where the limit is passed.
        place: Place,
        /// The line of the source, shortened.
        line: Option<String>,
    },
    #[error("{place} is no Nix expression: {reason}")]
    Unparsable {
        place: Place,
        reason: String,
        /// The line of the source, shortened.
        line: Option<String>,
    },
    /// An attribute path from the command line cannot be read.
    #[error("`{given}` is no attribute path: {reason}")]
    AttrPath { given: String, reason: &'static str },
}

/// Returns the line of `text` that holds `offset`, cut to a length that fits a terminal.
pub(super) fn shown_line(text: &str, offset: usize) -> Option<String> {
    let span = line_span(text, line_col(text, offset).line)?;
    let line = text.get(span.range())?;
    Some(line.chars().take(200).collect())
}

impl Error {
    pub(super) fn unparsable(path: &Path, text: &str, offset: usize, reason: String) -> Error {
        Error::Unparsable {
            place: Place::in_text(path, text, Span::at(offset.min(text.len()))),
            reason,
            line: shown_line(text, offset),
        }
    }
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::TooLarge { .. } => Origin::Here("OV0901"),
            Error::Nul { .. } => Origin::Here("OV0903"),
            Error::ByteOrderMark { .. } => Origin::Here("OV0904"),
            Error::TooDeep { .. } => Origin::Here("OV0905"),
            Error::Unparsable { .. } => Origin::Here("OV0906"),
            Error::AttrPath { .. } => Origin::Here("OV0907"),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::TooLarge { .. } => {
                "choose another file with --overlay PATH, or create one with --new-overlay".into()
            }
            Error::Nul { .. } => "this is no text file; check the path".into(),
            Error::ByteOrderMark { .. } => "save the file without a byte-order mark".into(),
            Error::TooDeep { .. } => "choose another file with --overlay PATH, or create one with --new-overlay".into(),
            Error::Unparsable { .. } => "make the file one that `nix-instantiate --parse` accepts".into(),
            Error::AttrPath { .. } => "write names with dots between them, odd names in quotes: a.\"b.c\".d".into(),
        })
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::TooLarge { path, .. } | Error::ByteOrderMark { path } => Some(Place::file(path)),
            Error::Nul { path, offset } => {
                Some(Place { path: path.clone(), span: Some(Span::at(*offset)), line_col: None })
            }
            Error::TooDeep { place, .. } | Error::Unparsable { place, .. } => Some(place.clone()),
            Error::AttrPath { .. } => None,
        }
    }

    fn source_line(&self) -> Option<String> {
        match self {
            Error::TooDeep { line, .. } | Error::Unparsable { line, .. } => line.clone(),
            _ => None,
        }
    }
}
