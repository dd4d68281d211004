//! Names of derivations: what is the package, what the version, what only says the platform.
//!
//! Must not look at graphs.

/// Splits a name into package and version as `builtins.parseDrvName` does: the version starts after the first dash that
/// is not followed by a letter.
pub fn split_version(name: &str) -> (&str, &str) {
    let bytes = name.as_bytes();
    for (index, pair) in bytes.windows(2).enumerate() {
        if let [b'-', next] = pair
            && !next.is_ascii_alphabetic()
        {
            return (name.get(..index).unwrap_or(name), name.get(index + 1..).unwrap_or_default());
        }
    }
    (name, "")
}

/// The first parts of platform triples: what `lib.systems.parse` of nixpkgs knows, by prefix where there are many.
fn is_cpu(part: &str) -> bool {
    const EXACT: [&str; 21] = [
        "x86_64",
        "i386",
        "i486",
        "i586",
        "i686",
        "aarch64",
        "aarch64_be",
        "avr",
        "js",
        "wasm32",
        "wasm64",
        "vc4",
        "or1k",
        "m68k",
        "s390",
        "s390x",
        "alpha",
        "sparc",
        "sparc64",
        "rx",
        "msp430",
    ];
    const PREFIXES: [&str; 6] = ["armv", "powerpc", "mips", "riscv", "loongarch", "microblaze"];
    part == "arm" || part == "armeb" || EXACT.contains(&part) || PREFIXES.iter().any(|prefix| part.starts_with(prefix))
}

/// Says whether the part names a kernel or an ABI, one of which ends every triple.
fn is_kernel_or_abi(part: &str) -> bool {
    const PREFIXES: [&str; 22] = [
        "linux", "gnu", "musl", "eabi", "android", "darwin", "freebsd", "netbsd", "openbsd", "mingw", "windows",
        "wasi", "none", "elf", "msvc", "uclibc", "ghcjs", "solaris", "redox", "genode", "mmixware", "cygwin",
    ];
    PREFIXES.iter().any(|prefix| part.starts_with(prefix))
}

/// Returns the name without platform triples and without `-static`: the same for every stage of one package.
///
/// `ripgrep-11.0.1-aarch64-unknown-linux-musl` and `aarch64-unknown-linux-musl-ripgrep-11.0.1` both give
/// `ripgrep-11.0.1`. A triple is two to four parts, a processor first, a kernel or ABI last.
pub fn without_platform(name: &str) -> String {
    let (kept, _) = split_platform(name);
    if kept.is_empty() { name.to_owned() } else { kept.join("-") }
}

/// Returns the platform triples in a name; empty when there is none.
pub(super) fn platform(name: &str) -> String {
    split_platform(name).1.join("-")
}

/// Splits the parts of a name into those that are the package's and those that only say the platform.
fn split_platform(name: &str) -> (Vec<&str>, Vec<&str>) {
    let parts: Vec<&str> = name.split('-').collect();
    let (mut kept, mut triple) = (Vec::with_capacity(parts.len()), Vec::new());
    let mut at = 0;
    while let Some(&part) = parts.get(at) {
        if is_cpu(part) {
            // The longest triple that fits; `x86_64-linux-headers` is a system and a name.
            let length = (2..=4).rev().find(|&length| {
                parts.get(at + 1..at + length).is_some_and(|rest| {
                    let middle = rest.len().saturating_sub(1);
                    rest.last().is_some_and(|last| is_kernel_or_abi(last))
                        && rest
                            .iter()
                            .take(middle)
                            .enumerate()
                            .all(|(index, part)| is_kernel_or_abi(part) || (index == 0 && is_vendor(part)))
                })
            });
            if let Some(length) = length {
                triple.extend(parts.iter().skip(at).take(length));
                at += length;
                continue;
            }
        }
        if part != "static" || kept.is_empty() {
            kept.push(part);
        }
        at += 1;
    }
    (kept, triple)
}

fn is_vendor(part: &str) -> bool {
    matches!(part, "unknown" | "pc" | "apple" | "none" | "w64" | "buildroot" | "poky" | "linux")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_start_at_a_dash_before_no_letter() {
        assert_eq!(split_version("ripgrep-11.0.1"), ("ripgrep", "11.0.1"));
        assert_eq!(split_version("linux-headers-4.19.16"), ("linux-headers", "4.19.16"));
        assert_eq!(split_version("stdenv-linux"), ("stdenv-linux", ""));
        assert_eq!(split_version("a-"), ("a-", ""));
        assert_eq!(split_version(""), ("", ""));
    }

    #[test]
    fn platforms_are_taken_off_wherever_they_stand() {
        for (name, bare) in [
            ("musl-1.1.22-aarch64-unknown-linux-musl", "musl-1.1.22"),
            ("aarch64-unknown-linux-musl-stage-final-gcc-7.4.0", "stage-final-gcc-7.4.0"),
            ("busybox-static-1.30.1-x86_64-unknown-linux-musl", "busybox-1.30.1"),
            ("busybox-1.30.1", "busybox-1.30.1"),
            ("armv6l-unknown-linux-gnueabihf-binutils-2.31.1", "binutils-2.31.1"),
            ("avr-gcc-8.2.0", "avr-gcc-8.2.0"),
            ("arm-none-eabi-newlib-1", "newlib-1"),
            ("hello-x86_64-w64-mingw32", "hello"),
            ("static", "static"),
            ("x86_64-linux", "x86_64-linux"),
            ("openssl-static-1.1", "openssl-1.1"),
        ] {
            assert_eq!(without_platform(name), bare, "{name}");
        }
    }
}
