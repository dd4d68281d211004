//! What an overlay's body is made of: the operands of `//`, what each is known to define, and where a key is bound.
//!
//! Must not plan edits.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use rnix::ast::{self, Attr, BinOpKind, Entry, Expr, HasEntry};
use rowan::ast::AstNode;

use super::ast::{Bound, attr_name, bound, call, chain, function_name, path_names, peel, span, unparen};
use super::entries::{candidates, entry, glances};
use crate::base::edit::TextEdits;
use crate::base::span::Span;

/// How much of an operand can be known.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// A literal set that always counts.
    Set(ast::AttrSet),
    /// Literal sets of which one or none counts.
    Conditional(Vec<ast::AttrSet>),
    /// A variable that holds something computed merged with literal sets, and for each whether it counts on a condition or
    /// may be covered.
    Partly(Vec<(ast::AttrSet, bool)>),
    Opaque,
}

#[derive(Debug, Clone)]
pub(super) struct Operand {
    /// As it stands in the `//` chain.
    pub(super) expr: Expr,
    pub(super) known: Known,
    /// The variable that it is, when it is one.
    pub(super) variable: Option<String>,
}

/// A binding of a key.
#[derive(Debug, Clone)]
pub(super) enum Definition {
    /// `key = value;`
    Value(ast::AttrpathValue, Expr),
    /// `inherit key;` or `inherit (from) key;`
    Inherit(ast::Inherit, Option<Expr>),
    /// `key.more = value;`
    Dotted(ast::AttrpathValue),
}

impl Definition {
    pub(super) fn span(&self) -> Span {
        match self {
            Definition::Value(e, _) | Definition::Dotted(e) => span(e),
            Definition::Inherit(i, _) => span(i),
        }
    }
}

/// A definition, the operand that holds it and the set.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) operand: usize,
    pub(super) conditional: bool,
    pub(super) set: ast::AttrSet,
    pub(super) definition: Definition,
}

/// The body of an overlay function.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) whole: Expr,
    /// The body without the layers around it (`let`, `with`, `assert`), parentheses kept.
    pub(super) core: Expr,
    pub(super) operands: Vec<Operand>,
    /// The definitions by key, where many keys are asked for.
    index: OnceCell<HashMap<String, Vec<Found>>>,
}

pub(super) fn read(whole: Expr) -> Body {
    let core = core_of(whole.clone());
    let operands = operands(&core, 6);
    Body { whole, core, operands, index: OnceCell::new() }
}

/// Takes layers off, and parentheses only where a layer is within them.
fn core_of(expr: Expr) -> Expr {
    let mut expr = expr;
    loop {
        let inner = match &expr {
            Expr::LetIn(e) => e.body(),
            Expr::With(e) => e.body(),
            Expr::Assert(e) => e.body(),
            Expr::Paren(e) => match e.expr().map(|i| (unparen(i.clone()), i)) {
                Some((Expr::LetIn(_) | Expr::With(_) | Expr::Assert(_) | Expr::BinOp(_) | Expr::AttrSet(_), i)) => {
                    Some(i)
                }
                _ => None,
            },
            _ => None,
        };
        match inner {
            Some(inner) => expr = inner,
            None => return expr,
        }
    }
}

fn operands(expr: &Expr, fuel: usize) -> Vec<Operand> {
    let mut out = Vec::new();
    for part in chain(expr, BinOpKind::Update) {
        let inner = peel(part.clone());
        // A merge within a layer: `(let x = 1; in { ... } // { ... })`.
        if matches!(&inner, Expr::BinOp(b) if b.operator() == Some(BinOpKind::Update)) && fuel > 0 {
            out.extend(operands(&inner, fuel - 1));
            continue;
        }
        let variable = match &inner {
            Expr::Ident(i) => Some(i.syntax().text().to_string()),
            _ => None,
        };
        out.push(Operand { known: known(&inner, fuel), expr: part, variable });
    }
    out
}

/// The keys of a set are known when none is computed.
pub(super) fn keys_known(set: &ast::AttrSet) -> bool {
    candidates(set, |_| false).all(|e| match e {
        Entry::AttrpathValue(v) => v.attrpath().and_then(|p| p.attrs().next()).is_some_and(|a| attr_name(&a).is_some()),
        Entry::Inherit(i) => i.attrs().all(|a| attr_name(&a).is_some()),
    })
}

