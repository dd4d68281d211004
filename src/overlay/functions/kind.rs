//! What a function of two arguments overlays: by where it stands, by what it is called, and by its arguments' names.
//!
//! Must not look for functions.

use rnix::SyntaxNode;
use rnix::ast::{self, Expr};
use rowan::ast::AstNode;

use super::used::OF_SCOPES;
use super::{Context, FnKind, binding_names, inside_override, param_text};
use crate::overlay::ast::{call, function_name, mentions, path_names, peel, unparen};

/// Calls whose two-argument functions are no overlays.
const NO_OVERLAY: &[&str] = &[
    "overrideAttrs",
    "overrideDerivation",
    "overridePythonAttrs",
    "overrideCabal",
    "overrideModAttrs",
    "mapAttrs",
    "mapAttrs'",
    "mapAttrsToList",
    "mapAttrsRecursive",
    "mapAttrsRecursiveCond",
    "concatMapAttrs",
    "concatMapAttrsStringSep",
    "filterAttrs",
    "filterAttrsRecursive",
    "foldl",
    "foldl'",
    "foldr",
    "fold",
    "foldlAttrs",
    "foldAttrs",
    "imap0",
    "imap1",
    "zipListsWith",
    "zipAttrsWith",
    "zipAttrsWithNames",
    "sort",
    "toposort",
    "partition",
    "genAttrs",
    "override",
    "callPackage",
    "callPackageWith",
    "mkOverride",
    "cleanSourceWith",
    "crossLists",
    "groupBy",
    "groupBy'",
    "attrsToList",
    "withSystem",
    "mkDerivation",
    "buildGoModule",
    "buildRustPackage",
    "buildPythonPackage",
    "buildPythonApplication",
    "buildNpmPackage",
    "eachDefaultSystem",
    "forAllSystems",
    "optionalString",
    "flip",
];

fn plain_name(name: &str) -> &str {
    name.trim_start_matches('_').trim_end_matches(['_', '\''])
}

fn is_final(name: &str) -> bool {
    matches!(plain_name(name), "final" | "self" | "next" | "finalPkgs" | "fin" | "pkgsFinal" | "selfPkgs" | "pkgs")
}

fn is_prev(name: &str) -> bool {
    matches!(
        plain_name(name),
        "prev" | "super" | "previous" | "prevPkgs" | "pkgsPrev" | "finalPrev" | "superPkgs" | "pkgs" | "base" | "old"
    )
}

/// Words that arguments named after a whole package set have in them (`stableFinal`, `prevPkgs`).
const PACKAGE_SETS: &[&str] =
    &["stable", "pkgs", "cross", "musl", "static", "overlay", "nixos", "inner", "outer", "host"];

/// Names as scopes use them: `pyfinal: pyprev`, `rosSelf: rosSuper`, `finalScope: prevScope`.
fn is_scope_pair(first: &str, second: &str) -> bool {
    let side = |name: &str, words: &[&str]| {
        let name = plain_name(name);
        let lower = name.to_lowercase();
        words.iter().any(|w| lower != *w && (lower.ends_with(w) || lower.starts_with(w)))
            && !PACKAGE_SETS.iter().any(|p| lower.contains(p))
            && !matches!(name, "finalPrev" | "previous" | "finalFinal" | "prevFinal" | "finalprev")
    };
    let plain = |name: &str| plain_name(name).is_empty();
    let left = side(first, &["final", "self"]);
    let right = side(second, &["prev", "super"]);
    if left { right || plain(second) } else { right && plain(first) }
}

/// Says whether one of the words of a name (`pythonOverlay`, `ros-overlay`) names a scope.
fn scope_word(name: &str) -> bool {
    let mut words: Vec<String> = vec![String::new()];
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(last) = words.last_mut()
        {
            last.extend(c.to_lowercase());
        }
    }
    const LONG: &[&str] =
        &["haskell", "python", "hackage", "emacs", "ocaml", "perl", "ruby", "kernel", "poetry", "melpa"];
    const SHORT: &[&str] = &["ghc", "ros", "lua", "elpa"];
    words.iter().any(|w| {
        let stem = w.trim_end_matches(|c: char| c.is_ascii_digit());
        LONG.iter().any(|l| stem.starts_with(l)) || SHORT.contains(&stem)
    })
}

