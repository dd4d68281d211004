//! Targets that are attributes of the workspace itself: a flake output, a NixOS system, an attribute of the user's own
//! `default.nix`. There the user's code wires the overlays in, so "without" is a copy of the workspace without patches.

use std::path::{Path, PathBuf};

use crate::config::Workspace;
use crate::git;
use crate::nix::{self, Root};
use crate::overlay::AttrPath;
use crate::targets::Error;
use crate::targets::{Selection, Target, absolute};

/// The outputs of flakes that are not sets of packages of one system.
const OUTPUTS: [&str; 10] = [
    "packages",
    "legacyPackages",
    "checks",
    "devShells",
    "nixosConfigurations",
    "darwinConfigurations",
    "homeConfigurations",
    "hydraJobs",
    "images",
    "apps",
];

/// Where an attribute of the workspace is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In the outputs of the flake in a directory, relative to the workspace.
    Flake(PathBuf),
    /// In a file, relative to the workspace.
    File(PathBuf),
}

/// An attribute of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnTarget {
    pub place: Place,
    pub target: Target,
}

impl Place {
    /// Returns what the attribute is an attribute of, in the workspace or a copy of it.
    pub(crate) fn root(&self, workspace: &Workspace) -> Result<Root, Error> {
        Ok(match self {
            Place::Flake(dir) => {
                let dir = absolute(&workspace.path(dir))?;
                let reference = flake_reference(&dir)?;
                nix::flake(&reference, &reference, &dir)?
            }
            Place::File(file) => Root::File { path: absolute(&workspace.path(file))?, arguments: Vec::new() },
        })
    }
}

/// Returns the reference of the flake in a directory. As `nix build .#x` does: from a repository a flake gets what git knows, from
/// elsewhere all there is.
pub(super) fn flake_reference(dir: &Path) -> Result<String, Error> {
    Ok(match git::working_directory(dir)? {
        Some((root, below)) if below.as_os_str().is_empty() => format!("git+file://{}", root.display()),
        Some((root, below)) => format!("git+file://{}?dir={}", root.display(), below.display()),
        None => format!("path:{}", dir.display()),
    })
}

/// Takes the targets of the workspace itself out of a selection: `.#OUTPUT`, `./FILE.nix#ATTRPATH`,
/// `nixosConfigurations.X...`, and the `systems` of boards. What is left is of package sets; `None` when nothing is.
///
/// # Errors
/// [`Error::Overlay`] for an attribute path that is none, [`Error::Usage`] for a file that is not there.
pub(crate) fn split(
    workspace: &Workspace,
    selection: &Selection,
) -> Result<(Vec<OwnTarget>, Option<Selection>), Error> {
    let mut own = Vec::new();
    let mut rest = selection.clone();
    let settings = workspace.settings();
    if selection.targets.is_empty() {
        let mut with_packages = Vec::new();
        for name in &selection.boards {
            for (name, board) in workspace.boards(name)? {
                for system in &board.systems {
                    let typed =
                        if system.contains('#') { system.clone() } else { format!("{}#{system}", entry(workspace)) };
                    own.extend(of_workspace(workspace, &typed, Some(name))?);
                }
                if !board.packages.is_empty() || board.systems.is_empty() {
                    with_packages.push(name.to_owned());
                }
            }
        }
        if !selection.boards.is_empty() && with_packages.is_empty() {
            return Ok((own, None));
        }
        rest.boards = with_packages;
    }
    let from_settings = selection.targets.is_empty() && selection.boards.is_empty();
    let typed = if from_settings { &settings.targets } else { &selection.targets };
    let mut left = Vec::new();
    for one in typed {
        match of_workspace(workspace, one, None)? {
            Some(target) => own.push(target),
            None => left.push(one.clone()),
        }
    }
    if left.is_empty() && !typed.is_empty() {
        return Ok((own, None));
    }
    rest.targets = left;
    Ok((own, Some(rest)))
}

/// Returns where attributes of the workspace are looked for when only their path is given.
fn entry(workspace: &Workspace) -> &'static str {
    if workspace.path("flake.nix").is_file() { "." } else { "./default.nix" }
}

fn of_workspace(workspace: &Workspace, typed: &str, board: Option<&str>) -> Result<Option<OwnTarget>, Error> {
    let (place, attr) = match typed.split_once('#') {
        Some(parts) => parts,
        None if typed.starts_with("nixosConfigurations.") => (entry(workspace), typed),
        None => return Ok(None),
    };
    let path = Path::new(if place.is_empty() { "." } else { place });
    let mut attr = AttrPath::parse(attr)?;
    let there = workspace.path(path);
    let place = if there.is_file() {
        Place::File(path.to_path_buf())
    } else if there.join("flake.nix").is_file() {
        if !OUTPUTS.contains(&attr.first()) {
            let text = format!("packages.{}.{attr}", AttrPath::single(super::system(workspace)));
            attr = AttrPath::parse(&text)?;
        }
        Place::Flake(path.to_path_buf())
    } else if there.join("default.nix").is_file() {
        Place::File(path.join("default.nix"))
    } else {
        return Err(Error::Usage {
            message: format!("`{typed}` names neither a flake nor a Nix file of the workspace"),
            hint: "write `.#OUTPUT` for a flake, `./FILE.nix#ATTRPATH` for a file".into(),
        });
    };
    let target = Target { name: typed.to_owned(), board: board.map(str::to_owned), attr };
    Ok(Some(OwnTarget { place, target }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs;

    #[test]
    fn own_targets_are_told_from_those_of_package_sets() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["flake.nix", "release.nix"] {
            fs::write(&dir.path().join(file), b"{ }").unwrap();
        }
        let workspace = Workspace::open(Some(dir.path())).unwrap();
        let names = [".#nixosConfigurations.pi.config.system.build.toplevel", "./release.nix#image", "curl", ".#hello"];
        let selection = Selection { targets: names.map(str::to_owned).to_vec(), ..Selection::default() };
        let (own, rest) = split(&workspace, &selection).unwrap();
        assert_eq!(rest.unwrap().targets, ["curl"]);
        assert_eq!(own.len(), 3);
        assert_eq!(own[0].place, Place::Flake(".".into()));
        assert_eq!(own[1].place, Place::File("./release.nix".into()));
        assert!(own[2].target.attr.to_string().starts_with("packages."));
        let missing = Selection { targets: vec!["./no.nix#a".into()], ..Selection::default() };
        assert!(matches!(split(&workspace, &missing), Err(Error::Usage { .. })));
    }
}
