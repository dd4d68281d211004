//! Stock Nix, asked what a workspace patches: the patches of an attribute in a set, and those in the closure of a derivation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use super::expect::Expect;
use super::scene::Scene;

/// What the expressions of `expect.toml` have in scope beside `ws` and `nixpkgs`, the paths of both.
const PRELUDE: &str = r#"
  file = name: import (ws + "/${name}");
  flake = builtins.getFlake "git+file://${toString ws}";
  pkgs = overlays: import nixpkgs { inherit overlays; };
  cross = platform: overlays: crossOverlays: (import nixpkgs { inherit overlays crossOverlays; }).pkgsCross.${platform};
  # Each overlay once: what `pkgsCross.X.pkgsStatic` would be if nixpkgs did not apply the crossOverlays twice.
  static = cpu: overlays: crossOverlays: import nixpkgs {
    inherit overlays crossOverlays;
    crossSystem = { isStatic = true; config = "${cpu}-unknown-linux-musl"; };
  };
  nixos = name: import (nixpkgs + "/nixos") { configuration = ws + "/${name}"; };
  at = import (nixpkgs + "/lib");
  path = builtins.split "[.]";
  found = attr: set: at.attrByPath (builtins.filter builtins.isString (path attr)) null set;
  # Of every attribute its patches; and what a set has beside them, which no command may take away or change.
  ask = attrs: set: builtins.listToAttrs (map (attr: {
    name = attr;
    value =
      let package = found attr set; patches = package.patches or [ ];
      in if package == null then null else map toString (if patches == null then [ ] else patches);
  }) attrs) // {
    beside = builtins.filter (name: found name set != null) [
      "zlib.override" "zlib.overrideAttrs" "python313.override" "python3Packages.overrideScope" "xfce.overrideScope"
    ] ++ (if set ? stdenv && set.stdenv.hostPlatform == set.stdenv.buildPlatform
      then [ set.hello.drvPath set.xfce.libxfce4ui.drvPath ] else [ ]);
  };
"#;

/// The name in [`Seen`] of what a set has beside the packages that were asked for.
pub const BESIDE: &str = "beside";

/// For each set and attribute the contents of its patches, in order; `None` where there is no such attribute. Under
/// [`BESIDE`] what else the set has.
pub type Seen = BTreeMap<String, BTreeMap<String, Option<Vec<Vec<u8>>>>>;

/// Returns the Nix text that has everything in scope, without its body.
fn scope(scene: &Scene, expect: &Expect) -> String {
    let bindings = |of: &BTreeMap<String, String>| -> String {
        of.iter().map(|(name, nix)| format!("    {name:?} = {nix};\n")).collect()
    };
    format!(
        "let\n  ws = {};\n  nixpkgs = {};\n{PRELUDE}  sets = {{\n{}  }};\n  derivations = {{\n{}  }};\nin ",
        scene.ws().display(),
        scene.beside("nixpkgs").display(),
        bindings(&expect.sets),
        bindings(&expect.derivations)
    )
}

/// Runs one of Nix's own programs.
fn nix(scene: &Scene, program: &str, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    scene.environment(&mut command);
    let output = command.args(args).current_dir(scene.ws()).output().map_err(|e| e.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.contains("warning:"));
            Err(lines.take(6).map(str::trim).collect::<Vec<_>>().join(" | "))
        }
    }
}

/// Asks for the patches of the attributes in every set.
pub fn seen(scene: &Scene, expect: &Expect, attrs: &BTreeSet<String>) -> Result<Seen, String> {
    let list: String = attrs.iter().map(|attr| format!(" {attr:?}")).collect();
    let text = format!("{}builtins.mapAttrs (_: ask [{list} ]) sets", scope(scene, expect));
    let text = nix(scene, "nix-instantiate", &["--eval", "--strict", "--json", "--read-write-mode", "-E", &text])?;
    let paths: BTreeMap<String, BTreeMap<String, Option<Vec<String>>>> =
        serde_json::from_str(&text).map_err(|e| e.to_string())?;
    // What cannot be read stands for itself: it is named and not there.
    let content = |path: String| fs::read(&path).unwrap_or_else(|_| format!("missing: {path}").into_bytes());
    let contents = |attr: &str, of: Option<Vec<String>>| match attr {
        BESIDE => of.map(|names| names.into_iter().map(String::into_bytes).collect()),
        _ => of.map(|paths| paths.into_iter().map(content).collect()),
    };
    let set = |of: BTreeMap<String, Option<Vec<String>>>| {
        of.into_iter().map(|(attr, paths)| (attr.clone(), contents(&attr, paths))).collect()
    };
    Ok(paths.into_iter().map(|(name, of)| (name, set(of))).collect())
}

/// Asks which of these patch files, by their names, derivations in a closure have: the name and the derivation.
pub fn in_closures(
    scene: &Scene,
    expect: &Expect,
    derivations: &[String],
    names: &BTreeSet<String>,
) -> Result<BTreeSet<(String, String)>, String> {
    let drvs = closure(scene, expect, derivations)?;
    let of = |drv: String| named(Path::new(&drv), names).into_iter().map(move |name| (name, drv.clone()));
    Ok(drvs.into_iter().flat_map(of).collect())
}

/// Returns the derivations in the closures of some.
fn closure(scene: &Scene, expect: &Expect, derivations: &[String]) -> Result<Vec<String>, String> {
    if derivations.is_empty() {
        return Ok(Vec::new());
    }
    let list: String = derivations.iter().map(|nix| format!(" ({nix})")).collect();
    let text = nix(scene, "nix-instantiate", &["-E", &format!("{}[{list} ]", scope(scene, expect))])?;
    let roots: Vec<&str> = text.lines().collect();
    let closure = nix(scene, "nix-store", &[&["-qR"], roots.as_slice()].concat())?;
    Ok(closure.lines().filter(|line| line.ends_with(".drv")).map(str::to_owned).collect())
}

/// Returns the derivations in closures that have one of these patches, and those that need one that has.
pub fn rebuilt_by(
    scene: &Scene,
    expect: &Expect,
    derivations: &[String],
    names: &BTreeSet<String>,
    is_its: &dyn Fn(&str, &str) -> bool,
) -> Result<BTreeSet<String>, String> {
    let mut rebuilt = BTreeSet::new();
    let mut others = Vec::new();
    for drv in closure(scene, expect, derivations)? {
        match named(Path::new(&drv), names).iter().any(|name| is_its(name, &drv)) {
            true => drop(rebuilt.insert(drv)),
            false => others.push((fs::read_to_string(&drv).map_err(|e| e.to_string())?, drv)),
        }
    }
    loop {
        let before = rebuilt.len();
        others.retain(|(text, drv)| {
            // What has a fixed output keeps it, whatever made it.
            let needs = !text.contains("\"outputHash\"") && rebuilt.iter().any(|one| text.contains(one.as_str()));
            if needs {
                rebuilt.insert(drv.clone());
            }
            !needs
        });
        if rebuilt.len() == before {
            return Ok(rebuilt);
        }
    }
}

/// Returns which of the names the text of a derivation has.
pub fn named(drv: &Path, names: &BTreeSet<String>) -> BTreeSet<String> {
    let text = fs::read(drv).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    // Behind the hash of a store path, or behind a folder of a flake's source.
    let has = |name: &&String| text.contains(&format!("-{name}")) || text.contains(&format!("/{name}"));
    names.iter().filter(has).cloned().collect()
}