fn known(expr: &Expr, fuel: usize) -> Known {
    if fuel == 0 {
        return Known::Opaque;
    }
    match expr {
        Expr::AttrSet(set) if keys_known(set) => Known::Set(set.clone()),
        Expr::AttrSet(_) => Known::Opaque,
        Expr::Ident(ident) => match bound(ident) {
            Some(Bound::Value(value)) => match operands(&value, fuel - 1).as_slice() {
                [only] => only.known.clone(),
                many => all_sets(many).map_or_else(|| partly(many), Known::Conditional),
            },
            _ => Known::Opaque,
        },
        Expr::IfElse(branch) => {
            let mut sets = Vec::new();
            for side in [branch.body(), branch.else_body()] {
                match side.map(|s| operands(&s, fuel - 1)).and_then(|o| all_sets(&o)) {
                    Some(more) => sets.extend(more),
                    None => return Known::Opaque,
                }
            }
            Known::Conditional(sets)
        }
        Expr::Apply(_) => match call(expr) {
            Some((head, args)) if args.len() == 2 && function_name(&head).is_some_and(|n| n == "optionalAttrs") => args
                .get(1)
                .map(|a| operands(a, fuel - 1))
                .and_then(|o| all_sets(&o))
                .map_or(Known::Opaque, Known::Conditional),
            _ => Known::Opaque,
        },
        _ => Known::Opaque,
    }
}

fn partly(operands: &[Operand]) -> Known {
    let mut sets = Vec::new();
    for (at, operand) in operands.iter().enumerate() {
        let covered = operands.iter().skip(at + 1).any(Operand::opaque);
        sets.extend(operand.sets().map(|(set, conditional)| (set.clone(), conditional || covered)));
    }
    Known::Partly(sets)
}

fn all_sets(operands: &[Operand]) -> Option<Vec<ast::AttrSet>> {
    let mut out = Vec::new();
    for operand in operands {
        match &operand.known {
            Known::Set(set) => out.push(set.clone()),
            Known::Conditional(sets) => out.extend(sets.iter().cloned()),
            Known::Partly(_) | Known::Opaque => return None,
        }
    }
    Some(out)
}

impl Operand {
    pub(super) fn opaque(&self) -> bool {
        matches!(self.known, Known::Opaque | Known::Partly(_))
    }

    /// The sets whose keys are known, and whether each counts on a condition only.
    fn sets(&self) -> impl Iterator<Item = (&ast::AttrSet, bool)> {
        let (always, conditional, partly): (&[ast::AttrSet], &[ast::AttrSet], &[(ast::AttrSet, bool)]) =
            match &self.known {
                Known::Set(set) => (std::slice::from_ref(set), &[], &[]),
                Known::Conditional(sets) => (&[], sets, &[]),
                Known::Partly(sets) => (&[], &[], sets),
                Known::Opaque => (&[], &[], &[]),
            };
        let always = always.iter().map(|s| (s, false));
        always
            .chain(conditional.iter().map(|s| (s, true)))
            .chain(partly.iter().map(|(s, conditional)| (s, *conditional)))
    }

    /// Returns the set, when the operand is a literal one that stands in the chain itself.
    pub(super) fn literal(&self) -> Option<&ast::AttrSet> {
        match &self.known {
            Known::Set(set) if self.variable.is_none() => Some(set),
            _ => None,
        }
    }
}

impl Body {
    /// Returns every visible definition of `key`, in the order in which they count: the last one wins.
    pub(super) fn find(&self, key: &str) -> Vec<Found> {
        if let Some(index) = self.index.get() {
            return index.get(key).cloned().unwrap_or_default();
        }
        let mut out = Vec::new();
        for (operand, conditional, set) in self.sets() {
            for definition in definitions(set, key) {
                out.push(Found { operand, conditional, set: set.clone(), definition });
            }
        }
        out
    }

