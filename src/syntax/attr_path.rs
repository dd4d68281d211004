//! Attribute paths: from the command line, and back to text that Nix reads.
//!
//! Must not look anything up.

use serde::Serialize;

use super::error::Error;
use super::make;

/// A path of attribute names, at least one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttrPath {
    names: Vec<String>,
}

impl AttrPath {
    /// Makes a path of one name, whatever its characters.
    pub fn single(name: impl Into<String>) -> AttrPath {
        AttrPath { names: vec![name.into()] }
    }

    /// Makes a path from names; `None` when there is none.
    pub fn from_names(names: impl IntoIterator<Item = String>) -> Option<AttrPath> {
        let names: Vec<String> = names.into_iter().collect();
        if names.is_empty() { None } else { Some(AttrPath { names }) }
    }

    /// Reads `a.b."c.d"`: names with dots between them; a quoted name takes `\"`, `\\`, `\$`, `\n`, `\r`, `\t`.
    /// `python3.pkgs.X` is read as `python3Packages.X`, so that one package has one name.
    ///
    /// # Errors
    /// [`Error::AttrPath`] for an empty name, a quote that does not end, an interpolation, a NUL byte, a control
    /// character outside quotes, or space between names.
    pub fn parse(given: &str) -> Result<AttrPath, Error> {
        let fail = |reason| Error::AttrPath { given: given.chars().take(200).collect(), reason };
        if given.len() > 4096 {
            return Err(fail("it is longer than 4096 bytes"));
        }
        let mut names = Vec::new();
        let mut rest = given.chars().peekable();
        loop {
            let mut name = String::new();
            if rest.peek() == Some(&'"') {
                rest.next();
                loop {
                    match rest.next() {
                        None => return Err(fail("a quoted name does not end")),
                        Some('"') => break,
                        Some('\0') => return Err(fail("it holds a NUL byte")),
                        Some('\\') => match rest.next() {
                            Some('n') => name.push('\n'),
                            Some('r') => name.push('\r'),
                            Some('t') => name.push('\t'),
                            Some('\0') | None => return Err(fail("a quoted name does not end")),
                            Some(other) => name.push(other),
                        },
                        Some('$') if rest.peek() == Some(&'{') => return Err(fail("it interpolates with `${`")),
                        Some(other) => name.push(other),
                    }
                }
                if name.is_empty() {
                    return Err(fail("a name is empty"));
                }
            } else {
                while let Some(c) = rest.next_if(|c| *c != '.' && *c != '"') {
                    match c {
                        '$' if rest.peek() == Some(&'{') => return Err(fail("it interpolates with `${`")),
                        c if c.is_control() || c.is_whitespace() => return Err(fail("a name with space needs quotes")),
                        c => name.push(c),
                    }
                }
                if name.is_empty() {
                    return Err(fail("a name is empty"));
                }
            }
            names.push(name);
            match rest.next() {
                None => return Ok(AttrPath { names: one_name(names) }),
                Some('.') => {}
                Some(_) => return Err(fail("a dot is missing between two names")),
            }
        }
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn first(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    pub fn last(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }

    /// Returns the path without its first name; `None` when that was the only one.
    pub fn tail(&self) -> Option<AttrPath> {
        AttrPath::from_names(self.names.iter().skip(1).cloned())
    }

    /// Returns the path without its last name; `None` when that was the only one.
    pub fn parent(&self) -> Option<AttrPath> {
        AttrPath::from_names(self.names[..self.names.len().saturating_sub(1)].iter().cloned())
    }
}

impl std::fmt::Display for AttrPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&make::attr_path(&self.names))
    }
}

impl std::str::FromStr for AttrPath {
    type Err = Error;

    fn from_str(given: &str) -> Result<AttrPath, Error> {
        AttrPath::parse(given)
    }
}

impl Serialize for AttrPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Gives the packages of a Python the set's own name.
fn one_name(names: Vec<String>) -> Vec<String> {
    match names.as_slice() {
        [interpreter, pkgs, rest @ ..] if pkgs == "pkgs" && !rest.is_empty() && is_python(interpreter) => {
            std::iter::once(format!("{interpreter}Packages")).chain(rest.iter().cloned()).collect()
        }
        _ => names,
    }
}

fn is_python(name: &str) -> bool {
    let version = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
    version.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(given: &str) -> Vec<String> {
        AttrPath::parse(given).unwrap().names().to_vec()
    }

    #[test]
    fn plain_and_quoted_names() {
        assert_eq!(names("musl"), ["musl"]);
        assert_eq!(names("python3Packages.requests"), ["python3Packages", "requests"]);
        assert_eq!(names("\"a\".b.\"c.d\""), ["a", "b", "c.d"]);
        assert_eq!(names("a.\"q\\\"\\\\\\${x}\""), ["a", "q\"\\${x}"]);
        assert_eq!(names("nodePackages.@angular/cli"), ["nodePackages", "@angular/cli"]);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in
            ["", ".", "a.", ".a", "a..b", "\"", "\"a", "a b", "a\nb", "${x}", "a.\"${x}\"", "\"a\"b", "\"\"", "\"a\0\""]
        {
            assert!(AttrPath::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keywords_and_odd_names_are_quoted_when_shown() {
        assert_eq!(AttrPath::single("if").to_string(), "\"if\"");
        assert_eq!(AttrPath::from_names(["a.b", "c'-d"].map(String::from)).unwrap().to_string(), "\"a.b\".c'-d");
    }

    proptest! {
        #[test]
        fn shown_paths_are_read_back(names in prop::collection::vec("[^\0]{1,8}", 1..4)) {
            let path = AttrPath::from_names(names).unwrap();
            prop_assert_eq!(AttrPath::parse(&path.to_string()).unwrap(), path);
        }
    }

    #[test]
    fn the_packages_of_a_python_have_one_name() {
        let names = |given: &str| AttrPath::parse(given).unwrap().to_string();
        assert_eq!(names("python3.pkgs.requests"), "python3Packages.requests");
        assert_eq!(names("python311.pkgs.a.b"), "python311Packages.a.b");
        for other in ["python3.pkgs", "python3Minimal.pkgs.x", "x.python3.pkgs.y", "perl.pkgs.URI", "python.pkgs.x"] {
            assert_eq!(names(other), other);
        }
    }
}
