//! Patch files: headers, hunks, applying with offsets and fuzz, series, refreshing.
//!
//! ```text
//! bytes --PatchFile::parse--> PatchFile --apply(Tree)--> Outcome (new contents, per-hunk results, a verdict)
//!                                 |--> headers, lint, queue names        diff_trees/refresh --> bytes
//! ```
//!
//! Everything works on bytes in memory: the room reads no file, writes none and starts nothing. What a directory holds
//! is handed in as a [`Tree`]. Applying follows GNU patch 2.7 as nixpkgs' patchPhase calls it (`patch -p1 < file`,
//! without a terminal) and, for git's extended headers, `git apply`. Must not know overlays.

mod apply;
mod context;
pub mod date;
mod decode;
mod diff;
mod error;
mod git_header;
mod header;
mod level;
pub mod lint;
mod locate;
pub mod mail;
pub mod mailbox;
mod message;
mod names;
mod not_a_patch;
mod outcome;
mod output;
mod parse;
mod patch_file;
pub mod queue;
mod quote;
mod recount;
mod refresh;
mod reverse;
pub mod series;
mod strip;
mod trailer;
mod tree;
mod upstream;

pub use apply::{Options, apply};
pub use context::{Oddity, as_gnu_reads};
pub(crate) use diff::is_binary;
pub use diff::{diff_bytes, diff_file, diff_trees};
pub use error::{Error, Spot};
pub use header::{Headers, Trailer};
pub use level::to_level;
pub use message::{Message, compose};
pub use names::{FileName, bytes_of, path_of, strip_name};
pub use outcome::{Action, Conflict, FileOutcome, HunkOutcome, HunkState, Outcome, Skip, Verdict};
pub use patch_file::{Binary, FileDiff, GitHeader, Hunk, HunkLine, LineKind, PatchFile, Target};
pub use quote::{quote, unquote};
pub use recount::recount;
pub use refresh::{Refreshed, refresh, replace_diff};
pub use reverse::reverse;
pub use strip::{BASE_NAME, Flags};
pub use trailer::{add_trailer, remove_trailer, set_trailer};
pub use tree::{EXECUTABLE, File, MemoryTree, REGULAR, SYMLINK, Tree};
pub use upstream::{Dep3, Standing, Style};

/// The largest patch file that is read, in bytes.
pub const MAX_PATCH_BYTES: usize = 512 << 20;
/// The longest line of a patch that is accepted, in bytes.
pub const MAX_LINE_BYTES: usize = 64 << 20;
