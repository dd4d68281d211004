//! `unpatch`: the inverse of `patch`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::diagnostic::Warning;
use crate::base::fs::{self, Batch};
use crate::base::span::Place;
use crate::config::Workspace;
use crate::git;
use crate::ops::{Error, Outcome};
use crate::overlay::{self, AttrPath, Change, Element, FileChange, OverlayFile, PatchElement, PatchedPackage, Select};
use crate::queue;
use crate::queue::Steps;
use crate::queue::discover::{self, Choice, Overlays};
use crate::queue::model::{self, Asking, InEffect, Model};
use crate::queue::rewrite::diff;
use crate::queue::{aliases, choose, trial};

/// What `unpatch` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    pub attr: String,
    /// The patch: file name, number or path; all when `None`.
    pub patch: Option<String>,
    /// The overlay, when named.
    pub overlay: Option<Choice>,
    pub keep_file: bool,
    /// `--nixpkgs`: asked when the overlay does not bind the package by the name that was typed.
    pub nixpkgs: Option<String>,
    pub dry_run: bool,
    /// Whether Nix is not asked.
    pub offline: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unpatched {
    pub attr: AttrPath,
    /// Other names of it that lose the patches as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<AttrPath>,
    pub unchanged: bool,
    pub dry_run: bool,
    pub change: Option<Change>,
    /// The overlay files that change, and the patch files that go.
    pub files: Vec<PathBuf>,
    pub removed: Vec<PathBuf>,
    pub diff: String,
    pub warnings: Vec<Warning>,
}

/// Takes patches off a package, whatever name of it is typed.
///
/// # Errors
/// [`Error::NotPatched`] when there is no such patch, [`Error::WhichOverlay`] when several overlays have it, and those
/// of finding and writing; nothing has changed then.
pub fn unpatch(workspace: &Workspace, options: &Options) -> Result<Unpatched, Error> {
    let typed = AttrPath::parse(&options.attr).map_err(overlay::Error::from)?;
    let overlays = Overlays::read(workspace, options.overlay.as_ref())?;
    let files: Vec<&OverlayFile> = overlays.files().map(|found| &found.file).collect();
    let nixpkgs = options.nixpkgs.as_deref().filter(|_| !options.offline);
    let typed_dir = queue::dir(workspace, &typed);
    let is_bound = files.iter().any(|file| file.patched_packages().iter().any(|package| package.attr == typed));
    let by_queue = files.iter().filter(|_| !is_bound).find_map(|file| queue::bound_as(file, &typed, &typed_dir));
    let (attr, queue_dir) = match (by_queue, options.offline) {
        (Some(other), _) => (other, typed_dir),
        (None, true) => (typed.clone(), typed_dir),
        (None, false) => {
            let attr = aliases::bound_as(workspace, nixpkgs, &typed, &files)?.unwrap_or_else(|| typed.clone());
            let dir = queue::dir(workspace, &attr);
            (attr, dir)
        }
    };
    let line = options.overlay.as_ref().and_then(|choice| choice.line);
    let matching: Vec<(&OverlayFile, PatchedPackage, Vec<Element>)> = files
        .iter()
        .copied()
        .flat_map(|file| patched(file, &attr, line).into_iter().map(move |package| (file, package)))
        .filter_map(|(file, package)| {
            let wanted = meant(file, &package, &queue_dir, options.patch.as_deref());
            (!wanted.is_empty()).then_some((file, package, wanted))
        })
        .collect();
    if matching.is_empty()
        && let Some(done) = loaded(workspace, options, &attr, &queue_dir)?
    {
        return Ok(done);
    }
    let [(file, package, wanted)] = matching.as_slice() else {
        return Err(match matching.is_empty() {
            true => {
                let mut near: Vec<String> = aliases::patched(&files).iter().map(|p| p.attr.to_string()).collect();
                near.sort();
                near.dedup();
                crate::queue::Error::NotPatched { attr: typed, patch: options.patch.clone(), patched: near }.into()
            }
            false => crate::queue::Error::WhichOverlay {
                attr,
                candidates: matching.into_iter().map(|(_, package, _)| package.function).collect(),
                bound: true,
            }
            .into(),
        });
    };
    let mut warnings = Vec::new();
    if attr != typed {
        warnings.push(Warning {
            code: "OV1122",
            message: format!("`{typed}` is another name of `{attr}`, which the overlay patches"),
            place: None,
            hint: None,
        });
    }
    let left = package.elements.iter().filter(|e| e.url.is_some() && !wanted.contains(e));
    if options.patch.is_none() {
        warnings.extend(left.map(|element| stays(&attr, element)));
    }
    let select = package.function.span.map_or(Select::Only, |span| Select::Offset(span.start));
    let mut steps = Steps::on(file);
    // Last bound, first undone: that gives the bytes back.
    let also = beside(file, package, wanted, &queue_dir);
    for (other, elements) in also.iter().rev() {
        steps.take(|file, files| file.remove_patches(files, select, other, elements))?;
    }
    let which: Vec<PatchElement> = wanted.iter().map(queue::named).collect();
    let planned = steps.take(|file, files| file.remove_patches(files, select, &attr, &which))?;
    warnings.extend(planned.warnings);
    let changes = steps.changes();
    let mut batch = Batch::new(workspace.root());
    for change in &changes {
        batch.replace(&change.path, Some(change.old.as_bytes()), change.new.as_bytes());
    }
    let mut removed = Vec::new();
    if !options.keep_file {
        // Only files of the queue: a patch that stands elsewhere is the user's.
        let queued = queue::in_queue(file, package, &queue_dir);
        removed.extend(queued.filter(|(element, _)| wanted.contains(element)).map(|(_, path)| path));
        // One that another overlay names, for another board, stays.
        removed.retain(|path| !named_elsewhere(&overlays, (file, package), &also, path));
    }
    if !options.offline && !changes.is_empty() {
        try_it(workspace, options, &attr, &changes, &removed, &package.function, &mut warnings)?;
    }
    let files = write(workspace, options, &queue_dir, batch, &removed)?;
    Ok(Unpatched {
        attr,
        also: also.into_iter().map(|(attr, _)| attr).collect(),
        unchanged: files.is_empty(),
        dry_run: options.dry_run,
        change: Some(planned.change),
        files,
        removed,
        diff: diff(&changes),
        warnings,
    })
}

