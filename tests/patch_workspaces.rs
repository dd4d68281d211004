//! Workspaces as people have them: which overlay `patch` takes, where it asks, what `init` and `--new-overlay` make of them, and
//! that `list` and `unpatch` find what was written.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects"
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::said;

const PATCH: &str = "Subject: fix it\n\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";

/// What `patch zlib` does.
enum Taken {
    /// It edits the function on that line of the file.
    Edits(&'static str),
    /// It asks which of these is meant.
    Asks(&'static [&'static str]),
    /// There is no overlay.
    None,
}

/// How an overlay that `--new-overlay` makes comes to be used.
enum Wired {
    /// By an edit of this file.
    In(&'static str),
    /// By the user, who is told how.
    Told,
    /// By custom, or there is nothing that it could be wired into.
    Already,
}

use Taken::{Asks, Edits};
use Wired::{Already, In, Told};

struct Layout {
    name: &'static str,
    zlib: Taken,
    new: Wired,
    files: &'static [(&'static str, &'static str)],
}

const LAYOUTS: &[Layout] = &[
    Layout {
        name: "flake-import",
        zlib: Edits("overlays/default.nix:1"),
        new: Told,
        files: &[
            (
                "flake.nix",
                r#"{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";

  outputs = { self, nixpkgs, ... }@inputs: {
    overlays.default = import ./overlays;
  };
}
"#,
            ),
            (
                "overlays/default.nix",
                r#"final: prev: {
  hello = prev.hello.overrideAttrs (old: {
    doCheck = false;
  });
}
"#,
            ),
        ],
    },
    Layout {
        name: "flake-import-file",
        zlib: Edits("overlay.nix:1"),
        new: Told,
        files: &[
            (
                "flake.nix",
                r#"{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";

  outputs = { self, nixpkgs, ... }@inputs: {
    overlays.default = import ./overlay.nix;
    overlays.extra = final: prev: { extra = 1; };
  };
}
"#,
            ),
            (
                "overlay.nix",
                r#"final: prev: {
  hello = prev.hello.overrideAttrs (old: {
    doCheck = false;
  });
}
"#,
            ),
        ],
    },
    Layout {
        name: "flake-parts",
        zlib: Edits("nix/overlays.nix:3"),
        new: In("nix/overlays.nix"),
        files: &[
            (
                "flake.nix",
                r#"{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";

  outputs = { self, nixpkgs, ... }@inputs: inputs.flake-parts.lib.mkFlake { inherit inputs; } {
    imports = [ ./nix/overlays.nix ];
    systems = [ "x86_64-linux" ];
  };
}
"#,
            ),
            (
                "nix/overlays.nix",
                r#"{ inputs, ... }:
{
  flake.overlays.default = final: prev: {
    jq = prev.jq.override { onigurumaSupport = false; };
  };
  perSystem = { system, ... }: {
    _module.args.pkgs = import inputs.nixpkgs {
      inherit system;
      overlays = [ inputs.self.overlays.default ];
    };
  };
}
"#,
            ),
        ],
    },
    Layout {
        name: "module-list",
        zlib: Asks(&["configuration.nix:6", "x.nix:1"]),
        new: In("configuration.nix"),
        files: &[
            (
                "configuration.nix",
                r#"{ pkgs, ... }:
{
  imports = [ ./hardware-configuration.nix ];
  nixpkgs.overlays = [
    (import ./x.nix)
    (final: prev: {
      htop = prev.htop;
    })
  ];
}
"#,
            ),
            (
                "x.nix",
                r#"final: prev: {
  hello = prev.hello.overrideAttrs (old: {
    doCheck = false;
  });
}
"#,
            ),
            (
                "hardware-configuration.nix",
                r#"{ ... }: { }
"#,
            ),
        ],
    },
    Layout {
        name: "home-manager",
        zlib: Edits("home.nix:5"),
        new: In("home.nix"),
        files: &[
            (
                "flake.nix",
                r#"{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";

  outputs = { self, nixpkgs, ... }@inputs: {
    homeConfigurations.me = inputs.home-manager.lib.homeManagerConfiguration {
      pkgs = nixpkgs.legacyPackages.x86_64-linux;
      modules = [ ./home.nix ];
    };
  };
}
"#,
            ),
            (
                "home.nix",
                r#"{ config, pkgs, ... }:
{
  home.username = "me";
  nixpkgs.overlays = [
    (self: super: {
      tmux = super.tmux.overrideAttrs (o: { name = "t"; });
    })
  ];
}
"#,
            ),
        ],
    },
    Layout {
        name: "readdir",
        zlib: Asks(&["overlays/hello.nix:1", "overlays/zlib.nix:1"]),
        new: Already,
        files: &[
            (
                "overlays/default.nix",
                r#"let
  dir = ./.;
  names = builtins.filter (n: n != "default.nix") (builtins.attrNames (builtins.readDir dir));
in
map (n: import (dir + "/${n}")) names
"#,
            ),
            (
                "overlays/hello.nix",
                r#"final: prev: {
  hello = prev.hello.overrideAttrs (old: {
    doCheck = false;
  });
}
"#,
            ),
            (
                "overlays/zlib.nix",
                r#"final: prev: {
  # ours
}
"#,
            ),
            (
                "default.nix",
                r#"import <nixpkgs> { overlays = import ./overlays; }
"#,
            ),
        ],
    },
    Layout {
        name: "attrvalues",
        zlib: Asks(&["overlays/default.nix:3", "overlays/default.nix:5", "overlays/default.nix:10"]),
        new: Told,
        files: &[
            (
                "flake.nix",
                r#"{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";

  outputs = { self, nixpkgs, ... }@inputs: {
    overlays = import ./overlays { inherit inputs; };
    nixosConfigurations.box = nixpkgs.lib.nixosSystem {
      modules = [ ({ nixpkgs.overlays = builtins.attrValues self.overlays; }) ./box.nix ];
    };
  };
}
"#,
            ),
            (
                "overlays/default.nix",
                r#"{ inputs, ... }:
{
  additions = final: _prev: import ../pkgs final.pkgs;

  modifications = final: prev: {
    # example = prev.example.overrideAttrs (oldAttrs: rec {
    # });
  };

  unstable-packages = final: _prev: {
    unstable = import inputs.nixpkgs-unstable {
      system = final.system;
      config.allowUnfree = true;
    };
  };
}
"#,
            ),
            (
                "pkgs/default.nix",
                r#"pkgs: { mine = pkgs.callPackage ./mine { }; }
"#,
            ),
            (
                "box.nix",
                r#"{ ... }: { }
"#,
            ),
        ],
    },
    Layout {
        name: "npins",
        zlib: Edits("nix/overlay.nix:1"),
        new: In("default.nix"),
        files: &[
            (
                "npins/default.nix",
                r#"{ }
"#,
            ),
            (
                "npins/sources.json",
                r#"{}
"#,
            ),
            (
                "default.nix",
                r#"let
  sources = import ./npins;
  pkgs = import sources.nixpkgs {
    overlays = [ (import ./nix/overlay.nix) ];
  };
in
pkgs
"#,
            ),
            (
                "nix/overlay.nix",
                r#"final: prev: {
  # ours
}
"#,
            ),
        ],
    },
    Layout {
        name: "niv",
        zlib: Asks(&["nix/default.nix:4", "nix/overlay.nix:1"]),
        new: In("nix/default.nix"),
        files: &[
            (
                "nix/sources.nix",
                r#"{ }
"#,
            ),
            (
                "nix/sources.json",
                r#"{}
"#,
            ),
            (
                "nix/default.nix",
                r#"{ sources ? import ./sources.nix }:
import sources.nixpkgs {
  overlays = [
    (_: pkgs: { inherit (import sources.niv { }) niv; })
    (import ./overlay.nix)
  ];
  config = { };
}
"#,
            ),
            (
                "nix/overlay.nix",
                r#"final: prev: {
  hello = prev.hello.overrideAttrs (old: {
    doCheck = false;
  });
}
"#,
            ),
            (
                "shell.nix",
                r#"{ pkgs ? import ./nix { } }: pkgs.mkShell { }
"#,
            ),
        ],
    },
    Layout {
        name: "config-nix",
        zlib: Edits("config.nix:3"),
        new: Already,
        files: &[(
            "config.nix",
            r#"{
  allowUnfree = true;
  packageOverrides = pkgs: with pkgs; {
    myEnv = buildEnv { name = "my"; paths = [ hello ]; };
  };
}
"#,
        )],
    },
    Layout {
        name: "user-overlays",
        zlib: Asks(&["overlays/10-fonts.nix:1", "overlays/20-tools.nix:1"]),
        new: Already,
        files: &[
            (
                "overlays/10-fonts.nix",
                r#"final: prev: {
  hello = prev.hello.overrideAttrs (old: {
    doCheck = false;
  });
}
"#,
            ),
            (
                "overlays/20-tools.nix",
                r#"self: super:

{
  ripgrep = super.ripgrep;
}
"#,
            ),
            (
                "config.nix",
                r#"{ allowUnfree = true; }
"#,
            ),
        ],
    },
    Layout {
        name: "monorepo",
        zlib: Asks(&["libs/c/nix/overlays/default.nix:1", "services/api/overlay.nix:1", "services/web/overlay.nix:1"]),
        new: Already,
        files: &[
            (
                "services/api/overlay.nix",
                r#"final: prev: {
  hello = prev.hello.overrideAttrs (old: {
    doCheck = false;
  });
}
"#,
            ),
            (
                "services/web/overlay.nix",
                r#"final: prev: {
  nodejs = prev.nodejs_20;
}
"#,
            ),
            (
                "libs/c/nix/overlays/default.nix",
                r#"final: prev: {
  # ours
}
"#,
            ),
            (
                "README.md",
                r#"x
"#,
            ),
        ],
    },
    Layout {
        name: "compose-many",
        zlib: Asks(&["overlays/apps.nix:2", "overlays/toolchain.nix:1"]),
        new: In("flake.nix"),
        files: &[
            (
                "flake.nix",
                r#"{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";

  outputs = { self, nixpkgs, ... }@inputs: {
    overlays.default = nixpkgs.lib.composeManyExtensions [
      (import ./overlays/toolchain.nix)
      (import ./overlays/apps.nix { inherit inputs; })
    ];
  };
}
"#,
            ),
            (
                "overlays/toolchain.nix",
                r#"final: prev: {
  # ours
}
"#,
            ),
            (
                "overlays/apps.nix",
                r#"{ inputs }:
final: prev: {
  app = final.callPackage ./app.nix { };
}
"#,
            ),
        ],
    },
    Layout {
        name: "hosts",
        zlib: Asks(&["hosts/common.nix:4", "hosts/b/default.nix:4"]),
        new: Told,
        files: &[
            (
                "flake.nix",
                r#"{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";

  outputs = { self, nixpkgs, ... }@inputs: {
    nixosConfigurations.a = nixpkgs.lib.nixosSystem { modules = [ ./hosts/a ]; };
    nixosConfigurations.b = nixpkgs.lib.nixosSystem { modules = [ ./hosts/b ]; };
  };
}
"#,
            ),
            (
                "hosts/a/default.nix",
                r#"{ pkgs, ... }:
{
  imports = [ ../common.nix ];
  boot.kernelPackages = pkgs.linuxPackages_6_6;
}
"#,
            ),
            (
                "hosts/b/default.nix",
                r#"{ ... }:
{
  imports = [ ../common.nix ];
  nixpkgs.overlays = [ (final: prev: { b-only = 1; }) ];
}
"#,
            ),
            (
                "hosts/common.nix",
                r#"{ ... }:
{
  nixpkgs.overlays = [
    (final: prev: {
      openssh = prev.openssh.override { withKerberos = true; };
    })
  ];
}
"#,
            ),
        ],
    },
    Layout {
        name: "devenv",
        zlib: Edits("devenv.nix:4"),
        new: In("devenv.nix"),
        files: &[
            (
                "devenv.nix",
                r#"{ pkgs, lib, config, inputs, ... }:
{
  overlays = [
    (final: prev: {
      hello = prev.hello;
    })
  ];
  packages = [ pkgs.git ];
}
"#,
            ),
            (
                "devenv.yaml",
                r#"inputs:
  nixpkgs:
    url: github:cachix/devenv-nixpkgs/rolling
"#,
            ),
        ],
    },
    Layout {
        name: "flake-none",
        zlib: Taken::None,
        new: Told,
        files: &[(
            "flake.nix",
            r#"{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";

  outputs = { self, nixpkgs, ... }@inputs: {
    packages.x86_64-linux.default = nixpkgs.legacyPackages.x86_64-linux.hello;
  };
}
"#,
        )],
    },
    Layout {
        name: "flake-let",
        zlib: Edits("flake.nix:5"),
        new: In("flake.nix"),
        files: &[
            (
                "flake.nix",
                r#"{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";

  outputs = { self, nixpkgs, ... }@inputs: let
    overlay = final: prev: {
      mytool = final.callPackage ./pkgs/mytool.nix { };
    };
    pkgs = import nixpkgs { system = "x86_64-linux"; overlays = [ overlay ]; };
  in {
    overlays.default = overlay;
    packages.x86_64-linux = { inherit (pkgs) mytool; };
  };
}
"#,
            ),
            (
                "pkgs/mytool.nix",
                r#"{ hello }: hello
"#,
            ),
        ],
    },
    Layout {
        name: "module-none",
        zlib: Taken::None,
        new: Told,
        files: &[(
            "configuration.nix",
            r#"{ config, pkgs, ... }:
{
  boot.loader.grub.enable = true;
  environment.systemPackages = [ pkgs.vim ];
}
"#,
        )],
    },
    Layout {
        name: "default-nopkgs",
        zlib: Taken::None,
        new: Told,
        files: &[
            (
                "default.nix",
                r#"{ pkgs ? import <nixpkgs> { } }:
pkgs.callPackage ./app.nix { }
"#,
            ),
            (
                "app.nix",
                r#"{ hello }: hello
"#,
            ),
        ],
    },
    Layout {
        name: "default-overlays-arg",
        zlib: Edits("overlay.nix:1"),
        new: In("default.nix"),
        files: &[
            (
                "default.nix",
                r#"{ nixpkgs ? <nixpkgs>, overlays ? [ ], ... }@args:
import nixpkgs (args // {
  overlays = [ (import ./overlay.nix) ] ++ overlays;
})
"#,
            ),
            (
                "overlay.nix",
                r#"final: prev: {
  hello = prev.hello.overrideAttrs (old: {
    doCheck = false;
  });
}
"#,
            ),
        ],
    },
    Layout {
        name: "flake-utils",
        zlib: Edits("flake.nix:9"),
        new: In("flake.nix"),
        files: &[(
            "flake.nix",
            r#"{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";

  outputs = { self, nixpkgs, ... }@inputs: inputs.flake-utils.lib.eachDefaultSystem (system:
    let
      pkgs = import nixpkgs {
        inherit system;
        overlays = [
          (final: prev: {
            foo = prev.foo;
          })
        ];
      };
    in { packages.default = pkgs.hello; });
}
"#,
        )],
    },
    Layout {
        name: "nur",
        zlib: Edits("overlay.nix:1"),
        new: Told,
        files: &[
            (
                "default.nix",
                r#"{ pkgs ? import <nixpkgs> { } }:
{
  lib = import ./lib { inherit pkgs; };
  modules = import ./modules;
  overlays = import ./overlays;
  example = pkgs.callPackage ./pkgs/example { };
}
"#,
            ),
            (
                "overlay.nix",
                r#"self: super:
let
  isReserved = n: n == "lib" || n == "overlays" || n == "modules";
  nameValuePair = n: v: { name = n; value = v; };
  nurAttrs = import ./default.nix { pkgs = super; };
in
builtins.listToAttrs (map (n: nameValuePair n nurAttrs.${n}) (builtins.filter (n: !isReserved n) (builtins.attrNames nurAttrs)))
"#,
            ),
            (
                "overlays/default.nix",
                r#"{
  # Add your overlays here
  #
  # my-overlay = import ./my-overlay;
}
"#,
            ),
            (
                "lib/default.nix",
                r#"{ pkgs }: { }
"#,
            ),
            (
                "modules/default.nix",
                r#"{ }
"#,
            ),
            (
                "pkgs/example/default.nix",
                r#"{ stdenv }: stdenv
"#,
            ),
        ],
    },
    Layout {
        name: "digga-import-dir",
        zlib: Edits("overlays/b.nix:1"),
        new: Told,
        files: &[
            (
                "flake.nix",
                r#"{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";

  outputs = { self, nixpkgs, ... }@inputs: {
    overlays = nixpkgs.lib.genAttrs (builtins.map (f: nixpkgs.lib.removeSuffix ".nix" f) (builtins.attrNames (builtins.readDir ./overlays))) (n: import (./overlays + "/${n}.nix"));
  };
}
"#,
            ),
            (
                "overlays/a.nix",
                r#"final: prev: {
  hello = prev.hello.overrideAttrs (old: {
    doCheck = false;
  });
}
"#,
            ),
            (
                "overlays/b.nix",
                r#"final: prev: {
  zlib = prev.zlib.override { static = true; };
}
"#,
            ),
        ],
    },
    Layout {
        name: "module-mkIf",
        zlib: Edits("modules/overlays.nix:5"),
        new: In("modules/overlays.nix"),
        files: &[
            (
                "modules/overlays.nix",
                r#"{ config, lib, ... }:
{
  config = lib.mkIf config.my.overlays.enable {
    nixpkgs.overlays = [
      (final: prev: {
        bash = prev.bash;
      })
    ];
  };
}
"#,
            ),
            (
                "configuration.nix",
                r#"{ imports = [ ./modules/overlays.nix ./hw.nix ]; }
"#,
            ),
            (
                "hw.nix", r#"{ }
"#,
            ),
        ],
    },
    Layout {
        name: "nixpkgs-config-module",
        zlib: Edits("configuration.nix:3"),
        new: Told,
        files: &[(
            "configuration.nix",
            r#"{ pkgs, ... }:
{
  nixpkgs.config.packageOverrides = pkgs: {
    vaapiIntel = pkgs.vaapiIntel.override { enableHybridCodec = true; };
  };
}
"#,
        )],
    },
    Layout {
        name: "easyoverlay",
        zlib: Edits("flake.nix:8"),
        new: Told,
        files: &[(
            "flake.nix",
            r#"{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-24.05";

  outputs = { self, nixpkgs, ... }@inputs: inputs.flake-parts.lib.mkFlake { inherit inputs; } {
    imports = [ inputs.flake-parts.flakeModules.easyOverlay ];
    systems = [ "x86_64-linux" ];
    perSystem = { config, pkgs, ... }: {
      overlayAttrs = { inherit (config.packages) foo; };
      packages.foo = pkgs.hello;
    };
  };
}
"#,
        )],
    },
    Layout {
        name: "mobile-nixos",
        zlib: Edits("overlay/overlay.nix:1"),
        new: In("pkgs.nix"),
        files: &[
            (
                "overlay/overlay.nix",
                r#"final: super:
let
  callPackage = final.callPackage;
in
{
  ply-image = callPackage ./ply-image { };
}
"#,
            ),
            (
                "overlay/default.nix",
                r#"final: super: import ./overlay.nix final super
"#,
            ),
            (
                "default.nix",
                r#"{ pkgs ? import ./pkgs.nix { } }: pkgs
"#,
            ),
            (
                "pkgs.nix",
                r#"import <nixpkgs> { overlays = [ (import ./overlay) ]; }
"#,
            ),
        ],
    },
];

