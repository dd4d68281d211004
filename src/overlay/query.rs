//! Questions about what an overlay patches. The planner's results are checked with these, so they share no code with
//! the edits.
//!
//! Must not plan edits.

use rnix::ast::{self, Expr};

use super::ast::{Bound, normal_path, span};
use super::body::{self, Body, Definition};
use super::functions::Function;
use super::request::{Facts, PatchElement};
use super::scopes::{self, Site};
use super::value::{PatchList, element_key, patch_lists};
use crate::syntax::AttrPath;

/// A binding of a package with its lists of patches.
#[derive(Debug, Clone)]
pub(super) struct Patched {
    pub(super) attr: AttrPath,
    pub(super) binding: crate::base::span::Span,
    pub(super) conditional: bool,
    pub(super) lists: Vec<PatchList>,
}

/// Returns every package whose patches the function sets, nested scopes included.
pub(super) fn patched(function: &Function, text: &str) -> Vec<Patched> {
    let Some(whole) = function.body() else { return Vec::new() };
    patched_body(body::read(whole), text)
}

fn patched_body(body: Body, text: &str) -> Vec<Patched> {
    let body = &body.indexed();
    let mut out = Vec::new();
    for key in body.keys() {
        out.extend(of_key(body, &key));
        out.extend(of_dotted(body, &key));
        let scope = if key == "pythonPackagesExtensions" || key == "python3" {
            "python3Packages".to_string()
        } else {
            // An interpreter of one version holds the packages of its set: python37Packages.
            let set = format!("{key}Packages");
            scopes::python_interpreter(&set).filter(|interpreter| *interpreter == key).map_or(key.clone(), |_| set)
        };
        if key != scope && !body.find(&scope).is_empty() {
            continue;
        }
        // What another key says of the same scope is reported with that one.
        let sites = match key == scope {
            true => scopes::sites(body, &scope, &Facts::default(), text),
            false => scopes::sites_at(body, &key, text),
        };
        for site in sites {
            for mut inner in of_site(&site, text) {
                if let Some(attr) =
                    AttrPath::from_names(std::iter::once(scope.clone()).chain(inner.attr.names().iter().cloned()))
                {
                    inner.attr = attr;
                    if !out.iter().any(|p: &Patched| p.attr == inner.attr && p.binding == inner.binding) {
                        out.push(inner);
                    }
                }
            }
        }
    }
    for patched in &mut out {
        patched.lists.retain(|list| !list.elsewhere);
    }
    out.retain(|p| p.lists.iter().any(|l| l.list.items().next().is_some()));
    out
}

fn of_site(site: &Site, text: &str) -> Vec<Patched> {
    match site {
        Site::Inner(function) => function.body().map(|b| patched_body(body::read(b), text)).unwrap_or_default(),
        Site::Merged(set, _) => patched_body(body::read(Expr::AttrSet(set.clone())), text),
    }
}

fn of_key(body: &Body, key: &str) -> Vec<Patched> {
    body.find(key)
        .into_iter()
        .filter_map(|found| {
            let Definition::Value(entry, value) = found.definition else { return None };
            Some(Patched {
                attr: AttrPath::single(key),
                binding: span(&entry),
                conditional: found.conditional,
                lists: patch_lists(&value),
            })
        })
        .collect()
}

/// Returns the bindings of one package that set its patches, the way it is bound in this function.
pub(super) fn bindings_of(function: &Function, names: &[String], facts: &Facts, text: &str) -> Vec<Patched> {
    let Some(whole) = function.body() else { return Vec::new() };
    in_body(&body::read(whole), names, facts, text)
}

fn in_body(body: &Body, names: &[String], facts: &Facts, text: &str) -> Vec<Patched> {
    match names {
        [] => Vec::new(),
        [key] => of_key(body, key),
        [scope, rest @ ..] => {
            let mut out: Vec<Patched> = scopes::sites(body, scope, facts, text)
                .iter()
                .flat_map(|site| match site {
                    Site::Inner(function) => bindings_of(function, rest, facts, text),
                    Site::Merged(set, _) => in_body(&body::read(Expr::AttrSet(set.clone())), rest, facts, text),
                })
                .collect();
            out.extend(of_dotted(body, scope).into_iter().filter(|p| p.attr.names() == names));
            out
        }
    }
}

/// The bindings `key.more = value;`, each with its whole path.
fn of_dotted(body: &Body, key: &str) -> Vec<Patched> {
    let found = body.find(key).into_iter();
    found
        .filter_map(|found| {
            let Definition::Dotted(entry) = found.definition else { return None };
            let attr = AttrPath::from_names(scopes::path_of(&entry)?)?;
            let lists = patch_lists(&entry.value()?);
            Some(Patched { attr, binding: span(&entry), conditional: found.conditional, lists })
        })
        .collect()
}

/// Says whether a list's element is the one that is asked for.
pub(super) fn same(element: &Expr, wanted: &PatchElement) -> bool {
    let (path, url) = element_key(element);
    match wanted {
        PatchElement::Path { relative, from_root } => {
            if let Some(path) = path {
                return normal_path(&path) == normal_path(relative);
            }
            from_root
                .as_ref()
                .is_some_and(|root| self_path(element).is_some_and(|p| normal_path(&p) == normal_path(root)))
        }
        PatchElement::Fetch { url: wanted, .. } => url.as_deref() == Some(wanted),
    }
}

/// Returns `a/b` of `"${self}/a/b"` or `self + "/a/b"`, also where a name stands for that or for `"${self}/a"`.
pub(super) fn self_path(element: &Expr) -> Option<String> {
    below_self(element, super::ast::MOST_NAMES)
}

fn below_self(element: &Expr, names: usize) -> Option<String> {
    let (root, path) = match super::ast::unparen(element.clone()) {
        Expr::Ident(name) => {
            return match super::ast::bound(&name)? {
                Bound::Value(value) => below_self(&value, names.checked_sub(1)?),
                _ => None,
            };
        }
        Expr::BinOp(sum) if sum.operator() == Some(ast::BinOpKind::Add) => match super::ast::unparen(sum.rhs()?) {
            Expr::Str(path) => (sum.lhs()?, super::ast::plain_string(&path)?),
            _ => return None,
        },
        Expr::Str(text) => {
            let mut parts = text.normalized_parts().into_iter();
            match (parts.next()?, parts.next()?, parts.next()) {
                (ast::InterpolPart::Interpolation(root), ast::InterpolPart::Literal(path), None) => {
                    (root.expr()?, path)
                }
                _ => return None,
            }
        }
        _ => return None,
    };
    let path = path.trim_start_matches('/');
    if let Some(dir) = below_self(&root, names.checked_sub(1)?) {
        return Some(format!("{dir}/{path}"));
    }
    matches!(super::ast::dotted(&root)?.last().map(String::as_str), Some("self" | "flake" | "root" | "inputs"))
        .then(|| path.to_string())
}

/// Returns how often the element is in the lists, and whether it is in one that always counts.
pub(super) fn count(bindings: &[Patched], wanted: &PatchElement) -> (usize, bool) {
    let mut seen: Vec<crate::base::span::Span> = Vec::new();
    let mut always = false;
    for binding in bindings {
        for list in &binding.lists {
            for item in list.list.items().filter(|i| same(i, wanted)) {
                if !seen.contains(&span(&item)) {
                    seen.push(span(&item));
                }
                always |= !list.conditional && !binding.conditional;
            }
        }
    }
    (seen.len(), always)
}
