let
  lib = import ../nixpkgs/lib;
  pkgs = import ../nixpkgs { overlays = import ./overlays { inherit lib; }; };
in
{
  inherit pkgs;
  inherit (pkgs) curl;
}
