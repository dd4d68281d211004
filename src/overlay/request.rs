//! What is asked for, and what comes back: the vocabulary of the room.
//!
//! Must not read trees.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::FnKind;
use super::layout::Style;
use crate::base::diagnostic::Warning;
use crate::base::edit::TextEdits;
use crate::base::span::Place;
use crate::syntax::{AttrPath, make};

/// Which overlay function of a file is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// The only one, or the only one that binds the package.
    Only,
    /// The one whose first argument stands on this line, from 1.
    Line(usize),
    /// The one whose first argument, or whose first parameter of all, begins at this byte.
    Offset(usize),
}

/// Where the patch is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// In every stage of the package set.
    #[default]
    All,
    /// Only where the host platform is not the build platform: in what is cross compiled.
    Host,
}

/// What the derivation's `patches` is now, as far as Nix was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OldPatches {
    /// A list, absent, or not asked.
    #[default]
    List,
    /// `null`.
    Null,
    /// One path or string, or whatever an expression gives.
    NotList,
}

/// How a package of a nested scope is overridden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ScopeMethod {
    /// `pythonPackagesExtensions ++ [ (final: prev: { ... }) ]`, for every Python.
    PythonExtensions,
    /// `python3.override (old: { packageOverrides = composeExtensions ... })`, with the set taken from it again.
    PythonPackageOverrides,
    /// `SET.extend (final: prev: { ... })`.
    Extend,
    /// `SET.overrideScope (final: prev: { ... })`.
    OverrideScope,
    /// `SET.overrideScope' (final: prev: { ... })`, where `overrideScope` takes its arguments the other way round.
    OverrideScopePrime,
    /// `SET // { ... }`: only this package, not those of the set that use it.
    Merge,
    /// `SET.override (old: { overrides = composeExtensions ... })`.
    Overrides,
}

/// What a scope that is overridden by a function needs to keep what it has besides its packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeKept {
    /// Nothing: all is there, or Nix was not asked.
    #[default]
    All,
    /// The result is merged over the scope.
    Merged,
    /// The result is merged over the scope, and its `override`, by which others make the scope anew, goes the same way.
    Overridable,
}

/// What Nix said about the package, where it was asked.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// How the scope that holds the package is overridden.
    pub scope: Option<ScopeMethod>,
    pub kept: ScopeKept,
    /// The attribute that holds the interpreter whose packages the scope's are (`python3` for `python3Packages`).
    pub interpreter: Option<String>,
    /// Whether it is a kernel, which takes its patches as `kernelPatches`; told by its name when Nix was not asked.
    pub kernel: Option<bool>,
    /// What `patches` is now.
    pub patches: OldPatches,
    pub derivation: Option<bool>,
}

/// One element of a list of patches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchElement {
    /// A file, relative to the directory of the overlay file (`./x.patch`, `../p/x.patch`).
    Path {
        relative: String,
        /// The same file relative to the root of the flake, for lists whose elements are written `"${self}/..."`.
        from_root: Option<String>,
    },
    /// A patch that Nix fetches.
    Fetch {
        url: String,
        /// The name of the attribute that holds the hash: `hash`, or `sha256` for an old nixpkgs.
        hash_attr: String,
        hash: String,
    },
}

impl PatchElement {
    /// Makes an element from a path relative to the overlay file's directory.
    pub fn path(relative: impl Into<String>) -> PatchElement {
        PatchElement::Path { relative: relative.into(), from_root: None }
    }

    /// Returns the path or the address: what makes two elements the same.
    pub fn identity(&self) -> &str {
        match self {
            PatchElement::Path { relative, .. } => relative,
            PatchElement::Fetch { url, .. } => url,
        }
    }
}

/// An element as text.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) one_line: String,
    /// Lines of the form on several lines, without indentation; the inner ones are indented by one unit.
    lines: Option<(String, Vec<String>, String)>,
    /// The path relative to the file, and to the root of the flake, for lists with a style of their own.
    pub(super) relative: Option<String>,
    pub(super) from_root: Option<String>,
}

impl Written {
    pub(super) fn of(element: &PatchElement, prev: &str) -> Written {
        match element {
            PatchElement::Path { relative, from_root } => Written {
                one_line: make::path(relative),
                lines: None,
                relative: Some(relative.clone()),
                from_root: from_root.clone(),
            },
            PatchElement::Fetch { url, hash_attr, hash } => {
                let hash_attr = if hash_attr == "sha256" { "sha256" } else { "hash" };
                let fields =
                    vec![format!("url = {};", make::string(url)), format!("{hash_attr} = {};", make::string(hash))];
                let fetch = format!("({prev}.fetchpatch {{");
                Written {
                    one_line: format!("{fetch} {} }})", fields.join(" ")),
                    lines: Some((fetch, fields, "})".into())),
                    relative: None,
                    from_root: None,
                }
            }
        }
    }

