{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    let
      system = "x86_64-linux";
      pkgs = import nixpkgs {
        inherit system;
        overlays = [ (final: prev: {
          zlib = prev.zlib.overrideAttrs (old: {
            patches = (old.patches or [ ]) ++ [
              ./patches/zlib/0001-zlib-a.patch
            ];
          });
        }) ];
      };
    in
    {
      packages.${system} = {
        inherit (pkgs) curl zlib;
        tool = (import nixpkgs { inherit system; }).pkg-config;
      };
    };
}
