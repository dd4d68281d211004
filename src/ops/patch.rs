//! `patch`: a patch file into the queue of a package and into the overlay.

mod show;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::scope::{self, Costs};
use crate::base::diagnostic::Warning;
use crate::base::edit::TextEdits;
use crate::base::fs::{self, Batch};
use crate::base::progress::Progress;
use crate::base::span::{Place, Span};
use crate::config::Workspace;
use crate::ops::Error;
pub use crate::overlay::Scope;
use crate::overlay::{self, AttrPath, Change, FileChange, PatchElement, PatchRequest, Select};
use crate::queue;
use crate::queue::facts::{self, Known};
use crate::queue::overlays::Steps;
use crate::queue::rewrite::{diff, from_root, make_visible};
use crate::queue::stored::{QueuedPatch, checked, checked_bytes, enqueue, touched_files};
use crate::queue::{fetch, overlays};

/// What `patch` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The package, as typed.
    pub attr: String,
    /// The patch files, as typed.
    pub files: Vec<PathBuf>,
    /// Addresses of patches, which come after the files.
    pub fetch: Vec<String>,
    /// The overlay, when named.
    pub overlay: Option<overlays::Choice>,
    /// Whether the overlay is a new one, and where; in the place by custom when that is `None`.
    pub new_overlay: Option<Option<PathBuf>>,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// The place in the queue, from 1.
    pub position: Option<usize>,
    /// Where the patches hold; in every stage when it was not said.
    pub scope: Option<Scope>,
    /// `--nixpkgs`.
    pub nixpkgs: Option<String>,
    /// Whether Nix is not asked about the package.
    pub offline: bool,
}

/// What `patch` or `unpatch` did, or would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patched {
    /// The package.
    pub attr: AttrPath,
    /// Other names of the same package, which got the patch as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<AttrPath>,
    /// Whether nothing had to be done.
    pub unchanged: bool,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// What happens to the overlay.
    pub change: Change,
    /// The overlay function: a file, line and column.
    pub overlay: String,
    /// The patches.
    pub patches: Vec<QueuedPatch>,
    /// The files that change.
    pub files: Vec<PathBuf>,
    /// The change of the overlay as a unified diff.
    pub diff: String,
    /// Files that git did not know and that were made visible to Nix.
    pub made_visible: Vec<PathBuf>,
    /// How the new overlay is to be wired in by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wiring: Option<Wiring>,
    /// What the patch costs in both scopes, where a scope was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// What the user has to add for a new overlay to be used.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wiring {
    /// The line.
    pub line: String,
    /// The files where it may go.
    pub files: Vec<PathBuf>,
}

