//! The gate to rnix: limits, a scan of the nesting before the parse, the parse itself, and what rnix lets pass.
//!
//! rnix's own depth limit does not cover lists and operator chains, and a stack overflow cannot be caught, so every
//! text is scanned first. A text that the scan proves shallow is parsed at once; a deeper one on a thread with a
//! large stack; one past [`MAX_DEPTH`] not at all. Must not interpret the tree.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rnix::SyntaxKind::{self, *};

use super::error::{Error, shown_line};
use super::grammar;
use crate::base::span::{Place, Span};

/// What the parser made of a text that Nix reads. Copies share the tree.
#[derive(Debug, Clone)]
pub struct Tree {
    green: rowan::GreenNode,
}

impl Tree {
    /// Returns the root. Each call makes a root of its own: nodes of different calls are not equal.
    pub fn syntax(&self) -> rnix::SyntaxNode {
        rnix::SyntaxNode::new_root(self.green.clone())
    }
}

/// The most bytes that a file may have.
pub const MAX_BYTES: usize = 16 << 20;

/// The deepest nesting, brackets and operators counted together, that is parsed.
pub const MAX_DEPTH: usize = 1_000;

/// Up to this depth the parser needs less than half of a 2 MiB stack, in debug builds too.
const SHALLOW: usize = 96;

/// The stack of the thread that parses deeper texts, in bytes; only the pages that are touched cost anything.
const DEEP_STACK: usize = 256 << 20;

/// Texts from this size on are kept with their trees, in bytes.
const KEPT_BYTES: usize = 32 << 10;

/// How many of them are kept.
const KEPT: usize = 4;

/// The last large texts and their trees. A command asks for the same file several times, and a large tree takes as long
/// to give back as a tenth of its parse: what is here is neither made twice nor ever taken down.
static LARGE: Mutex<VecDeque<(String, Tree)>> = Mutex::new(VecDeque::new());

/// Parses `text`; `path` is for messages only.
///
/// # Errors
/// Every variant of [`Error`] that concerns a file; the place is the first error's.
pub fn parse(path: &Path, text: &str) -> Result<Tree, Error> {
    if text.len() > MAX_BYTES {
        return Err(Error::TooLarge { path: path.to_path_buf(), bytes: text.len() });
    }
    if let Some(tree) = kept(text) {
        return Ok(tree);
    }
    if let Some(offset) = text.bytes().position(|b| b == 0) {
        return Err(Error::Nul { path: path.to_path_buf(), offset });
    }
    if text.starts_with('\u{feff}') {
        return Err(Error::ByteOrderMark { path: path.to_path_buf() });
    }
    let deepest = scan(text);
    if deepest.depth > MAX_DEPTH {
        let place = Place::in_text(path, text, Span::at(deepest.offset));
        return Err(Error::TooDeep { place, line: shown_line(text, deepest.offset) });
    }
    let parsed = if deepest.depth <= SHALLOW {
        Some(rnix::Root::parse(text))
    } else {
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(DEEP_STACK)
                .spawn_scoped(scope, || rnix::Root::parse(text))
                .ok()
                .and_then(|thread| thread.join().ok())
        })
    };
    let Some(parsed) = parsed else {
        return Err(Error::unparsable(path, text, deepest.offset, "the parser could not be run".into()));
    };
    if let Some(error) = parsed.errors().first() {
        return Err(Error::unparsable(path, text, offset_of(error, text), reason_of(error)));
    }
    let tree = Tree { green: parsed.syntax().green().to_owned() };
    match grammar::fault(&tree.green) {
        None => Ok(keep(text, tree)),
        Some((offset, reason)) => Err(Error::unparsable(path, text, offset, reason)),
    }
}

fn kept(text: &str) -> Option<Tree> {
    if text.len() < KEPT_BYTES {
        return None;
    }
    let large = LARGE.lock().unwrap_or_else(PoisonError::into_inner);
    large.iter().find(|(kept, _)| kept == text).map(|(_, tree)| tree.clone())
}

fn keep(text: &str, tree: Tree) -> Tree {
    if text.len() >= KEPT_BYTES {
        let mut large = LARGE.lock().unwrap_or_else(PoisonError::into_inner);
        if large.len() == KEPT {
            large.pop_front();
        }
        large.push_back((text.to_string(), tree.clone()));
    }
    tree
}

struct Deepest {
    depth: usize,
    offset: usize,
}

