//! What an expression that gives an overlay, or looks like one, is used as: by where it stands, and where the name that it
//! is bound to stands.
//!
//! Must not look at the function's own arguments or body.

use rnix::SyntaxNode;
use rnix::ast::{self, Entry, Expr, HasEntry};
use rowan::ast::AstNode;

use super::kind::{extended, overrides_name};
use super::{Context, FnKind, Function, binding_names, by_place, context_of, inside_override};
use crate::overlay::ast::{Bound, function_name, ident_param, lookup, path_names, unparen, uses};

/// How many names are followed from one to the next.
const NAMES: usize = 4;

/// Calls that are given a function of a derivation's attributes.
pub(super) const OF_ATTRIBUTES: &[&str] =
    &["overrideAttrs", "overrideDerivation", "overridePythonAttrs", "overrideCabal", "overrideModAttrs"];

/// Calls that are given an overlay of something that is no package set.
pub(super) const OF_SCOPES: &[&str] = &[
    "overrideScope",
    "overrideScope'",
    "overridePythonPackages",
    "extends",
    "makeExtensible",
    "makeExtensibleWithCustomName",
    "makeScope",
    "makeScopeWithSplicing",
    "makeScopeWithSplicing'",
    "fix",
    "fix'",
];

/// Returns what stands where `node` does is used as; `None` where nothing tells.
pub(in crate::overlay) fn used_as(node: &SyntaxNode) -> Option<FnKind> {
    used(node, NAMES)
}

fn used(node: &SyntaxNode, names: usize) -> Option<FnKind> {
    let (context, composed) = context_of(node);
    let kind = match context {
        Context::Argument(function) | Context::Element(_, _, Some(function)) => given(&function, node)?,
        Context::Element(bound, Some(binding), None) | Context::Bound(bound, binding) => {
            match of_names(&bound, &binding, "overlays") {
                Some(kind) => kind,
                None => match of_uses(&binding, names) {
                    Some(kind) => return Some(kind),
                    None => of_names(&bound, &binding, "overlay")?,
                },
            }
        }
        // Part of the overlay around it, whatever that one is.
        Context::Applied(around) => return overlay(&around).map(|function| function.kind),
        // A file that is a list, or a composition.
        Context::Element(_, None, None) => FnKind::Packages,
        Context::Root if composed => FnKind::Packages,
        Context::Root | Context::Default | Context::Other => return None,
    };
    let nested = kind == FnKind::Packages && within_overlay(node);
    Some(if nested { FnKind::Scope } else { kind })
}

/// What the function that a call is given is to be.
fn given(function: &Expr, node: &SyntaxNode) -> Option<FnKind> {
    let name = function_name(function)?;
    match name.as_str() {
        "extend" | "appendOverlays" => Some(extended(function, node)),
        name if OF_ATTRIBUTES.contains(&name) => Some(FnKind::Attributes),
        name if OF_SCOPES.contains(&name) => Some(FnKind::Scope),
        _ => None,
    }
}

/// What the names of a binding say, innermost first: a package overlay where one is what lists of overlays are called, or
/// has `word` in it.
fn of_names(names: &[String], binding: &SyntaxNode, word: &str) -> Option<FnKind> {
    let name = names.first()?.as_str();
    let near: Vec<&String> = names.iter().take(near_names(binding)).collect();
    if near.iter().any(|n| *n == "deviceTree") {
        return None;
    }
    if name == "pythonPackagesExtensions" || overrides_name(name) && inside_override(binding) {
        return Some(FnKind::Scope);
    }
    let overlays = |n: &str| {
        matches!(n, "overlays" | "crossOverlays" | "overlay") || word == "overlay" && n.to_lowercase().contains(word)
    };
    if name == "lib" && near.iter().any(|n| overlays(n)) {
        return Some(FnKind::Lib);
    }
    near.iter().take(3).any(|n| overlays(n)).then_some(FnKind::Packages)
}

/// How many of a binding's names are its own and those of the sets around it, up to the next function or list.
fn near_names(binding: &SyntaxNode) -> usize {
    use rnix::SyntaxKind::*;
    let sets = |n: &SyntaxNode| matches!(n.kind(), NODE_ATTRPATH_VALUE | NODE_ATTR_SET | NODE_PAREN | NODE_BIN_OP);
    let near = binding.ancestors().take_while(sets).filter_map(ast::AttrpathValue::cast);
    near.filter_map(|b| b.attrpath()).map(|p| p.attrs().count()).sum()
}

