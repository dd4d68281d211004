//! Package sets, overlays and targets as values, and the Nix text that stands for them.
//!
//! Text of the user's (a `crossSystem`, a `config`) goes in only as a [`Fragment`], which is checked to be closed: no
//! bracket, string or comment of it can reach beyond it. Must not start anything.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::error::Error;
use crate::syntax::make::attr_name;
pub use crate::syntax::make::{attr_path as attr_path_text, string as quoted};

/// The names that lead from a root to a value, unquoted; none lead to the root itself, which no `syntax::AttrPath` can say.
pub type Names = Vec<String>;

/// A piece of Nix text that is lexically closed, so that it can stand in parentheses anywhere.
///
/// Paths in it must be absolute: what a relative one is relative to is not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment(String);

impl Fragment {
    /// Checks that `text` is closed.
    ///
    /// # Errors
    /// [`Error::BadExpression`] when a bracket, a string or a comment is not closed, or closed too often, or the text is
    /// empty. What else is wrong with it Nix says.
    pub fn parse(text: impl Into<String>) -> Result<Fragment, Error> {
        let text = text.into();
        match closed(&text) {
            // A comment up to the end of the line would swallow the closing parenthesis: hence the newline.
            Ok(true) => Ok(Fragment(format!("{text}\n"))),
            Ok(false) => Ok(Fragment(text)),
            Err(reason) => Err(Error::BadExpression { text, reason }),
        }
    }

    /// Makes the Nix value that a JSON value stands for.
    pub fn from_json(value: &serde_json::Value) -> Fragment {
        let mut text = String::new();
        write_json(value, &mut text);
        Fragment(text)
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NixpkgsRef {
    /// A directory or file, absolute.
    Path(PathBuf),
    /// `<name>`, looked up in Nix's search path.
    SearchPath(String),
    /// An expression whose value is a path: the pin of a lock file, the input of a flake.
    Expression(Fragment),
}

/// The other platform of a cross build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cross {
    /// A name in `pkgsCross`.
    Named(String),
    /// A `crossSystem` of the user's own.
    System(Fragment),
}

/// One overlay: where its function is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// A file (or a directory with `default.nix`) that is the function.
    File(PathBuf),
    Expression(Fragment),
}

/// The value of `import nixpkgs { ... }`, or the set in it that a cross name and `pkgsStatic` choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSet {
    /// Where nixpkgs (or a set with its interface) is.
    pub nixpkgs: NixpkgsRef,
    /// The build platform, when not this machine's.
    pub system: Option<String>,
    /// The platform to cross compile to.
    pub cross: Option<Cross>,
    /// Whether `pkgsStatic` is meant.
    pub is_static: bool,
    pub overlays: Vec<Overlay>,
    /// The overlays for the target stage only.
    pub cross_overlays: Vec<Overlay>,
    /// nixpkgs' `config`; `{ }` when `None`, so that a configuration of the user's home never plays a part.
    pub config: Option<Fragment>,
}

impl PackageSet {
    /// Makes the plain set of a nixpkgs: no overlays, an empty `config`.
    pub fn new(nixpkgs: NixpkgsRef) -> PackageSet {
        PackageSet {
            nixpkgs,
            system: None,
            cross: None,
            is_static: false,
            overlays: Vec::new(),
            cross_overlays: Vec::new(),
            config: None,
        }
    }

    /// Returns the Nix text of the set.
    ///
    /// # Errors
    /// [`Error::BadExpression`] for a path that is relative or not UTF-8.
    pub fn to_nix(&self) -> Result<String, Error> {
        let mut text = format!("import {} {{", self.nixpkgs.to_nix()?);
        if let Some(system) = &self.system {
            let _ = write!(text, " system = {};", quoted(system));
        }
        if let Some(Cross::System(system)) = &self.cross {
            let _ = write!(text, " crossSystem = ({});", system.text());
        }
        let _ = write!(text, " config = {};", self.config.as_ref().map_or("{ }".into(), |c| format!("({})", c.text())));
        let _ = write!(text, " overlays = {};", overlay_list(&self.overlays)?);
        // Left out when empty: a package set with nixpkgs' interface may not know the argument.
        if !self.cross_overlays.is_empty() {
            let _ = write!(text, " crossOverlays = {ONCE} {};", overlay_list(&self.cross_overlays)?);
        }
        text.push_str(" }");
        let mut below = Names::new();
        if let Some(Cross::Named(name)) = &self.cross {
            below.extend(["pkgsCross".to_string(), name.clone()]);
        }
        if self.is_static {
            below.push("pkgsStatic".to_string());
        }
        Ok(if below.is_empty() { text } else { format!("({text}).{}", attr_path_text(&below)) })
    }
}

