//! Applies a patch to a tree in memory.
//!
//! Which file, which hunks, with what offset and fuzz, and what is left when something fails: as GNU patch 2.7.6 called by nixpkgs'
//! patchPhase (`patch -p1 < file`, no terminal, so every question is answered with its default). Beyond that every hunk that
//! failed or was skipped is looked for as already applied. Must not touch the disk.

use std::borrow::Cow;

use super::error::Error;
use super::locate::{Pattern, split_lines};
use super::names::FileName;
use super::outcome::{Action, Conflict, FileOutcome, HunkOutcome, HunkState, Outcome, Skip};
use super::output::Output;
use super::patch_file::{FileDiff, Hunk, LineKind, PatchFile};
use super::tree::{EXECUTABLE, File, Layered, REGULAR, SYMLINK, Tree};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Leading components to take off the names (`-p`).
    pub strip: usize,
    /// Lines of context that may be left out at either end of a hunk (`-F`).
    pub fuzz: usize,
    /// Apply backwards (`-R`).
    pub reverse: bool,
}

impl Default for Options {
    /// What nixpkgs does: `patch -p1`, with GNU patch's fuzz of 2.
    fn default() -> Options {
        Options { strip: 1, fuzz: 2, reverse: false }
    }
}

/// Applies a patch.
///
/// # Errors
/// What [`PatchFile::check`] refuses, but not `Binary files differ`, which `patch` passes over; [`Error::LeavesTree`] for a link that leads out of the tree; [`Error::Unreadable`] when the
/// tree cannot be read. A patch that does not fit is no error: see [`Outcome::accepted`] and [`Outcome::verdict`].
pub fn apply<T: Tree>(tree: &T, patch: &PatchFile<'_>, options: &Options) -> Result<Outcome, Error> {
    for diff in patch.files() {
        let target = diff.target(options.strip)?;
        if diff.binary.is_some_and(|b| b.has_data) {
            return Err(Error::BinaryPatch { name: target.path().to_string(), at: diff.at.clone() });
        }
    }
    let mut work = Layered::new(tree);
    let mut files = Vec::with_capacity(patch.files().len());
    // `Binary files a and b differ` says nothing to `patch`, nor does `diff --git` alone; what more of git's header there is is done.
    let says = |f: &&FileDiff<'_>| {
        !f.hunks.is_empty() || (f.git.is_some() && f.header.split_inclusive(|b| *b == b'\n').count() > 1)
    };
    for diff in patch.files().iter().filter(says) {
        files.push(FileRun { tree, diff, options }.run(&mut work)?);
    }
    let mut changes = work.changes;
    // What came out as it was is no change.
    let mut same = Vec::new();
    for (path, file) in &changes {
        let before = tree.read(path).map_err(|e| Error::Unreadable { path: path.clone(), why: e.to_string() })?;
        let equal = match (&before, file) {
            (Some(a), Some(b)) => a.mode == b.mode && a.bytes == b.bytes,
            (None, None) => true,
            _ => false,
        };
        if equal {
            same.push(path.clone());
        }
    }
    for path in same {
        changes.remove(&path);
    }
    Ok(Outcome { files, changes })
}

/// The name that GNU patch takes of several whose files are there is the least by this: the fewest folders, then the shortest.
fn rank(name: &str) -> (usize, usize, usize) {
    (name.split('/').count(), name.rsplit('/').next().unwrap_or_default().len(), name.len())
}

/// One file of a patch on its way.
struct FileRun<'r, 'p, T: Tree> {
    tree: &'r T,
    diff: &'r FileDiff<'p>,
    options: &'r Options,
}

/// What the header says about a side: the file is there, it is empty (or perhaps not there), it is not there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Absent {
    No,
    Perhaps,
    Yes,
}

impl<T: Tree> FileRun<'_, '_, T> {
    fn side(&self, new: bool) -> Absent {
        let git = self.diff.git.as_ref();
        if git.is_some_and(|g| if new { g.deletes } else { g.creates }) {
            return Absent::Yes;
        }
        let name = if new { &self.diff.new } else { &self.diff.old };
        match (self.diff.empty_side(new), name) {
            (true, Some(n)) if n.null || n.epoch => Absent::Yes,
            (true, _) => Absent::Perhaps,
            (false, _) => Absent::No,
        }
    }

