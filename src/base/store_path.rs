//! Store paths: `/nix/store/<32 characters>-<name>`.
//!
//! The format is that of the Nix manual, "Store Path": 32 characters of Nix' base 32, a dash, a name of at most
//! 211 characters out of `[0-9a-zA-Z+._?=-]`. Must not look at any store.

use sha2::{Digest as _, Sha256};

/// The store directory that every nixpkgs uses unless told otherwise.
pub const STORE_DIR: &str = "/nix/store";

/// The length of the hash in a store path.
pub const HASH_LEN: usize = 32;
const MAX_NAME: usize = 211;

/// Splits a store path of `store_dir` into hash and name; `None` for anything else, also for a path below one.
pub fn split_in<'a>(store_dir: &str, path: &'a str) -> Option<(&'a str, &'a str)> {
    let base = path.strip_prefix(store_dir)?.strip_prefix('/')?;
    let hash = base.get(..HASH_LEN)?;
    let name = base.get(HASH_LEN..)?.strip_prefix('-')?;
    let hash_ok =
        hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'd' | b'f'..=b'n' | b'p'..=b's' | b'v'..=b'z'));
    (hash_ok && is_valid_name(name)).then_some((hash, name))
}

/// Splits a store path of the usual store directory into hash and name.
pub fn split(path: &str) -> Option<(&str, &str)> {
    split_in(STORE_DIR, path)
}

/// Returns the name of a store path, or the whole text when it is none.
pub fn name(path: &str) -> &str {
    split(path).map_or(path, |(_, name)| name)
}

/// Returns the name of a `.drv` path without `.drv`, or the whole text when it is none.
pub fn drv_name(path: &str) -> &str {
    let name = name(path);
    name.strip_suffix(".drv").unwrap_or(name)
}

/// Returns the path that a file tree has in the usual store, by the SHA-256 of its archive; as the Nix manual says of content-addressed
/// paths ("Store Path").
pub fn of_tree(name: &str, nar_sha256: &[u8]) -> String {
    let hash = data_encoding::HEXLOWER.encode(nar_sha256);
    let whole = Sha256::digest(format!("source:sha256:{hash}:{STORE_DIR}:{name}"));
    let mut folded = [0u8; 20];
    for (at, byte) in whole.iter().enumerate() {
        folded[at % 20] ^= byte;
    }
    let text = base32(&folded);
    format!("{STORE_DIR}/{text}-{name}")
}

/// Writes bytes in Nix' base 32, which goes from the last bits to the first.
pub fn base32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let byte = |at: usize| u16::from(bytes.get(at).copied().unwrap_or(0));
    let bits = |at: usize| byte(at / 8) | byte(at / 8 + 1) << 8;
    let digit = |n: usize| char::from(DIGITS[usize::from(bits(n * 5) >> (n * 5 % 8) & 31)]);
    (0..(bytes.len() * 8).div_ceil(5)).rev().map(digit).collect()
}

/// Says whether `name` may be the name of a store object.
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_' | b'?' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_where_nix_puts_it() {
        let hash = data_encoding::BASE64.decode(b"3rzIsULMGdJtut8QRWGp1Ao+YOGmc+hYb2ED5dUFmas=").unwrap();
        assert_eq!(of_tree("source", &hash), "/nix/store/2bkp6p4g9gi8qw6hl4fzvz4l54x8n5pv-source");
    }

    #[test]
    fn splits_and_refuses() {
        let path = "/nix/store/971qyph05ykg6i7akswlz0pq4dzl26r5-ripgrep-11.0.1.drv";
        assert_eq!(split(path), Some(("971qyph05ykg6i7akswlz0pq4dzl26r5", "ripgrep-11.0.1.drv")));
        assert_eq!(drv_name(path), "ripgrep-11.0.1");
        for bad in [
            "/nix/store/971qyph05ykg6i7akswlz0pq4dzl26r5-",
            "/nix/store/971qyph05ykg6i7akswlz0pq4dzl26r-ripgrep",
            "/nix/store/971qyph05ykg6i7akswlz0pq4dzl26e5-ripgrep",
            "/nix/store/971qyph05ykg6i7akswlz0pq4dzl26r5-a/bin",
            "/other/971qyph05ykg6i7akswlz0pq4dzl26r5-a",
            "/nix/store/ääääääääääääääää-x",
        ] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }
}
