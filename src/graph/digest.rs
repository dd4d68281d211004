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

    /// Returns the digest of the text that was scanned last.
    pub(super) fn digest(&mut self, text: &[u8], scanner: &Scanner) -> u128 {
        self.masked.clear();
        for output in &scanner.outputs {
            for field in [output.name, output.hash_algo, output.hash] {
                self.masked.extend_from_slice(field.of(text));
                self.masked.push(0);
            }
        }
        self.masked.extend_from_slice(scanner.sources.of(text));
        let packages = self.mask(scanner.own.of(text));
        XxHash3_128::oneshot(&self.masked).wrapping_add(u128::from(packages))
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
            rest = match name_of(path) {
                Some((name, after)) => {
                    self.masked.push(0);
                    packages = packages.wrapping_add(of_package(split_version(name).0.as_bytes()));
                    after
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

/// Returns a short name's hash (FNV-1a, with a last step that spreads it).
fn of_package(name: &[u8]) -> u64 {
    let hash = name
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Splits `HASH-NAME...` into the name and what follows.
fn name_of(path: &[u8]) -> Option<(&str, &[u8])> {
    let (hash, rest) = path.split_at_checked(32)?;
    let rest = rest.strip_prefix(b"-")?;
    if !hash.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z')) {
        return None;
    }
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_' | b'?' | b'=');
    let length = rest.iter().position(|byte| !is_name(byte)).unwrap_or(rest.len());
    let (name, after) = rest.split_at(length);
    Some((std::str::from_utf8(name).ok()?, after))
}

/// Returns what a fixed-output input adds to the digest of those that need it; the sum does not depend on the order.
pub(super) fn of_download(output_path: &str) -> u128 {
    XxHash3_128::oneshot(output_path.as_bytes())
}