    /// What is before (or after) the change in the direction in which the patch is applied.
    fn absent(&self, after: bool) -> Absent {
        self.side(after != self.options.reverse)
    }

    /// The file to read: of those that are there the one with the fewest folders, then the shortest name; `patch` picks so.
    fn pick(&self, work: &Layered<'_, T>) -> Result<(Vec<String>, Option<String>), Error> {
        let (old, new) = self.diff.names();
        let strip = self.options.strip;
        let usable = |name: Option<&FileName>| name.and_then(|n| n.stripped(strip).ok().flatten());
        let mut names: Vec<String> = Vec::new();
        for name in [usable(old), usable(new)].into_iter().flatten() {
            let name = work.resolve(&name, &self.diff.at)?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut there = Vec::new();
        for name in &names {
            if work.get(name)?.is_some() {
                there.push(name.clone());
            }
        }
        // `min_by_key` keeps the first of equals.
        let best = there.into_iter().min_by_key(|name| rank(name));
        names.sort_by_key(|name| rank(name));
        Ok((names, best))
    }

    fn run(&self, work: &mut Layered<'_, T>) -> Result<FileOutcome, Error> {
        let target = self.diff.target(self.options.strip)?;
        let git = self.diff.git.as_ref();
        if self.diff.blank_in_name() {
            let action = if git.is_some_and(|g| g.rename.is_some()) { Action::Rename } else { Action::Change };
            let mut outcome = FileOutcome {
                path: target.path().to_string(),
                from: None,
                action,
                skipped: None,
                already_applied: false,
                hunks: Vec::new(),
            };
            self.skip(&mut outcome, Skip::BlankInName, None);
            return Ok(outcome);
        }
        let renames = git.is_some_and(|g| g.rename.is_some());
        let copies = git.is_some_and(|g| g.copy.is_some());
        if (renames || copies)
            && let (Some(old), Some(new)) = (&target.old, &target.new)
        {
            let (from, to) = if self.options.reverse { (new, old) } else { (old, new) };
            let (from, to) = (work.resolve(from, &self.diff.at)?, work.resolve(to, &self.diff.at)?);
            return self.transfer(work, from, to, renames);
        }
        let (names, found) = self.pick(work)?;
        let path = found.clone().or(names.first().cloned()).unwrap_or_else(|| target.path().to_string());
        let creates = self.absent(false);
        let deletes = self.absent(true);
        let action = match (creates, deletes) {
            (Absent::Yes, _) => Action::Create,
            (_, Absent::Yes) => Action::Delete,
            (Absent::Perhaps, _) if found.is_none() => Action::Create,
            _ => Action::Change,
        };
        let mut outcome = FileOutcome {
            path: path.clone(),
            from: None,
            action,
            skipped: None,
            already_applied: false,
            hunks: Vec::new(),
        };
        let Some(before) = found.map(|p| work.get(&p)).transpose()?.flatten() else {
            let (old, new) = self.diff.names();
            let whole = |name: &FileName| {
                super::names::strip_name(name.whole.as_deref()?, self.options.strip).map(str::to_string)
            };
            let meant = [old, new].into_iter().flatten().filter_map(whole);
            for path in meant.filter(|path| super::names::safe(path).is_ok()) {
                if work.get(&path)?.is_some() {
                    self.skip(&mut outcome, Skip::BlankInName, None);
                    return Ok(outcome);
                }
            }
            if deletes > Absent::No && creates == Absent::No {
                // The next patch would delete the file, which does not exist.
                self.skip(&mut outcome, Skip::Missing, None);
                outcome.already_applied = deletes == Absent::Yes;
            } else if creates == Absent::No {
                self.skip(&mut outcome, Skip::Missing, None);
            } else {
                let empty = File { bytes: Cow::Borrowed(b""), mode: self.new_mode().unwrap_or(REGULAR) };
                self.change(work, &mut outcome, empty, path, false)?;
            }
            return Ok(outcome);
        };
        let before = before.into_owned();
        let empty = before.bytes.is_empty();
        let known = git.is_some_and(|g| if self.options.reverse { g.new_empty } else { g.old_empty });
        // An empty file is to be made, and is there.
        let made = git.is_some_and(|g| if self.options.reverse { g.old_empty } else { g.new_empty });
        let made = made && creates == Absent::Yes && self.diff.hunks.is_empty();
        let exists = if empty { made || (deletes > Absent::No && !known) } else { creates == Absent::Yes };
        if exists {
            let result = self.created_bytes();
            outcome.already_applied =
                (creates == Absent::Yes && *before.bytes == *result) || (empty && deletes == Absent::Perhaps);
            self.skip(&mut outcome, if creates == Absent::Yes { Skip::Exists } else { Skip::Reversed }, Some(&before));
            return Ok(outcome);
        }
        let wants_link = self.old_mode().map(|m| m >> 12 == SYMLINK >> 12).unwrap_or(false);
        if before.is_link() != wants_link && creates != Absent::Yes {
            self.skip(&mut outcome, Skip::NotRegular, None);
            return Ok(outcome);
        }
        self.change(work, &mut outcome, before, path, true)?;
        Ok(outcome)
    }

    /// A rename or a copy: read from the tree before the patch, as git does.
    fn transfer(
        &self,
        work: &mut Layered<'_, T>,
        from: String,
        to: String,
        renames: bool,
    ) -> Result<FileOutcome, Error> {
        let action = if renames { Action::Rename } else { Action::Copy };
        let mut outcome = FileOutcome {
            path: to.clone(),
            from: Some(from.clone()),
            action,
            skipped: None,
            already_applied: false,
            hunks: Vec::new(),
        };
        let unreadable = |e: std::io::Error| Error::Unreadable { path: from.clone(), why: e.to_string() };
        let before = match self.tree.read(&from).map_err(unreadable)? {
            Some(file) => Some(file.into_owned()),
            None => work.get(&from)?.map(File::into_owned),
        };
        let there = work.get(&to)?.map(File::into_owned);
        if !renames && self.options.reverse {
            // Backwards a copy is removed; its source stays.
            work.changes.insert(from, None);
            return Ok(outcome);
        }
        match (before, there) {
            // GNU patch takes it for done when it finds the new name first.
            (Some(_), Some(there)) if rank(&to) < rank(&from) => {
                outcome.already_applied = self.diff.hunks.is_empty();
                self.change(work, &mut outcome, there, to, true)?;
            }
            // Otherwise it writes over what is there.
            (Some(before), there) => {
                outcome.already_applied =
                    !renames && self.diff.hunks.is_empty() && there.is_some_and(|there| there.bytes == before.bytes);
                // A file that another rename of this patch has put there is not this one's to take away.
                let goes = renames && !matches!(work.changes.get(&from), Some(Some(_)));
                let was = if goes { work.changes.insert(from.clone(), None) } else { None };
                self.change(work, &mut outcome, before, to, true)?;
                if goes && outcome.skipped == Some(Skip::NotRegular) {
                    work.changes.remove(&from);
                    work.changes.extend(was.map(|was| (from, was)));
                }
            }
            (None, Some(there)) => {
                self.skip(&mut outcome, Skip::Missing, Some(&there));
                outcome.already_applied = outcome.hunks.iter().all(|h| h.already_applied);
            }
            (None, None) => self.skip(&mut outcome, Skip::Missing, None),
        }
        Ok(outcome)
    }

    fn old_mode(&self) -> Option<u32> {
        self.diff.git.as_ref().and_then(|g| if self.options.reverse { g.new_mode } else { g.old_mode })
    }

    fn new_mode(&self) -> Option<u32> {
        self.diff.git.as_ref().and_then(|g| if self.options.reverse { g.old_mode } else { g.new_mode })
    }

    /// Leaves a file alone; says of each hunk whether it would fit or is in already.
    fn skip(&self, outcome: &mut FileOutcome, why: Skip, file: Option<&File<'_>>) {
        outcome.skipped = Some(why);
        let lines = file.map(|f| split_lines(&f.bytes)).unwrap_or_default();
        let mut drift = [0, 0];
        outcome.hunks = self
            .diff
            .hunks
            .iter()
            .map(|hunk| {
                let before = file.and_then(|_| self.stands(hunk, false, &lines, &mut drift[0]));
                let after = file.and_then(|_| self.stands(hunk, true, &lines, &mut drift[1]));
                let already_applied = is_in(hunk, self.options.reverse, before, after);
                let fits = before.is_some() && !already_applied;
                let conflict =
                    (!fits && !already_applied && file.is_some()).then(|| self.conflict(hunk, &lines, drift[0]));
                HunkOutcome { state: HunkState::Ignored { fits }, already_applied, conflict }
            })
            .collect();
    }

    /// Looks for a side in the file, without fuzz; `after` is the side that the patch makes. Returns how far it is from where the
    /// hunks before let it be expected. An empty side says nothing.
    fn stands(&self, hunk: &Hunk<'_>, after: bool, lines: &[&[u8]], drift: &mut i64) -> Option<i64> {
        let pattern = Pattern::new(hunk, after != self.options.reverse, self.diff.strip_cr);
        if pattern.lines.is_empty() {
            return (!after).then_some(0);
        }
        let guess = pattern.first + *drift;
        let distance = pattern.locate(lines, guess, 0, 0)? - guess;
        *drift += distance;
        Some(distance)
    }

    fn conflict(&self, hunk: &Hunk<'_>, lines: &[&[u8]], drift: i64) -> Box<Conflict> {
        let (old, new) =
            (hunk.side(self.options.reverse, self.diff.strip_cr), hunk.side(!self.options.reverse, self.diff.strip_cr));
        let (start, count) = match self.options.reverse {
            true => (hunk.new_start, hunk.new_count),
            false => (hunk.old_start, hunk.old_count),
        };
        let from = usize::try_from((start as i64 + drift - 1).max(0)).unwrap_or(0).min(lines.len());
        let to = from.saturating_add(usize::try_from(count).unwrap_or(0)).min(lines.len());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Box::new(Conflict {
            line: from + 1,
            expected: text(&old),
            found: text(&lines[from..to].concat()),
            wanted: text(&new),
        })
    }

    /// What a patch that makes the file makes.
    fn created_bytes(&self) -> Vec<u8> {
        self.diff.hunks.iter().flat_map(|h| h.side(!self.options.reverse, self.diff.strip_cr)).collect()
    }

    /// Applies the hunks to `before` and puts the result at `path`.
    fn change(
        &self,
        work: &mut Layered<'_, T>,
        outcome: &mut FileOutcome,
        before: File<'_>,
        path: String,
        existed: bool,
    ) -> Result<(), Error> {
        let lines = split_lines(&before.bytes);
        let Some((bytes, hunks)) = self.hunks(&lines, before.bytes.len()) else {
            self.skip(outcome, Skip::Reversed, Some(&before));
            return Ok(());
        };
        let failed = hunks.iter().any(|h| !matches!(h.state, HunkState::Applied { .. }));
        outcome.hunks = hunks;
        let deletes = self.absent(true) == Absent::Yes;
        if deletes && bytes.is_empty() && !failed {
            work.changes.insert(path, None);
            return Ok(());
        }
        if deletes && !failed {
            outcome.skipped = Some(Skip::NotEmpty);
        }
        if failed && !existed && bytes.is_empty() {
            return Ok(());
        }
        if work.get(&path)?.is_none() {
            // GNU patch makes nothing below what is a file, before the patch or by it, and no file where a folder is, or was before it.
            let unreadable = |e: std::io::Error| Error::Unreadable { path: path.clone(), why: e.to_string() };
            let is_file = |file: Option<File<'_>>| file.is_some_and(|file| !file.is_link());
            let mut in_the_way = self.tree.is_folder(&path).map_err(unreadable)?;
            for (at, _) in path.match_indices('/') {
                let above = &path[..at];
                in_the_way |= is_file(self.tree.read(above).map_err(unreadable)?) || is_file(work.get(above)?);
            }
            let folder = format!("{path}/");
            if in_the_way || work.changes.range(folder.clone()..).next().is_some_and(|(p, _)| p.starts_with(&folder)) {
                outcome.skipped = Some(Skip::NotRegular);
                return Ok(());
            }
        }
        let wanted = self.new_mode().filter(|m| self.old_mode() != Some(*m));
        let mode = wanted.unwrap_or(before.mode);
        let mode = match mode >> 12 {
            t if t == SYMLINK >> 12 => SYMLINK,
            _ if mode & 0o100 != 0 => EXECUTABLE,
            _ => REGULAR,
        };
        if mode == SYMLINK {
            work.check_link(&path, &bytes, &self.diff.at)?;
        }
        work.changes.insert(path, Some(File { bytes: Cow::Owned(bytes), mode }));
        Ok(())
    }

    /// Applies the hunks to a file. `None` when the first hunk is in already: then `patch` leaves the file alone.
    fn hunks(&self, lines: &[&[u8]], size: usize) -> Option<(Vec<u8>, Vec<HunkOutcome>)> {
        let mut out = Output { lines, bytes: Vec::with_capacity(size + size / 8), frozen: 0 };
        let mut outcomes = Vec::with_capacity(self.diff.hunks.len());
        // How far the last hunk was from where it said, and how many lines longer the file has become.
        let (mut offset, mut growth) = (0, 0);
        let mut reversed_drift = 0;
        for (i, hunk) in self.diff.hunks.iter().enumerate() {
            let pattern = Pattern::new(hunk, self.options.reverse, self.diff.strip_cr);
            let most = (self.options.fuzz as i64).min(pattern.context());
            let (mut found, mut moved) = (None, 0);
            for fuzz in 0..=most {
                let guess = pattern.first + offset;
                if let Some(at) = pattern.locate(lines, guess, out.frozen, fuzz) {
                    moved = at - guess;
                    offset += moved;
                    if at != 0 {
                        found = Some((at, fuzz));
                        break;
                    }
                }
                if i == 0 {
                    let swapped = Pattern::new(hunk, !self.options.reverse, self.diff.strip_cr);
                    if swapped.locate(lines, swapped.first + offset, 0, fuzz).is_some_and(|at| at != 0) {
                        return None;
                    }
                }
            }
            // A hunk that makes a file cannot be put before what is there.
            let found = found.filter(|(at, _)| !(*at == 1 && self.absent(false) == Absent::Yes && size > 0));
            let inserted = found.filter(|(at, _)| out.apply(hunk, *at, self.options.reverse, self.diff.strip_cr));
            outcomes.push(match inserted {
                Some((at, fuzz)) => {
                    // Where it fits as it is there is nothing to look for, and looking takes the whole file.
                    let after = match (fuzz, moved) {
                        (0, 0) => None,
                        _ => self.stands(hunk, true, lines, &mut reversed_drift),
                    };
                    let already_applied = is_in(hunk, self.options.reverse, (fuzz == 0).then_some(moved), after);
                    let state = HunkState::Applied { line: at + growth, offset, fuzz };
                    let (old, new) = (hunk.old_count as i64, hunk.new_count as i64);
                    growth += if self.options.reverse { old - new } else { new - old };
                    HunkOutcome { state, already_applied, conflict: None }
                }
                None => {
                    let after = self.stands(hunk, true, lines, &mut reversed_drift);
                    let already_applied = is_in(hunk, self.options.reverse, None, after);
                    let line = found.map_or(pattern.first, |(at, _)| at) + growth;
                    let conflict = (!already_applied).then(|| self.conflict(hunk, lines, offset));
                    HunkOutcome { state: HunkState::Failed { line }, already_applied, conflict }
                }
            });
        }
        out.copy_till(lines.len() as i64);
        Some((out.bytes, outcomes))
    }
}

/// Says whether a hunk is in already, from where its two sides stand: the new side alone, or nearer to where it is expected than
/// the old one. (What a hunk inserts may end with the context before it; then it fits once more.) The second needs added lines
/// and context enough to be no accident.
fn is_in(hunk: &Hunk<'_>, reverse: bool, before: Option<i64>, after: Option<i64>) -> bool {
    let added = if reverse { LineKind::Removed } else { LineKind::Added };
    match (before, after) {
        (None, Some(_)) => true,
        (Some(before), Some(after)) => {
            let context = hunk.lines.iter().filter(|l| l.kind == LineKind::Context).count();
            after.abs() < before.abs() && context >= 3 && hunk.lines.iter().any(|l| l.kind == added)
        }
        (_, None) => false,
    }
}
