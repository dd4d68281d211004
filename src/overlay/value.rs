//! What a key is bound to: the override calls in it and their lists of patches.
//!
//! Must not choose the key or the overlay.

mod edits;
mod held;
mod writing;

use rnix::ast::{self, BinOpKind, Expr};
use rowan::ast::AstNode;

use super::ast::{
    Base, Bound, bound, call, chain, function_name, path_names, peel, plain_string, span, split_select, unparen,
    written_path,
};
use super::body::{Definition, definitions};

pub(super) use edits::value_edits;
pub(super) use writing::{ALIAS_PARAM, CargoArguments, KEPT_PARAM, OPENED_PARAM, Writing};

/// Methods whose argument computes new attributes of the derivation from the old ones.
pub(super) const ATTRS_METHODS: &[&str] =
    &["overrideAttrs", "overridePythonAttrs", "overrideDerivation", "overrideAttrsOld", "overrideCabal"];

/// Functions that do the same with the derivation as their first argument.
const ATTRS_FUNCTIONS: &[&str] = &["overrideDerivation", "overrideCabal", "overrideAttrs", "overrideSrc"];

/// Functions that take a derivation and a list of patches.
const LIST_FUNCTIONS: &[&str] = &["addPatches", "appendPatches", "addPatchesTo", "withPatches"];

/// The lists that hold patches; the kernel's and cargo's have their own names.
pub(super) const LIST_KEYS: &[&str] = &["patches", "kernelPatches", "cargoPatches", "extraPatches"];

/// What an override call hands over.
#[derive(Debug, Clone)]
pub(super) enum Carrier {
    /// A function of the old attributes; the innermost lambda and its result without layers.
    Function(ast::Lambda, Expr),
    Set(ast::AttrSet),
    /// A list of patches itself.
    List(Expr),
    Opaque,
}

#[derive(Debug, Clone)]
pub(super) struct Override {
    pub(super) method: String,
    pub(super) base: Base,
    pub(super) carrier: Carrier,
}

impl Override {
    pub(super) fn attrs(&self) -> bool {
        ATTRS_METHODS.contains(&self.method.as_str())
    }
}

/// Returns the override calls of a value, the outermost first: `(x.override a).overrideAttrs b` gives b's, then a's.
pub(super) fn overrides(value: &Expr) -> Vec<Override> {
    let mut out = Vec::new();
    let mut next = Some(value.clone());
    let mut fuel = 64usize;
    while let Some(expr) = next.take() {
        fuel -= 1;
        if fuel == 0 {
            break;
        }
        let expr = peel(expr);
        if let Expr::BinOp(merge) = &expr
            && merge.operator() == Some(BinOpKind::Update)
        {
            next = merge.lhs();
            continue;
        }
        let Some((head, args)) = call(&expr) else { break };
        match (&head, args.as_slice()) {
            (Expr::Select(select), [argument]) => {
                let Some((base, method)) = split_select(select) else { break };
                if !ATTRS_METHODS.contains(&method.as_str()) && method != "override" {
                    break;
                }
                next = base.expr.clone();
                out.push(Override { method, base, carrier: carrier(argument) });
            }
            (Expr::Select(_) | Expr::Ident(_), [derivation, argument]) => {
                let Some(name) = function_name(&head) else { break };
                let carrier = if LIST_FUNCTIONS.contains(&name.as_str()) {
                    Carrier::List(argument.clone())
                } else if ATTRS_FUNCTIONS.contains(&name.as_str()) {
                    carrier(argument)
                } else {
                    break;
                };
                let base = Base { span: span(derivation), expr: Some(derivation.clone()) };
                next = base.expr.clone();
                out.push(Override { method: name, base, carrier });
            }
            _ => break,
        }
    }
    out
}

fn carrier(argument: &Expr) -> Carrier {
    let mut inner = peel(argument.clone());
    let mut lambda = None;
    while let Expr::Lambda(next) = &inner {
        lambda = Some(next.clone());
        match next.body() {
            Some(body) => inner = peel(body),
            None => return Carrier::Opaque,
        }
    }
    match (lambda, inner) {
        (Some(lambda), core) => Carrier::Function(lambda, core),
        (None, Expr::AttrSet(set)) => Carrier::Set(set),
        _ => Carrier::Opaque,
    }
}

/// Functions whose argument is the attributes of a Rust package.
const RUST_BUILDERS: &[&str] = &["buildRustPackage"];

