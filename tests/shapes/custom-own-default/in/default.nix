let
  pkgs = import ../nixpkgs { overlays = [ (import ./nix/patches.nix) ]; };
in
{
  inherit (pkgs) curl jq;
}