fn overlayctl(dir: &Path, args: &[&str]) -> Output {
    support::overlayctl(dir).args(args).output().unwrap()
}

fn workspace(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files.iter().chain(&[("fix.patch", PATCH)]) {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(tree(&path));
        } else {
            files.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    files
}

#[test]
fn the_right_overlay_is_taken_or_asked_for() {
    for layout in LAYOUTS {
        let dir = workspace(layout.files);
        let before = tree(dir.path());
        let run = overlayctl(dir.path(), &["patch", "zlib", "fix.patch", "--offline"]);
        let (name, said) = (layout.name, said(&run));
        match layout.zlib {
            Edits(place) => {
                assert!(run.status.success() && said.contains(&format!("wrote {place}:")), "{name}: {said}");
                let listed = overlayctl(dir.path(), &["list", "zlib"]);
                let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
                let file = place.split(':').next().unwrap();
                assert!(listed.contains("0001-fix-it.patch") && listed.contains(file), "{name}: {listed}");
                assert!(!listed.contains("unused"), "{name}: {listed}");
                let again = overlayctl(dir.path(), &["patch", "zlib", "fix.patch", "--offline"]);
                assert!(String::from_utf8_lossy(&again.stdout).contains("nothing changed"), "{name}");
                let undo = overlayctl(dir.path(), &["unpatch", "zlib"]);
                assert!(undo.status.success(), "{name}: {}", support::said(&undo));
            }
            Asks(places) => {
                assert_eq!(run.status.code(), Some(1), "{name}: {said}");
                assert!(said.contains("OV1009") && places.iter().all(|place| said.contains(place)), "{name}: {said}");
                // What is asked for is what may be answered.
                let answer = places[0];
                let run = overlayctl(dir.path(), &["patch", "zlib", "fix.patch", "--offline", "--overlay", answer]);
                assert!(run.status.success(), "{name}: {}", support::said(&run));
                assert!(overlayctl(dir.path(), &["unpatch", "zlib"]).status.success(), "{name}");
            }
            Taken::None => {
                assert!(
                    !run.status.success() && said.contains("OV1008") && said.contains("--new-overlay"),
                    "{name}: {said}"
                );
            }
        }
        assert!(tree(dir.path()) == before, "{name}: the bytes did not come back");
    }
}

#[test]
fn init_makes_an_overlay_only_where_there_is_none() {
    for layout in LAYOUTS {
        let dir = workspace(layout.files);
        let run = overlayctl(dir.path(), &["init"]);
        assert!(run.status.success(), "{}: {}", layout.name, said(&run));
        let made = said(&run).lines().any(|line| line.starts_with("wrote") && line.contains("overlays/default.nix"));
        assert_eq!(made, matches!(layout.zlib, Taken::None), "{}: {}", layout.name, said(&run));
        let patched = overlayctl(dir.path(), &["patch", "zlib", "fix.patch", "--offline"]);
        let said = said(&patched);
        match layout.zlib {
            Edits(place) => assert!(said.contains(&format!("wrote {place}:")), "{}: {said}", layout.name),
            // What init wrote down may be the answer.
            Asks(places) => assert!(
                said.contains("OV1009") || places.iter().any(|place| said.contains(&format!("wrote {place}:"))),
                "{}: {said}",
                layout.name
            ),
            Taken::None => assert!(said.contains("wrote overlays/default.nix:1:1"), "{}: {said}", layout.name),
        }
    }
}

#[test]
fn a_new_overlay_is_wired_in_or_the_user_is_told() {
    for layout in LAYOUTS {
        let dir = workspace(layout.files);
        let before = tree(dir.path());
        let run = overlayctl(dir.path(), &["patch", "lzip", "fix.patch", "--offline", "--new-overlay"]);
        let said = said(&run);
        assert!(run.status.success(), "{}: {said}", layout.name);
        let changed: Vec<String> = tree(dir.path())
            .into_iter()
            .filter(|(path, text)| before.get(path).is_some_and(|old| old != text))
            .map(|(path, _)| path.strip_prefix(dir.path()).unwrap().display().to_string())
            .collect();
        let told = said.contains("wired in");
        match layout.new {
            In(file) => assert!(changed == [file] && !told, "{}: {changed:?} {said}", layout.name),
            Told => assert!(changed.is_empty() && told, "{}: {changed:?} {said}", layout.name),
            Already => assert!(changed.is_empty() && !told, "{}: {changed:?} {said}", layout.name),
        }
        let unpatched = overlayctl(dir.path(), &["unpatch", "lzip"]);
        assert!(unpatched.status.success(), "{}: {}", layout.name, support::said(&unpatched));
    }
}

/// The wiring counts: the package set of the workspace has the patch.
#[test]
fn what_is_wired_in_is_used() {
    if Command::new("nix-instantiate").arg("--version").output().is_err() {
        return eprintln!("skipped: there is no nix-instantiate");
    }
    let set = "{ overlays ? [ ], ... }: builtins.foldl' (prev: overlay: prev // overlay { } prev) { lib.composeManyExtensions = \
               es: final: prev: builtins.foldl' (acc: e: acc // e final (prev // acc)) { } es; lzip = { patches = [ ]; overrideAttrs = f: f { }; }; } overlays";
    let other = "final: prev: { other = 1; }";
    for (name, text) in [
        ("list", "import ./nixpkgs { overlays = [ (import ./other.nix) ]; }"),
        ("lines", "{ ... }:\nimport ./nixpkgs {\n  overlays = [\n    (import ./other.nix) # ours\n  ];\n}\n"),
        ("more", "{ more ? [ ] }: import ./nixpkgs { overlays = [ (import ./other.nix) ] ++ more; }"),
        (
            "composed",
            "import ./nixpkgs { overlays = builtins.attrValues { a = (import ./nixpkgs { }).lib.composeManyExtensions [ (import ./other.nix) ]; }; }",
        ),
    ] {
        let dir = workspace(&[("nixpkgs/default.nix", set), ("other.nix", other), ("default.nix", text)]);
        let run =
            overlayctl(dir.path(), &["patch", "lzip", "fix.patch", "--offline", "--new-overlay", "overlays/new.nix"]);
        assert!(run.status.success() && !said(&run).contains("wired in"), "{name}: {}", said(&run));
        let expression = "let given = import ./default.nix; set = if builtins.isFunction given then given { } else given; \
                          in [ (map baseNameOf set.lzip.patches) set.other ]";
        let output = Command::new("nix-instantiate")
            .args(["--eval", "--strict", "--json", "-E", expression])
            .current_dir(dir.path())
            .env("NIX_CONFIG", support::NIX_CONFIG)
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            "[[\"0001-fix-it.patch\"],1]",
            "{name}: {}",
            said(&output)
        );
    }
}

