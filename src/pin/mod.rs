//! Pins: where a workspace says which nixpkgs it has, read and written without touching any other byte.
//!
//! [`Pin::of`] is the one way in: it finds the pin, says what it is now and what is fetched to move it; [`Pin::moved`] gives the new text
//! of its file. A `flake.lock` is Nix's own, so Nix writes it. Called by `ops::bump`. Must not write and must not start anything.

mod json;
mod setting;
mod sources;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::base::diagnostic::{Coded, Origin};
use crate::base::fs::{self, FsError};
use crate::base::span::{Place, Span};
use crate::config::{FILE_NAME, NixpkgsSource, Workspace};

/// Why a pin cannot be read or moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Fs(#[from] FsError),
    /// There is no pin of that name.
    #[error("there is no pin `{name}`")]
    NoPin { name: String, known: Vec<String> },
    /// Its file is not what it should be.
    #[error("the pins in {} cannot be read: {why}", place.path.display())]
    Unreadable { why: String, place: Place },
    /// Nothing says where it should go.
    #[error("it is not said where {pin} goes")]
    NoWay { pin: String, hint: String },
    /// It cannot go there.
    #[error("{pin} cannot be moved to `{to}`: {why}")]
    CannotMove { pin: String, to: String, why: String, hint: String },
}

impl Coded for Error {
    fn origin(&self) -> Origin<'_> {
        match self {
            Error::Fs(e) => Origin::Below(e),
            Error::NoPin { .. } => Origin::Here("OV1240"),
            Error::Unreadable { .. } => Origin::Here("OV1241"),
            Error::NoWay { .. } => Origin::Here("OV1242"),
            Error::CannotMove { .. } => Origin::Here("OV1243"),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::NoPin { known, .. } if known.is_empty() => {
                Some("pins are inputs of flake.nix, or those of npins and niv".into())
            }
            Error::NoPin { known, .. } => Some(format!("it has {}", known.join(", "))),
            Error::NoWay { hint, .. } | Error::CannotMove { hint, .. } => Some(hint.clone()),
            _ => self.below().and_then(Coded::hint),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Error::Unreadable { place, .. } => Some(place.clone()),
            _ => self.below().and_then(Coded::place),
        }
    }
}

/// What keeps a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// `flake.lock`, written by Nix.
    Flake,
    Npins,
    Niv,
    /// The key `nixpkgs` of `overlayctl.toml`.
    Setting,
}

/// A pin of a workspace.
#[derive(Debug, Clone)]
pub struct Pin {
    pub keeper: Keeper,
    /// The input, or the name that npins or niv has for it.
    pub name: String,
    /// The file that says it; it may not be there yet.
    pub file: PathBuf,
    /// Its text; `None` when it is not there.
    pub old: Option<String>,
    /// What it is now, in the word that people know it by.
    pub now: Option<String>,
    entry: Value,
}

/// What was fetched for a pin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The revision, where it has one.
    pub revision: Option<String>,
    /// The hash of its files, as `sha256-...`.
    pub nar_hash: String,
    pub out_path: String,
}

impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.keeper {
            Keeper::Flake => write!(f, "the input `{}` of {}", self.name, self.file.display()),
            Keeper::Npins | Keeper::Niv => write!(f, "`{}` in {}", self.name, self.file.display()),
            Keeper::Setting => write!(f, "`nixpkgs` in {}", self.file.display()),
        }
    }
}

impl Pin {
    /// Finds the pin of a workspace's nixpkgs, or the one called `name`.
    ///
    /// # Errors
    /// [`Error::NoPin`], [`Error::Unreadable`].
    pub fn of(workspace: &Workspace, name: Option<&str>) -> Result<Pin, Error> {
        let is_there = |file: &str| workspace.path(file).is_file();
        let (keeper, name, file) = match (name, workspace.nixpkgs(None)) {
            (Some(name), _) if is_there("flake.nix") => (Keeper::Flake, name.to_owned(), workspace.path("flake.lock")),
            (Some(name), _) if is_there("npins/sources.json") => {
                (Keeper::Npins, name.to_owned(), workspace.path("npins/sources.json"))
            }
            (Some(name), _) if is_there("nix/sources.json") => {
                (Keeper::Niv, name.to_owned(), workspace.path("nix/sources.json"))
            }
            (Some(name), _) => return Err(Error::NoPin { name: name.to_owned(), known: Vec::new() }),
            (None, Ok(NixpkgsSource::FlakeInput { dir, input })) => (Keeper::Flake, input, dir.join("flake.lock")),
            (None, Ok(NixpkgsSource::Pin { file, name })) => {
                let is_npins = file.parent().is_some_and(|dir| dir.ends_with("npins"));
                (if is_npins { Keeper::Npins } else { Keeper::Niv }, name, file.with_file_name("sources.json"))
            }
            (None, _) => (Keeper::Setting, "nixpkgs".into(), workspace.path(FILE_NAME)),
        };
        let text = fs::read_text_if_there(&file)?;
        let mut pin = Pin { keeper, name, file, old: text.clone(), now: None, entry: Value::Null };
        match (keeper, text) {
            (Keeper::Setting, _) => pin.now = workspace.nixpkgs(None).ok().map(|source| source.to_string()),
            // Nix makes the lock.
            (Keeper::Flake, None) => {}
            (_, None) => return Err(Error::NoPin { name: pin.name, known: Vec::new() }),
            (_, Some(text)) => pin.read(&text)?,
        }
        Ok(pin)
    }

