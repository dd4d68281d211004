//! Where a text names patch files, in whatever list, guard, helper or `let` that stands: found by the file's own name.
//!
//! A queue's files are renamed and put in order at these places, so that an element keeps its form and all around it its bytes. Must
//! not know which package a list is for.

use rnix::SyntaxKind::{NODE_LIST, TOKEN_PATH_ABS, TOKEN_PATH_REL, TOKEN_STRING_CONTENT};
use rnix::SyntaxKind::{TOKEN_COMMENT, TOKEN_WHITESPACE};
use rnix::ast::{self, Expr};
use rnix::{NodeOrToken, SyntaxNode, SyntaxToken};
use rowan::ast::AstNode;

use super::ast::{span, written_path};
use super::file::OverlayFile;
use super::query::self_path;
use super::request::Element;
use crate::base::span::Span;
use crate::syntax::trivia;

/// A place that names a file.
#[derive(Debug, Clone)]
pub struct Slot {
    /// What names it there, as an element of a list is read.
    pub element: Element,
    pub span: Span,
    pub list: Option<Span>,
    /// The file's own name in it; none where that stands elsewhere, as of a variable.
    pub name: Option<Span>,
    /// Whether it is nothing but the path.
    pub plain: bool,
    /// Its span with the comments that belong to it: right above it, and behind it on its line.
    pub whole: Span,
    /// Whether only space stands before `whole` on its line.
    pub starts_line: bool,
    /// Whether it is the last of its line, and no other element is on it.
    pub ends_line: bool,
}

impl Slot {
    /// Says whether what stands at another place of a list can stand here with its comments: they would belong to it again.
    pub fn takes(&self, other: &Slot) -> bool {
        let (above, behind) = (other.whole.start < other.span.start, other.whole.end > other.span.end);
        (!above || self.starts_line && self.ends_line) && (!behind || self.ends_line)
    }
}

impl OverlayFile {
    /// Returns the places that name a file of one of these names, in the order of the text.
    pub fn slots(&self, names: &[String]) -> Vec<Slot> {
        if !names.iter().any(|name| self.text().contains(name.as_str())) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for item in self.root().descendants_with_tokens() {
            match item {
                NodeOrToken::Token(token)
                    if matches!(token.kind(), TOKEN_PATH_ABS | TOKEN_PATH_REL | TOKEN_STRING_CONTENT) =>
                {
                    found.extend(names.iter().find_map(|name| self.slot_at(&token, name)));
                }
                NodeOrToken::Node(node) if node.kind() == NODE_LIST => {
                    let items = ast::List::cast(node).into_iter().flat_map(|list| list.items());
                    let named = |expr: &Expr| {
                        let path = || written_path(expr).or_else(|| self_path(expr));
                        let path = if matches!(expr, Expr::Ident(_)) { path() } else { None };
                        path.is_some_and(|path| names.iter().any(|name| path.rsplit('/').next() == Some(name.as_str())))
                    };
                    found.extend(items.filter(named).map(|expr| self.slot(&expr, None)));
                }
                _ => {}
            }
        }
        found.sort_by_key(|slot| slot.span.start);
        found
    }

    /// Returns the text without some elements of its lists. Bindings stay, whatever is left in their lists.
    pub fn left_out(&self, elements: &[Element]) -> String {
        let mut spans: Vec<Span> = elements.iter().filter_map(|element| element.place.span).collect();
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
        let (text, mut out, mut at) = (self.text(), String::new(), 0);
        for span in spans {
            // What is within another goes with it, and what several packages share goes once.
            if span.start >= at {
                out.push_str(&text[at..span.start]);
                out.push(' ');
                at = span.end;
            }
        }
        out.push_str(&text[at..]);
        out
    }

    /// The place whose text ends in `/NAME` with this token.
    fn slot_at(&self, token: &SyntaxToken, name: &str) -> Option<Slot> {
        let place = trivia::token_span(token);
        token.text().strip_suffix(name)?.ends_with('/').then_some(())?;
        let names_file = |expr: &Expr| written_path(expr).is_some() || self_path(expr).is_some();
        let part = |expr: &Expr| matches!(expr, Expr::Str(_) | Expr::BinOp(_) | Expr::Paren(_));
        let within = token.parent_ancestors().filter_map(Expr::cast);
        // The widest expression that is this path: `(./. + "/x.patch")`, `{ name = "x"; patch = ./x.patch; }`.
        let whole = within.take_while(|expr| names_file(expr) || part(expr)).filter(names_file).last()?;
        Some(self.slot(&whole, Some(Span::new(place.end - name.len(), place.end))))
    }

    fn slot(&self, whole: &Expr, name: Option<Span>) -> Slot {
        let list = whole.syntax().parent().filter(|up| up.kind() == NODE_LIST);
        let own = span(whole);
        let (with_comments, starts_line, ends_line) = match &list {
            Some(_) => self.with_comments(whole.syntax()),
            None => (own, false, false),
        };
        Slot {
            element: self.element(whole, false),
            span: own,
            list: list.map(|list| trivia::span(&list)),
            name,
            plain: !matches!(whole, Expr::AttrSet(_)),
            whole: with_comments,
            starts_line,
            ends_line,
        }
    }

