//! What a list of patches is before one more is added: a list, perhaps `null`, or anything.
//!
//! Must not plan edits. Where the text does not tell, the answer is the one that holds for everything.

use rnix::ast::{BinOpKind, Expr};

use super::{Carrier, built, overrides};
use crate::overlay::ast::{Bound, bound, call, chain, function_name, path_names, peel, unparen};
use crate::overlay::body::{Definition, definitions};
use crate::overlay::request::OldPatches;

const LIST_FUNCTIONS: &[&str] = &[
    "attrValues",
    "catAttrs",
    "concat",
    "concatLists",
    "concatMap",
    "drop",
    "filter",
    "flatten",
    "forEach",
    "genList",
    "imap0",
    "imap1",
    "init",
    "intersectLists",
    "map",
    "mapAttrsToList",
    "optional",
    "optionals",
    "remove",
    "reverseList",
    "singleton",
    "sort",
    "sublist",
    "subtractLists",
    "tail",
    "take",
    "toList",
    "unique",
];

/// Returns what an expression that a list of patches is set to gives.
pub(super) fn list_held(expr: &Expr, fuel: usize) -> OldPatches {
    let Some(fuel) = fuel.checked_sub(1) else { return OldPatches::NotList };
    match peel(expr.clone()) {
        Expr::List(_) => OldPatches::List,
        Expr::BinOp(concat) if concat.operator() == Some(BinOpKind::Concat) => OldPatches::List,
        Expr::IfElse(branch) => {
            let sides = [branch.body(), branch.else_body()].into_iter().flatten();
            sides.map(|side| list_held(&side, fuel)).max().unwrap_or(OldPatches::NotList)
        }
        // What was there before is known, or taken for a list, where the new one is written.
        Expr::Select(select) => {
            let names = select.attrpath().map(|p| path_names(&p)).unwrap_or_default();
            let last = names.last().cloned().flatten();
            if !last.is_some_and(|name| super::LIST_KEYS.contains(&name.as_str())) {
                return OldPatches::NotList;
            }
            select.default_expr().map_or(OldPatches::List, |default| list_held(&default, fuel))
        }
        Expr::Ident(ident) => match bound(&ident) {
            Some(Bound::Value(value)) => list_held(&value, fuel),
            None if rowan::ast::AstNode::syntax(&ident).text() == "null" => OldPatches::Null,
            // `{ patches ? [ ], ... }: { patches = patches ++ ...; }`
            Some(Bound::Parameter(lambda)) => {
                let name = crate::overlay::ast::ident_text(&ident);
                let pattern = matches!(lambda.param(), Some(rnix::ast::Param::Pattern(_)));
                let old = pattern && super::LIST_KEYS.contains(&name.as_str());
                if old { OldPatches::List } else { OldPatches::NotList }
            }
            _ => OldPatches::NotList,
        },
        other => {
            let list = call(&other).and_then(|(head, _)| function_name(&head));
            let list = list.is_some_and(|name| LIST_FUNCTIONS.contains(&name.as_str()));
            if list { OldPatches::List } else { OldPatches::NotList }
        }
    }
}

/// Returns what the list under `key` is by all that a value's overrides say of it.
pub(super) fn list_of(value: &Expr, key: &str, fuel: usize) -> OldPatches {
    let Some(fuel) = fuel.checked_sub(1) else { return OldPatches::NotList };
    let mut worst = OldPatches::List;
    let mut innermost = peel(value.clone());
    for found in overrides(value) {
        innermost = found.base.expr.clone().map_or(innermost, peel);
        // `override` changes the arguments of a package, among which are the lists that are no attributes.
        if found.attrs() != (key == "patches") {
            continue;
        }
        worst = worst.max(match &found.carrier {
            Carrier::Function(_, core) => of_attributes(core, key, fuel),
            Carrier::Set(set) => of_attributes(&Expr::AttrSet(set.clone()), key, fuel),
            Carrier::List(_) => OldPatches::List,
            Carrier::Opaque => OldPatches::NotList,
        });
    }
    if let Some((set, _)) = built(&innermost) {
        return worst.max(of_attributes(&Expr::AttrSet(set), key, fuel));
    }
    let within = match innermost {
        Expr::IfElse(branch) => [branch.body(), branch.else_body()].into_iter().flatten().collect(),
        Expr::Ident(ident) => match bound(&ident) {
            Some(Bound::Value(value)) => vec![value],
            _ => Vec::new(),
        },
        Expr::BinOp(merge) if merge.operator() == Some(BinOpKind::Update) => merge.lhs().into_iter().collect(),
        _ => Vec::new(),
    };
    within.iter().map(|value| list_of(value, key, fuel)).fold(worst, OldPatches::max)
}

/// The same for the attributes that an override gives.
fn of_attributes(core: &Expr, key: &str, fuel: usize) -> OldPatches {
    let Some(fuel) = fuel.checked_sub(1) else { return OldPatches::NotList };
    let part = |part: Expr| match peel(part) {
        Expr::AttrSet(set) => match definitions(&set, key).pop() {
            None => OldPatches::List,
            Some(Definition::Value(_, value)) => list_held(&value, fuel),
            Some(_) => OldPatches::NotList,
        },
        Expr::IfElse(branch) => {
            let sides = [branch.body(), branch.else_body()].into_iter().flatten();
            sides.map(|side| of_attributes(&side, key, fuel)).max().unwrap_or(OldPatches::NotList)
        }
        other => match call(&other) {
            Some((head, args)) if function_name(&head).is_some_and(|name| name == "optionalAttrs") => {
                args.get(1).map_or(OldPatches::NotList, |set| of_attributes(set, key, fuel))
            }
            _ => OldPatches::NotList,
        },
    };
    chain(&unparen(peel(core.clone())), BinOpKind::Update).into_iter().map(part).max().unwrap_or(OldPatches::NotList)
}
