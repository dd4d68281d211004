//! Why a use case could not be carried out: the errors of the rooms below, and those of the use cases themselves.

use std::path::PathBuf;

use crate::base::diagnostic::{Coded, Origin};
use crate::base::fs::FsError;
use crate::base::process::ProcessError;
use crate::base::span::Place;
use crate::deploy as deploy_room;
use crate::patch as patch_room;
use crate::verify as verify_room;
use crate::{comparison, config, cross, git, graph, nix, overlay, pin, queue, syntax, targets};

/// Why a use case could not be carried out.
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
    Patch(#[from] patch_room::Error),
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    #[error(transparent)]
    Nix(#[from] nix::Error),
    #[error(transparent)]
    Graph(#[from] graph::Error),
    #[error(transparent)]
    Cross(#[from] cross::Error),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Targets(#[from] targets::Error),
    #[error(transparent)]
    Queue(#[from] queue::Error),
    #[error(transparent)]
    Pin(#[from] pin::Error),
    #[error(transparent)]
    Comparison(#[from] comparison::Error),
    #[error(transparent)]
    Verify(#[from] verify_room::Error),
    #[error(transparent)]
    Deploy(#[from] deploy_room::Error),
    #[error("{} is no ELF file", path.display())]
    NotElf { path: PathBuf },
    #[error("no machine could build what is left{}", told.iter().map(|t| format!("\n  {t}")).collect::<String>())]
    NoMachine { told: Vec<String> },
    #[error("{} cannot be used", path.display())]
    File { path: PathBuf, source: Box<graph::Error> },
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
            Error::Pin(e) => Origin::Below(e),
            Error::Comparison(e) => Origin::Below(e),
            Error::Verify(e) => Origin::Below(e),
            Error::Deploy(e) => Origin::Below(e),
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
