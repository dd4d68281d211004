//! Byte spans in a text and the places that people read: line and column.
//!
//! Must not read files.

use std::path::{Path, PathBuf};

use serde::Serialize;

/// A half-open range of bytes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// The offset of the first byte.
    pub start: usize,
    /// The offset after the last byte.
    pub end: usize,
}

impl Span {
    /// Makes the span `start..end`; an end before the start is taken as the start.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start, end: end.max(start) }
    }

    /// Makes the empty span at `offset`.
    pub fn at(offset: usize) -> Span {
        Span { start: offset, end: offset }
    }

    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Says whether the span holds no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Says whether `other` lies within this span.
    pub fn contains(self, other: Span) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    pub fn range(self) -> std::ops::Range<usize> {
        self.start..self.end
    }
}

/// A line and a column, both counted from 1; the column counts characters, as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct LineCol {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// Returns the line and column of the byte `offset` of `text`; past the end it is the end.
pub fn line_col(text: &str, offset: usize) -> LineCol {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    LineCol {
        line: before.bytes().filter(|b| *b == b'\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

/// Where the lines of a text begin: for asking for many places of one text.
#[derive(Debug, Clone)]
pub struct Lines(Vec<usize>);

impl Lines {
    /// Finds the lines of `text`.
    pub fn of(text: &str) -> Lines {
        Lines(std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect())
    }

    /// Returns what [`line_col`] returns for the same text.
    pub fn line_col(&self, text: &str, offset: usize) -> LineCol {
        let line = self.0.partition_point(|start| *start <= offset.min(text.len()));
        let start = line.checked_sub(1).and_then(|i| self.0.get(i)).copied().unwrap_or(0);
        // Up to the offset only, so that the rest of the text is not looked at.
        let within = line_col(text.get(start..).unwrap_or(""), offset.saturating_sub(start));
        LineCol { line, column: within.column }
    }
}

/// Returns the bytes of line `line` (from 1) of `text`, without its line end; `None` past the last line.
pub fn line_span(text: &str, line: usize) -> Option<Span> {
    let mut start = 0;
    for (number, content) in text.split_inclusive('\n').enumerate() {
        if number + 1 == line {
            return Some(Span::new(start, start + content.trim_end_matches(['\n', '\r']).len()));
        }
        start += content.len();
    }
    None
}

/// Where something stands: a file as the user named it and, when known, the bytes and their line and column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The path, as the user typed it or relative to the workspace.
    pub path: PathBuf,
    /// The bytes concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// Line and column of the first byte.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub line_col: Option<LineCol>,
}

impl Place {
    /// Makes a place that is a whole file.
    pub fn file(path: impl AsRef<Path>) -> Place {
        Place { path: path.as_ref().to_path_buf(), span: None, line_col: None }
    }

    /// Makes a place from a span of a file's text.
    pub fn in_text(path: impl AsRef<Path>, text: &str, span: Span) -> Place {
        Place { path: path.as_ref().to_path_buf(), span: Some(span), line_col: Some(line_col(text, span.start)) }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(at) = self.line_col {
            write!(f, ":{}:{}", at.line, at.column)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_newlines() {
        let text = "ab\nä€c\n";
        assert_eq!(line_col(text, 0), LineCol { line: 1, column: 1 });
        assert_eq!(line_col(text, 3 + 2 + 3), LineCol { line: 2, column: 3 });
        assert_eq!(line_col(text, 999), LineCol { line: 3, column: 1 });
        // Inside a character: the character that holds the byte.
        assert_eq!(line_col(text, 4), LineCol { line: 2, column: 1 });
    }

    #[test]
    fn an_index_of_lines_says_the_same() {
        for text in ["", "\n", "ab\nä€c\n\r\n x", "ä"] {
            let lines = Lines::of(text);
            for offset in 0..text.len() + 2 {
                assert_eq!(lines.line_col(text, offset), line_col(text, offset), "{text:?} {offset}");
            }
        }
    }

    #[test]
    fn line_spans_leave_the_line_end_out() {
        let text = "one\r\ntwo";
        assert_eq!(line_span(text, 1), Some(Span::new(0, 3)));
        assert_eq!(line_span(text, 2), Some(Span::new(5, 8)));
        assert_eq!(line_span(text, 3), None);
    }
}
