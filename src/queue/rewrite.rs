//! A queue replaced by another: the patch files and the overlay's list in one batch, so that all is new or all is old.
//!
//! The overlay is changed by the overlay room's own edits, one after the other on the text in memory; what comes out is
//! checked to name exactly the wanted patches in their order. Must not write: the batch is handed back.

use std::path::{Component, Path, PathBuf};

use super::Error;
use crate::base::diagnostic::Warning;
use crate::base::fs::{self, Batch};
use crate::base::span::Place;
use crate::config::Workspace;
use crate::overlay::{Facts, FileChange, OverlayFile, PatchElement, PatchRequest, Scope, Select};
use crate::patch::queue::QueueName;
use crate::queue::overlays::{self, Disk};
use crate::queue::series::{Overlays, Series};

/// One patch of the new queue.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The file that it is now, if it is one.
    pub from: Option<PathBuf>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What its name is made from when it needs a new one.
    pub subject: String,
    /// Whether it gets a new name, as its subject is another one.
    pub rename: bool,
}

/// A planned change of a queue.
#[derive(Debug)]
pub struct Rewrite {
    /// The writes.
    pub batch: Batch,
    /// The patches of the new queue, in order.
    pub paths: Vec<PathBuf>,
    /// The change of the overlay as a unified diff.
    pub diff: String,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// Patches that go.
    pub removed: Vec<PathBuf>,
    /// The overlay's new text.
    change: Option<FileChange>,
    /// The folders of queues that end up empty.
    emptied: Vec<PathBuf>,
}

impl Rewrite {
    /// Writes it, and makes new files visible to a flake; returns the paths that changed.
    ///
    /// # Errors
    /// Those of writing; nothing has changed then.
    pub fn commit(self, workspace: &Workspace) -> Result<Vec<PathBuf>, Error> {
        let changed = self.batch.commit()?;
        // A folder goes with its last patch; one that holds something else stays.
        self.emptied.iter().for_each(|dir| fs::remove_dir_if_empty(dir));
        make_visible(workspace, &self.paths)?;
        Ok(changed)
    }
}

/// Plans for several queues, which become one batch: the overlays are told of each change before the next is planned.
#[derive(Debug)]
pub struct Together {
    /// The overlays as they will be.
    pub overlays: Overlays,
    all: Rewrite,
}

impl Together {
    /// Begins without a change.
    pub fn new(workspace: &Workspace, overlays: Overlays) -> Together {
        let all = Rewrite {
            batch: Batch::new(workspace.root()),
            paths: Vec::new(),
            diff: String::new(),
            warnings: Vec::new(),
            removed: Vec::new(),
            change: None,
            emptied: Vec::new(),
        };
        Together { overlays, all }
    }

    /// Plans to replace a queue that has been patched already, as [`plan`].
    ///
    /// # Errors
    /// As [`plan`].
    pub fn plan(&mut self, workspace: &Workspace, series: &Series, wanted: &[Wanted]) -> Result<(), Error> {
        let nothing = || Ok((Facts::default(), Vec::new()));
        let one = plan(workspace, &self.overlays, series, wanted, None, nothing)?;
        if let Some(change) = one.change {
            self.overlays.replace(&change.path, change.new)?;
        }
        self.all.batch.append(one.batch);
        self.all.paths.extend(one.paths);
        self.all.diff.push_str(&one.diff);
        self.all.warnings.extend(one.warnings);
        self.all.removed.extend(one.removed);
        self.all.emptied.extend(one.emptied);
        Ok(())
    }

    /// Returns the one change that all plans make.
    pub fn done(self) -> Rewrite {
        self.all
    }
}

/// Returns the queue as it is, as the queue that is wanted.
pub fn keep(series: &Series) -> Vec<Wanted> {
    let kept = |e: &crate::queue::series::Entry| Wanted {
        from: Some(e.path.clone()),
        bytes: e.bytes.clone(),
        subject: e.subject(),
        rename: false,
    };
    series.patches.iter().map(kept).collect()
}

