//! The patch queue of one package on disk: `patches/ATTR/NNNN-subject.patch`.

pub mod aliases;
pub mod applying;
mod asked;
pub mod choose;
pub mod commits;
pub mod copy;
mod create;
pub mod discover;
pub mod error;
pub mod facts;
pub mod fetch;
mod follow;
pub(crate) mod level;
pub mod model;
pub mod rewrite;
pub mod series;
pub mod session;
pub mod sets;
pub mod source;
mod steps;
pub mod stored;
pub mod trial;
pub(crate) mod witness;

pub(crate) use create::create;
pub use error::Error;
pub(crate) use steps::Steps;

use std::path::{Path, PathBuf};

use crate::base::fs::{self, FsError};
use crate::config::Workspace;
use crate::overlay::{AttrPath, Element, OverlayFile, PatchElement, PatchedPackage};
use crate::patch::{PatchFile, queue};

/// Returns the directory of a package's queue, as the user would write it.
pub fn dir(workspace: &Workspace, attr: &AttrPath) -> PathBuf {
    workspace.patches_dir().join(dir_name(attr))
}

/// Returns the name of the directory: the path with dots; bytes that could mean something to a file system or to Nix
/// are written `%XX`.
pub(crate) fn dir_name(attr: &AttrPath) -> String {
    let mut out = String::new();
    for (i, name) in attr.names().iter().enumerate() {
        if i > 0 {
            out.push('.');
        }
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+') {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

/// Returns the package whose queue a directory is; the inverse of what names it.
pub fn attr_of_dir(name: &str) -> Option<AttrPath> {
    let names = name.split('.').map(|part| {
        let mut bytes = Vec::new();
        let mut rest = part.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let mut digit = || char::from(rest.next()?).to_digit(16);
            bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
        }
        String::from_utf8(bytes).ok().filter(|name| !name.is_empty())
    });
    AttrPath::from_names(names.collect::<Option<Vec<_>>>()?)
}

/// Returns the file names in a queue's directory, in their order; none when there is no directory.
///
/// # Errors
/// [`Error::Fs`] when it cannot be listed.
pub fn files(dir: &Path) -> Result<Vec<String>, Error> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(FsError::Read { path: dir.to_path_buf(), source }.into()),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|source| FsError::Read { path: dir.to_path_buf(), source })?;
        names.extend(entry.file_name().into_string().ok());
    }
    Ok(queue::order(names))
}

/// Returns `1 patch`, `8 patches`.
pub fn patches(count: usize) -> String {
    if count == 1 { "1 patch".into() } else { format!("{count} patches") }
}

/// Returns the subject of a patch file, or of its name when it cannot be read.
pub fn subject(path: &Path) -> String {
    let from_name = || {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        queue::QueueName::parse(&name).map_or_else(|| name.clone().into_owned(), |q| q.slug.replace('-', " "))
    };
    let Ok(bytes) = fs::read(path) else { return from_name() };
    PatchFile::parse(&bytes).ok().and_then(|patch| patch.headers().subject).unwrap_or_else(from_name)
}

/// Returns an element as it is asked for again.
pub(crate) fn named(element: &Element) -> PatchElement {
    match &element.url {
        Some(url) => PatchElement::Fetch { url: url.clone(), hash_attr: String::new(), hash: String::new() },
        None => match (&element.path, discover::below_self(element)) {
            (None, Some(below)) => {
                PatchElement::Path { relative: format!("./{below}"), from_root: Some(below.to_string()) }
            }
            (path, _) => PatchElement::path(path.clone().unwrap_or_else(|| element.text.clone())),
        },
    }
}

/// Returns those patches of a package that are files of the queue in `queue_dir`, and their paths there.
pub(crate) fn in_queue<'a>(
    file: &'a OverlayFile,
    package: &'a PatchedPackage,
    queue_dir: &'a Path,
) -> impl Iterator<Item = (&'a Element, PathBuf)> {
    let real = queue_dir.canonicalize().ok();
    package.elements.iter().filter_map(move |element| {
        let path = discover::on_disk(element, file.path())?;
        let below = real.as_ref().is_some_and(|dir| path.parent() == Some(dir.as_path()));
        below.then(|| (element, queue_dir.join(path.file_name().unwrap_or_default())))
    })
}

