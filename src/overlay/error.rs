//! What the overlay room refuses and what it warns of.

use std::path::PathBuf;

use super::FnKind;
use crate::base::diagnostic::{Coded, Explanation, Origin, Verdict};
use crate::base::span::{Place, Span, line_col, line_span};
use crate::syntax::AttrPath;

/// A place together with the line of the source, for a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Where.
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
    /// The file is no Nix text that can be read.
    #[error(transparent)]
    Syntax(Box<crate::syntax::Error>),
    /// The file holds no overlay function.
    #[error("{} holds no overlay function", path.display())]
    NoOverlay {
        /// The file.
        path: PathBuf,
    },
    /// No overlay function begins on the line.
    #[error("no overlay function of {} has its first argument on line {line}", path.display())]
    NotOnLine {
        /// The file.
        path: PathBuf,
        /// The line asked for.
        line: usize,
        /// The overlay functions that are there.
        candidates: Vec<Place>,
    },
    /// Several overlay functions could be meant.
    #[error("{} holds {} overlay functions, and nothing says which one is meant", path.display(), candidates.len())]
    SeveralOverlays {
        /// The file.
        path: PathBuf,
        /// Where each begins.
        candidates: Vec<Place>,
    },
    /// The function is no package overlay.
    #[error("{at} is {}, not a package overlay", kind.describe())]
    WrongKind {
        /// What it is.
        kind: FnKind,
        /// Where.
        at: Spot,
    },
    /// The file is written by a program.
    #[error("{at} is in a generated file: an edit would be lost when it is generated again")]
    Generated {
        /// Where.
        at: Spot,
    },
    /// The body is not the set of packages that Nix gets to see.
    #[error("{at}: the overlay's result is not a set of packages: {why}")]
    OpaqueBody {
        /// Where.
        at: Spot,
        /// What it is.
        why: String,
    },
    /// The key is bound to something that is not one derivation.
    #[error("{at}: `{attr}` is {what}, not one derivation")]
    NotDerivation {
        /// The attribute.
        attr: AttrPath,
        /// What it is bound to.
        what: &'static str,
        /// Where.
        at: Spot,
    },
    /// Part of the set is defined by dotted keys.
    #[error("{at}: `{attr}` is set here by a dotted key, so it cannot be bound as a whole beside it")]
    DottedSibling {
        /// The attribute that would have to be bound.
        attr: AttrPath,
        /// The dotted key.
        at: Spot,
    },
    /// The way into the nested set is not known.
    #[error("{at}: nothing says how a package of `{scope}` is overridden")]
    UnknownScope {
        /// The nested set.
        scope: AttrPath,
        /// The overlay.
        at: Spot,
    },
    /// The patch to take out is not there.
    #[error("`{attr}` has no patch `{element}` in {}", path.display())]
    NotPatched {
        /// The attribute.
        attr: AttrPath,
        /// The element asked for.
        element: String,
        /// The file.
        path: PathBuf,
    },
    /// The position asked for is past the end of the list.
    #[error("{at}: position {position} is past the {length} patches of the list")]
    Position {
        /// The position asked for, from 0.
        position: usize,
        /// The number of elements.
        length: usize,
        /// The list.
        at: Spot,
    },
    /// The request cannot be written.
    #[error("{reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
    /// The edit did not pass its own checks, so nothing was planned.
    #[error("{at}: no edit of `{attr}` here passed the checks ({reason})")]
    Unverified {
        /// The attribute.
        attr: AttrPath,
        /// Which check failed.
        reason: String,
        /// Where.
        at: Spot,
    },
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

