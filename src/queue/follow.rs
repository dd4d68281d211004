//! The lists of the overlays follow a queue: from its old files to the new ones, what else is in them keeps its place.
//!
//! Edits are the overlay room's own, one after the other on the text in memory; what comes out is checked to be the wanted order.
//! Must not write.

use std::path::{Path, PathBuf};

use super::Error;
use super::discover::{Disk, Overlays, base_of, below_self, on_disk};
use super::model::{Asking, InEffect, Model};
use super::rewrite::{Wanted, element};
use super::series::{Bound, Series};
use crate::base::span::Place;
use crate::config::Workspace;
use crate::overlay::{Facts, FileChange, OverlayFile, PatchElement, PatchRequest, Scope, Select};

/// The list of a package in an overlay's text.
struct List<'a> {
    workspace: &'a Workspace,
    series: &'a Series,
    bound: &'a Bound,
    file: &'a mut OverlayFile,
}

impl List<'_> {
    fn select(&self) -> Select {
        self.bound.function.span.map_or(Select::Only, |span| Select::Offset(span.start))
    }

    /// Returns the elements in order: the file of each, without links, or its text; and each as it is asked for again.
    fn elements(&self) -> Vec<(PathBuf, PatchElement)> {
        let dir = base_of(self.file.path());
        let start = self.bound.function.span.map(|s| s.start);
        let mut found = self.file.patched_packages();
        found.retain(|p| p.attr == self.bound.attr);
        // The function begins before all that is edited in it, so it stays where it is.
        if found.iter().any(|p| p.function.span.map(|s| s.start) == start) {
            found.retain(|p| p.function.span.map(|s| s.start) == start);
        }
        let path = |e: &crate::overlay::Element| match e.path.as_deref().or(below_self(&e.text)) {
            Some(written) => on_disk(e, self.file.path())
                .or_else(|| super::resolved(&dir.join(written)).ok())
                .unwrap_or_else(|| dir.join(written)),
            None => PathBuf::from(format!("\0{}", e.text)),
        };
        found.iter().flat_map(|p| p.elements.iter().map(|e| (path(e), super::named(e)))).collect()
    }

    fn names(&self) -> Vec<PathBuf> {
        self.elements().into_iter().map(|(name, _)| name).collect()
    }

    /// Says whether the function binds the package in several places: which of them counts is not for text to say.
    fn is_bound_twice(&self) -> bool {
        let mut bindings: Vec<Place> = self
            .file
            .patched_packages()
            .into_iter()
            .filter(|p| p.attr == self.bound.attr && p.function == self.bound.function)
            .map(|p| p.place)
            .collect();
        bindings.dedup();
        bindings.len() > 1
    }

    fn refuse(&self, why: String) -> Error {
        Error::OverlayOrder { attr: self.series.attr.clone(), why, place: self.bound.function.clone() }
    }

    fn take(&mut self, changes: Vec<FileChange>) -> Result<(), Error> {
        match changes.into_iter().next() {
            Some(change) if change.path == self.file.path() => {
                *self.file = OverlayFile::parse(&change.path, change.new)?;
                Ok(())
            }
            Some(change) => Err(self.refuse(format!("its list is in an imported file, {}", change.path.display()))),
            None => Ok(()),
        }
    }

    fn add(&mut self, path: &Path, at: usize) -> Result<(), Error> {
        let request = PatchRequest {
            attr: self.bound.attr.clone(),
            elements: vec![element(self.workspace, self.file.path(), path)?],
            position: Some(at),
            scope: Scope::All,
            facts: Facts::default(),
            attribute: None,
        };
        let planned = self.file.add_patches(&Disk, self.select(), &request)?;
        self.take(planned.changes)
    }

    fn remove(&mut self, name: &Path) -> Result<(), Error> {
        let Some((_, which)) = self.elements().into_iter().find(|(n, _)| n == name) else { return Ok(()) };
        let planned = self.file.remove_patches(&Disk, self.select(), &self.bound.attr, &[which])?;
        self.take(planned.changes)
    }

    /// Brings the list into the wanted order; `file_of` says which file a name is that the list does not have yet.
    fn bring(
        &mut self,
        wanted: &[PathBuf],
        gone: &[PathBuf],
        file_of: &dyn Fn(&Path) -> Option<PathBuf>,
    ) -> Result<(), Error> {
        // Added first, removed then: a list that is never empty keeps its place and its form.
        for (at, name) in wanted.iter().enumerate() {
            if !self.names().contains(name)
                && let Some(path) = file_of(name)
            {
                self.add(&path, at)?;
            }
        }
        for name in gone.iter().filter(|name| !wanted.contains(name)) {
            self.remove(name)?;
        }
        for (at, name) in wanted.iter().enumerate() {
            if self.names().get(at) != Some(name)
                && let Some(path) = file_of(name)
            {
                self.remove(name)?;
                self.add(&path, at)?;
            }
        }
        if self.names() != wanted {
            return Err(self.refuse("its elements did not come into the wanted order".into()));
        }
        Ok(())
    }
}

/// Returns the overlay functions in which the patches of a package are in effect; `None` where Nix is not asked.
fn live(workspace: &Workspace, how: Asking<'_>, series: &Series) -> Result<Option<Vec<Place>>, Error> {
    let model = Model::read(workspace, how)?;
    let patches = model.find(&series.attr).into_iter().flat_map(|package| &package.patches);
    let in_effect = patches.filter(|patch| patch.reach.in_effect == InEffect::Yes);
    Ok(model.asked.then(|| in_effect.filter_map(|patch| patch.function.clone()).collect()))
}

