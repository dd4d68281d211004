//! What is asked of a package before a patch of it is written.
//!
//! One evaluator, one question a fact: what one fact fails on (a `meta` that throws, a broken package) does not hide the
//! others. Must not decide what follows from the facts.

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::expression::{Root, attr_path_text};
use super::failure::{EvalFailure, FailureKind};
use super::instantiate::{attr_names_in, below_root, bind_root, near_names};
use super::program::Nix;
use super::server::EvalServer;

/// What a package has in `patches`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "kebab-case")]
pub enum Patches {
    /// No such attribute.
    #[default]
    Absent,
    /// A list: the patches as texts (store paths or paths), in order.
    List(Vec<String>),
    /// `null`.
    Null,
    /// Something else; Nix's name of its type (`path`, `string`, `set`).
    Other(String),
    /// It does not evaluate.
    Unknown,
}

/// What is known of one attribute of a package set. `None` is always: not known, because it does not evaluate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageFacts {
    pub exists: bool,
    /// Names that are near, when it does not.
    pub near: Vec<String>,
    pub is_derivation: bool,
    /// Whether it has a `src`, or `srcs`.
    pub has_src: Option<bool>,
    /// Where its source is (the store path; not fetched).
    pub src: Option<String>,
    /// Its `patches`.
    pub patches: Patches,
    /// Its `pname`.
    pub pname: Option<String>,
    pub name: Option<String>,
    /// Where it is defined: `file:line`.
    pub position: Option<String>,
    /// Why the derivation does not evaluate, if it does not.
    pub failure: Option<EvalFailure>,
}

/// The attributes that are the C library of some toolchain of some release of nixpkgs.
pub const LIBC_NAMES: [&str; 11] = [
    "glibc",
    "glibcCross",
    "musl",
    "muslCross",
    "libc",
    "libcCross",
    "newlib",
    "newlibCross",
    "uclibc",
    "uclibcCross",
    "uclibc-ng",
];

impl Nix {
    /// Asks all facts of the attribute at `path` of a package set.
    ///
    /// # Errors
    /// [`Error::Eval`] when the package set itself does not evaluate, and those of the evaluator. That the attribute is
    /// missing or broken is a fact.
    pub fn package_facts(&self, root: &Root, path: &[String]) -> Result<PackageFacts, Error> {
        let mut server = self.eval_server()?;
        self.package_facts_in(&mut server, &root.to_nix()?, path)
    }

    /// Returns names that are near where a package set has no attribute at `path`; `None` where it has one, or that cannot be told.
    pub fn missing(&self, root: &Root, path: &[String]) -> Result<Option<Vec<String>>, Error> {
        let mut server = self.eval_server()?;
        bind_root(&mut server, &root.to_nix()?, "the package set").map_err(|e| self.explained(e))?;
        for depth in 1..=path.len() {
            let Some((name, set)) = path.get(..depth).and_then(<[String]>::split_last) else { break };
            let there = format!("{} ? {}", below_root(set), attr_path_text(std::slice::from_ref(name)));
            match server.eval_json(&there)? {
                Ok(serde_json::Value::Bool(true)) => {}
                Ok(_) => {
                    let names = attr_names_in(&mut server, set)?;
                    return Ok(Some(near_names(name, names.unwrap_or_default())));
                }
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    /// As [`Nix::package_facts`], on a server of the caller's; there `root` is then the package set and `d` the package.
    pub(super) fn package_facts_in(
        &self,
        server: &mut EvalServer,
        root: &str,
        path: &[String],
    ) -> Result<PackageFacts, Error> {
        bind_root(server, root, "the package set").map_err(|e| self.explained(e))?;
        server.bind("d", &below_root(path))?;
        let questions = [
            "builtins.typeOf d",
            "if builtins.isAttrs d && d ? drvPath then \"1\" else \"\"",
            "if d ? src || d ? srcs then \"1\" else \"\"",
            "toString (d.src or \"\")",
            "if !(d ? patches) then \"absent\" else if builtins.isList d.patches then \"list\" + builtins.toJSON (map (p: \
             builtins.unsafeDiscardStringContext (if builtins.isPath p then toString p else \"${p}\")) d.patches) else \
             builtins.typeOf d.patches",
            "d.pname or (builtins.parseDrvName d.name).name",
            "d.name",
            "d.drvPath",
            "d.meta.position",
        ]
        .map(String::from);
        let batch = server.ask(&questions)?;
        if let Some((lost, _)) = batch.lost {
            return Err(self.explained(server.lost_error(lost)));
        }
        let answer = |i: usize| batch.answers.get(i).and_then(|a| a.as_ref()?.as_ref().ok()).cloned();
        let text = |i: usize| answer(i).filter(|t| !t.is_empty());
        let failure = |i: usize| batch.answers.get(i).and_then(|a| a.as_ref()?.as_ref().err()).cloned();

        let missing = match (failure(0).map(|f| f.kind), path.last()) {
            (Some(FailureKind::MissingAttribute { attribute }), _) if path.contains(&attribute) => Some(attribute),
            _ => None,
        };
        let near = match &missing {
            Some(attribute) => {
                let depth = path.iter().position(|s| s == attribute).unwrap_or(0);
                let names = attr_names_in(server, path.get(..depth).unwrap_or_default())?;
                let mut near = near_names(attribute, names.unwrap_or_default());
                // What has left its set is in the whole set now.
                let top = attr_path_text(std::slice::from_ref(attribute));
                let moved = format!("if root ? {top} && root.{top} ? drvPath then \"1\" else \"\"");
                if depth > 0
                    && depth + 1 == path.len()
                    && server
                        .ask(&[moved])?
                        .answers
                        .into_iter()
                        .flatten()
                        .next()
                        .is_some_and(|a| a.as_deref() == Ok("1"))
                {
                    near.insert(0, attribute.clone());
                }
                near
            }
            None => Vec::new(),
        };
        if missing.is_none()
            && let Some(failure) = failure(0).filter(|_| self.root_fails(server))
        {
            return Err(Error::Eval { what: "the package set".into(), failure: Box::new(failure) });
        }
        let is_derivation = text(1).is_some();
        Ok(PackageFacts {
            exists: missing.is_none(),
            near,
            is_derivation,
            has_src: answer(2).map(|t| !t.is_empty()),
            src: text(3),
            patches: read_patches(answer(4)),
            pname: text(5),
            name: text(6),
            position: text(8),
            failure: if missing.is_none() { failure(0).or_else(|| failure(7).filter(|_| is_derivation)) } else { None },
        })
    }

    fn root_fails(&self, server: &mut EvalServer) -> bool {
        matches!(server.eval_string("builtins.seq root \"\""), Ok(Err(_)))
    }
}

fn read_patches(answer: Option<String>) -> Patches {
    match answer.as_deref() {
        None => Patches::Unknown,
        Some("absent") => Patches::Absent,
        Some("null") => Patches::Null,
        Some(text) => match text.strip_prefix("list") {
            Some(json) => serde_json::from_str(json).map_or(Patches::Unknown, Patches::List),
            None => Patches::Other(text.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_patches_is_told_apart() {
        assert_eq!(read_patches(Some("list[\"a\",\"b\"]".into())), Patches::List(vec!["a".into(), "b".into()]));
        assert_eq!(read_patches(Some("null".into())), Patches::Null);
        assert_eq!(read_patches(Some("absent".into())), Patches::Absent);
        assert_eq!(read_patches(Some("set".into())), Patches::Other("set".into()));
        assert_eq!(read_patches(None), Patches::Unknown);
    }
}
