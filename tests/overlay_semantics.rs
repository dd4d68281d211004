//! What Nix makes of edited overlays, on real package sets: the patch is in `patches` exactly once, what the overlay
//! did besides is still done, and its siblings are as they were.
//!
//! Needs Nix and checkouts: `OVERLAYCTL_NIXPKGS`, `OVERLAYCTL_NIXPKGS_1909`, `OVERLAYCTL_NIXPKGS_CORE` (the 24.05 core).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::print_stdout)]

mod support;

use std::path::Path;

use overlayctl::overlay::{
    Facts, NoFiles, OverlayFile, PatchAttribute, PatchElement, PatchRequest, Scope, ScopeKept, ScopeMethod, Select,
};
use overlayctl::syntax::AttrPath;
use support::nixpkgs::{CORE, OLD, TODAY, nixpkgs, skipped};

/// Nix, as these tests run it: no network, no configuration of the machine.
fn nix() -> std::process::Command {
    let mut command = std::process::Command::new("nix-instantiate");
    command.env("NIX_CONFIG", "substituters =\nexperimental-features = nix-command flakes");
    command
}

struct Case {
    name: &'static str,
    overlay: &'static str,
    attr: &'static str,
    facts: Facts,
    attribute: Option<PatchAttribute>,
    scope: Scope,
    /// An expression over `pkgs` that holds for the edited overlay as it did for the one before.
    kept: &'static str,
    /// Attributes whose outputs are the same as without any overlay.
    siblings: &'static [&'static str],
    /// Where the patch is to be found besides `attr`.
    also: &'static [&'static str],
}

fn case(name: &'static str, attr: &'static str, overlay: &'static str) -> Case {
    Case {
        name,
        overlay,
        attr,
        facts: Facts::default(),
        attribute: None,
        scope: Scope::All,
        kept: "true",
        siblings: &[],
        also: &[],
    }
}

fn by(method: ScopeMethod) -> Facts {
    Facts { scope: Some(method), ..Facts::default() }
}

