//! A program as a linker left it, and patterns of bytes with gaps that are looked for in it.

use std::collections::HashSet;

use memchr::memmem;
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _};

/// What of a program is loaded, and its symbols.
pub(super) struct Image<'data> {
    /// Offset in the file and bytes of each loaded segment.
    segments: Vec<(u64, &'data [u8])>,
    /// The names of its functions; `None` when it is stripped and exports none.
    pub(super) symbols: Option<HashSet<&'data str>>,
    /// Whether these are only those that it exports.
    pub(super) exported_only: bool,
}

impl<'data> Image<'data> {
    /// Takes an archive whole, with the functions that its table of symbols names.
    pub(super) fn of_archive(bytes: &'data [u8]) -> Image<'data> {
        let symbols = || {
            let archive = object::read::archive::ArchiveFile::parse(bytes).ok()?;
            let symbols = archive.symbols().ok()??;
            Some(symbols.filter_map(|s| std::str::from_utf8(s.ok()?.name()).ok()).collect::<HashSet<_>>())
        };
        let symbols = symbols().filter(|names| !names.is_empty());
        Image { segments: vec![(0, bytes)], symbols, exported_only: false }
    }

    pub(super) fn whole(bytes: &'data [u8]) -> Image<'data> {
        Image { segments: vec![(0, bytes)], symbols: None, exported_only: false }
    }

    pub(super) fn data(&self) -> impl Iterator<Item = &'data [u8]> {
        self.segments.iter().map(|(_, data)| *data)
    }

    /// Takes the loaded segments; a program whose headers cannot be read is taken whole.
    pub(super) fn new(program: &'data [u8]) -> Image<'data> {
        let whole = || Image::whole(program);
        let Ok(file) = object::File::parse(program) else { return whole() };
        let segments: Vec<_> = file.segments().filter_map(|s| Some((s.file_range().0, s.data().ok()?))).collect();
        if segments.is_empty() {
            return whole();
        }
        let functions = |symbols: &mut dyn Iterator<Item = object::Symbol<'data, '_>>| -> HashSet<&'data str> {
            let functions = symbols.filter(|s| s.is_definition() && s.kind() == object::SymbolKind::Text);
            functions.filter_map(|s| s.name().ok()).collect()
        };
        let names = functions(&mut file.symbols());
        let exported_only = names.is_empty();
        let names = if exported_only { functions(&mut file.dynamic_symbols()) } else { names };
        Image { segments, symbols: Some(names).filter(|names| !names.is_empty()), exported_only }
    }
}

/// Bytes without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Run {
    /// Where it stands in the part.
    pub(super) at: usize,
    pub(super) bytes: Vec<u8>,
}

/// Bytes with gaps where the linker writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    runs: Vec<Run>,
    len: usize,
    /// The gaps may also shrink (linker relaxation).
    relaxed: bool,
}

/// The fewest bytes outside gaps that make a part recognisable, and of them in one piece.
const MIN_BYTES: usize = 16;
const MIN_ANCHOR: usize = 8;
/// The most places where the anchor stands that are looked at; runs of zeros stand everywhere.
const MAX_TRIES: usize = 4096;

impl Pattern {
    /// Makes a pattern; `None` when it has too little to be recognised by.
    pub(super) fn new(runs: Vec<Run>, len: usize, relaxed: bool) -> Option<Pattern> {
        let pattern = Pattern { runs, len, relaxed };
        let telling = |run: &Run| run.bytes.iter().collect::<HashSet<_>>().len() >= 4;
        let anchor = pattern.anchor().is_some_and(|(_, run)| run.bytes.len() >= MIN_ANCHOR && telling(run));
        (anchor && pattern.compared() >= MIN_BYTES).then_some(pattern)
    }

    /// Makes a pattern without gaps.
    pub(super) fn exact(bytes: &[u8]) -> Pattern {
        Pattern { runs: vec![Run { at: 0, bytes: bytes.to_vec() }], len: bytes.len(), relaxed: false }
    }

    /// Returns the length with the gaps, in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of bytes that are compared.
    pub(super) fn compared(&self) -> usize {
        self.runs.iter().map(|run| run.bytes.len()).sum()
    }

    fn anchor(&self) -> Option<(usize, &Run)> {
        self.runs.iter().enumerate().max_by_key(|(_, run)| run.bytes.len())
    }

