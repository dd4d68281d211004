//! What can be wrong with a patch, by name, code and line. Must not say where the file came from unless told.

use std::path::{Path, PathBuf};

use crate::base::diagnostic::{Coded, Origin, Verdict};
use crate::base::span::{LineCol, Place, Span};

/// Where in a patch something stands. The path is empty until [`Error::in_file`] tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spot {
    /// The line, from 1; 0 when it is the whole patch.
    pub line: usize,
    /// The bytes of the line, without its line end.
    pub span: Option<Span>,
    /// The line itself, shortened to 200 bytes, invalid UTF-8 replaced.
    pub text: String,
    /// The file, as the user named it.
    pub path: PathBuf,
}

/// Why a patch is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No byte, or white space only.
    #[error("the patch is empty")]
    Empty { at: Spot },
    /// No file header and no hunk anywhere.
    #[error("this is not a patch: {reason}")]
    NotAPatch { reason: &'static str, at: Spot },
    /// A context diff (`diff -c`).
    #[error("this is a context diff, and only unified diffs are taken")]
    ContextDiff { at: Spot },
    /// An ed script (`diff -e`) or a normal diff (plain `diff`).
    #[error("this is {what}, and only unified diffs are taken")]
    OtherDiff {
        /// `an ed script` or `a normal diff`.
        what: &'static str,
        at: Spot,
    },
    /// `diff --cc` or `diff --combined`: the diff of a merge, which cannot be applied.
    #[error("this is the combined diff of a merge, which cannot be applied")]
    CombinedDiff { at: Spot },
    /// `Binary files a and b differ`: the contents are not in the patch.
    #[error("the patch changes the binary file `{name}` but does not carry its contents")]
    BinaryWithoutData { name: String, at: Spot },
    /// `GIT binary patch`: git can apply it, GNU patch (so nixpkgs) cannot.
    #[error(
        "the patch changes the binary file `{name}` as a git binary diff, which GNU patch, and so Nix's patchPhase, does not support"
    )]
    BinaryPatch { name: String, at: Spot },
    #[error("a hunk without a file name before it{}", should_be(", behind lines that no hunk counts; the header before it", .right))]
    HunkWithoutFile { right: Option<String>, at: Spot },
    #[error("a malformed hunk header")]
    BadHunkHeader { at: Spot },
    /// A line number or a count that no file can have.
    #[error("a line number or a count of the hunk is too large")]
    HugeCount { at: Spot },
    #[error("the patch ends within a hunk: {missing} more lines are promised by its header{}", should_be("; if none is missing, it", .right))]
    TruncatedHunk {
        right: Option<String>,
        /// How many lines of either side are missing.
        missing: u64,
        at: Spot,
    },
    /// A line within a hunk that is no line of a hunk, or one more than the header counts.
    #[error("the hunk does not hold the lines that its header counts{}", should_be("; the header", .right))]
    BadCounts { right: Option<String>, at: Spot },
    #[error("a file header without a hunk behind it")]
    HeaderWithoutHunk { at: Spot },
    /// A name that is absolute, or has `..`, after the leading components are taken off.
    #[error("`{name}` leaves the source tree")]
    LeavesTree { name: String, at: Spot },
    /// A name under `/dev/` other than `/dev/null`, or a mode that is no file and no link.
    #[error("`{name}` is a device or a special file")]
    Device { name: String, at: Spot },
    /// A name with a NUL or a newline, or one that is empty.
    #[error("a file name that {why}")]
    BadName { why: &'static str, at: Spot },
    #[error("`{name}` has fewer than {strip} leading directories to take off")]
    StripTooDeep { name: String, strip: usize, at: Spot },
    #[error("the patch cannot be brought to {}: {reason}", match *.to { super::strip::BASE_NAME => "a level without -p".to_string(), to => format!("-p{to}") })]
    CannotRelevel { to: usize, reason: &'static str, at: Spot },
    #[error("the patch cannot be reversed: it has {why}")]
    CannotReverse { why: &'static str, at: Spot },
    /// It fits, but not as it would be written.
    #[error("the patch cannot be refreshed: lines of it contradict each other")]
    CannotRefresh { at: Spot },
    /// The commit of a submodule changes: there is no file to change.
    #[error("the patch changes the submodule `{name}`, which is no file of the source")]
    Submodule { name: String, at: Spot },
    /// A mail whose text is in a charset that is not known, or not in the one that it names.
    #[error("the mail has {what}, which cannot be decoded")]
    CannotDecode {
        /// `text in the charset ...`.
        what: String,
        at: Spot,
    },
    /// Past [`super::MAX_PATCH_BYTES`] or [`super::MAX_LINE_BYTES`].
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// `the patch` or `a line of the patch`.
        what: &'static str,
        limit: usize,
        at: Spot,
    },
    /// Something that cannot be written as a patch: a binary file, a device.
    #[error("`{path}` cannot be written into a patch: {why}")]
    CannotDiff { path: String, why: &'static str },
    #[error("cannot read `{path}` of the source: {why}")]
    Unreadable { path: String, why: String },
    /// A trailer key that is none (`[A-Za-z][A-Za-z0-9-]*`), or a value with a line end.
    #[error("`{text}` cannot stand in a patch header")]
    BadTrailer { text: String },
    /// An edit of a trailer that would make another part of the text be read as the diff.
    #[error("with `{key}:` changed, another part of the patch would be read as its diff")]
    TrailerInDiff { key: String },
    #[error("line {line} of the series is not understood: {why}")]
    BadSeries {
        /// The line, from 1.
        line: usize,
        why: &'static str,
    },
    /// A file name that is not of the form `NNNN-subject.patch`, or a position that is not in the queue.
    #[error("`{name}` is no place in the queue")]
    BadQueueName { name: String },
}

fn should_be(what: &str, right: &Option<String>) -> String {
    right.as_ref().map_or_else(String::new, |header| format!("{what} should be `{header}`"))
}

/// The errors that are at a place in the patch.
macro_rules! placed {
    ($at:ident) => {
        Empty { at: $at, .. }
            | NotAPatch { at: $at, .. }
            | ContextDiff { at: $at, .. }
            | OtherDiff { at: $at, .. }
            | CombinedDiff { at: $at, .. }
            | BinaryWithoutData { at: $at, .. }
            | BinaryPatch { at: $at, .. }
            | HunkWithoutFile { at: $at, .. }
            | BadHunkHeader { at: $at, .. }
            | HugeCount { at: $at, .. }
            | TruncatedHunk { at: $at, .. }
            | BadCounts { at: $at, .. }
            | HeaderWithoutHunk { at: $at, .. }
            | LeavesTree { at: $at, .. }
            | Device { at: $at, .. }
            | BadName { at: $at, .. }
            | StripTooDeep { at: $at, .. }
            | CannotRelevel { at: $at, .. }
            | CannotReverse { at: $at, .. }
            | CannotDecode { at: $at, .. }
            | CannotRefresh { at: $at, .. }
            | Submodule { at: $at, .. }
            | TooLarge { at: $at, .. }
    };
}

impl Error {
    /// Returns where in the patch it is, if it is there.
    pub fn spot(&self) -> Option<&Spot> {
        use Error::*;
        match self {
            placed!(at) => Some(at),
            _ => None,
        }
    }

    /// Returns the error with its place in the file `path`.
    #[must_use]
    pub fn in_file(mut self, path: impl AsRef<Path>) -> Error {
        use Error::*;
        match &mut self {
            placed!(at) => at.path = path.as_ref().to_path_buf(),
            _ => {}
        }
        self
    }
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        use Error::*;
        match self {
            Empty { .. } => Origin::Here("OV0201"),
            NotAPatch { .. } => Origin::Here("OV0202"),
            ContextDiff { .. } => Origin::Here("OV0203"),
            OtherDiff { .. } => Origin::Here("OV0204"),
            CombinedDiff { .. } => Origin::Here("OV0205"),
            BinaryWithoutData { .. } => Origin::Here("OV0206"),
            BinaryPatch { .. } => Origin::Here("OV0207"),
            HunkWithoutFile { .. } => Origin::Here("OV0208"),
            BadHunkHeader { .. } => Origin::Here("OV0209"),
            HugeCount { .. } => Origin::Here("OV0210"),
            TruncatedHunk { .. } => Origin::Here("OV0211"),
            BadCounts { .. } => Origin::Here("OV0212"),
            HeaderWithoutHunk { .. } => Origin::Here("OV0213"),
            LeavesTree { .. } => Origin::Here("OV0214"),
            Device { .. } => Origin::Here("OV0215"),
            BadName { .. } => Origin::Here("OV0216"),
            StripTooDeep { .. } => Origin::Here("OV0217"),
            CannotRelevel { .. } => Origin::Here("OV0218"),
            TooLarge { .. } => Origin::Here("OV0219"),
            CannotDiff { .. } => Origin::Here("OV0220"),
            BadTrailer { .. } => Origin::Here("OV0221"),
            TrailerInDiff { .. } => Origin::Here("OV0229"),
            BadSeries { .. } => Origin::Here("OV0222"),
            BadQueueName { .. } => Origin::Here("OV0223"),
            Unreadable { .. } => Origin::Here("OV0224"),
            CannotReverse { .. } => Origin::Here("OV0225"),
            CannotDecode { .. } => Origin::Here("OV0226"),
            CannotRefresh { .. } => Origin::Here("OV0227"),
            Submodule { .. } => Origin::Here("OV0228"),
        }
    }

    fn hint(&self) -> Option<String> {
        use Error::*;
        let hint = match self {
            Empty { .. } => "make the patch again with `git diff` or `git format-patch`",
            NotAPatch { .. } => "a patch holds `--- old`, `+++ new` and hunks that begin with `@@`",
            ContextDiff { .. } | OtherDiff { .. } => "make it again with `diff -u`, `git diff` or `git format-patch`",
            CombinedDiff { .. } => "diff the merge against one parent: `git diff MERGE^1 MERGE`",
            BinaryWithoutData { .. } | BinaryPatch { .. } => {
                "take the binary file out of the patch, and bring it in through the package's `postPatch` (cp ${./FILE} PATH)"
            }
            HunkWithoutFile { .. } | HeaderWithoutHunk { .. } => "a part of the patch was lost; take it again whole",
            BadHunkHeader { .. } | BadCounts { .. } => {
                "the hunk was edited by hand or by a mailer; make the patch again, or put the counts right with `overlayctl refresh --recount`"
            }
            HugeCount { .. } | TooLarge { .. } => "this cannot be a patch of a source tree",
            TruncatedHunk { .. } => {
                "the end of the patch was lost: take it again whole; if only the last line feed is missing, add it; if nothing is \
                 missing, put the counts right with `overlayctl refresh --recount`"
            }
            LeavesTree { .. } | Device { .. } | BadName { .. } => {
                "a patch may only name files below the source tree; do not use it unless you know where it is from"
            }
            StripTooDeep { .. } => "the patch was made for a lower level: say which with `-p N`",
            CannotRelevel { .. } => "make the patch again with `git diff`, which writes a/ and b/ before the names",
            CannotReverse { .. } => {
                "apply it to a copy of the source with `patch -R` and make a patch of what that changed"
            }
            CannotRefresh { .. } => "make the patch again from the source as it is with the patch and without it",
            Submodule { .. } => {
                "leave that file out of the patch, and give the package a source in which the submodule is at the commit that you want"
            }
            CannotDecode { .. } => "save the mail in UTF-8, or take the patch from `git format-patch`",
            CannotDiff { why: "it is binary", .. } => {
                "GNU patch, which nixpkgs calls, cannot apply a binary change: bring the file in through the package's \
                 `postPatch` (cp ${./FILE} PATH) and leave it out of the commit"
            }
            CannotDiff { .. } => "leave that file out of the patch",
            BadTrailer { .. } => "a trailer is one line, `Key: value`",
            TrailerInDiff { .. } => "the message holds half of a file header (`--- `): change it with an editor",
            BadSeries { .. } => "each line of a series is a patch name and -pN or -R",
            Unreadable { .. } => "see that the source is unpacked and readable",
            BadQueueName { .. } => "patches of a queue are named `NNNN-subject.patch`",
        };
        Some(hint.to_string())
    }

    fn place(&self) -> Option<Place> {
        let at = self.spot()?;
        let line_col = (at.line > 0).then_some(LineCol { line: at.line, column: 1 });
        Some(Place { path: at.path.clone(), span: at.span, line_col })
    }

    fn source_line(&self) -> Option<String> {
        self.spot().filter(|at| at.line > 0).map(|at| at.text.clone())
    }

    fn verdict(&self) -> Verdict {
        match self {
            Error::Unreadable { .. }
            | Error::BadTrailer { .. }
            | Error::BadSeries { .. }
            | Error::BadQueueName { .. } => Verdict::Error,
            _ => Verdict::No,
        }
    }
}
