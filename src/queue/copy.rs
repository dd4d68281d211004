//! A workspace in a temporary directory, as it is or as it would be: what is to be evaluated before anything is written.
//!
//! Must not write outside the temporary directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Error;
use super::discover::{Disk, Overlays};
use super::model::Model;
use crate::base::fs::{self, FsError};
use crate::config::Workspace;
use crate::git;
use crate::overlay::{AttrPath, Element, Files, OverlayFile, PatchElement, PatchedPackage, Select};

/// A copy of the workspace; removed when it is dropped.
#[derive(Debug)]
pub struct Copy {
    pub workspace: Workspace,
    /// The package that it is without the patches of, where that is one.
    pub without: Option<AttrPath>,
    /// What else than patches of one package it is without.
    pub beside: Beside,
    dir: TempDir,
}

/// What a copy of a workspace without the patches of a package lacks beside these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// Patch files that are empty in it, since what gives them to the package could not be taken out: whatever has them differs.
    pub emptied: BTreeSet<PathBuf>,
    /// Other packages that have patches of the same list.
    pub packages: Vec<AttrPath>,
}

/// The most entries that a directory beside the workspace may have to be linked to.
const NEIGHBOURS: usize = 500;
/// The most files that are copied.
const MOST_FILES: usize = 20_000;

fn temporary() -> Result<TempDir, Error> {
    let fail = |source| FsError::Write { path: std::env::temp_dir(), source };
    Ok(tempfile::Builder::new().prefix("overlayctl-").tempdir().map_err(fail)?)
}

