//! From a request to a verified plan: which edits could do it, the best first, and the checks that each must pass.
//!
//! An edit is taken only when the new text parses with no new error, defines nothing twice, shows the patch exactly
//! once to [`super::query`], and, where such an edit exists, when taking the patch out again gives the old bytes.
//! Must not touch the disk.

mod nested;

use rnix::ast::{BinOpKind, Expr};
use rowan::ast::AstNode;

use super::ast::{self as tree, mentions, span, unparen, uses};
use super::body::{self, Body, Definition, Found, Known};
use super::derivation::{not_derivation, vendored};
use super::error::{self, Error, Spot};
use super::file::OverlayFile;
use super::functions::{Function, shadowed};
use super::layout::{Style, insert_entry, operand_like};
use super::query;
use super::remove;
use super::request::{Change, FileChange, PatchElement, PatchRequest, Planned, Scope, ScopeMethod, Written};
use super::value::{Writing, value_edits};
use crate::base::diagnostic::Warning;
use crate::base::edit::{EditError, TextEdits};
use crate::base::span::{Place, Span};
use crate::syntax::{make, trivia};

/// One way to do it.
struct Candidate {
    edits: TextEdits,
    how: &'static str,
    added: bool,
    warnings: Vec<Warning>,
}

/// What every step of a plan can see.
struct Planning<'a> {
    file: &'a OverlayFile,
    request: &'a PatchRequest,
    /// The elements that are not there yet.
    missing: &'a [PatchElement],
    style: Style,
    /// Every way is wanted, not the best one only: the best did not pass.
    thorough: bool,
}

/// The set that a key is looked for in, and what it is built on.
struct Level<'a> {
    function: Option<&'a Function>,
    body: Body,
    /// The text that gives the packages as they are before: `prev`, `prev.xorg`.
    prev: String,
    /// The parameter to rename so that `prev` can be written.
    rename: Option<(Span, String)>,
}

impl Planning<'_> {
    fn text(&self) -> &str {
        self.file.text()
    }

    fn spot(&self, span: Span) -> Spot {
        Spot::new(self.file.path(), self.text(), span)
    }

    fn warning(&self, code: &'static str, message: String, span: Span) -> Warning {
        Warning { code, message, place: Some(Place::in_text(self.file.path(), self.text(), span)), hint: None }
    }

    fn level<'f>(&self, function: &'f Function) -> Option<Level<'f>> {
        let (prev, rename) = usable_second(function)?;
        Some(Level { function: Some(function), body: body::read(function.body()?), prev, rename })
    }
}

/// The name by which the second argument can be used, and the renaming that it needs first.
fn usable_second(function: &Function) -> Option<(String, Option<(Span, String)>)> {
    let token = tree::ident_param(&function.inner)?;
    let name = token.text().to_string();
    if !name.chars().all(|c| c == '_') || !uses(function.inner.syntax(), &name).is_empty() {
        return Some((name, None));
    }
    // `prev_` says that it was `_`, so that the inverse can give `_` back.
    let fresh = make::fresh("prev_", |n| mentions(function.head.syntax(), n));
    Some((fresh.clone(), Some((trivia::token_span(&token), fresh))))
}

