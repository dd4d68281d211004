//! The two loaders of Linux: where they look.

use serde::Serialize;

use super::{Error, Files};
use crate::base::store_path;
use crate::cross::elf::{Class, Elf};

/// Whose rules a program's libraries are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Loader {
    /// glibc's `ld-linux*.so`: RPATH of the file and of all that loaded it, unless the file has a RUNPATH; the
    /// file's own RUNPATH; the default directories. A file for another machine is passed over.
    Glibc,
    /// musl's `ld-musl-*.so`: RPATH or RUNPATH of the file and of all that loaded it; the directories of
    /// `etc/ld-musl-ARCH.path` or `/lib:/usr/local/lib:/usr/lib`. `libc`, `libm`, `libpthread` and so on are the
    /// loader itself.
    Musl,
}

/// The libraries that musl's loader holds in itself (`reserved` in dynlink.c).
const IN_MUSL: &[&str] = &["c", "pthread", "rt", "m", "dl", "util", "xnet"];

/// Says whether a needed name means musl itself: `libc.so`, `libm.so.6`, `libc.musl-x86_64.so.1`.
pub(super) fn is_musl_itself(name: &str) -> bool {
    let stem = name.strip_prefix("lib").and_then(|rest| rest.split_once('.'));
    stem.is_some_and(|(stem, _)| IN_MUSL.contains(&stem))
}

const MUSL_DEFAULT: &str = "/lib:/usr/local/lib:/usr/lib";

impl Loader {
    /// Tells by the interpreter or, in a library, by the C library that it needs.
    pub fn of(elf: &Elf) -> Loader {
        let musl = match &elf.interpreter {
            Some(path) => path.rsplit('/').next().is_some_and(|name| name.starts_with("ld-musl")),
            None => elf.needed.iter().any(|n| n == "libc.so" || n.starts_with("libc.musl")),
        };
        if musl { Loader::Musl } else { Loader::Glibc }
    }

    /// Returns the directories that the loader searches last.
    ///
    /// In a store, glibc knows its own `lib` only; elsewhere it knows the system's directories, of which those for
    /// this processor are listed. `interpreter` is `None` for a library by itself, which says nothing of its loader.
    pub(super) fn default_dirs(
        self,
        files: &dyn Files,
        elf: &Elf,
        interpreter: Option<&str>,
    ) -> Result<Vec<String>, Error> {
        let own = interpreter.and_then(|path| path.rsplit_once('/')).map(|(dir, _)| dir.to_string());
        match self {
            Loader::Glibc => {
                let in_store = own.as_deref().is_some_and(in_store);
                let mut dirs: Vec<String> = own.into_iter().collect();
                if !in_store && interpreter.is_some() {
                    dirs.extend(system_dirs(elf));
                }
                Ok(dirs)
            }
            Loader::Musl => {
                let Some(interpreter) = interpreter else { return Ok(Vec::new()) };
                // The prefix is the interpreter's path without its last two parts, and the processor is in its name.
                let prefix = own.as_deref().and_then(|dir| dir.rsplit_once('/')).map_or("", |(prefix, _)| prefix);
                let arch =
                    interpreter.rsplit_once("ld-musl-").map_or("", |(_, rest)| rest.split(".so").next().unwrap_or(""));
                let list = files.read(&format!("{prefix}/etc/ld-musl-{arch}.path"))?;
                let list = list.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                let list = list.unwrap_or_else(|| MUSL_DEFAULT.to_string());
                Ok(list.split([':', '\n']).filter(|dir| !dir.is_empty()).map(str::to_string).collect())
            }
        }
    }

