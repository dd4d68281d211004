//! The overlays of a workspace, found by their text: every file that holds one, how it comes to be applied as far as
//! text shows, and the functions in it.
//!
//! The one place where overlays are looked for. What text says is a promise: whether an overlay is in effect is asked of Nix
//! ([`super::model`], [`super::trial`]). Must not change anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Error;
use crate::base::fs;
use crate::base::span::Place;
use crate::config::{Workspace, path_literals};
use crate::overlay::{
    AttrPath, Change, Element, Files, FnKind, OverlayFile, OverlayFn, PatchedPackage, Planned, Select, Slot,
};

/// An overlay that the user named: a file and, if need be, the line of the function's first argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub path: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
}

/// How a file comes to be applied, by what names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is one of the overlays of the workspace, or such a one leads to it: for every stage.
    Listed,
    /// The same among `cross-overlays`: for the target stage, of these boards or of all.
    TargetStage(Option<Vec<String>>),
    /// An entry point of the workspace leads to it: the user's own code may apply it.
    Reached,
    /// It lies in the workspace, and nothing was seen to lead to it.
    Beside,
}

/// A file with overlays.
#[derive(Debug)]
pub struct Found {
    pub file: OverlayFile,
    /// How it comes to be applied.
    pub standing: Standing,
    /// Whether the user named it: on the command line or in `overlayctl.toml`.
    pub named: bool,
    /// Whether the flake of the workspace, if it is one, leads to it by its text.
    pub in_flake: bool,
    /// Whether a link leads out of the workspace to it: read, and edited only when it is named.
    pub outside: bool,
}

/// The overlays of a workspace, read once.
#[derive(Debug, Default)]
pub struct Overlays {
    found: Vec<Found>,
    /// The workspace without links; empty where it does not matter.
    root: PathBuf,
    /// The files that the flake leads to, without links.
    flake: BTreeSet<PathBuf>,
    /// The files that were looked at, without symbolic links.
    seen: BTreeSet<PathBuf>,
}

/// An overlay function that packages can be patched in.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub found: &'a Found,
    pub function: &'a OverlayFn,
}

/// The files of the disk, for imports that are followed.
pub(crate) struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Option<String> {
        let path = if path.is_dir() { path.join("default.nix") } else { path.to_path_buf() };
        fs::read_text(&path).ok()
    }
}

/// Reads and parses an overlay file; of a directory its `default.nix`.
pub(crate) fn open(path: &Path) -> Result<OverlayFile, Error> {
    let default = path.join("default.nix");
    let path = if path.is_dir() && default.is_file() { &default } else { path };
    Ok(OverlayFile::parse(path, fs::read_text(path)?)?)
}

/// Returns the directory that the relative paths of a Nix file start from: that of the file that a link leads to, by the names that
/// lead there.
pub(crate) fn base_of(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match std::fs::read_link(file) {
        // A link that leads round in a circle is no file, and is not read.
        Ok(target) if file.is_file() => base_of(&fs::collapsed(&folder.join(target))),
        _ => folder.to_path_buf(),
    }
}

/// Returns the path below the root of the flake that an element names, of whatever the root is called: `"${self}/a/b"`.
pub(crate) fn below_self(element: &Element) -> Option<&str> {
    if let Some(path) = &element.from_root {
        return Some(path);
    }
    let (_, rest) = element.text.strip_prefix("\"${")?.split_once('}')?;
    let rest = rest.strip_suffix('"')?.trim_start_matches('/');
    (!rest.is_empty() && !rest.contains("${") && !rest.contains('"')).then_some(rest)
}

/// Returns the file that an element of an overlay names, where it is there.
pub(crate) fn on_disk(element: &Element, overlay: &Path) -> Option<PathBuf> {
    let file = |path: PathBuf| super::unlinked(&fs::collapsed(&path)).ok().filter(|path| path.is_file());
    let base = base_of(overlay);
    match (element.path.as_deref(), below_self(element)) {
        (Some(written), _) => file(base.join(written)),
        // The root of the flake is the folder of the overlay, or one above.
        (None, Some(below)) => base.canonicalize().ok()?.ancestors().take(8).find_map(|dir| file(dir.join(below))),
        (None, None) => None,
    }
}

