final: prev:
let
  names = builtins.filter (name: name != "default.nix") (builtins.attrNames (builtins.readDir ./.));
in
builtins.foldl' (all: name: all // import (./. + "/${name}") final (prev // all)) { } names