pub(super) fn kind_of(
    first: &str,
    second: &str,
    before: &[&ast::Lambda],
    inner: &ast::Lambda,
    (context, composed): (Context, bool),
    path: &std::path::Path,
    source: &str,
) -> Option<FnKind> {
    let named = (is_final(first) && is_prev(second))
        || (is_prev(first) && is_final(second))
        || (plain_name(first).is_empty() && is_prev(second))
        || (is_final(first) && plain_name(second).is_empty())
        || is_prev(first) && is_prev(second) && first != second;
    let scoped = is_scope_pair(first, second);
    let of_set = |name: &str, words: &[&str]| {
        let lower = plain_name(name).to_lowercase();
        words.iter().any(|w| lower.ends_with(w) || lower.starts_with(w))
            && PACKAGE_SETS.iter().any(|p| lower.contains(p))
    };
    let named = named || of_set(first, &["final", "self"]) && of_set(second, &["prev", "super"]);
    // What is composed is an overlay, whatever its arguments are called.
    let blank = composed || plain_name(first).is_empty() && plain_name(second).is_empty();
    let named = named || composed && !scoped;

    if let Some(kind) = before_pair(first, second, before, inner) {
        return Some(kind);
    }
    // `final': pkgs: import ...` is a helper with the package set as an argument.
    if plain_name(second) == "pkgs" && !set_like(inner) && !matches!(context, Context::Root | Context::Element(..)) {
        return None;
    }
    let by_name = |fallback: FnKind| {
        if scoped { FnKind::Scope } else { fallback }
    };
    match &context {
        Context::Default => (named || scoped || blank).then_some(FnKind::DefaultArgument),
        Context::Applied(_) => Some(by_name(FnKind::Packages)),
        Context::Argument(function) => match argument_kind(function, named || blank, scoped, inner) {
            Some(FnKind::Unknown) if haskell_folder(path) => Some(FnKind::Scope),
            Some(FnKind::Unknown) if composed => Some(FnKind::Packages),
            kind => kind,
        },
        // `hardware.deviceTree.overlays` has the name and nothing else in common.
        Context::Element(names, _, _) if names.iter().any(|n| n == "deviceTree") => None,
        Context::Element(names, _, function) => {
            let called = function.as_ref().and_then(function_name);
            if let (Some("appendOverlays" | "extend"), Some(function)) = (called.as_deref(), function) {
                return Some(extended(function, inner.syntax()));
            }
            let overlays = names.iter().take(2).any(|n| n.to_lowercase().contains("overlay"));
            let extensions = names.iter().any(|n| n == "pythonPackagesExtensions")
                || !overlays && names.first().is_some_and(|n| scope_word(n) || overrides_name(n))
                || inside_override(inner.syntax()) && names.first().is_none_or(|n| n != "overlays");
            if extensions || !overlays && haskell_folder(path) && (named || scoped) {
                Some(FnKind::Scope)
            } else if overlays || named || scoped {
                Some(by_name(FnKind::Packages))
            } else {
                None
            }
        }
        Context::Bound(names, _) => match bound_kind(names, inner, named, scoped, blank) {
            Some(FnKind::Packages) if haskell_folder(path) => Some(FnKind::Scope),
            kind => kind,
        },
        Context::Root => {
            let hinted = path_hints_overlay(path);
            if !(named || scoped || (blank && hinted) || hinted && set_like(inner)) {
                return None;
            }
            if scoped || root_is_scope(path, source, inner) { Some(FnKind::Scope) } else { Some(FnKind::Packages) }
        }
        Context::Other => (named || scoped).then(|| by_name(FnKind::Unknown)),
    }
}

