//! Finding nodes of a kind in a large tree.
//!
//! rowan's cursor makes a counted node for everything that it passes, which costs more than the question. Here the
//! tree below the cursor is passed, and cursors are made only of what is found. Must not know what the nodes mean.

use rnix::{NodeOrToken, SyntaxKind, SyntaxNode, TextRange, TextSize};
use rowan::GreenNodeData;

/// A node that a walk is at, and the nodes around it.
pub struct Step<'a, 'g> {
    node: &'g GreenNodeData,
    around: &'a [Level<'g>],
}

struct Level<'g> {
    node: &'g GreenNodeData,
    children: rowan::Children<'g>,
    /// Where the next child begins.
    at: TextSize,
}

fn kind(node: &GreenNodeData) -> SyntaxKind {
    <rnix::NixLanguage as rowan::Language>::kind_from_raw(node.kind())
}

impl Step<'_, '_> {
    pub fn kind(&self) -> SyntaxKind {
        kind(self.node)
    }

    /// Returns the kinds of the nodes around it, the nearest first.
    pub fn around(&self) -> impl Iterator<Item = SyntaxKind> {
        self.around.iter().rev().map(|l| kind(l.node))
    }

    /// Returns the kind of the last child that is a node: the body of a function, the value of a binding.
    pub fn last_child(&self) -> Option<SyntaxKind> {
        self.node.children().rev().find_map(|c| c.into_node()).map(kind)
    }
}

/// Returns the nodes below `root` (itself included) that `wanted` asks for, in the order of the text.
pub fn find(root: &SyntaxNode, wanted: &mut dyn FnMut(&Step<'_, '_>) -> bool) -> Vec<SyntaxNode> {
    let green = root.green();
    let start = root.text_range().start();
    let mut out = Vec::new();
    if wanted(&Step { node: green, around: &[] }) {
        out.push(root.clone());
    }
    let mut levels = vec![Level { node: green, children: green.children(), at: start }];
    while let Some(level) = levels.last_mut() {
        let Some(child) = level.children.next() else {
            levels.pop();
            continue;
        };
        let range = TextRange::at(level.at, child.text_len());
        level.at = range.end();
        let NodeOrToken::Node(node) = child else { continue };
        if wanted(&Step { node, around: &levels })
            && let Some(found) = at(root, range, kind(node))
        {
            out.push(found);
        }
        levels.push(Level { node, children: node.children(), at: range.start() });
    }
    out
}

/// The outermost node of that kind with exactly that range.
fn at(root: &SyntaxNode, range: TextRange, wanted: SyntaxKind) -> Option<SyntaxNode> {
    let mut node = root.clone();
    loop {
        if node.text_range() == range && node.kind() == wanted {
            return Some(node);
        }
        node = match node.child_or_token_at_range(range)? {
            NodeOrToken::Node(child) => child,
            NodeOrToken::Token(_) => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rnix::SyntaxKind::*;

    #[test]
    fn a_walk_finds_what_the_cursor_finds() {
        let text = "{ a }: final: (prev: { x = prev.x.overrideAttrs (o: { b = [ (c: c) ]; }); } // f (y: z: { }))";
        let root = rnix::Root::parse(text).syntax();
        for wanted in [NODE_LAMBDA, NODE_IDENT, NODE_PAREN, NODE_ATTR_SET, NODE_ROOT] {
            let walked = find(&root, &mut |s| s.kind() == wanted);
            let cursor: Vec<SyntaxNode> = root.descendants().filter(|n| n.kind() == wanted).collect();
            assert_eq!(walked, cursor);
        }
        let bound = find(&root, &mut |s| s.kind() == NODE_APPLY && s.around().next() == Some(NODE_ATTRPATH_VALUE));
        assert_eq!(bound.len(), 1);
        assert_eq!(find(&root, &mut |s| s.last_child() == Some(NODE_LAMBDA)).len(), 7);
    }
}