/// What a function is used as by the name that it is bound to, where it has one that is used.
pub(super) fn used_by_name(head: &ast::Lambda) -> Option<FnKind> {
    match context_of(head.syntax()).0 {
        Context::Bound(names, binding) | Context::Element(names, Some(binding), None) => {
            if of_names(&names, &binding, "overlays").is_some() {
                return None;
            }
            of_uses(&binding, NAMES)
        }
        _ => None,
    }
}

/// What the value of a binding is used as, by the places where its name stands.
fn of_uses(binding: &SyntaxNode, names: usize) -> Option<FnKind> {
    let names = names.checked_sub(1)?;
    let path: Vec<String> =
        path_names(&ast::AttrpathValue::cast(binding.clone())?.attrpath()?).into_iter().collect::<Option<_>>()?;
    let container = binding.parent()?;
    let by_name = ast::LetIn::can_cast(container.kind())
        || ast::AttrSet::cast(container.clone()).is_some_and(|set| set.rec_token().is_some());
    let mut places: Vec<SyntaxNode> = Vec::new();
    if by_name && let [name] = path.as_slice() {
        let value = ast::AttrpathValue::cast(binding.clone())?.value()?;
        let same = |use_of: &SyntaxNode| matches!(lookup(use_of, name), Some(Bound::Value(v)) if v == value);
        places.extend(uses(&container, name).into_iter().filter(same));
    } else if let [name, set, ..] = binding_names(binding).as_slice() {
        // `sets.name`, from wherever.
        let root = container.ancestors().last()?;
        let selects = root.descendants().filter_map(ast::Select::cast).filter(|select| {
            let mut all: Vec<Option<String>> = select.attrpath().map(|p| path_names(&p)).unwrap_or_default();
            if let Some(Expr::Ident(first)) = select.expr() {
                all.insert(0, Some(crate::overlay::ast::ident_text(&first)));
            }
            all.ends_with(&[Some(set.clone()), Some(name.clone())])
        });
        places.extend(selects.map(|s| s.syntax().clone()));
    }
    // What the set around it gives away is an overlay of packages, though another package set within an overlay has it as well.
    if !ast::LetIn::can_cast(container.kind()) && !within_overlay(&container) {
        let listed = |place: &SyntaxNode| match context_of(place).0 {
            Context::Element(names, Some(binding), None) => of_names(&names, &binding, "overlays"),
            _ => None,
        };
        places.retain(|place| listed(place) != Some(FnKind::Packages) || !within_overlay(place));
    }
    let kinds: Vec<FnKind> = places.iter().filter_map(|place| of_place(place, names)).collect();
    kinds.iter().find(|kind| **kind == FnKind::Packages).or(kinds.first()).copied()
}

fn of_place(place: &SyntaxNode, names: usize) -> Option<FnKind> {
    // `overlays = { inherit name; }` binds it once more.
    let Some(inherit) = place.parent().and_then(ast::Inherit::cast) else { return used(place, names) };
    let around: Vec<String> =
        std::iter::once(place.text().to_string()).chain(binding_names(inherit.syntax())).collect();
    let set = inherit.syntax().ancestors().find(|n| n.kind() == rnix::SyntaxKind::NODE_ATTRPATH_VALUE)?;
    let near = around.get(1).filter(|_| near_names(&set) > 0)?;
    matches!(near.as_str(), "overlays" | "overlay" | "crossOverlays").then_some(FnKind::Packages)
}

/// Returns the overlay function around a call whose last two arguments are that function's.
pub(super) fn applied(call: &SyntaxNode, args: &[Expr]) -> Option<SyntaxNode> {
    let [.., first, second] = args else { return None };
    let named = |arg: &Expr| match unparen(arg.clone()) {
        Expr::Ident(ident) => Some(crate::overlay::ast::ident_text(&ident)),
        _ => None,
    };
    let (first, second) = (named(first)?, named(second)?);
    let takes = |lambda: &ast::Lambda, name: &str| ident_param(lambda).is_some_and(|t| t.text() == name);
    call.ancestors().filter_map(ast::Lambda::cast).find_map(|inner| {
        let outer = inner.syntax().ancestors().skip(1).find(|n| n.kind() != rnix::SyntaxKind::NODE_PAREN)?;
        let outer = ast::Lambda::cast(outer)?;
        (takes(&inner, &second) && takes(&outer, &first)).then(|| outer.syntax().clone())
    })
}

