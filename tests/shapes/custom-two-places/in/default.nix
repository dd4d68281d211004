let
  pkgs = import ../nixpkgs { overlays = [ (import ./nix/patches.nix) ]; };
  plain = import ../nixpkgs { overlays = [ ]; };
in
{
  inherit (pkgs) curl;
  tool = plain.pkg-config;
}
