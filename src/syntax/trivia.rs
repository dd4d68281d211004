//! Layout of a text: line ends, indentation, comments that belong to a line, order.
//!
//! Must not change anything.

use rnix::SyntaxKind::TOKEN_COMMENT;
use rnix::{SyntaxNode, SyntaxToken, TextRange};

use crate::base::span::Span;

/// Returns the span of a node in its text.
pub fn span(node: &SyntaxNode) -> Span {
    let range = node.text_range();
    Span::new(range.start().into(), range.end().into())
}

/// Returns the span of a token in its text.
pub fn token_span(token: &SyntaxToken) -> Span {
    let range = token.text_range();
    Span::new(range.start().into(), range.end().into())
}

/// Returns the line end that `text` uses: `\r\n` when its first line has it.
pub fn newline(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if at > 0 && text.as_bytes().get(at - 1) == Some(&b'\r') => "\r\n",
        _ => "\n",
    }
}

/// Returns the space at the beginning of the line that holds `offset`.
pub fn line_indent(text: &str, offset: usize) -> &str {
    let start = text[..offset].rfind('\n').map_or(0, |i| i + 1);
    let line = &text[start..];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// Says whether only space stands before `offset` on its line.
pub fn starts_line(text: &str, offset: usize) -> bool {
    let start = text[..offset].rfind('\n').map_or(0, |i| i + 1);
    text[start..offset].trim_matches([' ', '\t']).is_empty()
}

/// Returns one step of indentation of `text`: a tab where lines begin with tabs, else the smallest usual step of
/// spaces, else two spaces.
pub fn indent_unit(text: &str) -> String {
    let mut least = 0usize;
    for line in text.lines().take(4_000) {
        if line.starts_with('\t') {
            return "\t".into();
        }
        let spaces = line.len() - line.trim_start_matches(' ').len();
        if spaces > 0 && spaces < line.len() && (least == 0 || spaces < least) && !line.trim_start().starts_with('*') {
            least = spaces;
        }
    }
    " ".repeat(if matches!(least, 1 | 2 | 3 | 4 | 8) { least } else { 2 })
}

/// Returns the offset after a comment that stands on the same line after `offset` with only space between, or
/// `offset` itself.
pub fn after_inline_comment(text: &str, offset: usize) -> usize {
    let line_end = text[offset..].find('\n').map_or(text.len(), |i| offset + i);
    let line_end = if text[..line_end].ends_with('\r') { line_end - 1 } else { line_end };
    let rest = &text[offset..line_end.max(offset)];
    let trimmed = rest.trim_start_matches([' ', '\t']);
    if trimmed.starts_with('#') {
        return line_end;
    }
    if trimmed.starts_with("/*")
        && let Some(close) = trimmed.find("*/")
        && trimmed[close + 2..].trim().is_empty()
    {
        return offset + (rest.len() - trimmed.len()) + close + 2;
    }
    offset
}

/// Returns the comments among the direct children of `node`.
pub fn comments(node: &SyntaxNode) -> impl Iterator<Item = SyntaxToken> {
    // In passing: a large set has tens of thousands of children, and few of them are comments.
    let comment = <rnix::NixLanguage as rowan::Language>::kind_to_raw(TOKEN_COMMENT);
    let mut at = node.text_range().start();
    node.green().children().filter_map(move |child| {
        let range = TextRange::at(at, child.text_len());
        at = range.end();
        if child.kind() != comment {
            return None;
        }
        node.child_or_token_at_range(range)?.into_token()
    })
}

/// Returns the number of line ends in `text`.
pub fn lines_in(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'\n').count()
}

/// Says whether `names` are in strictly rising order, case counted or not; fewer than `least` names are not sorted.
pub fn sorted(names: &[String], least: usize) -> bool {
    names.len() >= least
        && (names.windows(2).all(|w| w[0] < w[1])
            || names.windows(2).all(|w| w[0].to_lowercase() < w[1].to_lowercase()))
}

/// Returns the place of `name` among sorted `names`.
pub fn sorted_place(names: &[String], name: &str) -> usize {
    if names.windows(2).all(|w| w[0] < w[1]) {
        names.partition_point(|n| n.as_str() < name)
    } else {
        names.partition_point(|n| n.to_lowercase() < name.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_is_read_from_the_text() {
        assert_eq!(indent_unit("{\n\ta = 1;\n}"), "\t");
        assert_eq!(indent_unit("{\n    a = 1;\n        b = 2;\n}"), "    ");
        assert_eq!(indent_unit("{ }"), "  ");
        assert_eq!(line_indent("{\n   a = 1;\n}", 7), "   ");
    }

    #[test]
    fn comments_on_the_line_belong_to_it() {
        let text = "a; # one\n b;";
        assert_eq!(after_inline_comment(text, 2), 8);
        assert_eq!(after_inline_comment("a; /* x */\n", 2), 10);
        assert_eq!(after_inline_comment("a; /* x */ b", 2), 2);
        assert_eq!(after_inline_comment("a; # one\r\n", 2), 8);
        assert_eq!(after_inline_comment("a;", 2), 2);
    }

    #[test]
    fn sortedness() {
        let names = |n: &[&str]| n.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        assert!(sorted(&names(&["a", "B", "c"]), 3));
        assert!(!sorted(&names(&["a", "b"]), 3));
        assert!(!sorted(&names(&["b", "a", "c"]), 3));
        assert_eq!(sorted_place(&names(&["a", "c"]), "b"), 1);
    }
}