/// Plans to replace a queue. `facts` are used when no overlay binds the package yet.
///
/// # Errors
/// [`Error::OverlayOrder`] when the overlay's list cannot follow; those of the overlay room.
pub fn plan(
    workspace: &Workspace,
    overlays: &Overlays,
    series: &Series,
    wanted: &[Wanted],
    choice: Option<&overlays::Choice>,
    facts: impl FnOnce() -> Result<(Facts, Vec<Warning>), Error>,
) -> Result<Rewrite, Error> {
    let paths = name(series, wanted);
    let mut rewrite = Rewrite {
        batch: Batch::new(workspace.root()),
        paths: paths.clone(),
        diff: String::new(),
        warnings: Vec::new(),
        removed: Vec::new(),
        change: None,
        emptied: if paths.is_empty() { vec![series.dir.clone()] } else { Vec::new() },
    };
    for entry in &series.patches {
        // A file that stands elsewhere is the user's: it is only no longer named.
        if !paths.contains(&entry.path) && entry.path.starts_with(&series.dir) {
            rewrite.batch.remove(&entry.path);
            rewrite.removed.push(entry.path.clone());
        }
    }
    for (path, wanted) in paths.iter().zip(wanted) {
        rewrite.batch.write(path, wanted.bytes.clone());
    }
    let old: Vec<PathBuf> = series.patches.iter().map(|e| e.path.clone()).collect();
    if old == paths && !series.bound.is_empty() {
        return Ok(rewrite);
    }
    let change = match series.bound.as_slice() {
        [] if paths.is_empty() => None,
        [] => {
            let overlays::Chosen { file, select, .. } = overlays::choose(workspace, choice, &series.attr)?;
            let (facts, warnings) = facts()?;
            rewrite.warnings.extend(warnings);
            let request = PatchRequest {
                attr: series.attr.clone(),
                elements: paths.iter().map(|p| element(workspace, file.path(), p)).collect::<Result<_, _>>()?,
                position: None,
                scope: Scope::All,
                facts,
                attribute: None,
            };
            let planned = file.add_patches(&Disk, select, &request)?;
            rewrite.warnings.extend(planned.warnings);
            planned.changes.into_iter().next()
        }
        _ => follow(workspace, overlays, series, &old, &paths)?,
    };
    if let Some(change) = change {
        rewrite.batch.write(&change.path, change.new.as_bytes());
        rewrite.diff = diff(std::slice::from_ref(&change));
        rewrite.change = Some(change);
    }
    Ok(rewrite)
}

/// Gives each patch of the new queue its file. Names stay where the numbers stay in order; otherwise all are numbered
/// anew. A file that stands outside the queue's folder keeps its path.
fn name(series: &Series, wanted: &[Wanted]) -> Vec<PathBuf> {
    let kept = |w: &Wanted| -> Option<(PathBuf, Option<QueueName>)> {
        let path = w.from.clone()?;
        let queued = path.file_name().and_then(|n| QueueName::parse(&n.to_string_lossy()));
        match path.parent() == Some(series.dir.as_path()) {
            true if w.rename => None,
            true => Some((path, queued)),
            false => Some((path, None)),
        }
    };
    let kept: Vec<Option<(PathBuf, Option<QueueName>)>> = wanted.iter().map(kept).collect();
    let mut paths = Vec::with_capacity(wanted.len());
    let (mut last, mut in_order) = (0, true);
    for (w, kept) in wanted.iter().zip(&kept) {
        match kept {
            Some((path, None)) => paths.push(path.clone()),
            Some((path, Some(name))) => {
                in_order &= name.number > last;
                last = name.number;
                paths.push(path.clone());
            }
            None => {
                last += 1;
                paths.push(series.dir.join(QueueName::new(last, &w.subject).file_name()));
            }
        }
    }
    if in_order {
        return paths;
    }
    let mut number = 0;
    wanted
        .iter()
        .zip(&kept)
        .map(|(w, kept)| {
            let slug = match kept {
                Some((path, None)) => return path.clone(),
                Some((_, Some(name))) => name.slug.as_str(),
                None => w.subject.as_str(),
            };
            number += 1;
            let name = match kept {
                Some((_, Some(_))) => QueueName { number, slug: slug.to_string() },
                _ => QueueName::new(number, slug),
            };
            series.dir.join(name.file_name())
        })
        .collect()
}

fn element(workspace: &Workspace, overlay: &Path, patch: &Path) -> Result<PatchElement, Error> {
    Ok(PatchElement::Path { relative: super::relative(overlay, patch)?, from_root: from_root(workspace, patch) })
}

/// Returns a path without `.` and `..`, going by its text.
fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

