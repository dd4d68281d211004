//! Sets of packages within the package set: which way leads into each, and where an overlay already goes it.
//!
//! Must not plan edits of the bindings inside: those are the inner overlay function's own.

use rnix::ast::{self, BinOpKind, Expr};
use rowan::ast::AstNode;

use super::FnKind;
use super::ast::{Bound, bound, chain, ident_param, ident_text, path_names, span, unparen, uses};
use super::body::{Body, Definition};
use super::functions::Function;
use super::layout::Style;
use super::request::{Facts, ScopeKept, ScopeMethod};
use crate::syntax::make;

/// How a scope is overridden when the overlay does not do it yet: the key to bind, and the text around the inner set.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    /// The key that the overlay binds.
    pub(super) key: String,
    /// What stands before the inner set, given `base`: the text that gives the value that is there.
    pub(super) open: String,
    pub(super) close: String,
    /// The text that gives the inner set's packages as they are.
    pub(super) inner_prev: String,
    /// Another binding that must be there as well.
    pub(super) also: Option<(String, String)>,
}

/// The name that a scope has in what is written around its override, so that it is named once.
pub(super) const KEPT: &str = "scopeKept";

/// Returns the scope's way in that nixpkgs usually has, for when Nix was not asked.
fn usual_method(scope: &str) -> Option<ScopeMethod> {
    if python_interpreter(scope).is_some() {
        return Some(ScopeMethod::PythonExtensions);
    }
    let compiler = scope.strip_prefix("ghc").is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit()));
    let kernel = ["linuxPackages", "linux_"].iter().any(|stem| scope.starts_with(stem));
    if kernel || compiler || scope.starts_with("haskellPackages") {
        return Some(ScopeMethod::Extend);
    }
    if matches!(
        scope,
        "libsForQt5"
            | "qt5"
            | "qt6"
            | "qt6Packages"
            | "kdePackages"
            | "xorg"
            | "gnome"
            | "plasma5Packages"
            | "emacsPackages"
    ) || scope.starts_with("ocamlPackages")
        || scope.starts_with("ocaml-ng")
        || scope.starts_with("emacsPackages")
        || scope.starts_with("qt5")
    {
        return Some(ScopeMethod::OverrideScope);
    }
    if scope.starts_with("perl") && scope.ends_with("Packages")
        || scope.starts_with("lua") && scope.ends_with("Packages")
        || scope.starts_with("luajit")
        || scope.starts_with("nodePackages")
        || scope == "nodejs"
    {
        return Some(ScopeMethod::Merge);
    }
    None
}

/// Returns the interpreter whose packages a Python set holds.
pub(crate) fn python_interpreter(scope: &str) -> Option<String> {
    let stem = scope.strip_suffix("Packages")?;
    let digits = stem.strip_prefix("python").or_else(|| stem.strip_prefix("pypy"))?;
    digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| if stem == "python" { "python3".into() } else { stem.to_string() })
}

/// The names that a recipe is written with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) first: Option<&'a str>,
    pub(super) prev: &'a str,
    /// The package set, which has `lib`.
    pub(super) set: &'a str,
}

