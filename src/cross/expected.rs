//! What the programs of a platform must look like, and whether a file does.
//!
//! From a [`Platform`] alone: class, byte order, machine and ABI of its ELF files. Must not look at files.

use object::elf as raw;
use serde::Serialize;

use super::elf::{Class, Elf, Endianness, FloatAbi, MipsAbi, Ppc64Abi};
use super::platform::{Format, Platform};

/// What a platform's files must be. A part that is `None` is not fixed by the platform and not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExpectedElf {
    /// 32 or 64 bits.
    pub class: Class,
    /// The order of bytes.
    pub endianness: Endianness,
    /// The values of `e_machine` that are right.
    pub machines: Vec<u16>,
    /// nixpkgs' name of the processor, for messages.
    pub cpu: &'static str,
    /// How floating-point arguments are passed.
    pub float_abi: Option<FloatAbi>,
    /// The newest version of the Arm architecture that the processor runs.
    pub arm_version: Option<u8>,
    pub mips_abi: Option<MipsAbi>,
    /// The ABI of 64-bit PowerPC files.
    pub ppc64_abi: Option<Ppc64Abi>,
}

/// What the programs of a platform are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Expected {
    /// ELF files of this kind.
    Elf(ExpectedElf),
    /// Files of another format, told by their first bytes alone.
    Format(Format),
}

/// A way in which a file is not what its platform wants; `wanted` and `found` are words for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// What was compared: `format`, `machine`, `class`, `byte order`, `float ABI`, `Arm version`, `ABI`, `header`.
    pub what: &'static str,
    pub wanted: String,
    pub found: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} wanted, {} found", self.what, self.wanted, self.found)
    }
}

/// Returns what the programs of `platform` must look like.
///
/// `gcc.abi` and the ABI's name decide where the processor alone does not. RISC-V Linux is taken to be `lp64d` or
/// `ilp32d` and LoongArch Linux `lp64d`, the only ones whose toolchains nixpkgs builds without being told.
pub fn expected(platform: &Platform) -> Expected {
    let Some(machines) = machines(platform).filter(|_| platform.format() == Format::Elf) else {
        return Expected::Format(platform.format());
    };
    let cpu = platform.cpu;
    Expected::Elf(ExpectedElf {
        // Processors of 8 and 16 bits have 32-bit ELF files.
        class: if platform.pointer_bits() == 64 { Class::Elf64 } else { Class::Elf32 },
        endianness: platform.endianness().unwrap_or(Endianness::Little),
        machines,
        cpu: cpu.name,
        float_abi: float_abi(platform),
        arm_version: cpu.arm_version.filter(|_| cpu.bits == 32),
        mips_abi: mips_abi(platform),
        ppc64_abi: ppc64_abi(platform),
    })
}

fn machines(platform: &Platform) -> Option<Vec<u16>> {
    let cpu = platform.cpu;
    let machines: &[raw::Machine] = match (cpu.family, cpu.bits) {
        ("x86", 32) => &[raw::EM_386],
        ("x86", _) => &[raw::EM_X86_64],
        ("arm", 32) => &[raw::EM_ARM],
        ("arm", _) => &[raw::EM_AARCH64],
        ("riscv", _) => &[raw::EM_RISCV],
        ("mips", _) => &[raw::EM_MIPS],
        ("power", 32) => &[raw::EM_PPC],
        ("power", _) => &[raw::EM_PPC64],
        ("s390", _) => &[raw::EM_S390],
        ("sparc", 32) => &[raw::EM_SPARC, raw::EM_SPARC32PLUS],
        ("sparc", _) => &[raw::EM_SPARCV9],
        ("loongarch", _) => &[raw::EM_LOONGARCH],
        ("m68k", _) => &[raw::EM_68K],
        ("microblaze", _) => &[raw::EM_MICROBLAZE],
        ("or1k", _) => &[raw::EM_OPENRISC],
        ("avr", _) => &[raw::EM_AVR],
        ("msp430", _) => &[raw::EM_MSP430],
        ("rx", _) => &[raw::EM_RX],
        ("vc4", _) => &[raw::EM_VIDEOCORE3, raw::EM_VIDEOCORE],
        ("alpha", _) => &[raw::EM_ALPHA],
        ("sh", _) => &[raw::EM_SH],
        _ => return None,
    };
    Some(machines.iter().map(|m| m.0).collect())
}