/// The overlay function, if it is one, whose first argument's lambda is given.
fn overlay(outer: &SyntaxNode) -> Option<Function> {
    use rnix::SyntaxKind::*;
    let chain = outer.ancestors().take_while(|n| matches!(n.kind(), NODE_LAMBDA | NODE_PAREN));
    // By its own place alone: names are not followed from here, for they may lead back.
    by_place(chain.filter_map(ast::Lambda::cast).last()?, std::path::Path::new(""), "")
}

/// Says whether a node is in the body of an overlay.
pub(super) fn within_overlay(node: &SyntaxNode) -> bool {
    around(node).is_some()
}

/// The nearest overlay in whose body a node is.
fn around(node: &SyntaxNode) -> Option<Function> {
    let mut heads = node.ancestors().skip(1).filter_map(ast::Lambda::cast).filter(|lambda| {
        let body = lambda.body().map(unparen);
        ident_param(lambda).is_some()
            && matches!(&body, Some(Expr::Lambda(inner)) if ident_param(inner).is_some()
                && inner.syntax() != node && inner.syntax().text_range().contains_range(node.text_range()))
    });
    heads.find_map(|outer| {
        let function = overlay(outer.syntax())?;
        let overlays = matches!(function.kind, FnKind::Packages | FnKind::Scope | FnKind::PackageOverrides);
        (overlays && function.outer == outer).then_some(function)
    })
}

/// Returns the path of the set that a function within an overlay overlays: what it extends, or where the result is bound.
pub(in crate::overlay) fn scope_path(function: &Function) -> Vec<String> {
    if function.kind != FnKind::Scope {
        return Vec::new();
    }
    let head = function.head.syntax();
    let Some(outer) = around(head) else { return Vec::new() };
    let extends = match context_of(head).0 {
        Context::Argument(Expr::Select(select)) | Context::Element(_, _, Some(Expr::Select(select))) => Some(select),
        _ => None,
    };
    if let Some(select) = extends
        && let Some(Expr::Ident(argument)) = select.expr()
        && [outer.first(), outer.second()].contains(&Some(crate::overlay::ast::ident_text(&argument)))
        && let Some(names) = select.attrpath().and_then(|p| path_names(&p).into_iter().collect::<Option<Vec<String>>>())
        && names.len() > 1
    {
        return names[..names.len() - 1].to_vec();
    }
    let within = head.ancestors().skip(1).take_while(|n| n != outer.inner.syntax());
    let mut names: Vec<String> = Vec::new();
    for binding in within.filter_map(ast::AttrpathValue::cast) {
        let path = binding.attrpath().map(|p| path_names(&p)).unwrap_or_default();
        // The arguments of what is called are no attributes of the set.
        if binding.syntax().parent().and_then(ast::AttrSet::cast).is_some_and(|set| !is_argument(&set)) {
            names.splice(0..0, path.into_iter().flatten());
        }
    }
    // An interpreter holds the packages of its set.
    if let [interpreter] = names.as_slice()
        && let set = format!("{interpreter}Packages")
        && crate::overlay::scopes::python_interpreter(&set).is_some_and(|i| i == *interpreter)
    {
        return vec![set];
    }
    names
}

fn is_argument(set: &ast::AttrSet) -> bool {
    use rnix::SyntaxKind::*;
    let up = set.syntax().ancestors().skip(1).find(|n| !matches!(n.kind(), NODE_PAREN | NODE_BIN_OP));
    match up {
        Some(up) if up.kind() == NODE_APPLY => true,
        // `old: { overrides = ...; }`
        Some(up) if up.kind() == NODE_LAMBDA => {
            let entries = set.entries().all(|e| matches!(e, Entry::AttrpathValue(_)));
            entries && inside_override(set.syntax())
        }
        _ => false,
    }
}
