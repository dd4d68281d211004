{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    let
      system = "x86_64-linux";
      pkgs = import nixpkgs { inherit system; overlays = [ (import ./overlay.nix) ]; };
    in
    {
      packages.${system}.curl = pkgs.curl;
    };
}
