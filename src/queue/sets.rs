//! The package sets that a workspace is about: those that overlayctl composes, those of its flake and its NixOS configuration,
//! and the targets of the user's own code whose set cannot be reached.
//!
//! What there is in a flake or a file is asked of Nix. Must not judge what is in effect.

use std::path::{Path, PathBuf};

use super::Error;
use crate::config::{NixpkgsSource, Workspace, may_have_search_path};
use crate::nix::{Fragment, Nix, NixpkgsRef, PackageSet, Root, attr_path_text, extended, nixos};
use crate::targets::own::{self, Place};
use crate::targets::{self, Group, Target, absolute};

/// The most systems, homes and targets of one kind of output that are looked at.
const MOST: usize = 16;

/// What a set stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// overlayctl composes it of a nixpkgs and the overlays.
    Composed,
    /// The user's own code composes it.
    Own,
    /// An overlay that is only given away, on the plain package set.
    Exported,
}

#[derive(Debug, Clone)]
pub struct Set {
    /// What it is called: `packages`, `boards.pi`, `nixosConfigurations.pi`, `overlays.default`.
    pub name: String,
    pub kind: Kind,
    pub root: Root,
    /// The set without overlays, where overlayctl composes it.
    pub plain: Option<Root>,
    /// What is built of it, by attribute path.
    pub targets: Vec<Vec<String>>,
}

