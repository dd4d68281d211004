//! Systems and triples, parsed as nixpkgs' `lib/systems/parse.nix` and `lib/systems/default.nix` do.
//!
//! `aarch64-linux`, `armv7l-unknown-linux-gnueabihf`, `msp430-elf`, `avr`: processor, vendor, kernel and ABI, with
//! nixpkgs' defaults where parts are left out; from these the C library, the format of programs, qemu's name.
//! Must not ask Nix.

use serde::Serialize;

use super::elf::{Endianness, FloatAbi};
use super::error::Error;

mod cpu;

pub use cpu::Cpu;

/// The container that the kernel, or the flashing tool, takes programs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Elf,
    /// Portable Executable: Windows.
    Pe,
    /// Mach-O: macOS, iOS.
    MachO,
    Wasm,
    /// JavaScript text.
    JavaScript,
    /// Something else (MMIX objects).
    Other,
}

impl Format {
    /// Tells the format of a file by its first bytes; `None` for a file that is no program of a known format.
    pub fn of(bytes: &[u8]) -> Option<Format> {
        // 0xcafebabe is also the magic of Java classes, whose next word, the version, is above any count of
        // architectures in a universal binary.
        let universal = || bytes.get(4..8).is_some_and(|n| n < &[0, 0, 0, 40][..]);
        match bytes {
            [0x7f, b'E', b'L', b'F', ..] => Some(Format::Elf),
            [b'M', b'Z', ..] => Some(Format::Pe),
            [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => Some(Format::MachO),
            [0xca, 0xfe, 0xba, 0xbe, ..] if universal() => Some(Format::MachO),
            [0, b'a', b's', b'm', ..] => Some(Format::Wasm),
            _ => None,
        }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Format::Elf => "ELF",
            Format::Pe => "PE (Windows)",
            Format::MachO => "Mach-O (Apple)",
            Format::Wasm => "WebAssembly",
            Format::JavaScript => "JavaScript",
            Format::Other => "another format",
        })
    }
}

/// A platform: what `stdenv.hostPlatform` is in nixpkgs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    /// The triple as it was given, `arm-none-eabi`: `config` in nixpkgs, the prefix of the cross tools. For a system
    /// it is the full triple.
    pub config: String,
    pub cpu: &'static Cpu,
    /// The vendor: `unknown`, `pc`, `w64`, `apple`, `none`.
    pub vendor: String,
    /// The kernel without its version: `linux`, `darwin`, `ios`, `windows`, `none`, `freebsd`.
    pub kernel: String,
    /// The version of the kernel where it is part of the name (`freebsd13`), else empty.
    pub kernel_version: String,
    /// The ABI: `gnu`, `musleabihf`, `elf`; `unknown` where there is none.
    pub abi: String,
    /// The C library in nixpkgs' words: `glibc`, `musl`, `newlib`, `msvcrt`; `None` where there is none.
    pub libc: Option<String>,
    /// `gcc.abi` of a platform that sets it: `lp64`, `n32`, `elfv2`.
    pub gcc_abi: Option<String>,
    /// Whether programs are linked statically: `isStatic`, as `pkgsStatic` sets it.
    pub is_static: bool,
}

/// The kernels that nixpkgs knows, with other names of the same.
const KERNELS: &[(&str, &str, Format)] = &[
    ("linux", "linux", Format::Elf),
    ("none", "none", Format::Elf),
    ("darwin", "darwin", Format::MachO),
    ("macos", "darwin", Format::MachO),
    ("ios", "ios", Format::MachO),
    ("watchos", "ios", Format::MachO),
    ("tvos", "ios", Format::MachO),
    ("freebsd", "freebsd", Format::Elf),
    ("netbsd", "netbsd", Format::Elf),
    ("openbsd", "openbsd", Format::Elf),
    ("solaris", "solaris", Format::Elf),
    ("wasi", "wasi", Format::Wasm),
    ("redox", "redox", Format::Elf),
    ("windows", "windows", Format::Pe),
    ("win32", "windows", Format::Pe),
    ("cygwin", "cygwin", Format::Pe),
    ("ghcjs", "ghcjs", Format::JavaScript),
    ("genode", "genode", Format::Elf),
    ("mmixware", "mmixware", Format::Other),
    ("uefi", "uefi", Format::Pe),
];

