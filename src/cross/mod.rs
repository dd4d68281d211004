//! Platforms and pkgsCross names, build/host/target of an attribute path, ELF facts, qemu.
//!
//! What is here is computed from bytes and names that are handed in: files are read through [`ldd::Files`], which
//! the caller backs by a store. Must not start programs, ask Nix or open files on its own.
//!
//! * [`platform`] parses systems and triples as nixpkgs does, [`catalogue`] is the table of `pkgsCross` names.
//! * [`attr`] says for which platforms an attribute path is built, runs and compiles.
//! * [`elf`] and [`archive`] read object files, [`fn@expected`] says what a platform's programs must look like.
//! * [`firmware`] tells kernel images, device trees and boot loaders' containers.
//! * [`ldd`] resolves the libraries of a program as its loader would, without running it.
//! * [`contents`] looks for patched code of an archive in a program that was linked with it.
//! * [`mod@emulator`] says what runs a platform's programs on this machine.

pub mod archive;
pub mod attr;
pub mod catalogue;
pub mod contents;
pub mod elf;
pub mod emulator;
mod error;
mod expected;
pub mod firmware;
pub mod ldd;
pub mod platform;

pub use elf::Elf;
pub use emulator::{Emulator, emulator};
pub use error::Error;
pub use expected::{Expected, ExpectedElf, Mismatch, expected};
pub use firmware::Firmware;
pub use platform::{Format, Platform};
