//! Diagnostics: what every error and warning of every room can be asked for.
//!
//! Codes are stable: `OV` and four digits, the first two say the room (`01` overlay, `02` patch, `03` graph,
//! `04` drv, `05` nix, `06` config, `07` git, `08` cross, `09` syntax, `00` base, `10` ops). Each is
//! explained in `docs/codes/CODE.md`, which `overlayctl --explain CODE` prints. Must not print.

use serde::Serialize;

use super::span::Place;

/// How the process ends because of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The answer is no: refused, rejected, differs, build failed. Exit status 1.
    No,
    /// A usage error or something that went wrong. Exit status 2.
    Error,
}

/// Where an error comes from.
pub enum Origin<'e> {
    /// This room, which has a stable code for it, `OV0000`.
    Here(&'static str),
    /// A room below: this one only passes it on, and it answers where this one has no answer of its own.
    Below(&'e dyn Coded),
}

/// What each room's error enum answers beside its message.
pub trait Coded: std::error::Error {
    /// Returns where it comes from.
    fn origin(&self) -> Origin<'_>;

    /// Returns the stable code, `OV0000`.
    fn code(&self) -> &'static str {
        match self.origin() {
            Origin::Here(code) => code,
            Origin::Below(e) => e.code(),
        }
    }

    /// Returns the error of a room below that this one only passes on.
    fn below(&self) -> Option<&dyn Coded> {
        match self.origin() {
            Origin::Here(_) => None,
            Origin::Below(e) => Some(e),
        }
    }

    /// Returns what the user can do about it, one or two sentences.
    fn hint(&self) -> Option<String> {
        self.below().and_then(Coded::hint)
    }

    /// Returns where it is wrong.
    fn place(&self) -> Option<Place> {
        self.below().and_then(Coded::place)
    }

    /// Returns the line of the source at [`Coded::place`], for showing.
    fn source_line(&self) -> Option<String> {
        self.below().and_then(Coded::source_line)
    }

    /// Returns the whole of a message that is shown shortened.
    fn detail(&self) -> Option<String> {
        self.below().and_then(Coded::detail)
    }

    fn verdict(&self) -> Verdict {
        self.below().map_or(Verdict::Error, Coded::verdict)
    }
}

/// A warning that goes with a result: nothing is refused, but the user should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// The stable code.
    pub code: &'static str,
    /// What is the matter, one sentence.
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
