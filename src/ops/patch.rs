//! `patch`: a patch file into the queue of a package and into the overlay.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Error, Outcome, overlays, queue};
use crate::base::diagnostic::Warning;
use crate::base::fs::{self, Batch};
use crate::config::Workspace;
use crate::git;
pub use crate::overlay::Scope;
use crate::overlay::{self, AttrPath, Change, Facts, FileChange, PatchElement, PatchRequest};
use crate::patch::queue::QueueName;
use crate::patch::{self, PatchFile, normalise};
use crate::view::{Block, Document, Role, Text};

use super::facts;

/// What `patch` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The package, as typed.
    pub attr: String,
    /// The patch files, as typed.
    pub files: Vec<PathBuf>,
    /// The overlay, when named.
    pub overlay: Option<overlays::Choice>,
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
    /// What the user should know.
    pub warnings: Vec<Warning>,
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
    let attr = AttrPath::parse(&options.attr).map_err(overlay::Error::from)?;
    let queue_dir = queue::dir(workspace, &attr);
    let mut batch = Batch::new(workspace.root());
    let patches = enqueue(&queue_dir, &options.files, &mut batch)?;
    let (file, select) = overlays::choose(workspace, options.overlay.as_ref(), &attr)?;
    let overlay_path = file.path().to_path_buf();
    let elements = patches
        .iter()
        .map(|patch| {
            Ok(PatchElement::Path {
                relative: queue::relative(&overlay_path, &patch.path)?,
                from_root: from_root(workspace, &patch.path),
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let (known, mut warnings) = match options.offline {
        true => (Facts::default(), Vec::new()),
        false => facts::ask(workspace, options.nixpkgs.as_deref(), &attr)?,
    };
    let request = PatchRequest {
        attr: attr.clone(),
        elements,
        position: options.position.map(|p| p.saturating_sub(1)),
        scope: options.scope,
        facts: known,
    };
    let planned = file.add_patches(&overlays::Disk, select, &request)?;
    warnings.extend(planned.warnings);
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
        warnings,
    })
}

/// Reads the patch files, checks them, and plans their copies; a file whose bytes the queue has already keeps its name.
fn enqueue(queue_dir: &Path, files: &[PathBuf], batch: &mut Batch) -> Result<Vec<QueuedPatch>, Error> {
    let mut names = queue::files(queue_dir)?;
    let mut queued = Vec::with_capacity(files.len());
    for path in files {
        let (bytes, subject) = checked(path)?;
        let same = |name: &&String| fs::read(&queue_dir.join(name)).is_ok_and(|old| old == bytes);
        if let Some(name) = names.iter().find(same) {
            queued.push(QueuedPatch { path: queue_dir.join(name), subject, new: false });
            continue;
        }
        let name = QueueName::new(patch::queue::next_number(&names), &subject).file_name();
        batch.write(queue_dir.join(&name), bytes);
        queued.push(QueuedPatch { path: queue_dir.join(&name), subject, new: true });
        names.push(name);
    }
    Ok(queued)
}

/// Reads a patch file; returns its bytes as they go into the queue (for `-p1`) and its subject.
///
/// # Errors
/// [`Error::Patch`] with the place of what is wrong.
pub(super) fn checked(path: &Path) -> Result<(Vec<u8>, String), Error> {
    checked_bytes(path, &fs::read(path)?, None)
}

/// Checks the bytes of a patch that came from `path`; with the `-pN` that its names are for, when that is known.
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
