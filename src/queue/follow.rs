//! The texts follow a queue: from its old files to the new ones, what else is in them keeps its place.
//!
//! A patch that stays is renamed and put in order where it stands, whatever holds it; one that comes or goes is added and taken out by
//! the overlay room's own edits, one after the other on the text in memory. Must not write.

use std::path::{Path, PathBuf};

use super::discover::{Disk, Overlays, base_of, below_self, file_names, on_disk};
use super::model::{Asking, InEffect, Model};
use super::rewrite::{Wanted, element};
use super::series::{Bound, Series};
use super::{Error, aliases};
use crate::base::edit::{EditError, TextEdits};
use crate::base::fs::collapsed;
use crate::base::span::{Place, Span};
use crate::config::Workspace;
use crate::overlay::{
    AttrPath, Element, Facts, FileChange, OverlayFile, PatchElement, PatchRequest, Scope, Select, Slot,
};

/// A text as it will be.
struct Sheet {
    file: OverlayFile,
    before: String,
    /// What was changed in place, by which the functions have moved.
    edits: TextEdits,
}

/// What becomes of the patches that stay.
struct Stay<'a> {
    /// The place of each old patch in the new queue.
    place: Vec<Option<usize>>,
    /// The files of the new queue.
    new: &'a [PathBuf],
    /// Whether they stand in another order.
    reorders: bool,
}

impl Stay<'_> {
    /// Returns the edits that give the places of a text their new names and order. Within a list the elements change places; where
    /// the queue is spread over lists of one function, each file in one of them, so they do among these.
    fn arranged(&self, file: &OverlayFile, slots: &[(Slot, usize)]) -> Result<TextEdits, EditError> {
        let stays = |(_, old): &&(Slot, usize)| self.place.get(*old).copied().flatten().is_some();
        let slots: Vec<&(Slot, usize)> = slots.iter().filter(stays).collect();
        let to = |(_, old): &(Slot, usize)| self.place.get(*old).copied().flatten().unwrap_or_default();
        // The place whose element each place gets.
        let mut from: Vec<usize> = (0..slots.len()).collect();
        if self.reorders {
            let items: Vec<usize> =
                (0..slots.len()).filter(|i| slots.get(*i).is_some_and(|s| s.0.list.is_some())).collect();
            let at = |i: &usize| slots[*i];
            let in_order = items.windows(2).all(|pair| at(&pair[0]).1 < at(&pair[1]).1);
            let functions = file.functions();
            let function = |span: Span| {
                let around = functions.iter().filter_map(|f| f.head.span).filter(|head| head.contains(span));
                around.min_by_key(|span| span.len())
            };
            let together = in_order
                && items.iter().all(|i| at(i).0.plain)
                && items.windows(2).all(|pair| function(at(&pair[0]).0.span) == function(at(&pair[1]).0.span));
            let mut groups: Vec<Vec<usize>> = Vec::new();
            for item in items {
                match groups.last_mut() {
                    Some(group) if together || group.iter().any(|i| at(i).0.list == at(&item).0.list) => {
                        group.push(item)
                    }
                    _ => groups.push(vec![item]),
                }
            }
            for group in groups {
                let mut sorted = group.clone();
                sorted.sort_by_key(|i| to(at(i)));
                group.iter().zip(sorted).for_each(|(i, source)| from[*i] = source);
            }
        }
        let mut edits = TextEdits::new();
        for (i, (slot, _)) in slots.iter().enumerate() {
            let source = slots[from[i]];
            let new = self.new.get(to(source)).and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy();
            let text = file.text();
            match (from[i] == i, source.0.name) {
                (true, Some(name)) if text[name.range()] != *new => edits.replace(name, new)?,
                (true, _) => {}
                (false, Some(name)) => {
                    let whole = source.0.span;
                    let element = format!("{}{new}{}", &text[whole.start..name.start], &text[name.end..whole.end]);
                    edits.replace(slot.span, element)?;
                }
                (false, None) => edits.replace(slot.span, &text[source.0.span.range()])?,
            }
        }
        Ok(edits)
    }
}

