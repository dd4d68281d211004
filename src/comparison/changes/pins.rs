//! The pins that changed: inputs of a flake, of npins or niv, submodules; each with the lock in which it alone is as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{Change, How, Kind, States, how, places};
use crate::base::span::Place;
use crate::comparison::Error;

impl States<'_> {
    /// Returns the pins that changed in a file that holds pins; `None` for another file, and where it cannot be read as such.
    pub(super) fn pins(&self, path: &Path) -> Option<Vec<Change>> {
        let file = self.changed.get(path)?;
        if let Some((before, after)) = &file.submodule {
            let mut change = Change::new(Kind::Pin, self.name(path), how(file));
            (change.before, change.after) = (before.clone(), after.clone());
            change.file = Some(path.to_path_buf());
            change.place = Some(Place::file(self.name(path)));
            return Some(vec![change]);
        }
        let is_sources = |dir: &str| path.ends_with(Path::new(dir).join("sources.json"));
        let put: fn(&Value, &Value, &str) -> Option<Value> = match path.file_name()?.to_str()? {
            "flake.lock" => put_back_input,
            _ if is_sources("npins") => |old, new, name| put_back_member(old, new, "/pins", name),
            _ if is_sources("nix") => |old, new, name| put_back_member(old, new, "", name),
            _ => return None,
        };
        let (old, new) = self.texts(path).ok()?;
        let text_now = new.clone().unwrap_or_default();
        let (old, new) = (lock(old)?, lock(new)?);
        let (pins_before, pins_after) = (pins_of(&old)?, pins_of(&new)?);
        let names: BTreeSet<&String> = pins_before.keys().chain(pins_after.keys()).collect();
        let mut changes = Vec::new();
        for name in names {
            let (before, after) = (pins_before.get(name), pins_after.get(name));
            if before == after {
                continue;
            }
            let mut change = Change::new(Kind::Pin, name, How::of(before.is_some(), after.is_some()));
            (change.before, change.after) = match (before.map(short), after.map(short)) {
                // Of one that says the same in its first words all is said.
                (Some(old), Some(new)) if old == new => (before.map(Value::to_string), after.map(Value::to_string)),
                short => short,
            };
            let text = match put(&old, &new, name) {
                Some(value) => Some(serde_json::to_vec_pretty(&value).ok()?),
                None => self.old(path).ok()?,
            };
            let node = new
                .pointer("/root")
                .and_then(Value::as_str)
                .and_then(|root| new.get("nodes")?.get(root)?.get("inputs")?.get(name)?.as_str());
            let span = after.and_then(|pin| places::pin_span(&text_now, node.unwrap_or(name), pin));
            self.put_place(&mut change, path, span.map(Some)).ok()?;
            changes.push(change.back(self.root.join(path), text));
        }
        Some(changes)
    }

    /// Joins an input of a flake that was asked for otherwise to the text that asks for it: neither evaluates with the other as it is.
    pub(super) fn join_flakes(&self, changes: &mut [Change]) -> Result<(), Error> {
        for flake in self.changed.keys().filter(|path| path.ends_with("flake.nix")) {
            let lock_path = flake.with_file_name("flake.lock");
            let (old, new) = self.texts(&lock_path)?;
            let pins = |text| lock(text).as_ref().and_then(pins_of).unwrap_or_default();
            let (old, new) = (pins(old), pins(new));
            let asked = |pins: &BTreeMap<String, Value>, name: &str| {
                pins.get(name).map(|pin| pin.get("original").unwrap_or(pin).clone())
            };
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let others: Vec<&String> =
                names.into_iter().filter(|name| asked(&old, name) != asked(&new, name)).collect();
            if others.is_empty() {
                continue;
            }
            let (flake_file, lock_file) = (self.root.join(flake), self.root.join(&lock_path));
            for change in changes.iter_mut() {
                let is_input = change.kind == Kind::Pin
                    && change.put_back.0.contains_key(&lock_file)
                    && others.contains(&&change.what);
                if is_input || (change.kind == Kind::File && change.put_back.0.contains_key(&flake_file)) {
                    change.put_back.0.insert(flake_file.clone(), self.old(flake)?);
                    change.put_back.0.insert(lock_file.clone(), self.old(&lock_path)?);
                }
            }
        }
        Ok(())
    }
}

/// Reads a lock; null for one that is not there.
fn lock(text: Option<String>) -> Option<Value> {
    text.map_or(Some(Value::Null), |text| serde_json::from_str(&text).ok())
}

/// Returns the pins of a lock of a flake, of npins or niv, by name; of a flake those of its own inputs with all that they need.
fn pins_of(file: &Value) -> Option<BTreeMap<String, Value>> {
    if file.is_null() {
        return Some(BTreeMap::new());
    }
    let Some(nodes) = file.get("nodes") else {
        let pins = file.get("pins").unwrap_or(file).as_object()?;
        return Some(pins.iter().map(|(name, pin)| (name.clone(), pin.clone())).collect());
    };
    let root = nodes.get(file.get("root")?.as_str()?)?;
    let inputs = root.get("inputs").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut pins = BTreeMap::new();
    for (name, reference) in inputs {
        let Some(node) = reference.as_str() else {
            pins.insert(name, reference);
            continue;
        };
        let below: serde_json::Map<String, Value> = below_node(nodes, node)
            .into_iter()
            .filter_map(|name| Some((name.clone(), nodes.get(&name)?.clone())))
            .collect();
        let mut pin = nodes.get(node)?.clone();
        if below.len() > 1 {
            pin.as_object_mut()?.insert("with".into(), below.values().cloned().collect());
        }
        pins.insert(name, pin);
    }
    Some(pins)
}

