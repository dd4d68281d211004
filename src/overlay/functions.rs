//! Finding the overlay-like functions of a file and saying of each what it overlays.
//!
//! The two arguments are taken by position: the last two of a chain of plain parameters. Must not plan edits.

mod kind;
mod used;

pub(super) use used::{scope_path, used_as};

use rnix::SyntaxNode;
use rnix::ast::{self, Expr};
use rowan::ast::AstNode;
use serde::Serialize;

use super::ast::{call, function_name, ident_param, parameter_names, path_names, peel, span, unparen};
use crate::base::span::Span;
use crate::syntax::{trivia, walk};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FnKind {
    /// `final: prev: { ... }` over the whole package set.
    Packages,
    /// `pkgs: { ... }` given as `packageOverrides`: the one argument is what is there before.
    PackageOverrides,
    /// Over a set within the package set: Python, Haskell, a kernel's modules, another package set within an overlay
    /// (`pkgsStatic`), a user's own scope or fixed point.
    Scope,
    /// Over `lib`.
    Lib,
    /// Over the attributes of one derivation: what `overrideAttrs` is given.
    Attributes,
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
            FnKind::Attributes => "a function of a derivation's attributes",
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
    /// The binding of flake-parts' `overlayAttrs`, whose value is the overlay: the module's `pkgs` is what is there before.
    pub(super) attrs: Option<ast::AttrpathValue>,
}

impl Function {
    pub(super) fn first(&self) -> Option<String> {
        if self.attrs.is_some() {
            return self.argument("final");
        }
        (self.outer.syntax() != self.inner.syntax()).then(|| param_text(&self.outer)).flatten()
    }

    pub(super) fn second(&self) -> Option<String> {
        if self.attrs.is_some() { self.argument("pkgs") } else { param_text(&self.inner) }
    }

    fn argument(&self, name: &str) -> Option<String> {
        parameter_names(&self.inner).into_iter().find(|n| n == name)
    }

    pub(super) fn body(&self) -> Option<Expr> {
        match &self.attrs {
            Some(binding) => binding.value(),
            None => self.inner.body(),
        }
    }

    /// The place of the first argument.
    pub(super) fn place(&self) -> Span {
        if let Some(path) = self.attrs.as_ref().and_then(ast::AttrpathValue::attrpath) {
            return span(&path);
        }
        self.outer.param().map_or_else(|| span(&self.outer), |p| trivia::span(p.syntax()))
    }
}

fn param_text(lambda: &ast::Lambda) -> Option<String> {
    ident_param(lambda).map(|t| t.text().to_string())
}

/// Returns every overlay-like function of a tree, in the order of the text.
pub(super) fn functions(root: &SyntaxNode, path: &std::path::Path, text: &str) -> Vec<Function> {
    // Most functions of an overlay are arguments of overrides: those are passed by before anything is made of them.
    let modules = text.contains(EASY_OVERLAY);
    let heads = walk::find(root, &mut |step| {
        use rnix::SyntaxKind::*;
        if step.kind() != NODE_LAMBDA {
            return modules && step.kind() == NODE_ATTRPATH_VALUE;
        }
        match step.around().find(|k| *k != NODE_PAREN) {
            Some(NODE_LAMBDA) => false,
            Some(NODE_ATTRPATH_VALUE) => true,
            _ => matches!(step.last_child(), Some(NODE_LAMBDA | NODE_PAREN)),
        }
    });
    let found = heads.into_iter().filter_map(|node| match ast::Lambda::cast(node.clone()) {
        Some(lambda) => classify(lambda, path, text),
        None => easy_overlay(node),
    });
    found.collect()
}

/// The option of flake-parts' `easyOverlay` that holds the packages of `overlays.default`.
const EASY_OVERLAY: &str = "overlayAttrs";

/// `overlayAttrs = { ... };` of a module: flake-parts evaluates the module once more with what was there before as `pkgs`.
fn easy_overlay(binding: SyntaxNode) -> Option<Function> {
    let binding = ast::AttrpathValue::cast(binding)?;
    let names = path_names(&binding.attrpath()?);
    if names.last().cloned().flatten().as_deref() != Some(EASY_OVERLAY) {
        return None;
    }
    let module = binding.syntax().ancestors().find_map(ast::Lambda::cast)?;
    let (head, outer) = (module.clone(), module.clone());
    Some(Function { kind: FnKind::Packages, head, outer, inner: module, attrs: Some(binding) })
}

