//! Finds where a hunk fits, as GNU patch 2.7 does: at the line it says moved by the offset of the hunk before, then
//! ever farther away, with up to `fuzz` lines of context left out at either end.
//!
//! The rules are those of the manual ("Inexact", patch(1)) as observed with `patch` 2.7.6, against which `tests/patch_gnu.rs`
//! compares thousands of cases. A side with less context than the other is taken to touch the beginning or the end
//! of the file. Must not change anything.

use super::patch_file::{Hunk, LineKind};

/// The lines of a file, each with its line feed.
pub(super) fn split_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::with_capacity(bytes.len() / 32 + 1);
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        lines.push(&bytes[start..=end]);
        start = end + 1;
    }
    if start < bytes.len() {
        lines.push(&bytes[start..]);
    }
    lines
}

/// A line of a hunk's side: its bytes without line end, and whether a line feed follows.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) content: &'a [u8],
    pub(super) newline: bool,
}

impl Wanted<'_> {
    fn matches(&self, line: &[u8]) -> bool {
        // The lengths first: most lines differ there.
        line.len() == self.content.len() + usize::from(self.newline)
            && line.starts_with(self.content)
            && (!self.newline || line.ends_with(b"\n"))
    }
}

/// What has to be found for a hunk: one side of it.
pub(super) struct Pattern<'a> {
    /// The line where it should begin, from 1. For an empty side the line behind the one named.
    pub(super) first: i64,
    pub(super) lines: Vec<Wanted<'a>>,
    pub(super) prefix: i64,
    pub(super) suffix: i64,
}

impl<'a> Pattern<'a> {
    /// Takes the old side, or the new one when `swapped`.
    pub(super) fn new(hunk: &'a Hunk<'a>, swapped: bool, strip_cr: bool) -> Pattern<'a> {
        let other = if swapped { LineKind::Removed } else { LineKind::Added };
        let lines: Vec<_> = hunk
            .lines
            .iter()
            .filter(|l| l.kind != other)
            .map(|l| Wanted { content: l.content(strip_cr), newline: l.newline })
            .collect();
        let start = if swapped { hunk.new_start } else { hunk.old_start };
        // Numbers are below 2^60.
        let first = start as i64 + i64::from(lines.is_empty());
        let context = |l: &&super::HunkLine<'_>| l.kind == LineKind::Context;
        let prefix = hunk.lines.iter().take_while(context).count() as i64;
        let suffix = hunk.lines.iter().rev().take_while(context).count() as i64;
        Pattern { first, lines, prefix, suffix }
    }

    /// The larger context of the two: more fuzz than this makes no difference.
    pub(super) fn context(&self) -> i64 {
        self.prefix.max(self.suffix)
    }

    /// Returns the line at which the pattern fits, from 1. `guess` is the line to begin with; `frozen` the number of lines of the
    /// file that an earlier hunk has taken. Line 0, which a pattern whose first lines are left out can have, means "nowhere" to
    /// `patch`, though it moves its guess there.
    pub(super) fn locate(&self, file: &[&[u8]], guess: i64, frozen: i64, fuzz: i64) -> Option<i64> {
        let wanted = self.lines.len() as i64;
        if wanted == 0 {
            return Some(guess);
        }
        let lines = file.len() as i64;
        let skip_front = fuzz + self.prefix - self.context();
        let skip_back = fuzz + self.suffix - self.context();
        let highest = lines - (wanted - skip_back) + 1;
        let lowest = frozen + 1;
        let up = highest - guess;
        let down = (guess - lowest).min(guess - 1);
        let fits = |at: i64, front: i64, back: i64| self.fits(file, at, front, back);
        if skip_front < 0 && self.first <= 1 {
            // Less context in front than behind, and at the first line: the beginning of the file.
            if skip_back < 0 && (wanted != lines || self.prefix < frozen) {
                return None;
            }
            return (frozen <= self.prefix && 1 - guess <= up && fits(1, 0, skip_back)).then_some(1);
        }
        let front = skip_front.max(0);
        if skip_back < 0 {
            // Less context behind than in front: the end of the file.
            let at = lines - wanted + 1;
            return (guess - at <= down && fits(at, front, 0)).then_some(at);
        }
        let nearest = if up < 0 {
            guess - highest
        } else if down < 0 {
            // Negative: `patch` looks there first, and also among the lines that are taken, where the hunk then is misordered.
            guess - lowest
        } else {
            0
        };
        for distance in nearest..=up.max(down) {
            if distance <= up && fits(guess + distance, front, skip_back) {
                return Some(guess + distance);
            }
            if distance != 0 && distance <= down && fits(guess - distance, front, skip_back) {
                return Some(guess - distance);
            }
        }
        None
    }

    fn fits(&self, file: &[&[u8]], at: i64, front: i64, back: i64) -> bool {
        let Ok(from) = usize::try_from(front) else { return false };
        let end = (self.lines.len() as i64 - back).max(0) as usize;
        let wanted = self.lines.get(from.min(end)..end).unwrap_or_default();
        let Ok(at) = usize::try_from(at - 1 + front) else { return wanted.is_empty() };
        wanted.iter().enumerate().all(|(i, w)| w.matches(file.get(at + i).copied().unwrap_or_default()))
    }
}
