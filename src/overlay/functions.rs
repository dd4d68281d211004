//! Finding the overlay-like functions of a file and saying of each what it overlays.
//!
//! The two arguments are taken by position: the last two of a chain of plain parameters. What kind of function it is
//! follows from where it stands, what it is called, and only then from the names of its arguments. Must not plan
//! edits.

use rnix::SyntaxNode;
use rnix::ast::{self, Expr};
use rowan::ast::AstNode;
use serde::Serialize;

use super::ast::{call, dotted, function_name, ident_param, mentions, path_names, peel, span, unparen};
use crate::base::span::Span;
use crate::syntax::trivia;

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
    root.descendants().filter_map(ast::Lambda::cast).filter_map(|lambda| classify(lambda, path, text)).collect()
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
    let kind = kind_of(&first, &second, &before, &inner, &context, path, text)?;
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

fn kind_of(
    first: &str,
    second: &str,
    before: &[&ast::Lambda],
    inner: &ast::Lambda,
    context: &Context,
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
    let blank = plain_name(first).is_empty() && plain_name(second).is_empty();

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
    match context {
        Context::Default => (named || scoped || blank).then_some(FnKind::DefaultArgument),
        Context::Argument(text, name) => match argument_kind(text, name, named || blank, scoped, inner) {
            Some(FnKind::Unknown) if haskell_folder(path) => Some(FnKind::Scope),
            kind => kind,
        },
        Context::Element(names, function) => {
            let overlays = names.iter().take(2).any(|n| n.to_lowercase().contains("overlay"))
                || matches!(function.as_deref(), Some("composeManyExtensions" | "appendOverlays"));
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
        Context::Bound(names) => match bound_kind(names, inner, named, scoped, blank) {
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

fn argument_kind(text: &str, name: &str, named: bool, scoped: bool, inner: &ast::Lambda) -> Option<FnKind> {
    if NO_OVERLAY.contains(&name) {
        return None;
    }
    let base = text.rsplit_once('.').map_or("", |(b, _)| b);
    let of_scope = base
        .split(['.', ' ', '(', ')'])
        .any(|n| super::derivation::scope_name(n) && n != "pkgs" && n != "lib" || scope_word(n) && !n.contains("pkgs"));
    match name {
        "overrideScope" | "overrideScope'" | "overridePythonPackages" => Some(FnKind::Scope),
        "extend" | "appendOverlays" => Some(
            if base.to_lowercase().ends_with("lib")
                || binding_names(inner.syntax()).first().is_some_and(|n| n.to_lowercase().ends_with("lib"))
            {
                FnKind::Lib
            } else if of_scope
                || within_argument(base)
                || base.contains("makeExtensible")
                || scoped && !base.to_lowercase().contains("pkgs")
            {
                FnKind::Scope
            } else {
                FnKind::Packages
            },
        ),
        "makeExtensible" | "fix'" | "extends" => None,
        "composeExtensions" | "composeManyExtensions" => {
            let scope = scoped || inside_override(inner.syntax()) || within_overrides(inner.syntax());
            Some(if scope { FnKind::Scope } else { FnKind::Packages })
        }
        _ if text.contains("overrideScope") => Some(FnKind::Scope),
        _ if scoped => Some(FnKind::Scope),
        _ if named => Some(if scope_word(text) { FnKind::Scope } else { FnKind::Unknown }),
        _ => None,
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
fn overrides_name(name: &str) -> bool {
    let name = name.trim_end_matches('\'').to_lowercase();
    name.ends_with("overrides") || name.ends_with("packageoverrides")
}

/// Says whether the node is part of a value bound to `overrides`, `packageOverrides` and the like.
fn within_overrides(node: &SyntaxNode) -> bool {
    binding_names(node).first().is_some_and(|n| overrides_name(n))
}

/// Says whether the keys are those of the whole package set: sets of packages among them.
fn binds_sets(inner: &ast::Lambda) -> bool {
    inner.body().is_some_and(|b| {
        super::body::read(b).keys().iter().any(|k| {
            super::derivation::scope_name(k)
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
fn set_like(inner: &ast::Lambda) -> bool {
    inner.body().map(peel).is_some_and(|b| {
        matches!(&b, Expr::AttrSet(_)) || matches!(&b, Expr::BinOp(b) if b.operator() == Some(ast::BinOpKind::Update))
    })
}

/// A file is an overlay of a scope when its path, its own arguments or what it builds with say so.
fn root_is_scope(path: &std::path::Path, source: &str, inner: &ast::Lambda) -> bool {
    let around = inner.syntax().ancestors().filter_map(ast::Lambda::cast);
    let given = around
        .flat_map(|l| super::ast::parameter_names(&l))
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
