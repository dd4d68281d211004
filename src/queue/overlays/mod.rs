//! Which overlay of a workspace is meant.
//!
//! Without a name from the user: the one that binds the package already, else the one that `overlayctl.toml` names, else
//! the only one there is, else a question that lists each.

mod create;
mod rivals;
mod steps;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(crate) use create::create;
pub(crate) use rivals::warnings as rival_warnings;
pub(crate) use steps::Steps;

use crate::base::fs;
use crate::base::span::Place;
use crate::config::{Workspace, path_literals};
use crate::overlay::{AttrPath, Element, Files, FnKind, OverlayFile, OverlayFn, PatchedPackage, Select};
use crate::queue::Error;

/// An overlay that the user named: a file and, if need be, the line of the function's first argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The file, as typed.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: Option<usize>,
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
///
/// # Errors
/// [`Error::Fs`], [`Error::Overlay`].
pub(crate) fn open(path: &Path) -> Result<OverlayFile, Error> {
    let default = path.join("default.nix");
    let path = if path.is_dir() && default.is_file() { &default } else { path };
    Ok(OverlayFile::parse(path, fs::read_text(path)?)?)
}

/// Reads and parses those of the files that can be, each once whatever links lead to it.
pub(crate) fn opened(paths: &[PathBuf]) -> Vec<OverlayFile> {
    let mut found = Found::default();
    // Nothing has to be an overlay here, so nothing can fail.
    let _ = found.add(paths, &|_| false);
    found.files
}

/// The overlay that is meant.
pub(crate) struct Chosen {
    /// Its file.
    pub(crate) file: OverlayFile,
    /// The function in it.
    pub(crate) select: Select,
    /// The other files that may hold overlays, where they were looked for.
    pub(crate) others: Option<Vec<PathBuf>>,
}

/// An overlay of package sets that is in a workspace.
pub(crate) struct Discovered {
    /// Where its first argument stands.
    pub(crate) place: Place,
    /// Whether it is all of its file, so that Nix can be given the file as an overlay.
    pub(crate) whole: bool,
}

/// Returns the overlays of a workspace that a package could be patched in.
pub(crate) fn discovered(workspace: &Workspace) -> Vec<Discovered> {
    let mut found = Found::default();
    // Nothing has to be an overlay here, so nothing can fail.
    let _ = found.add(&workspace.overlay_candidates(), &|_| false);
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    found
        .overlays()
        .into_iter()
        .filter_map(|at| {
            let (file, function) = found.functions.get(at)?;
            let head = function.head.span?.start;
            let before = found.files.get(*file)?.text().get(..head)?;
            let whole = function.place.span.is_some_and(|span| span.start == head)
                && function.second.is_some()
                && before.trim_start_matches('\u{feff}').lines().all(blank);
            Some(Discovered { place: function.place.clone(), whole })
        })
        .collect()
}

/// Returns those patches of a package that are files of the queue in `queue_dir`, and their paths there.
pub(crate) fn in_queue<'a>(
    file: &'a OverlayFile,
    package: &'a PatchedPackage,
    queue_dir: &'a Path,
) -> impl Iterator<Item = (&'a Element, PathBuf)> {
    let real = queue_dir.canonicalize().ok();
    package.elements.iter().filter_map(move |element| {
        let path = on_disk(element, file.path())?;
        let below = real.as_ref().is_some_and(|dir| path.parent() == Some(dir.as_path()));
        below.then(|| (element, queue_dir.join(path.file_name().unwrap_or_default())))
    })
}

/// Returns the file that an element names.
pub(crate) fn on_disk(element: &Element, overlay: &Path) -> Option<PathBuf> {
    let written = element.path.as_deref()?;
    let dir = overlay.parent().unwrap_or(Path::new(""));
    let path = dir.join(written).canonicalize().ok()?;
    path.is_file().then_some(path)
}

/// Finds the overlay in which `attr` is to be patched: the one named, else the only one that binds it already, else the
/// one of `overlayctl.toml`, else the only one there is.
///
/// # Errors
/// [`Error::NoOverlay`], [`Error::WhichOverlay`] listing each, and those of reading the files.
pub(crate) fn choose(workspace: &Workspace, choice: Option<&Choice>, attr: &AttrPath) -> Result<Chosen, Error> {
    if let Some(choice) = choice {
        return named(choice, attr).map(|(file, select)| Chosen { file, select, others: None });
    }
    let mut found = Found::default();
    let known = workspace.overlay_candidates();
    let typed: Vec<PathBuf> = workspace.settings().overlays.iter().map(|o| workspace.path(o)).collect();
    // A file that was only found by its text may be anything; one that was named has to be an overlay.
    found.add(&known, &|path| typed.contains(&path.to_path_buf()))?;
    if found.binding(attr).is_empty() {
        let further = workspace.further_overlay_candidates(&known);
        let mut more = Found { seen: found.seen.clone(), ..Found::default() };
        more.add(&further, &|_| false)?;
        // Far from the entry points only an overlay that binds the package counts, unless there is no other.
        if !more.binding(attr).is_empty() || found.overlays().is_empty() {
            found = more;
        }
    }
    let (file, select) = found.into_chosen(workspace, attr, &typed)?;
    Ok(Chosen { file, select, others: Some(known) })
}