/// Puts patches on a package.
///
/// # Errors
/// [`Error::Patch`] for a file that is no usable patch, [`Error::Overlay`] for an overlay that cannot be edited, and
/// those of finding and writing; nothing has changed then.
pub fn patch(workspace: &Workspace, options: &Options, progress: &mut dyn Progress) -> Result<Patched, Error> {
    let typed = AttrPath::parse(&options.attr).map_err(overlay::Error::from)?;
    refuse_set(&typed)?;
    let scope = options.scope.unwrap_or_default();
    if scope == Scope::Host && scope::is_native(workspace) {
        return Err(crate::queue::Error::NothingCross.into());
    }
    let mut touched = Vec::new();
    for path in &options.files {
        touched.extend(touched_files(&checked(path)?.0));
    }
    let known = match options.offline {
        true => Known::default(),
        false => facts::survey(workspace, options.nixpkgs.as_deref(), options.overlay.as_ref(), &typed)?,
    };
    let Known { facts, survey, owner, mut also, mut warnings } = known;
    let created = match &options.new_overlay {
        Some(path) => Some(overlays::create(workspace, path.as_deref())?),
        None => None,
    };
    let attr = match owner {
        // What the overlay binds already has parted from the other name.
        Some(owner) if created.is_some() || !overlays::binds(workspace, options.overlay.as_ref(), &typed) => owner,
        Some(_) => {
            warnings.retain(|warning| warning.code != "OV1122");
            also.clear();
            typed
        }
        None => typed,
    };
    let costs = match options.scope {
        Some(_) if !options.offline => weigh(workspace, options, &attr, progress, &mut warnings)?,
        _ => None,
    };
    if scope == Scope::Host && costs.as_ref().is_some_and(|costs| costs.native) {
        return Err(crate::queue::Error::NothingCross.into());
    }
    let mut batch = Batch::new(workspace.root());
    let mut composed = None;
    let (overlay, wired, wiring) = match created {
        Some(created) => {
            composed = created.wired;
            let wiring = created.wiring.map(|(line, files)| Wiring { line, files });
            let chosen = overlays::Chosen { file: created.file, select: Select::Only, others: None };
            (chosen, created.settings, wiring)
        }
        None => (overlays::choose(workspace, options.overlay.as_ref(), &attr)?, None, None),
    };
    let queue_dir = queue::dir(workspace, &attr);
    let mut names = queue::files(&queue_dir)?;
    let mut patches = Vec::new();
    let mut elements = Vec::new();
    let overlay_path = overlay.file.path().to_path_buf();
    let as_path = |patch: &QueuedPatch| -> Result<PatchElement, Error> {
        Ok(PatchElement::Path {
            relative: queue::relative(&overlay_path, &patch.path)?,
            from_root: from_root(workspace, &patch.path),
        })
    };
    for path in &options.files {
        let (bytes, subject) = checked(path)?;
        let patch = enqueue(&queue_dir, &mut names, bytes, subject, &mut batch);
        elements.push(as_path(&patch)?);
        patches.push(patch);
    }
    for url in &options.fetch {
        let fetched = fetch::fetch(workspace, options.nixpkgs.as_deref(), &attr, survey.as_ref(), url)?;
        let (bytes, subject) = checked_bytes(Path::new(url), &fetched.bytes, None)?;
        touched.extend(touched_files(&bytes));
        warnings.extend(fetched.warning);
        match fetched.element {
            Some(element) => elements.push(element),
            None => {
                let patch = enqueue(&queue_dir, &mut names, bytes, subject, &mut batch);
                elements.push(as_path(&patch)?);
                patches.push(patch);
            }
        }
    }
    warnings.extend(facts::of_touched(&attr, survey.as_ref(), &touched));
    let request = PatchRequest {
        attr: attr.clone(),
        elements,
        position: options.position.map(|p| p.saturating_sub(1)),
        scope,
        facts,
        attribute: facts::attribute(survey.as_ref(), &touched),
    };
    let is_kernel =
        survey.as_ref().map_or(attr.to_string() == "linux" || attr.first().starts_with("linux_"), |s| s.is_kernel);
    if is_kernel && let Some(patch) = patches.first() {
        warnings.extend(nixos_kernel(workspace, patch));
    }
    also.retain(|other| is_ours(&overlay, other, &queue_dir));
    let mut steps = Steps::on(&overlay.file);
    let mut add = |attr: &AttrPath| {
        let request = PatchRequest { attr: attr.clone(), ..request.clone() };
        steps.take(|file, files| file.add_patches(files, overlay.select, &request))
    };
    let planned = add(&attr)?;
    warnings.extend(planned.warnings);
    for other in &also {
        warnings.extend(add(other)?.warnings);
    }
    let mut changes = steps.changes();
    if options.new_overlay.is_some() {
        for change in &mut changes {
            change.old = String::new();
        }
    } else {
        warnings.extend(overlays::rival_warnings(workspace, overlay, &planned.function, &attr));
    }
    changes.extend(composed);
    if let Some((path, old, new)) = wired {
        changes.push(FileChange { path, edits: TextEdits::default(), old, new });
    }
    for change in &changes {
        batch.write(&change.path, change.new.as_bytes());
    }
    let unchanged = batch.changes().is_empty();
    let files: Vec<PathBuf> = batch.changes();
    let mut made_visible = Vec::new();
    if !options.dry_run {
        batch.commit()?;
        made_visible =
            make_visible(workspace, &patches.iter().map(|p| p.path.clone()).chain(files.clone()).collect::<Vec<_>>())?;
    }
    Ok(Patched {
        attr,
        also,
        unchanged,
        dry_run: options.dry_run,
        change: planned.change,
        overlay: planned.function.to_string(),
        patches,
        files,
        diff: diff(&changes),
        made_visible,
        wiring,
        costs,
        warnings,
    })
}

