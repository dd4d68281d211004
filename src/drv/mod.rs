//! `.drv` files: the strict ATerm reader, its fast scanner, the printer, closures over a reader that is handed in.
//!
//! [`parse`] is the reference: it accepts what Nix writes and refuses everything else with the offset of the first bad
//! byte. [`Scanner`] finds only what a graph needs, without allocating, and never accepts what [`parse`] refuses.
//! The format is that of `Derivation::unparse` in Nix' `libstore/derivations.cc`. Must not read files itself: bytes come
//! from a [`Source`].

mod closure;
mod derivation;
mod error;
mod parse;
mod scan;
mod store;

pub use closure::{Source, read_closure};
pub use derivation::{Derivation, Input, Output, OutputKind, Selection, Variable};
pub use error::{Error, ParseError, Problem};
pub use parse::parse;
pub use scan::{Range, ScannedOutput, Scanner, unescape};
pub use store::StoreDir;