impl Chosen {
    /// Says whether the overlay binds `attr`, or the set that it is in, itself already.
    pub(crate) fn binds(&self, attr: &AttrPath) -> bool {
        let meant = |f: &OverlayFn| match self.select {
            Select::Offset(at) => f.place.span.is_some_and(|span| span.start == at),
            Select::Line(line) => f.place.line_col.is_some_and(|at| at.line == line),
            Select::Only => true,
        };
        let keys = keys(attr);
        self.file.functions().iter().any(|f| meant(f) && f.keys.iter().any(|key| keys.contains(key)))
    }
}

/// Says whether the overlay that would be chosen binds `attr` itself already.
pub(crate) fn binds(workspace: &Workspace, choice: Option<&Choice>, attr: &AttrPath) -> bool {
    choose(workspace, choice, attr).is_ok_and(|chosen| chosen.binds(attr))
}

/// Opens the overlay that the user named; a file that only composes others stands for them.
fn named(choice: &Choice, attr: &AttrPath) -> Result<(OverlayFile, Select), Error> {
    let file = open(&choice.path)?;
    if let Some(line) = choice.line {
        return Ok((file, Select::Line(line)));
    }
    if !file.functions().is_empty() {
        return Ok((file, Select::Only));
    }
    let folder = file.path().parent().unwrap_or(Path::new(""));
    let composed: Vec<PathBuf> = path_literals(file.text())
        .iter()
        .filter(|literal| literal.starts_with('.'))
        .map(|literal| fs::tidy(&folder.join(literal.trim_start_matches("./"))))
        .filter(|path| path.is_file() || path.join("default.nix").is_file())
        .collect();
    let mut found = Found::default();
    found.add(&composed, &|_| false)?;
    let root = choice.path.clone();
    match found.pick(attr, &[]) {
        Ok(Some(at)) => Ok(found.take(at)),
        Ok(None) => Ok((file, Select::Only)),
        Err(candidates) => Err(which(&root, attr, candidates, &found)),
    }
}

/// Overlay functions of several files.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<OverlayFile>,
    /// The file of each function, by position, and the function.
    pub(crate) functions: Vec<(usize, OverlayFn)>,
    /// The files that were looked at, without symbolic links.
    seen: BTreeSet<PathBuf>,
}

impl Found {
    fn add(&mut self, paths: &[PathBuf], has_to: &dyn Fn(&Path) -> bool) -> Result<(), Error> {
        for path in paths {
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            if !self.seen.insert(real) {
                continue;
            }
            let file = match open(path) {
                Ok(file) => file,
                Err(_) if !has_to(path) => continue,
                Err(error) => return Err(error),
            };
            self.hold(file);
        }
        Ok(())
    }

    fn hold(&mut self, file: OverlayFile) {
        let at = self.files.len();
        self.functions.extend(file.functions().into_iter().map(|f| (at, f)));
        self.files.push(file);
    }

    /// Returns the positions of the functions in which a package may be bound.
    fn overlays(&self) -> Vec<usize> {
        let fits = |f: &OverlayFn| matches!(f.kind, FnKind::Packages | FnKind::PackageOverrides) && !f.generated;
        (0..self.functions.len()).filter(|i| self.functions.get(*i).is_some_and(|(_, f)| fits(f))).collect()
    }

    /// Returns those of them that bind the package, or the set that it is in.
    fn binding(&self, attr: &AttrPath) -> Vec<usize> {
        let keys = keys(attr);
        let binds =
            |i: &usize| self.functions.get(*i).is_some_and(|(_, f)| f.keys.iter().any(|key| keys.contains(key)));
        self.overlays().into_iter().filter(binds).collect()
    }

