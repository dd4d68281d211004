{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system}.extend (import ./overlay.nix);
    in
    {
      devShells.${system}.default = pkgs.stdenv.mkDerivation {
        name = "shell";
        buildInputs = [ pkgs.curl ];
      };
    };
}
