//! The ways to bind a key that the overlay does not bind yet, and the entry into both kinds.
//!
//! Must not look into nested scopes.

use rnix::ast::Expr;
use rowan::ast::AstNode;

use super::attribute::{writing, written};
use super::body_edits::{merged, on_variable, wrap_body};
use super::existing::existing_key;
use super::{Candidate, Level, Planning};
use crate::base::edit::{EditError, TextEdits};
use crate::overlay::ast::{self as tree, span, unparen, uses};
use crate::overlay::body::{Body, Definition};
use crate::overlay::error::{self, Error};
use crate::overlay::functions::shadowed;
use crate::overlay::layout::{Style, insert_entry};
use crate::overlay::request::Scope;
use crate::overlay::value::{KEPT_PARAM, Writing};
use crate::syntax::make;

/// The test that tells cross compiled packages from those of the build platform.
pub(super) fn guard(prev: &str) -> String {
    format!("{prev}.stdenv.hostPlatform != {prev}.stdenv.buildPlatform")
}
pub(super) fn key_candidates(planning: &Planning<'_>, level: &Level<'_>, key: &str) -> Result<Vec<Candidate>, Error> {
    let body = &level.body;
    let elements = written(planning, key, &level.prev);
    let writing = writing(planning, level, key, &elements);
    let attr = &planning.request.attr;
    if level.function.is_some() {
        refuse_body(planning, body)?;
    }
    if planning.request.facts.derivation == Some(false) {
        return Err(Error::NotDerivation {
            attr: attr.clone(),
            what: "no package, as Nix says",
            at: planning.spot(span(&body.whole)),
        });
    }
    let found = body.find(key);
    if let Some(dotted) = found.iter().find(|f| matches!(f.definition, Definition::Dotted(_))) {
        return Err(Error::DottedSibling { attr: attr.clone(), at: planning.spot(dotted.definition.span()) });
    }
    let mut out = Vec::new();
    match found.last() {
        None => new_key(planning, level, key, &writing, &mut out),
        Some(last) => existing_key(planning, level, key, last, &writing, &mut out)?,
    }
    for candidate in &mut out {
        rename_where_used(level, candidate);
        if writing.list_key == "kernelPatches" {
            let message = format!("`{attr}` is a kernel: the patch is given to it as one of its kernelPatches");
            candidate.warnings.push(planning.warning(error::KERNEL, message, span(&body.whole)));
        }
    }
    Ok(out)
}

/// Adds the renaming of the second argument to an edit that writes its new name.
pub(super) fn rename_where_used(level: &Level<'_>, candidate: &mut Candidate) {
    if let Some((place, fresh)) = &level.rename
        && candidate.edits.iter().any(|e| e.text.contains(fresh.as_str()))
        && !candidate.edits.iter().any(|e| e.span == *place)
    {
        // The parameter stands before the body, so the edits cannot overlap.
        let _ = candidate.edits.replace(*place, fresh.clone());
    }
}

/// Bodies whose result is taken apart by somebody else.
pub(super) fn refuse_body(planning: &Planning<'_>, body: &Body) -> Result<(), Error> {
    let keys = body.keys();
    let wrapper = ["overrides", "checks", "tests"];
    if !keys.is_empty() && keys.iter().all(|k| wrapper.contains(&k.as_str())) && keys.iter().any(|k| k == "overrides") {
        let why = "it wraps its packages in `overrides`, which its loader takes".to_string();
        return Err(Error::OpaqueBody { at: planning.spot(span(&body.core)), why });
    }
    let core = unparen(body.core.clone());
    let why = match &core {
        Expr::AttrSet(_) | Expr::BinOp(_) | Expr::Ident(_) | Expr::Select(_) | Expr::IfElse(_) => None,
        Expr::Apply(_) => tree::call(&core).and_then(|(head, _)| tree::function_name(&head)).and_then(|name| {
            matches!(
                name.as_str(),
                "makeScope"
                    | "makeScopeWithSplicing"
                    | "makeScopeWithSplicing'"
                    | "throw"
                    | "abort"
                    | "overrideAttrs"
                    | "mkShell"
                    | "mkIf"
                    | "mkMerge"
                    | "mkForce"
                    | "mkDefault"
            )
            .then(|| format!("it is what `{name}` gives"))
        }),
        Expr::Lambda(_) => Some("it is another function".to_string()),
        Expr::List(_) => Some("it is a list".to_string()),
        Expr::Str(_) | Expr::Literal(_) => Some("it is a literal".to_string()),
        _ => None,
    };
    match why {
        Some(why) => Err(Error::OpaqueBody { at: planning.spot(span(&body.core)), why }),
        None => Ok(()),
    }
}

