//! Reading the tree: calls, names, what a name is bound to. Small questions with certain answers.
//!
//! Must not plan edits.

use rnix::ast::{self, Attr, Entry, Expr, HasEntry, InterpolPart, Param};
use rnix::{SyntaxNode, SyntaxToken};
use rowan::ast::AstNode;

use crate::base::span::Span;
use crate::syntax::trivia;

/// Returns the span of anything in the tree.
pub(super) fn span(node: &impl AstNode<Language = rnix::NixLanguage>) -> Span {
    trivia::span(node.syntax())
}

pub(super) fn unparen(expr: Expr) -> Expr {
    let mut expr = expr;
    while let Expr::Paren(paren) = &expr {
        match paren.expr() {
            Some(inner) => expr = inner,
            None => break,
        }
    }
    expr
}

/// Takes parentheses, `let ... in`, `with ...;` and `assert ...;` off: the expression whose value it is.
pub(super) fn peel(expr: Expr) -> Expr {
    let mut expr = expr;
    loop {
        let inner = match &expr {
            Expr::Paren(e) => e.expr(),
            Expr::LetIn(e) => e.body(),
            Expr::With(e) => e.body(),
            Expr::Assert(e) => e.body(),
            _ => None,
        };
        match inner {
            Some(inner) => expr = inner,
            None => return expr,
        }
    }
}

/// Returns the text of a string without interpolation.
pub(super) fn plain_string(text: &ast::Str) -> Option<String> {
    let mut out = String::new();
    for part in text.normalized_parts() {
        match part {
            InterpolPart::Literal(l) => out.push_str(&l),
            InterpolPart::Interpolation(_) => return None,
        }
    }
    Some(out)
}

/// Returns the string that an expression is, when a literal or a `let` says so.
pub(super) fn known_string(expr: &Expr, fuel: usize) -> Option<String> {
    if fuel == 0 {
        return None;
    }
    match peel(expr.clone()) {
        Expr::Str(text) => {
            let mut out = String::new();
            for part in text.normalized_parts() {
                match part {
                    InterpolPart::Literal(l) => out.push_str(&l),
                    InterpolPart::Interpolation(i) => out.push_str(&known_string(&i.expr()?, fuel - 1)?),
                }
            }
            Some(out)
        }
        Expr::Ident(ident) => match bound(&ident)? {
            Bound::Value(value) => known_string(&value, fuel - 1),
            _ => None,
        },
        _ => None,
    }
}

/// Returns the text of an identifier, which is one token.
pub(super) fn ident_text(ident: &ast::Ident) -> String {
    let green = ident.syntax().green();
    green.children().filter_map(|c| c.into_token()).map(|t| t.text()).collect()
}

/// Returns the name that an attribute has, when it can be known from the text.
pub(super) fn attr_name(attr: &Attr) -> Option<String> {
    match attr {
        Attr::Ident(ident) => Some(ident_text(ident)),
        Attr::Str(text) => known_string(&Expr::Str(text.clone()), 8),
        Attr::Dynamic(dynamic) => known_string(&dynamic.expr()?, 8),
    }
}

/// Returns the names of an attribute path; an unknown one is `None`.
pub(super) fn path_names(path: &ast::Attrpath) -> Vec<Option<String>> {
    path.attrs().map(|a| attr_name(&a)).collect()
}

/// Returns the name of a lambda's parameter when it is a plain one.
pub(super) fn ident_param(lambda: &ast::Lambda) -> Option<SyntaxToken> {
    match lambda.param()? {
        Param::IdentParam(p) => p.ident()?.ident_token(),
        Param::Pattern(_) => None,
    }
}

#[derive(Debug, Clone)]
pub(super) enum Bound {
    /// A `let` or `rec` binding with this value.
    Value(Expr),
    /// An `inherit` in a `let` or `rec` set.
    Inherited,
    /// A parameter of this function.
    Parameter(ast::Lambda),
}

/// Returns what the variable is bound to by the text around it; `None` when only a `with` or the globals can be.
pub(super) fn bound(ident: &ast::Ident) -> Option<Bound> {
    let name = ident.syntax().text().to_string();
    lookup(ident.syntax(), &name)
}

