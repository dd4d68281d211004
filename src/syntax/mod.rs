//! The one guarded gate to rnix, attribute paths and quoting, constructors of new Nix text, trivia.
//!
//! Must not decide policy: nothing here knows what an overlay is.

mod attr_path;
mod error;
mod gate;
mod grammar;
pub mod make;
pub mod trivia;
pub mod walk;

pub use attr_path::AttrPath;
pub use error::Error;
pub use gate::{MAX_BYTES, MAX_DEPTH, Tree, parse};
