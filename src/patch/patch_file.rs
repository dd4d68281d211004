//! The parts of a patch file. Every byte of the file belongs to exactly one part, so that it can be given back.
//!
//! Reading is in `parse`, applying in `apply`. Must not change bytes.

use super::error::{Error, Spot};
use super::names::{self, FileName};

/// A patch file: what stands before, the changes of each file, what stands behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchFile<'a> {
    pub(super) preamble: &'a [u8],
    pub(super) files: Vec<FileDiff<'a>>,
    pub(super) trailing: &'a [u8],
}

/// What a patch does to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff<'a> {
    /// Text between the hunks of the file before and this header; empty for the first file.
    pub lead: &'a [u8],
    /// The lines from `diff`, `Index:` or `---` to the first hunk, with their line ends.
    pub header: &'a [u8],
    /// The extended header, when there is a `diff --git` line.
    pub git: Option<GitHeader>,
    /// The name behind `---`.
    pub old: Option<FileName>,
    /// The name behind `+++`.
    pub new: Option<FileName>,
    /// The name behind `Index:`.
    pub index: Option<FileName>,
    /// The hunks, in the order of the file.
    pub hunks: Vec<Hunk<'a>>,
    pub binary: Option<Binary<'a>>,
    /// The header lines end with CR LF: the CR of every line is the mailer's, not the file's, and `patch` takes it off.
    pub strip_cr: bool,
    /// Where the header stands.
    pub at: Spot,
}

/// Git's extended header lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitHeader {
    /// The first name of the `diff --git` line, if the line can be told apart.
    pub old: Option<FileName>,
    /// The second.
    pub new: Option<FileName>,
    /// `old mode` or `deleted file mode` or the mode of the `index` line.
    pub old_mode: Option<u32>,
    /// `new mode` or `new file mode` or the mode of the `index` line.
    pub new_mode: Option<u32>,
    /// The `index` line says that the file before is empty.
    pub old_empty: bool,
    /// The `index` line says that the file after is empty.
    pub new_empty: bool,
    /// `new file mode` is there.
    pub creates: bool,
    /// `deleted file mode` is there.
    pub deletes: bool,
    /// `rename from` and `rename to`; no prefix (`a/`) before these.
    pub rename: Option<(FileName, FileName)>,
    /// `copy from` and `copy to`.
    pub copy: Option<(FileName, FileName)>,
}

/// A binary change, of which the bytes are kept but not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binary<'a> {
    /// The lines from `GIT binary patch` or `Binary files` to the end of the data.
    pub bytes: &'a [u8],
    /// The contents are there (`GIT binary patch`).
    pub has_data: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk<'a> {
    /// The header line and the lines, with their line ends.
    pub bytes: &'a [u8],
    /// First line of the old side as written; 0 when the count is 0.
    pub old_start: u64,
    pub old_count: u64,
    /// First line of the new side as written.
    pub new_start: u64,
    pub new_count: u64,
    /// What stands behind the second `@@`, without the line end.
    pub section: &'a [u8],
    /// The lines in the order of the patch.
    pub lines: Vec<HunkLine<'a>>,
    /// The patch ends in the middle of a line of this hunk. `patch` takes that line for a blank one, which seldom fits: hence fuzz.
    pub unfinished: bool,
    /// Where the header stands.
    pub at: Spot,
}

/// On which sides of a hunk a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// On both.
    Context,
    /// On the old side only.
    Removed,
    /// On the new side only.
    Added,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HunkLine<'a> {
    pub kind: LineKind,
    /// The line with its `\n`, without it where the file has none at its end. A CR belongs to the line unless
    /// [`FileDiff::strip_cr`] says otherwise; then it is taken off when the patch is applied.
    pub text: &'a [u8],
    /// The line of the file ends with a line feed.
    pub newline: bool,
}

impl HunkLine<'_> {
    /// Returns the line without its line feed, and without the CR when `strip_cr`.
    pub fn content(&self, strip_cr: bool) -> &[u8] {
        let text = self.text.strip_suffix(b"\n").unwrap_or(self.text);
        if strip_cr { text.strip_suffix(b"\r").unwrap_or(text) } else { text }
    }
}