/// Brings the lists of the overlays from the old files to the new ones; what else is in them keeps its place. Every list that
/// names an old file follows: that of another name of the package, or of another board.
pub(super) fn follow(
    workspace: &Workspace,
    overlays: &Overlays,
    series: &Series,
    wanted: &[Wanted],
    how: Asking<'_>,
    new: &[PathBuf],
) -> Result<Vec<FileChange>, Error> {
    let names =
        |paths: &mut dyn Iterator<Item = &PathBuf>| paths.map(|p| super::resolved(p)).collect::<Result<Vec<_>, _>>();
    let old = names(&mut series.patches.iter().map(|e| &e.path))?;
    let new_names = names(&mut new.iter())?;
    // What becomes of each old file.
    let mut follows = Vec::new();
    for (wanted, new) in wanted.iter().zip(&new_names) {
        if let Some(from) = &wanted.from {
            follows.push((super::resolved(from)?, new.clone()));
        }
    }
    let file_of = |name: &Path| new_names.iter().position(|n| n == name).and_then(|i| new.get(i)).cloned();
    let mut files: Vec<(OverlayFile, String)> = Vec::new();
    // Within a file the last function first, so that those before it stay where they are.
    let mut bounds: Vec<&Bound> = series.bound.iter().collect();
    bounds.sort_by_key(|bound| std::cmp::Reverse(bound.function.span.map(|span| span.start)));
    bounds.dedup_by(|a, b| a.attr == b.attr && a.file == b.file && a.function == b.function);
    let mut lists = Vec::new();
    for bound in bounds {
        let at = match files.iter().position(|(file, _)| file.path() == bound.file) {
            Some(at) => at,
            None => {
                let Some(file) = overlays.file(&bound.file) else { continue };
                files.push((OverlayFile::parse(file.path(), file.text().to_string())?, file.text().to_string()));
                files.len() - 1
            }
        };
        let Some((file, _)) = files.get_mut(at) else { continue };
        let list = List { workspace, series, bound, file };
        let held = list.names();
        if held.iter().any(|name| old.contains(name)) {
            if list.is_bound_twice() {
                return Err(list.refuse("the overlay binds it twice".into()));
            }
            lists.push((bound, at, held));
        }
    }
    if lists.is_empty()
        && let Some(bound) = series.bound.iter().find(|bound| bound.attr == series.attr)
        && let Some(at) = files.iter().position(|(file, _)| file.path() == bound.file)
        && let Some((file, _)) = files.get_mut(at)
    {
        let held = List { workspace, series, bound, file }.names();
        lists.push((bound, at, held));
    }
    let of_queue = |held: &[PathBuf]| old.iter().filter(|name| held.contains(name)).cloned().collect::<Vec<_>>();
    let alike = lists.windows(2).all(|pair| match pair {
        [(_, _, one), (_, _, other)] => of_queue(one) == of_queue(other),
        _ => true,
    });
    let is_new = |name: &PathBuf| !follows.iter().any(|(_, new)| new == name);
    // Of several lists a new patch goes into the one that has its neighbour, of those that are in effect.
    let fresh: Vec<PathBuf> = new_names.iter().filter(|name| is_new(name)).cloned().collect();
    let mut home: Vec<(PathBuf, usize)> = Vec::new();
    if !alike && !fresh.is_empty() {
        let live = live(workspace, how, series)?;
        for name in &fresh {
            let at = new_names.iter().position(|n| n == name).unwrap_or_default();
            let before = new_names.get(..at).unwrap_or_default().iter().rev();
            let neighbours = before.chain(new_names.get(at + 1..).unwrap_or_default());
            let held_by = |new: &PathBuf| {
                let old = follows.iter().find(|(_, n)| n == new).map(|(old, _)| old)?;
                lists.iter().position(|(bound, _, held)| {
                    held.contains(old) && live.as_ref().is_none_or(|l| l.contains(&bound.function))
                })
            };
            match neighbours.into_iter().find_map(held_by) {
                Some(list) => home.push((name.clone(), list)),
                None => {
                    let place = lists
                        .first()
                        .map_or_else(|| Place::file(workspace.root()), |(bound, _, _)| bound.function.clone());
                    let why =
                        "several overlays hold a part of it, and nothing says which of them a new patch belongs to"
                            .into();
                    return Err(Error::OverlayOrder { attr: series.attr.clone(), why, place });
                }
            }
        }
    }
    for (i, (bound, at, current)) in lists.iter().enumerate() {
        let at = *at;
        let Some((file, _)) = files.get_mut(at) else { continue };
        let mine = |name: &PathBuf| {
            alike
                || follows.iter().any(|(old, new)| new == name && current.contains(old))
                || home.iter().any(|(new, list)| new == name && *list == i)
        };
        // Where a patch of the queue stood, the next one of the new queue goes; the rest behind the last of them.
        let mut coming = new_names.iter().filter(|name| mine(name)).cloned();
        let mut order: Vec<PathBuf> = Vec::new();
        let last = current.iter().rposition(|e| old.contains(e)).unwrap_or(current.len());
        for (i, element) in current.iter().enumerate() {
            if old.contains(element) {
                order.extend(coming.next());
            } else if !new_names.contains(element) {
                order.push(element.clone());
            }
            if i == last {
                order.extend(coming.by_ref());
            }
        }
        order.extend(coming);
        List { workspace, series, bound, file }.bring(&order, &old, &file_of)?;
    }
    let changed = files.into_iter().filter(|(file, before)| file.text() != before);
    Ok(changed
        .map(|(file, old)| FileChange {
            path: file.path().to_path_buf(),
            old,
            edits: crate::base::edit::TextEdits::new(),
            new: file.text().to_string(),
        })
        .collect())
}
