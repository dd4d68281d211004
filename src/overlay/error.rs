//! What the overlay room refuses and what it warns of.

use std::path::PathBuf;

use super::FnKind;
use crate::base::diagnostic::{Coded, Origin, Verdict};
use crate::base::span::{Place, Span, line_col, line_span};
use crate::syntax::AttrPath;

/// A place together with the line of the source, for a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    pub place: Box<Place>,
    /// The line there, cut to what fits a terminal.
    pub line: Option<String>,
}

impl Spot {
    /// Makes the spot of a span of a text.
    pub fn new(path: &std::path::Path, text: &str, span: Span) -> Spot {
        let line = line_span(text, line_col(text, span.start).line)
            .and_then(|s| text.get(s.range()))
            .map(|l| l.chars().take(200).collect());
        Spot { place: Box::new(Place::in_text(path, text, span)), line }
    }
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.place.fmt(f)
    }
}

/// Why an overlay was not edited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Syntax(Box<crate::syntax::Error>),
    #[error("{} holds no overlay function", path.display())]
    NoOverlay { path: PathBuf },
    #[error("no overlay function of {} has its first argument on line {line}", path.display())]
    NotOnLine { path: PathBuf, line: usize, candidates: Vec<Place> },
    #[error("{} holds {} overlay functions, and nothing says which one is meant", path.display(), candidates.len())]
    SeveralOverlays { path: PathBuf, candidates: Vec<Place> },
    #[error("{at} is {}, not a package overlay", kind.describe())]
    WrongKind { kind: FnKind, at: Spot },
    #[error("{at} is in a generated file: an edit would be lost when it is generated again")]
    Generated { at: Spot },
    /// The body is not the set of packages that Nix gets to see.
    #[error("{at}: the overlay's result is not a set of packages: {why}")]
    OpaqueBody { at: Spot, why: String },
    #[error("{at}: `{attr}` is {what}, not one derivation")]
    NotDerivation { attr: AttrPath, what: &'static str, at: Spot },
    #[error("{at}: `{attr}` is set here by a dotted key, so it cannot be bound as a whole beside it")]
    DottedSibling { attr: AttrPath, at: Spot },
    /// The way into the nested set is not known.
    #[error("{at}: nothing says how a package of `{scope}` is overridden")]
    UnknownScope { scope: AttrPath, at: Spot },
    #[error("`{attr}` has no patch `{element}` in {}", path.display())]
    NotPatched { attr: AttrPath, element: String, path: PathBuf },
    #[error("{at}: position {position} is past the {length} patches of the list")]
    Position {
        /// The position asked for, from 0.
        position: usize,
        length: usize,
        at: Spot,
    },
    #[error("{reason}")]
    Request { reason: String },
    /// The edit did not pass its own checks, so nothing was planned.
    #[error("{at}: no edit of `{attr}` here passed the checks ({reason})")]
    Unverified { attr: AttrPath, reason: String, at: Spot },
}

impl From<crate::syntax::Error> for Error {
    fn from(error: crate::syntax::Error) -> Error {
        Error::Syntax(Box::new(error))
    }
}

impl Error {
    fn spot(&self) -> Option<&Spot> {
        match self {
            Error::WrongKind { at, .. }
            | Error::Generated { at }
            | Error::OpaqueBody { at, .. }
            | Error::NotDerivation { at, .. }
            | Error::DottedSibling { at, .. }
            | Error::UnknownScope { at, .. }
            | Error::Position { at, .. }
            | Error::Unverified { at, .. } => Some(at),
            _ => None,
        }
    }
}

