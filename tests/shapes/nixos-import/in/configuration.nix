{ config, pkgs, lib, ... }:
{
  networking.hostName = "pi";
  environment.systemPackages = [ pkgs.curl pkgs.jq ];
  nixpkgs.overlays = [ (import ./nix/patches.nix) ];
}
