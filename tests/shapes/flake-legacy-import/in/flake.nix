{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    {
      legacyPackages.x86_64-linux = import nixpkgs {
        system = "x86_64-linux";
        overlays = [ (import ./nix/patches.nix) ];
      };
    };
}