/// Returns the overlay-like function whose first argument begins at `offset`.
pub(super) fn function_at(root: &SyntaxNode, path: &std::path::Path, text: &str, offset: usize) -> Option<Function> {
    let offset = rnix::TextSize::try_from(offset).ok().filter(|o| *o < root.text_range().end())?;
    let token = root.token_at_offset(offset).right_biased()?;
    let functions = token.parent_ancestors().filter_map(|node| match ast::Lambda::cast(node.clone()) {
        Some(lambda) => classify(lambda, path, text),
        None => easy_overlay(node),
    });
    let mut functions = functions;
    functions.find(|f| f.place().start == usize::from(offset))
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
    /// Bound to these names, innermost first, by this binding.
    Bound(Vec<String>, SyntaxNode),
    /// In a list; the names and the binding of the list, and the function that is called with it.
    Element(Vec<String>, Option<SyntaxNode>, Option<Expr>),
    /// An argument of this function.
    Argument(Expr),
    /// Called with the arguments of an overlay around it: part of that one.
    Applied(SyntaxNode),
    Default,
    Other,
}

fn classify(head: ast::Lambda, path: &std::path::Path, text: &str) -> Option<Function> {
    let node = head.syntax().clone();
    let plain = by_place(head.clone(), path, text);
    // Most lambdas of a file are no pair of arguments, and need no further look.
    let pair = match &plain {
        Some(function) => function.clone(),
        None => pair_of(&head)?,
    };
    if pair.outer == pair.inner {
        return plain;
    }
    // `helper = final': pkgs: import pkgs.path { ... };`, called with both arguments, gives no part of the overlay.
    let helper = plain.is_none()
        && param_text(&pair.inner).is_some_and(|second| second == "pkgs")
        && !kind::set_like(&pair.inner);
    if let Some(kind) = used::used_by_name(&head).filter(|kind| !helper || *kind != FnKind::Packages) {
        return Some(Function { kind, ..pair });
    }
    let function = plain?;
    // What is overlaid within an overlay is another set, unless it is applied to the same arguments.
    let nested = function.kind == FnKind::Packages
        && used::within_overlay(&node)
        && used::used_as(&node) != Some(FnKind::Packages);
    Some(if nested { Function { kind: FnKind::Scope, ..function } } else { function })
}

/// A bound function of two plain arguments at the end, of whatever kind.
fn pair_of(head: &ast::Lambda) -> Option<Function> {
    let up = head.syntax().ancestors().skip(1).find(|n| n.kind() != rnix::SyntaxKind::NODE_PAREN)?;
    let chain = chain_of(head);
    let [.., outer, inner] = chain.as_slice() else { return None };
    let plain = ident_param(outer).is_some() && ident_param(inner).is_some();
    (plain && up.kind() == rnix::SyntaxKind::NODE_ATTRPATH_VALUE).then(|| Function {
        kind: FnKind::Unknown,
        head: head.clone(),
        outer: outer.clone(),
        inner: inner.clone(),
        attrs: None,
    })
}

/// What a function is by the place where it stands and what it looks like.
fn by_place(head: ast::Lambda, path: &std::path::Path, text: &str) -> Option<Function> {
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
        let (context, _) = context_of(head.syntax());
        let named =
            matches!(&context, Context::Bound(names, _) if names.first().is_some_and(|n| n == "packageOverrides"));
        let body = head.body().map(peel);
        if !named || matches!(body, Some(Expr::Lambda(_))) {
            return None;
        }
        let kind = if inside_override(head.syntax()) { FnKind::Scope } else { FnKind::PackageOverrides };
        return Some(Function { kind, head: head.clone(), outer: head.clone(), inner: head, attrs: None });
    }
    if plain < 2 {
        return None;
    }
    let inner = chain.last()?.clone();
    let outer = chain.get(chain.len() - 2)?.clone();
    let (first, second) = (param_text(&outer)?, param_text(&inner)?);
    let before: Vec<&ast::Lambda> = chain[..chain.len() - 2].iter().collect();
    let kind = kind::kind_of(&first, &second, &before, &inner, context_of(head.syntax()), path, text)?;
    Some(Function { kind, head, outer, inner, attrs: None })
}

