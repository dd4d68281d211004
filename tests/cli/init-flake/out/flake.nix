{
  inputs.nixpkgs.url = "nixpkgs";
  outputs = { self, nixpkgs }: { overlays.default = import ./overlay.nix; };
}