    /// Picks the function that is meant; the candidates when there are several.
    fn pick(&self, attr: &AttrPath, typed: &[PathBuf]) -> Result<Option<usize>, Vec<usize>> {
        let binding = self.binding(attr);
        let mut all = if binding.is_empty() { self.overlays() } else { binding };
        if all.len() > 1 {
            let kept: Vec<usize> = all.iter().copied().filter(|i| !self.only_composes(*i, &all)).collect();
            all = if kept.is_empty() { all } else { kept };
        }
        if all.len() > 1 {
            let in_typed = |i: &usize| {
                let file = self.functions.get(*i).and_then(|(at, _)| self.files.get(*at));
                file.is_some_and(|file| typed.iter().any(|t| file.path() == t || file.path() == t.join("default.nix")))
            };
            let named: Vec<usize> = all.iter().copied().filter(in_typed).collect();
            all = if named.is_empty() { all } else { named };
        }
        match all.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(*one)),
            _ => Err(all),
        }
    }

    /// Says whether a function shows no package of its own and its file names that of another candidate: what it
    /// composes is where packages are bound.
    fn only_composes(&self, at: usize, all: &[usize]) -> bool {
        let Some((file, function)) = self.functions.get(at) else { return false };
        let Some(text) = self.files.get(*file).filter(|_| function.keys.is_empty() && function.opaque) else {
            return false;
        };
        all.iter().any(|other| {
            let other = self.functions.get(*other).map(|(file, _)| *file).filter(|other| other != file);
            other.and_then(|other| self.files.get(other)).is_some_and(|other| names_file(text, other.path()))
        })
    }

    fn take(mut self, at: usize) -> (OverlayFile, Select) {
        let (file, function) = self.functions.swap_remove(at);
        let select = function.place.span.map_or(Select::Only, |span| Select::Offset(span.start));
        (self.files.swap_remove(file), select)
    }

    fn into_chosen(
        self,
        workspace: &Workspace,
        attr: &AttrPath,
        typed: &[PathBuf],
    ) -> Result<(OverlayFile, Select), Error> {
        match self.pick(attr, typed) {
            Ok(Some(at)) => Ok(self.take(at)),
            Err(candidates) => Err(which(workspace.root(), attr, candidates, &self)),
            Ok(None) => {
                // Only what is generated or no package overlay: choosing it is refused with its place and the reason.
                let told = self.functions.iter().position(|(_, f)| f.generated || f.kind == FnKind::Scope);
                match told {
                    Some(at) => Ok(self.take(at)),
                    None => Err(Error::NoOverlay { root: workspace.root().to_path_buf() }),
                }
            }
        }
    }
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

fn which(root: &Path, attr: &AttrPath, candidates: Vec<usize>, found: &Found) -> Error {
    let bound = !found.binding(attr).is_empty();
    let places: Vec<Place> =
        candidates.iter().filter_map(|i| found.functions.get(*i)).map(|(_, f)| f.place.clone()).collect();
    if places.is_empty() {
        return Error::NoOverlay { root: root.to_path_buf() };
    }
    Error::WhichOverlay { attr: attr.clone(), candidates: places, bound }
}