    pub(super) fn text(text: String) -> Written {
        Written { one_line: text, lines: None, relative: None, from_root: None }
    }

    pub(super) fn at(&self, indent: &str, style: &Style) -> String {
        match &self.lines {
            None => self.one_line.clone(),
            Some((open, fields, close)) => {
                let nl = style.newline;
                let mut out = open.clone();
                for field in fields {
                    out.push_str(&format!("{nl}{indent}{}{field}", style.unit));
                }
                out.push_str(&format!("{nl}{indent}{close}"));
                out
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "attribute", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PatchAttribute {
    /// `patches` of the derivation.
    Patches,
    /// `kernelPatches`, an argument of a kernel: `{ name; patch; }` each.
    KernelPatches,
    /// `cargoPatches`, an argument of `buildRustPackage`: they are applied before the dependencies are fetched too, so
    /// a patch of `Cargo.lock` has to be one.
    CargoPatches {
        /// The attribute that holds the hash of the dependencies (`cargoHash`, `cargoSha256`), which the patch changes:
        /// it is written beside the list with a false hash, so that the build tells the new one. `None` writes none.
        hash: Option<String>,
        /// Whether `buildRustPackage` is given a function of the final attributes instead of a set.
        of_final: bool,
    },
}

#[derive(Debug, Clone)]
pub struct PatchRequest {
    pub attr: AttrPath,
    /// The patches, in order.
    pub elements: Vec<PatchElement>,
    /// Where in an existing list they go, from 0; at its end when absent.
    pub position: Option<usize>,
    /// Where they hold.
    pub scope: Scope,
    /// What is known about the package.
    pub facts: Facts,
    /// The attribute that is written; the package's usual one when absent: `kernelPatches` of a kernel, else `patches`.
    pub attribute: Option<PatchAttribute>,
}

impl PatchRequest {
    /// Makes a request for one package with no facts, at the end of its list, for every stage.
    pub fn new(attr: AttrPath, elements: Vec<PatchElement>) -> PatchRequest {
        PatchRequest { attr, elements, position: None, scope: Scope::All, facts: Facts::default(), attribute: None }
    }
}

/// The files that an overlay's imports lead to.
pub trait Files {
    /// Returns the text of the file at `path`; `None` when there is none that can be read.
    fn read(&self, path: &Path) -> Option<String>;
}

/// No files: imports are not followed.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _path: &Path) -> Option<String> {
        None
    }
}

#[derive(Debug, Clone)]
pub struct FileChange {
    /// The file, as the caller named it or as an import leads to it.
    pub path: PathBuf,
    pub old: String,
    pub edits: TextEdits,
    pub new: String,
}

/// What a plan does, in words that a program can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    AddedKey {
        attr: AttrPath,
        /// How: `inserted`, `merged`, `wrapped-body`, `scope`.
        how: &'static str,
        elements: Vec<String>,
    },
    /// A binding that was there got more patches.
    ChangedKey {
        attr: AttrPath,
        /// How: `appended`, `added-list`, `concatenated`, `wrapped`, `merged`, `wrapped-body`.
        how: &'static str,
        elements: Vec<String>,
    },
    /// Elements were taken out.
    Removed { attr: AttrPath, elements: Vec<String>, binding: bool },
    /// Everything is as asked already.
    Nothing { attr: AttrPath },
}

/// A verified plan: the new texts, and what they mean.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The files that change; none when nothing has to be done.
    pub changes: Vec<FileChange>,
    pub change: Change,
    pub warnings: Vec<Warning>,
    pub function: Place,
}

/// An overlay-like function of a file.
#[derive(Debug, Clone, Serialize)]
pub struct OverlayFn {
    /// Where its first argument stands.
    pub place: Place,
    /// Where its first parameter of all stands: earlier than `place` for `inputs: final: prev:`.
    pub head: Place,
    pub kind: FnKind,
    /// The name of the first argument; absent for a function of one argument.
    pub first: Option<String>,
    /// The name of the second argument.
    pub second: Option<String>,
    /// The keys that it visibly binds.
    pub keys: Vec<String>,
    /// Part of what it binds is computed.
    pub opaque: bool,
    /// A program writes the file.
    pub generated: bool,
}

/// One patch of a package in an overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Element {
    pub text: String,
    /// The path that it names, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The path below the root of the flake that it names: `a/b` of `"${self}/a/b"`.
    #[serde(skip)]
    pub from_root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// It counts only when a condition holds.
    pub conditional: bool,
    /// Where it stands.
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PatchedPackage {
    pub attr: AttrPath,
    pub elements: Vec<Element>,
    /// Where the binding stands.
    pub place: Place,
    /// The overlay function that holds it.
    pub function: Place,
}
