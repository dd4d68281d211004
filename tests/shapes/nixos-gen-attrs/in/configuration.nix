{ pkgs, lib, ... }:
{
  environment.systemPackages = [ pkgs.curl ];
  nixpkgs.overlays = [
    (final: prev: lib.genAttrs [ "zlib" "curl" ] (name: prev.${name}.overrideAttrs (old: {
      patches = (old.patches or [ ]) ++ [ (./patches + "/${name}/0001-${name}-a.patch") ];
    })))
  ];
}