/// Plans the request for one function of a file.
pub(super) fn add(file: &OverlayFile, function: &Function, request: &PatchRequest) -> Result<Planned, Error> {
    let spot = Spot::new(file.path(), file.text(), function.place());
    if request.elements.is_empty() {
        return Err(Error::Request { reason: "no patch is given".into() });
    }
    let names = request.attr.names();
    let bindings = query::bindings_of(function, names, &request.facts, file.text());
    let mut missing: Vec<PatchElement> = Vec::new();
    let mut warnings = Vec::new();
    for element in &request.elements {
        match query::count(&bindings, element) {
            (0, _) => missing.push(element.clone()),
            (_, always) => {
                if !always && request.scope == Scope::All {
                    warnings.push(Warning {
                        code: error::ONE_BRANCH,
                        message: format!(
                            "`{}` is in a list of `{}` that counts on one branch only",
                            element.identity(),
                            request.attr
                        ),
                        place: Some((*spot.place).clone()),
                        hint: None,
                    });
                }
            }
        }
    }
    if missing.is_empty() {
        return Ok(Planned {
            changes: Vec::new(),
            change: Change::Nothing { attr: request.attr.clone() },
            warnings,
            already: true,
            function: *spot.place,
        });
    }
    if let Some(position) = request.position {
        let lists = bindings.iter().flat_map(|b| &b.lists).filter(|l| !l.conditional);
        let longest = lists.map(|l| (l.list.items().count(), span(&l.list))).max_by_key(|(n, _)| *n);
        if let Some((length, place)) = longest.filter(|(n, _)| position > *n) {
            return Err(Error::Position { position, length, at: Spot::new(file.path(), file.text(), place) });
        }
    }
    let mut planning = Planning { file, request, missing: &missing, style: Style::of(file.text()), thorough: false };
    let mut reason = "no way to write it was found".to_string();
    let mut second_best = None;
    for thorough in [false, true] {
        planning.thorough = thorough;
        let level = planning
            .level(function)
            .ok_or_else(|| Error::OpaqueBody { at: spot.clone(), why: "it has no body".into() })?;
        for candidate in candidates(&planning, level, names)? {
            match verified(&planning, function, &candidate) {
                Ok((new, true)) => return Ok(planned(&planning, candidate, new, warnings, *spot.place)),
                Ok((new, false)) if second_best.is_none() => second_best = Some((candidate, new)),
                Ok(_) => {}
                Err(why) => reason = why,
            }
        }
    }
    if let Some((candidate, new)) = second_best {
        warnings.push(planning.warning(
            error::NOT_RESTORED,
            format!("taking `{}`'s patch out again will give an equivalent text, not the same bytes", request.attr),
            function.place(),
        ));
        return Ok(planned(&planning, candidate, new, warnings, *spot.place));
    }
    Err(Error::Unverified { attr: request.attr.clone(), reason, at: spot })
}

fn planned(
    planning: &Planning<'_>,
    candidate: Candidate,
    new: String,
    mut warnings: Vec<Warning>,
    function: Place,
) -> Planned {
    let elements = planning.missing.iter().map(|e| e.identity().to_string()).collect();
    let attr = planning.request.attr.clone();
    warnings.extend(candidate.warnings);
    let change = if candidate.added {
        Change::AddedKey { attr, how: candidate.how, elements }
    } else {
        Change::ChangedKey { attr, how: candidate.how, elements }
    };
    let changed = FileChange {
        path: planning.file.path().to_path_buf(),
        old: planning.text().to_string(),
        edits: candidate.edits,
        new,
    };
    Planned { changes: vec![changed], change, warnings, already: false, function }
}

/// Returns the offset that a place of the old text has after the edits.
fn moved(edits: &TextEdits, offset: usize) -> usize {
    let mut at = offset;
    for edit in edits.iter().filter(|e| e.span.end <= offset) {
        at = at + edit.text.len() - edit.span.len();
    }
    at
}

/// Makes the edits and checks the result. Says whether the inverse gives the old bytes.
fn verified(planning: &Planning<'_>, function: &Function, candidate: &Candidate) -> Result<(String, bool), String> {
    let old = planning.text();
    let new = candidate.edits.apply(old).map_err(|e| e.to_string())?;
    if new == old {
        return Err("the edit changes nothing".into());
    }
    let path = planning.file.path();
    let file = OverlayFile::parse(path, new.clone()).map_err(|e| format!("the new text does not parse: {e}"))?;
    let (after, before) = (file.root(), planning.file.root());
    if body::duplicates_near(&after, &candidate.edits, true) > body::duplicates_near(&before, &candidate.edits, false) {
        return Err("an attribute would be defined twice".into());
    }
    let at = moved(&candidate.edits, function.place().start);
    let Some(function) = file.function_at(at) else { return Err("the overlay is not found in the new text".into()) };
    let names = planning.request.attr.names();
    let bindings = query::bindings_of(&function, names, &planning.request.facts, &new);
    for element in &planning.request.elements {
        match query::count(&bindings, element).0 {
            1 => {}
            0 => return Err(format!("`{}` is not found in the new text", element.identity())),
            n => return Err(format!("`{}` is there {n} times in the new text", element.identity())),
        }
    }
    let restored = remove::edits(&file, &function, names, planning.missing, &planning.request.facts)
        .ok()
        .and_then(|(edits, _)| edits.apply(&new).ok());
    Ok((new, restored.as_deref() == Some(old)))
}

/// Returns the ways to do it at this level, or below it for a package of a nested scope.
fn candidates(planning: &Planning<'_>, level: Level<'_>, names: &[String]) -> Result<Vec<Candidate>, Error> {
    match names {
        [] => Err(Error::Request { reason: "the attribute path is empty".into() }),
        [key] => key_candidates(planning, &level, key),
        [scope, rest @ ..] => nested::scope_candidates(planning, level, scope, rest),
    }
}

