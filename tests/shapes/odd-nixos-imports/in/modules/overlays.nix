{ ... }:
{
  nixpkgs.overlays = [ (import ../overlays/zlib.nix) ];
}
