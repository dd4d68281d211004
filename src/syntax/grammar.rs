//! What Nix refuses although rnix makes a tree of it without an error.
//!
//! Undefined variables and attributes defined twice are not looked at: they concern what a text means. Must not refuse
//! what Nix reads.

use std::collections::HashSet;

use rnix::SyntaxKind::{self, *};
use rnix::{NodeOrToken, TextSize};
use rowan::{GreenNodeData, GreenTokenData};

/// Where Nix stops reading, and why.
pub(super) type Fault = (usize, String);

fn node_kind(node: &GreenNodeData) -> SyntaxKind {
    <rnix::NixLanguage as rowan::Language>::kind_from_raw(node.kind())
}

fn token_kind(token: &GreenTokenData) -> SyntaxKind {
    <rnix::NixLanguage as rowan::Language>::kind_from_raw(token.kind())
}

fn nodes(node: &GreenNodeData) -> impl DoubleEndedIterator<Item = &GreenNodeData> {
    node.children().filter_map(|c| c.into_node())
}

/// Returns the first fault of a tree that has no errors.
pub(super) fn fault(root: &GreenNodeData) -> Option<Fault> {
    let mut levels = vec![(root, root.children(), TextSize::new(0))];
    while let Some((node, children, at)) = levels.last_mut() {
        let start = usize::from(*at);
        let Some(child) = children.next() else {
            levels.pop();
            continue;
        };
        *at += child.text_len();
        let parent = node_kind(node);
        let reason = match &child {
            NodeOrToken::Node(inner) => of_node(node, parent, inner),
            NodeOrToken::Token(token) => of_token(node, token),
        };
        if let Some(reason) = reason {
            return Some((start, reason));
        }
        if let NodeOrToken::Node(inner) = child {
            let at = TextSize::try_from(start).ok()?;
            levels.push((inner, inner.children(), at));
        }
    }
    None
}

fn of_node(parent: &GreenNodeData, parent_kind: SyntaxKind, node: &GreenNodeData) -> Option<String> {
    let first = || nodes(parent).next().is_some_and(|n| std::ptr::eq(n, node));
    let reason = match (parent_kind, node_kind(node)) {
        (NODE_LIST | NODE_APPLY | NODE_SELECT | NODE_BIN_OP | NODE_UNARY_OP | NODE_HAS_ATTR, NODE_LAMBDA) => {
            "a function here needs parentheses"
        }
        (NODE_HAS_ATTR, NODE_HAS_ATTR) if first() => "`?` twice needs parentheses",
        (NODE_ATTRPATH | NODE_INHERIT, NODE_STRING) if indented(node) => "a name takes plain quotes",
        (NODE_INHERIT, _) if computed(node) => "a name that is computed cannot be inherited",
        (NODE_LET_IN, NODE_ATTRPATH_VALUE) => {
            let name = nodes(node).next().and_then(|path| nodes(path).next());
            name.filter(|name| computed(name)).map(|_| "`let` takes no name that is computed")?
        }
        (NODE_LAMBDA, NODE_PATTERN) => return doubled(node),
        _ => return None,
    };
    Some(reason.to_string())
}

/// Says whether a name is computed: `${x}`, `"${x}"`; `${"x"}` is not.
fn computed(name: &GreenNodeData) -> bool {
    match node_kind(name) {
        NODE_IDENT | NODE_INHERIT_FROM => false,
        NODE_DYNAMIC => !nodes(name).next().is_some_and(plain_string),
        _ => !plain_string(name),
    }
}

fn plain_string(expr: &GreenNodeData) -> bool {
    match node_kind(expr) {
        NODE_PAREN => nodes(expr).next().is_some_and(plain_string),
        NODE_STRING => !nodes(expr).any(|part| node_kind(part) == NODE_INTERPOL),
        NODE_LITERAL => expr.children().any(|c| c.into_token().is_some_and(|t| token_kind(t) == TOKEN_URI)),
        _ => false,
    }
}

fn indented(string: &GreenNodeData) -> bool {
    string.children().next().and_then(|c| c.into_token()).is_some_and(|t| t.text() == "''")
}

/// Finds an argument that a pattern has twice.
fn doubled(pattern: &GreenNodeData) -> Option<String> {
    let mut seen = HashSet::new();
    nodes(pattern)
        .filter_map(|entry| nodes(entry).next().filter(|name| node_kind(name) == NODE_IDENT))
        .map(ToString::to_string)
        .find(|name| !seen.insert(name.clone()))
        .map(|name| format!("the argument `{name}` is there twice"))
}

fn of_token(node: &GreenNodeData, token: &GreenTokenData) -> Option<String> {
    let text = token.text();
    let reason = match token_kind(token) {
        TOKEN_WHITESPACE | TOKEN_COMMENT
            if matches!(node_kind(node), NODE_PATH_ABS | NODE_PATH_REL | NODE_PATH_HOME) =>
        {
            "a path ends where a space begins"
        }
        TOKEN_WHITESPACE if !text.bytes().all(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')) => {
            "this space is none that Nix takes"
        }
        // Nix ends such a comment at the first carriage return too: what follows on the line is text to it.
        TOKEN_COMMENT if text.starts_with('#') && text.trim_end_matches('\r').contains('\r') => {
            "a comment ends at a carriage return, and more stands on its line"
        }
        TOKEN_INTEGER if text.parse::<i64>().is_err() => "the number is too large",
        TOKEN_FLOAT if !text.parse::<f64>().is_ok_and(f64::is_finite) => "the number is too large",
        kind => {
            let last = || node.children().next_back().and_then(|c| c.into_token());
            let ends = |wanted| last().is_some_and(|t| token_kind(t) == wanted);
            // The opening bracket is looked at: the parser takes any token for the other one.
            match kind {
                TOKEN_L_PAREN if node_kind(node) == NODE_PAREN && !ends(TOKEN_R_PAREN) => "no `)` closes this",
                TOKEN_L_BRACK if !ends(TOKEN_R_BRACK) => "no `]` closes this",
                _ => return None,
            }
        }
    };
    Some(reason.to_string())
}
