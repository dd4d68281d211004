//! The one guarded gate to rnix, attribute paths and quoting, constructors of new Nix text, trivia.
//!
//! Must not decide policy: nothing here knows what an overlay is.

mod attr_path;
mod bound;
mod error;
mod gate;
pub mod make;
mod reparse;
mod tree;
pub mod trivia;
pub mod walk;

pub use attr_path::AttrPath;
pub use error::{EXPLANATIONS, Error};
pub use gate::{MAX_BYTES, MAX_DEPTH, Tree, decode, parse, parse_edited, parse_errors};
