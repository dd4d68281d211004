//! Use cases, one a file: options in, a serialisable outcome out.
//!
//! Must not print and must not parse arguments; what takes long is told through [`progress::Progress`].

pub mod build;
pub mod check;
mod comparison;
pub mod edit;
mod engine;
pub mod export;
mod facts;
pub mod finish;
pub mod header;
mod history;
pub mod impact;
pub mod import;
pub mod init;
pub mod lint;
pub mod list;
mod live;
pub mod overlays;
pub mod patch;
pub mod progress;
pub mod queue;
pub mod rebase;
pub mod refresh;
pub mod reorder;
pub mod source;
pub mod status;
pub mod targets;
pub mod unpatch;

use std::path::PathBuf;

use serde::Serialize;

use crate::base::diagnostic::{Coded, Explanation, Verdict};
use crate::base::fs::FsError;
use crate::base::span::Place;
use crate::patch as patch_room;
use crate::view::Document;
use crate::{config, git, graph, nix, overlay};

/// What a use case leaves: data for `--json`, a document for people, and how the process ends.
pub trait Outcome: Serialize {
    /// The name and version of the JSON shape, `overlayctl.impact/1`.
    const SCHEMA: &'static str;

    /// Returns what a person is shown; `verbose` asks for more.
    fn document(&self, verbose: bool) -> Document;

    /// Returns how the process ends when it is not with 0: the answer is no, or part of the work could not be done.
    fn verdict(&self) -> Option<Verdict> {
        None
    }
}

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
    /// A patch queue or the source that it is for.
    #[error(transparent)]
    Queue(#[from] queue::error::Error),
    /// A target does not evaluate.
    #[error("`{target}` does not evaluate: {}", failure.message)]
    Eval {
        /// The target.
        target: String,
        /// What Nix said.
        failure: Box<nix::EvalFailure>,
    },
    /// There is nothing to look at.
    #[error("there is no target")]
    NoTargets,
    /// No overlay was found.
    #[error("no overlay found in {}", root.display())]
    NoOverlay {
        /// The workspace.
        root: PathBuf,
    },
    /// Several overlays could be meant.
    #[error("{}", which_overlay(attr, candidates, *bound))]
    WhichOverlay {
        /// The package.
        attr: overlay::AttrPath,
        /// Where each begins.
        candidates: Vec<Place>,
        /// Whether they all bind the package already.
        bound: bool,
    },
    /// The package has no such patch.
    #[error("{}", not_patched(attr, patch.as_deref()))]
    NotPatched {
        /// The package.
        attr: overlay::AttrPath,
        /// The patch, as typed.
        patch: Option<String>,
    },
    /// The attribute does not exist.
    #[error("nixpkgs has no attribute `{attr}`")]
    NoSuchAttribute {
        /// The attribute.
        attr: String,
        /// Names that exist.
        near: Vec<String>,
    },
    /// The package has no source of its own.
    #[error("`{attr}` has no source of its own (a wrapper): a patch there would be ignored")]
    Wrapper {
        /// The attribute.
        attr: String,
        /// What is meant perhaps.
        unwrapped: String,
    },
    /// The patch file has CR LF line ends.
    #[error("the patch has CR LF line ends: `patch` would take them off or not find its place")]
    CrlfPatch {
        /// The file.
        path: PathBuf,
    },
    /// What `init` would write is there already.
    #[error("{} is there already", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// An argument does not fit.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to type instead.
        hint: String,
    },
}

pub use queue::error::EXPLANATIONS as QUEUE_EXPLANATIONS;

/// The codes of this room, those of the patch queue apart.
pub static EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: "OV1001",
        title: "something stands where a new file would go",
        text: "overlayctl never overwrites what it did not write. Choose another directory, or move the old one away.",
    },
    Explanation {
        code: "OV1002",
        title: "the arguments do not fit together",
        text: "The message says which; `overlayctl COMMAND --help` has examples.",
    },
    Explanation {
        code: "OV1003",
        title: "a target does not evaluate",
        text: "Nix could not evaluate the target with the overlays. Its message is shown shortened, whole with --verbose.",
    },
    Explanation {
        code: "OV1004",
        title: "there is no target",
        text: "Name what you ship: `--target pkgsCross.aarch64-multiplatform-musl.ripgrep`, a board of overlayctl.toml with --board, or `targets` there.",
    },
    Explanation {
        code: "OV1005",
        title: "an overlay names a patch that is not there",
        text: "The overlay would not evaluate. Put the file back, or take the patch out of the overlay.",
    },
    Explanation {
        code: "OV1006",
        title: "Nix was not asked about the package",
        text: "There is no Nix or no nixpkgs at hand, or it does not evaluate. The overlay can be edited all the same, but whether the \
               attribute exists and is the one that counts was not checked.",
    },
    Explanation {
        code: "OV1007",
        title: "a target evaluates only with the overlays",
        text: "Without the overlays the target does not exist or fails, so there is nothing to compare with: all that only it needs counts as new.",
    },
    Explanation {
        code: "OV1008",
        title: "no overlay found",
        text: "overlayctl looks at `overlays` in overlayctl.toml, else at overlays/*.nix, overlay.nix, overlays.nix, default.nix and flake.nix.",
    },
    Explanation {
        code: "OV1009",
        title: "several overlays could be meant",
        text: "Where one of them binds the package already, that one is taken. Otherwise say which: --overlay PATH:LINE names the function \
               whose first argument stands on that line.",
    },
    Explanation {
        code: "OV1010",
        title: "the package has no such patch",
        text: "`unpatch` takes a patch by its file name, its number or its path, and without one every patch of the package's queue.",
    },
    Explanation {
        code: "OV1011",
        title: "nixpkgs has no such attribute",
        text: "An overlay that binds a name nobody uses changes nothing, and Nix says nothing about it. So the name is looked up first.",
    },
    Explanation {
        code: "OV1012",
        title: "the package has no source of its own",
        text: "Wrappers (binutils, clang, many -wrapped programs) have neither `src` nor `srcs`; `patches` there is ignored. The unwrapped \
               package is meant.",
    },
    Explanation {
        code: "OV1013",
        title: "the patch has CR LF line ends",
        text: "The header lines end with CR LF, so a mailer or editor converted the whole file. GNU patch strips them, with the effect \
               that the patch does not fit a source that has them.",
    },
];