/// The vendors that nixpkgs knows.
const VENDORS: &[&str] = &["apple", "pc", "knuth", "w64", "none", "unknown", "uefi"];

/// The ABIs that nixpkgs knows.
const ABIS: &[&str] = &[
    "cygnus",
    "msvc",
    "eabi",
    "eabihf",
    "elf",
    "androideabi",
    "android",
    "gnueabi",
    "gnueabihf",
    "gnu",
    "gnux32",
    "gnusf",
    "gnuf32",
    "gnuabi64",
    "gnuabin32",
    "gnuabielfv1",
    "gnuabielfv2",
    "musl",
    "musleabi",
    "musleabihf",
    "muslabi64",
    "muslabin32",
    "muslx32",
    "uclibc",
    "uclibceabi",
    "uclibceabihf",
    "llvm",
    "unknown",
];

/// The parts of a name, before defaults are filled in.
struct Skeleton<'a> {
    cpu: &'a str,
    vendor: Option<&'a str>,
    kernel: &'a str,
    abi: Option<&'a str>,
}

impl Platform {
    /// Parses a system (`aarch64-linux`) or a triple (`aarch64-unknown-linux-musl`).
    ///
    /// What is left out gets nixpkgs' default: the ABI of 32-bit Arm Linux, for one, is `gnueabihf` from v6 on.
    ///
    /// # Errors
    /// [`Error::Platform`] when a part is none that nixpkgs knows.
    pub fn parse(text: &str) -> Result<Platform, Error> {
        let bad = |what: String| Error::Platform { text: text.to_string(), what };
        let skeleton = split(text).ok_or_else(|| bad("it has not the parts of one".to_string()))?;
        let cpu = Cpu::named(skeleton.cpu).ok_or_else(|| bad(format!("processor `{}` is unknown", skeleton.cpu)))?;
        let (kernel, kernel_version) =
            kernel(skeleton.kernel).ok_or_else(|| bad(format!("kernel `{}` is unknown", skeleton.kernel)))?;
        if let Some(vendor) = skeleton.vendor.filter(|v| !VENDORS.contains(v)) {
            return Err(bad(format!("vendor `{vendor}` is unknown")));
        }
        if let Some(abi) = skeleton.abi.filter(|a| !ABIS.contains(a)) {
            return Err(bad(format!("ABI `{abi}` is unknown")));
        }
        let vendor = skeleton.vendor.unwrap_or(match kernel {
            "darwin" | "ios" => "apple",
            "windows" | "cygwin" => "pc",
            _ => "unknown",
        });
        let abi = skeleton.abi.unwrap_or_else(|| default_abi(cpu, kernel));
        let mut platform = Platform {
            config: text.to_string(),
            cpu,
            vendor: vendor.to_string(),
            kernel: kernel.to_string(),
            kernel_version: kernel_version.to_string(),
            abi: abi.to_string(),
            libc: None,
            gcc_abi: None,
            // nixpkgs: isStatic = isWasm || isRedox.
            is_static: cpu.family == "wasm" || kernel == "redox",
        };
        platform.libc = platform.default_libc().map(str::to_string);
        if platform.system() == text {
            platform.config = platform.full_triple();
        }
        Ok(platform)
    }

    /// Returns the platform of the machine that this program runs on, as Nix would call it.
    pub fn here() -> Option<Platform> {
        let cpu = match std::env::consts::ARCH {
            "x86" => "i686",
            "arm" => "armv7l",
            "powerpc64" if cfg!(target_endian = "little") => "powerpc64le",
            "mips" if cfg!(target_endian = "little") => "mipsel",
            "mips64" if cfg!(target_endian = "little") => "mips64el",
            other => other,
        };
        let kernel = if std::env::consts::OS == "macos" { "darwin" } else { std::env::consts::OS };
        Platform::parse(&format!("{cpu}-{kernel}")).ok()
    }

