//! Which revisions of nixpkgs the user means, and the repository that has them.
//!
//! `--to` and `--from` name a directory, a revision of it (`DIR@REV`), or a revision alone. Lock files say which revision
//! the workspace's own nixpkgs is.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::base::fs::{self, FsError};
use crate::config::{NixpkgsSource, Workspace};
use crate::git::{History, Oid};
use crate::nix;
use crate::ops::Error;
use crate::queue::error::Error as QueueError;

/// Two revisions of one repository.
#[derive(Debug)]
pub(in crate::ops) struct Between {
    pub(in crate::ops) history: History,
    pub(in crate::ops) from: Oid,
    pub(in crate::ops) to: Oid,
}

/// A nixpkgs as the user named it.
struct Named {
    shown: String,
    /// A directory that may be in a repository which has it.
    dir: Option<PathBuf>,
    /// Its revision; `None` when only the directory is known.
    revision: Option<String>,
}

/// Finds the repository that has both revisions.
///
/// # Errors
/// [`QueueError::NoHistory`] with the way out.
pub(in crate::ops) fn between(workspace: &Workspace, from: Option<&str>, to: &str) -> Result<Between, Error> {
    let own = name(workspace, None).ok().and_then(|named| named.dir);
    let (from, to) = (name(workspace, from)?, name(workspace, Some(to))?);
    let refuse = |why: String, hint: &str| Err(QueueError::NoHistory { why, hint: hint.into() }.into());
    let mut histories = Vec::new();
    // Where both are revisions alone, they are those of the workspace's own nixpkgs.
    let own = own.filter(|_| to.dir.is_none() && from.dir.is_none());
    for dir in [&to.dir, &from.dir, &own].into_iter().flatten() {
        histories.extend(History::of(dir)?);
    }
    if histories.is_empty() {
        return refuse(
            format!("neither {} nor {} is in a git repository", from.shown, to.shown),
            "clone nixpkgs and name the clone: --to DIR, or --to DIR@REV",
        );
    }
    for named in [&from, &to] {
        if named.revision.is_none() {
            let option = if std::ptr::eq(named, &from) { "--from REV" } else { "--to REV" };
            return refuse(
                format!("it is not known which revision {} is", named.shown),
                &format!("name it with {option}"),
            );
        }
    }
    let mut missing = None;
    for history in histories {
        let find = |named: &Named| history.resolve(named.revision.as_deref()?);
        match (find(&from), find(&to)) {
            (Some(old), Some(new)) if old == new => {
                let both = format!("{} and {} are both at the revision {new}", from.shown, to.shown);
                return refuse(both, "name two different ones with --from and --to");
            }
            (Some(old), Some(new)) => {
                if history.merge_base(old, new)?.is_none() {
                    let hint = match history.is_shallow() {
                        true => "the clone is shallow: `git fetch --unshallow` there gets the rest",
                        false => "name two revisions of the same repository",
                    };
                    return refuse(format!("{} and {} have no commit in common", from.shown, to.shown), hint);
                }
                return Ok(Between { history, from: old, to: new });
            }
            (old, _) => {
                let gone = if old.is_none() { &from } else { &to };
                let hint = match history.is_shallow() {
                    true => "the clone is shallow: `git fetch --unshallow` there gets the rest".to_string(),
                    false => {
                        format!("`git -C {} fetch` may get it; or name a clone that has both", history.root().display())
                    }
                };
                let revision = gone.revision.clone().unwrap_or_default();
                missing.get_or_insert((format!("{} has no revision {revision}", history.root().display()), hint));
            }
        }
    }
    let (why, hint) = missing.unwrap_or_default();
    refuse(why, &hint)
}

/// A package set that a revision was written out for; the files go when it is dropped.
#[derive(Debug)]
pub(in crate::ops) struct Written {
    pub(in crate::ops) nixpkgs: String,
    _dir: Option<TempDir>,
}

/// Returns `to` as a package set: as it is where it names one, and written out where it is a revision.
///
/// # Errors
/// [`QueueError::NoHistory`] for a text that names neither.
pub(in crate::ops) fn package_set(workspace: &Workspace, from: Option<&str>, to: &str) -> Result<Written, Error> {
    let as_it_is = match workspace.nixpkgs(Some(to)) {
        Ok(_) => return Ok(Written { nixpkgs: to.to_string(), _dir: None }),
        Err(error) => error,
    };
    let named = name(workspace, Some(to))?;
    let other = || name(workspace, from).ok()?.dir.or_else(|| name(workspace, None).ok()?.dir);
    let dir = named.dir.clone().or_else(other);
    let history = dir.as_deref().map(History::of).transpose()?.flatten();
    let found = history.and_then(|history| Some((history.resolve(named.revision.as_deref()?)?, history)));
    // A text that is no revision either was most likely meant as a path.
    let Some((revision, history)) = found else { return Err(as_it_is.into()) };
    let into = temporary()?;
    let set = history.scratch(into.path())?.check_out(revision)?;
    Ok(Written { nixpkgs: set.display().to_string(), _dir: Some(into) })
}

