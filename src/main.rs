//! The program: hands the arguments to `overlayctl::cli` and returns its exit status.

use std::process::ExitCode;

/// Syntax trees and graphs are many small pieces; the C library's allocator takes twice as long for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    overlayctl::cli::main(std::env::args_os())
}
