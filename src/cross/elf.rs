//! Facts of one ELF file, from its bytes.
//!
//! Read with the header-level interface of the `object` crate, so that a file whose section table is cut off still
//! answers for what its program headers say. Formats: the System V gABI, the processor supplements of Arm, RISC-V,
//! MIPS, PowerPC and LoongArch. Must not look at any other file.

use object::elf as raw;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _, SectionHeader as _};
use object::{Endian as _, Endianness as ByteOrder};
use serde::Serialize;

use super::error::Error;

mod abi;
mod essence;
mod machine;

pub use abi::{FloatAbi, MipsAbi, Ppc64Abi};
pub use essence::essence;
pub use machine::Machine;

/// The width of addresses: `EI_CLASS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Class {
    /// `ELFCLASS32`.
    #[serde(rename = "32")]
    Elf32,
    /// `ELFCLASS64`.
    #[serde(rename = "64")]
    Elf64,
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Class::Elf32 => "32-bit",
            Class::Elf64 => "64-bit",
        })
    }
}

/// The order of bytes in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Endianness {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl std::fmt::Display for Endianness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Endianness::Little => "little-endian",
            Endianness::Big => "big-endian",
        })
    }
}

/// What an ELF file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `ET_EXEC`: a program at a fixed address.
    Executable,
    /// `ET_DYN` that is a program: position-independent executable.
    Pie,
    /// `ET_DYN` that is a library, or the loader.
    Shared,
    /// `ET_REL`: an object file or a kernel module.
    Relocatable,
    /// `ET_CORE`: a memory image.
    Core,
    /// Anything else.
    Other,
}

/// How a program gets at its libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Linkage {
    /// Everything is in the file.
    Static,
    /// Everything is in the file, which relocates itself.
    StaticPie,
    /// A loader brings in shared libraries.
    Dynamic,
}

impl std::fmt::Display for Linkage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Linkage::Static => "statically linked",
            Linkage::StaticPie => "statically linked, position-independent",
            Linkage::Dynamic => "dynamically linked",
        })
    }
}

/// What an ELF file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Elf {
    /// 32 or 64 bits.
    pub class: Class,
    /// The order of bytes.
    pub endianness: Endianness,
    pub machine: Machine,
    /// Program, library, object.
    pub kind: Kind,
    /// `EI_OSABI` as readelf names it, or its number.
    pub os_abi: String,
    /// `EI_ABIVERSION`.
    pub abi_version: u8,
    /// `e_flags`; what they mean depends on the machine.
    pub flags: u32,
    /// How floating-point arguments are passed, where flags or attributes say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub float_abi: Option<FloatAbi>,
    /// The version of the Arm architecture that the code was compiled for, 4 to 9, from `Tag_CPU_arch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arm_version: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mips_abi: Option<MipsAbi>,
    /// Whether a MIPS file wants IEEE 754-2008 NaN encodings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mips_nan2008: Option<bool>,
    /// The ABI of a 64-bit PowerPC file, where its flags say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ppc64_abi: Option<Ppc64Abi>,
    /// The entry point, 0 for none.
    pub entry: u64,
    /// `PT_INTERP`: the loader that the kernel starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<String>,
    /// `DT_SONAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soname: Option<String>,
    /// `DT_RPATH`, as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpath: Option<String>,
    /// `DT_RUNPATH`, as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runpath: Option<String>,
    /// `DF_1_NODEFLIB`: the loader's default directories are not to be searched.
    pub no_default_lib: bool,
    pub has_dynamic: bool,
    /// The GNU build id in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Whether the symbol table is gone; `None` where the section table cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stripped: Option<bool>,
    /// The first thing beyond the header that could not be read; what depends on it is missing above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

