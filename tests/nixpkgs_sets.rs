//! `patch` and `unpatch` under the names that people type, on whole nixpkgs: what the patch reaches, what still evaluates, what
//! stays as it was. Each row is patched by the program and evaluated by Nix, then taken back under both names.
//!
//! `OVERLAYCTL_NIXPKGS` is a checkout of today's nixpkgs (it needs Nix 2.26 or newer), `OVERLAYCTL_NIXPKGS_1909` one of 19.09.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::nixpkgs::{OLD, TODAY, evaluate, nixpkgs};
use support::{overlayctl, said};

const OVERLAY: &str = "final: prev: { }\n";
const PATCH: &str = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";

struct Row {
    /// What is typed.
    attr: &'static str,
    /// Names under which the package has the patch, once; separated by blanks.
    reached: &'static str,
    /// Packages that evaluate as before, changed or not.
    evaluates: &'static str,
    /// Packages that are the same as before.
    siblings: &'static str,
    /// Names that are said not to be reached, and are not.
    apart: &'static str,
    /// Codes of warnings.
    codes: &'static str,
}

const fn row(attr: &'static str, reached: &'static str, evaluates: &'static str, siblings: &'static str) -> Row {
    Row { attr, reached, evaluates, siblings, apart: "", codes: "" }
}

/// Returns the rows of a table.
fn rows(table: &'static str) -> Vec<Row> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut cells = line.split('|').map(str::trim);
            let mut next = || cells.next().unwrap_or_default();
            Row { attr: next(), reached: next(), evaluates: next(), siblings: next(), apart: next(), codes: next() }
        })
        .collect()
}

fn workspace(nixpkgs: &Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("overlayctl.toml", &format!("nixpkgs = \"{}\"\noverlays = [\"overlay.nix\"]\n", nixpkgs.display()));
    write("overlay.nix", OVERLAY);
    write("fix.patch", PATCH);
    dir
}

fn list(names: &str, each: impl Fn(&str) -> String) -> String {
    names.split_whitespace().fold(String::new(), |mut out, name| {
        let _ = write!(out, " ({})", each(name));
        out
    })
}

/// Returns what is wrong where the overlay is `before` now.
fn check(nixpkgs: &Path, row: &Row, before: &str) -> Vec<String> {
    let dir = workspace(nixpkgs);
    fs::write(dir.path().join("overlay.nix"), before).unwrap();
    let run = |arguments: &[&str]| overlayctl(dir.path()).args(arguments).output().unwrap();
    let overlay = || fs::read_to_string(dir.path().join("overlay.nix")).unwrap();
    let mut wrong = Vec::new();
    let output = run(&["patch", row.attr, "fix.patch", "--json"]);
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else { return vec![said(&output)] };
    if !output.status.success() {
        return vec![said(&output)];
    }
    let text = said(&output);
    for code in row.codes.split_whitespace().chain(row.apart.split_whitespace()).filter(|code| !text.contains(code)) {
        wrong.push(format!("{code} is not said: {text}"));
    }
    let written = answer["attr"].as_str().unwrap_or_default().to_string();
    let set = written.rsplit_once('.').map_or("null".to_string(), |(set, _)| set.to_string());
    let of = |root: &str| if set == "null" { "{ }".to_string() } else { format!("{root}.{set}") };
    let expression = format!(
        "let set = overlays: import {} {{ config = {{ }}; system = \"x86_64-linux\"; inherit overlays; }}; \
         plain = set [ ]; pkgs = set [ (import {}/overlay.nix) ]; \
         is = p: baseNameOf (toString p) == \"0001-fix.patch\"; count = l: builtins.length (builtins.filter is l); in {{ \
         found = [{} ]; apart = [{} ]; evaluates = [{} ]; same = [{} ]; \
         lost = builtins.filter (n: !({} ? ${{n}})) (builtins.attrNames ({})); }}",
        nixpkgs.display(),
        dir.path().display(),
        list(row.reached, |name| format!("count (pkgs.{name}.patches or [ ])")),
        list(row.apart, |name| format!("count (pkgs.{name}.patches or [ ])")),
        list(row.evaluates, |name| format!("plain.{name}.drvPath != \"\" && pkgs.{name}.drvPath != \"\"")),
        list(row.siblings, |name| format!("pkgs.{name}.drvPath == plain.{name}.drvPath")),
        of("pkgs"),
        of("plain"),
    );
    let all = |value: &serde_json::Value, wanted: serde_json::Value| {
        value.as_array().is_some_and(|list| list.iter().all(|one| *one == wanted))
    };
    match evaluate(&expression) {
        Ok(value) => {
            let right = all(&value["found"], 1.into())
                && all(&value["apart"], 0.into())
                && all(&value["evaluates"], true.into())
                && all(&value["same"], true.into())
                && value["lost"].as_array().is_some_and(Vec::is_empty);
            if !right {
                wrong.push(format!("{value}\n{}", overlay()));
            }
        }
        Err(why) => wrong.push(format!("{why}\n{}", overlay())),
    }
    // Back under the name that was typed, then under the one that was written.
    for name in [row.attr, &written] {
        let output = run(&["unpatch", name]);
        if !output.status.success() || overlay() != before {
            wrong.push(format!("unpatch {name}: {}{}", said(&output), overlay()));
        }
        if name == row.attr && *name != written && !run(&["patch", row.attr, "fix.patch"]).status.success() {
            wrong.push("a second time it is refused".into());
        } else if name == written {
            break;
        }
    }
    wrong
}

