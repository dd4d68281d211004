{ lib, ... }:
{
  imports = [ ./overlays.nix ];
}