/// Says whether the node stands within `x.override { ... }` or `x.override (old: { ... })`.
fn inside_override(node: &SyntaxNode) -> bool {
    node.ancestors().filter_map(ast::Apply::cast).any(|apply| {
        apply
            .lambda()
            .is_some_and(|f| function_name(&unparen(f)).is_some_and(|n| n == "override" || n == "overridePackages"))
    })
}

/// Functions that give what they are given, or a list of it: what stands in them stands where they do.
const PASSING: &[&str] = &[
    "composeExtensions",
    "composeManyExtensions",
    "concatLists",
    "flatten",
    "foldl'",
    "foldr",
    "import",
    "map",
    "mkAfter",
    "mkBefore",
    "mkDefault",
    "mkForce",
    "mkIf",
    "mkMerge",
    "mkOrder",
    "mkOverride",
    "optional",
    "optionals",
    "singleton",
    "toList",
];

/// Returns where an expression stands, and whether it is composed with others there.
fn context_of(node: &SyntaxNode) -> (Context, bool) {
    use rnix::SyntaxKind::*;
    let mut below = node.clone();
    let (mut listed, mut composed) = (false, false);
    while let Some(here) = below.parent() {
        let mut next = here.clone();
        match here.kind() {
            NODE_PAREN | NODE_LET_IN | NODE_WITH | NODE_ASSERT | NODE_IF_ELSE | NODE_LAMBDA => {}
            NODE_BIN_OP
                if listed
                    || ast::BinOp::cast(here.clone()).is_some_and(|b| b.operator() == Some(ast::BinOpKind::Concat)) => {
            }
            NODE_LIST => listed = true,
            NODE_ROOT => break,
            NODE_PAT_ENTRY => return (Context::Default, composed),
            NODE_ATTRPATH_VALUE => {
                let names = binding_names(&here);
                let bound =
                    if listed { Context::Element(names, Some(here), None) } else { Context::Bound(names, here) };
                return (bound, composed);
            }
            NODE_APPLY => {
                let Some((top, function, args)) = outermost_call(&here) else { return (Context::Other, composed) };
                let name = function_name(&function).unwrap_or_default();
                let here_at = args.iter().position(|a| span(a).contains(trivia::span(&below)));
                let Some(at) = here_at else {
                    let applied = used::applied(&top, &args);
                    return (applied.map_or(Context::Other, Context::Applied), composed);
                };
                let passed = if name == "import" { at == 0 } else { at + 1 == args.len() };
                let composes = matches!(name.as_str(), "composeExtensions" | "composeManyExtensions");
                if !(PASSING.contains(&name.as_str()) && (passed || composes)) {
                    let given = if listed {
                        let binding = top.ancestors().find(|a| a.kind() == NODE_ATTRPATH_VALUE);
                        let names = binding.as_ref().map(binding_names).unwrap_or_default();
                        Context::Element(names, None, Some(function))
                    } else {
                        Context::Argument(function)
                    };
                    return (given, composed);
                }
                if (composes || name == "import")
                    && let Some(applied) = used::applied(&top, &args)
                {
                    return (Context::Applied(applied), composed);
                }
                composed |= composes;
                listed |= matches!(name.as_str(), "optional" | "singleton" | "toList");
                listed &= name != "composeManyExtensions";
                next = top;
            }
            _ => return (Context::Other, composed),
        }
        below = next;
    }
    (if listed { Context::Element(Vec::new(), None, None) } else { Context::Root }, composed)
}

/// The whole call that an application is part of: the node, the function and its arguments.
fn outermost_call(apply: &SyntaxNode) -> Option<(SyntaxNode, Expr, Vec<Expr>)> {
    let mut top = apply.clone();
    while let Some(up) = top.parent().filter(|p| p.kind() == rnix::SyntaxKind::NODE_APPLY) {
        // Only the function side continues the same call.
        if up.first_child().as_ref() != Some(&top) {
            break;
        }
        top = up;
    }
    let (function, args) = call(&Expr::cast(top.clone())?)?;
    Some((top, function, args))
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
