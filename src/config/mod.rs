//! The workspace: `overlayctl.toml`, and what is found without it: overlays, nixpkgs, boards.
//!
//! Must not evaluate or edit anything; it says where things are.

pub mod budget;
mod device;
mod discover;
mod file;
mod search;
pub mod state;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

pub use device::{CONFIRM_WITHIN, Device};
pub use discover::{Found, NixpkgsSource, may_have_search_path};
pub use file::{Board, Settings, key_span};
pub use search::path_literals;

use crate::base::diagnostic::{Coded, Origin};
use crate::base::fs::{self, FsError};
use crate::base::span::{Place, Span, line_span};

/// The name of the workspace file.
pub const FILE_NAME: &str = "overlayctl.toml";

/// Why a workspace cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("there is no directory {}", path.display())]
    NoDirectory { path: PathBuf },
    #[error("{message}")]
    File { message: String, place: Place, line: Option<String>, hint: Option<String> },
    #[error("there is no board `{name}` in {}", FILE_NAME)]
    NoBoard { name: String, known: Vec<String> },
    #[error("no nixpkgs found for {}", root.display())]
    NoNixpkgs { root: PathBuf },
    #[error("`{value}` leaves the workspace")]
    Outside { value: String, place: Place },
    /// A folder that overlayctl writes to is a symbolic link that leads out of the workspace.
    #[error("{} is a link that leaves the workspace, and overlayctl writes there", path.display())]
    LinkOutside { path: PathBuf },
    /// The workspace sets options of Nix that could loosen the user's own settings.
    #[error("the workspace sets options of Nix that you have not allowed it to set: {}", shown(options))]
    Untrusted { options: Vec<(String, String)>, place: Place, line: Option<String> },
    #[error("the board `{board}` names no device")]
    NoDevice { board: String },
    #[error("board `{board}`: {why}")]
    Device { board: String, why: String },
    /// The workspace says what ssh is started with, or what is run on a device.
    #[error("the workspace starts what you have not allowed it to start: {}", shown(options))]
    UntrustedDevice { options: Vec<(String, String)>, place: Place, line: Option<String> },
}

fn shown(options: &[(String, String)]) -> String {
    options.iter().map(|(option, value)| format!("{option} = \"{value}\"")).collect::<Vec<_>>().join(", ")
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Fs(e) => Origin::Below(e),
            Error::NoDirectory { .. } => Origin::Here("OV0601"),
            Error::File { .. } => Origin::Here("OV0602"),
            Error::NoBoard { .. } => Origin::Here("OV0603"),
            Error::NoNixpkgs { .. } => Origin::Here("OV0604"),
            Error::Outside { .. } | Error::LinkOutside { .. } => Origin::Here("OV0605"),
            Error::Untrusted { .. } => Origin::Here("OV0606"),
            Error::NoDevice { .. } => Origin::Here("OV1270"),
            Error::Device { .. } => Origin::Here("OV1271"),
            Error::UntrustedDevice { .. } => Origin::Here("OV1272"),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::Fs(e) => e.hint(),
            Error::NoDirectory { .. } => Some("`overlayctl init DIR` makes a workspace".into()),
            Error::File { hint, .. } => hint.clone(),
            Error::NoBoard { known, .. } if known.is_empty() => {
                Some("it defines no boards; add a table [boards.NAME]".into())
            }
            Error::NoBoard { known, .. } => Some(format!("it has {}", known.join(", "))),
            Error::NoNixpkgs { .. } => {
                Some(format!("name one with `--nixpkgs PATH`, or `nixpkgs = \"PATH\"` in {FILE_NAME}"))
            }
            Error::Outside { .. } => Some("use a path below the workspace".into()),
            Error::LinkOutside { .. } => Some("put a folder in its place".into()),
            Error::NoDevice { board } => Some(format!("add `device = \"root@ADDRESS\"` to [boards.{board}]")),
            Error::Device { .. } => None,
            Error::Untrusted { .. } | Error::UntrustedDevice { .. } => Some(
                "if that is what you want: the same command with `--trust-workspace`, once; else take them out".into(),
            ),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Fs(e) => e.place(),
            Error::File { place, .. }
            | Error::Outside { place, .. }
            | Error::Untrusted { place, .. }
            | Error::UntrustedDevice { place, .. } => Some(place.clone()),
            Error::LinkOutside { path } => Some(Place::file(path)),
            _ => None,
        }
    }

    fn source_line(&self) -> Option<String> {
        match self {
            Error::File { line, .. } | Error::Untrusted { line, .. } | Error::UntrustedDevice { line, .. } => {
                line.clone()
            }
            _ => self.below().and_then(Coded::source_line),
        }
    }
}

/// A directory with overlays and patch queues.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    file: Option<PathBuf>,
    settings: Settings,
}

