//! `patch`: a patch file into the queue of a package and into the overlay.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::scope::{self, Costs};
use crate::base::diagnostic::Warning;
use crate::base::edit::TextEdits;
use crate::base::fs::{self, Batch};
use crate::base::progress::Progress;
use crate::base::span::{Place, Span};
use crate::config::Workspace;
use crate::ops::{Error, Outcome};
pub use crate::overlay::Scope;
use crate::overlay::{self, AttrPath, Change, Facts, FileChange, PatchElement, PatchRequest, Select};
use crate::queue;
use crate::queue::choose::{self, Spot};
use crate::queue::discover::{self, Choice};
use crate::queue::facts::{self, Bound, Known};
use crate::queue::level::{self, Level};
use crate::queue::model::Asking;
use crate::queue::rewrite::{diff, from_root, make_visible};
use crate::queue::stored::{self, Given, QueuedPatch, enqueue};
use crate::queue::trial::{self, Trial};
use crate::queue::{Steps, fetch};

/// What `patch` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    pub attr: String,
    pub files: Vec<PathBuf>,
    /// Addresses of patches, which come after the files.
    pub fetch: Vec<String>,
    /// The overlay, when named.
    pub overlay: Option<Choice>,
    /// Whether the overlay is a new one, and where; in the place by custom when that is `None`.
    pub new_overlay: Option<Option<PathBuf>>,
    /// How many leading directories the names in the patches have, where the user says so.
    pub strip: Option<usize>,
    pub dry_run: bool,
    /// The place in the queue, from 1.
    pub position: Option<usize>,
    /// Where the patches hold; in every stage when it was not said.
    pub scope: Option<Scope>,
    pub nixpkgs: Option<String>,
    /// Whether Nix is not asked about the package.
    pub offline: bool,
}

/// What `patch` or `unpatch` did, or would do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Patched {
    pub attr: AttrPath,
    /// Other names of the same package, which got the patch as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<AttrPath>,
    pub unchanged: bool,
    pub dry_run: bool,
    pub change: Change,
    /// The overlay function: a file, line and column.
    pub overlay: String,
    pub patches: Vec<QueuedPatch>,
    pub files: Vec<PathBuf>,
    pub diff: String,
    /// Files that git did not know and that were made visible to Nix.
    pub made_visible: Vec<PathBuf>,
    /// How the new overlay is to be wired in by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wiring: Option<Wiring>,
    /// What the patch costs in both scopes, where a scope was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
    pub warnings: Vec<Warning>,
}

