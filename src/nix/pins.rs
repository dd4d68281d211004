//! Moving what a workspace pins: the lock of a flake, and what a reference leads to. Must not write but to the directory that it is given.

use std::path::Path;

use serde_json::Value;

use super::error::Error;
use super::expression::{NixpkgsRef, quoted};
use super::program::Nix;
use crate::base::fs;
use crate::base::process::Exec;

/// What a reference leads to, fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub revision: Option<String>,
    /// The hash of its files, as `sha256-...`.
    pub nar_hash: String,
    pub out_path: String,
}

/// Returns the node of a lock that an input of its flake is, with its name.
fn node(lock: &Value, input: &str) -> Option<(String, Value)> {
    let root = lock.get("nodes")?.get(lock.get("root")?.as_str()?)?;
    let name = root.get("inputs")?.get(input)?.as_str()?;
    Some((name.to_owned(), lock.get("nodes")?.get(name)?.clone()))
}

impl Nix {
    /// Writes the `flake.lock` in `dir` anew, with an input at a reference, or at the newest that the flake asks for.
    ///
    /// # Errors
    /// Those of Nix: no such input, no network.
    pub fn lock_input(&self, dir: &Path, input: &str, reference: Option<&str>) -> Result<(), Error> {
        let flake = format!("path:{}", dir.display());
        let call = |words: &[&str]| self.with_options(Exec::new(&self.nix).args(["flake"]).args(words));
        let Some(reference) = reference else {
            let done = self.output(&call(&["update", input, "--flake", &flake]));
            // Older versions update all inputs by `update`, and one by `lock`.
            return match done {
                Err(Error::Failed { printed, .. }) if printed.contains("--flake") => {
                    self.output(&call(&["lock", &flake, "--update-input", input])).map(drop)
                }
                done => done.map(drop),
            };
        };
        let lock = dir.join("flake.lock");
        let read = || -> Option<Value> { serde_json::from_str(&fs::read_text(&lock).ok()?).ok() };
        let before = read();
        self.output(&call(&["lock", &flake, "--override-input", input, reference]))?;
        // Older versions (2.8) write that the flake asks for the reference itself, and then find that it does not.
        let asked = before.as_ref().and_then(|before| Some(node(before, input)?.1.get("original")?.clone()));
        if let (Some(asked), Some(mut after)) = (asked, read())
            && let Some(name) =
                node(&after, input).filter(|(_, node)| node.get("original") != Some(&asked)).map(|(name, _)| name)
        {
            after["nodes"][name]["original"] = asked;
            fs::write(&lock, format!("{after:#}\n").as_bytes())?;
        }
        Ok(())
    }

    /// Fetches what a flake reference leads to.
    ///
    /// # Errors
    /// [`Error::Eval`] with what Nix says.
    pub fn fetch_tree(&self, reference: &str) -> Result<Tree, Error> {
        let mut server = self.eval_server()?;
        let tree = format!(
            "(let t = builtins.fetchTree {}; in {{ rev = t.rev or \"\"; nar = t.narHash; out = t.outPath; }})",
            quoted(reference)
        );
        let answer = server.eval_json(&tree)?;
        let failed = |failure| Error::Eval { what: reference.to_owned(), failure: Box::new(failure) };
        let answer = answer.map_err(failed)?;
        let text = |key: &str| answer.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        Ok(Tree {
            revision: Some(text("rev")).filter(|rev| !rev.is_empty()),
            nar_hash: text("nar"),
            out_path: text("out"),
        })
    }

    /// Returns the directory that a package set is in.
    ///
    /// # Errors
    /// [`Error::Eval`] where that cannot be told.
    pub fn place_of(&self, nixpkgs: &NixpkgsRef) -> Result<String, Error> {
        let mut server = self.eval_server()?;
        let place = server.eval_string(&format!("toString {}", nixpkgs.to_nix()?))?;
        place.map_err(|failure| Error::Eval { what: "the package set".into(), failure: Box::new(failure) })
    }
}