/// The list of a package in an overlay's text.
struct List<'a> {
    workspace: &'a Workspace,
    series: &'a Series,
    bound: &'a Bound,
    sheet: &'a mut Sheet,
}

impl List<'_> {
    fn start(&self) -> Option<usize> {
        self.bound.function.span.map(|span| self.sheet.edits.moved(span.start))
    }

    /// Returns the elements in order: the file of each, without links, or its text; and what was read.
    fn elements(&self) -> Vec<(PathBuf, Element)> {
        let file = &self.sheet.file;
        let dir = base_of(file.path());
        let start = self.start();
        let mut found = file.patched_packages();
        found.retain(|p| p.attr == self.bound.attr);
        // The function begins before all that is edited in it, so it stays where it is.
        if found.iter().any(|p| p.function.span.map(|s| s.start) == start) {
            found.retain(|p| p.function.span.map(|s| s.start) == start);
        }
        let path = |e: &Element| match e.path.as_deref().or(below_self(&e.text)) {
            Some(written) => on_disk(e, file.path())
                .or_else(|| super::unlinked(&collapsed(&dir.join(written))).ok())
                .unwrap_or_else(|| dir.join(written)),
            None => PathBuf::from(format!("\0{}", e.text)),
        };
        found.into_iter().flat_map(|p| p.elements).map(|e| (path(&e), e)).collect()
    }

    fn names(&self) -> Vec<PathBuf> {
        self.elements().into_iter().map(|(name, _)| name).collect()
    }

    fn refuse(&self, why: String) -> Error {
        Error::OverlayOrder { attr: self.series.attr.clone(), why, place: self.bound.function.clone() }
    }

    fn take(&mut self, changes: Vec<FileChange>) -> Result<(), Error> {
        match changes.into_iter().next() {
            Some(change) if change.path == self.sheet.file.path() => {
                self.sheet.file = OverlayFile::parse(&change.path, change.new)?;
                Ok(())
            }
            Some(change) => Err(self.refuse(format!("its list is in an imported file, {}", change.path.display()))),
            None => Ok(()),
        }
    }

    fn select(&self) -> Select {
        self.start().map_or(Select::Only, Select::Offset)
    }

    /// Puts a patch to where it stands in the new queue, by its neighbours in a list: in front of the next one, or behind the one before
    /// where something else follows that. Else it comes last.
    fn add(&mut self, name: &Path, path: &Path, (before, behind): (&[PathBuf], &[PathBuf])) -> Result<(), Error> {
        let elements = self.elements();
        let held = |name: &PathBuf| elements.iter().find(|(held, _)| held == name);
        // The items of the list that an element is in, and which it is.
        let within = |(name, element): &(PathBuf, Element)| {
            let slots = self.sheet.file.slots(&file_names(std::slice::from_ref(name)));
            let list = slots.iter().find(|slot| slot.element.place == element.place)?.list?;
            let items = elements.iter().filter_map(|(_, e)| e.place.span.filter(|span| list.contains(*span)));
            let items: Vec<Span> = items.collect();
            Some((items.iter().position(|span| Some(*span) == element.place.span)?, items.len()))
        };
        let next = behind.iter().find_map(held).and_then(within).map(|(at, _)| at);
        let last = before.iter().rev().find_map(held).and_then(within);
        let position =
            next.or(last.map(|(at, count)| (at + 1, count)).filter(|(at, count)| at < count).map(|(at, _)| at));
        let request = PatchRequest {
            attr: self.bound.attr.clone(),
            elements: vec![element(self.workspace, self.sheet.file.path(), path)?],
            position,
            scope: Scope::All,
            facts: Facts::default(),
            attribute: None,
        };
        let planned = self.sheet.file.add_patches(&Disk, self.select(), &request)?;
        self.take(planned.changes)?;
        let names = self.names();
        let at = names.iter().position(|held| held == name);
        match at.and_then(|at| names.get(..at)).is_some_and(|before| !before.iter().any(|held| behind.contains(held))) {
            true => Ok(()),
            false => Err(self.refuse(format!("{} did not come to its place", path.display()))),
        }
    }

    fn remove(&mut self, name: &Path) -> Result<(), Error> {
        let Some((_, which)) = self.elements().into_iter().find(|(held, _)| held == name) else { return Ok(()) };
        let which: PatchElement = super::named(&which);
        let planned = self.sheet.file.remove_patches(&Disk, self.select(), &self.bound.attr, &[which])?;
        self.take(planned.changes)
    }
}

