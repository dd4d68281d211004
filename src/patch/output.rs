//! The text of a file that is being made: lines of the file before, and hunks at their places, in rising order.

use super::patch_file::{Hunk, LineKind};

pub(super) struct Output<'f> {
    pub(super) lines: &'f [&'f [u8]],
    pub(super) bytes: Vec<u8>,
    /// How many lines of the file before are done with.
    pub(super) frozen: i64,
}

impl Output<'_> {
    /// Copies the lines up to `line`; says no when an earlier hunk has been there.
    pub(super) fn copy_till(&mut self, line: i64) -> bool {
        if self.frozen > line {
            return false;
        }
        let (from, to) = (self.frozen as usize, line as usize);
        let copied = self.lines.get(from.min(self.lines.len())..to.min(self.lines.len())).unwrap_or_default();
        if !copied.is_empty() {
            self.end_line();
        }
        for text in copied {
            self.bytes.extend_from_slice(text);
        }
        self.frozen = line;
        true
    }

    /// Gives the line before its line feed if it has none.
    pub(super) fn end_line(&mut self) {
        if self.bytes.last().is_some_and(|b| *b != b'\n') {
            self.bytes.push(b'\n');
        }
    }

    /// Puts a hunk at a line (from 1). Lines of context are the file's, not the hunk's.
    pub(super) fn apply(&mut self, hunk: &Hunk<'_>, at: i64, reverse: bool, strip_cr: bool) -> bool {
        let (removed, added) =
            if reverse { (LineKind::Added, LineKind::Removed) } else { (LineKind::Removed, LineKind::Added) };
        let mut here = at - 1;
        let end = here + hunk.lines.iter().filter(|l| l.kind != added).count() as i64;
        for line in &hunk.lines {
            if line.kind == removed {
                if !self.copy_till(here) {
                    return false;
                }
                self.frozen += 1;
                here += 1;
            } else if line.kind == added {
                if !self.copy_till(here) {
                    return false;
                }
                // Within the hunk GNU patch does not, where fuzz has brought a last line without line feed there.
                if here == end {
                    self.end_line();
                }
                self.bytes.extend_from_slice(line.content(strip_cr));
                if line.newline {
                    self.bytes.push(b'\n');
                }
            } else {
                here += 1;
            }
        }
        true
    }
}