/// A target of the user's own code, the package set behind which cannot be reached.
#[derive(Debug, Clone)]
pub struct OwnTarget {
    /// What it is called: `packages.x86_64-linux.hello`, `./default.nix#hello`.
    pub name: String,
    pub root: Root,
    pub path: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Sets {
    pub sets: Vec<Set>,
    pub targets: Vec<OwnTarget>,
    /// Why the flake could not be asked, when it could not.
    pub failure: Option<String>,
}

/// Returns the package sets that overlayctl composes; none where there is no nixpkgs to compose them of.
///
/// # Errors
/// Those of the workspace; of a nixpkgs only when one is named.
pub fn composed(workspace: &Workspace, nixpkgs: Option<&str>) -> Result<Vec<Set>, Error> {
    let named = nixpkgs.is_some() || workspace.settings().nixpkgs.is_some();
    if !named
        && workspace.nixpkgs(None).is_ok_and(|source| source == NixpkgsSource::SearchPath)
        && !may_have_search_path()
    {
        return Ok(Vec::new());
    }
    let groups = match targets::all(workspace, nixpkgs) {
        Ok(groups) => groups,
        Err(_) if nixpkgs.is_none() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let root = |set: &PackageSet| Root::Packages(Box::new(set.clone()));
    let set = |(board, group): (Option<String>, Group)| Set {
        name: board.as_ref().map_or("packages".to_string(), |board| format!("boards.{board}")),
        kind: Kind::Composed,
        root: root(&group.patched),
        plain: Some(root(&group.plain)),
        targets: group.targets.iter().map(|target| target.attr.names().to_vec()).collect(),
    };
    Ok(groups.into_iter().map(set).collect())
}

/// Finds the package sets of a workspace.
pub fn of(workspace: &Workspace, nix: &Nix, nixpkgs: Option<&str>) -> Result<Sets, Error> {
    let mut all = Sets { sets: composed(workspace, nixpkgs)?, ..Sets::default() };
    let native = all.sets.first().and_then(|set| set.plain.clone());
    if workspace.path("flake.nix").is_file() {
        flake(workspace, nix, native.as_ref(), &mut all)?;
    }
    let configuration = workspace.path("configuration.nix");
    if let (true, Some(Root::Packages(set))) = (configuration.is_file(), &native) {
        let text = nixos(&set.nixpkgs.to_nix()?, &absolute(&configuration)?)?;
        all.own("configuration.nix".into(), &text)?;
    }
    let default = workspace.path("default.nix");
    if default.is_file() {
        file(nix, &default, &mut all)?;
    }
    for (place, target) in named(workspace)? {
        let root = place.root(workspace)?;
        let name = target.name.clone();
        if !all.targets.iter().any(|known| known.name == name) {
            all.targets.push(OwnTarget { name, root, path: target.attr.names().to_vec() });
        }
    }
    Ok(all)
}

impl Sets {
    fn own(&mut self, name: String, text: &str) -> Result<(), Error> {
        let root = Root::Expression(Fragment::parse(text)?);
        self.sets.push(Set { name, kind: Kind::Own, root, plain: None, targets: Vec::new() });
        Ok(())
    }
}

/// Returns the package sets below those that are composed in which their targets are named.
pub(super) fn below(sets: &[Set]) -> Vec<Set> {
    // Each behind the name of the one that it is in: two boards can name the same.
    let mut inner: Vec<(&str, Set)> = Vec::new();
    for set in sets.iter().filter(|set| set.kind == Kind::Composed) {
        for target in &set.targets {
            let mut depth = 0;
            while let Some(name) = target.get(depth).filter(|name| name.starts_with("pkgs")) {
                depth += if name == "pkgsCross" { 2 } else { 1 };
            }
            let Some((at, below)) = target.split_at_checked(depth).filter(|(at, _)| !at.is_empty()) else { continue };
            let name = attr_path_text(at);
            if let Some((_, known)) = inner.iter_mut().find(|(outer, known)| known.name == name && *outer == set.name) {
                known.targets.push(below.to_vec());
                continue;
            }
            let text = set.root.to_nix().ok().map(|root| format!("({root}).{name}"));
            let Some(root) = text.and_then(|text| Fragment::parse(text).ok()).map(Root::Expression) else { continue };
            inner.push((&set.name, Set { name, root, plain: None, targets: vec![below.to_vec()], ..set.clone() }));
        }
    }
    inner.into_iter().map(|(_, set)| set).collect()
}

/// Returns the targets of the workspace's own code that `overlayctl.toml` names.
fn named(workspace: &Workspace) -> Result<Vec<(Place, Target)>, Error> {
    let mut selection = targets::Selection { boards: Vec::new(), ..targets::Selection::default() };
    let mut found = Vec::new();
    for (name, board) in &workspace.settings().boards {
        if !board.systems.is_empty() {
            selection.boards = vec![name.clone()];
            found.extend(own::split(workspace, &selection)?.0);
        }
    }
    selection.boards.clear();
    if !workspace.settings().targets.is_empty() {
        found.extend(own::split(workspace, &selection)?.0);
    }
    Ok(found.into_iter().map(|own| (own.place, own.target)).collect())
}

fn flake(workspace: &Workspace, nix: &Nix, native: Option<&Root>, all: &mut Sets) -> Result<(), Error> {
    let root = Place::Flake(PathBuf::from(".")).root(workspace)?;
    let text = root.to_nix()?;
    let system = targets::system(workspace);
    let path = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let asked = [
        path(&["nixosConfigurations"]),
        path(&["darwinConfigurations"]),
        path(&["homeConfigurations"]),
        path(&["legacyPackages", &system]),
        path(&["packages", &system]),
        path(&["overlays"]),
        Vec::new(),
    ];
    let names = match nix.names_at(&root, &asked) {
        Ok(names) => names,
        Err(error) => {
            all.failure = Some(error.to_string());
            // A package set that is an input of the flake cannot be had either.
            let of_flake = |set: &Set| matches!(&set.root, Root::Packages(set) if matches!(set.nixpkgs, NixpkgsRef::Expression(_)));
            all.sets.retain(|set| !of_flake(set));
            return Ok(());
        }
    };
    for (at, names) in asked.iter().zip(&names) {
        match at.first().map(String::as_str) {
            Some("legacyPackages") if ["stdenv", "overlays"].iter().all(|name| names.iter().any(|n| n == name)) => {
                all.own(format!("legacyPackages.{system}"), &format!("({text}).{}", attr_path_text(at)))?;
            }
            Some("legacyPackages") => {}
            Some("packages") => {
                for name in names.iter().take(MOST) {
                    let path: Vec<String> = at.iter().chain([name]).cloned().collect();
                    all.targets.push(OwnTarget { name: attr_path_text(&path), root: root.clone(), path });
                }
            }
            Some("overlays") => {
                for name in names.iter().take(MOST) {
                    let at = attr_path_text(&[at.concat(), name.clone()]);
                    exported(native, &text, &at, all)?;
                }
            }
            Some(_) => {
                for name in names.iter().take(MOST) {
                    let path: Vec<String> = at.iter().chain([name]).cloned().collect();
                    let at = attr_path_text(&path);
                    all.own(at.clone(), &format!("({text}).{at}.pkgs"))?;
                }
            }
            None if names.iter().any(|name| name == "overlay") => exported(native, &text, "overlay", all)?,
            None => {}
        }
    }
    Ok(())
}

/// Adds an overlay that a flake gives away, on the plain package set.
fn exported(native: Option<&Root>, flake: &str, at: &str, all: &mut Sets) -> Result<(), Error> {
    let Some(native) = native else { return Ok(()) };
    let root = Root::Expression(Fragment::parse(extended(native, &format!("({flake}).{at}"))?)?);
    let kind = Kind::Exported;
    all.sets.push(Set { name: at.to_string(), kind, root, plain: None, targets: Vec::new() });
    Ok(())
}

/// Adds what the file `default.nix` of a workspace is: a package set, or targets.
fn file(nix: &Nix, path: &Path, all: &mut Sets) -> Result<(), Error> {
    let root = Root::File { path: absolute(path)?, arguments: Vec::new() };
    // A file that wants arguments, or is a module, is none of these.
    let Ok(names) = nix.names_at(&root, &[Vec::new(), vec!["pkgs".to_string()]]) else { return Ok(()) };
    let is_set = |names: &[String]| ["stdenv", "overlays"].iter().all(|name| names.iter().any(|n| n == name));
    match names.as_slice() {
        [own, _] if is_set(own) => all.own("./default.nix".into(), &root.to_nix()?),
        [own, pkgs] => {
            if is_set(pkgs) {
                all.own("./default.nix#pkgs".into(), &format!("({}).pkgs", root.to_nix()?))?;
            }
            for name in own.iter().filter(|name| *name != "pkgs").take(MOST) {
                let path = vec![name.clone()];
                all.targets.push(OwnTarget { name: format!("./default.nix#{name}"), root: root.clone(), path });
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
