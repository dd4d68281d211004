//! What can go wrong with a patch queue and the sources that it is for.
//!
//! Must not know how it is shown.

use std::path::PathBuf;

use crate::base::diagnostic::{Coded, Explanation, Verdict};
use crate::base::fs::FsError;
use crate::base::span::Place;
use crate::overlay::{self, AttrPath};
use crate::{config, drv, git, nix, patch, targets};

/// Why a queue could not be worked on.
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
    Patch(#[from] patch::Error),
    /// An overlay.
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    /// Nix.
    #[error(transparent)]
    Nix(#[from] nix::Error),
    /// The targets.
    #[error(transparent)]
    Targets(#[from] targets::Error),
    /// The package has no source.
    #[error("`{attr}` has no source that a patch could change")]
    NoSource {
        /// The package.
        attr: String,
    },
    /// A source cannot be unpacked.
    #[error("{} cannot be unpacked: {why}", path.display())]
    Unpack {
        /// The archive or directory.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A source is larger than what is unpacked.
    #[error("{} holds more than {limit}", path.display())]
    TooLarge {
        /// The archive or directory.
        path: PathBuf,
        /// The limit, in words.
        limit: String,
    },
    /// It cannot be told in which directory the patches apply.
    #[error("the directory of `{attr}` in which its patches apply is unknown: {why}")]
    SourceRoot {
        /// The package.
        attr: String,
        /// Why.
        why: String,
    },
    /// A source is not there and could not be built or fetched.
    #[error("the source {path} is not there, and Nix could not get it: {why}")]
    NotBuilt {
        /// The store path.
        path: String,
        /// What Nix said.
        why: String,
    },
    /// The package has no queue.
    #[error("`{attr}` has no patch in the overlays or in {}", dir.display())]
    NoQueue {
        /// The package.
        attr: AttrPath,
        /// The directory of its queue.
        dir: PathBuf,
    },
    /// A patch does not apply.
    #[error("{patch} does not apply to the source of `{attr}`: {why}")]
    DoesNotApply {
        /// The package.
        attr: String,
        /// The patch.
        patch: String,
        /// File, line and what was expected.
        why: String,
    },
    /// The package is being edited already.
    #[error("`{attr}` is being edited already in {}", dir.display())]
    BeingEdited {
        /// The package.
        attr: String,
        /// The worktree.
        dir: PathBuf,
    },
    /// The package is not being edited.
    #[error("`{attr}` is not being edited: there is no {}", dir.display())]
    NotEdited {
        /// The package.
        attr: String,
        /// The worktree that would be there.
        dir: PathBuf,
    },
    /// The worktree holds changes that are not committed.
    #[error("{} has changes that are not committed: {}", dir.display(), shorten(files))]
    Uncommitted {
        /// The worktree.
        dir: PathBuf,
        /// The files.
        files: Vec<String>,
    },
    /// The commits are not a line from the base.
    #[error("the commits of {} cannot become a queue: {why}", dir.display())]
    NotLinear {
        /// The worktree.
        dir: PathBuf,
        /// Why.
        why: String,
    },
    /// A commit cannot be written as a patch that the build takes.
    #[error("the commit `{subject}` in {} cannot become a patch: {why}", dir.display())]
    NotAPatch {
        /// The worktree.
        dir: PathBuf,
        /// The first line of its message.
        subject: String,
        /// Why.
        why: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The overlay cannot follow.
    #[error("the overlay cannot be brought into the order of the queue of `{attr}`: {why}")]
    OverlayOrder {
        /// The package.
        attr: AttrPath,
        /// Why.
        why: String,
        /// The overlay.
        place: Place,
    },
    /// What should be imported is no series of patches.
    #[error("{name} cannot be imported: {why}")]
    Import {
        /// As typed.
        name: String,
        /// Why.
        why: String,
    },
    /// The queue has no such patch.
    #[error("the queue of `{attr}` has no patch `{patch}`")]
    NoSuchPatch {
        /// The package.
        attr: AttrPath,
        /// As typed.
        patch: String,
    },
    /// No rebase is under way, or another one is.
    #[error("{why}")]
    Rebase {
        /// What is the matter.
        why: String,
        /// What to type.
        hint: String,
    },
    /// There is no history to look through.
    #[error("the revision cannot be looked for: {why}")]
    NoHistory {
        /// What is missing.
        why: String,
        /// What to type.
        hint: String,
    },
    /// A file changed since it was read.
    #[error("{} changed since `edit` or `rebase` began", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
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
        attr: AttrPath,
        /// Where each begins.
        candidates: Vec<Place>,
        /// Whether they all bind the package already.
        bound: bool,
    },
    /// No overlay in which the patch would have an effect.
    #[error("a patch of `{attr}` in {place} would have no effect: {why}")]
    NoEffect {
        /// The package.
        attr: AttrPath,
        /// Why.
        why: String,
        /// The overlay that came first into question.
        place: Place,
    },
    /// The change would stop something from working.
    #[error("the change of `{attr}` would do damage, so nothing was written: {why}")]
    Damage {
        /// The package.
        attr: AttrPath,
        /// What would stop working.
        why: String,
        /// The overlay.
        place: Place,
    },
    /// Derivations could not be read.
    #[error(transparent)]
    Drv(#[from] drv::Error),
    /// The package has no such patch.
    #[error("{}", not_patched(attr, patch.as_deref()))]
    NotPatched {
        /// The package.
        attr: AttrPath,
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
    /// The attribute is only there to say that it is gone.
    #[error("nixpkgs has `{attr}` no more: {message}")]
    Removed {
        /// The attribute.
        attr: String,
        /// What nixpkgs says.
        message: String,
        /// The attributes that it names.
        instead: Vec<String>,
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
    /// The package is named in a set that is made from the whole package set.
    #[error("`{attr}` is in a copy of the whole package set: an overlay holds in each, and cannot be written for one")]
    InPackageSet {
        /// The path, as typed.
        attr: AttrPath,
        /// The path within the set.
        inner: Option<AttrPath>,
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
}

fn which_overlay(attr: &AttrPath, candidates: &[Place], bound: bool) -> String {
    let places: Vec<String> = candidates.iter().map(ToString::to_string).collect();
    let why = if bound { "bind it" } else { "could hold it" };
    format!("`{attr}`: {} overlays {why}, and nothing says which one is meant: {}", places.len(), places.join(", "))
}

fn not_patched(attr: &AttrPath, patch: Option<&str>) -> String {
    match patch {
        Some(patch) => format!("`{attr}` has no patch `{patch}` in the overlays"),
        None => format!("`{attr}` has no patch of its queue in the overlays"),
    }
}

fn shorten(files: &[String]) -> String {
    let shown: Vec<&str> = files.iter().take(5).map(String::as_str).collect();
    let more = files.len().saturating_sub(5);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// The codes of the patch queue.
pub static EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: "OV1160",
        title: "a patch reaches none of the targets",
        text: "The workspace has the patch, and no derivation that the named targets need has it. The reason is told: nothing applies \
               the overlay, the package set has no such package, something that is applied later binds it anew, it is for another board \
               or another stage, or nothing that the targets need uses the package. `--strict` makes `impact` end with 1.",
    },
    Explanation {
        code: "OV1161",
        title: "a patch would have no effect",
        text: "The workspace was evaluated with the patch in the overlay, and no package set of it has the patch then. An overlay that \
               nothing applies is only taken when it is named with --overlay.",
    },
    Explanation {
        code: "OV1162",
        title: "a change was not evaluated before it was written",
        text: "Before anything is written the workspace is evaluated as it would be. Where it does not evaluate, or there is no nixpkgs, \
               that cannot be done, and the change rests on the text of the overlays alone.",
    },
    Explanation {
        code: "OV1163",
        title: "the change would do damage",
        text: "The workspace was evaluated as it would be, and something that evaluates today would not any more, or a set of packages \
               would lose names. Nothing was written.",
    },
    Explanation {
        code: "OV1136",
        title: "nixpkgs takes the patches twice",
        text: "The package hands its `patches` on to another derivation that adds them to its own, as bootstrap stages do. The second \
               time the patch does not apply.",
    },
    Explanation {
        code: "OV1040",
        title: "the package has no source",
        text: "It has neither `src` nor `srcs`, so no patch is ever applied to it. Wrappers are such packages.",
    },
    Explanation {
        code: "OV1041",
        title: "a source cannot be unpacked",
        text: "overlayctl unpacks tar archives (plain, or compressed by gzip, bzip2, xz, zstd or lzip), zip archives and \
               directories, and refuses archives whose paths lead out of them.",
    },
    Explanation {
        code: "OV1042",
        title: "a source is too large",
        text: "Sources are unpacked in memory. The limits keep a small archive that unpacks to something huge from taking all of it.",
    },
    Explanation {
        code: "OV1043",
        title: "the source directory is unknown",
        text: "As nixpkgs' unpackPhase: patches apply in `sourceRoot`, or else in the only directory that unpacking makes.",
    },
    Explanation {
        code: "OV1044",
        title: "a source is not there",
        text: "The source is a fixed-output derivation that is not in the store and could not be fetched. `nix-store --add-fixed` \
               puts a file that you have into the store.",
    },
    Explanation {
        code: "OV1045",
        title: "the package has no patch queue",
        text: "Neither an overlay of the workspace names a patch of it, nor is there a folder with patches for it.",
    },
    Explanation {
        code: "OV1046",
        title: "a patch does not apply",
        text: "Applied in order after nixpkgs' own patches, as `patch` does it. `overlayctl check` shows where; `overlayctl rebase` \
               brings a queue to another source by a three-way merge.",
    },
    Explanation {
        code: "OV1047",
        title: "the package is being edited already",
        text: "There is a worktree for it. `overlayctl finish ATTR` takes its commits into the queue, `overlayctl finish ATTR --abort` \
               throws them away.",
    },
    Explanation {
        code: "OV1048",
        title: "the package is not being edited",
        text: "`overlayctl edit ATTR` makes a git worktree with one commit for each patch.",
    },
    Explanation {
        code: "OV1049",
        title: "changes that are not committed",
        text: "Only commits become patches. Commit the changes with git, or put them away with `git stash`.",
    },
    Explanation {
        code: "OV1050",
        title: "the commits are no line of patches",
        text: "A queue is a line: the commits have to follow the base one by one, without merges. `git rebase` makes a line of them.",
    },
    Explanation {
        code: "OV1051",
        title: "the overlay cannot follow the queue",
        text: "The list of patches in the overlay is written in a way in which elements cannot be moved with certainty: it is \
               computed, split over several lists, or in several overlays. Nothing was changed.",
    },
    Explanation {
        code: "OV1052",
        title: "it cannot be imported",
        text: "`import` takes patch files, a directory of them, a mailbox, a quilt series (a directory with `series`), or commits: \
               REPO..RANGE.",
    },
    Explanation {
        code: "OV1053",
        title: "the queue has no such patch",
        text: "A patch is named by its number, its file name or its path; `overlayctl list ATTR` shows them.",
    },
    Explanation {
        code: "OV1054",
        title: "no rebase is under way, or one is",
        text: "A rebase that met a conflict waits in .overlayctl/rebase: --continue after resolving, --skip to drop the patch, \
               --abort to leave everything as it was.",
    },
    Explanation {
        code: "OV1055",
        title: "the queue changed in the meantime",
        text: "A patch file is not what it was when `edit` or `rebase` began, so writing the queue would lose that change. Put the \
               file back, or end the session with --abort and begin again.",
    },
    Explanation {
        code: "OV1056",
        title: "there is no history to look through",
        text: "`rebase --time-machine` looks through the commits between two revisions of nixpkgs, so it needs one git repository that \
               has both. `--to` takes a clone (its HEAD counts), DIR@REV for another revision of it, or a revision of the repository \
               that the old nixpkgs is in. The old one is the workspace's, or --from; a flake.lock, npins or niv say its revision.",
    },
    Explanation {
        code: "OV1057",
        title: "a commit cannot become a patch",
        text: "nixpkgs applies patches with GNU patch, which takes text only: a binary file that a commit adds or changes cannot be in \
               one. Commit it apart, take that commit out again, and copy the file in `postPatch` of the override.",
    },
    Explanation {
        code: "OV1060",
        title: "the build changes the source before its patches",
        text: "The package has `prePatch`, `postUnpack`, an `unpackPhase` or a `patchPhase` of its own. They run shell commands, which \
               overlayctl does not do on its own: what it says is about the source as unpacked. `overlayctl build` has the last word.",
    },
    Explanation {
        code: "OV1061",
        title: "a patch that Nix fetches could not be had",
        text: "The overlay names a patch that is no file of the queue: Nix fetches or makes it. It is applied in its place like the \
               others, but this one could not be got, so what was said is about the source without it.",
    },
    Explanation {
        code: "OV1062",
        title: "an entry of the source was left out",
        text: "Links that lead out of the source, devices, and names that are not UTF-8 cannot be held; no patch can change them.",
    },
    Explanation {
        code: "OV1064",
        title: "the overlays do not evaluate here",
        text: "Sources are asked for with the overlays of the workspace, since these may have a source of their own. Where the \
               package does not evaluate with them (most often on another nixpkgs), it is looked at as nixpkgs has it.",
    },
    Explanation {
        code: "OV1065",
        title: "the build changes the source after its patches",
        text: "nixpkgs' patchPhase runs `prePatch`, applies the patches, then runs `postPatch` (substitutions, most often of paths). A patch \
               has to fit the files as they are before postPatch, so that is what `edit` shows. `overlayctl build --edited ATTR` runs \
               postPatch on top of them, as any build does.",
    },
    Explanation {
        code: "OV1066",
        title: "a patch of a series was turned round",
        text: "quilt applies it with -R. The build has no such thing, so the queue has the patch that does the same: its sides are \
               exchanged, its text is kept, which may still say the opposite.",
    },
    Explanation {
        code: "OV1063",
        title: "a patch of a series changes nothing",
        text: "The file has no diff: it is empty, or only text is left of it. It was not taken into the queue.",
    },
];

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Fs(e) => e.code(),
            Error::Config(e) => e.code(),
            Error::Git(e) => e.code(),
            Error::Patch(e) => e.code(),
            Error::Overlay(e) => e.code(),
            Error::Nix(e) => e.code(),
            Error::Targets(e) => e.code(),
            Error::Exists { .. } => "OV1001",
            Error::Drv(e) => e.code(),
            Error::NoEffect { .. } => "OV1161",
            Error::Damage { .. } => "OV1163",
            Error::NoOverlay { .. } => "OV1008",
            Error::WhichOverlay { .. } => "OV1009",
            Error::NotPatched { .. } => "OV1010",
            Error::NoSuchAttribute { .. } => "OV1011",
            Error::Removed { .. } => "OV1138",
            Error::Wrapper { .. } => "OV1012",
            Error::CrlfPatch { .. } => "OV1013",
            Error::InPackageSet { .. } => "OV1121",
            Error::Fetch { .. } => "OV1130",
            Error::NothingCross => "OV1129",
            Error::NoSource { .. } => "OV1040",
            Error::Unpack { .. } => "OV1041",
            Error::TooLarge { .. } => "OV1042",
            Error::SourceRoot { .. } => "OV1043",
            Error::NotBuilt { .. } => "OV1044",
            Error::NoQueue { .. } => "OV1045",
            Error::DoesNotApply { .. } => "OV1046",
            Error::BeingEdited { .. } => "OV1047",
            Error::NotEdited { .. } => "OV1048",
            Error::Uncommitted { .. } => "OV1049",
            Error::NotLinear { .. } => "OV1050",
            Error::OverlayOrder { .. } => "OV1051",
            Error::Import { .. } => "OV1052",
            Error::NoSuchPatch { .. } => "OV1053",
            Error::Rebase { .. } => "OV1054",
            Error::Changed { .. } => "OV1055",
            Error::NoHistory { .. } => "OV1056",
            Error::NotAPatch { .. } => "OV1057",
        }
    }

    fn below(&self) -> Option<&dyn Coded> {
        match self {
            Error::Fs(e) => Some(e),
            Error::Config(e) => Some(e),
            Error::Git(e) => Some(e),
            Error::Patch(e) => Some(e),
            Error::Overlay(e) => Some(e),
            Error::Nix(e) => Some(e),
            Error::Targets(e) => Some(e),
            Error::Drv(e) => Some(e),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
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
            Error::Removed { instead, .. } => Some(match instead.first() {
                Some(name) => format!("patch `{name}`"),
                None => "name the package by its new name, or patch what replaces it".into(),
            }),
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
            Error::NoEffect { place, .. } => Some(format!(
                "apply that overlay (in `overlays` of overlayctl.toml, or where your own code imports nixpkgs), or write there all the same with --overlay {}",
                place.path.display()
            )),
            Error::Damage { .. } => Some("--offline writes it without evaluating; then mend the overlay by hand".into()),
            Error::NoSource { .. } => Some("patch the package that it wraps".into()),
            Error::NotBuilt { .. } => {
                Some("`nix-store --add-fixed sha256 FILE` puts a file that you have there".into())
            }
            Error::NoQueue { attr, .. } => Some(format!("`overlayctl patch {attr} FILE` begins one")),
            Error::DoesNotApply { attr, .. } => {
                Some(format!("`overlayctl check {attr}` shows all; `overlayctl rebase {attr}` moves the queue"))
            }
            Error::BeingEdited { attr, .. } => {
                Some(format!("end it with `overlayctl finish {attr}`, or with --abort to throw it away"))
            }
            Error::NotEdited { attr, .. } => Some(format!("`overlayctl edit {attr}` begins")),
            Error::Uncommitted { .. } => Some("commit them, or put them away with `git stash`".into()),
            Error::NotAPatch { hint, .. } => hint.clone(),
            Error::NotLinear { .. } => Some("make a line of them with `git rebase`".into()),
            Error::OverlayOrder { .. } => Some("bring the list into one place of one overlay by hand".into()),
            Error::NoSuchPatch { attr, .. } => Some(format!("`overlayctl list {attr}` shows them")),
            Error::Rebase { hint, .. } | Error::NoHistory { hint, .. } => Some(hint.clone()),
            Error::Changed { .. } => Some("put it back, or begin again after --abort".into()),
            _ => self.below().and_then(Coded::hint),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Unpack { path, .. }
            | Error::TooLarge { path, .. }
            | Error::Changed { path }
            | Error::Exists { path }
            | Error::CrlfPatch { path } => Some(Place::file(path)),
            Error::OverlayOrder { place, .. } | Error::NoEffect { place, .. } | Error::Damage { place, .. } => {
                Some(place.clone())
            }
            _ => self.below().and_then(Coded::place),
        }
    }

    fn verdict(&self) -> Verdict {
        match self {
            Error::DoesNotApply { .. }
            | Error::OverlayOrder { .. }
            | Error::NotLinear { .. }
            | Error::NotAPatch { .. }
            | Error::NotPatched { .. }
            | Error::Wrapper { .. }
            | Error::Removed { .. }
            | Error::WhichOverlay { .. }
            | Error::NoEffect { .. }
            | Error::Damage { .. }
            | Error::CrlfPatch { .. }
            | Error::InPackageSet { .. }
            | Error::NothingCross => Verdict::No,
            _ => self.below().map_or(Verdict::Error, Coded::verdict),
        }
    }
}
