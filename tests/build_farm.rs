//! Runs `farm.sh`: a remote builder over ssh and a signed binary cache on 127.0.0.1, where sshd is installed and the user
//! is root.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects and why it is skipped")]

use std::path::Path;
use std::process::Command;

#[test]
fn a_remote_builder_and_a_signed_cache() {
    // It takes the Nix on PATH; the versions are compared by nix-versions.sh.
    if std::env::var_os("OVERLAYCTL_TEST_STORE").is_some() {
        return eprintln!("skipped: the builder would have to reach the other store");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/farm.sh");
    let output = Command::new("bash").arg(script).arg(env!("CARGO_BIN_EXE_overlayctl")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(77) {
        return eprintln!("{}", said.trim());
    }
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