/// Returns the name by which a file has patches of a package's queue, where it has none by the package's own: `python313Packages.six`
/// for `python3Packages.six`.
pub(crate) fn bound_as(file: &OverlayFile, attr: &AttrPath, queue_dir: &Path) -> Option<AttrPath> {
    let patched = file.patched_packages();
    let other = patched.iter().find(|package| in_queue(file, package, queue_dir).next().is_some())?;
    (!patched.iter().any(|package| package.attr == *attr)).then(|| other.attr.clone())
}

/// Returns the way from the file `from` to the file `to` as Nix writes a path: `./x.patch`, `../patches/musl/x.patch`.
///
/// # Errors
/// [`Error::Fs`] when a directory cannot be resolved.
pub fn relative(from: &Path, to: &Path) -> Result<String, Error> {
    let parent =
        |path: &Path| path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_path_buf();
    let (from_dir, to_dir) = (discover::base_of(from), parent(to));
    let absolute = |dir: &Path| std::path::absolute(dir).map(|dir| fs::collapsed(&dir)).unwrap_or_else(|_| dir.into());
    // Below a folder that is a link, Nix goes by the name that the overlay is given under.
    let (from_dir, to_dir) = match (resolved(&from_dir)?, absolute(&from_dir)) {
        (real, named) if real == named => (real, resolved(&to_dir)?),
        (_, named) => (named, absolute(&to_dir)),
    };
    let common = from_dir.components().zip(to_dir.components()).take_while(|(a, b)| a == b).count();
    let up = from_dir.components().count() - common;
    let mut parts: Vec<String> = vec!["..".to_string(); up];
    if up == 0 {
        parts.push(".".to_string());
    }
    parts.extend(to_dir.components().skip(common).map(|c| c.as_os_str().to_string_lossy().into_owned()));
    parts.push(to.file_name().unwrap_or_default().to_string_lossy().into_owned());
    Ok(parts.join("/"))
}

/// Returns the path of a file without links in its folders; the file may be one itself, and need not be there.
pub(crate) fn unlinked(file: &Path) -> Result<PathBuf, Error> {
    Ok(resolved(file.parent().unwrap_or(Path::new(".")))?.join(file.file_name().unwrap_or_default()))
}

/// Resolves a directory of which the last parts may not be there yet.
pub(crate) fn resolved(dir: &Path) -> Result<PathBuf, Error> {
    let mut missing = Vec::new();
    for at in dir.ancestors() {
        let at = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        match at.canonicalize() {
            Ok(there) => return Ok(missing.iter().rev().fold(there, |path, name| path.join(name))),
            Err(source) => match at.file_name() {
                Some(name) => missing.push(name.to_os_string()),
                None => return Err(FsError::Read { path: dir.to_path_buf(), source }.into()),
            },
        }
    }
    Ok(dir.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_named_safely() {
        let name = |text: &str| dir_name(&AttrPath::parse(text).unwrap());
        assert_eq!(name("python3Packages.requests"), "python3Packages.requests");
        assert_eq!(name("\"a/b\".\"..\""), "a%2Fb.%2E%2E");
        for text in ["python3Packages.requests", "\"a/b\".\"..\"", "gtk+"] {
            let attr = AttrPath::parse(text).unwrap();
            assert_eq!(attr_of_dir(&dir_name(&attr)), Some(attr));
        }
    }

    #[test]
    fn the_way_to_a_patch_is_written_as_nix_wants_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("overlays")).unwrap();
        let at = |p: &str| dir.path().join(p);
        assert_eq!(relative(&at("overlays/a.nix"), &at("patches/musl/1.patch")).unwrap(), "../patches/musl/1.patch");
        assert_eq!(relative(&at("overlay.nix"), &at("patches/musl/1.patch")).unwrap(), "./patches/musl/1.patch");
        assert_eq!(relative(&at("overlay.nix"), &at("1.patch")).unwrap(), "./1.patch");
    }
}
