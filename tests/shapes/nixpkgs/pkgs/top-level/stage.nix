# One stage: the packages, what is derived from them, `packageOverrides`, and the overlays on top.
{ lib, config, again, given }:
{ overlays, buildPackages, host, target }:
let
  # A derivation that can be described anew.
  mkDerivation = { pkgs, stdenv }: rattrs:
    let
      describe = if lib.isFunction rattrs then rattrs else _: rattrs;
      attrs = lib.fix describe;
      isCross = host != stdenv.buildPlatform;
      suffix = lib.optionalString isCross "-${host.config}";
      kept = removeAttrs attrs [ "passthru" "meta" "pname" "version" ];
      made = derivation ({
        name = if attrs ? pname then "${attrs.pname}${suffix}-${attrs.version}" else attrs.name + suffix;
        system = stdenv.buildPlatform.system;
        builder = "/bin/sh";
        args = [ "-c" "echo never built; exit 1" ];
      } // lib.optionalAttrs (stdenv ? drv) { stdenv = stdenv.drv; }
      // lib.optionalAttrs (attrs ? pname) { inherit (attrs) pname version; } // kept);
    in
    made // attrs // { inherit (made) name; } // attrs.passthru or { } // {
      inherit (made) outPath drvPath type;
      inherit stdenv;
      meta = attrs.meta or { };
      # One argument, two, or a set: as nixpkgs takes it.
      overrideAttrs = f: mkDerivation { inherit pkgs stdenv; } (final:
        let
          old = describe final;
          once = if lib.isFunction f then f old else f;
        in
        old // (if lib.isFunction once then f final old else once));
    };

  base = final: {
    inherit lib config overlays;
    pkgs = final;
    buildPackages = if buildPackages == null then final else buildPackages;
    targetPackages = final;
    callPackage = lib.callPackageWith final;
    newScope = extra: lib.callPackageWith (final // extra);
    system = host.system;
    # Native: bootstrap tools. Cross: the compiler of the stage before, and so all that it is built with.
    stdenv =
      let
        stdenv = {
          buildPlatform = if buildPackages == null then host else buildPackages.stdenv.hostPlatform;
          hostPlatform = host;
          targetPlatform = target;
          isLinux = true;
          system = host.system;
          drv = derivation ({
            name = "stdenv-linux";
            system = stdenv.buildPlatform.system;
            builder = "/bin/sh";
          } // lib.optionalAttrs (host != stdenv.buildPlatform) { cc = buildPackages.gcc; });
          cc = final.buildPackages.gcc;
          mkDerivation = mkDerivation { pkgs = final; inherit stdenv; };
        };
      in
      stdenv;
    inherit (final.stdenv) buildPlatform hostPlatform targetPlatform;
    fetchpatch = { url, ... }: builtins.toFile "fetched.patch" url;
  };

  otherPackageSets = final: prev: {
    pkgsCross = lib.mapAttrs (_: crossSystem: again { inherit crossSystem; }) lib.systems.examples;
    pkgsMusl = variant "pkgsMusl" { config = "${host.parsed.cpu.name}-unknown-linux-musl"; };
    pkgsStatic = variant "pkgsStatic" { isStatic = true; config = "${host.parsed.cpu.name}-unknown-linux-musl"; };
    appendOverlays = extra: if extra == [ ] then final else again { overlays = handedOn ++ extra; };
    extend = f: final.appendOverlays [ f ];
  };
  # nixpkgs of today hands on the overlays of the stage, crossOverlays included, beside the crossOverlays; in 2019 it did not.
  handedOn = if config.crossOverlaysOnce or false then given.overlays or [ ] else overlays;
  variant = name: crossSystem: again { inherit crossSystem; overlays = [ (final: prev: { ${name} = prev; }) ] ++ handedOn; };

  configOverrides = final: prev: (config.packageOverrides or (_: { })) prev;
in
lib.fix (lib.foldl' (lib.flip lib.extends) base
  ([ (import ./all-packages.nix { inherit lib config; }) otherPackageSets configOverrides ] ++ overlays))
