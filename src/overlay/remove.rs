//! The inverse: takes elements out of lists, and with the last one whatever [`super::plan`] writes around a list.
//!
//! Must not remember anything: what was written is known by its form, which the planner checks before it commits to
//! it.

mod binding;

use rnix::SyntaxNode;
use rnix::ast::{self, BinOpKind, Expr, HasEntry, Param};
use rowan::ast::AstNode;

use super::ast::{path_names, span, split_select, uses};
use super::error::Error;
use super::file::OverlayFile;
use super::functions::Function;
use super::layout::{operand_like, remove_entry, selectable};
use super::query::{self, Patched};
use super::request::{Facts, PatchElement};
use super::value::{ALIAS_PARAM, LIST_KEYS, PatchList};
use crate::base::edit::{EditError, TextEdits};
use crate::base::span::Span;
use crate::syntax::{AttrPath, trivia};

struct Removal<'a> {
    text: &'a str,
    edits: TextEdits,
    binding: bool,
}

/// Plans to take `which` out of the lists of `names`. Says also whether a binding goes with it.
pub(super) fn edits(
    file: &OverlayFile,
    function: &Function,
    names: &[String],
    which: &[PatchElement],
    facts: &Facts,
) -> Result<(TextEdits, bool), Error> {
    let mut bindings = query::bindings_of(function, names, facts, file.text());
    bindings.iter_mut().for_each(|binding| binding.lists.retain(|list| !list.elsewhere));
    let attr = || AttrPath::from_names(names.iter().cloned()).unwrap_or_else(|| AttrPath::single(""));
    for element in which {
        if query::count(&bindings, element).0 == 0 {
            return Err(Error::NotPatched {
                attr: attr(),
                element: element.identity().to_string(),
                path: file.path().to_path_buf(),
            });
        }
    }
    let mut removal = Removal { text: file.text(), edits: TextEdits::new(), binding: false };
    let mut done: Vec<Span> = Vec::new();
    let last = names.last().map_or("", String::as_str);
    for list in lists(&bindings) {
        if done.contains(&span(&list.list)) {
            continue;
        }
        done.push(span(&list.list));
        removal.thin(list, which, function, last).map_err(|e| Error::Unverified {
            attr: attr(),
            reason: e.to_string(),
            at: super::error::Spot::new(file.path(), file.text(), span(&list.list)),
        })?;
    }
    removal.undo_renames(function);
    Ok((removal.edits, removal.binding))
}

fn lists(bindings: &[Patched]) -> impl Iterator<Item = &PatchList> {
    bindings.iter().flat_map(|b| b.lists.iter())
}

