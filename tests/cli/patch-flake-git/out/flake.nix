{ outputs = { self }: { overlays.default = import ./overlay.nix; }; }