/// Says what the patch costs in both scopes, before it is written; that this cannot be said is a warning.
fn weigh(
    workspace: &Workspace,
    options: &Options,
    attr: &AttrPath,
    progress: &mut dyn Progress,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Costs>, Error> {
    let Some(mut selection) = scope::shipped(workspace) else {
        warnings.push(Warning {
            code: "OV1134",
            message: "no target is named, so what the scopes cost is not known".into(),
            place: None,
            hint: Some("name what is shipped in overlayctl.toml: `targets`, or a board with `packages`".into()),
        });
        return Ok(None);
    };
    selection.nixpkgs = options.nixpkgs.clone();
    match scope::costs(workspace, &attr.to_string(), &selection, progress) {
        Ok(costs) => Ok(Some(costs)),
        Err(error) if options.nixpkgs.is_some() && matches!(error, Error::Config(_)) => Err(error),
        Err(error) => {
            warnings.push(Warning {
                code: "OV1134",
                message: format!("what the scopes cost is not known: {error}"),
                place: None,
                hint: None,
            });
            Ok(None)
        }
    }
}

/// Offers NixOS's own way to patch a kernel where a configuration of the workspace chooses its kernel.
fn nixos_kernel(workspace: &Workspace, patch: &QueuedPatch) -> Option<Warning> {
    let words = ["boot.kernelPatches", "boot.kernelPackages"];
    let (path, text, word) = words.iter().find_map(|word| {
        let path = workspace.files_having(&|text: &str| text.contains(word)).into_iter().next()?;
        Some((path.clone(), fs::read_text(&path).ok()?, word))
    })?;
    let at = text.find(word)?;
    let relative = queue::relative(&path, &patch.path).ok()?;
    let name = patch.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Some(Warning {
        code: "OV1135",
        message: format!(
            "`{word}` is set in a NixOS configuration: there the patch needs no overlay, and only that kernel is rebuilt"
        ),
        place: Some(Place::in_text(&path, &text, Span::new(at, at + word.len()))),
        hint: Some(format!("boot.kernelPatches = [ {{ name = \"{name}\"; patch = {relative}; }} ];")),
    })
}

/// Says whether the overlay binds another name of the package not at all, or as one that has patches of its queue: what the
/// user bound under that name is a package of its own.
fn is_ours(overlay: &overlays::Chosen, other: &AttrPath, queue_dir: &Path) -> bool {
    let file = &overlay.file;
    let ours = |package: &overlay::PatchedPackage| overlays::in_queue(file, package, queue_dir).next().is_some();
    !overlay.binds(other) || file.patched_packages().iter().any(|package| package.attr == *other && ours(package))
}

/// Refuses a package that is named in a set which is made from the whole package set again: an overlay holds in all.
fn refuse_set(attr: &AttrPath) -> Result<(), Error> {
    let sets = |name: &str| {
        name.starts_with("pkgs") && name != "pkgs-lib" || matches!(name, "buildPackages" | "targetPackages" | "pkgs")
    };
    let mut depth = 0;
    while let Some(name) = attr.names().get(depth).filter(|name| sets(name)) {
        depth += if name == "pkgsCross" { 2 } else { 1 };
    }
    let inner = AttrPath::from_names(attr.names().iter().skip(depth).cloned());
    match inner {
        _ if depth == 0 => Ok(()),
        inner => Err(crate::queue::Error::InPackageSet { attr: attr.clone(), inner }.into()),
    }
}