fn kernel(key: &str, planning: &Planning<'_>) -> bool {
    match planning.request.facts.scope {
        Some(method) => method == ScopeMethod::KernelPatches,
        None => key == "linux" || key.strip_prefix("linux_").is_some_and(|r| r != "headers"),
    }
}

fn writing<'a>(planning: &'a Planning<'a>, level: &Level<'_>, key: &str, elements: &'a [Written]) -> Writing<'a> {
    let taken = |name: &str| {
        name == level.prev
            || level.function.is_some_and(|f| f.first().as_deref() == Some(name) || f.second().as_deref() == Some(name))
    };
    let param =
        ["old", "oldAttrs", "attrs"].iter().find(|n| !taken(n)).map_or("oldAttrs'".to_string(), |n| (*n).to_string());
    let kernel = kernel(key, planning);
    Writing {
        text: planning.text(),
        style: planning.style.clone(),
        elements,
        position: planning.request.position,
        old: planning.request.facts.patches,
        param,
        method: if kernel { "override" } else { "overrideAttrs" },
        list_key: if kernel { "kernelPatches" } else { "patches" },
    }
}

fn written(planning: &Planning<'_>, key: &str, prev: &str) -> Vec<Written> {
    let prev = prev.split('.').next().unwrap_or(prev);
    planning
        .missing
        .iter()
        .map(|element| {
            let plain = Written::of(element, prev);
            if kernel(key, planning) {
                let name = element.identity().rsplit('/').next().unwrap_or("patch");
                let name = name.trim_end_matches(".patch").trim_end_matches(".diff");
                Written::text(format!("{{ name = {}; patch = {}; }}", make::string(name), plain.one_line))
            } else {
                plain
            }
        })
        .collect()
}

/// The test that tells cross compiled packages from those of the build platform.
fn guard(prev: &str) -> String {
    format!("{prev}.stdenv.hostPlatform != {prev}.stdenv.buildPlatform")
}