/// Returns the nodes of a flake's lock that one leads to, itself among them.
fn below_node(nodes: &Value, node: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo = vec![node.to_owned()];
    while let Some(name) = todo.pop() {
        let inputs = nodes.get(&name).and_then(|node| node.get("inputs")).and_then(Value::as_object);
        let more = inputs.into_iter().flat_map(|inputs| inputs.values()).filter_map(Value::as_str).map(str::to_owned);
        todo.extend(more.filter(|more| !found.contains(more)));
        found.insert(name);
    }
    found
}

/// Puts an input of a flake back, with all that it needs, beside what the others need.
fn put_back_input(old: &Value, new: &Value, input: &str) -> Option<Value> {
    let mut lock = new.clone();
    let (root, old_root) = (new.get("root")?.as_str()?, old.get("root")?.as_str()?);
    let old_nodes = old.get("nodes")?;
    let reference = old_nodes.get(old_root)?.get("inputs")?.get(input)?;
    let of_old = |name: &str| format!("{name}@before");
    if let Some(node) = reference.as_str() {
        for name in below_node(old_nodes, node) {
            let mut node = old_nodes.get(&name)?.clone();
            let inputs = node.get_mut("inputs").and_then(Value::as_object_mut);
            for reference in inputs.into_iter().flat_map(|inputs| inputs.values_mut()) {
                if let Value::String(name) = reference {
                    *name = of_old(name);
                }
            }
            lock.get_mut("nodes")?.as_object_mut()?.insert(of_old(&name), node);
        }
    }
    let put = reference.as_str().map_or_else(|| reference.clone(), |name| of_old(name).into());
    let inputs = lock.get_mut("nodes")?.get_mut(root)?.get_mut("inputs")?.as_object_mut()?;
    inputs.insert(input.to_owned(), put);
    // What nothing leads to any more Nix leaves out by itself.
    Some(lock)
}

/// Puts a member of an object in a file back.
fn put_back_member(old: &Value, new: &Value, place: &str, name: &str) -> Option<Value> {
    let mut file = new.clone();
    let members = file.pointer_mut(place)?.as_object_mut()?;
    match old.pointer(place).and_then(|members| members.get(name)) {
        Some(pin) => drop(members.insert(name.to_owned(), pin.clone())),
        None => drop(members.remove(name)),
    }
    Some(file)
}

/// Returns the value that tells a pin from what it was.
pub(super) fn word(pin: &Value) -> Option<&str> {
    let places = [pin.get("locked"), Some(pin)];
    ["rev", "revision", "version", "narHash", "hash", "sha256", "path", "url"].iter().find_map(|key| {
        places.iter().flatten().find_map(|place| place.get(key)?.as_str().filter(|text| !text.is_empty()))
    })
}

/// Returns the word of a pin that people know it by.
fn short(pin: &Value) -> String {
    let word = word(pin).map_or_else(|| pin.to_string(), str::to_owned);
    let is_hash = word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hash { word.get(..12).unwrap_or_default().to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_input_is_put_back_with_what_it_needs() {
        let node = |rev: &str, inputs: Value| json!({ "locked": { "rev": rev }, "inputs": inputs });
        let lock = |a: &str, deep: &str, b: &str| {
            json!({ "root": "root", "version": 7, "nodes": {
                "root": { "inputs": { "a": "a", "b": "b", "same": ["a"] } },
                "a": node(a, json!({ "deep": "deep", "b": ["b"] })),
                "deep": node(deep, json!({})),
                "b": node(b, json!({ "deep": "deep" })),
            } })
        };
        let (old, new) = (lock("1", "1", "1"), lock("1", "2", "2"));
        let (before, after) = (pins_of(&old).unwrap(), pins_of(&new).unwrap());
        assert_ne!(before["a"], after["a"], "what it needs is another");
        assert_eq!(before["same"], after["same"]);
        let back = put_back_input(&old, &new, "a").unwrap();
        let at = |place: &str| back.pointer(place).unwrap().clone();
        assert_eq!(at("/nodes/root/inputs/a"), "a@before");
        assert_eq!(at("/nodes/a@before/inputs"), json!({ "deep": "deep@before", "b": ["b"] }));
        assert_eq!((at("/nodes/deep@before/locked/rev"), at("/nodes/deep/locked/rev")), ("1".into(), "2".into()));
        assert_eq!(short(&after["b"]), "2");
        assert_eq!(short(&json!({ "rev": "0123456789012345678901234567890123456789" })), "012345678901");
    }
}