/// The list of a package in an overlay's text.
struct List<'a> {
    workspace: &'a Workspace,
    series: &'a Series,
    file: OverlayFile,
    function: Place,
}

impl List<'_> {
    fn select(&self) -> Select {
        self.function.span.map_or(Select::Only, |span| Select::Offset(span.start))
    }

    /// Returns the elements in order: the file of each, or its text.
    fn elements(&self) -> Vec<PathBuf> {
        let dir = self.file.path().parent().unwrap_or(Path::new(""));
        let start = self.function.span.map(|s| s.start);
        let mut found = self.file.patched_packages();
        found.retain(|p| p.attr == self.series.attr);
        // The function begins before all that is edited in it, so it stays where it is.
        if found.iter().any(|p| p.function.span.map(|s| s.start) == start) {
            found.retain(|p| p.function.span.map(|s| s.start) == start);
        }
        let path = |e: &crate::overlay::Element| match &e.path {
            Some(written) => lexical(&dir.join(written)),
            None => PathBuf::from(format!("\0{}", e.text)),
        };
        found.iter().flat_map(|p| p.elements.iter().map(path)).collect()
    }

    fn refuse(&self, why: String) -> Error {
        Error::OverlayOrder { attr: self.series.attr.clone(), why, place: self.function.clone() }
    }

    fn take(&mut self, changes: Vec<FileChange>) -> Result<(), Error> {
        match changes.into_iter().next() {
            Some(change) if change.path == self.file.path() => {
                self.file = OverlayFile::parse(&change.path, change.new)?;
                Ok(())
            }
            Some(change) => Err(self.refuse(format!("its list is in an imported file, {}", change.path.display()))),
            None => Ok(()),
        }
    }

    fn add(&mut self, path: &Path, at: usize) -> Result<(), Error> {
        let request = PatchRequest {
            attr: self.series.attr.clone(),
            elements: vec![element(self.workspace, self.file.path(), path)?],
            position: Some(at),
            scope: Scope::All,
            facts: Facts::default(),
            attribute: None,
        };
        let planned = self.file.add_patches(&Disk, self.select(), &request)?;
        self.take(planned.changes)
    }

    fn remove(&mut self, path: &Path) -> Result<(), Error> {
        let which = [element(self.workspace, self.file.path(), path)?];
        let planned = self.file.remove_patches(&Disk, self.select(), &self.series.attr, &which)?;
        self.take(planned.changes)
    }
}

/// Brings the list of the overlay from the old files to the new ones; what else is in it keeps its place.
fn follow(
    workspace: &Workspace,
    overlays: &Overlays,
    series: &Series,
    old: &[PathBuf],
    new: &[PathBuf],
) -> Result<Option<FileChange>, Error> {
    let list_of = |bound: &crate::queue::series::Bound| {
        let file = overlays.file(&bound.file)?;
        let file = OverlayFile::parse(file.path(), file.text().to_string()).ok()?;
        Some(List { workspace, series, file, function: bound.function.clone() })
    };
    let dir = |file: &OverlayFile| file.path().parent().unwrap_or(Path::new("")).to_path_buf();
    // In the list, files are named by way of the overlay's directory.
    let named = |file: &OverlayFile, path: &PathBuf| -> Result<PathBuf, Error> {
        Ok(lexical(&dir(file).join(super::relative(file.path(), path)?)))
    };
    let mut holding: Vec<List<'_>> = Vec::new();
    for bound in &series.bound {
        let Some(list) = list_of(bound) else { continue };
        let names = old.iter().map(|p| named(&list.file, p)).collect::<Result<Vec<_>, _>>()?;
        let holds = list.elements().iter().any(|e| names.contains(e));
        if holds && !holding.iter().any(|l| l.file.path() == list.file.path() && l.function == list.function) {
            holding.push(list);
        }
    }
    if holding.is_empty() {
        holding.extend(series.bound.first().and_then(list_of));
    }
    let mut lists = holding.into_iter();
    let (Some(mut list), None) = (lists.next(), lists.next()) else {
        let place = series.bound.first().map_or_else(|| Place::file(workspace.root()), |b| b.function.clone());
        let why = "several overlays hold a part of it".to_string();
        return Err(Error::OverlayOrder { attr: series.attr.clone(), why, place });
    };
    let before = list.file.text().to_string();
    let names = |paths: &[PathBuf]| paths.iter().map(|p| named(&list.file, p)).collect::<Result<Vec<_>, _>>();
    let (old_names, new_names) = (names(old)?, names(new)?);
    // Where a patch of the queue stood, the next one of the new queue goes; the rest behind the last of them.
    let current = list.elements();
    let mut coming = new_names.iter().cloned();
    let mut wanted: Vec<PathBuf> = Vec::new();
    let last = current.iter().rposition(|e| old_names.contains(e)).unwrap_or(current.len());
    for (i, element) in current.iter().enumerate() {
        if old_names.contains(element) {
            wanted.extend(coming.next());
        } else if !new_names.contains(element) {
            wanted.push(element.clone());
        }
        if i == last {
            wanted.extend(coming.by_ref());
        }
    }
    wanted.extend(coming);
    // The overlay room writes a path as it is told: the file's, not the name in the list.
    let file_of = |name: &PathBuf| new_names.iter().position(|n| n == name).and_then(|i| new.get(i)).cloned();
    // Added first, removed then: a list that is never empty keeps its place and its form.
    for (at, name) in wanted.iter().enumerate() {
        if !list.elements().contains(name)
            && let Some(path) = file_of(name)
        {
            list.add(&path, at)?;
        }
    }
    for (name, path) in old_names.iter().zip(old) {
        if !wanted.contains(name) {
            list.remove(path)?;
        }
    }
    for (at, name) in wanted.iter().enumerate() {
        if list.elements().get(at) != Some(name)
            && let Some(path) = file_of(name)
        {
            list.remove(&path)?;
            list.add(&path, at)?;
        }
    }
    if list.elements() != wanted {
        return Err(list.refuse("its elements did not come into the wanted order".into()));
    }
    let new = list.file.text().to_string();
    let path = list.file.path().to_path_buf();
    Ok((new != before).then(|| FileChange { path, old: before, edits: crate::base::edit::TextEdits::new(), new }))
}