    /// Returns the same platform with another C library, where one is given: `libc` in a `crossSystem`.
    pub fn with_libc(self, libc: Option<&str>) -> Platform {
        let libc = libc.map(str::to_string).or_else(|| self.libc.clone());
        Platform { libc, ..self }
    }

    /// Returns the same platform with `gcc.abi` set, where one is given.
    pub fn with_gcc_abi(self, gcc_abi: Option<&str>) -> Platform {
        let gcc_abi = gcc_abi.map(str::to_string).or_else(|| self.gcc_abi.clone());
        Platform { gcc_abi, ..self }
    }

    /// Returns the same platform with musl's ABI, as `pkgsMusl` and `pkgsStatic` make it.
    pub(super) fn with_musl(&self) -> Platform {
        let abi = match self.abi.as_str() {
            "gnueabi" | "musleabi" => "musleabi",
            "gnueabihf" | "musleabihf" => "musleabihf",
            "gnuabin32" | "muslabin32" => "muslabin32",
            "gnuabi64" | "muslabi64" => "muslabi64",
            _ => "musl",
        };
        let libc = Some("musl".to_string());
        let mut platform = Platform { abi: abi.to_string(), libc, ..self.clone() };
        platform.config = platform.full_triple();
        platform
    }

    /// Returns the same platform with another processor.
    pub(super) fn with_cpu(&self, cpu: &'static Cpu) -> Platform {
        let mut platform = Platform { cpu, ..self.clone() };
        platform.config = platform.full_triple();
        platform
    }

    /// Returns Nix' name, `aarch64-linux`.
    pub fn system(&self) -> String {
        match (self.kernel.as_str(), self.abi.as_str()) {
            (_, "cygnus") => format!("{}-cygwin", self.cpu.name),
            ("darwin" | "ios", _) => format!("{}-darwin", self.cpu.name),
            (kernel, _) => format!("{}-{kernel}{}", self.cpu.name, self.kernel_version),
        }
    }

    /// Returns the triple as it was given; the cross tools are called `TRIPLE-gcc`.
    pub fn triple(&self) -> &str {
        &self.config
    }

    /// Returns the triple with all parts, as nixpkgs writes it: `arm-unknown-none-eabi` for `arm-none-eabi`.
    pub fn full_triple(&self) -> String {
        let abi = if self.abi == "unknown" { String::new() } else { format!("-{}", self.abi) };
        let elf = if self.kernel == "netbsd" && self.netbsd_assumes_aout() { "elf" } else { "" };
        format!("{}-{}-{}{}{elf}{abi}", self.cpu.name, self.vendor, self.kernel, self.kernel_version)
    }

    /// GNU build systems take older NetBSD ports for a.out; nixpkgs then names the format.
    fn netbsd_assumes_aout(&self) -> bool {
        self.cpu.bits == 32 && matches!(self.cpu.family, "arm" | "sparc" | "m68k" | "x86")
    }

    /// Returns the order of bytes; `None` for 8-bit processors.
    pub fn endianness(&self) -> Option<Endianness> {
        self.cpu.endianness
    }

    /// Returns the width of a pointer: that of the processor, but 32 for the n32 and x32 ABIs.
    pub fn pointer_bits(&self) -> u16 {
        if self.is_n32() || matches!(self.abi.as_str(), "gnux32" | "muslx32") { 32 } else { self.cpu.bits }
    }

    pub(super) fn is_n32(&self) -> bool {
        matches!(self.abi.as_str(), "gnuabin32" | "muslabin32") || self.gcc_abi.as_deref() == Some("n32")
    }

    pub fn format(&self) -> Format {
        match self.cpu.family {
            "wasm" => Format::Wasm,
            "javascript" => Format::JavaScript,
            "mmix" => Format::Other,
            _ => KERNELS.iter().find(|k| k.1 == self.kernel).map_or(Format::Other, |k| k.2),
        }
    }

