//! Why the proof could not be made, or a program not be run.

use crate::base::diagnostic::{Coded, Origin, Verdict};
use crate::base::fs::FsError;
use crate::{comparison, cross, graph, nix, overlay, patch, queue, syntax, targets};

/// Why the proof could not be made, or a program not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error(transparent)]
    Syntax(#[from] syntax::Error),
    #[error(transparent)]
    Patch(#[from] patch::Error),
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    #[error(transparent)]
    Nix(#[from] nix::Error),
    #[error(transparent)]
    Graph(#[from] graph::Error),
    #[error(transparent)]
    Cross(#[from] cross::Error),
    #[error(transparent)]
    Targets(#[from] targets::Error),
    #[error(transparent)]
    Queue(#[from] queue::Error),
    #[error(transparent)]
    Comparison(#[from] comparison::Error),
    #[error("there is nothing to verify: the overlays patch nothing")]
    NothingPatched,
    #[error("`{target}` is not built")]
    NotBuilt { target: String },
    #[error("{}", no_program(target, named.as_deref(), programs))]
    NoProgram { target: String, named: Option<String>, programs: Vec<String> },
    #[error("programs for {platform} cannot be run here: {why}")]
    NoEmulator { platform: String, why: String, install: Option<String> },
}

fn no_program(target: &str, named: Option<&str>, programs: &[String]) -> String {
    match (named, programs) {
        (_, []) => format!("`{target}` has no program"),
        (Some(named), _) => format!("`{target}` has no program `{named}`"),
        (None, _) => format!("`{target}` has {} programs, and none is its main one", programs.len()),
    }
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Fs(e) => Origin::Below(e),
            Error::Syntax(e) => Origin::Below(e),
            Error::Patch(e) => Origin::Below(e),
            Error::Overlay(e) => Origin::Below(e),
            Error::Nix(e) => Origin::Below(e),
            Error::Graph(e) => Origin::Below(e),
            Error::Cross(e) => Origin::Below(e),
            Error::Targets(e) => Origin::Below(e),
            Error::Queue(e) => Origin::Below(e),
            Error::Comparison(e) => Origin::Below(e),
            Error::NothingPatched => Origin::Here("OV1039"),
            Error::NotBuilt { .. } => Origin::Here("OV1034"),
            Error::NoProgram { .. } => Origin::Here("OV1035"),
            Error::NoEmulator { .. } => Origin::Here("OV1036"),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::NothingPatched => Some("`overlayctl patch PACKAGE FILE` puts a patch on a package".into()),
            Error::NotBuilt { .. } => Some("`overlayctl build` builds it".into()),
            Error::NoProgram { programs, .. } if programs.is_empty() => None,
            Error::NoProgram { programs, .. } => Some(format!("--program NAME picks one of {}", programs.join(", "))),
            Error::NoEmulator { install: Some(package), .. } => {
                Some(format!("install it (Debian: apt install {package})"))
            }
            Error::NoEmulator { .. } => Some("run it on the device".into()),
            _ => self.below().and_then(Coded::hint),
        }
    }

    fn verdict(&self) -> Verdict {
        match self {
            Error::NothingPatched => Verdict::No,
            _ => self.below().map_or(Verdict::Error, Coded::verdict),
        }
    }
}
