//! How one more patch gets into a value: into its list, into the set of its override, or around the whole.
//!
//! Must not choose the key or the overlay.

use rnix::SyntaxNode;
use rnix::ast::{self, BinOpKind, Expr, HasEntry, InterpolPart, Param};
use rowan::ast::AstNode;

use super::held::{list_held, list_of};
use super::writing::Writing;
use super::{Carrier, Override, built, cargo_set, overrides, rust_package};
use crate::base::edit::{EditError, TextEdits};
use crate::base::span::Span;
use crate::overlay::ast::{Bound, chain, mentions, normal_path, peel, span, unparen, uses, written_path};
use crate::overlay::body::{Definition, definitions};
use crate::overlay::layout::{self, Style, insert_entry};
use crate::overlay::query::self_path;
use crate::overlay::request::{OldPatches, Written};
use crate::syntax::trivia;

pub(in crate::overlay) struct ValueEdit {
    pub(in crate::overlay) edits: TextEdits,
    /// What it is, for the change's record.
    pub(in crate::overlay) how: &'static str,
}

/// Returns the ways to get the elements into a value, the best first.
pub(in crate::overlay) fn value_edits(value: &Expr, self_alias: bool, writing: &Writing<'_>) -> Vec<ValueEdit> {
    let mut out = Vec::new();
    if let Some(edit) = in_place(value, writing) {
        out.push(edit);
    }
    // What stands left of `//` is the derivation: an override around the whole would lose what is merged in.
    let target = match peel(value.clone()) {
        Expr::BinOp(merge) if merge.operator() == Some(BinOpKind::Update) => {
            let parts = chain(value, BinOpKind::Update);
            parts.first().cloned().unwrap_or_else(|| value.clone())
        }
        _ => value.clone(),
    };
    let told = list_of(value, writing.list_key, 8);
    let known = writing.asked && told == OldPatches::NotList;
    let writing = &Writing { old: if known { writing.old } else { writing.old.max(told) }, ..writing.clone() };
    // A name of its own says that the value was there, so that the inverse leaves it: for what looks like what the
    // planner writes, and after that for whatever the inverse would not restore.
    let marked = writing
        .alias_param
        .as_ref()
        .and_then(|param| wrap(&target, false, &Writing { param: param.clone(), ..writing.clone() }).ok());
    let plain = wrap(&target, self_alias, writing).ok();
    let both = if self_alias && layout::selectable(&target) { [marked, plain] } else { [plain, marked] };
    out.extend(both.into_iter().flatten().map(|edits| ValueEdit { edits, how: "wrapped" }));
    out
}

/// `(VALUE).overrideAttrs (...)`.
fn wrap(value: &Expr, self_alias: bool, writing: &Writing<'_>) -> Result<TextEdits, EditError> {
    let mut edits = TextEdits::new();
    let place = span(value);
    let indent = trivia::line_indent(writing.text, place.start).to_string();
    let one_line = on_one_line_set(value, writing.text);
    let bare = layout::selectable(value) && !self_alias;
    let (open, close) = if bare { ("", "") } else { ("(", ")") };
    if !bare {
        edits.insert(place.start, open)?;
    }
    edits.insert(place.end, format!("{close}{}", writing.overridden("", &indent, one_line, &writing.style)))?;
    Ok(edits)
}

/// Says whether the binding of a value stands in a set that is on one line.
fn on_one_line_set(value: &Expr, text: &str) -> bool {
    value
        .syntax()
        .ancestors()
        .find_map(ast::AttrSet::cast)
        .is_some_and(|set| layout::one_line(&set) && !text[span(&set).range()].contains('\n'))
}