/// Returns the set that holds `cargoPatches` in what an `override` is given:
/// `{ rustPlatform = P // { buildRustPackage = args: P.buildRustPackage (args // { ... }); }; }`, or `(final: args final // { ... })`.
pub(super) fn cargo_set(arguments: &ast::AttrSet) -> Option<ast::AttrSet> {
    let last_set = |value: &Expr| match chain(value, BinOpKind::Update).pop().map(unparen) {
        Some(Expr::AttrSet(set)) => Some(set),
        _ => None,
    };
    let value_of = |set: &ast::AttrSet, key: &str| match definitions(set, key).pop() {
        Some(Definition::Value(_, value)) => Some(value),
        _ => None,
    };
    let platform = last_set(&value_of(arguments, "rustPlatform")?)?;
    let Expr::Lambda(builder) = unparen(value_of(&platform, RUST_BUILDERS.first()?)?) else { return None };
    let (head, args) = call(&unparen(builder.body()?))?;
    if !function_name(&head).is_some_and(|n| RUST_BUILDERS.contains(&n.as_str())) {
        return None;
    }
    match unparen(args.last()?.clone()) {
        Expr::Lambda(of_final) => last_set(&of_final.body()?),
        set => last_set(&set),
    }
}

/// Functions that make a package of a set of attributes, and the attribute in which they take patches.
const BUILDERS: &[(&str, &str)] = &[
    ("mkDerivation", "patches"),
    ("buildPythonPackage", "patches"),
    ("buildPythonApplication", "patches"),
    ("buildGoModule", "patches"),
    ("buildGoPackage", "patches"),
    ("buildRustPackage", "patches"),
    ("buildNpmPackage", "patches"),
    ("buildPerlPackage", "patches"),
    ("buildDunePackage", "patches"),
    ("buildUBoot", "extraPatches"),
];

/// Returns the attributes that a value hands to a builder itself, and the attribute of them that holds patches.
pub(super) fn built(value: &Expr) -> Option<(ast::AttrSet, &'static str)> {
    let (head, args) = call(&peel(value.clone()))?;
    let name = function_name(&head)?;
    let (_, key) = BUILDERS.iter().find(|(builder, _)| *builder == name)?;
    let [only] = args.as_slice() else { return None };
    let mut set = unparen(only.clone());
    if let Expr::Lambda(lambda) = &set {
        set = peel(lambda.body()?);
    }
    match set {
        Expr::AttrSet(set) => Some((set, key)),
        _ => None,
    }
}

/// Returns the attributes that a value hands to `buildRustPackage` itself.
pub(super) fn rust_package(value: &Expr) -> Option<ast::AttrSet> {
    let (head, _) = call(&peel(value.clone()))?;
    let rust = function_name(&head).is_some_and(|n| RUST_BUILDERS.contains(&n.as_str()));
    built(value).filter(|_| rust).map(|(set, _)| set)
}

/// Says whether a set is what a builder is called with.
pub(super) fn is_built(set: &ast::AttrSet) -> bool {
    let call = set.syntax().ancestors().skip(1).find(|n| {
        use rnix::SyntaxKind::*;
        !matches!(n.kind(), NODE_PAREN | NODE_LAMBDA | NODE_LET_IN | NODE_WITH | NODE_ASSERT)
    });
    call.and_then(Expr::cast).and_then(|call| built(&call)).is_some_and(|(found, _)| &found == set)
}

/// A list of patches found in a value.
#[derive(Debug, Clone)]
pub(super) struct PatchList {
    pub(super) key: String,
    pub(super) list: ast::List,
    /// It counts only when something holds.
    pub(super) conditional: bool,
    /// It is part of another attribute of the set, which the value uses: `z = a.override { };` in a `rec` set.
    pub(super) elsewhere: bool,
}

/// Returns the sets among the operands of a result, and whether each counts always.
fn result_sets(core: &Expr, conditional: bool, out: &mut Vec<(ast::AttrSet, bool)>) {
    for part in chain(core, BinOpKind::Update) {
        match peel(part) {
            Expr::AttrSet(set) => out.push((set, conditional)),
            Expr::IfElse(branch) => {
                for side in [branch.body(), branch.else_body()].into_iter().flatten() {
                    result_sets(&side, true, out);
                }
            }
            other => {
                if let Some((head, args)) = call(&other)
                    && function_name(&head).is_some_and(|n| n == "optionalAttrs")
                    && let Some(set) = args.get(1)
                {
                    result_sets(set, true, out);
                }
            }
        }
    }
}

