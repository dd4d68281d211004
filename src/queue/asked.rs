//! What Nix says of the patches of a workspace: in which package sets and targets each is in effect, and why not.
//!
//! Must not look for overlays, and must not change anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Error;
use super::discover::Standing;
use super::model::{InEffect, Model, Patch, PatchedPackage, Reach, Stages, not_asked, shown};
use super::series::sort_some;
use super::sets::{self, Kind, Set};
use super::witness::{self, Witnessed};
use crate::base::diagnostic::Warning;
use crate::config::Workspace;
use crate::nix::{Effect, EffectQuestion, Has, Nix};
use crate::overlay::AttrPath;
use crate::targets::engine;

impl Model {
    /// Asks Nix in which sets and targets each patch is in effect.
    pub(super) fn ask(&mut self, workspace: &Workspace, nixpkgs: Option<&str>) -> Result<bool, Error> {
        // Nothing that could be in effect: no evaluator is started to hear that.
        if !self.overlays && self.unused.is_empty() {
            return Ok(true);
        }
        let nix = engine::nix_for_questions(workspace)?;
        let sets = sets::of(workspace, &nix, nixpkgs)?;
        if sets.sets.is_empty() && sets.targets.is_empty() {
            let why = sets.failure.unwrap_or_else(|| match workspace.nixpkgs(nixpkgs) {
                Err(error) => error.to_string(),
                Ok(_) => "the workspace names no nixpkgs, and there is none in NIX_PATH".into(),
            });
            self.warnings.push(not_asked(&why, None));
            return Ok(false);
        }
        if let Some(why) = &sets.failure {
            self.warnings.push(Warning {
                code: "OV1006",
                message: format!("the flake does not evaluate, so it is not known what it applies: {why}"),
                place: None,
                hint: None,
            });
        }
        self.own_code = !sets.targets.is_empty() || sets.sets.iter().any(|set| set.kind == Kind::Own);
        // A queue that no text names may be read by something computed.
        let queues = self.unused.iter().filter_map(|path| queue_of(path));
        let mut attrs: Vec<AttrPath> = self.packages.iter().map(|package| package.attr.clone()).chain(queues).collect();
        attrs.sort();
        attrs.dedup();
        let attrs: Vec<Vec<String>> = attrs.iter().map(|attr| attr.names().to_vec()).collect();
        let questions: Vec<EffectQuestion> = sets.sets.iter().map(|set| question(set, &attrs)).collect();
        let effects = nix.effects(&questions)?;
        let root = workspace.root().canonicalize().unwrap_or_default();
        for package in &mut self.packages {
            let names = package.attr.names().to_vec();
            let has: Vec<(&Set, Option<&Has>, Option<String>)> = sets
                .sets
                .iter()
                .zip(&effects)
                .map(|(set, effect)| (set, has(effect, &names), failure(effect, &names)))
                .collect();
            let in_effect: Vec<bool> = package
                .patches
                .iter()
                .map(|patch| has.iter().any(|(_, has, _)| has.is_some_and(|has| names_it(has, patch, &root))))
                .collect();
            for (i, patch) in package.patches.to_vec().iter().enumerate() {
                let mut reach = reach(&has, patch, &root);
                if reach.in_effect == InEffect::No {
                    reach.why = Some(why(&package.attr, package, i, &in_effect, &has));
                }
                package.patches.get_mut(i).into_iter().for_each(|patch| patch.reach = reach.clone());
            }
        }
        self.add_unplaced(workspace, &nix, &sets.sets, &effects, &root)?;
        let unused: Vec<PathBuf> = self.unused.iter().filter_map(|path| super::unlinked(path).ok()).collect();
        let files = self.patches().chain(unused.iter().map(PathBuf::as_path));
        let witnessed = witness::in_targets(&nix, &sets.targets, files)?;
        self.add_witnessed(workspace, &witnessed);
        for package in &mut self.packages {
            in_order(package, &sets.sets, &effects, &root);
        }
        Ok(true)
    }

    fn patches(&self) -> impl Iterator<Item = &Path> {
        self.packages.iter().flat_map(|package| &package.patches).filter_map(|patch| patch.real.as_deref())
    }