impl Overlays {
    /// Finds the overlays of a workspace; only those of the file that the user named, when one is.
    pub fn read(workspace: &Workspace, choice: Option<&Choice>) -> Result<Overlays, Error> {
        let root = workspace.root().canonicalize().unwrap_or_default();
        let mut overlays = Overlays { root, ..Overlays::default() };
        if let Some(choice) = choice {
            overlays.hold(open(&choice.path)?, Standing::Listed, true);
            return Ok(overlays);
        }
        let flake = workspace.path("flake.nix");
        if flake.is_file() {
            let led = workspace.overlay_files_of(std::slice::from_ref(&flake));
            overlays.flake = led.iter().chain([&flake]).filter_map(|path| path.canonicalize().ok()).collect();
        }
        let settings = workspace.settings();
        let typed: Vec<PathBuf> = settings.overlays.iter().flatten().map(|o| workspace.path(o)).collect();
        let listed = workspace.overlays();
        overlays.add(&listed, Standing::Listed, &typed)?;
        let led = workspace.overlay_files_of(&listed);
        overlays.add(&led, Standing::Listed, &typed)?;
        let cross = workspace.cross_overlays();
        overlays.target_stage(workspace, &cross, None)?;
        for (name, board) in &settings.boards {
            let own: Vec<PathBuf> = board.cross_overlays.iter().map(|o| workspace.path(o)).collect();
            overlays.target_stage(workspace, &own, Some(name))?;
        }
        let known = workspace.overlay_candidates();
        overlays.add(&known, Standing::Reached, &typed)?;
        let all: Vec<PathBuf> = overlays.found.iter().map(|f| f.file.path().to_path_buf()).chain(known).collect();
        let further = workspace.further_overlay_candidates(&all);
        overlays.add(&further, Standing::Beside, &typed)?;
        Ok(overlays)
    }

    fn target_stage(&mut self, workspace: &Workspace, files: &[PathBuf], board: Option<&str>) -> Result<(), Error> {
        let led = workspace.overlay_files_of(files);
        for path in files.iter().chain(&led) {
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            let known = self.found.iter_mut().find(|f| f.file.path().canonicalize().is_ok_and(|p| p == real));
            if let Some(Found { standing: Standing::TargetStage(boards), .. }) = known {
                match (boards.as_mut(), board) {
                    (Some(boards), Some(board)) if !boards.iter().any(|b| b == board) => boards.push(board.to_string()),
                    (Some(_), None) => *boards = None,
                    _ => {}
                }
                continue;
            }
            let boards = board.map(|board| vec![board.to_string()]);
            self.add(std::slice::from_ref(path), Standing::TargetStage(boards), files)?;
        }
        Ok(())
    }

