//! `import`: patches from elsewhere into a queue: a mailbox, files, a quilt series, commits, an address.
//!
//! Bytes are kept as they are, unless names have to be brought to `-p1` or a mail has to be decoded. Nothing is run; an address is fetched by Nix.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::diagnostic::Warning;
use crate::base::fs;
use crate::config::Workspace;
use crate::git::Worktree;
use crate::nix;
use crate::ops::{Error, Outcome};
use crate::overlay::{self, AttrPath};
use crate::patch::series::Series as Quilt;
use crate::patch::{self, PatchFile, mailbox};
use crate::queue::discover::Choice;
use crate::queue::discover::Overlays;
use crate::queue::error::Error as QueueError;
use crate::queue::level::Level;
use crate::queue::model::Asking;
use crate::queue::rewrite::{self, Wanted};
use crate::queue::series;
use crate::queue::stored::{self, Given, Stored};
use crate::queue::{commits, session};
use crate::targets::engine;

/// What `import` is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    pub attr: String,
    /// Where the patches come from, as typed.
    pub from: String,
    /// The overlay, when named.
    pub overlay: Option<Choice>,
    pub nixpkgs: Option<String>,
    /// How many leading directories the names in the patches have, where the user says so.
    pub strip: Option<usize>,
    pub dry_run: bool,
    /// Whether Nix is not asked about the package.
    pub offline: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    pub attr: AttrPath,
    pub dry_run: bool,
    /// The patches that came: their files.
    pub patches: Vec<PathBuf>,
    /// How many of the patches the queue had already.
    pub already: usize,
    pub files: Vec<PathBuf>,
    pub diff: String,
    pub warnings: Vec<Warning>,
}

/// A patch that comes: its bytes, where from, and its `-pN` where that is known.
struct Coming {
    path: PathBuf,
    bytes: Vec<u8>,
    level: Option<usize>,
    /// It was turned round, as the series applies it so.
    reversed: bool,
}

/// Imports patches behind the queue of a package.
///
/// # Errors
/// [`QueueError::Import`] for what is no series of patches, and those of the patches and of the overlay.
pub fn import(workspace: &Workspace, options: &Options) -> Result<Imported, Error> {
    let attr = AttrPath::parse(&options.attr).map_err(overlay::Error::from)?;
    session::refuse_unfinished(workspace, &attr)?;
    let mut coming = read(workspace, &options.from)?;
    let mut warnings = Vec::new();
    if coming.len() > 1 {
        // A series may hold a patch of which nothing is left. One that is named alone is an error.
        coming.retain(|patch| {
            let empty = is_cover_letter(&patch.bytes);
            if empty {
                warnings.push(Warning {
                    code: "OV1063",
                    message: format!("{} changes nothing and was left out", patch.path.display()),
                    place: None,
                    hint: None,
                });
            }
            !empty
        });
    }
    let overlays = Overlays::read(workspace, options.overlay.as_ref())?;
    let mut series = overlays.series(workspace, &attr)?;
    let how = Asking { nixpkgs: options.nixpkgs.as_deref(), offline: options.offline };
    series::arrange([&mut series], workspace, how)?;
    let mut level = Level::of(workspace, how, &series);
    let mut wanted: Vec<Wanted> = rewrite::keep(&series);
    let before = wanted.len();
    let mut already = 0;
    for patch in coming {
        if patch.reversed {
            warnings.push(Warning {
                code: "OV1066",
                message: format!(
                    "{} is applied in reverse (-R) by the series; it was turned round",
                    patch.path.display()
                ),
                place: None,
                hint: Some("its text is as it was; `overlayctl header` changes the subject".into()),
            });
        }
        let given = Given::of(&patch.path, &patch.bytes, options.strip.or(patch.level))?;
        let Stored { bytes, subject, .. } = level.store(&given)?;
        warnings.extend(stored::warnings(&patch.path, &bytes));
        if wanted.iter().any(|w| w.bytes == bytes) {
            already += 1;
        } else {
            wanted.push(Wanted { from: None, bytes, subject, rename: false });
        }
    }
    warnings.extend(level.warnings());
    let binding = rewrite::Binding::Made(options.overlay.as_ref());
    let plan = rewrite::plan(workspace, &overlays, &series, &wanted, how, binding)?;
    warnings.extend(plan.warnings.iter().cloned());
    let imported = Imported {
        attr,
        dry_run: options.dry_run,
        patches: plan.paths.get(before..).unwrap_or_default().to_vec(),
        already,
        files: plan.batch.changes(),
        diff: plan.diff.clone(),
        warnings,
    };
    if !options.dry_run {
        plan.commit(workspace)?;
    }
    Ok(imported)
}

