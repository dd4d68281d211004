//! What differs between two texts of `overlayctl.toml`, key by key, each with the new text in which that key alone is as it was.
//! Must not read or write files.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, Item, TableLike};

use super::changes::{How, Kind};
use crate::base::span::Span;
use crate::config::key_span;

/// A key that differs.
pub(super) struct Changed {
    pub kind: Kind,
    pub what: String,
    pub how: How,
    pub before: Option<String>,
    pub after: Option<String>,
    /// The new text with the old value.
    pub put_back: String,
    /// Where it stands in the new text; of what is gone, what it was in.
    pub span: Option<Span>,
}

/// Two texts, as documents and as values.
struct Both {
    old: DocumentMut,
    new: DocumentMut,
    /// The new text, for places.
    text: String,
    changes: Vec<Changed>,
}

/// Returns what differs. Texts that are no TOML do not differ: the workspace cannot be opened then.
pub(super) fn changed(old: &str, new: &str) -> Vec<Changed> {
    let parse = |text: &str| {
        let text = text.trim_start_matches('\u{feff}');
        let values: Value = toml_edit::de::from_str(text).ok()?;
        Some((text.parse::<DocumentMut>().ok()?, values))
    };
    let (Some((old, before)), Some((document, after))) = (parse(old), parse(new)) else { return Vec::new() };
    let mut both = Both { old, new: document, text: new.to_owned(), changes: Vec::new() };
    both.tables(&mut Vec::new(), &before, &after);
    both.changes
}

impl Both {
    fn tables(&mut self, path: &mut Vec<String>, before: &Value, after: &Value) {
        let none = Map::new();
        let (before, after) = (before.as_object().unwrap_or(&none), after.as_object().unwrap_or(&none));
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for key in keys {
            let (before, after) = (before.get(key), after.get(key));
            if before == after {
                continue;
            }
            path.push(key.clone());
            self.key(path, before, after);
            path.pop();
        }
    }

