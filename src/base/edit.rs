//! Text edits: disjoint, sorted replacements of byte spans, and their inverse.
//!
//! Everything that changes a user's text goes through here, so that the bytes outside the edits are the same by
//! construction. Must not know what the text means.

use super::span::Span;

/// One replacement: the bytes of `span` become `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextEdit {
    /// The bytes that go; an empty span inserts.
    pub span: Span,
    pub text: String,
}

/// A set of edits of one text. Invariant: sorted by position and disjoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextEdits {
    edits: Vec<TextEdit>,
}

/// Why a set of edits cannot be applied.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EditError {
    #[error("edits at bytes {}..{} and {}..{} overlap", .0.start, .0.end, .1.start, .1.end)]
    Overlap(Span, Span),
    /// An edit is not within the text, or would cut a character in two.
    #[error("the edit at bytes {}..{} does not fit the text", .0.start, .0.end)]
    OutOfBounds(Span),
}

impl TextEdits {
    /// Makes an empty set.
    pub fn new() -> TextEdits {
        TextEdits::default()
    }

    /// Adds a replacement. Two insertions at the same place keep the order in which they were added.
    ///
    /// # Errors
    /// [`EditError::Overlap`] when the span shares bytes with an earlier edit, or an insertion falls inside one.
    pub fn replace(&mut self, span: Span, text: impl Into<String>) -> Result<(), EditError> {
        let at = self.edits.partition_point(|e| (e.span.start, e.span.end) <= (span.start, span.end));
        let neighbours = [at.checked_sub(1), Some(at)];
        for other in neighbours.into_iter().flatten().filter_map(|i| self.edits.get(i)) {
            if other.span.start < span.end && span.start < other.span.end {
                return Err(EditError::Overlap(other.span, span));
            }
        }
        self.edits.insert(at, TextEdit { span, text: text.into() });
        Ok(())
    }

    /// Adds an insertion at `offset`.
    pub fn insert(&mut self, offset: usize, text: impl Into<String>) -> Result<(), EditError> {
        self.replace(Span::at(offset), text)
    }

    pub fn delete(&mut self, span: Span) -> Result<(), EditError> {
        self.replace(span, String::new())
    }

    /// Returns the offset that a place of the old text has after the edits.
    pub fn moved(&self, offset: usize) -> usize {
        let before = self.edits.iter().filter(|edit| edit.span.end <= offset);
        before.fold(offset, |at, edit| at + edit.text.len() - edit.span.len())
    }

    /// Returns the edits in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &TextEdit> {
        self.edits.iter()
    }

    /// Returns the text with the edits made.
    ///
    /// # Errors
    /// [`EditError::OutOfBounds`] when an edit does not fit the text.
    pub fn apply(&self, text: &str) -> Result<String, EditError> {
        let mut out = String::with_capacity(text.len() + self.edits.iter().map(|e| e.text.len()).sum::<usize>());
        let mut done = 0;
        for edit in &self.edits {
            let keep = text.get(done..edit.span.start).ok_or(EditError::OutOfBounds(edit.span))?;
            text.get(edit.span.range()).ok_or(EditError::OutOfBounds(edit.span))?;
            out.push_str(keep);
            out.push_str(&edit.text);
            done = edit.span.end;
        }
        out.push_str(&text[done..]);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_an_error_and_touching_is_not() {
        let mut edits = TextEdits::new();
        edits.replace(Span::new(2, 5), "x").unwrap();
        assert!(matches!(edits.replace(Span::new(4, 6), "y"), Err(EditError::Overlap(..))));
        assert!(matches!(edits.insert(3, "y"), Err(EditError::Overlap(..))));
        edits.insert(2, "a").unwrap();
        edits.insert(5, "b").unwrap();
        assert_eq!(edits.apply("0123456").unwrap(), "01axb56");
    }

    #[test]
    fn insertions_at_one_place_keep_their_order() {
        let mut edits = TextEdits::new();
        edits.insert(1, "first ").unwrap();
        edits.insert(1, "second ").unwrap();
        assert_eq!(edits.apply("[]").unwrap(), "[first second ]");
    }

    #[test]
    fn an_edit_past_the_end_or_inside_a_character_is_refused() {
        let mut edits = TextEdits::new();
        edits.insert(9, "x").unwrap();
        assert_eq!(edits.apply("abc"), Err(EditError::OutOfBounds(Span::at(9))));
        let mut edits = TextEdits::new();
        edits.insert(1, "x").unwrap();
        assert_eq!(edits.apply("ä"), Err(EditError::OutOfBounds(Span::at(1))));
    }
}
