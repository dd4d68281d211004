//! How new text is laid out: what the neighbours do is done again.
//!
//! Must not decide what is written, only where its line ends and spaces are.

use rnix::ast::{self, Entry, Expr};
use rowan::ast::AstNode;

use super::ast::span;
use super::entries::{Glance, Name, entry, glances};
use super::value::{KEPT_PARAM, OPENED_PARAM};
use crate::base::edit::{EditError, TextEdits};
use crate::base::span::Span;
use crate::syntax::{make, trivia};

/// The habits of a file.
#[derive(Debug, Clone)]
pub(super) struct Style {
    pub(super) newline: &'static str,
    pub(super) unit: String,
    /// `[]` instead of `[ ]`.
    pub(super) tight: bool,
    /// The parameter of new overrides, where it tells what the set was that they are written into.
    pub(super) param: Option<&'static str>,
}

impl Style {
    pub(super) fn of(text: &str) -> Style {
        Style {
            newline: trivia::newline(text),
            unit: trivia::indent_unit(text),
            tight: text.contains("[]") && !text.contains("[ ]"),
            param: None,
        }
    }

    pub(super) fn empty_list(&self) -> &'static str {
        if self.tight { "[]" } else { "[ ]" }
    }

    pub(super) fn empty_set(&self) -> &'static str {
        if self.tight { "{}" } else { "{ }" }
    }
}

/// Makes a value for a binding: given the indentation of its line and whether it must stay on one line.
pub(super) type MakeValue<'a> = dyn Fn(&str, bool, &Style) -> String + 'a;

/// Says whether nothing between the braces breaks the line.
pub(super) fn one_line(set: &ast::AttrSet) -> bool {
    !set.syntax().green().children().filter_map(|c| c.into_token()).any(|t| t.text().contains('\n'))
}

/// What stands between two entries.
fn gap(text: &str, before: Span, after: Span) -> &str {
    text.get(before.end..after.start).unwrap_or("")
}

fn blank_in(gap: &str) -> bool {
    let lines: Vec<&str> = gap.split('\n').collect();
    lines.len() > 2 && lines[1..lines.len() - 1].iter().any(|l| l.trim().is_empty())
}

/// Says whether a new last entry is set off by a blank line, judging by the entries that are there.
fn blank_between(text: &str, entries: &[Span]) -> bool {
    let gaps: Vec<bool> = entries
        .windows(2)
        .filter_map(|w| match w {
            [a, b] => Some(blank_in(gap(text, *a, *b))),
            _ => None,
        })
        .collect();
    let blank = gaps.iter().filter(|b| **b).count();
    !gaps.is_empty() && (blank * 2 > gaps.len() || (blank * 2 == gaps.len() && gaps.last() == Some(&true)))
}

/// Returns the spans of a set's entries.
pub(super) fn entry_spans(set: &ast::AttrSet) -> Vec<Span> {
    glances(set).map(|g| g.span).collect()
}

/// `key = value;`, without a space where the value begins on the next line.
fn binding(name: &str, value: &str) -> String {
    if value.starts_with(['\n', '\r']) { format!("{name} ={value};") } else { format!("{name} = {value};") }
}

/// The path of a binding as it is written; nothing for an `inherit`.
fn written_name(text: &str, glance: &Glance<'_>) -> String {
    if let Name::Single(name) = glance.name {
        return name.to_string();
    }
    let written = &text[glance.span.range()];
    let inherit = written
        .strip_prefix("inherit")
        .is_some_and(|r| !r.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '\'' | '.')));
    if inherit { String::new() } else { written.split('=').next().unwrap_or("").trim_end().to_string() }
}

