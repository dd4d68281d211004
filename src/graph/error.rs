//! What can go wrong with graphs.

use std::path::PathBuf;

use crate::base::diagnostic::{Coded, Origin};
use crate::base::fs::FsError;
use crate::base::span::Place;
use crate::drv;

/// Why there is no graph, or no answer from one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the graph is incomplete")]
    Derivation(#[from] drv::Error),
    #[error("`{path}` is not the path of a derivation in {store_dir}")]
    NotADerivation { path: String, store_dir: String },
    #[error("these derivations need each other: {}", names(.0))]
    Cycle(Vec<String>),
    /// More than the cache format can count.
    #[error("the graph is too large: {what} do not fit in 32 bits")]
    TooLarge { what: &'static str },
    #[error("there is no derivation to start from")]
    NoRoots,
    /// A list of roots that is neither of the two forms.
    #[error("line {line} of the list of roots: {problem}")]
    Roots {
        /// The line, from 1.
        line: usize,
        problem: String,
    },
    #[error("the stored graph cannot be read or written")]
    Io(#[from] FsError),
    #[error("{} is not a usable graph: {problem}", path.display())]
    Cache { path: PathBuf, problem: CacheProblem },
    #[error("the graph has no attribute `{attr}`")]
    UnknownAttribute { attr: String, similar: Vec<String> },
}

/// Why a cache file is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheProblem {
    #[error("it does not start as one")]
    Foreign,
    /// It was written by another version of overlayctl, or on a machine of the other byte order.
    #[error("it was written by another version")]
    Version,
    #[error("its length is not the one it states")]
    Length,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("its {0} are damaged")]
    Structure(&'static str),
}

/// Names the derivations of a cycle, the first again at the end.
fn names(paths: &[String]) -> String {
    let mut names: Vec<&str> = paths.iter().take(12).map(|path| crate::base::store_path::drv_name(path)).collect();
    if paths.len() > names.len() {
        names.push("...");
    }
    names.extend(paths.first().map(|path| crate::base::store_path::drv_name(path)));
    names.join(" -> ")
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Derivation(source) => Origin::Below(source),
            Error::NotADerivation { .. } => Origin::Here("OV0301"),
            Error::Cycle(_) => Origin::Here("OV0302"),
            Error::TooLarge { .. } => Origin::Here("OV0303"),
            Error::NoRoots => Origin::Here("OV0304"),
            Error::Roots { .. } => Origin::Here("OV0305"),
            Error::Io(source) => Origin::Below(source),
            Error::Cache { .. } => Origin::Here("OV0306"),
            Error::UnknownAttribute { .. } => Origin::Here("OV0307"),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Derivation(source) => return source.hint(),
            Error::Io(source) => return source.hint(),
            Error::TooLarge { .. } => return None,
            Error::NotADerivation { .. } => "a root is a path that ends in .drv, as `nix-instantiate` prints it".into(),
            Error::Cycle(_) => "Nix cannot make such derivations: the files were not written by it".into(),
            Error::NoRoots => "name at least one target".into(),
            Error::Roots { .. } => {
                "each line is `attribute<TAB>.drv path<TAB>output path`, or a JSON object as nix-eval-jobs prints it"
                    .into()
            }
            Error::Cache { .. } => "build it again with `overlayctl graph build`".into(),
            Error::UnknownAttribute { similar, .. } if similar.is_empty() => {
                "known are the attributes in the list of roots that the graph was built from, and libc, kernel headers and \
                 compilers; of a graph made with --attrs every package in it"
                    .into()
            }
            Error::UnknownAttribute { similar, .. } => format!("did you mean {}?", similar.join(", ")),
        })
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Derivation(source) => source.place(),
            Error::Io(source) => source.place(),
            Error::Cache { path, .. } => Some(Place::file(path)),
            _ => None,
        }
    }
}
