//! The binary interfaces within one processor: how floating-point arguments travel, which MIPS or PowerPC ABI.
//!
//! Sources: Addenda to the Arm ABI (build attributes, `Tag_CPU_arch` 6 and `Tag_ABI_VFP_args` 28), Arm ELF
//! (`EF_ARM_ABI_FLOAT_*`), the RISC-V and LoongArch ELF psABIs, the MIPS ABI flags section, the ELFv2 ABI of PowerPC.

use object::Endianness as ByteOrder;
use object::elf as raw;
use object::read::elf::{AttributesSection, FileHeader, ProgramHeader as _, SectionHeader as _};
use serde::Serialize;

use super::Class;

/// How floating-point arguments are passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FloatAbi {
    /// In integer registers; also what Arm calls softfp.
    Soft,
    /// In floating-point registers of 32 bits (RISC-V `f`, LoongArch `f`, MIPS single).
    Single,
    /// In floating-point registers of 64 bits (RISC-V `d`, LoongArch `d`).
    Double,
    /// In floating-point registers of 128 bits (RISC-V `q`).
    Quad,
    /// In floating-point registers, where there is only one such interface (Arm `hf`, MIPS).
    Hard,
}

impl std::fmt::Display for FloatAbi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FloatAbi::Soft => "soft float",
            FloatAbi::Single => "single float",
            FloatAbi::Double => "double float",
            FloatAbi::Quad => "quad float",
            FloatAbi::Hard => "hard float",
        })
    }
}

/// The calling conventions of MIPS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MipsAbi {
    /// 32-bit.
    O32,
    /// 32-bit registers' ABI on 64-bit processors.
    O64,
    /// 64-bit registers, 32-bit pointers.
    N32,
    /// 64-bit.
    N64,
    /// The embedded ABI, 32 or 64 bits.
    Eabi,
}

impl std::fmt::Display for MipsAbi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            MipsAbi::O32 => "o32",
            MipsAbi::O64 => "o64",
            MipsAbi::N32 => "n32",
            MipsAbi::N64 => "n64",
            MipsAbi::Eabi => "eabi",
        })
    }
}

/// The calling conventions of 64-bit PowerPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ppc64Abi {
    /// With function descriptors; the older big-endian one.
    ElfV1,
    /// Without; little-endian, and musl on big-endian.
    ElfV2,
}

impl std::fmt::Display for Ppc64Abi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Ppc64Abi::ElfV1 => "ELFv1",
            Ppc64Abi::ElfV2 => "ELFv2",
        })
    }
}

pub(super) const EF_MIPS_NAN2008: u32 = 0x400;
const EF_MIPS_ABI2: u32 = 0x20;
const EF_MIPS_ABI: u32 = 0xf000;
const PT_MIPS_ABIFLAGS: u32 = 0x7000_0003;
/// Within `Elf_MIPS_ABIFlags_v0`: version (2 bytes), ISA level and revision, three register sizes, then this.
const MIPS_FP_ABI_OFFSET: usize = 7;

/// What stands in attribute sections and segments rather than in the header.
#[derive(Default)]
pub(super) struct Attributes {
    pub(super) arm_version: Option<u8>,
    vfp_args: Option<u64>,
    mips_fp: Option<u8>,
}

const TAG_ARM_CPU_ARCH: u64 = 6;
const TAG_ARM_ABI_VFP_ARGS: u64 = 28;

/// Returns the major version of the Arm architecture for a value of `Tag_CPU_arch`.
fn arm_version(tag: u64) -> Option<u8> {
    match tag {
        0..=2 => Some(4),
        3..=5 => Some(5),
        // 11 and 12 are v6-M and v6S-M.
        6..=9 | 11 | 12 => Some(6),
        // 13 is v7E-M.
        10 | 13 => Some(7),
        14..=21 => Some(8),
        22 => Some(9),
        _ => None,
    }
}

pub(super) fn read_attributes<H: FileHeader<Endian = ByteOrder>>(
    header: &H,
    endian: ByteOrder,
    bytes: &[u8],
    segments: &[H::ProgramHeader],
    sections: &[H::SectionHeader],
) -> Attributes {
    let mut found = Attributes::default();
    match header.e_machine(endian) {
        raw::EM_ARM => {
            for section in sections.iter().filter(|s| s.sh_type(endian) == raw::SHT_ARM_ATTRIBUTES) {
                if let Ok(data) = section.data(endian, bytes) {
                    // What stands before a damaged attribute is kept; an unreadable rest says nothing.
                    let _ = read_arm::<H>(endian, data, &mut found);
                }
            }
        }
        raw::EM_MIPS => {
            let flags = segments.iter().find(|s| s.p_type(endian).0 == PT_MIPS_ABIFLAGS);
            found.mips_fp = flags.and_then(|s| s.data(endian, bytes).ok()?.get(MIPS_FP_ABI_OFFSET).copied());
        }
        _ => {}
    }
    found
}