/// The paths that a file's changes concern, leading components taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The path before; `None` when the patch makes the file.
    pub old: Option<String>,
    /// The path after; `None` when the patch removes the file.
    pub new: Option<String>,
}

impl Target {
    /// Returns the path after, or the path before if the file goes.
    pub fn path(&self) -> &str {
        self.new.as_deref().or(self.old.as_deref()).unwrap_or_default()
    }
}

impl<'a> PatchFile<'a> {
    /// Returns what stands before the first file: mail header, description, trailers, diffstat.
    pub fn preamble(&self) -> &'a [u8] {
        self.preamble
    }

    /// Returns the changes, file by file, in the order of the patch.
    pub fn files(&self) -> &[FileDiff<'a>] {
        &self.files
    }

    /// Returns what stands behind the last hunk: a signature, or nothing.
    pub fn trailing(&self) -> &'a [u8] {
        self.trailing
    }

    /// Returns the bytes that were parsed, put together from the parts.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.preamble.to_vec();
        for file in &self.files {
            out.extend_from_slice(file.lead);
            out.extend_from_slice(file.header);
            for hunk in &file.hunks {
                out.extend_from_slice(hunk.bytes);
            }
            if let Some(binary) = file.binary {
                out.extend_from_slice(binary.bytes);
            }
        }
        out.extend_from_slice(self.trailing);
        out
    }

    /// Says whether the patch itself (not only the text within it) has CR LF line ends. `patch` takes them off, with
    /// the effect that it does not fit a source that has CR LF.
    pub fn crlf(&self) -> bool {
        self.files.iter().any(|f| f.strip_cr)
    }

    /// Says whether the patch ends in the middle of a hunk's line (its last line feed is lost).
    pub fn unfinished(&self) -> bool {
        self.files.last().and_then(|f| f.hunks.last()).is_some_and(|h| h.unfinished)
    }

    /// Checks what can be checked without the source, for a patch that will be applied with `-pSTRIP`: every name
    /// stays in the tree, no device, no binary change.
    ///
    /// # Errors
    /// The first of [`Error::LeavesTree`], [`Error::Device`], [`Error::StripTooDeep`], [`Error::BinaryPatch`],
    /// [`Error::BinaryWithoutData`], [`Error::NotAPatch`] if no file is changed.
    pub fn check(&self, strip: usize) -> Result<Vec<Target>, Error> {
        self.files
            .iter()
            .map(|file| {
                let target = file.target(strip)?;
                if let Some(binary) = file.binary {
                    let (name, at) = (target.path().to_string(), file.at.clone());
                    return Err(match binary.has_data {
                        true => Error::BinaryPatch { name, at },
                        false => Error::BinaryWithoutData { name, at },
                    });
                }
                Ok(target)
            })
            .collect()
    }
}

impl<'a> FileDiff<'a> {
    /// Returns the names on both sides as written: those of `---` and `+++`, else of `diff --git`, else of `Index:`.
    pub fn names(&self) -> (Option<&FileName>, Option<&FileName>) {
        let git = self.git.as_ref();
        if self.old.is_some() || self.new.is_some() {
            return (self.old.as_ref(), self.new.as_ref());
        }
        if let Some((old, new)) = git.and_then(|g| Some((g.old.as_ref()?, g.new.as_ref()?))) {
            return (Some(old), Some(new));
        }
        (self.index.as_ref(), self.index.as_ref())
    }

    /// Says whether the patch makes the file: `new file mode`, `/dev/null`, or an empty old side with the time 1970.
    pub fn creates(&self) -> bool {
        self.git.as_ref().is_some_and(|g| g.creates)
            || self.old.as_ref().is_some_and(|n| n.null)
            || (self.old.as_ref().is_some_and(|n| n.epoch) && self.empty_side(false))
    }

    /// Says whether the patch removes the file.
    pub fn deletes(&self) -> bool {
        self.git.as_ref().is_some_and(|g| g.deletes)
            || self.new.as_ref().is_some_and(|n| n.null)
            || (self.new.as_ref().is_some_and(|n| n.epoch) && self.empty_side(true))
    }

