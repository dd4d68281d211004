//! A parsed text.
//!
//! Must not parse.

use rnix::SyntaxNode;
use rowan::GreenNode;

/// What the parser made of a text that Nix reads. Copies share the tree.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(super) green: GreenNode,
}

impl Tree {
    /// Returns the root. Each call makes a root of its own: nodes of different calls are not equal.
    pub fn syntax(&self) -> SyntaxNode {
        SyntaxNode::new_root(self.green.clone())
    }
}
