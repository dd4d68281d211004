//! What changed in overlays and in the patch queues that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Change, How, Kind, PutBack, States, how, word};
use crate::base::fs;
use crate::comparison::Error;
use crate::overlay::{AttrPath, Element, OverlayFile, PatchElement};
use crate::queue;
use crate::queue::copy::text_without;

/// A patch as an overlay names it: the package, the file below the repository.
type Entry = (AttrPath, PathBuf);

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
        /// What changed in an overlay.
        struct Edited {
            path: PathBuf,
            old: Option<String>,
            new: Option<String>,
            added: BTreeSet<Entry>,
            removed: BTreeSet<Entry>,
        }
        let mut edited = Vec::new();
        let mut package_of: BTreeMap<PathBuf, AttrPath> = BTreeMap::new();
        for path in overlays {
            let (old, new) = self.texts(path)?;
            let entries = |text: &Option<String>| {
                text.as_deref().and_then(|text| self.entries(path, text).ok()).unwrap_or_default()
            };
            let (before, after) = (entries(&old), entries(&new));
            package_of.extend(before.iter().chain(&after).map(|(attr, file)| (file.clone(), attr.clone())));
            if left.remove(path.as_path()) {
                let (added, removed) = (&after - &before, &before - &after);
                edited.push(Edited { path: path.clone(), old, new, added, removed });
            }
        }
        // The patch files, by package.
        let mut of_packages: BTreeMap<AttrPath, Vec<&Path>> = BTreeMap::new();
        left.retain(|path| {
            let in_queue = || {
                let below = queues.iter().find_map(|queue| path.strip_prefix(queue).ok())?;
                queue::attr_of_dir(below.components().next()?.as_os_str().to_str()?)
            };
            match package_of.get(*path).cloned().or_else(in_queue) {
                Some(attr) => {
                    of_packages.entry(attr).or_default().push(path);
                    false
                }
                None => true,
            }
        });
        for (attr, _) in edited.iter().flat_map(|edited| edited.added.iter().chain(&edited.removed)) {
            of_packages.entry(attr.clone()).or_default();
        }
        let restored = |files: &mut PutBack| -> Result<(), Error> {
            for path in of_packages.values().flatten().filter(|path| !self.changed[**path].after) {
                files.0.insert(self.root.join(path), self.old(path)?);
            }
            Ok(())
        };
        let mut texts: BTreeMap<(usize, &AttrPath), Option<String>> = BTreeMap::new();
        for (at, edited) in edited.iter().enumerate() {
            let of = |entries: &BTreeSet<Entry>, wanted: &dyn Fn(&AttrPath) -> bool| {
                entries.iter().filter(|(attr, _)| wanted(attr)).cloned().collect::<BTreeSet<_>>()
            };
            let attrs: BTreeSet<&AttrPath> = edited.added.iter().chain(&edited.removed).map(|(attr, _)| attr).collect();
            let all = |_: &AttrPath| true;
            // Whether the entries of patches are all that changed in it.
            let entries_alone = match (&edited.old, &edited.new) {
                (Some(old), Some(new)) if !attrs.is_empty() => {
                    let old = self.without(&edited.path, old, &of(&edited.removed, &all));
                    old.is_some() && old == self.without(&edited.path, new, &of(&edited.added, &all))
                }
                _ => false,
            };
            for attr in &attrs {
                let is_own = |other: &AttrPath| other == *attr;
                let is_other = |other: &AttrPath| other != *attr;
                let text = match (&edited.old, &edited.new) {
                    _ if edited.removed.iter().all(|(other, _)| other != *attr) => {
                        let new = edited.new.as_deref();
                        new.and_then(|new| self.without(&edited.path, new, &of(&edited.added, &is_own)))
                    }
                    (Some(old), Some(_)) if entries_alone && attrs.len() == 1 => Some(old.clone()),
                    (Some(old), Some(_)) if entries_alone && edited.added.is_empty() => {
                        self.without(&edited.path, old, &of(&edited.removed, &is_other))
                    }
                    _ => None,
                };
                texts.insert((at, *attr), text);
            }
            // One that is told by its queues alone is not told twice.
            let told = entries_alone && attrs.iter().all(|attr| texts.get(&(at, *attr)).is_some_and(Option::is_some));
            if !told {
                let file = self.changed[edited.path.as_path()];
                let mut change = Change::new(Kind::Overlay, self.name(&edited.path), how(file));
                restored(&mut change.put_back)?;
                change.put_back.0.insert(self.root.join(&edited.path), self.old(&edited.path)?);
                // Listed and written at once: one thing.
                match changes.iter_mut().find(|other| other.kind == Kind::Overlay && other.what == change.what) {
                    Some(listed) => listed.put_back.0.extend(change.put_back.0),
                    None => changes.push(change),
                }
            }
        }
        for (attr, paths) in &of_packages {
            let mut change = Change::new(Kind::Queue, attr.to_string(), How::Changed);
            let kinds: BTreeSet<&str> = paths.iter().map(|path| word(how(self.changed[*path]))).collect();
            change.how = match kinds.iter().copied().collect::<Vec<_>>().as_slice() {
                ["added"] => How::Added,
                ["removed"] => How::Removed,
                _ => How::Changed,
            };
            let mut is_apart = true;
            let mut named = BTreeSet::new();
            for (at, edited) in edited.iter().enumerate() {
                if let Some(text) = texts.get(&(at, attr)) {
                    let own = edited.added.iter().filter(|(other, _)| other == attr);
                    named.extend(own.map(|(_, file)| file.as_path()));
                    match text {
                        Some(text) => {
                            let bytes = Some(text.clone().into_bytes());
                            change.put_back.0.insert(self.root.join(&edited.path), bytes);
                        }
                        None => is_apart = false,
                    }
                    for (entries, how) in [(&edited.added, "added"), (&edited.removed, "removed")] {
                        let own =
                            entries.iter().filter(|(other, file)| other == attr && !paths.contains(&file.as_path()));
                        let text =
                            own.map(|(_, file)| format!("{how} {} in {}", self.name(file), self.name(&edited.path)));
                        change.details.extend(text);
                    }
                }
            }
            for path in paths {
                let file = self.changed[*path];
                change.details.push(format!("{} {}", word(how(file)), self.name(path)));
                // One that an overlay still names would not evaluate without it.
                if file.before || !named.contains(path) {
                    change.put_back.0.insert(self.root.join(path), self.old(path)?);
                }
            }
            // What its overlay says cannot be put back for it alone: the overlay stands for it.
            if !is_apart {
                change.put_back.0.clear();
            }
            changes.push(change);
        }
        Ok(())
    }
}
