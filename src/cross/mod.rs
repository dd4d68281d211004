//! Platforms and pkgsCross names, build/host/target of an attribute path, ELF facts, qemu.
//!
//! Must not start programs.
