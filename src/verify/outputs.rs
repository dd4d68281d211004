//! Two builds of a package compared, output by output and file by file.
//!
//! Paths of the store and build ids, which differ with every change of a derivation, do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use memchr::memmem;

use super::files;
use crate::base::{fs, store_path};
use crate::cross::Elf;
use crate::cross::elf::essence;
use crate::nix::Nix;
use crate::patch::is_binary;
use crate::queue::{self, source::Opened};

/// A file of a package that is not the same without the patches; a side is `None` where it is not there.
#[derive(Debug, Clone)]
pub(super) struct Difference {
    /// Its path below the output, with the output in front when that is not `out`.
    pub(super) file: String,
    pub(super) old: Option<PathBuf>,
    pub(super) new: Option<PathBuf>,
}

pub(super) type Outputs = [(String, String)];

/// A file of an output.
struct Entry {
    real: PathBuf,
    link: Option<PathBuf>,
    executable: bool,
}

/// Returns the files that are not the same, and how many were compared.
///
/// `others` are paths of two inputs that differ as well.
pub(super) fn differences(
    nix: &Nix,
    old: &Outputs,
    new: &Outputs,
    others: &[(String, String)],
) -> (Vec<Difference>, usize) {
    let own = old.iter().filter_map(|(name, path)| Some((path, &new.iter().find(|(n, _)| n == name)?.1)));
    let hashes: Vec<(&str, &str)> = own
        .chain(others.iter().map(|(old, new)| (old, new)))
        .filter_map(|(old, new)| Some((hash_part(old)?, hash_part(new)?)))
        .collect();
    let kept = |outputs: &Outputs, others: &Outputs| {
        let both = |name: &str| others.iter().any(|(other, _)| other == name);
        outputs.iter().filter(|(name, _)| both(name)).flat_map(|(name, path)| entries(nix, name, path)).collect()
    };
    let (old, new): (BTreeMap<String, Entry>, BTreeMap<String, Entry>) = (kept(old, new), kept(new, old));
    let files: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let compared = files.len();
    let mut found = Vec::new();
    for file in files {
        let sides = (old.get(file), new.get(file));
        let equal = match sides {
            (Some(a), Some(b)) => a.executable == b.executable && same(a, b, &hashes),
            _ => false,
        };
        if !equal {
            let real = |side: Option<&Entry>| side.filter(|e| e.link.is_none()).map(|e| e.real.clone());
            found.push(Difference { file: file.clone(), old: real(sides.0), new: real(sides.1) });
        }
    }
    (found, compared)
}

/// Says whether a file differs in more than what is another one in every build of the same; `None` where that cannot be told.
pub(super) fn beyond(difference: &Difference, noise: &Difference) -> Option<bool> {
    let read = |path: &Option<PathBuf>| path.as_deref().and_then(|path| fs::read(path).ok());
    let (Some(old), Some(new), Some(again)) = (read(&difference.old), read(&difference.new), read(&noise.new)) else {
        return Some(false);
    };
    let is_text = !is_binary(&new);
    let plain = |bytes| neutral(opened(bytes, MAX_OPENED), &[]);
    let (old, new, again) = (plain(old), plain(new), plain(again));
    if old.len() != again.len() {
        return is_text.then_some(false);
    }
    if old.len() != new.len() {
        return Some(!is_text);
    }
    // Bytes of a time can be the same twice by chance: what is near to one that is not does not count.
    let mut until = 0;
    let mut blurred = vec![false; old.len()];
    for at in (0..old.len()).filter(|at| old.get(*at) != again.get(*at)) {
        let near = at.saturating_sub(NEAR).max(until)..(at + NEAR).min(old.len());
        until = near.end;
        blurred.get_mut(near).into_iter().for_each(|near| near.fill(true));
    }
    let sides = old.iter().zip(&new).zip(&blurred);
    let more = sides.into_iter().any(|((old, new), blurred)| !blurred && old != new);
    Some(more && !is_text)
}

/// How near to one byte that is another one in every build others can be so as well.
const NEAR: usize = 16;

