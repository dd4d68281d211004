//! The tree of an edited text, made from the tree before: only what the edits touch is parsed again.
//!
//! Why the result is what a parse of the whole text would give:
//!
//! * rnix's tokenizer goes from left to right and looks ahead only; apart from its place it remembers the strings,
//!   paths and interpolations that are open. Its parser is a recursive descent that decides by the next tokens and
//!   remembers nothing but how deep it is. Both are in the same state at the beginning of a binding in any set or
//!   `let`, and have nothing of the binding left open behind its `;`, which no following character can make longer.
//! * So a **binding** whose edits lie between its first byte and its `;` is parsed alone, between braces. When that is
//!   exactly one binding without an error, it is the node that stands there in the new tree.
//! * **Bindings put into a set** (or taken out) between two of its children become its children as they are, with the
//!   space that comes with them, as long as no space or comment beside them would become one token with theirs.
//!
//! Whatever is neither is parsed as a whole by the caller; so is what could be too deep. Every debug build checks that
//! the trees are equal. Must not decide what is edited.

use rnix::SyntaxKind::{self, *};
use rnix::{NodeOrToken, SyntaxNode, TextRange, TextSize};
use rowan::GreenNode;

use super::gate::{self, Tree};
use crate::base::edit::{TextEdit, TextEdits};
use crate::base::span::Span;

/// Up to this depth, old text and piece together, rnix's own limit (512 expressions) is not reached in a whole parse.
const MAX_TOGETHER: usize = 500;

type GreenElement = NodeOrToken<GreenNode, rowan::GreenToken>;

/// Returns the tree of the text that `edits` make of `old`, whose tree is `tree`; `None` when only a whole parse can
/// tell it. The tree before must be without errors.
pub(super) fn reparse(tree: &Tree, old: &str, edits: &TextEdits) -> Option<Tree> {
    if !tree.errors.is_empty() {
        return None;
    }
    let edits: Vec<&TextEdit> = edits.iter().collect();
    let root = tree.syntax();
    let mut units = edits.iter().map(|e| Unit::of(&root, e.span)).collect::<Option<Vec<Unit>>>()?;
    units.sort_by_key(|u| (u.range.start, u.range.end));
    units.dedup_by_key(|u| (u.range, u.is_binding()));
    // What lies within a binding that is parsed again comes with it.
    let bindings: Vec<Span> = units.iter().filter(|u| u.is_binding()).map(|u| u.range).collect();
    units.retain(|u| !bindings.iter().any(|b| b.start < u.range.start && u.range.end < b.end));
    if !units.windows(2).all(|w| w[0].range.end <= w[1].range.start) {
        return None;
    }
    let mut green = tree.green.clone();
    let mut depth = tree.depth;
    // From the end, so that the places in front stay what they are.
    for unit in units.iter().rev() {
        let inside: Vec<&TextEdit> = edits.iter().copied().filter(|e| unit.takes(e.span)).collect();
        let piece = piece(old, unit.range, &inside)?;
        let (parsed, piece_depth) = alone(&piece)?;
        depth = depth.max(tree.depth.checked_add(piece_depth)?);
        if depth > MAX_TOGETHER {
            return None;
        }
        green = unit.put(SyntaxNode::new_root(green), parsed)?;
    }
    Some(Tree { green, errors: Vec::new(), depth })
}

/// The text of a range with the edits in it made.
fn piece(old: &str, range: Span, edits: &[&TextEdit]) -> Option<String> {
    let mut out = String::new();
    let mut at = range.start;
    for edit in edits {
        out.push_str(old.get(at..edit.span.start)?);
        out.push_str(&edit.text);
        at = edit.span.end;
    }
    out.push_str(old.get(at..range.end)?);
    Some(out)
}

/// Parses bindings between braces: the children of that set, braces left out, and the depth.
fn alone(bindings: &str) -> Option<(Vec<GreenElement>, usize)> {
    let text = format!("{{{bindings}}}");
    let (depth, parsed) = gate::shallow(&text)?;
    let root = parsed.syntax();
    let mut top = root.children_with_tokens();
    let (Some(NodeOrToken::Node(set)), None) = (top.next(), top.next()) else { return None };
    if !parsed.errors().is_empty() || set.kind() != NODE_ATTR_SET {
        return None;
    }
    let children: Vec<GreenElement> = set.green().children().map(|c| c.to_owned()).collect();
    let [first, inner @ .., last] = children.as_slice() else { return None };
    let brace = |e: &GreenElement| matches!(e, NodeOrToken::Token(_));
    (brace(first) && brace(last)).then(|| (inner.to_vec(), depth))
}

#[derive(Debug)]
struct Unit {
    range: Span,
    kind: UnitKind,
}

#[derive(Debug)]
enum UnitKind {
    /// One binding, parsed again.
    Binding,
    /// Children of the set that begins and ends at these bytes; the unit's range is what goes.
    Children { set: Span },
}

