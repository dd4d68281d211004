# One home: `home.packages` of a package set, which its own `nixpkgs.overlays` extend.
{ pkgs, modules, specialArgs ? { }, useGlobalPkgs ? false }:
let
  inherit (pkgs) lib;
  args = { inherit lib config; pkgs = final; } // specialArgs;
  load = module:
    let
      loaded = if lib.isAttrs module || lib.isFunction module then module else import module;
      m = if lib.isFunction loaded then loaded args else loaded;
    in lib.concatMap load (m.imports or [ ]) ++ [ m ];
  bodies = lib.concatMap load modules;
  list = path: lib.concatMap (m: lib.attrByPath path [ ] m) bodies;
  overlays = list [ "nixpkgs" "overlays" ];
  # Under useGlobalPkgs the set is the system's, whatever the home says.
  final = if useGlobalPkgs || overlays == [ ] then pkgs else pkgs.appendOverlays overlays;
  config = { nixpkgs.overlays = overlays; home.packages = list [ "home" "packages" ]; };
in
{
  inherit config;
  pkgs = final;
  activationPackage = derivation { name = "home-manager-generation"; inherit (pkgs) system; builder = "/bin/sh"; inputs = config.home.packages; };
}
