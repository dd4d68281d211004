//! The model of an overlay file: finding the place, typed changes, text edits, and the check of the result.
//!
//! The way in is [`OverlayFile`]: parse a text, ask for its functions and patched packages, plan to add patches or to
//! take them out. A plan is text edits that were made and checked; writing them is the caller's. Must not touch the
//! disk or run anything.

mod ast;
mod body;
mod composition;
mod derivation;
mod entries;
mod error;
mod file;
mod functions;
mod imports;
mod layout;
mod plan;
mod query;
mod remove;
mod request;
mod scopes;
mod slots;
mod value;
mod wiring;

pub use composition::{ComposedFile, Composition, FileUse};
pub use error::{Error, Spot};
pub use file::OverlayFile;
pub use functions::FnKind;
pub use request::{
    Change, Element, Facts, FileChange, Files, NoFiles, OldPatches, OverlayFn, PatchAttribute, PatchElement,
    PatchRequest, PatchedPackage, Planned, Scope, ScopeKept, ScopeMethod, Select,
};

pub use slots::Slot;

pub(crate) use scopes::python_interpreter;

pub use crate::syntax::AttrPath;