/// Edits every overlay, evaluates all of them in one go, and compares.
fn check(nixpkgs: &Path, cases: &[Case]) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("fix.patch"), "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n").unwrap();
    std::fs::write(folder.path().join("other.patch"), "--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n").unwrap();
    let mut items = Vec::new();
    let mut failures = Vec::new();
    for (i, case) in cases.iter().enumerate() {
        let name = format!("overlay-{i}.nix");
        let file = OverlayFile::parse(Path::new(&name), case.overlay.to_string()).unwrap();
        let mut request =
            PatchRequest::new(AttrPath::parse(case.attr).unwrap(), vec![PatchElement::path("./fix.patch")]);
        request.facts = case.facts.clone();
        request.scope = case.scope;
        request.attribute = case.attribute.clone();
        let planned = match file.add_patches(&NoFiles, Select::Only, &request) {
            Ok(planned) => planned,
            Err(e) => {
                failures.push(format!("{}: {e}", case.name));
                continue;
            }
        };
        std::fs::write(folder.path().join(&name), &planned.changes[0].new).unwrap();
        let found: Vec<String> = std::iter::once(case.attr)
            .chain(case.also.iter().copied())
            .map(|a| format!("(count (pkgs.{a}.patches or []))"))
            .collect();
        let same: Vec<String> =
            case.siblings.iter().map(|s| format!("(pkgs.{s}.outPath == plain.{s}.outPath)")).collect();
        let cross =
            if case.scope == Scope::Host { "crossSystem = { config = \"aarch64-unknown-linux-gnu\"; };" } else { "" };
        items.push(format!(
            "c{i} = let pkgs = set [ (import (folder + \"/{name}\")) ] {{ {cross} }}; in {{ found = [ {} ]; same = [ {} ]; kept = {}; }};",
            found.join(" "),
            same.join(" "),
            case.kept
        ));
    }
    let expression = format!(
        "let folder = {}; set = overlays: more: import {} ({{ inherit overlays; config = {{ }}; system = \"x86_64-linux\"; }} // more); \
         plain = set [ ] {{ }}; \
         count = patches: builtins.length (builtins.filter (p: baseNameOf (toString p) == \"fix.patch\") patches); in {{ {} }}",
        folder.path().display(),
        nixpkgs.display(),
        items.join("\n")
    );
    let file = folder.path().join("all.nix");
    std::fs::write(&file, expression).unwrap();
    // All at once, which shares what they share; one by one where that fails.
    let evaluate = |attribute: Option<usize>| {
        let mut run = nix();
        run.args(["--eval", "--strict", "--json", "--read-write-mode"]).arg(&file);
        if let Some(i) = attribute {
            run.args(["-A", &format!("c{i}")]);
        }
        let output = run.output().unwrap();
        // On an error Nix closes what it has begun to print: that parses, and is not the answer.
        let value = output.status.success().then(|| serde_json::from_slice::<serde_json::Value>(&output.stdout).ok());
        value.flatten().ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let together = evaluate(None).ok();
    for (i, case) in cases.iter().enumerate() {
        let Ok(text) = std::fs::read_to_string(folder.path().join(format!("overlay-{i}.nix"))) else { continue };
        let value = match together.as_ref().map(|v| v[format!("c{i}")].clone()).map_or_else(|| evaluate(Some(i)), Ok) {
            Ok(value) => value,
            Err(e) => {
                failures.push(format!("{}: {e}\n{text}", case.name));
                continue;
            }
        };
        let all = |key: &str, wanted: serde_json::Value| {
            value[key].as_array().is_some_and(|a| a.iter().all(|v| *v == wanted))
        };
        if !all("found", 1.into()) || !all("same", true.into()) || value["kept"] != serde_json::Value::Bool(true) {
            failures.push(format!("{}: {value}\n{text}", case.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// One case for each shape of a body and of a value; they need nothing but `jq` and `lzip`.
fn shapes() -> Vec<Case> {
    let marked = "pkgs.lzip.marker or \"\" == \"x\"";
    let own = "pkgs.jq.marker or \"\" == \"x\"";
    let mut out = vec![
        Case { kept: marked, ..case("D1", "jq", "final: prev: { lzip = prev.lzip // { marker = \"x\"; }; }") },
        case("D1 empty", "jq", "final: prev: { }"),
        case("D1 no name", "jq", "_: _: { }"),
        Case {
            kept: marked,
            ..case("D2 rec", "jq", "final: prev: rec { mark = \"x\"; lzip = prev.lzip // { marker = mark; }; }")
        },
        Case {
            kept: marked,
            ..case(
                "D2 rec with the name inside",
                "jq",
                "final: prev: with prev; rec { z = jq; lzip = prev.lzip // { marker = \"x\"; }; }",
            )
        },
        Case {
            kept: marked,
            ..case(
                "let, with",
                "jq",
                "final: prev: let m = \"x\"; in with prev; { lzip = prev.lzip // { marker = m; }; }",
            )
        },
        Case {
            kept: marked,
            ..case(
                "D3 merge",
                "jq",
                "final: prev: { lzip = prev.lzip // { marker = \"x\"; }; } // { a = 1; } // prev.lib.optionalAttrs false { b = 1; }",
            )
        },
        Case {
            kept: own,
            ..case(
                "D4 computed, then a set",
                "jq",
                "final: prev: (f: f prev) (p: { jq = p.jq.overrideAttrs (o: { marker = \"x\"; }); }) // { a = 1; }",
            )
        },
        Case {
            kept: own,
            ..case(
                "A1 if, key inside",
                "jq",
                "final: prev: if prev ? jq then { jq = prev.jq.overrideAttrs (o: { marker = \"x\"; }); } else { }",
            )
        },
        case("A1 other branch", "jq", "final: prev: if prev ? jq then { } else { jq = prev.jq.override { }; }"),
        Case {
            kept: own,
            ..case(
                "A1 optionalAttrs",
                "jq",
                "final: prev: prev.lib.optionalAttrs true { jq = prev.jq.overrideAttrs (o: { marker = \"x\"; }); }",
            )
        },
        Case {
            kept: own,
            ..case(
                "A2 computed operand last",
                "jq",
                "final: prev: { a = 1; } // prev.lib.mapAttrs (n: v: v.overrideAttrs (o: { marker = \"x\"; })) { inherit (prev) jq; }",
            )
        },
        Case {
            kept: own,
            ..case(
                "A3 mapAttrs",
                "jq",
                "final: prev: prev.lib.mapAttrs (n: v: v.overrideAttrs (o: { marker = \"x\"; })) { inherit (prev) jq; }",
            )
        },
        Case {
            kept: marked,
            ..case(
                "A3 composed",
                "jq",
                "final: prev: prev.lib.composeExtensions (a: b: { lzip = b.lzip // { marker = \"x\"; }; }) (a: b: { }) final prev",
            )
        },
        Case {
            kept: marked,
            ..case(
                "unknown dynamic key",
                "jq",
                "final: prev: { ${prev.lib.toLower \"LZIP\"} = prev.lzip // { marker = \"x\"; }; }",
            )
        },
        Case {
            kept: own,
            ..case(
                "dynamic key, known",
                "jq",
                "let name = \"jq\"; in final: prev: { ${name} = prev.jq.overrideAttrs (o: { marker = \"x\"; }); }",
            )
        },
        Case {
            kept: own,
            ..case("quoted key", "jq", "final: prev: { \"jq\" = prev.jq.overrideAttrs (o: { marker = \"x\"; }); }")
        },
        Case {
            kept: own,
            ..case(
                "E1",
                "jq",
                "final: prev: { jq = prev.jq.overrideAttrs (o: { marker = \"x\"; patches = (o.patches or [ ]) ++ [ ./other.patch ]; }); }",
            )
        },
        Case { kept: own, ..case("E2", "jq", "final: prev: { jq = prev.jq.overrideAttrs (o: { marker = \"x\"; }); }") },
        Case {
            kept: own,
            ..case("E2 _", "jq", "final: prev: { jq = prev.jq.overrideAttrs (_: { marker = \"x\"; }); }")
        },
        Case {
            kept: own,
            ..case("E2 rec", "jq", "final: prev: { jq = prev.jq.overrideAttrs (o: rec { m = \"x\"; marker = m; }); }")
        },
        Case {
            kept: own,
            ..case(
                "E2 let",
                "jq",
                "final: prev: { jq = prev.jq.overrideAttrs (o: let m = \"x\"; in { marker = m; }); }",
            )
        },
        Case {
            kept: own,
            ..case(
                "E2 pattern",
                "jq",
                "final: prev: { jq = prev.jq.overrideAttrs ({ postPatch ? \"\", ... }: { marker = \"x\"; }); }",
            )
        },
        Case {
            kept: own,
            ..case(
                "E3 optionalAttrs argument",
                "jq",
                "final: prev: { jq = prev.jq.overrideAttrs (o: prev.lib.optionalAttrs true { marker = \"x\"; }); }",
            )
        },
        Case {
            kept: own,
            ..case(
                "E3 merge argument",
                "jq",
                "final: prev: { jq = prev.jq.overrideAttrs (o: { } // { marker = \"x\"; }); }",
            )
        },
        case("E4 override", "jq", "final: prev: { jq = prev.jq.override { }; }"),
        Case {
            kept: own,
            ..case(
                "E4 reversed",
                "jq",
                "final: prev: { jq = (prev.jq.overrideAttrs (o: { marker = \"x\"; })).override { }; }",
            )
        },
        case("E4 alias", "jq", "final: prev: { jq = prev.jq; }"),
        case("braces on two lines", "jq", "final: prev: {\n}\n"),
        Case {
            kept: own,
            ..case(
                "a builder's attributes",
                "jq",
                "final: prev: { jq = prev.stdenv.mkDerivation rec { name = \"own\"; src = ./fix.patch; marker = \"x\"; }; }",
            )
        },
        Case {
            kept: own,
            ..case(
                "a builder's list",
                "jq",
                "final: prev: { jq = prev.stdenv.mkDerivation { name = \"own\"; patches = [ ./other.patch ]; marker = \"x\"; }; }",
            )
        },
        Case {
            kept: own,
            ..case(
                "E4 if",
                "jq",
                "final: prev: { jq = if true then prev.jq.overrideAttrs (o: { marker = \"x\"; }) else prev.jq; }",
            )
        },
        case("E5 inherit from", "jq", "final: prev: { inherit (prev) lzip jq; }"),
        case("E5 inherit", "jq", "final: prev: let jq = prev.jq; in { inherit jq; }"),
        Case {
            kept: own,
            ..case(
                "E6 variable",
                "jq",
                "final: prev: let z = prev.jq.overrideAttrs (o: { marker = \"x\"; }); in { jq = z; }",
            )
        },
        case(
            "E7 if",
            "jq",
            "final: prev: { jq = prev.jq.overrideAttrs (o: { patches = if true then o.patches or [ ] else [ ]; }); }",
        ),
        Case {
            kept: own,
            ..case("merged with attributes", "jq", "final: prev: { jq = prev.jq // { marker = \"x\"; }; }")
        },
        case(
            "helper",
            "jq",
            "final: prev: let addPatches = p: ps: p.overrideAttrs (o: { patches = (o.patches or [ ]) ++ ps; }); in { jq = addPatches prev.jq [ ./other.patch ]; }",
        ),
        Case {
            facts: Facts { patches: overlayctl::overlay::OldPatches::Null, ..Facts::default() },
            ..case("null before", "jq", "final: prev: { jq = prev.jq.overrideAttrs (o: { patches = null; }); }")
        },
        Case { scope: Scope::Host, ..case("host, new key", "jq", "final: prev: { }") },
        Case {
            scope: Scope::Host,
            ..case("host, a key that is there", "jq", "final: prev: { jq = prev.jq.override { }; }")
        },
        Case {
            kept: "pkgs.mine.b.marker or \"\" == \"x\"",
            facts: by(ScopeMethod::OverrideScope),
            ..case(
                "a user's own scope",
                "mine.a",
                "final: prev: { mine = (prev.lib.makeScope prev.newScope (self: { a = prev.jq; b = prev.jq.overrideAttrs (o: { marker = \"x\"; }); })).overrideScope (self: super: { c = 1; }); }",
            )
        },
    ];
    for case in &mut out {
        if case.siblings.is_empty() && !case.name.starts_with("host") {
            case.siblings = &["which"];
        }
    }
    out
}

#[test]
fn on_nixpkgs_of_today() {
    let Some(path) = nixpkgs(TODAY) else { return };
    let mut cases = shapes();
    cases.extend([
        Case { kept: "pkgs.jq.marker or \"\" == \"x\"", ..case("two arguments", "jq", "final: prev: { jq = prev.jq.overrideAttrs (finalAttrs: prevAttrs: { marker = \"x\"; }); }") },
        Case { facts: by(ScopeMethod::PythonExtensions), also: &["python3.pkgs.six"], siblings: &["python3Packages.idna"], ..case("python", "python3Packages.six", "final: prev: { }") },
        Case {
            facts: by(ScopeMethod::PythonExtensions),
            kept: "pkgs.python3Packages.idna.marker or \"\" == \"x\"",
            ..case("python, extended already", "python3Packages.six", "final: prev: { pythonPackagesExtensions = prev.pythonPackagesExtensions ++ [ (pf: pp: { idna = pp.idna.overrideAttrs (o: { marker = \"x\"; }); }) ]; }")
        },
        Case { facts: by(ScopeMethod::OverrideScope), siblings: &["luaPackages.luasocket"], ..case("lua", "luaPackages.lpeg", "final: prev: { }") },
        Case { facts: by(ScopeMethod::OverrideScope), siblings: &["ocamlPackages.dune_3"], ..case("ocaml", "ocamlPackages.yojson", "final: prev: { }") },
        Case { facts: by(ScopeMethod::OverrideScope), siblings: &["ocamlPackages.yojson"], ..case("a set within a set", "ocaml-ng.ocamlPackages_4_14.yojson", "final: prev: { }") },
        Case {
            facts: Facts { kept: ScopeKept::Overridable, ..by(ScopeMethod::OverrideScope) },
            siblings: &["perl5.pkgs.TextFormat", "perl5"],
            ..case("a scope of an interpreter", "perl5.pkgs.DBI", "final: prev: { }")
        },
        Case { facts: by(ScopeMethod::Extend), siblings: &["linuxPackages.kernel"], ..case("kernel modules", "linuxPackages.cryptodev", "final: prev: { }") },
        Case {
            facts: Facts { kernel: Some(true), ..by(ScopeMethod::Extend) },
            also: &["linuxKernel.packages.linux_6_12.kernel"],
            ..case("a kernel in a set of kernels", "linuxKernel.kernels.linux_6_12", "final: prev: { }")
        },
        Case {
            attribute: Some(PatchAttribute::CargoPatches { hash: Some("cargoHash".into()), of_final: true }),
            kept: "pkgs.ripgrep.cargoDeps.drvPath != plain.ripgrep.cargoDeps.drvPath",
            siblings: &["fd", "rustc"],
            ..case("Cargo.lock", "ripgrep", "final: prev: { }")
        },
    ]);
    check(&path, &cases);
}

#[test]
fn on_nixpkgs_19_09() {
    let Some(path) = nixpkgs(OLD) else { return };
    let mut cases = shapes();
    // `overrideScope` takes its arguments the other way round here.
    cases.retain(|c| c.name != "a user's own scope");
    cases.extend([
        Case {
            facts: by(ScopeMethod::PythonPackageOverrides),
            also: &["python3.pkgs.requests"],
            siblings: &["python3Packages.idna", "perlPackages.URI"],
            ..case("python", "python3Packages.requests", "final: prev: { }")
        },
        Case {
            facts: by(ScopeMethod::PythonPackageOverrides),
            siblings: &["python3Packages.six"],
            kept: "pkgs.python3Packages.idna.marker or \"\" == \"x\"",
            ..case("python, overridden already", "python3Packages.requests", "final: prev: { python3 = prev.python3.override { packageOverrides = pf: pp: { idna = pp.idna.overrideAttrs (o: { marker = \"x\"; }); }; }; python3Packages = final.python3.pkgs; }")
        },
        Case { facts: by(ScopeMethod::Merge), siblings: &["perlPackages.XMLParser"], ..case("perl", "perlPackages.URI", "final: prev: { }") },
        Case { facts: by(ScopeMethod::Extend), siblings: &["luaPackages.luafilesystem"], ..case("lua", "luaPackages.lpeg", "final: prev: { }") },
        Case { facts: by(ScopeMethod::OverrideScopePrime), siblings: &["ocamlPackages.ocaml"], ..case("ocaml", "ocamlPackages.findlib", "final: prev: { }") },
        Case { facts: by(ScopeMethod::OverrideScopePrime), siblings: &["xorg.libXau"], ..case("xorg", "xorg.libX11", "final: prev: { }") },
        Case {
            facts: by(ScopeMethod::OverrideScopePrime),
            kept: "pkgs.xorg.libXau.marker or \"\" == \"x\"",
            ..case("xorg, merged over", "xorg.libX11", "final: prev: { xorg = prev.xorg // { libXau = prev.xorg.libXau.overrideAttrs (o: { marker = \"x\"; }); }; }")
        },
        Case {
            facts: by(ScopeMethod::OverrideScopePrime),
            kept: "pkgs.xorg.libXau.marker or \"\" == \"x\"",
            ..case("xorg, overridden already", "xorg.libX11", "final: prev: { xorg = prev.xorg.overrideScope' (self: super: { libXau = super.libXau.overrideAttrs (o: { marker = \"x\"; }); }); }")
        },
        Case { facts: by(ScopeMethod::OverrideScopePrime), siblings: &["gnome3.glib-networking"], ..case("gnome", "gnome3.gnome-common", "final: prev: { }") },
        Case { facts: by(ScopeMethod::OverrideScopePrime), siblings: &["libsForQt5.libdbusmenu"], ..case("qt", "libsForQt5.qca-qt5", "final: prev: { }") },
        Case { facts: by(ScopeMethod::Extend), siblings: &["linuxPackages.cpupower"], ..case("kernel modules", "linuxPackages.acpi_call", "final: prev: { }") },
        case("kernel", "linux_4_19", "final: prev: { }"),
        Case { siblings: &["linuxPackages.cpupower"], ..case("kernel of a set", "linuxPackages.kernel", "final: prev: { }") },
        Case {
            facts: by(ScopeMethod::OverrideScopePrime),
            siblings: &["ocaml-ng.ocamlPackages_4_07.ocaml", "ocaml-ng.ocamlPackages_4_06.findlib"],
            ..case("a set within a set", "ocaml-ng.ocamlPackages_4_07.findlib", "final: prev: { }")
        },
        Case {
            facts: by(ScopeMethod::OverrideScopePrime),
            kept: "pkgs.ocaml-ng.marker == \"x\"",
            siblings: &["ocaml-ng.ocamlPackages_4_07.ocaml", "ocaml-ng.ocamlPackages_4_06.findlib"],
            ..case("a set within a set, merged over", "ocaml-ng.ocamlPackages_4_07.findlib", "final: prev: { ocaml-ng = prev.ocaml-ng // { marker = \"x\"; }; }")
        },
        Case {
            facts: by(ScopeMethod::PythonPackageOverrides),
            also: &["python3Packages.requests"],
            siblings: &["python3.pkgs.idna"],
            ..case("python by its interpreter", "python3.pkgs.requests", "final: prev: { }")
        },
        Case {
            kept: "pkgs.xorg.libXau.marker == \"x\"",
            ..case("dotted keys", "xorg.libX11", "final: prev: { xorg.libX11 = prev.xorg.libX11.override { }; xorg.libXau = { marker = \"x\"; }; }")
        },
        Case {
            attribute: Some(PatchAttribute::CargoPatches { hash: Some("cargoSha256".into()), of_final: false }),
            kept: "count pkgs.ripgrep.cargoDeps.patches == 1 && pkgs.ripgrep.cargoDeps.outputHash != plain.ripgrep.cargoDeps.outputHash",
            siblings: &["fd", "rustc"],
            ..case("Cargo.lock", "ripgrep", "final: prev: { }")
        },
        Case {
            attribute: Some(PatchAttribute::CargoPatches { hash: None, of_final: false }),
            kept: "count pkgs.ripgrep.cargoDeps.patches == 1 && pkgs.ripgrep.marker == \"x\"",
            ..case("Cargo.lock, overridden already", "ripgrep", "final: prev: { ripgrep = prev.ripgrep.overrideAttrs (o: { marker = \"x\"; }); }")
        },
    ]);
    check(&path, &cases);
}

#[test]
fn on_the_24_05_core() {
    let Some(path) = nixpkgs(CORE) else { return };
    let mut cases = shapes();
    cases.extend([
        Case { kept: "pkgs.jq.marker or \"\" == \"x\"", ..case("attribute set, no function", "jq", "final: prev: { jq = prev.jq.overrideAttrs { marker = \"x\"; }; }") },
        Case { kept: "pkgs.jq.marker or \"\" == \"x\"", ..case("two arguments", "jq", "final: prev: { jq = prev.jq.overrideAttrs (finalAttrs: prevAttrs: { marker = \"x\"; }); }") },
        Case { facts: by(ScopeMethod::PythonExtensions), also: &["python3.pkgs.setuptools", "python311Packages.setuptools"], siblings: &["python3Packages.flit-core"], ..case("python", "python3Packages.setuptools", "final: prev: { }") },
        Case {
            facts: by(ScopeMethod::PythonExtensions),
            kept: "pkgs.python3Packages.wheel.marker or \"\" == \"x\"",
            ..case("python, extended already", "python3Packages.setuptools", "final: prev: { pythonPackagesExtensions = prev.pythonPackagesExtensions ++ [ (pf: pp: { wheel = pp.wheel.overrideAttrs (o: { marker = \"x\"; }); }) ]; }")
        },
        Case {
            facts: by(ScopeMethod::PythonExtensions),
            kept: "pkgs.python3Packages.wheel.marker or \"\" == \"x\"",
            ..case("python, extended by an import", "python3Packages.setuptools", "final: prev: let f = pf: pp: { wheel = pp.wheel.overrideAttrs (o: { marker = \"x\"; }); }; in { pythonPackagesExtensions = prev.pythonPackagesExtensions ++ [ f ]; }")
        },
        Case { facts: by(ScopeMethod::OverrideScope), siblings: &["xorg.libXau"], ..case("xorg", "xorg.libX11", "final: prev: { }") },
        Case { facts: by(ScopeMethod::Merge), ..case("perl", "perlPackages.XMLParser", "final: prev: { }") },
    ]);
    check(&path, &cases);
}

/// A package set of one package, with `overrideAttrs` and `override` as nixpkgs has them.
const FAKE: &str = r#"
let
  make = args: attrs: attrs // {
    overrideAttrs = f: make args (attrs // (if builtins.isFunction f then f attrs else f));
    override = f: make (args // (if builtins.isFunction f then f args else f)) attrs;
  };
  lib = rec {
    optional = c: x: if c then [ x ] else [ ];
    optionals = c: x: if c then x else [ ];
    optionalAttrs = c: x: if c then x else { };
    concat = a: b: a ++ b;
    singleton = x: [ x ];
    filter = builtins.filter;
    flatten = x: if builtins.isList x then builtins.concatLists (map flatten x) else [ x ];
  };
  before = { plain = { }; list = { patches = [ ./nixpkgs.patch ]; }; };
  prev = { inherit lib; stdenv.mkDerivation = make { }; foo = make { x = 1; } before.BEFORE; };
  helper = x: NULLED;
  overlay = (OVERLAY);
  final = prev // overlay final prev;
in
builtins.concatStringsSep " " (map (p: baseNameOf (toString p)) (
  let p = final.foo.patches or [ ]; in if p == null then [ ] else if builtins.isList p then p else [ p ]))
"#;

/// Whatever `patches` is set to: what evaluates before evaluates after, with what was there first and the patch once, last.
#[test]
fn whatever_patches_was_the_new_one_is_in_once() {
    if nix().arg("--version").output().is_err() {
        skipped("there is no nix-instantiate");
        return;
    }
    let lists = [
        "null",
        "(null)",
        "./x.patch",
        "\"x.patch\"",
        "[ ]",
        "[ ./x.patch ]",
        "if true then null else [ ]",
        "if false then null else [ ./x.patch ]",
        "if true then [ ./x.patch ] else [ ]",
        "v",
        "w",
        "helper 1",
        "prev.lib.optional true ./x.patch",
        "prev.lib.optional false ./x.patch",
        "prev.lib.optionals true [ ./x.patch ]",
        "with { l = [ ./x.patch ]; }; l",
        "with { l = null; }; l",
        "let l = [ ./x.patch ]; in l",
        "let l = null; in l",
        "prev.lib.concat [ ./x.patch ] (o.patches or [ ])",
        "[ ./x.patch ] ++ (o.patches or [ ])",
        "(o.patches or [ ]) ++ [ ./x.patch ] ++ [ ./y.patch ]",
        "o.patches or null",
        "o.patches or [ ]",
        "(if true then null else 1)",
        "map (x: x) [ ./x.patch ]",
        "prev.lib.flatten [ [ ./x.patch ] ]",
        "{ a = null; }.a",
        "assert true; null",
    ];
    let forms = [
        "prev.foo.overrideAttrs (o: { patches = LIST; })",
        "(prev.foo.overrideAttrs (o: { patches = LIST; })).overrideAttrs (o: { y = 1; })",
        "(prev.foo.overrideAttrs (o: { patches = LIST; })).override { x = 2; }",
        "prev.foo.overrideAttrs (o: if true then { patches = LIST; } else { })",
        "prev.foo.overrideAttrs (o: prev.lib.optionalAttrs true { patches = LIST; })",
        "prev.foo.overrideAttrs (o: { y = 1; } // { patches = LIST; })",
        "let f = o: { patches = LIST; }; in prev.foo.overrideAttrs f",
        "if true then prev.foo.overrideAttrs (o: { patches = LIST; }) else prev.foo",
        "let d = prev.foo.overrideAttrs (o: { patches = LIST; }); in d",
        "prev.foo.overrideAttrs (o: rec { patches = LIST; })",
        "prev.foo.overrideAttrs (o: let patches = LIST; in { inherit patches; })",
        "let o = { }; in prev.stdenv.mkDerivation { name = \"foo\"; patches = LIST; }",
    ];
    let folder = tempfile::tempdir().unwrap();
    let (mut checked, mut failures) = (0usize, Vec::new());
    let mut files = Vec::new();
    for (before, nulled) in [("plain", "null"), ("list", "[ ./x.patch ]")] {
        for form in forms {
            for list in lists {
                let value = form.replace("LIST", list);
                let text = format!("final: prev: let v = [ ./x.patch ]; w = null; in {{ foo = {value}; }}");
                let file = OverlayFile::parse(Path::new("overlay.nix"), text.clone()).unwrap();
                let request = PatchRequest::new(AttrPath::single("foo"), vec![PatchElement::path("./fix.patch")]);
                let new = match file.add_patches(&NoFiles, Select::Only, &request) {
                    Ok(planned) => planned.changes[0].new.clone(),
                    Err(e) => {
                        failures.push(format!("{e}\n{text}"));
                        continue;
                    }
                };
                let after = OverlayFile::parse(Path::new("overlay.nix"), new.clone()).unwrap();
                let back = after.remove_patches(&NoFiles, Select::Only, &request.attr, &request.elements);
                if back.as_ref().ok().map(|b| b.changes[0].new.as_str()) != Some(text.as_str()) {
                    failures.push(format!("not restored: {:?}\n{text}\n{new}", back.err()));
                }
                let of = |overlay: &str| {
                    FAKE.replace("BEFORE", before).replace("NULLED", nulled).replace("OVERLAY", overlay)
                };
                files.push([text.clone(), new.clone(), of(&text), of(&new)]);
            }
        }
    }
    // One run of Nix for all: each is tried, and one that throws does not end the others.
    let tried = |which: usize| {
        let items: Vec<String> = files
            .iter()
            .map(|f| format!("(let r = builtins.tryEval ({}); in if r.success then r.value else \"throws\")", f[which]))
            .collect();
        let path = folder.path().join("all.nix");
        std::fs::write(&path, format!("[\n{}\n]", items.join("\n"))).unwrap();
        let output = nix().args(["--eval", "--strict", "--json"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Vec<String>>(&output.stdout).unwrap()
    };
    let old = tried(2);
    let new = tried(3);
    for ((file, old), new) in files.iter().zip(&old).zip(&new) {
        checked += 1;
        let wanted = if old.is_empty() { "fix.patch".to_string() } else { format!("{old} fix.patch") };
        if old != "throws" && *new != wanted {
            failures.push(format!("{old:?} became {new:?}\n{}\n{}", file[0], file[1]));
        }
    }
    assert!(checked > 500, "{checked}");
    assert!(
        failures.is_empty(),
        "{} of {checked}:\n{}",
        failures.len(),
        failures[..failures.len().min(12)].join("\n\n")
    );
}
