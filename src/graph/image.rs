//! The one form of a graph, in memory and on disk: a header and plain sections in one block of bytes.
//!
//! ```text
//! header          20 words of 64 bits: magic, version and byte order, checksum, length, counts
//! nodes           16 x u32 each, one more at the end: texts, flags, where its outputs and links start, digest
//! outputs         4 x u32: name, path
//! links           2 x u32: sources and patches of each node
//! roots           4 x u32: attribute, node, whether there is an attribute
//! missing         2 x u32: derivations that could not be read
//! input rows      offsets (nodes + 1) and targets (edges)
//! by path         nodes in the order of their .drv paths
//! dependent rows  offsets (nodes + 1) and targets (edges)
//! fixed outputs   a bit for each node
//! by source       2 x u32, sorted: hash of a source's path, node; of nodes that are not fixed-output
//! by package      2 x u32, sorted: hash of the package name, node; of nodes that are not fixed-output
//! marks           4 x u32, sorted: hash of an attribute, the attribute, variant; see `marks.rs`, as the next three
//! variants        2 x u32, sorted: node, variant
//! variant rows    offsets (variants + 1) and dependents
//! text            UTF-8; that of a node in one piece, nodes in their order
//! checksums       a word for each 256 KiB of the sections
//! ```
//!
//! Every section starts at a multiple of 8 bytes. Nodes are numbered so that inputs come before what needs them; so a
//! row of inputs holds only smaller numbers, and a graph that passes [`Image::prove_all`] has no cycle. What comes from a
//! file is proved block by block, before anything in a block is used. Must not read files.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;
use twox_hash::XxHash3_128;

use super::error::{CacheProblem, Error};
use super::layout::{BLOCK, Counts, HEADER, Layout};

mod proof;

/// The number of a node, from 0; inputs have smaller numbers than what needs them.
pub type NodeId = u32;

const MAGIC: u64 = u64::from_le_bytes(*b"ovgraph\n");
/// Rises with every change of the layout or of the meaning of a field.
const VERSION: u64 = 3;
/// Reads as another number where the byte order is another.
const ORDER: u64 = 0x0102_0304 << 32;
/// Whether sums count as right: a fuzzer cannot make them, and what is behind them is what it is for.
const UNSUMMED: bool = cfg!(fuzzing);

/// A flag of a node: all outputs are given by hash.
pub(super) const FIXED_OUTPUT: u32 = 1;
/// Above the flags: 31 bits of the digest of the shape.
pub(super) const SHAPE_SHIFT: u32 = 1;

/// What marks tell, for [`Image::with_marks`]. Texts are places in `text`.
#[derive(Debug, Default)]
pub(super) struct MarkRows {
    pub marks: Vec<[u32; 4]>,
    pub variants: Vec<[u32; 2]>,
    pub offsets: Vec<u32>,
    pub dependents: Vec<u32>,
    pub text: Vec<u8>,
}

/// A graph as bytes whose layout is known.
#[derive(Debug)]
pub(super) struct Image {
    /// Words, so that the sections are aligned.
    words: Vec<u64>,
    layout: Box<Layout>,
    /// Spans of the key and of the store directory in the text.
    key: (u32, u32),
    store_dir: (u32, u32),
    /// Which blocks are known to be as they were written; none of them where all are.
    proved: Vec<AtomicBool>,
    /// Whether the structure was checked too.
    whole: AtomicBool,
}

impl Image {
    /// Seals sections that were written behind an empty header.
    pub(super) fn seal(mut words: Vec<u64>, layout: Layout, key: (u32, u32), store_dir: (u32, u32)) -> Image {
        let counts = layout.counts;
        let pair = |(start, length): (u32, u32)| u64::from(start) << 32 | u64::from(length);
        let header = [
            MAGIC,
            ORDER | VERSION,
            0,
            layout.length as u64,
            counts.nodes as u64,
            counts.edges as u64,
            counts.outputs as u64,
            counts.links as u64,
            counts.roots as u64,
            counts.missing as u64,
            counts.text as u64,
            pair(key),
            pair(store_dir),
            counts.packages as u64,
            counts.sources as u64,
            counts.marks as u64,
            counts.variants as u64,
            counts.marked as u64,
            counts.marked_edges as u64,
            0,
        ];
        for (word, value) in words.iter_mut().zip(header) {
            *word = value;
        }
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        let sums: Vec<u64> = bytes
            .get(layout.summed())
            .unwrap_or_default()
            .par_chunks(BLOCK)
            .map(|block| XxHash3_128::oneshot(block) as u64)
            .collect();
        if let Some(place) = words.get_mut(layout.sums.start / 8..layout.sums.end / 8)
            && place.len() == sums.len()
        {
            place.copy_from_slice(&sums);
        }
        let sum = checksum(bytemuck::cast_slice(&words), &layout);
        if let Some(word) = words.get_mut(2) {
            *word = sum;
        }
        Image { words, layout: Box::new(layout), key, store_dir, proved: Vec::new(), whole: AtomicBool::new(true) }
    }

