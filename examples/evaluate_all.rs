//! Evaluates a whole package set and writes a line for each derivation: attribute, `.drv` path, output path - the roots
//! file that `overlayctl graph build` takes.
//!
//! `cargo run --release --example evaluate_all NIXPKGS CROSS WORKERS [MAX_MEMORY_MIB] [--recurse] > roots.tsv`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks")]

use std::io::Write as _;
use std::time::Instant;

use overlayctl::nix::{
    Cross, Error, Evaluated, Fragment, Nix, NixpkgsRef, PackageSet, PoolSettings, Root, Settings, attr_path_text,
};

fn main() -> Result<(), Error> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let recurse = args.iter().any(|arg| arg == "--recurse");
    args.retain(|arg| arg != "--recurse");
    let [nixpkgs, cross, workers, memory @ ..] = &args[..] else {
        eprintln!("usage: evaluate_all NIXPKGS CROSS WORKERS [MAX_MEMORY_MIB] [--recurse]");
        return Ok(());
    };
    let mut set = PackageSet::new(NixpkgsRef::Path(nixpkgs.into()));
    set.cross = Some(Cross::Named(cross.clone())).filter(|_| !cross.is_empty());
    set.config = Some(Fragment::parse("{ allowBroken = true; allowUnfree = true; }")?);
    let root = Root::Packages(Box::new(set));
    let nix = Nix::discover(Settings::default())?;
    let settings = PoolSettings {
        workers: workers.parse().unwrap_or(2),
        max_memory: memory.first().and_then(|m| m.parse::<u64>().ok()).map(|m| m << 20),
        recurse,
        limit: None,
    };
    let began = Instant::now();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let summary = nix.evaluate_all(&root, vec![Vec::new()], settings, &mut |path, evaluated, _| {
        if let Evaluated::Derivation { drv_path, out_path } = evaluated {
            let _ = writeln!(out, "{}\t{drv_path}\t{out_path}", attr_path_text(&path));
        }
    })?;
    eprintln!("{summary:?} in {:.2} s", began.elapsed().as_secs_f64());
    Ok(())
}