pub(super) fn hash_part(path: &str) -> Option<&str> {
    store_path::split(path).map(|(hash, _)| hash)
}

fn entries(nix: &Nix, output: &str, path: &str) -> Vec<(String, Entry)> {
    let Some(real) = nix.physical(path) else { return Vec::new() };
    let mut found = Vec::new();
    for (below, metadata) in files::walk(&real) {
        let at = real.join(&below);
        let link = metadata.is_symlink().then(|| std::fs::read_link(&at).ok()).flatten();
        if link.is_none() && !metadata.is_file() {
            continue;
        }
        let below = below.to_string_lossy();
        let name = if output == "out" { below.into_owned() } else { format!("{output}:{below}") };
        found.push((name, Entry { real: at, link, executable: files::is_executable(&metadata) }));
    }
    found
}

fn same(old: &Entry, new: &Entry, hashes: &[(&str, &str)]) -> bool {
    match (&old.link, &new.link) {
        (None, None) => {}
        (Some(a), Some(b)) => {
            let text = |path: &Path| neutral(path.to_string_lossy().as_bytes().to_vec(), hashes);
            return text(a) == text(b);
        }
        _ => return false,
    }
    let (Ok(a), Ok(b)) = (fs::read(&old.real), fs::read(&new.real)) else { return false };
    let plain = |bytes| neutral(opened(bytes, MAX_OPENED), hashes);
    a == b || plain(a) == plain(b)
}

/// The largest file that is decompressed to be compared.
const MAX_OPENED: u64 = 256 << 20;

/// Decompresses a file: a manual page can name paths of the store. What is not one file, or not to be had whole, stays as it is.
fn opened(bytes: Vec<u8>, most: u64) -> Vec<u8> {
    match queue::source::opened(&bytes, most) {
        Some(Opened { files, more: false }) => <[Vec<u8>; 1]>::try_from(files).map_or(bytes, |[file]| file),
        _ => bytes,
    }
}

/// Takes out what differs with every change of a derivation: hashes of its outputs, and the build id that is made of them.
fn neutral(mut bytes: Vec<u8>, hashes: &[(&str, &str)]) -> Vec<u8> {
    let build_id = Elf::read(&bytes).ok().flatten().and_then(|elf| elf.build_id);
    let build_id = build_id.and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
    let sides = hashes.iter().flat_map(|(old, new)| [old.as_bytes(), new.as_bytes()]);
    let ids = build_id.iter().map(Vec::as_slice).filter(|id| id.len() >= 8);
    let patterns: Vec<&[u8]> = sides.chain(ids).collect();
    // Lines of the source move with every line that is added: what a debugger reads is nothing that runs.
    if let Some(essence) = essence(&bytes) {
        bytes = essence;
    }
    for pattern in patterns {
        let places: Vec<usize> = memmem::find_iter(&bytes, pattern).collect();
        for at in places {
            if let Some(place) = bytes.get_mut(at..at + pattern.len()) {
                place.fill(b'e');
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_build_ids_do_not_count() {
        let old = "11111111111111111111111111111111";
        let new = "22222222222222222222222222222222";
        let text = |hash: &str| format!("x /nix/store/{hash}-a/lib y").into_bytes();
        assert_eq!(neutral(text(old), &[(old, new)]), neutral(text(new), &[(old, new)]));
        assert_ne!(neutral(b"a".to_vec(), &[(old, new)]), neutral(b"b".to_vec(), &[(old, new)]));
    }

    #[test]
    fn what_is_not_unpacked_whole_is_compared_as_it_is() {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"a page of the manual").unwrap();
        let page = encoder.finish().unwrap();
        assert_eq!(opened(page.clone(), 20), b"a page of the manual");
        assert_eq!(opened(page.clone(), 19), page);
        let more = [page.as_slice(), b"and more"].concat();
        assert_eq!(opened(more.clone(), 100), more);
        assert_eq!(opened(page[..page.len() - 1].to_vec(), 100), page[..page.len() - 1]);
    }
}
