//! What can be wrong with a patch, by name, code and line. Must not say where the file came from unless told.

use std::path::{Path, PathBuf};

use crate::base::diagnostic::{Coded, Explanation, Origin, Verdict};
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
    Empty {
        /// The whole file.
        at: Spot,
    },
    /// No file header and no hunk anywhere.
    #[error("this is not a patch: {reason}")]
    NotAPatch {
        /// The nearest thing to a reason.
        reason: &'static str,
        /// The line that shows it.
        at: Spot,
    },
    /// A context diff (`diff -c`).
    #[error("this is a context diff, and only unified diffs are taken")]
    ContextDiff {
        /// Its first line.
        at: Spot,
    },
    /// An ed script (`diff -e`) or a normal diff (plain `diff`).
    #[error("this is {what}, and only unified diffs are taken")]
    OtherDiff {
        /// `an ed script` or `a normal diff`.
        what: &'static str,
        /// Its first command.
        at: Spot,
    },
    /// `diff --cc` or `diff --combined`: the diff of a merge, which cannot be applied.
    #[error("this is the combined diff of a merge, which cannot be applied")]
    CombinedDiff {
        /// Its first line.
        at: Spot,
    },
    /// `Binary files a and b differ`: the contents are not in the patch.
    #[error("the patch changes the binary file `{name}` but does not carry its contents")]
    BinaryWithoutData {
        /// The file.
        name: String,
        /// The line.
        at: Spot,
    },
    /// `GIT binary patch`: git can apply it, GNU patch (so nixpkgs) cannot.
    #[error("the patch changes the binary file `{name}`, which `patch` as nixpkgs calls it cannot do")]
    BinaryPatch {
        /// The file.
        name: String,
        /// The line.
        at: Spot,
    },
    /// A line `@@ -...` without a file name before it.
    #[error("a hunk without a file name before it{}", should_be(", behind lines that no hunk counts; the header before it", .right))]
    HunkWithoutFile {
        /// The header that the hunk before it would need.
        right: Option<String>,
        /// The hunk.
        at: Spot,
    },
    /// A line `@@ -...` that is none.
    #[error("a malformed hunk header")]
    BadHunkHeader {
        /// The header.
        at: Spot,
    },
    /// A line number or a count that no file can have.
    #[error("a line number or a count of the hunk is too large")]
    HugeCount {
        /// The header.
        at: Spot,
    },
    /// The patch ends within a hunk.
    #[error("the patch ends within a hunk: {missing} more lines are promised by its header{}", should_be("; if none is missing, it", .right))]
    TruncatedHunk {
        /// The header for the lines that are there.
        right: Option<String>,
        /// How many lines of either side are missing.
        missing: u64,
        /// The header of the hunk.
        at: Spot,
    },
    /// A line within a hunk that is no line of a hunk, or one more than the header counts.
    #[error("the hunk does not hold the lines that its header counts{}", should_be("; the header", .right))]
    BadCounts {
        /// The header for the lines that are there.
        right: Option<String>,
        /// The first line that does not fit.
        at: Spot,
    },
    /// A file header without anything behind it.
    #[error("a file header without a hunk behind it")]
    HeaderWithoutHunk {
        /// The header.
        at: Spot,
    },
    /// A name that is absolute, or has `..`, after the leading components are taken off.
    #[error("`{name}` leaves the source tree")]
    LeavesTree {
        /// The name as the patch has it.
        name: String,
        /// The line.
        at: Spot,
    },
    /// A name under `/dev/` other than `/dev/null`, or a mode that is no file and no link.
    #[error("`{name}` is a device or a special file")]
    Device {
        /// The name as the patch has it.
        name: String,
        /// The line.
        at: Spot,
    },
    /// A name with a NUL or a newline, or one that is empty.
    #[error("a file name that {why}")]
    BadName {
        /// What is wrong with it.
        why: &'static str,
        /// The line.
        at: Spot,
    },
    /// A name with fewer components than have to be taken off.
    #[error("`{name}` has fewer than {strip} leading directories to take off")]
    StripTooDeep {
        /// The name as the patch has it.
        name: String,
        /// The `-p` level.
        strip: usize,
        /// The line.
        at: Spot,
    },
    /// Its names cannot be brought to another level.
    #[error("the patch cannot be brought to {}: {reason}", match *.to { super::strip::BASE_NAME => "a level without -p".to_string(), to => format!("-p{to}") })]
    CannotRelevel {
        /// The `-p` level.
        to: usize,
        /// Why.
        reason: &'static str,
        /// The line.
        at: Spot,
    },
    /// It cannot be turned round.
    #[error("the patch cannot be reversed: it has {why}")]
    CannotReverse {
        /// What it has.
        why: &'static str,
        /// The line.
        at: Spot,
    },
    /// It fits, but not as it would be written.
    #[error("the patch cannot be refreshed: lines of it contradict each other")]
    CannotRefresh {
        /// The first file.
        at: Spot,
    },
    /// The commit of a submodule changes: there is no file to change.
    #[error("the patch changes the submodule `{name}`, which is no file of the source")]
    Submodule {
        /// The name as the patch has it.
        name: String,
        /// The file's header.
        at: Spot,
    },
    /// A mail whose text is in a charset that is not known, or not in the one that it names.
    #[error("the mail has {what}, which cannot be decoded")]
    CannotDecode {
        /// `text in the charset ...`.
        what: String,
        /// The line.
        at: Spot,
    },
    /// Past [`super::MAX_PATCH_BYTES`] or [`super::MAX_LINE_BYTES`].
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// `the patch` or `a line of the patch`.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// Where.
        at: Spot,
    },
    /// Something that cannot be written as a patch: a binary file, a device.
    #[error("`{path}` cannot be written into a patch: {why}")]
    CannotDiff {
        /// The path in the tree.
        path: String,
        /// Why.
        why: &'static str,
    },
    /// A file of the tree that cannot be read.
    #[error("cannot read `{path}` of the source: {why}")]
    Unreadable {
        /// The path in the tree.
        path: String,
        /// What the reading said.
        why: String,
    },
    /// A trailer key that is none (`[A-Za-z][A-Za-z0-9-]*`), or a value with a line end.
    #[error("`{text}` cannot stand in a patch header")]
    BadTrailer {
        /// What was given.
        text: String,
    },
    /// A line of a `series` file that is not understood.
    #[error("line {line} of the series is not understood: {why}")]
    BadSeries {
        /// The line, from 1.
        line: usize,
        /// Why.
        why: &'static str,
    },
    /// A file name that is not of the form `NNNN-subject.patch`, or a position that is not in the queue.
    #[error("`{name}` is no place in the queue")]
    BadQueueName {
        /// The name.
        name: String,
    },
}

