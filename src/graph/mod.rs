//! The derivation graph in compressed rows, closures, chains, deltas, prediction, the cache.
//!
//! Must not know how derivations are obtained.
