//! The texts follow a queue: from its old files to the new ones, what else is in them keeps its place.
//!
//! A patch that stays is renamed and put in order where it stands, whatever holds it; one that comes or goes is added and taken out by
//! the overlay room's own edits, one after the other on the text in memory. Must not write.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::discover::{Disk, Overlays, Standing, base_of, below_self, file_names, on_disk};
use super::model::{Asking, InEffect, Model};
use super::rewrite::{Wanted, element};
use super::series::{Bound, Entry, Series};
use super::{Error, aliases};
use crate::base::edit::TextEdits;
use crate::base::fs::collapsed;
use crate::base::span::{Place, Span};
use crate::config::Workspace;
use crate::overlay::{
    AttrPath, Element, Facts, FileChange, OverlayFile, PatchElement, PatchRequest, Scope, Select, Slot,
};
use crate::patch::queue::QueueName;

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
    new: &'a [PathBuf],
    /// Whether they stand in another order.
    reorders: bool,
}

impl Stay<'_> {
    /// Returns the edits that give the places of a text their new names and order. Within a list the elements change places; where
    /// the queue is spread over lists of one function, each file in one of them, so they do among these. The comments of an element go
    /// with it.
    fn arranged(&self, file: &OverlayFile, slots: &[(Slot, usize)]) -> Result<TextEdits, String> {
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
        let text = file.text();
        let name = |source: &(Slot, usize)| {
            self.new.get(to(source)).and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy()
        };
        let mut edits = TextEdits::new();
        for (i, (slot, _)) in slots.iter().enumerate() {
            let source = slots[from[i]];
            let (new, whole) = (name(source), source.0.whole);
            let done = match (from[i] == i, source.0.name) {
                (true, Some(name)) if text[name.range()] != *new => edits.replace(name, new),
                (true, _) => Ok(()),
                (false, _) if !slot.takes(&source.0) => {
                    return Err(format!(
                        "the comment at {} would be torn from it: put each patch of the list on a line of its own",
                        source.0.element.text
                    ));
                }
                (false, Some(name)) => {
                    let element = format!("{}{new}{}", &text[whole.start..name.start], &text[name.end..whole.end]);
                    edits.replace(slot.whole, element)
                }
                (false, None) => edits.replace(slot.whole, &text[whole.range()]),
            };
            done.map_err(|error| error.to_string())?;
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
        let path = |e: &Element| match e.path.as_deref().or(below_self(e)) {
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

/// Overlay functions, and the package sets in which what they give to a package is in effect.
type Live = Vec<(Place, BTreeSet<String>)>;

/// Returns the overlay functions in which the patches of a package are in effect; `None` where Nix is not asked.
fn live(workspace: &Workspace, how: Asking<'_>, series: &Series) -> Result<Option<Live>, Error> {
    let model = Model::read(workspace, how)?;
    let patches = model.find(&series.attr).into_iter().flat_map(|package| &package.patches);
    let mut live = Live::new();
    for patch in patches.filter(|patch| patch.reach.in_effect == InEffect::Yes) {
        let Some(function) = &patch.function else { continue };
        let sets = patch.reach.sets.iter().cloned();
        match live.iter_mut().find(|(known, _)| known == function) {
            Some((_, known)) => known.extend(sets),
            None => live.push((function.clone(), sets.collect())),
        }
    }
    Ok(model.asked.then_some(live))
}

/// A list that a new patch may go into: the binding, the number of its sheet, the files of the queue that it names.
type Taker<'b> = (&'b Bound, usize, Vec<&'b PathBuf>);

/// Returns which of several lists in effect a new patch goes into: the one that has its neighbour. One that comes last goes with the
/// newest patch where that reaches package sets which the list applied last does not.
fn home(takers: &[Taker<'_>], live: Option<&Live>, before: &[PathBuf], behind: &[PathBuf]) -> Option<usize> {
    let sets = |bound: &Bound| live?.iter().find(|(function, _)| *function == bound.function).map(|(_, sets)| sets);
    let held_by = |name: &PathBuf| {
        let is_held = |(bound, _, held): &Taker<'_>| held.contains(&name) && (live.is_none() || sets(bound).is_some());
        takers.iter().position(is_held)
    };
    let neighbour = before.iter().rev().chain(behind).find_map(held_by)?;
    if behind.iter().any(|name| held_by(name).is_some()) {
        return Some(neighbour);
    }
    let number = |name: &PathBuf| QueueName::parse(&name.file_name()?.to_string_lossy()).map(|name| name.number);
    let held = before.iter().filter_map(|name| Some((number(name)?, held_by(name)?)));
    let newest = held.max_by_key(|(number, _)| *number).map_or(neighbour, |(_, at)| at);
    let reached = |at: usize| takers.get(at).and_then(|(bound, _, _)| sets(bound));
    let reaches_more =
        reached(neighbour).zip(reached(newest)).is_some_and(|(own, more)| own != more && own.is_subset(more));
    Some(if reaches_more { newest } else { neighbour })
}

/// Patches in two overlays whose order changes, or behind which a new one is put: what is applied first there is decided by the
/// overlays alone.
#[derive(Debug)]
pub(super) struct Crossing {
    pub why: String,
    pub place: Place,
    /// Whether the text shows that both overlays are applied to one package set.
    pub certain: bool,
}

/// Finds patches that change places from one overlay to another, where the texts cannot follow, or else overlays of which the text does
/// not tell the last, when a patch is to come last.
pub(super) fn crossing(overlays: &Overlays, series: &Series, wanted: &[Wanted]) -> Result<Option<Crossing>, Error> {
    let stays = |entry: &Entry| wanted.iter().position(|w| w.from.as_ref() == Some(&entry.path));
    let place: Vec<Option<usize>> = series.patches.iter().map(stays).collect();
    let comes_last = wanted.last().is_some_and(|wanted| wanted.from.is_none());
    if place.iter().flatten().is_sorted() && !comes_last {
        return Ok(None);
    }
    let files: Vec<PathBuf> = series.patches.iter().map(|e| super::unlinked(&e.path)).collect::<Result<_, _>>()?;
    // The overlays that name each: how they are applied, and the function.
    let mut homes: Vec<Vec<Home<'_>>> = vec![Vec::new(); files.len()];
    for (found, package) in overlays.patched().filter(|(_, package)| package.attr == series.attr) {
        for element in &package.elements {
            let named = on_disk(element, found.file.path());
            let at = files.iter().position(|file| Some(file) == named.as_ref());
            let home = Home {
                standing: &found.standing,
                named: found.named,
                function: package.function.clone(),
                conditional: element.conditional,
            };
            let known = at.and_then(|at| homes.get_mut(at)).filter(|homes| !homes.contains(&home));
            known.into_iter().for_each(|homes| homes.push(home.clone()));
        }
    }
    let mut crossing: Option<Crossing> = None;
    for (first, here) in homes.iter().enumerate() {
        let later = |(at, _): &(usize, &Vec<Home<'_>>)| *at > first && place.get(first) > place.get(*at);
        for (second, there) in homes.iter().enumerate().filter(later) {
            let pairs = here.iter().flat_map(|one| there.iter().map(move |other| (one, other)));
            for (one, other) in pairs.filter(|(one, other)| !there.contains(one) && !here.contains(other)) {
                let Some(certain) = one.applies_with(other) else { continue };
                if crossing.as_ref().is_some_and(|known| known.certain || !certain) {
                    continue;
                }
                let name = |at: usize| series.patches.get(at).map(Entry::name).unwrap_or_default();
                let why = format!(
                    "{} stands at {} and {} at {}: which of two overlays comes first is not decided in them",
                    name(first),
                    one.function,
                    name(second),
                    other.function
                );
                crossing = Some(Crossing { why, place: other.function.clone(), certain });
            }
        }
    }
    let all: Vec<&Home<'_>> = homes.iter().flatten().collect();
    let mut pairs = all.iter().enumerate().flat_map(|(at, one)| all.iter().skip(at + 1).map(move |other| (one, other)));
    let unordered =
        |(one, other): &(&&Home<'_>, &&Home<'_>)| !(one.named && other.named) && one.applies_with(other).is_some();
    if let (None, true, Some((one, other))) = (&crossing, comes_last, pairs.find(unordered)) {
        let why = format!(
            "a new one comes last, and which of the overlays at {} and {} is applied last is not decided in them",
            one.function, other.function
        );
        crossing = Some(Crossing { why, place: other.function.clone(), certain: false });
    }
    Ok(crossing)
}

/// An overlay function that names a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Home<'a> {
    standing: &'a Standing,
    /// Whether the list of the workspace says when it is applied.
    named: bool,
    function: Place,
    conditional: bool,
}

impl Home<'_> {
    /// Says whether two are applied to one package set, going by the text: for certain, or maybe; `None` where they are not.
    fn applies_with(&self, other: &Home<'_>) -> Option<bool> {
        match (self.standing, other.standing) {
            // The same function is followed in its text.
            _ if self.function == other.function => None,
            (Standing::TargetStage(Some(a)), Standing::TargetStage(Some(b)))
                if !a.iter().any(|board| b.contains(board)) =>
            {
                None
            }
            (Standing::Listed | Standing::TargetStage(_), Standing::Listed | Standing::TargetStage(_)) => {
                Some(self.function.path != other.function.path && !self.conditional && !other.conditional)
            }
            _ => Some(false),
        }
    }
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
        let edits = stay.arranged(&file, &slots).map_err(|why| refuse(why, Place::file(file.path())))?;
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
            let home = home(&takers, live.as_ref(), before, behind);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Puts the patches of a list into another order by the text of the overlay; `order` has the old place of each.
    fn reordered(text: &str, order: &[usize]) -> Result<String, String> {
        let file = OverlayFile::parse(Path::new("o.nix"), text.into()).unwrap();
        let found = |name: &str| text.match_indices(name).next().map_or(usize::MAX, |(at, _)| at);
        let mut names: Vec<String> = (0..order.len()).map(|i| format!("{i}.patch")).collect();
        names.sort_by_key(|name| found(name));
        let number = |slot: Slot| {
            let at = names.iter().position(|name| slot.element.text.contains(name.as_str())).unwrap();
            (slot, at)
        };
        let slots: Vec<(Slot, usize)> = file.slots(&names).into_iter().map(number).collect();
        let place = (0..order.len()).map(|old| order.iter().position(|at| *at == old)).collect();
        let new: Vec<PathBuf> = order.iter().map(|old| PathBuf::from(&names[*old])).collect();
        let edits = Stay { place, new: &new, reorders: !order.is_sorted() }.arranged(&file, &slots)?;
        Ok(edits.apply(text).unwrap())
    }

    fn list(items: &str) -> String {
        format!("final: prev: {{\n  a = prev.a.overrideAttrs (o: {{\n    patches = [{items}];\n  }});\n}}\n")
    }

    #[test]
    fn a_comment_goes_with_its_patch() {
        let text = list(
            "\n      # The list.\n\n      # Why 0.\n      # More.\n      ./0.patch # till 2\n      ./1.patch\n      \
             /* Why\n         2. */\n      ./2.patch\n    ",
        );
        let moved = list(
            "\n      # The list.\n\n      /* Why\n         2. */\n      ./2.patch\n      # Why 0.\n      # More.\n      \
             ./0.patch # till 2\n      ./1.patch\n    ",
        );
        assert_eq!(reordered(&text, &[2, 0, 1]).unwrap(), moved);
        assert_eq!(reordered(&moved, &[1, 2, 0]).unwrap(), text);
    }

    #[test]
    fn what_stands_beside_several_patches_is_of_the_line() {
        let text = list(" # all\n      ./0.patch ./1.patch # both\n    ");
        assert_eq!(reordered(&text, &[1, 0]).unwrap(), list(" # all\n      ./1.patch ./0.patch # both\n    "));
    }

    #[test]
    fn a_comment_is_not_torn_from_its_patch() {
        let text = list(" ./0.patch\n      # Why 1.\n      ./1.patch\n    ");
        let refused = reordered(&text, &[1, 0]).unwrap_err();
        assert!(refused.contains("./1.patch") && refused.contains("line of its own"), "{refused}");
    }

    /// An element with what may stand around it.
    fn item() -> impl Strategy<Value = (String, String, String)> {
        let above = prop_oneof![
            4 => Just("\n      "),
            2 => Just("\n      # One.\n      "),
            1 => Just("\n      # One.\n   # Two.\n      "),
            1 => Just("\n\n      # Far.\n\n      "),
            1 => Just("\n\n      # Far.\n\n      /* Near\n\n near. */\n      "),
            1 => Just("\r\n\t# Tab.\r\n\t"),
            1 => Just(" "),
            1 => Just(" /* within */ "),
        ];
        let form = prop_oneof![Just("./N"), Just("(./. + \"/N\")"), Just("\"${self}/N\"")];
        let behind = prop_oneof![3 => Just(""), 1 => Just(" # behind"), 1 => Just(" /* behind */")];
        (above, form, behind).prop_map(|(a, f, b)| (a.to_string(), f.to_string(), b.to_string()))
    }

    proptest! {
        #[test]
        fn any_order_keeps_the_comments_and_comes_back(
            items in prop::collection::vec(item(), 1..6),
            order in Just((0..5).collect::<Vec<usize>>()).prop_shuffle(),
        ) {
            let mut text = String::new();
            for (i, (above, form, behind)) in items.iter().enumerate() {
                // A comment up to the end of the line would swallow what follows on it.
                let above = match text.rsplit('\n').next() {
                    Some(line) if line.contains('#') && !above.contains('\n') => "\n      ",
                    _ => above,
                };
                text.push_str(&format!("{above}{}{behind}", form.replace('N', &format!("{i}.patch"))));
            }
            text.push_str("\n    ");
            let text = list(&text);
            let order: Vec<usize> = order.into_iter().filter(|at| *at < items.len()).collect();
            // A list that refuses is left alone.
            if let Ok(moved) = reordered(&text, &order) {
                let shown: Vec<usize> = moved.match_indices(".patch").filter_map(|(at, _)| moved[..at].chars().last()?.to_digit(10)).map(|n| n as usize).collect();
                prop_assert_eq!(&shown, &order);
                prop_assert_eq!(moved.matches("behind").count(), text.matches("behind").count());
                let comments = |text: &str| {
                    let file = OverlayFile::parse(Path::new("o.nix"), text.into()).unwrap();
                    let names: Vec<String> = (0..items.len()).map(|i| format!("{i}.patch")).collect();
                    let mut all: Vec<String> = file.slots(&names).iter().map(|slot| text[slot.whole.range()].to_string()).collect();
                    all.sort();
                    all
                };
                prop_assert_eq!(comments(&moved), comments(&text));
                let back: Vec<usize> = (0..order.len()).map(|old| order.iter().position(|at| *at == old).unwrap()).collect();
                prop_assert_eq!(reordered(&moved, &back), Ok(text));
            }
        }
    }
}
