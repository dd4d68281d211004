{ config, pkgs, ... }:

{
  imports = [ ./overlays.nix ];
}
