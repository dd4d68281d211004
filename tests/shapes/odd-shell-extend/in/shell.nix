let
  pkgs = import ../nixpkgs { };
  patched = pkgs.extend (import ./overlay.nix);
in
{
  inherit (patched) curl;
}
