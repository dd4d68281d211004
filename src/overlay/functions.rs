//! Finding the overlay-like functions of a file and saying of each what it overlays.
//!
//! The two arguments are taken by position: the last two of a chain of plain parameters. Must not plan edits.

mod kind;

use rnix::SyntaxNode;
use rnix::ast::{self, Expr};
use rowan::ast::AstNode;
use serde::Serialize;

use super::ast::{call, dotted, function_name, ident_param, path_names, peel, span, unparen};
use crate::base::span::Span;
use crate::syntax::{trivia, walk};

/// What a function overlays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FnKind {
    /// `final: prev: { ... }` over the whole package set.
    Packages,
    /// `pkgs: { ... }` given as `packageOverrides`: the one argument is what is there before.
    PackageOverrides,
    /// Over a set within the package set: Python, Haskell, a kernel's modules, a user's own scope.
    Scope,
    /// Over `lib`.
    Lib,
    /// Takes an overlay and gives an overlay back.
    Combinator,
    /// The default of an argument; whoever calls may pass another.
    DefaultArgument,
    /// Takes a third argument, so it is no overlay itself.
    ThirdArgument,
    /// Two arguments, but nothing says that they are an overlay's.
    Unknown,
}

impl FnKind {
    /// Returns what it is, for a message.
    pub fn describe(self) -> &'static str {
        match self {
            FnKind::Packages => "a package overlay",
            FnKind::PackageOverrides => "a packageOverrides function",
            FnKind::Scope => "an overlay of a nested scope",
            FnKind::Lib => "an overlay of lib",
            FnKind::Combinator => "a function that makes overlays from overlays",
            FnKind::DefaultArgument => "the default of an argument",
            FnKind::ThirdArgument => "a function with a third argument",
            FnKind::Unknown => "a function that nothing marks as an overlay",
        }
    }
}

/// An overlay-like function in the tree.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) kind: FnKind,
    /// The whole chain, from its first parameter on.
    pub(super) head: ast::Lambda,
    /// The lambda of the first of the two arguments; the same as `inner` when there is one argument.
    pub(super) outer: ast::Lambda,
    /// The lambda of the second argument, whose body is the overlay's.
    pub(super) inner: ast::Lambda,
}

impl Function {
    pub(super) fn first(&self) -> Option<String> {
        (self.outer.syntax() != self.inner.syntax()).then(|| param_text(&self.outer)).flatten()
    }

    pub(super) fn second(&self) -> Option<String> {
        param_text(&self.inner)
    }

    pub(super) fn body(&self) -> Option<Expr> {
        self.inner.body()
    }

    /// The place of the first argument.
    pub(super) fn place(&self) -> Span {
        self.outer.param().map_or_else(|| span(&self.outer), |p| trivia::span(p.syntax()))
    }
}

fn param_text(lambda: &ast::Lambda) -> Option<String> {
    ident_param(lambda).map(|t| t.text().to_string())
}

/// Returns every overlay-like function of a tree, in the order of the text.
pub(super) fn functions(root: &SyntaxNode, path: &std::path::Path, text: &str) -> Vec<Function> {
    // Most functions of an overlay are arguments of overrides: those are passed by before anything is made of them.
    let heads = walk::find(root, &mut |step| {
        use rnix::SyntaxKind::*;
        if step.kind() != NODE_LAMBDA {
            return false;
        }
        match step.around().find(|k| *k != NODE_PAREN) {
            Some(NODE_LAMBDA) => false,
            Some(NODE_ATTRPATH_VALUE) => true,
            _ => matches!(step.last_child(), Some(NODE_LAMBDA | NODE_PAREN)),
        }
    });
    heads.into_iter().filter_map(ast::Lambda::cast).filter_map(|lambda| classify(lambda, path, text)).collect()
}

/// Returns the overlay-like function whose first argument begins at `offset`.
pub(super) fn function_at(root: &SyntaxNode, path: &std::path::Path, text: &str, offset: usize) -> Option<Function> {
    let offset = rnix::TextSize::try_from(offset).ok().filter(|o| *o < root.text_range().end())?;
    let token = root.token_at_offset(offset).right_biased()?;
    let lambdas = token.parent_ancestors().filter_map(ast::Lambda::cast);
    lambdas.filter_map(|l| classify(l, path, text)).find(|f| f.place().start == usize::from(offset))
}

fn chain_of(head: &ast::Lambda) -> Vec<ast::Lambda> {
    let mut out = vec![head.clone()];
    let mut current = head.clone();
    while let Some(body) = current.body() {
        match unparen(body) {
            Expr::Lambda(next) => {
                out.push(next.clone());
                current = next;
            }
            _ => break,
        }
    }
    out
}

/// Where a function stands, parentheses and the layers around a result taken off.
enum Context {
    Root,
    /// Bound to these names, outermost last.
    Bound(Vec<String>),
    /// In a list; the names the list is bound to, and the function that is called with it.
    Element(Vec<String>, Option<String>),
    /// An argument of this call: the function's dotted text and last name.
    Argument(String, String),
    Default,
    Other,
}