/// Every code of this room.
pub static EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: "OV0101",
        title: "no overlay function in the file",
        text: "An overlay is a function of two arguments, `final: prev: { ... }`, whatever they are called. The file has\n\
               none, so there is nowhere to write an override.",
    },
    Explanation {
        code: "OV0102",
        title: "no overlay function on that line",
        text: "`--overlay PATH:LINE` takes the function whose first argument stands on that line. The hint lists the\n\
               functions that are there.",
    },
    Explanation {
        code: "OV0103",
        title: "several overlay functions",
        text: "The file has more than one overlay and none of them, or several, bind the package already. Say which one\n\
               with `--overlay PATH:LINE`.",
    },
    Explanation {
        code: "OV0104",
        title: "not a package overlay",
        text: "The function overlays something else: a nested scope (Python, Haskell, a kernel's modules), another package\n\
               set within an overlay (pkgsStatic), `lib`, the attributes of one derivation, or it makes overlays from\n\
               overlays. What counts is how it is used, also by its name elsewhere in the file. A top-level package bound\n\
               there would have no effect.",
    },
    Explanation {
        code: "OV0105",
        title: "the file is generated",
        text: "Its name or its first lines say that a program writes it, so an edit would be lost. Write the override\n\
               into the overlay that is composed after it.",
    },
    Explanation {
        code: "OV0106",
        title: "the overlay's result is not a set of packages",
        text: "What the function returns is taken apart by whoever calls it (`.overrides`, a scope), so a package bound at\n\
               its top level would be ignored without a word.",
    },
    Explanation {
        code: "OV0107",
        title: "not one derivation",
        text: "The attribute is bound to null, a set, a function, a list, a string or a scope. Patches belong to one\n\
               derivation: name it by its whole path.",
    },
    Explanation {
        code: "OV0108",
        title: "a dotted key is in the way",
        text: "`set.name = value;` defines part of `set` in this overlay. Nix refuses `set = ...;` beside it.",
    },
    Explanation {
        code: "OV0109",
        title: "no known way into the nested set",
        text: "Sets differ in how a package of theirs is overridden: extend, overrideScope, packageOverrides. For a set\n\
               that is not known, Nix has to be asked, which needs nixpkgs (`--nixpkgs PATH`).",
    },
    Explanation {
        code: "OV0111",
        title: "no such patch",
        text: "The package has no such element in a list of patches that this overlay sets.",
    },
    Explanation {
        code: "OV0112",
        title: "position past the end",
        text: "Positions count from 0; the length of the list appends.",
    },
    Explanation {
        code: "OV0113",
        title: "the request cannot be written",
        text: "What was asked for contradicts itself or Nix; the message says how.",
    },
    Explanation {
        code: "OV0114",
        title: "the edit did not pass its own checks",
        text: "Every planned text is parsed again: no new error, no attribute defined twice, the package found by its own\n\
               query with the patch exactly once. One of these failed, so nothing is written. This is a defect of\n\
               overlayctl: please report it with the file.",
    },
    Explanation {
        code: ONE_BRANCH,
        title: "the list is on one branch only",
        text: "The patch stands in a list that counts only when a condition holds, so there are platforms or\n\
               configurations in which the package is built without it.",
    },
    Explanation {
        code: VENDORED_HASH,
        title: "the hash of vendored dependencies may change",
        text: "The package fetches its dependencies in a fixed-output derivation (vendorHash, cargoHash, npmDepsHash, ...).\n\
               If the patch touches a lock file, that hash has to be renewed.",
    },
    Explanation {
        code: LATER_OPERAND,
        title: "the key may be bound again",
        text: "A later operand of `//` is computed and may bind the same key; the override is therefore put behind it and\n\
               built on whatever it gives.",
    },
    Explanation {
        code: NOT_RESTORED,
        title: "unpatch will not restore every byte",
        text: "The place could only be edited in a way whose inverse gives an equivalent text, not the same bytes.",
    },
    Explanation {
        code: HELD_BY_CONDITION,
        title: "the overlay's package is conditional",
        text: "The overlay binds the package under a condition. The patch is put outside, so that it holds on every branch.",
    },
    Explanation {
        code: FOLLOWED_IMPORT,
        title: "the import was followed",
        text: "The overlay is an import that passes both arguments on; the override was written into the imported file.",
    },
    Explanation {
        code: KERNEL,
        title: "a kernel takes its patches as kernelPatches",
        text: "Kernels are built from `kernelPatches`, a list of `{ name, patch }`. In NixOS `boot.kernelPatches` does the\n\
               same for the system's kernel.",
    },
];
