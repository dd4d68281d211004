//! The proofs that what comes from a file is as it was written, and makes sense: each part before it is used.

use std::ops::Range;
use std::sync::atomic::Ordering;

use rayon::prelude::*;
use twox_hash::XxHash3_128;

use super::{Image, NodeId, Rows, UNSUMMED};
use crate::graph::error::CacheProblem;
use crate::graph::layout::BLOCK;

impl Image {
    /// Makes sure that some of the bytes are as they were written.
    pub(in crate::graph) fn prove(&self, range: Range<usize>) -> Result<(), CacheProblem> {
        if range.is_empty() || self.proved.is_empty() {
            return Ok(());
        }
        let summed = self.layout.summed();
        let first = range.start.saturating_sub(summed.start) / BLOCK;
        let last = (range.end - 1).saturating_sub(summed.start) / BLOCK;
        let bytes = self.as_bytes();
        let sums: &[u64] = self.section(&self.layout.sums);
        let prove = |block: usize| -> bool {
            let Some(proved) = self.proved.get(block) else { return false };
            if proved.load(Ordering::Relaxed) {
                return true;
            }
            let start = summed.start + block * BLOCK;
            let text = bytes.get(start..summed.end.min(start + BLOCK)).unwrap_or_default();
            let ok = UNSUMMED || sums.get(block) == Some(&(XxHash3_128::oneshot(text) as u64));
            proved.store(ok, Ordering::Relaxed);
            ok
        };
        let all = if first == last { prove(first) } else { (first..=last).into_par_iter().all(prove) };
        if all { Ok(()) } else { Err(CacheProblem::Checksum) }
    }

    /// Makes sure that everything is as it was written, and that it makes sense.
    pub(in crate::graph) fn prove_all(&self) -> Result<(), CacheProblem> {
        if self.whole.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.prove(self.layout.summed())?;
        self.check_structure()?;
        self.whole.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Makes sure of all that is known of a node.
    pub(in crate::graph) fn prove_node(&self, id: NodeId) -> Result<(), CacheProblem> {
        let part = |section: &Range<usize>, size: usize, from: u32, to: u32| {
            let end = section.start + to as usize * size;
            if from > to || end > section.end {
                return Err(CacheProblem::Structure("nodes"));
            }
            self.prove(section.start + from as usize * size..end)
        };
        part(&self.layout.nodes, 64, id, id.saturating_add(2))?;
        let (Some(row), Some(next)) = (self.nodes().get(id as usize), self.nodes().get(id as usize + 1)) else {
            return Err(CacheProblem::Structure("nodes"));
        };
        part(&self.layout.outputs, 16, row[9], next[9])?;
        part(&self.layout.links, 8, row[10], next[10])?;
        let spans = row.as_chunks::<2>().0.iter().take(4).copied();
        let outputs = self.outputs().get(row[9] as usize..next[9] as usize).unwrap_or_default();
        let links = self.links().get(row[10] as usize..next[10] as usize).unwrap_or_default();
        let outputs = outputs.iter().flat_map(|row| [[row[0], row[1]], [row[2], row[3]]]);
        spans.chain(outputs).chain(links.iter().copied()).try_for_each(|span| self.prove_text(span))
    }

    pub(super) fn prove_text(&self, [start, length]: [u32; 2]) -> Result<(), CacheProblem> {
        let from = self.layout.text.start + start as usize;
        let to = from + length as usize;
        if to > self.layout.text.end {
            return Err(CacheProblem::Structure("texts"));
        }
        self.prove(from..to)
    }

    /// Makes sure of the roots and the names of their attributes.
    pub(in crate::graph) fn prove_roots(&self) -> Result<(), CacheProblem> {
        self.prove(self.layout.roots.clone())?;
        let nodes = self.layout.counts.nodes;
        self.roots().iter().try_for_each(|row| {
            let node = (row[2] as usize) < nodes;
            if node { self.prove_text([row[0], row[1]]) } else { Err(CacheProblem::Structure("texts")) }
        })
    }

    /// Makes sure of what tells the kin of a node, and what needs what.
    pub(in crate::graph) fn prove_dependents(&self) -> Result<(), CacheProblem> {
        // They lie one after the other.
        self.prove(self.layout.dependent_offsets.start..self.layout.by_package.end)?;
        self.check_rows(self.dependent_rows(), false)?;
        let nodes = self.layout.counts.nodes;
        let inside = |rows: &[[u32; 2]]| rows.iter().all(|row| (row[1] as usize) < nodes);
        if inside(self.by_source()) && inside(self.by_package()) {
            return Ok(());
        }
        Err(CacheProblem::Structure("sources"))
    }

    /// Makes sure of what marks tell.
    pub(in crate::graph) fn prove_marks(&self) -> Result<(), CacheProblem> {
        self.prove(self.layout.marks.start..self.layout.marked_dependents.end)?;
        let counts = self.layout.counts;
        let (variants, rows) = (self.variants(), self.marked_rows());
        let is_variant = |id: u32| (id as usize) < counts.marked;
        let sound = self.marks().iter().all(|row| is_variant(row[3]))
            && self.marks().is_sorted_by_key(|row| row[0])
            && variants.iter().all(|row| (row[0] as usize) < counts.nodes && is_variant(row[1]))
            && variants.is_sorted()
            && rows.offsets.is_sorted()
            && rows.offsets.last().is_none_or(|last| *last as usize == counts.marked_edges)
            && rows.targets.iter().all(|target| is_variant(*target));
        if !sound {
            return Err(CacheProblem::Structure("marks"));
        }
        self.marks().iter().try_for_each(|row| self.prove_text([row[1], row[2]]))
    }

    /// Makes sure of what each node needs.
    pub(in crate::graph) fn prove_inputs(&self) -> Result<(), CacheProblem> {
        self.prove(self.layout.input_offsets.start..self.layout.inputs.end)?;
        self.check_rows(self.input_rows(), true)
    }

    /// Checks that rows rise, and that their targets are nodes: of inputs smaller ones, else greater ones.
    fn check_rows(&self, rows: Rows<'_>, inputs: bool) -> Result<(), CacheProblem> {
        let counts = self.layout.counts;
        let rising = rows.offsets.first() == Some(&0)
            && rows.offsets.is_sorted()
            && rows.offsets.last().is_some_and(|last| *last as usize == counts.edges);
        let nodes = counts.nodes as u32;
        let ordered = |node: u32| {
            let row = rows.of(node);
            // Rising, so the ends tell of all.
            let (Some(first), Some(last)) = (row.first(), row.last()) else { return true };
            row.is_sorted_by(|a, b| a < b) && if inputs { *last < node } else { *first > node && *last < nodes }
        };
        if rising && (0..nodes).into_par_iter().with_min_len(1 << 14).all(ordered) {
            return Ok(());
        }
        Err(CacheProblem::Structure("edges"))
    }

    /// Checks that rows rise, that targets and texts are inside, and that inputs come first. That texts are UTF-8 is left
    /// to the checksum; [`Image::text`] checks what it hands out.
    fn check_structure(&self) -> Result<(), CacheProblem> {
        let counts = self.layout.counts;
        let text = self.text_bytes();
        let inside = |start: u32, length: u32| start as usize + length as usize <= text.len();
        self.prove_inputs()?;
        self.prove_dependents()?;
        self.prove_marks()?;
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
}