impl Elf {
    /// Reads the facts of a file; `None` when it is no ELF file.
    ///
    /// A part beyond the header that is cut off or contradicts itself does not end the reading: it is named in
    /// [`Elf::damage`].
    ///
    /// # Errors
    /// [`Error::Elf`] when the bytes start with the ELF magic but hold no header of a known class and byte order.
    pub fn read(bytes: &[u8]) -> Result<Option<Elf>, Error> {
        if !bytes.starts_with(&raw::ELFMAG) {
            return Ok(None);
        }
        let elf = match bytes.get(4) {
            Some(1) => read_class::<raw::FileHeader32<ByteOrder>>(bytes),
            Some(2) => read_class::<raw::FileHeader64<ByteOrder>>(bytes),
            Some(class) => Err(Error::Elf { what: format!("class {class} is neither 32 nor 64 bits") }),
            None => Err(Error::Elf { what: "it ends within the first 16 bytes".to_string() }),
        };
        elf.map(Some)
    }

    /// Says whether the file is a program (not a library, an object or a core).
    pub fn is_program(&self) -> bool {
        matches!(self.kind, Kind::Executable | Kind::Pie)
    }

    /// Returns how a program or library is linked; `None` for objects and cores.
    pub fn linkage(&self) -> Option<Linkage> {
        let loads = self.interpreter.is_some() || !self.needed.is_empty();
        match self.kind {
            Kind::Executable if loads => Some(Linkage::Dynamic),
            Kind::Executable => Some(Linkage::Static),
            Kind::Pie if loads => Some(Linkage::Dynamic),
            Kind::Pie => Some(Linkage::StaticPie),
            Kind::Shared => Some(Linkage::Dynamic),
            Kind::Relocatable | Kind::Core | Kind::Other => None,
        }
    }

    /// Says whether the file is a program that needs no loader and no library.
    pub fn is_static(&self) -> bool {
        matches!(self.linkage(), Some(Linkage::Static | Linkage::StaticPie))
    }
}

/// The longest string that is taken from a file, in bytes: paths and search paths are far shorter.
const MAX_STRING: usize = 1 << 16;
/// The longest name of a library or of an interpreter, in bytes: Linux' `PATH_MAX`.
const MAX_NAME: usize = 4096;
/// The most needed libraries of one file; real programs have some hundreds.
const MAX_NEEDED: usize = 4096;
/// The longest build id, in bytes; SHA-1 has 20.
const MAX_BUILD_ID: usize = 64;

/// The first damage found wins; later damage is mostly its consequence.
#[derive(Default)]
struct Damage(Option<String>);

impl Damage {
    fn note<T>(&mut self, what: &str, result: Result<T, object::Error>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.get_or_insert_with(|| format!("{what}: {error}"));
                None
            }
        }
    }

    fn say(&mut self, what: &str) {
        self.0.get_or_insert_with(|| what.to_string());
    }
}