fn which_overlay(attr: &overlay::AttrPath, candidates: &[Place], bound: bool) -> String {
    let places: Vec<String> = candidates.iter().map(ToString::to_string).collect();
    let why = if bound { "bind it" } else { "could hold it" };
    format!("`{attr}`: {} overlays {why}, and nothing says which one is meant: {}", places.len(), places.join(", "))
}

fn not_patched(attr: &overlay::AttrPath, patch: Option<&str>) -> String {
    match patch {
        Some(patch) => format!("`{attr}` has no patch `{patch}` in the overlays"),
        None => format!("`{attr}` has no patch of its queue in the overlays"),
    }
}

impl Error {
    /// Returns the whole of a message that is shown shortened.
    pub fn detail(&self) -> Option<String> {
        match self {
            Error::Nix(e) => e.detail().map(str::to_string),
            Error::Eval { failure, .. } => Some(failure.full.clone()),
            _ => None,
        }
    }

    /// Returns the room's own error that says more, when there is one.
    fn inner(&self) -> Option<&dyn Coded> {
        match self {
            Error::Fs(e) => Some(e),
            Error::Config(e) => Some(e),
            Error::Git(e) => Some(e),
            Error::Patch(e) => Some(e),
            Error::Overlay(e) => Some(e),
            Error::Nix(e) => Some(e),
            Error::Graph(e) => Some(e),
            Error::Queue(e) => Some(e),
            _ => None,
        }
    }
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Exists { .. } => "OV1001",
            Error::Usage { .. } => "OV1002",
            Error::Fs(e) => e.code(),
            Error::Config(e) => e.code(),
            Error::Git(e) => e.code(),
            Error::Patch(e) => e.code(),
            Error::Overlay(e) => e.code(),
            Error::Nix(e) => e.code(),
            Error::Graph(e) => e.code(),
            Error::Queue(e) => e.code(),
            Error::Eval { .. } => "OV1003",
            Error::NoTargets => "OV1004",
            Error::NoOverlay { .. } => "OV1008",
            Error::WhichOverlay { .. } => "OV1009",
            Error::NotPatched { .. } => "OV1010",
            Error::NoSuchAttribute { .. } => "OV1011",
            Error::Wrapper { .. } => "OV1012",
            Error::CrlfPatch { .. } => "OV1013",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Usage { hint, .. } => Some(hint.clone()),
            Error::Eval { failure, .. } if !failure.near.is_empty() => {
                Some(format!("near names: {}", failure.near.join(", ")))
            }
            Error::NoTargets => Some("name one with --target, or a board with --board".into()),
            Error::NoOverlay { .. } => Some("`overlayctl init` makes one; or name a file with --overlay PATH".into()),
            Error::WhichOverlay { candidates, .. } => {
                let example = candidates.first().map(|p| match p.line_col {
                    Some(at) => format!("{}:{}", p.path.display(), at.line),
                    None => p.path.display().to_string(),
                });
                Some(format!("say which, for example --overlay {}", example.unwrap_or_default()))
            }
            Error::NotPatched { .. } => Some("`overlayctl list` shows what is patched".into()),
            Error::NoSuchAttribute { near, .. } if !near.is_empty() => {
                Some(format!("did you mean {}?", near.join(", ")))
            }
            Error::NoSuchAttribute { .. } => {
                Some("a typo in an overlay is silently a new attribute; look the name up in nixpkgs".into())
            }
            Error::Wrapper { unwrapped, .. } => Some(format!("patch the package that it wraps, perhaps `{unwrapped}`")),
            Error::CrlfPatch { .. } => Some(
                "a mailer or an editor made them; take them off (dos2unix, or sed -i 's/\\r$//') and run it again"
                    .into(),
            ),
            _ => self.inner().and_then(Coded::hint),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Exists { path } | Error::CrlfPatch { path } => Some(Place::file(path)),
            Error::Eval { failure, .. } => failure.place.as_deref().cloned(),
            _ => self.inner().and_then(Coded::place),
        }
    }

    fn source_line(&self) -> Option<String> {
        self.inner().and_then(Coded::source_line)
    }

    fn verdict(&self) -> Verdict {
        match self {
            Error::NotPatched { .. } | Error::Wrapper { .. } | Error::WhichOverlay { .. } | Error::CrlfPatch { .. } => {
                Verdict::No
            }
            _ => self.inner().map_or(Verdict::Error, Coded::verdict),
        }
    }
}
