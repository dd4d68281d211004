//! What parses here is what Nix parses: small overlays with tokens taken out, put in and exchanged, and every one that
//! is taken is given to `nix-instantiate --parse`.
//!
//! Undefined variables and attributes defined twice are Nix's own checks and do not count. `OVERLAYCTL_SYNTAX_CASES` says
//! how many texts are made (600 otherwise), `OVERLAYCTL_SYNTAX_SEED` where the numbers begin. Skipped without Nix.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::path::{Path, PathBuf};

use overlayctl::base::diagnostic::Coded;
use overlayctl::overlay::{NoFiles, OverlayFile, PatchElement, PatchRequest, Select};
use overlayctl::syntax::{self, AttrPath};

const BASES: &[&str] = &[
    "final: prev: { a = prev.lib; pkg = prev.pkg; }",
    "final: prev: {\n  a = prev.a.overrideAttrs (old: {\n    patches = (old.patches or [ ]) ++ [ ./a.patch ../b/c.patch ];\n  });\n}\n",
    "{ lib, x ? 1, ... }: final: prev: let b = rec { c = ''x ${lib.d or \"e\"} ''; }; in b // { f = if x == 1 then x else [ 2 3 ]; }",
    "final: prev: { inherit (prev) a b; inherit final; \"q r\" = http://x.org/a; ${prev.n} = <n>; }",
    "final: prev: with prev; assert true; { a.b.c = -1 + 2 * 3; d = !true || false -> a ? b.c; e = a // b // { }; }",
    "final: prev: { a = map (x: x + 1.5) [ 1 .5 (f 1) { b = 2; } ]; c = ./x + \"/${d}\"; d = ~/y; }",
    "args@{ a, b }: final: prev: prev.lib.optionalAttrs (a != b && a < b) { c = a; }",
    "{ }@args: final: prev: { a = let inherit (args) b; c = 1; in b c; or = prev.or or 1; } # end\n",
    "final: prev: { a = { x, y ? 2 }@z: z.x; b = ''\n  a\n  ''${c} $$ '''\n''; c = \"\\${\" + \"$\"; /* x */ d = 1 - 2; }",
];

const PIECES: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "${",
    "\"",
    "''",
    "\"s\"",
    "''t''",
    "\"${prev}\"",
    "''${prev}''",
    ";",
    ",",
    ":",
    "=",
    ".",
    "...",
    "@",
    "?",
    "!",
    "-",
    "+",
    "*",
    "/",
    "++",
    "//",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "&&",
    "||",
    "->",
    "%",
    "~",
    "$",
    "\\",
    "if",
    "then",
    "else",
    "let",
    "in",
    "rec",
    "with",
    "assert",
    "inherit",
    "or",
    "null",
    "true",
    "prev",
    "final",
    "x: x",
    "{ }: 1",
    "{ x }: x",
    "a@{ ... }: 1",
    "{ x, x }: 1",
    "{ x, }: 1",
    "{ , }: 1",
    "__curPos",
    "1",
    "0",
    "1.5",
    ".5",
    "1.",
    "1e5",
    "1.5e3",
    "99999999999999999999",
    "1.5e999",
    "./a",
    "./a/",
    "../b",
    "/c",
    "~/d",
    "<e>",
    "<e/f>",
    "a/b",
    "a//b",
    "./a${prev}",
    "./${prev}/b",
    "/${prev}",
    "http://x",
    "a:b",
    "a:",
    ":b",
    "_a:b",
    "# c",
    "# c\n",
    "# c\rd",
    "/* c */",
    "/**/",
    "/*",
    "*/",
    "\u{a0}",
    "\r",
    "\u{c}",
    "\t",
    "\n",
    " ",
    "\u{e4}",
    "\u{1}",
    "prev.a",
    "prev ? a",
    "prev.a or 1",
    "${\"a\"}",
    "${prev.a}",
    "inherit ${prev.a};",
    "inherit \"a\";",
    "let { body = 1; }",
    "let ${prev.a} = 1; in 1",
    "let \"a\" = 1; in a",
    "a'",
    "a-b",
    "a1",
    "1a",
    "-1",
];

/// The numbers of a run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

fn mutated(numbers: &mut Numbers) -> String {
    let base = BASES[numbers.below(BASES.len())];
    let mut tokens: Vec<String> = rnix::tokenize(base).map(|(_, text)| text.to_string()).collect();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(tokens.len());
        let piece = PIECES[numbers.below(PIECES.len())].to_string();
        match numbers.below(6) {
            0 => drop(tokens.remove(at)),
            1 => tokens.insert(at, piece),
            2 => tokens.insert(at, format!(" {piece} ")),
            3 => tokens[at] = piece,
            4 => {
                let other = numbers.below(tokens.len());
                tokens.swap(at, other);
            }
            _ => tokens.insert(at, tokens[at].clone()),
        }
        if tokens.is_empty() {
            tokens.push(" ".into());
        }
    }
    tokens.concat()
}

