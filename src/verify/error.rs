//! Why the proof could not be made, or a program not be run.

use crate::base::diagnostic::{Coded, Verdict};
use crate::base::fs::FsError;
use crate::{comparison, cross, graph, nix, overlay, patch, queue, syntax, targets};

/// Why the proof could not be made, or a program not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// An attribute path.
    #[error(transparent)]
    Syntax(#[from] syntax::Error),
    /// A patch file.
    #[error(transparent)]
    Patch(#[from] patch::Error),
    /// An overlay.
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    /// Nix.
    #[error(transparent)]
    Nix(#[from] nix::Error),
    /// The derivation graph.
    #[error(transparent)]
    Graph(#[from] graph::Error),
    /// Programs and libraries.
    #[error(transparent)]
    Cross(#[from] cross::Error),
    /// The targets.
    #[error(transparent)]
    Targets(#[from] targets::Error),
    /// The patches of the workspace.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// The two sides of the workspace.
    #[error(transparent)]
    Comparison(#[from] comparison::Error),
    /// The overlays patch nothing.
    #[error("there is nothing to verify: the overlays patch nothing")]
    NothingPatched,
    /// A target that should be run is not built.
    #[error("`{target}` is not built")]
    NotBuilt {
        /// The target.
        target: String,
    },
    /// A target has no program to run, or several.
    #[error("{}", no_program(target, named.as_deref(), programs))]
    NoProgram {
        /// The target.
        target: String,
        /// The program that was asked for.
        named: Option<String>,
        /// The programs there are.
        programs: Vec<String>,
    },
    /// Nothing here runs programs of that platform.
    #[error("programs for {platform} cannot be run here: {why}")]
    NoEmulator {
        /// The platform.
        platform: String,
        /// Why.
        why: String,
        /// The package that has it.
        install: Option<String>,
    },
}

fn no_program(target: &str, named: Option<&str>, programs: &[String]) -> String {
    match (named, programs) {
        (_, []) => format!("`{target}` has no program"),
        (Some(named), _) => format!("`{target}` has no program `{named}`"),
        (None, _) => format!("`{target}` has {} programs, and none is its main one", programs.len()),
    }
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Fs(e) => e.code(),
            Error::Syntax(e) => e.code(),
            Error::Patch(e) => e.code(),
            Error::Overlay(e) => e.code(),
            Error::Nix(e) => e.code(),
            Error::Graph(e) => e.code(),
            Error::Cross(e) => e.code(),
            Error::Targets(e) => e.code(),
            Error::Queue(e) => e.code(),
            Error::Comparison(e) => e.code(),
            Error::NothingPatched => "OV1039",
            Error::NotBuilt { .. } => "OV1034",
            Error::NoProgram { .. } => "OV1035",
            Error::NoEmulator { .. } => "OV1036",
        }
    }

    fn below(&self) -> Option<&dyn Coded> {
        match self {
            Error::Fs(e) => Some(e),
            Error::Syntax(e) => Some(e),
            Error::Patch(e) => Some(e),
            Error::Overlay(e) => Some(e),
            Error::Nix(e) => Some(e),
            Error::Graph(e) => Some(e),
            Error::Cross(e) => Some(e),
            Error::Targets(e) => Some(e),
            Error::Queue(e) => Some(e),
            Error::Comparison(e) => Some(e),
            Error::NothingPatched | Error::NotBuilt { .. } | Error::NoProgram { .. } | Error::NoEmulator { .. } => None,
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
