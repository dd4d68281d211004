//! Nix as the engine: argument vectors, evaluation, instantiation, builds, the log, stores, builders.
//!
//! Must not hold policy.