    /// Returns the name of rustc's target, by the rule of nixpkgs' `rust.rustcTarget`: a `crossSystem` may set another.
    pub fn rust_target(&self) -> String {
        let cpu = match self.cpu.name {
            "armv7a" | "armv7l" => "armv7",
            "armv6l" => "arm",
            "armv5tel" => "armv5te",
            "riscv64" => "riscv64gc",
            name => name,
        };
        let vendor = if self.vendor == "w64" { "pc" } else { &self.vendor };
        let abi = if self.abi == "unknown" { String::new() } else { format!("-{}", self.abi) };
        format!("{cpu}-{vendor}-{}{abi}", self.kernel)
    }

    /// Says whether there is an operating system below the programs.
    pub fn has_os(&self) -> bool {
        self.kernel != "none" && self.kernel != "ghcjs"
    }

    /// Returns how floating-point arguments are passed, where the name says so: 32-bit Arm does by its ABI.
    pub fn float_abi(&self) -> Option<FloatAbi> {
        if !(self.cpu.family == "arm" && self.cpu.bits == 32) {
            return None;
        }
        match self.abi.as_str() {
            "gnueabihf" | "musleabihf" | "uclibceabihf" | "eabihf" => Some(FloatAbi::Hard),
            "gnueabi" | "musleabi" | "uclibceabi" | "eabi" | "androideabi" => Some(FloatAbi::Soft),
            _ => None,
        }
    }

    /// Says whether programs of `other` run on this platform as they are, as nixpkgs' `canExecute` does.
    ///
    /// As there, it is about processor and kernel; the programs' libraries are another matter.
    pub fn can_execute(&self, other: &Platform) -> bool {
        let android = |p: &Platform| p.abi.starts_with("android");
        self.kernel == other.kernel
            && self.kernel_version == other.kernel_version
            && android(self) == android(other)
            && self.cpu.executes(other.cpu)
    }

    /// Returns the part of qemu's names for this processor: `qemu-` and this runs one program, `qemu-system-` and
    /// (mostly) this a whole machine. `None` where qemu has none.
    pub fn qemu_arch(&self) -> Option<&'static str> {
        let n32 = self.is_n32();
        Some(match self.cpu.name {
            "mips64" if n32 => "mipsn32",
            "mips64el" | "mipsel" if n32 => "mipsn32el",
            _ => return self.cpu.qemu,
        })
    }

    fn default_libc(&self) -> Option<&'static str> {
        Some(match (self.kernel.as_str(), self.abi.as_str()) {
            ("darwin" | "ios", _) => "libSystem",
            ("windows", "gnu" | "llvm") => "msvcrt",
            ("wasi", _) => "wasilibc",
            ("redox", _) => "relibc",
            (_, abi) if abi.starts_with("musl") => "musl",
            (_, abi) if abi.starts_with("uclibc") => "uclibc",
            (_, abi) if abi.starts_with("android") => "bionic",
            ("linux", _) => "glibc",
            ("freebsd", _) => "fblibc",
            ("netbsd", _) => "nblibc",
            ("ghcjs", _) => return None,
            _ if self.cpu.name == "avr" => "avrlibc",
            ("none" | "mmixware", _) => "newlib",
            _ => "native/impure",
        })
    }
}

impl Serialize for Platform {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut out = serializer.serialize_struct("Platform", 7)?;
        out.serialize_field("system", &self.system())?;
        out.serialize_field("triple", &self.triple())?;
        out.serialize_field("libc", &self.libc)?;
        out.serialize_field("bits", &self.cpu.bits)?;
        out.serialize_field("endianness", &self.endianness())?;
        out.serialize_field("format", &self.format())?;
        out.serialize_field("static", &self.is_static)?;
        out.end()
    }
}

