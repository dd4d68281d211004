//! The two loaders of Linux: where they look.

use serde::Serialize;

use super::Files;
use crate::base::store_path;
use crate::cross::elf::{Class, Elf, FloatAbi};

/// Whose rules a program's libraries are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Loader {
    /// glibc's `ld-linux*.so`: RPATH of the file and of all that loaded it, unless the file has a RUNPATH; the
    /// file's own RUNPATH; the system's cache; the default directories. A file for another machine is passed over.
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

    /// Splits a search path and puts the directory of `file` for `$ORIGIN`.
    ///
    /// glibc also knows `$LIB` (all that it may be built with are tried) and `$PLATFORM`; musl ignores a search path with
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
                    dirs.extend(multiarch(elf).map(|triple| with(&format!("lib/{triple}"))));
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

    /// Puts the directory of `file` for `$ORIGIN` in a needed name that is a path: glibc does, musl does not.
    pub(super) fn expand_needed(self, name: &str, file: &str) -> String {
        let origin = file.rsplit_once('/').map_or("", |(dir, _)| dir);
        match self {
            Loader::Glibc => name.replace("${ORIGIN}", origin).replace("$ORIGIN", origin),
            Loader::Musl => name.to_string(),
        }
    }
}

/// The loader that finds a file's libraries, and what it knows of itself.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) loader: Loader,
    /// Its file, as programs name it.
    pub(super) path: Option<String>,
    pub(super) soname: Option<String>,
    /// The directories that it searches last.
    pub(super) dirs: Vec<String>,
    pub(super) cache: Option<String>,
}

impl Start {
    /// Finds the loader of the file at `path`: the one that a program names; for a library that of the system, by the C library that
    /// it needs and what is there. A library of a store says nothing of its loader, which is in the store too.
    ///
    /// Which directories glibc's loader searches and where its cache is stands in the loader itself; distributions differ.
    pub(super) fn of(files: &dyn Files, elf: &Elf, path: &str) -> Start {
        let (loader, path) = match &elf.interpreter {
            Some(path) => (Loader::of(elf), Some(path.clone())),
            None if in_store(path) => (Loader::of(elf), None),
            None => {
                let guess = Loader::of(elf);
                let mut known = system_loaders(elf);
                known.sort_by_key(|(loader, _)| *loader != guess);
                let there = known.into_iter().find(|(_, path)| files.canonical(path).is_some());
                there.map_or((guess, None), |(loader, path)| (loader, Some(path)))
            }
        };
        let mut start = Start { loader, path, soname: None, dirs: Vec::new(), cache: None };
        let Some(path) = &start.path else { return start };
        // What is wrong with a loader is said of it as the interpreter.
        let bytes = files.read(path).ok().flatten().unwrap_or_default();
        start.soname = Elf::read(&bytes).ok().flatten().and_then(|elf| elf.soname);
        let own = path.rsplit_once('/').map_or("", |(dir, _)| dir);
        match loader {
            Loader::Musl => {
                // The prefix is the interpreter's path without its last two parts, and the processor is in its name.
                let prefix = own.rsplit_once('/').map_or("", |(prefix, _)| prefix);
                let arch = path.rsplit_once("ld-musl-").map_or("", |(_, rest)| rest.split(".so").next().unwrap_or(""));
                let list = files.read(&format!("{prefix}/etc/ld-musl-{arch}.path")).ok().flatten();
                let list = list.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                let list = list.unwrap_or_else(|| MUSL_DEFAULT.to_string());
                start.dirs = list.split([':', '\n']).filter(|dir| !dir.is_empty()).map(str::to_string).collect();
            }
            Loader::Glibc => {
                let built_in = Texts::of(&bytes);
                start.cache = built_in.cache.or_else(|| (!in_store(own)).then(|| "/etc/ld.so.cache".to_string()));
                start.dirs = built_in.dirs.unwrap_or_else(|| {
                    let mut dirs = vec![own.to_string()];
                    if !in_store(own) {
                        let wide = elf.class == Class::Elf64;
                        dirs.extend(["/lib64", "/usr/lib64"].iter().filter(|_| wide).map(|dir| (*dir).to_string()));
                        dirs.extend(["/lib", "/usr/lib"].map(str::to_string));
                    }
                    dirs
                });
            }
        }
        start
    }
}

/// What glibc's loader was built with, as it stands among its texts.
struct Texts {
    /// `system_dirs`: one text after the other, each a directory with a slash at its end.
    dirs: Option<Vec<String>>,
    /// `LD_SO_CACHE`.
    cache: Option<String>,
}