/// Returns the patch relative to the root of the flake, when the workspace is one.
pub(crate) fn from_root(workspace: &Workspace, patch: &Path) -> Option<String> {
    let relative = super::relative(&workspace.path("flake.nix"), patch).ok()?;
    workspace.path("flake.nix").is_file().then(|| relative.trim_start_matches("./").to_string())
}

/// Makes new files visible to a flake, which sees only what git knows.
pub(crate) fn make_visible(workspace: &Workspace, files: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    if !workspace.path("flake.nix").is_file() {
        return Ok(Vec::new());
    }
    Ok(crate::git::make_visible(workspace.root(), files)?)
}

/// Returns the changes of the overlay files as one unified diff.
pub(crate) fn diff(changes: &[FileChange]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::AttrPath;

    fn wanted(from: Option<&str>, subject: &str) -> Wanted {
        Wanted { from: from.map(PathBuf::from), bytes: Vec::new(), subject: subject.into(), rename: false }
    }

    fn names(wanted: &[Wanted]) -> Vec<String> {
        let attr = AttrPath::parse("a").unwrap();
        let series = Series { attr, dir: "q".into(), patches: Vec::new(), others: Vec::new(), bound: Vec::new() };
        name(&series, wanted).iter().map(|p| p.display().to_string()).collect()
    }

    #[test]
    fn names_stay_while_the_order_holds() {
        let kept = [wanted(Some("q/0001-a.patch"), "a"), wanted(Some("q/0003-c.patch"), "c"), wanted(None, "New one")];
        assert_eq!(names(&kept), ["q/0001-a.patch", "q/0003-c.patch", "q/0004-New-one.patch"]);
        let gap = [wanted(Some("q/0001-a.patch"), "a"), wanted(None, "b"), wanted(Some("q/0003-c.patch"), "c")];
        assert_eq!(names(&gap), ["q/0001-a.patch", "q/0002-b.patch", "q/0003-c.patch"]);
        let swapped = [wanted(Some("q/0003-c.patch"), "c"), wanted(Some("q/0001-a.patch"), "a")];
        assert_eq!(names(&swapped), ["q/0001-c.patch", "q/0002-a.patch"]);
        let other = [wanted(Some("x/mine.patch"), "m"), wanted(Some("q/0001-a.patch"), "a"), wanted(None, "b")];
        assert_eq!(names(&other), ["x/mine.patch", "q/0001-a.patch", "q/0002-b.patch"]);
    }
}
