//! The one form of a graph, in memory and on disk: a header and plain sections in one block of bytes.
//!
//! ```text
//! header          16 words of 64 bits: magic, version and byte order, checksum, length, counts
//! nodes           16 x u32 each, one more at the end: texts, flags, where its outputs and links start, digest
//! outputs         4 x u32: name, path
//! links           2 x u32: sources and patches of each node
//! roots           4 x u32: attribute, node, whether there is an attribute
//! missing         2 x u32: derivations that could not be read
//! input rows      offsets (nodes + 1) and targets (edges)
//! dependent rows  offsets (nodes + 1) and targets (edges)
//! by path         nodes in the order of their .drv paths
//! text            UTF-8
//! ```
//!
//! Every section starts at a multiple of 8 bytes. Nodes are numbered so that inputs come before what needs them; so a
//! row of inputs holds only smaller numbers, and a graph that passes [`Image::check`] has no cycle. Must not read files.

use std::ops::Range;

use rayon::prelude::*;
use twox_hash::XxHash3_128;

use super::error::{CacheProblem, Error};

/// The number of a node, from 0; inputs have smaller numbers than what needs them.
pub type NodeId = u32;

const MAGIC: u64 = u64::from_le_bytes(*b"ovgraph\n");
/// Rises with every change of the layout or of the meaning of a field.
const VERSION: u64 = 1;
/// Reads as another number where the byte order is another.
const ORDER: u64 = 0x0102_0304 << 32;

/// Words of the header.
pub(super) const HEADER: usize = 16;
/// A flag of a node: all outputs are given by hash.
pub(super) const FIXED_OUTPUT: u32 = 1;

/// How many of each a graph has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub nodes: usize,
    pub edges: usize,
    pub outputs: usize,
    pub links: usize,
    pub roots: usize,
    pub missing: usize,
    pub text: usize,
}

/// Where the sections lie, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub counts: Counts,
    pub nodes: Range<usize>,
    pub outputs: Range<usize>,
    pub links: Range<usize>,
    pub roots: Range<usize>,
    pub missing: Range<usize>,
    pub input_offsets: Range<usize>,
    pub inputs: Range<usize>,
    pub dependent_offsets: Range<usize>,
    pub dependents: Range<usize>,
    pub by_path: Range<usize>,
    pub text: Range<usize>,
    pub length: usize,
}

impl Layout {
    /// Lays the sections out; `None` when a length does not fit in memory.
    pub(super) fn of(counts: Counts) -> Option<Layout> {
        let mut end = HEADER * 8;
        let mut section = |count: usize, size: usize| -> Option<Range<usize>> {
            let start = end;
            let stop = start.checked_add(count.checked_mul(size)?)?;
            end = stop.checked_next_multiple_of(8)?;
            Some(start..stop)
        };
        let rows = counts.nodes.checked_add(1)?;
        Some(Layout {
            counts,
            nodes: section(rows, 64)?,
            outputs: section(counts.outputs, 16)?,
            links: section(counts.links, 8)?,
            roots: section(counts.roots, 16)?,
            missing: section(counts.missing, 8)?,
            input_offsets: section(rows, 4)?,
            inputs: section(counts.edges, 4)?,
            dependent_offsets: section(rows, 4)?,
            dependents: section(counts.edges, 4)?,
            by_path: section(counts.nodes, 4)?,
            text: section(counts.text, 1)?,
            length: end,
        })
    }
}

/// Where the bytes are.
#[derive(Debug)]
pub(super) enum Bytes {
    /// In memory; words, so that the sections are aligned.
    Owned(Vec<u64>),
    /// In a file that is mapped.
    Mapped(memmap2::Mmap),
}

impl Bytes {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Owned(words) => bytemuck::cast_slice(words),
            Bytes::Mapped(map) => map,
        }
    }
}