/// Returns the overlay functions in which the patches of a package are in effect; `None` where Nix is not asked.
fn live(workspace: &Workspace, how: Asking<'_>, series: &Series) -> Result<Option<Vec<Place>>, Error> {
    let model = Model::read(workspace, how)?;
    let patches = model.find(&series.attr).into_iter().flat_map(|package| &package.patches);
    let in_effect = patches.filter(|patch| patch.reach.in_effect == InEffect::Yes);
    Ok(model.asked.then(|| in_effect.filter_map(|patch| patch.function.clone()).collect()))
}

/// Brings the texts from the old files of a queue to the new ones; what else is in them keeps its place. Every place that names an old
/// file follows: that of another name of the package, or of another board.
pub(super) fn follow(
    workspace: &Workspace,
    overlays: &Overlays,
    series: &Series,
    wanted: &[Wanted],
    how: Asking<'_>,
    new: &[PathBuf],
) -> Result<Vec<FileChange>, Error> {
    let names =
        |paths: &mut dyn Iterator<Item = &PathBuf>| paths.map(|p| super::unlinked(p)).collect::<Result<Vec<_>, _>>();
    let old = names(&mut series.patches.iter().map(|e| &e.path))?;
    let new_names = names(&mut new.iter())?;
    let stays = |at: usize| wanted.iter().position(|w| w.from.as_ref() == series.patches.get(at).map(|e| &e.path));
    let place: Vec<Option<usize>> = (0..old.len()).map(stays).collect();
    let reorders = !place.iter().flatten().is_sorted();
    let stay = Stay { place: place.clone(), new, reorders };
    let refuse = |why: String, place: Place| Error::OverlayOrder { attr: series.attr.clone(), why, place };
    let mut sheets: Vec<Sheet> = Vec::new();
    for (file, slots) in overlays.slots(workspace, &old) {
        let edits = stay.arranged(&file, &slots).map_err(|e| refuse(e.to_string(), Place::file(file.path())))?;
        let text = edits.apply(file.text()).map_err(|e| refuse(e.to_string(), Place::file(file.path())))?;
        let before = file.text().to_string();
        sheets.push(Sheet { file: OverlayFile::parse(file.path(), text)?, before, edits });
    }
    let gone: Vec<&PathBuf> = old.iter().zip(&place).filter(|(_, to)| to.is_none()).map(|(name, _)| name).collect();
    let fresh: Vec<usize> = (0..wanted.len()).filter(|i| wanted.get(*i).is_some_and(|w| w.from.is_none())).collect();
    if !(gone.is_empty() && fresh.is_empty()) {
        // Within a file the last function first, so that those before it stay where they are.
        let mut bounds: Vec<&Bound> = series.bound.iter().collect();
        bounds.sort_by_key(|bound| std::cmp::Reverse(bound.function.span.map(|span| span.start)));
        bounds.dedup_by(|a, b| a.attr == b.attr && a.file == b.file && a.function == b.function);
        // What becomes of a name: that of a patch that stays is another one now.
        let known: Vec<&PathBuf> =
            place.iter().flatten().filter_map(|to| new_names.get(*to)).chain(gone.iter().copied()).collect();
        let mut lists = Vec::new();
        for bound in bounds {
            let at = match sheets.iter().position(|sheet| sheet.file.path() == bound.file) {
                Some(at) => at,
                None => {
                    let Some(file) = overlays.file(&bound.file) else { continue };
                    let (before, edits) = (file.text().to_string(), TextEdits::new());
                    sheets.push(Sheet { file: OverlayFile::parse(file.path(), before.clone())?, before, edits });
                    sheets.len() - 1
                }
            };
            let Some(sheet) = sheets.get_mut(at) else { continue };
            let held = List { workspace, series, bound, sheet }.names();
            lists.push((bound, at, known.iter().filter(|name| held.contains(name)).copied().collect::<Vec<_>>()));
        }
        if lists.iter().any(|(_, _, held)| !held.is_empty()) {
            lists.retain(|(_, _, held)| !held.is_empty());
        } else {
            lists.retain(|(bound, _, _)| bound.attr == series.attr);
            lists.truncate(1);
        }
        // A patch that comes is for the package, by whatever name: another one that shares a file of the queue does not get it.
        let mut others: Vec<AttrPath> = lists.iter().map(|(bound, _, _)| bound.attr.clone()).collect();
        others.retain(|attr| *attr != series.attr);
        let same = match fresh.is_empty() || others.is_empty() || how.offline {
            true => None,
            false => aliases::same(workspace, how.nixpkgs, &series.attr, &others)?,
        };
        let is_alone = others.len() == lists.len();
        let takes = |bound: &Bound| match (others.iter().position(|attr| *attr == bound.attr), &same) {
            (None, _) => true,
            (Some(_), None) => is_alone,
            (Some(at), Some(same)) => same.get(at) == Some(&true),
        };
        let mut takers: Vec<_> = lists.iter().filter(|(bound, _, _)| takes(bound)).cloned().collect();
        let alike = takers.windows(2).all(|pair| pair[0].2 == pair[1].2);
        let live = if alike || fresh.is_empty() { None } else { live(workspace, how, series)? };
        for at in &fresh {
            let (Some(name), Some(path)) = (new_names.get(*at), new.get(*at)) else { continue };
            let behind = new_names.get(at + 1..).unwrap_or_default();
            // Of several lists a new patch goes into the one that has its neighbour, of those that are in effect.
            let before = new_names.get(..*at).unwrap_or_default();
            let is_live = |bound: &Bound| live.as_ref().is_none_or(|live| live.contains(&bound.function));
            let held_by =
                |new: &PathBuf| takers.iter().position(|(bound, _, held)| held.contains(&new) && is_live(bound));
            let home = before.iter().rev().chain(behind).find_map(held_by);
            if takers.is_empty() || !alike && home.is_none() {
                let place =
                    series.bound.first().map_or_else(|| Place::file(&series.dir), |bound| bound.function.clone());
                let why = "nothing says which of the overlays that hold a part of it a new patch belongs to".into();
                return Err(refuse(why, place));
            }
            for (_, (bound, at, _)) in takers.iter().enumerate().filter(|(i, _)| alike || home == Some(*i)) {
                let Some(sheet) = sheets.get_mut(*at) else { continue };
                List { workspace, series, bound, sheet }.add(name, path, (before, behind))?;
            }
            if let Some((_, _, held)) = home.and_then(|home| takers.get_mut(home)) {
                held.push(name);
            }
        }
        // Added first, removed then: a list that is never empty keeps its place and its form.
        for (bound, at, _) in &lists {
            let Some(sheet) = sheets.get_mut(*at) else { continue };
            let mut list = List { workspace, series, bound, sheet };
            gone.iter().try_for_each(|name| list.remove(name))?;
        }
    }
    for sheet in &sheets {
        let names = file_names(gone.iter().copied());
        let is_gone = |slot: &Slot| on_disk(&slot.element, sheet.file.path()).is_some_and(|path| gone.contains(&&path));
        if let Some(left) = sheet.file.slots(&names).into_iter().find(is_gone) {
            let why = format!("{} is named where no list of the package was found", left.element.text);
            return Err(refuse(why, left.element.place));
        }
    }
    let changed = sheets.into_iter().filter(|sheet| sheet.file.text() != sheet.before);
    Ok(changed
        .map(|sheet| FileChange {
            path: sheet.file.path().to_path_buf(),
            old: sheet.before,
            edits: TextEdits::new(),
            new: sheet.file.text().to_string(),
        })
        .collect())
}
