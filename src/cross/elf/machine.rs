//! The names of processors: as readelf prints them and as nixpkgs calls them.

use object::elf as raw;
use serde::Serialize;

use super::{Class, Endianness};

/// The processor of an ELF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Machine {
    /// `e_machine`.
    pub number: u16,
    /// Its usual name, or "unknown machine".
    pub name: &'static str,
    /// The name of the processor in nixpkgs' systems, where there is one. For 32-bit Arm it is `arm`: the header
    /// does not tell v6 from v7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<&'static str>,
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.cpu.is_none() && self.name == UNKNOWN {
            return write!(f, "{UNKNOWN} {}", self.number);
        }
        f.write_str(self.name)
    }
}

const UNKNOWN: &str = "unknown machine";

impl Machine {
    /// Returns the names of machine `number` in a file of this class and byte order.
    pub fn new(number: u16, class: Class, endianness: Endianness) -> Machine {
        let little = endianness == Endianness::Little;
        let wide = class == Class::Elf64;
        let either = |big: &'static str, small: &'static str| if little { small } else { big };
        let (name, cpu) = match raw::Machine(number) {
            raw::EM_386 => ("Intel 80386", Some("i686")),
            raw::EM_X86_64 => ("x86-64", Some("x86_64")),
            raw::EM_ARM => ("Arm", Some("arm")),
            raw::EM_AARCH64 => ("AArch64", Some(either("aarch64_be", "aarch64"))),
            raw::EM_RISCV => ("RISC-V", Some(if wide { "riscv64" } else { "riscv32" })),
            raw::EM_MIPS if wide => ("MIPS", Some(either("mips64", "mips64el"))),
            raw::EM_MIPS => ("MIPS", Some(either("mips", "mipsel"))),
            raw::EM_PPC => ("PowerPC", Some(either("powerpc", "powerpcle"))),
            raw::EM_PPC64 => ("PowerPC64", Some(either("powerpc64", "powerpc64le"))),
            raw::EM_S390 => ("IBM S/390", Some(if wide { "s390x" } else { "s390" })),
            raw::EM_SPARC | raw::EM_SPARC32PLUS => ("SPARC", Some("sparc")),
            raw::EM_SPARCV9 => ("SPARC V9", Some("sparc64")),
            raw::EM_LOONGARCH => ("LoongArch", Some(if wide { "loongarch64" } else { "loongarch32" })),
            raw::EM_68K => ("Motorola 68000", Some("m68k")),
            raw::EM_MICROBLAZE => ("MicroBlaze", Some(either("microblaze", "microblazeel"))),
            raw::EM_OPENRISC => ("OpenRISC", Some("or1k")),
            raw::EM_AVR => ("Atmel AVR", Some("avr")),
            raw::EM_MSP430 => ("TI MSP430", Some("msp430")),
            raw::EM_RX => ("Renesas RX", Some("rx")),
            raw::EM_VIDEOCORE | raw::EM_VIDEOCORE3 => ("VideoCore", Some("vc4")),
            raw::EM_ALPHA => ("Alpha", Some("alpha")),
            raw::EM_MMIX => ("MMIX", Some("mmix")),
            raw::EM_SH => ("SuperH", Some("sh4")),
            raw::EM_PARISC => ("PA-RISC", Some("hppa")),
            raw::EM_IA_64 => ("Intel IA-64", Some("ia64")),
            raw::EM_XTENSA => ("Xtensa", Some("xtensa")),
            _ => (UNKNOWN, None),
        };
        Machine { number, name, cpu }
    }
}

/// Returns the name of `EI_OSABI` as readelf prints it.
pub(super) fn os_abi_name(os_abi: u8) -> String {
    match os_abi {
        0 => "UNIX - System V",
        1 => "UNIX - HP-UX",
        2 => "UNIX - NetBSD",
        3 => "UNIX - GNU",
        6 => "UNIX - Solaris",
        9 => "UNIX - FreeBSD",
        12 => "UNIX - OpenBSD",
        64 => "ARM EABI",
        97 => "ARM",
        255 => "Standalone App",
        other => return other.to_string(),
    }
    .to_string()
}