    fn read(&mut self, text: &str) -> Result<(), Error> {
        let file: Value = serde_json::from_str(text).map_err(|error| {
            let span = crate::base::span::line_span(text, error.line()).unwrap_or(Span::at(0));
            Error::Unreadable { why: error.to_string(), place: Place::in_text(&self.file, text, span) }
        })?;
        let members = match self.keeper {
            Keeper::Flake => file.pointer("/nodes/root/inputs"),
            Keeper::Npins => file.get("pins"),
            _ => Some(&file),
        };
        let known: Vec<String> =
            members.and_then(Value::as_object).into_iter().flat_map(|all| all.keys().cloned()).collect();
        let found = match self.keeper {
            Keeper::Flake => crate::nix::locked(&file, &self.name).cloned(),
            _ => members.and_then(|all| all.get(&self.name)).cloned(),
        };
        let Some(entry) = found else { return Err(Error::NoPin { name: self.name.clone(), known }) };
        self.now = word(&entry);
        self.entry = entry;
        Ok(())
    }

    /// Returns what Nix is asked to fetch for this pin to be at `to`, a revision or a branch; at the newest of its branch for `None`.
    ///
    /// # Errors
    /// [`Error::CannotMove`] for what has no revisions.
    pub fn reference(&self, to: Option<&str>) -> Result<Option<String>, Error> {
        match self.keeper {
            Keeper::Flake => sources::of_lock(&self.entry, to).map_err(|why| self.cannot(to, why)),
            Keeper::Npins | Keeper::Niv => {
                sources::reference(&self.entry, to).map(Some).map_err(|why| self.cannot(to, why))
            }
            Keeper::Setting => {
                Err(Error::NoWay { pin: self.to_string(), hint: "name a package set: --to PATH".into() })
            }
        }
    }

    fn cannot(&self, to: Option<&str>, why: String) -> Error {
        let to = to.unwrap_or("its newest revision").to_owned();
        let hint = match self.keeper {
            Keeper::Flake => {
                "name a flake reference: --to github:NixOS/nixpkgs/REV, --to git+file:///DIR?rev=REV".into()
            }
            _ => "the report can be had of any package set: --to DIR; the pin is then moved with its own tool".into(),
        };
        Error::CannotMove { pin: self.to_string(), to, why, hint }
    }

    /// Returns the address of its repository, as git takes it; `None` for what is from none.
    pub fn address(&self) -> Option<String> {
        sources::address(&self.entry)
    }

    /// Returns the text of the file with the pin at what was fetched for `to`, which it follows from now on where that is a branch; every
    /// other byte is the same.
    ///
    /// # Errors
    /// [`Error::Unreadable`], [`Error::CannotMove`].
    pub fn moved(&self, to: Option<&str>, is_branch: bool, fetched: &Fetched) -> Result<Vec<u8>, Error> {
        let text = self.old.as_deref().unwrap_or("{}");
        let changes = sources::changes(&self.entry, to, is_branch, fetched).map_err(|why| self.cannot(to, why))?;
        let path: &[&str] = match self.keeper {
            Keeper::Npins => &["pins", &self.name],
            _ => &[&self.name],
        };
        let new = json::with(text, path, &changes);
        let unreadable = |why: String| Error::Unreadable { why, place: Place::file(&self.file) };
        new.map(String::into_bytes).map_err(unreadable)
    }

    /// Returns the text of `overlayctl.toml` with another package set in it.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn set_to(&self, value: &str) -> Result<Vec<u8>, Error> {
        // A file that is not there yet says nothing.
        let text = self.old.as_deref().unwrap_or("");
        let unreadable = |why: String| Error::Unreadable { why, place: Place::file(&self.file) };
        setting::with(text, value).map(String::into_bytes).map_err(unreadable)
    }
}

/// Returns what people know a pin by in the text of its file.
pub fn word_in(keeper: Keeper, name: &str, file: &Path, text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text).into_owned();
    let mut pin = Pin { keeper, name: name.into(), file: file.into(), old: None, now: None, entry: Value::Null };
    pin.read(&text).ok()?;
    pin.now
}

/// Returns the word of a pin that people know it by.
fn word(entry: &Value) -> Option<String> {
    let keys = ["rev", "revision", "version", "path", "url", "narHash", "hash", "sha256"];
    let found = keys.iter().find_map(|key| entry.get(key)?.as_str().filter(|text| !text.is_empty()));
    found.map(|text| if is_revision(text) { text.chars().take(12).collect() } else { text.to_owned() })
}

/// Says whether a text is the whole name of a commit.
pub fn is_revision(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
