//! `patch`: a patch file into the queue of a package and into the overlay.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::facts::{self, Known};
use super::{Error, Outcome, fetch, overlays, queue};
use crate::base::diagnostic::Warning;
use crate::base::edit::TextEdits;
use crate::base::fs::{self, Batch};
use crate::config::Workspace;
use crate::git;
pub use crate::overlay::Scope;
use crate::overlay::{self, AttrPath, Change, FileChange, PatchElement, PatchRequest, Select};
use crate::patch::queue::QueueName;
use crate::patch::{self, PatchFile, normalise};
use crate::view::{Block, Document, Role, Text};

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
    /// Where the patches hold.
    pub scope: Scope,
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

/// One patch of a queue.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedPatch {
    /// Its file in the queue.
    pub path: PathBuf,
    /// What it says it does.
    pub subject: String,
    /// Whether the file is new.
    pub new: bool,
}

/// Puts patches on a package.
///
/// # Errors
/// [`Error::Patch`] for a file that is no usable patch, [`Error::Overlay`] for an overlay that cannot be edited, and
/// those of finding and writing; nothing has changed then.
pub fn patch(workspace: &Workspace, options: &Options) -> Result<Patched, Error> {
    let typed = AttrPath::parse(&options.attr).map_err(overlay::Error::from)?;
    refuse_set(&typed)?;
    if options.scope == Scope::Host && facts::is_native(workspace) {
        return Err(Error::NothingCross);
    }
    let mut touched = Vec::new();
    for path in &options.files {
        touched.extend(touched_files(&checked(path)?.0));
    }
    let known = match options.offline {
        true => Known::default(),
        false => facts::survey(workspace, options.nixpkgs.as_deref(), options.overlay.as_ref(), &typed)?,
    };
    let Known { facts, survey, owner, mut warnings } = known;
    let created = match &options.new_overlay {
        Some(path) => Some(overlays::create(workspace, path.as_deref())?),
        None => None,
    };
    let attr = match owner {
        // What the overlay binds already has parted from the other name.
        Some(owner) if created.is_some() || !overlays::binds(workspace, options.overlay.as_ref(), &typed) => owner,
        Some(_) => {
            warnings.retain(|warning| warning.code != "OV1122");
            typed
        }
        None => typed,
    };
    let mut batch = Batch::new(workspace.root());
    let (file, select, wired, wiring) = match created {
        Some(created) => {
            let wiring = created.wiring.map(|(line, files)| Wiring { line, files });
            (created.file, Select::Only, created.settings, wiring)
        }
        None => {
            let (file, select) = overlays::choose(workspace, options.overlay.as_ref(), &attr)?;
            (file, select, None, None)
        }
    };
    let queue_dir = queue::dir(workspace, &attr);
    let mut names = queue::files(&queue_dir)?;
    let mut patches = Vec::new();
    let mut elements = Vec::new();
    let overlay_path = file.path().to_path_buf();
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
        scope: options.scope,
        facts,
        attribute: None,
    };
    let mut planned = file.add_patches(&overlays::Disk, select, &request)?;
    warnings.append(&mut planned.warnings);
    if options.new_overlay.is_some() {
        for change in &mut planned.changes {
            change.old = String::new();
        }
    } else {
        warnings.extend(overlays::rival_warnings(workspace, &planned.function, &attr));
    }
    if let Some((path, old, new)) = wired {
        planned.changes.push(FileChange { path, edits: TextEdits::default(), old, new });
    }
    for change in &planned.changes {
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
        unchanged,
        dry_run: options.dry_run,
        change: planned.change,
        overlay: planned.function.to_string(),
        patches,
        files,
        diff: diff(&planned.changes),
        made_visible,
        wiring,
        warnings,
    })
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
        inner => Err(Error::InPackageSet { attr: attr.clone(), inner }),
    }
}

/// Returns the files that a patch changes, as it names them for `-p1`.
fn touched_files(bytes: &[u8]) -> Vec<String> {
    let targets = PatchFile::parse(bytes).ok().and_then(|patch| patch.check(1).ok()).unwrap_or_default();
    targets.iter().map(|target| target.path().to_string()).collect()
}

/// Plans the copy of a patch; a file whose bytes the queue has already keeps its name.
fn enqueue(
    queue_dir: &Path,
    names: &mut Vec<String>,
    bytes: Vec<u8>,
    subject: String,
    batch: &mut Batch,
) -> QueuedPatch {
    let same = |name: &&String| fs::read(&queue_dir.join(name)).is_ok_and(|old| old == bytes);
    if let Some(name) = names.iter().find(same) {
        return QueuedPatch { path: queue_dir.join(name), subject, new: false };
    }
    let name = QueueName::new(patch::queue::next_number(&*names), &subject).file_name();
    batch.write(queue_dir.join(&name), bytes);
    names.push(name.clone());
    QueuedPatch { path: queue_dir.join(&name), subject, new: true }
}

