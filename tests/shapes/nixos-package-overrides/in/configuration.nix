{ config, pkgs, lib, ... }:
{
  networking.hostName = "pi";
  environment.systemPackages = [ pkgs.curl pkgs.jq ];
  nixpkgs.config.packageOverrides = pkgs: {
    zlib = pkgs.zlib.overrideAttrs (old: {
      patches = (old.patches or [ ]) ++ [
        ./patches/zlib/0001-zlib-a.patch
      ];
    });
  };
}