    /// Splits a search path and puts the directory of `file` for `$ORIGIN`.
    ///
    /// glibc also knows `$LIB` (both `lib` and `lib64` are tried) and `$PLATFORM`; musl ignores a search path with
    /// anything but `$ORIGIN` in it. A relative directory is left out: it would be one of wherever the program is
    /// started.
    pub(super) fn expand(self, list: &str, file: &str, elf: &Elf) -> Vec<String> {
        let origin = file.rsplit_once('/').map_or("", |(dir, _)| if dir.is_empty() { "/" } else { dir });
        let mut dirs = Vec::new();
        for entry in list.split([':', '\n']).filter(|e| !e.is_empty()) {
            let entry = entry.replace("${ORIGIN}", origin).replace("$ORIGIN", origin);
            if self == Loader::Glibc {
                let platform = elf.machine.cpu.unwrap_or("");
                let entry = entry.replace("${PLATFORM}", platform).replace("$PLATFORM", platform);
                if entry.contains("$LIB") || entry.contains("${LIB}") {
                    let with = |lib: &str| entry.replace("${LIB}", lib).replace("$LIB", lib);
                    dirs.extend([with("lib64"), with("lib")]);
                } else {
                    dirs.push(entry);
                }
            } else if entry.contains('$') {
                return Vec::new();
            } else {
                dirs.push(entry);
            }
        }
        dirs.retain(|dir| dir.starts_with('/'));
        dirs
    }
}

/// Says whether a directory is below a store path, of whatever store.
fn in_store(dir: &str) -> bool {
    let mut parts = dir.match_indices('/').map(|(at, _)| at).chain([dir.len()]);
    parts.any(|end| {
        let Some((store, _)) = dir.get(..end).and_then(|path| path.rsplit_once('/')) else { return false };
        dir.get(..end).is_some_and(|path| store_path::split_in(store, path).is_some())
    })
}

/// The directories of glibc on a system that is not made of store paths, with Debian's for this processor.
fn system_dirs(elf: &Elf) -> Vec<String> {
    let multiarch = match elf.machine.cpu {
        Some("i686") => Some("i386-linux-gnu"),
        Some("x86_64") if elf.class == Class::Elf32 => Some("x86_64-linux-gnux32"),
        Some("x86_64") => Some("x86_64-linux-gnu"),
        Some("arm") if elf.float_abi == Some(crate::cross::elf::FloatAbi::Soft) => Some("arm-linux-gnueabi"),
        Some("arm") => Some("arm-linux-gnueabihf"),
        Some("aarch64") => Some("aarch64-linux-gnu"),
        Some("riscv64") => Some("riscv64-linux-gnu"),
        Some("powerpc64le") => Some("powerpc64le-linux-gnu"),
        Some("s390x") => Some("s390x-linux-gnu"),
        Some("mips64el") => Some("mips64el-linux-gnuabi64"),
        Some("mipsel") => Some("mipsel-linux-gnu"),
        Some("loongarch64") => Some("loongarch64-linux-gnu"),
        _ => None,
    };
    let mut dirs = Vec::new();
    if let Some(triple) = multiarch {
        dirs.extend([format!("/lib/{triple}"), format!("/usr/lib/{triple}")]);
    }
    if elf.class == Class::Elf64 {
        dirs.extend(["/lib64".to_string(), "/usr/lib64".to_string()]);
    }
    dirs.extend(["/lib".to_string(), "/usr/lib".to_string()]);
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn musl_holds_the_small_libraries_itself() {
        for name in ["libc.so", "libc.so.6", "libm.so.6", "libpthread.so.0", "libc.musl-x86_64.so.1", "libdl.so.2"] {
            assert!(is_musl_itself(name), "{name}");
        }
        for name in ["libcrypt.so.1", "libmagic.so", "libz.so.1", "c.so", "libc"] {
            assert!(!is_musl_itself(name), "{name}");
        }
    }

    #[test]
    fn store_directories_are_known_wherever_the_store_is() {
        let path = "971qyph05ykg6i7akswlz0pq4dzl26r5-glibc-2.40";
        assert!(in_store(&format!("/nix/store/{path}/lib")));
        assert!(in_store(&format!("/data/nix/store/{path}")));
        assert!(!in_store("/lib64") && !in_store("/lib") && !in_store(""));
    }
}
