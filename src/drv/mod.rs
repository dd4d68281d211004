//! `.drv` files: the strict ATerm reader, derivations, closures over a reader that is handed in.
//!
//! Must not read files itself.
