//! The digest of a derivation's own part: what it is apart from its inputs.
//!
//! Two derivations with the same digest differ, if at all, in what their inputs are made of; with different digests one
//! of them was itself changed. In the text of a `.drv` file every store path stands for something made elsewhere, so
//! hash and version of each are left out and its package name is kept. Two things are the derivation's own although they
//! are store paths: its input sources (files of the package set, patches), and the outputs of its fixed-output inputs
//! (downloads); the graph adds the latter, because it takes the other derivation to know them. Must not read files.

use std::collections::HashSet;

use memchr::memmem;
use twox_hash::XxHash3_128;

use super::names::split_version;
use crate::base::store_path::HASH_LEN;
use crate::drv::Scanner;

/// Computes digests of many derivations of one store directory, one after the other.
pub(super) struct Digester {
    prefix: memmem::Finder<'static>,
    masked: Vec<u8>,
}

impl Digester {
    pub(super) fn new(store_dir: &str) -> Digester {
        Digester {
            prefix: memmem::Finder::new(&format!("{store_dir}/")).into_owned(),
            masked: Vec::with_capacity(1 << 16),
        }
    }

    /// Returns the digest of the text that was scanned last, and that of its shape: of the text without its store paths,
    /// which is the same for the stages of one package on one platform and another where they were configured otherwise.
    pub(super) fn digest(&mut self, text: &[u8], scanner: &Scanner) -> (u128, u32) {
        self.masked.clear();
        for output in &scanner.outputs {
            for field in [output.name, output.hash_algo, output.hash] {
                self.masked.extend_from_slice(field.of(text));
                self.masked.push(0);
            }
        }
        self.masked.extend_from_slice(scanner.sources.of(text));
        let packages = self.mask(scanner.own.of(text));
        let shape = XxHash3_128::oneshot(&self.masked);
        (shape.wrapping_add(u128::from(packages)), shape as u32)
    }

    /// Returns a text with each store path but those of `own` reduced to the package in its name.
    pub(super) fn masked(&self, text: &str, own: &HashSet<String>) -> String {
        let mut masked = String::with_capacity(text.len());
        let prefix = self.prefix.needle();
        let mut rest = text;
        while let Some(at) = self.prefix.find(rest.as_bytes()) {
            let (before, from) = rest.split_at(at);
            masked.push_str(before);
            let (root, path) = from.split_at(prefix.len());
            masked.push_str(root);
            rest = path;
            if let Some((name, after)) = name_of(path.as_bytes()) {
                let length = path.len() - after.len();
                let whole = from.get(..prefix.len() + length).unwrap_or(from);
                if !own.contains(whole) {
                    masked.push_str(split_version(name).0);
                    rest = path.get(length..).unwrap_or_default();
                }
            }
        }
        masked.push_str(rest);
        masked
    }

    /// Copies a text without its store paths, and returns the sum over the packages in their names: some lists of store
    /// paths are sorted by hash (texlive), and their order is not the derivation's own.
    fn mask(&mut self, text: &[u8]) -> u64 {
        let mut packages = 0u64;
        let mut rest = text;
        while let Some(at) = self.prefix.find(rest) {
            let (before, from) = rest.split_at(at);
            self.masked.extend_from_slice(before);
            let path = from.get(self.prefix.needle().len()..).unwrap_or_default();
            rest = match package_of(path) {
                Some((package, length)) => {
                    self.masked.push(0);
                    packages = packages.wrapping_add(package);
                    path.get(length..).unwrap_or_default()
                }
                None => {
                    self.masked.extend_from_slice(self.prefix.needle());
                    path
                }
            };
        }
        self.masked.extend_from_slice(rest);
        packages
    }
}

/// The length of `HASH-`.
const BEFORE_NAME: usize = HASH_LEN + 1;

/// Says whether the text starts as a store path does below its directory: `HASH-`.
fn starts_with_hash(path: &[u8]) -> bool {
    let Some((hash, rest)) = path.split_first_chunk::<HASH_LEN>() else { return false };
    // All bytes, without a branch for each.
    let is_digit = |byte: &u8| byte.is_ascii_digit() | byte.is_ascii_lowercase();
    hash.iter().fold(true, |ok, byte| ok & is_digit(byte)) && rest.first() == Some(&b'-')
}

/// Which bytes are in names of store paths.
const NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let c = byte as u8;
        table[byte] = c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.' | b'_' | b'?' | b'=');
        byte += 1;
    }
    table
};

/// Returns the length of the name that a text starts with.
fn name_length(text: &[u8]) -> usize {
    text.iter().position(|byte| !NAME[usize::from(*byte)]).unwrap_or(text.len())
}

/// Of `HASH-NAME...`: the hash of the package in the name (FNV-1a, with a last step that spreads it), and the length of
/// `HASH-NAME`. The package is the name up to where the version starts, as [`split_version`] has it.
#[inline]
fn package_of(path: &[u8]) -> Option<(u64, usize)> {
    if !starts_with_hash(path) {
        return None;
    }
    let name = path.get(BEFORE_NAME..)?;
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut at = 0;
    while let Some(&byte) = name.get(at)
        && NAME[usize::from(byte)]
    {
        if byte == b'-' && name.get(at + 1).is_some_and(|next| NAME[usize::from(*next)] && !next.is_ascii_alphabetic())
        {
            break;
        }
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    let length = at + name_length(name.get(at..)?);
    Some(((hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15), BEFORE_NAME + length))
}

/// Splits `HASH-NAME...` into the name and what follows.
fn name_of(path: &[u8]) -> Option<(&str, &[u8])> {
    if !starts_with_hash(path) {
        return None;
    }
    let rest = path.get(BEFORE_NAME..)?;
    let (name, after) = rest.split_at(name_length(rest));
    Some((std::str::from_utf8(name).ok()?, after))
}

/// Returns what a fixed-output input adds to the digest of those that need it; the sum does not depend on the order.
pub(super) fn of_download(output_path: &[u8]) -> u128 {
    XxHash3_128::oneshot(output_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_as_in_names() {
        let hash = "0gbfxchai3yvrf514a7pjcjxrw1qx9z0";
        let package = |text: &str| package_of(format!("{hash}-{text}").as_bytes());
        for (name, same, length) in [
            ("musl-1.1.22/lib", "musl", 11),
            ("linux-headers-4.19\"", "linux-headers", 18),
            ("stdenv-linux", "stdenv-linux", 12),
            ("a-\"", "a-", 2),
            ("a-", "a-", 2),
            ("-1", "", 2),
        ] {
            let (found, end) = package(name).unwrap();
            assert_eq!((found, end), (package(same).unwrap().0, BEFORE_NAME + length), "{name}");
            assert_eq!(split_version(&name[..length]).0, same, "{name}");
            assert_eq!(name_of(format!("{hash}-{name}").as_bytes()).unwrap().0, &name[..length]);
        }
        assert!(package_of(b"0gbfxchai3yvrf514a7pjcjxrw1qx9z-0").is_none());
        assert!(package_of(hash.as_bytes()).is_none());
    }
}