/// Puts `key = value;` into a set.
///
/// # Errors
/// [`EditError`] as the edits give it.
pub(super) fn insert_entry(
    text: &str,
    set: &ast::AttrSet,
    key: &str,
    value: &MakeValue<'_>,
    style: &Style,
    edits: &mut TextEdits,
) -> Result<(), EditError> {
    let name = make::attr_name(key);
    let nl = style.newline;
    let entries: Vec<Glance<'_>> = glances(set).collect();
    let spans: Vec<Span> = entries.iter().map(|g| g.span).collect();
    let (Some(open), Some(close)) = (set.l_curly_token(), set.r_curly_token()) else {
        return Err(EditError::OutOfBounds(span(set)));
    };
    let (open, close) = (trivia::token_span(&open), trivia::token_span(&close));
    let outside = trivia::line_indent(text, open.start).to_string();
    let inside = format!("{outside}{}", style.unit);

    if entries.is_empty() {
        let interior = Span::new(open.end, close.start);
        let last_comment = trivia::comments(set.syntax()).last().map(|c| trivia::token_span(&c));
        return match last_comment {
            None if text[interior.range()].contains('\n') => {
                // The braces stay where they are; one line end of its own says nothing, so the parameter does.
                let param = (trivia::lines_in(&text[interior.range()]) == 1).then_some(OPENED_PARAM);
                let value = value(&inside, false, &Style { param, ..style.clone() });
                edits.insert(open.end, format!("{nl}{inside}{}", binding(&name, &value)))
            }
            None => {
                let style = Style { tight: interior.is_empty(), ..style.clone() };
                let value = value(&inside, false, &style);
                edits.replace(interior, format!("{nl}{inside}{}{nl}{outside}", binding(&name, &value)))
            }
            Some(comment) if trivia::starts_line(text, comment.start) => {
                let indent = trivia::line_indent(text, comment.start).to_string();
                let value = value(&indent, false, style);
                edits.insert(comment.end, format!("{nl}{indent}{}", binding(&name, &value)))
            }
            Some(comment) if text[comment.range()].starts_with('#') => {
                let value = value(&inside, false, style);
                edits.insert(comment.end, format!("{nl}{inside}{}", binding(&name, &value)))
            }
            Some(comment) => edits.insert(comment.end, format!(" {name} = {};", value(&inside, true, style))),
        };
    }

    let style = &beside(&text[open.end..close.start], style);
    let names: Vec<String> = entries.iter().map(|g| written_name(text, g)).collect();
    let range = sorted_range(text, set, &entries, &names, close);
    let at = match &range {
        Some(range) => range.start + trivia::sorted_place(&names[range.clone()], key),
        None => entries.len(),
    };

    // After the entry before the place, or after what opens the block.
    let anchor = at.checked_sub(1).and_then(|i| spans.get(i)).copied();
    let start_marker = if range.as_ref().is_some_and(|r| r.start == at) {
        marker(text, set, "keep-sorted start", spans.get(at).copied())
    } else {
        None
    };
    let (after, indent) = match (start_marker, anchor) {
        (Some(marker), _) => (marker.end, trivia::line_indent(text, marker.start).to_string()),
        (None, Some(entry)) => {
            let indent = if trivia::starts_line(text, entry.start) {
                trivia::line_indent(text, entry.start).to_string()
            } else {
                inside.clone()
            };
            (trivia::after_inline_comment(text, entry.end), indent)
        }
        (None, None) => {
            let indent = spans
                .first()
                .filter(|e| trivia::starts_line(text, e.start))
                .map(|e| trivia::line_indent(text, e.start).to_string());
            (trivia::after_inline_comment(text, open.end), indent.unwrap_or(inside.clone()))
        }
    };
    let line_rest = text[after..].split('\n').next().unwrap_or("").trim();
    if one_line(set) {
        return edits.insert(anchor.map_or(open.end, |e| e.end), format!(" {name} = {};", value(&indent, true, style)));
    }
    if !line_rest.is_empty() {
        // Something else stands on the line: another binding, or the brace.
        let value = value(&indent, false, style);
        return edits.insert(anchor.map_or(open.end, |e| e.end), format!("{nl}{indent}{}", binding(&name, &value)));
    }
    let blank = if anchor.is_some() && start_marker.is_none() && blank_between(text, &spans) { nl } else { "" };
    let value = value(&indent, false, style);
    edits.insert(after, format!("{nl}{blank}{indent}{}", binding(&name, &value)))
}

/// The style in a set that holds entries: what an entry before it tells of the set, the next one tells as well.
fn beside(entries: &str, style: &Style) -> Style {
    let (tight, spaced) = (entries.contains(" or []"), entries.contains(" or [ ]"));
    Style {
        param: [OPENED_PARAM, KEPT_PARAM].into_iter().find(|param| entries.contains(&format!("({param}: {{"))),
        tight: tight || style.tight && !spaced,
        ..style.clone()
    }
}

