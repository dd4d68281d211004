//! Why a use case could not be carried out: the errors of the rooms below, and those of the use cases themselves.

use std::path::PathBuf;

use super::queue;
use crate::base::diagnostic::{Coded, Verdict};
use crate::base::fs::FsError;
use crate::base::process::ProcessError;
use crate::base::span::Place;
use crate::patch as patch_room;
use crate::{config, cross, git, graph, nix, overlay};

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
    /// Platforms and programs.
    #[error(transparent)]
    Cross(#[from] cross::Error),
    /// A process.
    #[error(transparent)]
    Process(#[from] ProcessError),
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
        /// What is patched.
        patched: Vec<String>,
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
        /// The attribute with the source, where it was found.
        unwrapped: Option<String>,
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
    /// Not an ELF file.
    #[error("{} is no ELF file", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
    },
    /// The package is named in a set that is made from the whole package set.
    #[error("`{attr}` is in a copy of the whole package set: an overlay holds in each, and cannot be written for one")]
    InPackageSet {
        /// The path, as typed.
        attr: overlay::AttrPath,
        /// The path within the set.
        inner: Option<overlay::AttrPath>,
    },
    /// `--scope host` where nothing is cross compiled.
    #[error("nothing here is cross compiled: with --scope host the patch would hold nowhere")]
    NothingCross,
    /// An address could not be read.
    #[error("{url} could not be fetched: {reason}")]
    Fetch {
        /// The address.
        url: String,
        /// What Nix said.
        reason: String,
    },
    /// The overlays patch nothing.
    #[error("there is nothing to verify: the overlays patch nothing")]
    NothingPatched,
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

fn no_program(target: &str, named: Option<&str>, programs: &[String]) -> String {
    match (named, programs) {
        (_, []) => format!("`{target}` has no program"),
        (Some(named), _) => format!("`{target}` has no program `{named}`"),
        (None, _) => format!("`{target}` has {} programs, and none is its main one", programs.len()),
    }
}

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
            Error::Cross(e) => Some(e),
            Error::Queue(e) => Some(e),
            Error::File { source, .. } => Some(source.as_ref()),
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
            Error::Cross(e) => e.code(),
            Error::Queue(e) => e.code(),
            Error::Eval { .. } => "OV1003",
            Error::Process(_) => "OV1014",
            Error::NoTargets => "OV1004",
            Error::NoOverlay { .. } => "OV1008",
            Error::WhichOverlay { .. } => "OV1009",
            Error::NotPatched { .. } => "OV1010",
            Error::NoSuchAttribute { .. } => "OV1011",
            Error::Wrapper { .. } => "OV1012",
            Error::CrlfPatch { .. } => "OV1013",
            Error::InPackageSet { .. } => "OV1121",
            Error::NothingCross => "OV1129",
            Error::Fetch { .. } => "OV1130",
            Error::NotBuilt { .. } => "OV1034",
            Error::NoProgram { .. } => "OV1035",
            Error::NoEmulator { .. } => "OV1036",
            Error::NotElf { .. } => "OV1037",
            Error::NothingPatched => "OV1039",
            Error::NoMachine { .. } => "OV1151",
            Error::File { source, .. } => source.code(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Usage { hint, .. } => Some(hint.clone()),
            Error::Eval { failure, .. } if !failure.near.is_empty() => {
                Some(format!("near names: {}", failure.near.join(", ")))
            }
            Error::NoMachine { .. } => Some(
                "try `ssh HOST nix-store --version` as the user that builds; --max-jobs above 0 builds here too".into(),
            ),
            Error::NoTargets => Some("name one with --target, or a board with --board".into()),
            Error::NoOverlay { .. } => Some("`overlayctl patch --new-overlay` makes one and says how it is wired in; or name a file with --overlay PATH".into()),
            Error::WhichOverlay { candidates, .. } => {
                let example = candidates.first().map(|p| match p.line_col {
                    Some(at) => format!("{}:{}", p.path.display(), at.line),
                    None => p.path.display().to_string(),
                });
                Some(format!("say which, for example --overlay {}", example.unwrap_or_default()))
            }
            Error::NotPatched { attr, patched, .. } => Some(match patched.as_slice() {
                [] => "`overlayctl list` shows what is patched".into(),
                names if names.contains(&attr.to_string()) => format!("`overlayctl list {attr}` shows its patches"),
                names if names.len() <= 8 => format!("what is patched: {}", names.join(", ")),
                _ => "`overlayctl list` shows what is patched".into(),
            }),
            Error::NoSuchAttribute { near, .. } if !near.is_empty() => {
                Some(format!("did you mean {}?", near.join(", ")))
            }
            Error::NoSuchAttribute { .. } => {
                Some("a typo in an overlay is silently a new attribute; look the name up in nixpkgs".into())
            }
            Error::Wrapper { unwrapped: Some(unwrapped), .. } => {
                Some(format!("its source is that of `{unwrapped}`: patch that"))
            }
            Error::Wrapper { .. } => Some("patch the package that it wraps".into()),
            Error::NothingCross => {
                Some("leave --scope out, or name what is cross compiled in `targets` or a board".into())
            }
            Error::InPackageSet { inner: Some(inner), .. } => Some(format!(
                "name the package alone: `{inner}`; with --scope host only what is cross compiled gets the patch"
            )),
            Error::InPackageSet { .. } => Some("name a package".into()),
            Error::Fetch { .. } => Some("fetch the file yourself and name it".into()),
            Error::CrlfPatch { .. } => Some(
                "a mailer or an editor made them; take them off (dos2unix, or sed -i 's/\\r$//') and run it again"
                    .into(),
            ),
            Error::NotBuilt { .. } => Some("`overlayctl build` builds it".into()),
            Error::NoProgram { programs, .. } if programs.is_empty() => None,
            Error::NoProgram { programs, .. } => Some(format!("--program NAME picks one of {}", programs.join(", "))),
            Error::NoEmulator { install: Some(package), .. } => {
                Some(format!("install it (Debian: apt install {package})"))
            }
            Error::NoEmulator { .. } => Some("run it on the device".into()),
            Error::NotElf { .. } => Some("name a program or a shared library".into()),
            Error::NothingPatched => Some("`overlayctl patch PACKAGE FILE` puts a patch on a package".into()),
            _ => self.inner().and_then(Coded::hint),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Exists { path } | Error::CrlfPatch { path } | Error::NotElf { path } | Error::File { path, .. } => {
                Some(Place::file(path))
            }
            Error::Eval { failure, .. } => failure.place.as_deref().cloned(),
            _ => self.inner().and_then(Coded::place),
        }
    }

    fn source_line(&self) -> Option<String> {
        self.inner().and_then(Coded::source_line)
    }

    fn verdict(&self) -> Verdict {
        match self {
            Error::NotPatched { .. }
            | Error::Wrapper { .. }
            | Error::WhichOverlay { .. }
            | Error::CrlfPatch { .. }
            | Error::InPackageSet { .. }
            | Error::NothingCross
            | Error::NothingPatched => Verdict::No,
            _ => self.inner().map_or(Verdict::Error, Coded::verdict),
        }
    }
}