impl Texts {
    fn of(bytes: &[u8]) -> Texts {
        let mut found = Texts { dirs: None, cache: None };
        let mut run: Vec<String> = Vec::new();
        for text in bytes.split(|b| *b == 0) {
            // What stands before the first text need not end in a zero.
            let from = text.iter().rposition(|b| !b.is_ascii_graphic()).map_or(0, |at| at + 1);
            let path = text.get(from..).and_then(|t| std::str::from_utf8(t).ok()).filter(|t| t.starts_with('/'));
            if let Some(cache) = path.filter(|path| path.ends_with("/ld.so.cache")) {
                found.cache.get_or_insert_with(|| cache.to_string());
            }
            match path.and_then(|path| path.strip_suffix('/')).filter(|dir| dir.len() > 1) {
                Some(dir) => {
                    if from > 0 {
                        run.clear();
                    }
                    run.push(dir.to_string());
                }
                None => {
                    let is_search_path = run.iter().any(|dir| dir.split('/').any(|part| part.starts_with("lib")));
                    if is_search_path && found.dirs.as_ref().is_none_or(|dirs| dirs.len() < run.len()) {
                        found.dirs = Some(std::mem::take(&mut run));
                    }
                    run.clear();
                }
            }
        }
        found
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

/// Debian's name for the processor of a file, which is in the paths of its libraries.
fn multiarch(elf: &Elf) -> Option<&'static str> {
    Some(match elf.machine.cpu? {
        "i686" => "i386-linux-gnu",
        "x86_64" if elf.class == Class::Elf32 => "x86_64-linux-gnux32",
        "x86_64" => "x86_64-linux-gnu",
        "arm" if elf.float_abi == Some(FloatAbi::Soft) => "arm-linux-gnueabi",
        "arm" => "arm-linux-gnueabihf",
        "aarch64" => "aarch64-linux-gnu",
        "riscv64" => "riscv64-linux-gnu",
        "powerpc64le" => "powerpc64le-linux-gnu",
        "s390x" => "s390x-linux-gnu",
        "mips64el" => "mips64el-linux-gnuabi64",
        "mipsel" => "mipsel-linux-gnu",
        "loongarch64" => "loongarch64-linux-gnu",
        _ => return None,
    })
}

/// The loaders of a system that is not made of store paths, by the paths that its programs name: glibc's (`abi-*.texi` and
/// `shlib-versions` of its source), then musl's.
fn system_loaders(elf: &Elf) -> Vec<(Loader, String)> {
    let cpu = elf.machine.cpu.unwrap_or("");
    let narrow = elf.class == Class::Elf32;
    let glibc: &[&str] = match cpu {
        "x86_64" if narrow => &["/libx32/ld-linux-x32.so.2"],
        "x86_64" => &["/lib64/ld-linux-x86-64.so.2"],
        "i686" => &["/lib/ld-linux.so.2"],
        "aarch64" => &["/lib/ld-linux-aarch64.so.1"],
        "aarch64_be" => &["/lib/ld-linux-aarch64_be.so.1"],
        "arm" if elf.float_abi == Some(FloatAbi::Soft) => &["/lib/ld-linux.so.3"],
        "arm" => &["/lib/ld-linux-armhf.so.3", "/lib/ld-linux.so.3"],
        "riscv64" => &["/lib/ld-linux-riscv64-lp64d.so.1", "/lib/ld-linux-riscv64-lp64.so.1"],
        "riscv32" => &["/lib/ld-linux-riscv32-ilp32d.so.1", "/lib/ld-linux-riscv32-ilp32.so.1"],
        "powerpc64le" => &["/lib64/ld64.so.2"],
        "powerpc64" => &["/lib64/ld64.so.1", "/lib64/ld64.so.2"],
        "s390x" => &["/lib/ld64.so.1"],
        "mips64" | "mips64el" => &["/lib64/ld.so.1", "/lib64/ld-linux-mipsn8.so.1"],
        "mips" | "mipsel" => &["/lib/ld.so.1", "/lib/ld-linux-mipsn8.so.1"],
        "loongarch64" => &["/lib64/ld-linux-loongarch-lp64d.so.1", "/lib64/ld-linux-loongarch-lp64s.so.1"],
        "sparc64" => &["/lib64/ld-linux.so.2"],
        "sh4" | "alpha" => &["/lib/ld-linux.so.2"],
        _ => &["/lib/ld.so.1"],
    };
    let musl = match cpu {
        "i686" => vec!["i386"],
        "x86_64" if narrow => vec!["x32"],
        "arm" => vec!["armhf", "arm"],
        "aarch64_be" => vec!["aarch64_be"],
        "sh4" => vec!["sh"],
        cpu => vec![cpu],
    };
    let glibc = glibc.iter().map(|path| (Loader::Glibc, (*path).to_string()));
    glibc.chain(musl.iter().map(|arch| (Loader::Musl, format!("/lib/ld-musl-{arch}.so.1")))).collect()
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
    fn a_loader_says_where_it_looks() {
        let texts = Texts::of(
            b"x\0/var/tmp/\0/proc\0\xff/\xe1/lib/x86_64-linux-gnu/\0/usr/lib/\0rest\0/lib/\0/etc/ld.so.cache\0",
        );
        assert_eq!(texts.dirs.unwrap(), ["/lib/x86_64-linux-gnu", "/usr/lib"]);
        assert_eq!(texts.cache.unwrap(), "/etc/ld.so.cache");
        assert!(Texts::of(b"").dirs.is_none());
    }

    #[test]
    fn store_directories_are_known_wherever_the_store_is() {
        let path = "971qyph05ykg6i7akswlz0pq4dzl26r5-glibc-2.40";
        assert!(in_store(&format!("/nix/store/{path}/lib")));
        assert!(in_store(&format!("/data/nix/store/{path}")));
        assert!(!in_store("/lib64") && !in_store("/lib") && !in_store(""));
    }
}
