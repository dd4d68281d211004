//! The ways to patch a package of a nested scope: the way that the overlay goes already, or the scope's own.
//!
//! Must not edit the bindings inside a scope itself: those are planned as any overlay's.

use rnix::ast::{BinOpKind, Expr};
use rowan::ast::AstNode;

use super::attribute::{writing, written};
use super::existing::{is_alias, refuse_value};
use super::key::{catches, new_value, refuse_body, rename_where_used, visible};
use super::{Candidate, Level, Planning, candidates};
use crate::base::edit::TextEdits;
use crate::overlay::ast::{mentions, span};
use crate::overlay::body::{self, Definition};
use crate::overlay::error::Error;
use crate::overlay::functions::Function;
use crate::overlay::layout::{Style, insert_entry, operand_like};
use crate::overlay::request::{Facts, Scope};
use crate::overlay::scopes::{self, Site};
use crate::overlay::value::value_edits;
use crate::syntax::{AttrPath, make, trivia};

pub(super) fn scope_candidates(
    planning: &Planning<'_>,
    level: Level<'_>,
    scope: &str,
    rest: &[String],
) -> Result<Vec<Candidate>, Error> {
    let facts = &planning.request.facts;
    let mut out = Vec::new();
    // Where the overlay goes into the scope already, the patch goes the same way.
    for site in scopes::sites(&level.body, scope, facts, planning.text()) {
        let inner = match &site {
            Site::Inner(function) => planning.level(function),
            Site::Merged(set, base) => Some(Level {
                function: None,
                body: body::read(Expr::AttrSet(set.clone())),
                prev: base.clone(),
                set: level.set.clone(),
                rename: None,
            }),
        };
        if let Some(inner) = inner {
            // A guard needs the package set, which an inner argument of the same name hides.
            let hidden = inner.function.is_some() && inner.prev == level.set;
            if hidden && planning.request.scope == Scope::Host {
                continue;
            }
            let inner_level = Level { set: level.set.clone(), ..inner };
            let more = candidates(planning, inner_level, rest)?;
            out.extend(more.into_iter().filter(|c| c.how != "wrapped-body" || matches!(site, Site::Inner(_))));
        }
    }
    let exact: Vec<String> = std::iter::once(scope.to_string()).chain(rest.iter().cloned()).collect();
    let body = &level.body;
    let dotted = body.find(scope).into_iter().rev().find(
        |f| matches!(&f.definition, Definition::Dotted(entry) if scopes::path_of(entry).as_ref() == Some(&exact)),
    );
    let Some((name, inner)) = rest.split_last() else { return Ok(out) };
    if let Some(found) = dotted {
        dotted_key(planning, &level, name, &found, &mut out)?;
        return Ok(out);
    }
    let first = level.function.and_then(Function::first);
    let style = &planning.style;
    let Some(recipe) = scopes::deep_recipe(scope, inner, facts, first.as_deref(), &level.prev, style) else {
        if out.is_empty() {
            return Err(Error::UnknownScope {
                scope: AttrPath::single(scope),
                at: planning.spot(span(&level.body.whole)),
            });
        }
        return Ok(out);
    };
    if level.function.is_some() {
        refuse_body(planning, body)?;
    }
    let elements = written(planning, name, &recipe.inner_prev);
    let writing = writing(planning, &level, name, &elements);
    let inner_value = |base: &str, indent: &str, one_line: bool, style: &Style| {
        let inside = format!("{indent}{}", style.unit);
        let entry = new_value(planning, &writing, base, &level.set, &inside, one_line, style);
        let name = make::attr_name(name);
        if one_line {
            format!("{{ {name} = {entry}; }}")
        } else {
            // A guard begins on a line of its own.
            let gap = if entry.starts_with(['\n', '\r']) { "" } else { " " };
            format!("{{{nl}{indent}{unit}{name} ={gap}{entry};{nl}{indent}}}", nl = style.newline, unit = style.unit)
        }
    };
    let inner_base = make::select(&recipe.inner_prev, name);
    let key = recipe.key.clone();
    let found = body.find(&key);
    if let Some(dotted) = found.iter().find(|f| matches!(f.definition, Definition::Dotted(_))) {
        return Err(Error::DottedSibling { attr: AttrPath::single(key), at: planning.spot(dotted.definition.span()) });
    }
    match found.last() {
        None => {
            // A second binding that goes with the first is written in one piece with it.
            let also = recipe.also.as_ref().filter(|(also, _)| body.find(also).is_empty());
            let value = |indent: &str, one_line: bool, style: &Style| {
                let value =
                    format!("{}{}{}", recipe.open, inner_value(&inner_base, indent, one_line, style), recipe.close);
                match also {
                    None => value,
                    Some((also, text)) if one_line => format!("{value}; {} = {text}", make::attr_name(also)),
                    Some((also, text)) => {
                        format!("{value};{}{indent}{} = {text}", style.newline, make::attr_name(also))
                    }
                }
            };
            if body.any_opaque() {
                wrap_scope(planning, &level, scope, name, &recipe, &inner_value, &mut out);
            } else {
                for operand in body.operands.iter().rev() {
                    let Some(set) = operand.literal() else { continue };
                    if catches(set, &key) || !visible(&level, set) {
                        continue;
                    }
                    let mut edits = TextEdits::new();
                    if insert_entry(planning.text(), set, &key, &value, style, &mut edits).is_ok() {
                        out.push(Candidate { edits, how: "scope", added: true, warnings: Vec::new() });
                    }
                    break;
                }
                wrap_scope(planning, &level, scope, name, &recipe, &inner_value, &mut out);
            }
        }
        Some(last) if !last.conditional => {
            if let Definition::Value(_, value) = &last.definition {
                extend_value(planning, scope, value, &recipe, facts, &inner_value, name, &mut out);
            }
        }
        Some(_) => {}
    }
    for candidate in &mut out {
        rename_where_used(&level, candidate);
    }
    Ok(out)
}