/// What the user has to add for a new overlay to be used.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wiring {
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
    // Read once: what was typed may be a pipe.
    let given: Vec<_> = options.files.iter().map(|path| Given::read(path, options.strip)).collect::<Result<_, _>>()?;
    let how = Asking { nixpkgs: options.nixpkgs.as_deref(), offline: options.offline };
    let series = level::series_of(workspace, options.overlay.as_ref(), &typed);
    // Both are asked at a time: the package that is meant is nearly always the one that was typed.
    let (known, level) = rayon::join(
        || match options.offline {
            true => Ok(Known::default()),
            false => facts::survey(workspace, how.nixpkgs, options.overlay.as_ref(), &typed),
        },
        || Level::of(workspace, how, &series),
    );
    let Known { facts, survey, owner, mut also, mut warnings } = known?;
    let created = match &options.new_overlay {
        Some(path) => Some(queue::create(workspace, path.as_deref())?),
        None => None,
    };
    let (attr, facts) = match owner {
        // What the overlay binds already has parted from the other name.
        Some(owner) if created.is_some() || !discover::binds(workspace, options.overlay.as_ref(), &typed) => {
            (owner.attr, owner.facts)
        }
        Some(_) => {
            warnings.retain(|warning| warning.code != "OV1122");
            also.clear();
            (typed.clone(), facts)
        }
        None => (typed.clone(), facts),
    };
    let costs = match options.scope {
        Some(_) if !options.offline => weigh(workspace, options, &attr, progress, &mut warnings)?,
        _ => None,
    };
    if scope == Scope::Host && costs.as_ref().is_some_and(|costs| costs.native) {
        return Err(queue::Error::NothingCross.into());
    }
    let (mut coming, mut touched) = (Coming::default(), Vec::new());
    let series = level::series_of(workspace, options.overlay.as_ref(), &attr);
    let mut level = if attr == typed { level } else { Level::of(workspace, how, &series) };
    for given in given {
        let stored = level.store(&given)?;
        warnings.extend(stored::warnings(&given.path, &stored.bytes));
        touched.extend(stored.files);
        coming.0.push(Incoming::File { bytes: stored.bytes, subject: stored.subject });
    }
    for url in &options.fetch {
        let fetched = fetch::fetch(workspace, options.nixpkgs.as_deref(), &attr, survey.as_ref(), url)?;
        let stored = level.store(&Given::of(Path::new(url), &fetched.bytes, options.strip)?)?;
        touched.extend(stored.files);
        warnings.extend(fetched.warning);
        match fetched.element {
            // What fetchpatch makes is for -p1.
            Some(element) if level.strip == 1 && stored.bytes == fetched.bytes => {
                coming.0.push(Incoming::Element(element));
            }
            _ => coming.0.push(Incoming::File { bytes: stored.bytes, subject: stored.subject }),
        }
    }
    // That Nix was not asked at all is said once.
    let not_asked = warnings.iter().any(|w| w.code == "OV1006");
    warnings.extend(level.warnings().into_iter().filter(|w| !(not_asked && w.code == "OV1164")));
    warnings.extend(facts::of_touched(&attr, survey.as_ref(), &touched));
    let request = PatchRequest {
        attr: attr.clone(),
        elements: Vec::new(),
        position: options.position.map(|p| p.saturating_sub(1)),
        scope,
        facts,
        attribute: facts::attribute(survey.as_ref(), &touched),
    };
    let is_kernel =
        survey.as_ref().map_or(attr.to_string() == "linux" || attr.first().starts_with("linux_"), |s| s.is_kernel);
    let queue_dir = queue::dir(workspace, &attr);
    let mut draft = |spot: Spot<'_>| {
        draft(workspace, &queue_dir, spot, &request, &also, &coming).map_err(|error| match (error, &survey) {
            (queue::Error::Overlay(overlay::Error::UnknownScope { .. }), Some(survey)) => queue::Error::NoWay {
                attr: attr.clone(),
                why: survey.facts.failure.as_ref().map(|failure| failure.message.clone()),
            },
            (error, _) => error,
        })
    };
    let mut trial = match options.offline {
        true => None,
        false => match Trial::begin(workspace, options.nixpkgs.as_deref(), std::slice::from_ref(&attr))? {
            Ok(trial) => Some(trial),
            // That Nix was not asked was said already.
            Err(why) => {
                warnings.extend((!warnings.iter().any(|w| w.code == "OV1006")).then(|| choose::not_tried(&attr, &why)));
                None
            }
        },
    };
    let (mut settings, mut composed, mut wiring) = (None, None, None);
    if let Some(created) = &created {
        composed = created.wired.clone();
        settings =
            created.settings.clone().map(|(path, old, new)| FileChange { path, edits: TextEdits::default(), old, new });
        wiring = created.wiring.clone().map(|(line, files)| Wiring { line, files });
    }
    let others: Vec<FileChange> = composed.into_iter().chain(settings).collect();
    let is_tried = trial.is_some();
    let mut try_it = |draft: &Draft, warnings: &mut Vec<Warning>| match &mut trial {
        Some(trial) => {
            let files = draft
                .changes
                .iter()
                .chain(&others)
                .map(|change| (change.path.clone(), change.new.clone().into_bytes()));
            let written: Vec<(PathBuf, Vec<u8>)> = files.chain(draft.files.iter().cloned()).collect();
            let wanted: Vec<PathBuf> = draft.patches.iter().map(|patch| patch.path.clone()).collect();
            let attrs = std::slice::from_ref(&attr);
            let appends = options.position.is_none();
            let change = trial::Change { attrs, written: &written, wanted: &wanted, appends, ..Default::default() };
            trial.of(&change, warnings)
        }
        None => Ok(trial::Outcome::InEffect(Vec::new())),
    };
    let chosen = match &created {
        Some(created) => {
            let made = draft(Spot { file: &created.file, select: Select::Only, candidate: None, may_load: false })?;
            let mut told = Vec::new();
            match try_it(&made, &mut told)? {
                trial::Outcome::NoEffect(_) if wiring.is_some() => {}
                trial::Outcome::NoEffect(why) => told.push(choose::no_effect(&why, created.file.path())),
                trial::Outcome::Damage(why) => {
                    let place = Place::file(created.file.path());
                    return Err(queue::Error::Damage { attr, why, place }.into());
                }
                trial::Outcome::InEffect(_) | trial::Outcome::Exported(_) | trial::Outcome::Unknown(_) => {}
            }
            choose::Chosen { plan: made, warnings: told }
        }
        None => {
            let asked: choose::Try<'_, Draft> = if is_tried { Some(&mut try_it) } else { None };
            choose::choose(workspace, options.overlay.as_ref(), &attr, &mut draft, asked)?
        }
    };
    let Draft { planned, mut changes, patches, files: new_files, also, by_other_name } = chosen.plan;
    // How a scope is overridden is told where it is.
    warnings.retain(|warning| !(by_other_name && warning.code == "OV1137"));
    warnings.extend(chosen.warnings);
    warnings.extend(planned.warnings);
    if is_kernel && let Some(patch) = patches.first() {
        warnings.extend(nixos_kernel(workspace, patch));
    }
    if options.new_overlay.is_some() {
        for change in &mut changes {
            change.old = String::new();
        }
    }
    changes.extend(others);
    let mut batch = Batch::new(workspace.root());
    for (path, bytes) in new_files {
        batch.write(path, bytes);
    }
    for change in &changes {
        let is_new = created.as_ref().is_some_and(|created| created.file.path() == change.path);
        batch.replace(&change.path, (!is_new).then_some(change.old.as_bytes()), change.new.as_bytes());
    }
    let files: Vec<PathBuf> = batch.changes();
    let unchanged = files.is_empty();
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