/// Returns the keys of an overlay that bind a package: its own, or that of the set that it is in.
fn keys(attr: &AttrPath) -> Vec<String> {
    let mut keys = vec![attr.first().to_string()];
    let python =
        attr.first().strip_suffix("Packages").filter(|stem| stem.starts_with("python") || stem.starts_with("pypy"));
    if let Some(stem) = python.filter(|_| attr.names().len() > 1) {
        keys.push("pythonPackagesExtensions".into());
        keys.push(if stem == "python" { "python3".into() } else { stem.to_string() });
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(files: &[(&str, &str)]) -> (tempfile::TempDir, Workspace) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(&dir.path().join(name), text.as_bytes()).unwrap();
        }
        let workspace = Workspace::open(Some(dir.path())).unwrap();
        (dir, workspace)
    }

    fn chosen(files: &[(&str, &str)], attr: &str) -> Result<String, String> {
        let (dir, workspace) = workspace(files);
        let shown = |path: &Path| path.strip_prefix(dir.path()).unwrap_or(path).display().to_string();
        match choose(&workspace, None, &AttrPath::parse(attr).unwrap()) {
            Ok(Chosen { file, select: Select::Offset(at), .. }) => {
                Ok(format!("{}:{}", shown(file.path()), crate::base::span::line_col(file.text(), at).line))
            }
            Ok(Chosen { file, .. }) => Ok(shown(file.path())),
            Err(Error::WhichOverlay { candidates, .. }) => Err(candidates
                .iter()
                .map(|p| format!("{}:{}", shown(&p.path), p.line_col.map_or(0, |at| at.line)))
                .collect::<Vec<_>>()
                .join(" ")),
            Err(error) => Err(crate::base::diagnostic::Coded::code(&error).to_string()),
        }
    }

    const EMPTY: &str = "final: prev: { }";
    const MUSL: &str = "final: prev: {\n  musl = prev.musl;\n}";

    #[test]
    fn the_one_that_binds_the_package_then_the_one_named_then_a_question() {
        let two = [("overlays/a.nix", EMPTY), ("overlays/b.nix", MUSL)];
        assert_eq!(chosen(&two, "musl"), Ok("overlays/b.nix:1".into()));
        assert_eq!(chosen(&two, "zlib"), Err("overlays/a.nix:1 overlays/b.nix:1".into()));
        let named = [two[0], two[1], ("overlayctl.toml", "overlays = [\"overlays/a.nix\"]")];
        assert_eq!(chosen(&named, "zlib"), Ok("overlays/a.nix:1".into()));
        assert_eq!(chosen(&named, "musl"), Ok("overlays/b.nix:1".into()));
        let both = [("overlays/a.nix", MUSL), ("overlays/b.nix", MUSL)];
        assert_eq!(chosen(&both, "musl"), Err("overlays/a.nix:1 overlays/b.nix:1".into()));
    }

    #[test]
    fn what_composes_others_stands_for_them() {
        let list = ("default.nix", "{ overlays = [ (import ./o/a.nix) (import ./o/b.nix) ]; }");
        assert_eq!(chosen(&[list, ("o/a.nix", EMPTY), ("o/b.nix", MUSL)], "musl"), Ok("o/b.nix:1".into()));
        let compose =
            ("overlays/default.nix", "{ lib }: lib.composeManyExtensions [ (import ./a.nix) (import ./b.nix) ]");
        assert_eq!(
            chosen(&[compose, ("overlays/a.nix", EMPTY), ("overlays/b.nix", MUSL)], "musl"),
            Ok("overlays/b.nix:1".into())
        );
        let fold = (
            "overlay.nix",
            "final: prev: builtins.foldl' (acc: o: acc // o final prev) { } (map import [ ./o/a.nix ])",
        );
        assert_eq!(chosen(&[fold, ("o/a.nix", EMPTY)], "zlib"), Ok("o/a.nix:1".into()));
        let loader =
            ("overlays/default.nix", "map (n: import (./. + \"/${n}\")) (builtins.attrNames (builtins.readDir ./.))");
        assert_eq!(chosen(&[loader, ("overlays/x/default.nix", MUSL)], "zlib"), Ok("overlays/x/default.nix:1".into()));
    }

    #[test]
    fn flakes_modules_and_configurations() {
        let flake = "{\n  outputs = { self, nixpkgs }: {\n    overlays.default = final: prev: { };\n    overlays.extra = final: prev: { musl = prev.musl; };\n  };\n}";
        assert_eq!(chosen(&[("flake.nix", flake)], "musl"), Ok("flake.nix:4".into()));
        assert_eq!(chosen(&[("flake.nix", flake)], "zlib"), Err("flake.nix:3 flake.nix:4".into()));
        let module = "{ pkgs, ... }:\n{\n  nixpkgs.overlays = [ (self: super: { }) ];\n}";
        let configuration = ("configuration.nix", "{ imports = [ ./hosts/pi.nix ]; }");
        assert_eq!(chosen(&[configuration, ("hosts/pi.nix", module)], "musl"), Ok("hosts/pi.nix:3".into()));
        let import = "import nixpkgs { overlays = [ (final: prev: { }) ]; }";
        assert_eq!(chosen(&[("default.nix", import)], "musl"), Ok("default.nix:1".into()));
        let config = "{\n  packageOverrides = pkgs: { };\n}";
        assert_eq!(chosen(&[("config.nix", config)], "musl"), Ok("config.nix:2".into()));
    }

    #[test]
    fn what_is_no_package_overlay_does_not_count() {
        let scope = "{ a = x.extend (pyfinal: pyprev: { }); b = overlay: final: prev: overlay final prev; }";
        assert_eq!(chosen(&[("default.nix", scope), ("overlay.nix", EMPTY)], "musl"), Ok("overlay.nix:1".into()));
        let generated = ("overlays/generated.nix", MUSL);
        assert_eq!(chosen(&[generated, ("overlays/a.nix", EMPTY)], "musl"), Ok("overlays/a.nix:1".into()));
        assert_eq!(chosen(&[("a.nix", "{ }")], "musl"), Err("OV1008".into()));
        assert_eq!(chosen(&[("misc/deep.nix", EMPTY)], "musl"), Ok("misc/deep.nix:1".into()));
        assert_eq!(chosen(&[("overlay.nix", EMPTY), ("misc/deep.nix", MUSL)], "musl"), Ok("misc/deep.nix:1".into()));
        assert_eq!(chosen(&[("overlay.nix", EMPTY), ("tests/deep.nix", MUSL)], "musl"), Ok("overlay.nix:1".into()));
    }

    #[test]
    fn a_link_to_a_file_is_that_file() {
        let (dir, _) = workspace(&[("own.nix", EMPTY)]);
        std::os::unix::fs::symlink("own.nix", dir.path().join("overlay.nix")).unwrap();
        let workspace = Workspace::open(Some(dir.path())).unwrap();
        assert!(choose(&workspace, None, &AttrPath::single("musl")).is_ok());
    }
}