fn in_place(value: &Expr, writing: &Writing<'_>) -> Option<ValueEdit> {
    let calls = overrides(value);
    if writing.cargo.is_some() {
        return cargo_in_place(value, &calls, writing);
    }
    if calls.is_empty()
        && writing.list_key == "patches"
        && let Some((set, key)) = built(value)
    {
        return in_built(&set, &Writing { list_key: key, ..writing.clone() });
    }
    // The outermost call that sets the list decides; below it an addition would be overwritten or doubled.
    for found in &calls {
        match &found.carrier {
            Carrier::List(list) => {
                let Expr::List(list) = unparen(list.clone()) else { return None };
                return append(&list, writing).ok().map(|edits| ValueEdit { edits, how: "appended" });
            }
            Carrier::Function(_, core) => {
                let Expr::AttrSet(set) = core else { if found.attrs() { return None } else { continue } };
                if let Some(edit) = existing_entry(set, writing) {
                    return edit;
                }
            }
            Carrier::Set(set) => {
                if let Some(edit) = existing_entry(set, writing) {
                    return edit;
                }
            }
            Carrier::Opaque => {
                if found.attrs() {
                    return None;
                }
            }
        }
    }
    let wanted = |o: &&Override| if writing.method == "override" { o.method == "override" } else { o.attrs() };
    let found = calls.iter().find(wanted)?;
    match &found.carrier {
        Carrier::Function(lambda, Expr::AttrSet(set)) => {
            add_entry(lambda, set, writing).map(|edits| ValueEdit { edits, how: "added-list" })
        }
        _ => None,
    }
}

/// The list of an override that was written before, or the attributes that the overlay gives to the builder itself.
fn cargo_in_place(value: &Expr, calls: &[Override], writing: &Writing<'_>) -> Option<ValueEdit> {
    for found in calls {
        if let Carrier::Function(_, Expr::AttrSet(set)) | Carrier::Set(set) = &found.carrier
            && let Some(inner) = cargo_set(set)
            && let Some(edit) = existing_entry(&inner, writing)
        {
            return edit;
        }
    }
    in_built(&rust_package(value)?, writing)
}

/// The list among the attributes that the overlay gives to a builder itself, or a new one there.
fn in_built(set: &ast::AttrSet, writing: &Writing<'_>) -> Option<ValueEdit> {
    if let Some(edit) = existing_entry(set, writing) {
        return edit;
    }
    let catches = set.rec_token().is_some() && !uses(set.syntax(), writing.list_key).is_empty();
    if catches || !crate::overlay::body::keys_known(set) || set.entries().next().is_none() {
        return None;
    }
    let mut edits = TextEdits::new();
    let list = |indent: &str, one_line: bool, style: &Style| writing.list(indent, one_line, style);
    insert_entry(writing.text, set, writing.list_key, &list, &writing.style, &mut edits).ok()?;
    Some(ValueEdit { edits, how: "added-list" })
}

/// When the set has the key already: `Some(None)` says that this cannot be edited in place.
fn existing_entry(set: &ast::AttrSet, writing: &Writing<'_>) -> Option<Option<ValueEdit>> {
    let found = definitions(set, writing.list_key);
    let first = found.first()?;
    let Definition::Value(_, expr) = first else { return Some(None) };
    if found.len() > 1 {
        return Some(None);
    }
    // A new element comes last; only one whose place was asked for may go into a list that is followed by others.
    let parts = chain(expr, BinOpKind::Concat).into_iter().rev();
    let mut literals = parts.take(if writing.position.is_some() { usize::MAX } else { 1 }).filter_map(|part| {
        let Expr::List(list) = unparen(part) else { return None };
        Some(list)
    });
    if let Some(list) = literals.next() {
        return Some(append(&list, writing).ok().map(|edits| ValueEdit { edits, how: "appended" }));
    }
    if list_held(expr, 8) != OldPatches::List {
        return Some(None);
    }
    Some(concat(expr, writing).ok().map(|edits| ValueEdit { edits, how: "concatenated" }))
}

/// `EXPR ++ [ ... ]`, with parentheses where `++` would bind tighter.
fn concat(expr: &Expr, writing: &Writing<'_>) -> Result<TextEdits, EditError> {
    let mut edits = TextEdits::new();
    let place = span(expr);
    let indent = trivia::line_indent(writing.text, place.start).to_string();
    let one_line = !writing.text[place.range()].contains('\n');
    let bare = layout::operand_like(expr, BinOpKind::Concat);
    if !bare {
        edits.insert(place.start, "(")?;
    }
    let close = if bare { "" } else { ")" };
    edits.insert(place.end, format!("{close} ++ {}", writing.list(&indent, one_line, &writing.style)))?;
    Ok(edits)
}

