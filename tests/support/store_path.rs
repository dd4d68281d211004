//! Store paths of made-up derivations.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A store path whose hash depends on what is given, as Nix' does.
pub fn path(parts: impl Hash, name: &str) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let mut hash = String::new();
    for round in 0..4u8 {
        let mut hasher = DefaultHasher::new();
        (round, &parts, name).hash(&mut hasher);
        let value = hasher.finish();
        hash.extend((0..8).map(|index| DIGITS[(value >> (5 * index)) as usize & 31] as char));
    }
    format!("/nix/store/{hash}-{name}")
}