/// Returns the recipe for a scope within scopes (`haskell`, `packages`, `ghc96`): each set is merged over what was
/// there, the last one is overridden in its own way. `None` when no way is known.
pub(super) fn recipe(scope: &str, inner: &[String], facts: &Facts, names: Names<'_>, style: &Style) -> Option<Recipe> {
    let base = make::select(names.prev, scope);
    if let Some((next, rest)) = inner.split_first() {
        let below = recipe(next, rest, facts, Names { prev: &base, ..names }, style).filter(|r| r.also.is_none())?;
        return Some(Recipe {
            key: scope.to_string(),
            open: format!("{base} // {{ {} = {}", make::attr_name(&below.key), below.open),
            close: format!("{}; }}", below.close),
            ..below
        });
    }
    let method = facts.scope.or_else(|| usual_method(scope))?;
    let Names { first, prev, set } = names;
    let set_function = |how: &str| {
        let kept = |open: &str| format!("let {KEPT} = {base}; in {KEPT} // {open}.{how} (_scopeFinal: scopePrev: ");
        let (open, close) = match facts.kept {
            ScopeKept::All => (format!("{base}.{how} (_scopeFinal: scopePrev: "), ")".to_string()),
            ScopeKept::Merged => (kept(KEPT), ")".to_string()),
            ScopeKept::Overridable => (
                kept(&format!("{set}.lib.makeOverridable (scopeArgs: ({KEPT}.override scopeArgs)")),
                format!(")) {}", style.empty_set()),
            ),
        };
        Recipe { key: scope.to_string(), open, close, inner_prev: "scopePrev".into(), also: None }
    };
    Some(match method {
        ScopeMethod::Extend => set_function("extend"),
        ScopeMethod::OverrideScope => set_function("overrideScope"),
        ScopeMethod::OverrideScopePrime => set_function("overrideScope'"),
        ScopeMethod::Merge => Recipe {
            key: scope.to_string(),
            open: format!("{base} // "),
            close: String::new(),
            inner_prev: base.to_string(),
            also: None,
        },
        ScopeMethod::Overrides => Recipe {
            key: scope.to_string(),
            open: format!(
                "{base}.override (old: {{ overrides = {set}.lib.composeExtensions (old.overrides or (_: _: {})) (_scopeFinal: scopePrev: ",
                style.empty_set()
            ),
            close: "); })".into(),
            inner_prev: "scopePrev".into(),
            also: None,
        },
        ScopeMethod::PythonExtensions => Recipe {
            key: "pythonPackagesExtensions".into(),
            open: format!("({prev}.pythonPackagesExtensions or {}) ++ [ (_pyFinal: pyPrev: ", style.empty_list()),
            close: ") ]".into(),
            inner_prev: "pyPrev".into(),
            also: None,
        },
        ScopeMethod::PythonPackageOverrides => {
            let interpreter = facts.interpreter.clone().or_else(|| python_interpreter(scope))?;
            let first = first?;
            Recipe {
                open: format!(
                    "{}.override (old: {{ packageOverrides = {set}.lib.composeExtensions (old.packageOverrides or (_: _: {})) (_pyFinal: pyPrev: ",
                    make::select(prev, &interpreter),
                    style.empty_set()
                ),
                close: "); })".into(),
                inner_prev: "pyPrev".into(),
                // Over what is there: `recurseForDerivations` stands beside the packages.
                also: Some((scope.to_string(), format!("{base} // {}.pkgs", make::select(first, &interpreter)))),
                key: interpreter,
            }
        }
    })
}

/// A place in an overlay where packages of a scope are bound already.
#[derive(Debug, Clone)]
pub(super) enum Site {
    /// An overlay function within the value of a key.
    Inner(Box<Function>),
    /// A set merged over the scope: `prev.xorg // { ... }`; the text of what it is merged over.
    Merged(ast::AttrSet, String),
}

/// Returns the names of a binding's path when all are known.
pub(super) fn path_of(entry: &ast::AttrpathValue) -> Option<Vec<String>> {
    path_names(&entry.attrpath()?).into_iter().collect()
}

/// The keys under which a scope may be overridden.
fn keys_of(scope: &str, facts: &Facts) -> Vec<String> {
    let mut keys = vec![scope.to_string()];
    if let Some(interpreter) = facts.interpreter.clone().or_else(|| python_interpreter(scope)) {
        keys.push("pythonPackagesExtensions".into());
        if scope == "python3Packages" || scope == "pythonPackages" {
            keys.push("python3".into());
        }
        keys.push(interpreter);
    }
    keys.dedup();
    keys
}

/// Returns the places of a body where packages of `scope` are bound already, the last one first.
pub(super) fn sites(body: &Body, scope: &str, facts: &Facts, text: &str) -> Vec<Site> {
    let mut out = Vec::new();
    let mut keys = keys_of(scope, facts);
    if facts.scope == Some(ScopeMethod::PythonExtensions) && body.find(scope).is_empty() {
        // One interpreter's `packageOverrides` would reach its own set, which this one need not be.
        keys.retain(|key| key == "pythonPackagesExtensions");
    }
    for key in keys {
        out.extend(sites_at(body, &key, text));
    }
    out
}

/// Returns the places below one key where packages of a scope are bound, the last one first.
pub(super) fn sites_at(body: &Body, key: &str, text: &str) -> Vec<Site> {
    let mut out = Vec::new();
    for found in body.find(key).into_iter().rev() {
        if let Definition::Value(_, value) = &found.definition {
            out.extend(sites_in(value, text));
        }
    }
    out
}

