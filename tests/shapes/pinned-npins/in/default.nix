let
  pkgs = import (import ./npins).nixpkgs { overlays = [ (import ./overlays) ]; };
in
{
  inherit (pkgs) curl;
}