/// Splits a name into its parts, by nixpkgs' rules for one to four of them.
fn split(text: &str) -> Option<Skeleton<'_>> {
    let parts: Vec<&str> = text.split('-').collect();
    Some(match parts[..] {
        ["avr"] => Skeleton { cpu: "avr", vendor: None, kernel: "none", abi: Some("unknown") },
        [cpu, "cygwin"] => Skeleton { cpu, vendor: None, kernel: "windows", abi: Some("cygnus") },
        [cpu, "windows"] => Skeleton { cpu, vendor: None, kernel: "windows", abi: Some("msvc") },
        [cpu, "elf"] => Skeleton { cpu, vendor: Some("unknown"), kernel: "none", abi: Some("elf") },
        // `wasm32-wasi`, `x86_64-linux`.
        [cpu, kernel] => Skeleton { cpu, vendor: None, kernel, abi: None },
        [cpu, "linux", abi] => Skeleton { cpu, vendor: Some("unknown"), kernel: "linux", abi: Some(abi) },
        [cpu, kernel, abi @ ("eabi" | "eabihf" | "elf" | "gnu")] => {
            Skeleton { cpu, vendor: Some("unknown"), kernel, abi: Some(abi) }
        }
        [cpu, vendor, "mingw32"] => Skeleton { cpu, vendor: Some(vendor), kernel: "windows", abi: None },
        [cpu, vendor, "cygwin"] => Skeleton { cpu, vendor: Some(vendor), kernel: "windows", abi: Some("cygnus") },
        [cpu, vendor, kernel] => Skeleton { cpu, vendor: Some(vendor), kernel, abi: None },
        [cpu, vendor, kernel, abi] => Skeleton { cpu, vendor: Some(vendor), kernel, abi: Some(abi) },
        _ => return None,
    })
}

/// Returns the name of a kernel and the version that stands at its end.
fn kernel(text: &str) -> Option<(&'static str, &str)> {
    // `netbsdelf`, `linuxeabi`: GNU's suffixes in the kernel's place.
    let plain = text.strip_suffix("eabi").or_else(|| text.strip_suffix("elf")).unwrap_or(text);
    let name = plain.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let version = &plain[name.len()..];
    let known = |name: &str| KERNELS.iter().find(|k| k.0 == name).map(|k| k.1);
    if let Some(name) = known(plain) {
        return Some((name, ""));
    }
    match known(name)? {
        // No ABI is kept between its releases, so the release is part of the platform.
        "freebsd" => Some(("freebsd", version)),
        // Darwin's version is dropped by nixpkgs as well.
        name @ ("darwin" | "netbsd") => Some((name, "")),
        _ => None,
    }
}

