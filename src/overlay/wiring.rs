//! The list of a file that its overlays stand in, and one more in it.
//!
//! Must not touch the disk, and must not guess: with several lists the caller has to ask.

use rnix::ast::{self, BinOpKind, Expr};
use rowan::ast::AstNode;

use super::ast::{call, function_name, path_names, span};
use super::file::OverlayFile;
use super::request::FileChange;
use crate::base::edit::TextEdits;
use crate::syntax::{make, trivia};

impl OverlayFile {
    /// Plans to put `(import RELATIVE)` at the end of the only list of overlays that the file has: the value of `overlays`,
    /// or what `composeManyExtensions` is given. `None` where there is none or more than one.
    pub fn wire_in(&self, relative: &str) -> Option<FileChange> {
        let root = self.root();
        let mut lists = root.descendants().filter_map(ast::List::cast).filter(holds_overlays);
        let (Some(list), None) = (lists.next(), lists.next()) else { return None };
        let text = self.text();
        let element = format!("(import {})", make::path(relative));
        let mut edits = TextEdits::new();
        let (open, close) = (list.l_brack_token()?, list.r_brack_token()?);
        let (open, close) = (trivia::token_span(&open).end, trivia::token_span(&close).start);
        match list.items().last().map(|item| span(&item)) {
            Some(last) if trivia::starts_line(text, last.start) => {
                let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
                let indent = trivia::line_indent(text, last.start);
                edits
                    .insert(trivia::after_inline_comment(text, last.end), format!("{newline}{indent}{element}"))
                    .ok()?;
            }
            Some(last) if text.get(last.end..close)?.trim().is_empty() => {
                edits.insert(last.end, format!(" {element}")).ok()?;
            }
            None if text.get(open..close)?.trim().is_empty() => {
                edits.replace(crate::base::span::Span::new(open, close), format!(" {element} ")).ok()?;
            }
            _ => return None,
        }
        let new = edits.apply(text).ok()?;
        let after = OverlayFile::parse(self.path(), new.clone()).ok()?;
        let items = |file: &OverlayFile| -> Option<usize> {
            Some(file.root().descendants().filter_map(ast::List::cast).find(holds_overlays)?.items().count())
        };
        (items(&after) == items(self).map(|count| count + 1)).then(|| FileChange {
            path: self.path().to_path_buf(),
            old: text.to_string(),
            edits,
            new,
        })
    }
}

/// Says whether a list is one of overlays, by where it stands.
fn holds_overlays(list: &ast::List) -> bool {
    let mut here = list.syntax().clone();
    while let Some(above) = here.parent() {
        match Expr::cast(above.clone()) {
            Some(Expr::Paren(_)) => {}
            Some(Expr::BinOp(operation)) if operation.operator() == Some(BinOpKind::Concat) => {}
            Some(expr @ Expr::Apply(_)) => {
                let called = call(&expr).and_then(|(function, _)| function_name(&function));
                return called.as_deref() == Some("composeManyExtensions");
            }
            Some(_) => return false,
            None => {
                let names = ast::AttrpathValue::cast(above).and_then(|binding| binding.attrpath());
                let names: Vec<String> =
                    names.map(|p| path_names(&p)).unwrap_or_default().into_iter().flatten().collect();
                return names.last().is_some_and(|name| name == "overlays") && !names.iter().any(|n| n == "deviceTree");
            }
        }
        here = above;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn wired(text: &str) -> Option<String> {
        OverlayFile::parse(Path::new("default.nix"), text.into()).unwrap().wire_in("./o/p.nix").map(|change| change.new)
    }

    #[test]
    fn one_more_at_the_end_in_the_layout_that_is_there() {
        for (text, wanted) in [
            (
                "import n { overlays = [ (import ./a.nix) ]; }",
                "import n { overlays = [ (import ./a.nix) (import ./o/p.nix) ]; }",
            ),
            ("import n { overlays = [ ]; }", "import n { overlays = [ (import ./o/p.nix) ]; }"),
            (
                "{ ... }:\r\n{\r\n  nixpkgs.overlays = [\r\n    (import ./a.nix) # first\r\n    # end\r\n  ];\r\n}\r\n",
                "{ ... }:\r\n{\r\n  nixpkgs.overlays = [\r\n    (import ./a.nix) # first\r\n    (import ./o/p.nix)\r\n    # end\r\n  ];\r\n}\r\n",
            ),
            ("{ overlays = ([ a ]) ++ more; }", "{ overlays = ([ a (import ./o/p.nix) ]) ++ more; }"),
            ("lib.composeManyExtensions [ a b ]", "lib.composeManyExtensions [ a b (import ./o/p.nix) ]"),
        ] {
            assert_eq!(wired(text).as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_not_sure_is_left_alone() {
        for text in [
            "{ overlays = [ a ]; x.overlays = [ b ]; }",
            "{ hardware.deviceTree.overlays = [ ]; }",
            "{ overlays = map import [ ./a.nix ]; }",
            "{ overlays = x; list = [ ]; }",
            "{ overlays = [ a /* [ */ ]; }",
        ] {
            assert_eq!(wired(text), None, "{text}");
        }
    }
}