/// Whether Nix parses each text, and what it says where not; its checks of names do not count.
fn refused_by_nix(folder: &Path, texts: &[String]) -> Vec<(String, String)> {
    let files: Vec<PathBuf> = texts
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let file = folder.join(format!("t{i}.nix"));
            std::fs::write(&file, text).unwrap();
            file
        })
        .collect();
    let mut refused = Vec::new();
    let mut from = 0;
    while from < files.len() {
        let output =
            std::process::Command::new("nix-instantiate").arg("--parse").args(&files[from..]).output().unwrap();
        if output.status.success() {
            break;
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // One expression is printed for each file that parses, the first that does not ends it.
        let at = (from..files.len()).find(|i| said.contains(&format!("/t{i}.nix"))).unwrap_or(from);
        let names = ["undefined variable", "already defined"];
        if !names.iter().any(|n| said.contains(n)) {
            refused.push((texts[at].clone(), said));
        }
        from = at + 1;
    }
    refused
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn what_parses_here_is_what_nix_parses() {
    if std::process::Command::new("nix-instantiate").arg("--version").output().is_err() {
        eprintln!("skipped: there is no nix-instantiate");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut numbers = Numbers(number("OVERLAYCTL_SYNTAX_SEED", 0x9e37_79b9_7f4a_7c15).max(1));
    let cases = usize::try_from(number("OVERLAYCTL_SYNTAX_CASES", 600)).unwrap();
    let (mut taken, mut faults) = (0usize, Vec::new());
    for _ in 0..cases.div_ceil(200) {
        let mut texts: Vec<String> = (0..200).map(|_| mutated(&mut numbers)).collect();
        // What an edit makes of a text that is taken is one that Nix takes as well.
        texts.retain(|text| syntax::parse(Path::new("x.nix"), text).is_ok());
        let request = PatchRequest::new(AttrPath::single("pkg"), vec![PatchElement::path("./fix.patch")]);
        let edited = texts.iter().filter_map(|text| {
            let file = OverlayFile::parse(Path::new("overlay.nix"), text.clone()).ok()?;
            let planned = file.add_patches(&NoFiles, Select::Only, &request);
            if let Err(error) = &planned {
                assert!(error.code() != "OV0114", "{error}\n{text}");
            }
            Some(planned.ok()?.changes.first()?.new.clone())
        });
        let edited: Vec<String> = edited.collect();
        taken += texts.len();
        texts.extend(edited);
        faults.extend(refused_by_nix(folder.path(), &texts));
        if !faults.is_empty() {
            break;
        }
    }
    let shown: Vec<String> = faults.iter().take(20).map(|(text, said)| format!("--- {text:?}\n{said}")).collect();
    assert!(
        faults.is_empty(),
        "{} of {taken} texts are taken, and Nix refuses them:\n{}",
        faults.len(),
        shown.join("\n")
    );
}

/// Each of these is refused by Nix, and was taken once.
#[test]
fn what_nix_refuses_is_refused() {
    for text in [
        "final: prev: { a = (prev.lib ] ; pkg = prev.pkg; }",
        "final: prev: { a = (prev.lib } ; pkg = prev.pkg; }",
        "final: prev: { a = [ x: x ]; }",
        "final: prev: { a = f x: x; }",
        "final: prev: { a = 1 + x: x; }",
        "final: prev: { a = b ? c ? d; }",
        "final: prev: { inherit ${prev.a}; }",
        "final: prev: let ${prev.a} = 1; in { }",
        "final: prev: { a = 99999999999999999999; }",
        "final: prev: { a = 1.5e999; }",
        "final: prev:\u{a0}{ }",
        "{ x, x }: final: prev: { }",
        "final: prev: { ''a'' = 1; }",
        "final: prev: { a = ./b ${prev.c}; }",
        "final: prev: { a = prev.''a''; }",
        "[ ...%",
        "final: prev: { # a\r b = }",
    ] {
        let error = syntax::parse(Path::new("x.nix"), text).err().unwrap_or_else(|| panic!("taken: {text}"));
        assert_eq!(error.code(), "OV0906", "{text}");
    }
    for text in ["{ x, }: { a = x; }", "{ inherit \"a\" ${\"b\"}; }", "let \"a\" = 1; in a", "1.5e3", "a: b: a ? b"] {
        assert!(syntax::parse(Path::new("x.nix"), text).is_ok(), "{text}");
    }
}
