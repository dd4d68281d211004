//! The files of store paths, as their programs would see them.

use std::fs::Metadata;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::nix::Nix;

/// A regular file below a store path.
#[derive(Debug, Clone)]
pub(crate) struct StoreFile {
    /// Its path as programs name it.
    pub path: String,
    /// Where it is on this machine.
    pub real: PathBuf,
    /// Whether it may be executed.
    pub executable: bool,
    pub head: Vec<u8>,
}

/// How much of a file is read to tell what it is.
const HEAD: u64 = 1024;

impl StoreFile {
    /// Says whether it begins as an ELF file does.
    pub(crate) fn is_elf(&self) -> bool {
        self.head.starts_with(b"\x7fELF")
    }

    /// Says whether it lies where programs lie: `bin`, `sbin`, `libexec` of its store path.
    pub(crate) fn in_bin(&self) -> bool {
        let below = self.path.split('/').nth(4).unwrap_or_default();
        matches!(below, "bin" | "sbin" | "libexec")
    }

    /// Says whether it is of a kernel or a boot loader by where it lies: a module, or beside the directories of programs.
    pub(crate) fn is_freestanding(&self) -> bool {
        !self.in_bin_or_lib() || self.path.split('/').skip(4).take(2).eq(["lib", "modules"])
    }

    /// Says whether it lies in the tree that a kernel keeps for building modules.
    pub(crate) fn in_kernel_tree(&self) -> bool {
        let mut below = self.path.split('/').skip(4);
        below.next() == Some("lib")
            && below.next() == Some("modules")
            && matches!(below.nth(1), Some("build" | "source"))
    }

    /// Says whether it lies where programs and libraries lie.
    pub(crate) fn in_bin_or_lib(&self) -> bool {
        let below = self.path.split('/').nth(4).unwrap_or_default();
        self.in_bin() || matches!(below, "lib" | "lib32" | "lib64")
    }
}

/// Returns what is below a path and no directory, itself when it is none, by its path from there; links are not followed.
pub(crate) fn walk(top: &Path) -> Vec<(PathBuf, Metadata)> {
    let mut found = Vec::new();
    let mut todo = vec![top.to_path_buf()];
    while let Some(at) = todo.pop() {
        let Ok(metadata) = at.symlink_metadata() else { continue };
        if metadata.is_dir() {
            todo.extend(std::fs::read_dir(&at).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if let Ok(below) = at.strip_prefix(top) {
            found.push((below.to_path_buf(), metadata));
        }
    }
    found
}

/// Says whether anyone may execute a file.
pub(crate) fn is_executable(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o111 != 0
}

/// Returns the regular files below a store path, sorted; symbolic links are not followed.
pub(crate) fn below(nix: &Nix, store_path: &str) -> Vec<StoreFile> {
    let Some(real) = nix.physical(store_path) else { return Vec::new() };
    let mut found = Vec::new();
    for (below, metadata) in walk(&real).into_iter().filter(|(_, metadata)| metadata.is_file()) {
        // For a store path that is itself a file there is nothing to join.
        let alone = below.as_os_str().is_empty();
        let join = |top: &Path| if alone { top.to_path_buf() } else { top.join(&below) };
        let at = join(&real);
        found.push(StoreFile {
            path: join(Path::new(store_path)).to_string_lossy().into_owned(),
            executable: is_executable(&metadata),
            head: head(&at),
            real: at,
        });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn head(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        // What cannot be read is told by what is there: nothing.
        let _ = file.take(HEAD).read_to_end(&mut bytes);
    }
    bytes
}
