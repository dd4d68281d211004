//! Takes a whole binding out, and what was written around a set of which it was the only one: a merge behind the body, the
//! way into a scope.
//!
//! Must not look at lists of patches.

use rnix::ast::{self, BinOpKind, Expr, HasEntry};
use rowan::ast::AstNode;

use super::Removal;
use crate::base::edit::EditError;
use crate::base::span::Span;
use crate::overlay::ast::{dotted, path_names, span, split_select};
use crate::overlay::body;
use crate::overlay::functions::Function;
use crate::overlay::layout::{entry_spans, operand_like, remove_entry, stood_open};
use crate::overlay::scopes::KEPT;
use crate::overlay::value::{KEPT_PARAM, OPENED_PARAM};
use crate::syntax::{make, trivia};

impl Removal<'_> {
    /// Takes a binding out, and what was written around its set when it was alone there.
    pub(super) fn whole_binding(
        &mut self,
        entry: &ast::AttrpathValue,
        call: &rnix::SyntaxNode,
        function: &Function,
    ) -> Result<(), EditError> {
        self.binding = true;
        let Some(set) = entry.syntax().parent().and_then(ast::AttrSet::cast) else { return Ok(()) };
        let others = set.entries().count() > 1 || trivia::comments(set.syntax()).next().is_some();
        if others || [KEPT_PARAM, OPENED_PARAM].iter().any(|param| super::takes(call, param)) {
            return remove_entry(self.text, &set, span(entry), &mut self.edits);
        }
        if let Some(scope) = scope_binding(&set, function, self.text) {
            return self.scope(&scope, call, function);
        }
        let node = set.syntax();
        if let Some(merge) = node.parent().and_then(ast::BinOp::cast)
            && merge.operator() == Some(BinOpKind::Update)
            && merge.rhs().is_some_and(|r| r.syntax() == node)
            && let Some(before) = merge.lhs()
        {
            return self.unmerge(&merge, &before, &set);
        }
        remove_entry(self.text, &set, span(entry), &mut self.edits)
    }

    /// `CORE // { }` becomes `CORE`, `let base = BODY; in base // { }` becomes `BODY`.
    fn unmerge(&mut self, merge: &ast::BinOp, before: &Expr, set: &ast::AttrSet) -> Result<(), EditError> {
        if let Some(outer) = merge.syntax().parent().and_then(ast::LetIn::cast)
            && let (Some(only), 1) = (outer.attrpath_values().next(), outer.entries().count())
            && let Some(names) = dotted(before)
            && names.len() == 1
            && only.attrpath().is_some_and(|p| p.syntax().text() == names[0].as_str())
            && names[0].starts_with("base")
            && let Some(inner) = only.value()
        {
            let whole = self.tight_parens(&outer).unwrap_or(span(&outer));
            self.edits.delete(Span::new(whole.start, span(&inner).start))?;
            return self.edits.delete(Span::new(span(&inner).end, whole.end));
        }
        let place = span(before);
        let end = span(set).end;
        match before {
            Expr::Paren(paren) if paren.expr().is_some_and(|i| !operand_like(&i, BinOpKind::Update)) => {
                let inner = paren.expr().map_or(place, |i| span(&i));
                self.edits.delete(Span::new(place.start, inner.start))?;
                self.edits.delete(Span::new(inner.end, end))
            }
            _ => self.edits.delete(Span::new(place.end, end)),
        }
    }

    /// The parentheses of `prev:(let base = ...)`, which are written where `let` would be read as a part of what is before.
    fn tight_parens(&self, inner: &ast::LetIn) -> Option<Span> {
        let paren = span(&inner.syntax().parent().and_then(ast::Paren::cast)?);
        let glued = !self.text[..paren.start].ends_with(char::is_whitespace);
        (glued && paren.start + 1 == span(inner).start && span(inner).end + 1 == paren.end).then_some(paren)
    }

    /// Takes away what leads into a scope whose inner set would be empty.
    fn scope(&mut self, found: &ScopeBinding, call: &rnix::SyntaxNode, function: &Function) -> Result<(), EditError> {
        match found {
            ScopeBinding::Whole(entries) => {
                let Some(first) = entries.first() else { return Ok(()) };
                let Some(set) = first.syntax().parent().and_then(ast::AttrSet::cast) else { return Ok(()) };
                if entries.len() > 1
                    && set.entries().count() == entries.len()
                    && trivia::comments(set.syntax()).next().is_none()
                {
                    return self.all_entries(&set);
                }
                if entries.len() > 1 {
                    for entry in entries {
                        remove_entry(self.text, &set, span(entry), &mut self.edits)?;
                    }
                    return Ok(());
                }
                self.whole_binding(first, call, function)
            }
            ScopeBinding::Around(value, inner) => {
                self.edits.delete(Span::new(value.start, inner.start))?;
                self.edits.delete(Span::new(inner.end, value.end))
            }
        }
    }

    fn all_entries(&mut self, set: &ast::AttrSet) -> Result<(), EditError> {
        if let Some(merge) = set.syntax().parent().and_then(ast::BinOp::cast)
            && merge.operator() == Some(BinOpKind::Update)
            && let Some(before) = merge.lhs().filter(|l| l.syntax() != set.syntax())
        {
            return self.unmerge(&merge, &before, set);
        }
        let (Some(open), Some(close)) = (set.l_curly_token(), set.r_curly_token()) else { return Ok(()) };
        let interior = Span::new(trivia::token_span(&open).end, trivia::token_span(&close).start);
        let entries = entry_spans(set);
        if let (Some(first), Some(last)) = (entries.first(), entries.last())
            && stood_open(self.text, Span::new(first.start, last.end), interior.end)
        {
            return self.edits.delete(Span::new(interior.start, last.end));
        }
        let tight = self.text[interior.range()].contains("or []");
        self.edits.replace(interior, if tight { "" } else { " " })
    }
}