fn listed(candidates: &[Place]) -> String {
    let shown: Vec<String> = candidates
        .iter()
        .take(8)
        .map(|c| format!("--overlay {}:{}", c.path.display(), c.line_col.map_or(1, |l| l.line)))
        .collect();
    let more = candidates.len().saturating_sub(8);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Syntax(e) => Origin::Below(e.as_ref()),
            Error::NoOverlay { .. } => Origin::Here("OV0101"),
            Error::NotOnLine { .. } => Origin::Here("OV0102"),
            Error::SeveralOverlays { .. } => Origin::Here("OV0103"),
            Error::WrongKind { .. } => Origin::Here("OV0104"),
            Error::Generated { .. } => Origin::Here("OV0105"),
            Error::OpaqueBody { .. } => Origin::Here("OV0106"),
            Error::NotDerivation { .. } => Origin::Here("OV0107"),
            Error::DottedSibling { .. } => Origin::Here("OV0108"),
            Error::UnknownScope { .. } => Origin::Here("OV0109"),
            Error::NotPatched { .. } => Origin::Here("OV0111"),
            Error::Position { .. } => Origin::Here("OV0112"),
            Error::Request { .. } => Origin::Here("OV0113"),
            Error::Unverified { .. } => Origin::Here("OV0114"),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Syntax(e) => return e.hint(),
            Error::NoOverlay { .. } => {
                "name a file that has one with --overlay PATH, or create one with --new-overlay".into()
            }
            Error::NotOnLine { candidates, .. } if candidates.is_empty() => {
                "the file has no overlay function; create one with --new-overlay".into()
            }
            Error::NotOnLine { candidates, .. } | Error::SeveralOverlays { candidates, .. } => {
                format!("choose one: {}", listed(candidates))
            }
            Error::WrongKind { kind: FnKind::Scope, .. } => {
                "name the package by its path in the scope (python3Packages.NAME), or choose another overlay with \
                 --overlay PATH:LINE"
                    .into()
            }
            Error::WrongKind { .. } => {
                "choose another overlay with --overlay PATH:LINE, or create one with --new-overlay".into()
            }
            Error::Generated { .. } => {
                "edit the overlay that is loaded after it: --overlay PATH:LINE, or --new-overlay".into()
            }
            Error::OpaqueBody { .. } => {
                "choose another overlay with --overlay PATH:LINE, or create one with --new-overlay".into()
            }
            Error::NotDerivation { .. } => "name the package itself; a package of a set by its path: SET.NAME".into(),
            Error::DottedSibling { .. } => {
                "put the override beside that key by hand, or create an overlay with --new-overlay".into()
            }
            Error::UnknownScope { .. } => {
                "with nixpkgs at hand (--nixpkgs PATH) Nix is asked; else override it by hand".into()
            }
            Error::NotPatched { .. } => "`overlayctl list` shows what is patched, where, and by what".into(),
            Error::Position { length, .. } => format!("positions are 0 to {length}"),
            Error::Request { .. } => return None,
            Error::Unverified { .. } => {
                "edit it by hand, or create an overlay with --new-overlay; please report the file".into()
            }
        })
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Syntax(e) => e.place(),
            Error::NoOverlay { path }
            | Error::NotOnLine { path, .. }
            | Error::SeveralOverlays { path, .. }
            | Error::NotPatched { path, .. } => Some(Place::file(path)),
            _ => self.spot().map(|s| (*s.place).clone()),
        }
    }

    fn source_line(&self) -> Option<String> {
        match self {
            Error::Syntax(e) => e.source_line(),
            _ => self.spot().and_then(|s| s.line.clone()),
        }
    }

    fn verdict(&self) -> Verdict {
        match self {
            Error::Syntax(_) | Error::Request { .. } => Verdict::Error,
            _ => Verdict::No,
        }
    }
}

pub(super) const ONE_BRANCH: &str = "OV0151";
pub(super) const VENDORED_HASH: &str = "OV0152";
pub(super) const LATER_OPERAND: &str = "OV0153";
pub(super) const NOT_RESTORED: &str = "OV0154";
pub(super) const HELD_BY_CONDITION: &str = "OV0155";
pub(super) const FOLLOWED_IMPORT: &str = "OV0156";
pub(super) const KERNEL: &str = "OV0157";
