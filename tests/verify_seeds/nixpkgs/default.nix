# A package set of nixpkgs' shape for the seeds of tests/verify_seeds.rs: a library, programs that use it, a script, a kernel.
{ system ? builtins.currentSystem, crossSystem ? null, overlays ? [ ], crossOverlays ? [ ], config ? { } }:
let
  cpu = builtins.head (builtins.split "-" system);
  platform = isStatic: { config = "${cpu}-unknown-linux-gnu"; inherit isStatic; };
  fix = f: let x = f x; in x;
  extends = overlay: f: final: let prev = f final; in prev // overlay final prev;

  mkDerivation = stdenv: attrs:
    let
      static = if stdenv.hostPlatform.isStatic then "-static" else "";
      drv = derivation (builtins.removeAttrs attrs [ "meta" ] // {
        name = "${attrs.pname}${static}-${attrs.version}";
        inherit system;
        builder = "/bin/sh";
        args = [ "-e" ./builder.sh ];
        patches = attrs.patches or [ ];
        libc = if attrs.libc or true then stdenv.libc else null;
        isStatic = stdenv.hostPlatform.isStatic;
      });
    in
    drv // {
      inherit stdenv;
      inherit (attrs) pname version;
      meta = attrs.meta or { };
      overrideAttrs = f: mkDerivation stdenv (attrs // f attrs);
    };

  set = isStatic:
    let
      base = final: {
        inherit config;
        buildPackages = final;
        pkgsStatic = set true;
        stdenv = {
          buildPlatform = platform false;
          hostPlatform = platform isStatic;
          targetPlatform = platform isStatic;
          libc = final.libc;
          cc.libc = final.libc;
        };
        mkDerivation = mkDerivation final.stdenv;
      };
    in
    fix (builtins.foldl' (f: overlay: extends overlay f) base ([ (import ./packages.nix) ] ++ overlays));
in
set false