fn classify(head: ast::Lambda, path: &std::path::Path, text: &str) -> Option<Function> {
    // Only the head of a chain is looked at.
    let mut up = head.syntax().parent()?;
    while up.kind() == rnix::SyntaxKind::NODE_PAREN {
        up = up.parent()?;
    }
    if up.kind() == rnix::SyntaxKind::NODE_LAMBDA {
        return None;
    }
    let chain = chain_of(&head);
    let plain = chain.iter().rev().take_while(|l| ident_param(l).is_some()).count();
    if plain == 1 && chain.len() == 1 {
        // Most lambdas of a file are arguments of overrides; only a bound one can be `packageOverrides`.
        if up.kind() != rnix::SyntaxKind::NODE_ATTRPATH_VALUE {
            return None;
        }
        let context = context_of(&head);
        let named = matches!(&context, Context::Bound(names) if names.first().is_some_and(|n| n == "packageOverrides"));
        let body = head.body().map(peel);
        if !named || matches!(body, Some(Expr::Lambda(_))) {
            return None;
        }
        let python = matches!(&context, Context::Bound(_)) && inside_override(head.syntax());
        let kind = if python { FnKind::Scope } else { FnKind::PackageOverrides };
        return Some(Function { kind, head: head.clone(), outer: head.clone(), inner: head });
    }
    if plain < 2 {
        return None;
    }
    let context = context_of(&head);
    let inner = chain.last()?.clone();
    let outer = chain.get(chain.len() - 2)?.clone();
    let (first, second) = (param_text(&outer)?, param_text(&inner)?);
    let before: Vec<&ast::Lambda> = chain[..chain.len() - 2].iter().collect();
    let kind = kind::kind_of(&first, &second, &before, &inner, &context, path, text)?;
    Some(Function { kind, head, outer, inner })
}

/// Says whether the node stands within `x.override { ... }` or `x.override (old: { ... })`.
fn inside_override(node: &SyntaxNode) -> bool {
    node.ancestors().filter_map(ast::Apply::cast).any(|apply| {
        apply
            .lambda()
            .is_some_and(|f| function_name(&unparen(f)).is_some_and(|n| n == "override" || n == "overridePackages"))
    })
}

fn context_of(head: &ast::Lambda) -> Context {
    let mut below = head.syntax().clone();
    while let Some(here) = below.parent() {
        use rnix::SyntaxKind::*;
        match here.kind() {
            NODE_PAREN | NODE_LET_IN | NODE_WITH | NODE_ASSERT | NODE_IF_ELSE | NODE_LAMBDA => {}
            NODE_ROOT => return Context::Root,
            NODE_PAT_ENTRY => return Context::Default,
            NODE_ATTRPATH_VALUE => return Context::Bound(binding_names(&here)),
            NODE_LIST => {
                let mut list = here.clone();
                while let Some(up) = list.parent() {
                    match up.kind() {
                        NODE_PAREN | NODE_BIN_OP | NODE_WITH | NODE_LET_IN => list = up,
                        NODE_ATTRPATH_VALUE => return Context::Element(binding_names(&up), None),
                        NODE_APPLY => {
                            let function = outermost_call(&up).and_then(|(head, _)| function_name(&head));
                            let names = up.ancestors().find(|a| a.kind() == NODE_ATTRPATH_VALUE);
                            return Context::Element(names.map(|n| binding_names(&n)).unwrap_or_default(), function);
                        }
                        _ => return Context::Element(Vec::new(), None),
                    }
                }
                return Context::Element(Vec::new(), None);
            }
            NODE_APPLY => {
                let Some((function, args)) = outermost_call(&here) else { return Context::Other };
                if span(&function).contains(trivia::span(&below)) {
                    return Context::Other;
                }
                let _ = args;
                let name = function_name(&function).unwrap_or_default();
                let text = dotted(&function).map_or_else(|| function.syntax().text().to_string(), |d| d.join("."));
                return Context::Argument(text, name);
            }
            _ => return Context::Other,
        }
        below = here;
    }
    Context::Root
}

fn outermost_call(apply: &SyntaxNode) -> Option<(Expr, Vec<Expr>)> {
    let mut top = apply.clone();
    while let Some(up) = top.parent().filter(|p| p.kind() == rnix::SyntaxKind::NODE_APPLY) {
        // Only the function side continues the same call.
        if up.first_child().as_ref() != Some(&top) {
            break;
        }
        top = up;
    }
    call(&Expr::cast(top)?)
}

/// The names a binding stands under, innermost first: `nixpkgs.overlays = [ ... ]` within `x = { ... }` gives
/// overlays, nixpkgs, x.
fn binding_names(value: &SyntaxNode) -> Vec<String> {
    let mut out = Vec::new();
    for binding in value.ancestors().filter_map(ast::AttrpathValue::cast).take(4) {
        if let Some(path) = binding.attrpath() {
            out.extend(path_names(&path).into_iter().rev().flatten());
        }
    }
    out
}

/// Says whether a file or a function is written by a program: editing it would be undone.
pub(super) fn generated(text: &str, path: &std::path::Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    if name.starts_with("generated") || name.contains("-generated.") || name.contains(".generated.") {
        return true;
    }
    let comments = text.lines().take_while(|l| l.trim().is_empty() || l.trim_start().starts_with(['#', '/', '*']));
    comments.take(12).any(|line| {
        let line = line.to_lowercase();
        ["do not edit", "automatically generated", "auto-generated", "autogenerated", "generated by", "@generated"]
            .iter()
            .any(|mark| line.contains(mark))
    })
}

/// Returns the names that parameters and bindings between the function and `node` give, innermost scopes included.
pub(super) fn shadowed(node: &SyntaxNode, function: &Function, name: &str) -> bool {
    match super::ast::lookup(node, name) {
        Some(super::ast::Bound::Parameter(lambda)) => lambda.syntax() != function.inner.syntax(),
        Some(_) => true,
        // Not found up to the root: the name is not this function's parameter at all.
        None => true,
    }
}