impl Workspace {
    /// Opens the workspace of `dir` (the current directory when `None`): that of [`Workspace::root_of`]. Writes nothing.
    pub fn open(dir: Option<&Path>) -> Result<Workspace, Error> {
        let root = Workspace::root_of(dir)?;
        let path = root.join(FILE_NAME);
        let text = fs::read_text_if_there(&path)?;
        let settings = text.as_deref().map(|text| Settings::parse(&path, text)).transpose()?.unwrap_or_default();
        let inside = |value: &str| {
            let path = Path::new(value);
            path.is_relative() && !path.components().any(|c| matches!(c, Component::ParentDir))
        };
        if let Some(value) = settings.patches.as_deref().filter(|value| !inside(value)) {
            let text = text.as_deref().unwrap_or_default();
            let span = text.find(value).map_or(Span::at(0), |at| Span::new(at, at + value.len()));
            return Err(Error::Outside { value: value.to_string(), place: Place::in_text(&path, text, span) });
        }
        Ok(Workspace { root, file: text.is_some().then_some(path), settings })
    }

    /// Returns the directory of the workspace of `dir` (the current directory when `None`): the nearest from there upward that
    /// holds `overlayctl.toml`, else `dir` itself; empty for the current one.
    pub fn root_of(dir: Option<&Path>) -> Result<PathBuf, Error> {
        let start = dir.unwrap_or(Path::new("."));
        if !start.is_dir() {
            return Err(Error::NoDirectory { path: start.to_path_buf() });
        }
        let absolute =
            std::path::absolute(start).map_err(|source| FsError::Read { path: start.to_path_buf(), source })?;
        let up = absolute.ancestors().position(|dir| dir.join(FILE_NAME).exists());
        // The way up is written as the user would: `..`, not an absolute path.
        let root = (0..up.unwrap_or(0)).fold(start.to_path_buf(), |dir, _| dir.join(".."));
        Ok(if root == Path::new(".") { PathBuf::new() } else { root })
    }

    /// Checks that the folders which are written to, and what stands in them, are no symbolic links that lead out of the workspace:
    /// a clone could bring one. For the user's own workspaces; copies of ours are made of links.
    pub fn check_links(&self) -> Result<(), Error> {
        for folder in [self.state_dir(), self.patches_dir()] {
            let within = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
            let up = folder.ancestors().take_while(|path| *path != self.root && !path.as_os_str().is_empty());
            for path in up.map(Path::to_path_buf).chain(within).filter(|path| path.is_symlink()) {
                let real = self.root().canonicalize().ok().zip(path.canonicalize().ok());
                // One that leads nowhere could lead anywhere once something is made there.
                if real.is_none_or(|(root, real)| !real.starts_with(root)) {
                    return Err(Error::LinkOutside { path });
                }
            }
        }
        Ok(())
    }

    /// Returns the options for Nix that the workspace sets.
    ///
    /// # Errors
    /// [`Error::Untrusted`] for options that it may set only by the user's leave.
    pub fn nix_options(&self) -> Result<BTreeMap<String, String>, Error> {
        self.nix_options_in(self)
    }

    /// As [`Workspace::nix_options`], of a copy: what the user has allowed, the directory of the original was allowed.
    pub fn nix_options_in(&self, original: &Workspace) -> Result<BTreeMap<String, String>, Error> {
        let options = &self.settings.nix.options;
        let refused = trust::refused(original.root(), options)?;
        let Some((first, _)) = refused.first() else { return Ok(options.clone()) };
        let path = self.path(FILE_NAME);
        let text = fs::read_text(&path).unwrap_or_default();
        let at = text.find(first.as_str()).map_or(Span::at(0), |at| Span::new(at, at + first.len()));
        let place = Place::in_text(&path, &text, at);
        let line = place.line_col.and_then(|at| line_span(&text, at.line)).map(|s| text[s.range()].to_string());
        Err(Error::Untrusted { options: refused, place, line })
    }

    /// Keeps in the user's state that the workspace may set the options for Nix and start what its devices need, as it says now.
    pub fn trust(&self) -> Result<(), Error> {
        let mut options = self.settings.nix.options.clone();
        options.extend(self.settings.boards.iter().flat_map(|(name, board)| device::options_of(name, board)));
        Ok(trust::allow(self.root(), &options)?)
    }

    /// Returns the workspace directory as the user would write it; `.` for the current one.
    pub fn root(&self) -> &Path {
        if self.root.as_os_str().is_empty() { Path::new(".") } else { &self.root }
    }

