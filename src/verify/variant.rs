//! A package's derivation with some of its environment changed and nothing else: without a patch, or ended after the patches.
//!
//! Made of the `.drv` itself, so it does not matter how the package came about, and everything that it needs is what the package
//! needs. Must not decide what is compared.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Answer, Error};
use crate::base::fs;
use crate::drv::{self, Derivation};
use crate::nix::{EvalServer, Nix};

/// A derivation of our own.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    pub(super) drv_path: String,
    /// Its outputs: name and path.
    pub(super) outputs: Vec<(String, String)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    /// Patches, by their store paths, that it goes without.
    pub(super) without: Vec<String>,
    /// Patches, by their store paths, in whose place an empty file of the same name stands.
    pub(super) emptied: Vec<String>,
    pub(super) set: BTreeMap<&'static str, String>,
    pub(super) unset: Vec<&'static str>,
    /// Whether it has the output `out` alone.
    pub(super) only_out: bool,
    /// Another derivation for one of its inputs.
    pub(super) input: Option<Replacement>,
}

/// An input that is another derivation.
#[derive(Debug, Clone)]
pub(super) struct Replacement {
    /// The input's `.drv`.
    pub(super) drv_path: String,
    pub(super) by: Variant,
    /// Its output paths, and those that stand for them.
    pub(super) paths: Vec<(String, String)>,
}

/// Makes variants: one evaluator for all of a run, started with the first.
#[derive(Default)]
pub(super) struct Maker {
    server: Option<EvalServer>,
}

/// `derivation` itself; the strings' contexts, which a text does not have, are put on the builder.
const EXPRESSION: &str = "let empty = map (p: builtins.toFile (baseNameOf p) \"\") j.emptied; \
    swap = l: if builtins.isList l then map swap l else builtins.replaceStrings j.emptied empty l; \
    env = j.env // (if j.emptied == [ ] then { } else { patches = swap j.env.patches; }); \
    d = derivation (env // { inherit (j) name system args outputs; \
    builder = builtins.appendContext j.builder j.context; }); in \
    builtins.unsafeDiscardStringContext (builtins.toJSON { drv = d.drvPath; outputs = map (o: [ o d.${o}.outPath ]) j.outputs; })";

impl Maker {
    /// Makes the variant of a derivation; an answer where it cannot be made.
    pub(super) fn make(
        &mut self,
        nix: &Nix,
        drv_path: &str,
        change: &Change,
    ) -> Result<Result<Variant, Answer>, Error> {
        let refused = |why: &str| Ok(Err(Answer::unknown(format!("{drv_path} cannot be made anew: {why}"))));
        let Some(bytes) = nix.physical(drv_path).and_then(|real| fs::read(&real).ok()) else {
            return refused("it is not in the store");
        };
        let description = match drv::parse(&bytes) {
            Ok(derivation) => describe(&derivation, change),
            Err(error) => return refused(&error.to_string()),
        };
        let Some(description) = description else { return refused("its environment is no text") };
        let dir = fs::temporary_dir(&std::env::temp_dir())?;
        let file = dir.path().join("variant.json");
        fs::write(&file, description.to_string().as_bytes())?;
        let server = match &mut self.server {
            Some(server) => server,
            None => self.server.insert(nix.eval_server()?),
        };
        let read = format!("builtins.fromJSON (builtins.readFile {})", crate::nix::quoted(&file.display().to_string()));
        let text = match server.eval_string(&format!("let j = {read}; in {EXPRESSION}"))? {
            Ok(text) => text,
            Err(failure) => return refused(&failure.message),
        };
        let made: Option<(String, Vec<(String, String)>)> = serde_json::from_str(&text)
            .ok()
            .and_then(|value: Value| serde_json::from_value(json!([value.get("drv")?, value.get("outputs")?])).ok());
        match made {
            Some((drv_path, outputs)) => Ok(Ok(Variant { drv_path, outputs })),
            None => refused(&format!("Nix answered {text}")),
        }
    }
}