    /// Says whether the bytes of a pattern without gaps stand anywhere.
    pub(super) fn stands_in(&self, bytes: &[u8]) -> bool {
        self.anchor().is_some_and(|(_, run)| memmem::find(bytes, &run.bytes).is_some())
    }

    /// Returns the offset in the file where the pattern stands first.
    pub(super) fn find_in(&self, image: &Image<'_>) -> Option<u64> {
        let (index, anchor) = self.anchor()?;
        let finder = memmem::Finder::new(&anchor.bytes);
        image.segments.iter().find_map(|(offset, data)| {
            let mut tries = finder.find_iter(data).take(MAX_TRIES);
            let start = tries.find_map(|at| self.stands_at(data, index, at))?;
            Some(offset + start as u64)
        })
    }

    /// Compares the other runs around an anchor that stands at `at`; returns where the pattern begins.
    fn stands_at(&self, data: &[u8], index: usize, at: usize) -> Option<usize> {
        let (earlier, later) = (self.runs.get(..index)?, self.runs.get(index + 1..)?);
        let anchor = self.runs.get(index)?;
        // Forward from the anchor.
        let (mut end, mut seen) = (at + anchor.bytes.len(), anchor.at + anchor.bytes.len());
        for run in later {
            let gap = run.at.checked_sub(seen)?;
            end = self.within(gap, |gap| {
                let from = end.checked_add(gap)?;
                let to = from.checked_add(run.bytes.len())?;
                (data.get(from..to)? == run.bytes).then_some(to)
            })?;
            seen = run.at + run.bytes.len();
        }
        // Backward from it.
        let (mut start, mut seen) = (at, anchor.at);
        for run in earlier.iter().rev() {
            let gap = seen.checked_sub(run.at + run.bytes.len())?;
            start = self.within(gap, |gap| {
                let to = start.checked_sub(gap)?;
                let from = to.checked_sub(run.bytes.len())?;
                (data.get(from..to)? == run.bytes).then_some(from)
            })?;
            seen = run.at;
        }
        Some(start)
    }

    /// Tries a gap as it is and, where the linker may shrink it, every smaller one.
    fn within(&self, gap: usize, stands: impl Fn(usize) -> Option<usize>) -> Option<usize> {
        let least = if self.relaxed { 0 } else { gap };
        (least..=gap).rev().find_map(stands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(runs: &[(usize, &[u8])], relaxed: bool) -> Pattern {
        let runs: Vec<Run> = runs.iter().map(|(at, bytes)| Run { at: *at, bytes: bytes.to_vec() }).collect();
        let len = runs.last().map_or(0, |r| r.at + r.bytes.len());
        Pattern::new(runs, len, relaxed).unwrap()
    }

    fn find(pattern: &Pattern, data: &[u8]) -> Option<u64> {
        pattern.find_in(&Image { segments: vec![(100, data)], symbols: None, exported_only: false })
    }

    #[test]
    fn gaps_take_any_bytes_of_their_length() {
        let wanted = pattern(&[(0, b"head"), (6, b"the anchor"), (20, b"tail")], false);
        assert_eq!(find(&wanted, b"..head12the anchor1234tail.."), Some(102));
        assert_eq!(find(&wanted, b"..head12the anchor123tail.."), None);
        assert_eq!(find(&wanted, b"..head12the anchor1234"), None);
        assert_eq!(find(&wanted, b"ad12the anchor1234tail"), None);
        // The first anchor does not fit, the second does.
        assert_eq!(find(&wanted, b"the anchor..head12the anchor1234tail"), Some(112));
    }

    #[test]
    fn relaxed_gaps_may_shrink_but_not_grow() {
        let wanted = pattern(&[(0, b"head"), (8, b"the anchor"), (22, b"tail")], true);
        assert_eq!(find(&wanted, b"head12the anchortail"), Some(100));
        assert_eq!(find(&wanted, b"head1234the anchor1234tail"), Some(100));
        assert_eq!(find(&wanted, b"head12345the anchor1234tail"), None);
    }

    #[test]
    fn too_little_is_no_pattern() {
        let run = |bytes: &[u8]| vec![Run { at: 0, bytes: bytes.to_vec() }];
        assert_eq!(Pattern::new(run(b"short"), 5, false), None);
        assert_eq!(Pattern::new(run(&[0; 64]), 64, false), None);
        assert_eq!(Pattern::new(Vec::new(), 0, false), None);
        assert!(Pattern::new(run(b"long enough for it"), 18, false).is_some());
    }
}
