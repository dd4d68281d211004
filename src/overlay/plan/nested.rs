//! The ways to patch a package of a nested scope: the way that the overlay goes already, or the scope's own.
//!
//! Must not edit the bindings inside a scope itself: those are planned as any overlay's.

use rnix::ast::{BinOpKind, Expr};

use super::attribute::{writing, written};
use super::body_edits::{set_on_variable, wrapped_body};
use super::existing::{is_alias, refuse_value};
use super::key::{catches, new_value, refuse_body, rename_where_used, visible};
use super::{Candidate, Level, Planning, candidates};
use crate::base::edit::TextEdits;
use crate::overlay::ast::span;
use crate::overlay::body::{self, Definition};
use crate::overlay::error::Error;
use crate::overlay::functions::Function;
use crate::overlay::layout::{Style, insert_entry, operand_like};
use crate::overlay::request::Scope;
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
    let names = scopes::Names { first: first.as_deref(), prev: &level.prev, set: &level.set };
    let Some(recipe) = scopes::recipe(scope, inner, facts, names, style) else {
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
    let key = recipe.key.clone();
    let found = body.find(&key);
    if let Some(dotted) = found.iter().find(|f| matches!(f.definition, Definition::Dotted(_))) {
        return Err(Error::DottedSibling { attr: AttrPath::single(key), at: planning.spot(dotted.definition.span()) });
    }
    match found.last() {
        None => new_scope(planning, &level, name, &recipe, &inner_value, &mut out),
        Some(last) if !last.conditional => {
            if let Definition::Value(_, value) = &last.definition {
                extend_value(planning, value, &recipe, &inner_value, name, &mut out);
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
fn extend_value(
    planning: &Planning<'_>,
    value: &Expr,
    recipe: &scopes::Recipe,
    inner_value: &InnerValue<'_>,
    name: &str,
    out: &mut Vec<Candidate>,
) {
    let place = span(value);
    let indent = trivia::line_indent(planning.text(), place.start).to_string();
    let set = inner_value(&make::select(&recipe.inner_prev, name), &indent, false, &planning.style);
    let (open, close) = if recipe.key == "pythonPackagesExtensions" {
        let bare = operand_like(value, BinOpKind::Concat);
        let (open, close) = if bare { ("", "") } else { ("(", ")") };
        (open.to_string(), format!("{close} ++ [ (_pyFinal: pyPrev: {set}) ]"))
    } else {
        // The value stands where the recipe has `prev.scope`: what follows the last name of that follows it.
        let key = format!(".{}", make::attr_name(&recipe.key));
        let Some((_, rest)) = recipe.open.split_once(&key) else { return };
        // `X // { }` reads its own base inside; there is no name for it here.
        if rest.trim_start().starts_with("//") {
            return;
        }
        // The name under which the set as it was is kept stands before it.
        let named = format!("let {} = ", crate::overlay::scopes::KEPT);
        let kept = if recipe.open.starts_with(&named) { named.as_str() } else { "" };
        (format!("{kept}("), format!("){rest}{set}{}", recipe.close))
    };
    let mut edits = TextEdits::new();
    if edits.insert(place.start, open).and_then(|()| edits.insert(place.end, close)).is_ok() {
        out.push(Candidate { edits, how: "scope", added: false, warnings: Vec::new() });
    }
}

/// The scope's key is not bound: it is in a set that is there, on what the body gives where that is computed; else in a
/// set of its own behind the body.
fn new_scope(
    planning: &Planning<'_>,
    level: &Level<'_>,
    name: &str,
    recipe: &scopes::Recipe,
    inner_value: &InnerValue<'_>,
    out: &mut Vec<Candidate>,
) {
    let body = &level.body;
    let key = make::attr_name(&recipe.key);
    let there = make::select(&level.prev, &recipe.key);
    // The value, and a second binding that goes with it in one piece; `base` is a variable that may hold the key.
    let bindings = |base: Option<&str>, indent: &str, one_line: bool, style: &Style| {
        let built = base.map_or(there.clone(), |base| format!("({base}.{key} or {there})"));
        let inner_prev = if recipe.inner_prev == there { &built } else { &recipe.inner_prev };
        let inner = inner_value(&make::select(inner_prev, name), indent, one_line, style);
        let open = match base {
            Some(base) if recipe.key == "pythonPackagesExtensions" => {
                format!("({base}.{key} or {there} or {}) ++ [ (_pyFinal: pyPrev: ", style.empty_list())
            }
            _ => recipe.open.replacen(&there, &built, 1),
        };
        let gap = if one_line { " ".to_string() } else { format!("{}{indent}", style.newline) };
        let also = recipe.also.as_ref().filter(|(also, _)| base.is_some() || body.find(also).is_empty());
        let also = also.map(|(also, text)| format!(";{gap}{} = {text}", make::attr_name(also))).unwrap_or_default();
        format!("{open}{inner}{}{also}", recipe.close)
    };
    let place = if body.any_opaque() {
        set_on_variable(level, &recipe.key).map(|(set, variable)| (set, Some(variable)))
    } else {
        let mut sets = body.operands.iter().rev().filter_map(body::Operand::literal);
        sets.find(|set| !catches(set, &recipe.key) && visible(level, set)).map(|set| (set, None))
    };
    if let Some((set, base)) = place {
        let value = |indent: &str, one_line: bool, style: &Style| bindings(base, indent, one_line, style);
        let mut edits = TextEdits::new();
        if insert_entry(planning.text(), set, &recipe.key, &value, &planning.style, &mut edits).is_ok() {
            out.push(Candidate { edits, how: "scope", added: true, warnings: Vec::new() });
        }
    }
    let set = |base: &str, indent: &str| {
        let style = &planning.style;
        let inside = format!("{indent}{}", style.unit);
        let nl = style.newline;
        format!("{{{nl}{inside}{key} = {};{nl}{indent}}}", bindings(Some(base), &inside, false, style))
    };
    wrapped_body(planning, level, &set, true, Vec::new(), out);
}
