//! From a request to a verified plan: which edits could do it, the best first, and the checks that each must pass.
//!
//! An edit is taken only when the new text parses with no new error, defines nothing twice, shows the patch exactly
//! once to [`super::query`], and, where such an edit exists, when taking the patch out again gives the old bytes.
//! Must not touch the disk.

mod attribute;
mod body_edits;
mod existing;
mod key;
mod nested;

use rowan::ast::AstNode;

use super::ast::{self as tree, mentions, span, uses};
use super::body::{self, Body};
use super::error::{self, Error, Spot};
use super::file::OverlayFile;
use super::functions::Function;
use super::layout::Style;
use super::query;
use super::remove;
use super::request::{Change, FileChange, PatchElement, PatchRequest, Planned, Scope};

use crate::base::diagnostic::Warning;
use crate::base::edit::TextEdits;
use crate::base::span::{Place, Span};
use crate::syntax::{make, trivia};

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
    /// The text that gives the package set whose platforms a guard asks: that of the outermost level, for a set within it
    /// has no `stdenv`.
    set: String,
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
        Some(Level { function: Some(function), body: body::read(function.body()?), set: prev.clone(), prev, rename })
    }
}

/// The name by which the second argument can be used, and the renaming that it needs first.
fn usable_second(function: &Function) -> Option<(String, Option<(Span, String)>)> {
    if function.attrs.is_some() {
        return Some((function.second()?, None));
    }
    let token = tree::ident_param(&function.inner)?;
    let name = token.text().to_string();
    if !name.chars().all(|c| c == '_') || !uses(function.inner.syntax(), &name).is_empty() {
        return Some((name, None));
    }
    // `prev_` says that it was `_`, so that the inverse can give `_` back.
    let fresh = make::fresh("prev_", |n| mentions(function.head.syntax(), n));
    Some((fresh.clone(), Some((trivia::token_span(&token), fresh))))
}

/// Why nothing can be written into a function.
fn no_level(function: &Function) -> &'static str {
    match function.attrs {
        Some(_) => "its module does not take `pkgs`, by which the packages are reached: begin it with `{ pkgs, ... }:`",
        None => "it has no body",
    }
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
    let mut reason = None;
    let mut second_best = None;
    for thorough in [false, true] {
        planning.thorough = thorough;
        let level = planning
            .level(function)
            .ok_or_else(|| Error::OpaqueBody { at: spot.clone(), why: no_level(function).into() })?;
        for candidate in candidates(&planning, level, names)? {
            match verified(&planning, function, &candidate) {
                Ok((new, true)) => return Ok(planned(&planning, candidate, new, warnings, *spot.place)),
                Ok((new, false)) if second_best.is_none() => second_best = Some((candidate, new)),
                Ok(_) => {}
                Err(why) => reason = Some(why),
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
    Err(match (reason, request.attr.parent()) {
        (Some(reason), _) => Error::Unverified { attr: request.attr.clone(), reason, at: spot },
        (None, Some(scope)) => Error::UnknownScope { scope, at: spot },
        (None, None) => Error::OpaqueBody { at: spot, why: "nothing can be put behind it".into() },
    })
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
    Planned { changes: vec![changed], change, warnings, function }
}

/// Makes the edits and checks the result. Says whether the inverse gives the old bytes.
fn verified(planning: &Planning<'_>, function: &Function, candidate: &Candidate) -> Result<(String, bool), String> {
    let old = planning.text();
    let new = candidate.edits.apply(old).map_err(|e| e.to_string())?;
    if new == old {
        return Err("the edit changes nothing".into());
    }
    let file = OverlayFile::parse(planning.file.path(), new.clone())
        .map_err(|e| format!("the new text does not parse: {e}"))?;
    let (after, before) = (file.root(), planning.file.root());
    if body::defines_twice(&before, &after, &candidate.edits) {
        return Err("an attribute would be defined twice".into());
    }
    let at = candidate.edits.moved(function.place().start);
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
        [key] => key::key_candidates(planning, &level, key),
        [scope, rest @ ..] => nested::scope_candidates(planning, level, scope, rest),
    }
}
