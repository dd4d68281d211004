//! What can go wrong in this room, with the code of each.

use crate::base::diagnostic::{Coded, Explanation, Origin, Verdict};

/// Why a file, a platform or an attribute path could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes start as an ELF file does, but their header is no ELF header.
    #[error("not a sound ELF file: {what}")]
    Elf {
        /// What is wrong with the header.
        what: String,
    },
    /// The bytes start as an `ar` archive does, but are not one.
    #[error("not a sound archive: {what}")]
    Archive {
        /// What is wrong.
        what: String,
    },
    /// A system or triple that nixpkgs would not parse either.
    #[error("`{text}` is no system and no platform triple: {what}")]
    Platform {
        /// What was to be parsed.
        text: String,
        /// Which part is wrong.
        what: String,
    },
    /// No `pkgsCross` name.
    #[error("there is no platform `{name}` in pkgsCross")]
    UnknownName {
        /// What was asked for.
        name: String,
        /// Names that look like it, nearest first.
        near: Vec<String>,
    },
    /// An attribute path for which nixpkgs has no package set.
    #[error("`{path}` names no package set: {what}")]
    Stage {
        /// The attribute path.
        path: String,
        /// Which part, and why.
        what: String,
    },
    /// A file that the loader would need could not be read.
    #[error("cannot read {path}: {what}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        what: String,
    },
}

/// The codes of this room.
pub static EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: "OV0801",
        title: "a damaged ELF file",
        text: "The file starts as an ELF program or library does, but its header is cut off or says impossible things. \
               Such a file cannot run anywhere; build it again, and look for a full disk or an interrupted copy.",
    },
    Explanation {
        code: "OV0802",
        title: "a damaged archive",
        text: "A static library (.a) could not be read member by member, so its code cannot be looked for in programs. \
               Build the library again.",
    },
    Explanation {
        code: "OV0803",
        title: "not a platform",
        text: "A platform is written as a Nix system (aarch64-linux), as a triple (aarch64-unknown-linux-musl) or as a \
               pkgsCross name (aarch64-multiplatform-musl). This one has a part that nixpkgs does not know either.",
    },
    Explanation {
        code: "OV0804",
        title: "no such pkgsCross name",
        text: "Names come and go with nixpkgs releases. `overlayctl platforms` lists those of the nixpkgs in use, or, \
               without one, those of the built-in table.",
    },
    Explanation {
        code: "OV0805",
        title: "no such package set",
        text: "The rules of nixpkgs give no package set for this attribute path: for example pkgsi686Linux exists on \
               x86 only, and pkgsMusl on 64-bit Linux only.",
    },
    Explanation {
        code: "OV0806",
        title: "a file of a closure could not be read",
        text: "To say which libraries a program loads, its interpreter and libraries are read. One of them is there \
               but could not be read; check its permissions and whether the store is sound (nix-store --verify).",
    },
];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_once() {
        let s = String::new;
        let all = [
            Error::Elf { what: s() },
            Error::Archive { what: s() },
            Error::Platform { text: s(), what: s() },
            Error::UnknownName { name: s(), near: vec![] },
            Error::Stage { path: s(), what: s() },
            Error::File { path: s(), what: s() },
        ];
        for error in &all {
            assert_eq!(EXPLANATIONS.iter().filter(|e| e.code == error.code()).count(), 1, "{}", error.code());
        }
        assert_eq!(all.len(), EXPLANATIONS.len());
    }
}
