//! The patches of one package in their order: as the overlays name them, or as they lie in the folder of the queue.
//!
//! Must not change anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Error;
use super::discover::{Found, Overlays, Standing, base_of, on_disk};
use super::model::{Asking, InEffect, Model, Patch};
use crate::base::fs;
use crate::base::span::Place;
use crate::config::Workspace;
use crate::overlay::{self, AttrPath, Element, PatchedPackage};
use crate::patch::{self, PatchFile};

/// The queue of a package.
#[derive(Debug, Clone)]
pub struct Series {
    pub attr: AttrPath,
    pub dir: PathBuf,
    pub patches: Vec<Entry>,
    /// Elements of the overlay that are no files: addresses, expressions.
    pub others: Vec<String>,
    /// The overlay functions that bind the package, and in which file; empty when only the folder has patches.
    pub bound: Vec<Bound>,
    /// Whether a text names one of them where no binding of the package was found.
    pub placed: bool,
}

/// An overlay function that patches a package.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The package by the name that is bound: the queue's own, or another one that has patches of it.
    pub attr: AttrPath,
    pub file: PathBuf,
    pub function: Place,
}

/// A patch of a queue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The file, as the user would write it.
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// Whether it counts only under a condition.
    pub conditional: bool,
}

impl Entry {
    /// Returns the last component of the path.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns what the patch says it does, or what its name says.
    pub fn subject(&self) -> String {
        let parsed = PatchFile::parse(&self.bytes).ok();
        let subject = parsed.and_then(|patch| patch.headers().subject).filter(|s| !s.is_empty());
        subject.unwrap_or_else(|| {
            let name = self.name();
            patch::queue::QueueName::parse(&name).map_or(name, |q| q.slug.replace('-', " "))
        })
    }

    /// Reads the patch.
    ///
    /// # Errors
    /// That of the parser, with the path.
    pub fn parse(&self) -> Result<PatchFile<'_>, Error> {
        PatchFile::parse(&self.bytes).map_err(|e| Error::Patch(e.in_file(&self.path)))
    }
}

impl Overlays {
    /// Returns the packages that are patched, those of folders that no overlay names included, sorted.
    pub fn packages(&self, workspace: &Workspace) -> Vec<AttrPath> {
        let ours = self.patched().filter(|(found, _)| found.standing != Standing::Beside);
        let mut found: BTreeSet<AttrPath> = ours.map(|(_, package)| package.attr).collect();
        for entry in std::fs::read_dir(workspace.patches_dir()).into_iter().flatten().flatten() {
            let Some(attr) = entry.file_name().to_str().and_then(super::attr_of_dir) else { continue };
            if super::files(&entry.path()).is_ok_and(|files| !files.is_empty()) {
                found.insert(attr);
            }
        }
        found.into_iter().collect()
    }

    /// Returns the packages that are typed, or all that are patched.
    pub fn typed_or_all(&self, workspace: &Workspace, typed: &[String]) -> Result<Vec<AttrPath>, Error> {
        match typed {
            [] => Ok(self.packages(workspace)),
            typed => {
                Ok(typed.iter().map(|t| AttrPath::parse(t)).collect::<Result<_, _>>().map_err(overlay::Error::from)?)
            }
        }
    }

