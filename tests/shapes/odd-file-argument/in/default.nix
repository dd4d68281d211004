{ pkgs ? import ../nixpkgs { overlays = [ (import ./overlay.nix) ]; } }:
{
  inherit (pkgs) curl;
}