fn sites_in(value: &Expr, text: &str) -> Vec<Site> {
    let mut out: Vec<Site> = Vec::new();
    let mut value = value.clone();
    for _ in 0..8 {
        match &value {
            Expr::Ident(ident) if let Some(Bound::Value(bound)) = bound(ident) => value = bound,
            _ => break,
        }
    }
    let value = &value;
    let parts = chain(value, BinOpKind::Update);
    if parts.len() > 1
        && let Some(Expr::AttrSet(set)) = parts.last().cloned().map(unparen)
        && let Some(before) = parts.get(parts.len() - 2)
        && let Some(first) = parts.first()
        && super::body::keys_known(&set)
    {
        let base = text[span(first).start..span(before).end].to_string();
        if matches!(unparen(first.clone()), Expr::Select(_) | Expr::Ident(_)) && parts.len() == 2 {
            out.push(Site::Merged(set, base));
        }
    }
    for node in value.syntax().descendants() {
        let lambda = match Expr::cast(node.clone()) {
            Some(Expr::Lambda(lambda)) => lambda,
            // By its name, where that stands nowhere else: what several sets share is no place of one of them.
            Some(Expr::Ident(ident)) => match bound(&ident) {
                Some(Bound::Value(Expr::Lambda(lambda))) if used_once(&ident, &lambda) => lambda,
                _ => continue,
            },
            _ => continue,
        };
        let Some(Expr::Lambda(inner)) = lambda.body().map(unparen) else { continue };
        if ident_param(&lambda).is_none() || ident_param(&inner).is_none() || !leads_to(&node, value) {
            continue;
        }
        if matches!(inner.body().map(unparen), Some(Expr::Lambda(_))) {
            continue;
        }
        let function = Function { kind: FnKind::Scope, head: lambda.clone(), outer: lambda, inner, attrs: None };
        out.insert(0, Site::Inner(Box::new(function)));
    }
    // `_: _: { }` is the empty default of a composition, not a place.
    out.retain(|s| match s {
        Site::Inner(f) => {
            let blank = |n: Option<String>| n.is_some_and(|n| n == "_");
            !(blank(f.first()) && blank(f.second()))
        }
        Site::Merged(..) => true,
    });
    out
}

/// Says whether a function that is bound to a name is used in this place alone.
fn used_once(ident: &ast::Ident, lambda: &ast::Lambda) -> bool {
    let scope = lambda.syntax().ancestors().find_map(ast::AttrpathValue::cast).and_then(|b| b.syntax().parent());
    scope.is_some_and(|scope| uses(&scope, &ident_text(ident)).len() == 1)
}

/// Says whether a function is handed to what the value calls, not to something within one of its packages.
fn leads_to(function: &rnix::SyntaxNode, value: &Expr) -> bool {
    let mut below = function.clone();
    while &below != value.syntax() {
        let Some(up) = below.parent() else { return false };
        use rnix::SyntaxKind::*;
        let passes = match up.kind() {
            NODE_PAREN | NODE_LIST | NODE_BIN_OP | NODE_ATTR_SET | NODE_LET_IN | NODE_WITH | NODE_IF_ELSE => true,
            NODE_APPLY => {
                let name = super::ast::call(&match Expr::cast(outermost(&up)) {
                    Some(e) => e,
                    None => return false,
                })
                .and_then(|(head, _)| super::ast::function_name(&head));
                name.is_none_or(|n| {
                    matches!(
                        n.as_str(),
                        "extend"
                            | "appendOverlays"
                            | "import"
                            | "overrideScope"
                            | "overrideScope'"
                            | "override"
                            | "composeExtensions"
                            | "composeManyExtensions"
                            | "recurseIntoAttrs"
                            | "makeOverridable"
                    )
                })
            }
            NODE_LAMBDA => ast::Lambda::cast(up.clone())
                .is_some_and(|l| l.body().map(unparen).is_some_and(|b| !matches!(b, Expr::Lambda(_)))),
            NODE_ATTRPATH_VALUE => ast::AttrpathValue::cast(up.clone())
                .and_then(|v| v.attrpath())
                .map(|p| path_names(&p))
                .and_then(|n| n.last().cloned().flatten())
                .is_some_and(|n| matches!(n.as_str(), "packageOverrides" | "overrides" | "overlays" | "crossOverlays")),
            _ => false,
        };
        if !passes {
            return false;
        }
        below = up;
    }
    true
}

fn outermost(apply: &rnix::SyntaxNode) -> rnix::SyntaxNode {
    let mut top = apply.clone();
    while let Some(up) = top.parent().filter(|p| p.kind() == rnix::SyntaxKind::NODE_APPLY) {
        if up.first_child().as_ref() != Some(&top) {
            break;
        }
        top = up;
    }
    top
}
