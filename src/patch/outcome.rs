//! What came of applying a patch: file by file, hunk by hunk, and in one word.
//!
//! Must not apply anything.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tree::File;

/// What a patch does to a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// File by file, in the order of the patch.
    pub files: Vec<FileOutcome>,
    /// The files afterwards that differ from the tree: new contents, or `None` for a file that is gone. As GNU patch leaves
    /// them, so also the hunks that fit of a patch that is rejected; see [`Outcome::accepted`].
    pub changes: BTreeMap<String, Option<File<'static>>>,
}

/// One word for an outcome, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every hunk fits at its line.
    Clean,
    /// Every hunk fits, some at another line.
    Offset,
    /// Every hunk fits, some only with lines of context left out.
    Fuzz,
    /// Every hunk is in the tree already.
    AlreadyApplied,
    /// Some hunks are in already, the others fit.
    PartlyApplied,
    /// Some hunk neither fits nor is in.
    Conflict,
    /// A file that the patch changes is not there.
    FileGone,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileOutcome {
    /// The path in the tree: the one afterwards, or the one before for a file that goes.
    pub path: String,
    /// The path before, of a file that is renamed or copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    pub action: Action,
    /// Why the file was left alone, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Skip>,
    /// The change to the file as a whole (made, removed, renamed, mode) is in the tree already.
    pub already_applied: bool,
    pub hunks: Vec<HunkOutcome>,
}

/// What a patch wants to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Change its contents or mode.
    Change,
    Create,
    Delete,
    /// Give it another name.
    Rename,
    Copy,
}

/// Why a file was left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skip {
    Missing,
    /// It should be made, but is there.
    Exists,
    /// The first hunk is in already: `patch` asks, and without a terminal it skips the file.
    Reversed,
    /// It is a link, and the patch changes a regular file (or the other way round).
    NotRegular,
    /// Its name has blanks, and neither quotes nor a tab behind it: git can read that, `patch` ends the name at the blank.
    BlankInName,
    /// It should be removed, but holds more than the patch takes out.
    NotEmpty,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HunkOutcome {
    /// The result, as GNU patch has it.
    pub state: HunkState,
    /// The new side of the hunk stands in the file before the patch, and the old side does not (exactly), or farther away from where
    /// it is expected. May be so for a hunk that `patch` applies once more.
    pub already_applied: bool,
    /// Both sides, for a hunk that does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Box<Conflict>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HunkState {
    Applied {
        /// The line in the new file.
        line: i64,
        /// How many lines away from where the hunk says.
        offset: i64,
        /// How many lines of context had to be left out.
        fuzz: i64,
    },
    /// It fits nowhere.
    Failed {
        /// The line in the new file at which it should have been.
        line: i64,
    },
    /// It was not tried because the file was left alone.
    Ignored {
        /// It would fit without fuzz.
        fits: bool,
    },
}

/// The two sides of a conflict. Text is decoded with replacement characters: it is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conflict {
    /// The line of the file at which `found` begins, from 1.
    pub line: usize,
    pub expected: String,
    pub found: String,
    /// What the patch would put there.
    pub wanted: String,
}

impl Outcome {
    /// Says whether `patch` would end with success: every hunk applied, no file left alone.
    pub fn accepted(&self) -> bool {
        self.files
            .iter()
            .all(|f| f.skipped.is_none() && f.hunks.iter().all(|h| matches!(h.state, HunkState::Applied { .. })))
    }

    /// Returns the largest offset, without its sign.
    pub fn max_offset(&self) -> i64 {
        self.applied().map(|(offset, _)| offset.abs()).max().unwrap_or(0)
    }

    /// Returns the largest fuzz.
    pub fn max_fuzz(&self) -> i64 {
        self.applied().map(|(_, fuzz)| fuzz).max().unwrap_or(0)
    }

    fn applied(&self) -> impl Iterator<Item = (i64, i64)> {
        self.files.iter().flat_map(|f| &f.hunks).filter_map(|h| match h.state {
            HunkState::Applied { offset, fuzz, .. } => Some((offset, fuzz)),
            _ => None,
        })
    }

    pub fn verdict(&self) -> Verdict {
        // Each hunk, and each file as a whole that a hunk does not speak for, is in already, fits, or does neither.
        let (mut present, mut fitting, mut failing, mut gone) = (0, 0, 0, 0);
        for file in &self.files {
            if file.already_applied {
                present += 1;
                continue;
            }
            match file.skipped {
                Some(Skip::Missing) => gone += 1,
                Some(Skip::Exists | Skip::NotRegular | Skip::NotEmpty | Skip::BlankInName) => failing += 1,
                Some(Skip::Reversed) | None => {}
            }
            for hunk in &file.hunks {
                match hunk.state {
                    _ if hunk.already_applied => present += 1,
                    HunkState::Applied { .. } | HunkState::Ignored { fits: true } => fitting += 1,
                    HunkState::Failed { .. } => failing += 1,
                    HunkState::Ignored { fits: false } if file.skipped == Some(Skip::Missing) => {}
                    HunkState::Ignored { fits: false } => failing += 1,
                }
            }
            if file.hunks.is_empty() && file.skipped.is_none() {
                fitting += 1;
            }
        }
        if gone > 0 {
            Verdict::FileGone
        } else if failing > 0 {
            Verdict::Conflict
        } else if present > 0 {
            if fitting > 0 { Verdict::PartlyApplied } else { Verdict::AlreadyApplied }
        } else if self.max_fuzz() > 0 {
            Verdict::Fuzz
        } else if self.max_offset() > 0 {
            Verdict::Offset
        } else {
            Verdict::Clean
        }
    }
}
