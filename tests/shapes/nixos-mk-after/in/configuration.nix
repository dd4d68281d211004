{ config, pkgs, lib, ... }:
{
  networking.hostName = "pi";
  environment.systemPackages = [ pkgs.curl pkgs.jq ];
  nixpkgs.overlays = lib.mkMerge [
    (lib.mkBefore [ (final: prev: { hello = prev.hello; }) ])
    (lib.mkAfter [
      (final: prev: {
        zlib = prev.zlib.overrideAttrs (old: {
          patches = (old.patches or [ ]) ++ [
            ./patches/zlib/0001-zlib-a.patch
          ];
        });
      })
    ])
  ];
}
