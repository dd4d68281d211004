//! The parts of an object file that can be recognised in a program: functions, variables, texts.

use std::collections::{BTreeMap, HashMap, HashSet};

use fixedbitset::FixedBitSet;
use object::elf as raw;
use object::{Architecture, Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, SymbolKind};

use super::image::{Pattern, Run};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Code of a function; `compiled` when the member names a compiler, so is not assembly.
    Function { compiled: bool },
    /// A variable, or a section without one.
    Data,
    /// A text among the strings that the linker merges.
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) member: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) is_global: bool,
    /// `e_machine`.
    pub(super) machine: u16,
    pub(super) pattern: Pattern,
}

/// One member of an archive: its parts, and what the linker goes by when it takes members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) member: String,
    /// The global symbols that it defines.
    pub(super) defines: Vec<String>,
    /// The symbols that it cannot do without.
    pub(super) needs: Vec<String>,
    pub(super) units: Vec<Unit>,
}

/// Reads one member of an archive; `None` when it is no object file.
pub(super) fn read(member: &str, bytes: &[u8]) -> Option<Object> {
    let file = object::File::parse(bytes).ok()?;
    let names = |wanted: &dyn Fn(&object::Symbol<'_, '_>) -> bool| -> Vec<String> {
        let symbols = file.symbols().filter(|s| wanted(s));
        symbols.filter_map(|s| s.name().ok()).filter(|name| !name.is_empty()).map(str::to_string).collect()
    };
    Some(Object {
        member: member.to_string(),
        defines: names(&|s| s.is_global() && (s.is_definition() || s.is_common())),
        needs: names(&|s| s.is_undefined() && !s.is_weak()),
        units: units(member, &file, bytes),
    })
}

/// Returns the texts of a linked library or program: what is printable between two zeros of its constants.
pub(super) fn texts(bytes: &[u8]) -> Vec<Unit> {
    let Ok(file) = object::File::parse(bytes) else { return Vec::new() };
    let Ok(Some(elf)) = crate::cross::Elf::read(bytes) else { return Vec::new() };
    let constants = file.sections().filter(|s| s.name().is_ok_and(|name| name.starts_with(".rodata")));
    let printable = |text: &[u8]| {
        let text = text.strip_suffix(&[0]).unwrap_or_default();
        std::str::from_utf8(text).is_ok_and(|text| text.chars().all(|c| !c.is_control() || c.is_whitespace()))
    };
    let mut found = Vec::new();
    for data in constants.filter_map(|section| section.data().ok()) {
        for text in data.split_inclusive(|b| *b == 0).filter(|text| text.len() >= MIN_TEXT && printable(text)) {
            let name = String::from_utf8_lossy(text).trim_end_matches('\0').to_string();
            let (member, pattern) = (".rodata".to_string(), Pattern::exact(text));
            found.push(Unit { member, name, kind: Kind::Text, is_global: false, machine: elf.machine.number, pattern });
        }
    }
    found
}

/// Returns the functions that a shared library exports, but for those that every one has.
pub(super) fn exports(bytes: &[u8]) -> Vec<String> {
    let Ok(file) = object::File::parse(bytes) else { return Vec::new() };
    let functions = file.dynamic_symbols().filter(|s| s.is_definition() && s.kind() == SymbolKind::Text);
    let names = functions.filter_map(|s| s.name().ok()).filter(|name| !matches!(*name, "_init" | "_fini"));
    names.map(str::to_string).collect()
}

/// Pieces of functions that one shared library has and another has not: those that hold no address stand wherever the function is
/// compiled alike.
#[derive(Debug, Default)]
pub(super) struct Code {
    pieces: HashMap<Vec<u8>, String>,
    /// Which two bytes pieces begin with.
    starts: FixedBitSet,
}

/// How long a piece of code is: the beginnings and ends of functions are shorter.
const PIECE: usize = 32;
/// The most pieces that are looked for.
const MAX_PIECES: usize = 400;