    /// Returns the path of `overlayctl.toml`, when there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns what `overlayctl.toml` says, or the defaults.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns a path of the workspace as the user would write it.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        // `./overlays/x.nix` in the file is `overlays/x.nix` to the reader.
        fs::tidy(&self.root.join(relative))
    }

    /// Returns the directory that holds the patch queues.
    pub fn patches_dir(&self) -> PathBuf {
        self.path(self.settings.patches.as_deref().unwrap_or("patches"))
    }

    /// Returns the directory where overlayctl keeps its own state (results' logs, edit trees, history).
    pub fn state_dir(&self) -> PathBuf {
        self.path(".overlayctl")
    }

    /// Returns the overlay files: those named in `overlayctl.toml`, else those that are found.
    pub fn overlays(&self) -> Vec<PathBuf> {
        if let Some(named) = &self.settings.overlays {
            return named.iter().map(|o| self.path(o)).collect();
        }
        // What is named for the target stage is not found by custom for every stage as well.
        let boards = self.settings.boards.values().flat_map(|board| &board.cross_overlays);
        let target_stage: Vec<PathBuf> =
            self.settings.cross_overlays.iter().chain(boards).map(|o| self.path(o)).collect();
        let found = discover::overlays(self.root()).into_iter().map(|o| self.path(o));
        found.filter(|path| !target_stage.contains(path)).collect()
    }

    /// Returns the files that hold overlays, as far as their text shows: those of [`Workspace::overlays`] and what they
    /// import or load; when none is named in `overlayctl.toml` also what the usual entry points lead to, and where there is
    /// nothing of all that, every file of the workspace.
    pub fn overlay_candidates(&self) -> Vec<PathBuf> {
        let named = self.settings.overlays.as_deref().unwrap_or(&[]);
        let seeds = if named.is_empty() {
            search::entry_points(self.root())
        } else {
            named.iter().chain(&self.settings.cross_overlays).map(PathBuf::from).collect()
        };
        let found = search::reachable(self.root(), &seeds, &BTreeSet::new());
        let mut files: Vec<PathBuf> = found.into_iter().map(|o| self.path(o)).collect();
        if files.is_empty() && named.is_empty() {
            // Nothing by custom: a repository of several parts, each with an overlay.
            let all = search::everywhere(self.root(), &self.patches_dir(), &BTreeSet::new());
            return all.into_iter().map(|o| self.path(o)).collect();
        }
        // What was named is a candidate whatever it looks like, in the order of the list.
        let typed: Vec<PathBuf> = named.iter().map(|o| self.path(o)).collect();
        files.retain(|file| !typed.contains(file));
        typed.into_iter().chain(files).collect()
    }

    /// Returns the files that some of its files lead to, themselves included, as far as their text shows that they hold
    /// overlays.
    pub fn overlay_files_of(&self, seeds: &[PathBuf]) -> Vec<PathBuf> {
        let below: Vec<PathBuf> =
            seeds.iter().map(|seed| seed.strip_prefix(fs::tidy(&self.root)).unwrap_or(seed).to_path_buf()).collect();
        let found = search::reachable(self.root(), &below, &BTreeSet::new());
        found.into_iter().map(|o| self.path(o)).collect()
    }

    /// Returns the files that the entry points of the workspace lead to, themselves included, whose text is `wanted`.
    pub fn files_having(&self, wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
        let seeds = search::entry_points(self.root());
        let found = search::followed(self.root(), &seeds, &BTreeSet::new(), wanted);
        found.into_iter().map(|o| self.path(o)).collect()
    }

    /// Returns the other files of the workspace that hold overlays as far as their text shows, when those of
    /// [`Workspace::overlay_candidates`] are `known`: what the entry points lead to first. The search is bounded, so that a
    /// large tree costs no more than a moment.
    pub fn further_overlay_candidates(&self, known: &[PathBuf]) -> Vec<PathBuf> {
        let root = fs::tidy(&self.root);
        let seen: BTreeSet<PathBuf> =
            known.iter().filter_map(|path| Some(path.strip_prefix(&root).ok()?.to_path_buf())).collect();
        let mut files = search::reachable(self.root(), &search::entry_points(self.root()), &seen);
        for file in search::everywhere(self.root(), &self.patches_dir(), &seen) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        // The package set itself is no overlay, whatever its files look like.
        let set = self.settings.nixpkgs.as_deref().map(|value| self.path(value)).filter(|path| path.exists());
        let is_ours = |file: &PathBuf| !known.contains(file) && set.as_ref().is_none_or(|set| !file.starts_with(set));
        files.into_iter().map(|o| self.path(o)).filter(is_ours).collect()
    }

    /// Returns the files that are applied to the target stage only (`crossOverlays`).
    pub fn cross_overlays(&self) -> Vec<PathBuf> {
        self.settings.cross_overlays.iter().map(|o| self.path(o)).collect()
    }

    /// Returns where the package set comes from: `flag`, the file, or what is found.
    ///
    /// # Errors
    /// [`Error::NoNixpkgs`] when the flag or the file name a path that is not there, [`Error::Fs`] when it is a pipe or a device.
    pub fn nixpkgs(&self, flag: Option<&str>) -> Result<NixpkgsSource, Error> {
        let named = flag.map(|f| (f, PathBuf::from(f))).or_else(|| {
            let value = self.settings.nixpkgs.as_deref()?;
            Some((value, self.path(value)))
        });
        let source = match named {
            Some((value, path)) => {
                NixpkgsSource::named(value, path).ok_or_else(|| Error::NoNixpkgs { root: PathBuf::from(value) })?
            }
            None => Found::in_dir(self.root()).nixpkgs.unwrap_or(NixpkgsSource::SearchPath),
        };
        // Nix would wait for a pipe, and read a device without an end.
        if let NixpkgsSource::Path(path) = &source {
            let file = if path.is_dir() { path.join("default.nix") } else { path.clone() };
            if file.exists() {
                fs::ensure_regular(&file)?;
            }
        }
        Ok(source)
    }

    /// Returns the boards called `name`, or all of them for `all`.
    pub fn boards(&self, name: &str) -> Result<Vec<(&str, &Board)>, Error> {
        let all = self.settings.boards.iter().map(|(n, b)| (n.as_str(), b));
        let wanted: Vec<_> = all.filter(|(n, _)| name == "all" || *n == name).collect();
        if wanted.is_empty() {
            let known = self.settings.boards.keys().cloned().collect();
            return Err(Error::NoBoard { name: name.to_string(), known });
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(&dir.path().join(name), text.as_bytes()).unwrap();
        }
        dir
    }

    #[test]
    fn a_folder_without_the_file_is_a_workspace_too() {
        let dir = dir_with(&[("overlays/default.nix", "final: prev: { }"), ("overlays/more.nix", "final: prev: { }")]);
        let workspace = Workspace::open(Some(dir.path())).unwrap();
        assert_eq!(workspace.overlays(), [dir.path().join("overlays/default.nix")]);
        let both = [dir.path().join("overlays/default.nix"), dir.path().join("overlays/more.nix")];
        assert_eq!(workspace.overlay_candidates(), both);
        assert_eq!(workspace.patches_dir(), dir.path().join("patches"));
        assert!(matches!(Workspace::open(Some(&dir.path().join("none"))), Err(Error::NoDirectory { .. })));
    }

    #[test]
    fn the_file_is_found_from_below() {
        let dir = dir_with(&[("overlayctl.toml", "patches = \"q\"\n"), ("a/b/x", "")]);
        let workspace = Workspace::open(Some(&dir.path().join("a/b"))).unwrap();
        assert_eq!(workspace.patches_dir(), dir.path().join("a/b/../../q"));
    }

    #[test]
    fn a_queue_outside_is_refused_and_unknown_keys_are_shown() {
        let dir = dir_with(&[("overlayctl.toml", "patches = \"../q\"\n")]);
        assert!(matches!(Workspace::open(Some(dir.path())), Err(Error::Outside { .. })));
        let dir = dir_with(&[("overlayctl.toml", "# c\npatchez = \"q\"\n")]);
        let error = Workspace::open(Some(dir.path())).unwrap_err();
        assert_eq!(error.code(), "OV0602");
        assert!(error.place().unwrap().to_string().ends_with("overlayctl.toml:2:1"), "{:?}", error.place());
    }

    #[test]
    fn the_package_set_of_a_workspace_is_no_overlay_of_it() {
        let dir = dir_with(&[
            ("overlayctl.toml", "nixpkgs = \"./set\"\noverlays = [\"overlay.nix\"]\n"),
            ("overlay.nix", "final: prev: { }"),
            ("set/all-packages.nix", "final: prev: { musl = prev.musl; }"),
            ("more/overlay.nix", "final: prev: { musl = prev.musl; }"),
        ]);
        let workspace = Workspace::open(Some(dir.path())).unwrap();
        let further = workspace.further_overlay_candidates(&workspace.overlay_candidates());
        assert_eq!(further, [dir.path().join("more/overlay.nix")]);
    }

    #[test]
    fn boards_by_name_and_all() {
        let text = "[boards.pi]\nplatform = \"raspberryPi\"\npackages = [\"curl\"]\n[boards.b]\nplatform = \"riscv64\"\nstatic = true\n";
        let dir = dir_with(&[("overlayctl.toml", text)]);
        let workspace = Workspace::open(Some(dir.path())).unwrap();
        assert_eq!(workspace.boards("pi").unwrap()[0].1.packages, ["curl"]);
        assert_eq!(workspace.boards("all").unwrap().len(), 2);
        assert!(matches!(workspace.boards("x"), Err(Error::NoBoard { known, .. }) if known == ["b", "pi"]));
    }
}