    /// Adds the patches that Nix has and no text was found to name: they come from something computed. What the package has without
    /// the overlays too is the package set's own.
    fn add_unplaced(
        &mut self,
        workspace: &Workspace,
        nix: &Nix,
        sets: &[Set],
        effects: &[Effect],
        root: &Path,
    ) -> Result<(), Error> {
        let mut found: Vec<(usize, AttrPath, &str, PathBuf)> = Vec::new();
        for (at, effect) in effects.iter().enumerate() {
            for (names, answer) in &effect.packages {
                let (Ok(has), Some(attr)) = (answer, AttrPath::from_names(names.iter().cloned())) else { continue };
                for named in has.patches.iter().chain(has.build.iter().flatten()) {
                    let Some(real) = own_file(named, root) else { continue };
                    let known = self
                        .find(&attr)
                        .is_some_and(|package| package.patches.iter().any(|patch| patch.real.as_ref() == Some(&real)));
                    if !known && !found.iter().any(|(i, a, _, file)| *i == at && *a == attr && *file == real) {
                        found.push((at, attr.clone(), named, real));
                    }
                }
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let plain_of = |set: &Set| set.plain.clone().or_else(|| sets.iter().find_map(|set| set.plain.clone()));
        let attrs: Vec<Vec<String>> = found.iter().map(|(_, attr, _, _)| attr.names().to_vec()).collect();
        let mut plain: Vec<Option<Effect>> = vec![None; sets.len()];
        for (at, set) in sets.iter().enumerate().filter(|(at, _)| found.iter().any(|(i, ..)| i == at)) {
            let Some(root) = plain_of(set) else { continue };
            let (attrs, targets) = (attrs.clone(), Vec::new());
            let question = EffectQuestion { root, plain: None, attrs, targets, bound: false };
            if let (Some(slot), Some(effect)) = (plain.get_mut(at), nix.effects(&[question])?.pop()) {
                *slot = Some(effect);
            }
        }
        for (at, attr, named, real) in found {
            let (Some(set), own) = (sets.get(at), plain.get(at).and_then(Option::as_ref)) else { continue };
            let is_own = own
                .and_then(|effect| has(effect, attr.names()))
                .is_some_and(|has| has.patches.iter().any(|named| is_file(named, &real, root)));
            if is_own {
                continue;
            }
            let package = self.package(&attr);
            let (in_effect, found_in) = match set.kind {
                Kind::Exported => (InEffect::Exported, Vec::new()),
                Kind::Composed | Kind::Own => (InEffect::Yes, vec![set.name.clone()]),
            };
            let known = package.patches.iter().position(|patch| patch.real.as_ref() == Some(&real));
            let known = known.or_else(|| name_of(package, &real));
            match known.and_then(|at| package.patches.get_mut(at)) {
                // A text that names it by a variable.
                Some(patch) if patch.real.is_none() => {
                    let found = unplaced(workspace, named, real.clone(), in_effect, found_in);
                    (patch.path, patch.real, patch.reach) = (found.path, found.real, found.reach);
                }
                Some(patch) => patch.reach.sets.extend(found_in),
                None => package.patches.push(unplaced(workspace, named, real.clone(), in_effect, found_in)),
            }
            self.unused.retain(|unused| !super::unlinked(unused).is_ok_and(|unused| unused == real));
        }
        self.packages.retain(|package| !package.patches.is_empty());
        Ok(())
    }

    /// Adds the targets of the user's own code that have a patch; and the files of queues that no text names and derivations of such
    /// targets do, as patches of the packages in whose queues they are.
    fn add_witnessed(&mut self, workspace: &Workspace, witnessed: &Witnessed) {
        for patch in self.packages.iter_mut().flat_map(|package| &mut package.patches) {
            let targets = patch.real.as_ref().map(|real| witnessed.of(real)).unwrap_or_default();
            patch.reach.sets.extend(targets);
            if !patch.reach.sets.is_empty() {
                patch.reach.in_effect = InEffect::Yes;
                patch.reach.why = None;
            }
            // What is in effect is meant to be, wherever it lies.
            patch.ours |= patch.reach.in_effect == InEffect::Yes;
        }
        for path in std::mem::take(&mut self.unused) {
            let attr = queue_of(&path);
            let real = super::unlinked(&path).ok();
            let sets = real.as_ref().map(|real| witnessed.of(real)).unwrap_or_default();
            match (attr, real) {
                (Some(attr), Some(real)) if !sets.is_empty() => {
                    let patch = unplaced(workspace, &path.display().to_string(), real, InEffect::Yes, sets);
                    self.package(&attr).patches.push(patch);
                }
                _ => self.unused.push(path),
            }
        }
    }
}

/// Returns the package in whose queue a file is.
fn queue_of(path: &Path) -> Option<AttrPath> {
    super::attr_of_dir(path.parent()?.file_name()?.to_str()?)
}

fn has<'e>(effect: &'e Effect, names: &[String]) -> Option<&'e Has> {
    let (_, answer) = effect.packages.iter().find(|(attr, _)| attr == names)?;
    answer.as_ref().ok()
}

