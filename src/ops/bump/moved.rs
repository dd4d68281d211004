//! The pin moved, in a trial: the new text of its file, and the package set that it leads to then. Must not write to the workspace.

use std::path::{Path, PathBuf};

use crate::base::fs;
use crate::base::progress::Progress;
use crate::config::{NixpkgsSource, Workspace};
use crate::git::{self, History};
use crate::ops::Error;
use crate::ops::rebase::revisions::{self, Written};
use crate::pin::{self, Fetched, Keeper, Pin};
use crate::queue::copy::Copy;
use crate::targets::{self, engine};

/// A pin, and where it goes.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) pin: Pin,
    /// The new bytes of its file; `None` with the reason and the way out where overlayctl does not write it.
    pub(super) text: Result<Vec<u8>, (String, String)>,
    /// What it is then, in the word that people know it by.
    pub(super) to: Option<String>,
    /// The package set, as `--nixpkgs` takes it from anywhere.
    pub(super) nixpkgs: String,
    /// Keeps the files of a revision that was written out.
    _files: Option<Written>,
}

impl Moved {
    /// Moves a pin to what the user named; to the newest where that is known for `None`.
    ///
    /// # Errors
    /// Those of the pin room, and of Nix.
    pub(super) fn of(
        workspace: &Workspace,
        pin: Pin,
        to: Option<&str>,
        progress: &mut dyn Progress,
    ) -> Result<Moved, Error> {
        progress.stage(&format!("moving {pin} in a copy of the workspace"));
        let directory = to.filter(|to| Path::new(to).is_dir());
        match (pin.keeper, directory) {
            (Keeper::Setting, _) => Moved::setting(workspace, pin, to),
            (Keeper::Flake, _) => {
                let reference = match directory.or(to.filter(|to| to.contains('@'))).map(by_directory).transpose()? {
                    Some(Some(reference)) => Some(reference),
                    _ => pin.reference(to)?,
                };
                let copy = Copy::with(workspace, &[], &[])?;
                let root = targets::absolute(copy.workspace.root())?;
                engine::nix(workspace)?.lock_input(&root, &pin.name, reference.as_deref())?;
                let text = fs::read(&root.join("flake.lock"))?;
                Moved::lock(workspace, pin, text)
            }
            (_, Some(directory)) => {
                let nixpkgs = absolute(directory)?;
                let why = format!("{pin} is a place on the net, and {directory} is a directory of this machine");
                let hint = "name the revision with --to once it can be fetched".into();
                let to = Some(directory.to_owned());
                Ok(Moved { pin, text: Err((why, hint)), to, nixpkgs, _files: None })
            }
            (..) => {
                let Some(reference) = pin.reference(to)? else { return Err(no_way(&pin)) };
                progress.stage(&format!("fetching {reference}"));
                let tree = engine::nix(workspace)?.fetch_tree(&reference)?;
                let fetched = Fetched { revision: tree.revision, nar_hash: tree.nar_hash, out_path: tree.out_path };
                let is_branch = to.is_some_and(|to| {
                    // Where that cannot be told it goes on with the branch that it has.
                    pin.address().is_some_and(|address| git::has_branch(&address, to) == Some(true))
                });
                let text = pin.moved(to, is_branch, &fetched)?;
                Moved::lock(workspace, pin, text)
            }
        }
    }

    /// Asks Nix where the package set is with another lock.
    fn lock(workspace: &Workspace, pin: Pin, text: Vec<u8>) -> Result<Moved, Error> {
        let copy = Copy::with(workspace, &[(pin.file.clone(), text.clone())], &[])?;
        let set = targets::plain_set(&copy.workspace, None)?;
        let nixpkgs = engine::nix(workspace)?.place_of(&set.nixpkgs)?;
        let to = pin::word_in(pin.keeper, &pin.name, &pin.file, &text);
        Ok(Moved { pin, text: Ok(text), to, nixpkgs, _files: None })
    }

    fn setting(workspace: &Workspace, pin: Pin, to: Option<&str>) -> Result<Moved, Error> {
        let Some(to) = to else { return Err(no_way(&pin)) };
        let shown = Some(to.to_owned());
        if let Ok(source) = workspace.nixpkgs(Some(to)) {
            let (value, nixpkgs) = match source {
                NixpkgsSource::Path(path) => (as_setting(workspace, &path)?, absolute(to)?),
                _ => (to.to_owned(), to.to_owned()),
            };
            let text = pin.set_to(&value)?;
            return Ok(Moved { pin, text: Ok(text), to: shown, nixpkgs, _files: None });
        }
        let written = revisions::package_set(workspace, None, to)?;
        let checkout = pin.now.clone().unwrap_or_default();
        let why =
            format!("{pin} names the checkout {checkout}, which is yours to move, and `{to}` is a revision of it");
        let hint =
            format!("make a directory of it (`git -C {checkout} worktree add DIR {to}`), and bump --to DIR --apply");
        Ok(Moved { pin, text: Err((why, hint)), to: shown, nixpkgs: written.nixpkgs.clone(), _files: Some(written) })
    }

    /// Returns the file of the pin with its new bytes, where it is written.
    pub(super) fn written(&self) -> Option<(PathBuf, Vec<u8>)> {
        Some((self.pin.file.clone(), self.text.as_ref().ok()?.clone()))
    }
}

fn no_way(pin: &Pin) -> Error {
    pin::Error::NoWay { pin: pin.to_string(), hint: "name a package set: --to PATH".into() }.into()
}

fn absolute(path: &str) -> Result<String, Error> {
    Ok(targets::absolute(Path::new(path))?.display().to_string())
}

/// Returns a directory, or `DIR@REV`, as a flake reference: by its revision where it is the root of a repository.
fn by_directory(typed: &str) -> Result<Option<String>, Error> {
    let (dir, revision) = match typed.rsplit_once('@') {
        Some((dir, revision)) if !Path::new(typed).is_dir() => (dir, Some(revision)),
        _ => (typed, None),
    };
    if !Path::new(dir).is_dir() {
        return Ok(None);
    }
    let dir = absolute(dir)?;
    let history = History::of(Path::new(&dir))?.filter(|history| history.root() == Path::new(&dir));
    let id = history.and_then(|history| history.resolve(revision.unwrap_or("HEAD")));
    Ok(match (id, revision) {
        (Some(id), _) => Some(format!("git+file://{dir}?rev={id}")),
        (None, Some(_)) => None,
        (None, None) => Some(format!("path:{dir}")),
    })
}

/// Returns a path as `overlayctl.toml` has it: relative to the workspace where it was typed so.
fn as_setting(workspace: &Workspace, path: &Path) -> Result<String, Error> {
    if path.is_absolute() {
        return Ok(path.display().to_string());
    }
    if workspace.root() == Path::new(".") {
        return Ok(path.display().to_string());
    }
    Ok(crate::queue::relative(&workspace.path("overlayctl.toml"), path)?)
}