#[derive(Clone, Copy)]
struct Frame {
    /// Operators and arguments one after another since the last separator: each may be one level of the tree.
    chain: usize,
    list: bool,
    names: bool,
}

/// Returns an upper bound of the depth of the tree that `text` parses to, and where it is reached.
///
/// Each open bracket or string is a level; so is each operator, keyword and argument since the last `;`, `=` or `,`
/// of its bracket, because chains of operators nest in the tree.
fn scan(text: &str) -> Deepest {
    let mut frames = vec![Frame { chain: 0, list: false, names: false }];
    // The sum of the chains of all frames, kept so that a token costs constant time.
    let mut chains = 0usize;
    let mut deepest = Deepest { depth: 0, offset: 0 };
    let mut offset = 0;
    for (kind, content) in rnix::tokenize(text) {
        let Some(top) = frames.last_mut() else { break };
        match kind {
            TOKEN_WHITESPACE | TOKEN_COMMENT | TOKEN_STRING_CONTENT => {}
            TOKEN_L_BRACE | TOKEN_L_BRACK | TOKEN_L_PAREN | TOKEN_INTERPOL_START | TOKEN_STRING_START => {
                if !top.list && !top.names {
                    top.chain += 1;
                    chains += 1;
                }
                frames.push(Frame { chain: 0, list: kind == TOKEN_L_BRACK, names: kind == TOKEN_STRING_START });
            }
            TOKEN_R_BRACE | TOKEN_R_BRACK | TOKEN_R_PAREN | TOKEN_INTERPOL_END | TOKEN_STRING_END => {
                if frames.len() > 1 {
                    chains -= frames.pop().map_or(0, |f| f.chain);
                }
            }
            TOKEN_SEMICOLON | TOKEN_ASSIGN | TOKEN_COMMA => {
                chains -= top.chain;
                top.chain = 0;
                top.names = false;
            }
            TOKEN_INHERIT => top.names = true,
            _ if top.names => {}
            _ if top.list && !operator(kind) => {}
            _ => {
                top.chain += 1;
                chains += 1;
            }
        }
        let depth = frames.len() + chains;
        if depth > deepest.depth {
            deepest = Deepest { depth, offset };
            if depth > MAX_DEPTH {
                break;
            }
        }
        offset += content.len();
    }
    deepest
}

/// In a list, only these can make one element nest deeper than its brackets.
fn operator(kind: SyntaxKind) -> bool {
    !matches!(
        kind,
        TOKEN_IDENT
            | TOKEN_INTEGER
            | TOKEN_FLOAT
            | TOKEN_URI
            | TOKEN_PATH_ABS
            | TOKEN_PATH_HOME
            | TOKEN_PATH_REL
            | TOKEN_PATH_SEARCH
            | TOKEN_DOT
            | TOKEN_OR
            | TOKEN_REC
    )
}

fn offset_of(error: &rnix::ParseError, text: &str) -> usize {
    use rnix::ParseError::*;
    match error {
        Unexpected(r) | UnexpectedExtra(r) | UnexpectedWanted(_, r, _) | UnexpectedDoubleBind(r) => r.start().into(),
        DuplicatedArgs(r, _) => r.start().into(),
        _ => text.trim_end().len(),
    }
}

fn reason_of(error: &rnix::ParseError) -> String {
    use rnix::ParseError::*;
    match error {
        Unexpected(_) | UnexpectedExtra(_) => "something stands here that does not belong".into(),
        UnexpectedWanted(found, _, wanted) => format!("found {}, wanted {}", token(*found), tokens(wanted)),
        UnexpectedDoubleBind(_) => "the pattern has two names".into(),
        UnexpectedEOF => "the file ends too early".into(),
        UnexpectedEOFWanted(wanted) => format!("the file ends where {} is wanted", tokens(wanted)),
        DuplicatedArgs(_, name) => format!("the argument `{name}` is there twice"),
        RecursionLimitExceeded => "it is nested too deep".into(),
        _ => "the parser gave up".into(),
    }
}

fn tokens(kinds: &[SyntaxKind]) -> String {
    kinds.iter().map(|k| token(*k)).collect::<Vec<_>>().join(" or ")
}