fn read(workspace: &Workspace, from: &str) -> Result<Vec<Coming>, Error> {
    let refuse = |why: &str| QueueError::Import { name: from.to_string(), why: why.to_string() };
    if from.contains("://") {
        return messages(&PathBuf::from(from), &fetched(workspace, from)?);
    }
    let path = Path::new(from);
    if path.is_dir() {
        for series in ["series", "debian/patches/series", "patches/series"] {
            if path.join(series).is_file() {
                return quilt(&path.join(series));
            }
        }
        return directory(path).and_then(|found| match found.is_empty() {
            true => Err(refuse("the directory has neither `series` nor patch files").into()),
            false => Ok(found),
        });
    }
    if path.is_file() {
        return match path.file_name().is_some_and(|name| name == "series") {
            true => quilt(path),
            false => messages(path, &fs::read(path)?),
        };
    }
    match repository(from) {
        Some((repository, range)) => from_commits(&repository, range),
        None => Err(refuse("it is no file, no directory, no address, and no REPO..RANGE").into()),
    }
}

/// Splits `REPO..RANGE` where what is before the dots is a repository.
fn repository(text: &str) -> Option<(Worktree, &str)> {
    text.match_indices("..").find_map(|(at, _)| {
        let dir = text.get(..at).filter(|dir| !dir.is_empty() && Path::new(dir).is_dir())?;
        let worktree = commits::repository(Path::new(dir)).ok().flatten()?;
        Some((worktree, text.get(at + 2..)?))
    })
}

fn from_commits(repository: &Worktree, range: &str) -> Result<Vec<Coming>, Error> {
    let mut coming = Vec::new();
    for commit in repository.range(range)? {
        let first = || QueueError::Import { name: commit.id.to_string(), why: "it is the first commit".into() };
        let parent = commit.parent.ok_or_else(first)?;
        let before = repository.find(parent)?.tree;
        if before == commit.tree {
            continue;
        }
        let (bytes, level) = match commits::noted_patch(repository, parent, &commit) {
            Some(noted) => noted,
            None => {
                let diff = commits::diff(repository, before, commit.tree)?;
                (patch::compose(&commits::message_of(&commit), &diff), 1)
            }
        };
        coming.push(Coming { path: PathBuf::from(commit.id.to_string()), bytes, level: Some(level), reversed: false });
    }
    Ok(coming)
}

/// Fetches an address through Nix, into the store.
fn fetched(workspace: &Workspace, url: &str) -> Result<Vec<u8>, Error> {
    let nix = engine::nix(workspace)?;
    let mut server = nix.eval_server()?;
    let path = server
        .eval_string(&format!("toString (builtins.fetchurl {})", nix::quoted(url)))?
        .map_err(|failure| QueueError::Import { name: url.to_string(), why: failure.message })?;
    Ok(fs::read(&nix.physical(&path).unwrap_or_else(|| PathBuf::from(&path)))?)
}

/// Reads the files of a quilt series.
fn quilt(series: &Path) -> Result<Vec<Coming>, Error> {
    let dir = series.parent().unwrap_or(Path::new(""));
    let read = |entry: &patch::series::Entry| {
        let path = dir.join(&entry.name);
        let mut bytes = fs::read(&path)?;
        if entry.reverse {
            bytes = patch::reverse(&PatchFile::parse(&bytes).map_err(|e| e.in_file(&path))?)
                .map_err(|e| e.in_file(&path))?;
        }
        Ok(Coming { bytes, path, level: Some(entry.strip), reversed: entry.reverse })
    };
    Quilt::parse(&fs::read_text(series)?)?.entries().map(read).collect()
}

/// Reads the patch files of a directory, by name.
fn directory(dir: &Path) -> Result<Vec<Coming>, Error> {
    let entries = std::fs::read_dir(dir).map_err(|source| fs::FsError::Read { path: dir.to_path_buf(), source })?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|p| p.is_file() && p.extension().is_some_and(|e| e == "patch" || e == "diff"));
    paths.sort();
    let mut coming = Vec::new();
    for path in paths {
        let bytes = fs::read(&path)?;
        if !is_cover_letter(&bytes) {
            coming.push(Coming { bytes, path, level: None, reversed: false });
        }
    }
    Ok(coming)
}

/// Reads the patches of a mailbox, or the one of a patch file.
fn messages(path: &Path, bytes: &[u8]) -> Result<Vec<Coming>, Error> {
    let mut pieces = mailbox::read_with_levels(bytes).map_err(|e| Error::Patch(e.in_file(path)))?;
    if pieces.len() > 1 {
        pieces.retain(|(piece, _)| !is_cover_letter(piece));
    }
    let coming = |bytes, level| Coming { path: path.to_path_buf(), bytes, level, reversed: false };
    Ok(pieces.into_iter().map(|(piece, level)| coming(piece.into_owned(), level)).collect())
}

/// Says whether a message changes no file.
fn is_cover_letter(bytes: &[u8]) -> bool {
    PatchFile::parse(bytes).map_or_else(
        |e| matches!(e, patch::Error::Empty { .. } | patch::Error::NotAPatch { .. }),
        |p| p.files().is_empty(),
    )
}

impl Outcome for Imported {
    const SCHEMA: &'static str = "overlayctl.import/1";
}
