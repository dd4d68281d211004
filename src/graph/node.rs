//! What a graph knows of one derivation.

use super::image::{FIXED_OUTPUT, Image, NodeId, SHAPE_SHIFT};
use crate::base::store_path;

/// One derivation of a graph; a view, cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Node<'g> {
    image: &'g Image,
    row: [u32; 16],
    /// Where the next node's outputs and links start.
    outputs_end: u32,
    links_end: u32,
}

impl<'g> Node<'g> {
    pub(super) fn new(image: &'g Image, id: NodeId) -> Node<'g> {
        let rows = image.nodes();
        match (rows.get(id as usize), rows.get(id as usize + 1)) {
            (Some(row), Some(next)) => Node { image, row: *row, outputs_end: next[9], links_end: next[10] },
            _ => Node { image, row: [0; 16], outputs_end: 0, links_end: 0 },
        }
    }

    /// Returns the store path of the `.drv` file.
    pub fn drv_path(&self) -> &'g str {
        self.image.text(self.row[0], self.row[1])
    }

    /// Returns its name: that of the `.drv` file without `.drv`, which is the variable `name`.
    pub fn name(&self) -> &'g str {
        let path = self.drv_path();
        // All paths of a graph that was read were checked; others may be in tests.
        let start = self.image.store_dir_length() + 1 + store_path::HASH_LEN;
        match path.get(start..).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".drv")) {
            Some(name) => name,
            None => store_path::drv_name(path),
        }
    }

    /// Returns the variable `pname`, or the first part of the name.
    pub fn pname(&self) -> &'g str {
        self.image.text(self.row[2], self.row[3])
    }

    /// Returns the variable `version`, or the last part of the name.
    pub fn version(&self) -> &'g str {
        self.image.text(self.row[4], self.row[5])
    }

    pub fn system(&self) -> &'g str {
        self.image.text(self.row[6], self.row[7])
    }

    /// Says whether all its outputs are given by hash.
    pub fn fixed_output(&self) -> bool {
        self.row[8] & FIXED_OUTPUT != 0
    }

    /// Returns names and store paths of its outputs, sorted by name; a path that is not known before the build is empty.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = (&'g str, &'g str)> + use<'g> {
        let image = self.image;
        let range = self.row[9] as usize..self.outputs_end as usize;
        image.outputs().get(range).unwrap_or_default().iter().map(|[name, name_length, path, path_length]| {
            (image.text(*name, *name_length), image.text(*path, *path_length))
        })
    }

    /// Says whether an output path is not known before the build: content-addressed, or after something that is.
    pub fn has_unknown_outputs(&self) -> bool {
        self.outputs().any(|(_, path)| path.is_empty())
    }

    /// Returns its sources: the variable `src`, or the words of `srcs`.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = &'g str> + use<'g> {
        self.links(self.row[10], self.row[11])
    }

    /// Returns its patches: the words of the variable `patches`.
    pub fn patches(&self) -> impl ExactSizeIterator<Item = &'g str> + use<'g> {
        self.links(self.row[11], self.links_end)
    }

    fn links(&self, start: u32, end: u32) -> impl ExactSizeIterator<Item = &'g str> + use<'g> {
        let image = self.image;
        let links = image.links().get(start as usize..end as usize).unwrap_or_default();
        links.iter().map(|[start, length]| image.text(*start, *length))
    }

    /// Returns a digest of how it is configured: of its own part without any store path. Stages of a package on one platform
    /// have the same; of those that differ one is an override of another. Not cryptographic.
    pub fn shape(&self) -> u32 {
        self.row[8] >> SHAPE_SHIFT
    }

    /// Returns the digest of its own part: everything but what its inputs are made of. Derivations of one role in two
    /// graphs whose digests differ were themselves changed. Not cryptographic.
    pub fn digest(&self) -> u128 {
        let [.., a, b, c, d] = self.row;
        u128::from(a) | u128::from(b) << 32 | u128::from(c) << 64 | u128::from(d) << 96
    }
}