/// A NixOS configuration that chooses its kernel is told of its own way.
#[test]
fn the_kernel_of_a_configuration() {
    let chosen = "{ pkgs, ... }:\n{\n  boot.kernelPackages = pkgs.linuxPackages_6_6;\n}\n";
    let files = [("configuration.nix", chosen), ("overlay.nix", "final: prev: { }\n")];
    let dir = workspace(&files);
    let said = said(&overlayctl(dir.path(), &["patch", "linux_6_6", "fix.patch", "--offline"]));
    assert!(said.contains("OV1135") && said.contains("configuration.nix:3:3"), "{said}");
    let snippet =
        "boot.kernelPatches = [ { name = \"0001-fix-it\"; patch = ./patches/linux_6_6/0001-fix-it.patch; } ];";
    assert!(said.contains(snippet), "{said}");
    let other = support::said(&overlayctl(dir.path(), &["patch", "zlib", "fix.patch", "--offline"]));
    assert!(!other.contains("OV1135"), "{other}");
}

/// The patch file stays on request, is told to be unused, and goes back under its name.
#[test]
fn a_patch_file_that_is_kept() {
    let dir = workspace(&[("overlay.nix", "final: prev: { }\n")]);
    let before = tree(dir.path());
    assert!(overlayctl(dir.path(), &["patch", "zlib", "fix.patch", "--offline"]).status.success());
    let patched = tree(dir.path());
    assert!(overlayctl(dir.path(), &["unpatch", "zlib", "1", "--keep-file"]).status.success());
    let queued = dir.path().join("patches/zlib/0001-fix-it.patch");
    let mut kept = before;
    kept.insert(queued.clone(), patched[&queued].clone());
    assert!(tree(dir.path()) == kept);
    let list = said(&overlayctl(dir.path(), &["list"]));
    assert!(list.contains("unused") && list.contains("0001-fix-it.patch"), "{list}");
    let again = overlayctl(dir.path(), &["patch", "zlib", "patches/zlib/0001-fix-it.patch", "--offline"]);
    assert!(again.status.success() && tree(dir.path()) == patched, "{}", said(&again));
}

