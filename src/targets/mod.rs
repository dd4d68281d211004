//! Targets: what the user names on the command line, as package sets for Nix and attribute paths in them.

pub mod engine;
pub mod error;
pub mod own;

pub use error::Error;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::base::fs;
use crate::config::{Board, NixpkgsSource, Workspace};
use crate::nix::{self, Cross, Fragment, NixpkgsRef, Overlay, PackageSet};
use crate::overlay::AttrPath;

/// What the user named, as typed.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub nixpkgs: Option<String>,
    /// `--cross`.
    pub cross: Option<String>,
    /// `--static`.
    pub is_static: bool,
    /// `--board`, any number.
    pub boards: Vec<String>,
    pub targets: Vec<String>,
    /// Overlays that put the worktrees of `edit` in the place of the sources and patches of their packages.
    pub edited: Vec<nix::Overlay>,
    /// Whether nothing may be built during evaluation.
    pub no_import_from_derivation: bool,
}

/// One thing to build: an attribute path in a package set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// How it is called in output: the whole path from nixpkgs, with the board in front when it has settings of its own.
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// The path below the set of its group.
    #[serde(skip)]
    pub attr: AttrPath,
}

/// Targets of one package set.
#[derive(Debug, Clone)]
pub struct Group {
    /// The set, without the workspace's overlays.
    pub plain: PackageSet,
    pub patched: PackageSet,
    pub targets: Vec<Target>,
}

/// Returns the name of the link to a target: after the board and the attribute, else after the whole path.
pub fn link_name(board: Option<&str>, attr: &str, whole: &str) -> String {
    let what = board.map_or_else(|| whole.to_string(), |board| format!("{board}-{attr}"));
    format!("result-{}", what.replace(['"', '/', ':', ' '], "_"))
}

/// Resolves what the user named; without targets those of the boards, else of `overlayctl.toml`.
///
/// # Errors
/// [`Error::Usage`] when nothing is named or names contradict each other; [`Error::Config`], [`Error::Overlay`].
pub fn resolve(workspace: &Workspace, selection: &Selection) -> Result<Vec<Group>, Error> {
    resolve_with(workspace, workspace, selection)
}

/// Resolves as [`resolve`], with the overlays of another state of the workspace.
pub(crate) fn resolve_with(
    workspace: &Workspace,
    overlays_of: &Workspace,
    selection: &Selection,
) -> Result<Vec<Group>, Error> {
    let mut boards = Vec::new();
    for name in &selection.boards {
        boards.extend(workspace.boards(name)?.into_iter().map(|(name, board)| (Some(name), board.clone())));
    }
    if !boards.is_empty() && (selection.cross.is_some() || selection.is_static) {
        return Err(Error::Usage {
            message: "a board says its own platform: --cross and --static do not go with --board".into(),
            hint: "leave them out, or name the target without --board".into(),
        });
    }
    if boards.is_empty() {
        let board = Board { platform: selection.cross.clone(), is_static: selection.is_static, ..Board::default() };
        boards.push((None, board));
    }
    let mut groups = Vec::new();
    for (name, board) in boards {
        let named = if selection.targets.is_empty() { &board.packages } else { &selection.targets };
        let named = if named.is_empty() && name.is_none() { &workspace.settings().targets } else { named };
        if named.is_empty() {
            return Err(Error::Usage {
                message: match name {
                    Some(name) => format!("the board `{name}` names no packages"),
                    None => "no target is named".into(),
                },
                hint: "name one, for example `pkgsCross.aarch64-multiplatform-musl.ripgrep`, or a board with --board"
                    .into(),
            });
        }
        groups.push(group(workspace, overlays_of, selection, name, &board, named)?);
    }
    Ok(groups)
}

/// Returns the package set that the options or the board choose, whole: without and with the workspace's overlays.
///
/// # Errors
/// [`Error::Usage`] for several boards, [`Error::Config`].
pub(crate) fn whole(workspace: &Workspace, selection: &Selection) -> Result<Group, Error> {
    let mut boards = Vec::new();
    for name in &selection.boards {
        boards.extend(workspace.boards(name)?.into_iter().map(|(name, board)| (Some(name), board.clone())));
    }
    if boards.is_empty() {
        let board = Board { platform: selection.cross.clone(), is_static: selection.is_static, ..Board::default() };
        boards.push((None, board));
    }
    match boards.as_slice() {
        [(name, board)] => group(workspace, workspace, selection, *name, board, &[]),
        _ => Err(Error::Usage {
            message: "--all looks at one package set".into(),
            hint: "name one board, or the set with --cross and --static".into(),
        }),
    }
}

/// Returns every package set that the workspace composes: the native one with its targets, and that of each board.
///
/// # Errors
/// [`Error::Config`] when there is no nixpkgs, and those of the boards.
pub fn all(workspace: &Workspace, nixpkgs: Option<&str>) -> Result<Vec<(Option<String>, Group)>, Error> {
    let selection = Selection { nixpkgs: nixpkgs.map(str::to_owned), ..Selection::default() };
    let settings = workspace.settings();
    let own = |typed: &&String| typed.contains('#') || typed.starts_with("nixosConfigurations.");
    let targets: Vec<String> = settings.targets.iter().filter(|typed| !own(typed)).cloned().collect();
    let native = group(workspace, workspace, &selection, None, &Board::default(), &targets)?;
    let mut all = vec![(None, native)];
    for (name, board) in &settings.boards {
        let group = group(workspace, workspace, &selection, Some(name), board, &board.packages)?;
        all.push((Some(name.clone()), group));
    }
    Ok(all)
}