/// Makes a directory for the files of a revision.
pub(in crate::ops) fn temporary() -> Result<TempDir, Error> {
    let fail = |source| FsError::Write { path: std::env::temp_dir(), source };
    let dir = tempfile::Builder::new().prefix("overlayctl-").tempdir().map_err(fail)?;
    Ok(dir)
}

/// Reads what the user named; the workspace's own when `None`.
fn name(workspace: &Workspace, typed: Option<&str>) -> Result<Named, Error> {
    let shown = typed.map(str::to_string);
    match (workspace.nixpkgs(typed), typed) {
        (Ok(source), _) => of_source(workspace, source, shown),
        (Err(_), Some(typed)) => {
            if let Some((dir, revision)) = typed.rsplit_once('@')
                && Path::new(dir).is_dir()
            {
                return Ok(Named {
                    shown: typed.to_string(),
                    dir: Some(PathBuf::from(dir)),
                    revision: Some(revision.to_string()),
                });
            }
            Ok(Named { shown: typed.to_string(), dir: None, revision: Some(typed.to_string()) })
        }
        (Err(error), None) => Err(error.into()),
    }
}

fn of_source(workspace: &Workspace, source: NixpkgsSource, shown: Option<String>) -> Result<Named, Error> {
    let shown = shown.unwrap_or_else(|| source.to_string());
    Ok(match source {
        NixpkgsSource::Path(path) => {
            let head = History::of(&path)?.and_then(|history| history.resolve("HEAD")).map(|id| id.to_string());
            // Channels and tarballs of nixpkgs carry it in a file.
            let written = || fs::read_text(&path.join(".git-revision")).ok().map(|text| text.trim().to_string());
            Named { shown, revision: head.or_else(written), dir: Some(path) }
        }
        NixpkgsSource::SearchPath => Named { shown, dir: None, revision: None },
        NixpkgsSource::FlakeInput { dir, input } => {
            let (revision, dir) = flake_input(&fs::read_text(&dir.join("flake.lock"))?, &input);
            Named { shown, dir: dir.map(|dir| workspace.path(dir)), revision }
        }
        NixpkgsSource::Pin { file, name } => {
            let sources = fs::read_text(&file.with_file_name("sources.json"))?;
            Named { shown, dir: None, revision: pin(&sources, &name) }
        }
    })
}

/// Returns the revision that a `flake.lock` has for an input of the flake, and its directory when it is one of this machine.
fn flake_input(lock: &str, input: &str) -> (Option<String>, Option<PathBuf>) {
    let lock: serde_json::Value = serde_json::from_str(lock).unwrap_or_default();
    let text = |name: &str| Some(nix::locked(&lock, input)?.get(name)?.as_str()?.to_string());
    let dir = text("path")
        .or_else(|| text("url")?.strip_prefix("file://").map(|p| p.split('?').next().unwrap_or(p).to_string()));
    (text("rev"), dir.map(PathBuf::from))
}

/// Returns the revision that `sources.json` of npins or niv has for a pin.
fn pin(sources: &str, name: &str) -> Option<String> {
    let sources: serde_json::Value = serde_json::from_str(sources).ok()?;
    let revision = [&sources["pins"][name]["revision"], &sources[name]["rev"]].into_iter().find_map(|v| v.as_str());
    revision.map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_say_the_revision() {
        let lock = r#"{"nodes":{"nixpkgs":{"locked":{"rev":"abc","type":"github"}},
            "local":{"locked":{"type":"git","rev":"def","url":"file:///n/pkgs?ref=x"}},
            "dep":{"inputs":{"nixpkgs":"nixpkgs"}},
            "root":{"inputs":{"nixpkgs":"nixpkgs","dep":"dep","mine":"local","follows":["dep","nixpkgs"]}}},"root":"root","version":7}"#;
        assert_eq!(flake_input(lock, "nixpkgs"), (Some("abc".into()), None));
        assert_eq!(flake_input(lock, "follows"), (Some("abc".into()), None));
        assert_eq!(flake_input(lock, "mine"), (Some("def".into()), Some("/n/pkgs".into())));
        assert_eq!(flake_input(lock, "no"), (None, None));
        assert_eq!(flake_input("no lock", "nixpkgs"), (None, None));
        assert_eq!(pin(r#"{"pins":{"nixpkgs":{"revision":"abc"}}}"#, "nixpkgs").as_deref(), Some("abc"));
        assert_eq!(pin(r#"{"nixpkgs":{"rev":"abc"}}"#, "nixpkgs").as_deref(), Some("abc"));
        assert_eq!(pin("[", "nixpkgs"), None);
    }
}
