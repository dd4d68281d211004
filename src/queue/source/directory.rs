//! Directories into trees: sources that are no archive, checkouts among them.
//!
//! Links are not followed. Must not write anything.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::patch::{EXECUTABLE, REGULAR};
use crate::queue::Error;
use crate::queue::source::{Gathered, Limits};

/// Gathers a directory below `top`; `.git` is left out.
pub(crate) fn gather(dir: &Path, top: &str, limits: &Limits, into: &mut Gathered) -> Result<(), Error> {
    let mut todo = vec![(dir.to_path_buf(), top.as_bytes().to_vec())];
    if !top.is_empty() {
        into.directory(top.as_bytes(), dir)?;
    }
    let mut entries = 0;
    while let Some((here, name)) = todo.pop() {
        let fail = |e: io::Error| Error::Unpack { path: here.clone(), why: e.to_string() };
        for entry in fs::read_dir(&here).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            entries += 1;
            if entries > limits.entries {
                return Err(limits.too_many_entries(dir));
            }
            let file_name = entry.file_name();
            if file_name == ".git" {
                continue;
            }
            let mut at = name.clone();
            if !at.is_empty() {
                at.push(b'/');
            }
            at.extend_from_slice(file_name.as_bytes());
            let path = entry.path();
            let kind = entry.file_type().map_err(fail)?;
            if kind.is_dir() {
                into.directory(&at, dir)?;
                todo.push((path, at));
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).map_err(fail)?;
                into.link(&at, target.as_os_str().as_bytes(), dir)?;
            } else if kind.is_file() {
                let meta = entry.metadata().map_err(fail)?;
                if into.bytes.saturating_add(meta.len()) > limits.bytes {
                    return Err(limits.too_many_bytes(dir));
                }
                let mode = if meta.permissions().mode() & 0o100 != 0 { EXECUTABLE } else { REGULAR };
                into.file(&at, fs::read(&path).map_err(fail)?, mode, dir, limits)?;
            } else {
                into.skip(&at, "it is a device or a pipe");
            }
        }
    }
    Ok(())
}