    fn key(&mut self, path: &mut Vec<String>, before: Option<&Value>, after: Option<&Value>) {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        let both = before.zip(after);
        let (kind, what) = match names.as_slice() {
            // Each member for itself.
            ["boards" | "config" | "nix" | "budget"] | ["boards", _, "config" | "budget"] | ["nix", "options"] => {
                let empty = Value::Object(Map::new());
                return self.tables(path, before.unwrap_or(&empty), after.unwrap_or(&empty));
            }
            ["boards", _] if both.is_some() => {
                if let Some((before, after)) = both {
                    self.tables(path, before, after);
                }
                return;
            }
            ["overlays" | "cross-overlays" | "crossOverlays"] | ["boards", _, "cross-overlays" | "crossOverlays"] => {
                let texts = |value: Option<&Value>| -> Option<Vec<String>> {
                    let Some(value) = value else { return (names.len() > 1).then(Vec::new) };
                    value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
                };
                if let Some((before, after)) = texts(before).zip(texts(after)) {
                    return self.list(path, &before, &after);
                }
                (Kind::Overlay, names.join("."))
            }
            ["nixpkgs"] => (Kind::Pin, "nixpkgs".to_owned()),
            ["boards", board] => (Kind::Board, (*board).to_owned()),
            ["targets"] | ["boards", _, "packages" | "systems"] => (Kind::Targets, names.join(".")),
            _ => (Kind::Config, names.join(".")),
        };
        let how = How::of(before.is_some(), after.is_some());
        let shown = |value: Option<&Value>| {
            // A board is more than a value.
            value
                .filter(|_| kind != Kind::Board)
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let put_back = self.with(path, self.old_item(path));
        let span = key_span(&self.text, &names, |_| false);
        self.changes.push(Changed { kind, what, how, before: shown(before), after: shown(after), put_back, span });
    }

    /// Compares two lists of overlays: each that came or went is a thing of its own, and so is the order of the rest.
    fn list(&mut self, path: &[String], before: &[String], after: &[String]) {
        let place = |list: &[String], one: &String| list.iter().position(|other| other == one);
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        let name = |overlay: &str| crate::base::fs::collapsed(overlay.as_ref()).display().to_string();
        let change = |what: String, how, list: Vec<String>, of: &Self| {
            let put_back = of.with(path, Some(Item::Value(list.into_iter().collect::<Array>().into())));
            let span = key_span(&of.text, &keys, |one| how == How::Added && name(one) == what);
            Changed { kind: Kind::Overlay, what, how, before: None, after: None, put_back, span }
        };
        let mut changes = Vec::new();
        for added in after.iter().filter(|one| !before.contains(one)) {
            let list = after.iter().filter(|one| *one != added).cloned().collect();
            changes.push(change(name(added), How::Added, list, self));
        }
        for removed in before.iter().filter(|one| !after.contains(one)) {
            // Behind the last of those that stood before it.
            let earlier = before.iter().take_while(|one| *one != removed);
            let at = earlier.filter_map(|one| place(after, one)).max().map_or(0, |at| at + 1);
            let mut list = after.to_vec();
            list.insert(at, removed.clone());
            changes.push(change(name(removed), How::Removed, list, self));
        }
        let of = |list: &[String], other: &[String]| -> Vec<String> {
            list.iter().filter(|one| other.contains(one)).cloned().collect()
        };
        let mut order = of(before, after);
        if order != of(after, before) {
            let mut list = after.to_vec();
            order.reverse();
            for one in list.iter_mut().filter(|one| before.contains(one)) {
                if let Some(next) = order.pop() {
                    *one = next;
                }
            }
            changes.push(change(path.join("."), How::Reordered, list, self));
        }
        self.changes.extend(changes);
    }

    fn old_item(&self, path: &[String]) -> Option<Item> {
        let mut item = self.old.as_item();
        for name in path {
            item = item.as_table_like()?.get(name)?;
        }
        Some(item.clone())
    }

    /// Returns the new text with another value at a path.
    fn with(&self, path: &[String], item: Option<Item>) -> String {
        let mut text = self.new.clone();
        if let Some((last, above)) = path.split_last()
            && let Some(table) = table_at(text.as_table_mut(), above)
        {
            match item {
                Some(item) => drop(table.insert(last, item)),
                None => drop(table.remove(last)),
            }
        }
        text.to_string()
    }
}

/// Returns the table at a path; made where it is not there.
fn table_at<'t>(mut table: &'t mut dyn TableLike, path: &[String]) -> Option<&'t mut dyn TableLike> {
    for name in path {
        table = table.entry(name).or_insert_with(toml_edit::table).as_table_like_mut()?;
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(old: &str, new: &str) -> Vec<String> {
        let value = |text: &str| toml_edit::de::from_str::<Value>(text).unwrap();
        let mut told = Vec::new();
        for one in changed(old, new) {
            // What is put back is as it was, and nothing else is.
            let left: Vec<String> = changed(old, &one.put_back).into_iter().map(|left| left.what).collect();
            assert!(!left.contains(&one.what) || one.how == How::Reordered, "{}: {left:?}", one.what);
            assert_ne!(value(&one.put_back), value(new), "{}", one.what);
            let values = [one.before, one.after].map(|value| value.unwrap_or_else(|| "-".into())).join(" -> ");
            told.push(format!("{:?} {} {:?} {values}", one.kind, one.what, one.how));
        }
        told
    }

    #[test]
    fn each_key_is_a_thing_of_its_own() {
        let old = "nixpkgs = \"../a\"\noverlays = [\"x.nix\", \"y.nix\", \"z.nix\"] # c\ntargets = [\"curl\"]\n\
                   [config]\nallowUnfree = true\nb = { c = 1 }\n[boards.pi]\nplatform = \"a\"\npackages = [\"x\"]\n[boards.old]\n";
        let new = "nixpkgs = \"../b\"\noverlays = [\"z.nix\", \"x.nix\", \"new.nix\"]\ntargets = [\"curl\", \"wget\"]\nsystem = \"s\"\n\
                   config.b = { c = 2 }\n[boards]\npi = { platform = \"b\", packages = [\"x\"], config = { d = 1 }, cross-overlays = [\"c.nix\"] }\n\
                   new.packages = []\n[nix.options]\ncores = \"1\"\n";
        assert_eq!(
            told(old, new),
            [
                "Board new Added - -> -",
                "Board old Removed - -> -",
                "Config boards.pi.config.d Added - -> 1",
                "Overlay c.nix Added - -> -",
                "Config boards.pi.platform Changed a -> b",
                "Config config.allowUnfree Removed true -> -",
                "Config config.b Changed {\"c\":1} -> {\"c\":2}",
                "Config nix.options.cores Added - -> 1",
                "Pin nixpkgs Changed ../a -> ../b",
                "Overlay new.nix Added - -> -",
                "Overlay y.nix Removed - -> -",
                "Overlay overlays Reordered - -> -",
                "Config system Added - -> s",
                "Targets targets Changed [\"curl\"] -> [\"curl\",\"wget\"]",
            ]
        );
        assert_eq!(told(old, old), [""; 0]);
        assert_eq!(told("", "overlays = []\n"), ["Overlay overlays Added - -> []"]);
        assert_eq!(told("# a\nx = 1", "x = 1 # b"), [""; 0]);
    }

    #[test]
    fn an_order_is_put_back_around_what_is_new() {
        let list = |text: &str| toml_edit::de::from_str::<Value>(text).unwrap()["overlays"].to_string();
        let changes = changed("overlays = [\"a\", \"b\"]\n", "overlays = [\"b\", \"n\", \"a\"]\n");
        let told: Vec<String> = changes.iter().map(|one| list(&one.put_back)).collect();
        assert_eq!(told, ["[\"b\",\"a\"]", "[\"a\",\"n\",\"b\"]"]);
    }
}
