//! Where a change is: the line of the file as it is now that a reader should look at.

use std::path::Path;

use serde_json::Value;

use super::{Change, States, pins};
use crate::base::span::{Place, Span, line_span};
use crate::comparison::Error;

impl States<'_> {
    /// Says where a change is: at a span of a file of the repository, or where its text first differs from what it was. Of a file that
    /// is gone there is no line.
    pub(super) fn put_place(&self, change: &mut Change, path: &Path, span: Option<Option<Span>>) -> Result<(), Error> {
        let (old, new) = self.texts(path)?;
        let name = self.name(path);
        change.file = Some(path.to_path_buf());
        change.place = Some(match new {
            None => Place::file(name),
            Some(new) => match span.unwrap_or_else(|| first_difference(&old.unwrap_or_default(), &new)) {
                Some(span) => Place::in_text(name, &new, span),
                None => Place::file(name),
            },
        });
        Ok(())
    }
}

/// Returns the first line of a text that another one does not have there; the last one where only lines behind it are gone.
fn first_difference(old: &str, new: &str) -> Option<Span> {
    let same = old.split_inclusive('\n').zip(new.split_inclusive('\n')).take_while(|(old, new)| old == new).count();
    line_span(new, (same + 1).min(new.split_inclusive('\n').count().max(1)))
}

/// Returns where the value that tells a pin from what it was stands in a lock.
pub(super) fn pin_span(text: &str, node: &str, pin: &Value) -> Option<Span> {
    let quoted = |word: &str| serde_json::to_string(word).ok();
    // From where its own member begins: another pin may have the same value.
    let key = quoted(node)?;
    let is_member = |at: &usize| {
        text[at + key.len()..].trim_start().strip_prefix(':').is_some_and(|rest| rest.trim_start().starts_with('{'))
    };
    let start = text.match_indices(&key).map(|(at, _)| at).find(is_member)?;
    let word = quoted(pins::word(pin)?)?;
    let at = text[start..].find(&word)? + start;
    Some(Span::new(at, at + word.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::span::line_col;

    #[test]
    fn the_line_that_differs_first() {
        let line = |old: &str, new: &str| first_difference(old, new).map(|span| line_col(new, span.start).line);
        assert_eq!(line("a\nb\nc\n", "a\nx\nc\n"), Some(2));
        assert_eq!(line("", "a\nb\n"), Some(1));
        assert_eq!(line("a\nb\n", "a\n"), Some(1), "what stood behind it is gone");
        assert_eq!(line("a\n", "a\nb"), Some(2));
        assert_eq!(line("a\n", ""), None);
    }

    #[test]
    fn a_pin_is_found_in_its_own_member() {
        let pin = json!({ "locked": { "rev": "aa" } });
        let text = "{\n\"n\": { \"rev\": \"aa\" },\n\"root\": { \"inputs\": { \"m\": \"m\" } },\n\"m\": {\n \"rev\": \"aa\" }\n}";
        let line = |node: &str| pin_span(text, node, &pin).map(|span| line_col(text, span.start).line);
        assert_eq!((line("n"), line("m"), line("o")), (Some(2), Some(5), None));
    }
}
