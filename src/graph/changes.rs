//! What exactly changed in one derivation: the fields that differ and are its own, not inherited from its inputs.
//!
//! Works on the text of the derivation and of its counterpart, which is read through a [`Source`] as the graph keeps no
//! texts. A value that differs only in store paths of inputs is inherited. Store paths of input sources (files of the
//! package set, patches) and of downloads are the derivation's own.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;

use super::digest::Digester;
use super::image::NodeId;
use super::{Delta, Graph};
use crate::drv::{self, Derivation, Source};

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "field", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Change {
    Patches {
        /// Store paths only the new derivation has, in its order.
        added: Vec<String>,
        /// Store paths only the old one has, in its order.
        removed: Vec<String>,
        /// Whether those that both have stand in another order.
        reordered: bool,
    },
    /// The source: the variable `src` or `srcs`.
    Source { before: Option<String>, after: Option<String> },
    /// The program that builds it.
    Builder { before: String, after: String },
    /// The arguments of the builder.
    Arguments { before: Vec<String>, after: Vec<String> },
    /// The system that builds it.
    System { before: String, after: String },
    /// The names, kinds or hashes of the outputs.
    Outputs { before: Vec<String>, after: Vec<String> },
    /// Another variable of the environment, or another structured attribute.
    Variable {
        name: String,
        /// The old value; `None` when it was not set.
        before: Option<String>,
        /// The new value; `None` when it is not set any more.
        after: Option<String>,
    },
    /// Input sources that no other field mentions.
    InputSources {
        /// Store paths only the new derivation has.
        added: Vec<String>,
        /// Store paths only the old one has.
        removed: Vec<String>,
    },
}

/// The difference of a derivation to its counterpart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// The fields that are its own and differ: patches and source first.
    pub own: Vec<Change>,
    /// Variables that differ only in what its inputs are made of.
    pub inherited: Vec<String>,
}

impl Delta<'_> {
    /// Returns what changed in a derivation of the graph after; `None` when it has no counterpart: it is new.
    ///
    /// # Errors
    /// When one of the two `.drv` files cannot be read or parsed.
    pub fn what_changed(
        &self,
        after: NodeId,
        before_source: &dyn Source,
        after_source: &dyn Source,
    ) -> Result<Option<Changes>, drv::Error> {
        let Some(before) = self.counterpart(after) else { return Ok(None) };
        let (old_text, new_text) =
            (text(self.before(), before, before_source)?, text(self.after(), after, after_source)?);
        let old = parse(self.before(), before, &old_text)?;
        let new = parse(self.after(), after, &new_text)?;
        let own = |graph: &Graph, id: NodeId, derivation: &Derivation<'_>| -> HashSet<String> {
            let downloads = graph.inputs(id).iter().filter(|input| graph.is_fixed_output(**input));
            let paths = downloads.flat_map(|input| graph.node(*input).outputs().map(|(_, path)| path.to_owned()));
            paths.chain(derivation.sources.iter().map(|path| path.to_string())).collect()
        };
        let mut own_paths = own(self.before(), before, &old);
        own_paths.extend(own(self.after(), after, &new));
        Ok(Some(compare(self.after().store_dir(), &old, &new, &own_paths)))
    }
}

fn text(graph: &Graph, id: NodeId, source: &dyn Source) -> Result<Vec<u8>, drv::Error> {
    let drv_path = graph.node(id).drv_path();
    let mut text = Vec::new();
    source.read(drv_path, &mut text).map_err(|source| drv::Error::Read { drv_path: drv_path.to_owned(), source })?;
    Ok(text)
}

fn parse<'t>(graph: &Graph, id: NodeId, text: &'t [u8]) -> Result<Derivation<'t>, drv::Error> {
    drv::parse(text).map_err(|source| drv::Error::Parse { drv_path: graph.node(id).drv_path().to_owned(), source })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Compares two derivations; `own` are the store paths that are not made by their inputs.
