//! The program: hands the arguments to `overlayctl::cli` and returns its exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    overlayctl::cli::main(std::env::args_os())
}
