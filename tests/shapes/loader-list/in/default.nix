let
  dir = ./nix/overlays;
  overlays = map (name: import (dir + "/${name}")) (builtins.attrNames (builtins.readDir dir));
  pkgs = import ../nixpkgs { inherit overlays; };
in
{
  inherit (pkgs) curl zlib;
}