/// A patch that is fetched goes by the end of its address, alone by the package, and stays where the queue is meant.
#[test]
fn a_fetched_patch_without_its_address() {
    let fetched = "(prev.fetchpatch { url = \"https://example.org/x/71c2ab5.patch?full=1\"; hash = \"sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"; })";
    let overlay = |list: &str| {
        format!(
            "final: prev: {{\n  jq = prev.jq.overrideAttrs (old: {{\n    patches = (old.patches or [ ]) ++ [ {list} ];\n  }});\n}}\n"
        )
    };
    for name in [Some("71c2ab5"), Some("71c2ab5.patch"), None] {
        let dir = workspace(&[("overlay.nix", &overlay(fetched))]);
        let mut args = vec!["unpatch", "jq"];
        args.extend(name);
        let run = overlayctl(dir.path(), &args);
        let left = std::fs::read_to_string(dir.path().join("overlay.nix")).unwrap();
        assert!(run.status.success() && !left.contains("71c2ab5"), "{}{left}", said(&run));
    }
    let both = overlay(&format!("{fetched} ./patches/jq/0001-fix-it.patch"));
    let dir = workspace(&[("overlay.nix", &both), ("patches/jq/0001-fix-it.patch", PATCH)]);
    let run = overlayctl(dir.path(), &["unpatch", "jq"]);
    assert!(
        said(&run).contains("OV1133") && said(&run).contains("overlayctl unpatch jq 71c2ab5.patch"),
        "{}",
        said(&run)
    );
    assert_eq!(std::fs::read_to_string(dir.path().join("overlay.nix")).unwrap(), overlay(fetched));
    assert!(!dir.path().join("patches").exists());
}