/// Looks `name` up in the scopes around `node`, innermost first.
pub(super) fn lookup(node: &SyntaxNode, name: &str) -> Option<Bound> {
    let mut below = node.clone();
    while let Some(here) = below.parent() {
        if let Some(lambda) = ast::Lambda::cast(here.clone()) {
            if parameter_names(&lambda).iter().any(|n| n == name) {
                return Some(Bound::Parameter(lambda));
            }
        } else if let Some(set) = ast::LetIn::cast(here.clone()) {
            if let Some(found) = entry_named(&set, name, &below) {
                return Some(found);
            }
        } else if let Some(set) = ast::AttrSet::cast(here.clone())
            && set.rec_token().is_some()
            && let Some(found) = entry_named(&set, name, &below)
        {
            return Some(found);
        }
        below = here;
    }
    None
}

fn entry_named(set: &impl HasEntry, name: &str, below: &SyntaxNode) -> Option<Bound> {
    for entry in set.entries() {
        match entry {
            Entry::AttrpathValue(value) => {
                let first = value.attrpath()?.attrs().next()?;
                // A name computed from the very scope that is being searched would never end.
                if matches!(&first, Attr::Ident(i) if i.syntax().text() == name)
                    || matches!(&first, Attr::Str(s) if plain_string(s).as_deref() == Some(name))
                {
                    let single = value.attrpath()?.attrs().count() == 1;
                    return Some(match value.value() {
                        Some(v) if single => Bound::Value(v),
                        _ => Bound::Inherited,
                    });
                }
            }
            Entry::Inherit(inherit) => {
                // `inherit x;` takes x from outside, so within that statement the name is the outer one.
                if inherit.syntax() == below && inherit.from().is_none() {
                    continue;
                }
                if inherit.attrs().any(|a| matches!(&a, Attr::Ident(i) if i.syntax().text() == name)) {
                    return Some(Bound::Inherited);
                }
            }
        }
    }
    None
}

/// Returns every name that a lambda's parameter binds.
pub(super) fn parameter_names(lambda: &ast::Lambda) -> Vec<String> {
    match lambda.param() {
        Some(Param::IdentParam(p)) => p.ident().map(|i| i.syntax().text().to_string()).into_iter().collect(),
        Some(Param::Pattern(pattern)) => pattern
            .pat_entries()
            .filter_map(|e| e.ident())
            .chain(pattern.pat_bind().and_then(|b| b.ident()))
            .map(|i| i.syntax().text().to_string())
            .collect(),
        None => Vec::new(),
    }
}

/// Says whether `name` occurs as an identifier anywhere within `node`.
pub(super) fn mentions(node: &SyntaxNode, name: &str) -> bool {
    node.descendants_with_tokens()
        .filter_map(rnix::NodeOrToken::into_token)
        .any(|t| t.kind() == rnix::SyntaxKind::TOKEN_IDENT && t.text() == name)
}

/// Returns the places in `node` where the variable `name` is used, not those where an attribute is so called.
pub(super) fn uses(node: &SyntaxNode, name: &str) -> Vec<SyntaxNode> {
    node.descendants()
        .filter(|n| n.kind() == rnix::SyntaxKind::NODE_IDENT && n.text() == name)
        .filter(|n| {
            n.parent().is_some_and(|p| {
                use rnix::SyntaxKind::*;
                match p.kind() {
                    NODE_ATTRPATH | NODE_IDENT_PARAM | NODE_PAT_BIND => false,
                    NODE_PAT_ENTRY => p.first_child().as_ref() != Some(n),
                    // `inherit (x) a;` names an attribute of x; `inherit a;` uses the variable.
                    NODE_INHERIT => ast::Inherit::cast(p).is_some_and(|i| i.from().is_none()),
                    _ => true,
                }
            })
        })
        .collect()
}

/// A call with all its arguments: `f a b` is `f` and `[a, b]`.
pub(super) fn call(expr: &Expr) -> Option<(Expr, Vec<Expr>)> {
    let Expr::Apply(_) = expr else { return None };
    let mut args = Vec::new();
    let mut head = expr.clone();
    while let Expr::Apply(apply) = &head {
        args.push(apply.argument()?);
        head = apply.lambda()?;
    }
    args.reverse();
    Some((unparen(head), args))
}

/// Returns the last name of a function that is called: `optionals` of `lib.optionals`.
pub(super) fn function_name(head: &Expr) -> Option<String> {
    match head {
        Expr::Ident(i) => Some(i.syntax().text().to_string()),
        Expr::Select(s) => path_names(&s.attrpath()?).pop()?,
        _ => None,
    }
}