/// Returns the entries among which a new one is put by name: those of a `keep-sorted` block, or all of a set that
/// is sorted and long enough for that to be no accident.
fn sorted_range(
    text: &str,
    set: &ast::AttrSet,
    entries: &[Glance<'_>],
    names: &[String],
    close: Span,
) -> Option<std::ops::Range<usize>> {
    if let Some(start) = marker(text, set, "keep-sorted start", None) {
        let end = marker(text, set, "keep-sorted end", None).map_or(close.start, |m| m.start);
        let first = entries.iter().position(|g| g.span.start > start.end)?;
        let last = entries.iter().rposition(|g| g.span.end < end)? + 1;
        if first < last && names[first..last].windows(2).all(|w| w[0].to_lowercase() <= w[1].to_lowercase()) {
            return Some(first..last);
        }
        return None;
    }
    // A quoted name is one name as well.
    let plain = entries.iter().all(|g| match g.name {
        Name::Single(_) => true,
        Name::Dotted(_) => false,
        Name::Other => matches!(entry(set, g), Some(Entry::AttrpathValue(v)) if v.attrpath().is_some_and(|p| p.attrs().count() == 1)),
    });
    (plain && trivia::sorted(names, 4)).then_some(0..entries.len())
}

/// Finds a comment of the set that holds `words`, the last one before `before` when that is given.
fn marker(text: &str, set: &ast::AttrSet, words: &str, before: Option<Span>) -> Option<Span> {
    let mut found = trivia::comments(set.syntax())
        .map(|c| trivia::token_span(&c))
        .filter(|c| text[c.range()].to_lowercase().contains(words))
        .filter(|c| before.is_none_or(|b| c.end <= b.start));
    if before.is_some() { found.last() } else { found.next() }
}

/// Takes an entry out of its set again, with the space that [`insert_entry`] put before it.
///
/// # Errors
/// [`EditError`] as the edits give it.
pub(super) fn remove_entry(
    text: &str,
    set: &ast::AttrSet,
    entry: Span,
    edits: &mut TextEdits,
) -> Result<(), EditError> {
    let spans = entry_spans(set);
    let (Some(open), Some(close)) = (set.l_curly_token(), set.r_curly_token()) else {
        return Err(EditError::OutOfBounds(span(set)));
    };
    let (open, close) = (trivia::token_span(&open), trivia::token_span(&close));
    if spans.len() == 1 && trivia::comments(set.syntax()).next().is_none() {
        if stood_open(text, entry, close.start) {
            return edits.delete(Span::new(open.end, entry.end));
        }
        let tight = text[entry.range()].contains("or []");
        return edits.replace(Span::new(open.end, close.start), if tight { "" } else { " " });
    }
    // The space in front came with the entry, blank lines included; what was there before stands behind it.
    let from = text[..entry.start].trim_end_matches([' ', '\t', '\r', '\n']).len();
    edits.delete(Span::new(from, entry.end))
}

/// Says whether what stands between the last entry that [`insert_entry`] put into a set and the brace was there before.
pub(super) fn stood_open(text: &str, written: Span, close: usize) -> bool {
    trivia::lines_in(&text[written.end..close]) > 1 || text[written.range()].contains(&format!("({}: {{", OPENED_PARAM))
}

/// Says whether an expression can take `.name` behind it as it is.
pub(super) fn selectable(expr: &Expr) -> bool {
    match expr {
        Expr::Ident(_) => true,
        Expr::Select(s) => s.or_token().is_none(),
        _ => false,
    }
}

/// Says whether an expression can be an operand of `//` or `++` as it is.
pub(super) fn operand_like(expr: &Expr, op: ast::BinOpKind) -> bool {
    match expr {
        Expr::Ident(_)
        | Expr::Select(_)
        | Expr::Apply(_)
        | Expr::AttrSet(_)
        | Expr::List(_)
        | Expr::Paren(_)
        | Expr::Str(_) => true,
        Expr::BinOp(b) => b.operator() == Some(op),
        _ => false,
    }
}
