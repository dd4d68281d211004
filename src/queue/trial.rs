//! A change is tried before it is written: the workspace as it would be is evaluated beside the workspace as it is.
//!
//! Asked is what the user wants to be true: the package has each patch exactly once, in every set that the overlay reaches; the
//! set that it stands in keeps what it had; no target stops evaluating. Must not write to the workspace.

use std::path::{Path, PathBuf};

use super::Error;
use super::copy::Copy;
use super::model::is_file;
use super::sets::{self, Kind, Set};
use crate::base::diagnostic::Warning;
use crate::config::Workspace;
use crate::nix::{Effect, EffectQuestion, Has, Nix};
use crate::overlay::AttrPath;
use crate::targets::engine;

/// A change that is to be tried.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// The packages that it is about.
    pub attrs: &'a [AttrPath],
    /// Files as they would be.
    pub written: &'a [(PathBuf, Vec<u8>)],
    /// Files that would be gone.
    pub removed: &'a [PathBuf],
    /// Patches that the packages should have afterwards.
    pub wanted: &'a [PathBuf],
    /// Patches that they should not have any more.
    pub unwanted: &'a [PathBuf],
    /// Patches that get another file: in effect afterwards wherever they are now.
    pub follows: &'a [(PathBuf, PathBuf)],
}

/// The workspace as it is, asked once and held against each trial.
#[derive(Debug)]
pub struct Trial<'w> {
    workspace: &'w Workspace,
    nixpkgs: Option<&'w str>,
    nix: Nix,
    sets: Vec<Set>,
    /// What the sets have now, of the packages in question.
    before: Vec<Effect>,
    attrs: Vec<AttrPath>,
}

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The change does what it should, in these sets.
    InEffect(Vec<String>),
    /// It holds where the overlay is taken by others.
    Exported(Vec<String>),
    /// It would have no effect; why.
    NoEffect(String),
    /// It would do damage; what.
    Damage(String),
    /// It could not be tried; why.
    Unknown(String),
}

impl<'w> Trial<'w> {
    /// Asks about the workspace as it is; `None` where nothing of it evaluates or there is no package set.
    ///
    /// # Errors
    /// Those of a nixpkgs that was named and cannot be used.
    pub fn begin(
        workspace: &'w Workspace,
        nixpkgs: Option<&'w str>,
        attrs: &[AttrPath],
    ) -> Result<Result<Trial<'w>, String>, Error> {
        let nix = match engine::nix_without_builds(workspace) {
            Ok(nix) => nix,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let sets = match sets::of(workspace, &nix, nixpkgs) {
            Ok(sets) => sets.sets,
            Err(error) if nixpkgs.is_some() => return Err(error),
            Err(error) => return Ok(Err(error.to_string())),
        };
        if sets.is_empty() {
            return Ok(Err("the workspace names no nixpkgs, and there is none in NIX_PATH".into()));
        }
        let before = match nix.effects(&questions(&sets, attrs)) {
            Ok(before) => before,
            Err(error) => return Ok(Err(error.to_string())),
        };
        Ok(Ok(Trial { workspace, nixpkgs, nix, sets, before, attrs: attrs.to_vec() }))
    }

    /// Tries a change.
    ///
    /// # Errors
    /// Those of making the copy and of the evaluator as a whole.
    pub fn of(&self, change: &Change<'_>, warnings: &mut Vec<Warning>) -> Result<Outcome, Error> {
        let copy = Copy::with(self.workspace, change.written, change.removed)?;
        let sets = sets::of(&copy.workspace, &self.nix, self.nixpkgs)?.sets;
        let after = self.nix.effects(&questions(&sets, &self.attrs))?;
        let mut holds = Vec::new();
        let mut exported = Vec::new();
        let mut no_effect = Vec::new();
        let mut unknown = None;
        for (set, after) in sets.iter().zip(&after) {
            let before = self.sets.iter().position(|known| known.name == set.name).and_then(|at| self.before.get(at));
            if let Some(damage) = self.damage(&copy, set, before, after, change) {
                return Ok(Outcome::Damage(damage));
            }
            let mut all = true;
            for attr in change.attrs {
                let answer = after.packages.iter().find(|(names, _)| names.as_slice() == attr.names());
                match answer {
                    Some((_, Ok(has))) => match self.judge(&copy, attr, has, change, warnings) {
                        None => {}
                        Some(why) => {
                            all = false;
                            no_effect.push(why);
                        }
                    },
                    Some((_, Err(failure))) => {
                        all = false;
                        unknown.get_or_insert_with(|| {
                            format!("`{attr}` does not evaluate in `{}`: {}", set.name, failure.message)
                        });
                    }
                    None => {
                        all = false;
                        let failure = after.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
                        unknown.get_or_insert_with(|| format!("`{}` does not evaluate: {failure}", set.name));
                    }
                }
            }
            match set.kind {
                _ if !all => {}
                Kind::Exported => exported.push(set.name.clone()),
                Kind::Composed | Kind::Own => holds.push(set.name.clone()),
            }
        }
        Ok(match (holds.is_empty(), exported.is_empty(), unknown) {
            (false, _, _) => Outcome::InEffect(holds),
            (true, false, _) => Outcome::Exported(exported),
            (true, true, Some(why)) => Outcome::Unknown(why),
            (true, true, None) => Outcome::NoEffect(no_effect.into_iter().next().unwrap_or_default()),
        })
    }