/// Reads a patch file; returns its bytes as they go into the queue (for `-p1`) and its subject.
///
/// # Errors
/// [`Error::Patch`] with the place of what is wrong.
pub(super) fn checked(path: &Path) -> Result<(Vec<u8>, String), Error> {
    checked_bytes(path, &fs::read(path)?, None)
}

/// Checks the bytes of a patch that came from `path`, which may be an address; with the `-pN` that its names are for, when that
/// is known.
///
/// # Errors
/// As [`checked`].
pub(super) fn checked_bytes(path: &Path, bytes: &[u8], level: Option<usize>) -> Result<(Vec<u8>, String), Error> {
    let in_file = |e: patch::Error| Error::Patch(e.in_file(path));
    let parsed = PatchFile::parse(bytes).map_err(in_file)?;
    if parsed.crlf() {
        return Err(Error::CrlfPatch { path: path.to_path_buf() });
    }
    // A name that leaves the tree is that, whatever the -p level; one that is too short for -p1 is brought to it below.
    match parsed.check(level.unwrap_or(1)) {
        Ok(_) | Err(patch::Error::StripTooDeep { .. }) => {}
        Err(error) => return Err(in_file(error)),
    }
    let stored = match level {
        Some(level) => patch::normalise_from(&parsed, level),
        None => normalise(&parsed),
    }
    .map_err(in_file)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let from_stem = QueueName::parse(&format!("{stem}.patch")).map_or(stem, |name| name.slug);
    let subject = parsed.headers().subject.filter(|s| !s.trim().is_empty()).unwrap_or(from_stem);
    PatchFile::parse(&stored).map_err(in_file)?.check(1).map_err(in_file)?;
    Ok((stored, subject))
}

/// Returns the patch relative to the root of the flake, when the workspace is one.
pub(super) fn from_root(workspace: &Workspace, patch: &Path) -> Option<String> {
    let relative = queue::relative(&workspace.path("flake.nix"), patch).ok()?;
    workspace.path("flake.nix").is_file().then(|| relative.trim_start_matches("./").to_string())
}

/// Makes new files visible to a flake, which sees only what git knows.
pub(super) fn make_visible(workspace: &Workspace, files: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    if !workspace.path("flake.nix").is_file() {
        return Ok(Vec::new());
    }
    Ok(git::make_visible(workspace.root(), files)?)
}

/// Returns the changes of the overlay files as one unified diff.
pub(super) fn diff(changes: &[FileChange]) -> String {
    let mut out = String::new();
    for change in changes {
        let path = change.path.display().to_string();
        let diff = similar::TextDiff::from_lines(&change.old, &change.new);
        out.push_str(
            &diff.unified_diff().context_radius(3).header(&format!("a/{path}"), &format!("b/{path}")).to_string(),
        );
    }
    out
}

impl Outcome for Patched {
    const SCHEMA: &'static str = "overlayctl.patch/1";

    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        if self.unchanged {
            document.line(
                Text::new().with(Role::Name, self.attr.to_string()).plain(" is already as asked; nothing changed"),
            );
            return document;
        }
        let would = if self.dry_run { "would write" } else { "wrote" };
        for patch in self.patches.iter().filter(|patch| self.files.contains(&patch.path)) {
            document.line(
                Text::new()
                    .with(Role::Good, format!("{would} "))
                    .plain(patch.path.display().to_string())
                    .with(Role::Dim, format!("  {}", patch.subject)),
            );
        }
        if !self.diff.is_empty() {
            document.line(Text::new().with(Role::Good, format!("{would} ")).plain(&self.overlay));
            document.push(Block::Diff(self.diff.clone()));
        }
        for path in &self.made_visible {
            document.line(
                Text::new()
                    .with(Role::Dim, "git     ")
                    .plain(format!("{} is now known to git, so that the flake sees it", path.display())),
            );
        }
        if let Some(wiring) = &self.wiring {
            document.blank();
            let files: Vec<String> = wiring.files.iter().map(|file| file.display().to_string()).collect();
            let at = if files.is_empty() { "where nixpkgs is imported".to_string() } else { files.join(" or ") };
            document.line(format!("The new overlay is used once it is wired in ({at}):"));
            document.line(Text::new().plain("    ").with(Role::Command, &wiring.line));
        }
        if !self.dry_run {
            document.blank();
            document.line(
                Text::new()
                    .plain("Next: ")
                    .with(Role::Command, "overlayctl impact --target TARGET")
                    .plain(" says what that rebuilds"),
            );
        }
        document
    }
}
