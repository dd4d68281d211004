//! The built-in platform table and the rules of package sets, held against real nixpkgs checkouts.
//!
//! `OVERLAYCTL_NIXPKGS_1909` and `OVERLAYCTL_NIXPKGS_CORE` name the checkouts; without one a test is skipped.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the helpers of tests are tests as well")]

use std::collections::BTreeMap;
use std::process::Command;

use overlayctl::cross::elf::Endianness;
use overlayctl::cross::platform::Format;
use overlayctl::cross::{Platform, attr, catalogue, expected};

const CHECKOUTS: [&str; 2] = ["OVERLAYCTL_NIXPKGS_1909", "OVERLAYCTL_NIXPKGS_CORE"];

/// Evaluates `expression` to JSON, with `$nixpkgs` standing for the checkout; `None` with the reason printed.
fn evaluate(variable: &str, expression: &str) -> Option<serde_json::Value> {
    let Some(nixpkgs) = std::env::var_os(variable) else {
        eprintln!("skipped: {variable} is not set");
        return None;
    };
    let expression = expression.replace("$nixpkgs", &nixpkgs.to_string_lossy());
    let done = Command::new("nix-instantiate")
        .env("NIX_CONFIG", "substituters =\nexperimental-features = nix-command flakes")
        .args(["--eval", "--strict", "--json", "--expr", &expression])
        .output();
    match done {
        Ok(done) if done.status.success() => Some(serde_json::from_slice(&done.stdout).unwrap()),
        Ok(done) => panic!("{variable}: {}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => {
            eprintln!("skipped: no nix-instantiate ({error})");
            None
        }
    }
}

#[test]
fn the_table_is_what_nixpkgs_says() {
    for (release, variable) in CHECKOUTS.into_iter().enumerate() {
        let Some(all) = evaluate(
            variable,
            "let lib = import $nixpkgs/lib; in lib.mapAttrs (name: example: let p = lib.systems.elaborate example; in {
               inherit (p) config system libc; bits = p.parsed.cpu.bits; big = p.isBigEndian; qemu = p.qemuArch or null;
               linux = p.isLinux; format = p.parsed.kernel.execFormat.name; is_static = p.isStatic or false;
               rust = p.rust.rustcTarget or null; set = example ? rustc;
             }) lib.systems.examples",
        ) else {
            continue;
        };
        let all = all.as_object().unwrap();
        let seen = |e: &catalogue::Entry| [e.seen.in_19_09, e.seen.in_24_05][release];
        let here: Vec<&str> = catalogue::entries().iter().filter(|e| seen(e)).map(|e| e.name).collect();
        assert_eq!(here, all.keys().map(String::as_str).collect::<Vec<_>>(), "{variable}");
        for (name, facts) in all {
            let platform = &catalogue::entry(name).unwrap().platform;
            let text = |key: &str| facts[key].as_str();
            // The two MinGW triples were renamed after 19.09.
            if !(release == 0 && name.starts_with("mingw")) {
                assert_eq!(text("config"), Some(platform.triple()), "{variable} {name}");
            }
            assert_eq!(text("system"), Some(platform.system().as_str()), "{variable} {name}");
            assert_eq!(text("libc"), platform.libc.as_deref(), "{variable} {name}");
            assert_eq!(facts["bits"], platform.cpu.bits, "{variable} {name}");
            assert_eq!(facts["big"], platform.endianness() == Some(Endianness::Big), "{variable} {name}");
            let format = match text("format").unwrap() {
                "elf" => Format::Elf,
                "pe" => Format::Pe,
                "macho" => Format::MachO,
                "wasm" => Format::Wasm,
                // nixpkgs leaves the format of bare-metal programs open.
                _ => platform.format(),
            };
            assert_eq!(format, platform.format(), "{variable} {name}");
            if release == 1 {
                assert_eq!(facts["is_static"], platform.is_static, "{variable} {name}");
                if facts["linux"] == true && text("qemu") != Some("mipsel") {
                    assert_eq!(text("qemu"), platform.qemu_arch(), "{variable} {name}");
                }
                if facts["linux"] == true && facts["set"] == false {
                    assert_eq!(text("rust"), Some(platform.rust_target().as_str()), "{variable} {name}");
                }
            }
            let _ = expected(platform);
        }
    }
}