    /// Reads those of the files that were not read yet, each once whatever links lead to it. What was only found by its text may be
    /// anything; what is `typed` has to be an overlay.
    fn add(&mut self, paths: &[PathBuf], standing: Standing, typed: &[PathBuf]) -> Result<(), Error> {
        for path in paths {
            let default = path.join("default.nix");
            let path = if path.is_dir() && default.is_file() { default } else { path.clone() };
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            if !self.seen.insert(real) {
                continue;
            }
            let named = typed.iter().any(|t| *t == path || t.join("default.nix") == path);
            match open(&path) {
                Ok(file) => self.hold(file, standing.clone(), named),
                Err(_) if !named => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn hold(&mut self, file: OverlayFile, standing: Standing, named: bool) {
        let outside = !named && file.path().canonicalize().is_ok_and(|path| !path.starts_with(&self.root));
        self.seen.extend(file.path().canonicalize());
        let in_flake = file.path().canonicalize().is_ok_and(|path| self.flake.contains(&path));
        self.found.push(Found { file, standing, named, in_flake, outside });
    }

    /// Returns the files, in the order in which they count.
    pub fn files(&self) -> impl Iterator<Item = &Found> {
        self.found.iter()
    }

    pub fn file(&self, path: &Path) -> Option<&OverlayFile> {
        self.found.iter().map(|f| &f.file).find(|file| file.path() == path)
    }

    /// Returns the places of the workspace's texts that name one of some files, with the number of the file: in the overlays, and in
    /// what the entry points lead to beside them.
    pub(super) fn slots(&self, workspace: &Workspace, files: &[PathBuf]) -> Vec<(OverlayFile, Vec<(Slot, usize)>)> {
        let names = file_names(files);
        let further = workspace.files_having(&|text| names.iter().any(|name| text.contains(name.as_str())));
        let own =
            self.found.iter().map(|found| OverlayFile::parse(found.file.path(), found.file.text().to_string()).ok());
        let is_new = |path: &PathBuf| !path.canonicalize().is_ok_and(|path| self.seen.contains(&path));
        let further = further.into_iter().filter(is_new).map(|path| open(&path).ok());
        let mut found = Vec::new();
        for file in own.chain(further).flatten() {
            let number = |slot: Slot| {
                let path = on_disk(&slot.element, file.path())?;
                Some((slot, files.iter().position(|file| *file == path)?))
            };
            let slots: Vec<(Slot, usize)> = file.slots(&names).into_iter().filter_map(number).collect();
            if !slots.is_empty() {
                found.push((file, slots));
            }
        }
        found
    }

    /// Puts another text in the place of that of an overlay file.
    pub fn replace(&mut self, path: &Path, text: String) -> Result<(), Error> {
        for found in self.found.iter_mut().filter(|found| found.file.path() == path) {
            found.file = OverlayFile::parse(path, text.clone())?;
        }
        Ok(())
    }

    /// Returns where packages are patched, as the text shows: the file and the binding.
    pub fn patched(&self) -> impl Iterator<Item = (&Found, PatchedPackage)> {
        self.found
            .iter()
            .filter(|found| found.file.text().contains("atches"))
            .flat_map(|found| found.file.patched_packages().into_iter().map(move |package| (found, package)))
    }
}

/// Functions of the overlays of a workspace, in the order in which they come into question.
#[derive(Debug)]
pub struct Functions<'a> {
    all: Vec<(&'a Found, OverlayFn)>,
}

impl<'a> Functions<'a> {
    /// Reads the functions of all files.
    pub fn of(overlays: &'a Overlays) -> Functions<'a> {
        let functions = |found: &'a Found| found.file.functions().into_iter().map(move |f| (found, f));
        Functions { all: overlays.found.iter().flat_map(functions).collect() }
    }

    /// Returns the functions in which packages may be patched.
    pub fn all(&self) -> Vec<Candidate<'_>> {
        let fits = |f: &OverlayFn| matches!(f.kind, FnKind::Packages | FnKind::PackageOverrides) && !f.generated;
        let there = self.all.iter().filter(|(found, f)| fits(f) && !found.outside);
        there.map(|(found, function)| Candidate { found, function }).collect()
    }

    /// Returns the functions in which a package may be patched, those that come first into question first, in groups among
    /// which nothing decides.
    pub fn candidates(&self, attr: &AttrPath) -> Vec<Vec<Candidate<'_>>> {
        let keys = keys(attr);
        let all = self.all();
        let binds = |c: &Candidate<'_>| c.function.keys.iter().any(|key| keys.contains(key));
        let rank = |c: &Candidate<'_>| match (&c.found.standing, binds(c)) {
            (Standing::Listed | Standing::TargetStage(_), true) => 0,
            (Standing::Listed, false) if c.found.named => 2,
            (Standing::Listed, false) => 3,
            (Standing::Reached, true) => 1,
            (Standing::TargetStage(_), false) => 4,
            (Standing::Reached, false) => 5,
            (Standing::Beside, true) => 6,
            (Standing::Beside, false) => 7,
        };
        let mut groups: Vec<(i32, Vec<Candidate<'_>>)> = Vec::new();
        for candidate in &all {
            // What it composes is where packages are bound.
            if self.only_composes(candidate, &all) {
                continue;
            }
            let rank = rank(candidate);
            match groups.iter_mut().find(|(r, _)| *r == rank) {
                Some((_, group)) => group.push(*candidate),
                None => groups.push((rank, vec![*candidate])),
            }
        }
        groups.sort_by_key(|(rank, _)| *rank);
        groups.into_iter().map(|(_, group)| group).collect()
    }

    /// Returns a function that is there and can hold no package: choosing it is refused with its place and the reason.
    pub fn unfit(&self) -> Option<Candidate<'_>> {
        let found = self.all.iter().find(|(_, f)| f.generated || f.kind == FnKind::Scope);
        found.map(|(found, function)| Candidate { found, function })
    }

    /// Says whether a function shows no package of its own and its file names that of another candidate.
    fn only_composes(&self, candidate: &Candidate<'_>, all: &[Candidate<'_>]) -> bool {
        if !candidate.function.keys.is_empty() || !candidate.function.opaque {
            return false;
        }
        let own = candidate.found.file.path();
        all.iter()
            .any(|other| other.found.file.path() != own && names_file(&candidate.found.file, other.found.file.path()))
    }
}

