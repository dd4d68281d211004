//! What every room stands on: spans, text edits, atomic files, processes, store paths, diagnostics, text made safe to show.
//!
//! Must not know Nix expressions, patches, graphs or the command line.

pub mod diagnostic;
pub mod edit;
pub mod fs;
pub mod process;
pub mod progress;
pub mod span;
pub mod store_path;
pub mod text;
pub mod user;
pub mod visible;
pub mod xml;