/// What attribute paths start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    Packages(Box<PackageSet>),
    /// A file of the user's; a function is called with `arguments`.
    File {
        /// The file, absolute.
        path: PathBuf,
        /// Names and values of its arguments.
        arguments: Vec<(String, Fragment)>,
    },
    /// The outputs of a flake.
    Flake(String),
    /// Anything else.
    Expression(Fragment),
}

impl Root {
    /// Returns the Nix text of the root.
    ///
    /// # Errors
    /// [`Error::BadExpression`] as [`PackageSet::to_nix`].
    pub fn to_nix(&self) -> Result<String, Error> {
        Ok(match self {
            Root::Packages(set) => set.to_nix()?,
            Root::File { path, arguments } => {
                let mut set = String::from("{");
                for (name, value) in arguments {
                    let _ = write!(set, " {} = ({});", attr_name(name), value.text());
                }
                set.push_str(" }");
                format!("let f = import {}; in if builtins.isFunction f then f {set} else f", path_text(path)?)
            }
            Root::Flake(reference) => format!("builtins.getFlake {}", quoted(reference)),
            Root::Expression(fragment) => fragment.text().to_string(),
        })
    }
}

impl Root {
    /// Returns where its nixpkgs is, as Nix is told of it, where that needs no evaluation.
    pub(super) fn nixpkgs(&self) -> Vec<String> {
        let Root::Packages(set) = self else { return Vec::new() };
        let plain = matches!(set.nixpkgs, NixpkgsRef::Path(_) | NixpkgsRef::SearchPath(_));
        set.nixpkgs.to_nix().into_iter().filter(|_| plain).collect()
    }
}

impl NixpkgsRef {
    /// Returns the Nix text of the place, fit as the argument of `import`.
    ///
    /// # Errors
    /// [`Error::BadExpression`] for a path that is relative or not UTF-8, or a search path entry that is no name.
    pub fn to_nix(&self) -> Result<String, Error> {
        match self {
            NixpkgsRef::Path(path) => path_text(path),
            NixpkgsRef::SearchPath(name) => {
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '/');
                let is_plain = name.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && name.chars().all(fits)
                    && !name.ends_with('/')
                    && !name.contains("//");
                if is_plain {
                    Ok(format!("<{name}>"))
                } else {
                    Err(Error::BadExpression { text: format!("<{name}>"), reason: "it is no name of the search path" })
                }
            }
            NixpkgsRef::Expression(fragment) => Ok(format!("({})", fragment.text())),
        }
    }
}

impl Overlay {
    fn to_nix(&self) -> Result<String, Error> {
        Ok(match self {
            Overlay::File(file) => format!("(import {})", path_text(file)?),
            Overlay::Expression(fragment) => format!("({})", fragment.text()),
        })
    }
}

/// Makes a list of what a file may hold: one overlay, a list of them, or a set of them by name, as in a flake's `overlays`.
const SEVERAL: &str = "(o: if builtins.isList o then o else if builtins.isAttrs o && !(o ? __functor) \
                       then builtins.attrValues o else [ o ])";

/// Makes overlays that are applied to the target stage, and there once. nixpkgs of today applies `crossOverlays` twice in
/// `pkgsStatic`, `pkgsMusl` and `extend`, and to the packages that build those.
const ONCE: &str = "(os: let once = o: final: prev: if prev ? overlayctlTargetStage || prev.stdenv.hostPlatform == \
                    prev.stdenv.buildPlatform then { } else o final prev; in map once os ++ \
                    [ (once (_: _: { overlayctlTargetStage = true; })) ])";

/// Returns the Nix text of the list of the functions.
///
/// # Errors
/// [`Error::BadExpression`] for a path that is relative or not UTF-8.
pub fn overlay_list<'o>(overlays: impl IntoIterator<Item = &'o Overlay>) -> Result<String, Error> {
    let mut text = String::new();
    for overlay in overlays {
        text = format!("{text} {}", overlay.to_nix()?);
    }
    Ok(if text.is_empty() { "[ ]".into() } else { format!("(builtins.concatLists (map {SEVERAL} [{text} ]))") })
}

