//! The entries of a set at a glance: where each stands and what it is plainly called.
//!
//! A set may have ten thousand entries, and most questions are about one of them: those are answered from the tree below
//! the cursor, which makes no node for the others. Must not decide what an entry means.

use rnix::ast::{self, Entry};
use rnix::{NodeOrToken, SyntaxKind, TextRange, TextSize};
use rowan::GreenNodeData;
use rowan::ast::AstNode;

use crate::base::span::Span;

/// An entry as it is seen in passing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Glance<'g> {
    pub(super) span: Span,
    pub(super) name: Name<'g>,
}

/// What an entry is called, as far as its first token tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name<'g> {
    /// `name = value;`
    Single(&'g str),
    /// `name.more = value;`
    Dotted(&'g str),
    /// A quoted or computed name, or an `inherit`.
    Other,
}

impl<'g> Name<'g> {
    pub(super) fn first(self) -> Option<&'g str> {
        match self {
            Name::Single(name) | Name::Dotted(name) => Some(name),
            Name::Other => None,
        }
    }
}

fn kind(node: &GreenNodeData) -> SyntaxKind {
    <rnix::NixLanguage as rowan::Language>::kind_from_raw(node.kind())
}

fn nodes(node: &GreenNodeData) -> impl Iterator<Item = &GreenNodeData> {
    node.children().filter_map(|c| c.into_node())
}

/// Returns the entries of a set, in the order of the text.
pub(super) fn glances(set: &ast::AttrSet) -> impl Iterator<Item = Glance<'_>> {
    let mut at = usize::from(set.syntax().text_range().start());
    set.syntax().green().children().filter_map(move |child| {
        let start = at;
        at += usize::from(child.text_len());
        let NodeOrToken::Node(node) = child else { return None };
        let name = match kind(node) {
            SyntaxKind::NODE_ATTRPATH_VALUE => nodes(node).next().map_or(Name::Other, path_name),
            SyntaxKind::NODE_INHERIT => Name::Other,
            _ => return None,
        };
        Some(Glance { span: Span::new(start, at), name })
    })
}

fn path_name(path: &GreenNodeData) -> Name<'_> {
    let mut names = nodes(path);
    let first = names.next().filter(|n| kind(n) == SyntaxKind::NODE_IDENT);
    let text = first.and_then(|n| n.children().next()).and_then(|c| c.into_token()).map(|t| t.text());
    match (text, names.next()) {
        (Some(text), None) => Name::Single(text),
        (Some(text), Some(_)) => Name::Dotted(text),
        (None, _) => Name::Other,
    }
}

pub(super) fn entry(set: &ast::AttrSet, glance: &Glance<'_>) -> Option<Entry> {
    let at = |offset: usize| TextSize::try_from(offset).ok();
    let range = TextRange::new(at(glance.span.start)?, at(glance.span.end)?);
    match set.syntax().child_or_token_at_range(range)? {
        NodeOrToken::Node(node) => Entry::cast(node),
        NodeOrToken::Token(_) => None,
    }
}

/// Returns the entries that may bind one of the names: those that do, and those whose name cannot be seen in passing.
pub(super) fn candidates<'s>(
    set: &'s ast::AttrSet,
    wanted: impl Fn(&str) -> bool + 's,
) -> impl Iterator<Item = Entry> + 's {
    glances(set).filter(move |g| g.name.first().is_none_or(&wanted)).filter_map(|g| entry(set, &g))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rnix::ast::HasEntry;

    #[test]
    fn a_glance_sees_every_entry() {
        let text =
            "x: { a = 1; /* c */ b.c = 2; \"d\" = 3; ${e} = 4; inherit f; inherit (g) h; rec-like = { i = 5; }; }";
        let root = rnix::Root::parse(text).syntax();
        let set = root.descendants().find_map(ast::AttrSet::cast).unwrap();
        let seen: Vec<Glance<'_>> = glances(&set).collect();
        let names: Vec<Name<'_>> = seen.iter().map(|g| g.name).collect();
        use Name::*;
        assert_eq!(names, [Single("a"), Dotted("b"), Other, Other, Other, Other, Single("rec-like")]);
        let entries: Vec<Entry> = seen.iter().filter_map(|g| entry(&set, g)).collect();
        assert_eq!(entries, set.entries().collect::<Vec<_>>());
        assert_eq!(candidates(&set, |n| n == "b").count(), 5);
    }
}
