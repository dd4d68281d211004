//! Why a use case could not be carried out: the errors of the rooms below, and those of the use cases themselves.

use std::path::PathBuf;

use crate::base::diagnostic::{Coded, Origin};
use crate::base::fs::FsError;
use crate::base::process::ProcessError;
use crate::base::span::Place;
use crate::patch as patch_room;
use crate::verify as verify_room;
use crate::{comparison, config, cross, git, graph, nix, overlay, queue, syntax, targets};

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
    /// An attribute path.
    #[error(transparent)]
    Syntax(#[from] syntax::Error),
    /// A patch file.
    #[error(transparent)]
    Patch(#[from] patch_room::Error),
    /// An overlay.
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    /// Nix.
    #[error(transparent)]
    Nix(#[from] nix::Error),
    /// The derivation graph.
    #[error(transparent)]
    Graph(#[from] graph::Error),
    /// Platforms and programs.
    #[error(transparent)]
    Cross(#[from] cross::Error),
    /// A process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The targets.
    #[error(transparent)]
    Targets(#[from] targets::Error),
    /// The patches of the workspace, and the sources that they are for.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// The two sides of the workspace.
    #[error(transparent)]
    Comparison(#[from] comparison::Error),
    /// The proof, or a program.
    #[error(transparent)]
    Verify(#[from] verify_room::Error),
    /// Not an ELF file.
    #[error("{} is no ELF file", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
    },
    /// No machine could build what is left.
    #[error("no machine could build what is left{}", told.iter().map(|t| format!("\n  {t}")).collect::<String>())]
    NoMachine {
        /// What Nix said of each machine.
        told: Vec<String>,
    },
    /// A list of roots that is malformed.
    #[error("{} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<graph::Error>,
    },
}

impl Error {
    /// Makes the error for an argument that does not fit.
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Error {
        targets::Error::Usage { message: message.into(), hint: hint.into() }.into()
    }
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Process(_) => Origin::Here("OV1014"),
            Error::NotElf { .. } => Origin::Here("OV1037"),
            Error::NoMachine { .. } => Origin::Here("OV1151"),
            Error::Fs(e) => Origin::Below(e),
            Error::Config(e) => Origin::Below(e),
            Error::Git(e) => Origin::Below(e),
            Error::Syntax(e) => Origin::Below(e),
            Error::Patch(e) => Origin::Below(e),
            Error::Overlay(e) => Origin::Below(e),
            Error::Nix(e) => Origin::Below(e),
            Error::Graph(e) => Origin::Below(e),
            Error::Cross(e) => Origin::Below(e),
            Error::Targets(e) => Origin::Below(e),
            Error::Queue(e) => Origin::Below(e),
            Error::Comparison(e) => Origin::Below(e),
            Error::Verify(e) => Origin::Below(e),
            Error::File { source, .. } => Origin::Below(source.as_ref()),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::NoMachine { .. } => Some(
                "try `ssh HOST nix-store --version` as the user that builds; --max-jobs above 0 builds here too".into(),
            ),
            Error::NotElf { .. } => Some("name a program or a shared library".into()),
            _ => self.below().and_then(Coded::hint),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::NotElf { path } | Error::File { path, .. } => Some(Place::file(path)),
            _ => self.below().and_then(Coded::place),
        }
    }
}