    /// The span of an element of a list with the comments that belong to it, whether it begins its line, and whether it ends it. What
    /// stands beside several elements of a line belongs to the line.
    fn with_comments(&self, item: &SyntaxNode) -> (Span, bool, bool) {
        let text = self.text();
        let mut whole = trivia::span(item);
        let line_end = |at: usize| text[at..].find('\n').map(|end| at + end);
        let line_start = text[..whole.start].rfind('\n').map_or(0, |at| at + 1);
        let beside = item.prev_sibling().is_some_and(|other| trivia::span(&other).end > line_start)
            || item
                .next_sibling()
                .is_some_and(|other| line_end(whole.end).is_none_or(|end| trivia::span(&other).start < end));
        if beside {
            return (whole, false, false);
        }
        whole.end = trivia::after_inline_comment(text, whole.end);
        let mut above = item.prev_sibling_or_token();
        while let Some(NodeOrToken::Token(token)) = &above {
            let start = trivia::token_span(token).start;
            match token.kind() {
                TOKEN_WHITESPACE if trivia::lines_in(token.text()) == 1 => {}
                TOKEN_COMMENT if trivia::starts_line(text, start) && trivia::starts_line(text, whole.start) => {
                    whole.start = start;
                }
                _ => break,
            }
            above = token.prev_sibling_or_token();
        }
        let ends = line_end(whole.end).is_some_and(|end| text[whole.end..end].trim().is_empty());
        (whole, trivia::starts_line(text, whole.start), ends)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_left_out_leaves_its_binding() {
        let text = "final: prev: let both = [ ./3.patch ]; in {\n  \
                    a = prev.a.overrideAttrs (o: { patches = o.patches ++ [ ./1.patch(f ./2.patch) ] ++ both; });\n  \
                    b = prev.b.overrideAttrs (o: { patches = both; });\n}";
        let file = OverlayFile::parse(Path::new("o.nix"), text.into()).unwrap();
        let elements: Vec<Element> = file.patched_packages().into_iter().flat_map(|p| p.elements).collect();
        assert_eq!(elements.len(), 4);
        let left = text.replace(" ./3.patch ", "   ").replace("./1.patch(f ./2.patch)", "  ");
        assert_eq!(file.left_out(&elements), left);
    }

    #[test]
    fn a_name_for_a_folder_of_the_flake_is_followed() {
        let text = r#"let d = "${self}/q"; in f: p: { a = p.a.overrideAttrs { patches = [ "${d}/a/1.patch" "${x}/1.patch" ]; }; }"#;
        let file = OverlayFile::parse(Path::new("o.nix"), text.into()).unwrap();
        let found: Vec<Option<String>> =
            file.slots(&["1.patch".into()]).into_iter().map(|slot| slot.element.from_root).collect();
        assert_eq!(found, [Some("q/a/1.patch".to_string())]);
    }

    #[test]
    fn a_name_for_a_file_of_the_flake_is_an_element_too() {
        for value in [r#""${self}/q/1.patch""#, r#"self + "/q/1.patch""#] {
            let text = format!("let n = {value}; in f: p: {{ a = p.a.overrideAttrs {{ patches = [ n ]; }}; }}");
            let file = OverlayFile::parse(Path::new("o.nix"), text).unwrap();
            let slots = file.slots(&["1.patch".into()]);
            let shown: Vec<(&str, bool)> =
                slots.iter().map(|slot| (slot.element.text.as_str(), slot.list.is_some())).collect();
            assert_eq!(shown, [(value, false), ("n", true)]);
            assert!(slots.iter().all(|slot| slot.element.from_root.as_deref() == Some("q/1.patch")));
        }
    }

    #[test]
    fn a_file_is_found_in_every_form_and_nowhere_else() {
        let text = r#"final: prev: let p = ../q/1-a.patch; in {
  # ../q/1-a.patch
  a = [ ../q/1-a.patch (../. + "/q/1-a.patch") "${self}/q/1-a.patch" { name = "1-a.patch"; patch = ../q/1-a.patch; } p ];
  b = f prev.b { url = "https://h/1-a.patch"; other = ../q/11-a.patch; };
}"#;
        let file = OverlayFile::parse(Path::new("o.nix"), text.into()).unwrap();
        let slots = file.slots(&["1-a.patch".into()]);
        let shown: Vec<(&str, bool, bool)> =
            slots.iter().map(|s| (s.element.text.as_str(), s.list.is_some(), s.name.is_some())).collect();
        assert_eq!(
            shown,
            [
                ("../q/1-a.patch", false, true),
                ("../q/1-a.patch", true, true),
                (r#"(../. + "/q/1-a.patch")"#, true, true),
                (r#""${self}/q/1-a.patch""#, true, true),
                (r#"{ name = "1-a.patch"; patch = ../q/1-a.patch; }"#, true, true),
                ("p", true, false),
            ]
        );
        for span in slots.iter().filter_map(|slot| slot.name) {
            assert_eq!(&text[span.range()], "1-a.patch");
        }
    }
}
