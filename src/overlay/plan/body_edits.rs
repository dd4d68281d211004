//! Edits that put a set behind an overlay's body, for bodies that no binding can be written into.
//!
//! Must not look at the value of a key.

use rnix::ast::BinOpKind;
use rowan::ast::AstNode;

use super::key::{catches, in_set, new_value, visible};
use super::{Candidate, Level, Planning};
use crate::base::diagnostic::Warning;
use crate::base::edit::{EditError, TextEdits};
use crate::overlay::ast::{mentions, span};
use crate::overlay::body::{self, Known};
use crate::overlay::layout::operand_like;
use crate::overlay::value::Writing;
use crate::syntax::{make, trivia};

/// Where the body is `base // { ... }`, with everything unknown in `base`: the override goes into the literal set and
/// is built on what the variable holds.
pub(super) fn on_variable(
    planning: &Planning<'_>,
    level: &Level<'_>,
    key: &str,
    writing: &Writing<'_>,
    added: bool,
    out: &mut Vec<Candidate>,
) {
    let Some((set, variable)) = set_on_variable(level, key) else { return };
    let base = format!("({} or {})", make::select(variable, key), make::select(&level.prev, key));
    if let Ok(edits) = in_set(planning, level, set, key, &base, writing) {
        out.push(Candidate { edits, how: "inserted", added, warnings: Vec::new() });
    }
}

/// Where the body is `base // { ... }`, with everything unknown about the key in `base`: the literal set and the variable.
pub(super) fn set_on_variable<'l>(level: &'l Level<'_>, key: &str) -> Option<(&'l rnix::ast::AttrSet, &'l str)> {
    let [before @ .., last] = level.body.operands.as_slice() else { return None };
    let set = last.literal()?;
    if !body::definitions(set, key).is_empty() || catches(set, key) || !visible(level, set) {
        return None;
    }
    let holds = |operand: &&body::Operand| match &operand.known {
        Known::Set(set) => !body::definitions(set, key).is_empty(),
        Known::Conditional(sets) => sets.iter().any(|s| !body::definitions(s, key).is_empty()),
        Known::Partly(_) | Known::Opaque => true,
    };
    let mut relevant = before.iter().filter(holds);
    match (relevant.next(), relevant.next()) {
        (Some(only), None) => Some((set, only.variable.as_deref()?)),
        _ => None,
    }
}

/// `CORE // { key = ...; }`
pub(super) fn merged(
    planning: &Planning<'_>,
    level: &Level<'_>,
    key: &str,
    base: &str,
    writing: &Writing<'_>,
) -> Result<TextEdits, EditError> {
    let core = &level.body.core;
    let text = planning.text();
    let place = span(core);
    let mut edits = TextEdits::new();
    let bare = operand_like(core, BinOpKind::Update);
    if !bare {
        edits.insert(place.start, "(")?;
    }
    let close = if bare { "" } else { ")" };
    let indent = trivia::line_indent(text, place.start).to_string();
    edits.insert(place.end, format!("{close} // {}", new_set(planning, level, key, base, writing, &indent)))?;
    Ok(edits)
}

/// `{ key = ...; }` over several lines.
pub(super) fn new_set(
    planning: &Planning<'_>,
    level: &Level<'_>,
    key: &str,
    base: &str,
    writing: &Writing<'_>,
    indent: &str,
) -> String {
    let style = &planning.style;
    let nl = style.newline;
    let inside = format!("{indent}{}", style.unit);
    let value = new_value(planning, writing, base, &level.set, &inside, false, style);
    format!("{{{nl}{inside}{} = {value};{nl}{indent}}}", make::attr_name(key))
}

/// `let base = BODY; in base // { key = (base.key or prev.key).overrideAttrs ...; }`
pub(super) fn wrap_body(
    planning: &Planning<'_>,
    level: &Level<'_>,
    key: &str,
    writing: &Writing<'_>,
    added: bool,
    warnings: Vec<Warning>,
    out: &mut Vec<Candidate>,
) {
    let set = |name: &str, indent: &str| {
        let base = format!("({} or {})", make::select(name, key), make::select(&level.prev, key));
        new_set(planning, level, key, &base, writing, indent)
    };
    wrapped_body(planning, level, &set, added, warnings, out);
}

/// `let base = BODY; in base // SET`, with the set made from the name of the base and the indentation.
pub(super) fn wrapped_body(
    planning: &Planning<'_>,
    level: &Level<'_>,
    set: &dyn Fn(&str, &str) -> String,
    added: bool,
    warnings: Vec<Warning>,
    out: &mut Vec<Candidate>,
) {
    if !planning.thorough && !out.is_empty() {
        return;
    }
    let Some(function) = level.function else { return };
    let text = planning.text();
    let nl = planning.style.newline;
    let place = span(&level.body.whole);
    let name = make::fresh("base", |n| mentions(function.head.syntax(), n) || n == level.prev);
    let indent = trivia::line_indent(text, place.start).to_string();
    let set = set(&name, &indent);
    // `prev:let` would be a URI, `inlet` a name.
    let glued = !text[..place.start].ends_with(char::is_whitespace) && place.start > 0;
    let (open, close) = if glued { ("(", ")") } else { ("", "") };
    let mut edits = TextEdits::new();
    let done = edits
        .insert(place.start, format!("{open}let{nl}{indent}{}{name} = ", planning.style.unit))
        .and_then(|()| edits.insert(place.end, format!(";{nl}{indent}in{nl}{indent}{name} // {set}{close}")));
    if done.is_ok() {
        out.push(Candidate { edits, how: "wrapped-body", added, warnings });
    }
}
