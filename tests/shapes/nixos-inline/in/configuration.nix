{ config, pkgs, lib, ... }:
{
  networking.hostName = "pi";
  environment.systemPackages = [ pkgs.curl pkgs.jq ];
  nixpkgs.overlays = [
    (final: prev: {
      zlib = prev.zlib.overrideAttrs (old: {
        patches = (old.patches or [ ]) ++ [
          ./patches/zlib/0001-zlib-a.patch
        ];
      });
    })
  ];
}
