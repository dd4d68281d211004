{ config, pkgs, lib, ... }:
{
  home-manager.packages = lib.mapAttrsToList (_: user: (import ./home.nix {
    inherit pkgs;
    modules = [ user ];
    useGlobalPkgs = config.home-manager.useGlobalPkgs;
  }).activationPackage) config.home-manager.users;
}
