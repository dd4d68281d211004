//! What the workspace as it is is compared with: without its overlays, as it was at a revision, without one package's
//! patches. The last two are copies of the workspace in a temporary directory.

use std::path::Path;

use tempfile::TempDir;

use crate::base::fs::{self, FsError};
use crate::comparison::Error;
use crate::config::Workspace;
use crate::git;
use crate::overlay::{self, AttrPath, Element, PatchElement, Select};
use crate::queue::overlays;

/// What the workspace as it is is compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Baseline {
    /// The package set without its overlays.
    #[default]
    Unpatched,
    /// The overlays of a git revision.
    Revision(String),
    /// The overlays without the patches of one package.
    WithoutPackage(String),
}

impl std::fmt::Display for Baseline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Baseline::Unpatched => write!(f, "the package set without the overlays"),
            Baseline::Revision(revision) => write!(f, "the overlays of {revision}"),
            Baseline::WithoutPackage(attr) => write!(f, "the overlays without the patches of {attr}"),
        }
    }
}

/// A copy of the workspace; removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Copy {
    pub workspace: Workspace,
    _dir: TempDir,
}

impl Baseline {
    /// Makes the copy of the workspace that the baseline is; `None` where the overlays are only left out, unless the user's
    /// own code wires them in.
    ///
    /// # Errors
    /// Those of git, of copying, and of taking the patches off; [`Error::NotPatched`].
    pub(crate) fn copy(&self, workspace: &Workspace, own_code: bool) -> Result<Option<Copy>, Error> {
        match self {
            Baseline::Unpatched if !own_code => Ok(None),
            Baseline::Unpatched => {
                let copy = copy_of(workspace)?;
                unpatch(&copy.workspace, None)?;
                Ok(Some(copy))
            }
            Baseline::Revision(revision) => {
                let dir = temporary()?;
                let root = git::checkout(workspace.root(), revision, dir.path())?;
                // A workspace that was not there yet had no overlays.
                fs::create_dir(&root)?;
                Ok(Some(Copy { workspace: Workspace::open(Some(&root))?, _dir: dir }))
            }
            Baseline::WithoutPackage(attr) => {
                let attr = AttrPath::parse(attr).map_err(overlay::Error::from)?;
                let copy = copy_of(workspace)?;
                if !unpatch(&copy.workspace, Some(&attr))? {
                    return Err(crate::queue::Error::NotPatched { attr, patch: None, patched: Vec::new() }.into());
                }
                Ok(Some(copy))
            }
        }
    }
}

fn temporary() -> Result<TempDir, Error> {
    let fail = |source| FsError::Write { path: std::env::temp_dir(), source };
    Ok(tempfile::Builder::new().prefix("overlayctl-").tempdir().map_err(fail)?)
}

/// Copies the workspace as it stands: what git knows of it, else all but overlayctl's own state and links to results.
pub(crate) fn copy_of(workspace: &Workspace) -> Result<Copy, Error> {
    let dir = temporary()?;
    let (root, below, files) = match git::working_tree(workspace.root())? {
        Some(tree) => {
            let mut files = tree.known;
            // A flake sees only what git knows.
            if !workspace.path("flake.nix").is_file() {
                files.extend(tree.new);
            }
            (tree.root, tree.below, files)
        }
        None => {
            let root = crate::targets::absolute(workspace.root())?;
            let files = files_below(&root)?;
            (root, Default::default(), files)
        }
    };
    // Nix names what it copies after its directory, so the copy has the same name.
    let copy = dir.path().join(root.file_name().unwrap_or_else(|| "source".as_ref()));
    for file in files {
        let (from, to) = (root.join(&file), copy.join(&file));
        if let Ok(target) = std::fs::read_link(&from) {
            fs::link(&target, &to)?;
        } else {
            fs::write(&to, &fs::read(&from)?)?;
            if is_executable(&from) {
                fs::make_executable(&to)?;
            }
        }
    }
    let root = copy.join(below);
    fs::create_dir(&root)?;
    Ok(Copy { workspace: Workspace::open(Some(&root))?, _dir: dir })
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|there| there.permissions().mode() & 0o111 != 0)
}

/// Returns the files and links below a directory, relative to it.
fn files_below(root: &Path) -> Result<Vec<std::path::PathBuf>, Error> {
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

/// Takes all patches of a package, or of every package, out of the overlays; says whether there were any.
fn unpatch(workspace: &Workspace, attr: Option<&AttrPath>) -> Result<bool, Error> {
    let mut found = false;
    for path in workspace.overlay_candidates() {
        // Each removal moves what stands behind it, so the file is read again.
        while let Ok(file) = overlays::open(&path) {
            let mut patched =
                file.patched_packages().into_iter().filter(|package| attr.is_none_or(|attr| package.attr == *attr));
            let Some(package) = patched.find(|package| !package.elements.is_empty()) else { break };
            let select = package.function.span.map_or(Select::Only, |span| Select::Offset(span.start));
            let which: Vec<PatchElement> = package.elements.iter().map(named).collect();
            let planned = file.remove_patches(&overlays::Disk, select, &package.attr, &which)?;
            let mut changed = false;
            for change in &planned.changes {
                changed |= fs::write(&change.path, change.new.as_bytes())? != fs::Written::Unchanged;
            }
            if !changed {
                break;
            }
            found = true;
        }
    }
    Ok(found)
}

/// Returns an element as it is asked for again.
fn named(element: &Element) -> PatchElement {
    match &element.url {
        Some(url) => PatchElement::Fetch { url: url.clone(), hash_attr: String::new(), hash: String::new() },
        None => PatchElement::path(element.path.clone().unwrap_or_else(|| element.text.clone())),
    }
}
