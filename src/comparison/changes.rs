//! What changed in a workspace since a revision, thing by thing: overlays, patch queues, pins, settings, boards, other files; each with
//! what puts it back on its own. Must not evaluate anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::settings;
use crate::base::fs;
use crate::comparison::Error;
use crate::config::{FILE_NAME, Workspace};
use crate::git::{Changed, Since};
use crate::overlay::{AttrPath, Element, OverlayFile, PatchElement};
use crate::queue;
use crate::queue::copy::{Copy, text_without};
use crate::queue::discover::Overlays;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What nixpkgs, or another input, is.
    Pin,
    /// A key of `overlayctl.toml`.
    Config,
    /// An overlay file, or the list of them.
    Overlay,
    /// The patches of a package.
    Queue,
    /// A board as a whole.
    Board,
    /// What is built when nothing is named.
    Targets,
    /// Another file of the repository.
    File,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Pin => "pin",
            Kind::Config => "config",
            Kind::Overlay => "overlay",
            Kind::Queue => "queue of",
            Kind::Board => "board",
            Kind::Targets => "targets",
            Kind::File => "file",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    Added,
    Removed,
    Changed,
    /// The same things stand in another order.
    Reordered,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub kind: Kind,
    /// Which: a file, a package, the name of a pin, a key, a board.
    pub what: String,
    pub how: How,
    /// What it was, of what has a short value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What changed in it, where it is made of files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// How many of the rebuilt derivations would not be there with this alone put back; absent where that could not be told.
    pub rebuilds: Option<usize>,
    #[serde(skip)]
    pub(super) put_back: PutBack,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.what)
    }
}

/// Files of the workspace as they have to be for a thing to be as it was; `None` for one that is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PutBack(BTreeMap<PathBuf, Option<Vec<u8>>>);

impl PutBack {
    /// Says whether there is nothing to put back.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes a copy of the workspace with this put back.
    pub(super) fn copy(&self, workspace: &Workspace) -> Result<Copy, Error> {
        let written: Vec<(PathBuf, Vec<u8>)> =
            self.0.iter().filter_map(|(path, bytes)| Some((path.clone(), bytes.clone()?))).collect();
        let removed: Vec<PathBuf> =
            self.0.iter().filter(|(_, bytes)| bytes.is_none()).map(|(path, _)| path.clone()).collect();
        Ok(Copy::with(workspace, &written, &removed)?)
    }
}

impl Change {
    fn new(kind: Kind, what: impl Into<String>, how: How) -> Change {
        Change {
            kind,
            what: what.into(),
            how,
            before: None,
            after: None,
            details: Vec::new(),
            rebuilds: None,
            put_back: PutBack::default(),
        }
    }

    fn back(mut self, path: PathBuf, bytes: Option<Vec<u8>>) -> Change {
        self.put_back.0.insert(path, bytes);
        self
    }
}

/// A patch as an overlay names it: the package, the file below the repository.
type Entry = (AttrPath, PathBuf);

/// Two states of a workspace.
struct States<'a> {
    /// The repository as it is, and the workspace below it.
    root: &'a Path,
    below: &'a Path,
    old_root: PathBuf,
    changed: BTreeMap<&'a Path, &'a Changed>,
}

/// Finds what changed between the workspace as it was, which is in a copy, and as it is.
///
/// # Errors
/// Those of reading files; what cannot be read as what it should be counts as a file.
pub(super) fn of(workspace: &Workspace, old: &Workspace, since: &Since) -> Result<Vec<Change>, Error> {
    let mut old_root = old.root().to_path_buf();
    for _ in since.below.components() {
        old_root.pop();
    }
    // What overlayctl keeps for itself is no part of what is evaluated.
    let own = since.below.join(".overlayctl");
    let changed = since.files.iter().filter(|file| !file.path.starts_with(&own));
    let changed = changed.map(|file| (file.path.as_path(), file)).collect();
    let states = States { root: &since.root, below: &since.below, old_root, changed };
    let mut changes = Vec::new();
    let mut left: BTreeSet<&Path> = states.changed.keys().copied().collect();
    let settings = since.below.join(FILE_NAME);
    if left.remove(settings.as_path()) {
        changes.extend(states.settings(&settings)?);
    }
    left.retain(|path| match states.pins(path) {
        Some(pins) => {
            changes.extend(pins);
            false
        }
        None => true,
    });
    let overlays: BTreeSet<PathBuf> =
        [(workspace, states.root), (old, &states.old_root)].iter().flat_map(|(of, root)| overlays(of, root)).collect();
    let queues: BTreeSet<PathBuf> = [(workspace, states.root), (old, &states.old_root)]
        .iter()
        .filter_map(|(of, root)| below(&of.patches_dir(), root))
        .collect();
    states.overlays_and_queues(&overlays, &queues, &mut left, &mut changes)?;
    for path in left {
        let file = states.changed[path];
        let mut change = Change::new(Kind::File, states.name(path), how(file));
        if !file.is_known && file.after {
            change.details.push("git does not know it, so a flake does not see it".into());
        }
        change.put_back.0.insert(states.root.join(path), states.old(path)?);
        changes.push(change);
    }
    states.join_flakes(&mut changes)?;
    changes.sort_by(|a, b| (a.kind, &a.what).cmp(&(b.kind, &b.what)));
    Ok(changes)
}

