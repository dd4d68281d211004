{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    let
      system = "x86_64-linux";
    in
    {
      legacyPackages.${system} = nixpkgs.legacyPackages.${system}.extend (final: prev: {
        zlib = prev.zlib.overrideAttrs (old: {
          patches = (old.patches or [ ]) ++ [
            ./patches/zlib/0001-zlib-a.patch
          ];
        });
      });
    };
}