/// What the parameters in front of the pair say.
fn before_pair(first: &str, second: &str, before: &[&ast::Lambda], inner: &ast::Lambda) -> Option<FnKind> {
    let plain: Vec<String> = before.iter().rev().map_while(|l| param_text(l)).collect();
    let nearest = plain.first()?;
    // `overlay: final: prev: overlay final prev`: a parameter is applied to both.
    let body = inner.body()?;
    let applied = body.syntax().descendants().filter_map(Expr::cast).any(|e| {
        call(&e).is_some_and(|(f, args)| {
            let arg = |i: usize, name: &str| args.get(i).is_some_and(|a| unparen(a.clone()).syntax().text() == name);
            let called = |p: &String| matches!(&f, Expr::Ident(i) if i.syntax().text() == p.as_str());
            plain.iter().any(|p| {
                called(p)
                    && (arg(args.len().wrapping_sub(2), first) && arg(args.len().wrapping_sub(1), second)
                        || p.to_lowercase().contains("overlay") && args.len() == 2)
            })
        })
    });
    if applied {
        return Some(FnKind::Combinator);
    }
    if plain.len() >= 2 {
        let (a, b) = (plain.get(1)?, nearest);
        let outer_pair = is_final(a) && is_prev(b);
        if outer_pair && is_scope_pair(first, second) {
            return Some(FnKind::Scope);
        }
    }
    // `final: prev: third:` where the last two are no pair.
    if is_final(nearest) && is_prev(first) && !is_prev(second) && !second.starts_with('_') {
        return Some(FnKind::ThirdArgument);
    }
    None
}

fn argument_kind(function: &Expr, named: bool, scoped: bool, inner: &ast::Lambda) -> Option<FnKind> {
    let name = function_name(function).unwrap_or_default();
    let text = function.syntax().text().to_string();
    match name.as_str() {
        name if NO_OVERLAY.contains(&name) => None,
        "makeExtensible" | "fix'" | "extends" => None,
        name if OF_SCOPES.contains(&name) => Some(FnKind::Scope),
        "extend" | "appendOverlays" => Some(match extended(function, inner.syntax()) {
            FnKind::Packages if scoped && !base_text(&text).to_lowercase().contains("pkgs") => FnKind::Scope,
            kind => kind,
        }),
        _ if text.contains("overrideScope") => Some(FnKind::Scope),
        _ if scoped => Some(FnKind::Scope),
        _ if named => Some(if scope_word(&text) { FnKind::Scope } else { FnKind::Unknown }),
        _ => None,
    }
}

/// What stands before the last dot.
fn base_text(text: &str) -> &str {
    text.rsplit_once('.').map_or("", |(base, _)| base)
}

/// What `BASE.extend` extends, by what the base is called.
pub(super) fn extended(function: &Expr, node: &SyntaxNode) -> FnKind {
    let Expr::Select(select) = function else { return FnKind::Packages };
    let whole = function.syntax().text().to_string();
    let names: Vec<Option<String>> = select.attrpath().map(|p| path_names(&p)).unwrap_or_default();
    // `legacyPackages.SYSTEM` is a whole package set, and what follows is within it.
    let system = names.iter().position(|n| n.as_deref() == Some("legacyPackages")).map(|at| at + 2);
    let within = system.map(|from| {
        let rest = names.iter().take(names.len().saturating_sub(1)).skip(from);
        rest.map(|n| n.as_deref().unwrap_or("_")).fold("pkgs".to_string(), |all, n| format!("{all}.{n}"))
    });
    let base = within.as_deref().unwrap_or_else(|| base_text(&whole));
    let of_scope = base.split(['.', ' ', '(', ')']).any(|n| {
        crate::overlay::derivation::scope_name(n) && n != "pkgs" && n != "lib" || scope_word(n) && !n.contains("pkgs")
    });
    if base.to_lowercase().ends_with("lib")
        || binding_names(node).first().is_some_and(|n| n.to_lowercase().ends_with("lib"))
    {
        FnKind::Lib
    } else if of_scope || within_argument(base) || base.contains("makeExtensible") {
        FnKind::Scope
    } else {
        FnKind::Packages
    }
}

/// `prev.nixVersions`: a set within what an overlay was given, unless its name says that it is a whole package set.
fn within_argument(base: &str) -> bool {
    let mut names = base.split('.');
    let (Some(first), Some(second), None) = (names.next(), names.next(), names.next()) else { return false };
    let argument = plain_name(first);
    (is_final(argument) || is_prev(argument))
        && argument != "pkgs"
        && crate::syntax::make::is_identifier(second)
        && !PACKAGE_SETS.iter().any(|p| second.to_lowercase().contains(p))
}