impl Code {
    /// Takes pieces of the functions of `one` that are not in `other`.
    pub(super) fn of_one(one: &[u8], other: &[u8]) -> Code {
        let (ours, theirs) = (functions(one), functions(other));
        let mut changed: Vec<(&String, &&[u8])> =
            ours.iter().filter(|(name, data)| theirs.get(*name).is_none_or(|their| their != *data)).collect();
        // One of another length is changed for certain; where the length is the same it may be an address.
        changed.sort_by_key(|(name, data)| theirs.get(*name).is_some_and(|their| their.len() == data.len()));
        let pieces = changed.iter().flat_map(|(name, data)| data.chunks_exact(PIECE).map(move |piece| (*name, piece)));
        let telling = |piece: &[u8]| piece.iter().collect::<HashSet<_>>().len() >= PIECE / 3;
        let pieces: HashMap<Vec<u8>, String> = pieces
            .filter(|(_, piece)| telling(piece))
            .take(MAX_PIECES)
            .filter(|(_, piece)| memchr::memmem::find(other, piece).is_none())
            .map(|(name, piece)| (piece.to_vec(), name.clone()))
            .collect();
        let mut starts = FixedBitSet::with_capacity(1 << 16);
        pieces.keys().filter_map(|piece| start(piece)).for_each(|start| starts.insert(start));
        Code { pieces, starts }
    }

    /// Returns the function of which a piece stands in a program.
    pub(super) fn found_in(&self, image: &super::Image<'_>) -> Option<&str> {
        if self.pieces.is_empty() {
            return None;
        }
        let mut windows = image.data().flat_map(|data| data.windows(PIECE));
        let is_candidate = |window: &&[u8]| start(window).is_some_and(|start| self.starts.contains(start));
        windows
            .find_map(|window| Some(window).filter(is_candidate).and_then(|w| self.pieces.get(w)))
            .map(String::as_str)
    }
}

fn start(piece: &[u8]) -> Option<usize> {
    piece.first_chunk().map(|two| usize::from(u16::from_le_bytes(*two)))
}

/// Returns the functions of a shared library that have a name.
fn functions(bytes: &[u8]) -> BTreeMap<String, &[u8]> {
    let Ok(file) = object::File::parse(bytes) else { return BTreeMap::new() };
    let function = |s: object::Symbol<'_, '_>| {
        let wanted = s.is_definition() && s.kind() == SymbolKind::Text;
        let section = s.section_index().filter(|_| wanted).and_then(|index| file.section_by_index(index).ok())?;
        let data = section.data_range(s.address(), s.size()).ok().flatten()?;
        Some((s.name().ok()?.to_string(), data))
    };
    file.symbols().chain(file.dynamic_symbols()).filter_map(function).collect()
}

/// The shortest text that is looked for, its end included: shorter ones stand in any program.
const MIN_TEXT: usize = 10;

fn units<'data>(member: &str, file: &object::File<'data>, bytes: &'data [u8]) -> Vec<Unit> {
    let Ok(Some(elf)) = crate::cross::Elf::read(bytes) else { return Vec::new() };
    let machine = elf.machine.number;
    let compiled = file.section_by_name(".comment").is_some();
    let mut found = Vec::new();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        let has = |flag: raw::SectionFlags| sh_flags.0 & flag.0 != 0;
        let Ok(data) = section.data() else { continue };
        let unwinding = section.name().is_ok_and(|name| name.starts_with(".eh_frame") || name.starts_with(".ARM.ex"));
        if !has(raw::SHF_ALLOC) || data.is_empty() || unwinding {
            continue;
        }
        let unit = |name: String, kind, is_global, pattern: Pattern| Unit {
            member: member.to_string(),
            name,
            kind,
            is_global,
            machine,
            pattern,
        };
        if has(raw::SHF_MERGE) && has(raw::SHF_STRINGS) {
            for text in data.split_inclusive(|b| *b == 0).filter(|t| t.len() >= MIN_TEXT) {
                let name = String::from_utf8_lossy(text).trim_end_matches('\0').to_string();
                found.push(unit(name, Kind::Text, false, Pattern::exact(text)));
            }
            continue;
        }
        if has(raw::SHF_MERGE) {
            continue;
        }
        let code = has(raw::SHF_EXECINSTR);
        let sites = sites(file, &section, code, data.len());
        let relaxed =
            matches!(file.architecture(), Architecture::Riscv32 | Architecture::Riscv64 | Architecture::LoongArch64)
                && code;
        let mut covered = false;
        // Symbols overlap a little in real files; in a hostile one each could be as long as the section.
        let mut budget = data.len().saturating_mul(4);
        let index = section.index();
        for symbol in file.symbols().filter(|s| s.section_index() == Some(index) && s.size() > 0) {
            let kind = match symbol.kind() {
                SymbolKind::Text if code => Kind::Function { compiled },
                SymbolKind::Data | SymbolKind::Tls if !code => Kind::Data,
                _ => continue,
            };
            // The lowest bit of the address of a Thumb function says that it is one.
            let thumb = u64::from(code && machine == raw::EM_ARM.0);
            let start = usize::try_from(symbol.address() & !thumb).unwrap_or(usize::MAX);
            let size = usize::try_from(symbol.size()).unwrap_or(usize::MAX);
            let Some(part) = data.get(start..start.saturating_add(size)) else { continue };
            let Some(left) = budget.checked_sub(part.len()) else { break };
            budget = left;
            let pattern = Pattern::new(runs(part, start, &sites), part.len(), relaxed);
            covered = true;
            if let (Some(pattern), Ok(name)) = (pattern, symbol.name()) {
                found.push(unit(name.to_string(), kind, symbol.is_global(), pattern));
            }
        }
        if !covered && !code {
            let name = section.name().unwrap_or("?").to_string();
            let pattern = Pattern::new(runs(data, 0, &sites), data.len(), relaxed);
            found.extend(pattern.map(|pattern| unit(name, Kind::Data, false, pattern)));
        }
    }
    found
}

