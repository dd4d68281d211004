//! Use cases, one a file: options in, a serialisable outcome out.
//!
//! Must not print and must not parse arguments; what takes long is told through [`progress::Progress`].

pub mod all;
pub mod baseline;
pub mod boards;
pub mod build;
pub mod check;
pub mod comparison;
pub mod edit;
mod engine;
pub mod explain;
pub mod export;
mod facts;
mod fetch;
pub mod finish;
pub mod graph_cache;
pub mod graph_file;
pub mod header;
mod history;
pub mod impact;
pub mod import;
pub mod init;
pub mod ldd;
pub mod lint;
pub mod list;
mod live;
pub mod overlays;
mod own_targets;
pub mod patch;
pub mod platforms;
pub mod predict;
pub mod progress;
pub mod queue;
pub mod rebase;
pub mod refresh;
pub mod reorder;
pub mod run;
pub mod scope;
pub mod source;
mod state;
pub mod status;
pub mod targets;
pub mod toolchain;
pub mod unpatch;
pub mod verify;
pub mod why;

use std::path::PathBuf;

use serde::Serialize;

use crate::base::diagnostic::{Coded, Explanation, Verdict};
use crate::base::fs::FsError;
use crate::base::process::ProcessError;
use crate::base::span::Place;
use crate::patch as patch_room;
use crate::view::Document;
use crate::{config, cross, git, graph, nix, overlay};

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
    Explanation {
        code: "OV1014",
        title: "a program could not be run",
        text: "The program is missing or the system refused to start it; the message says which. Its name is looked up in PATH.",
    },
    Explanation {
        code: "OV1020",
        title: "the overlay patches another C library than the one in use",
        text: "A cross toolchain's C library is not always the attribute with its name: `glibc` patched for a cross build rebuilds \
               the build tools, and the programs get `glibcCross`. TARGET.stdenv.cc.libc says which it is; patch that attribute.",
    },
    Explanation {
        code: "OV1021",
        title: "the overlay patches an attribute that nixpkgs does not have",
        text: "An overlay may bind any name, so a typo is silently a new attribute that nothing uses. Without the overlay the \
               name does not exist.",
    },
    Explanation {
        code: "OV1022",
        title: "the overlay does not reach the cross package set",
        text: "The native package has the patch, the one for the board has not. pkgsCross is a package set of its own: it gets the \
               overlays that nixpkgs is imported with, not what is added to a finished set (`pkgs.extend`, `pkgs // { ... }`), and a \
               condition on the platform may be the wrong way round.",
    },
    Explanation {
        code: "OV1023",
        title: "the overlay is not wired in",
        text: "The file names the patch, but it is not among the overlays that are applied: not in `overlays` of overlayctl.toml, \
               and no overlay that is applied imports it.",
    },
    Explanation {
        code: "OV1024",
        title: "a patch is applied twice",
        text: "The derivation has the same patch more than once: the overlay is listed twice, or listed and composed into another, \
               or nixpkgs has the patch by now. The build will fail, or ask whether to reverse it.",
    },
    Explanation {
        code: "OV1025",
        title: "no target depends on the patched package",
        text: "The patch changes nothing that is shipped. Perhaps the target uses another version (`openssl_1_1` instead of \
               `openssl`), or a copy of its own.",
    },
    Explanation {
        code: "OV1026",
        title: "the program is linked with another copy of the library",
        text: "Everything was rebuilt, and the program still holds code without the patch. Rust's own builds for musl targets carry \
               a musl and link it whatever the toolchain has (`-Clink-self-contained=no` turns that off); other languages bundle \
               libraries too.",
    },
    Explanation {
        code: "OV1027",
        title: "an unpatched copy of the package is used beside the patched one",
        text: "The same source is built a second time without the patch: an alias (`python37` beside `python3`), a private copy, a \
               bootstrap stage. The chain says who needs it.",
    },
    Explanation {
        code: "OV1028",
        title: "the overlay is applied and the package does not have the patch",
        text: "A condition around it is false for this platform, or a later overlay sets `patches` anew.",
    },
    Explanation {
        code: "OV1029",
        title: "the build did not apply the patch",
        text: "The derivation names the patch and the log has no `applying patch` line for it: the package replaces or skips \
               patchPhase, or is a wrapper without source.",
    },
    Explanation {
        code: "OV1030",
        title: "something refers to the unpatched package",
        text: "The unpatched build of the package is still needed, to run the target or to build it. The chain leads from it to the \
               target; the first link is the one to look at.",
    },
    Explanation {
        code: "OV1031",
        title: "a program is not what the board needs",
        text: "Wrong machine, byte order or float ABI; a library or loader that is not in the closure; a dynamic program where a \
               static one was asked for; or a program of the build machine among what the target needs to run.",
    },
    Explanation {
        code: "OV1032",
        title: "the patch does not fit the source",
        text: "It applies with fuzz only, or not at all: its context is not that of this version. Refresh it, and look at the result.",
    },
    Explanation {
        code: "OV1033",
        title: "the program does not print what was expected",
        text: "`verify --run ARGS --expect TEXT` ran the program, and TEXT is not in what it printed.",
    },
    Explanation {
        code: "OV1034",
        title: "the target is not built",
        text: "`overlayctl build TARGET` builds it; then it can be run.",
    },
    Explanation {
        code: "OV1035",
        title: "the target has no program of that name, or several",
        text: "`run` takes meta.mainProgram, the program called like the package, or the only one. --program NAME says which.",
    },
    Explanation {
        code: "OV1036",
        title: "nothing here runs programs of that platform",
        text: "Programs of another Linux machine run through qemu's user mode (Debian: qemu-user). What has no operating system below \
               it runs on the device only.",
    },
    Explanation {
        code: "OV1037",
        title: "the file is no ELF file",
        text: "`ldd` reads programs and libraries in the ELF format. A script has no libraries; its first line names what runs it.",
    },
    Explanation {
        code: "OV1039",
        title: "there is nothing to verify",
        text: "No overlay of the workspace patches anything, so nothing can be proven. `overlayctl list` shows what is patched.",
    },
    Explanation {
        code: "OV1080",
        title: "a target is left out of a prediction",
        text: "It does not evaluate even without the overlays, so there is no graph to predict from. The other targets are predicted.",
    },
    Explanation {
        code: "OV1082",
        title: "something is built during evaluation",
        text: "The expression imports the result of a derivation (import-from-derivation), so Nix has to build that before it can say \
               what the target is. It is found by evaluating without permission first. --no-import-from-derivation refuses it.",
    },
    Explanation {
        code: "OV1081",
        title: "everything is evaluated again",
        text: "With a kept graph of the unpatched set only the attributes that a change can reach are evaluated again, and a sample \
               of the others. Where the overlays bind something of which that cannot be told (a scope, a function, a new \
               name that others use), or the sample shows a change, all are.",
    },
    Explanation {
        code: "OV1120",
        title: "the package is bound again later",
        text: "Overlays are applied in order, and a later one that binds the same key without building on what is there \
               (`prev.NAME`) replaces it, patches and all.",
    },
    Explanation {
        code: "OV1121",
        title: "the package is named in a copy of the package set",
        text: "pkgsCross.NAME, pkgsStatic, buildPackages and the like are the package set once more, with the same overlays. A key \
               `pkgsCross` in an overlay would not reach into them. Patch the package by its plain name.",
    },
    Explanation {
        code: "OV1122",
        title: "the patch goes to the attribute that the name stands for",
        text: "nixpkgs defines one as the other (python3 as python37). An override of the alias would leave the other name, and \
               what uses it, as it was; an override of the owner reaches both. Which one that is was tried in the nixpkgs in use.",
    },
    Explanation {
        code: "OV1123",
        title: "another attribute is the same package and does not get the patch",
        text: "Both come from one definition, and neither is defined through the other, so an overlay has to bind each.",
    },
    Explanation {
        code: "OV1124",
        title: "the targets are linked with another C library",
        text: "The C library of a cross toolchain is not always the attribute with its name: glibcCross, muslCross. \
               TARGET.stdenv.cc.libc was compared with the attributes of the target's package set.",
    },
    Explanation {
        code: "OV1125",
        title: "the hash of vendored dependencies changes",
        text: "The patch touches a lock file. The dependencies are fetched by a derivation with a fixed hash (cargoHash, \
               vendorHash, npmDepsHash), made from the unpatched lock file, or the build compares the two and stops.",
    },
    Explanation {
        code: "OV1126",
        title: "autoreconf is needed",
        text: "`configure` and `Makefile.in` in a release are made from configure.ac and Makefile.am. A patch of the latter takes \
               effect only when they are made anew, which autoreconfHook does.",
    },
    Explanation {
        code: "OV1127",
        title: "the fetcher is built with the package itself",
        text: "fetchpatch needs curl, patchutils and what they are built with. A patch for one of these that fetchpatch were to \
               fetch would need itself, so the patch is kept as a file.",
    },
    Explanation {
        code: "OV1128",
        title: "the patch is kept as a file instead of being fetched",
        text: "fetchpatch needs the hash of the patch in the form that it brings it to, which only Nix can tell by fetching. Where \
               that is not possible, or the address is of this machine, the file goes into the queue: that always works.",
    },
    Explanation {
        code: "OV1129",
        title: "nothing is cross compiled",
        text: "`--scope host` guards the override with `hostPlatform != buildPlatform`. Every target of the workspace is native, \
               so it would never hold, without a word from Nix.",
    },
    Explanation {
        code: "OV1130",
        title: "an address could not be fetched",
        text: "Nix's own fetcher was asked (`builtins.fetchurl`); its message is shown.",
    },
    Explanation {
        code: "OV1131",
        title: "only this attribute of the set gets the patch",
        text: "The set is a plain one: `SET // { NAME = ...; }` replaces the attribute for those who look it up, but the other \
               packages of the set were given the unpatched one.",
    },
    Explanation {
        code: "OV1150",
        title: "a log or a duration could not be kept",
        text: "What was built is in Nix's store all the same, and so is its log (`nix-store --read-log DRV`). Only the copy below \
               .overlayctl/logs, or the time for the next estimate, is missing.",
    },
    Explanation {
        code: "OV1132",
        title: "the package does not evaluate in the nixpkgs in use",
        text: "Without the overlay it fails already, so whether it has a source, and which way leads into its set, could not be found \
               out. Perhaps another nixpkgs is meant (--nixpkgs PATH).",
    },
    Explanation {
        code: "OV1151",
        title: "no machine could build what is left",
        text: "None of the remote builders answered or has the system and the features that are needed, and nothing may be built here \
               (--max-jobs 0, or another system). What Nix said of each machine is shown. What was finished before stays.",
    },
];

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
