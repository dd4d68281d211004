# Modules with imports and properties (mkIf, mkMerge, mkOrder, mkForce) over the options that the shapes use.
{ modules, system ? null, specialArgs ? { }, pkgs ? null }:
let
  lib = import ../../lib;
  given = pkgs;
  args = { inherit config lib; pkgs = packages; options = { }; modulesPath = ../modules; } // specialArgs;
  # Every module, in order, with what it imports before it.
  collect = module:
    let
      loaded = if lib.isAttrs module || lib.isFunction module then module else import module;
      m = if lib.isFunction loaded then loaded (builtins.intersectAttrs (lib.functionArgs loaded // { config = null; }) args // args) else loaded;
      body = m.config or (removeAttrs m [ "imports" "options" "_file" "disabledModules" ]);
    in
    lib.concatMap collect (m.imports or [ ]) ++ [ body ];
  bodies = lib.concatMap collect modules;
  # The definitions of an option: without properties, in their order.
  discharge = order: d:
    let kind = d._type or ""; in
    if !(lib.isAttrs d) then [ { inherit order; value = d; force = false; } ]
    else if kind == "if" then lib.optionals d.condition (discharge order d.content)
    else if kind == "merge" then lib.concatMap (discharge order) d.contents
    else if kind == "order" then discharge d.priority d.content
    else if kind == "override" then map (x: x // { force = d.priority < 100; }) (discharge order d.content)
    else [ { inherit order; value = d; force = false; } ];
  at = path: d:
    let found = discharge 1000 d; in
    if path == [ ] then found
    else lib.concatMap (x: lib.optionals (lib.isAttrs x.value && x.value ? ${lib.head path}) (at (lib.tail path) x.value.${lib.head path})) found;
  definitions = path:
    let all = lib.concatMap (at path) bodies; forced = lib.filter (x: x.force) all; in
    map (x: x.value) (lib.sort (a: b: a.order < b.order) (if forced == [ ] then all else forced));
  list = path: lib.concatLists (definitions path);
  one = path: default: let all = definitions path; in if all == [ ] then default else lib.last all;

  crossSystem = one [ "nixpkgs" "crossSystem" ] null;
  packages =
    if given != null then given.appendOverlays config.nixpkgs.overlays
    else one [ "nixpkgs" "pkgs" ] (import ../.. ({
      system = if system != null then system else one [ "nixpkgs" "hostPlatform" ] builtins.currentSystem;
      inherit (config.nixpkgs) config overlays;
    } // lib.optionalAttrs (crossSystem != null) { inherit crossSystem; }));
  derive = name: inputs: derivation { inherit name; system = packages.stdenv.buildPlatform.system; builder = "/bin/sh"; inputs = inputs; };
  kernel = if config.boot.kernelPatches == [ ] then packages.linux else packages.linux.override (old: {
    kernelPatches = (old.kernelPatches or [ ]) ++ config.boot.kernelPatches;
  });
  config = {
    nixpkgs.overlays = list [ "nixpkgs" "overlays" ];
    nixpkgs.config = lib.foldl' lib.recursiveUpdate { } (definitions [ "nixpkgs" "config" ]);
    boot.kernelPatches = list [ "boot" "kernelPatches" ];
    environment.systemPackages = list [ "environment" "systemPackages" ];
    networking.hostName = one [ "networking" "hostName" ] "nixos";
    services.web.enable = one [ "services" "web" "enable" ] false;
    home-manager = {
      useGlobalPkgs = one [ "home-manager" "useGlobalPkgs" ] false;
      users = lib.foldl' lib.recursiveUpdate { } (definitions [ "home-manager" "users" ]);
      packages = list [ "home-manager" "packages" ];
    };
    system.build.kernel = kernel;
    system.build.toplevel = derive "nixos-system-${config.networking.hostName}"
      (config.environment.systemPackages ++ config.home-manager.packages ++ [ kernel ]);
  };
in
{ inherit config lib; pkgs = packages; options = { }; }