fn key_candidates(planning: &Planning<'_>, level: &Level<'_>, key: &str) -> Result<Vec<Candidate>, Error> {
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
fn rename_where_used(level: &Level<'_>, candidate: &mut Candidate) {
    if let Some((place, fresh)) = &level.rename
        && candidate.edits.iter().any(|e| e.text.contains(fresh.as_str()))
        && !candidate.edits.iter().any(|e| e.span == *place)
    {
        // The parameter stands before the body, so the edits cannot overlap.
        let _ = candidate.edits.replace(*place, fresh.clone());
    }
}

/// Bodies whose result is taken apart by somebody else.
fn refuse_body(planning: &Planning<'_>, body: &Body) -> Result<(), Error> {
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
fn new_value(
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

fn in_set(
    planning: &Planning<'_>,
    level: &Level<'_>,
    set: &rnix::ast::AttrSet,
    key: &str,
    base: &str,
    writing: &Writing<'_>,
) -> Result<TextEdits, EditError> {
    let mut edits = TextEdits::new();
    let value = |indent: &str, one_line: bool, style: &Style| {
        new_value(planning, writing, base, &level.prev, indent, one_line, style)
    };
    insert_entry(planning.text(), set, key, &value, &planning.style, &mut edits)?;
    Ok(edits)
}

/// Says whether the level's `prev` means itself inside a set.
fn visible(level: &Level<'_>, set: &rnix::ast::AttrSet) -> bool {
    let Some(function) = level.function else { return true };
    if level.rename.is_some() {
        return true;
    }
    let inside = set.syntax().first_child().unwrap_or_else(|| set.syntax().clone());
    let name = level.prev.split('.').next().unwrap_or("");
    !shadowed(&inside, function, name)
}

/// In a `rec` set a new key catches what its name meant inside.
fn catches(set: &rnix::ast::AttrSet, key: &str) -> bool {
    set.rec_token().is_some() && !uses(set.syntax(), key).is_empty()
}

fn new_key(planning: &Planning<'_>, level: &Level<'_>, key: &str, writing: &Writing<'_>, out: &mut Vec<Candidate>) {
    let body = &level.body;
    let base = make::select(&level.prev, key);
    if !body.any_opaque() {
        for operand in body.operands.iter().rev() {
            let Some(set) = operand.literal() else { continue };
            if catches(set, key) || !visible(level, set) {
                continue;
            }
            if let Ok(edits) = in_set(planning, level, set, key, &base, writing) {
                out.push(Candidate { edits, how: "inserted", added: true, warnings: Vec::new() });
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

/// Where the body is `base // { ... }`, with everything unknown in `base`: the override goes into the literal set and
/// is built on what the variable holds.
fn on_variable(
    planning: &Planning<'_>,
    level: &Level<'_>,
    key: &str,
    writing: &Writing<'_>,
    added: bool,
    out: &mut Vec<Candidate>,
) {
    let body = &level.body;
    let [before @ .., last] = body.operands.as_slice() else { return };
    let Some(set) = last.literal() else { return };
    if !body::definitions(set, key).is_empty() || catches(set, key) || !visible(level, set) {
        return;
    }
    let holds = |operand: &body::Operand| {
        operand.opaque()
            || match &operand.known {
                Known::Set(set) => !body::definitions(set, key).is_empty(),
                Known::Conditional(sets) => sets.iter().any(|s| !body::definitions(s, key).is_empty()),
                Known::Opaque => true,
            }
    };
    let mut relevant = before.iter().filter(|o| holds(o));
    let (Some(only), None) = (relevant.next(), relevant.next()) else { return };
    let Some(variable) = &only.variable else { return };
    let base = format!("({} or {})", make::select(variable, key), make::select(&level.prev, key));
    if let Ok(edits) = in_set(planning, level, set, key, &base, writing) {
        out.push(Candidate { edits, how: "inserted", added, warnings: Vec::new() });
    }
}

/// `CORE // { key = ...; }`
fn merged(
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
fn new_set(
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
    let value = new_value(planning, writing, base, &level.prev, &inside, false, style);
    format!("{{{nl}{inside}{} = {value};{nl}{indent}}}", make::attr_name(key))
}

/// `let base = BODY; in base // { key = (base.key or prev.key).overrideAttrs ...; }`
fn wrap_body(
    planning: &Planning<'_>,
    level: &Level<'_>,
    key: &str,
    writing: &Writing<'_>,
    added: bool,
    warnings: Vec<Warning>,
    out: &mut Vec<Candidate>,
) {
    if !planning.thorough && !out.is_empty() {
        return;
    }
    let Some(function) = level.function else { return };
    let whole = &level.body.whole;
    let text = planning.text();
    let style = &planning.style;
    let nl = style.newline;
    let place = span(whole);
    let taken = |n: &str| mentions(function.head.syntax(), n) || n == level.prev;
    let name = make::fresh("base", taken);
    let base = format!("({} or {})", make::select(&name, key), make::select(&level.prev, key));
    let indent = trivia::line_indent(text, place.start).to_string();
    let set = new_set(planning, level, key, &base, writing, &indent);
    let mut edits = TextEdits::new();
    let done = edits
        .insert(place.start, format!("let{nl}{indent}{}{name} = ", style.unit))
        .and_then(|()| edits.insert(place.end, format!(";{nl}{indent}in{nl}{indent}{name} // {set}")));
    if done.is_ok() {
        out.push(Candidate { edits, how: "wrapped-body", added, warnings });
    }
}

fn existing_key(
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
    if let Definition::Value(_, value) = &last.definition
        && planning.request.facts.derivation != Some(true)
        && let Some(what) = not_derivation(value, 16)
    {
        return Err(refuse(what));
    }
    if super::derivation::scope_name(key) && planning.request.facts.derivation != Some(true) {
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
            let alias = tree::dotted(value).is_some_and(|d| d.last().map(String::as_str) == Some(key));
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
                    if let Some(what) = inherited_scope(from, key) {
                        return Err(refuse(what));
                    }
                    let text = &planning.text()[span(from).range()];
                    let bare = super::layout::selectable(from) || matches!(from, Expr::Paren(_));
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

/// What `inherit key;` takes from around the set.
fn outside(inherit: &rnix::ast::Inherit, key: &str) -> Option<tree::Bound> {
    let set = inherit.syntax().parent()?;
    tree::lookup(&set, key)
}

fn inherited_scope(_from: &Expr, key: &str) -> Option<&'static str> {
    super::derivation::scope_name(key).then_some("a set of packages")
}

/// `let pkg = VALUE; in if GUARD then pkg.overrideAttrs (...) else pkg`
fn host_value(
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
            == guard(&level.prev)
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
                guard(&level.prev)
            ),
        )
    });
    if done.is_ok() {
        out.push(Candidate { edits, how: "guarded", added: false, warnings: warnings.to_vec() });
    }
}