/// The patches that come, in order: an element as it is written, or a file for the queue with its subject.
#[derive(Default)]
struct Coming(Vec<Incoming>);

enum Incoming {
    Element(PatchElement),
    File { bytes: Vec<u8>, subject: String },
}

/// What would be written for one overlay.
struct Draft {
    planned: overlay::Planned,
    changes: Vec<FileChange>,
    patches: Vec<QueuedPatch>,
    files: Vec<(PathBuf, Vec<u8>)>,
    also: Vec<AttrPath>,
    /// Whether they go to where the overlay has the package by another name.
    by_other_name: bool,
}

/// Plans the patches in one overlay.
fn draft(
    workspace: &Workspace,
    queue_dir: &Path,
    spot: Spot<'_>,
    request: &PatchRequest,
    also: &[Bound],
    coming: &Coming,
) -> Result<Draft, queue::Error> {
    let mut names = queue::files(queue_dir)?;
    let (mut patches, mut files, mut elements) = (Vec::new(), Vec::new(), Vec::new());
    for one in &coming.0 {
        match one {
            Incoming::Element(element) => elements.push(element.clone()),
            Incoming::File { bytes, subject } => {
                let patch = enqueue(queue_dir, &mut names, bytes, subject);
                if patch.new {
                    files.push((patch.path.clone(), bytes.clone()));
                }
                elements.push(PatchElement::Path {
                    relative: queue::relative(spot.file.path(), &patch.path)?,
                    from_root: from_root(workspace, &patch.path),
                });
                patches.push(patch);
            }
        }
    }
    if patches.len() == elements.len()
        && let Some(planned) = discover::loaded(&spot, &request.attr, queue_dir)
    {
        return Ok(Draft { planned, changes: Vec::new(), patches, files, also: Vec::new(), by_other_name: false });
    }
    let also = also.iter().filter(|other| is_ours(&spot, &other.attr, queue_dir));
    let mut steps = Steps::on(spot.file);
    let mut add = |attr: &AttrPath, facts: &Facts| {
        let (attr, facts) = (attr.clone(), facts.clone());
        let request = PatchRequest { attr, facts, elements: elements.clone(), ..request.clone() };
        steps.take(|file, files| file.add_patches(files, spot.select, &request))
    };
    let other_name = queue::bound_as(spot.file, &request.attr, queue_dir);
    let by_other_name = other_name.is_some();
    let mut planned = match other_name {
        // How its scope is overridden stands there already.
        Some(other) => add(&other, &Facts { scope: None, ..request.facts.clone() })?,
        None => add(&request.attr, &request.facts)?,
    };
    let mut named = Vec::new();
    for other in also {
        planned.warnings.extend(add(&other.attr, &other.facts)?.warnings);
        named.push(other.attr.clone());
    }
    Ok(Draft { planned, changes: steps.changes(), patches, files, also: named, by_other_name })
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
fn is_ours(spot: &Spot<'_>, other: &AttrPath, queue_dir: &Path) -> bool {
    let ours = |package: &overlay::PatchedPackage| queue::in_queue(spot.file, package, queue_dir).next().is_some();
    !discover::binds_in(spot.file, spot.select, other)
        || spot.file.patched_packages().iter().any(|package| package.attr == *other && ours(package))
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

impl Outcome for Patched {
    const SCHEMA: &'static str = "overlayctl.patch/1";
}
