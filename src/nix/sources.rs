//! What a package is made from: its sources, its patches, and what its build does to the sources before and after them.
//!
//! One evaluator for all packages, one question each, so that a package that does not evaluate does not hide the others.
//! The derivations of sources and patches are written to the store, so that they can be built. Must not build anything.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::expression::{Names, Root};
use super::failure::EvalFailure;
use super::instantiate::below_root;
use super::program::Nix;
use super::server::read_json;
use crate::base::store_path::STORE_DIR;

/// A file or directory that a build takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Input {
    /// Where it is, or will be when [`Input::drv_path`] is built.
    pub path: String,
    /// The derivation that makes it; `None` for a path that is there already.
    #[serde(rename = "drv")]
    pub drv_path: Option<String>,
    /// What it is called, without the hash.
    pub name: String,
}

/// The sources of a package and what becomes of them before its own build begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageSource {
    /// The `.drv` path of the package.
    pub drv_path: String,
    pub name: String,
    /// `src`, or `srcs`.
    pub sources: Vec<Input>,
    /// `sourceRoot`.
    pub source_root: Option<String>,
    /// `patches`.
    pub patches: Vec<Input>,
    /// `patchFlags`.
    pub patch_flags: Vec<String>,
    /// Those of its attributes that run commands between unpacking and configuring: `prePatch`, `postPatch`,
    /// `postUnpack`, `unpackPhase`, `patchPhase`, `setSourceRoot`.
    pub hooks: Vec<String>,
}

/// The question about the package that `d` is bound to.
const QUESTION: &str = "let \
     ref = p: if builtins.isPath p then { path = toString p; drv = null; name = baseNameOf p; } \
       else if builtins.isAttrs p then { path = builtins.unsafeDiscardStringContext p.outPath; \
         drv = if p ? drvPath then builtins.unsafeDiscardStringContext p.drvPath else null; \
         name = p.name or (baseNameOf (builtins.unsafeDiscardStringContext p.outPath)); } \
       else { path = builtins.unsafeDiscardStringContext p; drv = null; name = baseNameOf (builtins.unsafeDiscardStringContext p); }; \
     some = builtins.filter (p: p != null && p != \"\"); \
     flat = l: builtins.concatMap (p: if builtins.isList p then p else [ p ]) (if builtins.isList l then l else [ l ]); \
     in builtins.toJSON { \
       drvPath = builtins.unsafeDiscardStringContext d.drvPath; \
       name = d.name; \
       sources = map ref (some (flat (d.srcs or (d.src or [ ])))); \
       sourceRoot = let r = d.sourceRoot or null; in if r == null || r == \"\" then null else builtins.unsafeDiscardStringContext \"${r}\"; \
       patches = map ref (some (flat (d.patches or [ ]))); \
       patchFlags = map toString (some (flat (d.patchFlags or [ ]))); \
       hooks = builtins.filter (h: let v = d.${h} or null; in v != null && v != \"\") \
         [ \"unpackPhase\" \"postUnpack\" \"setSourceRoot\" \"patchPhase\" \"prePatch\" \"postPatch\" ]; \
     }";

impl Nix {
    /// Asks what the packages at `paths` are made from; one result each, in their order.
    ///
    /// # Errors
    /// [`Error::Eval`] when the package set itself does not evaluate, [`Error::Garbage`], and those of the evaluator.
    pub fn package_sources(
        &self,
        root: &Root,
        paths: &[Names],
    ) -> Result<Vec<Result<PackageSource, EvalFailure>>, Error> {
        let text = format!("sources {root:?} {paths:?}");
        let found = self.kept(&text, [root], |nix| nix.sources_now(root, paths))?;
        // What Nix copied to the store for an earlier run may be gone from there.
        let is_there = |input: &Input| {
            input.drv_path.is_some()
                || !Path::new(&input.path).starts_with(STORE_DIR)
                || self.physical(&input.path).is_some_and(|path| path.exists())
        };
        let mut inputs = found.iter().flatten().flat_map(|package| package.sources.iter().chain(&package.patches));
        if inputs.all(is_there) { Ok(found) } else { self.sources_now(root, paths) }
    }

    fn sources_now(&self, root: &Root, paths: &[Names]) -> Result<Vec<Result<PackageSource, EvalFailure>>, Error> {
        let questions: Vec<String> =
            paths.iter().map(|path| format!("let d = {}; in {QUESTION}", below_root(path))).collect();
        self.ask_each(&root.to_nix()?, "the package set", &questions, |_, _, answer| {
            answer.map_or_else(|failure| Ok(Err(failure)), |text| read_json(&text).map(Ok))
        })
    }
}