fn how(file: &Changed) -> How {
    match (file.before, file.after) {
        (false, _) => How::Added,
        (_, false) => How::Removed,
        _ => How::Changed,
    }
}

/// Returns a path below a root, links on the way to the root followed.
fn below(path: &Path, root: &Path) -> Option<PathBuf> {
    let path = queue::unlinked(path).ok()?;
    path.strip_prefix(root.canonicalize().ok()?).ok().map(Path::to_path_buf)
}

/// Returns the files that hold the overlays of a workspace, below its repository. One that cannot be read as overlays has none: what
/// changed in it counts as files.
fn overlays(workspace: &Workspace, root: &Path) -> Vec<PathBuf> {
    let Ok(overlays) = Overlays::read(workspace, None) else { return Vec::new() };
    overlays.files().filter_map(|found| below(found.file.path(), root)).collect()
}

impl States<'_> {
    /// Returns a path as it is written in what is shown: from the workspace where it is below it.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.below).unwrap_or(path).display().to_string()
    }

    /// Returns what a file was; `None` when it was not there.
    fn old(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let there = self.changed.get(path).is_none_or(|file| file.before);
        let file = self.old_root.join(path);
        Ok(if there && !file.is_symlink() && file.is_file() { Some(fs::read(&file)?) } else { None })
    }

    /// Returns what a file is; `None` when it is not there.
    fn current(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        let file = self.root.join(path);
        Ok(if file.is_file() { Some(fs::read(&file)?) } else { None })
    }

    fn texts(&self, path: &Path) -> Result<(Option<String>, Option<String>), Error> {
        let text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok((text(self.old(path)?), text(self.current(path)?)))
    }

    /// Returns what changed in `overlayctl.toml`.
    fn settings(&self, path: &Path) -> Result<Vec<Change>, Error> {
        let (old, new) = self.texts(path)?;
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let changed = settings::changed(&old, &new);
        let changes = changed.into_iter().map(|one| {
            let mut change = Change::new(one.kind, one.what, one.how);
            (change.before, change.after) = (one.before, one.after);
            change.back(self.root.join(path), Some(one.put_back.into_bytes()))
        });
        Ok(changes.collect())
    }

    /// Returns the pins that changed in a file that holds pins; `None` for another file, and where it cannot be read as such.
    fn pins(&self, path: &Path) -> Option<Vec<Change>> {
        let file = self.changed.get(path)?;
        if let Some((before, after)) = &file.submodule {
            let mut change = Change::new(Kind::Pin, self.name(path), how(file));
            (change.before, change.after) = (before.clone(), after.clone());
            return Some(vec![change]);
        }
        let read = |text: Option<String>| text.map_or(Some(Value::Null), |text| serde_json::from_str(&text).ok());
        let is_sources = |dir: &str| path.ends_with(Path::new(dir).join("sources.json"));
        let put: fn(&Value, &Value, &str) -> Option<Value> = match path.file_name()?.to_str()? {
            "flake.lock" => put_back_input,
            _ if is_sources("npins") => |old, new, name| put_back_member(old, new, "/pins", name),
            _ if is_sources("nix") => |old, new, name| put_back_member(old, new, "", name),
            _ => return None,
        };
        let (old, new) = self.texts(path).ok()?;
        let (old, new) = (read(old)?, read(new)?);
        let (pins_before, pins_after) = (pins_of(&old)?, pins_of(&new)?);
        let names: BTreeSet<&String> = pins_before.keys().chain(pins_after.keys()).collect();
        let mut changes = Vec::new();
        for name in names {
            let (before, after) = (pins_before.get(name), pins_after.get(name));
            if before == after {
                continue;
            }
            let how = match (before, after) {
                (None, _) => How::Added,
                (_, None) => How::Removed,
                _ => How::Changed,
            };
            let mut change = Change::new(Kind::Pin, name, how);
            (change.before, change.after) = match (before.map(short), after.map(short)) {
                // Of one that says the same in its first words all is said.
                (Some(old), Some(new)) if old == new => (before.map(Value::to_string), after.map(Value::to_string)),
                short => short,
            };
            let text = match put(&old, &new, name) {
                Some(value) => Some(serde_json::to_vec_pretty(&value).ok()?),
                None => self.old(path).ok()?,
            };
            changes.push(change.back(self.root.join(path), text));
        }
        Some(changes)
    }

    /// Returns the file that an element of an overlay names, below the repository; its address where it is fetched.
    fn file_of(&self, overlay: &Path, element: &Element) -> PathBuf {
        let path = match queue::named(element) {
            PatchElement::Path { from_root: Some(below), .. } => self.below.join(below),
            PatchElement::Path { relative, .. } => overlay.parent().unwrap_or(Path::new("")).join(relative),
            PatchElement::Fetch { url, .. } => PathBuf::from(url),
        };
        fs::collapsed(&path)
    }

    /// Joins an input of a flake that was asked for otherwise to the text that asks for it: neither evaluates with the other as it is.
    fn join_flakes(&self, changes: &mut [Change]) -> Result<(), Error> {
        for flake in self.changed.keys().filter(|path| path.ends_with("flake.nix")) {
            let lock = flake.with_file_name("flake.lock");
            let (old, new) = self.texts(&lock)?;
            let pins = |text: Option<String>| {
                let lock = text.map_or(Some(Value::Null), |text| serde_json::from_str(&text).ok());
                lock.as_ref().and_then(pins_of).unwrap_or_default()
            };
            let (old, new) = (pins(old), pins(new));
            let asked = |pins: &BTreeMap<String, Value>, name: &str| {
                pins.get(name).map(|pin| pin.get("original").unwrap_or(pin).clone())
            };
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let others: Vec<&String> =
                names.into_iter().filter(|name| asked(&old, name) != asked(&new, name)).collect();
            if others.is_empty() {
                continue;
            }
            let (flake_file, lock_file) = (self.root.join(flake), self.root.join(&lock));
            for change in changes.iter_mut() {
                let is_input = change.kind == Kind::Pin
                    && change.put_back.0.contains_key(&lock_file)
                    && others.contains(&&change.what);
                if is_input || (change.kind == Kind::File && change.put_back.0.contains_key(&flake_file)) {
                    change.put_back.0.insert(flake_file.clone(), self.old(flake)?);
                    change.put_back.0.insert(lock_file.clone(), self.old(&lock)?);
                }
            }
        }
        Ok(())
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
    fn overlays_and_queues(
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

fn word(how: How) -> &'static str {
    match how {
        How::Added => "added",
        How::Removed => "removed",
        How::Changed => "changed",
        How::Reordered => "reordered",
    }
}

/// Returns the pins of a lock of a flake, of npins or niv, by name; of a flake those of its own inputs with all that they need.
fn pins_of(file: &Value) -> Option<BTreeMap<String, Value>> {
    if file.is_null() {
        return Some(BTreeMap::new());
    }
    let Some(nodes) = file.get("nodes") else {
        let pins = file.get("pins").unwrap_or(file).as_object()?;
        return Some(pins.iter().map(|(name, pin)| (name.clone(), pin.clone())).collect());
    };
    let root = nodes.get(file.get("root")?.as_str()?)?;
    let inputs = root.get("inputs").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut pins = BTreeMap::new();
    for (name, reference) in inputs {
        let Some(node) = reference.as_str() else {
            pins.insert(name, reference);
            continue;
        };
        let below: serde_json::Map<String, Value> = below_node(nodes, node)
            .into_iter()
            .filter_map(|name| Some((name.clone(), nodes.get(&name)?.clone())))
            .collect();
        let mut pin = nodes.get(node)?.clone();
        if below.len() > 1 {
            pin.as_object_mut()?.insert("with".into(), below.values().cloned().collect());
        }
        pins.insert(name, pin);
    }
    Some(pins)
}

/// Returns the nodes of a flake's lock that one leads to, itself among them.
fn below_node(nodes: &Value, node: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo = vec![node.to_owned()];
    while let Some(name) = todo.pop() {
        let inputs = nodes.get(&name).and_then(|node| node.get("inputs")).and_then(Value::as_object);
        let more = inputs.into_iter().flat_map(|inputs| inputs.values()).filter_map(Value::as_str).map(str::to_owned);
        todo.extend(more.filter(|more| !found.contains(more)));
        found.insert(name);
    }
    found
}

/// Puts an input of a flake back, with all that it needs, beside what the others need.
fn put_back_input(old: &Value, new: &Value, input: &str) -> Option<Value> {
    let mut lock = new.clone();
    let (root, old_root) = (new.get("root")?.as_str()?, old.get("root")?.as_str()?);
    let old_nodes = old.get("nodes")?;
    let reference = old_nodes.get(old_root)?.get("inputs")?.get(input)?;
    let of_old = |name: &str| format!("{name}@before");
    if let Some(node) = reference.as_str() {
        for name in below_node(old_nodes, node) {
            let mut node = old_nodes.get(&name)?.clone();
            let inputs = node.get_mut("inputs").and_then(Value::as_object_mut);
            for reference in inputs.into_iter().flat_map(|inputs| inputs.values_mut()) {
                if let Value::String(name) = reference {
                    *name = of_old(name);
                }
            }
            lock.get_mut("nodes")?.as_object_mut()?.insert(of_old(&name), node);
        }
    }
    let put = reference.as_str().map_or_else(|| reference.clone(), |name| of_old(name).into());
    let inputs = lock.get_mut("nodes")?.get_mut(root)?.get_mut("inputs")?.as_object_mut()?;
    inputs.insert(input.to_owned(), put);
    // What nothing leads to any more Nix leaves out by itself.
    Some(lock)
}

/// Puts a member of an object in a file back.
fn put_back_member(old: &Value, new: &Value, place: &str, name: &str) -> Option<Value> {
    let mut file = new.clone();
    let members = file.pointer_mut(place)?.as_object_mut()?;
    match old.pointer(place).and_then(|members| members.get(name)) {
        Some(pin) => drop(members.insert(name.to_owned(), pin.clone())),
        None => drop(members.remove(name)),
    }
    Some(file)
}

/// Returns the word of a pin that people know it by.
fn short(pin: &Value) -> String {
    let places = [pin.get("locked"), Some(pin)];
    let word = ["rev", "revision", "version", "narHash", "hash", "sha256", "path", "url"].iter().find_map(|key| {
        places.iter().flatten().find_map(|place| place.get(key)?.as_str().filter(|text| !text.is_empty()))
    });
    let word = word.map_or_else(|| pin.to_string(), str::to_owned);
    let is_hash = word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hash { word.get(..12).unwrap_or_default().to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_input_is_put_back_with_what_it_needs() {
        let node = |rev: &str, inputs: Value| json!({ "locked": { "rev": rev }, "inputs": inputs });
        let lock = |a: &str, deep: &str, b: &str| {
            json!({ "root": "root", "version": 7, "nodes": {
                "root": { "inputs": { "a": "a", "b": "b", "same": ["a"] } },
                "a": node(a, json!({ "deep": "deep", "b": ["b"] })),
                "deep": node(deep, json!({})),
                "b": node(b, json!({ "deep": "deep" })),
            } })
        };
        let (old, new) = (lock("1", "1", "1"), lock("1", "2", "2"));
        let (before, after) = (pins_of(&old).unwrap(), pins_of(&new).unwrap());
        assert_ne!(before["a"], after["a"], "what it needs is another");
        assert_eq!(before["same"], after["same"]);
        let back = put_back_input(&old, &new, "a").unwrap();
        let at = |place: &str| back.pointer(place).unwrap().clone();
        assert_eq!(at("/nodes/root/inputs/a"), "a@before");
        assert_eq!(at("/nodes/a@before/inputs"), json!({ "deep": "deep@before", "b": ["b"] }));
        assert_eq!((at("/nodes/deep@before/locked/rev"), at("/nodes/deep/locked/rev")), ("1".into(), "2".into()));
        assert_eq!(short(&after["b"]), "2");
        assert_eq!(short(&json!({ "rev": "0123456789012345678901234567890123456789" })), "012345678901");
    }
}