    /// Counts how often a list of Nix's names a file of the workspace, or of the copy.
    fn count(&self, copy: &Copy, file: &Path, list: &[String]) -> usize {
        let root = copy.workspace.root().canonicalize().unwrap_or_default();
        let own = super::resolved(file).ok();
        let there = own.as_ref().and_then(|real| {
            let workspace = self.workspace.root().canonicalize().ok()?;
            Some(root.join(real.strip_prefix(&workspace).ok()?))
        });
        let is = |named: &&String| {
            [own.as_deref(), there.as_deref()].into_iter().flatten().any(|file| is_file(named, file, &root))
        };
        list.iter().filter(is).count()
    }

    /// Says what a package lacks, or has too much of; `None` when it is as it should be.
    fn judge(
        &self,
        copy: &Copy,
        attr: &AttrPath,
        has: &Has,
        change: &Change<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Option<String> {
        if !has.exists {
            return Some(format!("the package set has no `{attr}`"));
        }
        let count = |file: &PathBuf, list: &[String]| self.count(copy, file, list);
        let listed =
            |file: &PathBuf| count(file, &has.patches).max(has.build.as_ref().map_or(0, |list| count(file, list)));
        if let Some(file) = change.wanted.iter().find(|file| listed(file) == 0) {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Some(format!(
                "`{attr}` does not have {name}: nothing applies this overlay, or something later binds `{attr}` anew"
            ));
        }
        if let Some(file) = change.unwanted.iter().find(|file| listed(file) > 0) {
            return Some(format!("`{attr}` would still have {}", file.display()));
        }
        if let Some(file) = change.wanted.iter().find(|file| listed(file) > 1) {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let message =
                format!("nixpkgs takes the patches of `{attr}` twice: {name} is in its list {} times", listed(file));
            if !warnings.iter().any(|warning| warning.message == message) {
                let hint = Some("the second time it is skipped or fails: `overlayctl build` shows which".into());
                warnings.push(Warning { code: "OV1136", message, place: None, hint });
            }
        }
        None
    }

    /// Says what would stop working.
    fn damage(
        &self,
        copy: &Copy,
        set: &Set,
        before: Option<&Effect>,
        after: &Effect,
        change: &Change<'_>,
    ) -> Option<String> {
        let before = before?;
        if let (None, Some(failure)) = (&before.failure, &after.failure) {
            return Some(format!("`{}` would not evaluate any more: {}", set.name, failure.message));
        }
        for (target, (was, is)) in set.targets.iter().zip(before.targets.iter().zip(&after.targets)) {
            if let (Ok(()), Err(failure)) = (was, is) {
                return Some(format!(
                    "the target `{}` would not evaluate any more: {}",
                    target.join("."),
                    failure.message
                ));
            }
        }
        for attr in change.attrs {
            let of = |effect: &Effect| {
                effect
                    .packages
                    .iter()
                    .find(|(names, _)| names.as_slice() == attr.names())
                    .map(|(_, answer)| answer.clone())
            };
            let (was, is) = (of(before)?, of(after)?);
            let (Ok(was), is) = (was, is) else { continue };
            match is {
                Err(failure) if was.exists => {
                    return Some(format!("`{attr}` would not evaluate any more: {}", failure.message));
                }
                Ok(is) => {
                    let lost_patch = change.follows.iter().find(|(old, new)| {
                        self.count(copy, old, &was.patches) > 0 && self.count(copy, new, &is.patches) == 0
                    });
                    if let Some((old, _)) = lost_patch {
                        return Some(format!("`{attr}` would lose {} in `{}`", old.display(), set.name));
                    }
                    let lost: Vec<&String> = was.siblings.iter().filter(|name| !is.siblings.contains(name)).collect();
                    if let Some(name) = lost.first() {
                        return Some(format!("the set of `{attr}` would lose `{name}`"));
                    }
                }
                Err(_) => {}
            }
        }
        None
    }
}

fn questions(sets: &[Set], attrs: &[AttrPath]) -> Vec<EffectQuestion> {
    let names: Vec<Vec<String>> = attrs.iter().map(|attr| attr.names().to_vec()).collect();
    sets.iter()
        .map(|set| EffectQuestion {
            root: set.root.clone(),
            plain: set.plain.clone(),
            attrs: names.clone(),
            targets: set.targets.clone(),
            bound: false,
        })
        .collect()
}