impl Copy {
    /// Returns the directory that it, and what lies beside it, is in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn at(root: &Path, dir: TempDir) -> Result<Copy, Error> {
        Ok(Copy { workspace: Workspace::open(Some(root))?, without: None, beside: Beside::default(), dir })
    }

    /// Checks out the workspace as it was at a revision. What no revision holds is linked to, as in every copy: what lies beside the
    /// repository, and what git ignores in it.
    pub fn at_revision(workspace: &Workspace, revision: &str) -> Result<Copy, Error> {
        let dir = temporary()?;
        let beside = dir.path().join("beside");
        fs::create_dir(&beside)?;
        let root = git::checkout(workspace.root(), revision, &beside)?;
        // Somebody else's revision: a link on the way to the workspace would lead what is made here out of the copy.
        if root.ancestors().take_while(|path| *path != beside).any(Path::is_symlink) {
            return Err(FsError::LeadsOut { path: root, dir: beside }.into());
        }
        // A workspace that was not there yet had no overlays.
        fs::create_dir(&root)?;
        if let Some((real, below)) = git::working_directory(workspace.root())? {
            let copy = beside.join(real.file_name().unwrap_or_else(|| "source".as_ref()));
            if !root.join("flake.nix").is_file() {
                for below in below.ancestors() {
                    let entries = git::ignored(&real, &entries_of(&real.join(below)))?;
                    link_to(&entries, &copy.join(below))?;
                }
            }
            let above = real.parent().unwrap_or(&real);
            link_rest(above, &beside)?;
            link_rest(above.parent().unwrap_or(above), dir.path())?;
        }
        Copy::at(&root, dir)
    }

    /// Copies the workspace as it stands: what git knows of it, else all but overlayctl's own state and links to results. What is not
    /// copied, and what lies beside the workspace, is linked to where no flake would miss it: `../nixpkgs` leads where it led.
    ///
    /// Files are copied and not linked: Nix follows a link before it reads what a file names, and stores a link as one.
    fn of(workspace: &Workspace) -> Result<Copy, Error> {
        let dir = temporary()?;
        let is_flake = workspace.path("flake.nix").is_file();
        // A workspace of which git knows nothing is in a folder that a repository around it ignores: it stands for itself.
        let tree = git::working_tree(workspace.root())?
            .filter(|tree| tree.known.iter().chain(&tree.new).any(|file| file.starts_with(&tree.below)));
        let (root, below, files) = match tree {
            Some(tree) => {
                let mut files = tree.known;
                // A flake sees only what git knows.
                if !is_flake {
                    files.extend(tree.new);
                }
                (tree.root, tree.below, files)
            }
            None => {
                let root = super::resolved(workspace.root())?;
                let files = files_below(&root)?;
                (root, PathBuf::new(), files)
            }
        };
        if files.len() > MOST_FILES {
            return Err(Error::TooLarge { path: root, limit: format!("{MOST_FILES} files") });
        }
        // Nix names what it copies after its directory, so the copy has the same name.
        let copy = dir.path().join("beside").join(root.file_name().unwrap_or_else(|| "source".as_ref()));
        fs::create_dir(&copy)?;
        for file in files {
            let (from, to) = (root.join(&file), copy.join(&file));
            if let Ok(target) = std::fs::read_link(&from) {
                fs::link(&target, &to)?;
            } else if let Ok(bytes) = fs::read(&from) {
                fs::write_below(&copy, &to, &bytes)?;
                if is_executable(&from) {
                    fs::make_executable(&to)?;
                }
            }
        }
        fs::create_dir(&copy.join(&below))?;
        if !is_flake {
            for dir in below.ancestors() {
                link_rest(&root.join(dir), &copy.join(dir))?;
            }
            let above = root.parent().unwrap_or(&root);
            link_rest(above, &dir.path().join("beside"))?;
            link_rest(above.parent().unwrap_or(above), dir.path())?;
        }
        Copy::at(&copy.join(below), dir)
    }

    /// Makes the workspace as it would be with some files written and others gone.
    ///
    /// # Errors
    /// Those of git, of reading and of writing; [`Error::TooLarge`].
    pub fn with(workspace: &Workspace, written: &[(PathBuf, Vec<u8>)], removed: &[PathBuf]) -> Result<Copy, Error> {
        let mut copy = Copy::of(workspace)?;
        let real = super::resolved(workspace.root())?;
        for (path, bytes) in written {
            let leads_out = || FsError::LeadsOut { path: path.clone(), dir: real.clone() };
            let below = below(path, &real).ok_or_else(leads_out)?;
            unfold(&real, copy.workspace.root(), &below)?;
            fs::write_below(copy.workspace.root(), &copy.workspace.path(below), bytes).map_err(|e| match e {
                // By the name that the user knows.
                FsError::LeadsOut { .. } => leads_out(),
                e => e,
            })?;
        }
        for path in removed {
            // A link goes, not what it leads to.
            if let Ok(below) = super::unlinked(path)?.strip_prefix(&real) {
                unfold(&real, copy.workspace.root(), below)?;
                let _ = fs::remove(&copy.workspace.path(below));
            }
        }
        // Its settings may be among what was written.
        copy.workspace = Workspace::open(Some(copy.workspace.root()))?;
        Ok(copy)
    }

    /// Makes the workspace as it would be without the patches of a package, or of every package; `None` where it has none.
    ///
    /// What a list of an overlay names is taken out of it. Where no list shows what gives a patch to a package (`mapAttrs`, a loader) the
    /// file of the patch is empty instead: what has it differs as well.
    pub fn without(workspace: &Workspace, attr: Option<&AttrPath>, model: &Model) -> Result<Option<Copy>, Error> {
        let is_meant = |package: &AttrPath| attr.is_none_or(|attr| package == attr);
        let unplaced = model.packages.iter().filter(|package| is_meant(&package.attr));
        let unplaced = unplaced.flat_map(|package| &package.patches).filter(|patch| patch.place.is_none());
        let mut emptied: BTreeSet<PathBuf> = unplaced.filter_map(|patch| patch.real.clone()).collect();
        // Nobody was seen to use these; if somebody does, it shows.
        let queue = attr.map(|attr| super::dir(workspace, attr));
        let unused = model.unused.iter().filter(|path| queue.as_ref().is_none_or(|dir| path.starts_with(dir)));
        emptied.extend(unused.filter_map(|path| super::unlinked(path).ok()));
        let overlays = Overlays::read(workspace, None)?;
        let mut texts: BTreeMap<&Path, String> = BTreeMap::new();
        for found in overlays.files() {
            let path = found.file.path();
            let meant = found.file.patched_packages().into_iter().filter(|package| is_meant(&package.attr));
            let elements: Vec<Element> = meant.flat_map(|package| package.elements).collect();
            let text = found.file.left_out(&elements);
            if text != found.file.text() {
                texts.insert(path, text);
            }
        }
        if texts.is_empty() && emptied.is_empty() {
            return Ok(None);
        }
        let mut packages = Vec::new();
        for (found, package) in overlays.patched().filter(|(_, package)| !is_meant(&package.attr)) {
            let Some(text) = texts.get(found.file.path()) else { continue };
            let left = OverlayFile::parse(found.file.path(), text.clone())?.patched_packages();
            let count = |all: &[PatchedPackage]| -> usize {
                all.iter().filter(|p| p.attr == package.attr).map(|p| p.elements.len()).sum()
            };
            if count(&left) < count(&found.file.patched_packages()) && !packages.contains(&package.attr) {
                packages.push(package.attr);
            }
        }
        let texts = texts.into_iter().map(|(path, text)| (path.to_path_buf(), text.into_bytes()));
        let written: Vec<(PathBuf, Vec<u8>)> =
            texts.chain(emptied.iter().map(|file| (file.clone(), Vec::new()))).collect();
        let beside = Beside { emptied, packages };
        Ok(Some(Copy { without: attr.cloned(), beside, ..Copy::with(workspace, &written, &[])? }))
    }
}

/// The texts of overlays as they would be; those of the disk for the rest.
struct Texts(BTreeMap<PathBuf, String>);