#[test]
fn the_rules_of_package_sets_are_those_of_nixpkgs() {
    let paths = [
        "",
        "buildPackages",
        "pkgsStatic",
        "pkgsMusl",
        "pkgsi686Linux",
        "pkgsStatic.buildPackages",
        "pkgsMusl.pkgsCross.riscv64",
        "pkgsCross.aarch64-multiplatform-musl",
        "pkgsCross.aarch64-multiplatform-musl.buildPackages",
        "pkgsCross.aarch64-multiplatform-musl.buildPackages.buildPackages",
        "pkgsCross.aarch64-multiplatform-musl.buildPackages.buildPackages.buildPackages",
        "pkgsCross.aarch64-multiplatform-musl.buildPackages.targetPackages",
        "pkgsCross.aarch64-multiplatform-musl.buildPackages.pkgsHostHost",
        "pkgsCross.aarch64-multiplatform-musl.buildPackages.pkgsBuildTarget",
        "pkgsCross.aarch64-multiplatform-musl.pkgsBuildBuild",
        "pkgsCross.aarch64-multiplatform-musl.pkgsBuildHost",
        "pkgsCross.aarch64-multiplatform-musl.pkgsBuildTarget",
        "pkgsCross.aarch64-multiplatform-musl.pkgsHostHost",
        "pkgsCross.aarch64-multiplatform-musl.pkgsHostTarget",
        "pkgsCross.aarch64-multiplatform.pkgsStatic",
        "pkgsCross.aarch64-multiplatform.pkgsStatic.buildPackages",
        "pkgsCross.aarch64-multiplatform.pkgsStatic.pkgsCross.raspberryPi",
        "pkgsCross.aarch64-multiplatform.pkgsMusl",
        "pkgsCross.aarch64-multiplatform.buildPackages.pkgsStatic",
        "pkgsCross.aarch64-multiplatform.buildPackages.pkgsMusl",
        "pkgsCross.musl64",
        "pkgsCross.musl64.buildPackages",
        "pkgsCross.raspberryPi.pkgsStatic",
        "pkgsCross.muslpi.pkgsMusl",
        "pkgsCross.avr.buildPackages",
    ];
    for variable in CHECKOUTS.into_iter().chain(["OVERLAYCTL_NIXPKGS"]) {
        let set = |path: &str| if path.is_empty() { "pkgs".to_string() } else { format!("pkgs.{path}") };
        let facts: Vec<String> = paths
            .iter()
            .map(|path| {
                format!(
                    "\"{path}\" = let s = {}.stdenv; in map (p: p.config) [ s.buildPlatform s.hostPlatform s.targetPlatform ];",
                    set(path)
                )
            })
            .collect();
        let expression = format!(
            "let pkgs = import $nixpkgs {{ system = \"x86_64-linux\"; config = {{ }}; overlays = [ ]; }}; in {{ {} }}",
            facts.join("\n")
        );
        let Some(all) = evaluate(variable, &expression) else { continue };
        let all: BTreeMap<String, [String; 3]> = serde_json::from_value(all).unwrap();
        let local = Platform::parse("x86_64-linux").unwrap();
        for path in paths {
            if variable == CHECKOUTS[0] && path == "pkgsCross.muslpi.pkgsMusl" {
                // 19.09 made plain `musl` of `musleabihf`; the rules are those after it was repaired.
                continue;
            }
            let parts: Vec<String> = path.split('.').filter(|p| !p.is_empty()).map(str::to_string).collect();
            let stage = attr::stage(&parts, &local, None).unwrap();
            let ours = [stage.build, stage.host, stage.target].map(|p| p.triple().to_string());
            assert_eq!(ours, all[path], "{variable} {path:?}");
        }
    }
}