fn failure(effect: &Effect, names: &[String]) -> Option<String> {
    let of_set = effect.failure.as_ref().map(|failure| failure.message.clone());
    let (_, answer) = match effect.packages.iter().find(|(attr, _)| attr == names) {
        Some(found) => found,
        None => return of_set,
    };
    answer.as_ref().err().map(|failure| failure.message.clone()).or(of_set)
}

/// Returns which patch of a package is written in a form that does not tell the file, and ends in its name.
fn name_of(package: &PatchedPackage, real: &Path) -> Option<usize> {
    let name = format!("/{}", real.file_name()?.to_str()?);
    let ends = |element: &str| element.trim_end_matches(['"', ')', ' ']).ends_with(&name);
    package.patches.iter().position(|patch| patch.real.is_none() && patch.url.is_none() && ends(&patch.element))
}

/// Brings the patches of a package into the order in which they are applied in the set that has most of them.
fn in_order(package: &mut PatchedPackage, sets: &[Set], effects: &[Effect], root: &Path) {
    let names = package.attr.names();
    let lists = sets.iter().zip(effects).filter(|(set, _)| set.kind != Kind::Exported);
    let lists = lists.filter_map(|(_, effect)| has(effect, names)).map(|has| {
        let place = |patch: &Patch| has.patches.iter().position(|named| is(named, patch, root));
        package.patches.iter().map(place).collect::<Vec<_>>()
    });
    let most = lists.max_by_key(|places| places.iter().flatten().count()).unwrap_or_default();
    let mut numbered: Vec<(Option<usize>, Patch)> = package
        .patches
        .iter()
        .enumerate()
        .map(|(at, patch)| (most.get(at).copied().flatten(), patch.clone()))
        .collect();
    sort_some(&mut numbered, |(place, _)| *place);
    package.patches = numbered.into_iter().map(|(_, patch)| patch).collect();
}

/// Says where a patch is in effect, of the package sets that were asked.
fn reach(has: &[(&Set, Option<&Has>, Option<String>)], patch: &Patch, root: &Path) -> Reach {
    let mut reach = Reach { in_effect: InEffect::No, sets: Vec::new(), stages: None, why: None };
    let mut stages = BTreeSet::new();
    let mut exported = Vec::new();
    for (set, has, _) in has {
        let Some(has) = has else { continue };
        let names = |list: &[String]| list.iter().any(|named| is(named, patch, root));
        let (host, build) = (names(&has.patches), has.build.as_deref().map(names));
        if !host && build != Some(true) {
            continue;
        }
        match set.kind {
            Kind::Exported => exported.push(set.name.clone()),
            Kind::Composed | Kind::Own => reach.sets.push(set.name.clone()),
        }
        stages.extend(build.map(|build| (host, build)));
    }
    reach.stages = match (stages.len(), stages.first()) {
        (0, _) => None,
        (1, Some((true, false))) => Some(Stages::Target),
        (1, Some((false, true))) => Some(Stages::Build),
        _ => Some(Stages::Every),
    };
    match (reach.sets.is_empty(), exported.is_empty()) {
        (false, _) => reach.in_effect = InEffect::Yes,
        // Whoever takes it has it; no set of this workspace does.
        (true, false) => reach.in_effect = InEffect::Exported,
        (true, true) => {
            // A set that does not evaluate could have it.
            if let Some(why) = has.iter().find_map(|(set, has, why)| has.is_none().then(|| (set, why.clone()))) {
                let (set, why) = why;
                reach.in_effect = InEffect::Unknown;
                reach.why = Some(format!("`{}` does not evaluate: {}", set.name, why.unwrap_or_default()));
            } else if patch.real.is_none() && fetched_elsewhere(has, patch) {
                reach.in_effect = InEffect::Unknown;
                reach.why = Some("Nix makes or fetches it, under a name that does not tell which it is".into());
            }
        }
    }
    reach
}

/// Says whether a package has patches out of the store that may be one that is fetched.
fn fetched_elsewhere(has: &[(&Set, Option<&Has>, Option<String>)], patch: &Patch) -> bool {
    let in_store = |has: &Has| has.patches.iter().any(|named| named.starts_with("/nix/store/"));
    (patch.url.is_some() || patch.path.is_none()) && has.iter().any(|(_, has, _)| has.is_some_and(in_store))
}

