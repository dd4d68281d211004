import <nixpkgs> { overlays = map import [ ./overlays/one.nix ./overlays/two.nix ]; }