fn float_abi(platform: &Platform) -> Option<FloatAbi> {
    match (platform.cpu.family, platform.gcc_abi.as_deref()) {
        ("riscv" | "loongarch", Some(abi)) => Some(match abi.as_bytes().last() {
            Some(b'd') => FloatAbi::Double,
            Some(b'f') => FloatAbi::Single,
            Some(b'q') => FloatAbi::Quad,
            // lp64, ilp32, ilp32e, lp64s.
            _ => FloatAbi::Soft,
        }),
        ("riscv" | "loongarch", None) if platform.has_os() => Some(FloatAbi::Double),
        _ => platform.float_abi(),
    }
}

fn mips_abi(platform: &Platform) -> Option<MipsAbi> {
    if platform.cpu.family != "mips" {
        return None;
    }
    Some(match (platform.gcc_abi.as_deref(), platform.abi.as_str()) {
        _ if platform.is_n32() => MipsAbi::N32,
        (Some("64"), _) | (_, "gnuabi64" | "muslabi64") => MipsAbi::N64,
        (Some("32"), _) => MipsAbi::O32,
        // Without an operating system it is the toolchain's choice.
        _ if !platform.has_os() => return None,
        _ if platform.cpu.bits == 64 => MipsAbi::N64,
        _ => MipsAbi::O32,
    })
}

fn ppc64_abi(platform: &Platform) -> Option<Ppc64Abi> {
    if platform.cpu.family != "power" || platform.cpu.bits != 64 {
        return None;
    }
    match (platform.gcc_abi.as_deref(), platform.abi.as_str()) {
        (Some("elfv1"), _) | (_, "gnuabielfv1") => Some(Ppc64Abi::ElfV1),
        (Some("elfv2"), _) | (_, "gnuabielfv2") => Some(Ppc64Abi::ElfV2),
        // musl has only ever used ELFv2, and so has little-endian Linux.
        (_, abi) if abi.starts_with("musl") => Some(Ppc64Abi::ElfV2),
        _ if platform.endianness() == Some(Endianness::Little) => Some(Ppc64Abi::ElfV2),
        _ => None,
    }
}

impl ExpectedElf {
    /// Returns what is expected of code that runs without a C library: kernels, their modules, boot loaders. They are compiled
    /// without floating point, whatever the programs of the platform do.
    #[must_use]
    pub fn freestanding(mut self) -> ExpectedElf {
        self.float_abi = None;
        self
    }

    /// Compares a file with what is expected; the first, most telling difference comes back.
    ///
    /// # Errors
    /// The [`Mismatch`].
    pub fn matches(&self, elf: &Elf) -> Result<(), Mismatch> {
        let differs = |what, wanted: String, found: String| Err(Mismatch { what, wanted, found });
        if !self.machines.contains(&elf.machine.number) {
            return differs("machine", self.cpu.to_string(), elf.machine.to_string());
        }
        if self.endianness != elf.endianness {
            return differs("byte order", self.endianness.to_string(), elf.endianness.to_string());
        }
        if self.class != elf.class {
            return differs("class", self.class.to_string(), elf.class.to_string());
        }
        match (self.float_abi, elf.float_abi) {
            (Some(wanted), Some(found)) if wanted != found => {
                return differs("float ABI", wanted.to_string(), found.to_string());
            }
            _ => {}
        }
        match (self.arm_version, elf.arm_version) {
            (Some(wanted), Some(found)) if found > wanted => {
                return differs("Arm version", format!("at most v{wanted} ({})", self.cpu), format!("v{found}"));
            }
            _ => {}
        }
        match (self.mips_abi, elf.mips_abi) {
            (Some(wanted), Some(found)) if wanted != found => {
                return differs("ABI", wanted.to_string(), found.to_string());
            }
            _ => {}
        }
        match (self.ppc64_abi, elf.ppc64_abi) {
            (Some(wanted), Some(found)) if wanted != found => differs("ABI", wanted.to_string(), found.to_string()),
            _ => Ok(()),
        }
    }
}

