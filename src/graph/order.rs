//! Orders of a graph's nodes, and its rows turned around. Must not know what the nodes are.

use std::collections::HashMap;

/// Rows of numbers, one after the other.
#[derive(Debug, Default)]
pub(super) struct Compressed {
    pub offsets: Vec<u32>,
    pub targets: Vec<u32>,
}

impl Compressed {
    /// Makes room for so many rows and numbers.
    pub(super) fn with_capacity(rows: usize, targets: usize) -> Compressed {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Compressed { offsets, targets: Vec::with_capacity(targets) }
    }

    /// Ends a row: all targets that were pushed since the last.
    pub(super) fn end_row(&mut self) {
        self.offsets.push(self.targets.len() as u32);
    }

    fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    #[inline]
    pub(super) fn row(&self, index: usize) -> &[u32] {
        match (self.offsets.get(index), self.offsets.get(index + 1)) {
            (Some(start), Some(end)) => self.targets.get(*start as usize..*end as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Turns the rows around; all targets are numbers of rows. The new rows rise.
    pub(super) fn turned(&self) -> Compressed {
        let count = self.len();
        let mut offsets = vec![0u32; count + 1];
        for target in &self.targets {
            offsets[*target as usize + 1] += 1;
        }
        for index in 0..count {
            offsets[index + 1] += offsets[index];
        }
        let mut next = offsets.clone();
        let mut targets = vec![0u32; self.targets.len()];
        for node in 0..count {
            for target in self.row(node) {
                let slot = &mut next[*target as usize];
                targets[*slot as usize] = node as u32;
                *slot += 1;
            }
        }
        Compressed { offsets, targets }
    }

    /// Returns the numbers of the rows so that those in a row come before it (Kahn's algorithm), or the members of a
    /// cycle.
    pub(super) fn topological(&self) -> Result<Vec<u32>, Vec<u32>> {
        let count = self.len();
        let dependents = self.turned();
        let mut waiting: Vec<u32> = self.offsets.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mut order: Vec<u32> = Vec::with_capacity(count);
        order.extend((0..count as u32).filter(|node| waiting[*node as usize] == 0));
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            next += 1;
            for &dependent in dependents.row(node as usize) {
                let left = &mut waiting[dependent as usize];
                *left -= 1;
                if *left == 0 {
                    order.push(dependent);
                }
            }
        }
        if order.len() == count {
            return Ok(order);
        }
        // Whoever still waits has an input that waits: following these leads into a cycle.
        let mut seen: HashMap<u32, usize> = HashMap::new();
        let mut path = Vec::new();
        let mut at = (0..count as u32).find(|node| waiting[*node as usize] > 0);
        while let Some(node) = at {
            if let Some(start) = seen.insert(node, path.len()) {
                let mut cycle = path.split_off(start);
                cycle.reverse();
                return Err(cycle);
            }
            path.push(node);
            at = self.row(node as usize).iter().copied().find(|input| waiting[*input as usize] > 0);
        }
        Err(path)
    }
}

/// Returns the first eight bytes of the last part of a path, in an order: with store paths, of the hash.
pub(super) fn path_key(path: &[u8]) -> u64 {
    let start = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
    let rest = path.get(start..).unwrap_or_default();
    match rest.first_chunk::<8>() {
        Some(key) => u64::from_be_bytes(*key),
        None => rest.iter().zip(0..).fold(0, |key, (byte, at)| key | u64::from(*byte) << (56 - 8 * at)),
    }
}

/// Returns the given numbers in the order of [`path_key`], which nearly always decides, and then of their paths.
pub(super) fn by_path<'a>(numbers: impl Iterator<Item = u32>, path_of: impl Fn(u32) -> &'a [u8]) -> Vec<u32> {
    let mut keyed: Vec<(u64, u32)> = numbers.map(|number| (path_key(path_of(number)), number)).collect();
    keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| path_of(a.1).cmp(path_of(b.1))));
    keyed.into_iter().map(|(_, number)| number).collect()
}