/// Returns the literal lists that an expression of patches is put together from.
fn lists_in(expr: &Expr, conditional: bool, fuel: usize, out: &mut Vec<(ast::List, bool)>) {
    if fuel == 0 {
        return;
    }
    for part in chain(expr, BinOpKind::Concat) {
        match peel(part) {
            Expr::List(list) => out.push((list, conditional)),
            Expr::IfElse(branch) => {
                for side in [branch.body(), branch.else_body()].into_iter().flatten() {
                    lists_in(&side, true, fuel - 1, out);
                }
            }
            Expr::Ident(ident) => {
                if let Some(Bound::Value(value)) = bound(&ident) {
                    lists_in(&value, conditional, fuel - 1, out);
                }
            }
            other => {
                let Some((head, args)) = call(&other) else { continue };
                match (function_name(&head).as_deref(), args.as_slice()) {
                    (Some("optional" | "optionals"), [_, list]) => lists_in(list, true, fuel - 1, out),
                    (Some("concat"), lists) => lists.iter().for_each(|l| lists_in(l, conditional, fuel - 1, out)),
                    (Some("unique" | "flatten"), [list]) => lists_in(list, conditional, fuel - 1, out),
                    (Some("concatLists"), [lists]) => {
                        if let Expr::List(lists) = unparen(lists.clone()) {
                            lists.items().for_each(|l| lists_in(&l, conditional, fuel - 1, out));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Returns every literal list of patches that a value's overrides set, branches of an `if` included.
pub(super) fn patch_lists(value: &Expr) -> Vec<PatchList> {
    let mut out = Vec::new();
    collect_lists(value, (false, false), 8, &mut out);
    out
}

fn collect_lists(value: &Expr, (conditional, elsewhere): (bool, bool), fuel: usize, out: &mut Vec<PatchList>) {
    if fuel == 0 {
        return;
    }
    let mut innermost = peel(value.clone());
    // In the order in which the lists come to stand in the package's: what an override is around first.
    let mut around: Vec<Vec<PatchList>> = Vec::new();
    for found in overrides(value) {
        let mut lists_of = Vec::new();
        if let Some(base) = &found.base.expr {
            innermost = peel(base.clone());
        }
        let core = match &found.carrier {
            Carrier::Function(_, core) => core.clone(),
            Carrier::Set(set) => Expr::AttrSet(set.clone()),
            Carrier::List(list) => {
                let mut lists = Vec::new();
                lists_in(list, conditional, 8, &mut lists);
                let listed = |(list, conditional)| PatchList { key: "patches".into(), list, conditional, elsewhere };
                around.push(lists.into_iter().map(listed).collect());
                continue;
            }
            Carrier::Opaque => continue,
        };
        let mut sets = Vec::new();
        result_sets(&core, conditional, &mut sets);
        let cargo = sets.iter().filter_map(|(set, conditional)| Some((cargo_set(set)?, *conditional)));
        let cargo: Vec<_> = cargo.collect();
        sets.extend(cargo);
        for (set, conditional) in sets {
            for key in LIST_KEYS {
                push_lists(&set, key, (conditional, elsewhere), &mut lists_of);
            }
        }
        around.push(lists_of);
    }
    if let Some((set, key)) = built(&innermost) {
        push_lists(&set, key, (conditional, elsewhere), out);
        if rust_package(&innermost).is_some() {
            push_lists(&set, "cargoPatches", (conditional, elsewhere), out);
        }
    }
    if let Expr::BinOp(merge) = &innermost
        && merge.operator() == Some(BinOpKind::Update)
        && let Some(left) = merge.lhs()
        && overrides(&left).is_empty()
    {
        innermost = peel(left);
    }
    match innermost {
        Expr::IfElse(branch) => {
            for side in [branch.body(), branch.else_body()].into_iter().flatten() {
                collect_lists(&side, (true, elsewhere), fuel - 1, out);
            }
        }
        Expr::Ident(ident) => {
            if let Some(Bound::Value(bound)) = bound(&ident) {
                let binding = bound.syntax().ancestors().find_map(ast::AttrpathValue::cast);
                let attribute =
                    binding.and_then(|b| b.syntax().parent()).is_some_and(|p| ast::AttrSet::can_cast(p.kind()));
                collect_lists(&bound, (conditional, elsewhere || attribute), fuel - 1, out);
            }
        }
        _ => {}
    }
    out.extend(around.into_iter().rev().flatten());
}

/// Adds the literal lists that a set has under `key`.
fn push_lists(set: &ast::AttrSet, key: &str, (conditional, elsewhere): (bool, bool), out: &mut Vec<PatchList>) {
    for definition in definitions(set, key) {
        if let Definition::Value(_, expr) = definition {
            let mut lists = Vec::new();
            lists_in(&expr, conditional, 8, &mut lists);
            let found = lists.into_iter().map(|(list, conditional)| PatchList {
                key: key.into(),
                list,
                conditional,
                elsewhere,
            });
            out.extend(found);
        }
    }
}

/// Returns what identifies an element: the path it names, the URL it fetches, or its text.
pub(super) fn element_key(element: &Expr) -> (Option<String>, Option<String>) {
    let path = written_path(element);
    let url = element.syntax().descendants().filter_map(ast::AttrpathValue::cast).find_map(|e| {
        let names = e.attrpath().map(|p| path_names(&p))?;
        if names != [Some("url".to_string())] {
            return None;
        }
        match peel(e.value()?) {
            Expr::Str(s) => plain_string(&s),
            _ => None,
        }
    });
    (path, url)
}