fn default_abi(cpu: &Cpu, kernel: &str) -> &'static str {
    match kernel {
        "linux" | "windows" => match cpu.family {
            "arm" if cpu.bits == 32 && cpu.arm_version.unwrap_or(0) >= 6 => "gnueabihf",
            "arm" if cpu.bits == 32 => "gnueabi",
            "power" if cpu.bits == 64 && cpu.endianness == Some(Endianness::Big) => "gnuabielfv2",
            _ => "gnu",
        },
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts(text: &str) -> (String, String, String) {
        let platform = Platform::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        (platform.system(), platform.full_triple(), platform.libc.unwrap_or_default())
    }

    #[test]
    fn names_come_out_as_nixpkgs_writes_them() {
        for (text, system, triple, libc) in [
            ("aarch64-linux", "aarch64-linux", "aarch64-unknown-linux-gnu", "glibc"),
            ("armv5tel-linux", "armv5tel-linux", "armv5tel-unknown-linux-gnueabi", "glibc"),
            ("armv6l-linux", "armv6l-linux", "armv6l-unknown-linux-gnueabihf", "glibc"),
            ("powerpc64-linux", "powerpc64-linux", "powerpc64-unknown-linux-gnuabielfv2", "glibc"),
            ("powerpc64le-linux", "powerpc64le-linux", "powerpc64le-unknown-linux-gnu", "glibc"),
            ("aarch64-linux-musl", "aarch64-linux", "aarch64-unknown-linux-musl", "musl"),
            ("arm-none-eabi", "arm-none", "arm-unknown-none-eabi", "newlib"),
            ("aarch64_be-none-elf", "aarch64_be-none", "aarch64_be-unknown-none-elf", "newlib"),
            ("msp430-elf", "msp430-none", "msp430-unknown-none-elf", "newlib"),
            ("avr", "avr-none", "avr-unknown-none", "avrlibc"),
            ("x86_64-w64-mingw32", "x86_64-windows", "x86_64-w64-windows-gnu", "msvcrt"),
            ("x86_64-windows", "x86_64-windows", "x86_64-pc-windows-msvc", "native/impure"),
            ("x86_64-cygwin", "x86_64-cygwin", "x86_64-pc-windows-cygnus", "native/impure"),
            ("aarch64-apple-darwin", "aarch64-darwin", "aarch64-apple-darwin", "libSystem"),
            ("armv7a-apple-ios", "armv7a-darwin", "armv7a-apple-ios", "libSystem"),
            ("x86_64-unknown-freebsd13", "x86_64-freebsd13", "x86_64-unknown-freebsd13", "fblibc"),
            ("x86_64-unknown-netbsd", "x86_64-netbsd", "x86_64-unknown-netbsd", "nblibc"),
            ("i686-netbsd", "i686-netbsd", "i686-unknown-netbsdelf", "nblibc"),
            ("wasm32-unknown-wasi", "wasm32-wasi", "wasm32-unknown-wasi", "wasilibc"),
            ("mmix-unknown-mmixware", "mmix-mmixware", "mmix-unknown-mmixware", "newlib"),
            ("x86_64-unknown-redox", "x86_64-redox", "x86_64-unknown-redox", "relibc"),
        ] {
            assert_eq!(facts(text), (system.to_string(), triple.to_string(), libc.to_string()), "{text}");
        }
    }

    #[test]
    fn what_nixpkgs_would_not_parse_is_refused_with_the_part_named() {
        for (text, part) in [
            ("", "parts"),
            ("linux", "parts"),
            ("arm64-linux", "processor `arm64`"),
            ("aarch64-linus", "kernel `linus`"),
            ("aarch64-acme-linux-gnu", "vendor `acme`"),
            ("aarch64-unknown-linux-gnueabisoft", "ABI `gnueabisoft`"),
            ("a-b-c-d-e", "parts"),
        ] {
            let error = Platform::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_processor_runs_its_older_relatives() {
        let can = |a: &str, b: &str| Platform::parse(a).unwrap().can_execute(&Platform::parse(b).unwrap());
        assert!(can("x86_64-linux", "i686-linux"));
        assert!(can("x86_64-linux", "x86_64-linux-musl"));
        assert!(!can("i686-linux", "x86_64-linux"));
        assert!(!can("x86_64-linux", "aarch64-linux"));
        assert!(!can("x86_64-linux", "x86_64-darwin"));
        assert!(can("armv7l-linux", "armv6l-linux"));
        assert!(!can("armv6l-linux", "armv7l-linux"));
        assert!(!can("aarch64-linux", "armv7l-linux"), "a mode switch: nixpkgs says no since 22.11");
    }

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        assert_eq!(Format::of(b"\x7fELF\x02"), Some(Format::Elf));
        assert_eq!(Format::of(b"MZ\x90"), Some(Format::Pe));
        assert_eq!(Format::of(b"\0asm\x01"), Some(Format::Wasm));
        assert_eq!(Format::of(b"\xcf\xfa\xed\xfe"), Some(Format::MachO));
        assert_eq!(Format::of(b"\xca\xfe\xba\xbe\0\0\0\x02"), Some(Format::MachO));
        assert_eq!(Format::of(b"\xca\xfe\xba\xbe\0\0\0\x37"), None, "a Java class");
        assert_eq!(Format::of(b"#!/bin/sh"), None);
        assert_eq!(Format::of(b""), None);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[a-z0-9_-]{0,40}|(aarch64|arm|avr)(-(none|linux|unknown|elf|gnu|eabi|[0-9]{0,2}|ä))*") {
            if let Ok(platform) = Platform::parse(&text) {
                // The triple is a fixed point, apart from names with an unknown ABI that the short forms fill in.
                let again = Platform::parse(&platform.full_triple());
                prop_assert!(again.is_ok_and(|p| p.system() == platform.system()), "{} -> {}", text, platform.full_triple());
            }
        }
    }
}