fn read_class<H: FileHeader<Endian = ByteOrder>>(bytes: &[u8]) -> Result<Elf, Error> {
    let header = H::parse(bytes).map_err(|_| Error::Elf {
        what: match bytes.get(5) {
            Some(1 | 2) if bytes.len() < size_of::<H>() => "its header is cut off".to_string(),
            Some(1 | 2) => "its version is not 1".to_string(),
            Some(order) => format!("byte order {order} is unknown"),
            None => "it ends within the first 16 bytes".to_string(),
        },
    })?;
    let endian = header.endian().map_err(|_| Error::Elf { what: "its byte order is unknown".to_string() })?;
    let mut damage = Damage::default();

    let ident = header.e_ident();
    let class = if header.is_type_64() { Class::Elf64 } else { Class::Elf32 };
    let endianness = if endian.is_big_endian() { Endianness::Big } else { Endianness::Little };
    let machine = Machine::new(header.e_machine(endian).0, class, endianness);
    let flags = header.e_flags(endian).0;

    let segments = damage.note("program headers", header.program_headers(endian, bytes)).unwrap_or(&[]);
    let sections = damage.note("section headers", header.section_headers(endian, bytes));
    if let Some(end) = end_of_segments::<H>(endian, bytes, header, segments, sections.unwrap_or(&[])) {
        damage.say(&format!("it is cut off: what it loads ends at byte {end}, the file at {}", bytes.len()));
    }
    let dynamic = read_dynamic::<H>(endian, bytes, segments, &mut damage);
    let interpreter = segments.iter().find(|s| s.p_type(endian) == raw::PT_INTERP).and_then(|segment| {
        let text = damage.note("interpreter", segment.interpreter(endian, bytes))??;
        if text.len() > MAX_NAME {
            damage.say("interpreter: its path is longer than any");
            return None;
        }
        Some(String::from_utf8_lossy(text).into_owned())
    });

    let attributes = abi::read_attributes(header, endian, bytes, segments, sections.unwrap_or(&[]));
    let pie = dynamic.pie || (interpreter.is_some() && dynamic.soname.is_none());
    let kind = match header.e_type(endian) {
        raw::ET_EXEC => Kind::Executable,
        // What file(1) goes by is DF_1_PIE; linkers before 2016 did not set it, so an interpreter counts as well,
        // save in a library that can also be started (glibc's libc.so.6), which has a SONAME.
        raw::ET_DYN if pie => Kind::Pie,
        raw::ET_DYN => Kind::Shared,
        raw::ET_REL => Kind::Relocatable,
        raw::ET_CORE => Kind::Core,
        _ => Kind::Other,
    };

    Ok(Elf {
        class,
        endianness,
        kind,
        os_abi: machine::os_abi_name(ident.os_abi.0),
        abi_version: ident.abi_version,
        flags,
        float_abi: abi::float_abi(machine.number, flags, &attributes),
        arm_version: attributes.arm_version,
        mips_abi: abi::mips_abi(machine.number, class, flags),
        mips_nan2008: (machine.number == raw::EM_MIPS.0).then_some(flags & abi::EF_MIPS_NAN2008 != 0),
        ppc64_abi: abi::ppc64_abi(machine.number, flags),
        machine,
        entry: header.e_entry(endian).into(),
        interpreter,
        needed: dynamic.needed,
        soname: dynamic.soname,
        rpath: dynamic.rpath,
        runpath: dynamic.runpath,
        no_default_lib: dynamic.no_default_lib,
        has_dynamic: dynamic.present,
        build_id: read_build_id::<H>(endian, bytes, segments, sections.unwrap_or(&[])),
        stripped: sections.map(|all| !all.iter().any(|s| s.sh_type(endian) == raw::SHT_SYMTAB)),
        damage: damage.0,
    })
}

/// Returns where the segments of a program or library end when that is beyond the end of the file.
///
/// A file of debugging information keeps the program headers of its program and none of the bytes: its code has no bits.
fn end_of_segments<H: FileHeader<Endian = ByteOrder>>(
    endian: ByteOrder,
    bytes: &[u8],
    header: &H,
    segments: &[H::ProgramHeader],
    sections: &[H::SectionHeader],
) -> Option<u64> {
    let loaded = matches!(header.e_type(endian), raw::ET_EXEC | raw::ET_DYN);
    let is_debug = sections.iter().any(|section| {
        section.sh_type(endian) == raw::SHT_NOBITS && section.sh_flags(endian).contains(raw::SHF_EXECINSTR)
    });
    let ends = segments.iter().filter(|s| s.p_type(endian) == raw::PT_LOAD).map(|segment| {
        let (offset, size) = segment.file_range(endian);
        offset.saturating_add(size)
    });
    ends.max().filter(|end| loaded && !is_debug && *end > bytes.len() as u64)
}

#[derive(Default)]
struct Dynamic {
    present: bool,
    needed: Vec<String>,
    soname: Option<String>,
    rpath: Option<String>,
    runpath: Option<String>,
    pie: bool,
    no_default_lib: bool,
}