fn text_range(span: Span) -> Option<TextRange> {
    Some(TextRange::new(TextSize::try_from(span.start).ok()?, TextSize::try_from(span.end).ok()?))
}

fn span_of(range: TextRange) -> Span {
    Span::new(range.start().into(), range.end().into())
}

impl Unit {
    fn is_binding(&self) -> bool {
        matches!(self.kind, UnitKind::Binding)
    }

    /// Says whether an edit is made in this unit.
    fn takes(&self, edit: Span) -> bool {
        match self.kind {
            UnitKind::Binding => self.range.start < edit.start && edit.end < self.range.end,
            UnitKind::Children { .. } => self.range == edit,
        }
    }

    fn of(root: &SyntaxNode, edit: Span) -> Option<Unit> {
        let range = text_range(edit)?;
        if !root.text_range().contains_range(range) {
            return None;
        }
        let covering = match root.covering_element(range) {
            NodeOrToken::Node(node) => node,
            NodeOrToken::Token(token) => token.parent()?,
        };
        for node in covering.ancestors() {
            let place = span_of(node.text_range());
            match node.kind() {
                NODE_ATTRPATH_VALUE
                    if place.start < edit.start
                        && edit.end < place.end
                        && node.last_token().is_some_and(|t| t.kind() == TOKEN_SEMICOLON) =>
                {
                    return Some(Unit { range: place, kind: UnitKind::Binding });
                }
                NODE_ATTR_SET if place.start < edit.start && edit.end < place.end => {
                    let whole = |offset: usize| boundary(&node, offset);
                    // `rec` and what follows it stand in front of the brace.
                    let within = node
                        .children_with_tokens()
                        .find(|c| c.kind() == TOKEN_L_BRACE)
                        .is_some_and(|brace| usize::from(brace.text_range().end()) <= edit.start);
                    if within && whole(edit.start) && whole(edit.end) {
                        return Some(Unit { range: edit, kind: UnitKind::Children { set: place } });
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Makes the new root.
    fn put(&self, root: SyntaxNode, parsed: Vec<GreenElement>) -> Option<GreenNode> {
        match self.kind {
            UnitKind::Binding => {
                let node = node_at(&root, self.range, NODE_ATTRPATH_VALUE)?;
                match parsed.as_slice() {
                    [NodeOrToken::Node(only)] if kind(only) == NODE_ATTRPATH_VALUE => {
                        Some(node.replace_with(only.clone()))
                    }
                    _ => None,
                }
            }
            UnitKind::Children { set } => {
                // What the set was before the edits behind this one changed its end.
                let set = node_starting(&root, set.start, self.range, NODE_ATTR_SET)?;
                let (mut from, mut to, mut at) = (0usize, 0usize, usize::from(set.text_range().start()));
                let green = set.green();
                for child in green.children() {
                    at += usize::from(child.text_len());
                    if at <= self.range.start {
                        from += 1;
                    }
                    if at <= self.range.end {
                        to += 1;
                    }
                }
                let count = green.children().count();
                if from == 0 || to < from || to >= count {
                    return None;
                }
                let nth = |n: usize| green.children().nth(n).map(|c| c.to_owned());
                let (before, after) = (nth(from - 1)?, nth(to)?);
                let first = parsed.first().unwrap_or(&after);
                let last = parsed.last().unwrap_or(&before);
                if !stand_beside(&before, first) || !stand_beside(last, &after) {
                    return None;
                }
                // A set without bindings could be read as the pattern of a function.
                let kept = |range: std::ops::Range<usize>| {
                    green.children().enumerate().any(|(i, c)| !range.contains(&i) && matches!(c, NodeOrToken::Node(_)))
                };
                if !parsed.iter().any(|c| matches!(c, NodeOrToken::Node(_))) && !kept(from..to) {
                    return None;
                }
                let new = green.splice_children(from..to, parsed);
                Some(set.replace_with(new))
            }
        }
    }
}

/// Says whether a child of `node` begins or ends at `offset`, within the braces.
fn boundary(node: &SyntaxNode, offset: usize) -> bool {
    let Ok(offset) = TextSize::try_from(offset) else { return false };
    let range = node.text_range();
    let mut elements = [Some(offset), offset.checked_sub(TextSize::from(1))].into_iter().flatten().filter_map(|at| {
        let at = TextRange::at(at, TextSize::from(1));
        range.contains_range(at).then(|| node.child_or_token_at_range(at)).flatten()
    });
    elements.any(|e| e.text_range().start() == offset || e.text_range().end() == offset)
}

fn node_at(root: &SyntaxNode, range: Span, wanted: SyntaxKind) -> Option<SyntaxNode> {
    node_starting(root, range.start, Span::new(range.start + 1, range.end), wanted)
        .filter(|n| span_of(n.text_range()).end == range.end)
}

/// The smallest node of that kind that begins at `start` and holds `range`.
fn node_starting(root: &SyntaxNode, start: usize, range: Span, wanted: SyntaxKind) -> Option<SyntaxNode> {
    let covering = match root.covering_element(text_range(range)?) {
        NodeOrToken::Node(node) => node,
        NodeOrToken::Token(token) => token.parent()?,
    };
    covering.ancestors().find(|n| n.kind() == wanted && span_of(n.text_range()).start == start)
}

fn kind(node: &GreenNode) -> SyntaxKind {
    <rnix::NixLanguage as rowan::Language>::kind_from_raw(node.kind())
}

/// Says whether two neighbours stay two tokens.
fn stand_beside(left: &GreenElement, right: &GreenElement) -> bool {
    let token = |e: &GreenElement| match e {
        NodeOrToken::Token(token) => {
            Some((<rnix::NixLanguage as rowan::Language>::kind_from_raw(token.kind()), token.text().to_string()))
        }
        NodeOrToken::Node(_) => None,
    };
    match (token(left), token(right)) {
        (Some((TOKEN_WHITESPACE, _)), Some((TOKEN_WHITESPACE, _))) => false,
        (Some((TOKEN_COMMENT, text)), Some((TOKEN_WHITESPACE, space))) => {
            text.starts_with("/*") || space.starts_with('\n')
        }
        (Some((TOKEN_COMMENT, text)), _) => text.starts_with("/*"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    const TEXTS: &[&str] = &[
        "final: prev: {\n  # one\n  a = prev.a.overrideAttrs (old: { patches = [ ./x ]; });\n\n  b.c = \"x${y}\"; # two\n  inherit (prev) d e;\n}\n",
        "{ a }: final: prev: let b = rec { c = ''x ${d.\"e\"} ''; }; in b // { f = if a then 1 else [ 2 3 ]; g = { }; }",
        "final: prev: {\r\n  a = { b = { c = 1; }; }; /* x */\r\n  \"q r\" = http://x.org/a;\r\n}",
        "f: p: { a=1;b={c=<n>;};/**/d=./a/b;}",
    ];

    /// A text, places in it, and what is put there.
    fn edited(text: &str, places: &[(usize, usize, String)]) -> Option<(TextEdits, String)> {
        let mut edits = TextEdits::new();
        for (start, length, new) in places {
            let start = start % (text.len() + 1);
            let span = Span::new(start, (start + length).min(text.len()));
            edits.replace(span, new.as_str()).ok()?;
        }
        let new = edits.apply(text).ok()?;
        Some((edits, new))
    }

    #[test]
    fn edits_of_bindings_and_of_sets_need_no_whole_parse() {
        let text = TEXTS[0];
        let tree = gate::parse(Path::new("x.nix"), text).unwrap();
        let after = |s: &str| text.find(s).unwrap() + s.len();
        for (at, length, new) in [
            (after("# two"), 0, "\n  musl = 1;"),
            (after("./x"), 0, " ./y"),
            (after("old: { patches = [ ./x ];"), 0, " x = 1;"),
            (after("prev: {"), 0, "\n  n = 1;"),
            (after("prev: {\n  # one") - 8, 8, "\n  n = 1;"),
        ] {
            let (edits, new) = edited(text, &[(at, length, new.to_string())]).unwrap();
            let quick = reparse(&tree, text, &edits).unwrap_or_else(|| panic!("{new}"));
            assert_eq!(quick.green, gate::parse(Path::new("x.nix"), &new).unwrap().green, "{new}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]
        #[test]
        fn whatever_is_not_parsed_as_a_whole_is_the_same(
            which in 0..TEXTS.len(),
            places in prop::collection::vec((0usize..200, prop_oneof![3 => Just(0usize), 1 => 1usize..12], prop_oneof![
                2 => r#"(
|
  | |)(x = 1;|y\.z = \[ \];|inherit q;|"s" = "\$\{t\}";)(
| |)"#,
                2 => r#"[ a1;={}
    "$'/.\#*:?,@()\[\]+-]{0,5}"#,
                1 => r#"( # c|/\* c \*/|
    |  |x|;|''|\$\{|\}|")"#,
            ]), 1..4),
        ) {
            let text = TEXTS[which];
            let tree = gate::parse(Path::new("x.nix"), text).unwrap();
            if let Some((edits, new)) = edited(text, &places)
                && let Some(quick) = reparse(&tree, text, &edits)
            {
                let whole = gate::parse_errors(Path::new("x.nix"), &new).unwrap();
                prop_assert!(whole.errors.is_empty(), "{}", new);
                prop_assert_eq!(&quick.green, &whole.green, "{}", new);
                prop_assert!(quick.depth >= whole.depth, "{} {}: {}", quick.depth, whole.depth, new);
            }
        }
    }
}