fn should_be(what: &str, right: &Option<String>) -> String {
    right.as_ref().map_or_else(String::new, |header| format!("{what} should be `{header}`"))
}

impl Error {
    /// Returns where in the patch it is, if it is there.
    pub fn spot(&self) -> Option<&Spot> {
        use Error::*;
        match self {
            Empty { at }
            | NotAPatch { at, .. }
            | ContextDiff { at }
            | OtherDiff { at, .. }
            | CombinedDiff { at }
            | BinaryWithoutData { at, .. }
            | BinaryPatch { at, .. }
            | HunkWithoutFile { at, .. }
            | BadHunkHeader { at }
            | HugeCount { at }
            | TruncatedHunk { at, .. }
            | BadCounts { at, .. }
            | HeaderWithoutHunk { at }
            | LeavesTree { at, .. }
            | Device { at, .. }
            | BadName { at, .. }
            | StripTooDeep { at, .. }
            | CannotRelevel { at, .. }
            | CannotReverse { at, .. }
            | CannotDecode { at, .. }
            | CannotRefresh { at }
            | Submodule { at, .. }
            | TooLarge { at, .. } => Some(at),
            CannotDiff { .. } | Unreadable { .. } | BadTrailer { .. } | BadSeries { .. } | BadQueueName { .. } => None,
        }
    }

