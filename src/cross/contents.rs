//! Whether the patched code of a static library is in a program that was linked with it.
//!
//! The library is given twice, as its `.a` was built without and with the patch. Functions, data and strings that differ
//! between the two are looked for in the program: which of the two versions is there? Bytes that the linker fills
//! in do not count. Where neither is there, functions that did not change tell whether the program was linked with
//! this library at all: rustc, for one, links a musl of its own unless told not to, and then everything but the
//! contents of the program looks right. Must not look at files.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};
use std::ops::Deref;

use serde::Serialize;

use super::archive;
use super::elf::{Elf, Kind as ElfKind};
use super::error::Error;

mod image;
mod unit;

use image::{Image, Pattern};
use unit::{Code, Kind, Object, Unit};

/// The answer for one library and one program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Patched code is in the program, and no unpatched code.
    Patched,
    /// Unpatched code of the library is in the program, or code of another build of the library.
    Unpatched,
    /// Both are in the program: it was linked with two copies.
    Mixed,
    /// The program is linked with the library, but with none of the parts that the patch changes.
    Unused,
    /// The patch changes no code and no data of the library on this platform (what it changes is not compiled here),
    /// or the two archives are one.
    Unchanged,
    /// It cannot be told.
    Unknown,
}

/// One part of the library that was found in the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// The member of the archive, `strerror.o`.
    pub member: String,
    /// The function, the variable or the text.
    pub part: String,
    pub patched: bool,
    /// Where in the program's file it begins, in bytes.
    pub offset: u64,
    /// The number of bytes that were compared and are equal.
    pub bytes: usize,
    /// Whether it is a text, which others can have as well.
    #[serde(skip)]
    pub text: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contents {
    pub verdict: Verdict,
    pub why: String,
    /// What of the changed parts is in the program, patched or not.
    pub evidence: Vec<Evidence>,
    /// The members that the patch changes, adds or removes, in their code or data.
    pub changed_members: Vec<String>,
    /// Of how many functions that did not change it was asked whether the program has them.
    pub asked: usize,
    /// How many of these it has.
    pub same: usize,
    /// Whether a copy of the library is in it of which it cannot be told whether it is patched.
    pub copy: bool,
}

/// The most unchanged functions that are looked for, the largest first: each costs a search of the program.
const MAX_ASKED: usize = 200;
/// The most changed parts that are looked for.
const MAX_CHANGED: usize = 2000;

/// A library without and with the patch, taken apart once for many programs.
#[derive(Debug)]
pub struct Library {
    changes: Changes,
    /// The processors that it is for.
    machines: HashSet<u16>,
    /// The members that every static program of a C library holds.
    basis: HashSet<String>,
    /// The functions that it exports, where it is a shared library.
    exports: Vec<String>,
    /// Pieces of its code, where it is a shared library, that it has without the patch only.
    code: Code,
}

impl Library {
    /// Takes two archives apart; the answer for every program where they say nothing.
    ///
    /// # Errors
    /// [`Error::Archive`] when one is damaged.
    pub fn archive(before: &[u8], after: &[u8]) -> Result<Result<Library, Contents>, Error> {
        let (Some(old), Some(objects)) = (read(before)?, read(after)?) else {
            return Ok(Err(unknown("the library is no archive")));
        };
        let basis = always_linked(&objects);
        let units = |objects: Vec<Object>| objects.into_iter().flat_map(|o| o.units).collect::<Vec<Unit>>();
        let (old, new) = (units(old), units(objects));
        if old.is_empty() || new.is_empty() {
            let why = "the archive holds no machine code (a thin archive, or link-time optimisation)";
            return Ok(Err(unknown(why)));
        }
        let library = Library { basis, ..Library::between(old, new) };
        if library.changes.parts.is_empty() {
            let why = "the patch changes no machine code and no data of the archive";
            return Ok(Err(Contents { verdict: Verdict::Unchanged, ..unknown(why) }));
        }
        Ok(Ok(library))
    }

    fn between(old: Vec<Unit>, new: Vec<Unit>) -> Library {
        let machines = new.iter().map(|unit| unit.machine).collect();
        let changes = Changes::between(old, new);
        Library { changes, machines, basis: HashSet::new(), exports: Vec::new(), code: Code::default() }
    }

