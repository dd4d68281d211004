//! The ways to patch a key that the overlay binds: within its value, around it, or behind the body.
//!
//! Must not guess that something is a derivation: what certainly is none is refused.

use rnix::ast::Expr;
use rowan::ast::AstNode;

use super::body_edits::{merged, on_variable, wrap_body};
use super::key::guard;
use super::{Candidate, Level, Planning};
use crate::base::diagnostic::Warning;
use crate::base::edit::TextEdits;
use crate::base::span::Span;
use crate::overlay::ast::{self as tree, mentions, span, unparen};
use crate::overlay::body::{self, Definition, Found};
use crate::overlay::derivation::{not_derivation, vendored};
use crate::overlay::error::{self, Error};
use crate::overlay::request::Scope;
use crate::overlay::value::{Writing, value_edits};
use crate::syntax::{make, trivia};

pub(super) fn existing_key(
    planning: &Planning<'_>,
    level: &Level<'_>,
    key: &str,
    last: &Found,
    writing: &Writing<'_>,
    out: &mut Vec<Candidate>,
) -> Result<(), Error> {
    let body = &level.body;
    let attr = &planning.request.attr;
    let place = last.definition.span();
    let refuse = |what: &'static str| Error::NotDerivation { attr: attr.clone(), what, at: planning.spot(place) };
    if let Definition::Value(_, value) = &last.definition {
        refuse_value(planning, value, place)?;
    }
    if crate::overlay::derivation::scope_name(key) && planning.request.facts.derivation != Some(true) {
        return Err(refuse("a set of packages"));
    }
    let later = body.operands.iter().skip(last.operand + 1).any(body::Operand::opaque);
    let mut warnings = Vec::new();
    if let Definition::Value(_, value) = &last.definition
        && vendored(value)
    {
        warnings.push(planning.warning(
            error::VENDORED_HASH,
            format!("`{attr}` fetches its dependencies by a hash, which changes when the patch touches a lock file"),
            place,
        ));
    }
    if last.conditional || later {
        let (code, message) = if later {
            (
                error::LATER_OPERAND,
                format!("a later, computed operand may bind `{attr}` again; the override is built on its result"),
            )
        } else {
            (error::HELD_BY_CONDITION, format!("`{attr}` is bound under a condition; the override is put outside it"))
        };
        warnings.push(planning.warning(code, message, place));
        on_variable(planning, level, key, writing, false, out);
        for candidate in out.iter_mut() {
            candidate.warnings = warnings.clone();
        }
        wrap_body(planning, level, key, writing, false, warnings, out);
        return Ok(());
    }
    match &last.definition {
        Definition::Value(_, value) => {
            let alias = is_alias(value, key);
            if planning.request.scope == Scope::Host {
                host_value(planning, level, value, writing, &warnings, out);
            } else {
                for edit in value_edits(value, alias, writing) {
                    out.push(Candidate { edits: edit.edits, how: edit.how, added: false, warnings: warnings.clone() });
                }
            }
        }
        Definition::Inherit(inherit, from) => {
            let base = match from {
                Some(from) => {
                    if crate::overlay::derivation::scope_name(key) {
                        return Err(refuse("a set of packages"));
                    }
                    let text = &planning.text()[span(from).range()];
                    let bare = crate::overlay::layout::selectable(from) || matches!(from, Expr::Paren(_));
                    make::select(&if bare { text.to_string() } else { format!("({text})") }, key)
                }
                None => {
                    if let Some(tree::Bound::Value(value)) = outside(inherit, key)
                        && let Some(what) = not_derivation(&value, 16)
                    {
                        return Err(refuse(what));
                    }
                    make::attr_name(key)
                }
            };
            // Behind the body's core the names mean the same as in the set only when no layer is between.
            let direct = body
                .operands
                .get(last.operand)
                .is_some_and(|o| o.variable.is_none() && unparen(o.expr.clone()).syntax() == last.set.syntax());
            let within_rec = last.set.rec_token().is_some() && from.is_some();
            if direct
                && !within_rec
                && make::is_identifier(key)
                && let Ok(edits) = merged(planning, level, key, &base, writing)
            {
                out.push(Candidate { edits, how: "merged", added: false, warnings: warnings.clone() });
            }
        }
        Definition::Dotted(_) => {}
    }
    wrap_body(planning, level, key, writing, false, warnings, out);
    Ok(())
}

/// Refuses a value that certainly is no derivation, unless Nix said that it is one.
pub(super) fn refuse_value(planning: &Planning<'_>, value: &Expr, place: Span) -> Result<(), Error> {
    match not_derivation(value, 16).filter(|_| planning.request.facts.derivation != Some(true)) {
        Some(what) => Err(Error::NotDerivation { attr: planning.request.attr.clone(), what, at: planning.spot(place) }),
        None => Ok(()),
    }
}

/// Says whether a value is the package itself by another name: `prev.musl`.
pub(super) fn is_alias(value: &Expr, key: &str) -> bool {
    tree::dotted(value).is_some_and(|d| d.last().map(String::as_str) == Some(key))
}

/// What `inherit key;` takes from around the set.
pub(super) fn outside(inherit: &rnix::ast::Inherit, key: &str) -> Option<tree::Bound> {
    let set = inherit.syntax().parent()?;
    tree::lookup(&set, key)
}

/// `let pkg = VALUE; in if GUARD then pkg.overrideAttrs (...) else pkg`
pub(super) fn host_value(
    planning: &Planning<'_>,
    level: &Level<'_>,
    value: &Expr,
    writing: &Writing<'_>,
    warnings: &[Warning],
    out: &mut Vec<Candidate>,
) {
    // A second patch goes into the branch that the first one made.
    if let Expr::IfElse(branch) = tree::peel(value.clone())
        && let (Some(condition), Some(then)) = (branch.condition(), branch.body())
        && planning.text()[span(&condition).range()].split_whitespace().collect::<Vec<_>>().join(" ")
            == guard(&level.set)
    {
        for edit in value_edits(&then, false, writing) {
            out.push(Candidate { edits: edit.edits, how: edit.how, added: false, warnings: warnings.to_vec() });
        }
        return;
    }
    let text = planning.text();
    let nl = planning.style.newline;
    let place = span(value);
    let indent = format!("{}{}", trivia::line_indent(text, place.start), planning.style.unit);
    let deeper = format!("{indent}{}", planning.style.unit);
    let name = make::fresh("pkg", |n| mentions(value.syntax(), n));
    let overridden = writing.overridden(&name, &deeper, false, &planning.style);
    let mut edits = TextEdits::new();
    let done = edits.insert(place.start, format!("let {name} = ")).and_then(|()| {
        edits.insert(
            place.end,
            format!(
                "; in{nl}{indent}if {} then{nl}{deeper}{overridden}{nl}{indent}else{nl}{deeper}{name}",
                guard(&level.set)
            ),
        )
    });
    if done.is_ok() {
        out.push(Candidate { edits, how: "guarded", added: false, warnings: warnings.to_vec() });
    }
}
