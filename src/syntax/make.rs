//! Constructors of new Nix text. Everything that comes from outside is escaped here, and nowhere else.
//!
//! Must not read the user's text: layout is the caller's.

/// The words that Nix does not take as a plain attribute name or variable.
const KEYWORDS: &[&str] = &["if", "then", "else", "assert", "with", "let", "in", "rec", "inherit", "or"];

/// Says whether `name` is an identifier that can stand as a variable.
pub fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '\'' | '-'))
        && !KEYWORDS.contains(&name)
        && name != "__curPos"
}

/// Returns `name` as an attribute name: plain where it can be, a quoted string where not.
pub fn attr_name(name: &str) -> String {
    if is_identifier(name) { name.to_string() } else { string(name) }
}

/// Returns `a.b."c d"`.
pub fn attr_path(names: &[String]) -> String {
    names.iter().map(|name| attr_name(name)).collect::<Vec<_>>().join(".")
}

/// Returns `value` as a double-quoted string on one line, with `"`, `\`, `${` and line ends escaped.
pub fn string(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' if chars.peek() == Some(&'{') => out.push_str("\\$"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// Returns a relative path (`./a.patch`, `../p/a.patch`; `./` is added where neither is there) as an expression: a
/// path literal where its characters allow, else `(./. + "/odd name.patch")`, which can stand in a list.
pub fn path(relative: &str) -> String {
    let dotted = if relative.starts_with("./") || relative.starts_with("../") {
        relative.to_string()
    } else {
        format!("./{relative}")
    };
    let literal = dotted.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'/'));
    if literal && !dotted.contains("//") && !dotted.ends_with('/') {
        dotted
    } else {
        format!("(./. + {})", string(&format!("/{}", dotted.trim_start_matches("./"))))
    }
}

/// Returns `base.name`, with the name quoted where it must be.
pub fn select(base: &str, name: &str) -> String {
    format!("{base}.{}", attr_name(name))
}

/// Returns `wanted`, or `wanted` with the first number that makes it a name not in `taken`.
pub fn fresh(wanted: &str, taken: impl Fn(&str) -> bool) -> String {
    if !taken(wanted) {
        return wanted.to_string();
    }
    let mut number = 2usize;
    loop {
        let name = format!("{wanted}{number}");
        if !taken(&name) {
            return name;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rnix::ast::{Expr, HasEntry, InterpolPart};

    #[test]
    fn odd_paths_become_additions() {
        assert_eq!(path("a.patch"), "./a.patch");
        assert_eq!(path("../p/0001-x+y.patch"), "../p/0001-x+y.patch");
        assert_eq!(path("./odd name.patch"), "(./. + \"/odd name.patch\")");
        assert_eq!(path("../${x}.patch"), "(./. + \"/../\\${x}.patch\")");
    }

    proptest! {
        #[test]
        fn a_quoted_name_is_one_name_with_that_value(name in "[^\0]{1,12}") {
            let text = format!("{{ {} = 1; }}", attr_name(&name));
            let parsed = rnix::Root::parse(&text);
            prop_assert!(parsed.errors().is_empty(), "{}", text);
            let Some(Expr::AttrSet(set)) = parsed.tree().expr() else { panic!() };
            let entry = set.attrpath_values().next().unwrap();
            let attrs: Vec<_> = entry.attrpath().unwrap().attrs().collect();
            prop_assert_eq!(attrs.len(), 1);
            let value = match &attrs[0] {
                rnix::ast::Attr::Ident(i) => i.to_string(),
                rnix::ast::Attr::Str(s) => s.normalized_parts().into_iter().map(|p| match p {
                    InterpolPart::Literal(l) => l,
                    InterpolPart::Interpolation(_) => panic!("interpolates"),
                }).collect(),
                rnix::ast::Attr::Dynamic(_) => panic!(),
            };
            prop_assert_eq!(value, name);
        }

        #[test]
        fn a_path_is_one_list_element(name in "[^\0/]{1,12}") {
            let text = format!("[ {} ]", path(&format!("./{name}")));
            let parsed = rnix::Root::parse(&text);
            prop_assert!(parsed.errors().is_empty(), "{}", text);
            let Some(Expr::List(list)) = parsed.tree().expr() else { panic!() };
            prop_assert_eq!(list.items().count(), 1);
        }
    }
}