    /// Takes the texts of two shared libraries; their code is fitted to its place and cannot be compared.
    ///
    /// A copy can be recognised also where no text differs: by the functions that the library exports. Of programs nothing is taken,
    /// they hold others' texts.
    pub fn shared(before: &[u8], after: &[u8]) -> Option<Library> {
        let is_library = |bytes: &[u8]| Elf::read(bytes).ok().flatten().is_some_and(|elf| elf.kind == ElfKind::Shared);
        if !is_library(before) || !is_library(after) {
            return None;
        }
        let (mut old, mut new) = (unit::texts(before), unit::texts(after));
        // Where a text begins is not always to be seen: what stands in the other one somewhere is no difference.
        let only_here = |units: &mut Vec<Unit>, others: &[Unit], bytes: &[u8]| {
            let theirs: HashSet<&Pattern> = others.iter().map(|unit| &unit.pattern).collect();
            units.retain(|unit| theirs.contains(&unit.pattern) || !unit.pattern.stands_in(bytes));
        };
        let all = old.clone();
        only_here(&mut old, &new, after);
        only_here(&mut new, &all, before);
        let code = Code::of_one(before, after);
        Some(Library { exports: unit::exports(after), code, ..Library::between(old, new) })
    }

    /// Says which version is in a program or library.
    ///
    /// Its symbol table is used where it has one. Relocations, and what linkers rewrite around them, are left out of the comparison.
    ///
    /// # Errors
    /// [`Error::Elf`] when its header is damaged.
    pub fn look(&self, program: &[u8]) -> Result<Contents, Error> {
        if archive::members(program).ok().flatten().is_some() {
            return Ok(self.compare(&Image::of_archive(program), false));
        }
        let Some(elf) = Elf::read(program)? else { return Ok(unknown("it is no ELF file")) };
        if !self.machines.is_empty() && !self.machines.contains(&elf.machine.number) {
            return Ok(unknown("the library is for another processor"));
        }
        let mut result = self.compare(&Image::new(program), elf.is_static());
        if result.verdict == Verdict::Unknown && !elf.is_static() && !result.copy {
            result.why.push_str("; it is linked dynamically, so look at the shared libraries that it loads");
        }
        Ok(result)
    }

    /// Says which version is in bytes without a header, as of a firmware.
    pub fn look_at_raw(&self, bytes: &[u8]) -> Contents {
        self.compare(&Image::whole(bytes), false)
    }

    /// Says whether a program or library calls what a shared library exports.
    pub fn is_called_by(&self, program: &[u8]) -> bool {
        use object::{Object as _, ObjectSymbol as _};
        let Ok(file) = object::File::parse(program) else { return false };
        let mut called = file.dynamic_symbols().filter(|s| s.is_undefined()).filter_map(|s| s.name().ok());
        called.any(|name| self.exports.iter().any(|export| export == name))
    }

    fn compare(&self, image: &Image<'_>, is_static: bool) -> Contents {
        let Changes { parts, unchanged } = &self.changes;
        let mut evidence = Vec::new();
        for change in parts.iter().take(MAX_CHANGED) {
            change.look(image, &mut evidence);
        }
        // Only a static program holds what starts it.
        let (question, asked) = Question::choose(unchanged, image, is_static.then_some(&self.basis));
        let same = asked.iter().filter(|u| u.pattern.find_in(image).is_some()).count();
        // That many more searches are only for what nothing else tells.
        let held = LazyCell::new(|| Held::of(self, image));
        // A short text alone is no sign of the library: others say `out of memory` as well.
        let alone_says_much = |e: &Evidence| e.patched || !e.text || e.bytes > LONG_TEXT;
        if same == 0 && !evidence.iter().all(alone_says_much) && !held.says_copy() {
            evidence.retain(alone_says_much);
        }
        let mut result = Contents {
            verdict: Verdict::Unknown,
            why: String::new(),
            evidence,
            changed_members: self.changes.members(),
            asked: asked.len(),
            same,
            copy: false,
        };
        conclude(&mut result, question, &held, is_static);
        if result.verdict == Verdict::Unused && parts.len() > MAX_CHANGED {
            result.verdict = Verdict::Unknown;
            result.copy = true;
            result.why = format!(
                "the patch changes {} parts of the library, of which {MAX_CHANGED} were looked for",
                parts.len()
            );
        }
        if result.verdict == Verdict::Unknown
            && let Some(name) = self.code.found_in(image)
        {
            result.copy = true;
            result.why = format!("it holds code of `{name}` as it is without the patch");
        }
        result
    }
}

