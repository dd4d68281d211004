//! Whether a value can be one derivation, as far as its text tells.
//!
//! Must not plan edits, and must not claim: what looks like a derivation is one only when Nix says so.

use rnix::ast::{self, BinOpKind, Entry, Expr, HasEntry};
use rowan::ast::AstNode;

use super::ast::{Bound, bound, call, chain, function_name, path_names, peel, split_select};

/// Names of sets of packages: their value is no derivation.
pub(super) fn scope_name(name: &str) -> bool {
    name.contains("Packages")
        || name.ends_with("Plugins") && name != "alsaPlugins"
        || matches!(
            name,
            "xorg"
                | "gnome"
                | "gnome3"
                | "libsForQt5"
                | "qt5"
                | "qt6"
                | "qt514"
                | "qt515"
                | "lib"
                | "haskell"
                | "pkgs"
                | "beam"
                | "rustPlatform"
                | "dockerTools"
                | "writers"
                | "testers"
                | "formats"
                | "emacs-overlay"
                | "agdaPackages"
                | "vscode-extensions"
                | "linuxKernel"
                | "mate"
                | "xfce"
                | "lxqt"
                | "deepin"
                | "pantheon"
                | "cinnamon"
                | "plasma5"
                | "kdeApplications"
                | "perl-packages"
                | "pythonPackagesExtensions"
                | "callPackage"
                | "callPackages"
                | "newScope"
                | "nodejs-packages"
        )
}

/// Functions that give sets, functions, lists or strings, not derivations.
const NOT_DERIVATIONS: &[&str] = &[
    "extend",
    "overrideScope",
    "overrideScope'",
    "recurseIntoAttrs",
    "dontRecurseIntoAttrs",
    "makeScope",
    "makeScopeWithSplicing",
    "makeScopeWithSplicing'",
    "makeExtensible",
    "linuxPackagesFor",
    "packagesFor",
    "mapAttrs",
    "mapAttrs'",
    "genAttrs",
    "listToAttrs",
    "filterAttrs",
    "recursiveUpdate",
    "composeExtensions",
    "composeManyExtensions",
    "foldl'",
    "attrNames",
    "attrValues",
    "map",
    "optional",
    "optionals",
    "optionalString",
    "concatStringsSep",
    "toString",
    "readFile",
    "fromJSON",
    "importJSON",
    "importTOML",
    "mkIf",
    "concatMap",
    "filter",
    "elem",
    "removeAttrs",
    "callPackages",
    "mapDerivationAttrset",
];

/// Says why a value is not one derivation; `None` when it can be one.
pub(super) fn not_derivation(value: &Expr, fuel: usize) -> Option<&'static str> {
    if fuel == 0 {
        return None;
    }
    match peel(value.clone()) {
        Expr::AttrSet(_) | Expr::LegacyLet(_) => Some("a set"),
        Expr::List(_) => Some("a list"),
        Expr::Str(_) => Some("a string"),
        Expr::Literal(_) => Some("a number or a URL"),
        Expr::PathAbs(_) | Expr::PathRel(_) | Expr::PathHome(_) | Expr::PathSearch(_) => Some("a path"),
        Expr::Lambda(_) => Some("a function"),
        Expr::UnaryOp(_) | Expr::HasAttr(_) | Expr::CurPos(_) => Some("no package"),
        Expr::IfElse(branch) => {
            [branch.body(), branch.else_body()].into_iter().flatten().find_map(|s| not_derivation(&s, fuel - 1))
        }
        Expr::BinOp(bin) => match bin.operator() {
            Some(BinOpKind::Update) => match chain(value, BinOpKind::Update).first() {
                Some(first) => not_derivation(first, fuel - 1),
                None => None,
            },
            Some(BinOpKind::PipeLeft | BinOpKind::PipeRight) => None,
            Some(BinOpKind::Concat) => Some("a list"),
            _ => Some("no package"),
        },
        Expr::Ident(ident) => {
            let name = ident.syntax().text().to_string();
            match name.as_str() {
                "null" => Some("null"),
                "true" | "false" => Some("a truth value"),
                _ => match bound(&ident) {
                    Some(Bound::Value(value)) => not_derivation(&value, fuel - 1),
                    _ => scope_name(&name).then_some("a set of packages"),
                },
            }
        }
        Expr::Select(select) => {
            let last = select.attrpath().map(|p| path_names(&p)).and_then(|n| n.last().cloned().flatten());
            last.filter(|n| scope_name(n)).map(|_| "a set of packages")
        }
        expr @ Expr::Apply(_) => {
            let (head, _) = call(&expr)?;
            let name = function_name(&head)?;
            if NOT_DERIVATIONS.contains(&name.as_str()) {
                return Some("a set or a value that a function computes");
            }
            if let Expr::Select(select) = &head
                && (name == "override" || name == "overrideAttrs")
                && let Some((base, _)) = split_select(select)
                && let Some(last) =
                    select.attrpath().map(|p| path_names(&p)).and_then(|n| n.iter().rev().nth(1).cloned().flatten())
                && base.expr.is_none()
                && scope_name(&last)
            {
                return Some("a set of packages");
            }
            None
        }
        _ => None,
    }
}

/// Names of attributes that hold the hash of something fetched.
const VENDORED: &[&str] = &[
    "vendorHash",
    "vendorSha256",
    "cargoHash",
    "cargoSha256",
    "npmDepsHash",
    "cargoDeps",
    "pnpmDeps",
    "yarnHash",
    "offlineCache",
    "mvnHash",
    "outputHash",
    "goModules",
    "modSha256",
];

/// Says whether a value sets the hash of vendored dependencies.
pub(super) fn vendored(value: &Expr) -> bool {
    value.syntax().descendants().filter_map(ast::AttrSet::cast).any(|set| {
        set.entries().any(|e| match e {
            Entry::AttrpathValue(v) => v
                .attrpath()
                .and_then(|p| p.attrs().next())
                .is_some_and(|a| VENDORED.contains(&a.syntax().text().to_string().as_str())),
            Entry::Inherit(i) => i.attrs().any(|a| VENDORED.contains(&a.syntax().text().to_string().as_str())),
        })
    })
}