    /// Returns the queue of a package, without patches when it has none.
    ///
    /// # Errors
    /// [`Error::Fs`] for a patch that cannot be read.
    pub fn series(&self, workspace: &Workspace, attr: &AttrPath) -> Result<Series, Error> {
        let dir = super::dir(workspace, attr);
        let mut series = Series::new(attr.clone(), dir.clone());
        let mut seen = BTreeSet::new();
        // What lies beside and nothing leads to is somebody else's, unless it has files of this queue.
        let ours = |(found, package): &(&Found, PatchedPackage)| {
            let file = found.file.path();
            let queued = |e: &Element| on_disk(e, file).is_some_and(|path| is_below(&path, &dir));
            found.standing != Standing::Beside || package.elements.iter().any(queued)
        };
        let all: Vec<_> = self.patched().filter(ours).collect();
        for (found, package) in all.iter().filter(|(_, package)| package.attr == *attr) {
            let file = &found.file;
            series.bound.push(Bound::of(file.path(), package));
            // Those of a list are applied in its order; text does not show where an overlay comes that only something leads to.
            let is_ordered = matches!(found.standing, Standing::Listed | Standing::TargetStage(_));
            let mut behind = if is_ordered { series.patches.len() } else { 0 };
            for element in &package.elements {
                let Some(path) = on_disk(element, file.path()) else {
                    match &element.path {
                        Some(written) => {
                            // Reading it says what is the matter.
                            fs::read(&fs::collapsed(&base_of(file.path()).join(written)))?;
                        }
                        None => series.others.push(element.url.clone().unwrap_or_else(|| element.text.clone())),
                    }
                    continue;
                };
                if seen.insert(path.clone()) {
                    let shown = shown(workspace, &dir, path);
                    let bytes = fs::read(&shown)?;
                    behind = series.insert(Entry { path: shown, bytes, conditional: element.conditional }, behind);
                }
            }
        }
        // Another name of the package, or another package, that has a file of this queue: it follows when the file does.
        for (found, package) in all.iter().filter(|(_, package)| package.attr != *attr) {
            let file = found.file.path();
            let shares = |element: &Element| {
                on_disk(element, file).is_some_and(|path| seen.contains(&path) || is_below(&path, &dir))
            };
            if package.elements.iter().any(shares) {
                series.bound.push(Bound::of(file, package));
            }
        }
        let unnamed = |name: &String| !series.patches.iter().any(|entry| entry.path == dir.join(name));
        let mut rest: Vec<PathBuf> =
            super::files(&dir)?.iter().filter(|name| unnamed(name)).map(|name| dir.join(name)).collect();
        let real: Vec<PathBuf> = rest.iter().map(|path| super::unlinked(path)).collect::<Result<_, _>>()?;
        // What no binding shows may stand in a helper, or in the argument of something computed.
        let placed = if rest.is_empty() { Vec::new() } else { self.slots(workspace, &real) };
        let placed: BTreeSet<usize> = placed.iter().flat_map(|(_, slots)| slots).map(|(_, file)| *file).collect();
        series.placed = !placed.is_empty();
        if !series.bound.is_empty() || series.placed {
            let mut at = 0..rest.len();
            rest.retain(|_| at.next().is_some_and(|at| placed.contains(&at)));
        }
        for path in rest {
            let bytes = fs::read(&path)?;
            series.insert(Entry { path, bytes, conditional: false }, 0);
        }
        Ok(series)
    }

    /// Returns the queue of a package.
    ///
    /// # Errors
    /// [`Error::NoQueue`] when it has none.
    pub fn queue(&self, workspace: &Workspace, attr: &AttrPath) -> Result<Series, Error> {
        let series = self.series(workspace, attr)?;
        if series.patches.is_empty() && series.others.is_empty() {
            return Err(Error::NoQueue { attr: attr.clone(), dir: series.dir });
        }
        Ok(series)
    }
}

impl Bound {
    fn of(file: &Path, package: &PatchedPackage) -> Bound {
        Bound { attr: package.attr.clone(), file: file.to_path_buf(), function: package.function.clone() }
    }
}

fn is_below(path: &Path, dir: &Path) -> bool {
    dir.canonicalize().is_ok_and(|dir| path.parent() == Some(dir.as_path()))
}

impl Series {
    /// Makes one without patches.
    pub(in crate::queue) fn new(attr: AttrPath, dir: PathBuf) -> Series {
        Series { attr, dir, patches: Vec::new(), others: Vec::new(), bound: Vec::new(), placed: false }
    }

    /// Says whether several overlay functions bind the package: the text does not say in which order they are applied.
    fn is_spread(&self) -> bool {
        let own = || self.bound.iter().filter(|bound| bound.attr == self.attr).map(|bound| &bound.function);
        own().any(|function| Some(function) != own().next())
    }

    /// Brings the patches into the order in which they are applied, where the text does not say it and Nix was asked.
    pub fn arrange_by(&mut self, model: &Model) {
        if !model.asked || !self.is_spread() {
            return;
        }
        let known: Vec<Option<&PathBuf>> = model
            .find(&self.attr)
            .into_iter()
            .flat_map(|package| &package.patches)
            .filter(|patch| patch.reach.in_effect == InEffect::Yes)
            .map(|patch| patch.real.as_ref())
            .collect();
        self.put(|entry| {
            let real = super::unlinked(&entry.path).ok();
            known.iter().position(|known| real.is_some() && *known == real.as_ref())
        });
    }

    /// Brings the patches into a recorded order, where the text does not say it.
    pub(crate) fn recall(&mut self, place: impl Fn(&Entry) -> Option<usize>) {
        if self.is_spread() {
            self.put(place);
        }
    }

    /// Sorts the patches that have a place by it, among the places that they have now.
    fn put(&mut self, place: impl Fn(&Entry) -> Option<usize>) {
        sort_some(&mut self.patches, place);
    }