fn compare(store_dir: &str, old: &Derivation<'_>, new: &Derivation<'_>, own: &HashSet<String>) -> Changes {
    let digester = Digester::new(store_dir);
    let masked = |value: &str| digester.masked(value, own);
    let mut changes = Changes::default();
    let (old_env, new_env) = (variables(old), variables(new));
    let value = |env: &BTreeMap<String, String>, name: &str| env.get(name).cloned();
    let mut mentioned = String::new();

    let patches = |env: &BTreeMap<String, String>| -> Vec<String> {
        env.get("patches").map(|value| value.split_ascii_whitespace().map(str::to_owned).collect()).unwrap_or_default()
    };
    let (old_patches, new_patches) = (patches(&old_env), patches(&new_env));
    if masked(&old_patches.join(" ")) != masked(&new_patches.join(" ")) {
        let known = |list: &[String]| -> BTreeSet<String> { list.iter().map(|path| masked(path)).collect() };
        let (old_known, new_known) = (known(&old_patches), known(&new_patches));
        let only = |list: &[String], other: &BTreeSet<String>| -> Vec<String> {
            list.iter().filter(|path| !other.contains(&masked(path))).cloned().collect()
        };
        let (added, removed) = (only(&new_patches, &old_known), only(&old_patches, &new_known));
        let common = |list: &[String], other: &BTreeSet<String>| -> Vec<String> {
            list.iter().map(|path| masked(path)).filter(|path| other.contains(path)).collect()
        };
        let reordered = common(&old_patches, &new_known) != common(&new_patches, &old_known);
        mentioned.push_str(&added.concat());
        mentioned.push_str(&removed.concat());
        changes.own.push(Change::Patches { added, removed, reordered });
    }
    for name in ["src", "srcs"] {
        let (before, after) = (value(&old_env, name), value(&new_env, name));
        if before.as_deref().map(&masked) != after.as_deref().map(&masked) {
            mentioned.push_str(before.as_deref().unwrap_or_default());
            mentioned.push_str(after.as_deref().unwrap_or_default());
            changes.own.push(Change::Source { before, after });
        } else if before != after {
            changes.inherited.push(name.to_owned());
        }
    }
    let (before, after) = (lossy(&old.builder), lossy(&new.builder));
    if masked(&before) != masked(&after) {
        changes.own.push(Change::Builder { before, after });
    } else if before != after {
        changes.inherited.push("builder".to_owned());
    }
    let arguments =
        |derivation: &Derivation<'_>| -> Vec<String> { derivation.args.iter().map(|arg| lossy(arg)).collect() };
    let (before, after) = (arguments(old), arguments(new));
    if before.iter().map(|arg| masked(arg)).ne(after.iter().map(|arg| masked(arg))) {
        mentioned.push_str(&before.concat());
        mentioned.push_str(&after.concat());
        changes.own.push(Change::Arguments { before, after });
    }
    if old.system != new.system {
        changes.own.push(Change::System { before: old.system.to_string(), after: new.system.to_string() });
    }
    let outputs = |derivation: &Derivation<'_>| -> Vec<String> {
        let shown = |output: &drv::Output<'_>| match output.hash_algo.is_empty() {
            true => output.name.to_string(),
            false => format!("{} {}:{}", output.name, output.hash_algo, output.hash),
        };
        derivation.outputs.iter().map(shown).collect()
    };
    let (before, after) = (outputs(old), outputs(new));
    if before != after {
        changes.own.push(Change::Outputs { before, after });
    }

    // These say again what other fields say, or where the outputs lie.
    let output_names: HashSet<&str> =
        old.outputs.iter().chain(&new.outputs).map(|output| output.name.as_ref()).collect();
    let elsewhere =
        |name: &str| matches!(name, "patches" | "src" | "srcs" | "builder" | "system") || output_names.contains(name);
    let names: BTreeSet<&String> = old_env.keys().chain(new_env.keys()).collect();
    for name in names.into_iter().filter(|name| !elsewhere(name)) {
        let (before, after) = (value(&old_env, name), value(&new_env, name));
        if before == after {
            continue;
        }
        if before.as_deref().map(&masked) == after.as_deref().map(&masked) {
            changes.inherited.push(name.clone());
        } else {
            mentioned.push_str(before.as_deref().unwrap_or_default());
            mentioned.push_str(after.as_deref().unwrap_or_default());
            changes.own.push(Change::Variable { name: name.clone(), before, after });
        }
    }
    let only = |one: &Derivation<'_>, other: &Derivation<'_>| -> Vec<String> {
        let missing = one.sources.iter().filter(|path| !other.sources.contains(path));
        missing.filter(|path| !mentioned.contains(path.as_ref())).map(|path| path.to_string()).collect()
    };
    let (added, removed) = (only(new, old), only(old, new));
    if !(added.is_empty() && removed.is_empty()) {
        changes.own.push(Change::InputSources { added, removed });
    }
    changes
}

/// Returns the variables of the environment; with structured attributes these, as JSON where they are no text or list of
/// texts.
fn variables(derivation: &Derivation<'_>) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &derivation.env {
        if **name != *b"__json" {
            variables.insert(lossy(name), lossy(value));
        }
    }
    if let Some(serde_json::Value::Object(attributes)) = derivation.structured_attrs() {
        for (name, value) in attributes {
            let texts = |list: &[serde_json::Value]| -> Option<Vec<String>> {
                list.iter().map(|value| value.as_str().map(str::to_owned)).collect()
            };
            let shown = match &value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Array(list) => {
                    texts(list).map_or_else(|| value.to_string(), |texts| texts.join(" "))
                }
                _ => value.to_string(),
            };
            variables.insert(name, shown);
        }
    }
    variables
}
