//! What a target needs to run, searched for the code and the texts of a package without and with its patches.

use std::collections::BTreeSet;

use memchr::memmem;

use super::contents::Known;
use super::files;
use super::packed::{Piece, pieces};
use super::{Case, Error};
use crate::base::fs;
use crate::cross::Elf;
use crate::cross::contents::Contents;
use crate::cross::elf::Kind;
use crate::patch::is_binary;

/// A library in a program of the target's closure.
pub(super) struct Found<'k> {
    pub(super) program: String,
    pub(super) is_static: bool,
    pub(super) library: &'k str,
    pub(super) contents: Contents,
    /// Whether it is packed in the file, so that a path of the store can be hidden in it.
    pub(super) packed: bool,
}

/// What a search came upon.
#[derive(Default)]
pub(super) struct Searched<'k> {
    pub(super) found: Vec<Found<'k>>,
    /// Files that were not looked into, and what they are.
    pub(super) closed: Vec<String>,
    /// The store paths in which something calls what a library of the package exports.
    pub(super) callers: BTreeSet<String>,
}

/// The largest file without a header that is searched for code.
const MAX_RAW: usize = 1 << 26;

/// Searches every program, library, archive and image of these store paths for the libraries and texts.
pub(super) fn search<'k, 'p>(
    case: &mut Case<'_, '_>,
    all: &[&'k Known],
    paths: impl Iterator<Item = &'p String>,
) -> Result<Searched<'k>, Error> {
    let outputs = case.built_outputs();
    let mut searched = Searched::default();
    for path in paths {
        for file in files::below(case.nix, path) {
            if !is_looked_at(&file, all) {
                continue;
            }
            let bytes = fs::read(&file.real)?;
            pieces(&bytes, &mut |piece| match piece {
                Piece::Code(code) => {
                    let packed = code.len() != bytes.len();
                    look(all, (path, &file.path), code, packed, &mut searched);
                }
                Piece::Data(data) => {
                    if outputs.contains(path) && is_binary(data) {
                        raw(all, &file.path, data, &mut searched);
                    }
                    // A file that is a text is a copy when it is the same; what is packed holds its files whole.
                    let whole = data.len() == bytes.len() && !is_binary(data);
                    for (name, old) in all.iter().flat_map(|known| &known.texts) {
                        if if whole { is_same_text(data, old) } else { memmem::find(data, old).is_some() } {
                            searched.found.push(unpatched(&file.path, name, format!("it is {name} without the patch")));
                        }
                    }
                }
                Piece::Closed(what) => searched.closed.push(format!("{}: {what}", file.path)),
            });
        }
    }
    Ok(searched)
}

/// Looks at one program, library, object or archive.
fn look<'k>(
    all: &[&'k Known],
    (store_path, path): (&str, &str),
    code: &[u8],
    packed: bool,
    searched: &mut Searched<'k>,
) {
    // What cannot be read is the matter of the level program.
    let elf = Elf::read(code).ok().flatten();
    if elf.as_ref().is_some_and(|elf| matches!(elf.kind, Kind::Core | Kind::Other)) {
        return;
    }
    let linked = elf.as_ref().is_some_and(|elf| elf.kind != Kind::Relocatable);
    for (name, is_archive, library) in all.iter().flat_map(|known| &known.libraries) {
        if library.is_called_by(code) {
            searched.callers.insert(store_path.to_string());
        }
        let Ok(contents) = library.look(code) else { continue };
        // That a shared library is not in a program is as it should be.
        if *is_archive && linked || !contents.evidence.is_empty() || contents.copy {
            let is_static = elf.as_ref().is_some_and(Elf::is_static);
            searched.found.push(Found { program: path.to_string(), is_static, library: name, contents, packed });
        }
    }
    for (name, text) in all.iter().flat_map(|known| &known.literals) {
        if memmem::find(code, text).is_some() {
            let why =
                format!("it holds `{}`, which is in {name} without the patch only", String::from_utf8_lossy(text));
            searched.found.push(unpatched(path, name, why));
        }
    }
}

/// Looks at what has no header: code of a firmware, an image.
fn raw<'k>(all: &[&'k Known], path: &str, data: &[u8], searched: &mut Searched<'k>) {
    // What is firmware is linked with archives.
    let mut archives =
        all.iter().flat_map(|known| &known.libraries).filter(|(_, is_archive, _)| *is_archive).peekable();
    if data.len() > MAX_RAW && archives.peek().is_some() {
        searched.closed.push(format!("{path}: too large to be searched for code without a header"));
        return;
    }
    for (name, _, library) in archives {
        let contents = library.look_at_raw(data);
        if !contents.evidence.is_empty() {
            searched.found.push(Found {
                program: path.to_string(),
                is_static: false,
                library: name,
                contents,
                packed: true,
            });
        }
    }
}

fn unpatched<'k>(path: &str, library: &'k str, why: String) -> Found<'k> {
    Found { program: path.to_string(), is_static: false, library, contents: Contents::unpatched(why), packed: false }
}

/// Says whether a file can be or hold a copy of something.
fn is_looked_at(file: &files::StoreFile, all: &[&Known]) -> bool {
    let len = file.real.metadata().map_or(0, |metadata| metadata.len());
    // A script carries an interpreter of its own in its first line, or what it unpacks.
    let size = |text: &[u8]| len.abs_diff(text.len() as u64) <= if file.head.starts_with(b"#!") { 256 } else { 0 };
    is_binary(&file.head)
        || file.head.starts_with(b"!<arch>\n")
        || file.head.starts_with(b"#!") && len > file.head.len() as u64
        || all.iter().flat_map(|known| &known.texts).any(|(_, text)| size(text))
}

/// Says whether two texts are the same but for the interpreter in the first line.
fn is_same_text(a: &[u8], b: &[u8]) -> bool {
    fn rest(text: &[u8]) -> &[u8] {
        let end = memchr::memchr(b'\n', text).filter(|_| text.starts_with(b"#!")).unwrap_or(0);
        text.get(end..).unwrap_or_default()
    }
    rest(a) == rest(b)
}