/// `scope.name = value;`: the value is edited as any.
fn dotted_key(
    planning: &Planning<'_>,
    level: &Level<'_>,
    name: &str,
    found: &body::Found,
    out: &mut Vec<Candidate>,
) -> Result<(), Error> {
    let Definition::Dotted(entry) = &found.definition else { return Ok(()) };
    let later = level.body.operands.iter().skip(found.operand + 1).any(body::Operand::opaque);
    let Some(value) = entry.value().filter(|_| !found.conditional && !later) else {
        let attr = planning.request.attr.clone();
        return Err(Error::DottedSibling { attr, at: planning.spot(found.definition.span()) });
    };
    refuse_value(planning, &value, found.definition.span())?;
    let elements = written(planning, name, &level.prev);
    let writing = writing(planning, level, name, &elements);
    for edit in value_edits(&value, is_alias(&value, name), &writing) {
        out.push(Candidate { edits: edit.edits, how: edit.how, added: false, warnings: Vec::new() });
    }
    for candidate in out.iter_mut() {
        rename_where_used(level, candidate);
    }
    Ok(())
}

type InnerValue<'a> = dyn Fn(&str, &str, bool, &Style) -> String + 'a;

/// The scope's key is bound to something without an overlay function inside: the recipe is put around that value.
#[allow(clippy::too_many_arguments)]
fn extend_value(
    planning: &Planning<'_>,
    scope: &str,
    value: &Expr,
    recipe: &scopes::Recipe,
    facts: &Facts,
    inner_value: &InnerValue<'_>,
    name: &str,
    out: &mut Vec<Candidate>,
) {
    let text = planning.text();
    let place = span(value);
    let indent = trivia::line_indent(text, place.start).to_string();
    let style = &planning.style;
    let mut edits = TextEdits::new();
    // The value stands where the recipe has `prev.scope`.
    const HOLE: &str = "\u{1}";
    let method = facts.scope;
    let done = if recipe.key == "pythonPackagesExtensions" {
        let set = inner_value(&make::select("pyPrev", name), &indent, false, style);
        let bare = operand_like(value, BinOpKind::Concat);
        let open = if bare { "" } else { "(" };
        let close = if bare { "" } else { ")" };
        edits
            .insert(place.start, open)
            .and_then(|()| edits.insert(place.end, format!("{close} ++ [ (_pyFinal: pyPrev: {set}) ]")))
    } else {
        let Some((open, close)) = recipe.open.split_once(&make::select(HOLE, scope)).or_else(|| {
            // The base text is `prev.scope`; take what follows its last name.
            recipe.open.find(&format!(".{}", make::attr_name(&recipe.key))).map(|i| {
                let after = i + 1 + make::attr_name(&recipe.key).len();
                let named = format!("let {} = ", scopes::KEPT);
                (if recipe.open.starts_with(&named) { &recipe.open[..named.len()] } else { "" }, &recipe.open[after..])
            })
        }) else {
            return;
        };
        let _ = method;
        // `X // { }` reads its own base inside; there is no name for it here.
        if close.trim_start().starts_with("//") {
            return;
        }
        let set = inner_value(&make::select(&recipe.inner_prev, name), &indent, false, style);
        edits
            .insert(place.start, format!("{open}("))
            .and_then(|()| edits.insert(place.end, format!("){close}{set}{}", recipe.close)))
    };
    if done.is_ok() {
        out.push(Candidate { edits, how: "scope", added: false, warnings: Vec::new() });
    }
}

