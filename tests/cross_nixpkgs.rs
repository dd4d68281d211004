//! The platforms that nixpkgs has and the rules of its package sets, held against real checkouts.
//!
//! `OVERLAYCTL_NIXPKGS`, `OVERLAYCTL_NIXPKGS_1909` and `OVERLAYCTL_NIXPKGS_CORE` name the checkouts; without one a test is skipped.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

mod support;

use std::collections::BTreeMap;

use overlayctl::cross::elf::Endianness;
use overlayctl::cross::platform::Format;
use overlayctl::cross::{Platform, attr, catalogue, expected};
use serde_json::Value;
use support::nixpkgs::{CORE, OLD, TODAY, checkouts, evaluate};

/// What stock Nix says of every platform.
const FACTS: &str = "let lib = import $nixpkgs/lib; here = lib.systems.elaborate { system = \"x86_64-linux\"; }; in
    lib.mapAttrs (name: example: let p = lib.systems.elaborate example; in {
      inherit (p) config system; libc = p.libc or null; bits = p.parsed.cpu.bits; big = p.isBigEndian or false; qemu = p.qemuArch or null;
      linux = p.isLinux; android = p.isAndroid or false; format = p.parsed.kernel.execFormat.name or null; is_static = p.isStatic or false;
      rust = p.rust.rustcTarget or null; set = example ? rustc; native = (here.canExecute or here.isCompatible) p;
    }) lib.systems.examples";

/// `platforms` says what nixpkgs says, of each of its names, and has a line of its own for each.
#[test]
fn platforms_are_told_as_nixpkgs_has_them() {
    for (variable, nixpkgs) in checkouts() {
        let path = nixpkgs.to_str().unwrap();
        let wanted = evaluate(&FACTS.replace("$nixpkgs", path)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let run = |arguments: &[&str]| -> Value {
            let arguments = [&["platforms", "--nixpkgs", path, "--json"], arguments].concat();
            let output = support::overlayctl(dir.path()).args(arguments).output().unwrap();
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{variable}: {}", support::said(&output)))
        };
        let told = run(&[]);
        assert_eq!(told["source"]["from"], "nixpkgs", "{told}");
        let told: BTreeMap<&str, &Value> =
            told["platforms"].as_array().unwrap().iter().map(|p| (p["name"].as_str().unwrap(), p)).collect();
        assert_eq!(
            told.keys().collect::<Vec<_>>(),
            wanted.as_object().unwrap().keys().collect::<Vec<_>>(),
            "{variable}"
        );
        for (name, facts) in wanted.as_object().unwrap() {
            let ours = told[name.as_str()];
            for (key, fact) in
                [("triple", "config"), ("system", "system"), ("libc", "libc"), ("bits", "bits"), ("native", "native")]
            {
                assert_eq!(ours[key], facts[fact], "{variable} {name} {key}");
            }
            assert_eq!(ours["endianness"] == "big-endian", facts["big"] == true, "{variable} {name}: {ours}");
            if facts["linux"] == true && facts["native"] == false && facts["android"] == false && variable != OLD {
                assert_eq!(
                    ours["emulator"].as_str(),
                    facts["qemu"].as_str().map(|q| format!("qemu-{q}")).as_deref(),
                    "{variable} {name}"
                );
            }
            let what = ours["what"].as_str().unwrap();
            assert!(
                !what.is_empty() && !what.contains("built-in") && !what.contains("evaluate"),
                "{variable} {name}: {what}"
            );
        }
        for name in ["avr", "arc", "aarch64-multiplatform-musl"].into_iter().filter(|name| told.contains_key(name)) {
            let one = run(&[name]);
            assert_eq!(one["platforms"].as_array().unwrap().len(), 1, "{one}");
            assert!(one["detail"]["run"]["how"].is_string() && one["detail"]["since"].is_string(), "{one}");
        }
    }
}

#[test]
fn the_table_is_what_nixpkgs_says() {
    for (variable, nixpkgs) in checkouts() {
        let all = evaluate(&FACTS.replace("$nixpkgs", nixpkgs.to_str().unwrap())).unwrap();
        let all = all.as_object().unwrap();
        let release = match variable {
            OLD => "19.09",
            CORE => "24.05",
            _ => "July 2026",
        };
        let here: Vec<&str> = catalogue::entries().iter().filter(|e| e.is_in(release)).map(|e| e.name).collect();
        // Another day's nixpkgs has other names as well.
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        if variable == TODAY {
            let lacks: Vec<&&str> = names.iter().filter(|name| catalogue::entry(name).is_err()).collect();
            assert!(lacks.is_empty(), "{lacks:?}");
            continue;
        }
        assert_eq!(here, names, "{variable}");
        for (name, facts) in all {
            let platform = &catalogue::entry(name).unwrap().platform;
            let text = |key: &str| facts[key].as_str();
            // The two MinGW triples were renamed after 19.09.
            if !(variable == OLD && name.starts_with("mingw")) {
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
            if variable == CORE {
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
    for (variable, nixpkgs) in checkouts() {
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
            "let pkgs = import {} {{ system = \"x86_64-linux\"; config = {{ }}; overlays = [ ]; }}; in {{ {} }}",
            nixpkgs.display(),
            facts.join("\n")
        );
        let all = evaluate(&expression).unwrap();
        let all: BTreeMap<String, [String; 3]> = serde_json::from_value(all).unwrap();
        let local = Platform::parse("x86_64-linux").unwrap();
        for path in paths {
            if variable == OLD && path == "pkgsCross.muslpi.pkgsMusl" {
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