/// A graph as bytes whose layout is known.
#[derive(Debug)]
pub(super) struct Image {
    bytes: Bytes,
    layout: Layout,
    /// Spans of the key and of the store directory in the text.
    key: (u32, u32),
    store_dir: (u32, u32),
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
            0,
            0,
            0,
        ];
        for (word, value) in words.iter_mut().zip(header) {
            *word = value;
        }
        let sum = checksum(bytemuck::cast_slice(&words));
        if let Some(word) = words.get_mut(2) {
            *word = sum;
        }
        Image { bytes: Bytes::Owned(words), layout, key, store_dir }
    }

    /// Returns the bytes as they go into a file.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
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
        // The text is the last section, so nothing before it moves.
        let old = self.bytes.as_slice().get(..self.layout.text.end).unwrap_or_default();
        for (at, part) in [(0, old), (old.len(), key.as_bytes())] {
            if let Some(place) = bytes.get_mut(at..at + part.len()) {
                place.copy_from_slice(part);
            }
        }
        Ok(Image::seal(words, layout, (start, length), self.store_dir))
    }

    /// Takes bytes that come from a file, and checks all that later steps rely on.
    pub(super) fn check(bytes: Bytes) -> Result<Image, CacheProblem> {
        let slice = bytes.as_slice();
        let word = |index: usize| -> Option<u64> {
            Some(u64::from_ne_bytes(slice.get(index * 8..index * 8 + 8)?.try_into().ok()?))
        };
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
        };
        let layout = Layout::of(counts).ok_or(CacheProblem::Length)?;
        if layout.length != slice.len() || length(3)? != slice.len() || counts.nodes > u32::MAX as usize {
            return Err(CacheProblem::Length);
        }
        if word(2) != Some(checksum(slice)) {
            return Err(CacheProblem::Checksum);
        }
        let span = |index| {
            let pair = word(index).unwrap_or_default();
            ((pair >> 32) as u32, pair as u32)
        };
        let (key, store_dir) = (span(11), span(12));
        let image = Image { bytes, layout, key, store_dir };
        image.check_structure()?;
        Ok(image)
    }

    /// Checks that rows rise, that targets and texts are inside, and that inputs come first. That texts are UTF-8 is left
    /// to the checksum; [`Image::text`] checks what it hands out.
    fn check_structure(&self) -> Result<(), CacheProblem> {
        let counts = self.layout.counts;
        let text = self.text_bytes();
        let inside = |start: u32, length: u32| start as usize + length as usize <= text.len();
        let rows = [self.input_rows(), self.dependent_rows()];
        for (index, rows) in rows.iter().enumerate() {
            let rising = rows.offsets.first() == Some(&0)
                && rows.offsets.is_sorted()
                && rows.offsets.last().is_some_and(|last| *last as usize == counts.edges);
            let ordered = rising
                && (0..counts.nodes as u32).into_par_iter().with_min_len(1 << 14).all(|node| {
                    let row = rows.of(node);
                    let nodes = counts.nodes as u32;
                    row.is_sorted_by(|a, b| a < b)
                        && match index {
                            0 => row.last().is_none_or(|last| *last < node),
                            _ => {
                                row.first().is_none_or(|first| *first > node)
                                    && row.last().is_none_or(|last| *last < nodes)
                            }
                        }
                });
            if !ordered {
                return Err(CacheProblem::Structure("edges"));
            }
        }
        let nodes = self.nodes();
        let starts_ok = nodes.is_sorted_by(|a, b| a[9] <= b[9] && a[10] <= a[11] && a[11] <= b[10])
            && nodes.last().is_some_and(|last| last[9] as usize == counts.outputs && last[10] as usize == counts.links);
        let texts_ok = nodes
            .par_iter()
            .with_min_len(1 << 14)
            .all(|row| (0..4).all(|index| inside(row[2 * index], row[2 * index + 1])));
        if !(starts_ok && texts_ok) {
            return Err(CacheProblem::Structure("nodes"));
        }
        let outputs = self.outputs().par_iter().with_min_len(1 << 14);
        let links = self.links().par_iter().with_min_len(1 << 14);
        let spans_ok = outputs.clone().all(|row| inside(row[0], row[1]) && inside(row[2], row[3]))
            && links.clone().all(|row| inside(row[0], row[1]))
            && self.missing().iter().all(|row| inside(row[0], row[1]))
            && self.roots().iter().all(|row| inside(row[0], row[1]) && (row[2] as usize) < counts.nodes)
            && [self.key, self.store_dir].iter().all(|span| inside(span.0, span.1));
        if !spans_ok {
            return Err(CacheProblem::Structure("texts"));
        }
        if self.by_path().iter().any(|node| *node as usize >= counts.nodes) {
            return Err(CacheProblem::Structure("order of paths"));
        }
        Ok(())
    }

    pub(super) fn counts(&self) -> Counts {
        self.layout.counts
    }

    fn section<T: bytemuck::Pod>(&self, range: &Range<usize>) -> &[T] {
        let bytes = self.bytes.as_slice().get(range.clone()).unwrap_or_default();
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
        self.bytes.as_slice().get(self.layout.text.clone()).unwrap_or_default()
    }

    pub(super) fn text(&self, start: u32, length: u32) -> &str {
        let range = start as usize..start as usize + length as usize;
        self.text_bytes().get(range).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    pub(super) fn key(&self) -> &str {
        self.text(self.key.0, self.key.1)
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

/// Returns the checksum over everything but the word that holds it; parts of 1 MiB in parallel.
fn checksum(bytes: &[u8]) -> u64 {
    let head = bytes.get(..16).unwrap_or_default();
    let tail = bytes.get(24..).unwrap_or_default();
    let parts: Vec<u128> = std::iter::once(XxHash3_128::oneshot(head))
        .chain(tail.par_chunks(1 << 20).map(XxHash3_128::oneshot).collect::<Vec<u128>>())
        .collect();
    XxHash3_128::oneshot(bytemuck::cast_slice(&parts)) as u64
}