    /// Returns the error with its place in the file `path`.
    #[must_use]
    pub fn in_file(mut self, path: impl AsRef<Path>) -> Error {
        use Error::*;
        match &mut self {
            Empty { at }
            | NotAPatch { at, .. }
            | ContextDiff { at }
            | OtherDiff { at, .. }
            | CombinedDiff { at }
            | BinaryWithoutData { at, .. }
            | BinaryPatch { at, .. }
            | HunkWithoutFile { at, .. }
            | BadHunkHeader { at }
            | HugeCount { at }
            | TruncatedHunk { at, .. }
            | BadCounts { at, .. }
            | HeaderWithoutHunk { at }
            | LeavesTree { at, .. }
            | Device { at, .. }
            | BadName { at, .. }
            | StripTooDeep { at, .. }
            | CannotRelevel { at, .. }
            | CannotReverse { at, .. }
            | CannotDecode { at, .. }
            | CannotRefresh { at }
            | Submodule { at, .. }
            | TooLarge { at, .. } => at.path = path.as_ref().to_path_buf(),
            CannotDiff { .. } | Unreadable { .. } | BadTrailer { .. } | BadSeries { .. } | BadQueueName { .. } => {}
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
                "leave the binary file out of the patch and bring it in through the package's own phases"
            }
            HunkWithoutFile { .. } | HeaderWithoutHunk { .. } => "a part of the patch was lost; take it again whole",
            BadHunkHeader { .. } | BadCounts { .. } => {
                "the hunk was edited by hand or by a mailer; make the patch again, or put the counts right with `overlayctl refresh --recount`"
            }
            HugeCount { .. } | TooLarge { .. } => "this cannot be a patch of a source tree",
            TruncatedHunk { .. } => {
                "the end of the patch was lost: take it again whole; if only the last line feed is missing, add it"
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

macro_rules! explanations {
    ($($code:literal $title:literal $text:literal)*) => {
        &[$(Explanation { code: $code, title: $title, text: $text }),*]
    };
}

/// Every code of this room.
pub static EXPLANATIONS: &[Explanation] = explanations! {
    "OV0201" "The patch is empty" "The file holds no byte other than white space. A download or a `git diff` that found nothing leaves such files."
    "OV0202" "Not a patch" "No file header (`--- old` and `+++ new`, or `diff --git`) and no hunk was found. A web page saved instead of the raw patch is the usual cause."
    "OV0203" "A context diff" "Context diffs (`diff -c`) are refused: only unified diffs are taken. Make it again with `diff -u` or git."
    "OV0204" "An ed script or a normal diff" "Diffs without context cannot be checked against the source, and ed scripts can do anything. Make it again with `diff -u` or git."
    "OV0205" "A combined diff" "`git show MERGE` prints a combined diff (`diff --cc`), which no tool applies. Diff the merge against one of its parents."
    "OV0206" "A binary file without its contents" "`Binary files a and b differ` says that a binary file changes but not how."
    "OV0207" "A git binary patch" "`GIT binary patch` can be applied by git only. nixpkgs calls GNU patch, which refuses it, so the build would fail."
    "OV0208" "A hunk without a file" "A hunk (`@@ -1,3 +1,4 @@`) stands where no file name came before it, or behind lines that no hunk counts. `patch` would ignore it without a word."
    "OV0209" "A malformed hunk header" "A hunk begins with `@@ -line,count +line,count @@`, counts of 1 left out."
    "OV0210" "A number too large" "Line numbers and counts past 2^60 are refused."
    "OV0211" "The patch ends within a hunk" "The header of the last hunk counts more lines than follow: the end of the file was lost."
    "OV0212" "Lines and counts of a hunk differ" "Within the lines that the header counts stands one that begins with neither space, plus nor minus, or a side has more lines than counted. Hand edits and mailers that wrap lines cause it."
    "OV0213" "A file header without a hunk" "`--- old` and `+++ new` are there, but no hunk follows."
    "OV0214" "The patch leaves the tree" "After taking the leading components off, a name is absolute or has a `..` component, in a header or as the target of a rename, a copy or a link. Such a patch could write anywhere."
    "OV0215" "A device or special file" "The patch names something below /dev other than /dev/null, or has a mode that is neither file nor symbolic link."
    "OV0216" "A bad file name" "A name with a NUL byte or a line end, an empty one, or one with characters that stand for nothing."
    "OV0217" "Not enough directories to take off" "nixpkgs applies patches with -p1: the first component of each name is taken off. This name has none to take off."
    "OV0218" "Cannot be brought to another level" "A patch is stored so that it applies with the package's own `-pN` (patchFlags). Here the names of a file cannot be told apart, or lie where that level does not reach."
    "OV0219" "Too large" "Patches past 512 MiB and lines past 64 MiB are refused."
    "OV0220" "Cannot be written as a patch" "A text patch cannot carry binary contents, and GNU patch would not apply a git binary patch."
    "OV0221" "Not a trailer" "A trailer is `Key: value` on one line; the key holds letters, digits and hyphens."
    "OV0222" "A series that is not understood" "A line of quilt's series file is a patch name, then -pN or -R, then a comment."
    "OV0223" "No place in the queue" "Patches of a queue are named `NNNN-subject.patch`; the number says the place."
    "OV0224" "The source cannot be read" "A file that the patch names is there but could not be read, or is neither a file nor a link."
    "OV0225" "Cannot be reversed" "A series applies the patch with -R. It is turned round so that the queue can hold it, which works for text: what a copy or a binary change takes back is not in the patch."
    "OV0226" "A mail that cannot be decoded" "The message of a mail is recoded to UTF-8, as `git mailinfo` does, from the charset that its `Content-Type:` names. This charset is not known, or the text is not in it."
    "OV0227" "Cannot be refreshed" "The patch fits, with an offset or fuzz, but written anew it would not do the same: a header says that the file goes, and a hunk that lines stay, or the like."
    "OV0228" "A submodule" "The patch changes which commit a submodule is at (`Subproject commit ...`). A package's source has the files of the submodule and not the reference, so no tool can apply it there."
    "OV0240" "A patch without a subject" "Write `Subject: what it does` above the diff: the queue is read by it."
    "OV0241" "A patch without an author" "Write `From: Name <mail>` (or `Author:`) above the diff."
    "OV0242" "No Upstream-Status" "OpenEmbedded asks each patch to say where it stands: Pending, Submitted, Backport, Denied, Inappropriate or Inactive-Upstream, then what is needed to follow it, in brackets."
    "OV0243" "A malformed Upstream-Status" "The line must be `Upstream-Status: Word` or `Upstream-Status: Word text`, from the start of the line, in exactly this case."
    "OV0244" "No Signed-off-by" "Nobody vouches for the patch: `Signed-off-by: Name <mail>`."
    "OV0245" "A malformed Signed-off-by" "It is `Signed-off-by: Name <mail>`."
    "OV0246" "A CVE without its line" "The file name or the subject names a CVE, but no `CVE:` line does, so tools do not find it."
    "OV0247" "A malformed CVE line" "It is `CVE: CVE-YYYY-NNNN`, several separated by blanks."
    "OV0248" "CR LF in a patch" "The patch itself has CR LF line ends. `patch` takes the CRs off every line, so it fits sources with LF only, and not those with CR LF."
    "OV0249" "A patch without its last line feed" "GNU patch takes an unfinished last line of context for a blank one, and then finds the place with fuzz only. Add the line feed."
    "OV0250" "Nothing about upstream" "Each convention has its field. DEP-3: `Forwarded:`, `Origin:`, `Applied-Upstream:` or `Bug:`; Buildroot: `Upstream:` with the address of the commit or of the request, or `N/A` and the reason."
    "OV0251" "A malformed field about upstream" "DEP-3's `Forwarded:` is `no`, `not-needed`, `yes` or an address; other fields hold something."
    "OV0252" "A diff quoted in a message" "GNU patch looks for diffs behind blanks, tabs and the letter X, and reads names and git headers that no hunk follows. It would apply what a message only quotes, or ask for the file and fail. `edit` and `finish` write such lines behind a `|`, which no patch reads, and take it off again."
    "OV0253" "Lines that a hunk does not count" "Behind a hunk stand lines that look like its own. `patch` passes over them without a word, so a part of the change is lost. The header that would count them is named; `refresh --recount` writes it."
    "OV0254" "A patch that is read as GNU patch reads it" "A patch that the package has already, from nixpkgs or fetched, is a context diff, or holds what GNU patch passes over without a word. It is applied as the build applies it. For the patches of a queue that is an error."
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_once() {
        let mut codes: Vec<_> = EXPLANATIONS.iter().map(|e| e.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), EXPLANATIONS.len());
        let some = Error::BadQueueName { name: "x".into() };
        assert!(codes.contains(&some.code()));
        assert_eq!(codes.len(), 43, "a new variant needs an explanation");
        assert!(codes.contains(&Error::Empty { at: Spot::default() }.code()));
    }
}
