# The stages of a package set. Native: one. Cross: the native set, the set of the build tools, the target's; the overlays go
# to all of them, the crossOverlays to the last.
{ system ? builtins.currentSystem
, localSystem ? { inherit system; }
, crossSystem ? null
, config ? { }
, overlays ? [ ]
, crossOverlays ? [ ]
} @ args:
let
  lib = import ../../lib;
  platform = given:
    let
      known = if builtins.isString given then { system = given; } else given;
      cpu = builtins.head (builtins.split "-" (known.config or known.system));
      config = known.config or "${cpu}-unknown-linux-gnu";
    in
    { isStatic = false; isLinux = true; inherit config; system = "${cpu}-linux"; isMusl = lib.hasSuffix "musl" config; isAarch64 = cpu == "aarch64"; isRiscV = cpu == "riscv64"; isx86_64 = cpu == "x86_64"; parsed.cpu.name = cpu; } // known;
  local = platform localSystem;
  cross = if crossSystem == null then local else platform crossSystem;
  again = new: import ./. (removeAttrs args [ "system" ] // { inherit localSystem; } // new);
  stage = import ./stage.nix { inherit lib config again; given = args; };
  native = buildPackages: overlays: stage { inherit overlays buildPackages; host = local; target = local; };
  nativeSet = native null overlays;
  tools = stage { inherit overlays; buildPackages = nativeSet; host = local; target = cross; };
  target = stage { overlays = overlays ++ crossOverlays; buildPackages = tools; host = cross; target = cross; };
in
# As nixpkgs does: a crossSystem that is the build platform makes no cross stages.
if removeAttrs cross [ "isMusl" ] == removeAttrs local [ "isMusl" ] then nativeSet else target