    /// Reads every key at once, so that [`Body::find`] need not go through the sets each time.
    pub(super) fn indexed(self) -> Body {
        self.index.get_or_init(|| {
            let mut index: HashMap<String, Vec<Found>> = HashMap::new();
            for (operand, conditional, set) in self.sets() {
                for (key, definition) in all_definitions(set) {
                    index.entry(key).or_default().push(Found { operand, conditional, set: set.clone(), definition });
                }
            }
            index
        });
        self
    }

    /// The sets whose keys are known: the operand of each, and whether it counts on a condition only.
    fn sets(&self) -> impl Iterator<Item = (usize, bool, &ast::AttrSet)> {
        let parts = self.operands.iter().enumerate();
        parts.flat_map(|(operand, part)| part.sets().map(move |(set, conditional)| (operand, conditional, set)))
    }

    /// Returns the keys that are visible, each once, in the order of the text.
    pub(super) fn keys(&self) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let mut seen: HashSet<String> = HashSet::new();
        for name in self.sets().flat_map(|(_, _, set)| set_keys(set)) {
            if seen.insert(name.clone()) {
                out.push(name);
            }
        }
        out
    }

    pub(super) fn any_opaque(&self) -> bool {
        self.operands.iter().any(Operand::opaque)
    }
}

/// Returns the first names of a set's bindings.
pub(super) fn set_keys(set: &ast::AttrSet) -> Vec<String> {
    let mut out = Vec::new();
    for glance in glances(set) {
        if let Some(name) = glance.name.first() {
            out.push(name.to_string());
            continue;
        }
        match entry(set, &glance) {
            Some(Entry::AttrpathValue(v)) => {
                out.extend(v.attrpath().and_then(|p| p.attrs().next()).and_then(|a| attr_name(&a)))
            }
            Some(Entry::Inherit(i)) => out.extend(i.attrs().filter_map(|a| attr_name(&a))),
            None => {}
        }
    }
    out
}

/// Returns every definition of a set with its key, in the order of the text.
fn all_definitions(set: &ast::AttrSet) -> Vec<(String, Definition)> {
    let mut out = Vec::new();
    for entry in set.entries() {
        match entry {
            Entry::AttrpathValue(binding) => {
                let Some(names) = binding.attrpath().map(|p| path_names(&p)) else { continue };
                let Some(Some(key)) = names.first().cloned() else { continue };
                out.push(match binding.value() {
                    Some(value) if names.len() == 1 => (key, Definition::Value(binding, value)),
                    _ => (key, Definition::Dotted(binding)),
                });
            }
            Entry::Inherit(inherit) => {
                let from = inherit.from().and_then(|f| f.expr());
                let mut names: Vec<String> = inherit.attrs().filter_map(|a| attr_name(&a)).collect();
                names.dedup();
                out.extend(names.into_iter().map(|n| (n, Definition::Inherit(inherit.clone(), from.clone()))));
            }
        }
    }
    out
}

/// Returns the definitions of `key` in one set.
pub(super) fn definitions(set: &ast::AttrSet, key: &str) -> Vec<Definition> {
    let mut out = Vec::new();
    for entry in candidates(set, |name| name == key) {
        match entry {
            Entry::AttrpathValue(binding) => {
                let Some(path) = binding.attrpath() else { continue };
                let names = path_names(&path);
                if names.first().and_then(Option::as_deref) != Some(key) {
                    continue;
                }
                match binding.value() {
                    Some(value) if names.len() == 1 => out.push(Definition::Value(binding, value)),
                    _ => out.push(Definition::Dotted(binding)),
                }
            }
            Entry::Inherit(inherit) => {
                let named = |a: &Attr| attr_name(a).as_deref() == Some(key);
                if inherit.attrs().any(|a| named(&a)) {
                    let from = inherit.from().and_then(|f| f.expr());
                    out.push(Definition::Inherit(inherit, from));
                }
            }
        }
    }
    out
}

