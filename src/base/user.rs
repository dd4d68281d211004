//! What is the user's own and no workspace can bring: the directory of overlayctl's state, and a secret in it.
//!
//! The secret marks what this user's runs left on this machine, so that a file of that name in a clone is told from it. Must not
//! know what is marked.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::fs;

/// Returns the directory of the user's state, `overlayctl` in XDG_STATE_HOME or `~/.local/state`; `None` where neither is an
/// absolute path.
pub fn state_dir() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("overlayctl"))
}

/// Returns the SHA-256 of some bytes in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Returns a text that stands for one directory on this machine: its path, its file system and inode, the machine.
///
/// # Errors
/// That the directory cannot be looked at.
pub fn place_of(dir: &Path) -> std::io::Result<String> {
    let real = dir.canonicalize()?;
    let there = real.metadata()?;
    let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
    let mut text = OsString::from(real).into_encoded_bytes();
    text.extend(format!("\0{}\0{}\0", there.dev(), there.ino()).bytes());
    text.extend(machine);
    Ok(digest(&text))
}

/// Returns a mark on `message` that nobody without the user's secret can make; `None` where no secret can be kept.
pub fn mark(message: &[u8]) -> Option<String> {
    Some(HEXLOWER.encode(&hmac(&secret()?, message)))
}

/// HMAC (RFC 2104) with SHA-256 and a key of 32 bytes.
fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let padded = |with: u8| -> [u8; 64] { std::array::from_fn(|i| key.get(i).copied().unwrap_or(0) ^ with) };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

/// Tests leave nothing in the home of who runs them.
#[cfg(test)]
fn secret() -> Option<[u8; 32]> {
    Some([7; 32])
}

/// Returns the user's secret, made the first time.
#[cfg(not(test))]
fn secret() -> Option<[u8; 32]> {
    let path = state_dir()?.join("secret");
    read_secret(&path).or_else(|| {
        let mut fresh = [0; 32];
        std::fs::File::open("/dev/urandom").ok()?.read_exact(&mut fresh).ok()?;
        fs::write_private(&path, &fresh).ok()?;
        // Of two runs that make one at once the first counts, for both.
        read_secret(&path)
    })
}

/// Reads a secret that is the user's own and that nobody else may read.
#[cfg_attr(test, allow(dead_code, reason = "the program's own way to the secret"))]
fn read_secret(path: &Path) -> Option<[u8; 32]> {
    let file = fs::open_regular(path, false).ok()?;
    let there = file.metadata().ok()?;
    let user = rustix::process::geteuid().as_raw();
    let is_ours = there.uid() == user || user == 0;
    let mut bytes = Vec::new();
    file.take(33).read_to_end(&mut bytes).ok()?;
    bytes.try_into().ok().filter(|_| is_ours && there.mode() & 0o077 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_hmac_sha_256() {
        // What `openssl dgst -sha256 -mac HMAC -macopt hexkey:0b...0b` (32 bytes) says of "Hi There".
        let mark = HEXLOWER.encode(&hmac(&[0x0b; 32], b"Hi There"));
        assert_eq!(mark, OPENSSL);
    }

    const OPENSSL: &str = "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7";

    #[test]
    fn a_secret_that_others_may_read_is_none() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/secret");
        fs::write_private(&path, &[1; 32]).unwrap();
        assert_eq!(read_secret(&path), Some([1; 32]));
        fs::write_private(&path, &[2; 32]).unwrap_err();
        assert_eq!(read_secret(&path), Some([1; 32]), "the first counts");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read_secret(&path), None);
    }

    #[test]
    fn a_directory_made_anew_is_another_place() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("w");
        std::fs::create_dir(&at).unwrap();
        let before = place_of(&at).unwrap();
        assert_eq!(place_of(&at.join(".")).unwrap(), before);
        std::fs::rename(&at, dir.path().join("moved")).unwrap();
        std::fs::create_dir(&at).unwrap();
        assert_ne!(place_of(&at).unwrap(), before);
    }
}