    /// Returns the bytes as they go into a file.
    pub(super) fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words)
    }

    /// Returns the same graph with another key: the text of the key is put at the end.
    pub(super) fn with_key(&self, key: &str) -> Result<Image, Error> {
        let mut counts = self.layout.counts;
        let start = u32::try_from(counts.text).map_err(|_| Error::TooLarge { what: "bytes of text" })?;
        counts.text += key.len();
        let length = u32::try_from(counts.text).map_err(|_| Error::TooLarge { what: "bytes of text" })? - start;
        let layout = Layout::of(counts).ok_or(Error::TooLarge { what: "bytes" })?;
        let mut words = vec![0u64; layout.length / 8];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        // Only the checksums are behind the text, so nothing before it moves.
        let old = self.as_bytes().get(..self.layout.text.end).unwrap_or_default();
        for (at, part) in [(0, old), (old.len(), key.as_bytes())] {
            if let Some(place) = bytes.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
        }
        Ok(Image::seal(words, layout, (start, length), self.store_dir))
    }

    /// Returns the same graph with what marks tell.
    pub(super) fn with_marks(&self, marks: &MarkRows) -> Result<Image, Error> {
        let mut counts = self.layout.counts;
        let text_start = u32::try_from(counts.text).map_err(|_| Error::TooLarge { what: "bytes of text" })?;
        counts.text += marks.text.len();
        u32::try_from(counts.text).map_err(|_| Error::TooLarge { what: "bytes of text" })?;
        counts.marks = marks.marks.len();
        counts.variants = marks.variants.len();
        counts.marked = marks.offsets.len().saturating_sub(1);
        counts.marked_edges = marks.dependents.len();
        let layout = Layout::of(counts).ok_or(Error::TooLarge { what: "bytes" })?;
        let mut words = vec![0u64; layout.length / 8];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        let moved: Vec<[u32; 4]> =
            marks.marks.iter().map(|row| [row[0], row[1] + text_start, row[2], row[3]]).collect();
        let old = self.as_bytes();
        // Nothing before the marks moves.
        let before = old.get(..self.layout.by_package.end).unwrap_or_default();
        let text = old.get(self.layout.text.clone()).unwrap_or_default();
        for (at, part) in [
            (0, before),
            (layout.marks.start, bytemuck::cast_slice(&moved)),
            (layout.variants.start, bytemuck::cast_slice(&marks.variants)),
            (layout.marked_offsets.start, bytemuck::cast_slice(&marks.offsets)),
            (layout.marked_dependents.start, bytemuck::cast_slice(&marks.dependents)),
            (layout.text.start, text),
            (layout.text.start + text.len(), &marks.text),
        ] {
            if let Some(place) = bytes.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
        }
        Ok(Image::seal(words, layout, self.key, self.store_dir))
    }

    /// Takes bytes that come from a file. Only the header and the checksums are checked: whoever uses a section has to
    /// [`Image::prove`] it first.
    pub(super) fn begin(words: Vec<u64>) -> Result<Image, CacheProblem> {
        let slice: &[u8] = bytemuck::cast_slice(&words);
        let word = |index: usize| words.get(index).copied();
        if word(0) != Some(MAGIC) {
            return Err(CacheProblem::Foreign);
        }
        if word(1) != Some(ORDER | VERSION) {
            return Err(CacheProblem::Version);
        }
        let length = |index| word(index).and_then(|value| usize::try_from(value).ok()).ok_or(CacheProblem::Length);
        let counts = Counts {
            nodes: length(4)?,
            edges: length(5)?,
            outputs: length(6)?,
            links: length(7)?,
            roots: length(8)?,
            missing: length(9)?,
            text: length(10)?,
            packages: length(13)?,
            sources: length(14)?,
            marks: length(15)?,
            variants: length(16)?,
            marked: length(17)?,
            marked_edges: length(18)?,
        };
        let layout = Layout::of(counts).ok_or(CacheProblem::Length)?;
        if layout.length != slice.len() || length(3)? != slice.len() || counts.nodes > u32::MAX as usize {
            return Err(CacheProblem::Length);
        }
        if !UNSUMMED && word(2) != Some(checksum(slice, &layout)) {
            return Err(CacheProblem::Checksum);
        }
        let span = |index| {
            let pair = word(index).unwrap_or_default();
            ((pair >> 32) as u32, pair as u32)
        };
        let (key, store_dir) = (span(11), span(12));
        if ![key, store_dir].iter().all(|span| span.0 as usize + span.1 as usize <= counts.text) {
            return Err(CacheProblem::Structure("texts"));
        }
        let proved = (0..layout.sums.len() / 8).map(|_| AtomicBool::new(false)).collect();
        let image = Image { words, layout: Box::new(layout), key, store_dir, proved, whole: AtomicBool::new(false) };
        [key, store_dir].iter().try_for_each(|span| image.prove_text([span.0, span.1]))?;
        Ok(image)
    }

    pub(super) fn counts(&self) -> Counts {
        self.layout.counts
    }

    fn section<T: bytemuck::Pod>(&self, range: &Range<usize>) -> &[T] {
        let bytes = self.as_bytes().get(range.clone()).unwrap_or_default();
        bytemuck::try_cast_slice(bytes).unwrap_or_default()
    }

    pub(super) fn nodes(&self) -> &[[u32; 16]] {
        self.section(&self.layout.nodes)
    }

    pub(super) fn outputs(&self) -> &[[u32; 4]] {
        self.section(&self.layout.outputs)
    }

    pub(super) fn links(&self) -> &[[u32; 2]] {
        self.section(&self.layout.links)
    }

    pub(super) fn roots(&self) -> &[[u32; 4]] {
        self.section(&self.layout.roots)
    }

    pub(super) fn missing(&self) -> &[[u32; 2]] {
        self.section(&self.layout.missing)
    }

    pub(super) fn by_source(&self) -> &[[u32; 2]] {
        self.section(&self.layout.by_source)
    }

    pub(super) fn by_package(&self) -> &[[u32; 2]] {
        self.section(&self.layout.by_package)
    }

    pub(super) fn marks(&self) -> &[[u32; 4]] {
        self.section(&self.layout.marks)
    }

    pub(super) fn variants(&self) -> &[[u32; 2]] {
        self.section(&self.layout.variants)
    }

    pub(super) fn marked_rows(&self) -> Rows<'_> {
        Rows {
            offsets: self.section(&self.layout.marked_offsets),
            targets: self.section(&self.layout.marked_dependents),
        }
    }

    /// Says whether all outputs of a node are given by hash.
    #[inline]
    pub(super) fn is_fixed_output(&self, id: NodeId) -> bool {
        let words: &[u64] = self.section(&self.layout.fixed_outputs);
        words.get(id as usize / 64).is_some_and(|word| word >> (id % 64) & 1 != 0)
    }

    pub(super) fn by_path(&self) -> &[u32] {
        self.section(&self.layout.by_path)
    }

    pub(super) fn input_rows(&self) -> Rows<'_> {
        Rows { offsets: self.section(&self.layout.input_offsets), targets: self.section(&self.layout.inputs) }
    }

    pub(super) fn dependent_rows(&self) -> Rows<'_> {
        Rows { offsets: self.section(&self.layout.dependent_offsets), targets: self.section(&self.layout.dependents) }
    }

    fn text_bytes(&self) -> &[u8] {
        self.as_bytes().get(self.layout.text.clone()).unwrap_or_default()
    }

    pub(super) fn text(&self, start: u32, length: u32) -> &str {
        let range = start as usize..start as usize + length as usize;
        self.text_bytes().get(range).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    pub(super) fn key(&self) -> &str {
        self.text(self.key.0, self.key.1)
    }

    pub(super) fn store_dir_length(&self) -> usize {
        self.store_dir.1 as usize
    }

    pub(super) fn store_dir(&self) -> &str {
        self.text(self.store_dir.0, self.store_dir.1)
    }
}

/// Rows of targets, compressed: the row of a node lies between its offset and the next.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'g> {
    offsets: &'g [u32],
    targets: &'g [NodeId],
}

impl<'g> Rows<'g> {
    /// Returns the row of a node, rising; empty for a number that is no node.
    #[inline]
    pub fn of(&self, node: NodeId) -> &'g [NodeId] {
        let node = node as usize;
        match (self.offsets.get(node), self.offsets.get(node + 1)) {
            (Some(start), Some(end)) => self.targets.get(*start as usize..*end as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// Returns the checksum over the header, but for the word that holds it, and over the checksums of the blocks.
fn checksum(bytes: &[u8], layout: &Layout) -> u64 {
    let parts = [0..16, 24..HEADER * 8, layout.sums.clone()];
    let parts = parts.map(|range| XxHash3_128::oneshot(bytes.get(range).unwrap_or_default()));
    XxHash3_128::oneshot(bytemuck::cast_slice(&parts)) as u64
}

/// Returns the hash under which a text stands in the sections of sources and packages.
pub(super) fn text_hash(text: &[u8]) -> u32 {
    XxHash3_128::oneshot(text) as u32
}
