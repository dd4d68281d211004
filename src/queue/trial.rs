//! A change is tried before it is written: the workspace as it would be is evaluated beside the workspace as it is.
//!
//! Asked is what the user wants to be true: the package has each patch exactly once, in every set that the overlay reaches; the
//! set that it stands in keeps what it had; no target stops evaluating. Must not write to the workspace.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::Error;
use super::asked::is_file;
use super::copy::Copy;
use super::sets::{self, Kind, OwnTarget, Set};
use super::witness;
use crate::base::diagnostic::Warning;
use crate::config::Workspace;
use crate::nix::{Effect, EffectQuestion, Has, Nix};
use crate::overlay::AttrPath;
use crate::targets::engine;

/// A change that is to be tried.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change<'a> {
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
    /// Whether these stand in another order than now, which is the one that is wanted.
    pub reorders: bool,
    /// Whether the wanted patches are meant to come behind those that are there.
    pub appends: bool,
}

/// The workspace as it is, asked once and held against each trial.
#[derive(Debug)]
pub struct Trial<'w> {
    workspace: &'w Workspace,
    nixpkgs: Option<&'w str>,
    nix: Nix,
    sets: Vec<Set>,
    /// The targets of the workspace's own code.
    own: Vec<OwnTarget>,
    /// What the sets have now, of the packages in question; asked beside the first trial.
    before: OnceLock<Result<Vec<Effect>, String>>,
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
    pub fn begin(
        workspace: &'w Workspace,
        nixpkgs: Option<&'w str>,
        attrs: &[AttrPath],
    ) -> Result<Result<Trial<'w>, String>, Error> {
        let nix = match engine::nix_for_questions(workspace) {
            Ok(nix) => nix,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let (sets, own, failure) = match sets::of(workspace, &nix, nixpkgs) {
            Ok(sets) => (sets.sets, sets.targets, sets.failure),
            Err(error) if nixpkgs.is_some() => return Err(error),
            Err(error) => return Ok(Err(error.to_string())),
        };
        if sets.is_empty() {
            let none = || "the workspace names no nixpkgs, and there is none in NIX_PATH".to_string();
            return Ok(Err(failure.unwrap_or_else(none)));
        }
        Ok(Ok(Trial { workspace, nixpkgs, nix, sets, own, before: OnceLock::new(), attrs: attrs.to_vec() }))
    }

    pub fn of(&self, change: &Change<'_>, warnings: &mut Vec<Warning>) -> Result<Outcome, Error> {
        let copy = match Copy::with(self.workspace, change.written, change.removed) {
            Ok(copy) => copy,
            Err(error) => return Ok(Outcome::Unknown(error.to_string())),
        };
        let there = self.nix.in_copy(copy.dir());
        let sets::Sets { sets, targets, .. } = sets::of(&copy.workspace, &there, self.nixpkgs)?;
        if sets.is_empty() && targets.is_empty() {
            return Ok(Outcome::Unknown("a copy of the workspace names no package set".into()));
        }
        let ask_before = || {
            let ask = || self.nix.effects(&questions(&self.sets, &self.attrs)).map_err(|error| error.to_string());
            self.before.get_or_init(ask)
        };
        let (before, after) = rayon::join(ask_before, || there.effects(&questions(&sets, &self.attrs)));
        let (all_before, after) = match before {
            Ok(before) => (before, after?),
            Err(why) => return Ok(Outcome::Unknown(why.clone())),
        };
        let is_there = |(path, bytes): &(PathBuf, Vec<u8>)| std::fs::read(path).is_ok_and(|old| old == *bytes);
        let nothing = change.written.iter().all(is_there) && change.removed.is_empty();
        let mut holds = Vec::new();
        let mut exported = Vec::new();
        let mut no_effect = Vec::new();
        let mut unknown = None;
        for (set, after) in sets.iter().zip(&after) {
            let before = self.sets.iter().position(|known| known.name == set.name).and_then(|at| all_before.get(at));
            if let Some(damage) = self.damage(&copy, set, before, after, change) {
                return Ok(Outcome::Damage(damage));
            }
            let mut all = true;
            for attr in change.attrs {
                let answer = after.packages.iter().find(|(names, _)| names.as_slice() == attr.names());
                match answer {
                    Some((_, Ok(has))) => match self.judge(&copy, attr, has, change, warnings) {
                        None if !nothing && self.had_all(&copy, attr, before, has, change) => {
                            all = false;
                            no_effect.push(format!("`{attr}` has it already by another overlay"));
                        }
                        None => {
                            let early = change.appends.then(|| self.too_early(&copy, attr, set, has, change)).flatten();
                            warnings.extend(early.filter(|early| !warnings.contains(early)));
                        }
                        Some(why) => {
                            all = false;
                            no_effect.push(why);
                        }
                    },
                    Some((_, Err(failure))) => {
                        all = false;
                        unknown.get_or_insert_with(|| unanswered(attr, set, &failure.message));
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
        if holds.is_empty() && !change.wanted.is_empty() {
            // A target of the user's own code has it, whatever package set is behind that.
            let files: Vec<PathBuf> = change.wanted.iter().map(|file| self.in_copy(&copy, file)).collect();
            let witnessed = witness::in_targets(&self.nix, &targets, files.iter().map(PathBuf::as_path))?;
            holds.extend(witnessed.of_all(&files));
            // As with a set: what had them before has them by another overlay.
            if !nothing && !holds.is_empty() {
                let files: Vec<PathBuf> = change.wanted.iter().filter_map(|file| super::unlinked(file).ok()).collect();
                let had = witness::in_targets(&self.nix, &self.own, files.iter().map(PathBuf::as_path))?.of_all(&files);
                holds.retain(|name| !had.contains(name));
                if holds.is_empty() {
                    no_effect.insert(0, "what the workspace builds has it already by another overlay".into());
                }
            }
        }
        if holds.is_empty() && !change.wanted.is_empty() {
            // What holds for the target stage only does in the sets that targets are named in (`pkgsCross.NAME.curl`).
            let inner = sets::below(&sets);
            for (set, after) in inner.iter().zip(there.effects(&questions(&inner, &self.attrs))?) {
                let mut all = true;
                for attr in change.attrs {
                    match after.packages.iter().find(|(names, _)| names.as_slice() == attr.names()) {
                        Some((_, Ok(has))) => all &= self.judge(&copy, attr, has, change, warnings).is_none(),
                        // What cannot be asked there is not known to have no effect there.
                        Some((_, Err(failure))) => {
                            all = false;
                            unknown.get_or_insert_with(|| unanswered(attr, set, &failure.message));
                        }
                        None => all = false,
                    }
                }
                if all {
                    holds.push(set.name.clone());
                }
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
        let own = super::unlinked(file).ok();
        let there = self.in_copy(copy, file);
        let is = |named: &&String| {
            [own.as_deref(), Some(there.as_path())].into_iter().flatten().any(|file| is_file(named, file, &root))
        };
        list.iter().filter(is).count()
    }

    /// Returns where a file of the workspace is in the copy.
    fn in_copy(&self, copy: &Copy, file: &Path) -> PathBuf {
        let real = super::unlinked(file).unwrap_or_else(|_| file.to_path_buf());
        let workspace = self.workspace.root().canonicalize().unwrap_or_default();
        let root = copy.workspace.root().canonicalize().unwrap_or_default();
        real.strip_prefix(&workspace).map(|below| root.join(below)).unwrap_or(real)
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

    /// Warns of a patch of the same queue that is applied behind one that was to be the last.
    fn too_early(&self, copy: &Copy, attr: &AttrPath, set: &Set, has: &Has, change: &Change<'_>) -> Option<Warning> {
        let last = change.wanted.last()?;
        let place =
            |file: &Path| has.patches.iter().rposition(|named| self.count(copy, file, std::slice::from_ref(named)) > 0);
        let (dir, at) = (last.parent()?, place(last)?);
        let queued = super::files(&self.in_copy(copy, dir)).ok()?.into_iter().map(|name| dir.join(name));
        let behind = queued.filter(|file| !change.wanted.contains(file)).find(|file| place(file) > Some(at))?;
        let name = |file: &Path| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Some(Warning {
            code: "OV1174",
            message: format!("in `{}`, `{attr}` gets {} before {}", set.name, name(last), name(&behind)),
            place: None,
            hint: Some(format!("the overlay that adds {} is applied later: name it with --overlay", name(&behind))),
        })
    }

    /// Says whether a package has all wanted patches now, as often as afterwards: then the change is not what brings them.
    fn had_all(&self, copy: &Copy, attr: &AttrPath, before: Option<&Effect>, has: &Has, change: &Change<'_>) -> bool {
        let was = before.and_then(|effect| effect.packages.iter().find(|(names, _)| names.as_slice() == attr.names()));
        let Some((_, Ok(was))) = was else { return false };
        let count = |file: &PathBuf, has: &Has| {
            self.count(copy, file, &has.patches) + has.build.as_ref().map_or(0, |list| self.count(copy, file, list))
        };
        !change.wanted.is_empty() && change.wanted.iter().all(|file| count(file, was) >= count(file, has))
    }

    /// Says how the patches that get other files would not be where they are now: one lost, one where it was not before (out of its
    /// condition, or in another set), or in another order than the wanted one.
    fn disordered(&self, copy: &Copy, was: &[String], is: &[String], change: &Change<'_>) -> Option<String> {
        let place = |named: &String, file: &Path| self.count(copy, file, std::slice::from_ref(named)) > 0;
        let before: Vec<usize> =
            was.iter().filter_map(|named| change.follows.iter().position(|(old, _)| place(named, old))).collect();
        let after: Vec<usize> =
            is.iter().filter_map(|named| change.follows.iter().position(|(_, new)| place(named, new))).collect();
        let name = |at: &usize| change.follows.get(*at).map(|(old, _)| old.display().to_string()).unwrap_or_default();
        if let Some(lost) = before.iter().find(|at| !after.contains(at)) {
            return Some(format!("would lose {}", name(lost)));
        }
        if let Some(gained) = after.iter().find(|at| !before.contains(at)) {
            return Some(format!("would get {}, which it does not have now,", name(gained)));
        }
        let once = |list: &[usize]| -> Vec<usize> {
            list.iter().enumerate().filter(|(i, at)| !list[..*i].contains(at)).map(|(_, at)| *at).collect()
        };
        let kept = if change.reorders { once(&after).is_sorted() } else { after == before };
        (!kept).then(|| "would have its patches in another order than the wanted one".into())
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
        for attr in &self.attrs {
            let of = |effect: &Effect| {
                effect
                    .packages
                    .iter()
                    .find(|(names, _)| names.as_slice() == attr.names())
                    .map(|(_, answer)| answer.clone())
            };
            let (Some(Ok(was)), Some(is)) = (of(before), of(after)) else { continue };
            match is {
                Err(failure) if was.exists => {
                    return Some(format!("`{attr}` would not evaluate any more: {}", failure.message));
                }
                Ok(is) => {
                    for (was, is) in [(Some(&was.patches), Some(&is.patches)), (was.build.as_ref(), is.build.as_ref())]
                    {
                        let (Some(was), Some(is)) = (was, is) else { continue };
                        if let Some(what) = self.disordered(copy, was, is, change) {
                            return Some(format!("`{attr}` {what} in `{}`", set.name));
                        }
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

fn unanswered(attr: &AttrPath, set: &Set, why: &str) -> String {
    format!("`{attr}` does not evaluate in `{}`: {why}", set.name)
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
