let
  pkgs = import (import ./nix/sources.nix).nixpkgs { overlays = [ (import ./overlays) ]; };
in
{
  inherit (pkgs) curl;
}
