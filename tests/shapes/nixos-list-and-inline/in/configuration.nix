{ config, pkgs, lib, ... }:
{
  networking.hostName = "pi";
  environment.systemPackages = [ pkgs.curl pkgs.jq ];
  nixpkgs.overlays = [ (import ./overlays/default.nix) ] ++ [
    (final: prev: {
      zlib = prev.zlib.overrideAttrs (old: {
        patches = (old.patches or [ ]) ++ [
          ./patches/zlib/0002-zlib-b.patch
        ];
      });
    })
  ];
}
