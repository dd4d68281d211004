{ lib }: lib.fix (lib.extends (import ./overlay.nix) (_: lib))