/// Returns the text of an overlay as it would be had some of its patches never been added: a binding made for them goes too. (A copy to
/// be evaluated needs no more than [`OverlayFile::left_out`].)
pub(crate) fn text_without(
    path: &Path,
    text: &str,
    is_meant: &dyn Fn(&AttrPath, &Element) -> bool,
) -> Result<String, Error> {
    let mut texts = Texts(BTreeMap::from([(path.to_path_buf(), text.to_owned())]));
    loop {
        // Each removal moves what stands behind it, so the text is read again.
        let file = OverlayFile::parse(path, texts.read(path).unwrap_or_else(|| text.to_owned()))?;
        let found = file.patched_packages().into_iter().find_map(|package| {
            let meant = package.elements.iter().filter(|element| is_meant(&package.attr, element));
            let which: Vec<PatchElement> = meant.map(super::named).collect();
            (!which.is_empty()).then_some((package.attr, package.function.span, which))
        });
        let Some((attr, span, which)) = found else { return Ok(file.text().to_owned()) };
        let select = span.map_or(Select::Only, |span| Select::Offset(span.start));
        let planned = file.remove_patches(&texts, select, &attr, &which)?;
        if planned.changes.iter().all(|change| change.new == change.old) {
            return Ok(file.text().to_owned());
        }
        texts.0.extend(planned.changes.into_iter().map(|change| (change.path, change.new)));
    }
}

impl Files for Texts {
    fn read(&self, path: &Path) -> Option<String> {
        let default = path.join("default.nix");
        self.0.get(path).or_else(|| self.0.get(&default)).cloned().or_else(|| Disk.read(path))
    }
}

/// Returns a path, which may not be there yet, below the workspace.
fn below(path: &Path, root: &Path) -> Option<PathBuf> {
    super::resolved(path).ok()?.strip_prefix(root).ok().map(Path::to_path_buf)
}

/// Links to those entries of a directory that the copy of it does not have.
fn link_rest(from: &Path, to: &Path) -> Result<(), Error> {
    link_to(&entries_of(from), to)
}

fn entries_of(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Links to those of some entries that a directory does not have.
fn link_to(entries: &[PathBuf], to: &Path) -> Result<(), Error> {
    if entries.len() > NEIGHBOURS {
        return Ok(());
    }
    for entry in entries {
        let Some(name) = entry.file_name() else { continue };
        let own = name == ".git" || name == ".overlayctl" || to.starts_with(entry);
        if !own && to.join(name).symlink_metadata().is_err() {
            fs::link(entry, &to.join(name))?;
        }
    }
    Ok(())
}

/// Makes directories of the copy on the way to a file out of the links to those of the workspace that [`link_rest`] made: an empty one,
/// one that git ignores.
fn unfold(root: &Path, copy: &Path, file: &Path) -> Result<(), Error> {
    let mut on_the_way: Vec<&Path> = file.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).collect();
    on_the_way.reverse();
    for dir in on_the_way {
        let (from, to) = (root.join(dir), copy.join(dir));
        if !std::fs::read_link(&to).is_ok_and(|leads| leads == from) {
            continue;
        }
        fs::remove(&to)?;
        fs::create_dir(&to)?;
        for entry in std::fs::read_dir(&from).into_iter().flatten().flatten() {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if let (true, Ok(bytes)) = (is_file, fs::read(&entry.path())) {
                fs::write_below(&to, &to.join(entry.file_name()), &bytes)?;
            }
        }
        link_rest(&from, &to)?;
    }
    Ok(())
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|there| there.permissions().mode() & 0o111 != 0)
}

/// Returns the files and links below a directory, relative to it.
fn files_below(root: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(dir) = todo.pop() {
        let fail = |source| FsError::Read { path: dir.clone(), source };
        for entry in std::fs::read_dir(&dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let kind = entry.file_type().map_err(fail)?;
            let name = entry.file_name();
            let is_result = kind.is_symlink() && name.to_string_lossy().starts_with("result");
            if name == ".overlayctl" || name == ".git" || is_result {
                continue;
            }
            if kind.is_dir() {
                todo.push(entry.path());
            } else if kind.is_file() || kind.is_symlink() {
                files.extend(entry.path().strip_prefix(root).map(Path::to_path_buf));
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_no_way_out_for_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("repository/sub");
        git2::Repository::init(dir.path().join("repository")).unwrap();
        fs::write(&root.join("overlay.nix"), b"final: prev: { }").unwrap();
        fs::write(&root.join(".gitignore"), b"/ignored\n").unwrap();
        fs::write(&root.join("ignored/here/1.patch"), b"1").unwrap();
        fs::write(&root.join("ignored/beside.patch"), b"2").unwrap();
        std::fs::create_dir(root.join("empty")).unwrap();
        let workspace = Workspace::open(Some(&root)).unwrap();
        let written: Vec<(PathBuf, Vec<u8>)> =
            ["empty/x/1.patch", "ignored/here/2.patch"].map(|file| (workspace.path(file), b"new".to_vec())).to_vec();
        let gone = workspace.path("ignored/beside.patch");
        let made = Copy::with(&workspace, &written, std::slice::from_ref(&gone)).unwrap();
        let copy = &made.workspace;
        for file in ["empty/x/1.patch", "ignored/here/2.patch"] {
            assert_eq!(fs::read(&copy.path(file)).unwrap(), b"new", "{file}");
            assert!(!root.join(file).exists(), "{file}");
        }
        assert!(copy.path("ignored/here/1.patch").symlink_metadata().unwrap().is_file());
        assert!(gone.exists() && !copy.path("ignored/beside.patch").exists());
    }
}