/// Returns what `derivation` is given; `None` where a value is no UTF-8 text.
fn describe(derivation: &Derivation<'_>, change: &Change) -> Option<Value> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let outputs: Vec<&str> = derivation.outputs.iter().map(|o| &*o.name).collect();
    let mut names: Vec<String> = outputs.iter().map(|name| (*name).to_string()).collect();
    // The order says which output the derivation stands for.
    if let Some(order) = derivation.env("outputs").and_then(text) {
        let order: Vec<String> = order.split_whitespace().map(str::to_string).collect();
        if order.len() == names.len() {
            names = order;
        }
    }
    let mut env: Map<String, Value> = match derivation.structured_attrs() {
        Some(Value::Object(attrs)) => {
            attrs.into_iter().chain([("__structuredAttrs".to_string(), json!(true))]).collect()
        }
        _ => {
            let pairs = derivation.env.iter().map(|(name, value)| Some((text(name)?, json!(text(value)?))));
            pairs.collect::<Option<_>>()?
        }
    };
    let name = env.get("name")?.as_str()?.to_string();
    for name in ["name", "system", "builder", "args", "outputs", "__json"].into_iter().chain(outputs) {
        env.remove(name);
    }
    match env.get_mut("patches") {
        Some(Value::String(list)) => {
            let kept: Vec<&str> = list.split_whitespace().filter(|p| !change.without.iter().any(|w| w == p)).collect();
            *list = kept.join(" ");
        }
        Some(Value::Array(list)) => list.retain(|p| !change.without.iter().any(|w| p.as_str() == Some(w))),
        _ => {}
    }
    for name in &change.unset {
        env.remove(*name);
    }
    for (name, value) in &change.set {
        env.insert((*name).to_string(), json!(value));
    }
    let mut context: Map<String, Value> = Map::new();
    for input in &derivation.inputs {
        match &change.input {
            Some(new) if new.drv_path == *input.drv_path => {
                context.insert(new.by.drv_path.clone(), json!({ "outputs": input.outputs.names }));
            }
            _ => drop(context.insert(input.drv_path.to_string(), json!({ "outputs": input.outputs.names }))),
        }
    }
    for source in &derivation.sources {
        context.insert(source.to_string(), json!({ "path": true }));
    }
    if let Some(new) = &change.input {
        env.values_mut().for_each(|value| replace(value, &new.paths));
    }
    Some(json!({
        "name": name,
        "system": derivation.system,
        "args": derivation.args.iter().map(|arg| text(arg)).collect::<Option<Vec<_>>>()?,
        "outputs": if change.only_out { vec!["out".to_string()] } else { names },
        "builder": text(&derivation.builder)?,
        "context": context,
        "env": env,
        "emptied": change.emptied,
    }))
}

/// Says whether two derivations are the same but for what they are made of, as far as that is a derivation or an output of one, and
/// for these patches, which the second one alone has.
pub(super) fn differ_in_patches_only(nix: &Nix, without: &str, with: &str, patches: &[String]) -> bool {
    let described = |drv_path: &str| -> Option<Value> {
        let bytes = fs::read(&nix.physical(drv_path)?).ok()?;
        let change = Change { without: patches.to_vec(), ..Change::default() };
        let mut value = describe(&drv::parse(&bytes).ok()?, &change)?;
        let context = value.get_mut("context").and_then(Value::as_object_mut)?;
        context.retain(|path, _| !path.ends_with(".drv") && !patches.contains(path));
        let env = value.get_mut("env").and_then(Value::as_object_mut)?;
        // No list of patches is an empty one.
        if env.get("patches").is_some_and(|list| list == "" || list == &json!([])) {
            env.remove("patches");
        }
        Some(value)
    };
    matches!((described(without), described(with)), (Some(a), Some(b)) if a == b)
}

fn replace(value: &mut Value, paths: &[(String, String)]) {
    match value {
        Value::String(text) => paths.iter().for_each(|(old, new)| *text = text.replace(old, new)),
        Value::Array(list) => list.iter_mut().for_each(|value| replace(value, paths)),
        Value::Object(map) => map.values_mut().for_each(|value| replace(value, paths)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRV: &str = r#"Derive([("dev","/nix/store/00000000000000000000000000000001-a-dev","",""),("out","/nix/store/00000000000000000000000000000002-a","","")],[("/nix/store/00000000000000000000000000000003-b.drv",["out"])],["/nix/store/00000000000000000000000000000004-1.patch"],"x86_64-linux","/bin/sh",["-e","b.sh"],[("builder","/bin/sh"),("dev","/nix/store/00000000000000000000000000000001-a-dev"),("dontPatch",""),("flags","-L/nix/store/00000000000000000000000000000005-b/lib"),("name","a"),("out","/nix/store/00000000000000000000000000000002-a"),("outputs","out dev"),("patches","/nix/store/00000000000000000000000000000004-1.patch /nix/store/x-2.patch"),("system","x86_64-linux")])"#;

    fn described(change: &Change) -> Value {
        describe(&drv::parse(DRV.as_bytes()).unwrap(), change).unwrap()
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        let value = described(&Change::default());
        assert_eq!(value["outputs"], json!(["out", "dev"]));
        assert_eq!(value["args"], json!(["-e", "b.sh"]));
        let env = value["env"].as_object().unwrap();
        assert_eq!(env.keys().map(String::as_str).collect::<Vec<_>>(), ["dontPatch", "flags", "patches"]);
        assert_eq!(value["context"].as_object().unwrap().len(), 2);
    }

    #[test]
    fn what_is_to_be_different_is() {
        let by = Variant { drv_path: "/nix/store/new.drv".into(), outputs: vec![] };
        let change = Change {
            without: vec!["/nix/store/x-2.patch".into()],
            emptied: Vec::new(),
            set: [("buildPhase", "true".to_string())].into(),
            unset: vec!["dontPatch"],
            only_out: true,
            input: Some(Replacement {
                drv_path: "/nix/store/00000000000000000000000000000003-b.drv".into(),
                by,
                paths: vec![("/nix/store/00000000000000000000000000000005-b".into(), "/nix/store/new-b".into())],
            }),
        };
        let value = described(&change);
        assert_eq!(value["outputs"], json!(["out"]));
        assert_eq!(
            value["env"],
            json!({ "buildPhase": "true", "flags": "-L/nix/store/new-b/lib",
                "patches": "/nix/store/00000000000000000000000000000004-1.patch" })
        );
        assert_eq!(value["context"]["/nix/store/new.drv"], json!({ "outputs": ["out"] }));
    }
}