/// Says why a patch is in effect nowhere.
fn why(
    attr: &AttrPath,
    package: &PatchedPackage,
    at: usize,
    in_effect: &[bool],
    has: &[(&Set, Option<&Has>, Option<String>)],
) -> String {
    let Some(patch) = package.patches.get(at) else { return String::new() };
    let overlay = patch.function.as_ref().map(|place| place.path.display().to_string()).unwrap_or_default();
    if has.iter().all(|(_, has, _)| has.is_some_and(|has| !has.exists)) {
        return format!("no package set of the workspace has a package `{attr}`");
    }
    match patch.standing {
        Some(Standing::Beside) => return format!("nothing applies the overlay {overlay}"),
        Some(Standing::Reached) => return format!("no package set of the workspace applies the overlay {overlay}"),
        _ => {}
    }
    if matches!(patch.standing, Some(Standing::TargetStage(_)))
        && has.iter().all(|(set, has, _)| set.kind != Kind::Composed || has.is_none_or(|has| has.build.is_none()))
    {
        return "an overlay of the target stage holds in what is cross compiled, and every set here is native".into();
    }
    if patch.conditional {
        return "the condition under which it stands does not hold".into();
    }
    let other = package.patches.iter().zip(in_effect).find(|(other, yes)| **yes && other.function != patch.function);
    if let Some(place) = other.and_then(|(other, _)| other.function.as_ref()) {
        return format!("`{attr}` is bound again at {place}, and that binding counts");
    }
    if patch.path.is_none() && patch.url.is_none() {
        return "the file is not there".into();
    }
    format!("something that is applied later binds `{attr}` anew")
}

fn names_it(has: &Has, patch: &Patch, root: &Path) -> bool {
    has.patches.iter().chain(has.build.iter().flatten()).any(|named| is(named, patch, root))
}

/// Says whether what Nix names is a patch.
fn is(named: &str, patch: &Patch, root: &Path) -> bool {
    match (&patch.real, &patch.url) {
        (Some(real), _) => is_file(named, real, root),
        (None, Some(url)) => {
            let last = url.split(['?', '#']).next().and_then(|path| path.trim_end_matches('/').rsplit('/').next());
            last.is_some_and(|last| in_store(named).is_some_and(|name| name == last))
        }
        (None, None) => false,
    }
}

/// Returns what follows the hash of a store path.
fn in_store(named: &str) -> Option<&str> {
    named.strip_prefix("/nix/store/")?.get(32..)?.strip_prefix('-')
}

/// Says whether a path as Nix names it is a file of the disk: itself, a copy of it in the store, or the file in the copy of the
/// flake that it is in.
pub(super) fn is_file(named: &str, real: &Path, root: &Path) -> bool {
    let same_bytes = || match (std::fs::read(named), std::fs::read(real)) {
        (Ok(stored), Ok(own)) => stored == own,
        // What is not copied yet has its name only.
        _ => true,
    };
    match in_store(named) {
        Some(rest) => match rest.split_once('/') {
            Some((_, below)) => {
                real.strip_prefix(root).is_ok_and(|own| own.ends_with(below) || Path::new(below).ends_with(own))
                    && same_bytes()
            }
            None => real.file_name().is_some_and(|name| name == rest) && same_bytes(),
        },
        None => super::unlinked(Path::new(named)).is_ok_and(|named| named == real),
    }
}

/// Returns the file of the workspace that Nix names, if it is one.
fn own_file(named: &str, root: &Path) -> Option<PathBuf> {
    match in_store(named).map(|rest| rest.split_once('/')) {
        // A file on its own in the store may come from anywhere.
        Some(None) => None,
        Some(Some((_, below))) => {
            let ancestors = root.ancestors().take(6).map(|dir| dir.join(below));
            ancestors
                .filter_map(|file| super::unlinked(&file).ok())
                .find(|file| file.starts_with(root) && file.is_file() && is_file(named, file, root))
        }
        None => super::unlinked(Path::new(named)).ok().filter(|file| file.starts_with(root) && file.is_file()),
    }
}

fn unplaced(workspace: &Workspace, named: &str, real: PathBuf, in_effect: InEffect, sets: Vec<String>) -> Patch {
    Patch {
        element: named.to_string(),
        path: Some(shown(workspace, real.clone())),
        real: Some(real),
        url: None,
        conditional: false,
        place: None,
        function: None,
        standing: None,
        in_flake: true,
        ours: true,
        reach: Reach { in_effect, sets, stages: None, why: None },
    }
}

/// Makes the question about some packages of a set.
pub(super) fn question(set: &Set, attrs: &[Vec<String>]) -> EffectQuestion {
    EffectQuestion {
        root: set.root.clone(),
        plain: set.plain.clone(),
        attrs: attrs.to_vec(),
        targets: Vec::new(),
        bound: true,
    }
}
