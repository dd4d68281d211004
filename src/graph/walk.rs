//! The walk over a closure that is shared by all threads: which derivations are known, and which nobody has read yet.
//!
//! There is no barrier: whoever is free takes what was found last by anyone. So numbers depend on how the threads ran, and
//! `builder.rs` numbers again. Must not read files.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};

use super::builder::Span;
use super::error::Error;
use super::path_hash::PathHash;

/// Derivations that one thread takes at a time, at most.
const BATCH: u32 = 64;

/// The derivations found so far, by path.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// The start of the path's hash, and the number of the first path that starts so.
    by_start: HashMap<u64, u32, PathHash>,
    /// Others that start so: in a real store hardly any.
    others: HashMap<Box<[u8]>, u32, PathHash>,
    text: Vec<u8>,
    spans: Vec<Span>,
    /// Where the hash starts in a path.
    hash_at: usize,
}

impl Numbers {
    fn start_of(&self, path: &[u8]) -> u64 {
        let start = path.get(self.hash_at..).and_then(|rest| rest.first_chunk::<8>());
        start.map_or(0, |start| u64::from_be_bytes(*start))
    }

    #[inline]
    pub(super) fn get(&self, path: &[u8]) -> Option<u32> {
        let number = *self.by_start.get(&self.start_of(path))?;
        if self.path(number) == path { Some(number) } else { self.others.get(path).copied() }
    }

    pub(super) fn path(&self, number: u32) -> &[u8] {
        let span = self.spans.get(number as usize).copied().unwrap_or_default();
        let start = span.start as usize;
        self.text.get(start..start + span.length as usize).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns the number of a path, a new one if it has none.
    pub(super) fn number(&mut self, path: &[u8]) -> Result<u32, Error> {
        if let Some(number) = self.get(path) {
            return Ok(number);
        }
        let too_large = |_| Error::TooLarge { what: "derivations" };
        let number = u32::try_from(self.spans.len()).map_err(too_large)?;
        let start = u32::try_from(self.text.len() + path.len()).map_err(too_large)? - path.len() as u32;
        self.spans.push(Span { start, length: path.len() as u32 });
        self.text.extend_from_slice(path);
        let key = self.start_of(path);
        match self.by_start.entry(key) {
            std::collections::hash_map::Entry::Vacant(entry) => drop(entry.insert(number)),
            std::collections::hash_map::Entry::Occupied(_) => drop(self.others.insert(path.into(), number)),
        }
        Ok(number)
    }
}

#[derive(Debug, Default)]
struct Queue {
    /// The first that nobody has taken, and how many are known.
    next: u32,
    known: u32,
    /// Threads that have taken some and may find more.
    working: u32,
}

/// The numbers and what is left to do.
#[derive(Debug)]
pub(super) struct Walk {
    numbers: RwLock<Numbers>,
    queue: Mutex<Queue>,
    changed: Condvar,
    threads: u32,
}

impl Walk {
    /// Starts with the roots in `numbers`, for so many threads. Paths are in `store_dir`.
    pub(super) fn new(store_dir: &str, threads: usize) -> Walk {
        let numbers = Numbers { hash_at: store_dir.len() + 1, ..Numbers::default() };
        let threads = threads.clamp(1, 1 << 16) as u32;
        Walk { numbers: RwLock::new(numbers), queue: Mutex::default(), changed: Condvar::new(), threads }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn numbers(&self) -> std::sync::RwLockReadGuard<'_, Numbers> {
        self.numbers.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the walk and returns the numbers.
    pub(super) fn into_numbers(self) -> Numbers {
        self.numbers.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers some paths, which become work for all.
    pub(super) fn add<'p>(
        &self,
        paths: impl Iterator<Item = &'p [u8]>,
        mut each: impl FnMut(u32),
    ) -> Result<(), Error> {
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        for path in paths {
            each(numbers.number(path)?);
        }
        let known = numbers.len() as u32;
        drop(numbers);
        self.queue().known = known;
        self.changed.notify_all();
        Ok(())
    }

    /// Takes some that nobody has read; waits while others may find more; `None` when all is done. What was taken has to
    /// be given back by dropping it.
    pub(super) fn take(&self) -> Option<Taken<'_>> {
        let mut queue = self.queue();
        loop {
            let left = queue.known.saturating_sub(queue.next);
            if left > 0 {
                // Little is shared evenly, so that all end at the same time.
                let count = (left / (2 * self.threads)).clamp(1, BATCH);
                let range = queue.next..queue.next + count;
                queue.next += count;
                queue.working += 1;
                return Some(Taken { walk: self, range });
            }
            if queue.working == 0 {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Derivations that one thread reads.
#[derive(Debug)]
pub(super) struct Taken<'w> {
    walk: &'w Walk,
    pub range: Range<u32>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.walk.queue().working -= 1;
        self.walk.changed.notify_all();
    }
}
