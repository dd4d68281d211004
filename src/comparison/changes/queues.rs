//! What changed in overlays and in the patch queues that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Change, How, Kind, States, how};
use crate::base::fs;
use crate::comparison::Error;
use crate::overlay::{AttrPath, Element, OverlayFile, PatchElement};
use crate::queue;
use crate::queue::copy::text_without;

/// A patch as an overlay names it: the package, the file below the repository.
type Entry = (AttrPath, PathBuf);

/// An overlay that differs.
struct Edited {
    path: PathBuf,
    added: BTreeSet<Entry>,
    removed: BTreeSet<Entry>,
    /// For each package whose patches differ in it, its text with those of that package alone as they were; `None` where they cannot be
    /// told from the rest.
    apart: BTreeMap<AttrPath, Option<String>>,
    /// Whether these are all that differs in it, so that it need not be told itself.
    is_told: bool,
}

impl States<'_> {
    /// Returns the file that an element of an overlay names, below the repository; its address where it is fetched.
    fn file_of(&self, overlay: &Path, element: &Element) -> PathBuf {
        let path = match queue::named(element) {
            PatchElement::Path { from_root: Some(below), .. } => self.below.join(below),
            PatchElement::Path { relative, .. } => overlay.parent().unwrap_or(Path::new("")).join(relative),
            PatchElement::Fetch { url, .. } => PathBuf::from(url),
        };
        fs::collapsed(&path)
    }

    /// Returns the patches that an overlay's text names, as far as they are files of the repository.
    fn entries(&self, path: &Path, text: &str) -> Result<BTreeSet<Entry>, Error> {
        let file = OverlayFile::parse(path, text.to_owned())?;
        let mut entries = BTreeSet::new();
        for package in file.patched_packages() {
            for element in &package.elements {
                entries.insert((package.attr.clone(), self.file_of(path, element)));
            }
        }
        Ok(entries)
    }

    /// Takes entries out of an overlay's text; `None` where the overlay room will not.
    fn without(&self, path: &Path, text: &str, entries: &BTreeSet<Entry>) -> Option<String> {
        let is_meant =
            |attr: &AttrPath, element: &Element| entries.contains(&(attr.clone(), self.file_of(path, element)));
        text_without(&self.root.join(path), text, &is_meant).ok()
    }

    /// Adds what changed in overlays and in patch queues, and takes their files off `left`.
    pub(super) fn overlays_and_queues(
        &self,
        overlays: &BTreeSet<PathBuf>,
        queues: &BTreeSet<PathBuf>,
        left: &mut BTreeSet<&Path>,
        changes: &mut Vec<Change>,
    ) -> Result<(), Error> {
        let mut edited = Vec::new();
        let mut package_of: BTreeMap<PathBuf, AttrPath> = BTreeMap::new();
        for path in overlays {
            let (old, new) = self.texts(path)?;
            let entries = |text: &Option<String>| {
                text.as_deref().and_then(|text| self.entries(path, text).ok()).unwrap_or_default()
            };
            let (before, after) = (entries(&old), entries(&new));
            if left.remove(path.as_path()) {
                edited.push(self.edited(path, old, new, &before, &after));
            }
            package_of.extend(before.into_iter().chain(after).map(|(attr, file)| (file, attr)));
        }
        let mut files = files_by_package(&package_of, queues, left);
        for attr in edited.iter().flat_map(|edited| edited.apart.keys()) {
            files.entry(attr.clone()).or_default();
        }
        for edited in edited.iter().filter(|edited| !edited.is_told) {
            let change = self.overlay(edited, files.values().flatten().copied())?;
            // Listed and written at once: one thing.
            match changes.iter_mut().find(|other| other.kind == Kind::Overlay && other.what == change.what) {
                Some(listed) => listed.put_back.0.extend(change.put_back.0),
                None => changes.push(change),
            }
        }
        for (attr, files) in &files {
            changes.push(self.queue(attr, files, &edited)?);
        }
        Ok(())
    }

    /// Finds what changed in an overlay, from the patches that it named and names.
    fn edited(
        &self,
        path: &Path,
        old: Option<String>,
        new: Option<String>,
        before: &BTreeSet<Entry>,
        after: &BTreeSet<Entry>,
    ) -> Edited {
        let (added, removed) = (after - before, before - after);
        let packages: BTreeSet<&AttrPath> = added.iter().chain(&removed).map(|(attr, _)| attr).collect();
        // The old text, where patches are all that changed.
        let old = old.zip(new.as_deref()).filter(|(old, new)| {
            let old = self.without(path, old, &removed);
            !packages.is_empty() && old.is_some() && old == self.without(path, new, &added)
        });
        let old = old.map(|(old, _)| old);
        let apart = |attr: &AttrPath| {
            let of = |entries: &BTreeSet<Entry>, own: bool| -> BTreeSet<Entry> {
                entries.iter().filter(|(other, _)| (other == attr) == own).cloned().collect()
            };
            if of(&removed, true).is_empty() {
                return self.without(path, new.as_deref()?, &of(&added, true));
            }
            let old = old.as_deref().filter(|_| of(&added, false).is_empty())?;
            self.without(path, old, &of(&removed, false))
        };
        let apart: BTreeMap<AttrPath, Option<String>> =
            packages.into_iter().map(|attr| (attr.clone(), apart(attr))).collect();
        let is_told = old.is_some() && apart.values().all(Option::is_some);
        Edited { path: path.to_path_buf(), added, removed, apart, is_told }
    }

    /// Returns the change of an overlay as a whole, which is put back with all patch files that are gone.
    fn overlay<'p>(&self, edited: &'p Edited, files: impl Iterator<Item = &'p Path>) -> Result<Change, Error> {
        let mut change = Change::new(Kind::Overlay, self.name(&edited.path), how(self.changed[edited.path.as_path()]));
        for path in files.filter(|path| !self.changed[*path].after).chain([edited.path.as_path()]) {
            change.put_back.0.insert(self.root.join(path), self.old(path)?);
        }
        self.put_place(&mut change, &edited.path, None)?;
        Ok(change)
    }

    /// Returns the change of a package's patches: its files that differ, and what overlays say of it.
    fn queue(&self, attr: &AttrPath, files: &[&Path], edited: &[Edited]) -> Result<Change, Error> {
        let mut hows = files.iter().map(|path| how(self.changed[*path]));
        let alike = hows.next().filter(|first| hows.all(|how| how == *first));
        let mut change = Change::new(Kind::Queue, attr.to_string(), alike.unwrap_or(How::Changed));
        let mut is_apart = true;
        let mut named = BTreeSet::new();
        for edited in edited {
            let Some(text) = edited.apart.get(attr) else { continue };
            is_apart &= text.is_some();
            change.put_back.0.insert(self.root.join(&edited.path), text.clone().map(String::into_bytes));
            for (entries, how) in [(&edited.added, How::Added), (&edited.removed, How::Removed)] {
                for (_, file) in entries.iter().filter(|(other, _)| other == attr) {
                    if how == How::Added {
                        named.insert(file.as_path());
                    }
                    if !files.contains(&file.as_path()) {
                        let text = format!("{} {} in {}", how.word(), self.name(file), self.name(&edited.path));
                        change.details.push(text);
                    }
                }
            }
        }
        for path in files {
            let file = self.changed[*path];
            change.details.push(format!("{} {}", how(file).word(), self.name(path)));
            // One that an overlay still names would not evaluate without it.
            if file.before || !named.contains(path) {
                change.put_back.0.insert(self.root.join(path), self.old(path)?);
            }
        }
        // A patch that is there shows what it is; one that is gone, the overlay that no longer names it.
        let by_overlay =
            edited.iter().filter(|edited| edited.apart.contains_key(attr)).map(|edited| edited.path.as_path());
        let there = files.iter().copied().find(|path| self.changed[*path].after);
        if let Some(path) = there.or_else(|| by_overlay.clone().next()).or_else(|| files.first().copied()) {
            self.put_place(&mut change, path, None)?;
        }
        // What its overlay says cannot be put back for it alone: the overlay stands for it.
        if !is_apart {
            change.put_back.0.clear();
        }
        Ok(change)
    }
}

/// Takes the patch files off `left`: those that an overlay names or named, and those of a queue.
fn files_by_package<'p>(
    package_of: &BTreeMap<PathBuf, AttrPath>,
    queues: &BTreeSet<PathBuf>,
    left: &mut BTreeSet<&'p Path>,
) -> BTreeMap<AttrPath, Vec<&'p Path>> {
    let mut files: BTreeMap<AttrPath, Vec<&Path>> = BTreeMap::new();
    left.retain(|path| {
        let in_queue = || {
            let below = queues.iter().find_map(|queue| path.strip_prefix(queue).ok())?;
            queue::attr_of_dir(below.components().next()?.as_os_str().to_str()?)
        };
        let attr = package_of.get(*path).cloned().or_else(in_queue);
        match attr {
            Some(attr) => files.entry(attr).or_default().push(path),
            None => return true,
        }
        false
    });
    files
}
