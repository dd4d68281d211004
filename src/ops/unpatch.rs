//! `unpatch`: the inverse of `patch`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::patch::diff;
use super::{Error, Outcome, overlays, queue};
use crate::base::diagnostic::Warning;
use crate::base::fs::{self, Batch};
use crate::config::Workspace;
use crate::overlay::{self, AttrPath, Change, Element, OverlayFile, PatchElement, PatchedPackage, Select};
use crate::view::{Block, Document, Role, Text};

/// What `unpatch` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The package, as typed.
    pub attr: String,
    /// The patch: file name, number or path; all when `None`.
    pub patch: Option<String>,
    /// The overlay, when named.
    pub overlay: Option<overlays::Choice>,
    /// Whether the patch file stays.
    pub keep_file: bool,
    /// Whether nothing is written.
    pub dry_run: bool,
}

/// What was taken off.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unpatched {
    /// The package.
    pub attr: AttrPath,
    /// Whether nothing had to be done.
    pub unchanged: bool,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// What happens to the overlay.
    pub change: Option<Change>,
    /// The overlay files that change, and the patch files that go.
    pub files: Vec<PathBuf>,
    /// The patch files that go.
    pub removed: Vec<PathBuf>,
    /// The change as a unified diff.
    pub diff: String,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// Takes patches off a package.
///
/// # Errors
/// [`Error::NotPatched`] when there is no such patch, [`Error::WhichOverlay`] when several overlays have it, and those
/// of finding and writing; nothing has changed then.
pub fn unpatch(workspace: &Workspace, options: &Options) -> Result<Unpatched, Error> {
    let attr = AttrPath::parse(&options.attr).map_err(overlay::Error::from)?;
    let queue_dir = queue::dir(workspace, &attr);
    let files = files(workspace, options.overlay.as_ref(), &attr)?;
    let line = options.overlay.as_ref().and_then(|choice| choice.line);
    let matching: Vec<(&OverlayFile, PatchedPackage, Vec<Element>)> = files
        .iter()
        .flat_map(|file| patched(file, &attr, line).into_iter().map(move |package| (file, package)))
        .filter_map(|(file, package)| {
            let wanted: Vec<Element> = package
                .elements
                .iter()
                .filter(|e| is_meant(e, file, &queue_dir, options.patch.as_deref()))
                .cloned()
                .collect();
            (!wanted.is_empty()).then_some((file, package, wanted))
        })
        .collect();
    let [(file, package, wanted)] = matching.as_slice() else {
        return Err(match matching.is_empty() {
            true => Error::NotPatched { attr, patch: options.patch.clone() },
            false => Error::WhichOverlay {
                attr,
                candidates: matching.into_iter().map(|(_, package, _)| package.function).collect(),
                bound: true,
            },
        });
    };
    let select = package.function.span.map_or(Select::Only, |span| Select::Offset(span.start));
    let which: Vec<PatchElement> = wanted.iter().map(named).collect();
    let planned = file.remove_patches(&overlays::Disk, select, &attr, &which)?;
    let mut batch = Batch::new(workspace.root());
    for change in &planned.changes {
        batch.write(&change.path, change.new.as_bytes());
    }
    let mut removed = Vec::new();
    if !options.keep_file {
        // Only files of the queue: a patch that stands elsewhere is the user's.
        removed.extend(
            wanted.iter().filter_map(|e| on_disk(e, file.path())).filter_map(|path| in_queue(&path, &queue_dir)),
        );
    }
    for path in &removed {
        batch.remove(path);
    }
    let files = batch.changes();
    let last = !options.keep_file && queue::files(&queue_dir)?.len() == removed.len();
    if !options.dry_run {
        batch.commit()?;
        if last {
            // The folder that `patch` made goes with its last patch; one that holds something else stays.
            fs::remove_dir_if_empty(&queue_dir);
        }
    }
    Ok(Unpatched {
        attr,
        unchanged: files.is_empty(),
        dry_run: options.dry_run,
        change: Some(planned.change),
        files,
        removed,
        diff: diff(&planned.changes),
        warnings: planned.warnings,
    })
}

