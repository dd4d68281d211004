//! Which patches attributes of package sets really have, as Nix evaluates them: the truth that the text of an overlay only
//! promises.
//!
//! One evaluator is asked about all sets, so that what they share is read once. Nothing is built or copied to the store. Must not
//! decide what follows from the answers.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::expression::{Names, Root, attr_path_text, path_text, quoted};
use super::failure::EvalFailure;
use super::instantiate::below_root;
use super::program::Nix;
use super::server::{EvalServer, read_json};

/// What is asked of one package set.
#[derive(Debug, Clone)]
pub struct EffectQuestion {
    pub root: Root,
    /// The same set without overlays, where one is at hand: overlays are applied to it to ask which names they bind.
    pub plain: Option<Root>,
    pub attrs: Vec<Names>,
    pub targets: Vec<Names>,
    /// Whether the packages that the set's overlays bind are asked about as well.
    pub bound: bool,
}

/// What Nix said of one package set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Effect {
    /// Each package that was asked about, then those that the overlays bind and that were not named.
    pub packages: Vec<(Names, Result<Has, EvalFailure>)>,
    /// Each target: nothing, or why it does not evaluate.
    pub targets: Vec<Result<(), EvalFailure>>,
    /// Why the set as a whole could not be asked.
    pub failure: Option<EvalFailure>,
}

/// What a package has in a set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Has {
    /// Whether the set has the attribute at all.
    pub exists: bool,
    /// Its patches in order, of whatever attribute they are given by: paths as Nix writes them.
    #[serde(default)]
    pub patches: Vec<String>,
    /// The same of the package as it runs on the build machine; `None` in a set that is native.
    #[serde(default)]
    pub build: Option<Vec<String>>,
    /// Whether it has a source that patches could change.
    #[serde(default)]
    pub source: bool,
    /// Names of the set that it is in, for a package of a nested set; none for one at the top.
    #[serde(default)]
    pub siblings: Vec<String>,
    #[serde(default)]
    pub drv: Option<String>,
}

/// The most names that one overlay's bindings are taken from: one that ends in `prev // { ... }` binds everything.
const MOST_BOUND: usize = 400;

impl Nix {
    /// Asks which patches packages have in some package sets, each answer for itself.
    ///
    /// # Errors
    /// Those of the evaluator as a whole; that a set or a package does not evaluate is in the answer.
    pub fn effects(&self, questions: &[EffectQuestion]) -> Result<Vec<Effect>, Error> {
        let text = format!("effects {HAS} {questions:?}");
        let roots = questions.iter().map(|question| &question.root);
        self.kept(&text, roots, |nix| {
            let mut server = nix.eval_server()?;
            questions.iter().map(|question| nix.effect(&mut server, question)).collect()
        })
    }

    fn effect(&self, server: &mut EvalServer, question: &EffectQuestion) -> Result<Effect, Error> {
        let mut effect = Effect::default();
        server.bind("has", HAS)?;
        for (name, root) in [("root", Some(&question.root)), ("plain", question.plain.as_ref())] {
            let text = root.map_or(Ok("null".to_string()), Root::to_nix)?;
            match server.bind(name, &text) {
                Ok(()) => {}
                Err(Error::Eval { failure, .. }) => {
                    effect.failure = Some(*failure);
                    return Ok(effect);
                }
                Err(error) => return Err(self.explained(error)),
            }
        }
        let mut attrs = question.attrs.clone();
        if question.bound {
            for name in self.bound(server)? {
                let attr = vec![name];
                if !attrs.contains(&attr) {
                    attrs.push(attr);
                }
            }
        }
        let questions: Vec<String> =
            attrs.iter().map(|attr| has(attr)).chain(question.targets.iter().map(|target| evaluates(target))).collect();
        let mut answers = Vec::with_capacity(questions.len());
        while answers.len() < questions.len() {
            let batch = server.ask(questions.get(answers.len()..).unwrap_or_default())?;
            answers.extend(batch.answers.into_iter().map_while(|answer| answer));
            if let Some((lost, _)) = batch.lost {
                return Err(self.explained(server.lost_error(lost)));
            }
        }
        let mut answers = answers.into_iter();
        for attr in attrs {
            let answer = match answers.next() {
                Some(answer) => answer.map_or_else(|failure| Ok(Err(failure)), |text| read_json(&text).map(Ok))?,
                None => continue,
            };
            effect.packages.push((attr, answer));
        }
        effect.targets = answers.map(|answer| answer.map(drop)).collect();
        // A set that is no set fails in each answer alike.
        Ok(effect)
    }

