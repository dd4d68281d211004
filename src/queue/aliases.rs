//! A package by another name than the one that the overlay binds: `python3` where `python37` is patched.

use crate::config::Workspace;
use crate::nix::Root;
use crate::overlay::{self, AttrPath, OverlayFile, PatchedPackage};
use crate::queue::Error;
use crate::queue::discover::Overlays;
use crate::targets::engine;
use crate::{queue, targets};

/// Returns every package that the files patch.
pub(crate) fn patched(files: &[&OverlayFile]) -> Vec<PatchedPackage> {
    files.iter().flat_map(|file| file.patched_packages()).collect()
}

/// Returns the name under which the overlays patch the package that is called `attr`: its own, that of the package whose
/// queue its patches are in, else the one that is the same derivation in the package set as it is.
///
/// `None` where there is none, or Nix cannot be asked.
pub(crate) fn bound_as(
    workspace: &Workspace,
    nixpkgs: Option<&str>,
    attr: &AttrPath,
    files: &[&OverlayFile],
) -> Result<Option<AttrPath>, Error> {
    let bound: Vec<(&OverlayFile, PatchedPackage)> = files
        .iter()
        .copied()
        .flat_map(|file| file.patched_packages().into_iter().map(move |package| (file, package)))
        .collect();
    let others = |wanted: &dyn Fn(&OverlayFile, &PatchedPackage) -> bool| {
        let mut names: Vec<AttrPath> = Vec::new();
        for (file, package) in &bound {
            if package.attr != *attr && !names.contains(&package.attr) && wanted(file, package) {
                names.push(package.attr.clone());
            }
        }
        names
    };
    let mine: Vec<_> = bound.iter().filter(|(_, package)| package.attr == *attr).collect();
    if !mine.is_empty() {
        // Bound beside another name: the patches are in the queue of that one.
        let in_queue_of = |name: &AttrPath| {
            let dir = queue::dir(workspace, name);
            mine.iter().any(|(file, package)| super::in_queue(file, package, &dir).next().is_some())
        };
        if in_queue_of(attr) {
            return Ok(Some(attr.clone()));
        }
        let owner = others(&|_, package| in_queue_of(&package.attr)).into_iter().next();
        return Ok(Some(owner.unwrap_or_else(|| attr.clone())));
    }
    // What is written for every Python goes by the name of the usual one.
    let python = |attr: &AttrPath| overlay::python_interpreter(attr.first()).is_some();
    let for_all = |file: &OverlayFile| {
        file.functions().iter().any(|function| function.keys.iter().any(|key| key == "pythonPackagesExtensions"))
    };
    let written = |file: &OverlayFile, package: &PatchedPackage| {
        let names = (package.attr.names(), attr.names());
        python(attr)
            && package.attr.first() == "python3Packages"
            && names.0.get(1..) == names.1.get(1..)
            && for_all(file)
    };
    if let Some(written) = others(&written).into_iter().next() {
        return Ok(Some(written));
    }
    let near = others(&|_, _| true);
    if near.is_empty() {
        return Ok(None);
    }
    let same = same(workspace, nixpkgs, attr, &near)?.unwrap_or_default();
    Ok(near.into_iter().zip(same).find(|(_, same)| *same).map(|(name, _)| name))
}

/// Says of other packages whether each is the same derivation in the package set as it is; `None` where Nix cannot be asked.
pub(crate) fn same(
    workspace: &Workspace,
    nixpkgs: Option<&str>,
    attr: &AttrPath,
    others: &[AttrPath],
) -> Result<Option<Vec<bool>>, Error> {
    let set = match targets::plain_set(workspace, nixpkgs) {
        Ok(set) => set,
        Err(error) if nixpkgs.is_some() => return Err(error.into()),
        Err(_) => return Ok(None),
    };
    let Ok(nix) = engine::nix(workspace) else { return Ok(None) };
    let paths: Vec<Vec<String>> = others.iter().map(|name| name.names().to_vec()).collect();
    match nix.same_packages(&Root::Packages(Box::new(set)), attr.names(), &paths) {
        Ok(same) => Ok(Some(same)),
        Err(error) if nixpkgs.is_some() => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Returns the name under which the overlays of a workspace patch the package that is called `attr`, as [`bound_as`].
pub(crate) fn owner(
    workspace: &Workspace,
    nixpkgs: Option<&str>,
    attr: &AttrPath,
    offline: bool,
) -> Result<Option<AttrPath>, Error> {
    if offline {
        return Ok(None);
    }
    let overlays = Overlays::read(workspace, None)?;
    let files: Vec<&OverlayFile> = overlays.files().map(|found| &found.file).collect();
    bound_as(workspace, nixpkgs, attr, &files)
}