/// The value of a new key, built on `base`.
pub(super) fn new_value(
    planning: &Planning<'_>,
    writing: &Writing<'_>,
    base: &str,
    prev: &str,
    indent: &str,
    one_line: bool,
    style: &Style,
) -> String {
    let overridden = |indent: &str, one_line: bool| writing.overridden(base, indent, one_line, style);
    match planning.request.scope {
        Scope::All => overridden(indent, one_line),
        Scope::Host if one_line => format!("if {} then {} else {base}", guard(prev), overridden(indent, true)),
        Scope::Host => {
            let nl = style.newline;
            let inside = format!("{indent}{}", style.unit);
            format!(
                "{nl}{inside}if {} then{nl}{inside}{}{}{nl}{inside}else{nl}{inside}{}{base}",
                guard(prev),
                style.unit,
                overridden(&format!("{inside}{}", style.unit), false),
                style.unit
            )
        }
    }
}

pub(super) fn in_set(
    planning: &Planning<'_>,
    level: &Level<'_>,
    set: &rnix::ast::AttrSet,
    key: &str,
    base: &str,
    writing: &Writing<'_>,
) -> Result<TextEdits, EditError> {
    let mut edits = TextEdits::new();
    let value = |indent: &str, one_line: bool, style: &Style| {
        new_value(planning, writing, base, &level.set, indent, one_line, style)
    };
    insert_entry(planning.text(), set, key, &value, &planning.style, &mut edits)?;
    Ok(edits)
}

/// Says whether the level's `prev` means itself inside a set.
pub(super) fn visible(level: &Level<'_>, set: &rnix::ast::AttrSet) -> bool {
    let Some(function) = level.function else { return true };
    if level.rename.is_some() {
        return true;
    }
    let inside = set.syntax().first_child().unwrap_or_else(|| set.syntax().clone());
    let name = level.prev.split('.').next().unwrap_or("");
    !shadowed(&inside, function, name)
}

/// In a `rec` set a new key catches what its name meant inside.
pub(super) fn catches(set: &rnix::ast::AttrSet, key: &str) -> bool {
    set.rec_token().is_some() && !uses(set.syntax(), key).is_empty()
}

pub(super) fn new_key(
    planning: &Planning<'_>,
    level: &Level<'_>,
    key: &str,
    writing: &Writing<'_>,
    out: &mut Vec<Candidate>,
) {
    let body = &level.body;
    let base = make::select(&level.prev, key);
    if !body.any_opaque() {
        for operand in body.operands.iter().rev() {
            let Some(set) = operand.literal() else { continue };
            if catches(set, key) || !visible(level, set) {
                continue;
            }
            // Second, with a name that says that the set was there: where the inverse would take that away as well.
            for param in [&writing.param, KEPT_PARAM] {
                let writing = Writing { param: param.to_string(), ..writing.clone() };
                if let Ok(edits) = in_set(planning, level, set, key, &base, &writing) {
                    out.push(Candidate { edits, how: "inserted", added: true, warnings: Vec::new() });
                }
            }
            break;
        }
        if (planning.thorough || out.is_empty())
            && let Ok(edits) = merged(planning, level, key, &base, writing)
        {
            out.push(Candidate { edits, how: "merged", added: true, warnings: Vec::new() });
        }
    } else {
        on_variable(planning, level, key, writing, true, out);
    }
    wrap_body(planning, level, key, writing, true, Vec::new(), out);
}