    /// Puts the patches that are in effect nowhere to where their numbers say; the order of the others is that of the overlays.
    ///
    /// # Errors
    /// [`Error::OverlayOrder`] where a patch is in effect that no text was found to name: its order cannot be changed.
    pub fn settle(&mut self, workspace: &Workspace, how: Asking<'_>) -> Result<(), Error> {
        if how.offline || self.bound.len() < 2 && super::files(&self.dir)?.len() <= self.patches.len() {
            return Ok(());
        }
        let model = Model::read(workspace, how)?;
        let patches = model.find(&self.attr).map_or(&[][..], |package| &package.patches);
        let held = |patch: &Patch, entry: &Entry| super::unlinked(&entry.path).ok() == patch.real;
        let is_computed = |patch: &&Patch| {
            patch.reach.in_effect == InEffect::Yes
                && patch.real.is_some()
                && !self.patches.iter().any(|entry| held(patch, entry))
        };
        if let Some(patch) = patches.iter().find(is_computed) {
            let why = format!("{} is in effect, and no text was understood to name its file", patch.element);
            return Err(Error::OverlayOrder { attr: self.attr.clone(), why, place: Place::file(&self.dir) });
        }
        let is_off = |entry: &Entry| {
            let mut own = patches.iter().filter(|patch| held(patch, entry)).peekable();
            own.peek().is_some() && own.all(|patch| patch.reach.in_effect == InEffect::No)
        };
        let off: Vec<Entry> = self.patches.extract_if(.., |entry| is_off(entry)).collect();
        self.arrange_by(&model);
        for entry in off {
            self.insert(entry, 0);
        }
        Ok(())
    }

    /// Puts a patch in front of the first with a greater number, not before the place that is given; returns the place behind it.
    fn insert(&mut self, entry: Entry, from: usize) -> usize {
        let number = |entry: &Entry| {
            let queued =
                patch::queue::QueueName::parse(&entry.name()).filter(|_| entry.path.parent() == Some(&self.dir));
            queued.map(|name| name.number)
        };
        let own = number(&entry);
        let greater = |other: &Entry| number(other).is_some_and(|other| own.is_some_and(|own| other > own));
        let behind = self.patches.iter().skip(from).position(greater).map_or(self.patches.len(), |at| from + at);
        self.patches.insert(behind, entry);
        behind + 1
    }

    /// Returns the index of the patch that the user means: a number, a file name, a path.
    pub fn find(&self, typed: &str) -> Result<usize, Error> {
        let meant = Path::new(typed).canonicalize().ok();
        let number = typed.parse::<u32>().ok();
        let by_number = |entry: &Entry| {
            number.is_some() && patch::queue::QueueName::parse(&entry.name()).map(|q| q.number) == number
        };
        let is = |entry: &Entry| {
            entry.name() == typed
                || entry.path == Path::new(typed)
                || meant.is_some() && entry.path.canonicalize().ok() == meant
        };
        let found = self.patches.iter().position(is).or_else(|| self.patches.iter().position(by_number));
        found.ok_or_else(|| Error::NoSuchPatch { attr: self.attr.clone(), patch: typed.to_string() })
    }
}

/// Brings queues into the order in which they are applied, where the text does not say it: then Nix is asked, once.
///
/// # Errors
/// As [`Model::read`].
pub fn arrange<'s>(
    queues: impl IntoIterator<Item = &'s mut Series>,
    workspace: &Workspace,
    how: Asking<'_>,
) -> Result<(), Error> {
    let mut spread = queues.into_iter().filter(|series| series.is_spread()).peekable();
    if how.offline || spread.peek().is_none() {
        return Ok(());
    }
    let model = Model::read(workspace, how)?;
    spread.for_each(|series| series.arrange_by(&model));
    Ok(())
}

/// Sorts the items that have a key by it, among the places that they have; the others stay where they are.
pub(super) fn sort_some<T: Clone>(items: &mut [T], key: impl Fn(&T) -> Option<usize>) {
    let places: Vec<usize> =
        (0..items.len()).filter(|at| items.get(*at).is_some_and(|item| key(item).is_some())).collect();
    let mut sorted: Vec<T> = places.iter().filter_map(|at| items.get(*at).cloned()).collect();
    sorted.sort_by_key(&key);
    for (at, item) in places.into_iter().zip(sorted) {
        items.get_mut(at).into_iter().for_each(|slot| *slot = item.clone());
    }
}

/// Returns a path of the disk as the user would write it: below the queue or the workspace where it is there.
fn shown(workspace: &Workspace, queue_dir: &Path, path: PathBuf) -> PathBuf {
    let below = |dir: &Path| path.strip_prefix(dir.canonicalize().ok()?).ok().map(|rest| dir.join(rest));
    if let Some(shown) = below(queue_dir) {
        return shown;
    }
    super::model::shown(workspace, path)
}
