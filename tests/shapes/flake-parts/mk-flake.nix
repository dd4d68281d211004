{ inputs }: module:
let
  lib = inputs.nixpkgs.lib;
  args = { inherit inputs lib; self = inputs.self; };
  load = m:
    let loaded = if lib.isAttrs m || lib.isFunction m then m else import m; in
    let body = if lib.isFunction loaded then loaded args else loaded; in
    lib.concatMap load (body.imports or [ ]) ++ [ body ];
  bodies = load module;
  systems = lib.concatMap (m: m.systems or [ ]) bodies;
  easyOverlay = lib.foldl' (a: m: a || m.easyOverlay or false) false bodies;
  # What every module says of one system; `pkgs` may be one's own by `_module.args.pkgs`.
  perSystem = given: system:
    let
      bodiesOf = map (m: m.perSystem) (lib.filter (m: m ? perSystem) bodies);
      called = map (f: if lib.isFunction f then f arguments else f) bodiesOf;
      arguments = {
        inherit system lib inputs;
        self' = lib.mapAttrs (_: output: output.${system} or null) (inputs.self or { });
        inputs' = lib.mapAttrs (_: input: lib.mapAttrs (_: output: output.${system} or null) input) inputs;
        config = merged;
        pkgs = (merged._module or { }).args.pkgs or inputs.nixpkgs.legacyPackages.${system};
        final = inputs.nixpkgs.legacyPackages.${system}.extend flake.overlays.default;
      } // given;
      merged = lib.foldl' lib.recursiveUpdate { } called;
    in merged;
  flake = lib.foldl' lib.recursiveUpdate
    (lib.optionalAttrs easyOverlay {
      overlays.default = final: prev: (perSystem { inherit final; pkgs = prev; } prev.stdenv.hostPlatform.system).overlayAttrs or { };
    })
    (map (m: m.flake or { }) bodies);
  transposed = name: lib.genAttrs systems (system: (perSystem { } system).${name} or { });
in
lib.genAttrs [ "packages" "checks" "devShells" ] transposed
// { legacyPackages = transposed "legacyPackages"; } // flake