/// What stands left of the last dot of a selection.
#[derive(Debug, Clone)]
pub(super) struct Base {
    pub(super) span: Span,
    /// The expression, when the selection has one name only (`(f x).override`).
    pub(super) expr: Option<Expr>,
}

/// Splits `a.b.c` into what stands before the last dot and the last name.
pub(super) fn split_select(select: &ast::Select) -> Option<(Base, String)> {
    let names = select.attrpath()?;
    let attrs: Vec<Attr> = names.attrs().collect();
    let last = attr_name(attrs.last()?)?;
    let expr = select.expr()?;
    let start = span(&expr).start;
    let base = match attrs.len() {
        1 => Base { span: span(&expr), expr: Some(expr) },
        n => Base { span: Span::new(start, trivia::span(attrs.get(n - 2)?.syntax()).end), expr: None },
    };
    Some((base, last))
}

/// Returns the dotted names of `a.b.c` when it starts with a variable.
pub(super) fn dotted(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Ident(i) => Some(vec![i.syntax().text().to_string()]),
        Expr::Select(s) if s.or_token().is_none() => {
            let Expr::Ident(first) = s.expr()? else { return None };
            let mut names = vec![first.syntax().text().to_string()];
            for name in path_names(&s.attrpath()?) {
                names.push(name?);
            }
            Some(names)
        }
        _ => None,
    }
}

/// Returns the operands of a chain of `op`, left to right, parentheses taken off where they hold the same operator.
pub(super) fn chain(expr: &Expr, op: ast::BinOpKind) -> Vec<Expr> {
    let mut out = Vec::new();
    let mut todo = vec![expr.clone()];
    while let Some(next) = todo.pop() {
        match unparen(next.clone()) {
            Expr::BinOp(bin) if bin.operator() == Some(op) => {
                if let Some(right) = bin.rhs() {
                    todo.push(right);
                }
                if let Some(left) = bin.lhs() {
                    todo.push(left);
                }
            }
            _ => out.push(next),
        }
    }
    out
}

/// Returns the path that a path expression or a string names, as written; `None` when something is computed.
pub(super) fn written_path(expr: &Expr) -> Option<String> {
    let mut names = MOST_NAMES;
    written(expr, &mut names)
}

/// The most names that are looked up for one path: those of a `let` may stand for each other in a circle.
pub(super) const MOST_NAMES: usize = 32;

fn written(expr: &Expr, names: &mut usize) -> Option<String> {
    match unparen(expr.clone()) {
        Expr::PathRel(p) => {
            let text = p.syntax().text().to_string();
            (!text.contains("${")).then_some(text)
        }
        Expr::PathAbs(p) => {
            let text = p.syntax().text().to_string();
            (!text.contains("${")).then_some(text)
        }
        Expr::Str(text) => {
            let mut out = String::new();
            for part in text.normalized_parts() {
                match part {
                    InterpolPart::Literal(l) => out.push_str(&l),
                    InterpolPart::Interpolation(i) => out.push_str(&written(&i.expr()?, names)?),
                }
            }
            (out.starts_with('.') || out.starts_with('/')).then_some(out)
        }
        // ./. + "/x.patch"
        Expr::BinOp(bin) if bin.operator() == Some(ast::BinOpKind::Add) => {
            let left = written(&bin.lhs()?, names)?;
            let right = match unparen(bin.rhs()?) {
                Expr::Str(s) => plain_string(&s)?,
                _ => return None,
            };
            Some(format!("{left}{right}"))
        }
        Expr::Ident(ident) => {
            *names = names.checked_sub(1)?;
            match bound(&ident)? {
                Bound::Value(value) if !matches!(unparen(value.clone()), Expr::Ident(_)) => written(&value, names),
                _ => None,
            }
        }
        // `{ name = "x"; patch = ./x.patch; }`, as the kernel takes them.
        Expr::AttrSet(set) => set
            .attrpath_values()
            .find(|e| e.attrpath().is_some_and(|p| path_names(&p) == [Some("patch".to_string())]))
            .and_then(|e| e.value())
            .and_then(|v| written(&v, names)),
        _ => None,
    }
}

/// Takes `./`, `a/..` and doubled slashes out of a path, without asking the disk.
pub(super) fn normal_path(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if out.last().is_some_and(|p| *p != "..") => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    let joined = out.join("/");
    if path.starts_with('/') { format!("/{joined}") } else { joined }
}