impl Contents {
    /// What holds something without the patch, other than code.
    pub fn unpatched(why: String) -> Contents {
        Contents { verdict: Verdict::Unpatched, ..unknown(&why) }
    }
}

/// How much of what did not change is in a program beside its code: texts, and names of functions that it exports.
struct Held {
    texts: usize,
    of: usize,
    longest: usize,
    names: usize,
    of_names: usize,
}

/// The longest text that others can have as well.
const LONG_TEXT: usize = 16;

impl Held {
    fn of(library: &Library, image: &Image<'_>) -> Held {
        let mut texts: Vec<&Unit> = library
            .changes
            .unchanged
            .iter()
            .filter(|u| u.kind == Kind::Text && u.pattern.len() > LONG_TEXT)
            .take(MAX_ASKED)
            .collect();
        let of = texts.len();
        texts.retain(|u| u.pattern.find_in(image).is_some());
        let names = |symbols: &HashSet<&str>| library.exports.iter().filter(|n| symbols.contains(n.as_str())).count();
        Held {
            texts: texts.len(),
            of,
            longest: texts.iter().map(|u| u.pattern.len()).max().unwrap_or(0),
            names: image.symbols.as_ref().map_or(0, names),
            of_names: library.exports.len(),
        }
    }

    fn says_copy(&self) -> bool {
        let texts = self.texts * 2 >= self.of && (self.texts >= 2 || self.longest > 2 * LONG_TEXT);
        texts || self.names >= 2 && self.names * 2 >= self.of_names
    }
}

fn unknown(why: &str) -> Contents {
    Contents {
        verdict: Verdict::Unknown,
        why: why.to_string(),
        evidence: Vec::new(),
        changed_members: Vec::new(),
        asked: 0,
        same: 0,
        copy: false,
    }
}

fn read(bytes: &[u8]) -> Result<Option<Vec<Object>>, Error> {
    let Some(members) = archive::members(bytes)? else { return Ok(None) };
    let objects = members.into_iter().filter_map(|m| unit::read(&String::from_utf8_lossy(m.name), m.data?));
    Ok(Some(objects.collect()))
}

/// Where every statically linked program of a C library begins.
const START: &str = "__libc_start_main";

/// Returns the names of the members that every static program of a C library holds: the one that starts programs, and
/// what it cannot do without. Empty for another library.
fn always_linked(objects: &[Object]) -> HashSet<String> {
    let mut by_symbol: HashMap<&str, usize> = HashMap::new();
    for (index, object) in objects.iter().enumerate() {
        for name in &object.defines {
            // The linker takes the first.
            by_symbol.entry(name).or_insert(index);
        }
    }
    let mut taken = HashSet::new();
    let mut rest: Vec<usize> = by_symbol.get(START).copied().into_iter().collect();
    while let Some(index) = rest.pop() {
        let Some(object) = objects.get(index).filter(|_| taken.insert(index)) else { continue };
        rest.extend(object.needs.iter().filter_map(|name| by_symbol.get(name.as_str())));
    }
    taken.into_iter().filter_map(|index| Some(objects.get(index)?.member.clone())).collect()
}

/// A part of the library that is not the same on both sides; a side is `None` where the part is not there.
#[derive(Debug)]
struct Change {
    old: Option<Unit>,
    new: Option<Unit>,
}

#[derive(Debug)]
struct Changes {
    parts: Vec<Change>,
    unchanged: Vec<Unit>,
}