impl Removal<'_> {
    fn thin(
        &mut self,
        found: &PatchList,
        which: &[PatchElement],
        function: &Function,
        key: &str,
    ) -> Result<(), EditError> {
        let items: Vec<Expr> = found.list.items().collect();
        let gone: Vec<bool> = items.iter().map(|i| which.iter().any(|w| query::same(i, w))).collect();
        if !gone.contains(&true) {
            return Ok(());
        }
        let all = gone.iter().all(|g| *g) && trivia::comments(found.list.syntax()).next().is_none();
        if all && self.collapse(found, function, key)? {
            return Ok(());
        }
        if all {
            return self.empty(&found.list);
        }
        let open = found.list.l_brack_token().map_or(0, |open| trivia::token_span(&open).end);
        let kept = gone.iter().position(|g| !g).unwrap_or(items.len());
        let mut from = 0;
        if let (Some(first), Some(next)) = (items.first(), items.get(kept))
            && span(first).start == open
            && self.text[open..span(next).start].trim_end().len()
                == span(items[..kept].last().unwrap_or(first)).end - open
        {
            // `[./a ./b]`: the space behind the first one goes with it.
            self.edits.delete(Span::new(open, span(next).start))?;
            from = kept;
        }
        for (item, _) in items.iter().zip(&gone).skip(from).filter(|(_, gone)| **gone) {
            let place = span(item);
            let before = self.text[..place.start].trim_end_matches([' ', '\t', '\r', '\n']).len();
            self.edits.delete(Span::new(before, place.end))?;
        }
        Ok(())
    }

    /// Leaves `[ ]`, or `[]` where no space stands beside the elements.
    fn empty(&mut self, list: &ast::List) -> Result<(), EditError> {
        let (Some(open), Some(close)) = (list.l_brack_token(), list.r_brack_token()) else { return Ok(()) };
        let interior = Span::new(trivia::token_span(&open).end, trivia::token_span(&close).start);
        let spaced = self.text[interior.range()].starts_with([' ', '\t', '\n', '\r']);
        self.edits.replace(interior, if spaced { " " } else { "" })
    }

    /// Takes away what was written around a list that would be empty; says whether there was such.
    fn collapse(&mut self, found: &PatchList, function: &Function, key: &str) -> Result<bool, EditError> {
        let list = found.list.syntax();
        if let Some(entry) = list.parent().and_then(ast::AttrpathValue::cast)
            && let Some(set) = entry.syntax().parent().and_then(ast::AttrSet::cast)
            && super::value::is_built(&set)
        {
            remove_entry(self.text, &set, span(&entry), &mut self.edits)?;
            return Ok(true);
        }
        let Some(concat) = list.parent().and_then(ast::BinOp::cast) else { return Ok(false) };
        if concat.operator() != Some(BinOpKind::Concat) || concat.rhs().is_none_or(|r| r.syntax() != list) {
            return Ok(false);
        }
        let Some(before) = concat.lhs() else { return Ok(false) };
        let Some(entry) = concat.syntax().parent().and_then(ast::AttrpathValue::cast) else {
            self.cut(&before, span(&found.list).end)?;
            return Ok(true);
        };
        if !self.old_list(&before, &found.key) {
            self.cut(&before, span(&found.list).end)?;
            return Ok(true);
        }
        self.list_entry(&entry, function, key)?;
        Ok(true)
    }

    /// Deletes from the end of `before` to `end`, and the parentheses that an operand needed.
    fn cut(&mut self, before: &Expr, end: usize) -> Result<(), EditError> {
        let place = span(before);
        self.edits.delete(Span::new(place.end, end))?;
        self.strip(before)
    }

    /// Takes parentheses off that are there only because an operator follows.
    fn strip(&mut self, operand: &Expr) -> Result<(), EditError> {
        if let Expr::Paren(paren) = operand
            && let Some(inner) = paren.expr()
            && !operand_like(&inner, BinOpKind::Concat)
            && !operand_like(&inner, BinOpKind::Update)
        {
            let place = span(operand);
            self.edits.delete(Span::new(place.start, span(&inner).start))?;
            // Joined with the deletion that follows it, if any.
            self.edits.delete(Span::new(span(&inner).end, place.end))?;
        }
        Ok(())
    }

    /// Says whether an expression is what the planner writes for the list that was there.
    fn old_list(&self, expr: &Expr, key: &str) -> bool {
        let text: String = self.text[span(expr).range()].split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text.replace("[]", "[ ]");
        if text == key {
            return true;
        }
        let Some(inner) = text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) else { return false };
        let is_name = crate::syntax::make::is_identifier;
        // `old.patches`, `(args finalAttrs).cargoPatches`.
        let is_selected = |t: &str| {
            t.strip_suffix(key).and_then(|t| t.strip_suffix('.')).is_some_and(|t| {
                let call = t.strip_prefix('(').and_then(|t| t.strip_suffix(')')).and_then(|t| t.split_once(' '));
                call.map_or_else(|| is_name(t), |(function, argument)| is_name(function) && is_name(argument))
            })
        };
        if let Some(selected) = inner.strip_suffix(" or [ ]") {
            return is_selected(selected);
        }
        if let Some(rest) = inner.strip_prefix("if ") {
            return rest.split_once(" or null == null then [ ] else ").is_some_and(|(a, b)| a == b && is_selected(a));
        }
        if let Some(rest) =
            inner.strip_prefix("let p = ").and_then(|r| r.strip_suffix("if builtins.isList p then p else [ p ]"))
        {
            let nulls = rest.strip_suffix("if p == null then [ ] else ").unwrap_or(rest);
            return nulls.strip_suffix(" or [ ]; in ").is_some_and(is_selected);
        }
        false
    }

    /// Takes `patches = ...;` out of the set of an override, and the override with it when nothing else is there.
    fn list_entry(&mut self, entry: &ast::AttrpathValue, function: &Function, key: &str) -> Result<(), EditError> {
        let Some(set) = entry.syntax().parent().and_then(ast::AttrSet::cast) else { return Ok(()) };
        if let Some((call, base)) = rust_override(&set, entry) {
            return self.call(&call, &base, function, key);
        }
        let others = set.entries().count() > 1 || trivia::comments(set.syntax()).next().is_some();
        let Some(lambda) = enclosing_lambda(set.syntax()) else {
            return remove_entry(self.text, &set, span(entry), &mut self.edits);
        };
        if others {
            remove_entry(self.text, &set, span(entry), &mut self.edits)?;
            return self.undo_parameter(&lambda, entry);
        }
        let plain = set.rec_token().is_none() && lambda.body().is_some_and(|b| b.syntax() == set.syntax());
        match override_call(&lambda).filter(|_| plain) {
            Some((call, base)) => self.call(&call, &base, function, key),
            None => {
                remove_entry(self.text, &set, span(entry), &mut self.edits)?;
                self.undo_parameter(&lambda, entry)
            }
        }
    }

    /// Gives a parameter that the planner renamed or added its old form.
    fn undo_parameter(&mut self, lambda: &ast::Lambda, gone: &ast::AttrpathValue) -> Result<(), EditError> {
        let left = |name: &str| uses(lambda.syntax(), name).into_iter().any(|u| !span(gone).contains(trivia::span(&u)));
        match lambda.param() {
            Some(Param::IdentParam(param)) => {
                if let Some(token) = param.ident().and_then(|i| i.ident_token())
                    && renamed(token.text(), "old_")
                    && !left(token.text())
                {
                    self.edits.replace(trivia::token_span(&token), "_")?;
                }
            }
            Some(Param::Pattern(pattern)) => {
                let Some(ellipsis) = pattern.ellipsis_token() else { return Ok(()) };
                let Some(last) = pattern.pat_entries().last() else { return Ok(()) };
                let name = last.ident().map(|i| i.syntax().text().to_string()).unwrap_or_default();
                let empty = last.default().is_some_and(|d| matches!(&d, Expr::List(l) if l.items().next().is_none()));
                if LIST_KEYS.contains(&name.as_str()) && empty && !left(&name) {
                    self.edits
                        .delete(Span::new(trivia::span(last.syntax()).start, trivia::token_span(&ellipsis).start))?;
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Takes an override call off its base, and the binding with it when only the base would be left.
    fn call(
        &mut self,
        call: &SyntaxNode,
        base: &super::ast::Base,
        function: &Function,
        key: &str,
    ) -> Result<(), EditError> {
        let value = outer_parens(call);
        let text = &self.text[base.span.range()];
        if let Some(entry) = value.parent().and_then(ast::AttrpathValue::cast) {
            if self.is_prev(base, key) && !takes(call, ALIAS_PARAM) {
                return self.whole_binding(&entry, call, function);
            }
        } else if let Some(branch) = value.parent().and_then(ast::IfElse::cast)
            && branch.body().is_some_and(|b| b.syntax() == &value)
            && self.guarded(&branch)
            && let Some(other) = branch.else_body()
            && self.text[span(&other).range()] == *text
        {
            let up = branch.syntax().parent();
            if let Some(entry) = up.clone().and_then(ast::AttrpathValue::cast)
                && self.is_prev(base, key)
            {
                return self.whole_binding(&entry, call, function);
            }
            // let pkg = VALUE; in if GUARD then pkg.overrideAttrs (...) else pkg
            if let Some(outer) = up.and_then(ast::LetIn::cast)
                && let (Some(only), 1) = (outer.attrpath_values().next(), outer.entries().count())
                && only.attrpath().is_some_and(|p| p.syntax().text() == text)
                && let Some(inner) = only.value()
            {
                self.edits.delete(Span::new(span(&outer).start, span(&inner).start))?;
                return self.edits.delete(Span::new(span(&inner).end, span(&outer).end));
            }
        }
        let end: usize = trivia::span(call).end;
        match &base.expr {
            Some(Expr::Paren(paren)) => {
                if let Some(inner) = paren.expr() {
                    self.edits.delete(Span::new(base.span.start, span(&inner).start))?;
                    return self.edits.delete(Span::new(span(&inner).end, end));
                }
                self.edits.delete(Span::new(base.span.end, end))
            }
            _ => self.edits.delete(Span::new(base.span.end, end)),
        }
    }

    fn guarded(&self, branch: &ast::IfElse) -> bool {
        branch.condition().is_some_and(|c| {
            let text = self.text[span(&c).range()].split_whitespace().collect::<Vec<_>>().join(" ");
            text.contains(".stdenv.hostPlatform != ") && text.ends_with(".stdenv.buildPlatform")
        })
    }

    /// Says whether the base is what the overlay is given for the key: `prev.key`, `(base.key or prev.key)`.
    fn is_prev(&self, base: &super::ast::Base, key: &str) -> bool {
        let text = &self.text[base.span.range()];
        let name = crate::syntax::make::attr_name(key);
        if base.expr.is_none() || base.expr.as_ref().is_some_and(selectable) {
            // `inherit musl;` is merged over as `// { musl = musl.overrideAttrs ...; }`.
            if text == name {
                return true;
            }
            return text.strip_suffix(name.as_str()).is_some_and(|t| t.ends_with('.'));
        }
        if let Some(Expr::Paren(paren)) = &base.expr
            && let Some(Expr::Select(select)) = paren.expr()
            && select.or_token().is_some()
            && let (Some(names), Some(Expr::Select(other))) = (select.attrpath(), select.default_expr())
            && let Some((_, last)) = split_select(&other)
        {
            return last == key && path_names(&names).last().cloned().flatten().as_deref() == Some(key);
        }
        false
    }

    /// Gives a second argument that the planner renamed its `_` back, where nothing uses it any more.
    fn undo_renames(&mut self, function: &Function) {
        if !self.text.contains("prev_") {
            return;
        }
        let mut lambdas: Vec<ast::Lambda> = vec![function.inner.clone()];
        lambdas.extend(function.inner.syntax().descendants().filter_map(ast::Lambda::cast));
        for lambda in lambdas {
            let Some(token) = super::ast::ident_param(&lambda) else { continue };
            if !renamed(token.text(), "prev_") {
                continue;
            }
            let deleted: Vec<Span> = self.edits.iter().map(|e| e.span).collect();
            let place = trivia::token_span(&token);
            if deleted.iter().any(|d| d.contains(place)) {
                continue;
            }
            let used = uses(lambda.syntax(), token.text())
                .into_iter()
                .any(|u| !deleted.iter().any(|d| d.contains(trivia::span(&u))));
            if !used {
                let _ = self.edits.replace(place, "_");
            }
        }
    }
}

/// Says whether a name is `stem` or `stem` with a number.
fn renamed(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
}

/// Says whether the function that an override is given has a parameter of that name, which tells what was there.
fn takes(call: &SyntaxNode, param: &str) -> bool {
    let argument = ast::Apply::cast(call.clone()).and_then(|a| a.argument()).map(super::ast::unparen);
    match argument {
        Some(Expr::Lambda(lambda)) => super::ast::parameter_names(&lambda) == [param],
        _ => false,
    }
}

/// The lambda whose result a set is, layers and parentheses between them allowed.
fn enclosing_lambda(set: &SyntaxNode) -> Option<ast::Lambda> {
    let mut up = set.parent()?;
    loop {
        use rnix::SyntaxKind::*;
        match up.kind() {
            NODE_LAMBDA => return ast::Lambda::cast(up),
            NODE_PAREN | NODE_LET_IN | NODE_WITH | NODE_ASSERT => up = up.parent()?,
            _ => return None,
        }
    }
}

/// The override call that a function is the argument of.
fn override_call(lambda: &ast::Lambda) -> Option<(SyntaxNode, super::ast::Base)> {
    let paren = outer_parens(lambda.syntax());
    let apply = ast::Apply::cast(paren.parent()?)?;
    if apply.argument()?.syntax() != &paren {
        return None;
    }
    let Expr::Select(select) = apply.lambda()? else { return None };
    let (base, method) = split_select(&select)?;
    (super::value::ATTRS_METHODS.contains(&method.as_str()) || method == "override")
        .then(|| (apply.syntax().clone(), base))
}

/// The `override` call around `args // { cargoPatches = ...; cargoHash = ...; }`, when it holds nothing else.
fn rust_override(set: &ast::AttrSet, entry: &ast::AttrpathValue) -> Option<(SyntaxNode, super::ast::Base)> {
    let hash = |other: &ast::AttrpathValue| {
        other.attrpath().is_some_and(|p| matches!(p.syntax().text().to_string().as_str(), "cargoHash" | "cargoSha256"))
    };
    let plain = |set: &ast::AttrSet| trivia::comments(set.syntax()).next().is_none();
    let written = |e: ast::Entry| match e {
        ast::Entry::AttrpathValue(other) => &other == entry || hash(&other),
        ast::Entry::Inherit(_) => false,
    };
    if !plain(set) || !set.entries().all(written) {
        return None;
    }
    let arguments = set.syntax().ancestors().skip(1).filter_map(ast::AttrSet::cast).nth(1)?;
    let platform = set.syntax().ancestors().skip(1).find_map(ast::AttrSet::cast)?;
    if [&arguments, &platform].iter().any(|s| s.entries().count() != 1 || !plain(s)) {
        return None;
    }
    (super::value::cargo_set(&arguments)?.syntax() == set.syntax())
        .then(|| override_call(&enclosing_lambda(arguments.syntax())?))?
}

fn outer_parens(node: &SyntaxNode) -> SyntaxNode {
    let mut out = node.clone();
    while let Some(up) = out.parent().filter(|p| p.kind() == rnix::SyntaxKind::NODE_PAREN) {
        out = up;
    }
    out
}
