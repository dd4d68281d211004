{
  inputs.nixpkgs.url = "path:@beside@/nixpkgs";

  outputs = { self, nixpkgs }:
    let
      system = "x86_64-linux";
      fixes = "${self}/patches";
      overlay = final: prev: {
        zlib = prev.zlib.overrideAttrs (old: {
          patches = (old.patches or [ ]) ++ [ "${fixes}/zlib/0001-zlib-a.patch" ];
        });
      };
    in
    {
      legacyPackages.${system} = import nixpkgs { inherit system; overlays = [ overlay ]; };
    };
}
