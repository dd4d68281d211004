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
"#;

/// For each set and attribute the contents of its patches, in order; `None` where there is no such attribute.
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
    let text = format!(
        "{}builtins.mapAttrs (_: set: builtins.listToAttrs (map (attr: {{
          name = attr;
          value =
            let
              path = builtins.filter builtins.isString (builtins.split \"\\\\.\" attr);
              found = (import (nixpkgs + \"/lib\")).attrByPath path null set;
              patches = found.patches or [ ];
            in if found == null then null else map toString (if patches == null then [ ] else patches);
        }}) [{list} ])) sets",
        scope(scene, expect)
    );
    let text = nix(scene, "nix-instantiate", &["--eval", "--strict", "--json", "--read-write-mode", "-E", &text])?;
    let paths: BTreeMap<String, BTreeMap<String, Option<Vec<String>>>> =
        serde_json::from_str(&text).map_err(|e| e.to_string())?;
    // What cannot be read stands for itself: it is named and not there.
    let content = |path: String| fs::read(&path).unwrap_or_else(|_| format!("missing: {path}").into_bytes());
    let contents = |of: Option<Vec<String>>| of.map(|paths| paths.into_iter().map(content).collect());
    let set = |of: BTreeMap<String, Option<Vec<String>>>| of.into_iter().map(|(a, p)| (a, contents(p))).collect();
    Ok(paths.into_iter().map(|(name, of)| (name, set(of))).collect())
}

/// Asks which of these patch files, by their names, derivations in a closure have: the name and the derivation.
pub fn in_closures(
    scene: &Scene,
    expect: &Expect,
    derivations: &[String],
    names: &BTreeSet<String>,
) -> Result<BTreeSet<(String, String)>, String> {
    if derivations.is_empty() {
        return Ok(BTreeSet::new());
    }
    let list: String = derivations.iter().map(|nix| format!(" ({nix})")).collect();
    let text = nix(scene, "nix-instantiate", &["-E", &format!("{}[{list} ]", scope(scene, expect))])?;
    let roots: Vec<&str> = text.lines().collect();
    let closure = nix(scene, "nix-store", &[&["-qR"], roots.as_slice()].concat())?;
    let drvs = closure.lines().filter(|line| line.ends_with(".drv"));
    Ok(drvs.flat_map(|drv| named(Path::new(drv), names).into_iter().map(|name| (name, drv.to_owned()))).collect())
}

/// Returns which of the names the text of a derivation has.
pub fn named(drv: &Path, names: &BTreeSet<String>) -> BTreeSet<String> {
    let text = fs::read(drv).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    // Behind the hash of a store path, or behind a folder of a flake's source.
    let has = |name: &&String| text.contains(&format!("-{name}")) || text.contains(&format!("/{name}"));
    names.iter().filter(has).cloned().collect()
}