    /// Returns the names that the overlays of the set bind, as far as they can be asked.
    fn bound(&self, server: &mut EvalServer) -> Result<Vec<String>, Error> {
        let count = match server.eval_json("builtins.length (root.overlays or [ ])")? {
            Ok(count) => count.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
            Err(_) => 0,
        };
        // Each for itself: one that throws says nothing of the others. Where no set without overlays is at hand the
        // finished one stands in, which an overlay that asks what was there before may not like.
        let names: Vec<String> = (0..count)
            .map(|i| {
                format!(
                    "builtins.toJSON (builtins.attrNames (builtins.elemAt root.overlays {i} root (if plain == null then root else plain)))"
                )
            })
            .collect();
        let batch = server.ask(&names)?;
        let mut bound = Vec::new();
        for answer in batch.answers.into_iter().flatten().flatten() {
            let names: Vec<String> = serde_json::from_str(&answer).unwrap_or_default();
            if names.len() <= MOST_BOUND {
                bound.extend(names);
            }
        }
        Ok(bound)
    }

    /// Returns the names of the attributes at a path of a root that are sets of some kind; none where that is not there.
    ///
    /// # Errors
    /// [`Error::Eval`] when the root itself does not evaluate, and those of the evaluator.
    pub fn names_at(&self, root: &Root, paths: &[Names]) -> Result<Vec<Vec<String>>, Error> {
        let text = format!("names {root:?} {paths:?}");
        self.kept(&text, [root], |nix| nix.names_now(root, paths))
    }

    fn names_now(&self, root: &Root, paths: &[Names]) -> Result<Vec<Vec<String>>, Error> {
        let mut server = self.eval_server()?;
        server.bind("root", &root.to_nix()?).map_err(|e| self.explained(e))?;
        // A binding is lazy: what the root is made of is fetched by the first question.
        if let Err(failure) = server.eval_string("builtins.typeOf root")? {
            return Err(Error::Eval { what: "the workspace".into(), failure: Box::new(failure) });
        }
        let questions: Vec<String> = paths
            .iter()
            .map(|path| {
                let at = below_root(path);
                format!("builtins.toJSON (let s = {at}; in if builtins.isAttrs s then builtins.attrNames s else [ ])")
            })
            .collect();
        let batch = server.ask(&questions)?;
        let read = |answer: Option<Result<String, EvalFailure>>| match answer {
            Some(Ok(text)) => serde_json::from_str(&text).unwrap_or_default(),
            _ => Vec::new(),
        };
        Ok(batch.answers.into_iter().map(read).collect())
    }
}

/// The function that answers what a package has: of a set, whether the package is there, the package, the names beside it, and the
/// package for the build machine. All but the set are looked at only when needed. `patches` and `kernelPatches` are lists, one
/// element, or null; an element is a path, a derivation or a set with `patch`. Paths are written as they are, not copied.
const HAS: &str = "root: there: d: siblings: native: let l = x: if builtins.isList x then x else if x == null then [ ] else [ x ]; \
     u = builtins.unsafeDiscardStringContext; \
     t = p: let q = p.patch or p; in if q == null then [ ] else [ (u (toString q)) ]; \
     all = d: let k = builtins.concatMap t (l (d.patches or null)); in k ++ builtins.filter (p: !(builtins.elem p k)) \
     (builtins.concatMap t (l (d.kernelPatches or null) ++ l (d.extraPatches or null) ++ l (d.cargoPatches or null))); \
     cross = (root.stdenv.hostPlatform.config or \"\") != (root.stdenv.buildPlatform.config or \"\"); \
     own = builtins.tryEval (all native); in builtins.toJSON (if !there then { exists = false; } else { exists = true; \
     patches = all d; source = d ? src || d ? srcs; drv = if d ? drvPath then u d.drvPath else null; inherit siblings; \
     build = if cross && own.success then own.value else null; })";

fn has(attr: &[String]) -> String {
    let (parent, name) = attr.split_at(attr.len().saturating_sub(1));
    let name = attr_path_text(name);
    let there = if parent.is_empty() { format!("root ? {name}") } else { nested(parent, &name) };
    let path = attr_path_text(attr);
    let siblings = match parent {
        [] => "[ ]".to_string(),
        parent => format!("(builtins.attrNames {})", below_root(parent)),
    };
    format!("has root ({there}) root.{path} {siblings} (root.buildPackages.{path} or {{ }})")
}

/// Says that a set within a set is there and has a name.
fn nested(parent: &[String], name: &str) -> String {
    let parent = attr_path_text(parent);
    format!("root ? {parent} && builtins.isAttrs root.{parent} && root.{parent} ? {name}")
}

fn evaluates(target: &[String]) -> String {
    format!("builtins.seq {}.drvPath \"1\"", below_root(target))
}

/// Returns the Nix text of the package set that a set of packages with an overlay more is.
pub fn extended(root: &Root, overlay: &str) -> Result<String, Error> {
    Ok(format!("({}).extend ({overlay})", root.to_nix()?))
}

/// Returns the Nix text of the package set of a NixOS configuration file.
///
/// # Errors
/// [`Error::BadExpression`] for a path that Nix cannot be told.
pub fn nixos(nixpkgs: &str, configuration: &Path) -> Result<String, Error> {
    let system = quoted("/nixos");
    Ok(format!("(import ({nixpkgs} + {system}) {{ configuration = {}; }}).pkgs", path_text(configuration)?))
}