/// What has to go when the inner set of a scope's override would be empty.
enum ScopeBinding {
    /// These bindings: the scope's own, and one that goes with it.
    Whole(Vec<ast::AttrpathValue>),
    /// What stands around the value that was there: the whole value's span, and the old value's.
    Around(Span, Span),
}

/// `a ++ (b ++ c)`: the last `++`, and what stands before it.
fn last_concat(concat: &ast::BinOp) -> Option<(ast::BinOp, Expr)> {
    let mut last = concat.clone();
    while let Some(Expr::BinOp(next)) = last.rhs() {
        if next.operator() != Some(BinOpKind::Concat) {
            break;
        }
        last = next;
    }
    let before = last.lhs()?;
    Some((last, before))
}

/// Reads the override of a scope around an inner set, when it has the form that the planner writes.
fn scope_binding(inner: &ast::AttrSet, function: &Function, text: &str) -> Option<ScopeBinding> {
    if inner.syntax() == &function.body().map(|b| body::read(b).core.syntax().clone())? {
        return None;
    }
    let entry = inner.syntax().ancestors().skip(1).filter_map(ast::AttrpathValue::cast).find(|e| {
        let names = e.attrpath().map(|p| path_names(&p)).unwrap_or_default();
        !matches!(names.last().cloned().flatten().as_deref(), Some("packageOverrides" | "overrides"))
    })?;
    let value = entry.value()?;
    let squeeze = |from: usize, to: usize| text[from..to].split_whitespace().collect::<String>();
    let open = squeeze(span(&value).start, span(inner).start);
    let close = squeeze(span(inner).end, span(&value).end);
    let key = entry.attrpath()?.syntax().text().to_string();
    let written = [
        (".extend(_scopeFinal:scopePrev:", ")){}"),
        (".overrideScope(_scopeFinal:scopePrev:", ")){}"),
        (".overrideScope'(_scopeFinal:scopePrev:", ")){}"),
        (".extend(_scopeFinal:scopePrev:", ")"),
        (".overrideScope(_scopeFinal:scopePrev:", ")"),
        (".overrideScope'(_scopeFinal:scopePrev:", ")"),
        ("//", ""),
        ("(_scopeFinal:scopePrev:", ");})"),
        ("(_pyFinal:pyPrev:", ");})"),
        ("++[(_pyFinal:pyPrev:", ")]"),
    ];
    let head = written.iter().find_map(|(o, c)| (close == *c).then(|| open.strip_suffix(o)).flatten())?;
    // `let scopeKept = OLD; in scopeKept // ...`: what the scope was before has a name.
    let named = format!("let{KEPT}=");
    let mut head = head;
    if let (Expr::LetIn(kept), Some(rest)) = (&value, head.strip_prefix(&named)) {
        let (before, _) = rest.split_once(&format!(";in{KEPT}//"))?;
        head = before;
        let old = kept.attrpath_values().next()?.value()?;
        if let Expr::Paren(paren) = &old
            && let Some(old) = paren.expr()
            && !matches!(&old, Expr::Select(s) if s.or_token().is_some())
        {
            return Some(ScopeBinding::Around(span(&value), span(&old)));
        }
    }
    // The value starts with what the scope was before.
    if let Expr::Apply(apply) = &value
        && let Some(Expr::Select(select)) = apply.lambda()
        && let Some((base, _)) = split_select(&select)
        && let Some(Expr::Paren(paren)) = &base.expr
        && let Some(old) = paren.expr()
        && !matches!(&old, Expr::Select(s) if s.or_token().is_some())
    {
        return Some(ScopeBinding::Around(span(&value), span(&old)));
    }
    let path = |text: &str| text.split('.').all(make::is_identifier);
    let fresh = key != "pythonPackagesExtensions" && head.ends_with(&format!(".{key}")) && path(head)
        || head.starts_with('(') && head.contains(&format!(".{key}or")) && !head.contains(".override")
        || head.contains(".override(old:{") && head.contains(".lib.composeExtensions(old.");
    if !fresh {
        if let Expr::BinOp(concat) = &value
            && concat.operator() == Some(BinOpKind::Concat)
            && let Some((last, before)) = last_concat(concat)
        {
            let (start, end) = match &before {
                Expr::Paren(p)
                    if last.syntax() == concat.syntax()
                        && p.expr().is_some_and(|i| !operand_like(&i, BinOpKind::Concat)) =>
                {
                    let i = p.expr()?;
                    (span(&i).start, span(&i).end)
                }
                _ => (span(&value).start, span(&before).end),
            };
            return Some(ScopeBinding::Around(span(&value), Span::new(start, end)));
        }
        return None;
    }
    let mut entries = vec![entry.clone()];
    // `python3Packages = prev.python3Packages // final.python3.pkgs;` goes with `python3 = ...`; so does that without `//`.
    let merged = |value: Expr| match value {
        Expr::BinOp(merge) if merge.operator() == Some(BinOpKind::Update) => merge.rhs(),
        value => Some(value),
    };
    if let Some(set) = entry.syntax().parent().and_then(ast::AttrSet::cast) {
        entries.extend(set.attrpath_values().filter(|other| {
            other.syntax() != entry.syntax()
                && span(other).start > span(&entry).end
                && other
                    .value()
                    .and_then(merged)
                    .and_then(|v| dotted(&v))
                    .is_some_and(|d| d.len() == 3 && d[1] == key && d[2] == "pkgs")
                && other.attrpath().is_some_and(|p| p.syntax().text() == format!("{key}Packages").as_str())
        }));
    }
    Some(ScopeBinding::Whole(entries))
}
