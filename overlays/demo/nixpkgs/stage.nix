# One stage of the package set: a fixed point of the base, the stdenv, all packages and the overlays, in that order.
{ lib, config, nixpkgsFun, overlays }:
{ buildPlatform, hostPlatform, targetPlatform, buildPackages, targetPackages, stageOverlays }:
let
  base = final: {
    inherit lib config overlays buildPackages targetPackages;
    pkgs = final;
    pkgsBuildBuild = buildPackages.buildPackages;
    pkgsBuildHost = buildPackages;
    pkgsHostTarget = final;

    callPackage = lib.callPackageWith spliced;
    newScope = extra: lib.callPackageWith (spliced // extra);

    pkgsCross = builtins.mapAttrs (_: crossSystem: nixpkgsFun { inherit crossSystem; }) lib.systems.examples;
    pkgsMusl = if hostPlatform.isMusl then final else nixpkgsFun (sameWith { });
    pkgsStatic = nixpkgsFun (sameWith { isStatic = true; });

    extend = f: final.appendOverlays [ f ];
    appendOverlays = extra: nixpkgsFun { overlays = overlays ++ extra; };
  };

  # This host's processor with musl.
  sameWith = extra: { crossSystem = { config = lib.systems.muslOf hostPlatform; } // extra; };

  # Splicing: a recipe names `bzip2` once; in nativeBuildInputs it means the one that runs on the build platform, in
  # buildInputs the one for the host. What callPackage hands out therefore knows both, and mkDerivation picks.
  spliced = builtins.mapAttrs
    (name: pkg:
      let forBuild = buildPackages.${name} or null; in
      if lib.isDerivation pkg && lib.isDerivation forBuild
      then pkg // { __spliced = { buildHost = forBuild; hostTarget = pkg; }; }
      else pkg)
    stage;

  stdenvOverlay = import ./stdenv { inherit lib config buildPlatform hostPlatform targetPlatform; };

  stage = lib.fix (builtins.foldl' (lib.flip lib.extends) base
    ([ stdenvOverlay (import ./pkgs/all-packages.nix) ] ++ stageOverlays));
in
stage