fn token(kind: SyntaxKind) -> String {
    match kind {
        TOKEN_R_BRACE => "`}`".into(),
        TOKEN_L_BRACE => "`{`".into(),
        TOKEN_R_BRACK => "`]`".into(),
        TOKEN_R_PAREN => "`)`".into(),
        TOKEN_SEMICOLON => "`;`".into(),
        TOKEN_ASSIGN => "`=`".into(),
        TOKEN_COLON => "`:`".into(),
        TOKEN_IDENT => "a name".into(),
        TOKEN_IN => "`in`".into(),
        TOKEN_THEN => "`then`".into(),
        TOKEN_ELSE => "`else`".into(),
        TOKEN_STRING_END => "the end of the string".into(),
        other => format!("{other:?}").trim_start_matches("TOKEN_").to_lowercase().replace('_', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::diagnostic::Coded;
    use proptest::prelude::*;

    fn code(text: &str) -> &'static str {
        match parse(Path::new("x.nix"), text) {
            Ok(_) => "ok",
            Err(e) => e.code(),
        }
    }

    #[test]
    fn ordinary_text_is_shallow() {
        let text = "final: prev: { a = prev.a.overrideAttrs (old: { patches = (old.patches or [ ]) ++ [ ./a ]; }); }";
        assert!(scan(text).depth <= SHALLOW);
        assert_eq!(code(text), "ok");
    }

    #[test]
    fn long_flat_sets_lists_and_inherits_are_shallow() {
        let set = format!("{{ {} }}", "a = f x y; ".repeat(5_000));
        let list = format!("[ {} ]", "a.b ./c \"d\" (e f) ".repeat(5_000));
        let inherit = format!("{{ inherit (x) {}; }}", "a ".repeat(5_000));
        for text in [set, list, inherit] {
            assert!(scan(&text).depth <= SHALLOW, "{}", scan(&text).depth);
        }
    }

    #[test]
    fn what_would_exhaust_the_stack_is_refused_with_a_place() {
        for unit in [
            "[",
            "(",
            "{ a = ",
            "!",
            "-",
            "a // ",
            "a ++ ",
            "1+",
            "f ",
            "a: ",
            "\"${",
            "if a then b else ",
            "a.b.c ? d && ",
        ] {
            let text = unit.repeat(50_000);
            assert_eq!(code(&text), "OV0905", "{unit}");
        }
        let closed = format!("{}1{}", "[ ".repeat(5_000), "] ".repeat(5_000));
        let error = parse(Path::new("x.nix"), &closed).err().unwrap();
        assert!(error.place().unwrap().line_col.is_some());
    }

    #[test]
    fn the_limit_itself_parses_and_drops_on_a_small_stack() {
        let text = format!("{}1{}", "[ ".repeat(900), "] ".repeat(900));
        std::thread::Builder::new()
            .stack_size(512 << 10)
            .spawn(move || assert_eq!(code(&text), "ok"))
            .unwrap()
            .join()
            .unwrap();
    }

    #[test]
    fn hostile_bytes_have_their_codes() {
        assert_eq!(code("a\0b"), "OV0903");
        assert_eq!(code("\u{feff}{ }"), "OV0904");
        assert_eq!(code(""), "OV0906");
        assert_eq!(code("{ a = 1; "), "OV0906");
        assert_eq!(code("{ a = ; }"), "OV0906");
        assert_eq!(code(&" ".repeat(MAX_BYTES + 1)), "OV0901");
    }

    #[test]
    fn newer_syntax_is_tolerated() {
        assert_eq!(code("a |> b"), "ok");
    }

    proptest! {
        #[test]
        fn no_text_panics_and_the_tree_prints_the_text(text in "[\\PC\n]{0,80}") {
            if let Ok(tree) = parse(Path::new("x.nix"), &text) {
                prop_assert_eq!(tree.syntax().to_string(), text);
            }
        }

        #[test]
        fn the_scan_bounds_the_tree(text in "(\\[|\\]|\\(|\\)|a|!|1|\\+\\+|//|:|;|\\{|\\}|=|\"|\\$\\{| ){0,60}") {
            let tree = rnix::Root::parse(&text);
            let mut depth = 0usize;
            let mut most = 0usize;
            for event in tree.syntax().preorder() {
                match event {
                    rnix::WalkEvent::Enter(_) => { depth += 1; most = most.max(depth); }
                    rnix::WalkEvent::Leave(_) => depth -= 1,
                }
            }
            // A binding is three nodes (set, binding, value) for one bracket.
            prop_assert!(most <= 4 * scan(&text).depth + 4, "{} {}", most, scan(&text).depth);
        }
    }
}
