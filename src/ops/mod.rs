//! Use cases, one a file: options in, a serialisable outcome out.
//!
//! Must not print and must not parse arguments; what takes long is told through [`progress::Progress`].

pub mod all;
pub mod boards;
pub mod build;
pub mod bump;
pub mod cache;
pub mod check;
pub mod completion;
pub mod deploy;
pub mod deployments;
pub mod edit;
mod error;
pub mod explain;
pub mod export;
pub mod finish;
pub mod gate;
pub mod graph_file;
pub mod header;
mod history;
pub mod impact;
pub mod import;
pub mod init;
pub mod ldd;
pub mod lint;
pub mod list;
mod live;
mod marks;
pub mod patch;
pub mod platforms;
pub mod predict;
pub mod rebase;
pub mod recover;
pub mod refresh;
pub mod reorder;
pub mod rollback;
pub mod run;
pub mod scope;
pub mod status;
pub mod toolchain;
pub mod undeploy;
pub mod unpatch;
pub mod verify;
pub mod why;

use serde::Serialize;

pub use error::Error;

pub use crate::comparison::baseline::Baseline;
pub use crate::queue::discover::Choice;
pub use crate::targets::Selection;

use crate::base::diagnostic::Verdict;

/// What a use case leaves: data for `--json`, and how the process ends. What people are shown of it is in
/// `report/document/`.
pub trait Outcome: Serialize {
    /// The name and version of the JSON shape, `overlayctl.impact/1`.
    const SCHEMA: &'static str;

    /// Returns how the process ends when it is not with 0: the answer is no, or part of the work could not be done.
    fn verdict(&self) -> Option<Verdict> {
        None
    }
}
