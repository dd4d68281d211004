{ config, pkgs, lib, ... }:
{
  networking.hostName = "pi";
  environment.systemPackages = [ pkgs.curl pkgs.jq ];
  imports = [ ./modules/patches.nix ];
}
