{ pkgs, ... }:
{
  imports = [ ../home-manager/nixos.nix ];
  environment.systemPackages = [ pkgs.jq ];
  home-manager.useGlobalPkgs = false;
  home-manager.users.me = { pkgs, ... }: {
    home.packages = [ pkgs.curl ];
    nixpkgs.overlays = [
      (final: prev: {
        zlib = prev.zlib.overrideAttrs (old: {
          patches = (old.patches or [ ]) ++ [
            ./patches/zlib/0001-zlib-a.patch
          ];
        });
      })
    ];
  };
}
