{ overlays ? [ ], ... }:
let
  mk = attrs: derivation ({ system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; } // attrs)
    // { overrideAttrs = f: mk (attrs // f attrs); };
in builtins.foldl' (set: overlay: set // overlay set set) { zlib = mk { name = "zlib-1"; patches = [ ]; }; } overlays