/// Returns the system that builds: that of `overlayctl.toml`, else this machine's.
pub fn system(workspace: &Workspace) -> String {
    let here = || format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    workspace.settings().system.clone().unwrap_or_else(here)
}

/// Returns the native package set of the workspace without its overlays.
///
/// # Errors
/// [`Error::Config`] when there is none.
pub(crate) fn plain_set(workspace: &Workspace, nixpkgs: Option<&str>) -> Result<PackageSet, Error> {
    let source = workspace.nixpkgs(nixpkgs)?;
    let mut plain = PackageSet::new(nixpkgs_ref(&source)?);
    plain.system = workspace.settings().system.clone();
    let config = &workspace.settings().config;
    if !config.is_empty() {
        plain.config = Some(Fragment::from_json(&json(config)?));
    }
    Ok(plain)
}

fn group(
    workspace: &Workspace,
    overlays_of: &Workspace,
    selection: &Selection,
    name: Option<&str>,
    board: &Board,
    named: &[String],
) -> Result<Group, Error> {
    let mut plain = plain_set(workspace, selection.nixpkgs.as_deref())?;
    plain.is_static = board.is_static;
    plain.cross = match (&board.platform, &board.cross_system) {
        (Some(_), Some(_)) => {
            return Err(Error::Usage {
                message: format!("the board `{}` has both `platform` and `cross-system`", name.unwrap_or_default()),
                hint: "keep one of them".into(),
            });
        }
        (Some(platform), None) => Some(Cross::Named(platform.clone())),
        (None, Some(system)) => Some(Cross::System(Fragment::from_json(&json(system)?))),
        (None, None) => None,
    };
    if !board.config.is_empty() {
        let mut config = workspace.settings().config.clone();
        config.extend(board.config.clone());
        plain.config = Some(Fragment::from_json(&json(&config)?));
    }
    let mut patched = plain.clone();
    patched.overlays = overlay_refs(&overlays_of.overlays())?;
    patched.overlays.extend(selection.edited.iter().cloned());
    let target_stage: Vec<PathBuf> = overlays_of
        .cross_overlays()
        .into_iter()
        .chain(board.cross_overlays.iter().map(|o| overlays_of.path(o)))
        .collect();
    patched.cross_overlays = overlay_refs(&target_stage)?;
    let mut targets = Vec::new();
    for typed in named {
        let attr = AttrPath::parse(typed)?;
        if plain.cross.is_some() && attr.first() == "pkgsCross" {
            return Err(Error::Usage {
                message: format!("`{typed}` names its platform itself, and another one is chosen beside it"),
                hint: "leave --cross (or --board) out, or `pkgsCross.NAME.` in the target".into(),
            });
        }
        let mut whole = String::new();
        if let Some(Cross::Named(platform)) = &plain.cross {
            whole.push_str(&format!("pkgsCross.{}.", AttrPath::single(platform.clone())));
        }
        if plain.is_static {
            whole.push_str("pkgsStatic.");
        }
        whole.push_str(&attr.to_string());
        if matches!(plain.cross, Some(Cross::System(_))) {
            whole = format!("{}:{whole}", name.unwrap_or("board"));
        }
        targets.push(Target { name: whole, board: name.map(str::to_string), attr });
    }
    Ok(Group { plain, patched, targets })
}

fn json(value: &impl Serialize) -> Result<serde_json::Value, Error> {
    serde_json::to_value(value).map_err(|e| Error::Usage {
        message: format!("a value of overlayctl.toml cannot be handed to Nix: {e}"),
        hint: "numbers have to be finite".into(),
    })
}

/// Returns the overlay files as Nix is told of them.
fn overlay_refs(files: &[PathBuf]) -> Result<Vec<Overlay>, Error> {
    files.iter().map(|file| Ok(Overlay::File(absolute(file)?))).collect()
}

/// Returns a path as Nix needs it.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    // Without symbolic links and `..`: the same file has to give the same text, hence the same cache key. Where a folder is a link,
    // Nix goes by the name that a file is given under, so that stays.
    let read = || {
        let real = path.canonicalize()?;
        let named = fs::collapsed(&std::path::absolute(path)?);
        let by_link = named.parent().is_some_and(|dir| !dir.canonicalize().is_ok_and(|real| real == dir));
        Ok(if by_link && named.canonicalize().is_ok_and(|file| file == real) { named } else { real })
    };
    read().map_err(|source| Error::Fs(fs::FsError::Read { path: path.to_path_buf(), source }))
}

fn nixpkgs_ref(source: &NixpkgsSource) -> Result<NixpkgsRef, Error> {
    Ok(match source {
        NixpkgsSource::Path(path) => NixpkgsRef::Path(absolute(path)?),
        NixpkgsSource::SearchPath => NixpkgsRef::SearchPath("nixpkgs".into()),
        NixpkgsSource::FlakeInput { dir, input } => {
            let dir = absolute(dir)?;
            let place = own::flake_reference(&dir)?;
            NixpkgsRef::Expression(nix::flake_input(&dir.display().to_string(), &place, &dir, input)?)
        }
        NixpkgsSource::Pin { file, name } => {
            let file = nix::path_text(&absolute(file)?)?;
            let name = AttrPath::single(name.clone());
            NixpkgsRef::Expression(Fragment::parse(format!("(import {file}).{name}.outPath"))?)
        }
    })
}
