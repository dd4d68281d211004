//! What a graph keeps of a derivation's variables. Must not read files.

use std::borrow::Cow;

use serde::Deserialize;

use crate::drv::{self, Scanner, unescape};

/// The variables that a graph keeps.
#[derive(Default)]
pub(super) struct Variables<'t> {
    pub pname: Cow<'t, str>,
    pub version: Cow<'t, str>,
    pub sources: Vec<Cow<'t, str>>,
    pub patches: Vec<Cow<'t, str>>,
}

impl<'t> Variables<'t> {
    /// Finds them in the text that was scanned last.
    pub(super) fn of(text: &'t [u8], scanner: &Scanner) -> Variables<'t> {
        let value = |range: Option<drv::Range>| -> Cow<'t, str> {
            match range.map(|range| unescape(range.of(text))) {
                Some(Cow::Borrowed(bytes)) => String::from_utf8_lossy(bytes),
                Some(Cow::Owned(bytes)) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
                None => Cow::Borrowed(""),
            }
        };
        if let Some(json) = scanner.json {
            return Variables::of_json(&unescape(json.of(text)));
        }
        let words = |range| -> Vec<Cow<'t, str>> {
            match value(range) {
                Cow::Borrowed(text) => text.split_ascii_whitespace().map(Cow::Borrowed).collect(),
                Cow::Owned(text) => text.split_ascii_whitespace().map(|word| Cow::Owned(word.to_owned())).collect(),
            }
        };
        let mut sources = words(scanner.src);
        if sources.is_empty() {
            sources = words(scanner.srcs);
        }
        Variables {
            pname: value(scanner.pname),
            version: value(scanner.version),
            sources,
            patches: words(scanner.patches),
        }
    }

    fn of_json(json: &[u8]) -> Variables<'t> {
        let Ok(structured) = serde_json::from_slice::<Structured>(json) else { return Variables::default() };
        let mut sources = words_of(&structured.src);
        if sources.is_empty() {
            sources = words_of(&structured.srcs);
        }
        let text = |value: &serde_json::Value| Cow::Owned(value.as_str().unwrap_or_default().to_owned());
        Variables {
            pname: text(&structured.pname),
            version: text(&structured.version),
            sources,
            patches: words_of(&structured.patches),
        }
    }
}

/// The structured attributes that a graph keeps; each may be anything.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Structured {
    pname: serde_json::Value,
    version: serde_json::Value,
    src: serde_json::Value,
    srcs: serde_json::Value,
    patches: serde_json::Value,
}

/// Returns the texts of a JSON text or list, words apart.
fn words_of(value: &serde_json::Value) -> Vec<Cow<'static, str>> {
    let texts: Vec<&str> = match value {
        serde_json::Value::String(text) => vec![text],
        serde_json::Value::Array(list) => list.iter().filter_map(serde_json::Value::as_str).collect(),
        _ => Vec::new(),
    };
    texts.iter().flat_map(|text| text.split_ascii_whitespace()).map(|word| Cow::Owned(word.to_owned())).collect()
}
