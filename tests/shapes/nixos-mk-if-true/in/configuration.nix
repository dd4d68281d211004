{ config, pkgs, lib, ... }:
{
  networking.hostName = "pi";
  environment.systemPackages = [ pkgs.curl pkgs.jq ];
  services.web.enable = true;
  nixpkgs.overlays = lib.mkIf config.services.web.enable [
    (final: prev: {
      zlib = prev.zlib.overrideAttrs (old: {
        patches = (old.patches or [ ]) ++ [
          ./patches/zlib/0001-zlib-a.patch
        ];
      });
    })
  ];
}
