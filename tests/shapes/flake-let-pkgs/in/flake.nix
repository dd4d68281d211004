{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    let
      system = "x86_64-linux";
      pkgs = import nixpkgs {
        inherit system;
        overlays = [ (import ./nix/patches.nix) ];
      };
    in
    {
      packages.${system} = {
        inherit (pkgs) curl zlib;
      };
    };
}
