//! Generated graphs with the shape of a real package set, the same on every machine.
//!
//! The shape is that of nixpkgs 19.09 (see `shared/data/README.md`): of 100 derivations 57 are downloads without inputs,
//! the others need 15 each, mostly of a few that everything needs; a change near the bottom rebuilds four of ten.

#[path = "../../tests/support/random.rs"]
mod random;

use std::fmt::Write as _;

use overlayctl::graph::{Builder, Facts, Graph};
use random::Random;

fn store_path(text: &mut String, numbers: &mut Random, name: &str) {
    text.clear();
    text.push_str("/nix/store/");
    for _ in 0..4 {
        let value = numbers.next();
        for index in 0..8 {
            text.push(b"0123456789abcdfghijklmnpqrsvwxyz"[(value >> (5 * index)) as usize & 31] as char);
        }
    }
    write!(text, "-{name}").unwrap();
}

/// Generates a graph of `count` derivations and the attribute of one that four of ten need.
pub fn generated(count: usize) -> (Graph, &'static str) {
    let mut numbers = Random(1);
    let mut builder = Builder::new();
    let (mut drv, mut out, mut source) = (String::new(), String::new(), String::new());
    let mut packages: Vec<u32> = Vec::new();
    let mut inputs: Vec<u32> = Vec::new();
    let mut attributes: Vec<(String, u32)> = Vec::new();
    let libc_at = count * 43 / 100 * 6 / 10;
    let mut libc = None;
    for index in 0..count {
        let download = index % 100 >= 43;
        let name = match download {
            true => format!("package{index}-1.{}.tar.gz", index % 30),
            false => format!("package{index}-1.{}-aarch64-unknown-linux-musl", index % 30),
        };
        store_path(&mut drv, &mut numbers, &format!("{name}.drv"));
        store_path(&mut out, &mut numbers, &name);
        inputs.clear();
        if !download && index > 0 {
            for _ in 0..14 {
                // Half of the inputs are among the first packages, of a square distribution: everyone's compiler.
                let limit = packages.len();
                let at = numbers.below(limit.min(2_000)) * numbers.below(1_000) / 1_000;
                let pick = if numbers.below(2) == 0 { at } else { numbers.below(limit) };
                inputs.extend(packages.get(pick));
            }
            // Late packages are for the target: they need its libc.
            if packages.len() >= libc_at {
                inputs.extend(libc);
            }
        }
        store_path(&mut source, &mut numbers, "source");
        let sources = [source.as_str()];
        let id = builder.add(&Facts {
            drv_path: &drv,
            pname: "",
            version: "",
            system: "x86_64-linux",
            outputs: &[("out", &out)],
            fixed_output: download,
            sources: if download { &[] } else { &sources },
            patches: &[],
            digest: index as u128,
            shape: 0,
            inputs: &inputs,
        });
        if !download {
            if packages.len() == libc_at {
                libc = Some(id);
                attributes.push(("libc".to_owned(), id));
            }
            packages.push(id);
            if index % 4 == 0 {
                attributes.push((format!("package{index}"), id));
            }
        }
    }
    let roots: Vec<(Option<&str>, u32)> = attributes.iter().map(|(attr, id)| (Some(attr.as_str()), *id)).collect();
    (builder.finish(&roots).unwrap(), "libc")
}
