# stdenv.mkDerivation: attributes of a package to a derivation, the way nixpkgs does it. `meta` and `passthru` stay
# outside; everything else is in the derivation's environment: pname, version, src, patches and the phases.
{ lib, stdenv, isStatic }:
let
  inherit (stdenv) buildPlatform hostPlatform;
  isCross = buildPlatform.config != hostPlatform.config;
  # As in nixpkgs, the name tells for what: bzip2-static-aarch64-unknown-linux-musl-1.0.8
  marker = lib.optionalString isStatic "-static" + lib.optionalString isCross "-${hostPlatform.config}";

  forBuild = map (pkg: pkg.__spliced.buildHost or pkg);
  forHost = map (pkg: pkg.__spliced.hostTarget or pkg);

  # rattrs: the final attributes to the attributes, so that `finalAttrs` sees what overrideAttrs changes.
  extensible = rattrs:
    let
      attrs = rattrs (attrs // { finalPackage = package; });
      overrideAttrs = f: extensible (lib.extends (lib.toExtension f) rattrs);
      drv = derivation (removeAttrs attrs [ "meta" "passthru" ] // {
        name = if attrs ? pname then "${attrs.pname}${marker}-${attrs.version}" else attrs.name + marker;
        system = buildPlatform.system;
        builder = "/bin/bash";
        args = [ "-e" ./builder.sh ];
        inherit stdenv;
        src = attrs.src or null;
        patches = attrs.patches or [ ];
        configureFlags = attrs.configureFlags or [ ];
        makeFlags = attrs.makeFlags or [ ];
        nativeBuildInputs = forBuild (attrs.nativeBuildInputs or [ ]);
        buildInputs = forHost (attrs.buildInputs or [ ]);
        propagatedBuildInputs = forHost (attrs.propagatedBuildInputs or [ ]);
      });
      package = drv // attrs.passthru or { } // {
        inherit overrideAttrs stdenv;
        passthru = attrs.passthru or { };
        meta = { available = true; broken = false; } // attrs.meta or { };
      };
    in
    package;
in
fnOrAttrs: extensible (if builtins.isFunction fnOrAttrs then fnOrAttrs else _: fnOrAttrs)