fn read_arm<H: FileHeader<Endian = ByteOrder>>(
    endian: ByteOrder,
    data: &[u8],
    found: &mut Attributes,
) -> Result<(), object::Error> {
    let mut subsections = AttributesSection::<H>::new(endian, data)?.subsections()?;
    while let Some(subsection) = subsections.next()? {
        if subsection.vendor() != b"aeabi" {
            continue;
        }
        let mut parts = subsection.subsubsections();
        while let Some(part) = parts.next()? {
            // Attributes of single sections or symbols do not speak for the file.
            if part.tag() != raw::Tag_File {
                continue;
            }
            let mut reader = part.attributes();
            while let Some(tag) = reader.read_tag()? {
                match tag {
                    // CPU_raw_name, CPU_name, and by rule every odd tag from 64 on: a string.
                    4 | 5 => drop(reader.read_string()?),
                    // Tag_compatibility: a flag and a vendor name.
                    32 => {
                        reader.read_integer()?;
                        reader.read_string()?;
                    }
                    tag if tag >= 64 && tag % 2 == 1 => drop(reader.read_string()?),
                    TAG_ARM_CPU_ARCH => found.arm_version = arm_version(reader.read_integer()?),
                    TAG_ARM_ABI_VFP_ARGS => found.vfp_args = Some(reader.read_integer()?),
                    _ => drop(reader.read_integer()?),
                }
            }
        }
    }
    Ok(())
}

pub(super) fn float_abi(machine: u16, flags: u32, attributes: &Attributes) -> Option<FloatAbi> {
    match raw::Machine(machine) {
        raw::EM_ARM => {
            let eabi5 = flags & raw::EF_ARM_EABIMASK == raw::EF_ARM_EABI_VER5.0;
            match attributes.vfp_args {
                _ if eabi5 && flags & raw::EF_ARM_ABI_FLOAT_HARD != 0 => Some(FloatAbi::Hard),
                _ if eabi5 && flags & raw::EF_ARM_ABI_FLOAT_SOFT != 0 => Some(FloatAbi::Soft),
                Some(0) => Some(FloatAbi::Soft),
                Some(1) => Some(FloatAbi::Hard),
                // 2: a toolchain's own; 3: code that both can call. No tag: an object says nothing.
                _ => None,
            }
        }
        raw::EM_RISCV => Some(match flags & raw::EF_RISCV_FLOAT_ABI {
            0 => FloatAbi::Soft,
            2 => FloatAbi::Single,
            4 => FloatAbi::Double,
            _ => FloatAbi::Quad,
        }),
        raw::EM_LOONGARCH => match flags & 7 {
            1 => Some(FloatAbi::Soft),
            2 => Some(FloatAbi::Single),
            3 => Some(FloatAbi::Double),
            _ => None,
        },
        raw::EM_MIPS => match attributes.mips_fp? {
            3 => Some(FloatAbi::Soft),
            2 => Some(FloatAbi::Single),
            1 | 4..=7 => Some(FloatAbi::Hard),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn mips_abi(machine: u16, class: Class, flags: u32) -> Option<MipsAbi> {
    if machine != raw::EM_MIPS.0 {
        return None;
    }
    Some(match (class, flags & EF_MIPS_ABI) {
        (_, 0x1000) => MipsAbi::O32,
        (_, 0x2000) => MipsAbi::O64,
        (_, 0x3000 | 0x4000) => MipsAbi::Eabi,
        (Class::Elf64, _) => MipsAbi::N64,
        (Class::Elf32, _) if flags & EF_MIPS_ABI2 != 0 => MipsAbi::N32,
        (Class::Elf32, _) => MipsAbi::O32,
    })
}

pub(super) fn ppc64_abi(machine: u16, flags: u32) -> Option<Ppc64Abi> {
    match flags & raw::EF_PPC64_ABI {
        1 if machine == raw::EM_PPC64.0 => Some(Ppc64Abi::ElfV1),
        2 if machine == raw::EM_PPC64.0 => Some(Ppc64Abi::ElfV2),
        // 0 is what big-endian assemblers leave when nothing depends on it.
        _ => None,
    }
}
