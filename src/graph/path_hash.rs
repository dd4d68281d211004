//! A quick hash for tables of store paths.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps and sets whose keys are store paths.
pub(super) type PathHash = BuildHasherDefault<PathHasher>;

/// Hashes store paths, which are hashes already: words are folded, no more.
#[derive(Debug, Default, Clone)]
pub(super) struct PathHasher(u64);

impl Hasher for PathHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut fold = |word: u64| {
            self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        };
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            fold(u64::from_le_bytes(*word));
        }
        let mut last = [0u8; 8];
        for (byte, from) in last.iter_mut().zip(rest) {
            *byte = *from;
        }
        fold(u64::from_le_bytes(last));
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }
}