/// Returns a path: as a literal where its characters allow, else `(/. + "...")`.
pub fn path_text(path: &Path) -> Result<String, Error> {
    let bad = |reason| Error::BadExpression { text: path.display().to_string(), reason };
    let text = path.to_str().ok_or_else(|| bad("the path is not UTF-8"))?;
    if !path.is_absolute() {
        return Err(bad("the path is not absolute"));
    }
    if text.contains('\0') {
        return Err(bad("the path holds a null character"));
    }
    let trimmed = text.trim_end_matches('/');
    let literal = !trimmed.is_empty()
        && !trimmed.contains("//")
        && trimmed.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-' | b'+'));
    Ok(if literal { trimmed.to_string() } else { format!("(/. + {})", quoted(text)) })
}

fn write_json(value: &serde_json::Value, out: &mut String) {
    use serde_json::Value;
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        // In parentheses: a negative number in a list would be a subtraction.
        Value::Number(n) => drop(write!(out, "({n})")),
        Value::String(s) => out.push_str(&quoted(s)),
        Value::Array(items) => {
            out.push('[');
            for item in items {
                out.push(' ');
                write_json(item, out);
            }
            out.push_str(" ]");
        }
        Value::Object(fields) => {
            out.push('{');
            for (name, item) in fields {
                let _ = write!(out, " {} = ", attr_name(name));
                write_json(item, out);
                out.push(';');
            }
            out.push_str(" }");
        }
    }
}

/// What is open at a point of a Nix text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Paren,
    Bracket,
    Brace,
    /// `${` inside a string.
    Interpolation,
    String,
    Indented,
}

/// Says whether every bracket, string and comment of `text` is closed; the answer is whether it ends in a line comment.
///
/// The lexical rules are those of the Nix manual, "String literal" and "Comments".
fn closed(text: &str) -> Result<bool, &'static str> {
    let bytes = text.as_bytes();
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    let mut in_comment = false;
    let mut some = false;
    while let Some(&b) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        in_comment = false;
        match open.last() {
            Some(Open::String) => match b {
                b'\\' => at += 1,
                b'"' => drop(open.pop()),
                b'$' if rest.starts_with(b"$${") => at += 1,
                b'$' if rest.starts_with(b"${") => {
                    open.push(Open::Interpolation);
                    at += 1;
                }
                _ => {}
            },
            Some(Open::Indented) => {
                if rest.starts_with(b"'''") || rest.starts_with(b"''$") {
                    at += 2;
                } else if rest.starts_with(b"''\\") {
                    at += 3;
                } else if rest.starts_with(b"''") {
                    open.pop();
                    at += 1;
                } else if rest.starts_with(b"$${") {
                    at += 1;
                } else if rest.starts_with(b"${") {
                    open.push(Open::Interpolation);
                    at += 1;
                }
            }
            _ => {
                some |= !b.is_ascii_whitespace() && b != b'#' && !rest.starts_with(b"/*");
                let close = |open: &mut Vec<Open>, wanted: &[Open]| match open.pop() {
                    Some(last) if wanted.contains(&last) => Ok(()),
                    _ => Err("a bracket is closed that was not opened"),
                };
                match b {
                    b'#' => {
                        in_comment = true;
                        at += rest.iter().position(|b| *b == b'\n').map_or(rest.len(), |end| {
                            in_comment = false;
                            end
                        });
                    }
                    b'/' if rest.starts_with(b"/*") => {
                        let end = rest.windows(2).skip(2).position(|w| w == b"*/").ok_or("a comment is not closed")?;
                        at += end + 3;
                    }
                    b'"' => open.push(Open::String),
                    // A quote may be part of a name: `x''` is one.
                    b'\'' if rest.starts_with(b"''") && !is_in_name(bytes, at) => {
                        open.push(Open::Indented);
                        at += 1;
                    }
                    b'$' if rest.starts_with(b"${") => {
                        open.push(Open::Interpolation);
                        at += 1;
                    }
                    b'(' => open.push(Open::Paren),
                    b'[' => open.push(Open::Bracket),
                    b'{' => open.push(Open::Brace),
                    b')' => close(&mut open, &[Open::Paren])?,
                    b']' => close(&mut open, &[Open::Bracket])?,
                    b'}' => close(&mut open, &[Open::Brace, Open::Interpolation])?,
                    _ => {}
                }
            }
        }
        at += 1;
    }
    match open.last() {
        _ if text.contains('\0') => Err("it holds a null character"),
        Some(Open::String | Open::Indented) => Err("a string is not closed"),
        Some(_) => Err("a bracket is not closed"),
        None if !some => Err("it is empty"),
        None => Ok(in_comment),
    }
}