/// Says whether a row is to be tried: all are, unless OVERLAYCTL_ROWS names some.
fn chosen(attr: &str) -> bool {
    std::env::var("OVERLAYCTL_ROWS").map_or(true, |only| only.split(',').any(|name| name == attr))
}

fn all(variable: &'static str, table: &'static str) {
    let Some(nixpkgs) = nixpkgs(variable) else { return };
    let rows = rows(table);
    let next = AtomicUsize::new(0);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let work = || {
            let mut failures = Vec::new();
            while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                if chosen(row.attr) {
                    failures
                        .extend(check(&nixpkgs, row, OVERLAY).into_iter().map(|why| format!("{}: {why}", row.attr)));
                }
            }
            failures
        };
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{} wrong\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn sets_of_today_keep_what_they_had() {
    all(TODAY, include_str!("nixpkgs_sets/today.txt"));
}

#[test]
fn sets_of_19_09_keep_what_they_had() {
    all(OLD, include_str!("nixpkgs_sets/19_09.txt"));
}

/// What the overlay does already is gone along with where it has an effect, and only there.
#[test]
fn overlays_that_bind_the_set_already_are_gone_along_with() {
    let Some(nixpkgs) = nixpkgs(TODAY) else { return };
    let six =
        row("python3Packages.six", "python3Packages.six python312Packages.six", "python3Packages.python-dateutil", "");
    let qtbase = row("qt6.qtbase", "qt6.qtbase kdePackages.qtbase", "kdePackages.kate python3Packages.pyside6", "");
    let scope = "pf: pp: { idna = pp.idna.overridePythonAttrs (o: { doCheck = false; }); }";
    for (row, overlay) in [
        (&six, format!("final: prev: {{ python3 = prev.python3.override {{ packageOverrides = {scope}; }}; }}\n")),
        (&six, format!("final: prev: {{ python313 = prev.python313.override {{ packageOverrides = {scope}; }}; }}\n")),
        (&qtbase, "final: prev: { qt6 = prev.lib.id prev.qt6; }\n".to_string()),
        (&qtbase, "final: prev: builtins.foldl' (a: b: a // b) { } [ { mine = 1; } ]\n".to_string()),
    ] {
        let wrong = check(&nixpkgs, row, &overlay);
        assert!(wrong.is_empty(), "{overlay}{}", wrong.join("\n"));
    }
}