/// Reads what the loader reads: the dynamic segment and its string table by address, never the sections.
fn read_dynamic<H: FileHeader<Endian = ByteOrder>>(
    endian: ByteOrder,
    bytes: &[u8],
    segments: &[H::ProgramHeader],
    damage: &mut Damage,
) -> Dynamic {
    let mut found = Dynamic::default();
    let Some(segment) = segments.iter().find(|s| s.p_type(endian) == raw::PT_DYNAMIC) else { return found };
    let Some(entries) = damage.note("dynamic segment", segment.dynamic(endian, bytes)).flatten() else { return found };
    found.present = true;
    let entries = || entries.iter().take_while(|e| e.tag(endian) != raw::DT_NULL);
    let value = |tag| entries().find(|e| e.tag(endian) == tag).map(|e| e.val(endian));
    let strings = value(raw::DT_STRTAB).and_then(|address| at_address::<H>(endian, bytes, segments, address));
    let limit = value(raw::DT_STRSZ).and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
    let strings = strings.map(|all| all.get(..limit.min(all.len())).unwrap_or(all));

    for entry in entries() {
        let tag = entry.tag(endian);
        if tag == raw::DT_FLAGS_1 {
            found.pie = entry.val(endian) & raw::DF_1_PIE.0 != 0;
            found.no_default_lib = entry.val(endian) & raw::DF_1_NODEFLIB.0 != 0;
            continue;
        }
        if ![raw::DT_NEEDED, raw::DT_SONAME, raw::DT_RPATH, raw::DT_RUNPATH].contains(&tag) {
            continue;
        }
        let longest = if [raw::DT_RPATH, raw::DT_RUNPATH].contains(&tag) { MAX_STRING } else { MAX_NAME };
        let text = strings
            .and_then(|all| all.get(usize::try_from(entry.val(endian)).ok()?..))
            .and_then(|rest| rest.get(..rest.iter().take(longest).position(|b| *b == 0)?));
        let Some(text) = text else {
            damage.say("dynamic segment: a string has no end or lies outside the file");
            continue;
        };
        let text = String::from_utf8_lossy(text).into_owned();
        match tag {
            raw::DT_NEEDED if found.needed.len() < MAX_NEEDED => found.needed.push(text),
            raw::DT_NEEDED => damage.say("dynamic segment: more libraries than any program needs"),
            raw::DT_SONAME => found.soname = Some(text),
            raw::DT_RPATH => found.rpath = Some(text),
            _ => found.runpath = Some(text),
        }
    }
    found
}

/// Returns the bytes of the file from where `address` is loaded, up to the end of its segment in the file.
fn at_address<'data, H: FileHeader<Endian = ByteOrder>>(
    endian: ByteOrder,
    bytes: &'data [u8],
    segments: &[H::ProgramHeader],
    address: u64,
) -> Option<&'data [u8]> {
    segments.iter().filter(|s| s.p_type(endian) == raw::PT_LOAD).find_map(|segment| {
        let within = address.checked_sub(segment.p_vaddr(endian).into())?;
        let (offset, size) = segment.file_range(endian);
        let rest = size.checked_sub(within).filter(|rest| *rest > 0)?;
        let start = usize::try_from(offset.checked_add(within)?).ok()?;
        let end = start.saturating_add(usize::try_from(rest).unwrap_or(usize::MAX)).min(bytes.len());
        bytes.get(start..end)
    })
}

/// Finds `NT_GNU_BUILD_ID` in the note segments or, in an object file, in the note sections.
fn read_build_id<H: FileHeader<Endian = ByteOrder>>(
    endian: ByteOrder,
    bytes: &[u8],
    segments: &[H::ProgramHeader],
    sections: &[H::SectionHeader],
) -> Option<String> {
    let in_segments = segments.iter().filter_map(|s| s.notes(endian, bytes).ok().flatten());
    let in_sections = sections.iter().filter_map(|s| s.notes(endian, bytes).ok().flatten());
    for mut notes in in_segments.chain(in_sections) {
        while let Ok(Some(note)) = notes.next() {
            if note.name() == raw::ELF_NOTE_GNU && note.n_type(endian) == raw::NT_GNU_BUILD_ID {
                return Some(note.desc().iter().take(MAX_BUILD_ID).map(|b| format!("{b:02x}")).collect());
            }
        }
    }
    None
}