/// The element as the list's last one is written: `"${self}/..."`, or with a variable that holds the directory.
fn in_style(last: Option<&Expr>, element: &Written) -> Option<Written> {
    let last = last?;
    let Expr::Str(text) = unparen(last.clone()) else { return None };
    let mut parts = text.normalized_parts().into_iter();
    let (Some(InterpolPart::Interpolation(directory)), Some(InterpolPart::Literal(_)), None) =
        (parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let directory = directory.expr()?;
    let below = |folder: String, path: &str| {
        let (folder, path) = (normal_path(&folder), normal_path(path));
        Some(path.strip_prefix(folder.as_str())?.strip_prefix('/')?.to_string())
    };
    let rest = match (self_path(last).is_some(), self_path(&directory)) {
        (true, None) => normal_path(element.from_root.as_ref()?),
        (true, Some(folder)) => below(folder, element.from_root.as_ref()?)?,
        (false, _) => below(written_path(&directory)?, element.relative.as_ref()?)?,
    };
    let escaped = crate::syntax::make::string(&format!("/{rest}"));
    Some(Written::text(format!("\"${{{}}}{}", directory.syntax().text(), escaped.strip_prefix('"')?)))
}

/// Puts the elements into a literal list.
fn append(list: &ast::List, writing: &Writing<'_>) -> Result<TextEdits, EditError> {
    let text = writing.text;
    let nl = writing.style.newline;
    let mut edits = TextEdits::new();
    let last_item = list.items().last();
    let elements: Vec<Written> =
        writing.elements.iter().map(|e| in_style(last_item.as_ref(), e).unwrap_or_else(|| e.clone())).collect();
    let items: Vec<Span> = list.items().map(|i| span(&i)).collect();
    let (Some(open), Some(close)) = (list.l_brack_token(), list.r_brack_token()) else {
        return Err(EditError::OutOfBounds(span(list)));
    };
    let (open, close) = (trivia::token_span(&open), trivia::token_span(&close));
    let Some(last) = items.last() else {
        let outside = trivia::line_indent(text, open.start).to_string();
        let inside = format!("{outside}{}", writing.style.unit);
        let comment = trivia::comments(list.syntax()).last().map(|c| trivia::token_span(&c));
        if let Some(comment) = comment {
            let indent = if trivia::starts_line(text, comment.start) {
                trivia::line_indent(text, comment.start).to_string()
            } else {
                inside
            };
            for element in &elements {
                edits.insert(comment.end, format!("{nl}{indent}{}", element.at(&indent, &writing.style)))?;
            }
            return Ok(edits);
        }
        let interior = Span::new(open.end, close.start);
        let elements: Vec<&str> = elements.iter().map(|e| e.one_line.as_str()).collect();
        let space = if interior.is_empty() { "" } else { " " };
        edits.replace(interior, format!("{space}{}{space}", elements.join(" ")))?;
        return Ok(edits);
    };
    let at = writing.position.unwrap_or(items.len()).min(items.len());
    if at == items.len() {
        let broken = trivia::starts_line(text, last.start);
        let indent = trivia::line_indent(text, last.start).to_string();
        for element in &elements {
            if broken {
                let after = trivia::after_inline_comment(text, last.end);
                // A bracket on the same line keeps its place behind the new element.
                let after =
                    if text[after..].split('\n').next().unwrap_or("").trim().is_empty() { after } else { last.end };
                edits.insert(after, format!("{nl}{indent}{}", element.at(&indent, &writing.style)))?;
            } else {
                edits.insert(last.end, format!(" {}", element.one_line))?;
            }
        }
        return Ok(edits);
    }
    if let Some(next) = items.get(at) {
        let broken = trivia::starts_line(text, next.start);
        let indent = trivia::line_indent(text, next.start).to_string();
        for element in &elements {
            let separator = if broken { format!("{nl}{indent}") } else { " ".into() };
            let element = if broken { element.at(&indent, &writing.style) } else { element.one_line.clone() };
            edits.insert(next.start, format!("{element}{separator}"))?;
        }
    }
    Ok(edits)
}

/// Adds the key to the set that an override's function gives.
fn add_entry(lambda: &ast::Lambda, set: &ast::AttrSet, writing: &Writing<'_>) -> Option<TextEdits> {
    let text = writing.text;
    let key = writing.list_key;
    if !crate::overlay::body::keys_known(set) {
        return None;
    }
    let recursive = set.rec_token().is_some();
    // In `rec`, a bare `patches` that meant something else would now mean this.
    if recursive && !uses(set.syntax(), key).is_empty() {
        return None;
    }
    let mut edits = TextEdits::new();
    let selected = match lambda.param()? {
        Param::IdentParam(param) => {
            let token = param.ident()?.ident_token()?;
            let name = token.text().to_string();
            if name.chars().all(|c| c == '_') {
                // `old_` says that it was `_`, so that the inverse can give `_` back.
                let fresh = crate::syntax::make::fresh("old_", |n| mentions(lambda.syntax(), n));
                edits.replace(trivia::token_span(&token), fresh.clone()).ok()?;
                if !uses(lambda.syntax(), &name).is_empty() {
                    return None;
                }
                format!("{fresh}.{key}")
            } else {
                if hidden(set.syntax(), lambda, &name) {
                    return None;
                }
                format!("{name}.{key}")
            }
        }
        Param::Pattern(pattern) => {
            let bind = pattern.pat_bind().and_then(|b| b.ident()).map(|i| i.syntax().text().to_string());
            if let Some(name) = bind {
                if hidden(set.syntax(), lambda, &name) {
                    return None;
                }
                format!("{name}.{key}")
            } else {
                // `patches = patches ++ ...` within rec would be its own value.
                if recursive || hidden_by_let(set.syntax(), lambda, key) {
                    return None;
                }
                let there = pattern.pat_entries().find(|e| e.ident().is_some_and(|i| i.syntax().text() == key));
                match there {
                    Some(_) => {}
                    None => {
                        let ellipsis = pattern.ellipsis_token()?;
                        let place = trivia::token_span(&ellipsis);
                        let separator = if trivia::starts_line(text, place.start) {
                            format!("{}{}", writing.style.newline, trivia::line_indent(text, place.start))
                        } else {
                            " ".into()
                        };
                        // A leading-comma layout (`, ...`) needs the comma in front.
                        let before = text[..place.start].trim_end();
                        let leading = before.ends_with(',') && trivia::starts_line(text, before.len() - 1);
                        if leading {
                            return None;
                        }
                        edits
                            .insert(place.start, format!("{key} ? {},{separator}", writing.style.empty_list()))
                            .ok()?;
                    }
                }
                let style = &writing.style;
                let value = |indent: &str, one_line: bool, style: &Style| {
                    format!("{key} ++ {}", writing.list(indent, one_line, style))
                };
                insert_entry(text, set, key, &value, style, &mut edits).ok()?;
                return Some(edits);
            }
        }
    };
    let value = |indent: &str, one_line: bool, style: &Style| writing.value(&selected, indent, one_line, style);
    insert_entry(text, set, key, &value, &writing.style, &mut edits).ok()?;
    Some(edits)
}

/// Says whether, inside `set`, `name` means something else than the lambda's parameter.
fn hidden(set: &SyntaxNode, lambda: &ast::Lambda, name: &str) -> bool {
    // From inside the set, so that a `rec` set's own keys count.
    let inside = set.first_child().unwrap_or_else(|| set.clone());
    !matches!(crate::overlay::ast::lookup(&inside, name), Some(Bound::Parameter(found)) if found.syntax() == lambda.syntax())
}

fn hidden_by_let(set: &SyntaxNode, lambda: &ast::Lambda, name: &str) -> bool {
    match crate::overlay::ast::lookup(set, name) {
        None => false,
        Some(Bound::Parameter(found)) => {
            found.syntax() != lambda.syntax()
                && lambda.syntax().text_range().contains_range(found.syntax().text_range())
        }
        Some(Bound::Value(value)) => lambda.syntax().text_range().contains_range(value.syntax().text_range()),
        Some(Bound::Inherited) => true,
    }
}
