//! Patch files: headers, hunks, applying with offsets and fuzz, series, refreshing.
//!
//! Must not know overlays.