impl Expected {
    /// Compares the bytes of a program or library with what is expected.
    ///
    /// # Errors
    /// The [`Mismatch`]; a file of another format, or of none that is known, is one, and so is a damaged ELF header.
    pub fn matches(&self, bytes: &[u8]) -> Result<(), Mismatch> {
        let wanted = match self {
            Expected::Elf(_) => Format::Elf,
            Expected::Format(format) => *format,
        };
        let found = Format::of(bytes);
        match self {
            Expected::Elf(expected) if found == Some(Format::Elf) => match Elf::read(bytes) {
                Ok(Some(elf)) => expected.matches(&elf),
                Ok(None) => Ok(()),
                Err(error) => {
                    Err(Mismatch { what: "header", wanted: "a sound ELF header".to_string(), found: error.to_string() })
                }
            },
            // Nothing in the first bytes tells these.
            Expected::Format(Format::JavaScript | Format::Other) if found.is_none() => Ok(()),
            _ if found == Some(wanted) => Ok(()),
            _ => Err(Mismatch {
                what: "format",
                wanted: wanted.to_string(),
                found: found.map_or_else(|| "no program of a known format".to_string(), |f| f.to_string()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(text: &str) -> ExpectedElf {
        match expected(&Platform::parse(text).unwrap()) {
            Expected::Elf(elf) => elf,
            Expected::Format(format) => panic!("{text}: {format}"),
        }
    }

    #[test]
    fn class_and_byte_order_follow_the_name() {
        use Class::{Elf32, Elf64};
        use Endianness::{Big, Little};
        for (text, class, order, machine) in [
            ("x86_64-linux", Elf64, Little, 62),
            ("x86_64-unknown-linux-gnux32", Elf32, Little, 62),
            ("i686-linux", Elf32, Little, 3),
            ("aarch64_be-none-elf", Elf64, Big, 183),
            ("armv6l-unknown-linux-musleabihf", Elf32, Little, 40),
            ("mips64-unknown-linux-gnuabin32", Elf32, Big, 8),
            ("mips64el-unknown-linux-gnuabi64", Elf64, Little, 8),
            ("powerpc-none-eabi", Elf32, Big, 20),
            ("s390x-linux", Elf64, Big, 22),
            ("m68k-linux", Elf32, Big, 4),
            ("sparc64-linux", Elf64, Big, 43),
            ("loongarch64-linux", Elf64, Little, 258),
            ("avr", Elf32, Little, 83),
            ("msp430-elf", Elf32, Little, 105),
            ("or1k-elf", Elf32, Big, 92),
        ] {
            let elf = wants(text);
            assert_eq!((elf.class, elf.endianness, elf.machines[0]), (class, order, machine), "{text}");
        }
    }

    #[test]
    fn abis_follow_the_name_or_gcc() {
        assert_eq!(wants("armv7l-linux").float_abi, Some(FloatAbi::Hard));
        assert_eq!(wants("armv7l-linux").arm_version, Some(7));
        assert_eq!(wants("armv5tel-linux").float_abi, Some(FloatAbi::Soft));
        assert_eq!(wants("aarch64-linux").arm_version, None);
        assert_eq!(wants("riscv64-linux").float_abi, Some(FloatAbi::Double));
        assert_eq!(wants("riscv32-none-elf").float_abi, None);
        assert_eq!(wants("powerpc64-unknown-linux-musl").ppc64_abi, Some(Ppc64Abi::ElfV2));
        assert_eq!(wants("powerpc64-unknown-linux-gnuabielfv1").ppc64_abi, Some(Ppc64Abi::ElfV1));
        assert_eq!(wants("mipsel-linux").mips_abi, Some(MipsAbi::O32));
        let mut soft = Platform::parse("riscv64-linux").unwrap();
        soft.gcc_abi = Some("lp64".to_string());
        assert!(matches!(expected(&soft), Expected::Elf(e) if e.float_abi == Some(FloatAbi::Soft)));
    }

    #[test]
    fn other_formats_are_told_by_their_magic() {
        let windows = expected(&Platform::parse("x86_64-w64-mingw32").unwrap());
        assert_eq!(windows, Expected::Format(Format::Pe));
        assert!(windows.matches(b"MZ\x90\0").is_ok());
        assert_eq!(windows.matches(b"\x7fELF\x02\x01").unwrap_err().what, "format");
        let wasm = expected(&Platform::parse("wasm32-unknown-wasi").unwrap());
        assert!(wasm.matches(b"\0asm\x01\0\0\0").is_ok());
        let linux = expected(&Platform::parse("x86_64-linux").unwrap());
        assert_eq!(linux.matches(b"\x7fELF\x02\x01").unwrap_err().what, "header");
        assert_eq!(linux.matches(b"#!/bin/sh\n").unwrap_err().what, "format");
    }
}