/// Returns those of the names that a set defines more than once in a way that Nix refuses.
pub(super) fn duplicates(set: &ast::AttrSet, of: &HashSet<String>) -> Vec<String> {
    let mut whole: HashSet<String> = HashSet::new();
    let mut dotted: HashSet<Vec<String>> = HashSet::new();
    let mut dotted_first: HashSet<String> = HashSet::new();
    let mut twice = Vec::new();
    for entry in candidates(set, |name| of.contains(name)) {
        match entry {
            Entry::AttrpathValue(binding) => {
                let Some(names) = binding.attrpath().map(|p| path_names(&p)) else { continue };
                let Some(names) = names.into_iter().collect::<Option<Vec<String>>>() else { continue };
                let Some(first) = names.first().filter(|n| of.contains(*n)) else { continue };
                // Two literal sets of one name are merged by Nix; that is old code, not what is written here.
                let literal = matches!(binding.value().map(unparen), Some(Expr::AttrSet(_)));
                if names.len() == 1 {
                    let clash = whole.contains(first) || (!literal && dotted_first.contains(first));
                    if clash && !literal {
                        twice.push(first.clone());
                    }
                    whole.insert(first.clone());
                } else {
                    if dotted.contains(&names) {
                        twice.push(names.join("."));
                    }
                    dotted_first.insert(first.clone());
                    dotted.insert(names);
                }
            }
            Entry::Inherit(inherit) => {
                for name in inherit.attrs().filter_map(|a| attr_name(&a)).filter(|n| of.contains(n)) {
                    if whole.contains(&name) {
                        twice.push(name.clone());
                    }
                    whole.insert(name);
                }
            }
        }
    }
    twice
}

/// Says whether the edits define something twice that was not before. Only names that the edits touch can: of those the
/// duplicates are counted in the sets around the edits, before and after.
pub(super) fn defines_twice(before: &rnix::SyntaxNode, after: &rnix::SyntaxNode, edits: &TextEdits) -> bool {
    let mut names = HashSet::new();
    let new = touched(after, edits, true, &mut names);
    let old = touched(before, edits, false, &mut names);
    let count = |sets: &HashSet<ast::AttrSet>| sets.iter().map(|s| duplicates(s, &names).len()).sum::<usize>();
    count(&new) > count(&old)
}

/// Returns the sets around and within the edits, and adds the names of the entries that they touch; `after` says that
/// the tree is the one with the edits made.
fn touched(
    root: &rnix::SyntaxNode,
    edits: &TextEdits,
    after: bool,
    names: &mut HashSet<String>,
) -> HashSet<ast::AttrSet> {
    let mut sets: HashSet<ast::AttrSet> = HashSet::new();
    let mut shift = 0isize;
    for edit in edits.iter() {
        let start = if after { edit.span.start.saturating_add_signed(shift) } else { edit.span.start };
        let length = if after { edit.text.len() } else { edit.span.len() };
        shift += isize::try_from(edit.text.len()).unwrap_or(0) - isize::try_from(edit.span.len()).unwrap_or(0);
        let (Ok(from), Ok(to)) = (rnix::TextSize::try_from(start), rnix::TextSize::try_from(start + length)) else {
            continue;
        };
        let range = rnix::TextRange::new(from, to);
        if !root.text_range().contains_range(range) {
            continue;
        }
        let covering = match root.covering_element(range) {
            rnix::NodeOrToken::Node(node) => node,
            rnix::NodeOrToken::Token(token) => match token.parent() {
                Some(node) => node,
                None => continue,
            },
        };
        let within = Span::new(start, start + length);
        let around: Vec<ast::AttrSet> = covering.ancestors().filter_map(ast::AttrSet::cast).collect();
        for set in &around {
            for glance in glances(set).filter(|g| g.span.start <= within.end && within.start <= g.span.end) {
                names.extend(entry(set, &glance).into_iter().flat_map(|e| first_names(&e)));
            }
        }
        sets.extend(around);
        let new = covering.children().filter(|c| c.text_range().intersect(range).is_some());
        for set in new.flat_map(|c| c.descendants()).filter_map(ast::AttrSet::cast) {
            names.extend(set_keys(&set));
            sets.insert(set);
        }
    }
    sets
}

fn first_names(entry: &Entry) -> Vec<String> {
    match entry {
        Entry::AttrpathValue(v) => {
            v.attrpath().and_then(|p| p.attrs().next()).and_then(|a| attr_name(&a)).into_iter().collect()
        }
        Entry::Inherit(i) => i.attrs().filter_map(|a| attr_name(&a)).collect(),
    }
}
