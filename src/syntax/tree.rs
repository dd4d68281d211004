//! A parsed text: the tree, the errors, and how deep it is at most.
//!
//! Must not parse.

use rnix::{ParseError, SyntaxNode};
use rowan::GreenNode;

/// What the parser made of a text. Copies share the tree.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(super) green: GreenNode,
    pub(super) errors: Vec<ParseError>,
    /// An upper bound of the nesting of the text, as the gate counts it.
    pub(super) depth: usize,
}

impl Tree {
    /// Returns the root. Each call makes a root of its own: nodes of different calls are not equal.
    pub fn syntax(&self) -> SyntaxNode {
        SyntaxNode::new_root(self.green.clone())
    }

    /// Returns the errors, in the order in which the parser found them.
    pub fn errors(&self) -> &[ParseError] {
        &self.errors
    }
}