/// Writes the changes and takes patch files away; returns the files that change.
fn write(
    workspace: &Workspace,
    options: &Options,
    queue_dir: &Path,
    mut batch: Batch,
    removed: &[PathBuf],
) -> Result<Vec<PathBuf>, Error> {
    for path in removed {
        batch.remove(path);
    }
    let files = batch.changes();
    let last = !options.keep_file && queue::files(queue_dir)?.len() == removed.len();
    if !options.dry_run {
        batch.commit()?;
        if last {
            // The folder that `patch` made goes with its last patch; one that holds something else stays.
            fs::remove_dir_if_empty(queue_dir);
            if workspace.file().is_none() {
                fs::remove_dir_if_empty(&workspace.patches_dir());
            }
        }
        git::forget(workspace.root(), removed)?;
    }
    Ok(files)
}

/// Takes off patches that are in effect though no text names them, as something reads the folder of the queue: their files go, which is
/// tried. `None` where there is no such patch.
fn loaded(
    workspace: &Workspace,
    options: &Options,
    attr: &AttrPath,
    queue_dir: &Path,
) -> Result<Option<Unpatched>, Error> {
    if options.offline || options.keep_file || options.overlay.is_some() {
        return Ok(None);
    }
    let model = Model::read(workspace, Asking { nixpkgs: options.nixpkgs.as_deref(), offline: false })?;
    let dir = queue::resolved(queue_dir)?;
    let is_loaded = |patch: &&model::Patch| {
        patch.place.is_none() && matches!(patch.reach.in_effect, InEffect::Yes | InEffect::Exported)
    };
    let patches = model.find(attr).into_iter().flat_map(|package| &package.patches).filter(is_loaded);
    let own = patches.filter_map(|patch| patch.real.as_deref()).filter(|real| real.parent() == Some(&dir));
    let meant =
        |name: &String| options.patch.as_deref().is_none_or(|named| is_file_meant(name, Some(&dir.join(name)), named));
    let names = own.filter_map(|real| Some(real.file_name()?.to_string_lossy().into_owned()));
    let removed: Vec<PathBuf> = names.filter(meant).map(|name| queue_dir.join(name)).collect();
    if removed.is_empty() {
        return Ok(None);
    }
    let mut warnings = Vec::new();
    try_it(workspace, options, attr, &[], &removed, &Place::file(queue_dir), &mut warnings)?;
    let files = write(workspace, options, queue_dir, Batch::new(workspace.root()), &removed)?;
    Ok(Some(Unpatched {
        attr: attr.clone(),
        also: Vec::new(),
        unchanged: files.is_empty(),
        dry_run: options.dry_run,
        change: None,
        files,
        removed,
        diff: String::new(),
        warnings,
    }))
}

/// Says whether an overlay names a patch beside the bindings that lose it.
fn named_elsewhere(
    overlays: &Overlays,
    (file, package): (&OverlayFile, &PatchedPackage),
    also: &[(AttrPath, Vec<PatchElement>)],
    path: &Path,
) -> bool {
    let Ok(real) = queue::unlinked(path) else { return false };
    overlays.patched().any(|(found, other)| {
        let own = found.file.path() == file.path() && other.function == package.function;
        let loses = own && (other.attr == package.attr || also.iter().any(|(attr, _)| *attr == other.attr));
        let names = |element: &Element| discover::on_disk(element, found.file.path()).is_some_and(|path| path == real);
        !loses && other.elements.iter().any(names)
    })
}