/// Names of things that override packages of some scope.
pub(super) fn overrides_name(name: &str) -> bool {
    let name = name.trim_end_matches('\'').to_lowercase();
    name.ends_with("overrides") || name.ends_with("packageoverrides")
}

/// Says whether the keys are those of the whole package set: sets of packages among them.
fn binds_sets(inner: &ast::Lambda) -> bool {
    inner.body().is_some_and(|b| {
        crate::overlay::body::read(b).keys().iter().any(|k| {
            crate::overlay::derivation::scope_name(k)
                || matches!(
                    k.as_str(),
                    "haskell" | "python" | "python2" | "python3" | "pythonPackagesExtensions" | "stdenv"
                )
        })
    })
}

fn bound_kind(names: &[String], inner: &ast::Lambda, named: bool, scoped: bool, blank: bool) -> Option<FnKind> {
    let name = names.first().map_or("", String::as_str);
    let under_overlays = names.iter().skip(1).take(2).any(|n| n == "overlays" || n == "overlay");
    let lower = name.to_lowercase();
    let overlay = lower.contains("overlay") || under_overlays;
    let in_override = inside_override(inner.syntax());
    if !under_overlays && (overrides_name(name) && name != "nixpkgsOverrides") && !binds_sets(inner) {
        return (named || scoped || blank || set_like(inner)).then_some(FnKind::Scope);
    }
    if !(named || scoped || overlay && (blank || set_like(inner))) {
        return None;
    }
    if name == "lib" && under_overlays || lower == "liboverlay" {
        return Some(FnKind::Lib);
    }
    if in_override || scoped || !binds_sets(inner) && scope_word(name) && !under_overlays {
        return Some(FnKind::Scope);
    }
    Some(FnKind::Packages)
}

/// Folders whose overlays are all of the Haskell package set.
fn haskell_folder(path: &std::path::Path) -> bool {
    path.components()
        .any(|c| matches!(c.as_os_str().to_string_lossy().as_ref(), "haskell-overlays" | "python-overlays"))
}

fn path_hints_overlay(path: &std::path::Path) -> bool {
    let text = path.to_string_lossy().to_lowercase();
    text.contains("overlay") || text.contains("override")
}

/// Says whether a function's body is a set or something that makes one.
pub(super) fn set_like(inner: &ast::Lambda) -> bool {
    inner.body().map(peel).is_some_and(|b| {
        matches!(&b, Expr::AttrSet(_)) || matches!(&b, Expr::BinOp(b) if b.operator() == Some(ast::BinOpKind::Update))
    })
}

/// A file is an overlay of a scope when its path, its own arguments or what it builds with say so.
fn root_is_scope(path: &std::path::Path, source: &str, inner: &ast::Lambda) -> bool {
    let around = inner.syntax().ancestors().filter_map(ast::Lambda::cast);
    let given = around
        .flat_map(|l| crate::overlay::ast::parameter_names(&l))
        .any(|n| matches!(n.as_str(), "python" | "haskellLib" | "hackage" | "ghc"));
    if given || haskell_folder(path) {
        return true;
    }
    if binds_sets(inner) {
        return false;
    }
    let text = path.to_string_lossy().to_lowercase();
    let named = text.split(['/', '\\']).any(|part| {
        let overlay = part.contains("overlay") || part.contains("override");
        part.contains("haskell-overlays")
            || part.contains("haskell-packages")
            || part.contains("python-packages")
            || part.contains("package-overrides")
            || part.contains("requirements_override")
            || overlay
                && ["python", "haskell", "poetry", "emacs", "ocaml"].iter().any(|w| part.contains(w))
                && !part.contains("overlays")
    });
    // Walking a large body for a word that the file does not have would be most of the time spent.
    if named || !(source.contains("callHackage") || source.contains("callCabal2nix")) {
        return named;
    }
    let Some(body) = inner.body() else { return named };
    named
        || (mentions(body.syntax(), "callHackage") || mentions(body.syntax(), "callCabal2nix"))
            && !mentions(body.syntax(), "haskellPackages")
            && !mentions(body.syntax(), "haskell")
}
