//! Where the parts of a graph lie in its one block of bytes. See `image.rs` for what they mean.

use std::ops::Range;

/// Words of the header.
pub(super) const HEADER: usize = 20;
/// Bytes that one checksum is over.
pub(super) const BLOCK: usize = 1 << 18;

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
    /// Derivations that are not fixed-output, and their sources.
    pub packages: usize,
    pub sources: usize,
    /// What is known by marks: see `marks.rs`.
    pub marks: usize,
    pub variants: usize,
    pub marked: usize,
    pub marked_edges: usize,
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
    pub by_path: Range<usize>,
    pub dependent_offsets: Range<usize>,
    pub dependents: Range<usize>,
    pub fixed_outputs: Range<usize>,
    pub by_source: Range<usize>,
    pub by_package: Range<usize>,
    pub marks: Range<usize>,
    pub variants: Range<usize>,
    pub marked_offsets: Range<usize>,
    pub marked_dependents: Range<usize>,
    pub text: Range<usize>,
    pub sums: Range<usize>,
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
        let mut layout = Layout {
            counts,
            nodes: section(rows, 64)?,
            outputs: section(counts.outputs, 16)?,
            links: section(counts.links, 8)?,
            roots: section(counts.roots, 16)?,
            missing: section(counts.missing, 8)?,
            input_offsets: section(rows, 4)?,
            inputs: section(counts.edges, 4)?,
            by_path: section(counts.nodes, 4)?,
            dependent_offsets: section(rows, 4)?,
            dependents: section(counts.edges, 4)?,
            fixed_outputs: section(counts.nodes.div_ceil(64), 8)?,
            by_source: section(counts.sources, 8)?,
            by_package: section(counts.packages, 8)?,
            marks: section(counts.marks, 16)?,
            variants: section(counts.variants, 8)?,
            marked_offsets: section(if counts.marked == 0 { 0 } else { counts.marked.checked_add(1)? }, 4)?,
            marked_dependents: section(counts.marked_edges, 4)?,
            text: section(counts.text, 1)?,
            sums: 0..0,
            length: 0,
        };
        let blocks = (end - HEADER * 8).div_ceil(BLOCK);
        layout.length = end.checked_add(blocks.checked_mul(8)?)?;
        layout.sums = end..layout.length;
        Some(layout)
    }

    /// Returns what the checksums are over: all between the header and them.
    pub(super) fn summed(&self) -> Range<usize> {
        HEADER * 8..self.sums.start
    }

    /// Returns the sections for writing. `words` is as long as the layout says.
    pub(super) fn split<'m>(&self, words: &'m mut [u64]) -> Option<Sections<'m>> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
        let mut rest = bytes;
        let mut at = 0;
        let mut take = |range: &Range<usize>| -> Option<&'m mut [u8]> {
            let (_, from) = std::mem::take(&mut rest).split_at_mut_checked(range.start.checked_sub(at)?)?;
            let (section, after) = from.split_at_mut_checked(range.len())?;
            (rest, at) = (after, range.end);
            Some(section)
        };
        // In the order in which they lie.
        Some(Sections {
            nodes: cast(take(&self.nodes)?)?,
            outputs: cast(take(&self.outputs)?)?,
            links: cast(take(&self.links)?)?,
            roots: cast(take(&self.roots)?)?,
            missing: cast(take(&self.missing)?)?,
            input_offsets: cast(take(&self.input_offsets)?)?,
            inputs: cast(take(&self.inputs)?)?,
            by_path: cast(take(&self.by_path)?)?,
            dependent_offsets: cast(take(&self.dependent_offsets)?)?,
            dependents: cast(take(&self.dependents)?)?,
            fixed_outputs: cast(take(&self.fixed_outputs)?)?,
            by_source: cast(take(&self.by_source)?)?,
            by_package: cast(take(&self.by_package)?)?,
            text: take(&self.text)?,
        })
    }
}

fn cast<T: bytemuck::Pod>(bytes: &mut [u8]) -> Option<&mut [T]> {
    bytemuck::try_cast_slice_mut(bytes).ok()
}

#[derive(Debug)]
pub(super) struct Sections<'m> {
    pub nodes: &'m mut [[u32; 16]],
    pub outputs: &'m mut [[u32; 4]],
    pub links: &'m mut [[u32; 2]],
    pub roots: &'m mut [[u32; 4]],
    pub missing: &'m mut [[u32; 2]],
    pub input_offsets: &'m mut [u32],
    pub inputs: &'m mut [u32],
    pub by_path: &'m mut [u32],
    pub dependent_offsets: &'m mut [u32],
    pub dependents: &'m mut [u32],
    pub fixed_outputs: &'m mut [u64],
    pub by_source: &'m mut [[u32; 2]],
    pub by_package: &'m mut [[u32; 2]],
    pub text: &'m mut [u8],
}