impl Candidate<'_> {
    /// Says whether the text of the overlay builds on what was there before: `prev.musl`, by the name that its second argument has.
    pub fn builds_on(&self, attr: &AttrPath) -> bool {
        let prev = self.function.second.as_deref().or(self.function.first.as_deref()).unwrap_or("prev");
        let from = self.function.place.span.map_or(0, |span| span.start);
        let text = self.found.file.text().get(from..).unwrap_or_default();
        text.contains(&format!("{prev}.{}", attr.first())) || text.contains(&format!("inherit ({prev})"))
    }

    /// Returns the way to the function in its file.
    pub fn select(&self) -> Select {
        self.function.place.span.map_or(Select::Only, |span| Select::Offset(span.start))
    }

    /// Says whether the overlay binds `attr`, or the set that it is in, itself already.
    pub fn binds(&self, attr: &AttrPath) -> bool {
        let keys = keys(attr);
        self.function.keys.iter().any(|key| keys.contains(key))
    }

    /// Says whether the function is all of its file, so that Nix can be given the file as an overlay.
    pub fn is_whole(&self) -> bool {
        let Some(head) = self.function.head.span.map(|span| span.start) else { return false };
        let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
        let before = self.found.file.text().get(..head).unwrap_or_default();
        self.function.place.span.is_some_and(|span| span.start == head)
            && self.function.second.is_some()
            && before.trim_start_matches('\u{feff}').lines().all(blank)
    }
}

/// Returns the files that a file composes overlays of, where it holds no overlay function itself.
pub(crate) fn composed_by(file: &OverlayFile) -> Vec<PathBuf> {
    let folder = base_of(file.path());
    path_literals(file.text())
        .iter()
        .filter(|literal| literal.starts_with('.'))
        .map(|literal| fs::tidy(&folder.join(literal.trim_start_matches("./"))))
        .filter(|path| path.is_file() || path.join("default.nix").is_file())
        .collect()
}

impl Overlays {
    /// Reads the overlays of some files.
    pub(crate) fn of_files(paths: &[PathBuf]) -> Overlays {
        let mut overlays = Overlays::default();
        // Nothing has to be an overlay here, so nothing can fail.
        let _ = overlays.add(paths, Standing::Listed, &[]);
        overlays
    }
}