/// Returns the overlay files to look in.
fn files(workspace: &Workspace, choice: Option<&overlays::Choice>, attr: &AttrPath) -> Result<Vec<OverlayFile>, Error> {
    match choice {
        Some(choice) => Ok(vec![overlays::open(&choice.path)?]),
        None => {
            let files = overlays::opened(&workspace.overlay_candidates());
            if files.iter().any(|file| !patched(file, attr, None).is_empty()) {
                return Ok(files);
            }
            Ok(files
                .into_iter()
                .chain(overlays::opened(&workspace.further_overlay_candidates(&workspace.overlay_candidates())))
                .collect())
        }
    }
}

/// Returns where the overlays of a file patch `attr`; those of the function on `line` when it is given.
fn patched(file: &OverlayFile, attr: &AttrPath, line: Option<usize>) -> Vec<PatchedPackage> {
    let on_line = |p: &PatchedPackage| line.is_none_or(|line| p.function.line_col.is_some_and(|at| at.line == line));
    file.patched_packages().into_iter().filter(|p| p.attr == *attr && on_line(p)).collect()
}

/// Returns an element as it is asked for again.
fn named(element: &Element) -> PatchElement {
    match &element.url {
        Some(url) => PatchElement::Fetch { url: url.clone(), hash_attr: String::new(), hash: String::new() },
        None => PatchElement::path(element.path.clone().unwrap_or_else(|| element.text.clone())),
    }
}

/// Returns the file that an element names.
pub(super) fn on_disk(element: &Element, overlay: &Path) -> Option<PathBuf> {
    let written = element.path.as_deref()?;
    let dir = overlay.parent().unwrap_or(Path::new(""));
    let path = dir.join(written).canonicalize().ok()?;
    path.is_file().then_some(path)
}

/// Returns the path of a queue's file as the user would write it; `None` for any other file.
fn in_queue(path: &Path, queue_dir: &Path) -> Option<PathBuf> {
    let dir = queue_dir.canonicalize().ok()?;
    (path.parent()? == dir).then(|| queue_dir.join(path.file_name().unwrap_or_default()))
}

/// Says whether an element is the patch that the user named by number, file name or path; without a name, whether it is
/// a file of the package's queue.
fn is_meant(element: &Element, file: &OverlayFile, queue_dir: &Path, named: Option<&str>) -> bool {
    let path = on_disk(element, file.path());
    let Some(named) = named else { return path.is_some_and(|path| in_queue(&path, queue_dir).is_some()) };
    let name = element.path.as_deref().and_then(|p| Path::new(p).file_name()).map(|n| n.to_string_lossy().into_owned());
    let number = named.parse::<u32>().ok();
    let same_number = name
        .as_deref()
        .and_then(crate::patch::queue::QueueName::parse)
        .is_some_and(|queued| number == Some(queued.number));
    let same_file = Path::new(named).canonicalize().ok().is_some_and(|meant| path == Some(meant));
    same_number
        || same_file
        || name.as_deref() == Some(named)
        || element.path.as_deref() == Some(named)
        || element.url.as_deref() == Some(named)
}

impl Outcome for Unpatched {
    const SCHEMA: &'static str = "overlayctl.unpatch/1";

    fn document(&self, _verbose: bool) -> Document {
        let mut document = Document::new();
        let (wrote, removed) = if self.dry_run { ("would write ", "would remove ") } else { ("wrote ", "removed ") };
        for path in &self.removed {
            document.line(Text::new().with(Role::Good, removed).plain(path.display().to_string()));
        }
        for path in self.files.iter().filter(|path| !self.removed.contains(path)) {
            document.line(Text::new().with(Role::Good, wrote).plain(path.display().to_string()));
        }
        document.push(Block::Diff(self.diff.clone()));
        document
    }
}
