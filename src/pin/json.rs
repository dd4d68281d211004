//! JSON with other values in some places and every other byte the same. serde_json finds where values begin and end.

use serde::de::IgnoredAny;

use crate::base::edit::TextEdits;
use crate::base::span::Span;

/// Returns the text with other strings for some members of the object at `path`; members that are not there are left out.
pub(super) fn with(text: &str, path: &[&str], changes: &[(&'static str, String)]) -> Result<String, String> {
    let mut at = Span::new(0, text.len());
    for name in path {
        at = member(text, at, name)?.ok_or_else(|| format!("it has no `{name}`"))?;
    }
    let mut edits = TextEdits::new();
    for (name, value) in changes {
        let Some(span) = member(text, at, name)? else { continue };
        let value = serde_json::to_string(value).map_err(|error| error.to_string())?;
        edits.replace(span, value).map_err(|error| error.to_string())?;
    }
    edits.apply(text).map_err(|error| error.to_string())
}

/// Returns where the value of a member of the object in `object` is.
fn member(text: &str, object: Span, name: &str) -> Result<Option<Span>, String> {
    let inside = text.get(object.range()).unwrap_or_default();
    let mut at = skip(inside, 0);
    if !inside.get(at..).is_some_and(|rest| rest.starts_with('{')) {
        return Err("it is no object".into());
    }
    at += 1;
    let mut found = None;
    loop {
        at = skip(inside, at);
        match inside.as_bytes().get(at) {
            Some(b'}') => return Ok(found),
            Some(b',' | b':') => {
                at += 1;
                continue;
            }
            _ => {}
        }
        let key_end = at + value::<String>(inside, at)?.1;
        let key = value::<String>(inside, at)?.0;
        at = skip(inside, key_end);
        if inside.as_bytes().get(at) != Some(&b':') {
            return Err("a colon is missing".into());
        }
        at = skip(inside, at + 1);
        let length = value::<IgnoredAny>(inside, at)?.1;
        if key == name {
            // As with every reader of JSON the last one counts.
            found = Some(Span::new(object.start + at, object.start + at + length));
        }
        at += length;
    }
}

/// Reads a value that begins at a place; returns its length too.
fn value<'t, T: serde::Deserialize<'t>>(text: &'t str, at: usize) -> Result<(T, usize), String> {
    let mut stream = serde_json::Deserializer::from_str(text.get(at..).unwrap_or_default()).into_iter::<T>();
    match stream.next() {
        Some(Ok(value)) => Ok((value, stream.byte_offset())),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("it ends too early".into()),
    }
}

fn skip(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    text.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn one_value_changes_and_nothing_else() {
        let text = "{ \"a\" : {\"rev\":\"1\" ,\r\n\t\"n\":1.50, \"rev2\": \"x\"},\n\"b\":{\"rev\":\"1\"} }\n\n";
        let new = with(text, &["a"], &[("rev", "two\"".into()), ("none", "x".into())]).unwrap();
        assert_eq!(new, text.replacen("\"1\" ,", "\"two\\\"\" ,", 1));
        assert!(
            with(text, &["c"], &[]).is_err() && with("[]", &["a"], &[]).is_err() && with("{", &["a"], &[]).is_err()
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// What a reader sees afterwards is the old file with the one value, and the bytes around it are those that were there.
        #[test]
        fn every_other_byte_stays(
            others in proptest::collection::btree_map("[a-z\"é\\\\]{1,4}", any_json(), 0..4),
            old in ".{0,8}", new in ".{0,8}", pretty in any::<bool>(), tail in "[ \n]{0,3}",
        ) {
            let mut pin: Map<String, Value> = others.clone().into_iter().collect();
            pin.insert("rev".into(), old.clone().into());
            let file = serde_json::json!({ "pins": { "nixpkgs": pin, "x": others }, "version": 3 });
            let mut text = if pretty { serde_json::to_string_pretty(&file).unwrap() } else { file.to_string() };
            text.push_str(&tail);
            let changed = with(&text, &["pins", "nixpkgs"], &[("rev", new.clone())]).unwrap();
            let mut wanted = file.clone();
            wanted["pins"]["nixpkgs"]["rev"] = new.clone().into();
            prop_assert_eq!(serde_json::from_str::<Value>(&changed).unwrap(), wanted);
            let back = with(&changed, &["pins", "nixpkgs"], &[("rev", old)]).unwrap();
            prop_assert_eq!(back, text);
        }
    }
}