#[test]
fn what_cannot_be_patched_is_refused_with_what_can() {
    let Some(nixpkgs) = nixpkgs(TODAY) else { return };
    let dir = workspace(&nixpkgs);
    let mut wrong = Vec::new();
    let refused = include_str!("nixpkgs_sets/refused.txt").lines().filter(|line| !line.starts_with('#'));
    for line in refused {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [attr, code, help] = cells[..] else { panic!("{line}") };
        if !chosen(attr) {
            continue;
        }
        let output = overlayctl(dir.path()).args(["patch", attr, "fix.patch"]).output().unwrap();
        let text = said(&output);
        let offered = text.lines().find_map(|line| line.trim().strip_prefix("= help: ")).unwrap_or_default();
        let told = if help == "-" { !offered.contains('`') } else { offered.contains(help) };
        if output.status.success() || !text.contains(code) || !told {
            wrong.push(format!("{attr}: {text}"));
        }
        assert_eq!(fs::read_to_string(dir.path().join("overlay.nix")).unwrap(), OVERLAY, "{attr}");
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    for arguments in [&["explain", "nosuch-zlib"][..], &["impact", "zlibb", "--scopes", "--target", "curl"]] {
        let output = overlayctl(dir.path()).args(arguments).output().unwrap();
        let text = said(&output);
        assert!(output.status.code() == Some(2) && text.contains("OV1011"), "{arguments:?}: {text}");
    }
}

#[test]
fn a_package_for_boards_is_asked_for_on_one() {
    let Some(nixpkgs) = nixpkgs(TODAY) else { return };
    let dir = workspace(&nixpkgs);
    let output = overlayctl(dir.path()).args(["patch", "linux_rpi4", "fix.patch"]).output().unwrap();
    let text = said(&output);
    assert!(output.status.success() && text.contains("OV1139") && text.contains("pkgsCross."), "{text}");
    let overlay = dir.path().join("overlay.nix");
    let expression = format!(
        "let pkgs = (import {} {{ config = {{ }}; overlays = [ (import {}) ]; }}).pkgsCross.aarch64-multiplatform; in \
         builtins.length (builtins.filter (p: p.name == \"0001-fix\") pkgs.linux_rpi4.kernelPatches)",
        nixpkgs.display(),
        overlay.display()
    );
    let kernel = evaluate(&expression);
    let listed = fs::read_to_string(&overlay).unwrap();
    assert!(listed.contains("kernelPatches"), "{listed}");
    // Where the kernel does not show its list, that it evaluates is what can be said.
    assert!(kernel.is_ok() || kernel.is_err_and(|why| why.contains("kernelPatches")), "{listed}");
}

/// A lock file in a patch: what is to be set beside it, said as Nix says it.
#[test]
fn what_is_said_of_a_lock_file_changes_the_dependencies() {
    let Some(nixpkgs) = nixpkgs(TODAY) else { return };
    for (attr, lock, deps, beside) in [
        ("gh", "go.sum", "goModules", "vendorHash = final.lib.fakeHash;"),
        ("fzf", "go.mod", "goModules", "vendorHash = final.lib.fakeHash;"),
        ("chisel", "go.sum", "goModules", "vendorHash = final.lib.fakeHash;"),
        ("basedpyright", "package-lock.json", "npmDeps", "npmDeps = old.npmDeps.overrideAttrs"),
        ("homebridge", "package-lock.json", "npmDeps", "npmDeps = old.npmDeps.overrideAttrs"),
        ("scanservjs", "package-lock.json", "npmDeps", "npmDeps = old.npmDeps.overrideAttrs"),
        // Yarn's first format, and the one since its second version.
        ("coc-nginx", "yarn.lock", "yarnOfflineCache", "yarnOfflineCache = old.yarnOfflineCache.overrideAttrs"),
        ("matrix-appservice-irc", "yarn.lock", "yarnOfflineCache", "yarnOfflineCache = old."),
        ("typescript-language-server", "yarn.lock", "offlineCache", "offlineCache = old.offlineCache.overrideAttrs"),
        ("prettier", "yarn.lock", "offlineCache", "offlineCache = old.offlineCache.overrideAttrs (_:"),
        ("svgo", "yarn.lock", "offlineCache", "offlineCache = old.offlineCache.overrideAttrs"),
        ("katex", "yarn.lock", "offlineCache", "offlineCache = old.offlineCache.overrideAttrs"),
        ("vtsls", "pnpm-lock.yaml", "pnpmDeps", "pnpmDeps = old.pnpmDeps.overrideAttrs"),
        ("tsx", "pnpm-lock.yaml", "pnpmDeps", "pnpmDeps = old.pnpmDeps.overrideAttrs"),
        ("cdxgen", "pnpm-lock.yaml", "pnpmDeps", "pnpmDeps = old.pnpmDeps.overrideAttrs"),
    ]
    .into_iter()
    .filter(|(attr, ..)| chosen(attr))
    {
        let dir = workspace(&nixpkgs);
        fs::write(dir.path().join("fix.patch"), PATCH.replace("/x\n", &format!("/{lock}\n"))).unwrap();
        let output = overlayctl(dir.path()).args(["patch", attr, "fix.patch"]).output().unwrap();
        let text = said(&output);
        let advice = text.split_once("set `").and_then(|(_, rest)| rest.split_once('`')).map(|(advice, _)| advice);
        let advice = advice.unwrap_or_else(|| panic!("{attr}: {text}")).replace("PATCH", "./fix.patch");
        assert!(advice.contains(beside), "{attr}: {text}");
        let overlay = dir.path().join("overlay.nix");
        let written = fs::read_to_string(&overlay).unwrap();
        let with = written.replacen("patches = (old.patches", &format!("{advice}\n patches = (old.patches"), 1);
        assert_ne!(with, written, "{attr}: {written}");
        fs::write(&overlay, with).unwrap();
        let expression = format!(
            "let set = overlays: import {} {{ config = {{ }}; inherit overlays; }}; plain = set [ ]; pkgs = set [ (import {}) ]; in \
             [ (pkgs.{attr}.drvPath != plain.{attr}.drvPath) (pkgs.{attr}.{deps}.drvPath != plain.{attr}.{deps}.drvPath) \
             (pkgs.{attr}.{deps}.outPath != plain.{attr}.{deps}.outPath) ]",
            nixpkgs.display(),
            overlay.display()
        );
        assert_eq!(evaluate(&expression), Ok(serde_json::json!([true, true, true])), "{attr}: {text}");
    }
    // Rust's go another way: the patch is one of `cargoPatches`.
    for attr in ["ripgrep", "fd", "bat"].into_iter().filter(|attr| chosen(attr)) {
        let dir = workspace(&nixpkgs);
        fs::write(dir.path().join("fix.patch"), PATCH.replace("/x\n", "/Cargo.lock\n")).unwrap();
        let output = overlayctl(dir.path()).args(["patch", attr, "fix.patch"]).output().unwrap();
        assert!(said(&output).contains("OV1125") && said(&output).contains("cargoHash"), "{attr}: {}", said(&output));
        let expression = format!(
            "let set = overlays: import {} {{ config = {{ }}; inherit overlays; }}; plain = set [ ]; pkgs = set [ (import {}) ]; in \
             [ (pkgs.{attr}.drvPath != plain.{attr}.drvPath) (pkgs.{attr}.cargoDeps.drvPath != plain.{attr}.cargoDeps.drvPath) ]",
            nixpkgs.display(),
            dir.path().join("overlay.nix").display()
        );
        assert_eq!(evaluate(&expression), Ok(serde_json::json!([true, true])), "{attr}: {}", said(&output));
    }
    for (attr, lock) in [
        ("python3Packages.requests", "requirements.txt"),
        ("python3Packages.cryptography", "uv.lock"),
        ("poetry", "poetry.lock"),
    ] {
        if chosen(attr) {
            let dir = workspace(&nixpkgs);
            fs::write(dir.path().join("fix.patch"), PATCH.replace("/x\n", &format!("/{lock}\n"))).unwrap();
            let output = overlayctl(dir.path()).args(["patch", attr, "fix.patch", "--dry-run"]).output().unwrap();
            let text = said(&output);
            assert!(
                text.contains("OV1192") && text.contains("dependencies") && !text.contains("OV1125"),
                "{attr}: {text}"
            );
        }
    }
}
