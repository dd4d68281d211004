final: prev:
let
  overlays = [ (import ./libs.nix) (import ./net.nix) ];
in
builtins.foldl' (all: overlay: all // overlay final (prev // all)) { } overlays
