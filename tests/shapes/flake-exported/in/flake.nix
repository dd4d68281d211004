{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    {
      overlays.default = final: prev: {
        zlib = prev.zlib.overrideAttrs (old: {
          patches = (old.patches or [ ]) ++ [
            ./patches/zlib/0001-zlib-a.patch
          ];
        });
      };
    };
}
