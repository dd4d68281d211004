//! The model of an overlay file, finding the place, typed changes, text edits, verifying the result.
//!
//! Must not touch the disk or run anything.