/// Returns the stretches of a section that the linker may rewrite, sorted: relocated words and, by machine, what stands
/// around them.
fn sites<'data>(
    file: &object::File<'data>,
    section: &object::Section<'data, '_>,
    code: bool,
    len: usize,
) -> Vec<(usize, usize)> {
    // Bytes before and after a site that are rewritten with it.
    let (before, after) = match file.architecture() {
        // mov through the GOT becomes lea: the opcode and its prefix stand before the relocated word.
        Architecture::X86_64 | Architecture::X86_64_X32 | Architecture::I386 if code => (3, 0),
        // The nop after a call becomes the restoring of the TOC pointer.
        Architecture::PowerPc64 if code => (0, 4),
        Architecture::S390x if code => (2, 2),
        // Relocations of 16-bit halves name the half.
        Architecture::PowerPc if code => (2, 0),
        _ => (0, 0),
    };
    let riscv = matches!(file.architecture(), Architecture::Riscv32 | Architecture::Riscv64);
    let word = if !code && file.is_64() { 8 } else { 4 };
    let mut sites: Vec<(usize, usize)> = section
        .relocations()
        .filter_map(|(offset, relocation)| {
            let object::RelocationFlags::Elf { r_type } = relocation.flags() else { return None };
            let mut size = word.max(usize::from(relocation.size()) / 8);
            if riscv && [raw::R_RISCV_CALL.0, raw::R_RISCV_CALL_PLT.0].contains(&r_type.0) {
                size = 8;
            } else if riscv && r_type.0 == raw::R_RISCV_ALIGN.0 {
                // That many bytes of padding may go.
                size = usize::try_from(relocation.addend()).unwrap_or(0).min(len);
            }
            let offset = usize::try_from(offset).ok()?;
            Some((offset.saturating_sub(before), offset.checked_add(size)?.checked_add(after)?))
        })
        .collect();
    sites.sort_unstable();
    sites
}

/// Cuts `part`, which begins at `start` of its section, at the sites.
fn runs(part: &[u8], start: usize, sites: &[(usize, usize)]) -> Vec<Run> {
    let mut found = Vec::new();
    let mut from = 0;
    let mut add = |from: usize, to: usize| {
        if let Some(bytes) = part.get(from..to).filter(|b| !b.is_empty()) {
            found.push(Run { at: from, bytes: bytes.to_vec() });
        }
    };
    for (site, end) in sites {
        let (site, end) = (site.saturating_sub(start).min(part.len()), end.saturating_sub(start).min(part.len()));
        if end > from {
            add(from, site.max(from));
            from = end;
        }
    }
    add(from, part.len());
    found
}
