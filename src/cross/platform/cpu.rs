//! The processors that nixpkgs' systems name.
//!
//! Facts from nixpkgs' `lib/systems/parse.nix` (bits, byte order, family, which runs which) and the names of qemu's
//! user-mode programs.

use crate::cross::elf::Endianness::{self, Big, Little};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Cpu {
    /// nixpkgs' name, `armv7l`.
    pub name: &'static str,
    /// The width of its registers in bits: 8 to 64.
    pub bits: u16,
    /// The order of bytes; `None` for 8-bit processors.
    pub endianness: Option<Endianness>,
    /// The family, `arm` for all of 32-bit and 64-bit Arm.
    pub family: &'static str,
    /// The version of the Arm architecture, where the name says one.
    pub arm_version: Option<u8>,
    /// What stands after `qemu-` in the name of the program that runs its programs.
    pub qemu: Option<&'static str>,
}

const fn cpu(
    name: &'static str,
    bits: u16,
    endianness: Option<Endianness>,
    family: &'static str,
    arm_version: Option<u8>,
    qemu: Option<&'static str>,
) -> Cpu {
    Cpu { name, bits, endianness, family, arm_version, qemu }
}

static CPUS: &[Cpu] = &[
    cpu("arm", 32, Some(Little), "arm", None, Some("arm")),
    cpu("armv5tel", 32, Some(Little), "arm", Some(5), Some("arm")),
    cpu("armv6m", 32, Some(Little), "arm", Some(6), Some("arm")),
    cpu("armv6l", 32, Some(Little), "arm", Some(6), Some("arm")),
    cpu("armv7a", 32, Some(Little), "arm", Some(7), Some("arm")),
    cpu("armv7r", 32, Some(Little), "arm", Some(7), Some("arm")),
    cpu("armv7m", 32, Some(Little), "arm", Some(7), Some("arm")),
    cpu("armv7l", 32, Some(Little), "arm", Some(7), Some("arm")),
    cpu("armv8a", 32, Some(Little), "arm", Some(8), Some("arm")),
    cpu("armv8r", 32, Some(Little), "arm", Some(8), Some("arm")),
    cpu("armv8m", 32, Some(Little), "arm", Some(8), Some("arm")),
    cpu("aarch64", 64, Some(Little), "arm", Some(8), Some("aarch64")),
    cpu("aarch64_be", 64, Some(Big), "arm", Some(8), Some("aarch64_be")),
    cpu("i386", 32, Some(Little), "x86", None, Some("i386")),
    cpu("i486", 32, Some(Little), "x86", None, Some("i386")),
    cpu("i586", 32, Some(Little), "x86", None, Some("i386")),
    cpu("i686", 32, Some(Little), "x86", None, Some("i386")),
    cpu("x86_64", 64, Some(Little), "x86", None, Some("x86_64")),
    cpu("microblaze", 32, Some(Big), "microblaze", None, Some("microblaze")),
    cpu("microblazeel", 32, Some(Little), "microblaze", None, Some("microblazeel")),
    cpu("mips", 32, Some(Big), "mips", None, Some("mips")),
    cpu("mipsel", 32, Some(Little), "mips", None, Some("mipsel")),
    cpu("mips64", 64, Some(Big), "mips", None, Some("mips64")),
    cpu("mips64el", 64, Some(Little), "mips", None, Some("mips64el")),
    cpu("mmix", 64, Some(Big), "mmix", None, None),
    cpu("m68k", 32, Some(Big), "m68k", None, Some("m68k")),
    cpu("powerpc", 32, Some(Big), "power", None, Some("ppc")),
    cpu("powerpcle", 32, Some(Little), "power", None, None),
    cpu("powerpc64", 64, Some(Big), "power", None, Some("ppc64")),
    cpu("powerpc64le", 64, Some(Little), "power", None, Some("ppc64le")),
    cpu("riscv32", 32, Some(Little), "riscv", None, Some("riscv32")),
    cpu("riscv64", 64, Some(Little), "riscv", None, Some("riscv64")),
    cpu("s390", 32, Some(Big), "s390", None, None),
    cpu("s390x", 64, Some(Big), "s390", None, Some("s390x")),
    cpu("sparc", 32, Some(Big), "sparc", None, Some("sparc")),
    cpu("sparc64", 64, Some(Big), "sparc", None, Some("sparc64")),
    cpu("wasm32", 32, Some(Little), "wasm", None, None),
    cpu("wasm64", 64, Some(Little), "wasm", None, None),
    cpu("alpha", 64, Some(Little), "alpha", None, Some("alpha")),
    cpu("rx", 32, Some(Little), "rx", None, None),
    cpu("msp430", 16, Some(Little), "msp430", None, None),
    cpu("arc", 32, Some(Little), "arc", None, Some("arc")),
    cpu("avr", 8, None, "avr", None, None),
    cpu("vc4", 32, Some(Little), "vc4", None, None),
    cpu("or1k", 32, Some(Big), "or1k", None, Some("or1k")),
    cpu("loongarch64", 64, Some(Little), "loongarch", None, Some("loongarch64")),
    cpu("sh4", 32, Some(Little), "sh", None, Some("sh4")),
    cpu("javascript", 32, Some(Little), "javascript", None, None),
    cpu("js", 32, Some(Little), "javascript", None, None),
];

/// The step from a processor to the one whose programs it runs too. Arm's 32-bit and 64-bit modes are apart: since
/// 22.11 nixpkgs no longer counts on a processor to switch.
const RUNS_TOO: &[(&str, &str)] = &[
    ("x86_64", "i686"),
    ("i686", "i586"),
    ("i586", "i486"),
    ("i486", "i386"),
    ("armv7a", "armv7l"),
    ("armv7r", "armv7l"),
    ("armv7m", "armv7l"),
    ("armv7l", "armv6m"),
    ("armv6m", "armv6l"),
    ("armv6l", "armv5tel"),
    ("armv5tel", "arm"),
    ("powerpc64", "powerpc"),
    ("powerpc64le", "powerpcle"),
    ("mips64", "mips"),
    ("mips64el", "mipsel"),
    ("riscv64", "riscv32"),
    ("sparc64", "sparc"),
    ("wasm64", "wasm32"),
];

impl Cpu {
    pub fn named(name: &str) -> Option<&'static Cpu> {
        CPUS.iter().find(|c| c.name == name)
    }

    /// Says whether programs for `other` run on this processor.
    pub fn executes(&self, other: &Cpu) -> bool {
        let mut name = self.name;
        loop {
            if name == other.name {
                return true;
            }
            match RUNS_TOO.iter().find(|step| step.0 == name) {
                Some(step) => name = step.1,
                None => return false,
            }
        }
    }
}
