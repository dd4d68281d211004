{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    let
      utils = import ./utils.nix;
    in
    utils.eachDefaultSystem (system:
      let
        pkgs = import nixpkgs {
          inherit system;
          overlays = [ self.overlays.default ];
        };
      in
      {
        packages = rec {
          curl = pkgs.curl;
          default = curl;
        };
        devShells.default = pkgs.stdenv.mkDerivation { name = "shell"; buildInputs = [ pkgs.zlib ]; };
      })
    // {
      overlays.default = import ./overlay.nix;
    };
}
