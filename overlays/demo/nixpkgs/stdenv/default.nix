# The standard environments of a stage, and fetchurl: an overlay below all packages.
{ lib, config, buildPlatform, hostPlatform, targetPlatform }:
final: prev:
let
  toolchain = import ./toolchain.nix { inherit lib config buildPlatform; };

  mkStdenv = { cc, name ? "stdenv-linux", isStatic ? hostPlatform.isStatic }:
    let
      # A derivation, as in nixpkgs: whatever uses the compiler depends on it through its stdenv, and a C library's patch
      # is seen to travel musl -> gcc -> stdenv -> package.
      drv = derivation {
        inherit name;
        system = buildPlatform.system;
        builder = "/bin/bash";
        args = [ "-ec" ''/bin/mkdir -p $out; { echo "stdenvCC=$cc stdenvStatic=$isStatic"; /bin/cat $setup; } > $out/setup'' ];
        setup = ./setup.sh;
        inherit cc;
        isStatic = lib.optionalString isStatic "1";
      };
      stdenv = drv // {
        inherit cc buildPlatform hostPlatform targetPlatform lib;
        mkDerivation = import ./make-derivation.nix { inherit lib stdenv isStatic; };
        override = args: mkStdenv ({ inherit cc name isStatic; } // args);
      };
    in
    stdenv;

  # Compilers run on this stage's host and compile for its target.
  compilerWith = libc: import ./cc-wrapper.nix {
    inherit lib buildPlatform toolchain libc;
    platform = targetPlatform;
    runsOn = hostPlatform;
  };
in
{
  inherit toolchain;
  stdenv = mkStdenv { cc = final.buildPackages.gcc; };
  # For what comes before a C library, and for what is the same in static and dynamic package sets: the C library
  # itself is, and sharing it saves a build. Hence its name and hash do not know about isStatic.
  stdenvNoLibc = mkStdenv { cc = final.buildPackages.gccWithoutTargetLibc; name = "stdenv-no-libc"; isStatic = false; };
  overrideCC = stdenv: cc: stdenv.override { inherit cc; };

  gcc = compilerWith final.targetPackages.libc;
  gccWithoutTargetLibc = compilerWith null;
  binutils = final.gcc.bintools;
  libc = if hostPlatform.isMusl then final.musl else final.glibc;

  fetchurl = { url ? builtins.head urls, urls ? [ url ], sha256, name ? baseNameOf url }: derivation {
    inherit name url urls;
    builder = "builtin:fetchurl";
    system = "builtin";
    outputHash = sha256;
    outputHashAlgo = "sha256";
    outputHashMode = "flat";
    preferLocalBuild = true;
    executable = false;
    unpack = false;
  };
}