    /// Says whether only the `diff --git` line names the file, and not with two words, each without blanks or in quotes: GNU patch
    /// cannot read that.
    pub(super) fn blank_in_name(&self) -> bool {
        let is_alone = self.git.is_some() && self.old.is_none() && self.new.is_none();
        let line = self.header.split(|b| *b == b'\n').next().and_then(|line| line.strip_prefix(b"diff --git "));
        let second = |names| names::word(names).filter(|rest| rest.first().is_some_and(u8::is_ascii_whitespace));
        let rest = |names| names::word(second(names)?);
        line.filter(|_| is_alone).is_some_and(|names| rest(names).is_none_or(|rest| !rest.trim_ascii().is_empty()))
    }

    /// Says whether the first hunk's old (or new) side is `0,0`.
    pub(super) fn empty_side(&self, new: bool) -> bool {
        self.hunks.first().is_some_and(|h| {
            if new { h.new_start == 0 && h.new_count == 0 } else { h.old_start == 0 && h.old_count == 0 }
        })
    }

    /// Returns the paths before and after once `strip` components are taken off. For a rename or copy they differ.
    /// Where `---` and `+++` name different files without git's header, this is what the names alone say; `apply`
    /// looks which of them is there.
    pub fn target(&self, strip: usize) -> Result<Target, Error> {
        if let Some(mode) =
            self.git.iter().flat_map(|g| [g.old_mode, g.new_mode]).flatten().find(|m| !matches!(m >> 12, 0o10 | 0o12))
        {
            let name = self.names().1.or(self.names().0).map_or_else(|| format!("{mode:o}"), |n| n.name.clone());
            if mode >> 12 == 0o16 {
                return Err(Error::Submodule { name, at: self.at.clone() });
            }
            return Err(Error::Device { name, at: self.at.clone() });
        }
        if let Some((from, to)) = self.git.as_ref().and_then(|g| g.rename.as_ref().or(g.copy.as_ref())) {
            // These names carry no `a/`, so git takes one component less off them.
            let less = strip.saturating_sub(1);
            // The other names must be safe too: they are what a reader is shown.
            for name in [self.names().0, self.names().1].into_iter().flatten() {
                name.stripped(strip)?;
            }
            return Ok(Target { old: from.stripped(less)?, new: to.stripped(less)? });
        }
        let (old, new) = self.names();
        let side = |name: Option<&FileName>| name.map(|n| n.stripped(strip)).transpose().map(Option::flatten);
        let (old, new) = (side(old), side(new));
        // One usable name is enough when the other merely has too few folders (`--- /tmp/x/foo.c`, `+++ foo.c`): `patch`
        // does the same. A name that leaves the tree is refused whichever it is.
        let (old, new) = match (old, new) {
            (Err(e @ Error::StripTooDeep { .. }), Ok(None)) | (Ok(None), Err(e @ Error::StripTooDeep { .. })) => {
                return Err(e);
            }
            (Err(Error::StripTooDeep { .. }), Ok(new)) => (new.clone(), new),
            (Ok(old), Err(Error::StripTooDeep { .. })) => (old.clone(), old),
            (old, new) => (old?, new?),
        };
        if old.is_none() && new.is_none() {
            return Err(Error::BadName { why: "is missing on both sides", at: self.at.clone() });
        }
        let git = self.git.as_ref();
        Ok(Target {
            old: old.filter(|_| !git.is_some_and(|g| g.creates)),
            new: new.filter(|_| !git.is_some_and(|g| g.deletes)),
        })
    }
}

impl Hunk<'_> {
    /// Returns the old (or new) side as bytes.
    pub fn side(&self, new: bool, strip_cr: bool) -> Vec<u8> {
        let other = if new { LineKind::Removed } else { LineKind::Added };
        let mut out = Vec::new();
        for line in self.lines.iter().filter(|l| l.kind != other) {
            out.extend_from_slice(line.content(strip_cr));
            if line.newline {
                out.push(b'\n');
            }
        }
        out
    }
}
