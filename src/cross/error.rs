//! What can go wrong in this room, with the code of each.

use crate::base::diagnostic::{Coded, Origin, Verdict};

/// Why a file, a platform or an attribute path could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes start as an ELF file does, but their header is no ELF header.
    #[error("not a sound ELF file: {what}")]
    Elf { what: String },
    /// The bytes start as an `ar` archive does, but are not one.
    #[error("not a sound archive: {what}")]
    Archive { what: String },
    /// A system or triple that nixpkgs would not parse either.
    #[error("`{text}` is no system and no platform triple: {what}")]
    Platform { text: String, what: String },
    #[error("there is no platform `{name}` in pkgsCross")]
    UnknownName {
        name: String,
        /// Names that look like it, nearest first.
        near: Vec<String>,
    },
    #[error("`{path}` names no package set: {what}")]
    Stage { path: String, what: String },
    /// A file that the loader would need could not be read.
    #[error("cannot read {path}: {what}")]
    File { path: String, what: String },
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Elf { .. } => Origin::Here("OV0801"),
            Error::Archive { .. } => Origin::Here("OV0802"),
            Error::Platform { .. } => Origin::Here("OV0803"),
            Error::UnknownName { .. } => Origin::Here("OV0804"),
            Error::Stage { .. } => Origin::Here("OV0805"),
            Error::File { .. } => Origin::Here("OV0806"),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::UnknownName { near, .. } if !near.is_empty() => Some(format!("did you mean {}?", near.join(", "))),
            Error::UnknownName { .. } => Some("`overlayctl platforms` lists the names".to_string()),
            Error::Platform { .. } => {
                Some("write it as aarch64-linux, as aarch64-unknown-linux-musl or as a pkgsCross name".to_string())
            }
            Error::Elf { .. } | Error::Archive { .. } => Some("build or copy the file again".to_string()),
            Error::Stage { .. } | Error::File { .. } => None,
        }
    }

    fn verdict(&self) -> Verdict {
        match self {
            // The file is what it is: a verifier's answer to it is no.
            Error::Elf { .. } | Error::Archive { .. } => Verdict::No,
            _ => Verdict::Error,
        }
    }
}