/// Evaluates the workspace as it would be.
fn try_it(
    workspace: &Workspace,
    options: &Options,
    attr: &AttrPath,
    changes: &[FileChange],
    removed: &[PathBuf],
    place: &Place,
    warnings: &mut Vec<Warning>,
) -> Result<(), Error> {
    let attrs = std::slice::from_ref(attr);
    let trial = match trial::Trial::begin(workspace, options.nixpkgs.as_deref(), attrs)? {
        Ok(trial) => trial,
        Err(why) => {
            warnings.push(choose::not_tried(attr, &why));
            return Ok(());
        }
    };
    let written: Vec<(PathBuf, Vec<u8>)> =
        changes.iter().map(|change| (change.path.clone(), change.new.clone().into_bytes())).collect();
    let change = trial::Change { attrs, written: &written, removed, unwanted: removed, ..trial::Change::default() };
    match trial.of(&change, warnings)? {
        trial::Outcome::Damage(why) => {
            Err(crate::queue::Error::Damage { attr: attr.clone(), why, place: place.clone() }.into())
        }
        _ => Ok(()),
    }
}

/// Returns where the overlays of a file patch `attr`; those of the function on `line` when it is given.
fn patched(file: &OverlayFile, attr: &AttrPath, line: Option<usize>) -> Vec<PatchedPackage> {
    let on_line = |p: &PatchedPackage| line.is_none_or(|line| p.function.line_col.is_some_and(|at| at.line == line));
    file.patched_packages().into_iter().filter(|p| p.attr == *attr && on_line(p)).collect()
}

/// Returns the other names of the package that have the same files of its queue: `patch` bound them beside it.
fn beside(
    file: &OverlayFile,
    package: &PatchedPackage,
    wanted: &[Element],
    queue_dir: &Path,
) -> Vec<(AttrPath, Vec<PatchElement>)> {
    let paths: Vec<PathBuf> = queue::in_queue(file, package, queue_dir)
        .filter(|(element, _)| wanted.contains(element))
        .map(|(_, path)| path)
        .collect();
    let same_function = |other: &PatchedPackage| other.function == package.function && other.attr != package.attr;
    file.patched_packages()
        .into_iter()
        .filter(same_function)
        .filter_map(|other| {
            let same: Vec<PatchElement> = queue::in_queue(file, &other, queue_dir)
                .filter(|(_, path)| paths.contains(path))
                .map(|(element, _)| queue::named(element))
                .collect();
            (!same.is_empty()).then(|| (other.attr.clone(), same))
        })
        .collect()
}

/// Tells of a patch that is fetched, and so in no queue.
fn stays(attr: &AttrPath, element: &Element) -> Warning {
    let url = element.url.clone().unwrap_or_default();
    Warning {
        code: "OV1133",
        message: format!("`{attr}` keeps a patch that is fetched: {url}"),
        place: Some(element.place.clone()),
        hint: Some(format!("to take that off too: overlayctl unpatch {attr} {}", file_name(&url))),
    }
}

/// Returns what stands after the last slash of an address.
fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// Returns the patches that the user means by number, file name, path or address. Without a name those of the package's
/// queue, and where it has none there, those that are fetched.
fn meant(file: &OverlayFile, package: &PatchedPackage, queue_dir: &Path, named: Option<&str>) -> Vec<Element> {
    match named {
        Some(named) => package.elements.iter().filter(|e| is_meant(e, file, named)).cloned().collect(),
        None => {
            let queued: Vec<Element> = queue::in_queue(file, package, queue_dir).map(|(e, _)| e.clone()).collect();
            if !queued.is_empty() {
                return queued;
            }
            package.elements.iter().filter(|e| e.url.is_some()).cloned().collect()
        }
    }
}

/// Says whether an element is the patch that the user named.
fn is_meant(element: &Element, file: &OverlayFile, named: &str) -> bool {
    if let Some(url) = &element.url {
        let last = file_name(url);
        return url == named
            || last == named
            || last.strip_suffix(".patch").or(last.strip_suffix(".diff")) == Some(named);
    }
    let path = discover::on_disk(element, file.path());
    let written = element.path.as_deref().map(Path::new).or(path.as_deref());
    let name = written.and_then(Path::file_name).map(|n| n.to_string_lossy().into_owned());
    is_file_meant(&name.unwrap_or_default(), path.as_deref(), named) || element.path.as_deref() == Some(named)
}

/// Says whether a file is the patch that the user named by number, file name or path.
fn is_file_meant(name: &str, path: Option<&Path>, named: &str) -> bool {
    let number = named.parse::<u32>().ok();
    let queued = crate::patch::queue::QueueName::parse(name).map(|queued| queued.number);
    queued.is_some() && number == queued
        || path.is_some() && queue::unlinked(Path::new(named)).ok().as_deref() == path
        || name == named
}

impl Outcome for Unpatched {
    const SCHEMA: &'static str = "overlayctl.unpatch/1";
}
