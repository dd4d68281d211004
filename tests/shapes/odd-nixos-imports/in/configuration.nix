{ pkgs, ... }:
{
  imports = [ ./modules/base.nix ];
  networking.hostName = "pi";
  environment.systemPackages = [ pkgs.curl ];
}