/// The body is computed: the scope is overridden behind it, on what the body gives.
fn wrap_scope(
    planning: &Planning<'_>,
    level: &Level<'_>,
    scope: &str,
    name: &str,
    recipe: &scopes::Recipe,
    inner_value: &InnerValue<'_>,
    out: &mut Vec<Candidate>,
) {
    if !planning.thorough && !out.is_empty() {
        return;
    }
    let Some(function) = level.function else { return };
    let whole = &level.body.whole;
    let style = &planning.style;
    let nl = style.newline;
    let place = span(whole);
    let taken = |n: &str| mentions(function.head.syntax(), n) || n == level.prev;
    let base = make::fresh("base", taken);
    let key = make::attr_name(&recipe.key);
    let there = make::select(&level.prev, &recipe.key);
    let open = recipe.open.replacen(&there, &format!("({base}.{key} or {there})"), 1);
    let inner_prev =
        if recipe.inner_prev == there { format!("({base}.{key} or {there})") } else { recipe.inner_prev.clone() };
    let indent = trivia::line_indent(planning.text(), place.start).to_string();
    let inside = format!("{indent}{}", style.unit);
    let set = inner_value(&make::select(&inner_prev, name), &inside, false, style);
    let open = if recipe.key == "pythonPackagesExtensions" {
        format!("({base}.{key} or {there} or {}) ++ [ (_pyFinal: pyPrev: ", style.empty_list())
    } else {
        open
    };
    let also = recipe
        .also
        .as_ref()
        .map(|(also, text)| format!("{nl}{inside}{} = {text};", make::attr_name(also)))
        .unwrap_or_default();
    let mut edits = TextEdits::new();
    let done = edits.insert(place.start, format!("let{nl}{inside}{base} = ")).and_then(|()| {
        edits.insert(
            place.end,
            format!(
                ";{nl}{indent}in{nl}{indent}{base} // {{{nl}{inside}{key} = {open}{set}{};{also}{nl}{indent}}}",
                recipe.close
            ),
        )
    });
    let _ = scope;
    if done.is_ok() {
        out.push(Candidate { edits, how: "wrapped-body", added: true, warnings: Vec::new() });
    }
}
