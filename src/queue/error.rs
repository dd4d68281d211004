//! What can go wrong with a patch queue and the sources that it is for.
//!
//! Must not know how it is shown.

use std::path::PathBuf;

use crate::base::diagnostic::{Coded, Origin, Verdict};
use crate::base::fs::FsError;
use crate::base::span::Place;
use crate::overlay::{self, AttrPath};
use crate::{config, drv, git, nix, patch, targets};

/// Why a queue could not be worked on.
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
    Patch(#[from] patch::Error),
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    #[error(transparent)]
    Nix(#[from] nix::Error),
    #[error(transparent)]
    Targets(#[from] targets::Error),
    #[error("`{attr}` has no source that a patch could change")]
    NoSource { attr: String },
    #[error("{} cannot be unpacked: {why}", path.display())]
    Unpack { path: PathBuf, why: String },
    #[error("{} holds more than {limit}", path.display())]
    TooLarge { path: PathBuf, limit: String },
    #[error("the directory of `{attr}` in which its patches apply is unknown: {why}")]
    SourceRoot { attr: String, why: String },
    #[error("the source {path} is not there, and Nix could not get it: {why}")]
    NotBuilt { path: String, why: String },
    #[error("`{attr}` has no patch in the overlays or in {}", dir.display())]
    NoQueue { attr: AttrPath, dir: PathBuf },
    #[error("{patch} does not apply to the source of `{attr}`: {why}")]
    DoesNotApply {
        attr: String,
        patch: String,
        /// File, line and what was expected.
        why: String,
    },
    #[error("`{attr}` is being edited already in {}", dir.display())]
    BeingEdited { attr: String, dir: PathBuf },
    #[error("`{attr}` is not being edited: there is no {}", dir.display())]
    NotEdited { attr: String, dir: PathBuf },
    #[error("{} has changes that are not committed: {}", dir.display(), shorten(files))]
    Uncommitted { dir: PathBuf, files: Vec<String> },
    #[error("the commit `{subject}` in {} cannot become a patch: {why}", dir.display())]
    NotAPatch { dir: PathBuf, subject: String, why: String, hint: Option<String> },
    #[error("the overlay cannot be brought into the order of the queue of `{attr}`: {why}")]
    OverlayOrder { attr: AttrPath, why: String, place: Place },
    #[error("{name} cannot be imported: {why}")]
    Import { name: String, why: String },
    #[error("the queue of `{attr}` has no patch `{patch}`")]
    NoSuchPatch { attr: AttrPath, patch: String },
    #[error("no rebase is under way")]
    NoRebase,
    #[error("no patch of `{attr}` conflicts in the rebase that is under way")]
    NoRebaseOf { attr: String },
    #[error("a rebase is under way already")]
    Rebasing,
    #[error("{what}")]
    Unresolved { what: String, hint: String },
    #[error("the revision cannot be looked for: {why}")]
    NoHistory { why: String, hint: String },
    #[error("{} changed since `edit` or `rebase` began", path.display())]
    Changed { path: PathBuf },
    #[error("no overlay found in {}", root.display())]
    NoOverlay { root: PathBuf },
    #[error("{}", which_overlay(attr, candidates, *bound))]
    WhichOverlay { attr: AttrPath, candidates: Vec<Place>, bound: bool },
    #[error("a patch of `{attr}` in {place} would have no effect: {why}")]
    NoEffect {
        attr: AttrPath,
        why: String,
        /// The overlay that came first into question.
        place: Place,
    },
    #[error("the change of `{attr}` would do damage, so nothing was written: {why}")]
    Damage { attr: AttrPath, why: String, place: Place },
    #[error(transparent)]
    Drv(#[from] drv::Error),
    #[error("{}", not_patched(attr, patch.as_deref()))]
    NotPatched { attr: AttrPath, patch: Option<String>, patched: Vec<String> },
    #[error("nixpkgs has no attribute `{attr}`")]
    NoSuchAttribute { attr: String, near: Vec<String> },
    #[error("nixpkgs has `{attr}` no more: {message}")]
    Removed { attr: String, message: String, instead: Vec<String> },
    /// Nix was asked how the set that holds the package is overridden, and no way was found.
    #[error("{}", no_way(attr, why.as_deref()))]
    NoWay {
        attr: AttrPath,
        /// Why it does not evaluate, when it does not.
        why: Option<String>,
    },
    #[error("`{attr}` has no source of its own (a wrapper): a patch there would be ignored")]
    Wrapper {
        attr: String,
        /// The attribute with the source, where it was found.
        unwrapped: Option<String>,
    },
    #[error("the patch has CR LF line ends: `patch` would take them off or not find its place")]
    CrlfPatch { path: PathBuf },
    #[error("{} is there already", path.display())]
    Exists { path: PathBuf },
    #[error("`{attr}` is in a copy of the whole package set: an overlay holds in each, and cannot be written for one")]
    InPackageSet { attr: AttrPath, inner: Option<AttrPath> },
    #[error("nothing here is cross compiled: with --scope host the patch would hold nowhere")]
    NothingCross,
    #[error("{url} could not be fetched: {reason}")]
    Fetch { url: String, reason: String },
}

fn no_way(attr: &AttrPath, why: Option<&str>) -> String {
    match why {
        Some(why) => {
            format!("`{attr}` does not evaluate ({why}), so it is not known how a package of its set is overridden")
        }
        None => format!("none of nixpkgs' ways to override a package of a set reaches `{attr}`: each was tried"),
    }
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

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Fs(e) => Origin::Below(e),
            Error::Config(e) => Origin::Below(e),
            Error::Git(e) => Origin::Below(e),
            Error::Patch(e) => Origin::Below(e),
            Error::Overlay(e) => Origin::Below(e),
            Error::Nix(e) => Origin::Below(e),
            Error::Targets(e) => Origin::Below(e),
            Error::Exists { .. } => Origin::Here("OV1001"),
            Error::Drv(e) => Origin::Below(e),
            Error::NoEffect { .. } => Origin::Here("OV1161"),
            Error::Damage { .. } => Origin::Here("OV1163"),
            Error::NoOverlay { .. } => Origin::Here("OV1008"),
            Error::WhichOverlay { .. } => Origin::Here("OV1009"),
            Error::NotPatched { .. } => Origin::Here("OV1010"),
            Error::NoSuchAttribute { .. } => Origin::Here("OV1011"),
            Error::Removed { .. } => Origin::Here("OV1138"),
            Error::Wrapper { .. } => Origin::Here("OV1012"),
            Error::NoWay { .. } => Origin::Here("OV1191"),
            Error::CrlfPatch { .. } => Origin::Here("OV1013"),
            Error::InPackageSet { .. } => Origin::Here("OV1121"),
            Error::Fetch { .. } => Origin::Here("OV1130"),
            Error::NothingCross => Origin::Here("OV1129"),
            Error::NoSource { .. } => Origin::Here("OV1040"),
            Error::Unpack { .. } => Origin::Here("OV1041"),
            Error::TooLarge { .. } => Origin::Here("OV1042"),
            Error::SourceRoot { .. } => Origin::Here("OV1043"),
            Error::NotBuilt { .. } => Origin::Here("OV1044"),
            Error::NoQueue { .. } => Origin::Here("OV1045"),
            Error::DoesNotApply { .. } => Origin::Here("OV1046"),
            Error::BeingEdited { .. } => Origin::Here("OV1047"),
            Error::NotEdited { .. } => Origin::Here("OV1048"),
            Error::Uncommitted { .. } => Origin::Here("OV1049"),
            Error::OverlayOrder { .. } => Origin::Here("OV1051"),
            Error::Import { .. } => Origin::Here("OV1052"),
            Error::NoSuchPatch { .. } => Origin::Here("OV1053"),
            Error::NoRebase | Error::NoRebaseOf { .. } | Error::Rebasing => Origin::Here("OV1054"),
            Error::Unresolved { .. } => Origin::Here("OV1058"),
            Error::Changed { .. } => Origin::Here("OV1055"),
            Error::NoHistory { .. } => Origin::Here("OV1056"),
            Error::NotAPatch { .. } => Origin::Here("OV1057"),
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
            Error::NoWay { why: Some(_), .. } => Some(
                "choose a package set in which it evaluates (`config` in overlayctl.toml, --nixpkgs); else override it by hand"
                    .into(),
            ),
            Error::NoWay { why: None, .. } => Some("override it by hand, where the set is made".into()),
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
            Error::OverlayOrder { .. } => Some("bring the list into one place of one overlay by hand".into()),
            Error::NoSuchPatch { attr, .. } => Some(format!("`overlayctl list {attr}` shows them")),
            Error::NoRebase => Some("`overlayctl rebase --to NIXPKGS` begins one".into()),
            Error::NoRebaseOf { .. } => Some("name the package as the report does; --skip alone drops every patch that conflicts".into()),
            Error::Rebasing => {
                Some("--continue after resolving, --skip to drop the patch, --abort to leave everything as it was".into())
            }
            Error::Unresolved { hint, .. } | Error::NoHistory { hint, .. } => Some(hint.clone()),
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
            | Error::BeingEdited { .. }
            | Error::Uncommitted { .. }
            | Error::Rebasing
            | Error::Unresolved { .. }
            | Error::OverlayOrder { .. }
            | Error::NotAPatch { .. }
            | Error::NotPatched { .. }
            | Error::Wrapper { .. }
            | Error::NoWay { .. }
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