impl Changes {
    fn between(old: Vec<Unit>, new: Vec<Unit>) -> Changes {
        // The same name can stand in a member more than once (static functions of included files).
        fn by_key(units: &[Unit]) -> HashMap<(&str, &str), Vec<&Unit>> {
            let mut map: HashMap<_, Vec<&Unit>> = HashMap::new();
            for unit in units {
                map.entry((unit.member.as_str(), unit.name.as_str())).or_default().push(unit);
            }
            map
        }
        let (old_by_key, new_by_key) = (by_key(&old), by_key(&new));
        // What merely moved to another member or name says nothing.
        let old_patterns: HashSet<_> = old.iter().map(|u| &u.pattern).collect();
        let new_patterns: HashSet<_> = new.iter().map(|u| &u.pattern).collect();
        let (mut parts, mut unchanged) = (Vec::new(), Vec::new());
        for (key, units) in &new_by_key {
            let others = old_by_key.get(key).map(Vec::as_slice).unwrap_or_default();
            for (index, unit) in units.iter().enumerate() {
                match others.get(index) {
                    Some(other) if other.pattern == unit.pattern => unchanged.push((*unit).clone()),
                    _ if old_patterns.contains(&unit.pattern) => {}
                    other => {
                        let other = other.copied().filter(|o| !new_patterns.contains(&o.pattern));
                        parts.push(Change { old: other.cloned(), new: Some((*unit).clone()) });
                    }
                }
            }
        }
        for (key, units) in &old_by_key {
            let others = new_by_key.get(key).map_or(0, Vec::len);
            let gone = units.iter().skip(others).filter(|u| !new_patterns.contains(&u.pattern));
            parts.extend(gone.map(|unit| Change { old: Some((*unit).clone()), new: None }));
        }
        parts.sort_by(|a, b| a.key().cmp(&b.key()));
        unchanged.sort_by(|a, b| b.pattern.len().cmp(&a.pattern.len()).then_with(|| a.name.cmp(&b.name)));
        Changes { parts, unchanged }
    }

    fn members(&self) -> Vec<String> {
        let mut names: Vec<String> = self.parts.iter().map(|p| p.key().0.to_string()).collect();
        names.dedup();
        names
    }
}

impl Change {
    fn key(&self) -> (&str, &str) {
        let unit = self.new.as_ref().or(self.old.as_ref());
        unit.map_or(("", ""), |u| (u.member.as_str(), u.name.as_str()))
    }

    /// Looks for both sides in the program.
    fn look(&self, image: &Image<'_>, evidence: &mut Vec<Evidence>) {
        fn found<'u>(unit: &'u Option<Unit>, image: &Image<'_>) -> Option<(u64, &'u Unit)> {
            unit.as_ref().and_then(|u| Some((u.pattern.find_in(image)?, u)))
        }
        let (mut old, mut new) = (found(&self.old, image), found(&self.new, image));
        // One version can be a part of the other, as a text that grew: the longer one is meant.
        if let (Some((old_at, old_unit)), Some((new_at, new_unit))) = (old, new)
            && old_at < new_at + new_unit.pattern.len() as u64
            && new_at < old_at + old_unit.pattern.len() as u64
        {
            match old_unit.pattern.len().cmp(&new_unit.pattern.len()) {
                std::cmp::Ordering::Less => old = None,
                std::cmp::Ordering::Greater => new = None,
                std::cmp::Ordering::Equal => return,
            }
        }
        for (hit, patched) in [(old, false), (new, true)] {
            let Some((offset, unit)) = hit else { continue };
            let (member, part) = (unit.member.clone(), unit.name.clone());
            let text = unit.kind == Kind::Text;
            evidence.push(Evidence { member, part, patched, offset, bytes: unit.pattern.compared(), text });
        }
    }
}

/// By what it is found out whether a program was linked with the library at all: unchanged functions that it should
/// have. Functions written in assembly are the same in every build of a library and are left out.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Question {
    /// Those whose names stand in the program's symbol table.
    Named,
    /// Those that every static program of this C library has.
    Basis,
    /// The largest: some of them may be there.
    Largest,
}

impl Question {
    fn choose<'a>(
        unchanged: &'a [Unit],
        image: &Image<'_>,
        basis: Option<&HashSet<String>>,
    ) -> (Question, Vec<&'a Unit>) {
        let compiled = |u: &&Unit| u.kind == Kind::Function { compiled: true } && u.is_global;
        let all = || unchanged.iter().filter(compiled);
        let capped = |units: &mut dyn Iterator<Item = &'a Unit>| units.take(MAX_ASKED).collect::<Vec<_>>();
        if let Some(names) = &image.symbols {
            let named = capped(&mut all().filter(|u| names.contains(u.name.as_str())));
            // What a stripped library exports may have nothing to do with a copy that it hides.
            if !named.is_empty() || !image.exported_only {
                return (Question::Named, named);
            }
        }
        let basic = capped(&mut all().filter(|u| basis.is_some_and(|basis| basis.contains(&u.member))));
        if basic.is_empty() { (Question::Largest, capped(&mut all())) } else { (Question::Basis, basic) }
    }

    /// Says whether the answer means that the program was linked with another build of the library.
    fn says_foreign(self, asked: usize, same: usize) -> bool {
        match self {
            Question::Named => asked >= 4 && same * 3 < asked,
            Question::Basis => asked >= 3 && same * 3 < asked,
            Question::Largest => false,
        }
    }

    /// Says whether the answer means that it was linked with this library.
    fn says_linked(self, asked: usize, same: usize) -> bool {
        match self {
            Question::Named | Question::Basis => same * 3 >= asked * 2 && same > 0,
            // Of a small library there are not more.
            Question::Largest => same >= 3 || same >= 2 && same * 3 >= asked * 2,
        }
    }
}

