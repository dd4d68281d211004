# A small package set with nixpkgs' interface. `import ./. { }` takes what `import <nixpkgs> { }` takes, and what comes
# back has pkgsCross, pkgsStatic, buildPackages, callPackage, override, overrideAttrs and extend, meaning the same.
#
# It is small in one way only: the compilers are Debian's, from /usr (see stdenv/toolchain.nix). Everything that runs on
# the target, the C library first, is built from source. So a patched C library is real here, and takes no hour to show.
{ system ? builtins.currentSystem or "x86_64-linux"
, localSystem ? { inherit system; }
, crossSystem ? null
, overlays ? [ ]
, crossOverlays ? [ ]
, config ? { }
}:
let
  lib = import ./lib;

  local = lib.systems.elaborate localSystem;
  cross = lib.systems.elaborate crossSystem;
  isNative = crossSystem == null || cross.config == local.config && cross.isStatic == local.isStatic;

  # The same package set with other arguments; overlays go along unless they are among them.
  nixpkgsFun = newArgs: import ./. ({ inherit localSystem crossSystem overlays crossOverlays config; } // newArgs);

  mkStage = import ./stage.nix { inherit lib config nixpkgsFun overlays; };

  # Three stages. A package of one is built with tools of the one before, so "build, host, target" moves by one:
  native = mkStage {
    buildPlatform = local; hostPlatform = local; targetPlatform = local;
    buildPackages = native; targetPackages = native;
    stageOverlays = overlays;
  };
  # tools that run here and make code for the target: pkgsCross.X.buildPackages
  buildTools = mkStage {
    buildPlatform = local; hostPlatform = local; targetPlatform = cross;
    buildPackages = native; targetPackages = target;
    stageOverlays = overlays;
  };
  # what runs on the target: pkgsCross.X. Only here do crossOverlays apply.
  target = mkStage {
    buildPlatform = local; hostPlatform = cross; targetPlatform = cross;
    buildPackages = buildTools; targetPackages = target;
    stageOverlays = overlays ++ crossOverlays;
  };
in
if isNative then native else target