/// Says whether the byte before `at` belongs to an identifier that a quote would continue.
fn is_in_name(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(..at).unwrap_or_default();
    let start = before.iter().rposition(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'\'')));
    let word = before.get(start.map_or(0, |i| i + 1)..).unwrap_or_default();
    word.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fragment(text: &str) -> Fragment {
        Fragment::parse(text).unwrap()
    }

    #[test]
    fn a_package_set_says_everything() {
        let mut set = PackageSet::new(NixpkgsRef::Path("/src/nix pkgs".into()));
        assert_eq!(set.to_nix().unwrap(), "import (/. + \"/src/nix pkgs\") { config = { }; overlays = [ ]; }");
        set.nixpkgs = NixpkgsRef::SearchPath("nixpkgs".into());
        set.cross = Some(Cross::Named("aarch64-multiplatform-musl".into()));
        set.is_static = true;
        set.overlays = vec![Overlay::File("/w/overlays".into()), Overlay::File("/w/a${b}.nix".into())];
        set.cross_overlays = vec![Overlay::Expression(fragment("final: prev: { } # none"))];
        set.config = Some(Fragment::from_json(&serde_json::json!({ "allowUnfree": true, "n": [-1, "a$b"] })));
        assert_eq!(
            set.to_nix()
                .unwrap()
                .replace(&format!("{ONCE} "), "")
                .replace(&format!("(builtins.concatLists (map {SEVERAL} "), "")
                .replace(" ])); ", " ]; "),
            "(import <nixpkgs> { config = ({ allowUnfree = true; n = [ (-1) \"a$b\" ]; }); overlays = \
             [ (import /w/overlays) (import (/. + \"/w/a\\${b}.nix\")) ]; crossOverlays = \
             [ (final: prev: { } # none\n) ]; }).pkgsCross.aarch64-multiplatform-musl.pkgsStatic"
        );
    }

    #[test]
    fn a_cross_system_of_ones_own_is_an_argument() {
        let mut set = PackageSet::new(NixpkgsRef::Path("/n/".into()));
        set.system = Some("x86_64-linux".into());
        set.cross = Some(Cross::System(fragment("{ config = \"armv7l-unknown-linux-gnueabihf\"; }")));
        assert_eq!(
            set.to_nix().unwrap(),
            "import /n { system = \"x86_64-linux\"; crossSystem = ({ config = \"armv7l-unknown-linux-gnueabihf\"; }); \
             config = { }; overlays = [ ]; }"
        );
    }

    #[test]
    fn relative_paths_and_odd_names_are_refused_or_quoted() {
        assert!(PackageSet::new(NixpkgsRef::Path("nixpkgs".into())).to_nix().is_err());
        assert!(PackageSet::new(NixpkgsRef::SearchPath("a> (abort 1) <b".into())).to_nix().is_err());
        assert_eq!(attr_path_text(&["a".into(), "0ad".into(), "or".into(), "x'".into()]), "a.\"0ad\".\"or\".x'");
        assert_eq!(attr_path_text(&["python3.7".into(), "${x}".into()]), "\"python3.7\".\"\\${x}\"");
    }

    #[test]
    fn fragments_must_be_closed() {
        for good in [
            "1",
            "{ a = \"}\"; }",
            "''a ''${ b ''",
            "\"${\"x\"}\"",
            "x''",
            "a: /* ( */ a",
            "\"$${\"",
            "1 # (",
            "'' ''' ''",
        ] {
            assert!(Fragment::parse(good).is_ok(), "{good}");
        }
        for bad in ["", " # x", "(", "1)", "{ ]", "\"", "''", "/* x", "\"${ \"", "1; ) (", "\"\\\"", "\"${x"] {
            assert!(Fragment::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_text_is_closed_whatever_it_holds(text in "[\\\\\"$\\{\\}'a \n#/*]{0,24}") {
            let literal = quoted(&text);
            prop_assert!(closed(&literal).is_ok(), "{}", literal);
        }

        #[test]
        fn the_check_never_panics(text in "\\PC{0,40}") {
            let _ = closed(&text);
        }
    }
}