fn conclude(result: &mut Contents, question: Question, held: &impl Deref<Target = Held>, is_static: bool) {
    let patched = result.evidence.iter().filter(|e| e.patched).count();
    let unpatched = result.evidence.len() - patched;
    let (asked, same) = (result.asked, result.same);
    let first = |patched: bool| {
        let found = result.evidence.iter().filter(|e| e.patched == patched).max_by_key(|e| e.bytes);
        found.map(|e| format!("`{}` of {}", e.part, e.member)).unwrap_or_default()
    };
    let (verdict, why) = if patched > 0 && unpatched > 0 {
        (Verdict::Mixed, format!("it holds {} as patched and {} as unpatched", first(true), first(false)))
    } else if patched > 0 {
        (Verdict::Patched, format!("it holds the patched {}", first(true)))
    } else if unpatched > 0 {
        (Verdict::Unpatched, format!("it holds the unpatched {}", first(false)))
    } else if question.says_foreign(asked, same) {
        let which = match question {
            Question::Named => "that have the names of this library's are not its code",
            _ => "that every static program of this library holds are not in it",
        };
        let why = format!(
            "it was linked with another library or another build of this one: {} of {asked} functions {which}",
            asked - same
        );
        // Of a file that was not linked with the archive it says that there is a copy, not which one.
        result.copy = !is_static;
        (if is_static { Verdict::Unpatched } else { Verdict::Unknown }, why)
    } else if question.says_linked(asked, same) {
        (Verdict::Unused, "it is linked with the library, but uses nothing that the patch changes".to_string())
    } else if held.says_copy() {
        result.copy = true;
        let why = format!(
            "{} of {} texts of the library are in it, and of its code nothing was recognised",
            held.texts, held.of
        );
        (Verdict::Unknown, why)
    } else if same > 0 {
        result.copy = question == Question::Named;
        let why = format!("only {same} of {asked} functions of the library were recognised in it");
        (Verdict::Unknown, why)
    } else {
        (Verdict::Unknown, "nothing of the library was recognised in it".to_string())
    };
    result.verdict = verdict;
    result.why = why;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function of a library by its number: no two are alike, and no linker changes them.
    fn function(number: usize, of: &str) -> Unit {
        let text = format!("{number:08} of {of} in a library of the test");
        let (member, name) = ("a.o".to_string(), format!("f{number:08}"));
        let kind = Kind::Function { compiled: true };
        Unit { member, name, kind, is_global: true, machine: 62, pattern: Pattern::exact(text.as_bytes()) }
    }

    fn program(units: &[Unit]) -> Vec<u8> {
        units
            .iter()
            .map(|unit| unit.name.trim_start_matches('f'))
            .flat_map(|n| format!("{n} of both in a library of the test").into_bytes())
            .collect()
    }

    #[test]
    fn where_more_is_changed_than_is_looked_for_nothing_is_green() {
        let both: Vec<Unit> = (0..8).map(|n| function(n, "both")).collect();
        let with = |of: &str, count: usize| [both.clone(), (8..8 + count).map(|n| function(n, of)).collect()].concat();
        let verdict = |count: usize, more: &[u8]| {
            let library = Library::between(with("old", count), with("new", count));
            library.compare(&Image::whole(&[&program(&both), more].concat()), false).verdict
        };
        assert_eq!(verdict(MAX_CHANGED, b""), Verdict::Unused);
        assert_eq!(verdict(MAX_CHANGED, b"00000009 of old in a library of the test"), Verdict::Unpatched);
        assert_eq!(verdict(MAX_CHANGED + 1, b""), Verdict::Unknown);
        let last = format!("{:08} of old in a library of the test", 8 + MAX_CHANGED);
        assert_eq!(verdict(MAX_CHANGED + 1, last.as_bytes()), Verdict::Unknown);
    }
}