/// Returns the last components of paths.
pub(super) fn file_names<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Vec<String> {
    let names = paths.into_iter().filter_map(|path| path.file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

pub(super) fn reads_folders(text: &str) -> bool {
    ["readDir", "listFilesRecursive", "FromDirectory"].iter().any(|word| text.contains(word))
}

/// Plans nothing for an overlay that loads every file of a queue's folder: what lies there is named already. `None` for another. Where
/// that is tried, it may also load the folder that the queues are in.
pub(crate) fn loaded(spot: &super::choose::Spot<'_>, attr: &AttrPath, dir: &Path) -> Option<Planned> {
    let (text, base) = (spot.file.text(), base_of(spot.file.path()));
    let wanted = super::resolved(dir).ok()?;
    let leads = |literal: &&str| {
        let to = super::resolved(&fs::collapsed(&base.join(literal))).ok();
        to.is_some_and(|to| to == wanted || spot.may_load && Some(to.as_path()) == wanted.parent())
    };
    let is_it =
        reads_folders(text) && path_literals(text).iter().any(|literal| literal.starts_with('.') && leads(literal));
    let (changes, warnings) = (Vec::new(), Vec::new());
    let change = Change::Nothing { attr: attr.clone() };
    is_it.then(|| Planned { changes, change, warnings, function: Place::file(spot.file.path()) })
}

/// Says whether the text of `file` names the file `path`, or the folder whose `default.nix` it is.
fn names_file(file: &OverlayFile, path: &Path) -> bool {
    let folder = file.path().parent().unwrap_or(Path::new(""));
    let real = |path: &Path| path.canonicalize().ok();
    let Some(wanted) = real(path) else { return false };
    let in_folder = wanted.ends_with("default.nix").then(|| wanted.parent().map(Path::to_path_buf)).flatten();
    path_literals(file.text()).into_iter().any(|literal| {
        let leads = |base: &Path| {
            real(&base.join(literal.trim_start_matches('/'))).is_some_and(|to| to == wanted || Some(to) == in_folder)
        };
        leads(folder) || literal.starts_with('/') && folder.ancestors().any(leads)
    })
}

/// Returns the places of candidates, for a question.
pub(crate) fn places(candidates: &[Candidate<'_>]) -> Vec<Place> {
    candidates.iter().map(|c| c.function.place.clone()).collect()
}

/// Returns the keys of an overlay that bind a package: its own, or that of the set that it is in.
pub(crate) fn keys(attr: &AttrPath) -> Vec<String> {
    let mut keys = vec![attr.first().to_string()];
    let python =
        attr.first().strip_suffix("Packages").filter(|stem| stem.starts_with("python") || stem.starts_with("pypy"));
    if let Some(stem) = python.filter(|_| attr.names().len() > 1) {
        keys.push("pythonPackagesExtensions".into());
        keys.push(if stem == "python" { "python3".into() } else { stem.to_string() });
    }
    keys
}

/// Says whether an overlay function of a file binds `attr`, or the set that it is in, itself already.
pub(crate) fn binds_in(file: &OverlayFile, select: Select, attr: &AttrPath) -> bool {
    let meant = |f: &OverlayFn| match select {
        Select::Offset(at) => f.place.span.is_some_and(|span| span.start == at),
        Select::Line(line) => f.place.line_col.is_some_and(|at| at.line == line),
        Select::Only => true,
    };
    let keys = keys(attr);
    file.functions().iter().any(|f| meant(f) && f.keys.iter().any(|key| keys.contains(key)))
}

/// Says whether the overlay that comes first into question binds `attr` itself already.
pub(crate) fn binds(workspace: &Workspace, choice: Option<&Choice>, attr: &AttrPath) -> bool {
    let Ok(overlays) = Overlays::read(workspace, choice) else { return false };
    let functions = Functions::of(&overlays);
    functions.candidates(attr).first().is_some_and(|group| group.iter().any(|candidate| candidate.binds(attr)))
}
